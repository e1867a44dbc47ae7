using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Countersign.Core;

namespace Countersign.Journal;

/// <summary>The writer thread: batches, commits, failures and recovery.</summary>
public sealed partial class JournalAppender
{
    private void Run()
    {
        while (TryTake(out var batch, out var probe))
        {
            var failed = !TryWriteBatch(batch, out var failure);
            if (failed)
            {
                Fail(batch, failure!);
                continue;
            }

            if (probe && !TryProbe()) continue;
            Settle();
        }

        Stop();
    }

    private bool TryTake([NotNullWhen(true)] out Batch? batch, out bool probe)
    {
        lock (gate)
        {
            while (sets.Count == 0 && !(flushDue && behind.Count > 0) && !probeDue && !stopping) Monitor.Wait(gate);
            probe = probeDue;
            probeDue = false;
            batch = null;
            if (stopping && sets.Count == 0 && behind.Count == 0) return false;

            // While the store is away each round would fail the same way: a stop gives up after one.
            if (stopping && suspect && sets.Count == 0) return false;

            var taken = new List<QueuedSet>(Math.Min(sets.Count, limits.MaxBatchSets));
            var bytes = 0L;

            // Reads first: they were accepted before any set that their agent sent after them. They stay queued until durable.
            var reads = new List<PreparedEntry>(behind.Count);
            foreach (var read in behind)
            {
                if (reads.Count > 0 && bytes > limits.MaxBatchBytes) break;
                reads.Add(read.Entry);
                bytes += read.Entry.Bytes;
            }

            while (taken.Count < limits.MaxBatchSets && sets.TryPeek(out var next))
            {
                if (taken.Count + reads.Count > 0 && bytes + next.Bytes > limits.MaxBatchBytes) break;
                taken.Add(sets.Dequeue());
                bytes += next.Bytes;
                queuedBytes -= next.Bytes;
            }

            flushDue = false;
            JournalTelemetry.Queued.Add(-taken.Count);
            batch = new Batch(taken, reads);
            return true;
        }
    }

    private bool TryWriteBatch(Batch batch, [NotNullWhen(false)] out JournalStoreException? failure)
    {
        failure = null;
        if (batch.Sets.Count == 0 && batch.Behind.Count == 0 && own.Count == 0 && !suspect) return true;
        var started = Stopwatch.GetTimestamp();
        using var activity = JournalTelemetry.Source.StartActivity("journal.commit");
        try
        {
            var alreadyThere = 0;
            if (suspect)
            {
                alreadyThere = Recover();
                if (alreadyThere > 0) batch = batch with { Behind = [.. batch.Behind.Skip(alreadyThere)] };
            }

            if (batch.Sets.Count == 0 && batch.Behind.Count == 0 && own.Count == 0) return true;
            var results = Commit(batch, out var count, out var leaf);
            lastLeaf = leaf;
            own.Clear();
            var appendedEntries = count - durableCount;
            Published(count, batch.Behind.Count);
            MarkAvailable();

            JournalTelemetry.CommitDuration.Record(Stopwatch.GetElapsedTime(started).TotalSeconds);
            JournalTelemetry.BatchSize.Record(batch.Sets.Count);
            JournalTelemetry.Entries.Add(appendedEntries);
            activity?.SetTag("countersign.sets", batch.Sets.Count).SetTag("countersign.entries", appendedEntries);
            for (var i = 0; i < results.Length; i++) batch.Sets[i].Completion.TrySetResult(results[i]);
            return true;
        }
        catch (JournalStoreException e)
        {
            failure = e;
        }
        catch (Exception e)
        {
            // A bug, here or in a store. The writer must outlive it, and nobody may believe in what it wrote.
            LogBug(e);
            failure = new JournalStoreException(StoreFault.Other, "the journal failed unexpectedly: see the log", e);
        }

        activity?.SetStatus(ActivityStatusCode.Error, failure.Fault.ToString());
        return false;
    }

    private WriteResult[] Commit(Batch batch, out long count, out byte[]? leaf)
    {
        // From here until the commit returned, nobody knows how much of this is on the disk.
        suspect = true;
        suspectBehind = batch.Behind.Count;
        var next = durableCount;
        var last = lastLeaf;
        var now = time.GetUtcNow();
        var results = new WriteResult[batch.Sets.Count];
        using (var transaction = store.Begin())
        {
            // A batch is all or nothing; these come first, so that after a lost answer their number tells which they were.
            ApplyAll(transaction, [.. batch.Behind, .. own], now, ref next, ref last);
            for (var i = 0; i < results.Length; i++)
            {
                var set = batch.Sets[i];
                var entries = Seal(set.Entries, now, next);
                var outcome = transaction.Apply(set.Changes, entries);
                if (outcome.Conflict is not null)
                {
                    JournalTelemetry.Conflicts.Add(1);
                    results[i] = new WriteResult(WriteStatus.Conflict, [], outcome.Conflict);
                    continue;
                }

                next += entries.Count;
                if (entries.Count > 0) last = entries[^1].LeafHash;
                results[i] = new WriteResult(WriteStatus.Committed, [.. entries.Select(static e => e.Index)], null) { Versions = outcome.Versions };
            }

            transaction.Commit();
        }

        suspect = false;
        suspectBehind = 0;
        (count, leaf) = (next, last);
        return results;
    }

    private static void ApplyAll(IJournalTransaction transaction, PreparedEntry[] entries, DateTimeOffset now, ref long next, ref byte[]? last)
    {
        if (entries.Length == 0) return;
        var prepared = Seal(entries, now, next);
        transaction.Apply([], prepared);
        next += prepared.Count;
        last = prepared[^1].LeafHash;
    }

    private static List<SealedEntry> Seal(IReadOnlyList<PreparedEntry> entries, DateTimeOffset now, long first)
    {
        var sealedEntries = new List<SealedEntry>(entries.Count);
        for (var i = 0; i < entries.Count; i++)
        {
            var index = new LeafIndex(checked(first + i));
            var bytes = EntryFormat.Write(index, now, entries[i].Type, entries[i].Fields, entries[i].BodySha256);
            sealedEntries.Add(new SealedEntry(index, bytes, Tlog.MerkleTree.LeafHash(bytes).ToArray(), entries[i].Body));
        }

        return sealedEntries;
    }

    /// <summary>
    /// After a failure: reads from the store where the journal stands. Returns how many write-behind entries turned out
    /// to be written. Throws when the store still fails, or is not the one that it was.
    /// </summary>
    private int Recover()
    {
        if (reopen)
        {
            store.Reopen();
            reopen = false;
        }

        var (expected, behindWritten) = (durableCount, suspectBehind);
        var actual = store.EntryCount;
        if (actual < expected || (expected > 0 && !LeafAt(expected - 1).AsSpan().SequenceEqual(lastLeaf)))
        {
            reopen = true;
            throw new JournalStoreException(StoreFault.Corrupt, string.Create(CultureInfo.InvariantCulture,
                $"the store came back without durable entries (it has {actual}, {expected} were acknowledged): it was replaced or damaged; stop, and bring back the right one"));
        }

        if (actual == expected)
        {
            (suspect, suspectBehind) = (false, 0);
            return 0;
        }

        // The commit whose answer was lost is there. Its callers were told Unavailable: the journal says so itself.
        lastLeaf = LeafAt(actual - 1);
        own.Clear();
        own.Enqueue(PreparedEntry.Of(EntryFormat.TypeUncertain, CanonicalJson.Object(("first", expected), ("last", actual - 1))));
        LogUncertain(expected, actual - 1);
        (suspect, suspectBehind) = (false, 0);
        Published(actual, behindWritten);
        return behindWritten;
    }

    private byte[] LeafAt(long index) => store.ReadEntries(index, 1) is [var entry] ? entry.LeafHash : [];

    private void Fail(Batch batch, JournalStoreException failure)
    {
        // FULL and BUSY leave the connection sound; after anything else nothing that it remembers is believed.
        if (failure.Fault is not (StoreFault.Full or StoreFault.Busy)) reopen = true;
        suspect = true;
        probeTimer.Change(probeDelay, Timeout.InfiniteTimeSpan);
        probeDelay = TimeSpan.FromTicks(Math.Min(probeDelay.Ticks * 2, limits.MaxProbeDelay.Ticks));
        JournalTelemetry.Failures.Add(1, new KeyValuePair<string, object?>("fault", failure.Fault.ToString()));
        if (Health.State == JournalState.Available) LogUnavailable(failure.Fault, failure.Message, failure);
        else LogStillUnavailable(failure.Fault, failure.Message);
        SetHealth(JournalState.Unavailable, failure.Fault, failure.Message);
        foreach (var set in batch.Sets) set.Completion.TrySetResult(Refused(ReasonCodes.JournalUnavailable, failure.Message));
        lock (gate)
        {
            // Reads that wait for room are told; those already accepted stay, and go first when the disk is back.
            Interlocked.Exchange(ref behindMoved, NewSignal()).TrySetResult();
        }

    }

    private bool TryProbe()
    {
        try
        {
            store.Probe();
            MarkAvailable();
            return true;
        }
        catch (Exception e)
        {
            Fail(Batch.Empty, e as JournalStoreException ?? new JournalStoreException(StoreFault.Other, "the journal's probe failed: see the log", e));
            return false;
        }
    }

    private void MarkAvailable()
    {
        probeDelay = limits.FirstProbeDelay;
        if (Health.State == JournalState.Available) return;
        probeTimer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        LogRecovered(durableCount);
        SetHealth(JournalState.Available, null, null);
    }

    /// <summary>Makes durable entries visible, and takes the write-behind ones among them off their queue.</summary>
    private void Published(long count, int behindWritten)
    {
        lock (gate)
        {
            durableCount = count;
            for (var i = 0; i < behindWritten; i++) queuedBytes -= behind.Dequeue().Entry.Bytes;
            if (behindWritten > 0) Interlocked.Exchange(ref behindMoved, NewSignal()).TrySetResult();
            if (behind.TryPeek(out var oldest))
            {
                var wait = limits.WriteBehindDelay - time.GetElapsedTime(oldest.AcceptedAt);
                flushTimer.Change(wait > TimeSpan.Zero ? wait : TimeSpan.Zero, Timeout.InfiniteTimeSpan);
            }

            Interlocked.Exchange(ref appended, NewSignal()).TrySetResult();
        }
    }

    private void Settle()
    {
        try
        {
            store.Settle();
        }
        catch (Exception e)
        {
            LogSettleFailed(e);
            Fail(Batch.Empty, e as JournalStoreException ?? new JournalStoreException(StoreFault.Other, "the journal's housekeeping failed: see the log", e));
        }
    }

    /// <summary>Reads where the journal stands; true when the last run did not end with `stop`.</summary>
    private bool ReadTail()
    {
        durableCount = store.EntryCount;
        if (durableCount == 0) return false;
        if (store.ReadEntries(durableCount - 1, 1) is not [var last])
        {
            throw new JournalStoreException(StoreFault.Corrupt, "the journal's last entry cannot be read; run `countersign journal verify`");
        }

        if (last.LeafHash.Length != Tlog.TlogHash.Size || !Tlog.MerkleTree.LeafHash(last.Bytes).Span.SequenceEqual(last.LeafHash) || !last.TryParse(out var content))
        {
            throw new JournalStoreException(StoreFault.Corrupt, "the journal's last entry is damaged; run `countersign journal verify`");
        }

        lastLeaf = last.LeafHash;
        return content.Type != EntryFormat.TypeStop;
    }

    private void Stop()
    {
        PreparedEntry[] reads;
        lock (gate) reads = [.. behind.Select(static b => b.Entry)];
        own.Enqueue(PreparedEntry.Of(EntryFormat.TypeStop, NoFields));
        if (TryWriteBatch(new Batch([], reads), out var failure)) LogStopped(durableCount);
        else LogUnavailable(failure.Fault, failure.Message, failure);
        SetHealth(JournalState.Stopped, null, null);
        lock (gate)
        {
            while (sets.TryDequeue(out var set)) set.Completion.TrySetResult(Refused(ReasonCodes.ShuttingDown, "the journal is stopping"));
            Interlocked.Exchange(ref behindMoved, NewSignal()).TrySetResult();
            ended.TrySetResult();
            Interlocked.Exchange(ref appended, NewSignal()).TrySetResult();
        }
    }
}
