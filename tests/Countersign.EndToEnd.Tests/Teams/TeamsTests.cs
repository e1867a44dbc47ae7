using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Countersign.EndToEnd.Tests.Fixtures;
using Countersign.Tests.Teams;

namespace Countersign.EndToEnd.Tests.Teams;

/// <summary>The whole way through Teams: a real gateway, a real psql, the connector's stand-in over HTTP, and the sample receiver of webhooks.</summary>
[Collection("postgres")]
public sealed class TeamsTests(PostgresServer server) : IAsyncLifetime
{
    private const string HookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    private readonly string secrets = Directory.CreateTempSubdirectory("countersign-teams-").FullName;
    private readonly Teammate alice = new("29:alice", "11111111-aaaa-4aaa-8aaa-111111111111", PlayedTeams.Tenant);
    private readonly Teammate olga = new("29:olga", "22222222-aaaa-4aaa-8aaa-222222222222", PlayedTeams.Tenant);
    private PlayedTeams teams = null!;
    private Child receiver = null!;
    private GatewayProcess gateway = null!;

    public async ValueTask InitializeAsync()
    {
        teams = await PlayedTeams.StartAsync(TimeProvider.System);
        teams.People.AddRange([alice, olga]);
        receiver = Child.Start("node", [Path.Combine(Api.ApiHost.Repository, "samples", "webhook-receiver.mjs")], [("WEBHOOK_SECRET", HookSecret), ("PORT", "0")]);
        var port = Regex.Match(await receiver.SaysAsync("listening on "), @"listening on (\d+)").Groups[1].Value;
        gateway = await GatewayProcess.StartAsync(server, new GatewayProcess.Setup(Extra: $$"""
            channels:
              teams:
                app-id: {{PlayedTeams.AppId}}
                tenant: {{PlayedTeams.Tenant}}
                secret: { file: {{Secret("teams", PlayedTeams.AppSecret)}} }
                highest-class: pii
                service-url: {{teams.ServiceUrl}}
                token-url: {{teams.TokenEndpoint}}
                metadata-url: {{teams.OpenIdMetadata}}
              webhooks:
                sample: { url: "http://127.0.0.1:{{port}}/", secrets: [{ file: {{Secret("hook", HookSecret)}} }] }
            routing:
              routes:
                all: { to: ["teams:{{PlayedTeams.Channel}}"] }
            """));
    }

    private string Secret(string name, string value)
    {
        var path = Path.Combine(secrets, name);
        File.WriteAllText(path, value);
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return path;
    }

    public async ValueTask DisposeAsync()
    {
        await gateway.DisposeAsync();
        receiver.Signal(Child.SigTerm);
        await receiver.DisposeAsync();
        await teams.DisposeAsync();
        Directory.Delete(secrets, recursive: true);
    }

    private static async Task UntilAsync(Func<bool> holds)
    {
        for (var n = 0; !holds(); n++)
        {
            Assert.True(n < 1200, "it never came to be so");
            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System);
        }
    }

    private async Task<TeamsMessage> CardAsync(string says)
    {
        await UntilAsync(() => teams.Messages.Any(m => m.Now.GetRawText().Contains(says, StringComparison.Ordinal)));
        return teams.Messages.Last(m => m.Now.GetRawText().Contains(says, StringComparison.Ordinal));
    }

    /// <summary>What Teams gets from the bot's messaging endpoint.</summary>
    private async Task<(HttpStatusCode Status, JsonElement Body)> SendAsync(JsonObject activity, string? token = null)
    {
        using var http = new HttpClient { BaseAddress = gateway.Http };
        using var request = new HttpRequestMessage(HttpMethod.Post, "/channels/teams") { Content = new StringContent(activity.ToJsonString(), Encoding.UTF8, "application/json") };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token ?? teams.Sign(teams.Claims()));
        using var answer = await http.SendAsync(request);
        var text = await answer.Content.ReadAsStringAsync();
        return (answer.StatusCode, text.Length > 0 && answer.IsSuccessStatusCode ? JsonElement.Parse(text) : default);
    }

    private static string Reference(TeamsMessage card) => card.Card.GetProperty("actions")[0].GetProperty("data").GetProperty("reference").GetString()!;

    private async Task<JsonElement> ClickAsync(Teammate by, TeamsMessage card, string verb, string reference)
    {
        var (status, body) = await SendAsync(teams.Invoke(by, card, verb, new JsonObject { ["reference"] = reference }));
        Assert.Equal(HttpStatusCode.OK, status);
        return body;
    }

    /// <summary>As a person does it: the first click does not count, and leads to the console.</summary>
    private async Task LinkAsync(Teammate person, string user, TeamsMessage card)
    {
        var body = await ClickAsync(person, card, "approve", Reference(card));
        Assert.Equal("application/vnd.microsoft.card.adaptive", body.GetProperty("type").GetString());
        var link = new Uri(body.GetProperty("value").GetProperty("actions")[0].GetProperty("url").GetString()!);
        using var http = new HttpClient(new HttpClientHandler { CookieContainer = new CookieContainer(), AllowAutoRedirect = false }) { BaseAddress = gateway.Http };
        var before = Regex.Count(gateway.Process.Output, $"sign-in link for {user}: ");
        (await http.PostAsJsonAsync("/api/v1/login/begin", new { user, web = true })).EnsureSuccessStatusCode();
        await UntilAsync(() => Regex.Count(gateway.Process.Output, $"sign-in link for {user}: ") > before);
        var code = Regex.Matches(gateway.Process.Output, $@"sign-in link for {user}: \S+code=(\S+) ")[^1].Groups[1].Value;
        var done = await http.PostAsJsonAsync("/api/v1/login/complete", new { user, code, web = true });
        var csrf = JsonDocument.Parse(await done.Content.ReadAsStringAsync()).RootElement.GetProperty("csrf").GetString()!;
        var word = Regex.Match(body.GetRawText(), @"shows the word ([A-Z0-9]{4})").Groups[1].Value;
        Assert.Contains(word, await http.GetStringAsync(link.PathAndQuery), StringComparison.Ordinal);
        var linked = await http.PostAsync("/me/accounts/link", new FormUrlEncodedContent([KeyValuePair.Create("csrf", csrf), KeyValuePair.Create("code", link.Query["?code=".Length..])]));
        Assert.Equal((HttpStatusCode.SeeOther, "/me"), (linked.StatusCode, linked.Headers.Location!.OriginalString));
    }

    [Fact]
    public async Task P32_held_psql_statement_that_is_approved_by_a_click_in_teams_finishes()
    {
        await using var psql = gateway.Psql("-c", "UPDATE customers SET credit = 81 WHERE id = 134");
        await psql.SaysAsync("held for review");
        var card = await CardAsync("credit = 81");
        var reference = Reference(card);
        await LinkAsync(alice, "alice", card);
        await LinkAsync(olga, "olga", card);

        // Of the agent's owner, and forged in each way: none counts.
        await ClickAsync(olga, card, "approve", reference);
        var activity = teams.Invoke(alice, card, "approve", new JsonObject { ["reference"] = reference });
        foreach (var (claim, value) in ((string, string)[])[("aud", "another"), ("iss", "https://attacker.example"), ("serviceurl", "https://attacker.example/")])
        {
            var claims = teams.Claims();
            claims[claim] = value;
            Assert.Equal(HttpStatusCode.Forbidden, (await SendAsync((JsonObject)activity.DeepClone(), teams.Sign(claims))).Status);
        }

        Assert.Equal(0, gateway.Arrived("SET credit = 81 WHERE"));

        // The same click four times at once.
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => ClickAsync(alice, card, "approve", reference)));
        Assert.Equal(0, await psql.EndsAsync());
        Assert.Contains("UPDATE 1", psql.Text, StringComparison.Ordinal);
        Assert.Equal(1, gateway.Arrived("SET credit = 81 WHERE"));
        await UntilAsync(() => card.Now.GetRawText().Contains("ran once: done, 1 row", StringComparison.Ordinal));
        Assert.Empty(teams.Complaints);

        using var root = await gateway.SignInAsync("root");
        var journal = await GatewayProcess.JournalAsync(root);
        Assert.Equal(["teams"], journal.Where(static e => GatewayProcess.TypeOf(e) == "answer").Select(static e => e.GetProperty("entry").GetProperty("channel").GetString()));
        Assert.Equal(["service-url-mismatch", "token-audience", "token-issuer"], journal.Where(static e => GatewayProcess.TypeOf(e) == "channel-refused").Select(static e => e.GetProperty("entry").GetProperty("reason").GetString()!).Order(StringComparer.Ordinal));
        var refused = journal.Where(static e => GatewayProcess.TypeOf(e) is "click-refused" or "answer-refused").Select(static e => e.GetProperty("entry").GetProperty("reason").GetString()!).ToArray();
        Assert.Equal(2, refused.Count(static r => r == "account-not-linked"));
        Assert.Single(refused, static r => r == "self-approval");
        Assert.Equal(6, refused.Length); // and three of the four

        // The sample receiver verified each signature, and was told in order.
        await UntilAsync(() => receiver.Output.Contains("review.finished", StringComparison.Ordinal));
        var types = Regex.Matches(receiver.Output, @"dev\.countersign\.([a-z.-]+)").Select(static m => m.Groups[1].Value).Where(static t => t is not ("review.answer-refused" or "review.estimated"));
        Assert.Equal(["review.opened", "review.answered", "review.approved", "review.released", "review.finished"], types);
    }

    [Fact]
    public async Task Teams_that_is_down_holds_no_review_up_and_is_told_later()
    {
        teams.IsDown = true;
        await using var psql = gateway.Psql("-c", "UPDATE customers SET credit = 82 WHERE id = 2");
        await psql.SaysAsync("held for review");
        using var bob = await gateway.SignInAsync("bob");
        await using var second = gateway.Psql("-c", "UPDATE customers SET credit = 83 WHERE id = 3");
        await second.SaysAsync("held for review");
        var reviews = await GatewayProcess.OpenReviewsAsync(bob, 2);
        Assert.Equal((HttpStatusCode.OK, "approved"), await GatewayProcess.AnswerAsync(bob, reviews[0].GetProperty("id").GetString()!));
        Assert.Equal(0, await psql.EndsAsync());

        teams.IsDown = false;
        var card = await CardAsync("credit = 83");
        await LinkAsync(alice, "alice", card);
        await ClickAsync(alice, card, "approve", Reference(card));
        Assert.Equal(0, await second.EndsAsync());
    }
}
