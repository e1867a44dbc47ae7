using System.Globalization;
using System.Text;
using Countersign.Core;
using Spectre.Console;

namespace Countersign.Terminal;

/// <summary>
/// Text from elsewhere on its way to a terminal (P34): nothing in it is markup, an escape sequence, or a character that
/// hides. The server has marked such characters already; its marks are kept, and whatever it let through is marked here.
/// </summary>
internal static class Shown
{
    /// <summary>As Spectre markup, line feeds kept.</summary>
    public static string Text(string text) => Markup.Escape(Safe(text, multiline: true));

    /// <summary>As Spectre markup, on one line.</summary>
    public static string Line(string text) => Markup.Escape(Safe(text, multiline: false));

    /// <summary>As plain text.</summary>
    public static string Safe(string text, bool multiline)
    {
        var result = new StringBuilder(text.Length);
        var from = 0;
        for (var at = text.IndexOf('⟦', StringComparison.Ordinal); at >= 0; at = at + 1 < text.Length ? text.IndexOf('⟦', at + 1) : -1)
        {
            if (MarkLength(text.AsSpan(at)) is not (> 0 and var length)) continue;
            result.Append(VisibleText.Of(text[from..at], multiline)).Append(text, at, length);
            from = at + length;
            at = from - 1;
        }

        return result.Append(VisibleText.Of(text[from..], multiline)).ToString();
    }

    /// <summary>Length of a mark `⟦U+XXXX⟧` at the start, or 0.</summary>
    private static int MarkLength(ReadOnlySpan<char> text)
    {
        if (!text.StartsWith("⟦U+", StringComparison.Ordinal)) return 0;
        var end = text.IndexOf('⟧');
        return end is >= 7 and <= 9 && !text[3..end].ContainsAnyExcept("0123456789ABCDEF") ? end + 1 : 0;
    }

    /// <summary>`in 4 min 10 s`, `3 min ago`.</summary>
    public static string Until(DateTimeOffset at, DateTimeOffset now)
    {
        var left = at - now;
        return left >= TimeSpan.Zero ? $"in {Span(left)}" : $"{Span(-left)} ago";
    }

    public static string Span(TimeSpan span) => span.TotalHours >= 1
        ? string.Create(CultureInfo.InvariantCulture, $"{(int)span.TotalHours} h {span.Minutes} min")
        : span.TotalMinutes >= 1
            ? string.Create(CultureInfo.InvariantCulture, $"{span.Minutes} min {span.Seconds} s")
            : string.Create(CultureInfo.InvariantCulture, $"{span.Seconds} s");

    /// <summary>`2026-11-22 23:45 +01:00`: what may lie on another day says which, and in whose time.</summary>
    public static string DayAndClock(DateTimeOffset at) => at.ToLocalTime().ToString("yyyy-MM-dd HH:mm zzz", CultureInfo.InvariantCulture);

    public static string Clock(DateTimeOffset at) => at.ToLocalTime().ToString("HH:mm:ss", CultureInfo.InvariantCulture);
}
