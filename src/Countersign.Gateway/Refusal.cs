using Countersign.Core;
using Countersign.Reviews;

namespace Countersign.Gateway;

/// <summary>
/// Why an action does not run, worded so that a person or a language model can act on it. Each protocol renders it in its
/// own error shape; <see cref="ReasonCode"/> is always there for programs.
/// </summary>
public sealed record Refusal(string ReasonCode, string Message, string Hint, ReviewId? Review = null)
{
    /// <summary>`reason=policy-denied review=rv_…`: the same detail in every protocol.</summary>
    public string Detail => Review is { } id ? $"reason={ReasonCode} review={id}" : $"reason={ReasonCode}";

    /// <summary>Who may act can not be asked: nothing is done for anybody until it can.</summary>
    public static Refusal StoreUnreadable => new(ReasonCodes.JournalUnavailable, "the store can not be read, and who may act is not known", "nothing ran. Retry later; the operator has to look at the journal's disk.");

    internal static Refusal OfDecision(Decision decision)
    {
        var policies = decision.DeterminingPolicies.ToArray();
        var because = policies.Select(static p => p.Reason).FirstOrDefault(static r => !string.IsNullOrEmpty(r));
        var denied = decision.Effects.FirstOrDefault(e => e.Verdict == Verdict.Deny);
        var what = denied is null ? "this action" : $"`{denied.Effect.Action}` on {denied.Effect.Resource.Type} `{VisibleText.Of(denied.Effect.Resource.Id, multiline: false)}`";
        return decision.ReasonCode switch
        {
            ReasonCodes.PolicyDenied => new(decision.ReasonCode,
                $"{what} is denied by policy{Quoted(policies)}{(because is null ? "" : $": {because}")}",
                "no approval can change this; do not retry. Do it another way, or ask a human to change the policy."),
            ReasonCodes.NoMatchingPermit => new(decision.ReasonCode,
                $"no policy permits {what}",
                "what no policy permits is denied. Do not retry; ask a human for a policy that permits it."),
            ReasonCodes.PolicyError => new(decision.ReasonCode,
                $"{what} is denied because a policy failed to evaluate",
                "this is a fault in the policies, not in the statement; tell the operator. Do not retry."),
            ReasonCodes.PolicyUnavailable => new(decision.ReasonCode,
                $"{what} is denied because the policies could not be asked",
                "nothing ran, because nothing may run undecided. Retry later."),
            _ => new(decision.ReasonCode, $"{what} is denied", "do not retry unchanged."),
        };
    }

    internal static Refusal OfHold(HoldEnd.Refused end) => new(end.ReasonCode, end.Message, end.ReasonCode switch
    {
        ReasonCodes.ReviewDenied => "a human refused exactly this action. Do not retry it; ask what they would accept.",
        ReasonCodes.PolicyDenied or ReasonCodes.NoMatchingPermit => "policy changed while it waited, and no approval can change that; do not retry. Ask a human for a policy that permits it.",
        ReasonCodes.PolicyError or ReasonCodes.PolicyUnavailable => "nothing ran: policy could not decide it when it was to be released. Tell the operator.",
        ReasonCodes.Unauthenticated => "nothing ran. Connect again; if that is refused, ask the operator.",
        ReasonCodes.TooLarge => "nothing ran. Send it in parts that a human can read.",
        ReasonCodes.TargetUnavailable => "nothing ran, and an approval that was given stays. Send the same statement again when the target answers.",
        ReasonCodes.ReviewExpired => "nobody decided in time, which is a no. Ask a human before sending it again.",
        ReasonCodes.ReviewPending => "nothing ran. Send the same statement again on any connection: it joins the same review, and nobody is asked twice.",
        ReasonCodes.ReviewWithdrawn => "nothing ran. Sending it again opens a new review.",
        ReasonCodes.AlreadyReleased => "it ran once on the other connection. Check its result before you send it again.",
        ReasonCodes.NoEligibleApprover => "nobody could ever approve this, so nobody was asked. Tell the operator: the policy's groups have too few members who are not behind this agent.",
        ReasonCodes.TicketRequired => "nobody was asked. Say which ticket it is for (`SET countersign.ticket = '…'`) and send it again.",
        ReasonCodes.TooManyPending => "wait until the open reviews are decided.",
        ReasonCodes.TargetChanged => "nothing ran. Send it again: it is understood afresh, and humans see what it would do now.",
        ReasonCodes.JournalUnavailable => "nothing ran, because nothing may run unrecorded. Retry later.",
        ReasonCodes.ShuttingDown => "nothing ran. Reconnect and send the same statement again: it joins the same review.",
        _ => "nothing ran.",
    }, end.Review?.Id);

    /// <summary>What the journal said in detail is for its log, not for an agent.</summary>
    internal static Refusal OfJournal(string? reasonCode) => reasonCode switch
    {
        ReasonCodes.TooLarge => new(reasonCode, "it is too large to be recorded, and nothing may run unrecorded", "nothing ran. Send it in parts."),
        ReasonCodes.Overloaded => new(reasonCode, "the journal does not keep up, and nothing may run unrecorded", "nothing ran. Retry later."),
        ReasonCodes.ShuttingDown => new(reasonCode, "the gateway is stopping", "nothing ran. Reconnect and send it again."),
        _ => new(ReasonCodes.JournalUnavailable, "the journal can not be written, and nothing may run unrecorded", "nothing ran. Retry later; the operator has to look at the journal's disk."),
    };

    private static string Quoted(MatchedPolicy[] policies) =>
        policies.Length == 0 ? "" : $" {string.Join(", ", policies.Select(static p => $"`{p.Id}`"))}";
}

/// <summary>What the spine says to a protocol about an action.</summary>
public abstract record Ruling
{
    private Ruling() { }

    /// <summary>Forward it now. Its entry is durable, or queued where I2 allows that.</summary>
    public sealed record Forward(Passage Passage) : Ruling;

    public sealed record Refused(Refusal Refusal) : Ruling;
}
