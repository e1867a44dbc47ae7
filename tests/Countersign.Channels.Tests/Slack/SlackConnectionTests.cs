using System.Text;
using System.Text.Json.Nodes;
using Countersign.Channels.Cards;
using Countersign.Channels.Slack;
using Countersign.Core;
using Countersign.Gateway.Tests;
using Countersign.Reviews;
using Countersign.Tests.Slack;

namespace Countersign.Channels.Tests.Slack;

public sealed class SlackConnectionTests
{
    private const string Alice = "U0ALICE01";

    /// <summary>The example of Slack's own documentation of request signatures.</summary>
    [Fact]
    public void Signature_is_that_of_the_published_example()
    {
        var body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"u8;
        const string secret = "8f742231b10e8888abcd99yyyzzz85a5";
        const string signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
        var at = DateTimeOffset.FromUnixTimeSeconds(1531420618);
        Assert.True(SlackSignature.IsGood(secret, "1531420618", signature, body, at));
        Assert.True(SlackSignature.IsGood(secret, "1531420618", signature, body, at + SlackSignature.Window));
        Assert.False(SlackSignature.IsGood(secret, "1531420618", signature, body, at + SlackSignature.Window + TimeSpan.FromSeconds(1)));
        Assert.False(SlackSignature.IsGood(secret, "1531420618", signature, body, at - SlackSignature.Window - TimeSpan.FromSeconds(1)));
        Assert.False(SlackSignature.IsGood(secret, "1531420619", signature, body, at));
        Assert.False(SlackSignature.IsGood(secret + "x", "1531420618", signature, body, at));
        Assert.False(SlackSignature.IsGood(secret, "1531420618", signature, body[..^1], at));
        Assert.False(SlackSignature.IsGood(secret, "1531420618", "v1" + signature[2..], body, at));
        Assert.False(SlackSignature.IsGood(secret, null, signature, body, at));
        Assert.False(SlackSignature.IsGood(secret, "1531420618", null, body, at));
        Assert.False(SlackSignature.IsGood(secret, "-1531420618", signature, body, at));
    }

    [Fact]
    public async Task P55_signed_request_counts_once_however_often_it_is_replayed_and_an_old_or_forged_one_never()
    {
        await using var house = await SlackHouse.OpenAsync(http: true);
        house.House.Rules.Ask(Rules.Requirement(2, "dba"));
        await house.LinkAsync(Alice, "ada");
        var (held, card) = await house.HoldAsync();
        var now = house.House.Time.GetUtcNow();

        async Task<bool> Send(DateTimeOffset at, string secret = SlackStandIn.SigningSecret)
        {
            using var request = SlackStandIn.Request(new Uri("http://localhost/channels/slack"), house.Slack.Click(card, Alice, "approve"), at, secret);
            var body = await request.Content!.ReadAsByteArrayAsync();
            return (await house.App.ReceiveAsync(request.Headers.GetValues("X-Slack-Request-Timestamp").Single(), request.Headers.GetValues("X-Slack-Signature").Single(), body, default)).Genuine;
        }

        Assert.False(await Send(now, "another"));
        Assert.False(await Send(now - TimeSpan.FromMinutes(6)));
        Assert.Empty(house.House.Desk.Find(held.Id)!.Answers);
        Assert.True(await Send(now));
        Assert.True(await Send(now));
        Assert.Single(house.House.Desk.Find(held.Id)!.Answers);
        Assert.Equal([ReasonCodes.AlreadyDecided], house.RefusedClicks);
    }

    [Fact]
    public async Task Socket_that_slack_announces_to_close_is_replaced_before_it_goes()
    {
        await using var house = await SlackHouse.OpenAsync();
        await house.LinkAsync(Alice, "ada");
        await SlackStandIn.UntilAsync(() => house.Slack.Sockets == 1);
        await house.Slack.WarnAsync();
        await SlackStandIn.UntilAsync(() => house.Slack.Sockets == 2);
        var (held, card) = await house.HoldAsync();
        await house.ClickAsync(card, Alice);
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task Socket_that_is_cut_is_opened_again()
    {
        await using var house = await SlackHouse.OpenAsync();
        await house.LinkAsync(Alice, "ada");
        await SlackStandIn.UntilAsync(() => house.Slack.Sockets == 1);
        house.Slack.Cut();
        await house.Told.UntilAsync(() => house.Slack.Calls.Count(static c => c == "apps.connections.open") == 2 && house.Slack.Sockets == 1);
        var (held, card) = await house.HoldAsync();
        await house.ClickAsync(card, Alice);
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task Post_whose_answer_slack_lost_is_found_by_its_metadata_and_not_repeated()
    {
        await using var house = await SlackHouse.OpenAsync();
        var lost = 0;
        house.Slack.LoseAnswer = method => method == "chat.postMessage" && Interlocked.Increment(ref lost) == 1;
        var held = await house.House.HoldOpenAsync();
        await house.Told.UntilAsync(() => house.Told.Postings.Of(held.Id) is [{ Message: not null }]);
        Assert.Single(house.Slack.Cards);
        Assert.Contains("conversations.history", house.Slack.Calls);
        Assert.Empty(house.Slack.Refusals);
    }

    [Theory]
    [InlineData(429)]
    [InlineData("ratelimited")]
    [InlineData("not_in_channel")]
    public async Task Slack_that_refuses_for_a_while_is_asked_again_and_told_once(object how)
    {
        await using var house = await SlackHouse.OpenAsync();
        house.Slack.Fail = method => method == "chat.postMessage" ? how : null;
        var held = await house.House.HoldOpenAsync();
        await house.Told.UntilAsync(() => house.Told.Postings.Of(held.Id) is [{ NextAt: not null }], timeGoesOn: false);
        house.Slack.Fail = static _ => null;
        await house.Told.UntilAsync(() => house.Slack.Cards.Count == 1);
    }

    [Fact]
    public async Task Check_says_what_is_missing()
    {
        await using var slack = await SlackStandIn.StartAsync();
        var options = new SlackOptions { BotToken = SlackStandIn.BotToken, AppToken = "xapp-wrong", Reach = new ChannelReach(new HashSet<string>(), TakesAnswers: true), Api = slack.Api };
        slack.Scopes.Remove("users:read");
        var found = await SlackCheck.RunAsync(options, [SlackStandIn.Room, "C0NOTIN01", "eligible"], default);
        var missing = found.Where(static f => f.Mend is not null).Select(static f => $"{f.What}: {f.Mend}").ToArray();
        Assert.Equal(3, missing.Length);
        Assert.Contains(missing, static m => m.Contains("`users:read`: missing", StringComparison.Ordinal));
        Assert.Contains(missing, static m => m.Contains("invalid_auth", StringComparison.Ordinal));
        Assert.Contains(missing, static m => m.Contains("C0NOTIN01: the app is not in it", StringComparison.Ordinal));

        slack.Scopes.Add("users:read");
        slack.MemberOf.Add("C0NOTIN01");
        Assert.All(await SlackCheck.RunAsync(options with { AppToken = SlackStandIn.AppToken }, [SlackStandIn.Room, "C0NOTIN01"], default), static f => Assert.Null(f.Mend));
    }

    [Fact]
    public void Manifest_asks_for_what_the_check_looks_for()
    {
        var manifest = JsonNode.Parse(SlackCheck.Manifest(null))!;
        Assert.Equal(SlackCheck.Scopes.Select(static s => s.Scope), manifest["oauth_config"]!["scopes"]!["bot"]!.AsArray().Select(static s => s!.GetValue<string>()));
        Assert.True(manifest["settings"]!["socket_mode_enabled"]!.GetValue<bool>());
        var http = JsonNode.Parse(SlackCheck.Manifest(new Uri("https://cs.example.com/channels/slack")))!;
        Assert.False(http["settings"]!["socket_mode_enabled"]!.GetValue<bool>());
        Assert.Equal("https://cs.example.com/channels/slack", http["settings"]!["interactivity"]!["request_url"]!.GetValue<string>());
    }
}
