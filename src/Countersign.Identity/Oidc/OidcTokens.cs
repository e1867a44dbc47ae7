using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Countersign.Core;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Countersign.Identity.Oidc;

/// <summary>What a valid ID token says. Its claims as JSON, since groups come in more than one shape.</summary>
/// <param name="Subject">What tells people apart here, by `subject-claim`.</param>
/// <param name="Sub">The claim `sub`, by which the provider itself goes.</param>
internal sealed record IdToken(string Subject, string Sub, string? SessionId, JsonElement Claims)
{
    public override string ToString() => "id token";
}

/// <summary>What a valid log-out token asks for: a session, or all of a subject's.</summary>
internal sealed record LogoutToken(string? Sub, string? SessionId, string Id, DateTimeOffset ExpiresAt);

/// <summary>
/// Validates the provider's tokens. Signature, algorithm, issuer and audience by Microsoft.IdentityModel; what OpenID
/// Connect adds, here. A token of one kind is never taken for another (P35).
/// </summary>
internal sealed class OidcTokens(OidcOptions options, OidcProvider provider, TimeProvider time)
{
    private const string LogoutEvent = "http://schemas.openid.net/event/backchannel-logout";
    private const int MaxSubject = 255; // Core §2
    private const int MaxTokenChars = 256 << 10;

    /// <summary>Asymmetric signatures only: with a MAC the client's own secret would sign.</summary>
    private static readonly string[] Algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"];

    private readonly JsonWebTokenHandler handler = new() { MaximumTokenSizeInBytes = MaxTokenChars, MapInboundClaims = false };

    /// <param name="token">As the token endpoint gave it.</param>
    /// <param name="nonce">What this sign-in began with; null for a refreshed token, which need not carry one (Core §12.2).</param>
    /// <param name="accessToken">For `at_hash`, where the token has one.</param>
    public async Task<IdToken> IdTokenAsync(string token, string? nonce, string? accessToken, CancellationToken ct)
    {
        var jwt = await ValidateAsync(token, static type => type is null or "JWT" or "jwt", ct).ConfigureAwait(false);
        var claims = Claims(jwt);
        if (String(claims, "nonce") is var said && (nonce is not null ? !Same(said, nonce) : false)) throw Refused("the ID token is of another sign-in (nonce)");
        if (claims.TryGetProperty("events", out _)) throw Refused("the ID token is a log-out token");

        // Core §3.1.3.7, 3 to 5: no audience beside us, and issued to us.
        if (jwt.Audiences.Any(a => a != options.ClientId)) throw Refused("the ID token is for others as well (aud)");
        if (claims.TryGetProperty("azp", out var azp) && (JsonText.Of(azp) != options.ClientId)) throw Refused("the ID token was issued to another client (azp)");
        if (jwt.IssuedAt == DateTime.MinValue) throw Refused("the ID token does not say when it was issued (iat)");
        if (new DateTimeOffset(jwt.IssuedAt, TimeSpan.Zero) > time.GetUtcNow() + options.ClockSkew) throw Refused("the ID token was issued in the future (iat)");
        if (String(claims, "at_hash") is { } hash && !Same(hash, AccessTokenHash(jwt.Alg, accessToken))) throw Refused("the access token is not the one of the ID token (at_hash)");
        return new IdToken(Claim(claims, options.SubjectClaim), Claim(claims, "sub"), String(claims, "sid"), claims);
    }

    /// <summary>OpenID Connect Back-Channel Logout §2.6.</summary>
    public async Task<LogoutToken> LogoutTokenAsync(string token, CancellationToken ct)
    {
        var jwt = await ValidateAsync(token, static type => type is null or "logout+jwt" or "JWT" or "jwt", ct).ConfigureAwait(false);
        var claims = Claims(jwt);
        if (jwt.Audiences.Any(a => a != options.ClientId)) throw Refused("the log-out token is for others as well (aud)");
        if (jwt.IssuedAt == DateTime.MinValue || new DateTimeOffset(jwt.IssuedAt, TimeSpan.Zero) > time.GetUtcNow() + options.ClockSkew) throw Refused("the log-out token was not issued by now (iat)");
        if (!claims.TryGetProperty("events", out var events) || events.ValueKind != JsonValueKind.Object || !events.TryGetProperty(LogoutEvent, out var what) || what.ValueKind != JsonValueKind.Object)
        {
            throw Refused("the token is no log-out token (events)");
        }

        if (claims.TryGetProperty("nonce", out _)) throw Refused("the log-out token is an ID token (nonce)");
        var id = String(claims, "jti");
        if (string.IsNullOrEmpty(id)) throw Refused("the log-out token has no id (jti)");

        var (sub, session) = (String(claims, "sub"), String(claims, "sid"));
        if (string.IsNullOrEmpty(sub) && string.IsNullOrEmpty(session)) throw Refused("the log-out token names nobody (sub, sid)");
        return new LogoutToken(sub, session, id, new DateTimeOffset(jwt.ValidTo, TimeSpan.Zero));
    }

    private async Task<JsonWebToken> ValidateAsync(string token, Func<string?, bool> isType, CancellationToken ct)
    {
        JsonWebToken jwt;
        try
        {
            if (token.Length > MaxTokenChars) throw Refused("the token is too long");
            jwt = handler.ReadJsonWebToken(token);
        }
        catch (Exception e) when (e is ArgumentException or SecurityTokenException)
        {
            throw Refused("the token is no JWT");
        }

        if (jwt.IsEncrypted) throw Refused("the token is encrypted");
        if (!isType(string.IsNullOrEmpty(jwt.Typ) ? null : jwt.Typ)) throw Refused($"the token is of another type (typ `{VisibleText.Of(jwt.Typ, multiline: false)}`)");
        if (!Algorithms.Contains(jwt.Alg, StringComparer.Ordinal)) throw Refused($"the token is not signed as we ask (alg `{VisibleText.Of(jwt.Alg ?? "", multiline: false)}`)");
        var keys = await provider.KeysAsync(jwt.Kid, ct).ConfigureAwait(false);
        var now = time.GetUtcNow().UtcDateTime;
        var result = await handler.ValidateTokenAsync(jwt, new TokenValidationParameters
        {
            ValidIssuer = options.Issuer,
            ValidAudience = options.ClientId,
            ValidAlgorithms = Algorithms,
            IssuerSigningKeys = keys,
            TryAllIssuerSigningKeys = string.IsNullOrEmpty(jwt.Kid),
            RequireSignedTokens = true,
            RequireExpirationTime = true,
            RequireAudience = true,
            LifetimeValidator = (from, until, _, _) => until is { } end && now < end + options.ClockSkew && (from is not { } start || start <= now + options.ClockSkew),
        }).ConfigureAwait(false);
        return result.IsValid ? jwt : throw Refused(result.Exception switch
        {
            SecurityTokenInvalidAudienceException => "the token is for another audience (aud)",
            SecurityTokenInvalidIssuerException => "the token is of another issuer (iss)",
            SecurityTokenInvalidLifetimeException or SecurityTokenExpiredException or SecurityTokenNoExpirationException => "the token is expired, not valid yet, or for ever",
            SecurityTokenSignatureKeyNotFoundException => "the token is signed with a key that is not the provider's",
            _ => "the token's signature is not valid",
        });
    }

    private static string Claim(JsonElement claims, string name) =>
        String(claims, name) is { Length: > 0 and <= MaxSubject } subject ? subject : throw Refused($"the provider does not say who this is (`{name}`)");

    private static JsonElement Claims(JsonWebToken jwt)
    {
        // Two members of one name: what we read need not be what was validated (P25).
        return JsonText.Object(Base64UrlEncoder.DecodeBytes(jwt.EncodedPayload), depth: 64) ?? throw Refused("the token's claims are ambiguous");
    }

    public static string? String(JsonElement claims, string name) =>
        claims.TryGetProperty(name, out var value) ? JsonText.Of(value) : null;

    /// <summary>Core §3.1.3.6: the left half of the hash that goes with the signature's.</summary>
    private static string? AccessTokenHash(string algorithm, string? accessToken)
    {
        if (accessToken is null) return null;
        var bytes = Encoding.ASCII.GetBytes(accessToken);
        var hash = algorithm[^3..] switch { "384" => SHA384.HashData(bytes), "512" => SHA512.HashData(bytes), _ => SHA256.HashData(bytes) };
        return Base64UrlEncoder.Encode(hash.AsSpan(0, hash.Length / 2).ToArray());
    }

    private static bool Same(string? a, string? b) =>
        a is not null && b is not null && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(a), Encoding.UTF8.GetBytes(b));

    private static OidcRefusedException Refused(string detail) => new(ReasonCodes.SignInFailed, detail);
}
