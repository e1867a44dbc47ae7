using System.Text.Json;
using Microsoft.IdentityModel.Tokens;

namespace Countersign.Channels.Teams;

/// <summary>A key of the connector and the channels that it may sign for.</summary>
internal sealed record ConnectorKey(JsonWebKey Key, IReadOnlySet<string> Endorsements);

/// <summary>What the metadata says: keys, and the algorithms that the connector signs with.</summary>
internal sealed record ConnectorMetadata(IReadOnlyList<ConnectorKey> Keys, IReadOnlyList<string> Algorithms, DateTimeOffset ReadAt);

/// <summary>
/// The public keys of the Bot Connector, by its OpenID metadata. Kept, and read again when they are old or a token names one
/// that is not there, within bounds: a forged key id makes one fetch in <see cref="TeamsLimits.FetchInterval"/>. Thread-safe.
/// </summary>
internal sealed class ConnectorKeys(TeamsBot bot, TeamsLimits limits, TimeProvider time, HttpClient http) : IDisposable
{
    /// <summary>Asymmetric, RSA or EC; what the metadata says may narrow this and never widen it (RFC 8725 §2.1).</summary>
    private static readonly string[] Known = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"];

    private readonly SemaphoreSlim reading = new(1, 1);
    private volatile ConnectorMetadata? known;
    private DateTimeOffset tried = DateTimeOffset.MinValue;

    /// <summary>The key of this id, and the algorithms; null where the keys are not known and can not be read now.</summary>
    public async Task<(ConnectorKey? Key, IReadOnlyList<string> Algorithms)?> FindAsync(string keyId, CancellationToken ct)
    {
        if (known is { } current && Age(current) < limits.KeysLifetime && Of(current, keyId) is { } found) return (found, current.Algorithms);
        await reading.WaitAsync(ct).ConfigureAwait(false);
        try
        {
            var now = time.GetUtcNow();
            current = known;
            if (current is not null && Age(current) < limits.KeysLifetime && Of(current, keyId) is { } meanwhile) return (meanwhile, current.Algorithms);
            if (now - tried >= limits.FetchInterval || now < tried)
            {
                tried = now;
                if (await ReadAsync(now, ct).ConfigureAwait(false) is { } read) known = current = read;
            }

            return current is null || Age(current) >= limits.KeysLifetime + limits.KeysStale ? null : (Of(current, keyId), current.Algorithms);
        }
        finally
        {
            reading.Release();
        }
    }

    /// <summary>How many keys may sign for a channel; null: they can not be read.</summary>
    public async Task<int?> EndorsedAsync(string channel, CancellationToken ct) => await FindAsync("", ct).ConfigureAwait(false) is null ? null : known?.Keys.Count(k => k.Endorsements.Contains(channel));

    private TimeSpan Age(ConnectorMetadata current) => time.GetUtcNow() - current.ReadAt is { Ticks: >= 0 } age ? age : TimeSpan.MaxValue;

    private static ConnectorKey? Of(ConnectorMetadata current, string keyId) => current.Keys.FirstOrDefault(k => string.Equals(k.Key.Kid, keyId, StringComparison.Ordinal));

    private async Task<ConnectorMetadata?> ReadAsync(DateTimeOffset now, CancellationToken ct)
    {
        try
        {
            using var metadata = JsonDocument.Parse(await http.GetStringAsync(bot.OpenIdMetadata, ct).ConfigureAwait(false));
            var root = metadata.RootElement;

            // OpenID Connect Discovery §4.3: exactly equal, or it is somebody else's description.
            if (root.GetProperty("issuer").GetString() != bot.Issuer) return null;
            if (!Uri.TryCreate(root.GetProperty("jwks_uri").GetString(), UriKind.Absolute, out var address) || address.UserInfo.Length > 0) return null;
            if (address.Scheme != Uri.UriSchemeHttps && !(address is { Scheme: "http", IsLoopback: true } && bot.OpenIdMetadata.Scheme == Uri.UriSchemeHttp)) return null;
            var algorithms = root.GetProperty("id_token_signing_alg_values_supported").EnumerateArray().Select(static a => a.GetString()!).Intersect(Known, StringComparer.Ordinal).ToArray();
            return algorithms.Length > 0 && Parse(await http.GetStringAsync(address, ct).ConfigureAwait(false)) is { } keys ? new ConnectorMetadata(keys, algorithms, now) : null;
        }
        catch (Exception e) when (e is HttpRequestException or JsonException or KeyNotFoundException or InvalidOperationException or ArgumentException
            || (e is OperationCanceledException && !ct.IsCancellationRequested))
        {
            return null;
        }
    }

    /// <summary>Public keys for signatures: a symmetric key in a published set is everybody's (P35), and RSA below 2,048 bits nobody's (RFC 7518 §3.3).</summary>
    private IReadOnlyList<ConnectorKey>? Parse(string text)
    {
        var keys = JsonWebKeySet.Create(text).Keys;
        if (keys.Count is 0 || keys.Count > limits.Keys) return null;
        return keys.Where(static k => (k.Use is null or "" or "sig") && !k.HasPrivateKey && !string.IsNullOrEmpty(k.Kid) && (k.Kty == "EC" || (k.Kty == "RSA" && k.KeySize >= 2048)))
            .Select(static k => new ConnectorKey(k, Endorsements(k))).ToArray();
    }

    private static HashSet<string> Endorsements(JsonWebKey key)
    {
        if (!key.AdditionalData.TryGetValue("endorsements", out var value)) return [];
        using var document = JsonDocument.Parse(value is JsonElement element ? element.GetRawText() : JsonSerializer.Serialize(value));
        return document.RootElement.ValueKind != JsonValueKind.Array ? [] : document.RootElement.EnumerateArray().Where(static e => e.ValueKind == JsonValueKind.String).Select(static e => e.GetString()!).ToHashSet(StringComparer.Ordinal);
    }

    public void Dispose() => reading.Dispose();
}
