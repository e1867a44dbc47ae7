using Countersign.Core;

namespace Countersign.Sql.Tests;

/// <summary>What was understood before is remembered, under everything that it depends on.</summary>
public sealed class DialectTests
{
    [Fact]
    public void Known_text_is_not_parsed_again()
    {
        var dialect = new SqlDialect(Parsers.Parser);
        var first = dialect.Understand("select * from orders", Shop.Session, Shop.Catalog, Shop.Classify);
        Assert.Same(first, dialect.Understand("select * from orders", Shop.Session with { }, Shop.Catalog, Shop.Classify));
        Assert.Equal((1, 1), (dialect.Hits, dialect.Misses));
    }

    [Fact]
    public void Whatever_meaning_depends_on_is_part_of_the_key()
    {
        var dialect = new SqlDialect(Parsers.Parser);
        const string sql = "select * from orders";
        var other = new SqlCatalog.Builder().Build();
        SqlClassify strict = static (_, _, _) => new SqlClassification(["pii"], true);
        var seen = new[]
        {
            dialect.Understand(sql, Shop.Session, Shop.Catalog, Shop.Classify),
            dialect.Understand(sql + " ", Shop.Session, Shop.Catalog, Shop.Classify),
            dialect.Understand(sql, Shop.Session with { SearchPath = ["archive"] }, Shop.Catalog, Shop.Classify),
            dialect.Understand(sql, Shop.Session with { Target = "other" }, Shop.Catalog, Shop.Classify),
            dialect.Understand(sql, Shop.Session with { StandardConformingStrings = false }, Shop.Catalog, Shop.Classify),
            dialect.Understand(sql, Shop.Session with { ServerMajor = 99 }, Shop.Catalog, Shop.Classify),
            dialect.Understand(sql, Shop.Session with { ServerEncoding = "LATIN1" }, Shop.Catalog, Shop.Classify),
            dialect.Understand(sql, Shop.Session with { TemporaryNames = ["orders"] }, Shop.Catalog, Shop.Classify),
            dialect.Understand(sql, Shop.Session with { TemporaryNames = ["orders"], OpaqueTemporaries = ["orders"] }, Shop.Catalog, Shop.Classify),
            dialect.Understand(sql, Shop.Session, other, Shop.Classify),
            dialect.Understand(sql, Shop.Session, Shop.Catalog, strict),
        };
        Assert.Equal(0, dialect.Hits);
        Assert.Equal(seen.Length, seen.Distinct(ReferenceEqualityComparer.Instance).Count());
        Assert.NotNull(seen[4].Refusal);
        Assert.NotNull(seen[5].Refusal);
        Assert.Contains(seen[^1].Effects, static e => e.Action == SqlActions.Export);
    }

    [Fact]
    public void Names_cannot_be_mistaken_for_each_other_in_a_session()
    {
        // A separator within a name would make two paths one.
        Assert.NotEqual((Shop.Session with { SearchPath = ["a", "b"] }).Fingerprint, (Shop.Session with { SearchPath = ["a\u0001b"] }).Fingerprint);
        Assert.NotEqual((Shop.Session with { SearchPath = ["a"], TemporaryNames = ["b"] }).Fingerprint, (Shop.Session with { SearchPath = ["a", "\u0002", "b"] }).Fingerprint);
    }

    [Fact]
    public void Memory_is_bounded_by_bytes_and_keeps_what_is_used()
    {
        var dialect = new SqlDialect(new SqlParser(Parsers.Pool, new SqlLimits { CacheBytes = 100_000 }));
        var used = dialect.Understand("select 'used'", Shop.Session, Shop.Catalog, Shop.Classify);
        for (var n = 0; n < 2_000; n++)
        {
            dialect.Understand($"select {n}", Shop.Session, Shop.Catalog, Shop.Classify);
            if (n % 10 == 0) Assert.Same(used, dialect.Understand("select 'used'", Shop.Session, Shop.Catalog, Shop.Classify));
        }

        var misses = dialect.Misses;
        dialect.Understand("select 0", Shop.Session, Shop.Catalog, Shop.Classify);
        Assert.Equal(misses + 1, dialect.Misses); // gone
    }

    [Fact]
    public void Refusals_are_remembered_but_for_those_of_the_moment()
    {
        var dialect = new SqlDialect(Parsers.Parser);
        dialect.Understand("select from from", Shop.Session, Shop.Catalog, Shop.Classify);
        Assert.Equal(ReasonCodes.Unparseable, dialect.Understand("select from from", Shop.Session, Shop.Catalog, Shop.Classify).Refusal?.Reason);
        Assert.Equal(1, dialect.Hits);
    }
}
