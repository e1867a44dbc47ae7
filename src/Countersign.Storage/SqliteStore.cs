using System.Globalization;
using System.Security.Cryptography;
using Countersign.Journal;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging;

namespace Countersign.Storage;

/// <summary>
/// The embedded store: one SQLite database in the data folder, write-ahead log, `synchronous = FULL`. One write
/// connection, a few read connections, an exclusive lock on the folder.
/// </summary>
public sealed partial class SqliteStore : IJournalStore
{
    /// <summary>Name of the secret that join keys are computed under.</summary>
    public const string JoinKey = "join-key";

    private const int SecretBytes = 32;

    private readonly DataFolder folder;
    private readonly SqliteStoreOptions options;
    private readonly ILogger logger;
    private readonly SemaphoreSlim readerSlots;
    private readonly Stack<SqliteReader> idle = new();
    private readonly Lock writing = new();
    private SqliteWriter? writer;
    private bool open;
    private bool disposed;

    private SqliteStore(DataFolder folder, SqliteStoreOptions options, ILogger logger)
    {
        this.folder = folder;
        this.options = options;
        this.logger = logger;
        readerSlots = new SemaphoreSlim(options.MaxReaders, options.MaxReaders);
    }

    /// <summary>Opens the store of a data folder, creating both when missing.</summary>
    /// <exception cref="JournalStoreException">
    /// In use by another process (<see cref="StoreFault.Busy"/>), not writable, of a newer schema, or on a file system that
    /// does not honour `synchronous`. The message is for the operator.
    /// </exception>
    public static SqliteStore Open(string dataFolder, ILogger<SqliteStore> logger, SqliteStoreOptions? options = null)
    {
        var folder = DataFolder.Open(dataFolder);
        var store = new SqliteStore(folder, options ?? new SqliteStoreOptions(), logger);
        try
        {
            folder.CreateDatabaseFile();
            store.Connect();
            store.GetOrCreateSecret(JoinKey);
            store.LogOpened();
            return store;
        }
        catch (Exception e)
        {
            store.Dispose();
            var fault = StoreFaults.Of(e);
            throw new JournalStoreException(fault.Fault, $"data folder `{dataFolder}`: {fault.Message}", e);
        }
    }

    /// <summary>32 random bytes under a name, made on first use and kept in the store. They never leave it otherwise.</summary>
    public byte[] GetOrCreateSecret(string name) => Guard(() =>
    {
        lock (writing)
        {
            var connection = Writer.Connection;
            using var insert = connection.CreateCommand();
            insert.CommandText = "INSERT INTO secrets VALUES ($1, $2) ON CONFLICT DO NOTHING";
            insert.Parameters.AddWithValue("$1", name);
            insert.Parameters.AddWithValue("$2", RandomNumberGenerator.GetBytes(SecretBytes));
            insert.ExecuteNonQuery();
            using var select = connection.CreateCommand();
            select.CommandText = "SELECT value FROM secrets WHERE name = $1";
            select.Parameters.AddWithValue("$1", name);
            return (byte[])select.ExecuteScalar()!;
        }
    });

    public StateDocument? Get(string collection, string key) => Read(r => r.Get(collection, key));

    public StateDocument? FindByTag(string collection, string tag) => Read(r => r.FindByTag(collection, tag));

    public IReadOnlyList<StateDocument> List(string collection) => List(collection, null, int.MaxValue);

    public IReadOnlyList<StateDocument> List(string collection, string? afterKey, int max) => Read(r => r.List(collection, afterKey, max));

    public IReadOnlyList<JournalEntry> ReadEntries(long fromIndex, int max) => Read(r => r.ReadEntries(fromIndex, max));

    public long EntryCount => Read(static r => r.EntryCount());

    public JournalBody? GetBody(LeafIndex index) => Read(r => r.Body(index));

    public IReadOnlyList<string> CheckIntegrity(int max) => Read(r =>
    {
        var defects = new List<string>();
        using var check = r.Connection.CreateCommand();
        check.CommandText = $"PRAGMA integrity_check({max.ToString(CultureInfo.InvariantCulture)})";
        using (var row = check.ExecuteReader())
        {
            while (row.Read()) if (row.GetString(0) is var defect and not "ok") defects.Add(defect);
        }

        check.CommandText = "PRAGMA foreign_key_check";
        using (var row = check.ExecuteReader())
        {
            while (defects.Count < max && row.Read()) defects.Add($"a row of `{row.GetString(0)}` belongs to no entry");
        }

        return defects;
    });

    public IJournalTransaction Begin() => Guard(() => new Transaction(this));

    public void Probe() => Guard(() =>
    {
        lock (writing) SqliteSchema.Execute(Writer.Connection, "UPDATE meta SET value = value + 1 WHERE name = 'probe'");
        return true;
    });

    /// <summary>
    /// Moves the write-ahead log into the database now and then. SQLite would do that itself behind a commit, and keep a
    /// failure to itself; a disk that fails here must be heard.
    /// </summary>
    public void Settle() => Guard(() =>
    {
        lock (writing)
        {
            if (Writer.Commits < options.CheckpointCommits && Writer.Written < options.CheckpointBytes) return true;
            SqliteSchema.Scalar(Writer.Connection, "PRAGMA wal_checkpoint(PASSIVE)");
            (Writer.Commits, Writer.Written) = (0, 0);
            return true;
        }
    });

    public void Reopen() => Guard(() =>
    {
        lock (writing)
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            LogReopening();
            Disconnect();
            try
            {
                folder.Lock();
                Connect();
            }
            finally
            {
                readerSlots.Release(options.MaxReaders);
            }

            return true;
        }
    });

    public void Dispose()
    {
        lock (writing)
        {
            if (disposed) return;
            disposed = true;
            Disconnect();
            readerSlots.Release(options.MaxReaders);
            folder.Dispose();
        }
    }

    /// <summary>The store's own size limit in pages of 4 KiB; a test makes the disk small with it.</summary>
    internal void LimitPages(long pages)
    {
        lock (writing) SqliteSchema.Execute(Writer.Connection, $"PRAGMA max_page_count = {pages.ToString(CultureInfo.InvariantCulture)}");
    }

    private SqliteWriter Writer =>
        writer ?? throw new JournalStoreException(StoreFault.CannotOpen, disposed ? "the store is closed" : "the store could not be opened again yet");

    private void Connect()
    {
        folder.RewriteLog();
        var connection = SqliteSchema.Connect(folder.Database, options, writer: true);
        try
        {
            SqliteSchema.Ensure(connection);
            if (options.MaxBytes > 0)
            {
                var pages = options.MaxBytes / (long)SqliteSchema.Scalar(connection, "PRAGMA page_size")!;
                SqliteSchema.Execute(connection, $"PRAGMA max_page_count = {pages.ToString(CultureInfo.InvariantCulture)}");
            }

            writer = new SqliteWriter(connection);
        }
        catch
        {
            connection.Dispose();
            throw;
        }

        Volatile.Write(ref open, true);
    }

    /// <summary>Closes all connections, after the reads under way. The caller releases the readers' slots that it took.</summary>
    private void Disconnect()
    {
        Volatile.Write(ref open, false);
        for (var i = 0; i < options.MaxReaders; i++) readerSlots.Wait();
        lock (idle)
        {
            while (idle.TryPop(out var reader)) CloseQuietly(reader);
        }

        if (writer is not null) CloseQuietly(writer);
        writer = null;
    }

    private T Read<T>(Func<SqliteReader, T> read) => Guard(() =>
    {
        readerSlots.Wait();
        SqliteReader? reader = null;
        try
        {
            if (!Volatile.Read(ref open)) throw new JournalStoreException(StoreFault.CannotOpen, disposed ? "the store is closed" : "the store could not be opened again yet");
            lock (idle) idle.TryPop(out reader);
            reader ??= new SqliteReader(SqliteSchema.Connect(folder.Database, options, writer: false));
            var result = read(reader);
            lock (idle) idle.Push(reader);
            reader = null;
            return result;
        }
        finally
        {
            // After an error a connection is not used again: what it remembers may be part of the error.
            if (reader is not null) CloseQuietly(reader);
            readerSlots.Release();
        }
    });

    private static T Guard<T>(Func<T> work)
    {
        try
        {
            return work();
        }
        catch (Exception e)
        {
            throw StoreFaults.Of(e);
        }
    }

    private void CloseQuietly(IDisposable connection)
    {
        try
        {
            connection.Dispose();
        }
        catch (Exception e)
        {
            LogCloseFailed(e);
        }
    }

    private sealed class Transaction : IJournalTransaction
    {
        private readonly SqliteStore store;
        private readonly SqliteWriter writer;
        private bool done;

        public Transaction(SqliteStore store)
        {
            this.store = store;
            store.writing.Enter();
            try
            {
                writer = store.Writer;
                writer.Begin();
            }
            catch
            {
                store.writing.Exit();
                throw;
            }
        }

        public SetOutcome Apply(IReadOnlyList<StateChange> changes, IReadOnlyList<SealedEntry> entries) =>
            Guard(() => writer.Apply(changes, entries));

        public void Commit() => Guard(() =>
        {
            writer.Commit();
            return done = true;
        });

        public void Dispose()
        {
            try
            {
                if (!done) writer.Rollback();
            }
            catch (Exception e)
            {
                // The transaction may be half alive: this connection is not asked again.
                store.LogCloseFailed(e);
                store.CloseQuietly(writer);
                store.writer = null;
            }
            finally
            {
                store.writing.Exit();
            }
        }
    }

    [LoggerMessage(3500, LogLevel.Information, "store opened")]
    private partial void LogOpened();

    [LoggerMessage(3501, LogLevel.Warning, "store is opened again after a failure")]
    private partial void LogReopening();

    [LoggerMessage(3502, LogLevel.Warning, "a store connection did not close cleanly")]
    private partial void LogCloseFailed(Exception exception);
}
