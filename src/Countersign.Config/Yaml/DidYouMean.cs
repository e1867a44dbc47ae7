namespace Countersign.Config.Yaml;

/// <summary>The known word nearest to what was written, if it is near enough to be a slip.</summary>
internal static class DidYouMean
{
    /// <summary>`; did you mean …` or an empty text.</summary>
    public static string Hint(string written, IEnumerable<string> known)
    {
        if (written.Length > 64) return "";
        var best = known
            .Select(k => (Word: k, Distance: Distance(written.ToLowerInvariant().Replace('_', '-'), k.ToLowerInvariant())))
            .Where(k => k.Distance <= Math.Max(1, k.Word.Length / 3))
            .OrderBy(static k => k.Distance).ThenBy(static k => k.Word, StringComparer.Ordinal)
            .FirstOrDefault();
        return best.Word is null ? "" : $"; did you mean `{best.Word}`?";
    }

    /// <summary>Edit distance with transpositions of neighbours (optimal string alignment).</summary>
    private static int Distance(string a, string b)
    {
        var d = new int[a.Length + 1, b.Length + 1];
        for (var i = 0; i <= a.Length; i++) d[i, 0] = i;
        for (var j = 0; j <= b.Length; j++) d[0, j] = j;
        for (var i = 1; i <= a.Length; i++)
        {
            for (var j = 1; j <= b.Length; j++)
            {
                var cost = a[i - 1] == b[j - 1] ? 0 : 1;
                d[i, j] = Math.Min(Math.Min(d[i - 1, j] + 1, d[i, j - 1] + 1), d[i - 1, j - 1] + cost);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) d[i, j] = Math.Min(d[i, j], d[i - 2, j - 2] + 1);
            }
        }

        return d[a.Length, b.Length];
    }
}
