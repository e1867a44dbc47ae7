using System.Collections.Frozen;
using Countersign.Core;

namespace Countersign.Policy;

/// <summary>What a decision depends on beside the action: facts of the gateway's, as they are at this moment.</summary>
public sealed record DecisionContext
{
    static readonly FrozenDictionary<string, IReadOnlyList<string>> NoFrameworks = FrozenDictionary<string, IReadOnlyList<string>>.Empty;
    static readonly FrozenDictionary<OpaqueId, IReadOnlyList<string>> NoGroups = FrozenDictionary<OpaqueId, IReadOnlyList<string>>.Empty;

    /// <summary>The time that policies see.</summary>
    public required DateTimeOffset Now { get; init; }

    /// <summary>The frameworks that each data class of the classification falls under. Default: none.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<string>> Frameworks { get; init; } = NoFrameworks;

    /// <summary>
    /// The groups of the humans in the actor chain, as they are now. A human who is absent is not in no group but unknown: when a policy
    /// reads him (<c>principal.owner</c>, <c>principal.on_behalf_of</c>), the decision is Deny, `policy-error`. Default: all unknown.
    /// </summary>
    public IReadOnlyDictionary<OpaqueId, IReadOnlyList<string>> HumanGroups { get; init; } = NoGroups;
}

/// <summary>One effect as policy is asked about it.</summary>
public sealed record PolicyRequest(ActorChain Actors, TargetRef Target, Intent Intent, Effect Effect, DecisionContext Context);

/// <summary>What the policies say about one request.</summary>
/// <param name="Verdict">Permit, review or deny.</param>
/// <param name="ReasonCode">One of <see cref="ReasonCodes"/>.</param>
/// <param name="Policies">The policies that determined it, in id order.</param>
/// <param name="Requirements">Of a review: each matched policy's, not yet merged.</param>
/// <param name="Errors">Evaluation errors, in policy order.</param>
public sealed record PolicyAnswer(
    Verdict Verdict, string ReasonCode, IReadOnlyList<MatchedPolicy> Policies, IReadOnlyList<Requirement> Requirements, IReadOnlyList<string> Errors)
{
    internal static PolicyAnswer Refused(string reasonCode, params string[] errors) => new(Verdict.Deny, reasonCode, [], [], errors);
}

/// <summary>
/// Answers requests under one policy set. Cedar's official engine is one, the decision cache before it another; an indexed evaluator of
/// our own, checked against the official engine, can take the hot path here. Never throws for what a request holds.
/// </summary>
public interface IPolicyEvaluator
{
    /// <summary>One answer per request, in their order.</summary>
    ValueTask<IReadOnlyList<PolicyAnswer>> EvaluateAsync(IReadOnlyList<PolicyRequest> requests, CancellationToken cancellation);
}

/// <summary>What policy is told about a review when it is asked who may approve it.</summary>
public sealed record ReviewFacts
{
    /// <summary>The review's id.</summary>
    public required string Id { get; init; }

    /// <summary>Who asks. Every human in it is refused as `self-approval` before policy is asked.</summary>
    public required ActorChain Actors { get; init; }

    /// <summary>Where the action goes.</summary>
    public required TargetRef Target { get; init; }

    /// <summary>Groups that may fill an open slot at this age of the review, escalations included.</summary>
    public required IReadOnlyList<string> Groups { get; init; }

    /// <summary>Verbs of its effects.</summary>
    public IReadOnlyList<Verb> Verbs { get; init; } = [];

    /// <summary>Data classes of its effects.</summary>
    public IReadOnlyList<string> DataClasses { get; init; } = [];

    /// <summary>What the agent said.</summary>
    public Intent Intent { get; init; } = Intent.None;
}

/// <summary>The question whether a human may decide on a review.</summary>
/// <param name="User">Who would decide.</param>
/// <param name="Groups">Groups that he is in now (P33).</param>
/// <param name="Review">The review.</param>
/// <param name="Channel">Where he would do so: `cli`, `api`, `console`, …</param>
/// <param name="Now">The time that policies see.</param>
public sealed record ApproveRequest(PrincipalRef User, IReadOnlyList<string> Groups, ReviewFacts Review, string Channel, DateTimeOffset Now)
{
    /// <summary>Asks for `break-glass` instead of `approve`: to release it at once, whoever else it waits for. Default: false.</summary>
    public bool BreakGlass { get; init; }
}

/// <summary>The question whether a human may administer this gateway.</summary>
/// <param name="User">Who would.</param>
/// <param name="Groups">Groups that he is in now.</param>
/// <param name="Action">One of <see cref="AdministerActions"/>.</param>
/// <param name="Channel">Where he would do so.</param>
/// <param name="Now">The time that policies see.</param>
public sealed record AdministerRequest(PrincipalRef User, IReadOnlyList<string> Groups, string Action, string Channel, DateTimeOffset Now);

/// <summary>What there is to administer, as the schema names it.</summary>
public static class AdministerActions
{
    /// <summary>Agents, their keys and owners, and whether they are suspended.</summary>
    public const string Agents = "countersign:agents";

    /// <summary>People, groups and how they sign in.</summary>
    public const string People = "countersign:people";

    /// <summary>Grants that others gave.</summary>
    public const string Grants = "countersign:grants";

    /// <summary>Delegates of others.</summary>
    public const string Delegates = "countersign:delegates";

    /// <summary>Policy sets that are not in force: to replay them over what was recorded.</summary>
    public const string Policies = "countersign:policies";

    /// <summary>Tools of MCP servers: which are trusted, and as what.</summary>
    public const string Tools = "countersign:tools";

    /// <summary>To read the journal.</summary>
    public const string Journal = "countersign:journal";

    /// <summary>All of them.</summary>
    public static readonly IReadOnlyList<string> All = [Agents, People, Grants, Delegates, Policies, Tools, Journal];
}

/// <summary>Whether a human may decide on a review, why, and under which revision.</summary>
/// <param name="Permitted">Whether he may.</param>
/// <param name="ReasonCode">`permitted`, `self-approval`, `not-human`, `not-eligible`, `policy-denied`, `policy-error` or `policy-unavailable`.</param>
/// <param name="Revision">The policy set that was asked.</param>
/// <param name="Policies">The policies that determined it.</param>
/// <param name="Errors">Evaluation errors.</param>
public sealed record ApproveAnswer(bool Permitted, string ReasonCode, Revision Revision, IReadOnlyList<MatchedPolicy> Policies, IReadOnlyList<string> Errors);
