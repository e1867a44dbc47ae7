using System.Text.Json;

namespace Countersign.Identity.Passkeys;

/// <summary>What the browser says was asked of the authenticator, and by which page (WebAuthn level 3 §5.8.1). Pure.</summary>
internal sealed record ClientData(string Type, string Challenge, string Origin, bool Embedded)
{
    /// <summary>Null when it is malformed. Members that mean nothing here are passed over: browsers add some on purpose.</summary>
    public static ClientData? Read(ReadOnlyMemory<byte> utf8)
    {
        if (utf8.Length is 0 or > PasskeyLimits.LongestClientData) return null;
        try
        {
            using var json = JsonDocument.Parse(utf8, new JsonDocumentOptions { MaxDepth = 8, AllowDuplicateProperties = false });
            var root = json.RootElement;
            if (Text(root, "type") is not { } type || Text(root, "challenge") is not { } challenge || Text(root, "origin") is not { } origin) return null;
            var cross = root.TryGetProperty("crossOrigin", out var said) && said.ValueKind != JsonValueKind.False;
            return new ClientData(type, challenge, origin, cross || root.TryGetProperty("topOrigin", out _));
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    private static string? Text(JsonElement root, string name) => root.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
