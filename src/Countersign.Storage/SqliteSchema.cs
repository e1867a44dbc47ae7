using System.Globalization;
using Countersign.Journal;
using Microsoft.Data.Sqlite;

namespace Countersign.Storage;

/// <summary>Tables, and how a connection is set up.</summary>
internal static class SqliteSchema
{
    /// <summary>Raised with every change of the tables; an older program refuses a newer store.</summary>
    public const int Version = 1;

    // Triggers are a seat belt against our own mistakes; what proves the journal is its hashes.
    private const string Tables = """
        CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT;

        CREATE TABLE meta (name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) STRICT;
        INSERT INTO meta VALUES ('probe', 0);

        CREATE TABLE secrets (name TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) STRICT;

        CREATE TABLE entries (
          idx INTEGER PRIMARY KEY NOT NULL CHECK (idx >= 0),
          bytes BLOB NOT NULL,
          leaf BLOB NOT NULL CHECK (length(leaf) = 32)) STRICT;
        CREATE TRIGGER entries_append BEFORE INSERT ON entries
          WHEN NEW.idx <> (SELECT coalesce(max(idx) + 1, 0) FROM entries)
          BEGIN SELECT raise(ABORT, 'entries are appended in order'); END;
        CREATE TRIGGER entries_update BEFORE UPDATE ON entries BEGIN SELECT raise(ABORT, 'entries are never changed'); END;
        CREATE TRIGGER entries_delete BEFORE DELETE ON entries BEGIN SELECT raise(ABORT, 'entries are never deleted'); END;

        CREATE TABLE bodies (
          idx INTEGER PRIMARY KEY NOT NULL REFERENCES entries (idx),
          salt BLOB, body BLOB,
          CHECK ((salt IS NULL) = (body IS NULL))) STRICT;
        CREATE TRIGGER bodies_update BEFORE UPDATE ON bodies
          WHEN NEW.idx <> OLD.idx OR NEW.salt IS NOT NULL OR NEW.body IS NOT NULL
          BEGIN SELECT raise(ABORT, 'bodies are erased, salt and all, or left alone'); END;
        CREATE TRIGGER bodies_delete BEFORE DELETE ON bodies BEGIN SELECT raise(ABORT, 'an erased body leaves its row'); END;

        CREATE TABLE documents (
          collection TEXT NOT NULL, key TEXT NOT NULL,
          version INTEGER NOT NULL CHECK (version > 0),
          tag TEXT, value BLOB NOT NULL,
          PRIMARY KEY (collection, key)) STRICT;
        CREATE UNIQUE INDEX documents_tag ON documents (collection, tag) WHERE tag IS NOT NULL;

        CREATE TABLE deleted (collection TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL) STRICT;
        """;

    public static SqliteConnection Connect(string database, SqliteStoreOptions options, bool writer)
    {
        var connection = new SqliteConnection(new SqliteConnectionStringBuilder
        {
            DataSource = database,
            // Never Create: a database that vanished is a fault, not a fresh start.
            Mode = SqliteOpenMode.ReadWrite,
            Pooling = false,
            DefaultTimeout = Math.Max(1, (int)options.BusyTimeout.TotalSeconds),
        }.ToString());
        try
        {
            connection.Open();
            var cache = (writer ? options.CacheBytes : options.CacheBytes / 4) / 1024;
            Execute(connection, $"""
                PRAGMA trusted_schema = OFF;
                PRAGMA foreign_keys = ON;
                PRAGMA recursive_triggers = ON;
                PRAGMA mmap_size = 0;
                PRAGMA temp_store = MEMORY;
                PRAGMA cache_size = -{cache.ToString(CultureInfo.InvariantCulture)};
                PRAGMA wal_autocheckpoint = 0;
                """);
            if (!writer)
            {
                Execute(connection, "PRAGMA query_only = ON");
                return connection;
            }

            // Durability is what these two say, not what we asked for: read them back.
            Demand(connection, "PRAGMA journal_mode = WAL", "wal", "journal_mode");
            Execute(connection, $"""
                PRAGMA synchronous = FULL;
                PRAGMA fullfsync = ON;
                PRAGMA checkpoint_fullfsync = ON;
                PRAGMA secure_delete = ON;
                PRAGMA journal_size_limit = {options.MaxIdleWalBytes.ToString(CultureInfo.InvariantCulture)};
                """);
            Demand(connection, "PRAGMA synchronous", "2", "synchronous");
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>Creates the tables of an empty store; refuses one that this program does not know.</summary>
    public static void Ensure(SqliteConnection connection)
    {
        Execute(connection, "BEGIN IMMEDIATE");
        try
        {
            if (Scalar(connection, "SELECT count(*) FROM sqlite_schema") is 0L)
            {
                Execute(connection, Tables);
                Execute(connection, $"INSERT INTO schema_version VALUES ({Version.ToString(CultureInfo.InvariantCulture)})");
            }

            Execute(connection, "COMMIT");
        }
        catch
        {
            if (SQLitePCL.raw.sqlite3_get_autocommit(connection.Handle) == 0) Execute(connection, "ROLLBACK");
            throw;
        }

        if (Scalar(connection, "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'") is not 1L)
        {
            throw new JournalStoreException(StoreFault.CannotOpen, "the database in the data folder is not one of countersign's; name another folder");
        }

        var version = Scalar(connection, "SELECT max(version) FROM schema_version");
        if (version is not (long and Version))
        {
            throw new JournalStoreException(StoreFault.CannotOpen, string.Create(CultureInfo.InvariantCulture,
                $"the store has schema version `{version}` and this countersign knows {Version}; run a newer countersign"));
        }
    }

    public static void Execute(SqliteConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    public static object? Scalar(SqliteConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        return command.ExecuteScalar();
    }

    private static void Demand(SqliteConnection connection, string pragma, string expected, string name)
    {
        var actual = Convert.ToString(Scalar(connection, pragma), CultureInfo.InvariantCulture);
        if (actual != expected)
        {
            throw new JournalStoreException(StoreFault.CannotOpen, $"sqlite does not honour `{name}` here (asked for `{expected}`, has `{actual}`): use a local file system");
        }
    }
}
