namespace Countersign.Journal.Tests;

/// <summary>
/// A real store whose medium can be made to fail at a chosen step: for failures that no disk produces on demand, above
/// all a commit that succeeds and whose answer is lost.
/// </summary>
internal sealed class FaultyStore(IJournalStore inner) : IJournalStore
{
    public Action BeforeBegin { get; set; } = static () => { };
    public Action BeforeCommit { get; set; } = static () => { };
    public Action AfterCommit { get; set; } = static () => { };
    public Action BeforeProbe { get; set; } = static () => { };
    public Action BeforeReopen { get; set; } = static () => { };
    public int Reopened { get; private set; }
    public int Commits { get; private set; }

    public static Action Throws(StoreFault fault, string message = "made to fail") => () => throw new JournalStoreException(fault, message);

    public long EntryCount => inner.EntryCount;
    public StateDocument? Get(string collection, string key) => inner.Get(collection, key);
    public StateDocument? FindByTag(string collection, string tag) => inner.FindByTag(collection, tag);
    public IReadOnlyList<StateDocument> List(string collection) => inner.List(collection);
    public IReadOnlyList<StateDocument> List(string collection, string? afterKey, int max) => inner.List(collection, afterKey, max);
    public IReadOnlyList<JournalEntry> ReadEntries(long fromIndex, int max) => inner.ReadEntries(fromIndex, max);
    public JournalBody? GetBody(LeafIndex index) => inner.GetBody(index);
    public IReadOnlyList<string> CheckIntegrity(int max) => inner.CheckIntegrity(max);
    public void Settle() => inner.Settle();
    public void Dispose() => inner.Dispose();

    public void Probe()
    {
        BeforeProbe();
        inner.Probe();
    }

    public void Reopen()
    {
        BeforeReopen();
        Reopened++;
        inner.Reopen();
    }

    public IJournalTransaction Begin()
    {
        BeforeBegin();
        return new Transaction(this, inner.Begin());
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
