using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Countersign.PgWire;

/// <summary>
/// The binary form of numeric: count, weight, sign, display scale, then digits in base 10,000 (numeric_recv in
/// <c>numeric.c</c>).
/// </summary>
static class NumericText
{
    const int Positive = 0x0000;
    const int Negative = 0x4000;
    const int NotANumber = 0xC000;
    const int PositiveInfinity = 0xD000;
    const int NegativeInfinity = 0xF000;
    const int MostScale = 0x3FFF;

    /// <summary>
    /// Ten bytes can stand for 131,072 digits: a plain form much longer than its bytes is written with an exponent
    /// instead, as exactly.
    /// </summary>
    const int PlainCharactersFree = 128;
    const int PlainCharactersPerGroup = 8;

    public static string? TryRender(ReadOnlySpan<byte> b)
    {
        if (b.Length < 8)
            return null;
        int groups = BinaryPrimitives.ReadUInt16BigEndian(b);
        int weight = BinaryPrimitives.ReadInt16BigEndian(b[2..]);
        int sign = BinaryPrimitives.ReadUInt16BigEndian(b[4..]);
        int scale = BinaryPrimitives.ReadUInt16BigEndian(b[6..]);
        if (b.Length != 8 + (2 * groups) || scale > MostScale)
            return null;
        var digits = new StringBuilder(4 * groups);
        for (int i = 0; i < groups; i++)
        {
            int group = BinaryPrimitives.ReadUInt16BigEndian(b[(8 + (2 * i))..]);
            if (group > 9999)
                return null;
            digits.Append(group.ToString("D4", CultureInfo.InvariantCulture));
        }
        return sign switch
        {
            Positive => Render(digits.ToString(), 4 * (weight - groups + 1), scale, groups, ""),
            Negative => Render(digits.ToString(), 4 * (weight - groups + 1), scale, groups, "-"),
            NotANumber => "NaN",
            PositiveInfinity => "Infinity",
            NegativeInfinity => "-Infinity",
            _ => null,
        };
    }

    /// <summary>The value is <paramref name="digits"/> times ten to the power of <paramref name="exponent"/>.</summary>
    static string Render(string digits, int exponent, int scale, int groups, string sign)
    {
        // The server cuts the digits that the display scale hides (trunc_var): what is shown must be what it will take.
        if (exponent < -scale)
        {
            int hidden = -scale - exponent;
            digits = hidden >= digits.Length ? "" : digits[..^hidden];
            exponent = -scale;
        }
        digits = digits.TrimStart('0');
        if (digits.Length == 0)
        {
            sign = "";
            exponent = -scale;
        }
        int wholeDigits = Math.Max(1, digits.Length + exponent);
        if (wholeDigits + scale <= PlainCharactersFree + (PlainCharactersPerGroup * groups))
        {
            string scaled = (digits + new string('0', exponent + scale)).PadLeft(scale + 1, '0');
            return scale == 0 ? sign + scaled : $"{sign}{scaled[..^scale]}.{scaled[^scale..]}";
        }
        if (digits.Length == 0)
            return "0";
        string significant = digits.TrimEnd('0');
        exponent += digits.Length - significant.Length;
        return string.Create(CultureInfo.InvariantCulture, $"{sign}{significant}e{exponent:+0;-0;+0}");
    }
}
