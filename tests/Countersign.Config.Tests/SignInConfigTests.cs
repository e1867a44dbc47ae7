namespace Countersign.Config.Tests;

/// <summary>How people sign in, and that half of a configuration lets nobody in.</summary>
public sealed class SignInConfigTests
{
    private const string Whole = """
        identity:
          oidc:
            issuer: https://id.example.com
            client-id: countersign
            client-secret: { env: PW }
        """;

    [Fact]
    public void Provider_has_defaults_that_ask_for_little()
    {
        var oidc = Yaml.Good(Whole).Identity.Oidc!;
        Assert.Equal(("https://id.example.com", "countersign", "groups", "preferred_username", "sub", TimeSpan.FromMinutes(5)),
            (oidc.Issuer, oidc.ClientId, oidc.GroupsClaim, oidc.NameClaim, oidc.SubjectClaim, oidc.GroupsMaxAge));
        Assert.Equal(["openid", "profile"], oidc.Scopes);
        Assert.Null(oidc.Groups);
        Assert.DoesNotContain("correct horse", oidc.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("    issuer: https://id.example.com\n", "identity.oidc.issuer", "missing")]
    [InlineData("    client-id: countersign\n", "identity.oidc.client-id", "missing")]
    [InlineData("    client-secret: { env: PW }", "identity.oidc", "public-client")]
    public void P35_Half_a_provider_refuses_to_start(string without, string path, string says)
    {
        var error = Yaml.Bad(Whole.Replace(without, "", StringComparison.Ordinal));
        Assert.Equal(path, error.Path);
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("http://id.example.com")]
    [InlineData("id.example.com")]
    [InlineData("https://user:pw@id.example.com")]
    [InlineData("https://id.example.com?x=1")]
    [InlineData("https://id.example.com#x")]
    [InlineData("ftp://id.example.com")]
    public void P35_Issuer_that_anybody_could_play_is_refused(string issuer) =>
        Assert.Equal("identity.oidc.issuer", Yaml.Bad(Whole.Replace("https://id.example.com", $"\"{issuer}\"", StringComparison.Ordinal)).Path);

    [Theory]
    [InlineData("    subject-claim: email", "may be changed")]
    [InlineData("    subject-claim: preferred_username", "may be changed")]
    [InlineData("    scopes: [profile]", "openid")]
    [InlineData("    scopes: [openid, \"a b\"]", "no scope")]
    [InlineData("    public-client: true", "remove one")]
    [InlineData("    groups: {}", "maps no group")]
    [InlineData("    groups: { staff: \"a,b\" }", "is no name")]
    [InlineData("    groups-max-age: 1s", "out of bounds")]
    public void P35_Provider_settings_that_mean_no_good_are_refused(string line, string says) =>
        Assert.Contains(says, Yaml.Bad($"{Whole}\n{line}").Message, StringComparison.Ordinal);

    [Fact]
    public void Users_are_not_needed_where_a_provider_knows_them_and_are_linked_once()
    {
        Assert.Empty(Yaml.Good(Whole).Users);
        Assert.Equal("u1", Yaml.Good($"{Whole}\nusers: {{ alice: {{ subject: u1 }} }}").Users[0].Subject);
        Assert.Contains("one person is one user", Yaml.Bad($"{Whole}\nusers: {{ alice: {{ subject: u1 }}, bob: {{ subject: u1 }} }}").Message, StringComparison.Ordinal);
        Assert.Contains("there is none", Yaml.Bad("users: { alice: { subject: u1 } }").Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("https://cs.example.com/path")]
    [InlineData("https://cs.example.com/?x")]
    [InlineData("http://cs.example.com")]
    [InlineData("cs.example.com")]
    public void Address_for_people_is_an_origin_that_nobody_reads_along(string url) =>
        Assert.Equal("listen.url", Yaml.Bad($"listen: {{ url: \"{url}\" }}\nusers: {{ alice: {{}} }}").Path);

    [Theory]
    [InlineData("{ match: user-name }", "identity.scim.token", "missing")]
    [InlineData("{ token: { env: PW } }", "identity.scim.token", "shorter than 32")]
    [InlineData("{ token: { env: LONG }, match: external-id }", "identity.scim.match", "there is none")]
    [InlineData("{ token: { env: LONG }, match: email }", "identity.scim.match", "neither")]
    [InlineData("{ token: { env: LONG }, groups-from: claim }", "identity.scim.groups-from", "there is none")]
    [InlineData("{ token: { env: LONG }, groups: {} }", "identity.scim.groups", "maps no group")]
    public void P35_Half_of_provisioning_refuses_to_start(string scim, string path, string says)
    {
        var error = Yaml.Bad($"identity: {{ scim: {scim} }}\nusers: {{ alice: {{}} }}");
        Assert.Equal(path, error.Path);
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", false)]
    [InlineData("review: { cli: confirm }", true)]
    [InlineData("review: { cli: allow }", false)]
    public void Approvals_are_confirmed_in_the_browser_where_there_is_a_provider_or_it_says_so(string review, bool confirms)
    {
        Assert.Equal(confirms, Yaml.Good($"{review}\nusers: {{ alice: {{}} }}").Review.ConfirmsCli);
        Assert.Equal(confirms || review.Length == 0, Yaml.Good($"{review}\n{Whole}").Review.ConfirmsCli);
        Assert.Equal("review.cli", Yaml.Bad("review: { cli: maybe }\nusers: { alice: {} }").Path);
    }

    [Fact]
    public void Idle_longer_than_the_whole_session_is_refused() =>
        Assert.Equal("identity.sessions.idle", Yaml.Bad("identity: { sessions: { idle: 2h, lifetime: 1h } }\nusers: { alice: {} }").Path);
}
