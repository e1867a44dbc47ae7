using System.Buffers.Text;
using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Countersign.Core;
using Microsoft.Extensions.Logging;

namespace Countersign.Identity.Oidc;

/// <summary>Where to send the browser, and what it must bring back.</summary>
public sealed record OidcBegun(Uri? Location, string? ReasonCode);

/// <summary>What came of a return from the provider. <see cref="ReturnTo"/> is a path of this server.</summary>
public sealed record OidcCompleted(LoginResult Login, string ReturnTo)
{
    public override string ToString() => Login.ToString();
}

/// <summary>
/// Signing in at the provider: code flow with PKCE (RFC 7636), state bound to the browser, nonce, and issuer (RFC 9207).
/// A sign-in under way is remembered here, once; tokens of the provider stay in memory, so that none is on a disk, and a
/// restart asks people to sign in again before they decide. Thread-safe.
/// </summary>
public sealed partial class OidcSignIn : IDisposable
{
    private readonly OidcOptions options;
    private readonly OidcProvider provider;
    private readonly OidcTokens tokens;
    private readonly UserDirectory users;
    private readonly HumanSessions sessions;
    private readonly TimeProvider time;
    private readonly ILogger logger;

    private readonly Lock gate = new();
    private readonly Dictionary<string, Pending> pending = new(StringComparer.Ordinal);
    private readonly Dictionary<string, DateTimeOffset> logoutsSeen = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<Subject, Held> held = new();

    /// <summary>Tokens of a person, and `sub` as the provider goes by it.</summary>
    private sealed record Held(TokenAnswer Tokens, string Sub);

    private sealed record Pending(byte[] Browser, string Nonce, string Verifier, string RedirectUri, string ReturnTo, DateTimeOffset Expires);

    public OidcSignIn(OidcOptions options, UserDirectory users, HumanSessions sessions, TimeProvider time, ILogger<OidcSignIn> logger)
    {
        this.options = options;
        this.users = users;
        this.sessions = sessions;
        this.time = time;
        this.logger = logger;
        provider = new OidcProvider(options, time, OidcProvider.Handler());
        tokens = new OidcTokens(options, provider, time);
        users.GroupSource = RefreshAsync;
    }

    public OidcOptions Options => options;

    /// <summary>Begins a sign-in for the browser that has this random value.</summary>
    public async Task<OidcBegun> BeginAsync(string browser, string redirectUri, string? returnTo, CancellationToken ct)
    {
        try
        {
            var metadata = await provider.MetadataAsync(ct).ConfigureAwait(false);
            var (state, nonce, verifier) = (NewSecret(), NewSecret(), NewSecret());
            var now = time.GetUtcNow();
            lock (gate)
            {
                foreach (var old in pending.Where(p => p.Value.Expires <= now).Select(static p => p.Key).ToArray()) pending.Remove(old);
                if (pending.Count >= options.MaxPending) pending.Remove(pending.MinBy(static p => p.Value.Expires).Key);
                pending.Add(Hash(state), new Pending(SHA256.HashData(Encoding.UTF8.GetBytes(browser)), nonce, verifier, redirectUri, LocalPath.Or(returnTo), now + options.SignInLifetime));
            }

            var challenge = Base64Url.EncodeToString(SHA256.HashData(Encoding.ASCII.GetBytes(verifier)));
            return new OidcBegun(WithQuery(metadata.AuthorizationEndpoint,
                ("response_type", "code"), ("client_id", options.ClientId), ("redirect_uri", redirectUri), ("scope", string.Join(' ', options.Scopes)),
                ("state", state), ("nonce", nonce), ("code_challenge", challenge), ("code_challenge_method", "S256")), null);
        }
        catch (OidcRefusedException e)
        {
            LogRefused(e.ReasonCode, e.Message);
            return new OidcBegun(null, e.ReasonCode);
        }
    }

    /// <summary>The browser is back. Whatever it brings is used once; a state that this browser did not begin with begins nothing (CSRF).</summary>
    public async Task<OidcCompleted> CompleteAsync(OidcReturn back, string? browser, string? client, HumanSession? replaces, CancellationToken ct)
    {
        Pending? begun = null;
        try
        {
            begun = Take(back.State, browser) ?? throw new OidcRefusedException(ReasonCodes.SignInFailed, "no sign-in of this browser is under way with this state, or it was used");
            var metadata = await provider.MetadataAsync(ct).ConfigureAwait(false);

            // RFC 9207 §2.4: whoever answers says who he is, and is the one that was asked (mix-up).
            if (back.Issuer is not null ? back.Issuer != options.Issuer : metadata.AuthorizationResponseIssParameterSupported) throw new OidcRefusedException(ReasonCodes.SignInFailed, "another issuer answered (iss)");
            if (back.Error is { } error) throw new OidcRefusedException(ReasonCodes.SignInFailed, $"the provider refused: {VisibleText.Of(error.Length > 100 ? error[..100] : error, multiline: false)}");
            if (string.IsNullOrEmpty(back.Code)) throw new OidcRefusedException(ReasonCodes.SignInFailed, "the provider gave no code");
            var answer = await provider.TokenAsync(
                [new("grant_type", "authorization_code"), new("code", back.Code), new("redirect_uri", begun.RedirectUri), new("code_verifier", begun.Verifier)], ct).ConfigureAwait(false)
                ?? throw new OidcRefusedException(ReasonCodes.SignInFailed, "the provider does not know this code (any more)");
            var idToken = await tokens.IdTokenAsync(answer.IdToken ?? throw new OidcRefusedException(ReasonCodes.SignInFailed, "the provider gave no ID token"), begun.Nonce, answer.AccessToken, ct).ConfigureAwait(false);
            var recognised = await RecogniseAsync(idToken, answer, ct).ConfigureAwait(false);
            if (recognised.User is not { } user) throw new OidcRefusedException(recognised.ReasonCode!, recognised.Detail!);
            var subject = new Subject(options.Issuer, idToken.Subject);
            held[subject] = new Held(answer, idToken.Sub);
            var login = await sessions.StartAsync(user, new SessionStart(SessionKind.Web, "oidc", client) { Replaces = replaces, Subject = subject, ProviderSubject = idToken.Sub, ProviderSession = idToken.SessionId }).ConfigureAwait(false);
            return new OidcCompleted(login, begun.ReturnTo);
        }
        catch (OidcRefusedException e)
        {
            LogRefused(e.ReasonCode, e.Message);
            return new OidcCompleted(new LoginResult(null, null, null, e.ReasonCode), begun?.ReturnTo ?? "/");
        }
    }

    private Pending? Take(string? state, string? browser)
    {
        if (string.IsNullOrEmpty(state) || browser is null) return null;
        lock (gate)
        {
            // Another browser's return does not spend what this one began.
            var key = Hash(state);
            if (!pending.TryGetValue(key, out var begun) || !CryptographicOperations.FixedTimeEquals(begun.Browser, SHA256.HashData(Encoding.UTF8.GetBytes(browser)))) return null;
            pending.Remove(key);
            return begun.Expires > time.GetUtcNow() ? begun : null;
        }
    }

    /// <summary>Name and groups from the ID token, and what is not there from userinfo.</summary>
    private async Task<Recognised> RecogniseAsync(IdToken idToken, TokenAnswer answer, CancellationToken ct)
    {
        var (name, groups) = (OidcTokens.String(idToken.Claims, options.NameClaim), Groups(idToken.Claims));
        if ((groups is null || name is null) && answer.AccessToken is { } access)
        {
            using var info = await provider.UserInfoAsync(access, ct).ConfigureAwait(false);

            // Core §5.3.2: about somebody else, it must not be used.
            if (info is not null)
            {
                if (OidcTokens.String(info.RootElement, "sub") != idToken.Sub) throw new OidcRefusedException(ReasonCodes.SignInFailed, "userinfo is about somebody else (sub)");
                name ??= OidcTokens.String(info.RootElement, options.NameClaim);
                groups ??= Groups(info.RootElement);
            }
        }

        return await users.RecogniseAsync(new Subject(options.Issuer, idToken.Subject), name, groups ?? new HashSet<string>()).ConfigureAwait(false);
    }

    /// <summary>Groups as this product calls them; null where the claim is not there at all.</summary>
    private HashSet<string>? Groups(JsonElement claims)
    {
        if (!claims.TryGetProperty(options.GroupsClaim, out var claim)) return null;
        IEnumerable<string?> said = claim.ValueKind switch
        {
            JsonValueKind.String => [JsonText.Of(claim)],
            JsonValueKind.Array => claim.EnumerateArray().Take(options.MaxGroups).Select(JsonText.Of).ToArray(),
            _ => [],
        };
        var groups = new HashSet<string>(StringComparer.Ordinal);
        foreach (var group in said)
        {
            if (group is not null && options.Groups.Of(group) is { } name) groups.Add(name);
        }

        return groups;
    }

    /// <summary>
    /// Reads a user's groups again: with the refresh token where there is one, else from userinfo. Where the provider says
    /// that the grant is no more, what was held is dropped, and his sessions of that provider end: he signs in again or not.
    /// </summary>
    private async Task RefreshAsync(UserEntry user, CancellationToken ct)
    {
        if (user.Subject is not { } subject || !held.TryGetValue(subject, out var kept)) return;
        var answer = kept.Tokens;
        try
        {
            if (answer.RefreshToken is { } refresh)
            {
                if (await provider.TokenAsync([new("grant_type", "refresh_token"), new("refresh_token", refresh)], ct).ConfigureAwait(false) is not { } renewed)
                {
                    held.TryRemove(KeyValuePair.Create(subject, kept));
                    await sessions.EndOfProviderAsync(subject.Issuer, kept.Sub, null).ConfigureAwait(false);
                    return;
                }

                // RFC 6749 §6: a refresh token that is not replaced stays.
                answer = new TokenAnswer(renewed.IdToken ?? answer.IdToken, renewed.AccessToken, renewed.RefreshToken ?? refresh);
                held[subject] = kept = kept with { Tokens = answer };
                if (renewed.IdToken is { } again)
                {
                    var idToken = await tokens.IdTokenAsync(again, null, renewed.AccessToken, ct).ConfigureAwait(false);
                    if (idToken.Subject != subject.Value || idToken.Sub != kept.Sub) throw new OidcRefusedException(ReasonCodes.SignInFailed, "the refreshed ID token is of somebody else");
                    await RecogniseAsync(idToken, answer, ct).ConfigureAwait(false);
                    return;
                }
            }

            if (answer.AccessToken is not { } access || await provider.UserInfoAsync(access, ct).ConfigureAwait(false) is not { } info)
            {
                // Expired or withdrawn: which of these is not said, and neither is good enough to decide by.
                held.TryRemove(KeyValuePair.Create(subject, kept));
                return;
            }

            using (info)
            {
                if (OidcTokens.String(info.RootElement, "sub") != kept.Sub) throw new OidcRefusedException(ReasonCodes.SignInFailed, "userinfo is about somebody else (sub)");

                // A provider that tells groups in the ID token alone says nothing about them here.
                if (Groups(info.RootElement) is { } groups) await users.RecogniseAsync(subject, null, groups).ConfigureAwait(false);
            }
        }
        catch (OidcRefusedException e)
        {
            LogNotRefreshed(user.Ref.Id.Value, e.ReasonCode, e.Message);
        }
    }

    /// <summary>Back-channel log-out: ends what the token names. Null when done, else the reason.</summary>
    public async Task<string?> LogoutAsync(string logoutToken, CancellationToken ct)
    {
        try
        {
            var token = await tokens.LogoutTokenAsync(logoutToken, ct).ConfigureAwait(false);
            var now = time.GetUtcNow();
            lock (gate)
            {
                foreach (var old in logoutsSeen.Where(l => l.Value <= now).Select(static l => l.Key).ToArray()) logoutsSeen.Remove(old);

                // §2.6 (9). Kept for as long as the token could be shown again.
                if (!logoutsSeen.TryAdd(token.Id, token.ExpiresAt + options.ClockSkew)) throw new OidcRefusedException(ReasonCodes.SignInFailed, "the log-out token was used before (jti)");
            }

            foreach (var person in held.Where(h => h.Value.Sub == token.Sub)) held.TryRemove(person);
            return await sessions.EndOfProviderAsync(options.Issuer, token.Sub, token.SessionId).ConfigureAwait(false) ? null : ReasonCodes.JournalUnavailable;
        }
        catch (OidcRefusedException e)
        {
            LogRefused(e.ReasonCode, e.Message);
            return e.ReasonCode;
        }
    }

    /// <summary>Where the browser goes to sign out at the provider too (RP-Initiated Logout §2); null where the provider has no such place.</summary>
    public async Task<Uri?> EndSessionAsync(HumanSession session, string returnUri, CancellationToken ct)
    {
        if (session.Subject is not { } subject) return null;
        try
        {
            var metadata = await provider.MetadataAsync(ct).ConfigureAwait(false);
            if (string.IsNullOrEmpty(metadata.EndSessionEndpoint)) return null;
            var parameters = new List<(string, string)> { ("client_id", options.ClientId), ("post_logout_redirect_uri", returnUri) };
            if (held.TryRemove(subject, out var kept) && kept.Tokens.IdToken is { } hint) parameters.Add(("id_token_hint", hint));
            return WithQuery(metadata.EndSessionEndpoint, [.. parameters]);
        }
        catch (OidcRefusedException)
        {
            return null;
        }
    }

    private static Uri WithQuery(string address, params (string Name, string Value)[] parameters)
    {
        var query = string.Join('&', parameters.Select(static p => $"{p.Name}={Uri.EscapeDataString(p.Value)}"));
        var builder = new UriBuilder(address);
        builder.Query = builder.Query.Length > 1 ? $"{builder.Query[1..]}&{query}" : query;
        return builder.Uri;
    }

    private static string NewSecret() => Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32));

    private static string Hash(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    public void Dispose() => provider.Dispose();

    [LoggerMessage(4001, LogLevel.Warning, "sign-in refused ({Reason}): {Detail}")]
    private partial void LogRefused(string reason, string detail);

    [LoggerMessage(4002, LogLevel.Warning, "groups of {User} could not be read again ({Reason}): {Detail}")]
    private partial void LogNotRefreshed(string user, string reason, string detail);
}

/// <summary>What a browser brings back from the provider, as it came.</summary>
public sealed record OidcReturn(string? State, string? Code, string? Issuer, string? Error)
{
    public override string ToString() => "return from the provider";
}
