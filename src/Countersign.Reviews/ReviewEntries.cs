using Countersign.Core;
using Countersign.Identity.Passkeys;
using Countersign.Journal;

namespace Countersign.Reviews;

/// <summary>The journal entries of a review's life (docs/spec/journal.md). Payload, values, intent and names go to the body.</summary>
public static class ReviewEntries
{
    internal static EntryDraft Opened(Review r, string type = "review-opened", string? reason = null, IReadOnlyList<Answer>? voided = null) => new(type,
        Fields(r,
            ("reason", reason is null ? null : (CanonicalJson)reason),
            ("verdict", "review"),
            ("verbs", CanonicalJson.Strings(r.Effects.Select(static e => e.Verb).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal))),
            ("classes", CanonicalJson.Strings(r.Effects.SelectMany(static e => e.DataClasses).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal))),
            ("effectsSha256", r.EffectsHash()),
            ("expires", CanonicalJson.Time(r.ExpiresAt)),
            ("editedFrom", r.Edit is { } edit ? (CanonicalJson)edit.From.Value : null),
            ("editors", r.Editors.Count > 0 ? CanonicalJson.Strings(r.Editors.Select(static e => e.Id.Value)) : null),
            ("voided", voided is null ? null : CanonicalJson.Strings(voided.Select(static a => a.User.Value)))),
        Body(r));

    internal static EntryDraft Simple(string type, Review r, string? reason = null, OpaqueId? user = null, ActionId? action = null) => new(type,
        Fields(r, ("reason", reason is null ? null : (CanonicalJson)reason), ("user", user is { } u ? (CanonicalJson)u.Value : null), ("joined", action is { } a ? (CanonicalJson)a.Value : null)), null);

    /// <summary>From here on the card says how much: who answers behind this entry could see it.</summary>
    internal static EntryDraft Estimated(Review r, Estimate estimate) => new("review-estimated",
        Fields(r, ("known", estimate.Why is null)), CanonicalJson.Object(("says", estimate.Says)));

    /// <summary>The end of what the agent asked, by a human who made something else of it; what, is in the entry that opens `into`.</summary>
    internal static EntryDraft Edited(Review r, Review into) => new("review-edited",
        Fields(r, ("reason", r.CloseReason), ("user", into.Edit!.By.Id.Value), ("into", into.Id.Value)),
        CanonicalJson.Object(("name", into.Edit.By.Name), ("comment", into.Edit.Comment), ("statement", into.Statement)));

    internal static EntryDraft EditRefused(Review r, OpaqueId user, string channel, string reason, string statement) => new("edit-refused",
        Fields(r, ("user", user.Value), ("channel", channel), ("reason", reason)), CanonicalJson.Object(("statement", statement)));

    internal static EntryDraft StageOpened(Review r, int stage) => new("stage-opened", Fields(r, ("stage", stage)), null);

    internal static EntryDraft Answered(Review r, Answer answer, string statement, PasskeyAssertion? assertion = null, Passkey? passkey = null) => new("answer",
        Fields(r, ("user", answer.User.Value), ("decision", answer.Kind.Word()), ("grant", answer.Grant is null ? null : (CanonicalJson)true), ("channel", answer.Channel), ("statementSha256", answer.StatementSha256),
            ("passkey", passkey is null ? null : (CanonicalJson)passkey.Id), ("publicKeySha256", passkey is null ? null : (CanonicalJson)passkey.Key.Sha256)),
        CanonicalJson.Object(("statement", statement), ("name", answer.Name), ("assertion", passkey is null ? null : assertion?.ToCanonical(passkey))));

    internal static EntryDraft AnswerRefused(Review r, OpaqueId user, string channel, string reason, PasskeyProof? proof = null) => new("answer-refused",
        Fields(r, ("user", user.Value), ("channel", channel), ("reason", reason),
            ("passkey", proof?.Passkey is { } passkey ? (CanonicalJson)passkey.Id : null), ("proof", reason == ReasonCodes.StepUpFailed ? (CanonicalJson)proof!.Fault.Code() : null)), null);

    /// <summary>
    /// The entry that must be durable before the released action is forwarded (I2), with the clearance it consumed and the
    /// people whose approvals counted.
    /// </summary>
    internal static EntryDraft Released(Review r, ActionDigest recomputed, IEnumerable<Answer> counted) => new("released",
        Fields(r,
            ("released", r.ReleasedAction?.Value),
            ("presentedDigest", recomputed.ToString()),
            ("glassBrokenBy", r.GlassBrokenBy is { } by ? (CanonicalJson)by.Value : null),
            ("approvers", CanonicalJson.Strings(counted.Select(static a => a.User.Value)))), null);

    /// <summary>Opened with the release that it was given for; the wish itself is in the statements of the answers.</summary>
    internal static EntryDraft GrantOpened(Grant g) => new("grant-opened",
        GrantFields(g, ("uses", g.MaxUses), ("expires", CanonicalJson.Time(g.ExpiresAt)), ("approvers", CanonicalJson.Strings(g.Approvals.Select(static a => a.User.Value)))),
        CanonicalJson.Object(("statement", g.Statement), ("free", CanonicalJson.Array(g.Free.Select(static f => f.ToCanonical())))));

    /// <summary>Each use is an action, a digest, a decision and a clearance of its own: durable before it is forwarded (I2).</summary>
    internal static EntryDraft GrantUsed(Review use, Grant g) => new("grant-used",
        Fields(use,
            ("grant", g.Id.Value),
            ("use", g.Uses),
            ("released", use.ReleasedAction?.Value),
            ("verbs", CanonicalJson.Strings(use.Effects.Select(static e => e.Verb).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal))),
            ("classes", CanonicalJson.Strings(use.Effects.SelectMany(static e => e.DataClasses).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal))),
            ("effectsSha256", use.EffectsHash()),
            ("approvers", CanonicalJson.Strings(use.Answers.Select(static a => a.User.Value))),
            ("statements", CanonicalJson.Strings(use.Answers.Select(static a => a.StatementSha256)))),
        Body(use));

    /// <summary>`grant-revoked` by a human, `grant-expired` by time or number, `grant-void` by what has changed.</summary>
    internal static EntryDraft GrantEnded(Grant g, PrincipalRef? by) => new(
        by is not null ? "grant-revoked" : g.CloseReason == ReasonCodes.GrantExpired ? "grant-expired" : "grant-void",
        GrantFields(g, ("reason", g.CloseReason), ("used", g.Uses), ("user", by is null ? null : (CanonicalJson)by.Id.Value)), null);

    private static CanonicalJson.Members GrantFields(Grant g, params ReadOnlySpan<(string Name, CanonicalJson? Value)> more)
    {
        var members = CanonicalJson.Object(("grant", g.Id.Value), ("review", g.Review.Value), ("agent", g.Agent.Id.Value), ("target", g.Target.Name));
        foreach (var (name, value) in more)
        {
            if (value is not null) members.Items.Add(name, value);
        }

        return members;
    }

    internal static EntryDraft AftermathOpened(Aftermath a) => new("aftermath-opened",
        CanonicalJson.Object(("review", a.Review.Value), ("agent", a.Agent.Id.Value), ("owner", a.Owner.Id.Value), ("user", a.BrokenBy.Id.Value)),
        CanonicalJson.Object(("name", a.BrokenBy.Name), ("comment", a.Comment)));

    internal static EntryDraft AftermathClosed(Aftermath a) => new("aftermath-closed",
        CanonicalJson.Object(("review", a.Review.Value), ("agent", a.Agent.Id.Value), ("brokenBy", a.BrokenBy.Id.Value), ("user", a.ClosedBy!.Id.Value), ("justified", a.Justified == true)),
        CanonicalJson.Object(("name", a.ClosedBy.Name), ("finding", a.Finding)));

    internal static EntryDraft Outcome(Review r, Outcome outcome) => OutcomeOf(r.ReleasedAction ?? r.Action, r.Id, r.Agent.Id, r.Target, outcome);

    /// <summary>How a forwarded action ended; the same entry for reviewed and unreviewed ones.</summary>
    public static EntryDraft OutcomeOf(ActionId action, ReviewId? review, OpaqueId agent, TargetRef target, Outcome outcome) => new("outcome",
        CanonicalJson.Object(
            ("action", action.Value),
            ("review", review is { } id ? (CanonicalJson)id.Value : null),
            ("agent", agent.Value),
            ("target", target.Name),
            ("status", outcome.Status.ToString().ToLowerInvariant()),
            ("rows", outcome.Rows is { } rows ? (CanonicalJson)rows : null),
            ("bytes", outcome.Bytes),
            ("durationUs", (long)outcome.Duration.TotalMicroseconds),
            ("error", outcome.ErrorCode is null ? null : (CanonicalJson)outcome.ErrorCode)), null);

    /// <summary>What a decision depended on beside what the entry says anyway: enough to take it again (`policy replay`).</summary>
    public static CanonicalJson Replay(Verdict verdict, OpaqueId? onBehalfOf, OpaqueId owner, IReadOnlyList<PrincipalRef> via, IReadOnlyList<string> groups, TargetRef target, IEnumerable<IReadOnlyList<string>> parents) =>
        CanonicalJson.Object(
            ("verdict", verdict.ToString().ToLowerInvariant()),
            ("owner", owner.Value),
            ("for", onBehalfOf is { } user ? (CanonicalJson)user.Value : null),
            ("via", via.Count > 0 ? CanonicalJson.Strings(via.Select(static h => h.Id.Value)) : null),
            ("groups", CanonicalJson.Strings(groups)),
            ("kind", target.Kind),
            ("environment", target.Environment),
            ("parents", CanonicalJson.Array(parents.Select(static p => (CanonicalJson)CanonicalJson.Strings(p)))));

    private static CanonicalJson.Members Fields(Review r, params ReadOnlySpan<(string Name, CanonicalJson? Value)> more)
    {
        var members = CanonicalJson.Object(
            ("review", r.Id.Value),
            ("action", r.Action.Value),
            ("agent", r.Agent.Id.Value),
            ("target", r.Target.Name),
            ("digest", r.Digest),
            ("revision", r.Revision.ContentHash),
            ("commit", r.Revision.GitCommit is null ? null : (CanonicalJson)r.Revision.GitCommit),
            ("policies", CanonicalJson.Strings(r.Policies.Select(static p => p.Id))),
            ("controls", CanonicalJson.Strings(r.Policies.SelectMany(static p => p.Controls).Distinct(StringComparer.Ordinal))));
        foreach (var (name, value) in more)
        {
            if (value is not null) members.Items.Add(name, value);
        }

        return members;
    }

    private static CanonicalJson.Members Body(Review r) => CanonicalJson.Object(
        ("agent", r.Agent.Name),
        ("owner", r.Owner.Name),
        ("for", r.OnBehalfOf?.Name),
        ("via", r.Via.Count > 0 ? CanonicalJson.Strings(r.Via.Select(static h => h.Name)) : null),
        ("operation", r.Operation),
        ("statement", r.Statement),
        ("parameters", CanonicalJson.Array(r.Parameters.Select(static p => (CanonicalJson)CanonicalJson.Object(("type", p.Type), ("value", p.Text is null ? CanonicalJson.Nothing.Instance : p.Text))))),
        ("settings", CanonicalJson.Map(r.Settings)),
        ("effects", CanonicalJson.Strings(r.Effects.Select(static e => e.Canonical))),
        ("replay", Replay(Verdict.Review, r.OnBehalfOf?.Id, r.Owner.Id, r.Via, r.AgentGroups, r.Target, r.Effects.Select(static e => e.Parents))),
        ("intent", CanonicalJson.Object(("reason", r.Intent.Reason), ("ticket", r.Intent.Ticket), ("task", r.Intent.Task), ("model", r.Intent.Model))),
        ("notes", CanonicalJson.Strings(r.Notes)),
        ("requirements", CanonicalJson.Array(r.Requirements.Select(static q => (CanonicalJson)q.ToCanonical()))));
}
