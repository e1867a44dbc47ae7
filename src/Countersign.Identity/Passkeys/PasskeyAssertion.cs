using System.Buffers.Text;
using System.Text.Json;
using Countersign.Core;

namespace Countersign.Identity.Passkeys;

/// <summary>
/// What an authenticator gave when it was asked to sign (WebAuthn level 3 §5.2.2), as it came and not yet believed. Every
/// text form of it is base64url without padding. Pure.
/// </summary>
/// <param name="CredentialId">Which passkey it says that it is.</param>
/// <param name="AuthenticatorData">Hash of the RP id, flags, counter.</param>
/// <param name="ClientData">The browser's JSON: what was asked, where.</param>
/// <param name="Signature">Over the authenticator data and the hash of the client data.</param>
public sealed record PasskeyAssertion(byte[] CredentialId, byte[] AuthenticatorData, byte[] ClientData, byte[] Signature)
{
    /// <summary>Reads the form that pages and entries have; null when it is none.</summary>
    public static PasskeyAssertion? Read(string? json)
    {
        if (json is not { Length: > 0 and <= 64 << 10 }) return null;
        try
        {
            using var document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 2, AllowDuplicateProperties = false });
            return Read(document.RootElement);
        }
        catch (Exception e) when (e is JsonException or ArgumentException)
        {
            return null;
        }
    }

    /// <summary>The same of what was parsed already. Members that it does not know are passed over.</summary>
    public static PasskeyAssertion? Read(JsonElement json) => json.ValueKind == JsonValueKind.Object
        ? Of(Text(json, "credentialId"), Text(json, "authenticatorData"), Text(json, "clientData"), Text(json, "signature"))
        : null;

    /// <summary>From its parts; null when one of them is missing, no base64url, or too long.</summary>
    public static PasskeyAssertion? Of(string? credentialId, string? authenticatorData, string? clientData, string? signature) =>
        Bytes(credentialId, PasskeyLimits.LongestCredentialId) is { } id && Bytes(authenticatorData, PasskeyLimits.LongestAuthenticatorData) is { } data
        && Bytes(clientData, PasskeyLimits.LongestClientData) is { } client && Bytes(signature, PasskeyLimits.LongestSignature) is { } signed
            ? new PasskeyAssertion(id, data, client, signed)
            : null;

    /// <summary>As the body of an `answer` entry holds it (docs/spec/approval-statement.md), with the key that verified it.</summary>
    public CanonicalJson ToCanonical(Passkey passkey) => CanonicalJson.Object(
        ("credentialId", Base64Url.EncodeToString(CredentialId)),
        ("authenticatorData", Base64Url.EncodeToString(AuthenticatorData)),
        ("clientData", Base64Url.EncodeToString(ClientData)),
        ("signature", Base64Url.EncodeToString(Signature)),
        ("publicKey", Base64Url.EncodeToString(passkey.Key.Spki)),
        ("rpId", passkey.RpId));

    /// <summary>Base64url without padding, and nothing that another reader could read otherwise.</summary>
    public static byte[]? Bytes(string? text, int longest)
    {
        if (text is not { Length: > 0 } || text.Length > longest * 4 / 3 + 4 || text.AsSpan().ContainsAnyExcept(Alphabet)) return null;
        try
        {
            var bytes = Base64Url.DecodeFromChars(text);
            return bytes.Length <= longest && Base64Url.EncodeToString(bytes) == text ? bytes : null;
        }
        catch (FormatException)
        {
            return null;
        }
    }

    private static readonly System.Buffers.SearchValues<char> Alphabet = System.Buffers.SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");

    private static string? Text(JsonElement json, string name) => json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
