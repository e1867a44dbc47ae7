using Countersign.Tests.Teams;
using System.Net;
using System.Text.Json.Nodes;
using Countersign.Channels.Teams;
using Countersign.Channels;
using Microsoft.Extensions.Time.Testing;

namespace Countersign.Channels.Tests.Teams;

/// <summary>The client of the connector, against a connector that is strict and has bad days.</summary>
public sealed class ConnectorTests : IAsyncLifetime
{
    private readonly FakeTimeProvider time = new(new DateTimeOffset(2026, 11, 27, 12, 0, 0, TimeSpan.Zero));
    private readonly TeamsLimits limits = new();
    private PlayedTeams teams = null!;
    private HttpClient http = null!;
    private BotToken token = null!;
    private BotConnector connector = null!;
    private ServiceUrl at = null!;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        teams = await PlayedTeams.StartAsync(time);
        teams.People.Add(new Teammate("29:alice", "11111111-aaaa-4aaa-8aaa-111111111111", PlayedTeams.Tenant));
        http = BotConnector.Client(limits);
        Use(TeamsGiven.Bot(teams));
    }

    private void Use(TeamsBot bot)
    {
        token = new BotToken(bot, limits, time, http);
        connector = new BotConnector(bot, token, limits, time, http);
        at = ServiceUrl.Of(bot);
    }

    public async ValueTask DisposeAsync()
    {
        token.Dispose();
        http.Dispose();
        await teams.DisposeAsync();
    }

    private static JsonObject Message(string text = "hello") => new()
    {
        ["type"] = "message",
        ["attachments"] = new JsonArray(new JsonObject
        {
            ["contentType"] = "application/vnd.microsoft.card.adaptive",
            ["content"] = new JsonObject { ["type"] = "AdaptiveCard", ["version"] = "1.5", ["body"] = new JsonArray(new JsonObject { ["type"] = "TextBlock", ["text"] = text }) },
        }),
    };

    [Fact]
    public async Task Message_to_a_channel_starts_a_thread_that_is_answered_and_changed_in_place()
    {
        var (sent, fault) = await connector.StartThreadAsync(at, PlayedTeams.Channel, Message(), Ct);
        Assert.Null(fault);
        Assert.StartsWith($"{PlayedTeams.Channel};messageid=", sent!.ConversationId, StringComparison.Ordinal);
        Assert.Null(await connector.UpdateAsync(at, sent, Message("changed"), Ct));
        Assert.Null((await connector.SendAsync(at, sent.ConversationId, Message("a reply"), Ct)).Fault);
        Assert.Equal(2, teams.Messages.Count);
        Assert.Equal("changed", teams.Messages[0].Card.GetProperty("body")[0].GetProperty("text").GetString());
        Assert.Equal(1, teams.TokenRequests);
        Assert.Empty(teams.Complaints);
    }

    [Fact]
    public async Task Message_to_a_person_goes_to_the_one_chat_with_him()
    {
        var chat = (await connector.OpenChatAsync(at, "29:alice", Ct)).Value;
        Assert.Equal(chat, (await connector.OpenChatAsync(at, "29:alice", Ct)).Value);
        Assert.Null((await connector.SendAsync(at, chat!, Message(), Ct)).Fault);
        Assert.Equal(FaultKind.Refused, (await connector.OpenChatAsync(at, "29:nobody", Ct)).Fault!.Kind);
    }

    [Fact]
    public async Task Token_is_kept_renewed_in_time_and_asked_for_once_by_many()
    {
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => connector.SendAsync(at, PlayedTeams.Channel, Message(), Ct)));
        Assert.Equal(1, teams.TokenRequests);
        time.Advance(TimeSpan.FromMinutes(54));
        Assert.Null((await connector.SendAsync(at, PlayedTeams.Channel, Message(), Ct)).Fault);
        Assert.Equal(1, teams.TokenRequests);
        time.Advance(TimeSpan.FromMinutes(1));
        Assert.Null((await connector.SendAsync(at, PlayedTeams.Channel, Message(), Ct)).Fault);
        Assert.Equal(2, teams.TokenRequests);
    }

    [Fact]
    public async Task Token_that_the_connector_forgot_is_asked_for_again_once()
    {
        Assert.Null((await connector.SendAsync(at, PlayedTeams.Channel, Message(), Ct)).Fault);
        teams.ForgetTokens();
        Assert.Null((await connector.SendAsync(at, PlayedTeams.Channel, Message(), Ct)).Fault);
        Assert.Equal(2, teams.TokenRequests);
        teams.Fail(HttpStatusCode.Unauthorized, times: 2);
        Assert.Equal(FaultKind.Credential, (await connector.SendAsync(at, PlayedTeams.Channel, Message(), Ct)).Fault!.Kind);
        Assert.Equal(3, teams.TokenRequests);
    }

    [Theory]
    [InlineData(HttpStatusCode.TooManyRequests, "7", 7)]
    [InlineData(HttpStatusCode.TooManyRequests, "Fri, 27 Nov 2026 12:00:30 GMT", 30)]
    [InlineData(HttpStatusCode.TooManyRequests, "86400", 600)]
    [InlineData(HttpStatusCode.TooManyRequests, null, null)]
    [InlineData(HttpStatusCode.PreconditionFailed, null, null)]
    [InlineData(HttpStatusCode.BadGateway, null, null)]
    [InlineData(HttpStatusCode.ServiceUnavailable, "3", 3)]
    [InlineData(HttpStatusCode.GatewayTimeout, null, null)]
    public async Task What_may_pass_says_so_and_how_long_to_wait(HttpStatusCode status, string? after, int? seconds)
    {
        teams.Fail(status, after);
        var fault = (await connector.SendAsync(at, PlayedTeams.Channel, Message(), Ct)).Fault!;
        Assert.True(fault.MayPass);
        Assert.Equal(seconds is { } s ? TimeSpan.FromSeconds(s) : null, fault.After);
        Assert.Equal(1, teams.Requests);
    }

    [Fact]
    public async Task Conversation_where_the_bot_is_not_let_in_says_what_to_do()
    {
        teams.IsUninstalled = true;
        var fault = (await connector.StartThreadAsync(at, PlayedTeams.Channel, Message(), Ct)).Fault!;
        Assert.Equal(FaultKind.Gone, fault.Kind);
        Assert.Contains("add the app", fault.Words, StringComparison.Ordinal);
    }

    [Fact]
    public async Task P56_Wrong_secret_is_said_without_the_secret()
    {
        Use(TeamsGiven.Bot(teams) with { AppSecret = new Credential("wrong-secret-that-nobody-may-see") });
        var fault = (await connector.SendAsync(at, PlayedTeams.Channel, Message(), Ct)).Fault!;
        Assert.Equal(FaultKind.Credential, fault.Kind);
        Assert.Contains("app secret", fault.Words, StringComparison.Ordinal);
        Assert.DoesNotContain("wrong-secret", fault.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("AADSTS", fault.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Service_that_is_down_is_a_fault_that_may_pass()
    {
        teams.IsDown = true;
        Assert.True((await connector.SendAsync(at, PlayedTeams.Channel, Message(), Ct)).Fault!.MayPass);
        await teams.DisposeAsync();
        Assert.True((await connector.SendAsync(at, PlayedTeams.Channel, Message(), Ct)).Fault!.MayPass);
    }

    [Fact]
    public async Task Member_is_who_the_connector_says_now()
    {
        var member = (await connector.MemberAsync(at, PlayedTeams.Channel, "29:alice", Ct)).Value!;
        Assert.Equal((PlayedTeams.Tenant, "user", "11111111-aaaa-4aaa-8aaa-111111111111"), (member.TenantId, member.Role, member.ObjectId));
        teams.People[0].IsMember = false;
        Assert.Equal(FaultKind.Gone, (await connector.MemberAsync(at, PlayedTeams.Channel, "29:alice", Ct)).Fault!.Kind);
    }

    [Theory]
    [InlineData("29:alice/../../../../v3/conversations")]
    [InlineData("29:a?x=1#y")]
    [InlineData("%2e%2e/%2e%2e/admin")]
    public async Task P41_Id_can_not_lead_to_another_path(string id)
    {
        Assert.Equal(FaultKind.Gone, (await connector.MemberAsync(at, PlayedTeams.Channel, id, Ct)).Fault!.Kind);
        Assert.Equal(1, teams.Requests); // it reached the members' endpoint, and nobody was there
    }

    [Fact]
    public void P35_Address_is_the_configs_or_a_signed_one_and_never_plain_http_elsewhere()
    {
        Assert.Throws<ArgumentException>(() => ServiceUrl.Of(TeamsGiven.Bot(teams) with { ServiceUrl = new Uri("http://smba.example/") }));
        Assert.Null(ServiceUrl.Signed("http://127.0.0.1:1/", TeamsGiven.Bot(teams) with { ServiceUrl = TeamsBot.PublicServiceUrl }));
        Assert.Equal("https://smba.example/x/", ServiceUrl.Signed("https://smba.example/x", TeamsGiven.Bot(teams))!.Address.AbsoluteUri);
    }
}
