using Countersign.Channels.Accounts;
using Countersign.Channels.Answering;
using Countersign.Channels.Cards;
using Countersign.Channels.Delivery;
using Countersign.Channels.Slack;
using Countersign.Channels.Teams;
using Countersign.Channels.Webhooks;
using Countersign.Config;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;
using Countersign.Pages;
using Countersign.Reviews;
using Microsoft.Extensions.Logging;

namespace Countersign.Hosting;

/// <summary>The channels of the configuration, the outbox that drives them, and what the console shows of both.</summary>
internal sealed partial class ChannelParts : IDisposable
{
    private readonly Outbox outbox;
    private readonly Webhooks webhooks;
    private readonly Postings postings;
    private readonly AccountLinks accounts;

    public ChannelParts(CountersignConfig config, ReviewDesk desk, UserDirectory users, IStateReader reader, JournalAppender journal, ReviewFeed feed, TimeProvider time, Func<Uri> console, ILoggerFactory loggers)
    {
        var cards = new CardMaker(console);
        accounts = new AccountLinks(reader, journal, users, time);
        postings = new Postings(reader);
        var clicks = new Clicks(desk, accounts, users, reader, journal, cards);
        var channels = new List<IChannel>();
        if (config.Channels.Slack is { } slack)
        {
            Slack = new SlackApp(Options(slack), clicks, accounts, cards, console, time, loggers.CreateLogger<SlackApp>());
            channels.Add(Slack.Channel);
        }

        if (config.Channels.Teams is { } teams)
        {
            Teams = new TeamsRoom(MessageParts.Teams, MessageParts.Bot(teams), MessageParts.Reach(teams), desk, accounts, clicks, cards, code => MessageParts.LinkPage(console(), code), journal, time, loggers.CreateLogger<TeamsDoor>());
            channels.Add(Teams.Channel);
        }

        if (config.Channels.Mail is { } mail) channels.Add(MessageParts.Channel(mail, time));
        webhooks = new Webhooks(config.Channels.Webhooks.Select(MessageParts.Endpoint).ToArray(), desk, cards, console, journal, time, loggers);
        outbox = new Outbox(channels, config.Routes, cards, desk, accounts, config.OnCall, reader, journal, feed, time, new OutboxLimits(), loggers.CreateLogger<Outbox>());
    }

    /// <summary>Null where it is not configured.</summary>
    public SlackApp? Slack { get; }

    /// <summary>Null where it is not configured.</summary>
    public TeamsRoom? Teams { get; }

    /// <summary>Those on which answers are taken, beside the gateway's own.</summary>
    public static IReadOnlyList<string> Answering(ChannelsConfig config) => [.. config.Slack is { TakesAnswers: true } ? [SlackOptions.Name] : (string[])[], .. config.Teams is { TakesAnswers: true } ? [MessageParts.Teams] : (string[])[]];

    public static SlackOptions Options(SlackConfig slack) => new()
    {
        BotToken = slack.BotToken.Reveal(),
        AppToken = slack.AppToken?.Reveal(),
        SigningSecret = slack.SigningSecret?.Reveal(),
        Reach = new ChannelReach(slack.Carries, slack.TakesAnswers),
        Api = slack.Api,
    };

    public void Add(IServiceCollection services) => services.AddSingleton(this).AddHostedService<ChannelWork>();

    /// <summary>What the console's pages are given of it.</summary>
    public ConsoleSeams Show(ConsoleSeams seams) => seams with
    {
        Deliveries = id => postings.Of(id).Select(static p => new DeliveryView(p.Channel, p.Place, StateOf(p), p.Message is not null && p.Error is null, p.UpdatedAt ?? p.PostedAt ?? p.CreatedAt)).ToArray(),
        Accounts = new AccountSeams(
            user => accounts.Of(user).Select(static a => new AccountView(a.Id, a.Channel, a.Shown, a.LinkedAt)).ToArray(),
            (code, session) => accounts.Open(code, session) is { } offer ? new LinkQuestion(offer.Account.Channel, offer.Shown, offer.Word) : null,
            accounts.ConfirmAsync,
            accounts.RemoveAsync),
    };

    private static string StateOf(Posting p) => p switch
    {
        { Message: null, FinishedAt: not null } => "not told: it was over before",
        { Message: null, Error: { } why } => $"not told yet: {why}",
        { Message: null } => "about to be told",
        { Error: { } why } => $"told, and may lag: {why}",
        _ => "told",
    };

    public void Dispose()
    {
        Slack?.Dispose();
        Teams?.Dispose();
        webhooks.Dispose();
    }

    /// <summary>Runs the outbox, and listens, beside the listeners. Whatever goes wrong with a channel, the gateway goes on without it.</summary>
    private sealed partial class ChannelWork(ChannelParts parts, TimeProvider time, ILogger<ChannelWork> logger) : BackgroundService
    {
        private static readonly TimeSpan Again = TimeSpan.FromSeconds(5);

        protected override Task ExecuteAsync(CancellationToken stoppingToken) =>
            Task.WhenAll(KeepAsync(parts.outbox.RunAsync, stoppingToken), KeepAsync(parts.webhooks.RunAsync, stoppingToken), KeepAsync(ct => parts.Slack?.RunAsync(ct) ?? Task.CompletedTask, stoppingToken));

        private async Task KeepAsync(Func<CancellationToken, Task> work, CancellationToken ct)
        {
            while (!ct.IsCancellationRequested)
            {
                try
                {
                    await work(ct).ConfigureAwait(false);
                    return;
                }
                catch (OperationCanceledException) when (ct.IsCancellationRequested)
                {
                    return;
                }
                catch (Exception e)
                {
                    LogFailed(e);
                }

                await Task.Delay(Again, time, ct).ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default).ConfigureAwait(false);
            }
        }

        [LoggerMessage(9040, LogLevel.Error, "a channel stumbled, and is started again")]
        private partial void LogFailed(Exception exception);
    }
}
