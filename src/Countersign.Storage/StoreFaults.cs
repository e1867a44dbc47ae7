using System.Globalization;
using Countersign.Journal;
using Microsoft.Data.Sqlite;

namespace Countersign.Storage;

/// <summary>SQLite's result codes (sqlite.org/rescode.html) as the faults that the journal handles.</summary>
internal static class StoreFaults
{
    private const int Busy = 5, Locked = 6, ReadOnly = 8, IoError = 10, Corrupt = 11, Full = 13, CannotOpen = 14, NotADatabase = 26;

    // SQLITE_IOERR_SHMSIZE: the index of the write-ahead log could not grow. In practice a full disk.
    private const int SharedMemorySize = 4874;

    // errno of a lock that is held (EWOULDBLOCK), a read-only file system (EROFS), no space (ENOSPC), as .NET reports them.
    private const int WouldBlock = 11, ReadOnlyFileSystem = 30, NoSpace = 28;

    public static JournalStoreException Of(Exception e) => e switch
    {
        JournalStoreException known => known,
        SqliteException s => Of(s),
        IOException { HResult: WouldBlock } => new(StoreFault.Busy, "the data folder is locked by another process", e),
        IOException { HResult: ReadOnlyFileSystem } => ReadOnlyStore(e),
        IOException { HResult: NoSpace } => FullDisk(e),
        FileNotFoundException or DirectoryNotFoundException => new(StoreFault.CannotOpen, "the store's files are gone", e),
        IOException => new(StoreFault.Io, "the disk under the data folder failed; look at the kernel's log", e),
        UnauthorizedAccessException => new(StoreFault.CannotOpen, "the data folder's files may not be opened; look at their owner and mode", e),
        _ => new(StoreFault.Other, "the store failed unexpectedly: see the log", e),
    };

    private static JournalStoreException Of(SqliteException e) => e.SqliteErrorCode switch
    {
        Busy or Locked => new(StoreFault.Busy, "the store is locked by another program; only `countersign serve` may open it", e),
        ReadOnly => ReadOnlyStore(e),
        IoError when e.SqliteExtendedErrorCode == SharedMemorySize => FullDisk(e),
        IoError => new(StoreFault.Io, string.Create(CultureInfo.InvariantCulture,
            $"the disk under the data folder failed (sqlite {e.SqliteExtendedErrorCode}); look at the kernel's log"), e),
        Corrupt or NotADatabase => new(StoreFault.Corrupt, "the store is damaged; stop, and run `countersign journal verify`", e),
        Full => FullDisk(e),
        CannotOpen => new(StoreFault.CannotOpen, "the store cannot be opened; look at the data folder, its owner and mode", e),
        _ => new(StoreFault.Other, string.Create(CultureInfo.InvariantCulture, $"the store failed (sqlite {e.SqliteExtendedErrorCode})"), e),
    };

    private static JournalStoreException FullDisk(Exception e) =>
        new(StoreFault.Full, "the disk under the data folder is full; free some space", e);

    private static JournalStoreException ReadOnlyStore(Exception e) =>
        new(StoreFault.ReadOnly, "the data folder is read-only; make its file system writable again", e);
}
