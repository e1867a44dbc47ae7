using Countersign.Journal;

namespace Countersign.Storage;

/// <summary>
/// The folder and the lock on it. The lock is an advisory one (flock) on a file of its own, held as long as the handle is
/// open and dropped by the kernel when the process dies: there is nothing to clean up after a crash.
/// </summary>
internal sealed class DataFolder : IDisposable
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const UnixFileMode PrivateFolder = Private | UnixFileMode.UserExecute;
    private const UnixFileMode WritableByOthers = UnixFileMode.GroupWrite | UnixFileMode.OtherWrite;

    private readonly string folder;
    private FileStream? held;

    private DataFolder(string folder) => this.folder = folder;

    public string Database => Path.Combine(folder, "countersign.db");
    private string LockFile => Path.Combine(folder, "countersign.lock");

    /// <summary>Creates the folder (mode 0700) when it is missing, and takes the lock.</summary>
    public static DataFolder Open(string path)
    {
        var folder = new DataFolder(Path.GetFullPath(path));
        try
        {
            if (OperatingSystem.IsWindows()) Directory.CreateDirectory(folder.folder);
            else Directory.CreateDirectory(folder.folder, PrivateFolder);
            if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(folder.folder) & WritableByOthers) != 0)
            {
                throw new JournalStoreException(StoreFault.CannotOpen, $"others may write to the data folder `{path}`: run `chmod 700` on it, or name another");
            }

            folder.Lock();
            return folder;
        }
        catch (Exception e)
        {
            folder.Dispose();
            var fault = StoreFaults.Of(e);
            throw fault.Fault == StoreFault.Busy
                ? new JournalStoreException(StoreFault.Busy, $"the data folder `{path}` is in use by another `countersign serve`: stop that one, or name another folder", e)
                : new JournalStoreException(fault.Fault, $"data folder `{path}`: {fault.Message}", e);
        }
    }

    /// <summary>Takes the lock, afresh when it was held: the file system under the folder may be another one by now.</summary>
    public void Lock()
    {
        held?.Dispose();
        held = null;
        held = new FileStream(LockFile, Options(FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
    }

    /// <summary>Creates the database file, mode 0600, when it is missing. SQLite gives its companions the same mode.</summary>
    public void CreateDatabaseFile()
    {
        if (!File.Exists(Database)) new FileStream(Database, Options(FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite)).Dispose();
    }

    /// <summary>
    /// Writes the write-ahead log over itself and syncs it. After a failed fsync Linux may keep pages that never reached
    /// the disk and call them clean, so that neither reading them back nor a second fsync tells; and SQLite's recovery
    /// would take them for durable. Written again they are dirty, and this fsync speaks the truth about them (P51).
    /// No connection may be open.
    /// </summary>
    public void RewriteLog()
    {
        var path = Database + "-wal";
        if (!File.Exists(path)) return;
        using var log = new FileStream(path, Options(FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite));
        var buffer = new byte[64 << 10];
        for (var offset = 0L; offset < log.Length;)
        {
            var read = RandomAccess.Read(log.SafeFileHandle, buffer, offset);
            if (read == 0) break;
            RandomAccess.Write(log.SafeFileHandle, buffer.AsSpan(0, read), offset);
            offset += read;
        }

        RandomAccess.FlushToDisk(log.SafeFileHandle);
    }

    public void Dispose() => held?.Dispose();

    private static FileStreamOptions Options(FileMode mode, FileAccess access, FileShare share)
    {
        var options = new FileStreamOptions { Mode = mode, Access = access, Share = share, BufferSize = 0 };
        if (!OperatingSystem.IsWindows() && mode is not FileMode.Open) options.UnixCreateMode = Private;
        return options;
    }
}
