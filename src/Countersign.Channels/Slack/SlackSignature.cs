using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Countersign.Channels.Slack;

/// <summary>Slack's signature of a request: HMAC-SHA-256 over `v0:timestamp:body`, of the raw bytes.</summary>
public static class SlackSignature
{
    /// <summary>How old a request may be, and how far ahead. 5 minutes, as Slack advises: clocks drift, a recording is older.</summary>
    public static readonly TimeSpan Window = TimeSpan.FromMinutes(5);

    public static bool IsGood(string secret, string? timestamp, string? signature, ReadOnlySpan<byte> body, DateTimeOffset now)
    {
        if (timestamp is not { Length: > 0 and <= 12 } || signature is not { Length: 67 } || !signature.StartsWith("v0=", StringComparison.Ordinal)) return false;
        if (!long.TryParse(timestamp, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) || Math.Abs(now.ToUnixTimeSeconds() - seconds) > Window.TotalSeconds) return false;
        var expected = Of(secret, timestamp, body);
        return CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(expected), Encoding.ASCII.GetBytes(signature));
    }

    internal static string Of(string secret, string timestamp, ReadOnlySpan<byte> body)
    {
        using var mac = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, Encoding.UTF8.GetBytes(secret));
        mac.AppendData(Encoding.ASCII.GetBytes($"v0:{timestamp}:"));
        mac.AppendData(body);
        return $"v0={Convert.ToHexStringLower(mac.GetHashAndReset())}";
    }
}
