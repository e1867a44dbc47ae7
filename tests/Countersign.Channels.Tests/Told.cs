using Countersign.Channels.Accounts;
using Countersign.Channels.Answering;
using Countersign.Channels.Cards;
using Countersign.Channels.Delivery;
using Countersign.Core;
using Countersign.Gateway.Tests;
using Countersign.Reviews;
using Microsoft.Extensions.Logging.Abstractions;

namespace Countersign.Channels.Tests;

/// <summary>An outbox over a house, running.</summary>
internal sealed class Told : IAsyncDisposable
{
    private readonly CancellationTokenSource stop = new();
    private readonly Task running;

    public Told(House house, IReadOnlyList<Route> routes, params IChannel[] channels)
    {
        House = house;
        Accounts = new AccountLinks(house.Store, house.Journal, house.Users, house.Time);
        Cards = new CardMaker(static () => new Uri("https://countersign.example.com"));
        Clicks = new Clicks(house.Desk, Accounts, house.Users, house.Store, house.Journal, Cards);
        Outbox = new Outbox(channels, routes, Cards, house.Desk, Accounts, house.OnCall, house.Store, house.Journal, house.Feed, house.Time, new OutboxLimits(), NullLogger<Outbox>.Instance);
        running = Outbox.RunAsync(stop.Token);
    }

    public House House { get; }
    public AccountLinks Accounts { get; }
    public CardMaker Cards { get; }
    public Clicks Clicks { get; }
    public Outbox Outbox { get; }
    public Postings Postings => new(House.Store);

    public static Route Everything(params string[] to) => new() { Name = "all", To = to.Select(static t => Destination.Parse(t)!).ToArray() };

    /// <summary>Waits until it is so; time goes on meanwhile, a second at a time, so that waits and sweeps come.</summary>
    public async Task UntilAsync(Func<bool> holds, bool timeGoesOn = true)
    {
        for (var n = 0; !holds(); n++)
        {
            Assert.True(n < 3000, "it never came to be so");
            if (timeGoesOn && n % 5 == 4) House.Time.Advance(TimeSpan.FromSeconds(1));
            await Task.Delay(TimeSpan.FromMilliseconds(2), TimeProvider.System);
        }
    }

    public async Task<Posting> FinishedAsync(ReviewId id)
    {
        await UntilAsync(() => Postings.Of(id) is { Count: > 0 } all && all.All(static p => p.FinishedAt is not null));
        return Postings.Of(id)[0];
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await running;
        stop.Dispose();
    }
}
