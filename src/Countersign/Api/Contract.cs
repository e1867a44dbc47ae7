using System.Text.Json.Serialization;
using Countersign.Core;
using Countersign.Reviews;

namespace Countersign.Api;

// What /api/v1 says and takes. Text for people in it has been through VisibleText: no control or bidirectional character
// is left to play tricks on a terminal or a page.

/// <summary>Asks for a one-time code, which the terminal of `serve` shows; with <paramref name="Web"/> for this browser.</summary>
internal sealed record LoginBegin(string User, bool? Web = null);

/// <summary>Says the same whether or not the user exists.</summary>
internal sealed record LoginBegun(string Message, int ExpiresSeconds);

/// <summary>Trades the code for a session.</summary>
internal sealed record LoginComplete(string User, string Code, bool? Web = null);

/// <summary>A browser's session is in its cookie; what its pages send along with each change is here.</summary>
internal sealed record WebSession(string User, string Csrf, DateTimeOffset Expires)
{
    public override string ToString() => $"session of {User}";
}

/// <summary>The code that the browser brought, and the secret that it is bound to.</summary>
internal sealed record CliLogin(string Code, string Verifier)
{
    public override string ToString() => "login of the command line";
}

/// <summary>Signed out here; <paramref name="Next"/> is where the browser goes to sign out at the identity provider too, if there is such a place.</summary>
internal sealed record LoggedOut(string? Next);

internal sealed record SessionList(IReadOnlyList<SessionView> Sessions);

internal sealed record SessionView(string Id, string Kind, string Method, string? Client, bool Current, DateTimeOffset CreatedAt, DateTimeOffset LastSeenAt, DateTimeOffset ExpiresAt);

/// <summary>The session token is a bearer credential: keep it private.</summary>
internal sealed record Session(string User, string Token, DateTimeOffset Expires)
{
    public override string ToString() => $"session of {User}";
}

/// <summary>Who I am here. <paramref name="Csrf"/> is there for a browser only: the page token of its session.</summary>
internal sealed record Me(string User, IReadOnlyList<string> Groups, bool Admin, string? Channel = null, string? Session = null, string? Csrf = null);

internal sealed record ReviewList(IReadOnlyList<ReviewSummary> Reviews);

internal sealed record ReviewSummary(
    string Id, string State, string Agent, string Owner, string? For, string Target, string Environment, string Operation,
    string Statement, IReadOnlyList<string> Verbs, IReadOnlyList<string> DataClasses, int Waiters,
    DateTimeOffset CreatedAt, DateTimeOffset ExpiresAt, string? CloseReason)
{
    public static ReviewSummary Of(Review r, int waiters)
    {
        var card = ReviewCard.Of(r, waiters, [], [], null);
        return new ReviewSummary(card.Id, card.State, card.Agent, card.Owner, card.For, card.Target, card.Environment, card.Operation, card.Statement,
            card.Effects.Select(static e => e.Verb).Distinct(StringComparer.Ordinal).ToArray(),
            card.Effects.SelectMany(static e => e.DataClasses).Distinct(StringComparer.Ordinal).ToArray(),
            waiters, card.CreatedAt, card.ExpiresAt, card.CloseReason);
    }
}

internal sealed record CardEffect(string Verb, string Action, string ResourceType, string Resource, IReadOnlyList<string> DataClasses, string Facts);

/// <summary>A bound value; null is SQL NULL.</summary>
internal sealed record CardParameter(int Position, string Type, [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Value);

internal sealed record CardPolicy(string Id, string? Source, string? Reason, IReadOnlyList<string> Controls);

/// <summary>
/// One thing that is needed. `stage` counts from 1; `state` is `met`, `asked`, `later` (its stage has not come) or `over`;
/// `open` slots are not filled; `can` names who could fill one now.
/// </summary>
internal sealed record CardRequirement(
    IReadOnlyList<string> Groups, int Quorum, bool Justify, IReadOnlyList<string> Policies, IReadOnlyList<CardEscalation> Escalations,
    int Stage, string State, int Open, IReadOnlyList<string> Can, IReadOnlyList<string> CommentMatches, string Words, string? StepUp = null);

internal sealed record CardEscalation(IReadOnlyList<string> Groups, DateTimeOffset At);

/// <summary>`grant` says in words what was granted beside this one action, `passkey` which passkey signed the statement.</summary>
internal sealed record CardAnswer(string User, string Decision, string Channel, DateTimeOffset At, string? Comment, string? Grant, string? Passkey = null);

/// <summary>What policy lets an approver grant at most.</summary>
internal sealed record CardGrantTerms(int ForSeconds, int Uses);

/// <summary>What the target's planner expects; an estimate from its statistics. Null on a card that has none yet. `says` is it in words, or why there is none.</summary>
internal sealed record CardEstimate(string Says, IReadOnlyList<CardRows> Rows, IReadOnlyList<CardStep> Plan, bool Known, DateTimeOffset At)
{
    public static CardEstimate? Of(Estimate? estimate) => estimate is null ? null : new(
        VisibleText.Of(estimate.Says, multiline: false),
        estimate.Rows.Select(static r => new CardRows(r.Does, r.Relation is null ? null : VisibleText.Of(r.Relation, multiline: false), r.Rows)).ToArray(),
        estimate.Plan.Select(static s => new CardStep(s.Depth, VisibleText.Of(s.Does, multiline: false), s.Rows, s.Cost)).ToArray(),
        estimate.Why is null, estimate.At);
}

/// <summary>What it was before `by` edited it, in review `from`.</summary>
internal sealed record CardEdit(string By, DateTimeOffset At, string? Comment, string From, string Statement, IReadOnlyList<CardParameter> Parameters)
{
    public static CardEdit? Of(ReviewEdit? edit) => edit is null ? null : new(
        VisibleText.Of(edit.By.Name, multiline: false), edit.At, edit.Comment is null ? null : VisibleText.Of(edit.Comment), edit.From.Value, VisibleText.Of(edit.Statement),
        edit.Parameters.Select(static (p, i) => new CardParameter(i + 1, VisibleText.Of(p.Type, multiline: false), p.Text is null ? null : VisibleText.Of(p.Text))).ToArray());
}

/// <summary>The whole statement, and the bound values that differ, as text by position from 1; the others stay.</summary>
internal sealed record EditAsk(string Statement, IReadOnlyList<EditValue>? Values = null, string? Comment = null);

internal sealed record EditValue(int Position, string? Value);

/// <summary>The review that what was edited waits in, for somebody else.</summary>
internal sealed record EditDone(string Review, string Reason, string Message);

internal sealed record CardRows(string Does, string? Relation, long Rows);

/// <summary>A step of the plan, `depth` from 0; without conditions, which hold values.</summary>
internal sealed record CardStep(int Depth, string Does, long Rows, double Cost);

internal sealed record CardOutcome(string Status, long? Rows, string? Error, double DurationMilliseconds);

/// <summary>The agent's own words. Claims, never facts.</summary>
internal sealed record CardClaims(string? Reason, string? Ticket, string? Task, string? Model);

/// <summary>Everything that a reviewer needs (I10): nothing is cut, and every character shows itself.</summary>
internal sealed record ReviewCard(
    string Id, string State, string Digest,
    string Agent, string Owner, string? For,
    string Target, string TargetKind, string Environment,
    string Operation, string Statement,
    IReadOnlyList<CardParameter> Parameters,
    IReadOnlyDictionary<string, string> Settings,
    IReadOnlyList<CardEffect> Effects,
    IReadOnlyList<CardPolicy> Policies,
    IReadOnlyList<CardRequirement> Requirements,
    string Needs,
    IReadOnlyList<string> Approvers,
    CardClaims Claims,
    IReadOnlyList<string> Notes,
    string Revision,
    int Waiters,
    IReadOnlyList<CardAnswer> Answers,
    DateTimeOffset CreatedAt, DateTimeOffset ExpiresAt, DateTimeOffset? DetachedAt,
    DateTimeOffset? ClosedAt, string? CloseReason, string? ClosedBy, CardOutcome? Outcome,
    string? CannotApprove, CardGrantTerms? MayGrant, string? Grant, bool GlassBroken = false, CardEstimate? Estimate = null,
    CardEdit? Edit = null, string? EditedInto = null, bool MayEdit = false)
{
    /// <summary>The humans behind earlier actors of a delegation, who asked for it too.</summary>
    public IReadOnlyList<string> Via { get; init; } = [];

    /// <summary>The card of a review, with who may approve it and, where it is known already, why this reader may not.</summary>
    public static ReviewCard Of(Review r, int waiters, IReadOnlyList<Asked> asked, IEnumerable<string> approvers, string? cannotApprove) => new(
        r.Id.Value, r.State.ToString().ToLowerInvariant(), r.Digest,
        Line(r.Agent.Name), Line(r.Owner.Name), r.OnBehalfOf is { } user ? Line(user.Name) : null,
        Line(r.Target.Name), Line(r.Target.Kind), Line(r.Target.Environment),
        Line(r.Operation), VisibleText.Of(r.Statement),
        r.Parameters.Select(static (p, i) => new CardParameter(i + 1, Line(p.Type), p.Text is null ? null : VisibleText.Of(p.Text))).ToArray(),
        r.Settings.ToDictionary(static s => Line(s.Key), static s => Line(s.Value), StringComparer.Ordinal),
        r.Effects.Select(static e => new CardEffect(e.Verb, Line(e.Action), Line(e.ResourceType), Line(e.ResourceId), e.DataClasses.Select(Line).ToArray(), EffectFacts.Describe(e.Canonical))).ToArray(),
        r.Policies.Select(static p => new CardPolicy(Line(p.Id), p.Source is null ? null : Line(p.Source), p.Reason is null ? null : Line(p.Reason), p.Controls.Select(Line).ToArray())).ToArray(),
        asked.Select(a => Requirement(r, a)).ToArray(),
        Line(ReviewDesk.Describe(r.Requirements)),
        approvers.Select(Line).ToArray(),
        new CardClaims(Claim(r.Intent.Reason), Claim(r.Intent.Ticket), Claim(r.Intent.Task), Claim(r.Intent.Model)),
        r.Notes.Select(Line).ToArray(),
        r.Revision.ToString(), waiters,
        r.Answers.Select(static a => new CardAnswer(Line(a.Name), a.Kind.Word(), Line(a.Channel), a.At, a.Comment is null ? null : VisibleText.Of(a.Comment), a.Grant is null ? null : Line(a.Grant.ToString()), a.Passkey)).ToArray(),
        r.CreatedAt, r.ExpiresAt, r.DetachedAt, r.ClosedAt, r.CloseReason, r.ClosedBy is null ? null : Line(r.ClosedBy),
        r.Outcome is { } o ? new CardOutcome(o.Status.ToString().ToLowerInvariant(), o.Rows, o.ErrorCode, o.Duration.TotalMilliseconds) : null,
        cannotApprove,
        r is { IsOpen: true, Edit: null } && RequirementAlgebra.GrantOf(r.Requirements) is { } terms ? new CardGrantTerms((int)terms.For.TotalSeconds, terms.Uses) : null,
        r.Grant?.Value, r.GlassBrokenBy is not null, CardEstimate.Of(r.Estimate),
        CardEdit.Of(r.Edit), r.EditedInto?.Value)
    {
        Via = r.Via.Select(static h => Line(h.Name)).ToArray(),
    };

    private static CardRequirement Requirement(Review r, Asked asked)
    {
        var q = asked.Requirement;
        var state = asked.Open == 0 ? "met" : !r.IsOpen ? "over" : asked.Now ? "asked" : "later";
        var who = asked.Can.Count == 0 ? "nobody could" : string.Join(", ", asked.Can);
        var words = $"{(r.Requirements.Any(static o => o.Stage > 0) ? $"stage {q.Stage + 1}: " : "")}{ReviewDesk.Describe([q with { Stage = 0 }])}: " + state switch
        {
            "met" => "met",
            "over" => "was not met",
            "asked" => $"{asked.Open} more needed ({who})",
            _ => $"asked when the stages before it are met ({who})",
        };
        return new CardRequirement(
            q.Groups.Select(Line).ToArray(), q.Quorum, q.Justify, q.Policies.Select(Line).ToArray(),
            q.Escalations.Select(e => new CardEscalation(e.Groups.Select(Line).ToArray(), r.CreatedAt + e.After)).ToArray(),
            q.Stage + 1, state, asked.Open, asked.Can.Select(Line).ToArray(), q.JustifyPatterns.Select(Line).ToArray(), Line(words), q.StepUp == StepUp.None ? null : "passkey");
    }

    private static string Line(string text) => VisibleText.Of(text, multiline: false);

    private static string? Claim(string? text) => text is null ? null : Line(text);
}

/// <summary>`grant` asks to grant the like beside this one action, where policy lets an approver.</summary>
internal sealed record StatementRequest(string Decision, string? Comment, GrantRequest? Grant = null);

/// <summary>So many times in all, for so long from the answer. Bound values that are not in `free` stay as they are.</summary>
internal sealed record GrantRequest(int ForSeconds, int Uses, IReadOnlyList<FreeRequest>? Free)
{
    public GrantWish ToWish() => new(TimeSpan.FromSeconds(ForSeconds), Uses,
        (Free ?? []).OrderBy(static f => f.Parameter).Select(static f => new FreeParameter(f.Parameter, f.Min, f.Max, f.OneOf, f.MaxLength)).ToArray());
}

/// <summary>A bound value that may differ: a range of numbers (`min` and `max`), a list (`oneOf`), or a text (`maxLength`).</summary>
internal sealed record FreeRequest(int Parameter, decimal? Min, decimal? Max, IReadOnlyList<string>? OneOf, int? MaxLength);

internal sealed record GrantList(IReadOnlyList<GrantView> Grants);

/// <summary>A grant. `free` says in words which values may differ, and how far; all others are as in `parameters`.</summary>
internal sealed record GrantView(
    string Id, string Review, string Agent, string Owner, string? For, string Target, string Operation, string Statement,
    IReadOnlyList<CardParameter> Parameters, IReadOnlyList<string> Free, IReadOnlyList<string> Approvers,
    int Uses, int MaxUses, DateTimeOffset OpenedAt, DateTimeOffset ExpiresAt, DateTimeOffset? ClosedAt, string? CloseReason, string? ClosedBy)
{
    public static GrantView Of(Grant g) => new(
        g.Id.Value, g.Review.Value, g.Agent.Name, g.Owner.Name, g.OnBehalfOf?.Name, g.Target.Name, g.Operation, VisibleText.Of(g.Statement),
        g.Parameters.Select(static (p, i) => new CardParameter(i + 1, p.Type, p.Text is null ? null : VisibleText.Of(p.Text))).ToArray(),
        g.Free.Select(static f => VisibleText.Of(f.ToString(), multiline: false)).ToArray(), g.Approvals.Select(static a => a.Name).ToArray(),
        g.Uses, g.MaxUses, g.OpenedAt, g.ExpiresAt, g.ClosedAt, g.CloseReason, g.ClosedBy);
}

/// <summary>The exact bytes that an answer commits to, and their SHA-256.</summary>
internal sealed record StatementDraft(string Statement, string Sha256);

/// <summary>The statement unchanged, and the signature of a passkey over it where the review asks for one.</summary>
internal sealed record AnswerRequest(string Statement, AssertionRequest? Assertion = null);

internal sealed record AnswerDone(string Review, string State, string Reason, string Message);

internal sealed record AgentList(IReadOnlyList<AgentView> Agents);

internal sealed record AgentView(string Id, string Name, string Owner, string? For, IReadOnlyList<string> Groups, IReadOnlyList<AgentKeyView> Keys, DateTimeOffset CreatedAt, DateTimeOffset? RevokedAt, DateTimeOffset? SuspendedAt)
{
    /// <summary>The issuer of tokens, or `certificate`, that vouches for it; absent where it has keys.</summary>
    public string? VouchedBy { get; init; }
}

internal sealed record AgentOwner(string Owner);

internal sealed record AgentKeyView(string Id, DateTimeOffset CreatedAt, DateTimeOffset? RevokedAt);

internal sealed record AgentAdd(string Name, string Owner, string? For, IReadOnlyList<string>? Groups);

/// <summary>A change to an agent. The key is shown this once and cannot be asked for again.</summary>
internal sealed record AgentChanged(AgentView Agent, string? KeyId, string? Key, IReadOnlyList<string>? Connections)
{
    public override string ToString() => $"agent {Agent.Name}";
}

internal sealed record AftermathList(IReadOnlyList<AftermathView> Aftermaths);

internal sealed record AftermathView(
    string Review, string BrokenBy, string Agent, string Owner, string? For, string Comment, DateTimeOffset OpenedAt,
    DateTimeOffset? ClosedAt, string? ClosedBy, string? Finding, bool? Justified)
{
    public static AftermathView Of(Aftermath a) => new(a.Review.Value, a.BrokenBy.Name, a.Agent.Name, a.Owner.Name, a.OnBehalfOf?.Name,
        VisibleText.Of(a.Comment), a.OpenedAt, a.ClosedAt, a.ClosedBy?.Name, a.Finding is null ? null : VisibleText.Of(a.Finding), a.Justified);
}

internal sealed record AftermathClose(bool Justified, string Finding);

internal sealed record AwayList(IReadOnlyList<AwayView> Away);

/// <summary>Who speaks for whom, from when until when.</summary>
internal sealed record AwayView(string User, string Delegate, DateTimeOffset From, DateTimeOffset Until)
{
    public static AwayView Of(Delegation d) => new(d.Away.Name, d.To.Name, d.From, d.Until);
}

/// <summary>`from` is now where it is absent.</summary>
internal sealed record AwaySet(string Delegate, DateTimeOffset? From, DateTimeOffset Until);

internal sealed record JournalPage(IReadOnlyList<JournalLine> Entries, long Count, long Next);

/// <summary>One entry with its body and the salt under which the entry commits to it; null where it has none or it was erased.</summary>
internal sealed record JournalLine(long Index, string LeafHash, System.Text.Json.JsonElement? Entry, System.Text.Json.JsonElement? Body, string? BodyNote, string? Salt = null);

/// <summary>What an exported entry proves, in words; `flaw` says why it proves no more.</summary>
internal sealed record ApprovalVerdict(
    bool Holds, IReadOnlyList<string> Proven, string? Flaw, string? Review, string? Approver, string? Decision, string? Time, string? StatementSha256, string? PublicKeySha256, string? Origin);

internal sealed record JournalVerdict(bool Sound, long Entries, long Bodies, long Erased, IReadOnlyList<JournalFlaw> Defects);

internal sealed record JournalFlaw(long? Index, string Code, string Detail);

internal sealed record PolicyView(string Revision, string ContentHash, string? GitCommit, string? LastError);

/// <summary>Policy files by relative path, of recorded decisions from a time on and before another, and how many actions to tell of each group (20).</summary>
internal sealed record ReplayRequest(IReadOnlyDictionary<string, string> Files, DateTimeOffset? From = null, DateTimeOffset? Until = null, int? Max = null);

/// <summary>What would differ. `skipped` counts, by reason, what could not be taken again.</summary>
internal sealed record ReplayView(string Revision, string Serving, long Replayed, long Differing, IReadOnlyDictionary<string, long> Skipped, IReadOnlyList<ReplayGroup> Groups);

/// <summary>Decisions that would differ alike: `was` and `now` are `permit`, `review` or the reason of a deny; `policies` make the difference.</summary>
internal sealed record ReplayGroup(string Was, string Now, IReadOnlyList<string> Policies, long Count, IReadOnlyList<ReplayedAction> Actions);

internal sealed record ReplayedAction(long Index, string Action, DateTimeOffset Time, string Agent, string Target, string Statement, IReadOnlyList<string> PoliciesThen, IReadOnlyList<string> PoliciesNow);

internal sealed record HealthView(string Status, IReadOnlyDictionary<string, string> Checks);

/// <summary>RFC 9457 problem details, with the reason code that programs act on.</summary>
internal sealed record Problem(string Title, int Status, string Detail, string Reason, string? Review = null)
{
    /// <summary>No page of ours describes a reason yet, so by RFC 9457 §4.2.1 the type is this one.</summary>
    public string Type => "about:blank";
}

/// <summary>The schema that policies see, in Cedar's schema language, and the revision that it belongs to.</summary>
internal sealed record SchemaView(string Revision, string Text);

/// <summary>MCP servers by name.</summary>
internal sealed record ServerList(IReadOnlyList<string> Servers);

/// <summary>A server's tools, as it defines them now.</summary>
internal sealed record ToolList(string Server, IReadOnlyList<ToolView> Tools);

/// <summary>
/// A tool: `trusted`, `unknown` (nobody has looked), `changed` (withheld until somebody does) or `gone`. Texts of servers have what does not show itself made
/// visible; the diff has `-`, `+` or a space before each line.
/// </summary>
internal sealed record ToolView(string Name, string State, string? Verb, string? Sha256, string? Definition, string? Diff, string? By, DateTimeOffset? At, IReadOnlyList<string> Secrets);

/// <summary>Which tool to trust, as what; the hash is that of the definition which was looked at.</summary>
internal sealed record ToolTrustRequest(string Tool, string Sha256, string Verb, IReadOnlyList<string>? Secrets);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = false,
    AllowDuplicateProperties = false)]
[JsonSerializable(typeof(SchemaView))]
[JsonSerializable(typeof(ServerList))]
[JsonSerializable(typeof(ToolList))]
[JsonSerializable(typeof(ToolView))]
[JsonSerializable(typeof(ToolTrustRequest))]
[JsonSerializable(typeof(LoginBegin))]
[JsonSerializable(typeof(LoginBegun))]
[JsonSerializable(typeof(LoginComplete))]
[JsonSerializable(typeof(Session))]
[JsonSerializable(typeof(WebSession))]
[JsonSerializable(typeof(SessionList))]
[JsonSerializable(typeof(LoggedOut))]
[JsonSerializable(typeof(CliLogin))]
[JsonSerializable(typeof(Me))]
[JsonSerializable(typeof(ReviewList))]
[JsonSerializable(typeof(ReviewSummary))]
[JsonSerializable(typeof(ReviewCard))]
[JsonSerializable(typeof(StatementRequest))]
[JsonSerializable(typeof(StatementDraft))]
[JsonSerializable(typeof(EditAsk))]
[JsonSerializable(typeof(EditDone))]
[JsonSerializable(typeof(AnswerRequest))]
[JsonSerializable(typeof(AnswerDone))]
[JsonSerializable(typeof(PasskeyBegun))]
[JsonSerializable(typeof(PasskeyRequest))]
[JsonSerializable(typeof(PasskeyList))]
[JsonSerializable(typeof(PasskeyView))]
[JsonSerializable(typeof(PasskeyLogin))]
[JsonSerializable(typeof(PasskeyLoginDone))]
[JsonSerializable(typeof(AgentList))]
[JsonSerializable(typeof(AgentView))]
[JsonSerializable(typeof(AgentOwner))]
[JsonSerializable(typeof(AgentAdd))]
[JsonSerializable(typeof(AgentChanged))]
[JsonSerializable(typeof(AftermathList))]
[JsonSerializable(typeof(AftermathView))]
[JsonSerializable(typeof(AftermathClose))]
[JsonSerializable(typeof(GrantRequest))]
[JsonSerializable(typeof(GrantList))]
[JsonSerializable(typeof(GrantView))]
[JsonSerializable(typeof(AwayList))]
[JsonSerializable(typeof(AwayView))]
[JsonSerializable(typeof(AwaySet))]
[JsonSerializable(typeof(JournalPage))]
[JsonSerializable(typeof(JournalLine))]
[JsonSerializable(typeof(ApprovalVerdict))]
[JsonSerializable(typeof(JournalVerdict))]
[JsonSerializable(typeof(PolicyView))]
[JsonSerializable(typeof(ReplayRequest))]
[JsonSerializable(typeof(ReplayView))]
[JsonSerializable(typeof(ExplainRequest))]
[JsonSerializable(typeof(ExplainView))]
[JsonSerializable(typeof(HealthView))]
[JsonSerializable(typeof(Problem))]
internal sealed partial class ApiJson : JsonSerializerContext;
