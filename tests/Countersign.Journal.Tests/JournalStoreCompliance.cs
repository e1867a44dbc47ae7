using Countersign.Tlog;

namespace Countersign.Journal.Tests;

/// <summary>What every store promises. A new one runs this suite by deriving from it.</summary>
public abstract class JournalStoreCompliance : IDisposable
{
    private readonly List<IJournalStore> opened = [];

    protected abstract IJournalStore OpenStore();

    protected IJournalStore Open()
    {
        var store = OpenStore();
        opened.Add(store);
        return store;
    }

    public virtual void Dispose()
    {
        foreach (var store in opened) store.Dispose();
        GC.SuppressFinalize(this);
    }

    private static SealedEntry Entry(long index, int bodyBytes = 0)
    {
        var salt = new byte[EntryFormat.SaltBytes];
        var body = new byte[bodyBytes];
        var bytes = EntryFormat.Write(new LeafIndex(index), DateTimeOffset.UnixEpoch, "test.write", Given.Entry(index).Fields,
            bodyBytes == 0 ? [] : EntryFormat.CommitToBody(salt, body));
        return new SealedEntry(new LeafIndex(index), bytes, MerkleTree.LeafHash(bytes).ToArray(), bodyBytes == 0 ? null : new JournalBody(salt, body));
    }

    private static SetOutcome Commit(IJournalStore store, IReadOnlyList<StateChange> changes, params SealedEntry[] entries)
    {
        using var transaction = store.Begin();
        var outcome = transaction.Apply(changes, entries);
        transaction.Commit();
        return outcome;
    }

    [Fact]
    public void Fresh_store_is_empty()
    {
        var store = Open();
        Assert.Equal(0, store.EntryCount);
        Assert.Empty(store.ReadEntries(0, 10));
        Assert.Empty(store.List("things"));
        Assert.Null(store.Get("things", "a"));
        Assert.Null(store.FindByTag("things", "t"));
        Assert.Null(store.GetBody(new LeafIndex(0)));
        Assert.Empty(store.CheckIntegrity(10));
    }

    [Fact]
    public void Entries_and_bodies_read_back_as_written()
    {
        var store = Open();
        var (first, second) = (Entry(0, bodyBytes: 10), Entry(1));
        Commit(store, [], first, second);
        Assert.Equal(2, store.EntryCount);
        var read = store.ReadEntries(0, 10);
        Assert.Equal([0L, 1L], read.Select(e => e.Index.Value));
        Assert.Equal(first.Bytes, read[0].Bytes);
        Assert.Equal(second.LeafHash, read[1].LeafHash);
        Assert.Equal(first.Body!.Bytes, store.GetBody(new LeafIndex(0))!.Bytes);
        Assert.Equal(first.Body.Salt, store.GetBody(new LeafIndex(0))!.Salt);
        Assert.Null(store.GetBody(new LeafIndex(1)));
        Assert.Equal(1, Assert.Single(store.ReadEntries(1, 1)).Index.Value);
    }

    [Fact]
    public void Entries_out_of_order_are_refused()
    {
        var store = Open();
        Assert.Throws<JournalStoreException>(() => Commit(store, [], Entry(1)));
        Commit(store, [], Entry(0));
        Assert.Throws<JournalStoreException>(() => Commit(store, [], Entry(0)));
        Assert.Throws<JournalStoreException>(() => Commit(store, [], Entry(2)));
        Assert.Equal(1, store.EntryCount);
    }

    [Fact]
    public void Documents_follow_their_versions()
    {
        var store = Open();
        Assert.Equal([1L], Commit(store, [Given.Put("a", 0, "one")]).Versions);
        Assert.Equal([2L], Commit(store, [Given.Put("a", 1, "two")]).Versions);
        var document = store.Get("things", "a")!;
        Assert.Equal((2, "two"), (document.Version, System.Text.Encoding.UTF8.GetString(document.Value)));
        Assert.NotNull(Commit(store, [Given.Put("a", 1)]).Conflict);
        Assert.NotNull(Commit(store, [Given.Put("a", 0)]).Conflict);
        Assert.NotNull(Commit(store, [Given.Put("b", 1)]).Conflict);
        Assert.NotNull(Commit(store, [Given.Delete("a", 1)]).Conflict);
        Assert.NotNull(Commit(store, [Given.Delete("b", 1)]).Conflict);
        Assert.Null(Commit(store, [Given.Delete("a", 2)]).Conflict);
        Assert.Null(store.Get("things", "a"));
    }

    [Fact]
    public void I7_a_version_read_before_a_delete_never_matches_again()
    {
        var store = Open();
        Commit(store, [Given.Put("a", 0)]);
        Commit(store, [Given.Delete("a", 1)]);
        var born = Commit(store, [Given.Put("a", 0, "another")]).Versions[0];
        Assert.True(born > 1);
        Assert.NotNull(Commit(store, [Given.Put("a", 1, "stale")]).Conflict);
        Assert.NotNull(Commit(store, [Given.Delete("a", 1)]).Conflict);
        Assert.Equal("another"u8.ToArray(), store.Get("things", "a")!.Value);
    }

    [Fact]
    public void Tags_are_unique_within_a_collection_and_follow_the_document()
    {
        var store = Open();
        Commit(store, [Given.Put("a", 0, tag: "t"), Given.Put("x", 0), Given.Put("y", 0), Given.Put("o", 0, tag: "t", collection: "others")]);
        Assert.Equal("a", store.FindByTag("things", "t")!.Key);
        Assert.Contains("tag", Commit(store, [Given.Put("b", 0, tag: "t")]).Conflict);
        Assert.Contains("tag", Commit(store, [Given.Put("x", 1, tag: "t")]).Conflict);
        Assert.Equal((1, null), (store.Get("things", "x")!.Version, store.Get("things", "x")!.Tag));
        Commit(store, [Given.Put("a", 1, tag: null)]);
        Assert.Null(store.FindByTag("things", "t"));
        Assert.Null(Commit(store, [Given.Put("b", 0, tag: "t")]).Conflict);
        Assert.Equal("b", store.FindByTag("things", "t")!.Key);
        Assert.Equal("o", store.FindByTag("others", "t")!.Key);
    }

    [Fact]
    public void A_conflict_leaves_nothing_of_its_set_and_all_of_the_others()
    {
        var store = Open();
        using (var transaction = store.Begin())
        {
            Assert.Null(transaction.Apply([Given.Put("a", 0)], [Entry(0)]).Conflict);
            Assert.NotNull(transaction.Apply([Given.Put("b", 0), Given.Delete("a", 1), Given.Put("c", 7)], [Entry(1)]).Conflict);
            Assert.Null(transaction.Apply([Given.Put("d", 0)], [Entry(1)]).Conflict);
            transaction.Commit();
        }

        Assert.Equal(["a", "d"], store.List("things").Select(d => d.Key));
        Assert.Equal(2, store.EntryCount);
    }

    [Fact]
    public void A_later_set_of_a_batch_sees_the_earlier_ones()
    {
        var store = Open();
        using var transaction = store.Begin();
        Assert.Null(transaction.Apply([Given.Put("a", 0)], []).Conflict);
        Assert.NotNull(transaction.Apply([Given.Put("a", 0)], []).Conflict);
        Assert.Equal([2L], transaction.Apply([Given.Put("a", 1)], []).Versions);
        transaction.Commit();
    }

    [Fact]
    public void A_transaction_without_commit_leaves_nothing()
    {
        var store = Open();
        using (var transaction = store.Begin()) transaction.Apply([Given.Put("a", 0)], [Entry(0)]);
        Assert.Equal(0, store.EntryCount);
        Assert.Null(store.Get("things", "a"));
    }

    [Fact]
    public void Uncommitted_work_is_not_read()
    {
        var store = Open();
        using var transaction = store.Begin();
        transaction.Apply([Given.Put("a", 0)], [Entry(0)]);
        Assert.Equal(0, store.EntryCount);
        Assert.Null(store.Get("things", "a"));
        transaction.Commit();
        Assert.Equal(1, store.EntryCount);
        Assert.NotNull(store.Get("things", "a"));
    }

    [Fact]
    public void List_goes_by_key_and_in_pages()
    {
        var store = Open();
        Commit(store, [Given.Put("b", 0), Given.Put("a", 0), Given.Put("B", 0), Given.Put("é", 0), Given.Put("z", 0, collection: "others")]);
        Assert.Equal(["B", "a", "b", "é"], store.List("things").Select(d => d.Key));
        Assert.Equal(["B", "a"], store.List("things", null, 2).Select(d => d.Key));
        Assert.Equal(["b", "é"], store.List("things", "a", 2).Select(d => d.Key));
        Assert.Empty(store.List("things", "é", 2));
    }

    [Fact]
    public void Reopened_store_has_all_that_was_committed()
    {
        var store = Open();
        Commit(store, [Given.Put("a", 0, tag: "t")], Entry(0, bodyBytes: 3));
        store.Reopen();
        Assert.Equal(1, store.EntryCount);
        Assert.Equal("a", store.FindByTag("things", "t")!.Key);
        Commit(store, [Given.Put("a", 1)], Entry(1));
        Assert.Equal(2, store.EntryCount);
    }

    [Fact]
    public void Empty_and_null_are_apart()
    {
        var store = Open();
        Commit(store, [new StateChange.Put("things", "", 0, "", [])]);
        var document = store.Get("things", "")!;
        Assert.Equal("", document.Tag);
        Assert.Empty(document.Value);
        Assert.Equal("", store.FindByTag("things", "")!.Key);
    }

    [Fact]
    public void Pages_of_entries_are_bounded_in_bytes()
    {
        var store = Open();
        for (var i = 0; i < 100; i++)
        {
            var bytes = new byte[64 << 10];
            Commit(store, [], new SealedEntry(new LeafIndex(i), bytes, MerkleTree.LeafHash(bytes).ToArray(), null));
        }

        var page = store.ReadEntries(0, int.MaxValue);
        Assert.InRange(page.Count, 1, 99);
        Assert.Equal(page.Count, store.ReadEntries(page.Count, 1)[0].Index.Value);
    }

    [Fact]
    public void Closed_store_says_so()
    {
        var store = Open();
        store.Dispose();
        store.Dispose();
        Assert.Contains("closed", Assert.Throws<JournalStoreException>(() => store.EntryCount).Message);
        Assert.Throws<JournalStoreException>(() => store.Begin());
        Assert.Throws<JournalStoreException>(store.Reopen);
        Assert.Throws<JournalStoreException>(store.Probe);
    }

    [Fact]
    public void Settle_and_probe_change_nothing_that_is_read()
    {
        var store = Open();
        for (var i = 0; i < 300; i++)
        {
            Commit(store, [Given.Put("a", i)], Entry(i));
            store.Settle();
        }

        store.Probe();
        Assert.Equal(300, store.EntryCount);
        Assert.Equal(300, store.Get("things", "a")!.Version);
        Assert.Empty(store.CheckIntegrity(10));
    }
}
