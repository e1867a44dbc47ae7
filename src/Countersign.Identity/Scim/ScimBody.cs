using System.Text.Json;

namespace Countersign.Identity.Scim;

/// <summary>Reads what identity providers send, which is not always what RFC 7643 asks of them.</summary>
internal static class ScimBody
{
    private const string UserSchema = "urn:ietf:params:scim:schemas:core:2.0:User:";
    private const string GroupSchema = "urn:ietf:params:scim:schemas:core:2.0:Group:";
    private const int MaxText = 255;

    /// <summary>Members by lower-case name, since attribute names are not case-sensitive (RFC 7643 §2.1). Two of one name are ambiguous, and refused.</summary>
    public static Dictionary<string, JsonElement> Members(JsonElement body)
    {
        if (body.ValueKind != JsonValueKind.Object) throw Invalid("invalidSyntax", "an object is expected");
        var members = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        foreach (var member in body.EnumerateObject())
        {
            if (!members.TryAdd(Attribute(member.Name), member.Value)) throw Invalid("invalidSyntax", "an attribute is given twice");
        }

        return members;
    }

    /// <summary>An attribute's name without the schema that it may carry in front.</summary>
    public static string Attribute(string name)
    {
        foreach (var schema in new[] { UserSchema, GroupSchema })
        {
            if (name.StartsWith(schema, StringComparison.OrdinalIgnoreCase)) return name[schema.Length..].ToLowerInvariant();
        }

        return name.ToLowerInvariant();
    }

    public static string? Text(JsonElement value, string what)
    {
        if (value.ValueKind == JsonValueKind.Null) return null;
        if (JsonText.Of(value) is not { Length: <= MaxText } text || text.Any(char.IsControl)) throw Invalid("invalidValue", $"`{what}` is a text of at most {MaxText} characters");
        return text;
    }

    public static string RequiredText(JsonElement value, string what) =>
        Text(value, what) is { Length: > 0 } text ? text : throw Invalid("invalidValue", $"`{what}` is required");

    /// <summary>Entra sends `"False"` for false. Nothing else is taken for either.</summary>
    public static bool Flag(JsonElement value, string what) => value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.String when string.Equals(JsonText.Of(value), "true", StringComparison.OrdinalIgnoreCase) => true,
        JsonValueKind.String when string.Equals(JsonText.Of(value), "false", StringComparison.OrdinalIgnoreCase) => false,
        _ => throw Invalid("invalidValue", $"`{what}` is true or false"),
    };

    /// <summary>Ids of members: `[{"value": id}]`, or one of them.</summary>
    public static string[] MemberIds(JsonElement value)
    {
        var items = value.ValueKind switch
        {
            JsonValueKind.Array => value.EnumerateArray().ToArray(),
            JsonValueKind.Object => [value],
            JsonValueKind.Null => [],
            _ => throw Invalid("invalidValue", "`members` is a list of objects with `value`"),
        };
        if (items.Length > ScimService.MaxMembers) throw Invalid("tooMany", "too many members in one request");
        return items.Select(static i => Members(i).TryGetValue("value", out var id) ? RequiredText(id, "members.value") : throw Invalid("invalidValue", "a member has no `value`")).Distinct(StringComparer.Ordinal).ToArray();
    }

    /// <summary>The operations of a PATCH (RFC 7644 §3.5.2), `op` in lower case.</summary>
    public static IEnumerable<(string Op, string? Path, JsonElement? Value)> Operations(JsonElement body)
    {
        if (!Members(body).TryGetValue("operations", out var operations) || operations.ValueKind != JsonValueKind.Array || operations.GetArrayLength() is 0 or > ScimService.MaxOperations)
        {
            throw Invalid("invalidSyntax", $"`Operations` is a list of 1 to {ScimService.MaxOperations}");
        }

        foreach (var operation in operations.EnumerateArray())
        {
            var members = Members(operation);
            var op = members.TryGetValue("op", out var o) ? JsonText.Of(o)?.ToLowerInvariant() ?? "" : "";
            if (op is not ("add" or "replace" or "remove")) throw Invalid("invalidSyntax", "`op` is add, replace or remove");
            var path = members.TryGetValue("path", out var p) && p.ValueKind != JsonValueKind.Null ? RequiredText(p, "path") : null;
            JsonElement? value = members.TryGetValue("value", out var v) ? v : null;
            if (op != "remove" && value is null) throw Invalid("invalidValue", "`value` is missing");
            if (op == "remove" && path is null) throw Invalid("noTarget", "`path` is missing");
            yield return (op, path, value);
        }
    }

    public static ScimException Invalid(string type, string detail) => new(400, type, detail);
}
