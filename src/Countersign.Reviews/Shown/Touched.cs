using System.Text.Json;

namespace Countersign.Reviews;

/// <summary>One resource that an action touches, with all that is done to it.</summary>
public sealed record Touched(string Type, string Id, IReadOnlyList<string> Verbs, IReadOnlyList<string> Classes, IReadOnlyList<string> Frameworks, IReadOnlyList<string> Facts);

/// <summary>A part of an action that a reader must not miss.</summary>
public sealed record Danger(string Title, string Detail);

/// <summary>What the facts of the effects say, read from the canonical form that the statement commits to.</summary>
public static class Effects
{
    private static readonly string[] Order = ["destroy", "administer", "export", "write", "read"];

    /// <summary>The strictest verb first.</summary>
    public static IReadOnlyList<string> Verbs(IReadOnlyList<ShownEffect> effects) =>
        effects.Select(static e => e.Verb).Distinct(StringComparer.Ordinal).OrderBy(static v => Array.IndexOf(Order, v)).ToArray();

    /// <summary>`sql:update` as a word of English: `update`.</summary>
    public static string Doing(string action) => action[(action.IndexOf(':', StringComparison.Ordinal) + 1)..] switch
    {
        "select" => "read",
        "copy-out" or "export" => "export",
        "copy-in" => "load into",
        "create-temporary" => "create temporarily",
        "server-file" => "use a file of the server on",
        "opaque" => "do something unknown to",
        "role" => "change roles of",
        "set-role" => "act as a role of",
        "unknown-tool" => "call the unknown tool",
        "read-resource" => "read",
        "subscribe-resource" => "subscribe to",
        "get-prompt" => "get the prompt",
        "complete" => "complete an argument of",
        var tool when tool.Contains('/', StringComparison.Ordinal) => "call", // a tool's action has its name, which is said beside
        var other => other.Replace('-', ' '),
    };

    public static IReadOnlyList<Touched> Touched(IReadOnlyList<ShownEffect> effects, IReadOnlyDictionary<string, IReadOnlyList<string>> frameworks) =>
        effects.GroupBy(static e => (e.ResourceType, e.ResourceId))
            .Select(g => new Touched(
                Name(g.Key.ResourceType), g.Key.ResourceId,
                g.Select(static e => e.Action).Distinct(StringComparer.Ordinal).ToArray(),
                g.SelectMany(static e => e.DataClasses).Distinct(StringComparer.Ordinal).ToArray(),
                g.SelectMany(static e => e.DataClasses).Distinct(StringComparer.Ordinal).SelectMany(c => frameworks.GetValueOrDefault(c, [])).Distinct(StringComparer.Ordinal).ToArray(),
                g.SelectMany(static e => Facts(e.Canonical)).Distinct(StringComparer.Ordinal).ToArray()))
            .ToArray();

    public static IReadOnlyList<Danger> Dangers(IReadOnlyList<ShownEffect> effects)
    {
        var dangers = new List<Danger>();
        foreach (var effect in effects)
        {
            using var json = JsonDocument.Parse(effect.Canonical);
            var facts = json.RootElement.GetProperty("facts");
            var on = effect.ResourceId;
            if (effect.Action == "sql:drop") dangers.Add(new Danger("DROP", $"{on} is gone for good"));
            if (effect.Action == "sql:truncate") dangers.Add(new Danger("TRUNCATE", $"every row of {on} is gone for good"));
            if (effect.Action is "sql:update" or "sql:delete" && Is(facts, "where", false)) dangers.Add(new Danger("No WHERE", $"{(effect.Action == "sql:delete" ? "deletes" : "changes")} every row of {on}"));
            if (effect.Action == "sql:export") dangers.Add(new Danger("Export", Is(facts, "unbounded", true) || facts.TryGetProperty("unbounded", out _) ? $"nothing bounds the rows that leave {on}" : $"rows of {on} leave the database in bulk"));
            if (effect.Action is "sql:grant" or "sql:revoke" or "sql:role" or "sql:set-role") dangers.Add(new Danger("Rights", $"changes who may do what on {on}"));
            if (effect.Action == "sql:server-file") dangers.Add(new Danger("Server file", $"reads or writes a file of the database server ({on})"));
            if (effect.Action == "sql:opaque" || Is(facts, "opaque", true)) dangers.Add(new Danger("Not fully understood", $"what this does to {on} can not be known beforehand{Named(facts)}"));
            if (Is(facts, "cascade", true)) dangers.Add(new Danger("CASCADE", $"what depends on {on} goes with it"));
            if (Is(facts, "triggers", true)) dangers.Add(new Danger("Triggers", $"{on} has triggers, which do more than is written here"));
            if (Is(facts, "unresolved", true)) dangers.Add(new Danger("Unknown name", $"{on} was not found in the target when this was asked"));
        }

        return dangers.Distinct().ToArray();

        static string Named(JsonElement facts) => facts.TryGetProperty("functions", out var names) && names.ValueKind == JsonValueKind.Array && names.GetArrayLength() > 0
            ? $": it calls {string.Join(", ", names.EnumerateArray().Select(static n => n.ToString()))}"
            : "";
    }

    /// <summary>What bounds the rows, in words. No number: nothing has asked the target for one.</summary>
    public static string HowMuch(IReadOnlyList<ShownEffect> effects)
    {
        var limits = new List<string>();
        foreach (var effect in effects)
        {
            using var json = JsonDocument.Parse(effect.Canonical);
            var facts = json.RootElement.GetProperty("facts");
            if (effect.Action is "sql:update" or "sql:delete") limits.Add(Is(facts, "where", false) ? "every row" : "the rows that its WHERE finds");
            else if (effect.Action == "sql:insert") limits.Add("the rows that it inserts");
            else if (effect.Action is "sql:truncate" or "sql:drop") limits.Add("everything");
            else if (facts.TryGetProperty("limit", out var limit)) limits.Add($"at most {limit} rows");
            else if (effect.Action == "sql:export") limits.Add("all the rows that it finds");
        }

        return Listed(limits.Distinct(StringComparer.Ordinal).ToArray());
    }

    private static string Listed(IReadOnlyList<string> items) => items.Count <= 1 ? string.Concat(items) : $"{string.Join(", ", items.Take(items.Count - 1))} and {items[^1]}";

    /// <summary>The effect that a reader sees first: that of the strictest verb.</summary>
    public static ShownEffect? Strictest(IReadOnlyList<ShownEffect> effects) => effects.OrderBy(static e => Array.IndexOf(Order, e.Verb)).FirstOrDefault();

    private static bool Is(JsonElement facts, string name, bool value) => facts.TryGetProperty(name, out var fact) && fact.ValueKind == (value ? JsonValueKind.True : JsonValueKind.False);

    private static List<string> Facts(string canonical)
    {
        var said = new List<string>();
        using var json = JsonDocument.Parse(canonical);
        foreach (var fact in json.RootElement.GetProperty("facts").EnumerateObject())
        {
            switch (fact.Name, fact.Value.ValueKind)
            {
                // Said elsewhere on the page, or nothing that a reader would miss.
                case ("statement" or "arguments" or "uri" or "opaque" or "cascade" or "triggers" or "unresolved" or "functions" or "unbounded", _):
                case ("object", JsonValueKind.String) when fact.Value.ValueEquals("table"):
                case ("statements", JsonValueKind.Number) when fact.Value.TryGetInt64(out var count) && count == 1:
                case (not "where", JsonValueKind.False):
                    break;
                case ("untyped", _):
                    said.Add("some arguments have no type that a policy can read");
                    break;
                case ("where", JsonValueKind.False):
                    said.Add("every row");
                    break;
                case ("where", _):
                    said.Add("rows found by WHERE");
                    break;
                case ("in_transaction", _):
                    said.Add("in an open transaction");
                    break;
                case (_, JsonValueKind.Array):
                    if (fact.Value.GetArrayLength() > 0) said.Add($"{fact.Name.Replace('_', ' ')} {string.Join(", ", fact.Value.EnumerateArray().Select(static v => v.ToString()))}");
                    break;
                case (_, JsonValueKind.True):
                    said.Add(fact.Name.Replace('_', ' '));
                    break;
                default:
                    said.Add($"{fact.Name.Replace('_', ' ')} {fact.Value}");
                    break;
            }
        }

        return said;
    }

    private static string Name(string type) => type switch { "SqlObject" => "object", var other => other[(other.LastIndexOf(':') + 1)..].ToLowerInvariant() };
}
