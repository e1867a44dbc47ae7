using System.Text;
using System.Text.RegularExpressions;
using Countersign.Core;
using Countersign.Tlog;
using CsCheck;

namespace Countersign.Journal.Tests;

public sealed class EntryFormatTests
{
    [Fact]
    public void Worked_example_of_the_specification_is_what_is_written()
    {
        var page = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "journal.md"));
        string Block(string name) => Regex.Match(page, $"```[a-z]+ {name}\n(.*?)\n```", RegexOptions.Singleline).Groups[1].Value;

        var body = CanonicalJson.Object(
            ("statement", "update orders set state = $1 where id = $2"), ("reason", "refund for order 42")).ToUtf8();
        Assert.Equal(Block("body"), Encoding.UTF8.GetString(body));
        var commitment = EntryFormat.CommitToBody(Convert.FromHexString(Block("salt")), body);
        Assert.Equal(Block("commitment"), Convert.ToHexStringLower(commitment));

        var time = new DateTimeOffset(2026, 11, 22, 10, 15, 30, TimeSpan.Zero).AddTicks(1234567);
        var entry = EntryFormat.Write(new LeafIndex(7), time, "review.opened",
            CanonicalJson.Object(("review", "rv_0123456789abcdef"), ("decision", "review")), commitment);
        Assert.Equal(Block("entry"), Encoding.UTF8.GetString(entry));
        Assert.Equal(Block("leaf"), MerkleTree.LeafHash(entry).ToString());
    }

    [Fact]
    public void Written_entry_reads_back() => Gen.Select(Gen.Long[0, long.MaxValue], Gen.DateTime[DateTime.UnixEpoch, DateTime.UnixEpoch.AddYears(200)], Gen.String, Gen.Bool)
        .Sample((index, when, text, hasBody) =>
        {
            var time = new DateTimeOffset(when.Ticks, TimeSpan.Zero);
            var commitment = hasBody ? EntryFormat.CommitToBody(new byte[16], [1]) : [];
            var bytes = EntryFormat.Write(new LeafIndex(index), time, "a.b-c1", CanonicalJson.Object(("text", text)), commitment);
            Assert.True(EntryFormat.TryParse(bytes, out var content, out var error), error);
            Assert.Equal(index, content.Index.Value);
            Assert.Equal(time.Ticks / 10, content.Time.Ticks / 10);
            Assert.Equal("a.b-c1", content.Type);
            Assert.Equal(hasBody, content.BodySha256 is not null);
        }, iter: 500);

    [Theory]
    [InlineData("", "JSON")]
    [InlineData("[]", "not an entry")]
    [InlineData("""{"index":0,"time":"2026-11-22T10:15:30.123456Z","type":"a","v":2}""", "version 2")]
    [InlineData("""{"index":0,"time":"2026-11-22T10:15:30.123456Z","type":"a","v":"1"}""", "not an entry")]
    [InlineData("""{"index":-1,"time":"2026-11-22T10:15:30.123456Z","type":"a","v":1}""", "index")]
    [InlineData("""{"index":1.5,"time":"2026-11-22T10:15:30.123456Z","type":"a","v":1}""", "index")]
    [InlineData("""{"time":"2026-11-22T10:15:30.123456Z","type":"a","v":1}""", "index")]
    [InlineData("""{"index":0,"time":"2026-11-22","type":"a","v":1}""", "time")]
    [InlineData("""{"index":0,"time":"2026-11-22T10:15:30.123456Z","type":"A","v":1}""", "type")]
    [InlineData("""{"index":0,"time":"2026-11-22T10:15:30.123456Z","type":"\ud800","v":1}""", "UTF-8")]
    [InlineData("""{"index":0,"time":"2026-11-22T10:15:30.123456Z","type":"a","v":1,"v":1}""", "JSON")]
    [InlineData("""{"body":{"sha256":"00"},"index":0,"time":"2026-11-22T10:15:30.123456Z","type":"a","v":1}""", "sha256")]
    [InlineData("""{"body":null,"index":0,"time":"2026-11-22T10:15:30.123456Z","type":"a","v":1}""", "sha256")]
    public void P25_what_is_no_entry_is_refused(string text, string complaint)
    {
        Assert.False(EntryFormat.TryParse(Encoding.UTF8.GetBytes(text), out _, out var error));
        Assert.Contains(complaint, error);
    }

    [Fact]
    public void Arbitrary_bytes_never_throw() => Gen.Byte.Array[0, 200].Sample(bytes => !EntryFormat.TryParse(bytes, out _, out _), iter: 2000);

    [Fact]
    public void P52_mutated_entry_never_throws() => Gen.Select(Gen.Int[0, 1_000_000], Gen.Byte).Sample((place, value) =>
    {
        var bytes = EntryFormat.Write(new LeafIndex(7), DateTimeOffset.UnixEpoch, "a.b", CanonicalJson.Object(("text", "é\"\\x")), EntryFormat.CommitToBody(new byte[16], []));
        var leaf = MerkleTree.LeafHash(bytes);
        var at = place % bytes.Length;
        if (bytes[at] == value) return;
        bytes[at] = value;
        _ = EntryFormat.TryParse(bytes, out _, out _);
        Assert.NotEqual(leaf, MerkleTree.LeafHash(bytes));
    }, iter: 2000);
}
