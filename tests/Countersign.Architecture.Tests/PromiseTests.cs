using System.Reflection;
using System.Text.RegularExpressions;
using Countersign.Core;

namespace Countersign.Architecture.Tests;

/// <summary>What the documents promise, and what the tests must bear the number of.</summary>
public sealed partial class PromiseTests
{
    [Fact]
    public void Reason_codes_page_lists_every_code_and_no_other()
    {
        var code = typeof(ReasonCodes).GetFields(BindingFlags.Public | BindingFlags.Static).Where(static f => f.IsLiteral).Select(static f => (string)f.GetRawConstantValue()!).Order(StringComparer.Ordinal);
        var page = House.Read("docs/spec/reason-codes.md").Split('\n')
            .Where(static line => line.StartsWith("| `", StringComparison.Ordinal))
            .Select(static line => line.Split('`')[1]).Order(StringComparer.Ordinal);
        Assert.Equal(code, page);
    }

    [Fact]
    public void Every_pitfall_that_is_within_reach_has_a_test_of_its_number()
    {
        string[] wanted = ["P1", "P3", "P7", "P8", "P20", "P21", "P23", "P24", "P25", "P26", "P30", "P31", "P32", "P34", "P35", "P36", "P37", "P50", "P51", "P55", "P56"];
        None.Of(wanted.Except(TestNumbers()));
    }

    [Fact]
    public void Every_invariant_has_a_test_of_its_number()
    {
        string[] wanted = ["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I10", "I11"];
        None.Of(wanted.Except(TestNumbers()));
    }

    [Fact]
    public void Every_package_that_is_shipped_is_in_the_third_party_notices()
    {
        var notices = House.Read("THIRD-PARTY-NOTICES.md");
        None.Of(House.ShippedPackages().Where(p => !notices.Contains($"`{p}`", StringComparison.OrdinalIgnoreCase)));
        using var guests = System.Text.Json.JsonDocument.Parse(House.Read("guests/package.json"));
        None.Of(guests.RootElement.GetProperty("dependencies").EnumerateObject().Select(static d => d.Name).Where(d => !notices.Contains($"`{d}`", StringComparison.Ordinal)));
    }

    [Fact]
    public void Links_between_documents_lead_somewhere()
    {
        var broken =
            from file in House.Files()
            where file.EndsWith(".md", StringComparison.Ordinal)
            from Match link in Link().Matches(House.Read(file))
            let target = link.Groups[1].Value.Split('#')[0]
            where target.Length > 0 && !target.Contains("://", StringComparison.Ordinal) && !target.StartsWith("mailto:", StringComparison.Ordinal)
            let path = Path.GetFullPath(target, Path.Combine(House.Root, Path.GetDirectoryName(file)!))
            where !File.Exists(path) && !Directory.Exists(path)
            select $"{file}: {target}";
        None.Of(broken);
    }

    /// <summary>`P12` for each test method whose name starts with `P12_`.</summary>
    private static HashSet<string> TestNumbers() =>
        House.Files("tests").Where(static f => f.EndsWith(".cs", StringComparison.Ordinal))
            .SelectMany(static f => TestName().Matches(House.Read(f)).Select(static m => m.Groups[1].Value))
            .ToHashSet(StringComparer.Ordinal);

    [GeneratedRegex(@"public\s+(?:static\s+)?(?:async\s+)?(?:void|Task|ValueTask)\s+([IP][0-9]+)_\w+\s*\(")]
    private static partial Regex TestName();

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Link();
}
