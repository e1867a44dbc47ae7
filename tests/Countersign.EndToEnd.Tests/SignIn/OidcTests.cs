using System.Net;
using System.Web;
using Countersign.Core;
using Countersign.EndToEnd.Tests.Api;
using Countersign.Identity;
using Microsoft.Extensions.Time.Testing;

namespace Countersign.EndToEnd.Tests.SignIn;

/// <summary>People of a real provider, over real HTTP.</summary>
public sealed class OidcTests
{
    private static async Task<(OidcPeer Peer, ApiHost Host)> StartAsync(string more = "", bool refresh = false, TimeProvider? time = null, Func<string, string>? config = null)
    {
        var port = OidcPeer.FreePort();
        var peer = await OidcPeer.StartAsync(port, refresh);
        var host = await ApiHost.StartAsync(time, config: yaml => (config ?? (static y => y))(peer.Config(yaml, port, more)), secret: OidcPeer.Secret);
        return (peer, host);
    }

    [Fact]
    public async Task Person_signs_in_and_approves_and_one_without_the_group_sees_why_not()
    {
        var (peer, host) = await StartAsync();
        await using var _ = peer;
        await using var __ = host;
        using var ann = new Surfer(host);
        using var ben = new Surfer(host);
        using var eve = new Surfer(host);
        await ann.SignInAsync("ann");
        await ben.SignInAsync("ben");
        await eve.SignInAsync("eve");
        var me = await ann.MeAsync();
        Assert.Equal(("ann", "support-leads", "console"), (me.GetProperty("user").GetString(), Assert.Single(me.GetProperty("groups").EnumerateArray().ToArray()).GetString(), me.GetProperty("channel").GetString()));
        Assert.Empty((await eve.MeAsync()).GetProperty("groups").EnumerateArray());

        var (agent, _) = await host.AddAgentAsync(owner: "ben");
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        using (var own = await ben.Http.AnswerAsync(held.Review.Id, "approve")) Assert.Equal(ReasonCodes.SelfApproval, await own.ReasonAsync());
        using (var stranger = await eve.Http.AnswerAsync(held.Review.Id, "approve")) Assert.Equal(HttpStatusCode.NotFound, stranger.StatusCode);
        using (var done = await ann.Http.AnswerAsync(held.Review.Id, "approve")) Assert.Equal(HttpStatusCode.OK, done.StatusCode);
        Assert.IsType<Countersign.Gateway.Ruling.Forward>(await held.Ruling);

        // The journal knows her by an opaque id; the name lies in bodies.
        Assert.DoesNotContain("\"ann\"", string.Join('\n', host.Entries().Select(static e => e.GetRawText())), StringComparison.Ordinal);
        Assert.DoesNotContain(host.Log, static l => l.Contains(OidcPeer.Secret, StringComparison.Ordinal) || l.Contains("eyJ", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("/reviews/rv_0123456789abcdef?x=1", "/reviews/rv_0123456789abcdef?x=1")]
    [InlineData("//evil.example/x", "/")]
    [InlineData("/\\evil.example", "/")]
    [InlineData("/\t/evil.example", "/")]
    [InlineData("https://evil.example/", "/")]
    [InlineData("javascript:alert(1)", "/")]
    [InlineData("/login/oidc", "/")]
    public async Task Return_leads_nowhere_but_here(string asked, string led)
    {
        var (peer, host) = await StartAsync();
        await using var _ = peer;
        await using var __ = host;
        using var ann = new Surfer(host);
        using var done = await ann.ReturnAsync(await ann.GoAsync("ann", asked));
        Assert.Equal((HttpStatusCode.SeeOther, led), (done.StatusCode, done.Headers.Location?.ToString()));
    }

    [Fact]
    public async Task Forged_stolen_and_repeated_returns_sign_nobody_in()
    {
        var (peer, host) = await StartAsync();
        await using var _ = peer;
        await using var __ = host;
        using var ann = new Surfer(host);
        using var mallory = new Surfer(host);
        var back = await ann.GoAsync("ann");
        var query = HttpUtility.ParseQueryString(back.Query);
        Uri With(string name, string? value)
        {
            var changed = HttpUtility.ParseQueryString(back.Query);
            if (value is null) changed.Remove(name);
            else changed[name] = value;
            return new Uri($"{back.GetLeftPart(UriPartial.Path)}?{changed}");
        }

        async Task RefusedAsync(Surfer who, Uri uri)
        {
            using var refused = await who.ReturnAsync(uri);
            Assert.Equal((HttpStatusCode.SeeOther, $"/login?error={ReasonCodes.SignInFailed}"), (refused.StatusCode, refused.Headers.Location?.ToString()));
            Assert.Equal(HttpStatusCode.Unauthorized, await who.StatusAsync());
        }

        // Log-in CSRF: a return that another browser began, into a browser with none and with one of its own.
        await RefusedAsync(mallory, back);
        var own = HttpUtility.ParseQueryString((await mallory.GoAsync("eve")).Query);
        await RefusedAsync(mallory, back);
        await RefusedAsync(mallory, With("state", own["state"])); // her code under his state: PKCE and nonce are another's
        await RefusedAsync(ann, With("state", "forged"));
        await RefusedAsync(ann, With("state", null));
        await RefusedAsync(ann, new Uri($"{back}&state={Uri.EscapeDataString(query["state"]!)}"));

        // None of it took away what she began.
        using (var done = await ann.ReturnAsync(back)) Assert.Equal("/", done.Headers.Location?.ToString());
        Assert.Equal(HttpStatusCode.OK, await ann.StatusAsync());
        using var again = await ann.ReturnAsync(back);
        Assert.Equal($"/login?error={ReasonCodes.SignInFailed}", again.Headers.Location?.ToString());
    }

    [Theory]
    [InlineData("iss", "http://127.0.0.1:1")]
    [InlineData("iss", null)]
    [InlineData("code", "another")]
    [InlineData("code", null)]
    public async Task Mix_up_Another_issuer_or_code_signs_nobody_in(string name, string? value)
    {
        var (peer, host) = await StartAsync();
        await using var _ = peer;
        await using var __ = host;
        using var ann = new Surfer(host);
        var back = await ann.GoAsync("ann");
        var changed = HttpUtility.ParseQueryString(back.Query);
        if (value is null) changed.Remove(name);
        else changed[name] = value;
        using var refused = await ann.ReturnAsync(new Uri($"{back.GetLeftPart(UriPartial.Path)}?{changed}"));
        Assert.Equal($"/login?error={ReasonCodes.SignInFailed}", refused.Headers.Location?.ToString());
        Assert.Equal(HttpStatusCode.Unauthorized, await ann.StatusAsync());
    }

    [Fact]
    public async Task Fixation_The_session_is_new_at_each_sign_in()
    {
        var (peer, host) = await StartAsync();
        await using var _ = peer;
        await using var __ = host;
        using var ann = new Surfer(host);
        await ann.SignInAsync("ann");
        var first = ann.SessionCookie!;
        await ann.SignInAsync("ann");
        Assert.NotEqual(first, ann.SessionCookie);
        Assert.Null(host.Get<HumanSessions>().Find(first, SessionKind.Web));
    }

    [Fact]
    public async Task P32_Name_of_a_user_of_the_config_signs_nobody_in_as_him()
    {
        var (peer, host) = await StartAsync();
        await using var _ = peer;
        await using var __ = host;
        using var mira = new Surfer(host);
        using var refused = await mira.ReturnAsync(await mira.GoAsync("mira"));
        Assert.Equal($"/login?error={ReasonCodes.NotRecognised}", refused.Headers.Location?.ToString());

        // Nor another case of it, nor a name that is none.
        await peer.SetAsync("eve", """{"preferred_username":"MIRA"}""");
        using var eve = new Surfer(host);
        using (var other = await eve.ReturnAsync(await eve.GoAsync("eve"))) Assert.Equal($"/login?error={ReasonCodes.NotRecognised}", other.Headers.Location?.ToString());
        await peer.SetAsync("ben", """{"preferred_username":"ben,mira"}""");
        using var ben = new Surfer(host);
        using (var list = await ben.ReturnAsync(await ben.GoAsync("ben"))) Assert.Equal($"/login?error={ReasonCodes.NotRecognised}", list.Headers.Location?.ToString());
    }

    [Fact]
    public async Task Linked_user_is_he_whom_the_provider_knows_and_has_no_other_way_in()
    {
        var (peer, host) = await StartAsync(config: static yaml => yaml.Replace("mira: { groups: [support-leads] }", "mira: { groups: [admins], subject: mira }", StringComparison.Ordinal));
        await using var _ = peer;
        await using var __ = host;
        Assert.Null(host.Get<UserDirectory>().FindFresh(host.Get<UserDirectory>().Find("mira")!.Ref.Id)); // nobody vouched yet
        using var mira = new Surfer(host);
        await mira.SignInAsync("mira");
        Assert.Equal(["admins", "support-leads"], (await mira.MeAsync()).GetProperty("groups").EnumerateArray().Select(static g => g.GetString()));
        Assert.NotNull(host.Get<UserDirectory>().FindFresh(host.Get<UserDirectory>().Find("mira")!.Ref.Id));

        using var http = host.Anonymous();
        using var begun = await http.PostAsync("/api/v1/login/begin", System.Net.Http.Json.JsonContent.Create(new { user = "mira" }));
        Assert.Equal(HttpStatusCode.OK, begun.StatusCode);
        Assert.Empty(host.Codes);
    }

    [Fact]
    public async Task P33_Groups_are_read_again_at_the_click_and_at_release()
    {
        var time = new FakeTimeProvider(DateTimeOffset.Parse("2026-11-22T12:00:00Z", System.Globalization.CultureInfo.InvariantCulture));
        time.SetUtcNow(TimeProvider.System.GetUtcNow());
        var (peer, host) = await StartAsync(time: time);
        await using var _ = peer;
        await using var __ = host;
        using var ann = new Surfer(host);
        await ann.SignInAsync("ann");
        var (agent, _) = await host.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));

        // Thrown out at the provider; at first nothing here knows.
        await peer.SetAsync("ann", """{"groups":[]}""");
        Assert.Single((await ann.MeAsync()).GetProperty("groups").EnumerateArray());
        time.Advance(TimeSpan.FromMinutes(4));
        using (var late = await ann.Http.AnswerAsync(held.Review.Id, "approve")) Assert.NotEqual(HttpStatusCode.OK, late.StatusCode);
        Assert.Empty((await ann.MeAsync()).GetProperty("groups").EnumerateArray());
        Assert.Empty(host.Desk.Find(held.Review.Id)!.Answers);

        // Taken in again, he approves; thrown out before it is released, his approval does not count.
        await peer.SetAsync("ann", """{"groups":["leads"]}""");
        time.Advance(TimeSpan.FromMinutes(4));
        var detached = host.UpdateCustomer(agent, "else@example.org");
        var second = await host.HoldAsync(detached);
        second.Waiter.Leave(Countersign.Reviews.LeaveReason.Lost);
        await second.Ruling;
        using (var done = await ann.Http.AnswerAsync(second.Review.Id, "approve")) Assert.Equal(HttpStatusCode.OK, done.StatusCode);
        await peer.SetAsync("ann", """{"groups":[]}""");
        time.Advance(TimeSpan.FromMinutes(4));
        var again = await host.HoldAsync(host.UpdateCustomer(agent, "else@example.org"));
        Assert.Equal(second.Review.Id, again.Review.Id);
        while (host.Desk.Find(second.Review.Id)!.State != Countersign.Reviews.ReviewState.Pending) await Task.Yield();
        Assert.False(again.Ruling.IsCompleted);
    }

    [Fact]
    public async Task P33_Groups_that_nobody_can_read_again_decide_nothing()
    {
        var time = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        var (peer, host) = await StartAsync(time: time);
        await using var __ = host;
        using var ann = new Surfer(host);
        await ann.SignInAsync("ann");
        var (agent, _) = await host.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        await peer.DisposeAsync();
        time.Advance(TimeSpan.FromMinutes(6));
        using var stale = await ann.Http.AnswerAsync(held.Review.Id, "approve");
        Assert.Equal((HttpStatusCode.Forbidden, ReasonCodes.GroupsStale), (stale.StatusCode, await stale.ReasonAsync()));
    }

    [Fact]
    public async Task Refresh_token_reads_groups_again_and_a_grant_that_is_gone_ends_the_session()
    {
        var time = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        var (peer, host) = await StartAsync(refresh: true, time: time);
        await using var _ = peer;
        await using var __ = host;
        using var ann = new Surfer(host);
        await ann.SignInAsync("ann");
        var id = host.Get<UserDirectory>().Find("ann")!.Ref.Id;
        await peer.SetAsync("ann", """{"groups":["leads","guests"]}""");
        time.Advance(TimeSpan.FromMinutes(4));
        await host.Get<UserDirectory>().FreshenAsync([id]);
        Assert.Equal(time.GetUtcNow(), host.Get<UserDirectory>().Find(id)!.GroupsReadAt);
        time.Advance(TimeSpan.FromMinutes(4)); // a rotated refresh token works as the first did
        await host.Get<UserDirectory>().FreshenAsync([id]);
        Assert.Equal(time.GetUtcNow(), host.Get<UserDirectory>().Find(id)!.GroupsReadAt);

        await peer.RemoveAsync("ann");
        time.Advance(TimeSpan.FromMinutes(6));
        await host.Get<UserDirectory>().FreshenAsync([id]);
        Assert.Null(host.Get<UserDirectory>().FindFresh(id));
        Assert.Equal(HttpStatusCode.Unauthorized, await ann.StatusAsync());
    }

    [Fact]
    public async Task Provider_that_rotated_its_keys_is_believed_and_one_that_is_away_is_said()
    {
        var time = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        var (peer, host) = await StartAsync(time: time);
        await using var _ = peer;
        await using var __ = host;
        using var ann = new Surfer(host);
        await ann.SignInAsync("ann");
        await peer.RotateKeysAsync();
        time.Advance(TimeSpan.FromSeconds(31));
        using var ben = new Surfer(host);
        await ben.SignInAsync("ben");
        await peer.DisposeAsync();
        time.Advance(TimeSpan.FromHours(2));
        using var eve = new Surfer(host);
        using var away = await eve.Http.GetAsync("/login/oidc");
        Assert.Equal($"/login?error={ReasonCodes.ProviderUnavailable}", away.Headers.Location?.ToString());
    }

    [Fact]
    public async Task Log_out_at_the_provider_ends_the_session_here_by_the_back_channel()
    {
        var (peer, host) = await StartAsync();
        await using var _ = peer;
        await using var __ = host;
        using var ann = new Surfer(host);
        using var ben = new Surfer(host);
        await ann.SignInAsync("ann");
        await ben.SignInAsync("ben");

        using var logout = await ann.Http.PostAsync("/api/v1/logout?provider=true", null);
        Assert.Equal(HttpStatusCode.OK, logout.StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, await ann.StatusAsync());
        var next = new Uri((await logout.JsonAsync()).GetProperty("next").GetString()!);
        Assert.Equal(peer.Issuer.Authority, next.Authority);

        // Signed in here again without a question; then signed out there.
        await ann.SignInAsync("ann");
        var cookie = ann.SessionCookie!;
        using var confirm = await ann.Http.GetAsync(next);
        var html = await confirm.Content.ReadAsStringAsync();
        var xsrf = System.Text.RegularExpressions.Regex.Match(html, "name=\"xsrf\" value=\"([^\"]+)\"").Groups[1].Value;
        using var ended = await ann.Http.PostAsync(new Uri(peer.Issuer, "/session/end/confirm"), new FormUrlEncodedContent([new("xsrf", xsrf), new("logout", "yes")]));
        Assert.Equal(HttpStatusCode.SeeOther, ended.StatusCode);
        Assert.StartsWith($"{ann.Gateway.GetLeftPart(UriPartial.Authority)}/login", ended.Headers.Location!.ToString(), StringComparison.Ordinal);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        limit.Token.Register(() => Console.WriteLine(peer.Said + string.Join('\n', host.Log.Where(static l => l.Contains("sign-in refused", StringComparison.Ordinal)))));
        while (host.Get<HumanSessions>().Find(cookie, SessionKind.Web) is not null) await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, limit.Token);
        Assert.Equal(HttpStatusCode.OK, await ben.StatusAsync());
        Assert.Contains(host.Entries(), static e => e.GetProperty("type").GetString() == "logout" && e.GetProperty("cause").GetString() == "provider");
    }
}
