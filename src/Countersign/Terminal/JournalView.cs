using System.Globalization;
using System.Text.Json;
using Countersign.Api;
using Countersign.Core;

namespace Countersign.Terminal;

/// <summary>A journal entry on one line: index, time, type, what it is about, and its leaf hash.</summary>
internal static class JournalView
{
    public static string Line(JournalLine line)
    {
        if (line.Entry is not { } entry) return $"[grey]{line.Index,6}[/]  [red]not an entry[/]";
        var time = DateTimeOffset.TryParse(Text(entry, "time"), CultureInfo.InvariantCulture, out var at) ? Shown.Clock(at) : "--:--:--";
        var type = Text(entry, "type") ?? "?";
        return $"[grey]{line.Index,6}  {time}[/]  {Colour(type, entry)}  {About(entry, line.Body)}  [grey]{line.LeafHash[..Math.Min(10, line.LeafHash.Length)]}[/]";
    }

    private static string Colour(string type, JsonElement entry)
    {
        var colour = (type, Text(entry, "verdict") ?? Text(entry, "decision") ?? Text(entry, "status")) switch
        {
            ("action", "deny") or ("refused" or "answer-refused" or "review-denied" or "review-expired" or "policy-refused" or "uncertain", _) or ("answer", "deny") or ("outcome", "failed") => "red",
            ("review-opened" or "review-reopened" or "approvals-voided", _) or ("outcome", "unknown") => "yellow",
            ("answer" or "review-approved" or "released" or "outcome", _) => "green",
            _ => "default",
        };
        return $"[{colour}]{Shown.Line(type),-16}[/]";
    }

    /// <summary>The words that tell most, in the order in which they are read.</summary>
    private static string About(JsonElement entry, JsonElement? body)
    {
        var words = new List<string>();
        Add("verdict", "[bold]{0}[/]");
        Add("decision", "[bold]{0}[/]");
        Add("status", "[bold]{0}[/]");
        if (Text(entry, "rows") is { } rows) words.Add($"{Shown.Line(rows)} {(rows == "1" ? "row" : "rows")}");
        Add("reason", "{0}");
        Add("review", "[grey]{0}[/]");
        if (body is { ValueKind: JsonValueKind.Object } b)
        {
            var said = Text(b, "statement") is { } statement && entry.TryGetProperty("statementSha256", out _) ? $"by {Text(b, "name")}"
                : Text(b, "statement") is { } sql ? CardView.OneLine(sql, 72)
                : Text(b, "text") ?? Text(b, "name");
            if (said is not null) words.Add(Shown.Line(CardView.OneLine(said, 72)));
        }

        return string.Join(" ", words);

        void Add(string name, string format)
        {
            if (Text(entry, name) is { } text) words.Add(string.Format(CultureInfo.InvariantCulture, format, Shown.Line(text)));
        }
    }

    private static string? Text(JsonElement element, string name) => element.TryGetProperty(name, out var value)
        ? value.ValueKind switch { JsonValueKind.String => value.GetString(), JsonValueKind.Number => value.GetRawText(), _ => null }
        : null;
}
