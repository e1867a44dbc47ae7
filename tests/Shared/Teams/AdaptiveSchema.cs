using System.Text;
using System.Text.Json;

namespace Countersign.Tests.Teams;

/// <summary>
/// Adaptive Cards 1.5 as Teams takes them: the elements and actions that this bot uses, with every member that the schema
/// knows for them and no other. What is not here is refused, so that a misspelt member is a failed test and not a card
/// that a client drops in silence.
/// </summary>
internal static class AdaptiveSchema
{
    /// <summary>What Teams takes of one message with its attachments.</summary>
    public const int MessageBytes = 28 << 10;

    /// <summary>People whose view may be refreshed by itself.</summary>
    public const int RefreshUsers = 60;

    private static readonly string[] Common = ["type", "id", "isVisible", "separator", "spacing", "height", "fallback", "requires"];

    private static readonly Dictionary<string, string[]> Elements = new(StringComparer.Ordinal)
    {
        ["TextBlock"] = ["text", "color", "fontType", "horizontalAlignment", "isSubtle", "maxLines", "size", "weight", "wrap", "style"],
        ["RichTextBlock"] = ["inlines", "horizontalAlignment"],
        ["Container"] = ["items", "style", "bleed", "verticalContentAlignment", "minHeight", "rtl", "selectAction"],
        ["ColumnSet"] = ["columns", "style", "bleed", "minHeight", "horizontalAlignment"],
        ["FactSet"] = ["facts"],
        ["Input.Text"] = ["label", "isMultiline", "maxLength", "placeholder", "value", "isRequired", "errorMessage", "regex", "style"],
        ["ActionSet"] = ["actions"],
    };

    private static readonly string[] RunMembers = ["type", "text", "color", "fontType", "highlight", "isSubtle", "italic", "size", "strikethrough", "underline", "weight"];

    private static readonly Dictionary<string, string[]> Actions = new(StringComparer.Ordinal)
    {
        ["Action.Execute"] = ["type", "id", "title", "verb", "data", "associatedInputs", "style", "tooltip", "isEnabled", "mode", "iconUrl", "fallback", "requires"],
        ["Action.OpenUrl"] = ["type", "id", "title", "url", "style", "tooltip", "isEnabled", "mode", "iconUrl", "fallback", "requires"],
        ["Action.ShowCard"] = ["type", "id", "title", "card", "style", "tooltip", "isEnabled", "mode", "iconUrl", "fallback", "requires"],
    };

    private static readonly Dictionary<string, string[]> Words = new(StringComparer.Ordinal)
    {
        ["color"] = ["default", "dark", "light", "accent", "good", "warning", "attention"],
        ["size"] = ["default", "small", "medium", "large", "extraLarge"],
        ["weight"] = ["default", "lighter", "bolder"],
        ["fontType"] = ["default", "monospace"],
        ["spacing"] = ["default", "none", "small", "medium", "large", "extraLarge", "padding"],
        ["mode"] = ["primary", "secondary"],
    };

    /// <summary>What is wrong with a card; empty for nothing.</summary>
    public static IReadOnlyList<string> Faults(JsonElement card)
    {
        var faults = new List<string>();
        Card(card, "", inner: false, faults);
        return faults;
    }

    private static void Card(JsonElement card, string at, bool inner, List<string> faults)
    {
        Members(card, at, inner ? ["type", "version", "body", "actions", "$schema", "style", "fallbackText"] : ["type", "version", "body", "actions", "$schema", "refresh", "msteams", "speak", "fallbackText", "lang", "rtl"], faults);
        if (Text(card, "type") != "AdaptiveCard") faults.Add($"{at}/type is not AdaptiveCard");
        if (!inner && Text(card, "version") != "1.5") faults.Add($"{at}/version is not 1.5");
        foreach (var (element, i) in Items(card, "body", at, faults)) Element(element, $"{at}/body/{i}", faults);
        foreach (var (action, i) in Items(card, "actions", at, faults)) Action(action, $"{at}/actions/{i}", faults);
        if (!inner && Items(card, "actions", at, faults).Count() > 6) faults.Add($"{at}/actions: more than six");
        if (!card.TryGetProperty("refresh", out var refresh)) return;
        Members(refresh, $"{at}/refresh", ["action", "userIds", "expires"], faults);
        Action(refresh.GetProperty("action"), $"{at}/refresh/action", faults);
        if (Text(refresh.GetProperty("action"), "type") != "Action.Execute") faults.Add($"{at}/refresh/action is not Action.Execute");
        var users = Items(refresh, "userIds", at, faults).ToArray();
        if (users.Length > RefreshUsers) faults.Add($"{at}/refresh/userIds: more than {RefreshUsers}");
        if (users.Any(static u => u.Item.ValueKind != JsonValueKind.String || u.Item.GetString()!.Length == 0)) faults.Add($"{at}/refresh/userIds: not a name");
    }

    private static void Element(JsonElement element, string at, List<string> faults)
    {
        var type = Text(element, "type");
        if (type is null || !Elements.TryGetValue(type, out var members))
        {
            faults.Add($"{at}: no element `{type}`");
            return;
        }

        Members(element, at, [.. Common, .. members], faults);
        switch (type)
        {
            case "TextBlock":
                NotEmpty(element, "text", at, faults);
                break;
            case "RichTextBlock":
                var any = false;
                foreach (var (run, i) in Items(element, "inlines", at, faults))
                {
                    any = true;
                    Members(run, $"{at}/inlines/{i}", RunMembers, faults);
                    if (Text(run, "type") != "TextRun") faults.Add($"{at}/inlines/{i} is no TextRun");
                    NotEmpty(run, "text", $"{at}/inlines/{i}", faults);
                }

                if (!any) faults.Add($"{at}/inlines is empty");
                break;
            case "Container":
                foreach (var (item, i) in Items(element, "items", at, faults)) Element(item, $"{at}/items/{i}", faults);
                break;
            case "ColumnSet":
                foreach (var (column, i) in Items(element, "columns", at, faults))
                {
                    Members(column, $"{at}/columns/{i}", [.. Common, "items", "width", "style", "bleed", "verticalContentAlignment", "minHeight"], faults);
                    foreach (var (item, j) in Items(column, "items", at, faults)) Element(item, $"{at}/columns/{i}/items/{j}", faults);
                }

                break;
            case "FactSet":
                foreach (var (fact, i) in Items(element, "facts", at, faults))
                {
                    Members(fact, $"{at}/facts/{i}", ["title", "value"], faults);
                    NotEmpty(fact, "title", $"{at}/facts/{i}", faults);
                    NotEmpty(fact, "value", $"{at}/facts/{i}", faults);
                }

                break;
            case "Input.Text":
                NotEmpty(element, "id", at, faults);
                if (element.TryGetProperty("isRequired", out var required) && required.GetBoolean()) NotEmpty(element, "errorMessage", at, faults);
                break;
            case "ActionSet":
                foreach (var (action, i) in Items(element, "actions", at, faults)) Action(action, $"{at}/actions/{i}", faults);
                break;
        }
    }

    private static void Action(JsonElement action, string at, List<string> faults)
    {
        var type = Text(action, "type");
        if (type is null || !Actions.TryGetValue(type, out var members))
        {
            faults.Add($"{at}: no action `{type}`"); // Action.Submit among them: it is answered by nobody
            return;
        }

        Members(action, at, members, faults);
        NotEmpty(action, "title", at, faults);
        switch (type)
        {
            case "Action.Execute":
                NotEmpty(action, "verb", at, faults);
                break;
            case "Action.OpenUrl":
                if (!Uri.TryCreate(Text(action, "url"), UriKind.Absolute, out var url) || url.Scheme is not ("https" or "http")) faults.Add($"{at}/url is no address");
                break;
            case "Action.ShowCard":
                Card(action.GetProperty("card"), $"{at}/card", inner: true, faults);
                break;
        }
    }

    private static void Members(JsonElement at, string path, string[] known, List<string> faults)
    {
        if (at.ValueKind != JsonValueKind.Object)
        {
            faults.Add($"{path} is no object");
            return;
        }

        foreach (var member in at.EnumerateObject())
        {
            if (!known.Contains(member.Name, StringComparer.Ordinal)) faults.Add($"{path}/{member.Name} is not in the schema");
            if (Words.TryGetValue(member.Name, out var words) && (member.Value.ValueKind != JsonValueKind.String || !words.Contains(member.Value.GetString(), StringComparer.OrdinalIgnoreCase))) faults.Add($"{path}/{member.Name}: `{member.Value}`");
        }
    }

    private static void NotEmpty(JsonElement at, string name, string path, List<string> faults)
    {
        if (string.IsNullOrEmpty(Text(at, name))) faults.Add($"{path}/{name} is missing or empty");
    }

    private static IEnumerable<(JsonElement Item, int Index)> Items(JsonElement at, string name, string path, List<string> faults)
    {
        if (!at.TryGetProperty(name, out var items)) return [];
        if (items.ValueKind == JsonValueKind.Array) return items.EnumerateArray().Select(static (item, i) => (item, i)).ToArray();
        faults.Add($"{path}/{name} is no list");
        return [];
    }

    private static string? Text(JsonElement at, string name) => at.ValueKind == JsonValueKind.Object && at.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    public static int Bytes(JsonElement message) => Encoding.UTF8.GetByteCount(message.GetRawText());
}
