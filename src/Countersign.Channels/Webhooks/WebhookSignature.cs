using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Countersign.Channels.Webhooks;

/// <summary>
/// Standard Webhooks 1.0, symmetric: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`. One signature for each
/// secret, so that a receiver may change its own while both are known.
/// </summary>
public static class WebhookSignature
{
    public const string IdHeader = "webhook-id";
    public const string TimestampHeader = "webhook-timestamp";
    public const string SignatureHeader = "webhook-signature";

    /// <summary>By how much a receiver lets our clock differ from its own. 5 minutes: what the published libraries take.</summary>
    public static readonly TimeSpan Tolerance = TimeSpan.FromMinutes(5);

    /// <summary>The value of `webhook-signature`.</summary>
    /// <param name="id">Without a full stop: it parts the signed text.</param>
    public static string Of(string id, DateTimeOffset at, ReadOnlySpan<byte> body, IReadOnlyList<WebhookSecret> secrets)
    {
        ArgumentOutOfRangeException.ThrowIfZero(secrets.Count);
        if (id.Length == 0 || id.Contains('.', StringComparison.Ordinal)) throw new ArgumentException("an id without a full stop", nameof(id));
        var signed = Signed(id, Stamp(at), body);
        return string.Join(' ', secrets.Select(s => $"v1,{Convert.ToBase64String(s.Mac(signed))}"));
    }

    public static string Stamp(DateTimeOffset at) => at.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);

    /// <summary>
    /// What a receiver does (docs/spec/webhooks.md). True for a message that was signed with the secret not long ago; that it
    /// was not taken before, by its id, the receiver remembers itself.
    /// </summary>
    public static bool Verify(string? id, string? timestamp, string? signatures, ReadOnlySpan<byte> body, WebhookSecret secret, DateTimeOffset now)
    {
        if (string.IsNullOrEmpty(id) || id.Contains('.', StringComparison.Ordinal) || timestamp is null || signatures is null) return false;
        if (!long.TryParse(timestamp, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)) return false;
        if (Math.Abs((decimal)now.ToUnixTimeSeconds() - seconds) > (decimal)Tolerance.TotalSeconds) return false;
        var expected = Encoding.ASCII.GetBytes(Convert.ToBase64String(secret.Mac(Signed(id, timestamp, body))));
        var found = false;
        foreach (var signature in signatures.Split(' '))
        {
            if (signature.Split(',', 2) is ["v1", var mac]) found |= CryptographicOperations.FixedTimeEquals(expected, Encoding.UTF8.GetBytes(mac));
        }

        return found;
    }

    private static byte[] Signed(string id, string stamp, ReadOnlySpan<byte> body) => [.. Encoding.UTF8.GetBytes($"{id}.{stamp}."), .. body];
}
