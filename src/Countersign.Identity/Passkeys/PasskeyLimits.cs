namespace Countersign.Identity.Passkeys;

/// <summary>Limits of passkeys (docs/limits.md).</summary>
public sealed record PasskeyLimits
{
    /// <summary>Passkeys of one person. 10: a phone, two security keys, and what was lost and not yet removed.</summary>
    public int PerPerson { get; init; } = 10;

    /// <summary>
    /// How long after signing in a session may register a passkey. 10 minutes: whoever steals the cookie of a session that
    /// has been open since the morning gets no passkey of his own, which would outlive that session.
    /// </summary>
    public TimeSpan FreshFor { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>How long a challenge can be answered. 5 minutes: time to fetch the key from the other room.</summary>
    public TimeSpan ChallengeLifetime { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Challenges that wait at once; beyond it the oldest is void. 1,000: anybody may ask for one to sign in.</summary>
    public int MostChallenges { get; init; } = 1000;

    /// <summary>Longest name that a person gives a passkey, in characters.</summary>
    public const int LongestName = 60;

    /// <summary>Longest credential id, bytes (WebAuthn level 3 §7.1).</summary>
    public const int LongestCredentialId = 1023;

    /// <summary>Longest client data, bytes. 8 KiB: an origin and a challenge are some 200; browsers may add to them.</summary>
    public const int LongestClientData = 8 << 10;

    /// <summary>Longest authenticator data or attestation object, bytes. 16 KiB: an RSA key and extensions fit several times.</summary>
    public const int LongestAuthenticatorData = 16 << 10;

    /// <summary>Longest signature, bytes. 1 KiB: RSA with 8,192 bits.</summary>
    public const int LongestSignature = 1 << 10;
}
