using System.Security.Cryptography;
using Countersign.Tlog;

namespace Countersign.Journal;

/// <param name="Index">The entry, or null for a defect of the store as a whole.</param>
/// <param name="Code">Kebab-case and stable: see docs/spec/journal.md.</param>
public sealed record JournalDefect(LeafIndex? Index, string Code, string Detail);

/// <param name="Entries">Entries looked at.</param>
/// <param name="Bodies">Bodies whose commitment was recomputed.</param>
/// <param name="Erased">Bodies that were erased on purpose: no defect.</param>
/// <param name="Defects">The first ones found, in order of the journal.</param>
public sealed record FsckReport(long Entries, long Bodies, long Erased, IReadOnlyList<JournalDefect> Defects)
{
    public bool IsSound => Defects.Count == 0;
}

/// <summary>
/// Recomputes what the journal says about itself (P52, as far as leaf hashes reach): every leaf hash, every index, every
/// entry's form, every body's commitment. Whoever can rewrite the whole store can also recompute its hashes, or cut its
/// tail; that takes a signed checkpoint to show.
/// </summary>
public static class JournalVerification
{
    private const int Page = 512;

    /// <summary>Reads the whole journal, page by page; safe while it is being written.</summary>
    public static FsckReport Fsck(IJournalStore store, int maxDefects = 20, CancellationToken ct = default)
    {
        var defects = new List<JournalDefect>();
        var (next, bodies, erased) = (0L, 0L, 0L);
        try
        {
            foreach (var detail in store.CheckIntegrity(maxDefects)) defects.Add(new JournalDefect(null, "store-damaged", detail));
            while (defects.Count < maxDefects)
            {
                ct.ThrowIfCancellationRequested();
                var page = store.ReadEntries(next, Page);
                if (page.Count == 0) break;
                foreach (var entry in page)
                {
                    if (entry.Index.Value != next)
                    {
                        Add(new LeafIndex(next), "entry-missing", $"the next entry is {entry.Index}");
                        next = entry.Index.Value;
                    }

                    Check(entry);
                    if (next == long.MaxValue) break;
                    next++;
                    if (defects.Count >= maxDefects) break;
                }
            }
        }
        catch (JournalStoreException e)
        {
            Add(new LeafIndex(next), "unreadable", e.Message);
        }

        return new FsckReport(next, bodies, erased, defects);

        void Add(LeafIndex index, string code, string detail) => defects.Add(new JournalDefect(index, code, detail));

        void Check(JournalEntry entry)
        {
            if (!MerkleTree.LeafHash(entry.Bytes).Span.SequenceEqual(entry.LeafHash))
            {
                Add(entry.Index, "leaf-hash-mismatch", "the entry and its leaf hash do not belong together");
            }

            if (!EntryFormat.TryParse(entry.Bytes, out var content, out var error))
            {
                Add(entry.Index, "entry-malformed", error);
                return;
            }

            if (content.Index != entry.Index) Add(entry.Index, "entry-misplaced", $"the entry says that it is {content.Index}");
            CheckBody(entry.Index, content.BodySha256);
        }

        void CheckBody(LeafIndex index, byte[]? commitment)
        {
            var body = store.GetBody(index);
            switch (body, commitment)
            {
                case (null, null): return;
                case (null, _): Add(index, "body-missing", "the entry commits to a body that is neither there nor erased"); return;
                case (_, null): Add(index, "body-unexpected", "the entry commits to no body"); return;
                case ({ Salt: null, Bytes: null }, _): erased++; return;
            }

            bodies++;
            if (body is not { Salt: { Length: EntryFormat.SaltBytes } salt, Bytes: { } bytes }
                || !CryptographicOperations.FixedTimeEquals(EntryFormat.CommitToBody(salt, bytes), commitment))
            {
                Add(index, "body-mismatch", "the body is not the one that the entry commits to");
            }
        }
    }
}
