using System.Threading.Channels;
using Countersign.Channels.Accounts;
using Countersign.Channels.Cards;
using Countersign.Core;
using Countersign.Journal;
using Countersign.Reviews;
using Microsoft.Extensions.Logging;

namespace Countersign.Channels.Delivery;

/// <summary>
/// Tells people of reviews, and keeps what was told true. It compares what each message says with what its review says and
/// makes the two equal, so that a crash, an outage or a lost signal costs time and nothing else: all that it goes by is in
/// the store. Nothing waits for it. Thread-safe.
/// </summary>
public sealed partial class Outbox(
    IReadOnlyList<IChannel> channels, IReadOnlyList<Route> routes, CardMaker cards, ReviewDesk desk, AccountLinks accounts,
    IReadOnlyList<OnCallSchedule> schedules, IStateReader reader, JournalAppender journal, ReviewFeed feed, TimeProvider time, OutboxLimits limits, ILogger<Outbox> logger)
{
    /// <summary>Longest call of a channel. 15 s: past that the service is down, whatever it says.</summary>
    public static readonly TimeSpan CallLimit = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan SweepEvery = TimeSpan.FromSeconds(1);

    /// <summary>Sweeps between two that look at every message whether or not it is known to lag.</summary>
    private const int WholeSweep = 10;

    private const int SweepsBetweenPrunes = 3600;

    private readonly CardMaker cards = cards;
    private readonly ReviewDesk desk = desk;
    private readonly IStateReader reader = reader;
    private readonly JournalAppender journal = journal;
    private readonly TimeProvider time = time;
    private readonly OutboxLimits limits = limits;
    private readonly Postings postings = new(reader);
    private readonly Dictionary<string, Lane> lanes = channels.ToDictionary(static c => c.Name, static c => new Lane(c), StringComparer.Ordinal);

    /// <summary>Messages of one channel that are to be looked at: each once, by one worker at a time.</summary>
    private sealed class Lane(IChannel channel)
    {
        private readonly Channel<string> queue = System.Threading.Channels.Channel.CreateUnbounded<string>();
        private readonly Dictionary<string, bool> known = new(StringComparer.Ordinal);

        public IChannel Channel { get; } = channel;

        /// <summary>True while it is worked on; then it is looked at once more.</summary>
        public void Add(string key)
        {
            lock (known)
            {
                if (known.ContainsKey(key))
                {
                    known[key] = true;
                    return;
                }

                known.Add(key, false);
            }

            queue.Writer.TryWrite(key);
        }

        public async Task WorkAsync(Func<string, Task> work, CancellationToken ct)
        {
            await foreach (var key in queue.Reader.ReadAllAsync(ct).ConfigureAwait(false))
            {
                lock (known) known[key] = false;
                await work(key).ConfigureAwait(false);
                lock (known)
                {
                    if (!known[key])
                    {
                        known.Remove(key);
                        continue;
                    }
                }

                queue.Writer.TryWrite(key);
            }
        }
    }

    /// <summary>Runs until it is stopped. Does nothing where no channel is configured.</summary>
    public async Task RunAsync(CancellationToken ct)
    {
        if (lanes.Count == 0) return;
        try
        {
            List<Task> work = [FollowAsync(ct), SweepsAsync(ct)];
            foreach (var lane in lanes.Values)
            {
                for (var i = 0; i < limits.PerChannel; i++) work.Add(lane.WorkAsync(key => LookAsync(lane.Channel, key, ct), ct));
            }

            await Task.WhenAll(work).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            // Stopping. What was under way is found by the next start.
        }
    }

    private async Task FollowAsync(CancellationToken ct)
    {
        await foreach (var review in feed.WatchAsync(ct).ConfigureAwait(false)) await GuardedAsync(() => TellAsync(review)).ConfigureAwait(false);
    }

    private async Task SweepsAsync(CancellationToken ct)
    {
        using var timer = new PeriodicTimer(SweepEvery, time);
        for (var n = 0L; ; n++)
        {
            await GuardedAsync(() => SweepAsync(n % WholeSweep == 0)).ConfigureAwait(false);
            if (n % SweepsBetweenPrunes == 0) await GuardedAsync(PruneAsync).ConfigureAwait(false);
            if (!await timer.WaitForNextTickAsync(ct).ConfigureAwait(false)) return;
        }
    }

    /// <summary>Finds what is to be told by now: new reviews and places, messages that lag, waits that are over.</summary>
    internal async Task SweepAsync(bool whole)
    {
        var now = time.GetUtcNow();
        if (whole)
        {
            foreach (var review in desk.ListOpen()) await TellAsync(review).ConfigureAwait(false);
        }

        foreach (var document in reader.List(Posting.Open))
        {
            var posting = Posting.Read(document);
            var due = posting.NextAt is { } at ? at <= now : whole || posting.Message is null;
            if (due && lanes.TryGetValue(posting.Channel, out var lane)) lane.Add(document.Key);
        }
    }

    /// <summary>A message for each place that is to know of this review now, and a look at those there are.</summary>
    private async Task TellAsync(Review review)
    {
        var there = postings.In(Posting.Open, review.Id).Select(static d => d.Key).ToHashSet(StringComparer.Ordinal);
        if (review.IsOpen)
        {
            var known = there.Count == 0 ? 0 : there.Count + postings.In(Posting.Finished, review.Id).Count;
            foreach (var to in Where(review))
            {
                var key = Posting.KeyOf(review.Id.Value, to);
                if (there.Contains(key) || known >= Postings.MaxPerReview || reader.Get(Posting.Finished, key) is not null) continue;
                var posting = Posting.New(review.Id, to, time.GetUtcNow());
                var written = await journal.WriteAsync(new WriteSet([], [new StateChange.Put(Posting.Open, key, 0, posting.Id, posting.ToBytes())])).ConfigureAwait(false);
                if (written.Status == WriteStatus.Unavailable) continue; // the next sweep
                there.Add(key);
                known++;
            }
        }

        foreach (var document in postings.In(Posting.Open, review.Id))
        {
            if (lanes.TryGetValue(Posting.Read(document).Channel, out var lane)) lane.Add(document.Key);
        }
    }

    /// <summary>Where this review is told now, each place once, in the channel's own words.</summary>
    internal IEnumerable<Destination> Where(Review review)
    {
        var now = time.GetUtcNow();
        var age = now - review.CreatedAt;
        var asked = new RoutedReview(
            review.Target.Name, review.Target.Environment,
            review.Effects.SelectMany(static e => e.DataClasses).ToHashSet(StringComparer.Ordinal),
            review.Effects.Select(static e => e.Verb).ToHashSet(StringComparer.Ordinal),
            review.Requirements.SelectMany(static r => r.Groups).ToHashSet(StringComparer.Ordinal),
            review.Requirements.SelectMany(r => r.Escalations.Where(e => e.After <= age)).SelectMany(static e => e.Groups).ToHashSet(StringComparer.Ordinal));
        return routes.SelectMany(r => r.At(asked, now)).Distinct().Where(d => lanes.ContainsKey(d.Channel)).SelectMany(d => People(d, review, now)).Distinct();
    }

    /// <summary>A place, or the accounts of the people that its word stands for: those who have linked theirs.</summary>
    private IEnumerable<Destination> People(Destination to, Review review, DateTimeOffset now)
    {
        if (to.Place == Destination.Eligible) return desk.Eligible(review).SelectMany(u => accounts.Of(u.Ref.Id)).Where(a => a.Channel == to.Channel).Select(a => to with { Place = a.Account });
        if (!to.Place.StartsWith(Destination.OnCallPlace, StringComparison.Ordinal)) return [to];
        var name = schedules.FirstOrDefault(s => s.Name == to.Place[Destination.OnCallPlace.Length..])?.At(now);
        return name is null ? [] : accounts.OfName(name).Where(a => a.Channel == to.Channel).Select(a => to with { Place = a.Account });
    }

    private async Task LookAsync(IChannel channel, string key, CancellationToken ct)
    {
        await GuardedAsync(async () =>
        {
            if (reader.Get(Posting.Open, key) is not { } document) return;
            var posting = Posting.Read(document);
            if (posting.NextAt is { } wait && wait > time.GetUtcNow()) return;
            await new Attempt(this, channel, key, document.Version, posting).RunAsync(ct).ConfigureAwait(false);
        }).ConfigureAwait(false);
    }

    private async Task PruneAsync()
    {
        var before = time.GetUtcNow() - limits.Keep;
        string? after = null;
        while (reader.List(Posting.Finished, after, 200) is { Count: > 0 } page)
        {
            after = page[^1].Key;
            var old = page.Where(d => Posting.Read(d).FinishedAt < before).Select(static StateChange (d) => new StateChange.Delete(Posting.Finished, d.Key, d.Version)).ToArray();
            if (old.Length > 0) await journal.WriteAsync(new WriteSet([], old)).ConfigureAwait(false);
        }
    }

    private async Task GuardedAsync(Func<Task> work)
    {
        try
        {
            await work().ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // The store is away, or a bug: the next sweep looks again, and nobody waits for it.
            LogFailed(e);
        }
    }

    [LoggerMessage(EventId = 7001, Level = LogLevel.Error, Message = "the outbox stumbled, and goes on")]
    private partial void LogFailed(Exception exception);

    [LoggerMessage(EventId = 7002, Level = LogLevel.Warning, Message = "review {Review} could not be told at {Channel}:{Place} (attempt {Attempt}): {Why}")]
    private partial void LogNotTold(string review, string channel, string place, int attempt, string why);

    [LoggerMessage(EventId = 7003, Level = LogLevel.Warning, Message = "the message about review {Review} at {Channel}:{Place} is given up, and may say what is no longer so")]
    private partial void LogGivenUp(string review, string channel, string place);
}
