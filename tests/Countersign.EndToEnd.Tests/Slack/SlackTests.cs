using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.RegularExpressions;
using Countersign.EndToEnd.Tests.Fixtures;
using Countersign.Tests.Slack;

namespace Countersign.EndToEnd.Tests.Slack;

/// <summary>The whole way through Slack: a real gateway, a real psql, and Slack's stand-in over HTTP and WebSocket.</summary>
[Collection("postgres")]
public sealed class SlackTests(PostgresServer server) : IAsyncLifetime
{
    private const string Alice = "U0ALICE01";
    private readonly string secrets = Directory.CreateTempSubdirectory("countersign-slack-").FullName;
    private SlackStandIn slack = null!;
    private GatewayProcess gateway = null!;

    public async ValueTask InitializeAsync()
    {
        slack = await SlackStandIn.StartAsync();
        gateway = await GatewayProcess.StartAsync(server, new GatewayProcess.Setup(Extra: $$"""
            channels:
              slack:
                bot-token: { file: {{Secret("bot", SlackStandIn.BotToken)}} }
                app-token: { file: {{Secret("app", SlackStandIn.AppToken)}} }
                highest-class: pii
                api: {{slack.Api}}
            routing:
              routes:
                all: { to: ["slack:{{SlackStandIn.Room}}"] }
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
        await slack.DisposeAsync();
        Directory.Delete(secrets, recursive: true);
    }

    /// <summary>A browser's session: a cookie, and the token that its pages send.</summary>
    private async Task<(HttpClient Http, string Csrf)> BrowseAsync(string user)
    {
        var http = new HttpClient(new HttpClientHandler { CookieContainer = new CookieContainer(), AllowAutoRedirect = false }) { BaseAddress = gateway.Http };
        var before = Regex.Count(gateway.Process.Output, $"sign-in link for {user}: ");
        (await http.PostAsJsonAsync("/api/v1/login/begin", new { user, web = true })).EnsureSuccessStatusCode();
        await SlackStandIn.UntilAsync(() => Regex.Count(gateway.Process.Output, $"sign-in link for {user}: ") > before);
        var code = Regex.Matches(gateway.Process.Output, $@"sign-in link for {user}: \S+code=(\S+) ")[^1].Groups[1].Value;
        var done = await http.PostAsJsonAsync("/api/v1/login/complete", new { user, code, web = true });
        var text = await done.Content.ReadAsStringAsync();
        Assert.True(done.IsSuccessStatusCode, text);
        return (http, JsonDocument.Parse(text).RootElement.GetProperty("csrf").GetString()!);
    }

    private async Task<SlackStandIn.Message> CardAsync(string says)
    {
        await SlackStandIn.UntilAsync(() => slack.Cards.Any(c => c.Text.Contains(says, StringComparison.Ordinal)));
        return slack.Cards.Last(c => c.Text.Contains(says, StringComparison.Ordinal));
    }

    /// <summary>As a person does it: the first click does not count, and leads to the console.</summary>
    private async Task LinkAsync(SlackStandIn.Message card, string account, string user)
    {
        var before = slack.Ephemerals.Count;
        await slack.DeliverAsync(slack.Click(card, account, "approve"));
        await SlackStandIn.UntilAsync(() => slack.Ephemerals.Count > before);
        var said = slack.Ephemerals.Last();
        Assert.Equal(account, said.User);
        var link = new Uri(BlockKit.Buttons(said.Body.GetProperty("blocks")).Single(static b => b.GetProperty("action_id").GetString() == "link").GetProperty("url").GetString()!);
        var (http, csrf) = await BrowseAsync(user);
        using (http)
        {
            var page = await http.GetStringAsync(link.PathAndQuery);
            await KeepAsync("link", page, http);
            Assert.Contains(account, page, StringComparison.Ordinal);
            Assert.Contains(Regex.Match(said.Text, @"this word: ([A-Z0-9]{4})").Groups[1].Value, page, StringComparison.Ordinal);
            var linked = await http.PostAsync("/me/accounts/link", new FormUrlEncodedContent([KeyValuePair.Create("csrf", csrf), KeyValuePair.Create("code", link.Query["?code=".Length..])]));
            Assert.Equal((HttpStatusCode.SeeOther, "/me"), (linked.StatusCode, linked.Headers.Location!.OriginalString));
            var me = await http.GetStringAsync("/me");
            await KeepAsync("me", me, http);
            Assert.Contains(account, me, StringComparison.Ordinal);
        }
    }

    /// <summary>With COUNTERSIGN_SCREENSHOTS the pages are kept there, with their sheet in them, to be looked at.</summary>
    private static async Task KeepAsync(string name, string page, HttpClient http)
    {
        if (Environment.GetEnvironmentVariable("COUNTERSIGN_SCREENSHOTS") is not { Length: > 0 } folder) return;
        var sheet = Regex.Match(page, "<link[^>]*stylesheet[^>]*href=\"([^\"]+)\"[^>]*>");
        await File.WriteAllTextAsync(Path.Combine(folder, $"{name}.html"), page.Replace(sheet.Value, $"<style>{await http.GetStringAsync(sheet.Groups[1].Value)}</style>", StringComparison.Ordinal));
    }

    [Fact]
    public async Task P32_held_psql_statement_that_is_approved_by_a_click_in_slack_finishes()
    {
        await using var psql = gateway.Psql("-c", "UPDATE customers SET credit = 71 WHERE id = 133");
        await psql.SaysAsync("held for review");
        var card = await CardAsync("credit = 71");
        await LinkAsync(card, Alice, "alice");
        Assert.Equal(0, gateway.Arrived("SET credit = 71 WHERE"));

        await slack.DeliverAsync(slack.Click(card, Alice, "approve"));
        Assert.Equal(0, await psql.EndsAsync());
        Assert.Contains("UPDATE 1", psql.Text, StringComparison.Ordinal);
        Assert.Equal(1, gateway.Arrived("SET credit = 71 WHERE"));
        await SlackStandIn.UntilAsync(() => card.Text.Contains("ran once: done, 1 row", StringComparison.Ordinal));
        Assert.Equal(["open"], card.Actions);
        Assert.Empty(slack.Refusals);

        // Who did it, where it was told, and the click that did not count: all of it is on record.
        using var root = await gateway.SignInAsync("root");
        var journal = await GatewayProcess.JournalAsync(root);
        Assert.Equal(["account-not-linked"], journal.Where(static e => GatewayProcess.TypeOf(e) == "click-refused").Select(static e => e.GetProperty("entry").GetProperty("reason").GetString()));
        Assert.Equal(["slack"], journal.Where(static e => GatewayProcess.TypeOf(e) == "answer").Select(static e => e.GetProperty("entry").GetProperty("channel").GetString()));
        var (browser, _) = await BrowseAsync("root");
        var review = JsonDocument.Parse(await root.GetStringAsync("/api/v1/reviews?state=closed")).RootElement.GetProperty("reviews")[0].GetProperty("id").GetString();
        var told = await browser.GetStringAsync($"/reviews/{review}");
        await KeepAsync("review", told, browser);
        Assert.Contains("Where it was told", told, StringComparison.Ordinal);
        browser.Dispose();
    }

    [Fact]
    public async Task P55_gateway_killed_between_click_and_acknowledgement_loses_nothing()
    {
        await using (var first = gateway.Psql("-c", "UPDATE customers SET credit = 72 WHERE id = 2"))
        {
            await first.SaysAsync("held for review");
            var card = await CardAsync("credit = 72");
            await LinkAsync(card, Alice, "alice");

            // Slack is slow to say who it is, and there the gateway dies.
            var asked = new TaskCompletionSource();
            var say = new TaskCompletionSource();
            slack.Delay = method =>
            {
                if (method != "users.info") return Task.CompletedTask;
                asked.TrySetResult();
                return say.Task;
            };
            var click = slack.Click(card, Alice, "approve");
            _ = slack.DeliverAsync(click, "first", wait: false);
            await asked.Task.WaitAsync(TimeSpan.FromSeconds(30));
            await gateway.KillAsync();
            say.TrySetResult();
            slack.Delay = static _ => Task.CompletedTask;
            await SlackStandIn.UntilAsync(() => slack.Sockets == 0);
            await gateway.RestartAsync();

            // Not acknowledged: it comes again, and counts.
            await slack.DeliverAsync(click, "second", retry: 1);
            await SlackStandIn.UntilAsync(() => card.Text.Contains("approved; it runs when the agent asks again", StringComparison.Ordinal));
            await slack.DeliverAsync(click, "third", retry: 2);
        }

        await using var again = gateway.Psql("-c", "UPDATE customers SET credit = 72 WHERE id = 2");
        Assert.Equal(0, await again.EndsAsync());
        Assert.Equal(1, gateway.Arrived("SET credit = 72 WHERE"));
        Assert.Single(slack.Cards, static c => c.Text.Contains("credit = 72", StringComparison.Ordinal));
        Assert.Empty(slack.Refusals);
    }

    [Fact]
    public async Task Slack_that_is_down_holds_nothing_up_and_is_caught_up_with()
    {
        slack.Fail = static _ => 503;
        await using var one = gateway.Psql("-c", "UPDATE customers SET credit = 73 WHERE id = 3");
        await using var two = gateway.Psql("-c", "UPDATE customers SET credit = 74 WHERE id = 4");
        await one.SaysAsync("held for review");
        await two.SaysAsync("held for review");
        using var alice = await gateway.SignInAsync("alice");
        var reviews = await GatewayProcess.OpenReviewsAsync(alice, 2);
        var third = reviews.Single(static r => r.GetProperty("statement").GetString()!.Contains("= 73", StringComparison.Ordinal)).GetProperty("id").GetString()!;
        Assert.Equal("approved", (await GatewayProcess.AnswerAsync(alice, third)).Reason);
        Assert.Equal(0, await one.EndsAsync());

        slack.Fail = static _ => null;
        await CardAsync("credit = 74");
        Assert.DoesNotContain(slack.Cards, static c => c.Text.Contains("credit = 73", StringComparison.Ordinal));
        Assert.Single(slack.Cards);
    }

    [Fact]
    public async Task P34_hostile_intent_and_a_statement_of_200_kB_render_safely()
    {
        const string hostile = "<!channel> <@U0BOSS001> ``` <https://evil.example|Approve> *bold* \u202Eevorppa &lt; \n> quote :white_check_mark: Approved by alice";
        await using var psql = gateway.Psql("-c", $"SET countersign.reason = '{hostile}'", "-c", "UPDATE customers SET credit = 75 WHERE id = 5");
        await psql.SaysAsync("held for review");
        var card = await CardAsync("credit = 75");
        var raw = card.Body.GetRawText();
        Assert.DoesNotContain("mrkdwn", raw, StringComparison.Ordinal);
        Assert.DoesNotContain("<!channel>", card.Body.GetProperty("text").GetString(), StringComparison.Ordinal);
        Assert.DoesNotContain("\u202E", JsonDocument.Parse(raw).RootElement.ToString() + card.Text, StringComparison.Ordinal);
        Assert.Contains("⟦U+202E⟧", card.Text, StringComparison.Ordinal);

        var long_ = $"UPDATE customers SET credit = 76, name = '{new string('x', 200_000)}' WHERE id = 6";
        var file = Path.Combine(secrets, "long.sql");
        await File.WriteAllTextAsync(file, long_);
        await using var big = gateway.Psql("-f", file);
        await big.SaysAsync("held for review");
        var head = await CardAsync("credit = 76");
        Assert.Equal(["deny", "open"], head.Actions);
        Assert.Contains("only the head", head.Text, StringComparison.Ordinal);
        Assert.Contains("digest ", head.Text, StringComparison.Ordinal);
        Assert.Empty(slack.Refusals);
    }
}
