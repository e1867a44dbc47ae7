using System.Globalization;
using Countersign.Core;
using CsCheck;

namespace Countersign.Sql.Tests;

/// <summary>What holds for any text: generated from the corpus, cut up and mixed. Seeded by CsCheck, which prints the seed of a failure.</summary>
public sealed class PropertyTests
{
    static readonly string[] texts =
        [.. CorpusTests.Files.SelectMany(static f => CorpusTests.Read(Path.Combine(AppContext.BaseDirectory, "Corpus", f.Data))).Select(static c => c.Sql)];

    static readonly string[] understood = [.. texts.Where(static t => Parsers.Parser.Parse(t).Text is { Count: 1 })];

    static readonly string[] fragments =
    [
        .. texts.SelectMany(static t => t.Split(' ')).Distinct(StringComparer.Ordinal),
        "'", "\"", "$$", "$a$", "--", "/*", "*/", ";", "(", ")", "\\", "E'", "U&'", "\0", "\ud800", "\u202e", "é", "\n", "::", ":=", "$1", "$999999999999", "0x", "1e999", "@@@", "[", "]",
    ];

    static Gen<T> Pick<T>(params T[] values) => Gen.Int[0, values.Length - 1].Select(n => values[n]);

    /// <summary>Of an effect, what is not counted over the whole text.</summary>
    static string Key(Effect effect) => Rendering.Render(effect);

    static readonly string?[] reasons =
        [null, ReasonCodes.Unparseable, ReasonCodes.TooLarge, ReasonCodes.NotUtf8, ReasonCodes.UnsafeSetting, ReasonCodes.NotSupported];

    static void HoldsForAny(string sql)
    {
        var result = Shop.Understand(sql);
        Assert.Contains(result.Refusal?.Reason, reasons);
        foreach (var effect in result.Effects)
        {
            Assert.Equal(SqlVocabulary.Actions[effect.Action], effect.Verb);
            Assert.NotEmpty(effect.Resource.Id);
        }

        // Deterministic, and each statement lies within the text.
        Assert.Equal(Rendering.Lines(result), Rendering.Lines(Shop.Understand(sql)));
        Assert.All(result.Statements, s => Assert.InRange(s.Start + s.Length, 0, System.Text.Encoding.UTF8.GetByteCount(sql)));
    }

    [Fact]
    public void Random_words_never_crash_the_analysis() =>
        Pick(fragments).Array[1, 30].Select(static words => string.Join(' ', words)).Sample(HoldsForAny, iter: Campaign.Of(3_000, 120_000), threads: 1);

    [Fact]
    public void Mutated_statements_never_crash_the_analysis() =>
        Gen.Select(Pick(texts), Gen.Int[0, 400], Gen.Int[0, 20], Pick(fragments), Pick(texts)).Select(static (text, at, cut, put, other) =>
        {
            at %= text.Length + 1;
            cut = Math.Min(cut, text.Length - at);
            return cut % 3 == 0 ? string.Concat(text.AsSpan(0, at), other) : string.Concat(text.AsSpan(0, at), put, text.AsSpan(at + cut));
        }).Sample(HoldsForAny, iter: Campaign.Of(5_000, 200_000), threads: 1);

    [Fact]
    public void Random_bytes_never_crash_the_parser() =>
        Gen.Byte[1, 255].Array[0, 60].Sample(static bytes => HoldsForAny(System.Text.Encoding.Latin1.GetString(bytes)), iter: Campaign.Of(2_000, 80_000), threads: 1);

    [Fact]
    public void P1_effects_of_two_statements_are_the_union_of_each() =>
        Gen.Select(Pick(understood), Pick(understood)).Sample(static (a, b) =>
        {
            var both = Shop.Understand($"{a}\n;\n{b}"); // a text may end in a comment
            Assert.Equal(
                Shop.Understand(a).Effects.Concat(Shop.Understand(b).Effects).Select(Key).Distinct().Order(StringComparer.Ordinal),
                both.Effects.Select(Key).Distinct().Order(StringComparer.Ordinal));
            Assert.Equal(Shop.Understand(a).Refusal?.Reason ?? Shop.Understand(b).Refusal?.Reason, both.Refusal?.Reason);
        }, iter: Campaign.Of(1_000, 40_000), threads: 1);

    /// <summary>Wrapping a statement never loses an effect but a plain EXPLAIN's, and never hides a function.</summary>
    [Fact]
    public void P3_wrapping_a_query_never_loses_what_it_touches()
    {
        var queries = understood.Where(static t => Shop.Understand(t) is { Refusal: null, Statements: [{ Kind: SqlStatementKind.Select, Consequences.Count: 0 }] }
            && !t.StartsWith("explain", StringComparison.Ordinal)).ToArray();
        string[] wraps =
        [
            "select * from ({0}) wrapped", "with wrapped as ({0}) select * from wrapped", "select exists ({0})", "select array({0})", "insert into wrapped {0}", "create table wrapped as {0}",
            "({0}) union all select 1", "select 1 where exists ({0})", "explain analyze {0}", "prepare wrapped as {0}", "declare wrapped cursor for {0}", "copy ({0}) to program 'x'",
            "delete from wrapped where exists ({0})", "update wrapped set a = 1 where exists ({0})", "merge into wrapped using ({0}) s on true when matched then do nothing",
        ];
        Assert.NotEmpty(queries);
        Gen.Select(Pick(queries), Pick(wraps)).Sample(static (query, wrap) =>
        {
            var sql = string.Format(CultureInfo.InvariantCulture, wrap, query + "\n");
            var outer = Shop.Understand(sql);
            if (outer.Refusal?.Reason == ReasonCodes.Unparseable) return; // not every query may stand everywhere
            foreach (var effect in Shop.Understand(query).Effects)
            {
                // Whether it is bounded may change with what the rows flow into; what is touched may not.
                if (effect.Action == SqlActions.Export) continue;
                Assert.True(outer.Effects.Any(e => e.Action == effect.Action && e.Resource == effect.Resource), $"{sql}: lost {Rendering.Render(effect)}");
            }
        }, iter: Campaign.Of(1_500, 60_000), threads: 1);
    }

    [Fact]
    public void Unbounded_reads_stay_unbounded_under_wrapping_that_bounds_nothing()
    {
        string[] unbounded = [.. understood.Where(static t => Shop.Understand(t) is { Refusal: null, Statements: [{ Kind: SqlStatementKind.Select }] } u && u.Effects.Any(static e => e.Action == SqlActions.Export))];
        Assert.NotEmpty(unbounded);
        Gen.Select(Pick(unbounded), Pick("select * from ({0}) x", "with x as ({0}) select * from x", "select array_agg(x) from ({0}) x limit 1", "insert into y {0}",
            "({0}) union all (select 1)", "select * from ({0}) x, regions", "select * from regions, lateral ({0}) x where regions.id = 1", "create table y as {0}")).Sample(static (query, wrap) =>
        {
            var sql = string.Format(CultureInfo.InvariantCulture, wrap, query + "\n");
            var outer = Shop.Understand(sql);
            if (outer.Refusal is not null) return;
            foreach (var effect in Shop.Understand(query).Effects.Where(static e => e.Action == SqlActions.Export))
                Assert.True(outer.Effects.Any(e => e.Action == SqlActions.Export && e.Resource == effect.Resource), $"{sql}: no export of {effect.Resource.Id}");
        }, iter: Campaign.Of(1_000, 40_000), threads: 1);
    }
}
