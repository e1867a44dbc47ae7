namespace Countersign.Core;

/// <summary>
/// What policy says, strictest last. `Review` is a requestable denial: it stays a denial until a new evaluation permits.
/// </summary>
public enum Verdict
{
    Permit,
    Review,
    Deny,
}

/// <summary>The id of a policy set: hash of its content, and the git commit where there is one.</summary>
public sealed record Revision(string ContentHash, string? GitCommit)
{
    /// <summary>First twelve characters of the content hash: what people read.</summary>
    public string Short => ContentHash.Length > 12 ? ContentHash[..12] : ContentHash;

    public override string ToString() => GitCommit is null ? Short : $"{Short}@{GitCommit[..Math.Min(12, GitCommit.Length)]}";
}

/// <summary>A policy that determined a decision: its id, where it stands, and what its annotations say.</summary>
public sealed record MatchedPolicy(string Id, string? Source, string? Reason, IReadOnlyList<string> Controls);

/// <summary>The decision on one effect.</summary>
public sealed record EffectDecision(Effect Effect, Verdict Verdict, string ReasonCode, IReadOnlyList<MatchedPolicy> Policies)
{
    /// <summary>Evaluation errors as Cedar words them; any makes the verdict Deny.</summary>
    public IReadOnlyList<string> Errors { get; init; } = [];
}

/// <summary>
/// The decision on an action: the strictest of its effects' decisions, with their requirements merged. An action
/// without effects is denied: nothing was understood.
/// </summary>
public sealed record Decision(Verdict Verdict, string ReasonCode, Revision Revision, IReadOnlyList<EffectDecision> Effects)
{
    /// <summary>Merged requirements; empty unless the verdict is <see cref="Verdict.Review"/>.</summary>
    public IReadOnlyList<Requirement> Requirements { get; init; } = [];

    /// <summary>Policies that determined the verdict, each once, in id order.</summary>
    public IEnumerable<MatchedPolicy> DeterminingPolicies =>
        Effects.Where(e => e.Verdict == Verdict)
            .SelectMany(static e => e.Policies)
            .DistinctBy(static p => p.Id, StringComparer.Ordinal)
            .OrderBy(static p => p.Id, StringComparer.Ordinal);

    /// <summary>The strictest of several effect decisions; requirements merged when it is a review.</summary>
    public static Decision Combine(Revision revision, IReadOnlyList<EffectDecision> effects, IEnumerable<Requirement> requirements)
    {
        if (effects.Count == 0) return new Decision(Verdict.Deny, ReasonCodes.NotUnderstood, revision, effects);
        var strictest = effects[0];
        foreach (var effect in effects)
        {
            if (effect.Verdict > strictest.Verdict) strictest = effect;
        }

        return new Decision(strictest.Verdict, strictest.ReasonCode, revision, effects)
        {
            Requirements = strictest.Verdict == Verdict.Review ? RequirementAlgebra.Merge(requirements) : [],
        };
    }
}
