namespace Countersign.Policy.Tests;

/// <summary>Our own scenarios, in the format that users write theirs in, run by the runner that they run.</summary>
public sealed class CorpusTests(World world)
{
    static string Folder(string set) => Path.Combine(AppContext.BaseDirectory, "corpus", set);

    [Theory]
    [InlineData("shop", 20)]
    [InlineData("ledger", 23)]
    [InlineData("people", 22)]
    [InlineData("facts", 40)]
    public async Task Corpus_passes(string set, int scenarios)
    {
        var report = await PolicyTestRunner.RunAsync(world.Cedar, Folder(set));
        Assert.Empty(report.Diagnostics);
        Assert.Empty(report.Results.Where(r => !r.Passed).Select(r => $"{r.File}:{r.Line} {r.Name}: {string.Join("; ", r.Failures)}"));
        Assert.Equal(scenarios, report.Results.Count);
        Assert.True(report.Passed);
    }
}
