namespace Countersign.Sql.Tests;

/// <summary>
/// The corpus: statements with everything that is expected of them. Blocks are divided by blank lines; lines before the first that begins with
/// <c>&gt;</c> (effect), <c>~</c> (consequence) or <c>!</c> (refusal) are the text, <c>#</c> begins a comment.
/// </summary>
public sealed class CorpusTests
{
    public static TheoryData<string> Files => [.. Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "Corpus"), "*.sql.txt").Select(static f => Path.GetFileName(f)).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Files))]
    public void Corpus_statement_has_exactly_the_expected_effects(string file)
    {
        var failures = new List<string>();
        var cases = Read(Path.Combine(AppContext.BaseDirectory, "Corpus", file)).ToArray();
        foreach (var (sql, expected) in cases)
        {
            var actual = Rendering.Lines(Shop.Understand(sql));
            if (!expected.SequenceEqual(actual, StringComparer.Ordinal)) failures.Add($"{sql}\n  expected:\n    {string.Join("\n    ", expected)}\n  actual:\n    {string.Join("\n    ", actual)}");
        }

        Assert.NotEmpty(cases);
        Assert.True(failures.Count == 0, $"{failures.Count} of {cases.Length}:\n\n{string.Join("\n\n", failures)}");
    }

    [Fact]
    public void Corpus_has_at_least_250_statements() =>
        Assert.InRange(Files.Sum(static f => Read(Path.Combine(AppContext.BaseDirectory, "Corpus", f.Data)).Count()), 250, int.MaxValue);

    internal static IEnumerable<(string Sql, string[] Expected)> Read(string path)
    {
        foreach (var block in File.ReadAllText(path).Split("\n\n", StringSplitOptions.RemoveEmptyEntries))
        {
            var lines = block.Split('\n').Where(static l => l.Length > 0 && !l.StartsWith('#')).ToArray();
            var sql = lines.TakeWhile(static l => l[0] is not ('>' or '~' or '!')).ToArray();
            if (sql.Length > 0) yield return (string.Join('\n', sql), lines[sql.Length..]);
        }
    }
}
