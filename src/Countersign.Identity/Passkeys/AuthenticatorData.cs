using System.Buffers.Binary;
using System.Formats.Cbor;

namespace Countersign.Identity.Passkeys;

[Flags]
internal enum AuthenticatorFlags : byte
{
    None = 0,

    /// <summary>Somebody touched it.</summary>
    UserPresent = 0x01,

    /// <summary>It knows who: by a PIN, a finger, a face.</summary>
    UserVerified = 0x04,

    /// <summary>The key may be copied to the person's other devices.</summary>
    BackupEligible = 0x08,

    /// <summary>It has been.</summary>
    BackedUp = 0x10,

    /// <summary>A new key follows.</summary>
    Attested = 0x40,

    /// <summary>Extensions follow.</summary>
    Extensions = 0x80,
}

/// <summary>What the authenticator itself says (WebAuthn level 3 §6.1), every byte of it accounted for. Pure.</summary>
internal sealed record AuthenticatorData(byte[] RpIdHash, AuthenticatorFlags Flags, uint Counter, Guid Aaguid, byte[]? CredentialId, PasskeyKey? Key)
{
    private const int Fixed = 32 + 1 + 4;
    private const AuthenticatorFlags Known =
        AuthenticatorFlags.UserPresent | AuthenticatorFlags.UserVerified | AuthenticatorFlags.BackupEligible | AuthenticatorFlags.BackedUp | AuthenticatorFlags.Attested | AuthenticatorFlags.Extensions;

    /// <summary>Null when it is malformed, or has bytes that nothing accounts for. <see cref="Key"/> is null too where it is of no algorithm that is believed.</summary>
    public static AuthenticatorData? Read(byte[] bytes)
    {
        if (bytes.Length is < Fixed or > PasskeyLimits.LongestAuthenticatorData) return null;
        var flags = (AuthenticatorFlags)bytes[32];

        // Not copied and yet not to be copied: no such state (§6.1.3). Bits that mean nothing yet mean nothing to us.
        if ((flags & ~Known) != 0 || flags.HasFlag(AuthenticatorFlags.BackedUp) && !flags.HasFlag(AuthenticatorFlags.BackupEligible)) return null;
        var rest = bytes.AsMemory(Fixed);
        var aaguid = Guid.Empty;
        byte[]? id = null;
        PasskeyKey? key = null;
        try
        {
            if (flags.HasFlag(AuthenticatorFlags.Attested))
            {
                if (rest.Length < 18) return null;
                aaguid = new Guid(rest.Span[..16], bigEndian: true);
                var length = BinaryPrimitives.ReadUInt16BigEndian(rest.Span[16..]);
                if (length is 0 or > PasskeyLimits.LongestCredentialId || rest.Length < 18 + length) return null;
                id = rest.Span.Slice(18, length).ToArray();
                rest = rest[(18 + length)..];
                var reader = new CborReader(rest, CborConformanceMode.Strict, allowMultipleRootLevelValues: true);
                key = CoseKey.Read(reader);
                rest = rest[^reader.BytesRemaining..];
            }

            if (flags.HasFlag(AuthenticatorFlags.Extensions))
            {
                var reader = new CborReader(rest, CborConformanceMode.Strict);
                if (reader.PeekState() != CborReaderState.StartMap) return null;
                reader.SkipValue();
                rest = rest[^reader.BytesRemaining..];
            }
        }
        catch (Exception e) when (e is CborContentException or InvalidOperationException or OverflowException)
        {
            return null;
        }

        return rest.IsEmpty ? new AuthenticatorData(bytes[..32], flags, BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(33)), aaguid, id, key) : null;
    }
}
