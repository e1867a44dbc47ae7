using System.Text;
using System.Text.Json.Nodes;
using Countersign.Channels.Cards;

namespace Countersign.Channels.Teams;

/// <summary>
/// Pieces of an Adaptive Card 1.5. A `TextBlock` is Markdown and may mention people, so it carries our own words and nothing
/// else; whatever comes from an agent, a policy or a directory stands in a `TextRun`, which the schema defines as plain text
/// (P34). Texts come here made visible (I10).
/// </summary>
internal static class CardParts
{
    private const char NoBreak = '\u00a0'; // in a payload it would be written out, so this one is always ours

    public static JsonObject Words(string literal, string? size = null, string? weight = null, string? color = null, bool subtle = false, string? spacing = null)
    {
        var block = new JsonObject { ["type"] = "TextBlock", ["text"] = literal, ["wrap"] = true };
        if (size is not null) block["size"] = size;
        if (weight is not null) block["weight"] = weight;
        if (color is not null) block["color"] = color;
        if (subtle) block["isSubtle"] = true;
        if (spacing is not null) block["spacing"] = spacing;
        return block;
    }

    public static JsonObject Rich(string? spacing, params IEnumerable<JsonObject> runs)
    {
        var block = new JsonObject { ["type"] = "RichTextBlock", ["inlines"] = new JsonArray(runs.ToArray<JsonNode>()) };
        if (spacing is not null) block["spacing"] = spacing;
        return block;
    }

    /// <summary>Text of anybody's, one line.</summary>
    public static JsonObject Run(string text, bool bold = false, bool subtle = false, bool mono = false, bool italic = false, string? color = null, string? size = null)
    {
        var run = new JsonObject { ["type"] = "TextRun", ["text"] = Line(text) };
        if (bold) run["weight"] = "Bolder";
        if (subtle) run["isSubtle"] = true;
        if (mono) run["fontType"] = "Monospace";
        if (italic) run["italic"] = true;
        if (color is not null) run["color"] = color;
        if (size is not null) run["size"] = size;
        return run;
    }

    /// <summary>
    /// A text as it is, line by line: a run would join its lines, and what stands behind a comment would seem to be one.
    /// </summary>
    public static JsonObject Verbatim(string text)
    {
        var items = new JsonArray();
        foreach (var line in text.Split('\n'))
        {
            items.Add(Rich(items.Count == 0 ? null : "None", Run(line.Length == 0 ? NoBreak.ToString() : line, mono: true)));
        }

        return new JsonObject { ["type"] = "Container", ["style"] = "emphasis", ["bleed"] = true, ["items"] = items };
    }

    public static JsonObject Execute(string title, string verb, JsonObject data, string? style = null)
    {
        var action = new JsonObject { ["type"] = "Action.Execute", ["title"] = title, ["verb"] = verb, ["data"] = data };
        if (style is not null) action["style"] = style;
        return action;
    }

    public static JsonObject Open(string title, Uri url) => new() { ["type"] = "Action.OpenUrl", ["title"] = title, ["url"] = url.AbsoluteUri };

    /// <summary>
    /// One line in which spaces stay where they are: clients join several, and drop those in front. The text of a card has been
    /// through VisibleText; what that leaves of control characters is written out here.
    /// </summary>
    public static string Line(string text)
    {
        if (text.Length == 1 && text[0] == NoBreak) return text;
        var indent = text.AsSpan().IndexOfAnyExcept(' ', '\t') is >= 0 and var first ? first : text.Length;
        var visible = text[..indent].Replace("\t", "    ", StringComparison.Ordinal) + OneLine.Of(text[indent..]);
        if (!visible.StartsWith(' ') && !visible.Contains("  ", StringComparison.Ordinal)) return visible.Length == 0 ? NoBreak.ToString() : visible;
        var result = new StringBuilder(visible.Length);
        for (var i = 0; i < visible.Length; i++)
        {
            result.Append(visible[i] == ' ' && (i == 0 || visible[i - 1] == ' ') ? NoBreak : visible[i]);
        }

        return result.ToString();
    }
}
