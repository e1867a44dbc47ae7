using Countersign.Channels.Accounts;
using Countersign.Channels.Cards;
using Countersign.Channels.Slack;
using Countersign.Core;
using Countersign.Gateway.Tests;
using Countersign.Identity;
using Countersign.Reviews;
using Countersign.Tests.Slack;
using Microsoft.Extensions.Logging.Abstractions;

namespace Countersign.Channels.Tests.Slack;

/// <summary>A house whose reviews are told in Slack's stand-in, and answered there over a socket.</summary>
internal sealed class SlackHouse : IAsyncDisposable
{
    private readonly CancellationTokenSource stop = new();
    private Task listening = Task.CompletedTask;

    public required SlackStandIn Slack { get; init; }
    public required House House { get; init; }
    public required SlackApp App { get; init; }
    public required Told Told { get; init; }

    public static async Task<SlackHouse> OpenAsync(bool http = false, Rules? rules = null, ReviewLimits? limits = null, params string[] carries)
    {
        var slack = await SlackStandIn.StartAsync();
        var house = await House.OpenAsync(rules, limits);
        return Over(slack, house, http, carries.Length == 0 ? ["pii"] : carries);
    }

    public static SlackHouse Over(SlackStandIn slack, House house, bool http = false, params string[] carries)
    {
        var options = new SlackOptions
        {
            BotToken = SlackStandIn.BotToken,
            AppToken = http ? null : SlackStandIn.AppToken,
            SigningSecret = http ? SlackStandIn.SigningSecret : null,
            Reach = new ChannelReach(carries.ToHashSet(StringComparer.Ordinal), TakesAnswers: true),
            Api = slack.Api,
        };
        var accounts = new AccountLinks(house.Store, house.Journal, house.Users, house.Time);
        var cards = new CardMaker(Console);
        var clicks = new Answering.Clicks(house.Desk, accounts, house.Users, house.Store, house.Journal, cards);
        var app = new SlackApp(options, clicks, accounts, cards, Console, house.Time, NullLogger<SlackApp>.Instance);
        var slackHouse = new SlackHouse { Slack = slack, House = house, App = app, Told = new Told(house, [Told.Everything($"slack:{SlackStandIn.Room}")], app.Channel) };
        slackHouse.Accounts = accounts;
        slackHouse.listening = app.RunAsync(slackHouse.stop.Token);
        return slackHouse;
    }

    public AccountLinks Accounts { get; private set; } = null!;

    public static Uri Console() => new("https://countersign.example.com");

    /// <summary>A held action, and its card once it is in Slack.</summary>
    public async Task<(Held Held, SlackStandIn.Message Card)> HoldAsync(GatewayAction? action = null)
    {
        var before = Slack.Cards.Count;
        var held = await House.HoldOpenAsync(action);
        await Told.UntilAsync(() => Slack.Cards.Count > before && Told.Postings.Of(held.Id) is [{ Message: not null }], timeGoesOn: false);
        return (held, Slack.Cards[^1]);
    }

    /// <summary>Links an account as a person does: a session of his browser, the code, his consent.</summary>
    public async Task LinkAsync(string account, string user)
    {
        var (code, _) = Accounts.Begin(new ChatAccount("slack", SlackStandIn.Team, account), account);
        var session = await SessionAsync(user);
        Assert.NotNull(Accounts.Open(code, session));
        Assert.Null(await Accounts.ConfirmAsync(code, session));
    }

    public async Task<HumanSession> SessionAsync(string user)
    {
        string? code = null;
        Assert.True(House.Sessions.BeginWeb(user, "browser", (_, shown) => code = shown));
        var result = await House.Sessions.CompleteWebAsync(user, code!, "browser", null, null);
        return House.Sessions.Find(result.Token, SessionKind.Web)!;
    }

    public Task<System.Text.Json.JsonElement?> ClickAsync(SlackStandIn.Message card, string account, string action = "approve", string? value = null) => Slack.DeliverAsync(Slack.Click(card, account, action, value));

    /// <summary>Reasons of the clicks that did not count, in order.</summary>
    public IReadOnlyList<string> RefusedClicks => House.Store.ReadEntries(0, int.MaxValue)
        .Select(static e => e.TryParse(out var c) && c.Type == "click-refused" ? c.Root.GetProperty("reason").GetString()! : null).OfType<string>().ToArray();

    public async Task<string> SaidToAsync(string account, int at = 0)
    {
        await Told.UntilAsync(() => Slack.Ephemerals.Count(e => e.User == account) > at, timeGoesOn: false);
        return Slack.Ephemerals.Where(e => e.User == account).ElementAt(at).Text;
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        await Slack.DisposeAsync();
    }

    /// <summary>Ends all but Slack.</summary>
    public async Task StopAsync()
    {
        await stop.CancelAsync();
        await listening;
        await Told.DisposeAsync();
        App.Dispose();
        await House.DisposeAsync();
    }
}
