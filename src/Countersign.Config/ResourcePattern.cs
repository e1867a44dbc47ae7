using System.Text;

namespace Countersign.Config;

/// <summary>
/// `target.schema.name` in the classification. A segment is `*`, a plain name, or a name in double quotes as in SQL
/// (`""` stands for one quote). A plain schema or table name with capitals is refused: SQL would fold it to lower case,
/// a reader would not, and the two are different tables (P15).
/// </summary>
internal static class ResourcePattern
{
    /// <summary>Bytes of a PostgreSQL identifier (`NAMEDATALEN` - 1).</summary>
    private const int MaxIdentifierBytes = 63;

    /// <summary>Three segments, null for `*`; or what is wrong.</summary>
    public static (string? Target, string? Schema, string? Name)? Parse(string text, out string problem)
    {
        var segments = new List<string?>();
        problem = "write `target.schema.name`, where each part is a name, a name in double quotes, or `*`";
        var at = 0;
        while (true)
        {
            if (segments.Count == 3 || !TrySegment(text, ref at, segments.Count, out var segment, ref problem)) return null;
            segments.Add(segment);
            if (at == text.Length) break;
            if (text[at++] != '.') return null;
        }

        return segments.Count == 3 ? (segments[0], segments[1], segments[2]) : null;
    }

    private static bool TrySegment(string text, ref int at, int index, out string? segment, ref string problem)
    {
        segment = null;
        var start = at;
        if (at < text.Length && text[at] == '"')
        {
            var name = new StringBuilder();
            for (at++; ; at++)
            {
                if (at >= text.Length) return false;
                if (text[at] != '"') name.Append(text[at]);
                else if (at + 1 < text.Length && text[at + 1] == '"') name.Append(text[at++]);
                else break;
            }

            at++;
            segment = name.ToString();
        }
        else
        {
            while (at < text.Length && text[at] is not ('.' or '"')) at++;
            var plain = text.AsSpan(start, at - start);
            if (plain is "*") return true;
            foreach (var c in plain)
            {
                if (!char.IsAsciiLetterOrDigit(c) && c is not ('_' or '-' or '@' or '$')) return false;
            }

            segment = plain.ToString();
            if (index > 0 && segment.Any(char.IsAsciiLetterUpper))
            {
                problem = $"`{segment}` could mean two tables: write `{segment.ToLowerInvariant()}`, or `\"{segment}\"` in double quotes if it was created so";
                return false;
            }
        }

        if (segment.Length == 0 || segment.Any(char.IsControl)) return false;
        if (Encoding.UTF8.GetByteCount(segment) <= MaxIdentifierBytes) return true;
        problem = $"a part is longer than {MaxIdentifierBytes} bytes, which is where PostgreSQL cuts names";
        return false;
    }
}
