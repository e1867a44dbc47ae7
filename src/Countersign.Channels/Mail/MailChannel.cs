using System.Globalization;
using Countersign.Channels.Cards;
using Countersign.Channels.Delivery;

namespace Countersign.Channels.Mail;

/// <summary>
/// Notices by mail. A place is an address, and each has a mail of its own, so that nobody learns who else was told. Quiet: one
/// mail when a review opens, one when people are called again, one when it is over. Nothing is decided by mail.
/// </summary>
public sealed class MailChannel(string name, ChannelReach reach, MailRelay relay, TimeProvider time) : IChannel
{
    private readonly MailSender sender = new(relay);

    /// <summary>Largest statement in a mail, characters. 8,192: some screens; a longer one is told by its head, and that is said.</summary>
    private const int LongestStatement = 8 << 10;

    private const int LongestQuote = 2 << 10;

    /// <summary>What is kept of a message, characters: id and subject.</summary>
    private const int LongestMessage = 500;

    public string Name { get; } = name;

    /// <summary>Nobody answers by mail, whatever the configuration says.</summary>
    public ChannelReach Reach { get; } = reach with { TakesAnswers = false };

    public async Task<DeliveryResult> PostAsync(Notice notice, string place, CancellationToken ct)
    {
        var note = Opened(notice.Card);
        var fault = await sender.SendAsync(note.Compose(relay.From, [place]), ct).ConfigureAwait(false);
        return fault is null ? DeliveryResult.Done(Cut($"{note.Review}\n{notice.Card.Link.AbsoluteUri}\n{note.Subject}", LongestMessage)) : Failed(fault);
    }

    /// <summary>
    /// What was sent can not be looked for; sent again it has the same id, by which mail programs show it once.
    /// </summary>
    public Task<DeliveryResult> FindAsync(string posting, string place, DateTimeOffset since, string? message, string? line, CancellationToken ct) =>
        Task.FromResult(DeliveryResult.Done(null));

    /// <summary>A mail that was sent is not rewritten.</summary>
    public Task<DeliveryResult> UpdateAsync(Notice notice, string place, string message, CancellationToken ct) => Task.FromResult(DeliveryResult.Done(null));

    public async Task<DeliveryResult> TellAsync(string posting, StoryLine line, string place, string message, CancellationToken ct)
    {
        if (!line.Loud && line.Key != "closed") return DeliveryResult.Done(null);
        if (message.Split('\n') is not [var review, var link, var subject]) return DeliveryResult.Done(null);
        var note = new MailNote { Review = review, Event = line.Key, Subject = $"Re: {subject}", Lead = line.Text, Facts = [], Link = new Uri(link), At = time.GetUtcNow() };
        var fault = await sender.SendAsync(note.Compose(relay.From, [place]), ct).ConfigureAwait(false);
        return fault is null ? DeliveryResult.Done(null) : Failed(fault);
    }

    private MailNote Opened(NoticeCard card)
    {
        var facts = new List<(string, string)>();
        foreach (var danger in card.Dangers) facts.Add((danger.Title, danger.Detail));
        if (card.Edited is not null) facts.Add(("Edited", card.Edited));
        if (card.Withheld is not null) facts.Add(("Left out", card.Withheld));
        facts.AddRange(card.Touches.Take(12).Select(static t => ("Touches", $"{t.Id}: {string.Join(", ", t.Does)}{(t.Classes.Count > 0 ? $" [{string.Join(", ", t.Classes)}]" : "")}")));
        if (card.Touches.Count > 12) facts.Add(("Touches", string.Create(CultureInfo.InvariantCulture, $"and {card.Touches.Count - 12} more")));
        facts.Add(("How much", card.HowMuch));
        facts.Add(("On", $"{card.Target} ({card.Environment})"));
        facts.Add(("Asked by", $"{card.Agent}, owned by {card.Owner}{(card.For is { } user ? $", for {user}" : "")}"));
        if (card.Behind.Count > 0) facts.Add(("Behind it", $"{string.Join(", ", card.Behind)}: none of them decides"));
        facts.AddRange(card.Policies.Select(static p => ("Stopped by", $"{p.Id}{(p.Reason is { } reason ? $": {reason}" : "")}")));
        facts.Add(("Needs", card.Needs));
        facts.Add(("Until", $"{card.ExpiresAt.UtcDateTime.ToString("d MMM yyyy HH:mm 'UTC'", CultureInfo.InvariantCulture)}; undecided then, it is a no"));
        facts.Add(("Digest", card.Digest));
        var statement = card.Statement;
        if (statement?.Length > LongestStatement)
        {
            facts.Add(("Cut", string.Create(CultureInfo.InvariantCulture, $"the first {LongestStatement:N0} of {statement.Length:N0} characters of the statement stand here; the page shows all of it")));
            statement = Cut(statement, LongestStatement);
        }

        if (card.Values.Count > 0) facts.Add(("Values", string.Create(CultureInfo.InvariantCulture, $"{card.Values.Count}, which the page shows")));
        var quote = card.Claims.Count == 0 ? null : Cut(string.Join('\n', card.Claims.Select(static c => c.Label.Length == 0 ? c.Text : $"{c.Label}: {c.Text}")), LongestQuote);
        return new MailNote { Review = card.Review, Event = MailNote.First, Subject = card.Headline, Lead = card.Headline, Facts = facts, Statement = statement, Quote = quote, Link = card.Link, At = card.CreatedAt };
    }

    private static string Cut(string text, int length) => text.Length <= length ? text : $"{text[..(char.IsHighSurrogate(text[length - 2]) ? length - 2 : length - 1)]}…";

    private static DeliveryResult Failed(MailFault fault) => new(fault.MayPass ? DeliveryStatus.NotNow : DeliveryStatus.Refused, Error: fault.Words);
}
