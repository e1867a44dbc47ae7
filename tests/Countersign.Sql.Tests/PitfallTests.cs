using System.Collections.Frozen;
using Countersign.Core;

namespace Countersign.Sql.Tests;

/// <summary>The pitfalls of PITFALLS.md that belong to understanding SQL, by number.</summary>
public sealed class PitfallTests
{
    static string[] Actions(string sql, SqlSession? session = null) => [.. Shop.Understand(sql, session).Effects.Select(static e => $"{e.Action} {e.Resource.Id}").Distinct().Order(StringComparer.Ordinal)];

    static string? Reason(string sql, SqlSession? session = null) => Shop.Understand(sql, session).Refusal?.Reason;

    static bool Holds(Effect effect, string fact) => effect.Facts.TryGetValue(fact, out var value) && value is FactValue.Flag { Value: true };

    [Fact]
    public void P1_every_statement_of_a_text_has_its_effects()
    {
        var understood = Shop.Understand("select 1; drop table orders; /* ; */ delete from products where id = 1");
        Assert.Equal([SqlStatementKind.Select, SqlStatementKind.Drop, SqlStatementKind.Delete], understood.Statements.Select(static s => s.Kind));
        Assert.Equal(["sql:delete shop.public.products", "sql:drop shop.public.orders"], understood.Effects.Select(static e => $"{e.Action} {e.Resource.Id}").Order(StringComparer.Ordinal));
        Assert.All(understood.Effects, static e => Assert.Equal(new FactValue.Number(3), e.Facts[SqlFacts.Statements]));
        Assert.Equal("delete from products where id = 1", understood.Statements[2].Display.Trim()[^33..]);
    }

    [Fact]
    public void P1_one_refused_statement_refuses_the_text() =>
        Assert.Equal(ReasonCodes.UnsafeSetting, Reason("select 1; set standard_conforming_strings = off; select '\\'"));

    [Theory]
    [InlineData("select E'\\' ; drop table orders; --'")]
    [InlineData("select $a$ ; drop table orders; $a$")]
    [InlineData("select $$;$$, $_1$;$$;$_1$")]
    [InlineData("select 1 /* ; drop table orders; /* ; */ ; */")]
    [InlineData("select 1 -- ; drop table orders")]
    [InlineData("select U&'\\0027; drop table orders; --'")]
    [InlineData("with \"drop\" as (select 1) select * from \"drop\"")]
    [InlineData("select ';' || '; drop table orders;' as \"; drop table orders; --\"")]
    public void P2_text_that_looks_like_statements_is_none(string sql)
    {
        Assert.Null(Reason(sql));
        Assert.Empty(Actions(sql));
    }

    [Fact]
    public void P2_strings_are_read_as_the_server_reads_them_or_not_at_all()
    {
        const string sql = """SELECT '\'' ; DROP TABLE orders; --'""";
        // To the parser (and to a server with standard_conforming_strings on) the string ends at the second quote: the DROP is plain to see …
        Assert.Equal(ReasonCodes.Unparseable, Reason("""SELECT '\''; DROP TABLE orders; --"""));
        Assert.DoesNotContain("sql:drop shop.public.orders", Actions(sql));
        // … and a session in which it would be read otherwise is not understood.
        Assert.Equal(ReasonCodes.UnsafeSetting, Reason(sql, Shop.Session with { StandardConformingStrings = false }));
    }

    [Theory]
    [InlineData("set standard_conforming_strings = off")]
    [InlineData("set session standard_conforming_strings to 'off'")]
    [InlineData("set local STANDARD_CONFORMING_STRINGS = 0")]
    [InlineData("set \"standard_conforming_strings\" to no")]
    [InlineData("set standard_conforming_strings to default")]
    [InlineData("reset standard_conforming_strings")]
    [InlineData("select set_config('standard_conforming_strings', 'off', true)")]
    [InlineData("select pg_catalog.set_config('STANDARD_conforming_strings', 'off', true)")]
    [InlineData("select set_config(x.n, 'off', true) from (values ('standard_conforming_strings')) x (n)")]
    [InlineData("select set_config('standard_conforming_strings', $1, true)")]
    [InlineData("update pg_settings set setting = 'off' where name = 'standard_conforming_strings'")]
    [InlineData("with u as (update pg_catalog.pg_settings set setting = 'off' returning 1) select 1")]
    [InlineData("alter role me set standard_conforming_strings = off")]
    [InlineData("alter database shopdb set standard_conforming_strings = off")]
    [InlineData("alter system set standard_conforming_strings = off")]
    [InlineData("create function f() returns int language sql set standard_conforming_strings = off as 'select 1'")]
    [InlineData("create table t (id text default set_config('standard_conforming_strings', 'off', false))")]
    [InlineData("prepare p (text) as select set_config($1, 'off', false)")]
    [InlineData("explain select set_config('standard_conforming_strings', 'off', false)")]
    [InlineData("declare c cursor for select set_config('standard_conforming_strings', 'off', false)")]
    [InlineData("insert into orders (note) values (set_config('standard_conforming_strings', 'off', false))")]
    [InlineData("set client_encoding = 'SJIS'")]
    [InlineData("set names 'GBK'")]
    [InlineData("set backslash_quote = on")]
    [InlineData("set transform_null_equals = on")]
    public void P2_P17_a_setting_that_changes_how_text_is_read_is_refused(string sql) => Assert.Equal(ReasonCodes.UnsafeSetting, Reason(sql));

    [Theory]
    [InlineData("set standard_conforming_strings = on")]
    [InlineData("set client_encoding = 'UTF8'")]
    [InlineData("set names 'utf-8'")]
    [InlineData("select pg_catalog.set_config('search_path', '', false)")]
    public void P2_what_drivers_and_dumps_set_to_the_safe_value_is_let_be(string sql) => Assert.Null(Reason(sql));

    [Theory]
    [InlineData("with d as (delete from products returning *) select * from d", "sql:delete shop.public.products")]
    [InlineData("select * from (with d as (select 1) select * from d) x, products for update", "sql:lock shop.public.products")]
    [InlineData("merge into products p using regions r on p.id = r.id when matched then delete", "sql:delete shop.public.products")]
    [InlineData("copy (delete from products returning *) to stdout", "sql:delete shop.public.products")]
    [InlineData("copy (select 1) to program 'sh'", "sql:server-file shop")]
    [InlineData("explain analyze delete from products", "sql:delete shop.public.products")]
    [InlineData("explain (costs, analyze 1) delete from products", "sql:delete shop.public.products")]
    [InlineData("select * into copy_of from products", "sql:create shop.public.copy_of")]
    [InlineData("create table copy_of as select * from products", "sql:create shop.public.copy_of")]
    [InlineData("refresh materialized view revenue", "sql:refresh shop.public.revenue")]
    [InlineData("insert into legacy values (1)", "sql:opaque shop.public.legacy")]
    [InlineData("update audited set v = 1", "sql:opaque shop.public.audited")]
    [InlineData("delete from orders", "sql:delete shop.public.order_items")]
    [InlineData("prepare p as delete from products", "sql:delete shop.public.products")]
    [InlineData("declare c cursor for select * from products for update", "sql:lock shop.public.products")]
    public void P3_a_statement_does_more_than_its_verb(string sql, string effect) => Assert.Contains(effect, Actions(sql));

    [Theory]
    [InlineData("pg_read_file('x')", "sql:server-file", "pg_catalog.pg_read_file")]
    [InlineData("pg_catalog.pg_read_file('x')", "sql:server-file", "pg_catalog.pg_read_file")]
    [InlineData("\"pg_catalog\".\"pg_read_file\"('x')", "sql:server-file", "pg_catalog.pg_read_file")]
    [InlineData("PG_READ_FILE('x')", "sql:server-file", "pg_catalog.pg_read_file")]
    [InlineData("lo_import('x')", "sql:server-file", "pg_catalog.lo_import")]
    [InlineData("lo_unlink(1)", "sql:call", "pg_catalog.lo_unlink")]
    [InlineData("nextval('order_ids')", "sql:call", "pg_catalog.nextval")]
    [InlineData("dblink('', 'x')", "sql:opaque", "public.dblink")]
    [InlineData("query_to_xml('delete from orders', true, true, '')", "sql:opaque", "pg_catalog.query_to_xml")]
    [InlineData("table_to_xml('customers', true, true, '')", "sql:opaque", "pg_catalog.table_to_xml")]
    [InlineData("pg_terminate_backend(1)", "sql:configure", "pg_catalog.pg_terminate_backend")]
    [InlineData("pg_switch_wal()", "sql:configure", "pg_catalog.pg_switch_wal")]
    [InlineData("pg_reload_conf()", "sql:configure", "pg_catalog.pg_reload_conf")]
    [InlineData("touch_order(1)", "sql:opaque", "public.touch_order")]
    [InlineData("never_heard_of(1)", "sql:opaque", "public.never_heard_of")]
    [InlineData("pg_catalog.never_heard_of(1)", "sql:opaque", "pg_catalog.never_heard_of")]
    public void P4_a_function_with_effects_is_seen_wherever_it_stands(string call, string action, string name)
    {
        foreach (var sql in new[]
        {
            $"select {call}", $"select 1 where {call} is null", $"select * from {call}", $"select 1 order by {call}", $"select 1 limit (select 1 from (select {call}) x)",
            $"values ({call})", $"select case when {call} is null then 1 end", $"select array[{call}]", $"select (row({call})).*", $"insert into products (id) values ({call}::text::int)",
            $"update products set id = 1 where {call} is null", $"delete from products using {call} where true", $"with x as (select {call}) select 1", $"select sum(1) over (order by {call})",
            $"explain select {call}", $"prepare p as select {call}", $"create table t (x text default {call})", $"create index on products (({call}))", $"select 1 from products group by {call}",
            $"merge into products using regions on {call} is null when matched then do nothing", $"insert into products values (1) on conflict do nothing returning {call}",
            $"select xmlelement(name x, {call})", $"select json_object('a': {call})", $"execute q({call})", $"call settle({call})", $"select * from regions tablesample system ({call}::text::int)",
            $"select string_agg('a', 'b' order by {call})", $"select count(*) filter (where {call} is null)", $"alter table products add check ({call} is null)", $"create policy p on products using ({call} is null)",
        })
        {
            var understood = Shop.Understand(sql);
            Assert.True(understood.Refusal is null, $"{sql}: {understood.Refusal}");
            Assert.True(understood.Effects.Any(e => e.Action == action && e.Resource.Id.EndsWith(name, StringComparison.Ordinal)), $"{sql}: {string.Join("; ", understood.Effects.Select(Rendering.Render))}");
            Assert.All(understood.Effects, e => Assert.Contains(name, ((FactValue.Set)e.Facts[SqlFacts.Functions]).Values));
        }
    }

    [Fact]
    public void P5_a_shadowing_function_is_seen_through_the_path()
    {
        Assert.Empty(Actions("select lower('x')"));
        Assert.Equal(["sql:opaque shop.archive.lower"], Actions("select lower('x')", Shop.Session with { SearchPath = ["archive", "pg_catalog"] }));
        Assert.Empty(Actions("select pg_catalog.lower('x')", Shop.Session with { SearchPath = ["archive", "pg_catalog"] }));
        Assert.Equal(["sql:opaque shop.public.@@@"], Actions("select 1 @@@ 2"));
        Assert.Empty(Actions("select 1 where 1 + 2 = 3 and 'a' ~ 'b'"));
    }

    [Fact]
    public void P5_a_name_is_every_table_that_it_may_mean()
    {
        var both = Shop.Session with { SearchPath = ["pg_catalog", "archive", "public"] };
        Assert.Equal(["sql:delete shop.archive.orders", "sql:delete shop.public.order_items", "sql:delete shop.public.orders"], Actions("delete from orders", both));
        Assert.Equal(["sql:delete shop.archive.orders"], Actions("delete from archive.orders", both));
        var temporary = Shop.Session with { TemporaryNames = new[] { "customers" }.ToFrozenSet() };
        Assert.Equal(["sql:select shop.pg_temp.customers", "sql:select shop.public.customers"], Actions("select * from customers limit 1", temporary));
        Assert.Equal(["sql:select shop.pg_temp.customers"], Actions("select * from pg_temp.customers limit 1", temporary));
    }

    [Fact]
    public void P5_a_temporary_view_or_one_with_rules_is_opaque_whatever_is_done_to_it()
    {
        var session = Shop.Session with { TemporaryNames = new[] { "orders", "plain" }.ToFrozenSet(), OpaqueTemporaries = new[] { "orders" }.ToFrozenSet() };
        Assert.Contains("sql:opaque shop.pg_temp.orders", Actions("select * from orders limit 1", session));
        Assert.Contains("sql:opaque shop.pg_temp.orders", Actions("update pg_temp.orders set id = 1", session));
        Assert.DoesNotContain(Actions("update pg_temp.plain set id = 1", session), static a => a.StartsWith("sql:opaque", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("reset all; close all; unlisten *; select pg_advisory_unlock_all(); discard sequences; discard temp; set session authorization default", true)]
    [InlineData("reset all; select pg_advisory_unlock_all() from customers", false)]
    [InlineData("reset all; select pg_advisory_unlock_all(), 1", false)]
    [InlineData("reset all; select pg_advisory_unlock_all() limit 1", false)]
    [InlineData("reset all; select pg_advisory_unlock_all() union select 1", false)]
    [InlineData("reset all; select archive.pg_advisory_unlock_all()", false)]
    [InlineData("reset all; set role none", false)]
    [InlineData("reset all; update orders set id = 1", false)]
    public void P5_only_what_no_setting_or_name_changes_is_a_plain_reset(string sql, bool expected) =>
        Assert.Equal(expected, Shop.Understand(sql).Statements.All(static s => s.IsPlainReset));

    [Fact]
    public void P11_prepare_reports_its_statement_and_execute_is_filled_in()
    {
        var prepare = Shop.Understand("prepare p (int) as delete from products where id = $1").Statements.Single();
        Assert.True(prepare.EffectsAreDeferred);
        Assert.Equal([new SqlConsequence.PreparesStatement("p", "prepare p (int) as delete from products where id = $1")], prepare.Consequences);

        var execute = Shop.Understand("execute p (1)");
        Assert.Equal(["sql:opaque"], execute.Effects.Select(static e => e.Action));
        Assert.Same(execute, execute.WithPrepared(static _ => null));
        var filled = execute.WithPrepared(name => name == "p" ? prepare : null);
        Assert.Equal(["sql:delete", "sql:session"], filled.Effects.Select(static e => e.Action).Order());
        Assert.Equal(["sql:opaque"], execute.Effects.Select(static e => e.Action));
    }

    [Fact]
    public void P11_what_a_prepared_statement_does_to_the_session_happens_at_execute()
    {
        var prepare = Shop.Understand("prepare p as select set_config('search_path', 'archive', false)").Statements.Single();
        Assert.DoesNotContain(prepare.Consequences, static c => c is SqlConsequence.ChangesSetting);
        var filled = Shop.Understand("execute p").WithPrepared(_ => prepare);
        Assert.Contains(new SqlConsequence.ChangesSetting("search_path", "archive", false), filled.Consequences);
    }

    [Fact]
    public void P11_the_same_text_under_another_path_is_another_statement()
    {
        var dialect = new SqlDialect(Parsers.Parser);
        const string text = "prepare p as delete from orders";
        Assert.Contains("shop.public.orders", dialect.Understand(text, Shop.Session, Shop.Catalog, Shop.Classify).Effects.Select(static e => e.Resource.Id));
        Assert.DoesNotContain("shop.public.orders", dialect.Understand(text, Shop.Session with { SearchPath = ["archive"] }, Shop.Catalog, Shop.Classify).Effects.Select(static e => e.Resource.Id));
    }

    [Theory]
    [InlineData("customers", "customers")]
    [InlineData("CUSTOMERS", "customers")]
    [InlineData("\"customers\"", "customers")]
    [InlineData("\"CUSTOMERS\"", "CUSTOMERS")]
    [InlineData("U&\"\\0063ustomers\"", "customers")]
    [InlineData("U&\"!0063ustomers\" uescape '!'", "customers")]
    [InlineData("\"cust.omers\"", "\"cust.omers\"")]
    [InlineData("\"cust\"\"omers\"", "\"cust\"\"omers\"")]
    [InlineData("KUNDEN\u00c4", "kunden\u00c4")] // UTF-8 servers fold ASCII only
    [InlineData("a123456789b123456789c123456789d123456789e123456789f123456789g123456789", "a123456789b123456789c123456789d123456789e123456789f123456789g12")]
    [InlineData("\"a123456789b123456789c123456789d123456789e123456789f123456789g1\u00e9\"", "a123456789b123456789c123456789d123456789e123456789f123456789g1")] // cut between characters, not within one
    public void P15_identifiers_are_folded_and_cut_as_the_server_does(string written, string meant) =>
        Assert.Equal($"shop.public.{meant}", Shop.Understand($"select 1 from {written} limit 1").Effects.Single().Resource.Id);

    [Fact]
    public void P15_ids_of_different_names_never_meet()
    {
        string Id(string sql) => Shop.Understand(sql).Effects.Single().Resource.Id;
        Assert.NotEqual(Id("select 1 from \"a.b\".c limit 1"), Id("select 1 from a.\"b.c\" limit 1"));
        Assert.NotEqual(Id("select 1 from a.\"b\"\"c\" limit 1"), Id("select 1 from a.\"\"\"b\"\"\"\"c\"\"\" limit 1"));
    }

    [Fact]
    public void P15_a_database_of_another_encoding_takes_only_ascii()
    {
        var latin = Shop.Session with { ServerEncoding = "LATIN1" };
        Assert.Equal(ReasonCodes.NotSupported, Reason("select 1 from \"\u00c4\"", latin));
        Assert.Null(Reason("select 1", latin));
    }

    [Fact]
    public void P16_a_server_newer_than_the_grammar_is_refused()
    {
        Assert.Equal(ReasonCodes.NotSupported, Reason("select 1", Shop.Session with { ServerMajor = SqlParser.GrammarMajor + 1 }));
        Assert.Null(Reason("select 1", Shop.Session with { ServerMajor = SqlParser.GrammarMajor }));
        var refusal = Shop.Understand("select 1 frm orders where").Refusal!;
        Assert.Equal((ReasonCodes.Unparseable, 14), (refusal.Reason, refusal.Position));
    }

    [Fact]
    public void P16_a_keyword_of_the_grammar_is_a_function_to_an_older_server() =>
        Assert.Equal(["sql:opaque shop.public.json_scalar"], Actions("select json_scalar(1)"));

    [Fact]
    public void P17_text_that_is_no_utf8_is_refused()
    {
        Assert.Equal(ReasonCodes.NotUtf8, Reason("select '\ud800'"));
        Assert.Equal(ReasonCodes.Unparseable, Reason("select 1\0; drop table orders"));
        Assert.Null(Reason("select '\ud83d\ude00'"));
    }

    [Fact]
    public void I1_a_statement_that_has_no_case_is_opaque_and_a_tree_that_is_unknown_is_refused()
    {
        var opaque = Assert.Single(Shop.Understand("do $$ begin null; end $$").Effects);
        Assert.Equal((SqlActions.Opaque, Verb.Administer, "shop"), (opaque.Action, opaque.Verb, opaque.Resource.Id));
        Assert.True(Holds(opaque, SqlFacts.Opaque));
        foreach (var json in new[]
        {
            """{"version":180004,"stmts":[{"stmt":{"NewStmt":{}}}]}""",
            """{"version":180004,"stmts":[{"stmt":{"DeleteStmt":{"newClause":{"String":{"sval":"x"}}}}}]}""",
            """{"version":180004,"stmts":[{"stmt":{"SelectStmt":[]}}]}""",
            """{"version":180004,"stmts":[{"stmt":7}]}""",
            """{"version":180004,"other":[]}""",
        })
        {
            Assert.Throws<Parsing.TreeException>(() => new Parsing.TreeReader(System.Text.Encoding.UTF8.GetBytes(json), 100).ReadResult(out _));
        }
    }

    [Theory]
    [InlineData("select (1).touch_order", "sql:opaque shop.public.touch_order")]
    [InlineData("select (o.id).touch_order from orders o where o.id = 1", "sql:opaque shop.public.touch_order")]
    [InlineData("select g.touch_order from generate_series(1, 2) g", "sql:opaque shop.public.touch_order")]
    [InlineData("select ((array[1])[1]).touch_order", "sql:opaque shop.public.touch_order")]
    [InlineData("select (array[1])[1].touch_order", "sql:opaque shop.public.touch_order")]
    [InlineData("select ('select 1'::text).ts_stat", "sql:opaque shop.pg_catalog.ts_stat")]
    [InlineData("select (16384::oid).lo_unlink", "sql:call shop.pg_catalog.lo_unlink")]
    [InlineData("select ('x'::text).email", "sql:opaque shop.public.email")]
    [InlineData("select f.lo_creat from generate_series(-1, -1) f", "sql:call shop.pg_catalog.lo_creat")]
    public void P4_functions_in_column_notation_are_calls(string sql, string expected) => Assert.Contains(expected, Actions(sql));

    [Theory]
    [InlineData("select (x).upper_case from (select 1 as upper_case) x")]
    [InlineData("select s.set_config from (select 1 as set_config) s")]
    [InlineData("select o.touch_order from orders o where o.id = 1")] // takes no row: the server refuses it
    public void Column_notation_of_what_is_no_function_of_one_value_is_a_column(string sql) => Assert.DoesNotContain(Actions(sql), static a => a.StartsWith("sql:opaque", StringComparison.Ordinal));

    [Theory]
    [InlineData("select percentile_disc(array[0.1, 0.9]) within group (order by email) from customers")]
    [InlineData("select percentile_disc('{0.1,0.9}'::float8[]) within group (order by email) from customers")]
    [InlineData("select percentile_disc($1) within group (order by email) from customers")]
    [InlineData("select percentile_cont((select array_agg(id) from orders)) within group (order by id) from customers")]
    public void P3_percentiles_in_an_array_are_an_export(string sql) => Assert.Contains("sql:export shop.public.customers", Actions(sql));

    [Fact]
    public void One_percentile_is_one_value() => Assert.DoesNotContain("sql:export shop.public.customers", Actions("select percentile_disc(0.5) within group (order by id) from customers"));

    [Fact]
    public void P5_another_sessions_temporary_view_is_opaque()
    {
        var session = Shop.Session with { SearchPath = ["pg_temp_3", "pg_catalog", "public"], TemporaryNames = FrozenSet.ToFrozenSet(["mine"]) };
        Assert.Contains("sql:opaque shop.pg_temp_4.spy", Actions("select * from pg_temp_4.spy", session));
        Assert.Equal(["sql:select shop.pg_temp.mine"], Actions("select * from pg_temp_3.mine", session));
        Assert.Equal(["sql:select shop.pg_temp.mine"], Actions("select * from pg_temp.mine", session));
    }

    [Theory]
    [InlineData("select domain_in('x', 16384, -1)")]
    [InlineData("select array_in('{x}', 16384, -1)")]
    public void P4_input_functions_of_any_type_are_opaque(string sql) => Assert.Contains(Actions(sql), static a => a.StartsWith("sql:opaque", StringComparison.Ordinal));
}
