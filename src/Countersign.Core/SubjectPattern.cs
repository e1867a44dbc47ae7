namespace Countersign.Core;

/// <summary>
/// What a claim of a token, or a name in a certificate, must be: exactly this text, or a text with whole segments left
/// open. Segments lie between `:` and `/`. A segment `*` stands for one segment of any text but nothing; `**`, only at the
/// end, for all that is left. There is no other wildcard and no escape, so that a pattern can not say more than it seems to:
/// `*` never crosses a separator, and a segment is never half open (P36). Compared byte for byte: case matters.
/// </summary>
public sealed record SubjectPattern
{
    /// <summary>Longest pattern and longest value that is compared, in characters.</summary>
    public const int MaxLength = 1024;

    private readonly string[] segments;

    private SubjectPattern(string text, string[] segments)
    {
        Text = text;
        this.segments = segments;
        IsExact = Array.TrueForAll(segments, static s => s is not ("*" or "**"));
        FixedPrefix = IsExact ? text : text[..text.IndexOf('*', StringComparison.Ordinal)];
    }

    /// <summary>As it was written.</summary>
    public string Text { get; }

    /// <summary>True where no segment is open.</summary>
    public bool IsExact { get; }

    /// <summary>All before the first open segment, with the separator before it.</summary>
    public string FixedPrefix { get; }

    /// <summary>False, and why, where the text is no pattern.</summary>
    public static bool TryParse(string text, out SubjectPattern pattern, out string why)
    {
        pattern = null!;
        why = "";
        if (text.Length is 0 or > MaxLength || text.Any(char.IsControl)) why = $"use 1 to {MaxLength} characters, none of them a control character";
        var segments = Split(text);
        for (var i = 0; i < segments.Length && why.Length == 0; i++)
        {
            if (!segments[i].Contains('*', StringComparison.Ordinal) || segments[i] == "*") continue;
            if (segments[i] == "**") why = i == segments.Length - 1 ? "" : "`**` may stand at the end only";
            else why = "`*` stands for a whole segment between `:` and `/`, never for a part of one";
        }

        if (why.Length == 0 && segments[0] is "*" or "**") why = "a pattern begins with a segment that is fixed";
        if (why.Length > 0) return false;
        pattern = new SubjectPattern(text, segments);
        return true;
    }

    /// <summary>Whether a value is as this says.</summary>
    public bool Matches(string? value)
    {
        if (value is null || value.Length is 0 or > MaxLength) return false;
        if (IsExact) return string.Equals(value, Text, StringComparison.Ordinal);
        var (at, from) = (0, 0);
        for (var i = 0; i < segments.Length; i++)
        {
            var end = value.AsSpan(from).IndexOfAny(':', '/');
            end = end < 0 ? value.Length : from + end;
            var part = value.AsSpan(from, end - from);
            switch (segments[i])
            {
                case "**":
                    return IsPlain(value.AsSpan(from));
                case "*":
                    if (!IsPlain(part)) return false;
                    break;
                default:
                    if (!part.SequenceEqual(segments[i])) return false;
                    break;
            }

            at += segments[i].Length;
            var last = i == segments.Length - 1;
            if (last) return end == value.Length;

            // The separator itself must be the one that is written.
            if (end == value.Length || value[end] != Text[at]) return false;
            at++;
            from = end + 1;
        }

        return false;
    }

    /// <summary>Some text that a reader sees as it is: an open segment takes no control character, no blank and nothing outside ASCII.</summary>
    private static bool IsPlain(ReadOnlySpan<char> text) => !text.IsEmpty && !text.ContainsAnyExceptInRange('!', '~');

    private static string[] Split(string text) => text.Split([':', '/']);

    public bool Equals(SubjectPattern? other) => other is not null && other.Text == Text;

    public override int GetHashCode() => Text.GetHashCode(StringComparison.Ordinal);

    public override string ToString() => Text;
}
