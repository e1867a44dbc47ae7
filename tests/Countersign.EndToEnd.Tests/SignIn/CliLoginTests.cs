using System.Net;
using System.Net.Http.Json;
using System.Text.RegularExpressions;
using Countersign.Client;
using Countersign.Core;
using Countersign.EndToEnd.Tests.Api;
using Countersign.Identity;

namespace Countersign.EndToEnd.Tests.SignIn;

/// <summary>The command line that signs in through the browser, and what it may not decide.</summary>
public sealed class CliLoginTests
{
    private static string Field(string html, string name) => WebUtility.HtmlDecode(Regex.Match(html, $"name=\"{name}\" value=\"([^\"]*)\"").Groups[1].Value);

    private static async Task<HttpResponseMessage> AgreeAsync(HttpClient http, string html, Action<Dictionary<string, string>>? change = null)
    {
        var fields = new[] { "csrf", "challenge", "port", "state" }.ToDictionary(static f => f, f => Field(html, f));
        change?.Invoke(fields);
        return await http.PostAsync("/login/cli", new FormUrlEncodedContent(fields));
    }

    [Fact]
    public async Task Command_line_is_signed_in_by_a_click_in_the_browser()
    {
        await using var host = await ApiHost.StartAsync();
        using var browser = await Browser.SignInAsync(host, "mira");
        using var login = new BrowserLogin();
        var page = login.PageAt(host.Gateway.Http);
        var waiting = login.WaitAsync(TestContext.Current.CancellationToken);
        var html = await browser.Http.GetStringAsync(page);
        Assert.Contains(login.CheckWord, html, StringComparison.Ordinal);
        Assert.Contains("mira", html, StringComparison.Ordinal);
        Assert.Contains("csrf", html, StringComparison.Ordinal);
        using var agreed = await AgreeAsync(browser.Http, html);
        Assert.Equal((HttpStatusCode.SeeOther, "127.0.0.1"), (agreed.StatusCode, agreed.Headers.Location!.Host));

        // Who else connects to that port gets nothing, and ends nothing.
        using var plain = new HttpClient();
        foreach (var other in new[] { "/", "/?code=x", "/?code=x&state=forged", "/?code=a&code=b" })
        {
            using var refused = await plain.GetAsync(new Uri(agreed.Headers.Location, other));
            Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        }

        using (var brought = await plain.GetAsync(agreed.Headers.Location)) Assert.Equal(HttpStatusCode.OK, brought.StatusCode);
        var code = await waiting;
        using var http = host.Anonymous();
        using var session = await http.PostAsJsonAsync("/api/v1/login/cli", new { code = code.Code, verifier = code.Verifier });
        var token = (await session.JsonAsync()).GetProperty("token").GetString()!;
        var sessions = host.Get<HumanSessions>();
        Assert.Equal(("mira", SessionKind.Cli, "browser"), (sessions.Find(token)!.User.Ref.Name, sessions.Find(token)!.Kind, sessions.Find(token)!.Method));
        Assert.Null(sessions.Find(token, SessionKind.Web));
        using var twice = await http.PostAsJsonAsync("/api/v1/login/cli", new { code = code.Code, verifier = code.Verifier });
        Assert.Equal((HttpStatusCode.Unauthorized, ReasonCodes.CodeInvalid), (twice.StatusCode, await twice.ReasonAsync()));
    }

    [Fact]
    public async Task P30_Nothing_but_the_click_of_that_human_signs_a_command_line_in()
    {
        await using var host = await ApiHost.StartAsync();
        using var browser = await Browser.SignInAsync(host, "mira");
        using var cli = await host.SignInAsync("mira");
        using var nobody = new Browser(host);
        using var login = new BrowserLogin();
        var page = login.PageAt(host.Gateway.Http);
        var html = await browser.Http.GetStringAsync(page);

        using (var away = await nobody.Http.GetAsync(page)) Assert.Equal((HttpStatusCode.SeeOther, true), (away.StatusCode, away.Headers.Location!.ToString().StartsWith("/login?return=", StringComparison.Ordinal)));
        using (var bearer = await cli.GetAsync(page)) Assert.Equal(HttpStatusCode.BadRequest, bearer.StatusCode);
        using (var bearer = await AgreeAsync(cli, html)) Assert.Equal(HttpStatusCode.BadRequest, bearer.StatusCode);
        foreach (var (change, status) in new (Action<Dictionary<string, string>>, HttpStatusCode)[]
        {
            (static f => f.Remove("csrf"), HttpStatusCode.Forbidden), (static f => f["csrf"] = "x", HttpStatusCode.Forbidden),
            (static f => f["port"] = "80@evil.example", HttpStatusCode.BadRequest), (static f => f["port"] = "22", HttpStatusCode.BadRequest), (static f => f["port"] = "65536", HttpStatusCode.BadRequest),
            (static f => f["state"] = "x\r\nSet-Cookie: a=b", HttpStatusCode.BadRequest), (static f => f["challenge"] = "short", HttpStatusCode.BadRequest),
        })
        {
            using var refused = await AgreeAsync(browser.Http, html, change);
            Assert.Equal(status, refused.StatusCode);
        }

        // Read on its way, without the secret of the command line; then spent.
        using var agreed = await AgreeAsync(browser.Http, html);
        var code = Regex.Match(agreed.Headers.Location!.Query, "code=([0-9a-f]+)").Groups[1].Value;
        using var http = host.Anonymous();
        using (var stolen = await http.PostAsJsonAsync("/api/v1/login/cli", new { code, verifier = "guess" })) Assert.Equal(HttpStatusCode.Unauthorized, stolen.StatusCode);

        // A browser that signed out meanwhile signs nobody in.
        using var again = await AgreeAsync(browser.Http, html);
        var late = Regex.Match(again.Headers.Location!.Query, "code=([0-9a-f]+)").Groups[1].Value;
        await host.Get<HumanSessions>().EndAllAsync(host.Get<UserDirectory>().Find("mira")!.Ref.Id, SessionEnd.SignedOut);
        using var gone = await http.PostAsJsonAsync("/api/v1/login/cli", new { code = late, verifier = "x" });
        Assert.Equal(HttpStatusCode.Unauthorized, gone.StatusCode);
    }

    [Fact]
    public async Task P30_With_confirm_an_approval_is_taken_from_a_browser_only_and_a_no_from_everywhere()
    {
        await using var host = await ApiHost.StartAsync(config: static yaml => yaml.Replace("users: ", "review: { cli: confirm }\nusers: ", StringComparison.Ordinal));
        var (agent, _) = await host.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        using var cli = await host.SignInAsync("mira");
        using var api = await host.SignInAsync("mira", channel: null);
        foreach (var http in new[] { cli, api })
        {
            using var refused = await http.AnswerAsync(held.Review.Id, "approve");
            Assert.Equal((HttpStatusCode.Forbidden, ReasonCodes.PresenceRequired), (refused.StatusCode, await refused.ReasonAsync()));
        }

        using (var away = await cli.PutAsJsonAsync("/api/v1/away/mira", new { @delegate = "dora", until = host.Get<TimeProvider>().GetUtcNow().AddHours(1) }))
            Assert.Equal((HttpStatusCode.Forbidden, ReasonCodes.PresenceRequired), (away.StatusCode, await away.ReasonAsync()));

        // A statement that was drafted for the browser is not answered by a command line that has read it.
        using var browser = await Browser.SignInAsync(host, "mira");
        browser.Http.DefaultRequestHeaders.Add("Countersign-Csrf", browser.Csrf);
        using var draft = await browser.Http.PostAsJsonAsync($"/api/v1/reviews/{held.Review.Id}/statements", new { decision = "approve" });
        var statement = (await draft.JsonAsync()).GetProperty("statement").GetString()!;
        foreach (var forged in new[] { statement, statement.Replace("\"channel\":\"console\"", "\"channel\":\"cli\"", StringComparison.Ordinal) })
        {
            using var refused = await cli.PostAsJsonAsync($"/api/v1/reviews/{held.Review.Id}/answers", new { statement = forged });
            Assert.NotEqual(HttpStatusCode.OK, refused.StatusCode);
        }

        Assert.Empty(host.Desk.Find(held.Review.Id)!.Answers);
        using (var done = await browser.Http.PostAsJsonAsync($"/api/v1/reviews/{held.Review.Id}/answers", new { statement })) Assert.Equal(HttpStatusCode.OK, done.StatusCode);
        Assert.IsType<Countersign.Gateway.Ruling.Forward>(await held.Ruling);

        var second = await host.HoldAsync(host.UpdateCustomer(agent, "no@example.org"));
        using var no = await cli.AnswerAsync(second.Review.Id, "deny");
        Assert.Equal(HttpStatusCode.OK, no.StatusCode);
    }
}
