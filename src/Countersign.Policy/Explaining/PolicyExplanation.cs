using System.Text.Json;
using System.Text.Json.Nodes;
using Countersign.Core;
using Countersign.Policy.Cedar;
using Countersign.Policy.Evaluation;

namespace Countersign.Policy;

/// <summary>Why an action is decided as it is: `policy explain`.</summary>
/// <param name="Decision">The decision, with revision and merged requirements.</param>
/// <param name="Effects">One per effect, in their order.</param>
public sealed record PolicyExplanation(Decision Decision, IReadOnlyList<EffectExplanation> Effects);

/// <summary>Why one effect is decided as it is.</summary>
/// <param name="Decision">Its decision, with the policies that determined it and their errors.</param>
/// <param name="Requirements">What each matched policy asks for, before merging.</param>
/// <param name="Others">Every other policy about what agents do, and what about it does not hold.</param>
public sealed record EffectExplanation(EffectDecision Decision, IReadOnlyList<Requirement> Requirements, IReadOnlyList<PolicyMiss> Others);

/// <summary>A policy that did not determine a decision.</summary>
/// <param name="Policy">The policy.</param>
/// <param name="Unmet">
/// What of it does not hold: `principal`, `action`, `resource` of its scope, `when 1`, `unless 2`, … for its conditions by their order; with ` (error)`
/// behind it where evaluating that alone failed. Empty: all of it holds, and a forbid or an error has the last word.
/// </param>
public sealed record PolicyMiss(LoadedPolicy Policy, IReadOnlyList<string> Unmet);

/// <summary>Explains decisions by asking Cedar about each part of each policy on its own, so that nothing here guesses at Cedar's meaning.</summary>
static class Explainer
{
    public static async ValueTask<PolicyExplanation> ExplainAsync(PolicyRevision revision, GatewayAction action, DecisionContext context, CancellationToken cancellation)
    {
        var (decision, _) = await revision.DecideAsync(action, context, cancellation);
        var effects = new List<EffectExplanation>();
        foreach (var effect in decision.Effects)
        {
            var request = new PolicyRequest(action.Actors, action.Target, action.Intent, effect.Effect, context);
            var others = revision.Policies.Where(p => !p.IsAboutPeople && (!p.NamesUnknownTool || effect.Effect.Action.StartsWith("mcp:", StringComparison.Ordinal)) && !effect.Policies.Any(m => m.Id == p.Id)).ToArray();
            effects.Add(new EffectExplanation(effect, Requirements(revision, effect), Misses(revision, request, others)));
        }
        return new PolicyExplanation(decision, effects);
    }

    static Requirement[] Requirements(PolicyRevision revision, EffectDecision effect) =>
        effect.Verdict != Verdict.Review ? [] : [.. revision.Policies.Where(p => effect.Policies.Any(m => m.Id == p.Id)).SelectMany(p => p.Requirements)];

    static PolicyMiss[] Misses(PolicyRevision revision, PolicyRequest request, LoadedPolicy[] policies)
    {
        if (revision.Official.Refuse(request) is not null) return [.. policies.Select(p => new PolicyMiss(p, []))];
        var variants = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        var parts = new List<(LoadedPolicy Policy, string Part, string Key)>();
        for (var p = 0; p < policies.Length; p++)
        {
            foreach (var (part, variant) in Split(policies[p].Json))
            {
                var key = $"{p} {part}";
                variants.Add(key, variant);
                parts.Add((policies[p], part, key));
            }
        }
        var (matched, errored) = CedarEvaluator.AskWith(revision.Cedar, revision.Schema, request, variants);
        return [.. parts.GroupBy(x => x.Policy).Select(g => new PolicyMiss(g.Key,
            [.. g.Where(x => !matched.Contains(x.Key)).Select(x => errored.Contains(x.Key) ? x.Part + " (error)" : x.Part)]))];
    }

    /// <summary>Each part of a policy as a permit of its own.</summary>
    static IEnumerable<(string Part, JsonElement Variant)> Split(JsonElement policy)
    {
        foreach (var part in new[] { "principal", "action", "resource" }) yield return (part, Variant(part, policy.GetProperty(part), null));
        var n = 0;
        foreach (var condition in policy.GetProperty("conditions").EnumerateArray())
            yield return ($"{condition.GetProperty("kind").GetString()} {++n}", Variant("", default, condition));

        static JsonElement Variant(string part, JsonElement scope, JsonElement? condition)
        {
            var variant = new JsonObject { ["effect"] = "permit", ["conditions"] = condition is { } c ? new JsonArray(JsonNode.Parse(c.GetRawText())) : [] };
            foreach (var name in new[] { "principal", "action", "resource" })
                variant[name] = name == part ? JsonNode.Parse(scope.GetRawText()) : new JsonObject { ["op"] = "All" };
            return JsonSerializer.SerializeToElement(variant);
        }
    }
}
