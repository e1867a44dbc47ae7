using Countersign.Core;
using Microsoft.Extensions.Time.Testing;

namespace Countersign.Journal.Tests;

/// <summary>What the appender does when the store fails, step by step. The disks are in <see cref="DiskTests"/>.</summary>
public sealed class FailureTests : IDisposable
{
    private readonly TestFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData(StoreFault.Full, 0)]
    [InlineData(StoreFault.Busy, 0)]
    [InlineData(StoreFault.Io, 1)]
    [InlineData(StoreFault.ReadOnly, 1)]
    [InlineData(StoreFault.CannotOpen, 1)]
    [InlineData(StoreFault.Corrupt, 1)]
    [InlineData(StoreFault.Other, 1)]
    public async Task P51_failed_commit_is_unavailable_and_the_next_write_tries_again(StoreFault fault, int reopened)
    {
        using var store = new FaultyStore(Given.Store(folder.Data)) ;
        await using var appender = Given.Appender(store, new FakeTimeProvider());
        store.BeforeCommit = FaultyStore.Throws(fault, "the disk is tired");
        var failed = await appender.WriteAsync(new WriteSet([Given.Entry(1)], [Given.Put("a", 0)]));
        Assert.Equal((WriteStatus.Unavailable, ReasonCodes.JournalUnavailable, "the disk is tired"), (failed.Status, failed.ReasonCode, failed.Detail));
        Assert.Equal((JournalState.Unavailable, fault), (appender.Health.State, appender.Health.Fault));
        Assert.Equal(WriteStatus.Unavailable, await appender.WriteBehindAsync(Given.Entry()));
        Assert.Null(store.Get("things", "a"));

        store.BeforeCommit = static () => { };
        var written = await appender.WriteAsync(new WriteSet([Given.Entry(2)], [Given.Put("a", 0)]));
        Assert.Equal((WriteStatus.Committed, 1L), (written.Status, written.Indices[0].Value));
        Assert.Equal(JournalState.Available, appender.Health.State);
        Assert.Equal(reopened, store.Reopened);
        Assert.Equal(["start", "test.write"], Given.Types(store));
    }

    [Fact]
    public async Task P51_failure_to_begin_or_reopen_is_unavailable_too()
    {
        using var store = new FaultyStore(Given.Store(folder.Data));
        await using var appender = Given.Appender(store, new FakeTimeProvider());
        store.BeforeBegin = FaultyStore.Throws(StoreFault.Io);
        Assert.Equal(WriteStatus.Unavailable, (await appender.WriteAsync(WriteSet.Of(Given.Entry()))).Status);
        store.BeforeBegin = static () => { };
        store.BeforeReopen = FaultyStore.Throws(StoreFault.CannotOpen);
        Assert.Equal(WriteStatus.Unavailable, (await appender.WriteAsync(WriteSet.Of(Given.Entry()))).Status);
        Assert.Equal(StoreFault.CannotOpen, appender.Health.Fault);
        store.BeforeReopen = static () => { };
        Assert.Equal(WriteStatus.Committed, (await appender.WriteAsync(WriteSet.Of(Given.Entry()))).Status);
    }

    [Fact]
    public async Task P51_a_bug_in_a_store_does_not_end_the_writer()
    {
        using var store = new FaultyStore(Given.Store(folder.Data));
        await using var appender = Given.Appender(store, new FakeTimeProvider());
        store.BeforeCommit = static () => throw new InvalidOperationException("a bug");
        var failed = await appender.WriteAsync(WriteSet.Of(Given.Entry()));
        Assert.Equal(WriteStatus.Unavailable, failed.Status);
        Assert.DoesNotContain("a bug", failed.Detail);
        store.BeforeCommit = static () => { };
        Assert.Equal(WriteStatus.Committed, (await appender.WriteAsync(WriteSet.Of(Given.Entry()))).Status);
    }

    [Fact]
    public async Task P51_health_recovers_by_probes_that_back_off()
    {
        var time = new FakeTimeProvider();
        using var store = new FaultyStore(Given.Store(folder.Data));
        await using var appender = Given.Appender(store, time);
        using var probed = new SemaphoreSlim(0);
        store.BeforeCommit = FaultyStore.Throws(StoreFault.Full);
        store.BeforeProbe = () =>
        {
            probed.Release();
            throw new JournalStoreException(StoreFault.Full, "still full");
        };
        await appender.WriteAsync(WriteSet.Of(Given.Entry()));

        // The timer is set before the health is: what we wait for is the probe itself.
        time.Advance(appender.Limits.FirstProbeDelay);
        Assert.True(await probed.WaitAsync(Given.Patience));
        Assert.Equal(JournalState.Unavailable, appender.Health.State);

        var since = appender.Health.Since;
        store.BeforeProbe = static () => { };
        var recovered = Given.UntilAsync(appender, JournalState.Available);
        while (!recovered.IsCompleted)
        {
            time.Advance(appender.Limits.FirstProbeDelay);
            await Task.Yield();
        }

        await recovered;
        Assert.True(appender.Health.Since > since);
        Assert.Equal(["start"], Given.Types(store));
    }

    [Fact]
    public async Task P53_commit_whose_answer_was_lost_is_named_uncertain()
    {
        using var store = new FaultyStore(Given.Store(folder.Data));
        await using var appender = Given.Appender(store, new FakeTimeProvider());
        store.AfterCommit = FaultyStore.Throws(StoreFault.Io);
        var lost = await appender.WriteAsync(new WriteSet([Given.Entry(1), Given.Entry(2)], [Given.Put("a", 0)]));
        Assert.Equal(WriteStatus.Unavailable, lost.Status);
        Assert.Empty(lost.Indices);
        store.AfterCommit = static () => { };

        // The one who repeats it without reading loses the compare-and-set: at most once (I7).
        Assert.Equal(WriteStatus.Conflict, (await appender.WriteAsync(new WriteSet([Given.Entry(1)], [Given.Put("a", 0)]))).Status);
        var next = await appender.WriteAsync(WriteSet.Of(Given.Entry(3)));
        Assert.Equal(4, next.Indices[0].Value);
        Assert.Equal(["start", "test.write", "test.write", "uncertain", "test.write"], Given.Types(store));
        var uncertain = Given.Parsed(store, 3).Root;
        Assert.Equal((1, 2), (uncertain.GetProperty("first").GetInt32(), uncertain.GetProperty("last").GetInt32()));
        Assert.True(JournalVerification.Fsck(store).IsSound);
    }

    [Fact]
    public async Task P53_a_second_lost_answer_names_each_range_once()
    {
        using var store = new FaultyStore(Given.Store(folder.Data));
        await using var appender = Given.Appender(store, new FakeTimeProvider());
        store.AfterCommit = FaultyStore.Throws(StoreFault.Io);
        await appender.WriteAsync(WriteSet.Of(Given.Entry(1)));
        await appender.WriteAsync(WriteSet.Of(Given.Entry(2))); // Commits `uncertain` for 1 and itself, and loses that answer.
        store.AfterCommit = static () => { };
        await appender.WriteAsync(WriteSet.Of(Given.Entry(3)));
        Assert.Equal(["start", "test.write", "uncertain", "test.write", "uncertain", "test.write"], Given.Types(store));
        Assert.Equal(2, Given.Parsed(store, 4).Root.GetProperty("first").GetInt32());
        Assert.Equal(3, Given.Parsed(store, 4).Root.GetProperty("last").GetInt32());
    }

    [Fact]
    public async Task I2_accepted_reads_outlive_a_failing_disk_and_are_written_once()
    {
        var time = new FakeTimeProvider();
        using var store = new FaultyStore(Given.Store(folder.Data));
        await using var appender = Given.Appender(store, time);
        Assert.Equal(WriteStatus.Committed, await appender.WriteBehindAsync(Given.Entry(1)));
        Assert.Equal(WriteStatus.Committed, await appender.WriteBehindAsync(Given.Entry(2)));
        store.BeforeCommit = FaultyStore.Throws(StoreFault.Full);
        Assert.Equal(WriteStatus.Unavailable, (await appender.WriteAsync(WriteSet.Of(Given.Entry(3)))).Status);
        store.BeforeCommit = static () => { };
        store.AfterCommit = FaultyStore.Throws(StoreFault.Io);
        Assert.Equal(WriteStatus.Unavailable, (await appender.WriteAsync(WriteSet.Of(Given.Entry(4)))).Status);
        store.AfterCommit = static () => { };
        await appender.WriteAsync(WriteSet.Of(Given.Entry(5)));
        Assert.Equal(["start", "test.write", "test.write", "test.write", "uncertain", "test.write"], Given.Types(store));
        Assert.Equal([1, 2, 4], Enumerable.Range(1, 3).Select(i => Given.Parsed(store, i).Root.GetProperty("n").GetInt32()));
    }

    [Fact]
    public async Task I2_read_that_waits_for_room_is_refused_when_the_journal_goes_down()
    {
        using var store = new FaultyStore(Given.Store(folder.Data));
        await using var appender = Given.Appender(store, new FakeTimeProvider(), new JournalLimits { MaxWriteBehindEntries = 1 });
        using var release = new ManualResetEventSlim();
        store.BeforeCommit = () =>
        {
            release.Wait(Given.Patience);
            throw new JournalStoreException(StoreFault.Full, "full");
        };
        await appender.WriteBehindAsync(Given.Entry(1));
        var waiting = appender.WriteBehindAsync(Given.Entry(2)).AsTask();
        Assert.False(waiting.IsCompleted);
        release.Set();
        Assert.Equal(WriteStatus.Unavailable, await waiting.WaitAsync(Given.Patience));
    }

    [Fact]
    public async Task P52_store_that_comes_back_older_is_never_written_again()
    {
        var older = Path.Combine(folder.Path, "older");
        using (var store = Given.Store(folder.Data))
        {
            await using (Given.Appender(store)) { }
        }

        Directory.CreateDirectory(older, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        File.Copy(folder.Database, Path.Combine(older, "countersign.db"));
        using var present = Given.Store(folder.Data);
        using (var store = new FaultyStore(present))
        {
            await using var appender = Given.Appender(store, new FakeTimeProvider());
            Assert.Equal(WriteStatus.Committed, (await appender.WriteAsync(WriteSet.Of(Given.Entry(1)))).Status);
            store.BeforeCommit = FaultyStore.Throws(StoreFault.Io);
            await appender.WriteAsync(WriteSet.Of(Given.Entry(2)));
            store.BeforeCommit = static () => { };
            store.Inner = Given.Store(older);
            for (var i = 0; i < 3; i++)
            {
                var refused = await appender.WriteAsync(WriteSet.Of(Given.Entry(3)));
                Assert.Equal(WriteStatus.Unavailable, refused.Status);
                Assert.Contains("without durable entries", refused.Detail);
            }

            Assert.Equal(StoreFault.Corrupt, appender.Health.Fault);
            Assert.Equal(["start", "stop"], Given.Types(store));
        }
    }

    [Fact]
    public async Task Watcher_that_throws_does_no_harm()
    {
        using var store = new FaultyStore(Given.Store(folder.Data));
        await using var appender = Given.Appender(store, new FakeTimeProvider());
        appender.HealthChanged += static _ => throw new InvalidOperationException("a watcher's bug");
        store.BeforeCommit = FaultyStore.Throws(StoreFault.Io);
        await appender.WriteAsync(WriteSet.Of(Given.Entry()));
        store.BeforeCommit = static () => { };
        Assert.Equal(WriteStatus.Committed, (await appender.WriteAsync(WriteSet.Of(Given.Entry()))).Status);
    }

    [Fact]
    public async Task Start_on_a_failing_store_throws_with_what_to_do()
    {
        using var store = new FaultyStore(Given.Store(folder.Data)) { BeforeCommit = FaultyStore.Throws(StoreFault.Full, "free some space") };
        Assert.Equal("free some space", Assert.Throws<JournalStoreException>(() => Given.Appender(store)).Message);
        store.BeforeCommit = static () => { };
        await using var appender = Given.Appender(store);
        Assert.Equal(["start"], Given.Types(store));
    }

    [Fact]
    public async Task Stop_on_a_failing_store_ends_and_the_next_start_says_unclean()
    {
        using var store = new FaultyStore(Given.Store(folder.Data));
        var appender = Given.Appender(store);
        store.BeforeCommit = FaultyStore.Throws(StoreFault.Io);
        await appender.WriteBehindAsync(Given.Entry());
        await appender.DisposeAsync();
        store.BeforeCommit = static () => { };
        await using var next = Given.Appender(store);
        Assert.True(Given.Parsed(store, 1).Root.GetProperty("unclean").GetBoolean());
    }
}
