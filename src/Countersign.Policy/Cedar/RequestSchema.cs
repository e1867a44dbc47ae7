using System.Collections.Frozen;
using System.Text.Json;
using Countersign.Core;

namespace Countersign.Policy.Cedar;

/// <summary>
/// What the shipped schema says about requests, read from Cedar's own parse of it: which actions exist, in which groups, on which
/// resources, with which facts. Requests are checked against it here rather than by Cedar at each decision, which triples its cost;
/// a test shows that the two agree.
/// </summary>
sealed class RequestSchema
{
    /// <summary>Facts by name, resource types, and every group that the action is in.</summary>
    internal sealed record ActionShape(FrozenSet<string> Groups, FrozenSet<string> Resources, FrozenDictionary<string, Type> Facts);

    /// <summary>Attributes of the context that this room fills in itself.</summary>
    static readonly string[] OwnContext = ["target", "intent", "time"];

    readonly FrozenDictionary<string, ActionShape> actions;

    RequestSchema(FrozenDictionary<string, ActionShape> actions, FrozenDictionary<string, FrozenSet<string>> groups)
    {
        this.actions = actions;
        Groups = groups;
    }

    /// <summary>Actions that an agent can take, with their shape.</summary>
    public IReadOnlyDictionary<string, ActionShape> Actions => actions;

    /// <summary>Every action of the schema with the groups that it is in, itself included.</summary>
    public FrozenDictionary<string, FrozenSet<string>> Groups { get; }

    public static RequestSchema Read(CedarRuntime cedar)
    {
        using var answer = cedar.InvokeText("schemaToJsonWithResolvedTypes", Shipped.Schema);
        if (answer.RootElement.GetProperty("type").GetString() != "success")
            throw new InvalidOperationException("the shipped schema does not parse: " + string.Join("; ", CedarError.ReadAll(answer.RootElement).Select(e => e.Message)));
        var root = answer.RootElement.GetProperty("json").GetProperty("");
        var types = root.GetProperty("commonTypes");
        var members = root.GetProperty("actions").EnumerateObject().ToDictionary(
            a => a.Name,
            a => a.Value.TryGetProperty("memberOf", out var m) ? m.EnumerateArray().Select(g => g.GetProperty("id").GetString()!).ToArray() : [],
            StringComparer.Ordinal);
        var groups = members.Keys.ToFrozenDictionary(a => a, a => Closure(a, members), StringComparer.Ordinal);

        var shapes = new Dictionary<string, ActionShape>(StringComparer.Ordinal);
        foreach (var action in root.GetProperty("actions").EnumerateObject())
        {
            if (!action.Value.TryGetProperty("appliesTo", out var applies)) continue;
            if (!applies.GetProperty("principalTypes").EnumerateArray().Any(p => p.GetString() == "Agent")) continue;
            var context = Resolve(applies.GetProperty("context"), types);
            var facts = new Dictionary<string, Type>(StringComparer.Ordinal);
            foreach (var attribute in context.GetProperty("attributes").EnumerateObject())
                if (!OwnContext.Contains(attribute.Name)) facts.Add(attribute.Name, Kind(attribute.Value));
            shapes.Add(action.Name, new ActionShape(
                groups[action.Name],
                applies.GetProperty("resourceTypes").EnumerateArray().Select(r => r.GetString()!).ToFrozenSet(StringComparer.Ordinal),
                facts.ToFrozenDictionary(StringComparer.Ordinal)));
        }
        return new RequestSchema(shapes.ToFrozenDictionary(StringComparer.Ordinal), groups);
    }

    static FrozenSet<string> Closure(string action, Dictionary<string, string[]> members)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var open = new Stack<string>([action]);
        while (open.TryPop(out var next))
            if (seen.Add(next))
                foreach (var group in members[next]) open.Push(group);
        return seen.ToFrozenSet(StringComparer.Ordinal);
    }

    static JsonElement Resolve(JsonElement type, JsonElement types)
    {
        while (types.TryGetProperty(type.GetProperty("type").GetString()!, out var named)) type = named;
        return type;
    }

    static Type Kind(JsonElement attribute)
    {
        // An effect's facts are optional in the shipped schema; one that is not needs a check that a request has it.
        if (!attribute.TryGetProperty("required", out var required) || required.GetBoolean()) throw new InvalidOperationException("a fact of the schema must be optional");
        return attribute.GetProperty("type").GetString() switch
        {
            "Bool" or "Boolean" => typeof(FactValue.Flag),
            "Long" => typeof(FactValue.Number),
            "String" => typeof(FactValue.Text),
            "Set" => typeof(FactValue.Set),
            var other => throw new InvalidOperationException($"a fact of the schema has the type `{other}`, which no fact can have"),
        };
    }

    /// <summary>Null when the effect is a well-formed request; else what is wrong with it.</summary>
    public string? Check(Effect effect)
    {
        if (!actions.TryGetValue(effect.Action, out var shape)) return $"the action `{effect.Action}` does not exist in the schema";
        if (!shape.Groups.Contains(Name(effect.Verb))) return $"the action `{effect.Action}` is not in the group `{Name(effect.Verb)}`";
        if (!shape.Resources.Contains(effect.Resource.Type)) return $"the action `{effect.Action}` does not apply to a resource of type `{effect.Resource.Type}`";
        foreach (var (name, value) in effect.Facts)
        {
            if (!shape.Facts.TryGetValue(name, out var kind)) return $"the fact `{name}` does not exist in the schema";
            if (value.GetType() != kind) return $"the fact `{name}` is not of the type that the schema gives it";
        }
        return null;
    }

    public static string Name(Verb verb) => verb switch
    {
        Verb.Read => "read",
        Verb.Export => "export",
        Verb.Write => "write",
        Verb.Destroy => "destroy",
        Verb.Administer => "administer",
        _ => throw new ArgumentOutOfRangeException(nameof(verb)),
    };
}
