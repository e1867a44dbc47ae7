using System.Text.Json;

namespace Countersign.Tests.Slack;

/// <summary>
/// Whether Slack would take these blocks: the counts, lengths and required fields of the public Block Kit reference. Throws
/// what Slack would answer.
/// </summary>
internal static class BlockKit
{
    internal sealed class Refused(string error, string detail) : Exception($"{error}: {detail}")
    {
        public string Error { get; } = error;
    }

    private const int MessageBlocks = 50;
    private const int ModalBlocks = 100;

    /// <summary>All texts of a message's blocks together; beyond it Slack says `msg_blocks_too_long`.</summary>
    private const int AllText = 13_000;

    public static void Message(JsonElement blocks)
    {
        if (blocks.ValueKind != JsonValueKind.Array || blocks.GetArrayLength() is 0 or > MessageBlocks) throw Bad("between 1 and 50 blocks");
        foreach (var block in blocks.EnumerateArray()) Block(block, modal: false);
        if (TextOf(blocks).Sum(static t => t.Length) > AllText) throw new Refused("msg_blocks_too_long", "too much text");
    }

    public static void View(JsonElement view)
    {
        if (Text(view, "type") != "modal") throw Bad("type of a view");
        PlainText(view.GetProperty("title"), 24);
        if (view.TryGetProperty("submit", out var submit)) PlainText(submit, 24);
        if (view.TryGetProperty("close", out var close)) PlainText(close, 24);
        if (view.TryGetProperty("private_metadata", out var carried) && carried.GetString()!.Length > 3000) throw Bad("private_metadata");
        if (view.TryGetProperty("callback_id", out var callback) && callback.GetString()!.Length > 255) throw Bad("callback_id");
        var blocks = view.GetProperty("blocks");
        if (blocks.GetArrayLength() > ModalBlocks) throw Bad("blocks of a view");
        var input = false;
        foreach (var block in blocks.EnumerateArray())
        {
            Block(block, modal: true);
            input |= Text(block, "type") == "input";
        }

        if (input && !view.TryGetProperty("submit", out _)) throw Bad("a view with an input needs `submit`");
    }

    /// <summary>Every text that a person could read in this.</summary>
    public static IEnumerable<string> TextOf(JsonElement json)
    {
        switch (json.ValueKind)
        {
            case JsonValueKind.Array:
                return json.EnumerateArray().SelectMany(TextOf);
            case JsonValueKind.Object:
                return json.EnumerateObject().SelectMany(static p => p is { Name: "text", Value.ValueKind: JsonValueKind.String } ? [p.Value.GetString()!] : p.Value.ValueKind is JsonValueKind.Array or JsonValueKind.Object ? TextOf(p.Value) : []);
            default:
                return [];
        }
    }

    public static IEnumerable<JsonElement> Buttons(JsonElement blocks) =>
        blocks.EnumerateArray().Where(static b => Text(b, "type") == "actions").SelectMany(static b => b.GetProperty("elements").EnumerateArray());

    private static void Block(JsonElement block, bool modal)
    {
        if (block.TryGetProperty("block_id", out var id) && id.GetString() is not { Length: > 0 and <= 255 }) throw Bad("block_id");
        switch (Text(block, "type"))
        {
            case "header":
                Only(block, "type", "block_id", "text");
                PlainText(block.GetProperty("text"), 150);
                break;
            case "section":
                Only(block, "type", "block_id", "text", "fields", "accessory", "expand");
                TextObject(block.GetProperty("text"), 3000);
                break;
            case "context":
                Only(block, "type", "block_id", "elements");
                Count(block, 10);
                foreach (var element in block.GetProperty("elements").EnumerateArray()) TextObject(element, 3000);
                break;
            case "actions":
                Only(block, "type", "block_id", "elements");
                Count(block, 25);
                foreach (var element in block.GetProperty("elements").EnumerateArray()) Button(element);
                var ids = block.GetProperty("elements").EnumerateArray().Select(static e => Text(e, "action_id")).ToArray();
                if (ids.Distinct(StringComparer.Ordinal).Count() != ids.Length) throw Bad("action_id twice in a block");
                break;
            case "input" when modal:
                Only(block, "type", "block_id", "label", "element", "hint", "optional", "dispatch_action");
                PlainText(block.GetProperty("label"), 2000);
                if (block.TryGetProperty("hint", out var hint)) PlainText(hint, 2000);
                var input = block.GetProperty("element");
                if (Text(input, "type") != "plain_text_input" || Text(input, "action_id") is not { Length: > 0 and <= 255 }) throw Bad("element of an input");
                if (input.TryGetProperty("max_length", out var max) && max.GetInt32() is < 1 or > 3000) throw Bad("max_length");
                break;
            case "divider":
                break;
            case "rich_text":
                Only(block, "type", "block_id", "elements");
                Count(block, 1000);
                foreach (var element in block.GetProperty("elements").EnumerateArray()) Rich(element);
                break;
            case var other:
                throw Bad($"no block `{other}` here");
        }
    }

    private static void Rich(JsonElement element)
    {
        switch (Text(element, "type"))
        {
            case "rich_text_section":
            case "rich_text_quote":
            case "rich_text_preformatted":
                Count(element, 1000);
                foreach (var inner in element.GetProperty("elements").EnumerateArray())
                {
                    switch (Text(inner, "type"))
                    {
                        case "text":
                            Only(inner, "type", "text", "style");
                            if (Text(inner, "text") is not { Length: > 0 }) throw Bad("an empty text");
                            if (inner.TryGetProperty("style", out var style)) Only(style, "bold", "italic", "strike", "code");
                            break;
                        case "date":
                            if (inner.GetProperty("timestamp").GetInt64() <= 0 || Text(inner, "format") is not { Length: > 0 }) throw Bad("date");
                            break;
                        case var other:
                            throw Bad($"`{other}` in rich text: our cards make no mention and no link");
                    }
                }

                break;
            case "rich_text_list":
                if (Text(element, "style") is not ("bullet" or "ordered")) throw Bad("style of a list");
                Count(element, 1000);
                foreach (var item in element.GetProperty("elements").EnumerateArray())
                {
                    if (Text(item, "type") != "rich_text_section") throw Bad("items of a list are sections");
                    Rich(item);
                }

                break;
            case var other:
                throw Bad($"no `{other}` in rich text");
        }
    }

    private static void Button(JsonElement button)
    {
        Only(button, "type", "action_id", "text", "value", "url", "style", "confirm", "accessibility_label");
        if (Text(button, "type") != "button" || Text(button, "action_id") is not { Length: > 0 and <= 255 }) throw Bad("button");
        PlainText(button.GetProperty("text"), 75);
        if (button.TryGetProperty("value", out var value) && value.GetString() is not { Length: > 0 and <= 2000 }) throw Bad("value of a button");
        if (button.TryGetProperty("url", out var url) && url.GetString() is not { Length: > 0 and <= 3000 }) throw Bad("url of a button");
        if (button.TryGetProperty("style", out var style) && style.GetString() is not ("primary" or "danger")) throw Bad("style of a button");
    }

    private static void TextObject(JsonElement text, int max)
    {
        if (Text(text, "type") == "plain_text") PlainText(text, max);
        else if (Text(text, "type") != "mrkdwn" || Text(text, "text") is not { Length: > 0 } said || said.Length > max) throw Bad("a text");
    }

    private static void PlainText(JsonElement text, int max)
    {
        Only(text, "type", "text", "emoji");
        if (Text(text, "type") != "plain_text" || Text(text, "text") is not { Length: > 0 } said) throw Bad("plain text");
        if (said.Length > max) throw Bad($"plain text of {said.Length} characters, {max} are allowed");
    }

    private static void Count(JsonElement block, int max)
    {
        if (!block.TryGetProperty("elements", out var elements) || elements.ValueKind != JsonValueKind.Array || elements.GetArrayLength() == 0 || elements.GetArrayLength() > max) throw Bad($"1 to {max} elements");
    }

    private static void Only(JsonElement json, params string[] names)
    {
        foreach (var property in json.EnumerateObject())
        {
            if (!names.Contains(property.Name, StringComparer.Ordinal) || property.Value.ValueKind == JsonValueKind.Null) throw Bad($"`{property.Name}` has no place here");
        }
    }

    private static string? Text(JsonElement json, string name) => json.ValueKind == JsonValueKind.Object && json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static Refused Bad(string detail) => new("invalid_blocks", detail);
}
