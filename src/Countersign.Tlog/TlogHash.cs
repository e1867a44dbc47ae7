using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;

namespace Countersign.Tlog;

/// <summary>A SHA-256 hash of a leaf, a node or a tree (RFC 6962 §2.1). 32 bytes, compared by value.</summary>
public readonly struct TlogHash : IEquatable<TlogHash>
{
    /// <summary>Length in bytes.</summary>
    public const int Size = SHA256.HashSizeInBytes;

    private readonly Bytes32 bytes;

    /// <exception cref="ArgumentOutOfRangeException">Not exactly 32 bytes.</exception>
    public TlogHash(ReadOnlySpan<byte> hash)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(hash.Length, Size);
        hash.CopyTo(bytes);
    }

    [UnscopedRef]
    public ReadOnlySpan<byte> Span => bytes;

    public byte[] ToArray() => Span.ToArray();

    public bool Equals(TlogHash other) => Span.SequenceEqual(other.Span);
    public override bool Equals(object? obj) => obj is TlogHash other && Equals(other);
    public override int GetHashCode() => BitConverter.ToInt32(Span);

    /// <summary>Lower-case hex, 64 characters.</summary>
    public override string ToString() => Convert.ToHexStringLower(Span);

    public static bool operator ==(TlogHash a, TlogHash b) => a.Equals(b);
    public static bool operator !=(TlogHash a, TlogHash b) => !a.Equals(b);

    [InlineArray(Size)]
    private struct Bytes32
    {
        private byte first;
    }
}
