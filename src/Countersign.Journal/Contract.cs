using Countersign.Core;

namespace Countersign.Journal;

/// <summary>Position of an entry in the journal: 0, 1, 2, … without gaps. Order is this, never the clock (P54).</summary>
public readonly record struct LeafIndex(long Value) : IComparable<LeafIndex>
{
    public int CompareTo(LeafIndex other) => Value.CompareTo(other.Value);
    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>
/// An entry as its author gives it; index and time are assigned by the appender.
/// </summary>
/// <param name="Type">Dotted kebab-case, at most 64 characters (`review.opened`); documented in docs/spec/journal.md.</param>
/// <param name="Fields">
/// Go into the entry itself, which is public to every verifier and never erased: never payload, bound values, intent or
/// names (DESIGN §7). Names of members must not be those of the entry (`v`, `index`, `time`, `type`, `body`).
/// </param>
/// <param name="Body">
/// Lies beside the entry and can be erased; the entry commits to it by SHA-256 over a 128-bit random salt and the
/// canonical body.
/// </param>
/// <exception cref="ArgumentException">A bug of the caller: a bad type, or a field with a reserved name.</exception>
public sealed record EntryDraft(string Type, CanonicalJson.Members Fields, CanonicalJson.Members? Body)
{
    public string Type { get; } = EntryFormat.CheckedType(Type);
    public CanonicalJson.Members Fields { get; } = EntryFormat.CheckedFields(Fields);
}

/// <summary>
/// One compare-and-set on the document store. <paramref name="ExpectedVersion"/> is the version that was read; 0 means
/// that the document must not exist.
/// </summary>
public abstract record StateChange(string Collection, string Key, long ExpectedVersion)
{
    /// <summary>
    /// Creates or replaces. <paramref name="Tag"/> is a second, optional name, unique within the collection when not
    /// null (e.g. the join key of an open review); a Put replaces it too. An update makes the version ExpectedVersion + 1;
    /// a created document starts above every version that its collection ever deleted, so that a version that was read
    /// before a delete never matches again: take it from <see cref="WriteResult.Versions"/>, do not compute it.
    /// </summary>
    public sealed record Put(string Collection, string Key, long ExpectedVersion, string? Tag, byte[] Value)
        : StateChange(Collection, Key, ExpectedVersion);

    /// <summary>Removes. Conflicts when there is no such document in that version.</summary>
    public sealed record Delete(string Collection, string Key, long ExpectedVersion)
        : StateChange(Collection, Key, ExpectedVersion);
}

/// <summary>A document as it was read. The bytes are its owner's; the store does not look into them.</summary>
public sealed record StateDocument(string Collection, string Key, long Version, string? Tag, byte[] Value);

/// <summary>Entries and state changes that are written together or not at all.</summary>
public sealed record WriteSet(IReadOnlyList<EntryDraft> Entries, IReadOnlyList<StateChange> Changes)
{
    public static WriteSet Of(params EntryDraft[] entries) => new(entries, []);
}

public enum WriteStatus
{
    /// <summary>Durable: written and fsync'd.</summary>
    Committed,

    /// <summary>A compare-and-set or a unique tag failed. Nothing of the set was written: read again and decide again.</summary>
    Conflict,

    /// <summary>
    /// Not known to be written, so nothing may be forwarded (I2). State must be read again before the next try: in the
    /// rare case of a commit whose answer was lost the set may turn out to have been written.
    /// </summary>
    Unavailable,
}

/// <param name="Indices">Those of the set's entries, in its order; empty unless committed.</param>
/// <param name="Detail">For logs and operators, not for agents: what failed and what to do. Null when committed.</param>
public sealed record WriteResult(WriteStatus Status, IReadOnlyList<LeafIndex> Indices, string? Detail)
{
    /// <summary>
    /// A <see cref="ReasonCodes"/> value when <see cref="WriteStatus.Unavailable"/>: `journal-unavailable`, `overloaded`,
    /// `shutting-down`, `too-large` or `internal`; otherwise null.
    /// </summary>
    public string? ReasonCode { get; init; }

    /// <summary>New version per change of the set, in its order (0 for a Delete); empty unless committed.</summary>
    public IReadOnlyList<long> Versions { get; init; } = [];
}

/// <summary>An entry as it is stored.</summary>
/// <param name="Bytes">Canonical JSON, format v1.</param>
/// <param name="LeafHash">RFC 6962 leaf hash as stored beside the entry; 32 bytes unless the store was damaged.</param>
public sealed record JournalEntry(LeafIndex Index, byte[] Bytes, byte[] LeafHash)
{
    /// <summary>False when the bytes are not a well-formed entry of a known version.</summary>
    public bool TryParse(out EntryContent content) => EntryFormat.TryParse(Bytes, out content, out _);
}

/// <summary>Salt and canonical body of an entry. Both are null once erased; the entry and its proofs stay.</summary>
public sealed record JournalBody(byte[]? Salt, byte[]? Bytes)
{
    public bool IsErased => Salt is null || Bytes is null;
}

/// <summary>
/// Reads what is durable. Thread-safe. Throws <see cref="JournalStoreException"/> when the disk cannot be read; a caller
/// on the path of an action fails closed then (`journal-unavailable`).
/// </summary>
public interface IStateReader
{
    StateDocument? Get(string collection, string key);

    StateDocument? FindByTag(string collection, string tag);

    /// <summary>All documents, by key in ordinal (UTF-8) order. Holds them all in memory: see the overload for large collections.</summary>
    IReadOnlyList<StateDocument> List(string collection);

    /// <summary>Up to <paramref name="max"/> documents with keys after <paramref name="afterKey"/> (null: from the first).</summary>
    IReadOnlyList<StateDocument> List(string collection, string? afterKey, int max);

    /// <summary>Up to <paramref name="max"/> entries, at most about 4 MiB of them, in order, from an index on. Empty at the end.</summary>
    IReadOnlyList<JournalEntry> ReadEntries(long fromIndex, int max);

    /// <summary>Index of the last entry plus one.</summary>
    long EntryCount { get; }

    /// <summary>Null when the entry has no body, or its row is gone (which fsck reports).</summary>
    JournalBody? GetBody(LeafIndex index);
}
