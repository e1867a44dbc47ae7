using Countersign.Core;

namespace Countersign.Sql.Tests;

/// <summary>The catalogue queries against a real server.</summary>
public sealed class CatalogTests(PostgresFixture postgres) : IClassFixture<PostgresFixture>
{
    async Task<SqlCatalog> ReadAsync(string schema, string sql)
    {
        await postgres.ExecuteAsync($"drop schema if exists {schema} cascade; create schema {schema}; set search_path = {schema}; {sql}");
        await using var connection = await postgres.Source.OpenConnectionAsync();
        return await SqlCatalogReader.ReadAsync(connection);
    }

    static SqlRelation Relation(SqlCatalog catalog, string schema, string name) => catalog.Relation(new SqlName(schema, name)) ?? throw new InvalidOperationException(name);

    [Fact]
    public async Task Relations_have_kind_columns_keys_triggers_and_rules()
    {
        var catalog = await ReadAsync("kinds", """
            create table t (id int primary key, gone int, email text unique, a int, b int, constraint u unique (b, a) include (email), constraint d unique (a) deferrable);
            alter table t drop column gone;
            create unique index on t (lower(email)); create unique index on t (b) where a > 1; create index on t (a);
            create view v as select id from t; create materialized view m as select * from t; create sequence q;
            create function f() returns trigger language plpgsql as 'begin return new; end';
            create table audited (id int); create trigger tr before insert on audited for each row execute function f();
            create table ruled (id int); create rule r as on insert to ruled do also select 1;
            create table child (t_id int references t on delete cascade on update set null);
            create type pair as (x int, y int);
            """);
        var t = Relation(catalog, "kinds", "t");
        Assert.Equal(SqlRelationKind.Table, t.Kind);
        Assert.Equal(["id", "email", "a", "b"], t.Columns);
        Assert.Equal(["a,b", "email", "id"], t.UniqueKeys.Select(static k => string.Join(',', k.Order())).Order());
        Assert.False(t.HasTriggers); // the foreign key's own are internal
        Assert.False(t.HasRules);
        Assert.Equal(SqlRelationKind.View, Relation(catalog, "kinds", "v").Kind);
        Assert.False(Relation(catalog, "kinds", "v").HasRules);
        Assert.Equal(SqlRelationKind.MaterializedView, Relation(catalog, "kinds", "m").Kind);
        Assert.Equal(SqlRelationKind.Sequence, Relation(catalog, "kinds", "q").Kind);
        Assert.Equal(SqlRelationKind.CompositeType, Relation(catalog, "kinds", "pair").Kind);
        Assert.Equal(SqlRelationKind.Index, Relation(catalog, "kinds", "t_pkey").Kind);
        Assert.True(Relation(catalog, "kinds", "audited").HasTriggers);
        Assert.True(Relation(catalog, "kinds", "ruled").HasRules);
        Assert.True(Relation(catalog, "pg_catalog", "pg_settings").HasRules);

        var reference = Assert.Single(catalog.References(new SqlName("kinds", "t")).ToArray());
        Assert.Equal(("child", SqlReferentialAction.Cascade, SqlReferentialAction.Set), (reference.Table.Name, reference.OnDelete, reference.OnUpdate));
        Assert.Equal(["id"], reference.Columns);
    }

    [Fact]
    public async Task Partitions_and_children_know_their_parents()
    {
        var catalog = await ReadAsync("trees", """
            create table p (id int primary key, x int) partition by range (id);
            create table p1 partition of p for values from (0) to (10);
            create table p2 partition of p for values from (10) to (20) partition by range (id);
            create table p21 partition of p2 for values from (10) to (15);
            create table a (id int); create table b () inherits (a); create table c (id int) inherits (a, b);
            """);
        Assert.Equal(SqlRelationKind.PartitionedTable, Relation(catalog, "trees", "p").Kind);
        Assert.Equal(["p1", "p2"], catalog.Children(new SqlName("trees", "p")).ToArray().Select(static n => n.Name));
        Assert.Equal(["p21"], catalog.Children(new SqlName("trees", "p2")).ToArray().Select(static n => n.Name));
        Assert.Equal(["a", "b"], Relation(catalog, "trees", "c").Parents.Select(static n => n.Name).Order());
        Assert.NotEmpty(Relation(catalog, "trees", "p21").UniqueKeys);
    }

    [Fact]
    public async Task Views_tell_what_they_read_and_call_system_relations_too()
    {
        var catalog = await ReadAsync("views", """
            create table t (id int, name text); create table ":relid 1259" (id int);
            create function touch(int) returns int language plpgsql as 'begin return 1; end';
            create view plain as select id from t where exists (select 1 from ":relid 1259" x where x.id = t.id);
            create view outer_view as select count(*) from plain;
            create view calling as select touch(id), lower(name), ':funcid 2' as trick from t;
            create view secret as select rolpassword from pg_authid;
            create view files as select pg_read_file('/etc/passwd');
            create view settings as select * from pg_settings;
            create materialized view stored as select * from plain;
            """);
        SqlName[] Reads(string view) => [.. Relation(catalog, "views", view).Reads.OrderBy(static n => n.Name, StringComparer.Ordinal)];
        Assert.Equal([new("views", ":relid 1259"), new("views", "t")], Reads("plain"));
        Assert.Equal([new("views", "plain")], Reads("outer_view"));
        Assert.Equal([new("pg_catalog", "pg_authid")], Reads("secret"));
        Assert.Equal([new("pg_catalog", "pg_settings")], Reads("settings"));
        Assert.Equal([new("views", "plain")], Reads("stored"));
        Assert.Contains(new SqlName("views", "touch"), Relation(catalog, "views", "calling").Calls);
        Assert.Contains(new SqlName("pg_catalog", "pg_read_file"), Relation(catalog, "views", "files").Calls);

        var session = Shop.Session with { SearchPath = ["pg_catalog", "views"] };
        string[] Effects(string sql) => [.. Shop.Understand(sql, session, catalog).Effects.Select(static e => $"{e.Action} {e.Resource.Id}").Order(StringComparer.Ordinal)];
        Assert.Equal(["sql:opaque shop.views.touch", "sql:select shop.views.calling", "sql:select shop.views.t"], Effects("select * from calling limit 1"));
        Assert.Contains("sql:export shop.pg_catalog.pg_authid", Effects("select * from secret"));
        Assert.Contains("sql:server-file shop.pg_catalog.pg_read_file", Effects("select * from files"));
        Assert.Equal(ReasonCodes.UnsafeSetting, Shop.Understand("update settings set setting = 'off' where name = 'standard_conforming_strings'", session, catalog).Refusal?.Reason);
        Assert.Equal(["sql:select shop.views.:relid 1259", "sql:select shop.views.plain", "sql:select shop.views.t"], Effects("select * from plain limit 1"));
    }

    [Fact]
    public async Task P4_what_a_table_calls_is_called_by_whoever_writes_it()
    {
        var catalog = await ReadAsync("hidden", """
            create function deed() returns int language plpgsql as 'begin return 1; end';
            create function folded(int) returns int language plpgsql immutable as 'begin return 1; end';
            create domain vetted as int check (hidden.folded(value) > 0); create domain dated as int default hidden.deed();
            create table plain (id bigserial primary key, n int generated always as identity, at timestamptz default now(), u uuid default gen_random_uuid(), r float default random(), body text check (length(body) > 0), up text generated always as (upper(body)) stored);
            create table by_default (id int, x int default deed()); create table by_check (id int check (folded(id) > 0));
            create table by_generation (id int, g int generated always as (folded(id)) stored); create table by_index (id int); create index on by_index (folded(id));
            create table by_domain (id int, d dated); create table by_array (id int, d vetted[]);
            create table parts (id int) partition by range (folded(id)); create table part partition of parts default;
            create table by_setting (id int, path text default set_config('search_path', 'x', false));
            create table guarded (id int); alter table guarded enable row level security; create policy p on guarded using (deed() > 0);
            create table asleep (id int); create policy p on asleep using (deed() > 0);
            create table added (id int); alter table added enable row level security; create policy p on added for insert with check (deed() > 0); create policy r on added for select using (true);
            """);
        var session = Shop.Session with { SearchPath = ["pg_catalog", "hidden"] };
        string? Opaque(string sql)
        {
            var understood = Shop.Understand(sql, session, catalog);
            Assert.Null(understood.Refusal);
            var called = understood.Effects.Where(static e => e.Action == SqlActions.Opaque).Select(static e => e.Resource.Id).ToArray();
            Assert.All(understood.Effects, e => Assert.Equal(called.Length > 0, e.Facts[SqlFacts.Opaque] == true));
            return called.Length == 0 ? null : string.Join(' ', called);
        }

        Assert.Null(Opaque("insert into plain (body) values ('x')"));
        Assert.Null(Opaque("update plain set body = 'y' where id = 1"));
        Assert.Equal("shop.hidden.deed", Opaque("insert into by_default (id) values (1)"));
        Assert.Null(Opaque("delete from by_default where id = 1"));
        Assert.Null(Opaque("select * from by_default limit 1"));
        foreach (var table in (string[])["by_check", "by_generation", "by_index", "parts", "by_array"]) Assert.Equal("shop.hidden.folded", Opaque($"insert into {table} (id) values (1)"));
        Assert.Equal("shop.hidden.folded", Opaque("update by_check set id = 2 where id = 1"));
        Assert.Equal("shop.hidden.deed", Opaque("insert into by_domain (id) values (1)"));
        Assert.Equal("shop.pg_catalog.set_config", Opaque("insert into by_setting (id) values (1)"));
        Assert.Equal("shop.hidden.deed", Opaque("select * from guarded limit 1"));
        Assert.Equal("shop.hidden.deed", Opaque("delete from guarded where id = 1"));
        Assert.Null(Opaque("truncate guarded"));
        Assert.Null(Opaque("select * from asleep limit 1"));
        Assert.Equal("shop.hidden.deed", Opaque("insert into added values (1)"));
        Assert.Null(Opaque("select * from added limit 1"));

        string? Risk(string sql) => Assert.Single(Shop.Understand(sql, session, catalog).Statements).PlanRisk;
        Assert.Null(Risk("select * from plain where id = 1"));
        Assert.Null(Risk("insert into plain (body) values ('x')"));
        foreach (var sql in (string[])["select * from by_index limit 1", "select * from by_check limit 1", "delete from by_check where id = 1", "select * from guarded limit 1", "select deed()", "select folded(1)", "select nextval('plain_id_seq')", "select * from nowhere"])
            Assert.NotNull(Risk(sql));
    }

    [Fact]
    public async Task Functions_operators_and_types_tell_what_they_may_run()
    {
        var catalog = await ReadAsync("code", """
            create table t (id int);
            create function pure(int) returns int language sql immutable as 'select 1';
            create function steady(a int, b int default 1) returns int language plpgsql stable security definer as 'begin return 1; end';
            create function of_row(t) returns int language sql as 'select 1';
            create function of_any(anyelement) returns int language sql as 'select 1';
            create aggregate total (int) (sfunc = int4pl, stype = int);
            create function eq(int, text) returns bool language plpgsql as 'begin return true; end';
            create operator === (leftarg = int, rightarg = text, function = eq);
            create type mood as enum ('a'); create domain small as int check (value < 10);
            create domain checked as int check (code.pure(value) > 0); create domain nested as checked;
            create type span as range (subtype = int4);
            create function to_mood(int) returns mood language sql as $$ select 'a'::code.mood $$;
            create cast (int as mood) with function to_mood(int);
            """);
        SqlFunction Function(string name) => Assert.Single(catalog.Functions(name).ToArray());
        Assert.Equal((SqlVolatility.Immutable, "sql", false), (Function("pure").Volatility, Function("pure").Language, Function("pure").IsHarmless));
        Assert.Equal((SqlVolatility.Stable, true, false), (Function("steady").Volatility, Function("steady").SecurityDefiner, Function("steady").TakesRow));
        Assert.True(Function("of_row").TakesRow);
        Assert.True(Function("of_any").TakesRow);
        Assert.Equal((true, true, false), (Function("pure").TakesOne, Function("steady").TakesOne, Function("eq").TakesOne));
        Assert.True(Function("total").IsAggregate);
        Assert.Equal((SqlVolatility.Volatile, "plpgsql"), (catalog.Operators("===")[0].Volatility, catalog.Operators("===")[0].Language));
        bool MayRunCode(string name) => Assert.Single(catalog.Types(name).ToArray()).MayRunCode;
        Assert.True(MayRunCode("mood"));
        Assert.False(MayRunCode("small"));
        Assert.True(MayRunCode("checked"));
        Assert.True(MayRunCode("nested"));
        Assert.False(MayRunCode("span"));
        Assert.Empty(catalog.Types("_mood").ToArray());
    }

    [Fact]
    public async Task Fingerprint_changes_with_ddl_and_not_with_writes()
    {
        await postgres.ExecuteAsync("drop schema if exists prints cascade; create schema prints; create table prints.t (id int); create function prints.f() returns int language sql as 'select 1'");
        async Task<string> Print()
        {
            await using var command = postgres.Source.CreateCommand(SqlCatalogQueries.Fingerprint);
            return (string)(await command.ExecuteScalarAsync())!;
        }

        foreach (var ddl in new[]
        {
            "alter table prints.t add column x int", "create unique index on prints.t (id)", "create view prints.v as select 1 as a", "create or replace view prints.v as select 1 as a, 2 as b",
            "create or replace function prints.f() returns int language sql as 'select 2'", "create table prints.c () inherits (prints.t)",
            "alter table prints.c rename to d", "create domain prints.n as int", "drop view prints.v", "create rule r as on insert to prints.d do also select 1",
            "alter table prints.t add constraint positive check (id > 0)", "create sequence prints.q",
        })
        {
            var before = await Print();
            await postgres.ExecuteAsync("insert into prints.t (id) select coalesce(max(id), 0) + 1 from prints.t; analyze prints.t");
            Assert.Equal(before, await Print());
            await postgres.ExecuteAsync(ddl);
            Assert.True(before != await Print(), ddl);
        }
    }

    [Fact]
    public async Task Session_query_tells_the_path_as_the_server_resolves_it()
    {
        await postgres.ExecuteAsync("drop schema if exists mine cascade; create schema mine");
        await using var connection = await postgres.Source.OpenConnectionAsync();
        await using (var set = new Npgsql.NpgsqlCommand("set search_path = nowhere, mine, \"$user\"; create temp table scratch (id int)", connection)) await set.ExecuteNonQueryAsync();
        await using (var command = new Npgsql.NpgsqlCommand(SqlCatalogQueries.Session, connection))
        await using (var row = await command.ExecuteReaderAsync())
        {
            Assert.True(await row.ReadAsync());
            Assert.Equal("postgres", row.GetString(0));
            var path = row.GetFieldValue<string[]>(1);
            Assert.StartsWith("pg_temp_", path[0], StringComparison.Ordinal);
            Assert.Equal(["pg_catalog", "mine"], path[1..]);
            Assert.Equal(("UTF8", "on"), (row.GetString(2), row.GetString(4)));
            Assert.InRange(row.GetInt32(3), 13, SqlParser.GrammarMajor);
        }

        await using var names = new Npgsql.NpgsqlCommand(SqlCatalogQueries.TemporaryNames, connection);
        Assert.Equal("scratch", await names.ExecuteScalarAsync());
    }

    /// <summary>
    /// The reviewed catalogue against the server's: nothing volatile is harmless but what functions.sql names, and every function that is
    /// missing from the list is unknown, so not harmless.
    /// </summary>
    [Fact]
    public async Task P4_function_catalogue_agrees_with_the_server()
    {
        var query = await File.ReadAllTextAsync(Path.Combine(Repository.Root, "src", "Countersign.Sql", "Data", "functions.sql"));
        await using var command = postgres.Source.CreateCommand(query);
        await using var rows = await command.ExecuteReaderAsync();
        var count = 0;
        while (await rows.ReadAsync())
        {
            var (name, kind) = (rows.GetString(0), rows.GetString(1));
            var listed = Analysis.Builtins.Function(name);
            var harmless = listed is Analysis.BuiltinClass.Harmless or Analysis.BuiltinClass.ScalarAggregate or Analysis.BuiltinClass.CollectingAggregate;
            Assert.True(!harmless || kind is "h" or "a" or "c", $"`{name}` is listed as {listed}, the server says {kind}");
            count++;
        }

        Assert.InRange(count, 2_000, 10_000);
    }
}

static class Repository
{
    /// <summary>The folder that holds the solution.</summary>
    public static string Root { get; } = Find(AppContext.BaseDirectory);

    static string Find(string folder) =>
        File.Exists(Path.Combine(folder, "Countersign.slnx")) ? folder : Find(Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("the tests do not run within the repository"));
}
