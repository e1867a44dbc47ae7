using Countersign.Journal;
using Microsoft.Data.Sqlite;

namespace Countersign.Storage;

/// <summary>The write connection with its prepared statements.</summary>
internal sealed class SqliteWriter(SqliteConnection connection) : IDisposable
{
    private readonly SqliteCommand begin = Prepare(connection, "BEGIN IMMEDIATE", 0);
    private readonly SqliteCommand commit = Prepare(connection, "COMMIT", 0);
    private readonly SqliteCommand mark = Prepare(connection, "SAVEPOINT one_set", 0);
    private readonly SqliteCommand release = Prepare(connection, "RELEASE one_set", 0);
    private readonly SqliteCommand entry = Prepare(connection, "INSERT INTO entries VALUES ($1, $2, $3)", 3);
    private readonly SqliteCommand body = Prepare(connection, "INSERT INTO bodies VALUES ($1, $2, $3)", 3);

    // OR IGNORE and ON CONFLICT turn a lost race into "no row changed" instead of an error: that is the compare-and-set.
    private readonly SqliteCommand create = Prepare(connection, """
        INSERT INTO documents SELECT $1, $2, 1 + coalesce((SELECT version FROM deleted WHERE collection = $1), 0), $3, $4 WHERE true
        ON CONFLICT DO NOTHING RETURNING version
        """, 4);

    private readonly SqliteCommand update = Prepare(connection, """
        UPDATE OR IGNORE documents SET version = version + 1, tag = $4, value = $5
        WHERE collection = $1 AND key = $2 AND version = $3 RETURNING version
        """, 5);

    private readonly SqliteCommand delete = Prepare(connection, "DELETE FROM documents WHERE collection = $1 AND key = $2 AND version = $3", 3);
    private readonly SqliteCommand forget = Prepare(connection, """
        INSERT INTO deleted VALUES ($1, $2) ON CONFLICT (collection) DO UPDATE SET version = max(version, excluded.version)
        """, 2);

    private readonly SqliteCommand exists = Prepare(connection, "SELECT version FROM documents WHERE collection = $1 AND key = $2", 2);

    public SqliteConnection Connection { get; } = connection;

    /// <summary>Bytes written since the write-ahead log was last moved into the database, roughly.</summary>
    public long Written { get; set; }

    public int Commits { get; set; }

    public bool InTransaction => SQLitePCL.raw.sqlite3_get_autocommit(Connection.Handle) == 0;

    public void Begin() => begin.ExecuteNonQuery();

    public void Commit()
    {
        commit.ExecuteNonQuery();
        Commits++;
    }

    /// <summary>On an error SQLite may have rolled back already; asking twice would be one more error.</summary>
    public void Rollback()
    {
        if (InTransaction) SqliteSchema.Execute(Connection, "ROLLBACK");
    }

    public SetOutcome Apply(IReadOnlyList<StateChange> changes, IReadOnlyList<SealedEntry> entries)
    {
        long[] versions = [];
        if (changes.Count > 0)
        {
            versions = new long[changes.Count];
            if (changes.Count > 1) mark.ExecuteNonQuery();
            for (var i = 0; i < versions.Length; i++)
            {
                if (Change(changes[i]) is { } version)
                {
                    versions[i] = version;
                    continue;
                }

                var conflict = Explain(changes[i]);
                if (changes.Count > 1) SqliteSchema.Execute(Connection, "ROLLBACK TO one_set; RELEASE one_set");
                return new SetOutcome(conflict, []);
            }

            if (changes.Count > 1) release.ExecuteNonQuery();
        }

        foreach (var e in entries)
        {
            SqliteReader.Bind(entry, e.Index.Value, e.Bytes, e.LeafHash);
            entry.ExecuteNonQuery();
            Written += e.Bytes.Length;
            if (e.Body is not { Salt: { } salt, Bytes: { } bytes }) continue;
            SqliteReader.Bind(body, e.Index.Value, salt, bytes);
            body.ExecuteNonQuery();
            Written += bytes.Length;
        }

        return new SetOutcome(null, versions);
    }

    public void Dispose()
    {
        foreach (var command in (SqliteCommand[])[begin, commit, mark, release, entry, body, create, update, delete, forget, exists]) command.Dispose();
        Connection.Dispose();
    }

    /// <summary>The new version (0 when deleted), or null when the compare-and-set failed.</summary>
    private long? Change(StateChange change)
    {
        switch (change)
        {
            case StateChange.Put { ExpectedVersion: 0 } put:
                SqliteReader.Bind(create, put.Collection, put.Key, (object?)put.Tag ?? DBNull.Value, put.Value);
                Written += put.Value.Length;
                return create.ExecuteScalar() as long?;
            case StateChange.Put put:
                SqliteReader.Bind(update, put.Collection, put.Key, put.ExpectedVersion, (object?)put.Tag ?? DBNull.Value, put.Value);
                Written += put.Value.Length;
                return update.ExecuteScalar() as long?;
            case StateChange.Delete gone:
                SqliteReader.Bind(delete, gone.Collection, gone.Key, gone.ExpectedVersion);
                if (delete.ExecuteNonQuery() != 1) return null;
                SqliteReader.Bind(forget, gone.Collection, gone.ExpectedVersion);
                forget.ExecuteNonQuery();
                return 0;
            default:
                throw new ArgumentException("unknown kind of change", nameof(change));
        }
    }

    private string Explain(StateChange change)
    {
        SqliteReader.Bind(exists, change.Collection, change.Key);
        var actual = exists.ExecuteScalar() as long? ?? 0;
        return actual == change.ExpectedVersion
            ? $"`{change.Collection}`: another document has the tag"
            : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"`{change.Collection}`: expected version {change.ExpectedVersion}, has {actual}");
    }

    private static SqliteCommand Prepare(SqliteConnection connection, string sql, int parameters) => SqliteReader.Prepare(connection, sql, parameters);
}
