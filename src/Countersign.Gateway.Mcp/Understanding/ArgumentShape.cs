using System.Collections.Frozen;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Countersign.Gateway.Mcp.Understanding;

internal enum ShapeKind
{
    Bool,

    /// <summary>JSON Schema's `integer`, and `number` where the value is a whole one.</summary>
    Long,
    String,

    /// <summary>An array of strings. Cedar has no order and no repetition in it.</summary>
    StringSet,
    Record,
}

/// <summary>
/// The part of a tool's JSON Schema that Cedar has types for. What has none (unions, references, arrays of other things) is not in it,
/// and a value there is untyped. A schema is read only when an operator trusts it, so that it says nothing about a tool that nobody has looked at.
/// </summary>
internal sealed record ArgumentShape(ShapeKind Kind)
{
    /// <summary>Records within records. Four: deeper ones are documents, and no policy was ever written on one.</summary>
    private const int Depth = 4;

    /// <summary>Typed arguments of one tool; more have no type.</summary>
    private const int Members_ = 200;

    private static readonly FrozenDictionary<string, ArgumentShape> None = FrozenDictionary<string, ArgumentShape>.Empty;

    /// <summary>Of a record.</summary>
    public IReadOnlyDictionary<string, ArgumentShape> Members { get; init; } = None;

    /// <summary>The arguments of a tool; empty where its schema says nothing that Cedar has a type for.</summary>
    public static ArgumentShape OfTool(JsonElement definition)
    {
        var left = Members_;
        return definition.TryGetProperty("inputSchema", out var schema) && Record(schema, Depth, ref left) is { } record ? record : new ArgumentShape(ShapeKind.Record);
    }

    private static ArgumentShape? Of(JsonElement schema, int depth, ref int left)
    {
        if (schema.ValueKind != JsonValueKind.Object || schema.TryGetProperty("$ref", out _)) return null;

        // `null` beside one type is how an optional argument is written: the value is typed when it is there.
        if ((schema.TryGetProperty("anyOf", out var branches) || schema.TryGetProperty("oneOf", out branches)) && branches.ValueKind == JsonValueKind.Array)
        {
            var real = branches.EnumerateArray().Where(static b => !(b.ValueKind == JsonValueKind.Object && b.TryGetProperty("type", out var t) && t.ValueKind == JsonValueKind.String && t.ValueEquals("null"))).ToArray();
            return real.Length == 1 ? Of(real[0], depth, ref left) : null;
        }

        switch (TypeOf(schema))
        {
            case "string": return new ArgumentShape(ShapeKind.String);
            case "boolean": return new ArgumentShape(ShapeKind.Bool);
            case "integer" or "number": return new ArgumentShape(ShapeKind.Long);
            case "array": return schema.TryGetProperty("items", out var items) && items.ValueKind == JsonValueKind.Object && TypeOf(items) == "string" ? new ArgumentShape(ShapeKind.StringSet) : null;
            case "object": return depth > 0 ? Record(schema, depth - 1, ref left) : null;
            case null when schema.TryGetProperty("enum", out var values) && values.ValueKind == JsonValueKind.Array && values.GetArrayLength() > 0 && values.EnumerateArray().All(static v => v.ValueKind == JsonValueKind.String):
            case null when schema.TryGetProperty("const", out var only) && only.ValueKind == JsonValueKind.String:
                return new ArgumentShape(ShapeKind.String);
            default: return null;
        }
    }

    private static string? TypeOf(JsonElement schema)
    {
        if (!schema.TryGetProperty("type", out var type)) return null;
        if (type.ValueKind == JsonValueKind.String) return type.GetString();
        if (type.ValueKind != JsonValueKind.Array) return "";
        var real = type.EnumerateArray().Where(static t => t.ValueKind == JsonValueKind.String && !t.ValueEquals("null")).ToArray();
        return real.Length == 1 && type.GetArrayLength() <= 2 ? real[0].GetString() : "";
    }

    private static ArgumentShape? Record(JsonElement schema, int depth, ref int left)
    {
        if (schema.ValueKind != JsonValueKind.Object || !schema.TryGetProperty("properties", out var properties) || properties.ValueKind != JsonValueKind.Object) return null;
        var members = new Dictionary<string, ArgumentShape>(StringComparer.Ordinal);
        foreach (var property in properties.EnumerateObject())
        {
            if (left <= 0 || !IsName(property.Name)) continue;
            if (Of(property.Value, depth, ref left) is not { } shape) continue;
            left--;
            members.Add(property.Name, shape);
        }

        return new ArgumentShape(ShapeKind.Record) { Members = members.ToFrozenDictionary(StringComparer.Ordinal) };
    }

    /// <summary>A name that Cedar's JSON takes for a member and nothing else, and that looks like what it is.</summary>
    private static bool IsName(string name) =>
        name.Length is > 0 and <= 64 && name is not ("__entity" or "__extn" or "__expr") && name.All(static c => c is > ' ' and <= '~' and not ('"' or '\\'));

    /// <summary>In Cedar's schema language. Everything is optional: no schema of a tool makes its callers send anything.</summary>
    public string ToCedar()
    {
        var text = new StringBuilder();
        Write(text);
        return text.ToString();
    }

    private void Write(StringBuilder text)
    {
        switch (Kind)
        {
            case ShapeKind.Bool: text.Append("Bool"); break;
            case ShapeKind.Long: text.Append("Long"); break;
            case ShapeKind.String: text.Append("String"); break;
            case ShapeKind.StringSet: text.Append("Set<String>"); break;
            default:
                text.Append("{ ");
                foreach (var (name, shape) in Members.OrderBy(static m => m.Key, StringComparer.Ordinal))
                {
                    text.Append(CultureInfo.InvariantCulture, $"\"{name}\"?: ");
                    shape.Write(text);
                    text.Append(", ");
                }

                text.Append('}');
                break;
        }
    }
}
