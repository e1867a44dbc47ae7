using CsCheck;
using Countersign.Core;

namespace Countersign.Config.Tests;

public sealed class IdentityTests
{
    [Theory]
    [InlineData("users: {}")]
    [InlineData("data: x")]
    public void P35_Configuration_in_which_nobody_could_approve_refuses_to_start(string yaml)
    {
        var error = Yaml.Bad(yaml);
        Assert.Equal("users", error.Path);
        Assert.Contains("nobody could approve", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"a,b\"")]
    [InlineData("\"a b\"")]
    [InlineData("\"a\\tb\"")]
    [InlineData("\"a\\0b\"")]
    [InlineData("\"a\\u200bb\"")]
    [InlineData("аlice")] // Cyrillic a
    [InlineData("\"\"")]
    [InlineData("-alice")]
    [InlineData("a:b")]
    [InlineData("a/b")]
    [InlineData("a\"b")]
    public void P36_Name_that_could_be_read_as_a_list_or_as_another_is_refused(string name)
    {
        Assert.Contains("is no name", Yaml.Bad($"users: {{ alice2: {{}}, {name}: {{}} }}").Message, StringComparison.Ordinal);
        Assert.Contains("is no name", Yaml.Bad($"users: {{ alice2: {{ groups: [{(name.Contains('"', StringComparison.Ordinal) || name.Contains(':', StringComparison.Ordinal) ? name : $"\"{name}\"")}] }} }}").Message, StringComparison.Ordinal);
    }

    [Fact]
    public void P36_Names_that_differ_only_by_case_are_refused()
    {
        Assert.Contains("only by case", Yaml.Bad("users: { alice: {}, Alice: {} }").Message, StringComparison.Ordinal);
        Assert.Contains("only by case", Yaml.Bad("users: { alice: { groups: [dba] }, bob: { groups: [DBA] } }").Message, StringComparison.Ordinal);
        Assert.Contains("only by case", Yaml.Bad("users: { alice: { groups: [dba, DBA] } }").Message, StringComparison.Ordinal);
        Assert.Contains("only by case", Yaml.Bad(Yaml.Minimal + "groups: [dba, DBA]").Message, StringComparison.Ordinal);
        Assert.Contains("only by case", Yaml.Bad(Yaml.Minimal + "classification: { classes: { pii: {}, PII: {} } }").Message, StringComparison.Ordinal);
        Assert.Contains("only by case", Yaml.Bad(Yaml.Minimal + "classification: { classes: { Secrets: {} } }").Message, StringComparison.Ordinal);
        Assert.Contains("only by case", Yaml.Bad(Yaml.Minimal + "  SHOP: { kind: postgres, environment: prod, host: 127.0.0.1, database: shop, user: countersign, password: { env: PW } }").Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Group_that_is_not_declared_is_refused_and_a_near_one_is_offered()
    {
        var error = Yaml.Bad("groups: [dba, sre]\nusers: { alice: { groups: [dbas] } }");
        Assert.Equal("group `dbas` is not in `groups`; did you mean `dba`?", error.Message);
        Assert.Equal("users.alice.groups[0]", error.Path);
    }

    [Fact]
    public void Group_listed_twice_is_refused() =>
        Assert.Equal("group `dba` is listed twice", Yaml.Bad("users: { alice: { groups: [dba, dba] } }").Message);

    [Fact]
    public void Accepted_names_never_hold_a_separator()
    {
        Gen.String[0, 70].Sample(static name =>
        {
            var separators = name.Any(static c => c is ',' or ';' or ':' or '/' or '\\' or '"' or '\'' or '=' or '\0' || char.IsWhiteSpace(c) || c > 0x7e);
            return !Names.IsWellFormed(name) || (!separators && name.Length is > 0 and <= 63);
        });
    }
}
