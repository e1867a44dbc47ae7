using Countersign.Channels.Cards;

namespace Countersign.Channels.Delivery;

/// <summary>What became of one attempt to tell somebody.</summary>
public enum DeliveryStatus
{
    Done,

    /// <summary>It certainly did not happen: the limit was reached, the service was not there. Again later.</summary>
    NotNow,

    /// <summary>It will not happen before somebody changes something: no such place, no right to it. Again much later.</summary>
    Refused,

    /// <summary>What was to be rewritten is not there any more.</summary>
    Gone,

    /// <summary>It was sent, and whether it happened nobody knows: looked for before it is done again.</summary>
    Unknown,
}

/// <param name="Status">What became of it.</param>
/// <param name="Message">The channel's own name of what it posted, at most 500 characters; null: none.</param>
/// <param name="Error">For an operator: what failed and what to do. No secret, nothing of a payload.</param>
/// <param name="RetryAfter">Not before; null: as the outbox sees fit.</param>
public sealed record DeliveryResult(DeliveryStatus Status, string? Message = null, string? Error = null, TimeSpan? RetryAfter = null)
{
    public static DeliveryResult Done(string? message) => new(DeliveryStatus.Done, message);
}

/// <summary>
/// A card on its way to one place.
/// </summary>
/// <param name="Posting">Id of the posting: 128 random bits, the same for every attempt. The channel leaves it in the message, so that <see cref="IChannel.FindAsync"/> finds it.</param>
/// <param name="Reference">What a button of this very version of the card carries, and the only thing it carries.</param>
/// <param name="Card">What it says.</param>
public sealed record Notice(string Posting, string Reference, NoticeCard Card);

/// <summary>
/// A way to tell people of reviews: post a card, rewrite it as the review goes on, tell its story beneath. Called by the
/// outbox alone, for one place by one caller at a time; no call decides anything. Each must end within
/// <see cref="Outbox.CallLimit"/>. Thread-safe; throws nothing but cancellation.
/// </summary>
public interface IChannel
{
    /// <summary>As in `channels:` of the configuration and in routes; also what answers from it are recorded as.</summary>
    string Name { get; }

    ChannelReach Reach { get; }

    /// <summary>Posts the card at a place.</summary>
    Task<DeliveryResult> PostAsync(Notice notice, string place, CancellationToken ct);

    /// <summary>
    /// Looks for what an attempt of unknown end has posted: the card of <paramref name="posting"/>, or where
    /// <paramref name="line"/> is given that line beneath <paramref name="message"/>. Done with a message: it is there; Done without: it is not.
    /// </summary>
    Task<DeliveryResult> FindAsync(string posting, string place, DateTimeOffset since, string? message, string? line, CancellationToken ct);

    /// <summary>Rewrites a message so that it says what the review says now; a closed card has no buttons.</summary>
    Task<DeliveryResult> UpdateAsync(Notice notice, string place, string message, CancellationToken ct);

    /// <summary>Tells one line beneath a message.</summary>
    Task<DeliveryResult> TellAsync(string posting, StoryLine line, string place, string message, CancellationToken ct);
}
