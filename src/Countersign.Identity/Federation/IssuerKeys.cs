using System.Text.Json;
using Microsoft.IdentityModel.Protocols.OpenIdConnect;
using Microsoft.IdentityModel.Tokens;

namespace Countersign.Identity.Federation;

/// <summary>
/// The public keys of one issuer: found by discovery (OpenID Connect Discovery §4), at a given address, or in a file. Kept,
/// and read again when they are old or a token names one that is not there, within bounds. Thread-safe.
/// </summary>
internal sealed class IssuerKeys(TokenIssuer issuer, FederationLimits limits, TimeProvider time, HttpClient http) : IDisposable
{
    private sealed record Known(IReadOnlyList<JsonWebKey> Keys, DateTimeOffset ReadAt);

    private readonly SemaphoreSlim reading = new(1, 1);
    private volatile Known? known;
    private DateTimeOffset tried = DateTimeOffset.MinValue;

    /// <summary>Follows no redirect, and sends nothing but the request: keys come from where the operator said (P46).</summary>
    public static HttpClient Client(FederationLimits limits) =>
        new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, ConnectTimeout = limits.FetchTimeout, PooledConnectionLifetime = TimeSpan.FromMinutes(5) })
        {
            Timeout = limits.FetchTimeout,
            MaxResponseContentBufferSize = limits.AnswerBytes,
        };

    /// <summary>The keys that may have signed; null where the issuer's keys are not known and can not be read now.</summary>
    /// <param name="keyId">`kid` of the token; null or empty: any.</param>
    public async Task<IReadOnlyList<JsonWebKey>?> FindAsync(string? keyId, CancellationToken ct)
    {
        if (known is { } current && Age(current) < limits.KeysLifetime && Of(current, keyId) is { Count: > 0 } found) return found;
        await reading.WaitAsync(ct).ConfigureAwait(false);
        try
        {
            var now = time.GetUtcNow();
            current = known;
            if (current is not null && Age(current) < limits.KeysLifetime && Of(current, keyId) is { Count: > 0 } meanwhile) return meanwhile;
            if (now - tried >= limits.FetchInterval || now < tried)
            {
                tried = now;
                if (await ReadAsync(ct).ConfigureAwait(false) is { } keys) known = current = new Known(keys, now);
            }

            return current is null || Age(current) >= limits.KeysLifetime + limits.KeysStale ? null : Of(current, keyId);
        }
        finally
        {
            reading.Release();
        }
    }

    private TimeSpan Age(Known current) => time.GetUtcNow() - current.ReadAt is { Ticks: >= 0 } age ? age : TimeSpan.MaxValue;

    /// <summary>A key id is compared and nothing else: it is no path, address or query of ours.</summary>
    private static IReadOnlyList<JsonWebKey> Of(Known current, string? keyId) =>
        string.IsNullOrEmpty(keyId) ? current.Keys : current.Keys.Where(k => string.Equals(k.Kid, keyId, StringComparison.Ordinal)).ToArray();

    private async Task<IReadOnlyList<JsonWebKey>?> ReadAsync(CancellationToken ct)
    {
        try
        {
            if (issuer.JwksFile is { } file)
            {
                if (new FileInfo(file).Length > limits.AnswerBytes) return null;
                return Parse(await File.ReadAllTextAsync(file, ct).ConfigureAwait(false));
            }

            return (issuer.JwksUrl ?? await DiscoverAsync(ct).ConfigureAwait(false)) is { } address ? Parse(await http.GetStringAsync(address, ct).ConfigureAwait(false)) : null;
        }
        catch (Exception e) when (e is HttpRequestException or IOException or UnauthorizedAccessException or JsonException or FormatException or ArgumentException or InvalidOperationException
            || (e is OperationCanceledException && !ct.IsCancellationRequested))
        {
            return null;
        }
    }

    private async Task<Uri?> DiscoverAsync(CancellationToken ct)
    {
        var metadata = OpenIdConnectConfiguration.Create(await http.GetStringAsync(new Uri($"{issuer.Issuer.TrimEnd('/')}/.well-known/openid-configuration"), ct).ConfigureAwait(false));

        // §4.3: exactly equal, or it is somebody else's description.
        if (metadata.Issuer != issuer.Issuer || !Uri.TryCreate(metadata.JwksUri, UriKind.Absolute, out var address) || address.UserInfo.Length > 0) return null;
        return address.Scheme == Uri.UriSchemeHttps || (address is { Scheme: "http", IsLoopback: true } && issuer.Issuer.StartsWith("http://", StringComparison.Ordinal)) ? address : null;
    }

    /// <summary>
    /// Public keys for signatures: a symmetric key in a published set is everybody's (P35), and RSA below 2,048 bits nobody's
    /// (RFC 7518 §3.3). SPIFFE says `jwt-svid` where others say `sig`.
    /// </summary>
    private IReadOnlyList<JsonWebKey>? Parse(string text)
    {
        var keys = JsonWebKeySet.Create(text).Keys;
        if (keys.Count > limits.Keys) return null;
        return keys.Where(static k => k.Use is null or "" or "sig" or "jwt-svid" && IsPublic(k)).ToArray();
    }

    /// <summary>A key that can not be read is none, and spoils no other.</summary>
    private static bool IsPublic(JsonWebKey key)
    {
        try
        {
            return !key.HasPrivateKey && (key.Kty == "EC" || (key.Kty == "RSA" && key.KeySize >= 2048));
        }
        catch (Exception e) when (e is FormatException or ArgumentException or InvalidOperationException or NotSupportedException)
        {
            return false;
        }
    }

    public void Dispose() => reading.Dispose();
}
