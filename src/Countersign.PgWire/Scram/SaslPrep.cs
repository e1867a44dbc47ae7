using System.Globalization;
using System.Text;

namespace Countersign.PgWire;

/// <summary>
/// SASLprep (RFC 4013) as <c>pg_saslprep</c> in PostgreSQL uses it: pure ASCII passes as it is, a password that the profile
/// prohibits is used unprepared. Where the runtime has no Unicode normalisation data (invariant globalisation), step 2.2
/// leaves characters as they are: a non-ASCII password that is not in form KC already then fails to authenticate. Keys of
/// agents are ASCII.
/// </summary>
static class SaslPrep
{
    /// <summary>The bytes to derive keys from.</summary>
    public static byte[] Prepare(string password)
    {
        if (Ascii.IsValid(password))
            return Encoding.ASCII.GetBytes(password);
        string prepared;
        try
        {
            // 2.1 mapping, 2.2 normalisation.
            prepared = Map(password).Normalize(NormalizationForm.FormKC);
        }
        catch (ArgumentException)
        {
            // Not well-formed UTF-16.
            return Encoding.UTF8.GetBytes(password);
        }
        // 2.3 prohibited output, 2.4 bidirectional characters, 2.5 unassigned code points.
        return Encoding.UTF8.GetBytes(IsAllowed(prepared) ? prepared : password);
    }

    static string Map(string text)
    {
        var mapped = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            if (IsMappedToNothing(rune.Value))
                continue;
            mapped.Append(IsNonAsciiSpace(rune.Value) ? " " : rune.ToString());
        }
        return mapped.ToString();
    }

    static bool IsAllowed(string text)
    {
        bool hasRightToLeft = false, hasLeftToRight = false;
        int first = -1, last = -1;
        foreach (var rune in text.EnumerateRunes())
        {
            int c = rune.Value;
            if (IsProhibited(rune))
                return false;
            hasRightToLeft |= IsRightToLeft(c);
            hasLeftToRight |= Rune.IsLetter(rune) && !IsRightToLeft(c);
            if (first < 0)
                first = c;
            last = c;
        }
        if (first < 0)
            return false;
        // RFC 3454 §6: no mixing, and right-to-left at both ends.
        return !hasRightToLeft || (!hasLeftToRight && IsRightToLeft(first) && IsRightToLeft(last));
    }

    /// <summary>RFC 3454 table B.1.</summary>
    static bool IsMappedToNothing(int c) =>
        c is 0x00AD or 0x034F or 0x1806 or (>= 0x180B and <= 0x180D) or (>= 0x200B and <= 0x200D) or 0x2060
            or (>= 0xFE00 and <= 0xFE0F) or 0xFEFF;

    /// <summary>RFC 3454 table C.1.2. U+200B is in B.1 too, where it is mapped to nothing first.</summary>
    static bool IsNonAsciiSpace(int c) =>
        c is 0x00A0 or 0x1680 or (>= 0x2000 and <= 0x200B) or 0x202F or 0x205F or 0x3000;

    /// <summary>RFC 3454 tables A.1 (as far as today's Unicode has not assigned it since) and C.1.2 to C.9.</summary>
    static bool IsProhibited(Rune rune)
    {
        int c = rune.Value;
        return IsNonAsciiSpace(c)
            || c is < 0x20 or (>= 0x7F and <= 0x9F) or 0x06DD or 0x070F or 0x180E or (>= 0x200C and <= 0x200F)
                or (>= 0x2028 and <= 0x202E) or (>= 0x2060 and <= 0x2063) or (>= 0x206A and <= 0x206F)
                or (>= 0x2FF0 and <= 0x2FFB) or 0x0340 or 0x0341 or 0xFEFF or (>= 0xFFF9 and <= 0xFFFD)
                or (>= 0x1D173 and <= 0x1D17A) or (>= 0xE0000 and <= 0xE007F)
            || (c & 0xFFFE) == 0xFFFE
            || c is >= 0xFDD0 and <= 0xFDEF
            || Rune.GetUnicodeCategory(rune) is UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned;
    }

    /// <summary>RFC 3454 table D.1.</summary>
    static bool IsRightToLeft(int c) =>
        c is 0x05BE or 0x05C0 or 0x05C3 or (>= 0x05D0 and <= 0x05EA) or (>= 0x05F0 and <= 0x05F4) or 0x061B or 0x061F
            or (>= 0x0621 and <= 0x063A) or (>= 0x0640 and <= 0x064A) or (>= 0x066D and <= 0x066F)
            or (>= 0x0671 and <= 0x06D5) or 0x06DD or 0x06E5 or 0x06E6 or (>= 0x06FA and <= 0x06FE)
            or (>= 0x0700 and <= 0x070D) or 0x0710 or (>= 0x0712 and <= 0x072C) or (>= 0x0780 and <= 0x07A5) or 0x07B1
            or 0x200F or 0xFB1D or (>= 0xFB1F and <= 0xFB28) or (>= 0xFB2A and <= 0xFB36) or (>= 0xFB38 and <= 0xFB3C)
            or 0xFB3E or 0xFB40 or 0xFB41 or 0xFB43 or 0xFB44 or (>= 0xFB46 and <= 0xFBB1) or (>= 0xFBD3 and <= 0xFD3D)
            or (>= 0xFD50 and <= 0xFD8F) or (>= 0xFD92 and <= 0xFDC7) or (>= 0xFDF0 and <= 0xFDFC)
            or (>= 0xFE70 and <= 0xFE74) or (>= 0xFE76 and <= 0xFEFC);
}
