using System.Globalization;

namespace Countersign.Pages.Layout;

/// <summary>Times, counts and lists as people say them.</summary>
public static class Words
{
    public static string Clock(DateTimeOffset at) => at.UtcDateTime.ToString("HH:mm:ss", CultureInfo.InvariantCulture);

    public static string Moment(DateTimeOffset at) => at.UtcDateTime.ToString("d MMM yyyy HH:mm:ss", CultureInfo.InvariantCulture) + " UTC";

    public static string Short(DateTimeOffset at) => at.UtcDateTime.ToString("d MMM HH:mm", CultureInfo.InvariantCulture);

    /// <summary>For programs: what `datetime` and the script take.</summary>
    public static string Iso(DateTimeOffset at) => at.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);

    /// <summary>`14 min`, `50 s`, `2 h 5 min`; the script says the same.</summary>
    public static string Span(TimeSpan span)
    {
        var seconds = Math.Max(0, (long)Math.Floor(span.TotalSeconds));
        return seconds switch
        {
            < 60 => string.Create(CultureInfo.InvariantCulture, $"{seconds} s"),
            < 600 => string.Create(CultureInfo.InvariantCulture, $"{seconds / 60} min {seconds % 60} s"),
            < 3600 => string.Create(CultureInfo.InvariantCulture, $"{seconds / 60} min"),
            < 86400 => string.Create(CultureInfo.InvariantCulture, $"{seconds / 3600} h {seconds % 3600 / 60} min"),
            _ => string.Create(CultureInfo.InvariantCulture, $"{seconds / 86400} d {seconds % 86400 / 3600} h"),
        };
    }

    public static string Count(long n, string one, string many) => string.Create(CultureInfo.InvariantCulture, $"{n:N0} {(n == 1 ? one : many)}");

    /// <summary>`a`, `a and b`, `a, b and c`.</summary>
    public static string List(IReadOnlyList<string> items, string last = "and") =>
        items.Count <= 1 ? string.Concat(items) : $"{string.Join(", ", items.Take(items.Count - 1))} {last} {items[^1]}";

    public static string Capital(string text) => text.Length == 0 ? text : char.ToUpperInvariant(text[0]) + text[1..];

    /// <summary>One line, cut for a list; the page behind it shows it whole.</summary>
    public static string OneLine(string text, int length)
    {
        // Nothing behind this could be in the line: a statement may have megabytes.
        if (text.Length > 16 * length) text = text[..(16 * length)];

        // Where a comment ends with its line, the end of a line says something.
        if (text.Contains("--", StringComparison.Ordinal)) text = text.Trim().ReplaceLineEndings(" ↵ ");
        var line = string.Join(' ', text.Split([' ', '\n', '\r', '\t'], StringSplitOptions.RemoveEmptyEntries));
        if (line.Length <= length) return line;
        var cut = length - 1;
        if (char.IsHighSurrogate(line[cut - 1])) cut--;
        return $"{line[..cut]}…";
    }
}
