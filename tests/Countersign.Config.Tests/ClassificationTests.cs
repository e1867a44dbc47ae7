using CsCheck;

namespace Countersign.Config.Tests;

public sealed class ClassificationTests
{
    private const string Classes = "classification:\n  classes: { pii: { frameworks: [GDPR, SOC2] }, internal: {}, payment: {} }\n";

    [Fact]
    public void Every_matching_line_adds_its_classes_and_none_takes_one_away()
    {
        var it = Of("""
              resources:
                shop.public.customers: [pii]
                shop.public.countries: []
                "shop.public.*": [internal]
                "*.*.payments": [payment]
            """);

        Assert.Equal(["internal", "pii"], it.ClassesOf("shop", "public", "customers"));
        Assert.Equal(["internal"], it.ClassesOf("shop", "public", "countries"));
        Assert.Equal(["internal", "payment"], it.ClassesOf("shop", "public", "payments"));
        Assert.Equal(["payment"], it.ClassesOf("other", "x", "payments"));
        Assert.Empty(it.ClassesOf("shop", "audit", "customers"));
        Assert.Equal(["GDPR", "SOC2"], it.Classes["pii"].Frameworks);
    }

    [Fact]
    public void What_is_not_listed_takes_the_default_class_and_what_is_listed_empty_does_not()
    {
        var it = Of("""
              default: internal
              resources:
                shop.public.customers: [pii]
                shop.public.countries: []
            """);

        Assert.Equal(["pii"], it.ClassesOf("shop", "public", "customers"));
        Assert.Empty(it.ClassesOf("shop", "public", "countries"));
        Assert.Equal(["internal"], it.ClassesOf("shop", "public", "orders"));
        Assert.Equal(["internal"], it.ClassesOf("shop", "pg_catalog", "pg_class"));
    }

    [Theory]
    [InlineData("pg_catalog", "pg_authid")]
    [InlineData("pg_catalog", "pg_user_mapping")]
    [InlineData("pg_catalog", "pg_stat_activity")]
    [InlineData("pg_catalog", "pg_stats")]
    [InlineData("information_schema", "user_mapping_options")]
    [InlineData("extensions", "pg_stat_statements")]
    public void Catalogues_that_hold_secrets_are_classified_whatever_the_file_says(string schema, string name)
    {
        Assert.Equal(["secrets"], Yaml.Good(Yaml.Minimal).Classification.ClassesOf("shop", schema, name));
        Assert.Equal(["secrets"], Of("  resources: { \"*.*.*\": [] }").ClassesOf("shop", schema, name));
        Assert.Contains("secrets", Of("  default: internal").ClassesOf("anything", schema, name));
    }

    [Fact]
    public void P15_Names_are_compared_as_the_server_resolved_them()
    {
        var it = Of("""
              resources:
                'shop.public."Customers"': [pii]
                'shop.public."a.b""c"': [payment]
            """);

        Assert.Equal(["pii"], it.ClassesOf("shop", "public", "Customers"));
        Assert.Empty(it.ClassesOf("shop", "public", "customers"));
        Assert.Equal(["payment"], it.ClassesOf("shop", "public", "a.b\"c"));
        Assert.Contains("could mean two tables", Yaml.Bad(Yaml.Minimal + Classes + "  resources: { shop.public.Customers: [pii] }").Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("shop.public")]
    [InlineData("shop.public.a.b")]
    [InlineData("shop..a")]
    [InlineData("shop.public.")]
    [InlineData("shop.public.cust*")]
    [InlineData("shop.public.a b")]
    [InlineData("'shop.public.\"a'")]
    [InlineData("'shop.public.\"\"'")]
    [InlineData("'shop.public.\"a\"b'")]
    [InlineData("shop.public.abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl")]
    [InlineData("shpo.public.a")]
    public void Pattern_that_could_be_misread_is_refused(string pattern) =>
        Assert.StartsWith("classification.resources", Yaml.Bad(Yaml.Minimal + Classes + $"  resources: {{ {pattern}: [pii] }}").Path, StringComparison.Ordinal);

    [Fact]
    public void Class_that_is_not_declared_is_refused_and_a_near_one_is_offered()
    {
        Assert.Equal("there is no class `pi` in `classification.classes`; did you mean `pii`?", Yaml.Bad(Yaml.Minimal + Classes + "  resources: { shop.public.a: [pi] }").Message);
        Assert.Equal("classification.default", Yaml.Bad(Yaml.Minimal + Classes + "  default: public").Path);
        Assert.Contains("choose another name", Yaml.Bad(Yaml.Minimal + "classification: { classes: { none: {} } }").Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Two_spellings_of_one_pattern_are_refused() =>
        Assert.Contains("says the same as", Yaml.Bad(Yaml.Minimal + Classes + "  resources: { shop.public.a: [pii], 'shop.public.\"a\"': [internal] }").Message, StringComparison.Ordinal);

    [Fact]
    public void Lookup_agrees_with_reading_every_rule()
    {
        var segment = Gen.OneOf<string?>("a", "b", null);
        var rule = Gen.Select(segment, segment, segment, Gen.OneOf("x", "y", "z").Array[0, 2]);
        var name = Gen.OneOf("a", "b", "c");
        Gen.Select(rule.Array[0, 8], name, name, name, Gen.Bool).Sample((rules, target, schema, relation, hasDefault) =>
        {
            var all = rules.Select(static r => new ClassificationRule(r.Item1, r.Item2, r.Item3, r.Item4)).ToArray();
            var matching = all.Where(r => (r.Target ?? target) == target && (r.Schema ?? schema) == schema && (r.Name ?? relation) == relation).ToArray();
            string[] expected = matching.Length > 0
                ? matching.SelectMany(static r => r.Classes).Distinct().Order(StringComparer.Ordinal).ToArray()
                : hasDefault ? ["d"] : [];
            var it = new Classification(new Dictionary<string, DataClass>(), all, hasDefault ? "d" : null, 100);
            return it.ClassesOf(target, schema, relation).SequenceEqual(expected);
        });
    }

    private static Classification Of(string lines) => Yaml.Good(Yaml.Minimal + Classes + lines).Classification;
}
