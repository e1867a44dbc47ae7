using System.Buffers;
using System.Text;
using System.Text.Json;
using Countersign.Core;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Countersign.Identity.Federation;

/// <summary>A valid token: signed by its issuer, for us, now, and of the right kind. It says nothing yet of who may act.</summary>
internal sealed record WorkloadToken(string Subject, string? Id, DateTimeOffset ExpiresAt, JsonElement Claims)
{
    public override string ToString() => "token ***";
}

/// <summary>What came of a token. <see cref="Claims"/> are there as soon as it could be read, believed or not, for the journal.</summary>
internal sealed record TokenOutcome(WorkloadToken? Token, string? ReasonCode, JsonElement? Claims);

/// <summary>
/// Validates the tokens of one issuer. Signatures by Microsoft.IdentityModel; what its defaults leave open, here: one
/// algorithm family, one audience, one kind of token, a longest life (RFC 8725).
/// </summary>
internal sealed class WorkloadTokens(TokenIssuer issuer, IssuerKeys keys, FederationLimits limits, TimeProvider time)
{
    /// <summary>Asymmetric alone: with a MAC the published key itself would sign (RFC 8725 §2.1). No `none`.</summary>
    private static readonly string[] Algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"];

    /// <summary>Claims that say that a token is of another kind: an ID token of a person's sign-in, a log-out or security event.</summary>
    private static readonly string[] ForeignClaims = ["nonce", "at_hash", "c_hash", "s_hash", "events"];

    private static readonly SearchValues<char> Base64UrlCharacters = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");

    private const int MaxSubject = SubjectPattern.MaxLength;
    private const int MaxId = 256;

    private readonly JsonWebTokenHandler handler = new() { MaximumTokenSizeInBytes = limits.TokenChars, MapInboundClaims = false };

    public async Task<TokenOutcome> ValidateAsync(string token, CancellationToken ct)
    {
        if (token.Length > limits.TokenChars || Parts(token) is not var (header, claims)) return new TokenOutcome(null, ReasonCodes.TokenMalformed, null);
        return await ReasonAsync(token, header, claims, ct).ConfigureAwait(false) is { } reason
            ? new TokenOutcome(null, reason, claims)
            : new TokenOutcome(new WorkloadToken(String(claims, "sub")!, String(claims, "jti"), Moment(claims, "exp")!.Value, claims), null, claims);
    }

    private async Task<string?> ReasonAsync(string token, JsonElement header, JsonElement claims, CancellationToken ct)
    {
        if (String(claims, "iss") != issuer.Issuer) return ReasonCodes.TokenIssuer;
        if (header.TryGetProperty("typ", out _) && !IsType(String(header, "typ")) || (issuer.Type != "JWT" && String(header, "typ") is null)) return ReasonCodes.TokenType;
        if (!Algorithms.Contains(String(header, "alg"), StringComparer.Ordinal)) return ReasonCodes.TokenAlgorithm;

        // RFC 7515 §4.1.11: whoever does not understand what is critical must refuse. `jwk`, `jku` and `x5u`, which bring keys of the sender's own, are not looked at.
        if (header.TryGetProperty("crit", out _) || (header.TryGetProperty("kid", out _) && String(header, "kid") is null)) return ReasonCodes.TokenMalformed;
        foreach (var moment in (string[])["exp", "nbf", "iat"])
        {
            if (claims.TryGetProperty(moment, out _) && Moment(claims, moment) is null) return ReasonCodes.TokenMalformed;
        }

        if (await keys.FindAsync(String(header, "kid"), ct).ConfigureAwait(false) is not { } candidates) return ReasonCodes.IssuerUnavailable;
        var alg = String(header, "alg")!;
        var fitting = candidates.Where(k => (k.Kty == "EC") == alg.StartsWith("ES", StringComparison.Ordinal) && (string.IsNullOrEmpty(k.Alg) || k.Alg == alg)).ToArray<SecurityKey>();
        if (fitting.Length == 0) return ReasonCodes.TokenSignature;
        var result = await handler.ValidateTokenAsync(token, new TokenValidationParameters
        {
            ValidIssuer = issuer.Issuer,
            ValidAudience = issuer.Audience,
            ValidAlgorithms = Algorithms,
            IssuerSigningKeys = fitting,
            TryAllIssuerSigningKeys = true, // they were chosen by `kid` already
            RequireSignedTokens = true,
            RequireAudience = true,
            RequireExpirationTime = false, // both below: by our clock, and with reasons of their own
            ValidateLifetime = false,
        }).ConfigureAwait(false);
        if (!result.IsValid)
        {
            return result.Exception switch
            {
                SecurityTokenInvalidAudienceException => ReasonCodes.TokenAudience,
                SecurityTokenInvalidIssuerException => ReasonCodes.TokenIssuer,
                SecurityTokenInvalidAlgorithmException => ReasonCodes.TokenAlgorithm,
                _ => ReasonCodes.TokenSignature,
            };
        }

        return Signed(claims);
    }

    /// <summary>What a token that is the issuer's must say beside.</summary>
    private string? Signed(JsonElement claims)
    {
        // For us and nobody else: another audience that got it could come here with it.
        if (!claims.TryGetProperty("aud", out var audience) || !IsOurs(audience)) return ReasonCodes.TokenAudience;
        if (ForeignClaims.Any(c => claims.TryGetProperty(c, out _))) return ReasonCodes.TokenType;

        var now = time.GetUtcNow();
        if (Moment(claims, "exp") is not { } end) return ReasonCodes.TokenLifetime;
        if (now >= end) return ReasonCodes.TokenExpired;
        foreach (var start in (string[])["nbf", "iat"])
        {
            if (Moment(claims, start) > now + limits.Skew) return ReasonCodes.TokenNotYetValid;
        }

        if (end - (Moment(claims, "iat") ?? now) > issuer.MaxLifetime) return ReasonCodes.TokenLifetime;
        if (String(claims, "sub") is not { Length: > 0 and <= MaxSubject } || (claims.TryGetProperty("jti", out _) && String(claims, "jti") is not { Length: > 0 and <= MaxId })) return ReasonCodes.TokenMalformed;
        return null;
    }

    private bool IsOurs(JsonElement audience) => audience.ValueKind switch
    {
        JsonValueKind.String => JsonText.Of(audience) == issuer.Audience,
        JsonValueKind.Array => audience.GetArrayLength() == 1 && JsonText.Of(audience[0]) == issuer.Audience,
        _ => false,
    };

    /// <summary>RFC 7515 §4.1.9: media types, so of any case, and `application/` may be left out. JWT-SVID §2.3 knows `JOSE` as well.</summary>
    private bool IsType(string? type)
    {
        if (type is null) return false;
        if (type.StartsWith("application/", StringComparison.OrdinalIgnoreCase)) type = type["application/".Length..];
        return string.Equals(type, issuer.Type, StringComparison.OrdinalIgnoreCase) || (issuer.Type == "JWT" && type == "JOSE");
    }

    /// <summary>
    /// Header and claims; null for what is no signed JWT in compact form. Two members of one name are refused: what we read
    /// need not be what the library validated (P25).
    /// </summary>
    private static (JsonElement Header, JsonElement Claims)? Parts(string token)
    {
        var parts = token.Split('.');
        return parts.Length == 3 && !parts[2].AsSpan().ContainsAnyExcept(Base64UrlCharacters) && Json(parts[0]) is { } header && Json(parts[1]) is { } claims ? (header, claims) : null;
    }

    /// <summary>What a token says of itself, believed by nobody yet; null for what is no token.</summary>
    public static JsonElement? Claims(string token, FederationLimits limits) => token.Length <= limits.TokenChars ? Parts(token)?.Claims : null;

    private static JsonElement? Json(string part)
    {
        try
        {
            if (part.AsSpan().ContainsAnyExcept(Base64UrlCharacters)) return null;
            return JsonText.Object(Base64UrlEncoder.DecodeBytes(part), depth: 32);
        }
        catch (FormatException)
        {
            return null;
        }
    }

    public static string? String(JsonElement claims, string name) =>
        claims.ValueKind == JsonValueKind.Object && claims.TryGetProperty(name, out var value) ? JsonText.Of(value) : null;

    /// <summary>NumericDate (RFC 7519 §2), whole seconds; null where it is none.</summary>
    private static DateTimeOffset? Moment(JsonElement claims, string name) =>
        claims.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var seconds) && seconds is >= 0 and < 253402300799
            ? DateTimeOffset.FromUnixTimeSeconds((long)seconds)
            : null;
}
