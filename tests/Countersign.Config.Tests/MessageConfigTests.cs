namespace Countersign.Config.Tests;

/// <summary>Teams, mail and webhooks in the configuration: complete and safe, or an error that says what to do (P35).</summary>
public sealed class MessageConfigTests
{
    private const string Ids = "app-id: 5A1C7F0E-9d3b-4a52-8c1e-6f2b7d9e4a10, tenant: c1f3a9d2-5b7e-4c8a-9f60-2d4e6a8b0c13, secret: { env: PW }";

    private static string Channels(string channels, string to = "") => Yaml.Minimal + $"channels: {{ {channels} }}\n" + (to.Length == 0 ? "" : $"routing: {{ routes: {{ all: {{ to: [\"{to}\"] }} }} }}\n");

    [Fact]
    public void Teams_of_the_public_cloud_needs_three_keys()
    {
        var teams = Yaml.Good(Channels($"teams: {{ {Ids} }}", "teams:19:b7b84cba@thread.tacv2")).Channels.Teams!;
        Assert.Equal("5a1c7f0e-9d3b-4a52-8c1e-6f2b7d9e4a10", teams.AppId);
        Assert.Equal("https://login.microsoftonline.com/c1f3a9d2-5b7e-4c8a-9f60-2d4e6a8b0c13/oauth2/v2.0/token", teams.TokenUrl.AbsoluteUri);
        Assert.Equal(("https://api.botframework.com", "https://api.botframework.com/.default"), (teams.Issuer, teams.Scope));
        Assert.Empty(teams.Carries);
        Assert.True(teams.TakesAnswers);
    }

    [Fact]
    public void Teams_of_a_government_cloud_has_its_addresses()
    {
        var teams = Yaml.Good(Channels($"teams: {{ {Ids}, cloud: gcc-high }}")).Channels.Teams!;
        Assert.Equal("https://api.botframework.us", teams.Issuer);
        Assert.Equal("login.botframework.azure.us", teams.MetadataUrl.Host);
        Assert.Equal("login.microsoftonline.us", teams.TokenUrl.Host);
        Assert.Equal("https://smba.infra.gov.teams.microsoft.us/gcch/", teams.ServiceUrl.AbsoluteUri);
    }

    [Theory]
    [InlineData("teams: { app-id: x, tenant: c1f3a9d2-5b7e-4c8a-9f60-2d4e6a8b0c13, secret: { env: PW } }", "channels.teams.app-id")]
    [InlineData("teams: { app-id: 5a1c7f0e-9d3b-4a52-8c1e-6f2b7d9e4a10, tenant: common, secret: { env: PW } }", "channels.teams.tenant")]
    [InlineData("teams: { " + Ids + ", service-url: \"http://smba.example/\" }", "channels.teams.service-url")]
    [InlineData("teams: { " + Ids + ", token-url: \"http://login.example/token\" }", "channels.teams.token-url")]
    [InlineData("teams: { " + Ids + ", metadata-url: \"ftp://login.example/\" }", "channels.teams.metadata-url")]
    [InlineData("teams: { " + Ids + ", cloud: moon }", "channels.teams.cloud")]
    [InlineData("mail: { host: smtp.example.com, from: \"a@example.com, b@example.com\" }", "channels.mail.from")]
    [InlineData("mail: { host: smtp.example.com, from: a@example.com, tls: none }", "channels.mail.tls")]
    [InlineData("mail: { host: smtp.example.com, from: a@example.com, user: u }", "channels.mail")]
    [InlineData("mail: { host: \"smtp.example.com:25\", from: a@example.com }", "channels.mail.host")]
    [InlineData("webhooks: { siem: { url: \"http://siem.example/\", secrets: [{ env: HOOK }] } }", "channels.webhooks.siem.url")]
    [InlineData("webhooks: { siem: { url: \"https://user:pass@siem.example/\", secrets: [{ env: HOOK }] } }", "channels.webhooks.siem.url")]
    [InlineData("webhooks: { siem: { url: \"https://siem.example/\", secrets: [{ env: LONG }] } }", "channels.webhooks.siem.secrets[0]")]
    [InlineData("webhooks: { siem: { url: \"https://siem.example/\", secrets: [{ env: HOOK }], events: [review.oponed] } }", "channels.webhooks.siem.events[0]")]
    [InlineData("webhooks: { siem: { url: \"https://siem.example/\" } }", "channels.webhooks.siem.secrets")]
    public void P35_What_is_not_complete_or_not_safe_is_an_error(string channels, string path)
    {
        var error = Yaml.Bad(Channels(channels));
        Assert.Equal(path, error.Path);
        Assert.DoesNotContain("user:pass", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("teams", "teams:General")]
    [InlineData("teams", "teams:19:x@thread.tacv2;messageid=1")]
    [InlineData("teams", "teams:29:person")]
    [InlineData("mail", "mail:dba")]
    [InlineData("mail", "mail:dba@example.com>rcpt")]
    [InlineData("mail", "mail:eligible")]
    public void Place_that_the_channel_does_not_know_is_an_error(string channel, string place)
    {
        var error = Yaml.Bad(Channels(channel == "teams" ? $"teams: {{ {Ids} }}" : "mail: { host: smtp.example.com, from: a@example.com }", place));
        Assert.Equal("routing.routes.all.to[0]", error.Path);
    }

    [Fact]
    public void Webhook_is_told_of_reviews_and_denials_unless_it_says_otherwise()
    {
        var config = Yaml.Good(Channels("webhooks: { siem: { url: \"https://siem.example/x?key=1\", secrets: [{ env: HOOK }] } }"));
        var webhook = Assert.Single(config.Channels.Webhooks);
        Assert.Equal(["review.*", "action.denied"], webhook.Events);
        Assert.DoesNotContain("webhooks", config.Channels.Names);
    }
}
