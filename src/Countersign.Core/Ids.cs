using System.Buffers.Text;
using System.Security.Cryptography;

namespace Countersign.Core;

/// <summary>Id of one action. 80 random bits; unguessable is not needed, unique is.</summary>
public readonly record struct ActionId(string Value)
{
    public static ActionId New() => new(IdText.New("ac_"));
    public override string ToString() => Value;
}

/// <summary>Id of one review. It is no secret: it grants nothing.</summary>
public readonly record struct ReviewId(string Value)
{
    public static ReviewId New() => new(IdText.New("rv_"));

    /// <summary>True when <paramref name="text"/> has the shape of a review id; says nothing about its existence.</summary>
    public static bool TryParse(string? text, out ReviewId id)
    {
        id = default;
        if (!IdText.IsWellFormed("rv_", text)) return false;
        id = new ReviewId(text!);
        return true;
    }

    public override string ToString() => Value;
}

/// <summary>
/// Stable opaque id of a person or an agent, as the journal knows it (DESIGN §7): names are erased, ids stay.
/// </summary>
public readonly record struct OpaqueId(string Value)
{
    public static OpaqueId NewUser() => new(IdText.New("us_"));
    public static OpaqueId NewAgent() => new(IdText.New("ag_"));
    public override string ToString() => Value;
}

/// <summary>Crockford base32 of 80 random bits behind a prefix: sorts nowhere, reads aloud well.</summary>
public static class IdText
{
    private const string Alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
    private const int Length = 16;

    public static string New(string prefix) =>
        string.Concat(prefix, RandomNumberGenerator.GetString(Alphabet, Length));

    public static bool IsWellFormed(string prefix, string? text) =>
        text is not null
        && text.Length == prefix.Length + Length
        && text.StartsWith(prefix, StringComparison.Ordinal)
        && !text.AsSpan(prefix.Length).ContainsAnyExcept(Alphabet);
}

/// <summary>
/// What is approved and what is run: SHA-256 over a per-review salt and the canonical form of an action
/// (docs/spec/digest.md). Equal only to itself byte for byte.
/// </summary>
public readonly struct ActionDigest : IEquatable<ActionDigest>
{
    private readonly byte[]? bytes;

    public ActionDigest(ReadOnlySpan<byte> sha256)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(sha256.Length, SHA256.HashSizeInBytes);
        bytes = sha256.ToArray();
    }

    public ReadOnlySpan<byte> Span => bytes;

    public static ActionDigest Parse(string hex) => new(Convert.FromHexString(hex));

    /// <summary>Fixed-time, so that a comparison tells nothing about where two digests differ.</summary>
    public bool Equals(ActionDigest other) =>
        bytes is not null && other.bytes is not null && CryptographicOperations.FixedTimeEquals(bytes, other.bytes);

    public override bool Equals(object? obj) => obj is ActionDigest other && Equals(other);

    public override int GetHashCode() => bytes is null ? 0 : BitConverter.ToInt32(bytes);

    /// <summary>Lower-case hex, 64 characters.</summary>
    public override string ToString() => bytes is null ? "" : Convert.ToHexStringLower(bytes);

    public static bool operator ==(ActionDigest a, ActionDigest b) => a.Equals(b);
    public static bool operator !=(ActionDigest a, ActionDigest b) => !a.Equals(b);
}

/// <summary>
/// HMAC-SHA-256 over the canonical form of an action under a key that never leaves the store. Two presentations of the
/// same action have the same key; nobody without the store can test a guess against it.
/// </summary>
public readonly record struct JoinKey(string Value)
{
    public static JoinKey Compute(ReadOnlySpan<byte> storeKey, ReadOnlySpan<byte> canonical) =>
        new(Base64Url.EncodeToString(HMACSHA256.HashData(storeKey, canonical)));

    public override string ToString() => Value;
}
