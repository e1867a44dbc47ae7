namespace Countersign.Core.Tests;

public sealed class SubjectPatternTests
{
    private static bool Matches(string pattern, string value)
    {
        Assert.True(SubjectPattern.TryParse(pattern, out var parsed, out var why), why);
        return parsed.Matches(value);
    }

    [Theory]
    [InlineData("repo:acme/shop:ref:refs/heads/main", "repo:acme/shop:ref:refs/heads/main")]
    [InlineData("repo:acme/*:ref:refs/heads/main", "repo:acme/x.y-z:ref:refs/heads/main")]
    [InlineData("repo:acme/shop:**", "repo:acme/shop:ref:refs/heads/main")]
    [InlineData("repo:acme/shop:**", "repo:acme/shop:pull_request")]
    [InlineData("spiffe://acme/ns/*/sa/*", "spiffe://acme/ns/prod/sa/batch")]
    [InlineData("spiffe://acme/**", "spiffe://acme/a")]
    [InlineData("system:serviceaccount:prod:*", "system:serviceaccount:prod:deployer")]
    [InlineData("one", "one")]
    public void Value_of_the_pattern_matches(string pattern, string value) => Assert.True(Matches(pattern, value));

    [Theory]
    [InlineData("repo:acme/shop:ref:refs/heads/main", "repo:acme/shop:ref:refs/heads/mai")]
    [InlineData("repo:acme/shop:ref:refs/heads/main", "repo:acme/shop:ref:refs/heads/main/")]
    [InlineData("repo:acme/shop:ref:refs/heads/main", "Repo:acme/shop:ref:refs/heads/main")]
    [InlineData("repo:acme/*:ref:refs/heads/main", "repo:acme/:ref:refs/heads/main")]
    [InlineData("repo:acme/*:ref:refs/heads/main", "repo:acme/a/b:ref:refs/heads/main")]
    [InlineData("repo:acme/*:ref:refs/heads/main", "repo:acme:x:ref:refs/heads/main")]
    [InlineData("repo:acme/*:ref:refs/heads/main", "repo:acme/x/ref:refs/heads/main")]
    [InlineData("repo:acme/*:ref:refs/heads/main", "repo:acme/x:ref:refs/heads/main:ref:refs/heads/main")]
    [InlineData("repo:acme/*:ref:refs/heads/main", "repo:acme/x y:ref:refs/heads/main")]
    [InlineData("repo:acme/*:ref:refs/heads/main", "repo:acme/\u00e9:ref:refs/heads/main")]
    [InlineData("repo:acme/shop:**", "repo:acme/shop:")]
    [InlineData("repo:acme/shop:**", "repo:acme/shop")]
    [InlineData("repo:acme/shop:**", "repo:acme/shop/x")]
    [InlineData("repo:acme/shop:**", "repo:acme/shop2:x")]
    [InlineData("repo:acme/shop:**", "repo:acme/shop:x\n")]
    [InlineData("a:*", "a:")]
    [InlineData("a:*", "a")]
    [InlineData("one", "")]
    public void P36_value_that_only_looks_like_it_does_not(string pattern, string value) => Assert.False(Matches(pattern, value));

    [Theory]
    [InlineData("")]
    [InlineData("*")]
    [InlineData("**")]
    [InlineData("*:a")]
    [InlineData("**/a")]
    [InlineData("a:**:b")]
    [InlineData("a:b*")]
    [InlineData("a:*b")]
    [InlineData("a:***")]
    [InlineData("a*")]
    [InlineData("a:\u0000")]
    public void Pattern_that_says_more_than_it_seems_to_is_none(string text) => Assert.False(SubjectPattern.TryParse(text, out _, out _));

    [Fact]
    public void Open_segment_never_takes_a_separator()
    {
        // Every way to put separators into what an open segment would take.
        foreach (var inner in new[] { "a:b", "a/b", ":", "/", "a:", "/a", "a:b/c" })
        {
            Assert.False(Matches("x:*:y", $"x:{inner}:y"), inner);
            Assert.False(Matches("x/*", $"x/{inner}"), inner);
        }
    }
}
