using Countersign.Tests.Teams;
using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Countersign.Channels.Teams;
using Countersign.Core;
using Microsoft.Extensions.Time.Testing;

namespace Countersign.Channels.Tests.Teams;

/// <summary>What is sent to the bot counts when the connector signed it for this bot, this channel and this address, and not otherwise (P35).</summary>
public sealed class ConnectorTokenTests : IAsyncLifetime
{
    private readonly FakeTimeProvider time = new(new DateTimeOffset(2026, 11, 27, 12, 0, 0, TimeSpan.Zero));
    private PlayedTeams teams = null!;
    private HttpClient http = null!;
    private ConnectorKeys keys = null!;
    private ConnectorTokens tokens = null!;
    private Teammate alice = null!;
    private TeamsMessage message = null!;

    public async ValueTask InitializeAsync()
    {
        teams = await PlayedTeams.StartAsync(time);
        alice = new Teammate("29:alice", "11111111-aaaa-4aaa-8aaa-111111111111", PlayedTeams.Tenant);
        message = new TeamsMessage($"{PlayedTeams.Channel};messageid=1", "1", default);
        var limits = new TeamsLimits();
        http = BotConnector.Client(limits);
        var bot = TeamsGiven.Bot(teams);
        keys = new ConnectorKeys(bot, limits, time, http);
        tokens = new ConnectorTokens(bot, keys, limits, time);
    }

    public async ValueTask DisposeAsync()
    {
        keys.Dispose();
        http.Dispose();
        await teams.DisposeAsync();
    }

    private JsonObject Activity() => teams.Invoke(alice, message, "approve", new JsonObject { ["review"] = "rev_1" });

    private async Task<string?> RefusedAsync(string? authorization, JsonObject? activity = null)
    {
        var outcome = await tokens.ValidateAsync(authorization, Encoding.UTF8.GetBytes((activity ?? Activity()).ToJsonString()), TestContext.Current.CancellationToken);
        Assert.Equal(outcome.Signed is null, outcome.ReasonCode is not null);
        return outcome.ReasonCode;
    }

    [Fact]
    public async Task Activity_that_the_connector_signed_is_taken_with_its_address()
    {
        var outcome = await tokens.ValidateAsync($"Bearer {teams.Sign(teams.Claims())}", Encoding.UTF8.GetBytes(Activity().ToJsonString()), TestContext.Current.CancellationToken);
        Assert.Null(outcome.ReasonCode);
        Assert.Equal(teams.ServiceUrl, outcome.Signed!.ServiceUrl.Address.AbsoluteUri);
        Assert.Equal("29:alice", outcome.Signed.Activity.From.Id);
        Assert.Equal(alice.ObjectId, outcome.Signed.Activity.From.ObjectId);
        Assert.Equal("adaptiveCard/action", outcome.Signed.Activity.Name);
        Assert.Equal(PlayedTeams.Tenant, outcome.Signed.Activity.TenantId);
    }

    [Theory]
    [InlineData("iss", "https://sts.windows.net/d6d49420-f39b-4df7-a1dc-d59a935871db/", ReasonCodes.TokenIssuer)]
    [InlineData("iss", "https://api.botframework.com/", ReasonCodes.TokenIssuer)]
    [InlineData("aud", "00000000-0000-0000-0000-000000000000", ReasonCodes.TokenAudience)]
    [InlineData("aud", "https://api.botframework.com", ReasonCodes.TokenAudience)]
    [InlineData("serviceurl", "https://attacker.example/", ReasonCodes.ServiceUrlMismatch)]
    [InlineData("serviceurl", "", ReasonCodes.ServiceUrlMismatch)]
    public async Task P35_Token_with_another_claim_is_refused(string claim, string value, string reason)
    {
        var claims = teams.Claims();
        claims[claim] = value;
        Assert.Equal(reason, await RefusedAsync($"Bearer {teams.Sign(claims)}"));
    }

    [Theory]
    [InlineData("iss", ReasonCodes.TokenIssuer)]
    [InlineData("aud", ReasonCodes.TokenAudience)]
    [InlineData("exp", ReasonCodes.TokenLifetime)]
    [InlineData("serviceurl", ReasonCodes.ServiceUrlMismatch)]
    public async Task P35_Token_without_a_claim_is_refused(string claim, string reason)
    {
        var claims = teams.Claims();
        claims.Remove(claim);
        Assert.Equal(reason, await RefusedAsync($"Bearer {teams.Sign(claims)}"));
    }

    [Fact]
    public async Task P35_Token_for_several_audiences_is_refused()
    {
        var claims = teams.Claims();
        claims["aud"] = new JsonArray(PlayedTeams.AppId, "another");
        Assert.Equal(ReasonCodes.TokenAudience, await RefusedAsync($"Bearer {teams.Sign(claims)}"));
    }

    [Fact]
    public async Task Token_ends_five_minutes_after_it_says_and_begins_as_much_before()
    {
        var claims = teams.Claims();
        claims["exp"] = time.GetUtcNow().AddMinutes(-4).ToUnixTimeSeconds();
        Assert.Null(await RefusedAsync($"Bearer {teams.Sign(claims)}"));
        claims["exp"] = time.GetUtcNow().AddMinutes(-5).ToUnixTimeSeconds();
        Assert.Equal(ReasonCodes.TokenExpired, await RefusedAsync($"Bearer {teams.Sign(claims)}"));
        claims = teams.Claims();
        claims["nbf"] = time.GetUtcNow().AddMinutes(6).ToUnixTimeSeconds();
        Assert.Equal(ReasonCodes.TokenNotYetValid, await RefusedAsync($"Bearer {teams.Sign(claims)}"));
    }

    [Theory]
    [InlineData(null, ReasonCodes.Unauthenticated)]
    [InlineData("", ReasonCodes.Unauthenticated)]
    [InlineData("Basic dXNlcjpwYXNz", ReasonCodes.Unauthenticated)]
    [InlineData("Bearer", ReasonCodes.Unauthenticated)]
    [InlineData("Bearer x", ReasonCodes.TokenMalformed)]
    [InlineData("Bearer a.b.c", ReasonCodes.TokenMalformed)]
    [InlineData("Bearer e30.e30.", ReasonCodes.TokenMalformed)]
    public async Task What_is_no_token_is_refused(string? header, string reason) => Assert.Equal(reason, await RefusedAsync(header));

    [Fact]
    public async Task P35_Token_that_somebody_else_signed_is_refused()
    {
        using var other = RSA.Create(2048);
        Assert.Equal(ReasonCodes.TokenSignature, await RefusedAsync($"Bearer {teams.Sign(teams.Claims(), key: other)}"));
        Assert.Equal(ReasonCodes.TokenSignature, await RefusedAsync($"Bearer {teams.Sign(teams.Claims(), kid: "connector-9", key: other)}"));
        var token = teams.Sign(teams.Claims());
        Assert.Equal(ReasonCodes.TokenSignature, await RefusedAsync($"Bearer {token[..^6]}AAAAAA"));
    }

    [Theory]
    [InlineData("none")]
    [InlineData("HS256")]
    [InlineData("RS384")]
    public async Task P35_Algorithm_that_the_metadata_does_not_name_is_refused(string alg)
    {
        var text = $"{PlayedTeams.Part($$"""{"alg":"{{alg}}","kid":"connector-1","typ":"JWT"}""")}.{PlayedTeams.Part(teams.Claims().ToJsonString())}";
        var mac = HMACSHA256.HashData(Encoding.ASCII.GetBytes(teams.SigningKey.ExportSubjectPublicKeyInfoPem()), Encoding.ASCII.GetBytes(text));
        Assert.Equal(ReasonCodes.TokenAlgorithm, await RefusedAsync($"Bearer {text}.{Base64Url.EncodeToString(mac)}"));
    }

    [Fact]
    public async Task P35_Metadata_can_not_make_a_symmetric_algorithm_count()
    {
        teams.Algorithms = ["HS256", "none"];
        Assert.Equal(ReasonCodes.IssuerUnavailable, await RefusedAsync($"Bearer {teams.Sign(teams.Claims())}"));
    }

    [Fact]
    public async Task P35_Key_that_is_not_endorsed_for_Teams_signs_nothing_for_it()
    {
        teams.Publish(("connector-1", teams.SigningKey, ["webchat", "directline"]));
        Assert.Equal(ReasonCodes.ChannelForeign, await RefusedAsync($"Bearer {teams.Sign(teams.Claims())}"));
    }

    [Fact]
    public async Task P35_Key_without_endorsements_signs_nothing()
    {
        teams.Publish(("connector-1", teams.SigningKey, null));
        Assert.Equal(ReasonCodes.ChannelForeign, await RefusedAsync($"Bearer {teams.Sign(teams.Claims())}"));
    }

    [Fact]
    public async Task P35_Activity_of_another_channel_or_address_than_its_token_is_refused()
    {
        var activity = Activity();
        activity["channelId"] = "webchat";
        Assert.Equal(ReasonCodes.ChannelForeign, await RefusedAsync($"Bearer {teams.Sign(teams.Claims())}", activity));
        activity = Activity();
        activity["serviceUrl"] = "https://attacker.example/emea/";
        Assert.Equal(ReasonCodes.ServiceUrlMismatch, await RefusedAsync($"Bearer {teams.Sign(teams.Claims())}", activity));
    }

    [Theory]
    [InlineData("http://connector.example/emea/")]
    [InlineData("https://user@connector.example/emea/")]
    [InlineData("https://connector.example/emea/?x=1")]
    [InlineData("file:///etc/passwd")]
    [InlineData("emea/")]
    public async Task P35_Signed_address_that_a_token_may_not_be_sent_to_is_refused(string address)
    {
        var (claims, activity) = (teams.Claims(), Activity());
        claims["serviceurl"] = address;
        activity["serviceUrl"] = address;
        Assert.Equal(ReasonCodes.ServiceUrlMismatch, await RefusedAsync($"Bearer {teams.Sign(claims)}", activity));
    }

    [Fact]
    public async Task Key_that_is_new_is_fetched_once_and_a_forged_one_makes_no_storm()
    {
        using var next = RSA.Create(2048);
        Assert.Null(await RefusedAsync($"Bearer {teams.Sign(teams.Claims())}"));
        Assert.Equal(1, teams.KeyFetches);
        teams.Publish(("connector-1", teams.SigningKey, ["msteams"]), ("connector-2", next, ["msteams"]));
        time.Advance(TimeSpan.FromSeconds(31));
        Assert.Null(await RefusedAsync($"Bearer {teams.Sign(teams.Claims(), "connector-2", next)}"));
        Assert.Equal(2, teams.KeyFetches);
        for (var i = 0; i < 20; i++) Assert.Equal(ReasonCodes.TokenSignature, await RefusedAsync($"Bearer {teams.Sign(teams.Claims(), $"forged-{i}", next)}"));
        Assert.Equal(2, teams.KeyFetches);
    }

    [Fact]
    public async Task Withdrawn_key_counts_no_longer_than_a_day()
    {
        using var next = RSA.Create(2048);
        Assert.Null(await RefusedAsync($"Bearer {teams.Sign(teams.Claims())}"));
        teams.Publish(("connector-2", next, ["msteams"]));
        time.Advance(TimeSpan.FromHours(24));
        Assert.Equal(ReasonCodes.TokenSignature, await RefusedAsync($"Bearer {teams.Sign(teams.Claims())}"));
    }

    [Fact]
    public async Task Metadata_that_can_not_be_read_lets_nobody_in_and_old_keys_serve_a_day_longer()
    {
        teams.IsDown = true;
        Assert.Equal(ReasonCodes.IssuerUnavailable, await RefusedAsync($"Bearer {teams.Sign(teams.Claims())}"));
        teams.IsDown = false;
        time.Advance(TimeSpan.FromSeconds(31));
        Assert.Null(await RefusedAsync($"Bearer {teams.Sign(teams.Claims())}"));
        teams.IsDown = true;
        time.Advance(TimeSpan.FromHours(47));
        Assert.Null(await RefusedAsync($"Bearer {teams.Sign(teams.Claims())}"));
        time.Advance(TimeSpan.FromHours(2));
        Assert.Equal(ReasonCodes.IssuerUnavailable, await RefusedAsync($"Bearer {teams.Sign(teams.Claims())}"));
    }

    [Fact]
    public async Task P25_Activity_or_token_with_two_members_of_one_name_is_refused()
    {
        var text = Activity().ToJsonString().Replace("\"channelId\":\"msteams\"", "\"channelId\":\"msteams\",\"channelId\":\"msteams\"", StringComparison.Ordinal);
        var outcome = await tokens.ValidateAsync($"Bearer {teams.Sign(teams.Claims())}", Encoding.UTF8.GetBytes(text), TestContext.Current.CancellationToken);
        Assert.Equal(ReasonCodes.NotUnderstood, outcome.ReasonCode);
        var claims = teams.Claims();
        claims["serviceUrl"] = teams.ServiceUrl;
        Assert.Equal(ReasonCodes.ServiceUrlMismatch, await RefusedAsync($"Bearer {teams.Sign(claims)}"));
    }
}
