using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Countersign.Core;
using Countersign.Gateway.Mcp.Wire;

namespace Countersign.Gateway.Mcp.Understanding;

/// <summary>
/// The arguments of one call, walked once: what policy may read of them, and what a human reads. A secret is withheld from both, with
/// a mark for the human, and counts as untyped: no policy decides on what nobody may see.
/// </summary>
internal sealed partial class Arguments
{
    /// <summary>Stands where a secret is. A text that looks like it is shown in quotes, so that none can be taken for it.</summary>
    public const string Mark = "(secret, withheld)";

    private readonly IReadOnlySet<string> secrets;
    private readonly List<(string Path, string Text)> rows = [];

    private Arguments(IReadOnlySet<string> secrets) => this.secrets = secrets;

    /// <summary>The record that policies see as `context.arguments`; null when nothing in it has a type.</summary>
    public FactValue.Record? Typed { get; private init; }

    /// <summary>Whether something is there that policies do not see.</summary>
    public bool Untyped { get; private set; }

    /// <summary>Whether a text is no valid Unicode: then nothing about it can be trusted.</summary>
    public bool Malformed { get; private set; }

    /// <summary>One row for each value, in their order, long ones whole (I10).</summary>
    public string Table { get; private init; } = "";

    /// <param name="shape">Null for a tool that nobody has trusted: all is untyped.</param>
    public static Arguments Read(JsonElement? arguments, ArgumentShape? shape, IReadOnlySet<string> secrets)
    {
        var reading = new Arguments(secrets);
        var typed = arguments is { } value ? reading.Object(value, shape, "") : null;
        return new Arguments(secrets) { Typed = typed is { Members.Count: > 0 } ? typed : null, Untyped = reading.Untyped, Malformed = reading.Malformed, Table = Lay(reading.rows) };
    }

    private FactValue? Value(JsonElement value, ArgumentShape? shape, string path)
    {
        if (secrets.Count > 0 && secrets.Contains(Index().Replace(path, ""))) return Withhold(path);
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                if (value.EnumerateObject().MoveNext()) return Object(value, shape is { Kind: ShapeKind.Record } ? shape : null, path);
                rows.Add((path, "{}"));
                return shape is { Kind: ShapeKind.Record } ? new FactValue.Record(new Dictionary<string, FactValue>()) : Unseen();
            case JsonValueKind.Array: return Array(value, shape, path);
            case JsonValueKind.String:
                if (RpcMessage.Text(value) is not { } text)
                {
                    Malformed = true;
                    return Unseen();
                }

                if (Secret().IsMatch(text)) return Withhold(path);
                rows.Add((path, Quoted(text)));
                return shape is { Kind: ShapeKind.String } ? text : Unseen();
            case JsonValueKind.True or JsonValueKind.False:
                rows.Add((path, value.GetBoolean() ? "true" : "false"));
                return shape is { Kind: ShapeKind.Bool } ? value.GetBoolean() : Unseen();
            case JsonValueKind.Number:
                rows.Add((path, value.GetRawText()));
                return shape is { Kind: ShapeKind.Long } && value.TryGetInt64(out var number) ? number : Unseen();
            default:
                rows.Add((path, "null"));
                return Unseen();
        }
    }

    private FactValue.Record? Object(JsonElement value, ArgumentShape? shape, string path)
    {
        var members = new Dictionary<string, FactValue>(StringComparer.Ordinal);
        foreach (var member in value.EnumerateObject())
        {
            var name = Name(member);
            if (Value(member.Value, shape?.Members.GetValueOrDefault(name), path.Length == 0 ? name : $"{path}.{name}") is { } typed) members.Add(name, typed);
        }

        return shape is null ? null : new FactValue.Record(members);
    }

    private FactValue? Array(JsonElement value, ArgumentShape? shape, string path)
    {
        if (value.GetArrayLength() == 0)
        {
            rows.Add((path, "[]"));
            return shape is { Kind: ShapeKind.StringSet } ? FactValue.Of([]) : Unseen();
        }

        var before = Untyped;
        var texts = new List<string>();
        var at = 0;
        var whole = true;
        foreach (var item in value.EnumerateArray())
        {
            if (Value(item, shape is { Kind: ShapeKind.StringSet } ? new ArgumentShape(ShapeKind.String) : null, $"{path}[{at++}]") is FactValue.Text text) texts.Add(text.Value);
            else whole = false;
        }

        if (shape is not { Kind: ShapeKind.StringSet } || !whole) return Unseen();
        Untyped = before;
        return FactValue.Of(texts);
    }

    private string Name(JsonProperty member)
    {
        try
        {
            return member.Name;
        }
        catch (InvalidOperationException)
        {
            Malformed = true;
            return "";
        }
    }

    private FactValue? Withhold(string path)
    {
        rows.Add((path, Mark));
        return Unseen();
    }

    private FactValue? Unseen()
    {
        Untyped = true;
        return null;
    }

    /// <summary>A plain line as it is; what could be taken for something else, or for another row, in quotes or behind a rule on each line.</summary>
    private static string Quoted(string text) =>
        text.Contains('\n', StringComparison.Ordinal) ? string.Join('\n', text.Split('\n').Select(static l => $"│ {l}"))
        : text.Length == 0 || text is Mark or "true" or "false" or "null" or "{}" or "[]" || char.IsWhiteSpace(text[0]) || char.IsWhiteSpace(text[^1]) || text[0] is '"' or '│' || char.IsAsciiDigit(text[0]) || text[0] == '-' ? $"\"{text}\""
        : text;

    private static string Lay(List<(string Path, string Text)> rows)
    {
        if (rows.Count == 0) return "(no arguments)";
        var width = Math.Min(24, rows.Max(static r => r.Path.Length));
        var text = new StringBuilder();
        foreach (var (path, value) in rows)
        {
            if (text.Length > 0) text.Append('\n');

            // No line break in a name passes for a row of its own.
            var label = path.Replace("\r", "␍", StringComparison.Ordinal).Replace("\n", "␊", StringComparison.Ordinal);
            text.Append(label.PadRight(width)).Append("  ").Append(value.Replace("\n", "\n" + new string(' ', width + 2), StringComparison.Ordinal));
        }

        return text.ToString();
    }

    /// <summary>Whether a text holds something that is a credential by its form alone.</summary>
    public static bool HoldsSecret(string text) => Secret().IsMatch(text);

    /// <summary>Places in arrays, which a declared field does not name.</summary>
    [GeneratedRegex(@"\[[0-9]+\]", RegexOptions.CultureInvariant)]
    private static partial Regex Index();

    /// <summary>Credentials that say by their form what they are. A guess that only ever withholds more.</summary>
    [GeneratedRegex("""csk_[0-9a-z]{8}_|gh[pousr]_[A-Za-z0-9]{30}|github_pat_[A-Za-z0-9_]{30}|glpat-[A-Za-z0-9_-]{16}|xox[abprs]-[A-Za-z0-9-]{10}|sk-(?:ant-|proj-)?[A-Za-z0-9_-]{20}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{30}|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.|-----BEGIN [A-Z ]*PRIVATE KEY-----""", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking)]
    private static partial Regex Secret();
}
