using System.Security.Cryptography;
using Countersign.Tlog;
using CsCheck;

namespace Countersign.Journal.Tests;

public sealed class MerkleTreeTests
{
    /// <summary>The leaves and roots that the Certificate Transparency reference implementation is tested with.</summary>
    private static readonly string[] Inputs =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

    private static readonly string[] Roots =
    [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    private static TlogHash[] Leaves(int count) =>
        [.. Enumerable.Range(0, count).Select(i => MerkleTree.LeafHash(BitConverter.GetBytes(i)))];

    [Fact]
    public void Root_of_the_reference_leaves_is_the_reference_root()
    {
        var leaves = Inputs.Select(i => MerkleTree.LeafHash(Convert.FromHexString(i))).ToArray();
        for (var n = 1; n <= leaves.Length; n++) Assert.Equal(Roots[n - 1], MerkleTree.Root(leaves.AsSpan(0, n)).ToString());
    }

    [Fact]
    public void Root_of_no_leaves_is_the_hash_of_nothing() =>
        Assert.Equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", MerkleTree.Root([]).ToString());

    [Fact]
    public void Node_and_leaf_hash_are_prefixed_apart()
    {
        var (a, b) = (MerkleTree.LeafHash("a"u8), MerkleTree.LeafHash("b"u8));
        Assert.Equal(new TlogHash(SHA256.HashData([0, (byte)'a'])), a);
        Assert.Equal(new TlogHash(SHA256.HashData([1, .. a.ToArray(), .. b.ToArray()])), MerkleTree.NodeHash(a, b));
    }

    [Fact]
    public void Inclusion_verifies_for_every_leaf_and_for_no_other_place()
    {
        for (var n = 1; n <= 34; n++)
        {
            var leaves = Leaves(n);
            var root = MerkleTree.Root(leaves);
            for (var i = 0; i < n; i++)
            {
                var proof = MerkleTree.InclusionProof(leaves, i);
                Assert.True(MerkleTree.VerifyInclusion(leaves[i], i, n, root, proof));
                for (var j = 0; j < n; j++) if (j != i) Assert.False(MerkleTree.VerifyInclusion(leaves[i], j, n, root, proof));
                Assert.False(MerkleTree.VerifyInclusion(leaves[i], i, n, root, [.. proof, root]));
                if (proof.Count > 0) Assert.False(MerkleTree.VerifyInclusion(leaves[i], i, n, root, [.. proof.Skip(1)]));
                Assert.False(MerkleTree.VerifyInclusion(root, i, n, MerkleTree.LeafHash("x"u8), proof));
            }
        }
    }

    [Fact]
    public void Consistency_verifies_for_every_prefix_and_for_no_other_tree()
    {
        for (var n = 0; n <= 34; n++)
        {
            var leaves = Leaves(n);
            var root = MerkleTree.Root(leaves);
            for (var m = 0; m <= n; m++)
            {
                var old = MerkleTree.Root(leaves.AsSpan(0, m));
                var proof = MerkleTree.ConsistencyProof(leaves, m);
                Assert.True(MerkleTree.VerifyConsistency(m, old, n, root, proof));
                Assert.False(MerkleTree.VerifyConsistency(m, MerkleTree.LeafHash("x"u8), n, root, proof));
                Assert.False(MerkleTree.VerifyConsistency(m, old, n, root, [.. proof, root]));
                if (m > 0 && m < n)
                {
                    Assert.False(MerkleTree.VerifyConsistency(m, old, n, MerkleTree.LeafHash("x"u8), proof));
                    Assert.False(MerkleTree.VerifyConsistency(m, old, n, root, []));
                }
            }

            Assert.False(MerkleTree.VerifyConsistency(n + 1, root, n, root, []));
        }
    }

    [Fact]
    public void P52_a_changed_leaf_changes_the_root() => Gen.Select(Gen.Int[1, 40], Gen.Int[0, 39], Gen.Int[0, 255]).Sample((count, place, bit) =>
    {
        var leaves = Leaves(count);
        var before = MerkleTree.Root(leaves);
        var bytes = leaves[place % count].ToArray();
        bytes[bit / 8] ^= (byte)(1 << (bit % 8));
        leaves[place % count] = new TlogHash(bytes);
        return MerkleTree.Root(leaves) != before;
    }, iter: 200);
}
