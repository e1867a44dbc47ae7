using System.Diagnostics;
using Countersign.Core;
using Countersign.Tlog;
using Microsoft.Extensions.Time.Testing;

namespace Countersign.Journal.Tests;

public sealed class AppenderTests : IDisposable
{
    private readonly TestFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task I2_write_completes_when_entry_and_state_are_durable()
    {
        using var store = new FaultyStore(Given.Store(folder.Data));
        await using var appender = Given.Appender(store);
        using var release = new ManualResetEventSlim();
        using var reached = new SemaphoreSlim(0);
        store.BeforeCommit = () =>
        {
            reached.Release();
            release.Wait(Given.Patience);
        };
        var write = appender.WriteAsync(new WriteSet([Given.Entry(7, bodyBytes: 20)], [Given.Put("a", 0)])).AsTask();
        Assert.True(await reached.WaitAsync(Given.Patience));
        Assert.False(write.IsCompleted);
        Assert.Equal(1, store.EntryCount);
        release.Set();
        var result = await write.WaitAsync(Given.Patience);
        Assert.Equal(WriteStatus.Committed, result.Status);
        Assert.Equal([new LeafIndex(1)], result.Indices);
        Assert.Equal([1L], result.Versions);
        Assert.Equal(2, store.EntryCount);
        Assert.NotNull(store.Get("things", "a"));
    }

    [Fact]
    public async Task Entry_carries_index_time_type_fields_and_commitment()
    {
        var time = new FakeTimeProvider(new DateTimeOffset(2026, 11, 22, 10, 0, 0, TimeSpan.Zero));
        using var store = Given.Store(folder.Data);
        await using var appender = Given.Appender(store, time);
        await appender.WriteAsync(WriteSet.Of(Given.Entry(7, bodyBytes: 5)));
        var entry = store.ReadEntries(1, 1)[0];
        var body = store.GetBody(new LeafIndex(1))!;
        Assert.Equal("""{"payload":"xxxxx"}"""u8.ToArray(), body.Bytes);
        Assert.Equal(16, body.Salt!.Length);
        var commitment = Convert.ToHexStringLower(EntryFormat.CommitToBody(body.Salt, body.Bytes));
        Assert.Equal(
            $$"""{"body":{"sha256":"{{commitment}}"},"index":1,"n":7,"time":"2026-11-22T10:00:00.000000Z","type":"test.write","v":1}""",
            System.Text.Encoding.UTF8.GetString(entry.Bytes));
        Assert.Equal(MerkleTree.LeafHash(entry.Bytes).ToArray(), entry.LeafHash);
    }

    [Fact]
    public async Task Equal_bodies_have_different_commitments()
    {
        using var store = Given.Store(folder.Data);
        await using var appender = Given.Appender(store);
        await appender.WriteAsync(WriteSet.Of(Given.Entry(1, bodyBytes: 5), Given.Entry(1, bodyBytes: 5)));
        Assert.NotEqual(Given.Parsed(store, 1).BodySha256, Given.Parsed(store, 2).BodySha256);
    }

    [Fact]
    public async Task Thousand_parallel_writers_share_commits_and_get_contiguous_indices()
    {
        using var store = new FaultyStore(Given.Store(folder.Data));
        await using var appender = Given.Appender(store);
        var results = await Task.WhenAll(Enumerable.Range(0, 1000).Select(i =>
            Task.Run(async () => await appender.WriteAsync(new WriteSet([Given.Entry(i), Given.Entry(i)], [Given.Put($"k{i}", 0)])))));
        Assert.All(results, r => Assert.Equal(WriteStatus.Committed, r.Status));
        Assert.Equal(Enumerable.Range(1, 2000).Select(i => (long)i), results.SelectMany(r => r.Indices).Select(i => i.Value).Order());
        Assert.All(results, r => Assert.Equal(r.Indices[0].Value + 1, r.Indices[1].Value));
        for (var i = 0; i < results.Length; i++)
        {
            Assert.Equal(i, Given.Parsed(store, results[i].Indices[1].Value).Root.GetProperty("n").GetInt32());
        }

        Assert.Equal(1000, store.List("things").Count);
        Assert.True(store.Commits < 1000, $"{store.Commits} commits");
        Assert.True(JournalVerification.Fsck(store).IsSound);
    }

    [Fact]
    public async Task One_writers_entries_keep_the_order_of_its_calls()
    {
        using var store = Given.Store(folder.Data);
        await using var appender = Given.Appender(store);
        var writes = Enumerable.Range(0, 500).Select(i => appender.WriteAsync(WriteSet.Of(Given.Entry(i))).AsTask()).ToArray();
        var results = await Task.WhenAll(writes);
        Assert.Equal(Enumerable.Range(1, 500).Select(i => (long)i), results.Select(r => r.Indices[0].Value));
    }

    [Fact]
    public async Task I7_of_many_who_race_for_one_version_exactly_one_wins()
    {
        using var store = Given.Store(folder.Data);
        await using var appender = Given.Appender(store);
        await appender.WriteAsync(Given.Changes(Given.Put("clearance", 0)));
        for (var version = 1L; version <= 5; version++)
        {
            var expected = version;
            var results = await Task.WhenAll(Enumerable.Range(0, 100).Select(i =>
                Task.Run(async () => await appender.WriteAsync(new WriteSet([Given.Entry(i)], [Given.Put("clearance", expected, $"w{i}")])))));
            var winner = Assert.Single(results, r => r.Status == WriteStatus.Committed);
            Assert.All(results.Where(r => r != winner), r =>
            {
                Assert.Equal(WriteStatus.Conflict, r.Status);
                Assert.Empty(r.Indices);
            });
            Assert.Equal(version + 1, winner.Versions[0]);
        }

        Assert.Equal(1 + 5, store.EntryCount); // The losers wrote no entry.
    }

    [Fact]
    public async Task P53_two_who_open_a_review_for_one_join_key_end_with_one_review()
    {
        using var store = Given.Store(folder.Data);
        await using var appender = Given.Appender(store);
        var results = await Task.WhenAll(Enumerable.Range(0, 50).Select(i =>
            Task.Run(async () => await appender.WriteAsync(new WriteSet([Given.Entry(i)], [Given.Put($"rv_{i}", 0, tag: "join")])))));
        Assert.Single(results, r => r.Status == WriteStatus.Committed);
        Assert.Equal(49, results.Count(r => r.Status == WriteStatus.Conflict));
        Assert.Single(store.List("things"));
    }

    [Fact]
    public async Task I2_write_behind_is_durable_after_its_delay_without_company()
    {
        var time = new FakeTimeProvider();
        using var store = Given.Store(folder.Data);
        await using var appender = Given.Appender(store, time);
        Assert.Equal(WriteStatus.Committed, await appender.WriteBehindAsync(Given.Entry(1)));
        time.Advance(appender.Limits.WriteBehindDelay - TimeSpan.FromMilliseconds(1));
        Assert.Equal(1, store.EntryCount);
        time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal(2, await appender.WaitForAppendAsync(new LeafIndex(1)).AsTask().WaitAsync(Given.Patience));
        Assert.Equal("test.write", Given.Parsed(store, 1).Type);
    }

    [Fact]
    public async Task I2_write_behind_goes_before_a_write_that_came_after_it()
    {
        using var store = Given.Store(folder.Data);
        await using var appender = Given.Appender(store, new FakeTimeProvider());
        await appender.WriteBehindAsync(Given.Entry(1));
        await appender.WriteBehindAsync(Given.Entry(2));
        var result = await appender.WriteAsync(WriteSet.Of(Given.Entry(3)));
        Assert.Equal(3, result.Indices[0].Value);
        Assert.Equal([1, 2, 3], Enumerable.Range(1, 3).Select(i => Given.Parsed(store, i).Root.GetProperty("n").GetInt32()));
    }

    [Fact]
    public async Task I2_reads_wait_while_earlier_ones_are_not_durable_within_the_window()
    {
        var time = new FakeTimeProvider();
        using var store = new FaultyStore(Given.Store(folder.Data));
        await using var appender = Given.Appender(store, time);
        using var release = new ManualResetEventSlim();
        using var reached = new SemaphoreSlim(0);
        store.BeforeCommit = () =>
        {
            reached.Release();
            release.Wait(Given.Patience);
        };
        await appender.WriteBehindAsync(Given.Entry(1));
        time.Advance(appender.Limits.WriteBehindDelay);
        Assert.True(await reached.WaitAsync(Given.Patience));

        // The disk is slow: the window of reads that a crash would lose is still open, then shut.
        Assert.Equal(WriteStatus.Committed, await appender.WriteBehindAsync(Given.Entry(2)));
        time.Advance(appender.Limits.WriteBehindWindow);
        var late = appender.WriteBehindAsync(Given.Entry(3)).AsTask();
        Assert.False(late.IsCompleted);
        release.Set();
        Assert.Equal(WriteStatus.Committed, await late.WaitAsync(Given.Patience));
    }

    [Fact]
    public async Task I2_reads_wait_while_the_queue_is_full()
    {
        using var store = new FaultyStore(Given.Store(folder.Data));
        await using var appender = Given.Appender(store, new FakeTimeProvider(), new JournalLimits { MaxWriteBehindEntries = 2 });
        using var release = new ManualResetEventSlim();
        store.BeforeCommit = () => release.Wait(Given.Patience);
        await appender.WriteBehindAsync(Given.Entry(1));
        await appender.WriteBehindAsync(Given.Entry(2));
        var third = appender.WriteBehindAsync(Given.Entry(3)).AsTask();
        Assert.False(third.IsCompleted);
        using (var cancelled = new CancellationTokenSource())
        {
            var given = appender.WriteBehindAsync(Given.Entry(4), cancelled.Token).AsTask();
            await cancelled.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => given);
        }

        release.Set();
        Assert.Equal(WriteStatus.Committed, await third.WaitAsync(Given.Patience));
    }

    [Fact]
    public async Task Backlog_over_its_bound_is_refused_at_once()
    {
        using var store = new FaultyStore(Given.Store(folder.Data));
        await using var appender = Given.Appender(store, limits: new JournalLimits { MaxQueuedSets = 3 });
        using var release = new ManualResetEventSlim();
        using var reached = new SemaphoreSlim(0);
        store.BeforeCommit = () =>
        {
            reached.Release();
            release.Wait(Given.Patience);
        };
        var first = appender.WriteAsync(WriteSet.Of(Given.Entry())).AsTask();
        Assert.True(await reached.WaitAsync(Given.Patience));
        var queued = Enumerable.Range(0, 3).Select(i => appender.WriteAsync(WriteSet.Of(Given.Entry(i))).AsTask()).ToArray();
        var refused = appender.WriteAsync(WriteSet.Of(Given.Entry()));
        Assert.True(refused.IsCompletedSuccessfully);
        Assert.Equal((WriteStatus.Unavailable, ReasonCodes.Overloaded), ((await refused).Status, (await refused).ReasonCode));
        release.Set();
        Assert.All(await Task.WhenAll([first, .. queued]), r => Assert.Equal(WriteStatus.Committed, r.Status));
    }

    [Fact]
    public async Task Backlog_is_bounded_in_bytes_too()
    {
        using var store = Given.Store(folder.Data);
        await using var appender = Given.Appender(store, limits: new JournalLimits { MaxQueuedBytes = 1000 });
        var refused = await appender.WriteAsync(Given.Changes(new StateChange.Put("things", "a", 0, null, new byte[1001])));
        Assert.Equal(ReasonCodes.Overloaded, refused.ReasonCode);
        Assert.Equal(WriteStatus.Committed, (await appender.WriteAsync(Given.Changes(Given.Put("a", 0)))).Status);
    }

    [Fact]
    public async Task What_is_too_large_is_refused_and_not_written()
    {
        using var store = Given.Store(folder.Data);
        await using var appender = Given.Appender(store, limits: new JournalLimits { MaxEntryBytes = 1000, MaxValueBytes = 2000 });
        var entry = new EntryDraft("test.write", CanonicalJson.Object(("text", new string('x', 1000))), null);
        WriteResult[] refused =
        [
            await appender.WriteAsync(WriteSet.Of(entry)),
            await appender.WriteAsync(WriteSet.Of(Given.Entry(1, bodyBytes: 2001))),
            await appender.WriteAsync(Given.Changes(new StateChange.Put("things", "a", 0, null, new byte[2001]))),
        ];
        Assert.All(refused, r => Assert.Equal((WriteStatus.Unavailable, ReasonCodes.TooLarge), (r.Status, r.ReasonCode)));
        Assert.Equal(WriteStatus.Unavailable, await appender.WriteBehindAsync(entry));
        Assert.Equal(1, store.EntryCount);
        Assert.Equal(JournalState.Available, appender.Health.State);
    }

    [Fact]
    public async Task Cancelled_write_may_be_written_and_the_wait_ends()
    {
        using var store = new FaultyStore(Given.Store(folder.Data));
        await using var appender = Given.Appender(store);
        using var release = new ManualResetEventSlim();
        store.BeforeCommit = () => release.Wait(Given.Patience);
        using var cancelled = new CancellationTokenSource();
        var write = appender.WriteAsync(WriteSet.Of(Given.Entry(1)), cancelled.Token).AsTask();
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => write);
        release.Set();
        await appender.WaitForAppendAsync(new LeafIndex(1)).AsTask().WaitAsync(Given.Patience);
        Assert.Equal("test.write", Given.Parsed(store, 1).Type);
    }

    [Fact]
    public async Task P54_a_clock_that_goes_back_an_hour_leaves_the_order()
    {
        var time = new SettableTime { Now = new DateTimeOffset(2026, 11, 22, 10, 0, 0, TimeSpan.Zero) };
        using var store = Given.Store(folder.Data);
        await using var appender = Given.Appender(store, time);
        await appender.WriteAsync(WriteSet.Of(Given.Entry(1)));
        time.Now -= TimeSpan.FromHours(1);
        await appender.WriteAsync(WriteSet.Of(Given.Entry(2)));
        time.Now += TimeSpan.FromHours(2);
        await appender.WriteAsync(WriteSet.Of(Given.Entry(3)));
        var read = store.ReadEntries(1, 10).Select(e => e.TryParse(out var c) ? c : default).ToArray();
        Assert.Equal([1, 2, 3], read.Select(c => c.Root.GetProperty("n").GetInt32()));
        Assert.Equal([10, 9, 11], read.Select(c => c.Time.Hour));
        Assert.True(JournalVerification.Fsck(store).IsSound);
    }

    [Fact]
    public async Task Start_says_whether_the_last_run_was_stopped()
    {
        using (var store = Given.Store(folder.Data))
        {
            await using (Given.Appender(store)) { }
            await using (Given.Appender(store)) { }
        }

        using (var store = Given.Store(folder.Data))
        {
            // Never stopped: as if the process had died here.
            var dead = Given.Appender(new FaultyStore(store) { });
            await dead.WriteAsync(WriteSet.Of(Given.Entry()));
            await using var next = Given.Appender(store);
            Assert.Equal(["start", "stop", "start", "stop", "start", "test.write", "start"], Given.Types(store));
            Assert.Equal("1.2.3", Given.Parsed(store, 0).Root.GetProperty("product").GetString());
            Assert.False(Given.Parsed(store, 0).Root.GetProperty("unclean").GetBoolean());
            Assert.False(Given.Parsed(store, 4).Root.GetProperty("unclean").GetBoolean());
            Assert.False(Given.Parsed(store, 4).Root.TryGetProperty("maybeLostReadsMs", out _));
            Assert.True(Given.Parsed(store, 6).Root.GetProperty("unclean").GetBoolean());
            Assert.Equal(100, Given.Parsed(store, 6).Root.GetProperty("maybeLostReadsMs").GetInt32());
        }
    }

    [Fact]
    public async Task Stop_writes_what_is_queued_and_then_refuses()
    {
        using var store = Given.Store(folder.Data);
        var appender = Given.Appender(store, new FakeTimeProvider());
        var writes = Enumerable.Range(0, 50).Select(i => appender.WriteAsync(WriteSet.Of(Given.Entry(i))).AsTask()).ToArray();
        await appender.WriteBehindAsync(Given.Entry(50));
        await appender.DisposeAsync();
        Assert.All(await Task.WhenAll(writes), r => Assert.Equal(WriteStatus.Committed, r.Status));
        Assert.Equal(53, store.EntryCount);
        Assert.Equal("stop", Given.Parsed(store, 52).Type);
        Assert.Equal(JournalState.Stopped, appender.Health.State);
        Assert.Equal(ReasonCodes.ShuttingDown, (await appender.WriteAsync(WriteSet.Of(Given.Entry()))).ReasonCode);
        Assert.Equal(WriteStatus.Unavailable, await appender.WriteBehindAsync(Given.Entry()));
        Assert.Equal(53, await appender.WaitForAppendAsync(new LeafIndex(1000)));
        await appender.DisposeAsync();
        Assert.Equal(53, store.EntryCount);
    }

    [Fact]
    public async Task Watchers_wake_when_their_entry_is_durable()
    {
        using var store = Given.Store(folder.Data);
        await using var appender = Given.Appender(store);
        Assert.Equal(1, await appender.WaitForAppendAsync(new LeafIndex(0)));
        var third = appender.WaitForAppendAsync(new LeafIndex(3)).AsTask();
        await appender.WriteAsync(WriteSet.Of(Given.Entry(), Given.Entry()));
        Assert.False(third.IsCompleted);
        await appender.WriteAsync(WriteSet.Of(Given.Entry()));
        Assert.Equal(4, await third.WaitAsync(Given.Patience));
    }

    [Theory]
    [InlineData("")]
    [InlineData("Upper")]
    [InlineData("1x")]
    [InlineData("a b")]
    [InlineData("start")]
    [InlineData("stop")]
    [InlineData("uncertain")]
    public void Draft_of_a_bad_or_reserved_type_is_a_bug(string type) =>
        Assert.Throws<ArgumentException>(() => new EntryDraft(type, CanonicalJson.Object(), null));

    [Theory]
    [InlineData("v")]
    [InlineData("index")]
    [InlineData("time")]
    [InlineData("type")]
    [InlineData("body")]
    public void Draft_with_a_reserved_field_is_a_bug(string name) =>
        Assert.Throws<ArgumentException>(() => new EntryDraft("test.write", CanonicalJson.Object((name, 1)), null));

    private sealed class SettableTime : TimeProvider
    {
        public DateTimeOffset Now { get; set; }
        public override DateTimeOffset GetUtcNow() => Now;
    }
}
