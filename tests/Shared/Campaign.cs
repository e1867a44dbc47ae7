using System.Globalization;
using System.Runtime.CompilerServices;

namespace Countersign.Tests;

/// <summary>
/// What is long runs as a slice in `./test`, and whole in `./test --long`, which says what it did on a dated page under docs/campaigns.
/// </summary>
internal static class Campaign
{
    private static readonly bool isWhole = Environment.GetEnvironmentVariable("COUNTERSIGN_LONG") == "1";

    /// <summary>How often, or for how many seconds: the slice, or the whole campaign, which is noted on the page under the name of the test.</summary>
    public static int Of(int slice, int whole, [CallerMemberName] string test = "")
    {
        if (!isWhole) return slice;
        Report(test, whole.ToString("N0", CultureInfo.InvariantCulture));
        return whole;
    }

    /// <summary>A line for the page: what was done, and what came of it. Nothing happens in a slice.</summary>
    public static void Report(string what, string came)
    {
        if (isWhole && Environment.GetEnvironmentVariable("COUNTERSIGN_CAMPAIGN") is { Length: > 0 } page) File.AppendAllText(page, $"| {what.Replace('_', ' ')} | {came} |\n");
    }
}
