namespace Countersign.Journal;

/// <summary>
/// The port to a store. Reads are for everyone; what writes is for the appender's single thread alone, and throws
/// <see cref="JournalStoreException"/> on any failure of the medium.
/// </summary>
public interface IJournalStore : IStateReader, IDisposable
{
    /// <summary>Opens the one write transaction. Disposed without a commit, it leaves nothing behind.</summary>
    IJournalTransaction Begin();

    /// <summary>
    /// Forgets every connection and all that they believed, and opens the store again from the medium. After it, reads
    /// tell what is really there.
    /// </summary>
    void Reopen();

    /// <summary>Writes and syncs something that means nothing: does the medium take writes again?</summary>
    void Probe();

    /// <summary>Housekeeping between batches (SQLite: moving the WAL into the database). Cheap when there is nothing to do.</summary>
    void Settle();

    /// <summary>The store's own consistency, apart from the journal's: at most <paramref name="max"/> defects.</summary>
    IReadOnlyList<string> CheckIntegrity(int max);
}

/// <summary>One atomic batch.</summary>
public interface IJournalTransaction : IDisposable
{
    /// <summary>
    /// Applies one set inside the batch. On a conflict nothing of the set remains and the batch goes on.
    /// </summary>
    SetOutcome Apply(IReadOnlyList<StateChange> changes, IReadOnlyList<SealedEntry> entries);

    /// <summary>Returns when durable.</summary>
    void Commit();
}

/// <summary>An entry with index, bytes and leaf hash, ready to be stored.</summary>
public sealed record SealedEntry(LeafIndex Index, byte[] Bytes, byte[] LeafHash, JournalBody? Body);

/// <param name="Conflict">Null when applied; otherwise which compare-and-set failed, without values.</param>
/// <param name="Versions">New version per change.</param>
public readonly record struct SetOutcome(string? Conflict, IReadOnlyList<long> Versions);

/// <summary>What went wrong with the medium. Closed: each kind is handled.</summary>
public enum StoreFault
{
    /// <summary>No space (ENOSPC, quota, the store's own size limit). The transaction was rolled back cleanly.</summary>
    Full,

    /// <summary>Read, write or fsync failed. What is on the disk is unknown until the store was opened again.</summary>
    Io,

    ReadOnly,
    CannotOpen,

    /// <summary>Someone else holds the store's lock.</summary>
    Busy,

    Corrupt,
    Other,
}

/// <summary>A failure of the medium under the store. The message says what failed and what an operator can do.</summary>
public sealed class JournalStoreException(StoreFault fault, string message, Exception? inner = null) : Exception(message, inner)
{
    public StoreFault Fault { get; } = fault;
}
