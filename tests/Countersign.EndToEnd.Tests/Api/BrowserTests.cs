using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using Countersign.Core;
using Countersign.Identity;

namespace Countersign.EndToEnd.Tests.Api;

/// <summary>What a browser sends, and what other sites make it send.</summary>
public sealed class BrowserTests
{
    [Fact]
    public async Task Browser_signs_in_by_the_terminals_link_and_answers_on_channel_console()
    {
        await using var host = await ApiHost.StartAsync();
        var (agent, _) = await host.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        using var mira = await Browser.SignInAsync(host, "mira");
        var me = await mira.Http.GetFromJsonAsync<System.Text.Json.JsonElement>("/api/v1/me");
        Assert.Equal(("mira", "console", mira.Csrf), (me.GetProperty("user").GetString(), me.GetProperty("channel").GetString(), me.GetProperty("csrf").GetString()));
        mira.Http.DefaultRequestHeaders.Add("Countersign-Csrf", mira.Csrf);
        using var answered = await mira.Http.AnswerAsync(held.Review.Id, "approve");
        Assert.Equal(HttpStatusCode.OK, answered.StatusCode);
        Assert.Equal("console", Assert.Single(host.Desk.Find(held.Review.Id)!.Answers).Channel);
    }

    [Fact]
    public async Task P30_A_cookie_can_not_call_itself_cli()
    {
        await using var host = await ApiHost.StartAsync();
        using var mira = await Browser.SignInAsync(host, "mira");
        mira.Http.DefaultRequestHeaders.Add("Countersign-Client", "cli");
        var me = await mira.Http.GetFromJsonAsync<System.Text.Json.JsonElement>("/api/v1/me");
        Assert.Equal("console", me.GetProperty("channel").GetString());
    }

    [Fact]
    public async Task Cookie_is_HttpOnly_and_Lax_and_names_the_port_on_plain_loopback()
    {
        await using var host = await ApiHost.StartAsync();
        using var mira = await Browser.SignInAsync(host, "mira");
        var cookie = mira.SetCookies.Last(c => c.Contains("-session=csw_", StringComparison.Ordinal)).ToLowerInvariant();
        Assert.StartsWith($"countersign-{host.Gateway.Http.Port}-session=", cookie, StringComparison.Ordinal);
        Assert.Contains("; httponly", cookie, StringComparison.Ordinal);
        Assert.Contains("; samesite=lax", cookie, StringComparison.Ordinal);
        Assert.Contains("; path=/", cookie, StringComparison.Ordinal);
        Assert.DoesNotContain("domain", cookie, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Changes_by_cookie_need_the_page_token_of_that_session()
    {
        await using var host = await ApiHost.StartAsync();
        using var mira = await Browser.SignInAsync(host, "mira");
        using var other = await Browser.SignInAsync(host, "alice");
        foreach (var token in new[] { null, "", "x", other.Csrf, mira.Csrf + "0", mira.Csrf.ToUpperInvariant() })
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/api/v1/logout");
            if (token is not null) request.Headers.TryAddWithoutValidation("Countersign-Csrf", token);
            using var refused = await mira.Http.SendAsync(request);
            Assert.Equal((token, HttpStatusCode.Forbidden, ReasonCodes.CrossSite), (token, refused.StatusCode, await refused.ReasonAsync()));
        }

        using (var query = await mira.Http.PostAsync($"/api/v1/logout?csrf={mira.Csrf}", null)) Assert.Equal(HttpStatusCode.Forbidden, query.StatusCode);
        using (var twice = await mira.Http.PostAsync("/api/v1/logout", new FormUrlEncodedContent([new("csrf", mira.Csrf), new("csrf", mira.Csrf)]))) Assert.Equal(HttpStatusCode.Forbidden, twice.StatusCode);
        using var form = await mira.Http.PostAsync("/api/v1/logout", new FormUrlEncodedContent([new("csrf", mira.Csrf)]));
        Assert.Equal(HttpStatusCode.NoContent, form.StatusCode);
        using var after = await mira.Http.GetAsync("/api/v1/me");
        Assert.Equal(HttpStatusCode.Unauthorized, after.StatusCode);
    }

    [Theory]
    [InlineData("Origin", "https://evil.example")]
    [InlineData("Origin", "http://localhost:1")]
    [InlineData("Origin", "http://127.0.0.1:1")]
    [InlineData("Origin", "null")]
    [InlineData("Sec-Fetch-Site", "cross-site")]
    [InlineData("Sec-Fetch-Site", "same-site")]
    [InlineData("Sec-Fetch-Site", "anything-new")]
    public async Task A_change_that_another_site_makes_is_refused_even_with_the_page_token(string header, string value)
    {
        await using var host = await ApiHost.StartAsync();
        using var mira = await Browser.SignInAsync(host, "mira");
        foreach (var path in new[] { "/api/v1/logout", "/api/v1/login/begin" })
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = JsonContent.Create(new { user = "mira" }) };
            request.Headers.Add("Countersign-Csrf", mira.Csrf);
            request.Headers.Add(header, value);
            using var refused = await mira.Http.SendAsync(request);
            Assert.Equal((HttpStatusCode.Forbidden, ReasonCodes.CrossSite), (refused.StatusCode, await refused.ReasonAsync()));
        }

        using var own = new HttpRequestMessage(HttpMethod.Post, "/api/v1/logout");
        own.Headers.Add("Countersign-Csrf", mira.Csrf);
        own.Headers.Add("Origin", host.Gateway.Http.GetLeftPart(UriPartial.Authority));
        own.Headers.Add("Sec-Fetch-Site", "same-origin");
        using var done = await mira.Http.SendAsync(own);
        Assert.Equal(HttpStatusCode.NoContent, done.StatusCode);
    }

    [Fact]
    public async Task Fixation_A_cookie_that_was_planted_is_never_signed_in()
    {
        await using var host = await ApiHost.StartAsync();
        using var browser = new Browser(host);
        var planted = $"csw_{new string('a', 64)}";
        browser.Plant("session", planted);
        await browser.SignInAsync("mira");
        Assert.Null(host.Get<HumanSessions>().Find(planted, SessionKind.Web));

        // Two cookies of the name: nobody knows whose, so it is nobody's.
        using var request = new HttpRequestMessage(HttpMethod.Get, "/api/v1/me");
        request.Headers.Add("Cookie", $"{browser.Cookie}; {browser.Cookie.Split('=')[0]}={planted}");
        using var http = host.Anonymous();
        using var refused = await http.SendAsync(request);
        Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
    }

    [Fact]
    public async Task Link_is_of_use_only_to_the_browser_that_asked_and_only_posted()
    {
        await using var host = await ApiHost.StartAsync();
        using var mira = new Browser(host);
        var (user, code) = await mira.AskAsync("mira");
        var link = host.Links.Last().Link;
        Assert.Equal((host.Gateway.Http.GetLeftPart(UriPartial.Authority), "/login/link", ""), (link.GetLeftPart(UriPartial.Authority), link.AbsolutePath, link.Query));

        using var eve = new Browser(host);
        using (var without = await eve.CompleteAsync(user, code)) Assert.Equal((HttpStatusCode.Unauthorized, ReasonCodes.CodeInvalid), (without.StatusCode, await without.ReasonAsync()));
        await eve.AskAsync("alice");
        using (var stolen = await eve.CompleteAsync(user, code)) Assert.Equal(HttpStatusCode.Unauthorized, stolen.StatusCode);
        using (var cli = await eve.Http.PostAsJsonAsync("/api/v1/login/complete", new { user, code })) Assert.Equal(HttpStatusCode.Unauthorized, cli.StatusCode);

        using (var fetched = await mira.Http.GetAsync(link)) Assert.NotEqual(HttpStatusCode.InternalServerError, fetched.StatusCode);
        using (var done = await mira.CompleteAsync(user, code)) Assert.Equal(HttpStatusCode.OK, done.StatusCode);
        using (var again = await mira.CompleteAsync(user, code)) Assert.Equal(HttpStatusCode.Unauthorized, again.StatusCode);
    }

    [Fact]
    public async Task Link_leads_to_this_server_whatever_Host_says()
    {
        await using var host = await ApiHost.StartAsync();
        using var http = host.Anonymous();
        using var request = new HttpRequestMessage(HttpMethod.Post, "/api/v1/login/begin") { Content = JsonContent.Create(new { user = "mira", web = true }) };
        request.Headers.Host = "localhost:6666";
        using var begun = await http.SendAsync(request);
        Assert.Equal(host.Gateway.Http.Port, Assert.Single(host.Links).Link.Port);
    }

    [Fact]
    public async Task Own_sessions_are_listed_and_ended_and_nobody_elses()
    {
        await using var host = await ApiHost.StartAsync();
        using var cli = await host.SignInAsync("mira");
        using var web = await Browser.SignInAsync(host, "mira");
        using var alice = await host.SignInAsync("alice");
        var mine = (await cli.GetFromJsonAsync<System.Text.Json.JsonElement>("/api/v1/me/sessions")).GetProperty("sessions").EnumerateArray().ToArray();
        Assert.Equal(["web", "cli"], mine.Select(static s => s.GetProperty("kind").GetString()));
        Assert.True(mine[1].GetProperty("current").GetBoolean());
        var id = mine[0].GetProperty("id").GetString();

        using (var refused = await alice.DeleteAsync($"/api/v1/me/sessions/{id}")) Assert.Equal(HttpStatusCode.NotFound, refused.StatusCode);
        using (var alive = await web.Http.GetAsync("/api/v1/me")) Assert.Equal(HttpStatusCode.OK, alive.StatusCode);
        using (var ended = await cli.DeleteAsync($"/api/v1/me/sessions/{id}")) Assert.Equal(HttpStatusCode.NoContent, ended.StatusCode);
        using (var dead = await web.Http.GetAsync("/api/v1/me")) Assert.Equal(HttpStatusCode.Unauthorized, dead.StatusCode);
    }

    [Fact]
    public async Task A_stream_ends_with_its_session()
    {
        await using var host = await ApiHost.StartAsync();
        using var cli = await host.SignInAsync("mira");
        using var web = await Browser.SignInAsync(host, "mira");
        using var stream = await web.Http.GetAsync("/api/v1/reviews/stream", HttpCompletionOption.ResponseHeadersRead);
        Assert.Equal(HttpStatusCode.OK, stream.StatusCode);
        var reading = stream.Content.ReadAsStringAsync();
        Assert.False(reading.IsCompleted);
        web.Http.DefaultRequestHeaders.Add("Countersign-Csrf", web.Csrf);
        using var logout = await web.Http.PostAsync("/api/v1/logout", null);
        Assert.Equal(HttpStatusCode.NoContent, logout.StatusCode);
        await reading.WaitAsync(TimeSpan.FromSeconds(10), TimeProvider.System);
    }

    [Fact]
    public async Task A_bearer_token_needs_no_page_token_and_a_wrong_one_is_not_mended_by_a_cookie()
    {
        await using var host = await ApiHost.StartAsync();
        using var web = await Browser.SignInAsync(host, "mira");
        web.Http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "css_wrong");
        using var refused = await web.Http.GetAsync("/api/v1/me");
        Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
        using var cli = await host.SignInAsync("mira");
        using var done = await cli.PostAsync("/api/v1/logout", null);
        Assert.Equal(HttpStatusCode.NoContent, done.StatusCode);
    }
}
