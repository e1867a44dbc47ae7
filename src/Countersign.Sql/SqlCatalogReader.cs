using System.Data;
using System.Data.Common;

namespace Countersign.Sql;

/// <summary>Fills a <see cref="SqlCatalog"/> over a connection of the caller's own, which must not be the agent's session.</summary>
public static class SqlCatalogReader
{
    /// <summary>
    /// Reads a snapshot in one repeatable-read, read-only transaction under <c>search_path = pg_catalog</c>. Throws what the connection throws;
    /// a snapshot is whole or not at all.
    /// </summary>
    /// <param name="connection">Open, and used by nobody else meanwhile.</param>
    /// <param name="cancellation">Ends the reading.</param>
    public static async Task<SqlCatalog> ReadAsync(DbConnection connection, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(connection);
        await using var transaction = await connection.BeginTransactionAsync(IsolationLevel.RepeatableRead, cancellation);
        await ExecuteAsync(connection, transaction, "set local search_path = pg_catalog", cancellation);
        await ExecuteAsync(connection, transaction, "set transaction read only", cancellation);
        var builder = new SqlCatalog.Builder();

        await foreach (var row in RowsAsync(connection, transaction, SqlCatalogQueries.Relations, cancellation))
        {
            builder.Add(new SqlRelation(Name(row, 0), Kind(row.GetString(2)))
            {
                Columns = row.GetFieldValue<string[]>(3),
                HasTriggers = row.GetBoolean(4),
                HasRules = row.GetBoolean(5),
            });
        }

        await foreach (var row in RowsAsync(connection, transaction, SqlCatalogQueries.UniqueKeys, cancellation))
        {
            var key = row.GetFieldValue<string[]>(2);
            if (key.Length > 0) builder.Update(Name(row, 0), r => r with { UniqueKeys = [.. r.UniqueKeys, key] });
        }

        await foreach (var row in RowsAsync(connection, transaction, SqlCatalogQueries.Parents, cancellation))
        {
            var parent = Name(row, 2);
            builder.Update(Name(row, 0), r => r with { Parents = [.. r.Parents, parent] });
        }

        await foreach (var row in RowsAsync(connection, transaction, SqlCatalogQueries.ViewReads, cancellation))
        {
            var read = Name(row, 2);
            builder.Update(Name(row, 0), r => r with { Reads = [.. r.Reads, read] });
        }

        await foreach (var row in RowsAsync(connection, transaction, SqlCatalogQueries.ViewCalls, cancellation))
        {
            var called = Name(row, 2);
            builder.Update(Name(row, 0), r => r with { Calls = [.. r.Calls, called] });
        }

        await foreach (var row in RowsAsync(connection, transaction, SqlCatalogQueries.HiddenCalls, cancellation))
        {
            var hidden = new SqlHiddenCall(Name(row, 2), row.GetString(4) switch { "d" => SqlHiddenPlace.Default, "r" => SqlHiddenPlace.Read, "p" => SqlHiddenPlace.WritePolicy, _ => SqlHiddenPlace.Write });
            builder.Update(Name(row, 0), r => r with { Hidden = [.. r.Hidden, hidden] });
        }

        await foreach (var row in RowsAsync(connection, transaction, SqlCatalogQueries.Functions, cancellation))
        {
            builder.Add(new SqlFunction(Name(row, 0))
            {
                Volatility = Volatility(row.GetString(2)),
                Language = row.GetString(3),
                SecurityDefiner = row.GetBoolean(4),
                IsAggregate = row.GetBoolean(5),
                TakesRow = row.GetBoolean(6),
                TakesOne = row.GetBoolean(7),
            });
        }

        await foreach (var row in RowsAsync(connection, transaction, SqlCatalogQueries.Operators, cancellation))
            builder.Add(new SqlOperator(Name(row, 0), Volatility(row.GetString(2)), row.GetString(3)));
        await foreach (var row in RowsAsync(connection, transaction, SqlCatalogQueries.Types, cancellation))
            builder.Add(new SqlType(Name(row, 0), row.GetBoolean(2)));
        await foreach (var row in RowsAsync(connection, transaction, SqlCatalogQueries.References, cancellation))
            builder.Add(Name(row, 0), new SqlReference(Name(row, 2), Action(row.GetString(4)), Action(row.GetString(5))) { Columns = row.GetFieldValue<string[]>(6) });

        await transaction.CommitAsync(cancellation);
        return builder.Build();
    }

    static async Task ExecuteAsync(DbConnection connection, DbTransaction transaction, string sql, CancellationToken cancellation)
    {
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = sql;
        await command.ExecuteNonQueryAsync(cancellation);
    }

    static async IAsyncEnumerable<DbDataReader> RowsAsync(DbConnection connection, DbTransaction transaction, string sql, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = sql;
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation)) yield return reader;
    }

    static SqlName Name(DbDataReader row, int at) => new(row.GetString(at), row.GetString(at + 1));

    /// <summary>A kind that a later server adds counts as a table: it is then judged by its name and classes, not by what it is.</summary>
    static SqlRelationKind Kind(string relkind) => relkind switch
    {
        "p" => SqlRelationKind.PartitionedTable,
        "v" => SqlRelationKind.View,
        "m" => SqlRelationKind.MaterializedView,
        "f" => SqlRelationKind.ForeignTable,
        "S" => SqlRelationKind.Sequence,
        "i" or "I" => SqlRelationKind.Index,
        "c" => SqlRelationKind.CompositeType,
        _ => SqlRelationKind.Table,
    };

    static SqlVolatility Volatility(string provolatile) => provolatile switch
    {
        "i" => SqlVolatility.Immutable,
        "s" => SqlVolatility.Stable,
        _ => SqlVolatility.Volatile,
    };

    static SqlReferentialAction Action(string type) => type switch
    {
        "a" or "r" => SqlReferentialAction.None,
        "c" => SqlReferentialAction.Cascade,
        _ => SqlReferentialAction.Set,
    };
}
