using System.Text;
using Countersign.Core;
using Countersign.Sandbox;
using Countersign.Sql.Parsing;

namespace Countersign.Sql.Tests;

public sealed class ParserTests
{
    static string? Reason(string sql) => Parsers.Parser.Parse(sql).Refusal?.Reason;

    [Fact]
    public void Empty_text_holds_no_statement()
    {
        foreach (var sql in new[] { "", " ", ";", "-- nothing", "/* */ ; ;" }) Assert.Equal(0, Parsers.Parser.Parse(sql).Text?.Count);
    }

    [Fact]
    public void Statements_are_placed_by_bytes()
    {
        var understood = Shop.Understand("select 'äöü€😀' ; /* é */ delete from orders /* ü */; select 3");
        Assert.Equal(["select 'äöü€😀' ", "delete from orders /* ü */", "select 3"], understood.Statements.Select(static s => s.Display));
        Assert.Equal(Encoding.UTF8.GetByteCount("select 'äöü€😀' ; /* é */ "), understood.Statements[1].Start);
    }

    [Fact]
    public void Error_position_counts_characters()
    {
        Assert.Equal(12, Parsers.Parser.Parse("select 'ä' frm x y").Refusal!.Position - 4);
        Assert.Equal(1, Parsers.Parser.Parse("selct 1").Refusal!.Position);
    }

    [Fact]
    public void Parser_survives_errors_and_goes_on()
    {
        for (var n = 0; n < 300; n++)
        {
            Assert.Equal(ReasonCodes.Unparseable, Reason("select 'never ends"));
            Assert.Null(Reason("select 1"));
        }
    }

    [Fact]
    public void Text_above_the_limit_is_refused()
    {
        var parser = new SqlParser(Parsers.Pool, new SqlLimits { TextBytes = 20 });
        Assert.Null(parser.Parse("select '0123456789'").Refusal);
        Assert.Equal(ReasonCodes.TooLarge, parser.Parse("select '0123456789ab'").Refusal?.Reason);
        Assert.Equal(ReasonCodes.TooLarge, parser.Parse("select 'ääääääää'").Refusal?.Reason); // by bytes, not characters
    }

    [Fact]
    public void Statements_above_the_limit_are_refused()
    {
        var parser = new SqlParser(Parsers.Pool, new SqlLimits { Statements = 3 });
        Assert.Null(parser.Parse("select 1;select 1;select 1").Refusal);
        Assert.Equal(ReasonCodes.TooLarge, parser.Parse("select 1;select 1;select 1;select 1").Refusal?.Reason);
    }

    [Fact]
    public void Effects_above_the_limit_are_refused()
    {
        var analyzer = new SqlAnalyzer(new SqlParser(Parsers.Pool, new SqlLimits { Effects = 2 }));
        SqlUnderstanding Understand(string sql) => analyzer.Understand(Parsers.Parser.Parse(sql).Text!, Shop.Session, Shop.Catalog, Shop.Classify);
        Assert.Null(Understand("select 1 from orders, regions").Refusal);
        Assert.Equal(ReasonCodes.TooLarge, Understand("select 1 from orders, regions, products").Refusal?.Reason);
    }

    [Fact]
    public void A_megabyte_of_rows_parses_and_two_are_refused()
    {
        var rows = string.Join(',', Enumerable.Repeat("(1, 2, 'abcdefghij', null)", 38_000));
        Assert.Null(Shop.Understand($"insert into orders values {rows}").Refusal);
        Assert.Equal(ReasonCodes.TooLarge, Reason($"insert into orders values {rows}, {rows}"));
    }

    public static TheoryData<string, string, string> Nests => new()
    {
        { "select ", "(", ")" },
        { "select ", "not ", "" },
        { "select ", "- ", "" },
        { "select ", "array[", "]" },
        { "select ", "f(", ")" },
        { "select ", "case when true then ", " end" },
        { "select ", "(select ", ")" },
        { "select * from ", "(select * from ", ") x" },
        { "", "explain ", "" },
        { "", "with x as (", ") select 1" },
    };

    [Theory]
    [MemberData(nameof(Nests))]
    public void Deep_nesting_is_refused_and_never_kills_the_process(string head, string open, string close)
    {
        foreach (var depth in new[] { 10, 100, 1_000, 10_000, 100_000 })
        {
            if ((open.Length + close.Length) * depth > 1 << 20) break;
            var leaf = head.EndsWith("from ", StringComparison.Ordinal) ? "orders" : head.Length == 0 ? "select 1" : "1";
            var sql = head + string.Concat(Enumerable.Repeat(open, depth)) + leaf + string.Concat(Enumerable.Repeat(close, depth));
            // On the smallest thread of .NET, as deep in the stack as a server's handler might be.
            SqlUnderstanding? understood = null;
            var thread = new Thread(() => understood = Shop.Understand(sql), 1_536 << 10);
            thread.Start();
            thread.Join();
            Assert.True(understood!.Refusal?.Reason is null or ReasonCodes.TooLarge or ReasonCodes.Unparseable, understood.Refusal?.Reason);
            if (depth >= 100_000 || (depth >= 10_000 && open != "(" )) Assert.NotNull(understood.Refusal);
        }
    }

    [Theory]
    [InlineData("+1")]
    [InlineData("::int")]
    [InlineData(" union all select 1")]
    [InlineData(" || 'x'")]
    [InlineData(" is null")]
    public void Long_chains_are_refused_and_never_kill_the_process(string link)
    {
        foreach (var length in new[] { 100, 10_000, (1 << 20) / link.Length - 10 })
        {
            var sql = "select 1" + string.Concat(Enumerable.Repeat(link, length));
            var reason = Shop.Understand(sql).Refusal?.Reason;
            if (length == 100) Assert.Null(reason);
            else Assert.True(reason is ReasonCodes.TooLarge or ReasonCodes.Unparseable, reason);
        }

        Assert.Null(Shop.Understand("select 1").Refusal);
    }

    [Fact]
    public void Flat_lists_of_conditions_are_not_deep()
    {
        Assert.Null(Shop.Understand("select * from orders where " + string.Join(" or ", Enumerable.Range(0, 5_000).Select(static n => $"id = {n}"))).Refusal);
        Assert.Null(Shop.Understand("select * from orders where id in (" + string.Join(',', Enumerable.Range(0, 20_000)) + ")").Refusal);
    }

    [Fact]
    public void No_free_parser_is_sandbox_unavailable()
    {
        using var host = new SandboxHost();
        using var module = PgParserGuest.Load(new ModuleCache(Path.Combine(Path.GetTempPath(), $"countersign-test-modules-{Environment.UserName}")), host);
        using var pool = PgParserGuest.CreatePool(module, pool: new GuestPoolLimits { Size = 1, Wait = TimeSpan.FromMilliseconds(1), RecycleAboveBytes = 160L << 20 });
        var parser = new SqlParser(pool);
        Assert.Null(parser.Parse("select 1").Refusal);
        using (pool.Lease()) Assert.Equal(ReasonCodes.SandboxUnavailable, parser.Parse("select 1").Refusal?.Reason);
        Assert.Null(parser.Parse("select 1").Refusal);
        pool.Drain();
        Assert.Equal(ReasonCodes.SandboxUnavailable, parser.Parse("select 1").Refusal?.Reason);
    }

    [Fact]
    public void A_parser_that_runs_out_of_time_refuses_and_is_replaced()
    {
        using var host = new SandboxHost();
        using var module = PgParserGuest.Load(new ModuleCache(Path.Combine(Path.GetTempPath(), $"countersign-test-modules-{Environment.UserName}")), host);
        using var pool = PgParserGuest.CreatePool(module, PgParserGuest.DefaultLimits with { CallTime = TimeSpan.FromTicks(1) });
        var parser = new SqlParser(pool);
        var slow = "select 1 where " + string.Join(" or ", Enumerable.Repeat("a = 'xxxxxxxx'", 55_000));
        Assert.Equal(ReasonCodes.Unparseable, parser.Parse(slow).Refusal?.Reason);
        Assert.Null(parser.Parse("select 1").Refusal);
        Assert.Equal(1, pool.Discarded);
    }

    [Fact]
    public void Memory_does_not_grow_with_the_number_of_parses()
    {
        using var lease = Parsers.Pool.Lease();
        long Size() => lease.Call(static g => g.MemoryBytes).Value;
        for (var n = 0; n < 200; n++) lease.Call(static g => g.Parse("select * from t where a = 1 and b in (1,2,3); select * fro"u8, 1 << 20));
        var before = Size();
        for (var n = 0; n < 5_000; n++) lease.Call(static g => g.Parse("select * from t where a = 1 and b in (1,2,3); select * fro"u8, 1 << 20));
        Assert.Equal(before, Size());
    }

    [Fact]
    public async Task Parser_is_used_by_many_threads_at_once()
    {
        var texts = Enumerable.Range(0, 64).Select(static n => n % 3 == 0 ? $"delete from orders where id = {n}" : n % 3 == 1 ? $"select {n} from customers limit 1" : $"select from from {n}").ToArray();
        var expected = texts.Select(static t => string.Join('\n', Rendering.Lines(Shop.Understand(t)))).ToArray();
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() =>
        {
            for (var n = 0; n < texts.Length; n++) Assert.Equal(expected[n], string.Join('\n', Rendering.Lines(Shop.Understand(texts[n]))));
        })));
    }
}
