using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;
using Countersign.Core;

namespace Countersign.Journal;

/// <summary>An entry with all that does not depend on its place in the journal, made on its author's thread.</summary>
internal sealed record PreparedEntry(string Type, CanonicalJson.Members Fields, byte[] BodySha256, JournalBody? Body, long Bytes)
{
    private const int Envelope = 256; // v, index, time, type, body commitment and punctuation, rounded up

    public static PreparedEntry Of(string type, CanonicalJson.Members fields) => new(type, fields, [], null, Envelope);

    public static bool TryPrepare(EntryDraft draft, JournalLimits limits, [NotNullWhen(true)] out PreparedEntry? prepared, [NotNullWhen(false)] out string? tooLarge)
    {
        prepared = null;
        // A copy, in ordinal order: its author keeps a mutable dictionary that may be sorted otherwise.
        var fields = new CanonicalJson.Members(new SortedDictionary<string, CanonicalJson>(draft.Fields.Items, StringComparer.Ordinal));
        var size = (long)fields.ToUtf8().Length + Envelope;
        if (size > limits.MaxEntryBytes)
        {
            tooLarge = Over("entry", size, limits.MaxEntryBytes);
            return false;
        }

        byte[] commitment = [];
        JournalBody? body = null;
        if (draft.Body is not null)
        {
            var bytes = draft.Body.ToUtf8();
            if (bytes.Length > limits.MaxValueBytes)
            {
                tooLarge = Over("body", bytes.Length, limits.MaxValueBytes);
                return false;
            }

            var salt = RandomNumberGenerator.GetBytes(EntryFormat.SaltBytes);
            commitment = EntryFormat.CommitToBody(salt, bytes);
            body = new JournalBody(salt, bytes);
            size += bytes.Length;
        }

        prepared = new PreparedEntry(draft.Type, fields, commitment, body, size);
        tooLarge = null;
        return true;
    }

    internal static string Over(string what, long size, long limit) =>
        string.Create(CultureInfo.InvariantCulture, $"one {what} of {size} bytes is over the limit of {limit}");
}

/// <summary>A read that was forwarded before its entry was durable.</summary>
internal readonly record struct BehindEntry(PreparedEntry Entry, long AcceptedAt);

/// <summary>A set and the one who waits for it.</summary>
internal sealed class QueuedSet(IReadOnlyList<PreparedEntry> entries, IReadOnlyList<StateChange> changes, long bytes)
{
    public IReadOnlyList<PreparedEntry> Entries { get; } = entries;
    public IReadOnlyList<StateChange> Changes { get; } = changes;
    public long Bytes { get; } = bytes;
    public TaskCompletionSource<WriteResult> Completion { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public static bool TryPrepare(WriteSet set, JournalLimits limits, [NotNullWhen(true)] out QueuedSet? queued, [NotNullWhen(false)] out string? tooLarge)
    {
        queued = null;
        var entries = new List<PreparedEntry>(set.Entries.Count);
        var bytes = 0L;
        foreach (var draft in set.Entries)
        {
            if (!PreparedEntry.TryPrepare(draft, limits, out var prepared, out tooLarge)) return false;
            entries.Add(prepared);
            bytes += prepared.Bytes;
        }

        foreach (var change in set.Changes)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(change.ExpectedVersion);
            if (change is not StateChange.Put put) continue;
            if (put.Value.Length > limits.MaxValueBytes)
            {
                tooLarge = PreparedEntry.Over("document", put.Value.Length, limits.MaxValueBytes);
                return false;
            }

            bytes += put.Value.Length;
        }

        queued = new QueuedSet(entries, [.. set.Changes], bytes);
        tooLarge = null;
        return true;
    }
}

/// <summary>What one transaction takes.</summary>
internal sealed record Batch(IReadOnlyList<QueuedSet> Sets, IReadOnlyList<PreparedEntry> Behind)
{
    public static readonly Batch Empty = new([], []);
}
