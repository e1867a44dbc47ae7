using System.Numerics;
using System.Security.Cryptography;

namespace Countersign.Tlog;

/// <summary>
/// The Merkle tree of RFC 6962 §2.1 over leaf hashes. Leaves and nodes are hashed under different prefixes, so that no
/// node can be passed off as a leaf. Everything here is a function of its arguments.
/// </summary>
public static class MerkleTree
{
    private const byte LeafPrefix = 0x00;
    private const byte NodePrefix = 0x01;

    /// <summary>SHA-256(0x00 || entry).</summary>
    public static TlogHash LeafHash(ReadOnlySpan<byte> entry)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData([LeafPrefix]);
        hash.AppendData(entry);
        return Finish(hash);
    }

    /// <summary>SHA-256(0x01 || left || right).</summary>
    public static TlogHash NodeHash(TlogHash left, TlogHash right)
    {
        Span<byte> input = stackalloc byte[1 + (2 * TlogHash.Size)];
        input[0] = NodePrefix;
        left.Span.CopyTo(input[1..]);
        right.Span.CopyTo(input[(1 + TlogHash.Size)..]);
        Span<byte> result = stackalloc byte[TlogHash.Size];
        SHA256.HashData(input, result);
        return new TlogHash(result);
    }

    /// <summary>The tree hash MTH(D[n]); that of no leaves is SHA-256 of nothing.</summary>
    public static TlogHash Root(ReadOnlySpan<TlogHash> leaves)
    {
        if (leaves.IsEmpty) return new TlogHash(SHA256.HashData([]));
        if (leaves.Length == 1) return leaves[0];
        var split = Split(leaves.Length);
        return NodeHash(Root(leaves[..split]), Root(leaves[split..]));
    }

    /// <summary>PATH(m, D[n]): the audit path of leaf <paramref name="index"/>, from the leaf up (§2.1.1).</summary>
    /// <exception cref="ArgumentOutOfRangeException">The tree has no such leaf.</exception>
    public static IReadOnlyList<TlogHash> InclusionProof(ReadOnlySpan<TlogHash> leaves, long index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, leaves.Length);
        var path = new List<TlogHash>();
        AddPath(leaves, checked((int)index), path);
        return path;
    }

    /// <summary>PROOF(m, D[n]): that the first <paramref name="oldSize"/> leaves are a prefix of this tree (§2.1.2).</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="oldSize"/> is not in 0…n.</exception>
    public static IReadOnlyList<TlogHash> ConsistencyProof(ReadOnlySpan<TlogHash> leaves, long oldSize)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(oldSize);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(oldSize, leaves.Length);
        var proof = new List<TlogHash>();
        if (oldSize > 0 && oldSize < leaves.Length) AddSubProof(leaves, checked((int)oldSize), complete: true, proof);
        return proof;
    }

    /// <summary>RFC 9162 §2.1.3.2: true when the leaf is at that index of the tree with that size and root.</summary>
    public static bool VerifyInclusion(TlogHash leaf, long index, long size, TlogHash root, IReadOnlyList<TlogHash> proof)
    {
        if (index < 0 || index >= size) return false;
        var (fn, sn, result) = (index, size - 1, leaf);
        foreach (var step in proof)
        {
            if (sn == 0) return false;
            if ((fn & 1) == 1 || fn == sn)
            {
                result = NodeHash(step, result);
                while ((fn & 1) == 0 && fn != 0) (fn, sn) = (fn >> 1, sn >> 1);
            }
            else
            {
                result = NodeHash(result, step);
            }

            (fn, sn) = (fn >> 1, sn >> 1);
        }

        return sn == 0 && result == root;
    }

    /// <summary>RFC 9162 §2.1.4.2: true when the old tree is a prefix of the new one.</summary>
    public static bool VerifyConsistency(long oldSize, TlogHash oldRoot, long newSize, TlogHash newRoot, IReadOnlyList<TlogHash> proof)
    {
        if (oldSize < 0 || oldSize > newSize) return false;
        if (oldSize == newSize) return proof.Count == 0 && oldRoot == newRoot;
        if (oldSize == 0) return proof.Count == 0 && oldRoot == Root([]);
        if (proof.Count == 0) return false;

        var (fn, sn) = (oldSize - 1, newSize - 1);
        while ((fn & 1) == 1) (fn, sn) = (fn >> 1, sn >> 1);

        // An old tree of a power of two is a whole subtree of the new one: its root opens the path and is not sent.
        var next = 0;
        var start = BitOperations.IsPow2(oldSize) ? oldRoot : proof[next++];
        var (fr, sr) = (start, start);
        for (; next < proof.Count; next++)
        {
            if (sn == 0) return false;
            if ((fn & 1) == 1 || fn == sn)
            {
                fr = NodeHash(proof[next], fr);
                sr = NodeHash(proof[next], sr);
                while ((fn & 1) == 0 && fn != 0) (fn, sn) = (fn >> 1, sn >> 1);
            }
            else
            {
                sr = NodeHash(sr, proof[next]);
            }

            (fn, sn) = (fn >> 1, sn >> 1);
        }

        return sn == 0 && fr == oldRoot && sr == newRoot;
    }

    private static void AddPath(ReadOnlySpan<TlogHash> leaves, int index, List<TlogHash> path)
    {
        if (leaves.Length == 1) return;
        var split = Split(leaves.Length);
        if (index < split)
        {
            AddPath(leaves[..split], index, path);
            path.Add(Root(leaves[split..]));
        }
        else
        {
            AddPath(leaves[split..], index - split, path);
            path.Add(Root(leaves[..split]));
        }
    }

    private static void AddSubProof(ReadOnlySpan<TlogHash> leaves, int oldSize, bool complete, List<TlogHash> proof)
    {
        if (oldSize == leaves.Length)
        {
            if (!complete) proof.Add(Root(leaves));
            return;
        }

        var split = Split(leaves.Length);
        if (oldSize <= split)
        {
            AddSubProof(leaves[..split], oldSize, complete, proof);
            proof.Add(Root(leaves[split..]));
        }
        else
        {
            AddSubProof(leaves[split..], oldSize - split, complete: false, proof);
            proof.Add(Root(leaves[..split]));
        }
    }

    /// <summary>The largest power of two smaller than <paramref name="count"/> (≥ 2).</summary>
    private static int Split(int count) => 1 << BitOperations.Log2((uint)(count - 1));

    private static TlogHash Finish(IncrementalHash hash)
    {
        Span<byte> result = stackalloc byte[TlogHash.Size];
        hash.GetHashAndReset(result);
        return new TlogHash(result);
    }
}
