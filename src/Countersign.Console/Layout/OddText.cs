using System.Globalization;
using System.Text;
using Countersign.Core;

namespace Countersign.Pages.Layout;

/// <summary>A stretch of text; <see cref="Odd"/> says what about it a reader could not have seen.</summary>
public readonly record struct TextPart(string Text, string? Odd);

/// <summary>
/// Text cut where a reader could be fooled (I10, P34): characters that do not show themselves are written out by
/// <see cref="VisibleText"/>, and letters that look like others are marked. Nothing is dropped.
/// </summary>
public static class OddText
{
    /// <param name="text">Raw text.</param>
    /// <param name="multiline">Whether line feeds and tabs may stay.</param>
    /// <param name="ascii">Whether it should be ASCII (an identifier): then every other letter is marked, else only those in words that mix alphabets.</param>
    public static IReadOnlyList<TextPart> Parts(string text, bool multiline = true, bool ascii = false)
    {
        var visible = VisibleText.Of(text, multiline);
        if (visible.Length == text.Length && Ascii.IsValid(visible)) return [new TextPart(visible, null)];
        var parts = new List<TextPart>();
        var plain = new StringBuilder();
        var runes = visible.EnumerateRunes().ToArray();
        var mixed = Mixed(runes, ascii);
        for (var i = 0; i < runes.Length; i++)
        {
            if (runes[i].Value == '⟦')
            {
                Flush();
                var mark = new StringBuilder();
                do mark.Append(runes[i].ToString());
                while (runes[i].Value != '⟧' && ++i < runes.Length);
                parts.Add(new TextPart(mark.ToString(), "a character that does not show itself"));
            }
            else if (mixed[i])
            {
                Flush();
                parts.Add(new TextPart(runes[i].ToString(), string.Create(CultureInfo.InvariantCulture, $"U+{runes[i].Value:X4}, which is not the letter it may look like")));
            }
            else
            {
                plain.Append(runes[i].ToString());
            }
        }

        Flush();
        return parts;

        void Flush()
        {
            if (plain.Length > 0) parts.Add(new TextPart(plain.ToString(), null));
            plain.Clear();
        }
    }

    public static bool HasOdd(string text, bool ascii = false) => Parts(text, multiline: true, ascii).Any(static p => p.Odd is not null);

    /// <summary>Letters from beyond Latin in a word that has Latin letters too; all of them where ASCII was due.</summary>
    private static bool[] Mixed(Rune[] runes, bool ascii)
    {
        var result = new bool[runes.Length];
        for (var i = 0; i < runes.Length;)
        {
            if (!Rune.IsLetter(runes[i]))
            {
                i++;
                continue;
            }

            var end = i;
            while (end < runes.Length && (Rune.IsLetterOrDigit(runes[end]) || runes[end].Value == '_')) end++;
            var word = runes.AsSpan(i, end - i);
            var latin = false;
            var foreign = false;
            foreach (var rune in word)
            {
                latin |= Rune.IsLetter(rune) && rune.Value <= LastLatin;
                foreign |= rune.Value > LastLatin;
            }

            for (var n = i; n < end; n++) result[n] = ascii ? runes[n].Value > 0x7f : latin && foreign && runes[n].Value > LastLatin;
            i = end;
        }

        return result;
    }

    /// <summary>The end of Latin Extended-B.</summary>
    private const int LastLatin = 0x24f;
}
