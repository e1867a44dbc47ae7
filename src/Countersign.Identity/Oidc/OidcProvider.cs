using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Countersign.Core;
using Microsoft.IdentityModel.Protocols.OpenIdConnect;
using Microsoft.IdentityModel.Tokens;

namespace Countersign.Identity.Oidc;

/// <summary>The provider over HTTP: its description, its keys, and its token, userinfo and log-out endpoints.</summary>
internal sealed class OidcProvider(OidcOptions options, TimeProvider time, HttpMessageHandler handler) : IDisposable
{
    private readonly HttpClient http = new(handler) { Timeout = TimeSpan.FromSeconds(10), MaxResponseContentBufferSize = options.MaxAnswerBytes };
    private readonly SemaphoreSlim fetching = new(1, 1);
    private volatile Known? known;

    private sealed record Known(OpenIdConnectConfiguration Metadata, IReadOnlyList<SecurityKey> Keys, DateTimeOffset ReadAt, DateTimeOffset KeysReadAt);

    /// <summary>Follows no redirect: what the provider says of itself is at the addresses that it gave, and a secret goes nowhere else (P46).</summary>
    public static SocketsHttpHandler Handler() => new() { AllowAutoRedirect = false, UseCookies = false, ConnectTimeout = TimeSpan.FromSeconds(5), PooledConnectionLifetime = TimeSpan.FromMinutes(5) };

    public async Task<OpenIdConnectConfiguration> MetadataAsync(CancellationToken ct) => (await KnownAsync(ct).ConfigureAwait(false)).Metadata;

    /// <summary>The keys that may have signed, by their id; all of them where the token names none.</summary>
    public async Task<IReadOnlyList<SecurityKey>> KeysAsync(string? keyId, CancellationToken ct)
    {
        var current = await KnownAsync(ct).ConfigureAwait(false);
        if (Matching(current, keyId) is { Count: > 0 } found) return found;
        await fetching.WaitAsync(ct).ConfigureAwait(false);
        try
        {
            // Rotated, or forged: looked up again, and not for every token that names a key of its own invention.
            current = known!;
            if (Matching(current, keyId) is { Count: > 0 } meanwhile) return meanwhile;
            var now = time.GetUtcNow();
            if (now - current.KeysReadAt < options.KeyFetchInterval && now >= current.KeysReadAt) return [];
            known = current = current with { Keys = await FetchKeysAsync(current.Metadata, ct).ConfigureAwait(false), KeysReadAt = now };
            return Matching(current, keyId);
        }
        finally
        {
            fetching.Release();
        }
    }

    private static IReadOnlyList<SecurityKey> Matching(Known current, string? keyId) =>
        string.IsNullOrEmpty(keyId) ? current.Keys : current.Keys.Where(k => k.KeyId == keyId).ToArray();

    private async Task<Known> KnownAsync(CancellationToken ct)
    {
        if (known is { } fresh && IsFresh(fresh)) return fresh;
        await fetching.WaitAsync(ct).ConfigureAwait(false);
        try
        {
            if (known is { } meanwhile && IsFresh(meanwhile)) return meanwhile;
            var metadata = await FetchMetadataAsync(ct).ConfigureAwait(false);
            var now = time.GetUtcNow();
            return known = new Known(metadata, await FetchKeysAsync(metadata, ct).ConfigureAwait(false), now, now);
        }
        finally
        {
            fetching.Release();
        }
    }

    private bool IsFresh(Known current) => time.GetUtcNow() - current.ReadAt is { Ticks: >= 0 } age && age < options.MetadataLifetime;

    /// <summary>OpenID Connect Discovery §4.</summary>
    private async Task<OpenIdConnectConfiguration> FetchMetadataAsync(CancellationToken ct)
    {
        var text = await GetAsync($"{options.Issuer.TrimEnd('/')}/.well-known/openid-configuration", null, ct).ConfigureAwait(false);
        OpenIdConnectConfiguration metadata;
        try
        {
            metadata = OpenIdConnectConfiguration.Create(text);
        }
        catch (Exception e) when (e is ArgumentException or JsonException)
        {
            throw Unavailable("its description is not understood");
        }

        // §4.3: exactly equal, or it is somebody else's description (mix-up).
        if (metadata.Issuer != options.Issuer) throw Unavailable($"its description is of `{VisibleText.Of(metadata.Issuer ?? "", multiline: false)}`");
        foreach (var (what, address) in new[] { ("authorization", metadata.AuthorizationEndpoint), ("token", metadata.TokenEndpoint), ("keys", metadata.JwksUri) })
        {
            if (!IsSafe(address)) throw Unavailable($"its {what} address is missing or not https");
        }

        foreach (var address in new[] { metadata.UserInfoEndpoint, metadata.EndSessionEndpoint })
        {
            if (!string.IsNullOrEmpty(address) && !IsSafe(address)) throw Unavailable("one of its addresses is not https");
        }

        if (metadata.CodeChallengeMethodsSupported is { Count: > 0 } methods && !methods.Contains("S256")) throw Unavailable("it does not speak PKCE with S256");
        return metadata;
    }

    /// <summary>https, or what the config itself does on loopback.</summary>
    private bool IsSafe(string? address) =>
        Uri.TryCreate(address, UriKind.Absolute, out var uri)
        && (uri.Scheme == Uri.UriSchemeHttps || uri is { Scheme: "http", IsLoopback: true } && options.Issuer.StartsWith("http://", StringComparison.Ordinal));

    private async Task<IReadOnlyList<SecurityKey>> FetchKeysAsync(OpenIdConnectConfiguration metadata, CancellationToken ct)
    {
        var text = await GetAsync(metadata.JwksUri, null, ct).ConfigureAwait(false);
        try
        {
            // Public keys for signatures alone: a symmetric key in a published set is everybody's (P35).
            return JsonWebKeySet.Create(text).Keys
                .Where(static k => k.Kty is "RSA" or "EC" && k.Use is null or "" or "sig" && !k.HasPrivateKey)
                .ToArray<SecurityKey>();
        }
        catch (Exception e) when (e is ArgumentException or JsonException or FormatException or InvalidOperationException)
        {
            throw Unavailable("its keys are not understood");
        }
    }

    /// <summary>RFC 6749 §4.1.3, §6. The answer's members as text; null where the provider says that the grant is not valid (any more).</summary>
    public async Task<TokenAnswer?> TokenAsync(IEnumerable<KeyValuePair<string, string>> grant, CancellationToken ct)
    {
        var metadata = await MetadataAsync(ct).ConfigureAwait(false);
        var form = new List<KeyValuePair<string, string>>(grant);
        using var request = new HttpRequestMessage(HttpMethod.Post, metadata.TokenEndpoint);
        var methods = metadata.TokenEndpointAuthMethodsSupported;
        if (options.ClientSecret is null)
        {
            form.Add(new("client_id", options.ClientId));
        }
        else if (methods.Count == 0 || methods.Contains("client_secret_basic"))
        {
            // RFC 6749 §2.3.1: both are form-encoded first.
            var pair = $"{WebUtility.UrlEncode(options.ClientId)}:{WebUtility.UrlEncode(options.ClientSecret)}";
            request.Headers.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(pair)));
        }
        else
        {
            form.Add(new("client_id", options.ClientId));
            form.Add(new("client_secret", options.ClientSecret));
        }

        request.Content = new FormUrlEncodedContent(form);
        using var response = await SendAsync(request, ct).ConfigureAwait(false);
        var text = await ReadAsync(response, ct).ConfigureAwait(false);
        using var json = Json(text);
        if (response.IsSuccessStatusCode && json is not null)
        {
            // §5.1. Anything but a bearer token is one that we can not use as it is meant.
            if (!string.Equals(String(json, "token_type"), "Bearer", StringComparison.OrdinalIgnoreCase)) throw new OidcRefusedException(ReasonCodes.SignInFailed, "the provider gave no bearer token");
            return new TokenAnswer(String(json, "id_token"), String(json, "access_token"), String(json, "refresh_token"));
        }

        if (response.StatusCode is HttpStatusCode.BadRequest or HttpStatusCode.Unauthorized && json is not null)
        {
            var error = String(json, "error");
            if (error == "invalid_grant") return null;
            throw new OidcRefusedException(ReasonCodes.SignInFailed, $"the provider refused: {VisibleText.Of(error ?? "no reason", multiline: false)}");
        }

        throw Unavailable($"its token endpoint answered {(int)response.StatusCode}");
    }

    /// <summary>OpenID Connect Core §5.3. Null when the access token is not good (any more), or there is no such endpoint.</summary>
    public async Task<JsonDocument?> UserInfoAsync(string accessToken, CancellationToken ct)
    {
        var metadata = await MetadataAsync(ct).ConfigureAwait(false);
        if (string.IsNullOrEmpty(metadata.UserInfoEndpoint)) return null;
        using var request = new HttpRequestMessage(HttpMethod.Get, metadata.UserInfoEndpoint);
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", accessToken);
        using var response = await SendAsync(request, ct).ConfigureAwait(false);
        if (response.StatusCode is HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden) return null;
        if (!response.IsSuccessStatusCode) throw Unavailable($"its userinfo endpoint answered {(int)response.StatusCode}");
        return Json(await ReadAsync(response, ct).ConfigureAwait(false)) ?? throw Unavailable("its userinfo is not JSON");
    }

    private async Task<string> GetAsync(string address, string? accept, CancellationToken ct)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, address);
        request.Headers.Accept.ParseAdd(accept ?? "application/json");
        using var response = await SendAsync(request, ct).ConfigureAwait(false);
        return response.IsSuccessStatusCode ? await ReadAsync(response, ct).ConfigureAwait(false) : throw Unavailable($"it answered {(int)response.StatusCode}");
    }

    private async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken ct)
    {
        try
        {
            return await http.SendAsync(request, ct).ConfigureAwait(false);
        }
        catch (Exception e) when (e is HttpRequestException || (e is TaskCanceledException && !ct.IsCancellationRequested))
        {
            throw Unavailable(e is HttpRequestException ? $"it can not be reached: {e.Message}" : "it did not answer in time");
        }
    }

    private static async Task<string> ReadAsync(HttpResponseMessage response, CancellationToken ct) => await response.Content.ReadAsStringAsync(ct).ConfigureAwait(false);

    private static JsonDocument? Json(string text)
    {
        try
        {
            var document = JsonDocument.Parse(text, new JsonDocumentOptions { AllowDuplicateProperties = false });
            if (document.RootElement.ValueKind == JsonValueKind.Object) return document;
            document.Dispose();
            return null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException)
        {
            return null;
        }
    }

    private static string? String(JsonDocument json, string name) => json.RootElement.TryGetProperty(name, out var value) ? JsonText.Of(value) : null;

    private static OidcRefusedException Unavailable(string detail) => new(ReasonCodes.ProviderUnavailable, $"identity provider: {detail}");

    public void Dispose()
    {
        http.Dispose();
        fetching.Dispose();
    }
}

/// <summary>What the token endpoint gave. It prints nothing of it (P56).</summary>
internal sealed record TokenAnswer(string? IdToken, string? AccessToken, string? RefreshToken)
{
    public override string ToString() => "tokens ***";
}
