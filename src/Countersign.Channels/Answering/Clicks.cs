using Countersign.Channels.Accounts;
using Countersign.Channels.Cards;
using Countersign.Channels.Delivery;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;
using Countersign.Reviews;

namespace Countersign.Channels.Answering;

/// <summary>
/// A click that a chat service vouches for. Nothing in it is believed but who clicked, and that only as the service's own
/// ids: what is answered is looked up by the reference, and must be what the message of that reference shows.
/// </summary>
/// <param name="Channel">Name of the channel.</param>
/// <param name="Account">Who clicked.</param>
/// <param name="Reference">What the button carried.</param>
/// <param name="Message">The message that was clicked on, in the words in which the channel named it when it posted; null where the service can not say.</param>
/// <param name="Kind">Yes or no; nothing else is taken from a chat.</param>
/// <param name="Comment">What the person wrote.</param>
public sealed record Click(string Channel, ChatAccount Account, string Reference, string? Message, AnswerKind Kind, string? Comment);

/// <summary>What the service says of an account at the moment of the click.</summary>
/// <param name="ReasonCode">Why it may not answer; null where it may.</param>
/// <param name="Message">What the person can do about it.</param>
/// <param name="Shown">What the service calls it, for the eye.</param>
public sealed record AccountCheck(string? ReasonCode, string Message, string Shown)
{
    public static AccountCheck Good(string shown) => new(null, "", shown);
}

/// <summary>What became of a click, in words for the one who clicked.</summary>
public sealed record ClickResult(string ReasonCode, string Message, Review? Review)
{
    public bool Accepted => ReasonCode is ReasonCodes.Approved or ReasonCodes.ReviewDenied;

    /// <summary>He has to link his account first: what the service calls it. Null: he has.</summary>
    public string? LinkFirst { get; init; }

    /// <summary>The page to go to instead; null: none is needed.</summary>
    public Uri? Page { get; init; }
}

/// <summary>
/// Turns clicks into answers. Everything is decided here and by reviews, afresh for each click, so that a click that comes
/// four times, late, out of order or from the wrong person does what it should (I7, P32, P55). Refused ones are journalled.
/// Thread-safe; never throws.
/// </summary>
public sealed class Clicks(ReviewDesk desk, AccountLinks accounts, UserDirectory users, IStateReader reader, JournalAppender journal, CardMaker cards)
{
    private readonly Postings postings = new(reader);

    /// <param name="click">The click.</param>
    /// <param name="reach">What the channel may carry and take.</param>
    /// <param name="check">Asks the service about the account, now.</param>
    /// <param name="showsAll">Whether the channel's message of a card shows all of it: else a yes to it is none (I10).</param>
    public async Task<ClickResult> TakeAsync(Click click, ChannelReach reach, Func<Task<AccountCheck>> check, Func<NoticeCard, bool> showsAll)
    {
        try
        {
            return await TakeCheckedAsync(click, reach, check, showsAll).ConfigureAwait(false);
        }
        catch (JournalStoreException)
        {
            return new ClickResult(ReasonCodes.JournalUnavailable, "The store can not be read, so this did not count. Try again in a moment.", null);
        }
    }

    /// <summary>What is behind a button, for a form that asks before it answers; null with a reason where there is nothing.</summary>
    public (Review? Review, ClickResult? Refused) Look(string reference)
    {
        try
        {
            return postings.Find(reference) is { } found && ReviewId.TryParse(found.Posting.Review, out var id) && desk.Find(id) is { } review
                ? (review, null)
                : (null, new ClickResult(ReasonCodes.ReviewUnknown, "This card is not one that this gateway knows.", null));
        }
        catch (JournalStoreException)
        {
            return (null, new ClickResult(ReasonCodes.JournalUnavailable, "The store can not be read; try again in a moment.", null));
        }
    }

    private async Task<ClickResult> TakeCheckedAsync(Click click, ChannelReach reach, Func<Task<AccountCheck>> check, Func<NoticeCard, bool> showsAll)
    {
        var found = postings.Find(click.Reference);
        var review = found is { } f && ReviewId.TryParse(f.Posting.Review, out var id) ? desk.Find(id) : null;
        var account = await check().ConfigureAwait(false);
        var user = account.ReasonCode is null ? accounts.Find(click.Account) : null;

        // Who he is comes first: who is nobody here learns nothing of a review.
        if (account.ReasonCode is { } bad) return await RefuseAsync(click, review, null, new ClickResult(bad, account.Message, null)).ConfigureAwait(false);
        if (user is null) return await RefuseAsync(click, review, null, new ClickResult(ReasonCodes.AccountNotLinked, "This account is nobody's here yet, so your click did not count. Link it once, in your browser; then click again.", null) { LinkFirst = account.Shown }).ConfigureAwait(false);
        if (found is not { } there || review is null) return await RefuseAsync(click, null, user, new ClickResult(ReasonCodes.ReviewUnknown, "This card is not one that this gateway knows, so your click did not count.", null)).ConfigureAwait(false);

        var (posting, version) = there;
        var page = cards.LinkOf(review.Id);
        if (posting.Channel != click.Channel || (click.Message is not null && posting.Message is not null && posting.Message != click.Message))
        {
            return await RefuseAsync(click, review, user, Refused(ReasonCodes.StatementMismatch, "That button belongs to another message, so your click did not count.")).ConfigureAwait(false);
        }

        // What he has said counts already: told so, and nothing is done twice.
        if (review.Answers.FirstOrDefault(a => a.User == user.Ref.Id) is { } earlier)
        {
            return await RefuseAsync(click, review, user, Refused(ReasonCodes.AlreadyDecided, $"You have {(earlier.Kind == AnswerKind.Deny ? "denied" : "approved")} this already, and that counts. This click changed nothing.")).ConfigureAwait(false);
        }

        if (!review.IsOpen) return await RefuseAsync(click, review, user, Refused(ReasonCodes.ReviewClosed, $"It is over: {CardMaker.StateOf(review)}. Your click did not count.")).ConfigureAwait(false);
        if (version != posting.Version || posting.Content is null || posting.Content != ShownContent.Sha256Of(review))
        {
            return await RefuseAsync(click, review, user, Refused(ReasonCodes.StatementMismatch, "The review has changed since this card was written, so your click did not count. Read it again.")).ConfigureAwait(false);
        }

        if (click.Kind != AnswerKind.Deny && CardMaker.NoButtons(review, reach) is { } none)
        {
            var reason = RequirementAlgebra.StepUpOf(review.Requirements) != StepUp.None ? ReasonCodes.StepUpRequired : ReasonCodes.PresenceRequired;
            return await RefuseAsync(click, review, user, Refused(reason, $"This can not be approved here: {none}.")).ConfigureAwait(false);
        }

        if (click.Kind != AnswerKind.Deny && !showsAll(cards.Of(review, reach)))
        {
            return await RefuseAsync(click, review, user, Refused(ReasonCodes.PresenceRequired, "The message does not show all of it, so it is not approved there. Read it whole in the console.")).ConfigureAwait(false);
        }

        // Groups are asked for again before they are gone by (P33).
        await users.FreshenAsync([user.Ref.Id]).ConfigureAwait(false);
        user = users.Find(user.Ref.Id) ?? user;
        var (statement, refused) = desk.Draft(review.Id, user, click.Kind, click.Channel, click.Comment);
        if (statement is null) return await RefuseAsync(click, review, user, Refused(refused!.ReasonCode, $"{Sentence(refused.Message)} Your click did not count.")).ConfigureAwait(false);

        // The very content that the message shows, or nothing (I10).
        if (ShownContent.Sha256Of(statement) != posting.Content)
        {
            return await RefuseAsync(click, review, user, Refused(ReasonCodes.StatementMismatch, "The review has changed since this card was written, so your click did not count. Read it again.")).ConfigureAwait(false);
        }

        var answer = await desk.AnswerAsync(review.Id, user, click.Channel, statement).ConfigureAwait(false);
        var result = new ClickResult(answer.ReasonCode, answer.Accepted ? Sentence(answer.Message) : answer.ReasonCode == ReasonCodes.JournalUnavailable ? Sentence(answer.Message) : $"{Sentence(answer.Message)} Your click did not count.", answer.Review ?? review) { Page = answer.Accepted ? null : page };

        // What the desk refused is in the journal; what had ended before it looked is not yet.
        return answer.ReasonCode == ReasonCodes.ReviewClosed ? await RefuseAsync(click, review, user, result).ConfigureAwait(false) : result;

        ClickResult Refused(string reason, string message) => new(reason, message, review) { Page = page };
    }

    private async Task<ClickResult> RefuseAsync(Click click, Review? review, UserEntry? user, ClickResult result)
    {
        await journal.WriteAsync(WriteSet.Of(new EntryDraft("click-refused",
            CanonicalJson.Object(
                ("review", review is null ? null : (CanonicalJson)review.Id.Value), ("channel", click.Channel), ("decision", click.Kind.Word()), ("reason", result.ReasonCode),
                ("user", user is null ? null : (CanonicalJson)user.Ref.Id.Value)),
            CanonicalJson.Object(("team", click.Account.Team), ("account", click.Account.Account))))).ConfigureAwait(false);
        return result;
    }

    private static string Sentence(string message) => message.Length == 0 ? message : $"{char.ToUpperInvariant(message[0])}{message[1..]}.";
}
