using System.Diagnostics.CodeAnalysis;
using Countersign.Core;
using Microsoft.Extensions.Logging;

namespace Countersign.Journal;

/// <summary>
/// The journal's one writer: it takes whatever is queued, gives indices and times, writes the batch in one transaction
/// with one fsync, then completes all who wait. Thread-safe. Failures are results, never exceptions; what throws is a
/// cancelled token and a caller's bug.
/// </summary>
public sealed partial class JournalAppender : IAsyncDisposable
{
    private static readonly CanonicalJson.Members NoFields = CanonicalJson.Object();

    private readonly IJournalStore store;
    private readonly JournalLimits limits;
    private readonly TimeProvider time;
    private readonly ILogger logger;
    private readonly Thread thread;
    private readonly ITimer flushTimer;
    private readonly ITimer probeTimer;
    private readonly TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly Lock healthGate = new();
    private readonly object gate = new();

    // Under `gate`.
    private readonly Queue<QueuedSet> sets = new();
    private readonly Queue<BehindEntry> behind = new();
    private long queuedBytes;
    private bool flushDue;
    private bool probeDue;
    private bool stopping;
    private TaskCompletionSource behindMoved = NewSignal();
    private TaskCompletionSource appended = NewSignal();
    private long durableCount;
    private JournalHealth health;

    // The writer thread's own.
    private readonly Queue<PreparedEntry> own = new();
    private byte[]? lastLeaf;
    private bool suspect;
    private bool reopen;
    private int suspectBehind;
    private TimeSpan probeDelay;

    private JournalAppender(IJournalStore store, TimeProvider time, ILogger logger, JournalLimits limits)
    {
        this.store = store;
        this.limits = limits;
        this.time = time;
        this.logger = logger;
        probeDelay = limits.FirstProbeDelay;
        health = new JournalHealth(JournalState.Available, null, null, time.GetUtcNow());
        flushTimer = time.CreateTimer(_ => Raise(ref flushDue), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        probeTimer = time.CreateTimer(_ => Raise(ref probeDue), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        thread = new Thread(Run) { IsBackground = true, Name = "journal" };
    }

    /// <summary>
    /// Reads where the journal stands and writes its `start` entry, which says whether the last run ended without a
    /// `stop`. The store stays the caller's to dispose, after the appender.
    /// </summary>
    /// <exception cref="JournalStoreException">The journal cannot be read or written: the product does not start.</exception>
    public static JournalAppender Start(
        IJournalStore store, TimeProvider time, ILogger<JournalAppender> logger, string productVersion, JournalLimits? limits = null)
    {
        limits ??= new JournalLimits();
        var appender = new JournalAppender(store, time, logger, limits);
        var unclean = appender.ReadTail();
        appender.own.Enqueue(PreparedEntry.Of(EntryFormat.TypeStart, CanonicalJson.Object(
            ("unclean", unclean),
            ("maybeLostReadsMs", unclean ? (long)limits.WriteBehindWindow.TotalMilliseconds : null),
            ("product", productVersion))));
        if (!appender.TryWriteBatch(Batch.Empty, out var failure))
        {
            appender.flushTimer.Dispose();
            appender.probeTimer.Dispose();
            throw failure;
        }

        appender.LogStarted(appender.durableCount, unclean);
        appender.thread.Start();
        return appender;
    }

    /// <summary>The limits it runs under.</summary>
    public JournalLimits Limits => limits;

    /// <summary>Reads of what is durable.</summary>
    public IStateReader Reader => store;

    public JournalHealth Health
    {
        get { lock (healthGate) return health; }
    }

    /// <summary>Raised on the writer's thread after each change of state: be quick, and do not write from it.</summary>
    public event Action<JournalHealth>? HealthChanged;

    /// <summary>Number of durable entries: index of the last one plus one.</summary>
    public long EntryCount
    {
        get { lock (gate) return durableCount; }
    }

    /// <summary>
    /// Writes entries and state changes together, and completes when they are durable (fsync'd) or refused. Entries keep
    /// the order in which WriteAsync was called. Cancelling stops the wait, not the write: a write that was cancelled after
    /// it was called must be treated as written.
    /// </summary>
    /// <exception cref="OperationCanceledException">The token, before or while waiting.</exception>
    public ValueTask<WriteResult> WriteAsync(WriteSet set, CancellationToken ct = default)
    {
        ct.ThrowIfCancellationRequested();
        if (!TryPrepare(set, out var queued, out var refused)) return new(refused);
        lock (gate)
        {
            if (stopping) return new(Refused(ReasonCodes.ShuttingDown, "the journal is stopping"));
            if (sets.Count >= limits.MaxQueuedSets || queuedBytes > limits.MaxQueuedBytes - queued.Bytes)
            {
                JournalTelemetry.Refused.Add(1);
                return new(Refused(ReasonCodes.Overloaded, "the journal's queue is full: the disk does not keep up with the load"));
            }

            sets.Enqueue(queued);
            queuedBytes += queued.Bytes;
            Monitor.Pulse(gate);
        }

        JournalTelemetry.Queued.Add(1);
        return new(ct.CanBeCanceled ? queued.Completion.Task.WaitAsync(ct) : queued.Completion.Task);
    }

    /// <summary>
    /// Accepts an entry that may become durable just behind its action: only for reads of unclassified data that policy
    /// permits without review (I2). Committed here means accepted. It waits while the queue is full, or while reads that
    /// were accepted longer than <see cref="JournalLimits.WriteBehindWindow"/> ago are not durable yet. An accepted entry
    /// survives a failing disk in memory, and is written first when it recovers. Anything but Committed: do not forward.
    /// </summary>
    /// <exception cref="OperationCanceledException">The token while waiting: nothing was accepted.</exception>
    public async ValueTask<WriteStatus> WriteBehindAsync(EntryDraft entry, CancellationToken ct = default)
    {
        ct.ThrowIfCancellationRequested();
        if (!TryPrepare(WriteSet.Of(entry), out var set, out _)) return WriteStatus.Unavailable;
        var prepared = set.Entries[0];
        while (true)
        {
            Task moved;
            lock (gate)
            {
                if (stopping || Health.State != JournalState.Available) return WriteStatus.Unavailable;
                var room = behind.Count < limits.MaxWriteBehindEntries && queuedBytes <= limits.MaxQueuedBytes - prepared.Bytes;
                if (room && (behind.Count == 0 || time.GetElapsedTime(behind.Peek().AcceptedAt) < limits.WriteBehindWindow))
                {
                    behind.Enqueue(new BehindEntry(prepared, time.GetTimestamp()));
                    queuedBytes += prepared.Bytes;
                    if (behind.Count == 1) flushTimer.Change(limits.WriteBehindDelay, Timeout.InfiniteTimeSpan);
                    return WriteStatus.Committed;
                }

                if (behind.Count == 0) return WriteStatus.Unavailable; // The queue of sets has all the room: overloaded.
                if (!flushDue)
                {
                    flushDue = true;
                    Monitor.Pulse(gate);
                }

                moved = behindMoved.Task;
            }

            JournalTelemetry.BehindWaits.Add(1);
            await moved.WaitAsync(ct);
        }
    }

    /// <summary>
    /// Completes when the entry at <paramref name="index"/> is durable, with the number of durable entries; at once when
    /// it is already. Completes with the smaller number when the appender stops first.
    /// </summary>
    public async ValueTask<long> WaitForAppendAsync(LeafIndex index, CancellationToken ct = default)
    {
        while (true)
        {
            Task signal;
            lock (gate)
            {
                if (durableCount > index.Value || ended.Task.IsCompleted) return durableCount;
                signal = appended.Task;
            }

            await signal.WaitAsync(ct);
        }
    }

    /// <summary>
    /// Refuses what comes, writes what is queued and a `stop` entry, and ends. When the disk does not take it within
    /// <see cref="JournalLimits.StopTimeout"/> the next start says `unclean`.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        lock (gate)
        {
            stopping = true;
            Monitor.Pulse(gate);
        }

        try
        {
            await ended.Task.WaitAsync(limits.StopTimeout);
        }
        catch (TimeoutException)
        {
            LogStopTimedOut(limits.StopTimeout);
        }

        await flushTimer.DisposeAsync();
        await probeTimer.DisposeAsync();
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static WriteResult Refused(string reason, string detail) => new(WriteStatus.Unavailable, [], detail) { ReasonCode = reason };

    private bool TryPrepare(WriteSet set, [NotNullWhen(true)] out QueuedSet? queued, [NotNullWhen(false)] out WriteResult? refused)
    {
        (queued, refused) = (null, null);
        try
        {
            if (QueuedSet.TryPrepare(set, limits, out queued, out var tooLarge)) return true;
            refused = Refused(ReasonCodes.TooLarge, tooLarge);
        }
        catch (Exception e)
        {
            LogBug(e);
            refused = Refused(ReasonCodes.Internal, "the entry cannot be written: see the log");
        }

        return false;
    }

    private void Raise(ref bool due)
    {
        lock (gate)
        {
            due = true;
            Monitor.Pulse(gate);
        }
    }

    private void SetHealth(JournalState state, StoreFault? fault, string? detail)
    {
        JournalHealth changed;
        lock (healthGate)
        {
            if (health.State == state && health.Fault == fault && health.Detail == detail) return;
            var since = health.State == state ? health.Since : time.GetUtcNow();
            changed = health = new JournalHealth(state, fault, detail, since);
        }

        try
        {
            HealthChanged?.Invoke(changed);
        }
        catch (Exception e)
        {
            LogWatcherFailed(e);
        }
    }
}
