namespace Countersign.Architecture.Tests;

static class None
{
    /// <summary>Fails with everything that was found, one per line.</summary>
    public static void Of(IEnumerable<string> found)
    {
        var all = found.ToArray();
        Assert.True(all.Length == 0, "\n" + string.Join('\n', all));
    }
}
