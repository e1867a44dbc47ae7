using Countersign.Journal;

namespace Countersign.Gateway.Tests;

/// <summary>
/// The real store with hooks at its edges: to let the medium fail at a chosen step, and to let something happen between
/// two steps. Hooks of writes run on the appender's thread.
/// </summary>
internal sealed class FaultyStore(IJournalStore inner) : IJournalStore
{
    private static readonly Action<IReadOnlyList<string>> None = static _ => { };

    public IJournalStore Inner { get; } = inner;

    /// <summary>Gets the types of the entries of the batch.</summary>
    public Action<IReadOnlyList<string>> BeforeCommit { get; set; } = None;

    public Action<IReadOnlyList<string>> AfterCommit { get; set; } = None;

    public Action BeforeRead { get; set; } = static () => { };

    public static JournalStoreException Fault() => new(StoreFault.Io, "made to fail at /secret/path");

    /// <summary>Each batch with an entry of this type fails before it is written.</summary>
    public void FailWritesOf(string type) => BeforeCommit = types =>
    {
        if (types.Contains(type)) throw Fault();
    };

    /// <summary>The next batch with an entry of this type is written, and the answer is lost.</summary>
    public void LoseAnswerOf(string type) => AfterCommit = types =>
    {
        if (!types.Contains(type)) return;
        AfterCommit = None;
        throw Fault();
    };

    public void FailAllWrites() => BeforeCommit = static _ => throw Fault();

    public void FailReads() => BeforeRead = static () => throw Fault();

    public void Heal() => (BeforeCommit, AfterCommit, BeforeRead) = (None, None, static () => { });

    public long EntryCount => Inner.EntryCount;

    public StateDocument? Get(string collection, string key)
    {
        BeforeRead();
        return Inner.Get(collection, key);
    }

    public StateDocument? FindByTag(string collection, string tag)
    {
        BeforeRead();
        return Inner.FindByTag(collection, tag);
    }

    public IReadOnlyList<StateDocument> List(string collection)
    {
        BeforeRead();
        return Inner.List(collection);
    }

    public IReadOnlyList<StateDocument> List(string collection, string? afterKey, int max)
    {
        BeforeRead();
        return Inner.List(collection, afterKey, max);
    }

    public IReadOnlyList<JournalEntry> ReadEntries(long fromIndex, int max) => Inner.ReadEntries(fromIndex, max);
    public JournalBody? GetBody(LeafIndex index) => Inner.GetBody(index);
    public IReadOnlyList<string> CheckIntegrity(int max) => Inner.CheckIntegrity(max);
    public void Settle() => Inner.Settle();
    public void Probe() => Inner.Probe();
    public void Reopen() => Inner.Reopen();
    public void Dispose() => Inner.Dispose();
    public IJournalTransaction Begin() => new Transaction(this, Inner.Begin());

    private sealed class Transaction(FaultyStore store, IJournalTransaction inner) : IJournalTransaction
    {
        private readonly List<string> types = [];

        public SetOutcome Apply(IReadOnlyList<StateChange> changes, IReadOnlyList<SealedEntry> entries)
        {
            var outcome = inner.Apply(changes, entries);
            if (outcome.Conflict is null)
            {
                foreach (var entry in entries)
                {
                    if (new JournalEntry(entry.Index, entry.Bytes, entry.LeafHash).TryParse(out var content)) types.Add(content.Type);
                }
            }

            return outcome;
        }

        public void Commit()
        {
            store.BeforeCommit(types);
            inner.Commit();
            store.AfterCommit(types);
        }

        public void Dispose() => inner.Dispose();
    }
}
