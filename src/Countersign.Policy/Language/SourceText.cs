using System.Text;

namespace Countersign.Policy.Language;

/// <summary>The text of one file, and the arithmetic between the byte offsets that Cedar reports and lines and columns.</summary>
sealed class SourceText(string file, string text)
{
    readonly int[] lineStarts = Starts(text);

    public string File { get; } = file;
    public string Text { get; } = text;

    static int[] Starts(string text)
    {
        var starts = new List<int> { 0 };
        for (var i = 0; i < text.Length; i++)
            if (text[i] == '\n') starts.Add(i + 1);
        return [.. starts];
    }

    /// <summary>Line and column (both from 1, columns in code points) of a char offset.</summary>
    public (int Line, int Column) Place(int offset)
    {
        offset = Math.Clamp(offset, 0, Text.Length);
        var line = Array.BinarySearch(lineStarts, offset);
        if (line < 0) line = ~line - 1;
        var column = 1;
        for (var i = lineStarts[line]; i < offset; i++)
            if (!char.IsLowSurrogate(Text[i])) column++;
        return (line + 1, column);
    }

    /// <summary>The char offset of a UTF-8 byte offset counted from the char offset <paramref name="from"/>.</summary>
    public int FromBytes(int from, int bytes)
    {
        var i = from;
        foreach (var rune in Text.AsSpan(from).EnumerateRunes())
        {
            if (bytes <= 0) break;
            bytes -= rune.Utf8SequenceLength;
            i += rune.Utf16SequenceLength;
        }
        return i;
    }

    public PolicyDiagnostic Fault(string code, int offset, string message, string? help = null)
    {
        var (line, column) = Place(offset);
        return new PolicyDiagnostic(code, message, help, File, line, column);
    }

    /// <summary>
    /// Finds where each policy, whose exact text Cedar handed back in the order of the file, begins. Between two policies Cedar allows
    /// white space and <c>//</c> comments only, so a place is right when that is all that lies before it.
    /// </summary>
    /// <returns>Offsets, or null when one is not found, which would be a change of Cedar's.</returns>
    public int[]? Locate(IReadOnlyList<string> policies)
    {
        var offsets = new int[policies.Count];
        var end = 0;
        for (var p = 0; p < policies.Count; p++)
        {
            var start = SkipTrivia(Text, end);
            if (string.CompareOrdinal(Text, start, policies[p], 0, policies[p].Length) != 0) return null;
            offsets[p] = start;
            end = start + policies[p].Length;
        }
        return offsets;
    }

    /// <summary>Offsets within <paramref name="policy"/> of the annotations at its head, by name. Only for places: meaning comes from Cedar.</summary>
    public static Dictionary<string, int> LocateAnnotations(string policy)
    {
        var places = new Dictionary<string, int>(StringComparer.Ordinal);
        var i = SkipTrivia(policy, 0);
        while (i < policy.Length && policy[i] == '@')
        {
            var at = i;
            i = SkipTrivia(policy, i + 1);
            var name = i;
            while (i < policy.Length && (char.IsAsciiLetterOrDigit(policy[i]) || policy[i] == '_')) i++;
            places.TryAdd(policy[name..i], at);
            i = SkipTrivia(policy, i);
            if (i >= policy.Length || policy[i] != '(') continue;
            i = SkipTrivia(policy, i + 1);
            if (i < policy.Length && policy[i] == '"')
            {
                for (i++; i < policy.Length && policy[i] != '"'; i++)
                    if (policy[i] == '\\') i++;
                i++;
            }
            i = SkipTrivia(policy, i);
            if (i < policy.Length && policy[i] == ')') i++;
            i = SkipTrivia(policy, i);
        }
        return places;
    }

    static int SkipTrivia(string text, int i)
    {
        while (i < text.Length)
        {
            if (char.IsWhiteSpace(text[i])) i++;
            else if (text[i] == '/' && i + 1 < text.Length && text[i + 1] == '/')
                while (i < text.Length && text[i] != '\n') i++;
            else break;
        }
        return i;
    }

    /// <summary>UTF-8 without replacement characters: what cannot be read exactly is not read.</summary>
    public static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
}
