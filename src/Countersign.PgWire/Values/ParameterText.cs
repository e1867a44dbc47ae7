using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Unicode;

namespace Countersign.PgWire;

/// <summary>
/// What a bound value is, in words for a human who decides about it. The text is the value that the server would take,
/// exactly: no rounding, no shortening. The length of the text is bounded by a small multiple of the bytes. Control and
/// bidirectional characters come through as they are: who shows the text makes them visible.
/// </summary>
public static class ParameterText
{
    /// <summary>
    /// Renders a value that is not NULL. False when its type is not known here or its bytes are not a value of that type:
    /// <paramref name="text"/> is then the bytes in hex and says so.
    /// </summary>
    /// <param name="typeOid">Type oid; 0 when nobody named one, which only the text format can do without.</param>
    /// <param name="format">Format of the bytes.</param>
    /// <param name="bytes">The bytes.</param>
    /// <param name="text">The words; never null.</param>
    public static bool TryRender(uint typeOid, WireFormat format, ReadOnlySpan<byte> bytes, out string text)
    {
        string? rendered = format switch
        {
            WireFormat.Text => TryUtf8(bytes),
            WireFormat.Binary => TryBinary(typeOid, bytes),
            _ => null,
        };
        text = rendered ?? Hex(typeOid, format, bytes);
        return rendered is not null;
    }

    /// <summary>As <see cref="TryRender"/>, with <c>NULL</c> for NULL. False as well when the value could only be shown in hex.</summary>
    public static bool TryRender(uint typeOid, BoundParameter parameter, out string text)
    {
        if (parameter.Value is { } value)
            return TryRender(typeOid, parameter.Format, value.Span, out text);
        text = "NULL";
        return true;
    }

    static string Hex(uint typeOid, WireFormat format, ReadOnlySpan<byte> bytes)
    {
        string hex = "\\x" + Convert.ToHexStringLower(bytes);
        if (format == WireFormat.Text)
            return $"{hex} (not valid UTF-8 text)";
        return PgTypes.NameOf(typeOid) is { } name
            ? string.Create(CultureInfo.InvariantCulture, $"{hex} (binary {name}, type oid {typeOid}, not readable)")
            : string.Create(CultureInfo.InvariantCulture, $"{hex} (binary, type oid {typeOid})");
    }

    static string? TryUtf8(ReadOnlySpan<byte> bytes) =>
        Utf8.IsValid(bytes) && !bytes.Contains((byte)0) ? Encoding.UTF8.GetString(bytes) : null;

    /// <summary>The value of a binary form, or null when it is none of this type.</summary>
    internal static string? TryBinary(uint typeOid, ReadOnlySpan<byte> b) => typeOid switch
    {
        // boolrecv takes any byte but 0 for true.
        PgTypes.Bool => b.Length == 1 ? (b[0] != 0 ? "true" : "false") : null,
        PgTypes.Int2 => b.Length == 2 ? Invariant(BinaryPrimitives.ReadInt16BigEndian(b)) : null,
        PgTypes.Int4 => b.Length == 4 ? Invariant(BinaryPrimitives.ReadInt32BigEndian(b)) : null,
        PgTypes.Int8 => b.Length == 8 ? Invariant(BinaryPrimitives.ReadInt64BigEndian(b)) : null,
        PgTypes.Oid or 24 or 28 or 2205 => b.Length == 4 ? Invariant(BinaryPrimitives.ReadUInt32BigEndian(b)) : null,
        5069 => b.Length == 8 ? Invariant(BinaryPrimitives.ReadUInt64BigEndian(b)) : null,
        PgTypes.Float4 => b.Length == 4 ? Float(BinaryPrimitives.ReadSingleBigEndian(b)) : null,
        PgTypes.Float8 => b.Length == 8 ? Float(BinaryPrimitives.ReadDoubleBigEndian(b)) : null,
        PgTypes.Numeric => NumericText.TryRender(b),
        PgTypes.Text or PgTypes.Varchar or PgTypes.Bpchar or PgTypes.Name or PgTypes.Unknown
            or PgTypes.Json or PgTypes.Xml => TryUtf8(b),
        // jsonb_recv knows version 1 only.
        PgTypes.Jsonb => b.Length >= 1 && b[0] == 1 ? TryUtf8(b[1..]) : null,
        PgTypes.Bytea => "\\x" + Convert.ToHexStringLower(b),
        PgTypes.Char => b.Length == 1 ? CharText(b[0]) : null,
        PgTypes.Uuid => b.Length == 16 ? new Guid(b, bigEndian: true).ToString("D") : null,
        PgTypes.Date => b.Length == 4 ? DateTimeText.TryDate(BinaryPrimitives.ReadInt32BigEndian(b)) : null,
        PgTypes.Time => b.Length == 8 ? DateTimeText.TryTime(BinaryPrimitives.ReadInt64BigEndian(b)) : null,
        PgTypes.Timetz => b.Length == 12
            ? DateTimeText.TryTimeWithZone(BinaryPrimitives.ReadInt64BigEndian(b), BinaryPrimitives.ReadInt32BigEndian(b[8..]))
            : null,
        PgTypes.Timestamp => b.Length == 8 ? DateTimeText.TryTimestamp(BinaryPrimitives.ReadInt64BigEndian(b), "") : null,
        // The binary form is UTC; the server would show it in the session's zone.
        PgTypes.Timestamptz => b.Length == 8 ? DateTimeText.TryTimestamp(BinaryPrimitives.ReadInt64BigEndian(b), "+00") : null,
        PgTypes.Interval => b.Length == 16
            ? DateTimeText.TryInterval(BinaryPrimitives.ReadInt64BigEndian(b), BinaryPrimitives.ReadInt32BigEndian(b[8..]), BinaryPrimitives.ReadInt32BigEndian(b[12..]))
            : null,
        PgTypes.Inet => TryInet(b, alwaysBits: false),
        PgTypes.Cidr => TryInet(b, alwaysBits: true),
        _ => PgTypes.TryGetElement(typeOid, out uint element) ? ArrayText.TryRender(element, b) : null,
    };

    static string Invariant<T>(T value)
        where T : IFormattable => value.ToString(null, CultureInfo.InvariantCulture);

    /// <summary>Shortest text that reads back as the same number, as PostgreSQL 12 and later print it.</summary>
    static string Float(double value) => double.IsPositiveInfinity(value) ? "Infinity"
        : double.IsNegativeInfinity(value) ? "-Infinity"
        : double.IsNaN(value) ? "NaN"
        : value.ToString("R", CultureInfo.InvariantCulture).Replace('E', 'e');

    static string Float(float value) => float.IsFinite(value)
        ? value.ToString("R", CultureInfo.InvariantCulture).Replace('E', 'e')
        : Float((double)value);

    /// <summary>As charout of PostgreSQL 16: a byte above ASCII in octal, zero as the empty string.</summary>
    static string CharText(byte value) => value switch
    {
        0 => "",
        < 0x80 => ((char)value).ToString(),
        _ => "\\" + Convert.ToString(value, 8),
    };

    /// <summary>Whether a bit to the right of the mask is set, which no cidr may have.</summary>
    static bool HasHostBits(ReadOnlySpan<byte> address, int bits)
    {
        for (int bit = bits; bit < address.Length * 8; bit++)
        {
            if ((address[bit / 8] & (0x80 >> (bit % 8))) != 0)
                return true;
        }
        return false;
    }

    /// <summary>network_recv: family (2 or 3), bits, a flag that the server ignores, length, address.</summary>
    static string? TryInet(ReadOnlySpan<byte> b, bool alwaysBits)
    {
        if (b.Length < 4)
            return null;
        int size = b[0] switch { 2 => 4, 3 => 16, _ => 0 };
        if (size == 0 || b[3] != size || b.Length != 4 + size || b[1] > size * 8)
            return null;
        var address = new IPAddress(b[4..]);
        if (alwaysBits && HasHostBits(b[4..], b[1]))
            return null;
        return alwaysBits || b[1] != size * 8
            ? string.Create(CultureInfo.InvariantCulture, $"{address}/{b[1]}")
            : address.ToString();
    }
}
