using Countersign.Pages.Card;
using Countersign.Core;
using Countersign.Reviews;

namespace Countersign.Pages.Inbox;

/// <summary>A review in a list.</summary>
/// <param name="Why">Why the reader can not approve it; null when he can.</param>
public sealed record InboxItem(Review Review, int Waiters, string Does, string Most, int Others, IReadOnlyList<string> Classes, bool IsDangerous, string? Why);

/// <summary>Reviews that differ in nothing but their values: one agent, one target, one shape of statement (P37).</summary>
public sealed record InboxGroup(IReadOnlyList<InboxItem> Items)
{
    public InboxItem First => Items[0];
}

public sealed record InboxView(IReadOnlyList<InboxGroup> Mine, IReadOnlyList<InboxGroup> Others, IReadOnlyList<InboxItem> Decided, DateTimeOffset Now)
{
    /// <summary>Decided reviews that the inbox shows.</summary>
    public const int MaxDecided = 12;

    public static InboxView Of(Reader reader, ReviewDesk desk, DateTimeOffset now)
    {
        var open = desk.ListOpen().Select(r => (Review: r, Voice: desk.VoiceOf(reader.User, r, reader.Channel))).Where(r => MaySee(reader, r.Review, r.Voice)).Select(r => Item(r.Review, desk, r.Voice)).ToArray();
        var decided = desk.ListClosed().Where(r => desk.MaySee(reader.User, reader.IsAdmin, r)).Take(MaxDecided).Select(r => Item(r, desk, null)).ToArray();
        return new InboxView(Group(open.Where(static i => i.Why is null)), Group(open.Where(static i => i.Why is not null)), decided, now);
    }

    private static InboxGroup[] Group(IEnumerable<InboxItem> items) => items
        .GroupBy(static i => (i.Review.Agent.Id, i.Review.Target.Name, i.Review.Operation, SqlTokens.Shape(i.Review.Statement)))
        .Select(static g => new InboxGroup(g.OrderBy(static i => i.Review.ExpiresAt).ToArray()))
        .OrderBy(static g => g.First.Review.ExpiresAt).ToArray();

    /// <summary>What <see cref="ReviewDesk.MaySee"/> says, without asking again who is eligible.</summary>
    private static bool MaySee(Reader reader, Review review, Voice voice) =>
        reader.IsAdmin || review.IsActor(reader.User.Ref.Id) || review.Answers.Any(a => a.User == reader.User.Ref.Id) || voice.Eligible.Any(u => u.Ref.Id == reader.User.Ref.Id);

    private static InboxItem Item(Review review, ReviewDesk desk, Voice? voice)
    {
        var first = Effects.Strictest(review.Effects);
        var most = first?.ResourceId ?? review.Target.Name;
        var prefix = review.Target.Name + ".";
        return new InboxItem(review, desk.WaiterCount(review.Id),
            first is null ? review.Operation : Effects.Doing(first.Action),
            most.StartsWith(prefix, StringComparison.Ordinal) ? most[prefix.Length..] : most,
            review.Effects.Select(static e => e.ResourceId).Distinct(StringComparer.Ordinal).Count() - 1,
            review.Effects.SelectMany(static e => e.DataClasses).Distinct(StringComparer.Ordinal).ToArray(),
            Effects.Dangers(review.Effects).Count > 0,
            Why(voice?.CannotApprove?.ReasonCode));
    }

    private static string? Why(string? reason) => reason switch
    {
        null => null,
        ReasonCodes.SelfApproval => "in your name, so others decide",
        ReasonCodes.AlreadyDecided => "you have answered; others must too",
        ReasonCodes.GroupsStale => "your groups can not be read now",
        ReasonCodes.NotYetAsked => "you are asked in a later stage",
        ReasonCodes.NotEligible => "for others to decide",
        _ => "closing",
    };
}
