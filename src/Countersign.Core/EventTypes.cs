namespace Countersign.Core;

/// <summary>
/// The published, stable list of events that webhooks tell of (docs/spec/webhooks.md; a test keeps the two equal). In a
/// message each has `dev.countersign.` before it.
/// </summary>
public static class EventTypes
{
    public const string Prefix = "dev.countersign.";

    public static readonly IReadOnlyList<string> All =
    [
        "action.denied", "action.finished", "action.permitted",
        "aftermath.closed", "aftermath.opened",
        "agent.resumed", "agent.suspended",
        "grant.expired", "grant.opened", "grant.revoked", "grant.used", "grant.void",
        "review.answer-refused", "review.answered", "review.approved", "review.denied", "review.detached", "review.edit-refused", "review.edited", "review.escalated", "review.estimated", "review.expired", "review.finished",
        "review.glass-broken", "review.joined", "review.opened", "review.released", "review.reopened", "review.stage-opened", "review.withdrawn",
    ];

    /// <summary>What is told where nobody says otherwise: the life of reviews, and what policy refused.</summary>
    public static readonly IReadOnlyList<string> Default = ["review.*", "action.denied"];

    /// <summary>Whether a wish, exact or as `review.*`, names any.</summary>
    public static bool IsKnown(string wish) => All.Any(e => Matches(wish, e));

    public static bool Matches(string wish, string type) => wish == type || (wish.EndsWith(".*", StringComparison.Ordinal) && type.StartsWith(wish[..^1], StringComparison.Ordinal));
}
