using System.Buffers;
using System.Text;
using System.Text.Json;
using Countersign.Core;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Countersign.Channels.Teams;

/// <summary>An activity that the connector signed for this bot, and where answers to it may be sent.</summary>
internal sealed record SignedActivity(Activity Activity, ServiceUrl ServiceUrl);

/// <summary>Exactly one of the two is there.</summary>
internal sealed record ActivityOutcome(SignedActivity? Signed, string? ReasonCode);

/// <summary>
/// Validates what is sent to the bot, as the documentation of the Bot Connector's authentication asks, all of it: the
/// `Bearer` scheme, issuer, audience, time, signature by a published key that is endorsed for the channel, an algorithm that
/// the metadata names, and `serviceurl` equal to the activity's own. There is no way to switch any of it off. Thread-safe.
/// </summary>
internal sealed class ConnectorTokens(TeamsBot bot, ConnectorKeys keys, TeamsLimits limits, TimeProvider time)
{
    /// <summary>The one channel that this bot listens to.</summary>
    public const string Channel = "msteams";

    private static readonly SearchValues<char> Base64UrlCharacters = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");

    private readonly JsonWebTokenHandler handler = new() { MaximumTokenSizeInBytes = limits.TokenChars, MapInboundClaims = false };

    /// <param name="authorization">The header, as it came.</param>
    /// <param name="body">The bytes of the request; they are looked at when their token is valid.</param>
    /// <param name="ct">Ends the wait for keys.</param>
    public async Task<ActivityOutcome> ValidateAsync(string? authorization, ReadOnlyMemory<byte> body, CancellationToken ct)
    {
        if (authorization is null || !authorization.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase)) return No(ReasonCodes.Unauthenticated);
        var token = authorization["Bearer ".Length..].Trim();
        if (token.Length > limits.TokenChars || Parts(token) is not var (header, claims)) return No(ReasonCodes.TokenMalformed);
        if (await RefuseAsync(token, header, claims, ct).ConfigureAwait(false) is { } reason) return No(reason);

        if (Activity.Parse(body) is not { } activity) return No(ReasonCodes.NotUnderstood);

        // The token is for one channel and one address; whoever holds one of another can not move it here (P35).
        if (activity.ChannelId != Channel) return No(ReasonCodes.ChannelForeign);
        if (ServiceClaim(claims) is not { } signed || signed != activity.ServiceUrl || ServiceUrl.Signed(signed, bot) is not { } address) return No(ReasonCodes.ServiceUrlMismatch);
        return new ActivityOutcome(new SignedActivity(activity, address), null);
    }

    private static ActivityOutcome No(string reason) => new(null, reason);

    private async Task<string?> RefuseAsync(string token, JsonElement header, JsonElement claims, CancellationToken ct)
    {
        if (Text(claims, "iss") != bot.Issuer) return ReasonCodes.TokenIssuer;

        // One audience, a string: of several, another that got it could come here with it.
        if (Text(claims, "aud") != bot.AppId) return ReasonCodes.TokenAudience;
        if (header.TryGetProperty("typ", out _) && !string.Equals(Text(header, "typ"), "JWT", StringComparison.OrdinalIgnoreCase)) return ReasonCodes.TokenType;

        // RFC 7515 §4.1.11. `jwk`, `jku` and `x5u`, which bring keys of the sender's own, are not looked at.
        if (header.TryGetProperty("crit", out _) || Text(header, "kid") is not { Length: > 0 } kid || Text(header, "alg") is not { } alg) return ReasonCodes.TokenMalformed;
        foreach (var moment in (string[])["exp", "nbf", "iat"])
        {
            if (claims.TryGetProperty(moment, out _) && Moment(claims, moment) is null) return ReasonCodes.TokenMalformed;
        }

        if (await keys.FindAsync(kid, ct).ConfigureAwait(false) is not var (key, algorithms)) return ReasonCodes.IssuerUnavailable;
        if (!algorithms.Contains(alg, StringComparer.Ordinal)) return ReasonCodes.TokenAlgorithm;
        if (key is null || (key.Key.Kty == "EC") != alg.StartsWith("ES", StringComparison.Ordinal) || (!string.IsNullOrEmpty(key.Key.Alg) && key.Key.Alg != alg)) return ReasonCodes.TokenSignature;
        var result = await handler.ValidateTokenAsync(token, new TokenValidationParameters
        {
            ValidIssuer = bot.Issuer,
            ValidAudience = bot.AppId,
            ValidAlgorithms = algorithms,
            IssuerSigningKey = key.Key,
            RequireSignedTokens = true,
            RequireAudience = true,
            RequireExpirationTime = false, // both below, by our clock
            ValidateLifetime = false,
        }).ConfigureAwait(false);
        if (!result.IsValid) return ReasonCodes.TokenSignature;

        var now = time.GetUtcNow();
        if (Moment(claims, "exp") is not { } end) return ReasonCodes.TokenLifetime;
        if (now >= end + limits.Skew) return ReasonCodes.TokenExpired;
        if (Moment(claims, "nbf") > now + limits.Skew || Moment(claims, "iat") > now + limits.Skew) return ReasonCodes.TokenNotYetValid;
        return key.Endorsements.Contains(Channel) ? null : ReasonCodes.ChannelForeign;
    }

    /// <summary>The documentation writes `serviceUrl`, the service `serviceurl`; a token that has both says two things.</summary>
    private static string? ServiceClaim(JsonElement claims) => (Text(claims, "serviceurl"), Text(claims, "serviceUrl")) switch
    {
        ({ } one, null) => one,
        (null, { } one) => one,
        _ => null,
    };

    /// <summary>Header and claims; null for what is no signed JWT in compact form. Two members of one name are refused (P25).</summary>
    private static (JsonElement Header, JsonElement Claims)? Parts(string token)
    {
        var parts = token.Split('.');
        return parts.Length == 3 && parts[2].Length > 0 && !parts[2].AsSpan().ContainsAnyExcept(Base64UrlCharacters) && Json(parts[0]) is { } header && Json(parts[1]) is { } claims ? (header, claims) : null;
    }

    private static JsonElement? Json(string part)
    {
        try
        {
            if (part.AsSpan().ContainsAnyExcept(Base64UrlCharacters)) return null;
            using var document = JsonDocument.Parse(Base64UrlEncoder.DecodeBytes(part), new JsonDocumentOptions { AllowDuplicateProperties = false, MaxDepth = 16 });
            return document.RootElement.ValueKind == JsonValueKind.Object ? document.RootElement.Clone() : null;
        }
        catch (Exception e) when (e is JsonException or FormatException or DecoderFallbackException)
        {
            return null;
        }
    }

    private static string? Text(JsonElement at, string name)
    {
        try
        {
            return at.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
        }
        catch (InvalidOperationException)
        {
            return null; // half a surrogate is no text
        }
    }

    /// <summary>NumericDate (RFC 7519 §2); null where it is none.</summary>
    private static DateTimeOffset? Moment(JsonElement claims, string name) =>
        claims.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var seconds) && seconds is >= 0 and < 253402300799
            ? DateTimeOffset.FromUnixTimeSeconds((long)seconds)
            : null;
}
