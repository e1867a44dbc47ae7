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
    internal sealed record ActionShape(FrozenSet<string> Groups, FrozenSet<string> Resources, FrozenDictionary<string, FactShape> Facts);

    /// <summary>Of what kind a fact is; of a record, what it holds.</summary>
    internal sealed record FactShape(Type Kind, FrozenDictionary<string, FactShape>? Members = null);

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

    /// <summary>Reads a schema. Null when it does not parse: the errors say why.</summary>
    public static RequestSchema? Read(CedarRuntime cedar, string text, out IReadOnlyList<CedarError> errors)
    {
        using var answer = cedar.InvokeText("schemaToJsonWithResolvedTypes", text);
        if (answer.RootElement.GetProperty("type").GetString() != "success")
        {
            errors = CedarError.ReadAll(answer.RootElement);
            return null;
        }
        errors = [];
        var namespaces = answer.RootElement.GetProperty("json").EnumerateObject().ToArray();
        var types = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        var actions = new List<(string Name, JsonElement Value)>();
        foreach (var space in namespaces)
        {
            if (space.Value.TryGetProperty("commonTypes", out var common))
                foreach (var type in common.EnumerateObject()) types.Add(space.Name.Length == 0 ? type.Name : $"{space.Name}::{type.Name}", type.Value);
            foreach (var action in space.Value.GetProperty("actions").EnumerateObject())
                actions.Add((ActionName.Of(space.Name.Length == 0 ? ActionName.Type : $"{space.Name}::{ActionName.Type}", action.Name), action.Value));
        }
        var members = actions.ToDictionary(
            a => a.Name,
            a => a.Value.TryGetProperty("memberOf", out var m)
                ? m.EnumerateArray().Select(g => ActionName.Of(g.TryGetProperty("type", out var t) ? t.GetString()! : ActionName.Type, g.GetProperty("id").GetString()!)).ToArray()
                : [],
            StringComparer.Ordinal);
        var groups = members.Keys.ToFrozenDictionary(a => a, a => Closure(a, members), StringComparer.Ordinal);

        var shapes = new Dictionary<string, ActionShape>(StringComparer.Ordinal);
        foreach (var (name, action) in actions)
        {
            if (!action.TryGetProperty("appliesTo", out var applies)) continue;
            if (!applies.GetProperty("principalTypes").EnumerateArray().Any(p => p.GetString() == "Agent")) continue;
            var context = Resolve(applies.GetProperty("context"), types);
            var facts = new Dictionary<string, FactShape>(StringComparer.Ordinal);
            foreach (var attribute in context.GetProperty("attributes").EnumerateObject())
                if (!OwnContext.Contains(attribute.Name)) facts.Add(attribute.Name, Shape(attribute.Value, types));
            shapes.Add(name, new ActionShape(
                groups[name],
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

    static JsonElement Resolve(JsonElement type, Dictionary<string, JsonElement> types)
    {
        while (types.TryGetValue(type.GetProperty("type").GetString()!, out var named)) type = named;
        return type;
    }

    static FactShape Shape(JsonElement attribute, Dictionary<string, JsonElement> types)
    {
        // An effect's facts are optional in the schema; one that is not needs a check that a request has it.
        if (!attribute.TryGetProperty("required", out var required) || required.GetBoolean()) throw new InvalidOperationException("a fact of the schema must be optional");
        var type = Resolve(attribute, types);
        return type.GetProperty("type").GetString() switch
        {
            "Bool" or "Boolean" => new FactShape(typeof(FactValue.Flag)),
            "Long" => new FactShape(typeof(FactValue.Number)),
            "String" => new FactShape(typeof(FactValue.Text)),
            "Set" => new FactShape(typeof(FactValue.Set)),
            "Record" => new FactShape(typeof(FactValue.Record), type.GetProperty("attributes").EnumerateObject().ToFrozenDictionary(a => a.Name, a => Shape(a.Value, types), StringComparer.Ordinal)),
            var other => throw new InvalidOperationException($"a fact of the schema has the type `{other}`, which no fact can have"),
        };
    }

    /// <summary>Null when the effect is a well-formed request; else what is wrong with it.</summary>
    public string? Check(Effect effect)
    {
        if (!actions.TryGetValue(effect.Action, out var shape)) return $"the action `{effect.Action}` does not exist in the schema";
        if (!shape.Groups.Contains(Name(effect.Verb))) return $"the action `{effect.Action}` is not in the group `{Name(effect.Verb)}`";
        if (!shape.Resources.Contains(effect.Resource.Type)) return $"the action `{effect.Action}` does not apply to a resource of type `{effect.Resource.Type}`";
        return Check(effect.Facts, shape.Facts, "");
    }

    static string? Check(IReadOnlyDictionary<string, FactValue> facts, FrozenDictionary<string, FactShape> shapes, string within)
    {
        foreach (var (name, value) in facts)
        {
            if (!shapes.TryGetValue(name, out var shape)) return $"the fact `{within}{name}` does not exist in the schema";
            if (value.GetType() != shape.Kind) return $"the fact `{within}{name}` is not of the type that the schema gives it";
            if (value is FactValue.Record record && Check(record.Members, shape.Members!, $"{within}{name}.") is { } fault) return fault;
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
