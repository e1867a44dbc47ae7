using System.Text.RegularExpressions;

namespace Countersign.Sql.Tests;

/// <summary>What we say and what the shipped policy schema declares are one thing in two rooms, which may not reference each other.</summary>
public sealed partial class SchemaTests
{
    static string Schema => File.ReadAllText(Path.Combine(Repository.Root, "src", "Countersign.Policy", "Shipped", "countersign.cedarschema"));

    [Fact]
    public void Actions_are_those_of_the_policy_schema_in_the_same_groups()
    {
        var declared = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (Match match in ActionLine().Matches(Schema))
        {
            foreach (Match name in Quoted().Matches(match.Groups[1].Value)) declared.Add(name.Groups[1].Value, match.Groups[2].Value);
        }

        var ours = SqlActions.All.OrderBy(static a => a.Key, StringComparer.Ordinal).Select(static a => $"{a.Key} in {a.Value.ToString().ToLowerInvariant()}");
        Assert.Equal(declared.Select(static d => $"{d.Key} in {d.Value}"), ours);
    }

    [Fact]
    public void Facts_are_declared_by_the_policy_schema_with_the_same_types()
    {
        var context = Schema[Schema.IndexOf("type SqlContext", StringComparison.Ordinal)..];
        context = context[..context.IndexOf("};", StringComparison.Ordinal)];
        var declared = Attribute().Matches(context).ToDictionary(static m => m.Groups[1].Value, static m => m.Groups[2].Value, StringComparer.Ordinal);
        foreach (var (name, type) in SqlFacts.All) Assert.Equal($"{name}: {type}", $"{name}: {declared.GetValueOrDefault(name, "not declared")}");
    }

    [Fact]
    public void Every_effect_of_the_corpus_is_within_the_declared_types()
    {
        string[] types = ["Database", "Schema", "Table", "Sequence", "Function", "SqlObject", "Role"];
        foreach (var file in CorpusTests.Files)
        {
            foreach (var (sql, _) in CorpusTests.Read(Path.Combine(AppContext.BaseDirectory, "Corpus", file.Data)))
            {
                foreach (var effect in Shop.Understand(sql).Effects)
                {
                    Assert.Contains(effect.Resource.Type, types);
                    Assert.Equal(SqlActions.All[effect.Action], effect.Verb);
                    Assert.All(effect.Facts, static f => Assert.True(SqlFacts.All.ContainsKey(f.Key)));
                    Assert.Equal(SqlResources.Target, effect.Resource.Parents[^1].Type);
                }
            }
        }
    }

    [GeneratedRegex("""^action ("sql:[^\n]*) in \["(\w+)"\]""", RegexOptions.Multiline)]
    private static partial Regex ActionLine();

    [GeneratedRegex("\"([^\"]+)\"")]
    private static partial Regex Quoted();

    [GeneratedRegex(@"^\s*(\w+)\?: ([^,]+),", RegexOptions.Multiline)]
    private static partial Regex Attribute();
}

static class Repository
{
    /// <summary>The folder that holds the solution.</summary>
    public static string Root { get; } = Find(AppContext.BaseDirectory);

    static string Find(string folder) =>
        File.Exists(Path.Combine(folder, "Countersign.slnx")) ? folder : Find(Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("the tests do not run within the repository"));
}
