namespace Countersign.Identity.Oidc;

/// <summary>What signing in at an OpenID Connect provider goes by. Complete, or there is none (P35).</summary>
public sealed record OidcOptions
{
    /// <summary>Exactly as the provider writes itself in `iss`.</summary>
    public required string Issuer { get; init; }

    public required string ClientId { get; init; }

    /// <summary>Null for a public client, which proves itself by PKCE alone.</summary>
    public string? ClientSecret { get; init; }

    public required IReadOnlyList<string> Scopes { get; init; }

    /// <summary>The claim that holds a person's groups.</summary>
    public required string GroupsClaim { get; init; }

    /// <summary>The claim that a person is called by here.</summary>
    public required string NameClaim { get; init; }

    /// <summary>The claim that tells people apart: `sub`, or another that the provider never gives to two.</summary>
    public required string SubjectClaim { get; init; }

    public required GroupNames Groups { get; init; }

    // ---- bounds ----

    /// <summary>How long a person may take at the provider. 10 minutes: a second factor is found.</summary>
    public TimeSpan SignInLifetime { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Sign-ins under way. 1,000: anybody may begin one; beyond it the oldest is forgotten.</summary>
    public int MaxPending { get; init; } = 1000;

    /// <summary>How long the provider's description and keys are believed. 1 hour.</summary>
    public TimeSpan MetadataLifetime { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Least time between two fetches of keys on account of an unknown one. 30 s: a rotation is rare, a forged key id costs nothing.</summary>
    public TimeSpan KeyFetchInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>By how much the provider's clock may differ. 1 minute.</summary>
    public TimeSpan ClockSkew { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Largest answer of the provider, bytes. 1 MiB: a person in a thousand groups fits.</summary>
    public int MaxAnswerBytes { get; init; } = 1 << 20;

    /// <summary>Most groups of one person that are looked at. 2,000.</summary>
    public int MaxGroups { get; init; } = 2000;

    /// <summary>Prints no secret (P56).</summary>
    public override string ToString() => $"oidc {Issuer} {ClientId}";
}

/// <summary>A sign-in that was refused: the published reason, and for the log what was wrong. Never a token.</summary>
internal sealed class OidcRefusedException(string reasonCode, string detail) : Exception(detail)
{
    public string ReasonCode { get; } = reasonCode;
}
