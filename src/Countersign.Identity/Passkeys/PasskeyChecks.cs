using System.Buffers.Text;
using System.Formats.Cbor;
using System.Security.Cryptography;
using System.Text;

namespace Countersign.Identity.Passkeys;

/// <summary>What is wrong with what an authenticator gave. Everything that is not <see cref="None"/> refuses it.</summary>
public enum PasskeyFault
{
    None,
    Malformed,
    Type,
    Challenge,
    Origin,
    Embedded,
    RelyingParty,
    NotPresent,
    NotVerified,
    Algorithm,
    Signature,
    Backup,
    Counter,
    Unknown,
    OtherPerson,
    Locked,
}

/// <summary>Faults as entries spell them, and in words for people.</summary>
public static class PasskeyFaults
{
    public static string Code(this PasskeyFault fault) => fault switch
    {
        PasskeyFault.RelyingParty => "relying-party",
        PasskeyFault.NotPresent => "not-present",
        PasskeyFault.NotVerified => "not-verified",
        PasskeyFault.OtherPerson => "other-person",
        _ => fault.ToString().ToLowerInvariant(),
    };

    public static string Words(this PasskeyFault fault) => fault switch
    {
        PasskeyFault.None => "nothing is wrong",
        PasskeyFault.Malformed => "it is malformed, or has parts that do not belong there",
        PasskeyFault.Type => "it was made for something else than this: registering is not signing, and signing is not registering",
        PasskeyFault.Challenge => "it signs something else than what was asked",
        PasskeyFault.Origin => "it was made on a page of another origin",
        PasskeyFault.Embedded => "it was made in a page that another site had embedded",
        PasskeyFault.RelyingParty => "it is of a passkey for another site",
        PasskeyFault.NotPresent => "nobody touched the authenticator",
        PasskeyFault.NotVerified => "the authenticator did not verify who touched it; use one with a PIN, a fingerprint or a face",
        PasskeyFault.Algorithm => "its key is of no algorithm that is accepted (ES256, EdDSA, RS256)",
        PasskeyFault.Signature => "the signature is not by this key over these bytes",
        PasskeyFault.Backup => "it says another thing than at its registration of whether its key may be copied",
        PasskeyFault.Counter => "its counter went back, so there may be a copy of it: it is locked; remove it and register another",
        PasskeyFault.Unknown => "this passkey is not registered here",
        PasskeyFault.OtherPerson => "this passkey is somebody else's",
        _ => "it is locked, because its counter once went back; remove it and register another",
    };
}

/// <summary>What a verified assertion says.</summary>
/// <param name="Origin">The page on which it was given.</param>
/// <param name="Counter">Signatures that the authenticator counts; 0 where it counts none.</param>
/// <param name="BackupEligible">Whether its key may be copied to the person's other devices.</param>
public sealed record AssertionFacts(string Origin, uint Counter, bool BackupEligible);

/// <summary>A key that was just made.</summary>
public sealed record NewKey(byte[] CredentialId, PasskeyKey Key, Guid Aaguid, AssertionFacts Facts);

/// <summary>
/// The checks of WebAuthn level 3 §7.1 and §7.2 that need nothing but the bytes: no clock, no store, no server. What signs
/// an approval is judged here, when it comes in and, by whoever doubts it, years later.
/// </summary>
public static class PasskeyChecks
{
    private const string Signing = "webauthn.get";
    private const string Registering = "webauthn.create";

    /// <summary>Whether this is a signature by this key over exactly this challenge, by a person whom the authenticator verified, on a page of ours.</summary>
    /// <param name="assertion">As it came.</param>
    /// <param name="key">The public key of the passkey.</param>
    /// <param name="challenge">What was to be signed: of an approval, the SHA-256 of its statement's bytes.</param>
    /// <param name="rpId">The site that the passkey is for, a host name.</param>
    /// <param name="isOwnOrigin">Whether pages of this origin are ours; null takes every https or loopback origin whose host is <paramref name="rpId"/>.</param>
    /// <param name="facts">What it says, where it is sound.</param>
    public static PasskeyFault Check(PasskeyAssertion assertion, PasskeyKey key, ReadOnlySpan<byte> challenge, string rpId, Func<string, bool>? isOwnOrigin, out AssertionFacts? facts)
    {
        facts = null;
        if (ClientData.Read(assertion.ClientData) is not { } client || AuthenticatorData.Read(assertion.AuthenticatorData) is not { } data) return PasskeyFault.Malformed;
        if (Check(client, data, Signing, challenge, rpId, isOwnOrigin) is var fault and not PasskeyFault.None) return fault;

        // A new key is made at registration and at no other time (§6.1).
        if (data.Flags.HasFlag(AuthenticatorFlags.Attested)) return PasskeyFault.Malformed;
        Span<byte> signed = new byte[assertion.AuthenticatorData.Length + SHA256.HashSizeInBytes];
        assertion.AuthenticatorData.CopyTo(signed);
        SHA256.HashData(assertion.ClientData, signed[assertion.AuthenticatorData.Length..]);
        if (!key.Verifies(signed, assertion.Signature)) return PasskeyFault.Signature;
        facts = new AssertionFacts(client.Origin, data.Counter, data.Flags.HasFlag(AuthenticatorFlags.BackupEligible));
        return PasskeyFault.None;
    }

    /// <summary>
    /// Whether these are the makings of a new passkey. Who made the authenticator is not asked (`attestation: none`): it is
    /// the person that is known, by the session in which he registers.
    /// </summary>
    public static PasskeyFault CheckNew(byte[] clientData, byte[] attestation, ReadOnlySpan<byte> challenge, string rpId, Func<string, bool> isOwnOrigin, out NewKey? made)
    {
        made = null;
        if (ClientData.Read(clientData) is not { } client || Attested(attestation) is not { } bytes) return PasskeyFault.Malformed;
        if (AuthenticatorData.Read(bytes) is not { } data) return PasskeyFault.Malformed;
        if (Check(client, data, Registering, challenge, rpId, isOwnOrigin) is var fault and not PasskeyFault.None) return fault;
        if (data.CredentialId is not { } id) return PasskeyFault.Malformed;
        if (data.Key is not { } key) return PasskeyFault.Algorithm;
        made = new NewKey(id, key, data.Aaguid, new AssertionFacts(client.Origin, data.Counter, data.Flags.HasFlag(AuthenticatorFlags.BackupEligible)));
        return PasskeyFault.None;
    }

    /// <summary>What both have in common, in the order of the standard.</summary>
    private static PasskeyFault Check(ClientData client, AuthenticatorData data, string type, ReadOnlySpan<byte> challenge, string rpId, Func<string, bool>? isOwnOrigin)
    {
        if (client.Type != type) return PasskeyFault.Type;

        // Compared as text: base64url has one spelling of these bytes, and no other is taken.
        if (!CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(client.Challenge), Encoding.UTF8.GetBytes(Base64Url.EncodeToString(challenge)))) return PasskeyFault.Challenge;
        if (client.Embedded) return PasskeyFault.Embedded;
        if (!IsOf(client.Origin, rpId) || isOwnOrigin?.Invoke(client.Origin) == false) return PasskeyFault.Origin;
        if (!CryptographicOperations.FixedTimeEquals(data.RpIdHash, SHA256.HashData(Encoding.UTF8.GetBytes(rpId)))) return PasskeyFault.RelyingParty;
        if (!data.Flags.HasFlag(AuthenticatorFlags.UserPresent)) return PasskeyFault.NotPresent;
        return data.Flags.HasFlag(AuthenticatorFlags.UserVerified) ? PasskeyFault.None : PasskeyFault.NotVerified;
    }

    /// <summary>Whether a page of this origin is of that very host: passkeys here are for a host and not for those below it.</summary>
    private static bool IsOf(string origin, string rpId) =>
        Uri.TryCreate(origin, UriKind.Absolute, out var at) && at.GetLeftPart(UriPartial.Authority) == origin
        && (at.Scheme == Uri.UriSchemeHttps || (at.Scheme == Uri.UriSchemeHttp && at.IsLoopback)) && at.IdnHost == rpId;

    /// <summary>The authenticator data out of an attestation object (§6.5); its statement is not asked for and not read.</summary>
    private static byte[]? Attested(byte[] attestation)
    {
        if (attestation.Length is 0 or > PasskeyLimits.LongestAuthenticatorData) return null;
        try
        {
            var reader = new CborReader(attestation, CborConformanceMode.Strict);
            byte[]? data = null;
            for (var left = reader.ReadStartMap(); left is null ? reader.PeekState() != CborReaderState.EndMap : left > 0; left--)
            {
                if (reader.ReadTextString() == "authData") data = reader.ReadByteString();
                else reader.SkipValue();
            }

            reader.ReadEndMap();
            return reader.BytesRemaining == 0 ? data : null;
        }
        catch (Exception e) when (e is CborContentException or InvalidOperationException or OverflowException)
        {
            return null;
        }
    }
}
