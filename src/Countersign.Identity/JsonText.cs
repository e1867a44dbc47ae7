using System.Text.Json;

namespace Countersign.Identity;

/// <summary>
/// Text that others wrote. JSON can spell half a surrogate (`"\ud800"`), which is no text: the framework throws when it is
/// asked for, and whoever sent it must be refused, not make us fail.
/// </summary>
internal static class JsonText
{
    /// <summary>Null for what is not text.</summary>
    public static string? Of(JsonElement value)
    {
        try
        {
            return value.ValueKind == JsonValueKind.String ? value.GetString() : null;
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    /// <summary>The document, if it is an object with members of names that are text and each there once; else null.</summary>
    public static JsonElement? Object(ReadOnlyMemory<byte> json, int depth)
    {
        try
        {
            using var document = JsonDocument.Parse(json, new JsonDocumentOptions { AllowDuplicateProperties = false, MaxDepth = depth });
            return document.RootElement.ValueKind == JsonValueKind.Object ? document.RootElement.Clone() : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException)
        {
            return null;
        }
    }
}
