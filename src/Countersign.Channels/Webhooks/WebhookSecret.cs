using System.Diagnostics;
using System.Security.Cryptography;

namespace Countersign.Channels.Webhooks;

/// <summary>A secret that one receiver shares with us (Standard Webhooks 1.0, signature scheme): `whsec_` and base64 of 24 to 64 random bytes. It prints as `***`.</summary>
[DebuggerDisplay("***")]
public sealed class WebhookSecret
{
    public const string Prefix = "whsec_";

    /// <summary>192 bits: fewer can be searched for by a receiver's rival.</summary>
    public const int MinBytes = 24;
    public const int MaxBytes = 64;

    private readonly byte[] key;

    private WebhookSecret(byte[] key) => this.key = key;

    /// <summary>False for what is no such secret; nothing of it is said.</summary>
    public static bool TryParse(string text, out WebhookSecret? secret)
    {
        secret = null;
        if (!text.StartsWith(Prefix, StringComparison.Ordinal)) return false;
        var buffer = new byte[MaxBytes + 3];
        if (!Convert.TryFromBase64String(text[Prefix.Length..], buffer, out var length) || length is < MinBytes or > MaxBytes) return false;
        secret = new WebhookSecret(buffer[..length]);
        return true;
    }

    /// <summary>A new one, as text to be kept where secrets are kept.</summary>
    public static string NewText() => Prefix + Convert.ToBase64String(RandomNumberGenerator.GetBytes(32));

    internal byte[] Mac(ReadOnlySpan<byte> signed) => HMACSHA256.HashData(key, signed);

    public override string ToString() => "***";
}
