using Countersign.Core;
using Countersign.Policy.Cedar;
using Countersign.Policy.Evaluation;
using Countersign.Policy.Language;
using Countersign.Policy.Loading;

namespace Countersign.Policy;

/// <summary>A policy set that loaded whole: immutable, with the guests that evaluate it. Thread-safe.</summary>
public sealed class PolicyRevision
{
    readonly CedarRuntime cedar;
    readonly CedarEvaluator official;
    readonly CachingEvaluator? caching;
    readonly IPolicyEvaluator evaluator;
    readonly Dictionary<string, Mentions> mentions;

    PolicyRevision(CedarRuntime cedar, Revision id, IReadOnlyList<LoadedPolicy> policies, PolicySchema schema, PolicyStoreOptions options)
    {
        this.cedar = cedar;
        Id = id;
        Policies = policies;
        Schema = schema;
        mentions = schema.Requests.Actions.Keys.ToDictionary(a => a, a => MentionsOf(a), StringComparer.Ordinal);
        official = new CedarEvaluator(cedar, schema.Requests, policies, mentions);
        var hot = options.Evaluator?.Invoke(official, policies) ?? official;
        if (options.Cache is { } limits) caching = new CachingEvaluator(hot, Key, limits);
        evaluator = caching ?? hot;
    }

    /// <summary>Its id: content hash, and git commit where there is one.</summary>
    public Revision Id { get; }

    /// <summary>Its policies in the order of files and places, the shipped ones last where they hold.</summary>
    public IReadOnlyList<LoadedPolicy> Policies { get; }

    /// <summary>What its policies were validated against, and its requests are checked by.</summary>
    public PolicySchema Schema { get; }

    /// <summary>Answers found in and missing from the decision cache so far, and kept now.</summary>
    public (long Hits, long Misses, int Kept) CacheUse => caching is null ? default : (caching.Hits, caching.Misses, caching.Count);

    /// <summary>The text of its files by path, the shipped ones left out.</summary>
    public required IReadOnlyDictionary<string, string> Files { get; init; }

    internal CedarRuntime Cedar => cedar;
    internal CedarEvaluator Official => official;

    Mentions MentionsOf(string action)
    {
        var found = new Mentions();
        foreach (var policy in Policies)
            if (Scope.CoversAction(policy.Json, Schema.Requests.Groups[action])) found.Add(policy.Json);
        return found;
    }

    string? Key(PolicyRequest request) =>
        official.Refuse(request) is null ? RequestKey.Of(request, mentions[request.Effect.Action]) : null;

    /// <summary>Loads a snapshot: a revision, or why there is none.</summary>
    internal static PolicyLoad Load(CedarRuntime cedar, PolicySnapshot snapshot, PolicySchema schema, PolicyStoreOptions options)
    {
        var (policies, diagnostics) = PolicyLoader.Load(cedar, snapshot, schema);
        var id = new Revision(snapshot.ContentHash(cedar.Version, schema), snapshot.GitCommit);
        if (diagnostics.Count > 0) return new PolicyLoad(null, id, diagnostics);

        var own = policies;
        policies = [.. policies, .. cedar.ShippedPolicies.Where(s => !own.Any(p => !p.IsForbid && ((s.NamesApprove && p.NamesApprove) || (s.NamesGateway && p.NamesGateway) || (s.NamesUnknownTool && p.NamesUnknownTool))))];
        if (policies.GroupBy(p => p.Id, StringComparer.Ordinal).FirstOrDefault(g => g.Count() > 1) is { } twice)
            return new PolicyLoad(null, id, [new PolicyDiagnostic(PolicyFaults.Id, $"the id `{twice.Key}` is a shipped policy's", "give the policy another id", twice.First().Source)]);
        var revision = new PolicyRevision(cedar, id, policies, schema, options)
        {
            Files = snapshot.Files.ToDictionary(static f => f.Path, static f => SourceText.Strict.GetString(f.Bytes), StringComparer.Ordinal),
        };
        if (revision.official.Warm() is not { } failure) return new PolicyLoad(revision, id, []);
        revision.Drain();
        return new PolicyLoad(null, id, [new PolicyDiagnostic(PolicyFaults.Unavailable, $"the policy guest cannot hold this set: {failure}")]);
    }

    /// <summary>The decision on an action under this revision. Store callers want <see cref="PolicyStore.DecideAsync"/>.</summary>
    internal async ValueTask<(Decision Decision, bool IsDrained)> DecideAsync(GatewayAction action, DecisionContext context, CancellationToken cancellation)
    {
        var requests = action.Effects.Select(e => new PolicyRequest(action.Actors, action.Target, action.Intent, e, context)).ToArray();
        var answers = requests.Length == 0 ? [] : await evaluator.EvaluateAsync(requests, cancellation);
        var effects = new EffectDecision[requests.Length];
        var drained = false;
        for (var i = 0; i < effects.Length; i++)
        {
            var answer = answers[i];
            drained |= answer.ReasonCode == CedarEvaluator.Drained;
            effects[i] = new EffectDecision(action.Effects[i], answer.Verdict, answer.ReasonCode == CedarEvaluator.Drained ? ReasonCodes.PolicyUnavailable : answer.ReasonCode, answer.Policies) { Errors = answer.Errors };
        }
        return (Decision.Combine(Id, effects, answers.SelectMany(a => a.Requirements)), drained);
    }

    /// <summary>Whether some policy could permit such an effect, with or without review, whatever its conditions say.</summary>
    internal async ValueTask<(IReadOnlyList<bool> Could, bool IsDrained)> CouldPermitAsync(IReadOnlyList<PolicyRequest> requests, CancellationToken cancellation) =>
        requests.Count == 0 ? ([], false) : await official.CouldPermitAsync(requests, cancellation);

    internal async ValueTask<(ApproveAnswer Answer, bool IsDrained)> CanApproveAsync(ApproveRequest request, CancellationToken cancellation)
    {
        // I4 stands before policy: no policy can let anyone approve his own action.
        if (request.User.Kind != PrincipalKind.User) return (new ApproveAnswer(false, ReasonCodes.NotHuman, Id, [], []), false);
        if (request.Review.Actors.Humans.Any(h => h.Id == request.User.Id || string.Equals(h.Name, request.User.Name, StringComparison.OrdinalIgnoreCase)))
            return (new ApproveAnswer(false, ReasonCodes.SelfApproval, Id, [], []), false);
        return Finish(await official.ApproveAsync(request, cancellation));
    }

    internal async ValueTask<(ApproveAnswer Answer, bool IsDrained)> CanAdministerAsync(AdministerRequest request, CancellationToken cancellation) =>
        request.User.Kind == PrincipalKind.User ? Finish(await official.AdministerAsync(request, cancellation)) : (new ApproveAnswer(false, ReasonCodes.NotHuman, Id, [], []), false);

    (ApproveAnswer Answer, bool IsDrained) Finish((PolicyAnswer Answer, bool Permitted) asked)
    {
        var (answer, permitted) = asked;
        var drained = answer.ReasonCode == CedarEvaluator.Drained;
        return (new ApproveAnswer(permitted, drained ? ReasonCodes.PolicyUnavailable : answer.ReasonCode, Id, answer.Policies, answer.Errors), drained);
    }

    /// <summary>Frees the guests: those at work when they come back.</summary>
    internal void Drain() => official.Dispose();
}

/// <summary>What came of loading a policy set.</summary>
/// <param name="Loaded">The revision; null when there is any diagnostic.</param>
/// <param name="Id">The id of what was read, loaded or not.</param>
/// <param name="Diagnostics">Every error at once, by file and place.</param>
public sealed record PolicyLoad(PolicyRevision? Loaded, Revision Id, IReadOnlyList<PolicyDiagnostic> Diagnostics);
