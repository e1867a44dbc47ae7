namespace Countersign.Journal.Tests;

/// <summary>
/// A real store whose medium can be made to fail at a chosen step: for failures that no disk produces on demand, above
/// all a commit that succeeds and whose answer is lost.
/// </summary>
internal sealed class FaultyStore(IJournalStore inner) : IJournalStore
{
    public IJournalStore Inner { get; set; } = inner;
    public Action BeforeBegin { get; set; } = static () => { };
    public Action BeforeCommit { get; set; } = static () => { };
    public Action AfterCommit { get; set; } = static () => { };
    public Action BeforeProbe { get; set; } = static () => { };
    public Action BeforeReopen { get; set; } = static () => { };
    public int Reopened { get; private set; }
    public int Commits { get; private set; }

    public static Action Throws(StoreFault fault, string message = "made to fail") => () => throw new JournalStoreException(fault, message);

    public long EntryCount => Inner.EntryCount;
    public StateDocument? Get(string collection, string key) => Inner.Get(collection, key);
    public StateDocument? FindByTag(string collection, string tag) => Inner.FindByTag(collection, tag);
    public IReadOnlyList<StateDocument> List(string collection) => Inner.List(collection);
    public IReadOnlyList<StateDocument> List(string collection, string? afterKey, int max) => Inner.List(collection, afterKey, max);
    public IReadOnlyList<JournalEntry> ReadEntries(long fromIndex, int max) => Inner.ReadEntries(fromIndex, max);
    public JournalBody? GetBody(LeafIndex index) => Inner.GetBody(index);
    public IReadOnlyList<string> CheckIntegrity(int max) => Inner.CheckIntegrity(max);
    public void Settle() => Inner.Settle();
    public void Dispose() => Inner.Dispose();

    public void Probe()
    {
        BeforeProbe();
        Inner.Probe();
    }

    public void Reopen()
    {
        BeforeReopen();
        Reopened++;
        Inner.Reopen();
    }

    public IJournalTransaction Begin()
    {
        BeforeBegin();
        return new Transaction(this, Inner.Begin());
    }

    private sealed class Transaction(FaultyStore store, IJournalTransaction inner) : IJournalTransaction
    {
        public SetOutcome Apply(IReadOnlyList<StateChange> changes, IReadOnlyList<SealedEntry> entries) => inner.Apply(changes, entries);

        public void Commit()
        {
            store.BeforeCommit();
            inner.Commit();
            store.Commits++;
            store.AfterCommit();
        }

        public void Dispose() => inner.Dispose();
    }
}
