using System.Globalization;
using System.Text.Json;
using Countersign.Api;
using Countersign.Core;

namespace Countersign.Terminal;

/// <summary>A journal entry on one line: index, time, type, what it is about, and its leaf hash.</summary>
internal static class JournalView
{
    private const int HashLength = 10;
    private const int TypeWidth = 16;

    /// <param name="line">The entry.</param>
    /// <param name="width">Columns that there are; what an entry is about is cut to fit, for the journal itself holds it whole.</param>
    public static string Line(JournalLine line, int width)
    {
        if (line.Entry is not { } entry) return $"[grey]{line.Index,6}[/]  [red]not an entry[/]";
        var time = DateTimeOffset.TryParse(Text(entry, "time"), CultureInfo.InvariantCulture, out var at) ? Shown.Clock(at) : "--:--:--";
        var type = Text(entry, "type") ?? "?";
        var room = width - (6 + 2 + 8 + 2 + Math.Max(TypeWidth, type.Length) + 2 + 2 + HashLength + 1);
        return $"[grey]{line.Index,6}  {time}[/]  {Colour(type, entry)}  {About(entry, line.Body, room)}  [grey]{line.LeafHash[..Math.Min(HashLength, line.LeafHash.Length)]}[/]";
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
        return $"[{colour}]{Shown.Line(type),-TypeWidth}[/]";
    }

    /// <summary>The words that tell most, in the order in which they are read.</summary>
    private static string About(JsonElement entry, JsonElement? body, int room)
    {
        var words = new List<string>();
        Add(Text(entry, "verdict"), "[bold]", "[/]");
        Add(Text(entry, "decision"), "[bold]", "[/]");
        Add(Text(entry, "status"), "[bold]", "[/]");
        if (Text(entry, "rows") is { } rows) Add($"{rows} {(rows == "1" ? "row" : "rows")}");
        Add(Text(entry, "reason") is var reason && (reason == ReasonCodes.Permitted || reason == Text(entry, "type")) ? null : reason);
        Add(Text(entry, "review"), "[grey]", "[/]");
        if (body is { ValueKind: JsonValueKind.Object } b)
        {
            Add(Text(b, "statement") is { } && entry.TryGetProperty("statementSha256", out _) ? $"by {Text(b, "name")}" : Text(b, "statement") ?? Text(b, "text") ?? Text(b, "name"));
        }

        return string.Join(' ', words);

        void Add(string? text, string before = "", string after = "")
        {
            if (text is null || room < 4) return;
            var cut = CardView.OneLine(text, Math.Min(room, 90));
            room -= cut.Length + 1;
            words.Add($"{before}{Shown.Line(cut)}{after}");
        }
    }

    private static string? Text(JsonElement element, string name) => element.TryGetProperty(name, out var value)
        ? value.ValueKind switch { JsonValueKind.String => value.GetString(), JsonValueKind.Number => value.GetRawText(), _ => null }
        : null;
}
