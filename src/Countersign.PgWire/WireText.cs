using System.Text;

namespace Countersign.PgWire;

/// <summary>
/// A string as a peer sent it: proven to be valid UTF-8 without NUL, kept as the bytes of the frame that it was read from
/// (no copy). Lives as long as those bytes do. Equality is by byte.
/// </summary>
public readonly struct WireText : IEquatable<WireText>
{
    internal WireText(ReadOnlyMemory<byte> utf8) => Utf8 = utf8;

    /// <summary>The bytes, without the terminator.</summary>
    public ReadOnlyMemory<byte> Utf8 { get; }

    /// <summary>Whether there are no bytes: the unnamed statement or portal.</summary>
    public bool IsEmpty => Utf8.IsEmpty;

    /// <summary>The string. Allocates on each call.</summary>
    public override string ToString() => Encoding.UTF8.GetString(Utf8.Span);

    /// <summary>Whether the string is exactly this ASCII or UTF-8 literal.</summary>
    public bool Is(ReadOnlySpan<byte> utf8) => Utf8.Span.SequenceEqual(utf8);

    /// <inheritdoc/>
    public bool Equals(WireText other) => Utf8.Span.SequenceEqual(other.Utf8.Span);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is WireText other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = new HashCode();
        hash.AddBytes(Utf8.Span);
        return hash.ToHashCode();
    }

    /// <summary>Equality by byte.</summary>
    public static bool operator ==(WireText left, WireText right) => left.Equals(right);

    /// <summary>Inequality by byte.</summary>
    public static bool operator !=(WireText left, WireText right) => !left.Equals(right);
}

/// <summary>How a value is encoded (PostgreSQL documentation §54.7, "format code").</summary>
public enum WireFormat : short
{
    /// <summary>The type's text form.</summary>
    Text = 0,
    /// <summary>The type's binary form.</summary>
    Binary = 1,
}
