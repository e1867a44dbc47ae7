using System.Text;
using Countersign.Core;
using Countersign.Identity;

namespace Countersign.Gateway.Tests;

/// <summary>Sessions in browsers: what begins, keeps and ends them.</summary>
public sealed class WebSessionTests
{
    private static readonly LoginLimits Limits = new();

    private static async Task<string> SignInAsync(House house, string user = "ada", HumanSession? replaces = null)
    {
        var code = "";
        Assert.True(house.Sessions.BeginWeb(user, "browser-1", (_, c) => code = c));
        return (await house.Sessions.CompleteWebAsync(user, code, "browser-1", "Firefox", replaces)).Token!;
    }

    [Fact]
    public async Task P35_a_code_for_a_browser_is_worth_nothing_elsewhere()
    {
        await using var house = await House.OpenAsync();
        string web = "", cli = "";
        house.Sessions.BeginWeb("ada", "browser-1", (_, c) => web = c);
        house.Sessions.Begin("ada", (_, c) => cli = c);
        Assert.Equal(ReasonCodes.CodeInvalid, (await house.Sessions.CompleteAsync("ada", web)).ReasonCode);
        Assert.Equal(ReasonCodes.CodeInvalid, (await house.Sessions.CompleteWebAsync("ada", web, "browser-2", null, null)).ReasonCode);
        Assert.Equal(ReasonCodes.CodeInvalid, (await house.Sessions.CompleteWebAsync("ada", cli, "browser-1", null, null)).ReasonCode);
        Assert.NotNull((await house.Sessions.CompleteWebAsync("ada", web, "browser-1", null, null)).Token);
        Assert.Equal(ReasonCodes.CodeInvalid, (await house.Sessions.CompleteWebAsync("ada", web, "browser-1", null, null)).ReasonCode);
    }

    [Fact]
    public async Task P35_a_cookie_is_no_bearer_token_and_a_bearer_token_no_cookie()
    {
        await using var house = await House.OpenAsync();
        var web = await SignInAsync(house);
        var code = "";
        house.Sessions.Begin("ada", (_, c) => code = c);
        var cli = (await house.Sessions.CompleteAsync("ada", code)).Token!;
        Assert.NotNull(house.Sessions.Find(web, SessionKind.Web));
        Assert.NotNull(house.Sessions.Find(cli));
        foreach (var other in new[] { web, "css_" + web[4..], cli[..^1], PageTokens.Of(web) }) Assert.Null(house.Sessions.Find(other));
        foreach (var other in new[] { cli, "csw_" + cli[4..], web[..^1], PageTokens.Of(web) }) Assert.Null(house.Sessions.Find(other, SessionKind.Web));
        Assert.All(house.Store.List("sessions"), d => Assert.DoesNotContain(web, d.Key + Encoding.UTF8.GetString(d.Value), StringComparison.Ordinal));
        Assert.DoesNotContain(web, house.Text.Entries + house.Text.Bodies, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_browsers_session_ends_when_idle_and_however_busy_at_its_end()
    {
        await using var house = await House.OpenAsync();
        var (busy, idle) = (await SignInAsync(house), await SignInAsync(house));
        var step = Limits.IdleLifetime - TimeSpan.FromSeconds(1);
        var spent = TimeSpan.Zero;
        for (; spent + step < Limits.SessionLifetime; spent += step)
        {
            house.Time.Advance(step);
            Assert.NotNull(house.Sessions.Find(busy, SessionKind.Web));
        }

        // Found over is not yet gone: the sweep takes it out of the store and says why.
        Assert.Null(house.Sessions.Find(idle, SessionKind.Web));
        Assert.Equal(2, house.Store.List("sessions").Count);
        await house.Sessions.SweepAsync();
        Assert.Equal("idle", house.Entry("logout").GetProperty("cause").GetString());
        house.Time.Advance(Limits.SessionLifetime - spent);
        Assert.Null(house.Sessions.Find(busy, SessionKind.Web));

        house.Time.Advance(Limits.SweepEvery);
        await house.Sessions.SweepAsync();
        Assert.Empty(house.Store.List("sessions"));
        Assert.Equal((2, "expired"), (house.Count("logout"), house.Entry("logout").GetProperty("cause").GetString()));
    }

    [Fact]
    public async Task The_last_request_outlives_a_restart_but_for_a_short_lag()
    {
        await using var house = await House.OpenAsync();
        var token = await SignInAsync(house);
        house.Time.Advance(TimeSpan.FromMinutes(50));
        Assert.NotNull(house.Sessions.Find(token, SessionKind.Web));
        var entries = house.Types.Count;
        await house.Sessions.SweepAsync();
        Assert.Equal(entries, house.Types.Count); // a click is no entry
        house.Time.Advance(TimeSpan.FromMinutes(50));
        await using var next = await house.CrashAsync();
        Assert.NotNull(next.Sessions.Find(token, SessionKind.Web));
    }

    [Fact]
    public async Task Signing_in_again_is_a_new_session_and_the_old_one_ends()
    {
        await using var house = await House.OpenAsync();
        var first = await SignInAsync(house);
        var second = await SignInAsync(house, replaces: house.Sessions.Find(first, SessionKind.Web));
        Assert.NotEqual(first, second);
        Assert.Null(house.Sessions.Find(first, SessionKind.Web));
        Assert.NotNull(house.Sessions.Find(second, SessionKind.Web));
        Assert.Equal("replaced", house.Entry("logout").GetProperty("cause").GetString());
    }

    [Fact]
    public async Task What_watches_a_session_hears_of_its_end_however_it_comes()
    {
        await using var house = await House.OpenAsync();
        var one = house.Sessions.Find(await SignInAsync(house), SessionKind.Web)!;
        var ends = house.Sessions.EndsOf(one);
        await house.Sessions.SweepAsync();
        Assert.False(ends.IsCancellationRequested);
        Assert.True(await house.Sessions.EndAsync(one, SessionEnd.SignedOut));
        Assert.True(ends.IsCancellationRequested);
        Assert.True(house.Sessions.EndsOf(one).IsCancellationRequested);

        var two = house.Sessions.EndsOf(house.Sessions.Find(await SignInAsync(house), SessionKind.Web)!);
        house.Time.Advance(Limits.IdleLifetime);
        await house.Sessions.SweepAsync();
        Assert.True(two.IsCancellationRequested);

        var three = house.Sessions.EndsOf(house.Sessions.Find(await SignInAsync(house), SessionKind.Web)!);
        await SignInAsync(house, "ben");
        Assert.True(await house.Sessions.EndAllAsync(house.User("ada").Ref.Id, SessionEnd.UserGone));
        Assert.True(three.IsCancellationRequested);
        Assert.Empty(house.Sessions.Of(house.User("ada").Ref.Id));
        Assert.Single(house.Sessions.Of(house.User("ben").Ref.Id));
    }
}
