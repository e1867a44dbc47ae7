using System.Globalization;
using System.Text;

namespace Countersign.Core;

/// <summary>
/// Text as a human may safely read it (I10): every character that does not show itself, or that changes how its
/// neighbours show, is written out. Nothing is dropped and nothing is cut.
/// </summary>
public static class VisibleText
{
    /// <summary>
    /// Line feeds and tabs stay when <paramref name="multiline"/>; every other control, format, bidirectional,
    /// private-use, unassigned, surrogate or odd space character becomes `⟦U+XXXX⟧`. The brackets themselves are
    /// escaped too, so that a payload can not imitate a mark.
    /// </summary>
    public static string Of(string text, bool multiline = true)
    {
        var start = 0;
        while (start < text.Length && IsPlain(text[start], multiline)) start++;
        if (start == text.Length) return text;

        var result = new StringBuilder(text.Length + 32).Append(text, 0, start);
        for (var i = start; i < text.Length;)
        {
            if (!Rune.TryGetRuneAt(text, i, out var rune))
            {
                Mark(result, text[i]);
                i++;
                continue;
            }

            if (IsVisible(rune, multiline)) result.Append(text, i, rune.Utf16SequenceLength);
            else Mark(result, rune.Value);
            i += rune.Utf16SequenceLength;
        }

        return result.ToString();
    }

    private static bool IsPlain(char c, bool multiline) => c is >= ' ' and < '\x7f' || (multiline && c is '\n' or '\t');

    private static bool IsVisible(Rune rune, bool multiline)
    {
        if (rune.Value is '\n' or '\t') return multiline;
        if (rune.Value is '⟦' or '⟧') return false;
        if (rune.Value is >= 0x2800 and <= 0x2800 or 0x115F or 0x1160 or 0x3164 or 0xFFA0) return false; // blank glyphs that are letters by category
        if (rune.Value is >= 0xFE00 and <= 0xFE0F or >= 0xE0100 and <= 0xE01EF) return false; // variation selectors
        return Rune.GetUnicodeCategory(rune) switch
        {
            UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse
                or UnicodeCategory.OtherNotAssigned or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator => false,
            UnicodeCategory.SpaceSeparator => rune.Value == ' ',
            _ => true,
        };
    }

    private static void Mark(StringBuilder result, int codePoint) =>
        result.Append(CultureInfo.InvariantCulture, $"⟦U+{codePoint:X4}⟧");
}
