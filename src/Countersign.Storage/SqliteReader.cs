using Countersign.Journal;
using Microsoft.Data.Sqlite;

namespace Countersign.Storage;

/// <summary>One read connection with its prepared statements. Used by one thread at a time.</summary>
internal sealed class SqliteReader(SqliteConnection connection) : IDisposable
{
    private const long MaxPageBytes = 4 << 20;
    private const string Columns = "SELECT collection, key, version, tag, value FROM documents ";

    private readonly SqliteCommand get = Prepare(connection, Columns + "WHERE collection = $1 AND key = $2", 2);
    private readonly SqliteCommand byTag = Prepare(connection, Columns + "WHERE collection = $1 AND tag = $2", 2);
    private readonly SqliteCommand list = Prepare(connection, Columns + "WHERE collection = $1 AND ($2 IS NULL OR key > $2) ORDER BY key LIMIT $3", 3);
    private readonly SqliteCommand entries = Prepare(connection, "SELECT idx, bytes, leaf FROM entries WHERE idx >= $1 ORDER BY idx LIMIT $2", 2);
    private readonly SqliteCommand count = Prepare(connection, "SELECT coalesce(max(idx) + 1, 0) FROM entries", 0);
    private readonly SqliteCommand body = Prepare(connection, "SELECT salt, body FROM bodies WHERE idx = $1", 1);

    public SqliteConnection Connection { get; } = connection;

    public StateDocument? Get(string collection, string key) => One(get, collection, key);

    public StateDocument? FindByTag(string collection, string tag) => One(byTag, collection, tag);

    public IReadOnlyList<StateDocument> List(string collection, string? afterKey, int max)
    {
        Bind(list, collection, (object?)afterKey ?? DBNull.Value, (long)max);
        using var row = list.ExecuteReader();
        var result = new List<StateDocument>();
        while (row.Read()) result.Add(Document(row));
        return result;
    }

    public IReadOnlyList<JournalEntry> ReadEntries(long fromIndex, int max)
    {
        Bind(entries, fromIndex, (long)max);
        using var row = entries.ExecuteReader();
        var result = new List<JournalEntry>();
        for (var bytes = 0L; bytes < MaxPageBytes && row.Read();)
        {
            var entry = new JournalEntry(new LeafIndex(row.GetInt64(0)), (byte[])row.GetValue(1), (byte[])row.GetValue(2));
            bytes += entry.Bytes.Length;
            result.Add(entry);
        }

        return result;
    }

    public long EntryCount() => (long)count.ExecuteScalar()!;

    public JournalBody? Body(LeafIndex index)
    {
        Bind(body, index.Value);
        using var row = body.ExecuteReader();
        return row.Read() ? new JournalBody(row.GetValue(0) as byte[], row.GetValue(1) as byte[]) : null;
    }

    public void Dispose()
    {
        foreach (var command in (SqliteCommand[])[get, byTag, list, entries, count, body]) command.Dispose();
        Connection.Dispose();
    }

    internal static SqliteCommand Prepare(SqliteConnection connection, string sql, int parameters)
    {
        var command = connection.CreateCommand();
        command.CommandText = sql;
        for (var i = 1; i <= parameters; i++) command.Parameters.Add(new SqliteParameter { ParameterName = "$" + i.ToString(System.Globalization.CultureInfo.InvariantCulture), Value = DBNull.Value });
        command.Prepare();
        return command;
    }

    internal static void Bind(SqliteCommand command, params ReadOnlySpan<object> values)
    {
        for (var i = 0; i < values.Length; i++) command.Parameters[i].Value = values[i];
    }

    private static StateDocument? One(SqliteCommand command, string collection, string name)
    {
        Bind(command, collection, name);
        using var row = command.ExecuteReader();
        return row.Read() ? Document(row) : null;
    }

    private static StateDocument Document(SqliteDataReader row) => new(
        row.GetString(0), row.GetString(1), row.GetInt64(2), row.IsDBNull(3) ? null : row.GetString(3), (byte[])row.GetValue(4));
}
