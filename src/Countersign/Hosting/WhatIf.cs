using System.Text.Json;
using Countersign.Api;
using Countersign.Config;
using Countersign.Core;
using Countersign.Policy;

namespace Countersign.Hosting;

/// <summary>An action that nobody asked for, to see what policy would say about it.</summary>
internal static class WhatIf
{
    /// <summary>
    /// The action of a question. Classes come from the classification unless the question names some. What a question
    /// cannot say exactly (a name that needs quotes) is refused rather than guessed.
    /// </summary>
    public static GatewayAction? Action(ExplainRequest question, ActorChain actors, CountersignConfig config, out string error)
    {
        error = "";
        if (!config.Targets.TryGetValue(question.Target, out var target))
        {
            error = $"no target `{VisibleText.Of(question.Target, multiline: false)}` in the config";
            return null;
        }

        if (!SqlVocabulary.Actions.TryGetValue(question.Action, out var verb))
        {
            error = $"`{VisibleText.Of(question.Action, multiline: false)}` is not an action; docs/spec/policy.md lists them: {string.Join(", ", SqlVocabulary.Actions.Keys.Order(StringComparer.Ordinal))}";
            return null;
        }

        var type = question.ResourceType ?? "Table";
        if (!SqlVocabulary.ResourceTypes.Contains(type))
        {
            error = $"`{VisibleText.Of(type, multiline: false)}` is not a type of resource; use one of {string.Join(", ", SqlVocabulary.ResourceTypes.Order(StringComparer.Ordinal))}";
            return null;
        }

        if (Resource(question, type, config, out error) is not { } resource || Facts(question.Facts, out error) is not { } facts) return null;
        var settings = new Dictionary<string, string>();
        return new GatewayAction
        {
            Id = new ActionId("ac_what_if"),
            Actors = actors,
            Target = new TargetRef(target.Name, target.Kind.ToString().ToLowerInvariant(), target.Environment),
            Effects = [new Effect(verb, question.Action, resource) { Facts = facts }],
            Payload = new ActionPayload("what-if", "what-if", default) { DisplayText = "" },
            Settings = settings,
            Intent = new Intent(question.Reason, question.Ticket, null, null),
        };
    }

    private static ResourceRef? Resource(ExplainRequest question, string type, CountersignConfig config, out string error)
    {
        var parts = question.Resource.Split('.');
        if (parts.Any(static p => p.Length == 0 || !p.All(static c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '_' or '-' || char.IsAsciiLetterUpper(c))))
        {
            error = $"`{VisibleText.Of(question.Resource, multiline: false)}` is no plain name; write {Form(type)}";
            return null;
        }

        error = "";
        if (parts[0] != question.Target || (type is not ("Database" or "Schema" or "Role") && parts.Length == 2)) parts = [question.Target, .. parts];
        var expected = type switch { "Database" => 1, "Schema" or "Role" => 2, _ => 3 };
        if (parts.Length != expected)
        {
            error = $"`{VisibleText.Of(question.Resource, multiline: false)}` is not how a {type} is named; write {Form(type)}";
            return null;
        }

        (string, string) targetParent = ("Target", question.Target);
        (string, string) databaseParent = ("Database", question.Target);
        return new ResourceRef(type, string.Join('.', parts))
        {
            Parents = type switch
            {
                "Database" or "Role" => [targetParent],
                "Schema" => [databaseParent, targetParent],
                _ => [("Schema", $"{parts[0]}.{parts[1]}"), databaseParent, targetParent],
            },
            DataClasses = question.DataClasses ?? (parts.Length == 3 ? config.Classification.ClassesOf(parts[0], parts[1], parts[2]) : []),
        };
    }

    private static string Form(string type) => type switch
    {
        "Database" => "the name of the target",
        "Schema" => "`public`, or `target.public`",
        "Role" => "`reporting`, or `target.reporting`",
        _ => "`public.customers`: schema and name",
    };

    private static Dictionary<string, FactValue>? Facts(IReadOnlyDictionary<string, JsonElement>? facts, out string error)
    {
        var result = new Dictionary<string, FactValue>(StringComparer.Ordinal);
        error = "";
        foreach (var (name, value) in facts ?? new Dictionary<string, JsonElement>())
        {
            if (!SqlVocabulary.Facts.TryGetValue(name, out var kind))
            {
                error = $"`{VisibleText.Of(name, multiline: false)}` is not a fact; use some of {string.Join(", ", SqlVocabulary.Facts.Keys.Order(StringComparer.Ordinal))}";
                return null;
            }

            FactValue? fact = value.ValueKind switch
            {
                JsonValueKind.True or JsonValueKind.False => value.GetBoolean(),
                JsonValueKind.Number when value.TryGetInt64(out var number) => number,
                JsonValueKind.String => value.GetString()!,
                JsonValueKind.Array when value.EnumerateArray().All(static v => v.ValueKind == JsonValueKind.String) => FactValue.Of(value.EnumerateArray().Select(static v => v.GetString()!)),
                _ => null,
            };
            if (fact?.GetType() != kind)
            {
                error = $"the fact `{name}` is a {kind.Name.ToLowerInvariant()}";
                return null;
            }

            result.Add(name, fact);
        }

        return result;
    }

    /// <summary>The explanation as the API and the command line tell it.</summary>
    public static ExplainView View(PolicyExplanation explanation)
    {
        var decision = explanation.Decision;
        return new ExplainView(decision.Verdict.ToString().ToLowerInvariant(), decision.ReasonCode, decision.Revision.ToString(),
            explanation.Effects.Select(static e => new ExplainedEffect(
                e.Decision.Effect.Action, e.Decision.Effect.Resource.ToString(), e.Decision.Effect.Resource.DataClasses,
                e.Decision.Verdict.ToString().ToLowerInvariant(), e.Decision.ReasonCode,
                e.Decision.Policies.Select(static p => new CardPolicy(p.Id, p.Source, p.Reason, p.Controls)).ToArray(),
                e.Decision.Errors,
                e.Others.Select(static o => new ExplainedMiss(o.Policy.Id, o.Policy.Source, o.Policy.IsForbid ? "forbid" : "permit", o.Unmet)).ToArray())).ToArray(),
            decision.Requirements.Select(static r => new ExplainedRequirement(r.Groups, r.Quorum, (long)r.Expires.TotalSeconds, r.Justify, r.Policies, r.StepUp == StepUp.None ? null : "passkey")).ToArray());
    }
}
