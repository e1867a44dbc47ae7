using Countersign.Sql;
using Npgsql;

namespace Countersign.Gateway.Postgres;

/// <summary>
/// Reads a catalogue snapshot in one repeatable-read transaction. Every name is qualified; the queries work on PostgreSQL
/// 13 to 18. What a role may not see in these catalogues is nothing: they are readable by everybody.
/// </summary>
internal static class CatalogReader
{
    private const string Queries = """
        SELECT n.nspname, c.relname, c.relkind::text,
               ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
               EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal),
               EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN')
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname NOT LIKE 'pg\_toast%';

        SELECT n.nspname, c.relname, ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(i.indkey[0:i.indnkeyatts - 1]) k JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k)
        FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AND n.nspname NOT LIKE 'pg\_toast%';

        SELECT cn.nspname, c.relname, pn.nspname, p.relname
        FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
        JOIN pg_catalog.pg_class p ON p.oid = i.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace WHERE c.relkind IN ('r', 'p', 'f');

        SELECT DISTINCT vn.nspname, v.relname, tn.nspname, t.relname
        FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class v ON v.oid = r.ev_class JOIN pg_catalog.pg_namespace vn ON vn.oid = v.relnamespace
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> v.oid
        JOIN pg_catalog.pg_class t ON t.oid = d.refobjid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
        WHERE v.relkind IN ('v', 'm') AND t.relkind IN ('r', 'p', 'v', 'm', 'f', 'S');

        SELECT DISTINCT vn.nspname, v.relname, pn.nspname, p.proname
        FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class v ON v.oid = r.ev_class JOIN pg_catalog.pg_namespace vn ON vn.oid = v.relnamespace
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
        JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
        WHERE v.relkind IN ('v', 'm');

        SELECT n.nspname, p.proname, p.provolatile::text, l.lanname, p.prosecdef, p.prokind = 'a',
               p.pronargs > 0 AND (t.typtype IN ('c', 'p') OR t.typname = 'record')
        FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace JOIN pg_catalog.pg_language l ON l.oid = p.prolang
        LEFT JOIN pg_catalog.pg_type t ON t.oid = p.proargtypes[0]
        WHERE n.nspname NOT IN ('pg_catalog', 'information_schema');

        SELECT n.nspname, o.oprname, p.provolatile::text, l.lanname
        FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode JOIN pg_catalog.pg_language l ON l.oid = p.prolang
        WHERE n.nspname NOT IN ('pg_catalog', 'information_schema');

        SELECT n.nspname, t.typname,
               t.typtype = 'd'
               OR (t.typtype = 'b' AND t.typelem = 0 AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE p.oid = t.typinput AND l.lanname IN ('internal', 'c')))
               OR EXISTS (SELECT FROM pg_catalog.pg_cast c WHERE c.casttarget = t.oid AND c.castfunc <> 0)
        FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
        WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_toast%';

        SELECT rn.nspname, r.relname, tn.nspname, t.relname, c.confdeltype::text, c.confupdtype::text
        FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_class r ON r.oid = c.confrelid JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
        JOIN pg_catalog.pg_class t ON t.oid = c.conrelid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
        WHERE c.contype = 'f';
        """;

    public static async Task<SqlCatalog> ReadAsync(NpgsqlConnection connection)
    {
        var builder = new SqlCatalog.Builder();
        var transaction = await connection.BeginTransactionAsync(System.Data.IsolationLevel.RepeatableRead).ConfigureAwait(false);
        await using (transaction.ConfigureAwait(false))
        {
            var command = new NpgsqlCommand(Queries, connection, transaction);
            await using (command.ConfigureAwait(false))
            {
                var rows = await command.ExecuteReaderAsync().ConfigureAwait(false);
                await using (rows.ConfigureAwait(false))
                {
                    await RelationsAsync(builder, rows).ConfigureAwait(false);
                    await ObjectsAsync(builder, rows).ConfigureAwait(false);
                }
            }
        }

        return builder.Build();
    }

    private static async Task RelationsAsync(SqlCatalog.Builder builder, NpgsqlDataReader rows)
    {
        while (await rows.ReadAsync().ConfigureAwait(false))
        {
            builder.Add(new SqlRelation(Name(rows, 0), Kind(rows.GetString(2)))
            {
                Columns = rows.GetFieldValue<string[]>(3),
                HasTriggers = rows.GetBoolean(4),
                HasRules = rows.GetBoolean(5),
            });
        }

        await NextAsync(rows).ConfigureAwait(false);
        while (await rows.ReadAsync().ConfigureAwait(false))
        {
            var columns = rows.GetFieldValue<string[]>(2);
            builder.Update(Name(rows, 0), r => r with { UniqueKeys = [.. r.UniqueKeys, columns] });
        }

        await NextAsync(rows).ConfigureAwait(false);
        while (await rows.ReadAsync().ConfigureAwait(false))
        {
            var parent = Name(rows, 2);
            builder.Update(Name(rows, 0), r => r with { Parents = [.. r.Parents, parent] });
        }

        await NextAsync(rows).ConfigureAwait(false);
        while (await rows.ReadAsync().ConfigureAwait(false))
        {
            var read = Name(rows, 2);
            builder.Update(Name(rows, 0), r => r with { Reads = [.. r.Reads, read] });
        }

        await NextAsync(rows).ConfigureAwait(false);
        while (await rows.ReadAsync().ConfigureAwait(false))
        {
            var called = Name(rows, 2);
            builder.Update(Name(rows, 0), r => r with { Calls = [.. r.Calls, called] });
        }

        await NextAsync(rows).ConfigureAwait(false);
    }

    private static async Task ObjectsAsync(SqlCatalog.Builder builder, NpgsqlDataReader rows)
    {
        while (await rows.ReadAsync().ConfigureAwait(false))
        {
            builder.Add(new SqlFunction(Name(rows, 0))
            {
                Volatility = Volatility(rows.GetString(2)),
                Language = rows.GetString(3),
                SecurityDefiner = rows.GetBoolean(4),
                IsAggregate = rows.GetBoolean(5),
                TakesRow = await rows.IsDBNullAsync(6).ConfigureAwait(false) || rows.GetBoolean(6),
            });
        }

        await NextAsync(rows).ConfigureAwait(false);
        while (await rows.ReadAsync().ConfigureAwait(false)) builder.Add(new SqlOperator(Name(rows, 0), Volatility(rows.GetString(2)), rows.GetString(3)));
        await NextAsync(rows).ConfigureAwait(false);
        while (await rows.ReadAsync().ConfigureAwait(false)) builder.Add(new SqlType(Name(rows, 0), rows.GetBoolean(2)));
        await NextAsync(rows).ConfigureAwait(false);
        while (await rows.ReadAsync().ConfigureAwait(false))
        {
            builder.Add(Name(rows, 0), new SqlReference(Name(rows, 2), Action(rows.GetString(4)), Action(rows.GetString(5))));
        }
    }

    private static async Task NextAsync(NpgsqlDataReader rows)
    {
        if (!await rows.NextResultAsync().ConfigureAwait(false)) throw new InvalidOperationException("the catalogue queries and their reader differ");
    }

    private static SqlName Name(NpgsqlDataReader rows, int at) => new(rows.GetString(at), rows.GetString(at + 1));

    private static SqlRelationKind Kind(string relkind) => relkind switch
    {
        "p" => SqlRelationKind.PartitionedTable,
        "v" => SqlRelationKind.View,
        "m" => SqlRelationKind.MaterializedView,
        "f" => SqlRelationKind.ForeignTable,
        "S" => SqlRelationKind.Sequence,
        _ => SqlRelationKind.Table,
    };

    private static SqlVolatility Volatility(string provolatile) => provolatile switch
    {
        "i" => SqlVolatility.Immutable,
        "s" => SqlVolatility.Stable,
        _ => SqlVolatility.Volatile,
    };

    private static SqlReferentialAction Action(string type) => type switch
    {
        "c" => SqlReferentialAction.Cascade,
        "n" or "d" => SqlReferentialAction.Set,
        _ => SqlReferentialAction.None,
    };
}
