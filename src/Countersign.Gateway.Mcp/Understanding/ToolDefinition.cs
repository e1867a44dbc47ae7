using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Countersign.Gateway.Mcp.Wire;

namespace Countersign.Gateway.Mcp.Understanding;

/// <summary>
/// A tool as its server defines it. The hash is over all of it, in one order of its members and one spelling of its texts, so that it
/// changes when the definition does and not when the server writes it otherwise.
/// </summary>
internal sealed class ToolDefinition
{
    /// <summary>What our own tools are called; a server's tool of such a name is never shown or called.</summary>
    public const string OwnPrefix = "countersign_";

    private const int LongestName = 128;

    private static readonly JsonWriterOptions Compact = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly JsonWriterOptions Lines = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, Indented = true, NewLine = "\n" };

    private ToolDefinition(string name, JsonElement element, byte[] canonical)
    {
        Name = name;
        Element = element;
        Sha256 = Convert.ToHexStringLower(SHA256.HashData(canonical));
    }

    public string Name { get; }

    public JsonElement Element { get; }

    /// <summary>64 hex characters.</summary>
    public string Sha256 { get; }

    /// <summary>As people read it, and as two of them are compared line by line.</summary>
    public string Text => Encoding.UTF8.GetString(Write(Element, Lines));

    /// <summary>Null: not a tool, or one whose name can not be shown and written without doubt.</summary>
    public static ToolDefinition? Read(JsonElement element, int longest)
    {
        if (RpcMessage.Text(element, "name") is not { } name || !IsName(name) || name.StartsWith(OwnPrefix, StringComparison.OrdinalIgnoreCase)) return null;
        try
        {
            var canonical = Write(element, Compact);
            return canonical.Length <= longest ? new ToolDefinition(name, element, canonical) : null;
        }
        catch (InvalidOperationException)
        {
            return null; // a text in it has no UTF-8
        }
    }

    /// <summary>A definition that was kept as text.</summary>
    public static ToolDefinition? Parse(string text) => RpcMessage.Json(Encoding.UTF8.GetBytes(text)) is { } element ? Read(element, int.MaxValue) : null;

    /// <summary>Printable ASCII without spaces, quotes and backslashes: nothing that looks like something else, in a policy or on a card.</summary>
    public static bool IsName(string name) => name.Length is > 0 and <= LongestName && name.All(static c => c is > ' ' and <= '~' and not ('"' or '\'' or '\\' or '`'));

    private static byte[] Write(JsonElement element, JsonWriterOptions options)
    {
        using var stream = new MemoryStream();
        using (var w = new Utf8JsonWriter(stream, options)) Write(w, element);
        return stream.ToArray();
    }

    private static void Write(Utf8JsonWriter w, JsonElement value)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                w.WriteStartObject();
                foreach (var member in value.EnumerateObject().OrderBy(static m => m.Name, StringComparer.Ordinal))
                {
                    w.WritePropertyName(member.Name);
                    Write(w, member.Value);
                }

                w.WriteEndObject();
                break;
            case JsonValueKind.Array:
                w.WriteStartArray();
                foreach (var item in value.EnumerateArray()) Write(w, item);
                w.WriteEndArray();
                break;
            case JsonValueKind.String: w.WriteStringValue(value.GetString()); break;
            default: value.WriteTo(w); break;
        }
    }
}
