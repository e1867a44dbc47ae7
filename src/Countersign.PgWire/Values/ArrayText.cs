using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Countersign.PgWire;

/// <summary>
/// The binary form of an array: dimensions, a flag, element type, then for each dimension size and lower bound, then the
/// elements (array_recv in <c>arrayfuncs.c</c>). No or one dimension only.
/// </summary>
static class ArrayText
{
    public static string? TryRender(uint elementOid, ReadOnlySpan<byte> b)
    {
        if (b.Length < 12)
            return null;
        int dimensions = BinaryPrimitives.ReadInt32BigEndian(b);
        int flags = BinaryPrimitives.ReadInt32BigEndian(b[4..]);
        // A server refuses an array whose elements are of another type than the parameter's.
        if (flags is not (0 or 1) || BinaryPrimitives.ReadUInt32BigEndian(b[8..]) != elementOid)
            return null;
        b = b[12..];
        if (dimensions == 0)
            return b.IsEmpty ? "{}" : null;
        if (dimensions != 1 || b.Length < 8)
            return null;
        int count = BinaryPrimitives.ReadInt32BigEndian(b);
        int lowerBound = BinaryPrimitives.ReadInt32BigEndian(b[4..]);
        b = b[8..];
        if (count < 0 || count > b.Length / 4 || (long)lowerBound + count > int.MaxValue)
            return null;
        if (count == 0)
            return b.IsEmpty ? "{}" : null;

        var text = new StringBuilder();
        if (lowerBound != 1)
            text.Append(CultureInfo.InvariantCulture, $"[{lowerBound}:{lowerBound + count - 1}]=");
        text.Append('{');
        for (int i = 0; i < count; i++)
        {
            if (i > 0)
                text.Append(',');
            if (b.Length < 4)
                return null;
            int length = BinaryPrimitives.ReadInt32BigEndian(b);
            b = b[4..];
            if (length == -1)
            {
                text.Append("NULL");
                continue;
            }
            if (length < 0 || length > b.Length || ParameterText.TryBinary(elementOid, b[..length]) is not { } element)
                return null;
            b = b[length..];
            AppendQuoted(text, element);
        }
        return b.IsEmpty ? text.Append('}').ToString() : null;
    }

    /// <summary>Quotes as array_out does, so that an element <c>NULL</c> or <c>a,b</c> cannot be taken for something else.</summary>
    static void AppendQuoted(StringBuilder text, string element)
    {
        bool plain = element.Length > 0
            && !element.AsSpan().ContainsAny(Special)
            && !element.Equals("NULL", StringComparison.OrdinalIgnoreCase);
        if (plain)
        {
            text.Append(element);
            return;
        }
        text.Append('"');
        foreach (char c in element)
        {
            if (c is '"' or '\\')
                text.Append('\\');
            text.Append(c);
        }
        text.Append('"');
    }

    static readonly System.Buffers.SearchValues<char> Special = System.Buffers.SearchValues.Create("{},\"\\ \t\n\r\v\f");
}
