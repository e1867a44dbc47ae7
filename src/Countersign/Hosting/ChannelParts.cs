using Countersign.Channels.Accounts;
using Countersign.Channels.Answering;
using Countersign.Channels.Cards;
using Countersign.Channels.Delivery;
using Countersign.Config;
using Countersign.Identity;
using Countersign.Journal;
using Countersign.Reviews;
using Microsoft.Extensions.Logging;

namespace Countersign.Hosting;

/// <summary>The channels of the configuration, and the outbox that drives them.</summary>
internal static class ChannelParts
{
    /// <summary>Those on which answers are taken, beside the gateway's own.</summary>
    public static IReadOnlyList<string> Answering(ChannelsConfig config) => config.Slack is { TakesAnswers: true } ? ["slack"] : [];

    public static void Add(IServiceCollection services, CountersignConfig config, ReviewDesk desk, UserDirectory users, IStateReader reader, JournalAppender journal, ReviewFeed feed, TimeProvider time, Func<Uri> console, ILoggerFactory loggers)
    {
        var cards = new CardMaker(console);
        var accounts = new AccountLinks(reader, journal, users, time);
        var clicks = new Clicks(desk, accounts, users, reader, journal, cards);
        var channels = new List<IChannel>();
        services.AddSingleton(accounts).AddSingleton(clicks).AddSingleton(new Postings(reader))
            .AddSingleton(new Outbox(channels, config.Routes, cards, desk, accounts, config.OnCall, reader, journal, feed, time, new OutboxLimits(), loggers.CreateLogger<Outbox>()))
            .AddHostedService<ChannelWork>();
    }

    /// <summary>Runs the outbox beside the listeners.</summary>
    private sealed class ChannelWork(Outbox outbox) : BackgroundService
    {
        protected override Task ExecuteAsync(CancellationToken stoppingToken) => outbox.RunAsync(stoppingToken);
    }
}
