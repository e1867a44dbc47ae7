using Countersign.Storage;

namespace Countersign.Journal.Tests;

/// <summary>Real disks that are full, small, broken or read-only (P51). Where the machine cannot make one, skipped with the reason.</summary>
public sealed class DiskTests : IDisposable
{
    private readonly TestFolder folder = new();
    private readonly List<string> mounts = [];

    public void Dispose()
    {
        foreach (var mount in mounts) Child.Run("umount", "-l", mount);
        folder.Dispose();
    }

    [Fact]
    public async Task P51_store_at_its_size_limit_refuses_and_recovers()
    {
        using var store = Given.Store(folder.Data);
        await using var appender = Given.Appender(store);
        store.LimitPages(40);
        var refused = await UntilRefusedAsync(appender, bodyBytes: 20_000);
        Assert.Equal(StoreFault.Full, appender.Health.Fault);
        Assert.Contains("full", refused.Detail);
        var entries = store.EntryCount;
        store.LimitPages(100_000);
        await Given.UntilAsync(appender, JournalState.Available); // By its own probe: nobody writes.
        Assert.Equal(entries, (await appender.WriteAsync(WriteSet.Of(Given.Entry(1, 20_000)))).Indices[0].Value);
        Assert.True(JournalVerification.Fsck(store).IsSound);
    }

    [Fact]
    public async Task P51_full_disk_refuses_and_recovers_when_there_is_space()
    {
        var disk = Tmpfs("2m");
        var data = Path.Combine(disk, "data");
        using var store = Given.Store(data);
        await using var appender = Given.Appender(store);
        await appender.WriteAsync(new WriteSet([Given.Entry(1)], [Given.Put("a", 0)]));
        var filler = Path.Combine(disk, "filler");
        Fill(filler);
        var refused = await UntilRefusedAsync(appender, bodyBytes: 30_000);
        Assert.Equal(StoreFault.Full, appender.Health.Fault);
        Assert.Contains("full", refused.Detail);
        Assert.NotNull(store.Get("things", "a")); // What is there can still be read.
        var entries = store.EntryCount;
        File.Delete(filler);
        await Given.UntilAsync(appender, JournalState.Available);
        var written = await appender.WriteAsync(WriteSet.Of(Given.Entry(2, 30_000)));
        Assert.Equal((WriteStatus.Committed, entries), (written.Status, written.Indices[0].Value));
        Assert.True(JournalVerification.Fsck(store).IsSound);
    }

    [Fact]
    public void P51_start_on_a_full_or_read_only_disk_says_what_is_wrong()
    {
        var disk = Tmpfs("1m");
        var data = Path.Combine(disk, "data");
        Given.Store(data).Dispose();
        Assert.Equal(0, Child.Run("mount", "-o", "remount,ro", disk));
        var readOnly = Assert.Throws<JournalStoreException>(() => Given.Store(data));
        Assert.Equal(StoreFault.ReadOnly, readOnly.Fault);
        Assert.Contains("read-only", readOnly.Message);
        Assert.Equal(0, Child.Run("mount", "-o", "remount,rw", disk));

        var filler = Path.Combine(disk, "filler");
        Fill(filler);
        var full = Assert.Throws<JournalStoreException>(() =>
        {
            using var store = Given.Store(data);
            Given.Appender(store);
        });
        Assert.Contains("full", full.Message);
        File.Delete(filler);
        Given.Store(data).Dispose();
    }

    [Fact]
    public async Task P51_file_system_that_turned_read_only_refuses_and_recovers_when_it_is_mounted_again()
    {
        // ext4 on a loop device, told that it found an error: with errors=remount-ro it becomes read-only under open files.
        SkipUnlessRoot();
        var image = Path.Combine(folder.Path, "image");
        using (var file = File.Create(image)) file.SetLength(16 << 20);
        if (Child.Run("mkfs.ext4", "-q", image) != 0) Assert.Skip("needs mkfs.ext4");
        var disk = Path.Combine(folder.Path, "disk");
        Directory.CreateDirectory(disk);
        if (Child.Run("mount", "-o", "loop,errors=remount-ro", image, disk) != 0) Assert.Skip("needs loop devices and ext4");
        mounts.Add(disk);
        var device = File.ReadLines("/proc/mounts").Single(l => l.Contains($" {disk} ", StringComparison.Ordinal)).Split(' ')[0];
        var trigger = $"/sys/fs/ext4/{Path.GetFileName(device)}/trigger_fs_error";
        if (!device.StartsWith("/dev/loop", StringComparison.Ordinal) || !File.Exists(trigger)) Assert.Skip("needs ext4's trigger_fs_error");

        using var store = Given.Store(Path.Combine(disk, "data"));
        await using var appender = Given.Appender(store);
        await appender.WriteAsync(WriteSet.Of(Given.Entry(1)));
        File.WriteAllText(trigger, "1");
        var refused = await UntilRefusedAsync(appender, bodyBytes: 1000);
        Assert.Equal(WriteStatus.Unavailable, refused.Status);
        Assert.Equal(WriteStatus.Unavailable, (await appender.WriteAsync(WriteSet.Of(Given.Entry(2)))).Status);
        Assert.True(appender.Health.Fault is StoreFault.ReadOnly or StoreFault.Io or StoreFault.CannotOpen, $"{appender.Health}");
        var acknowledged = appender.EntryCount;

        // What an operator does: unmount, check, mount.
        Assert.Equal(0, Child.Run("umount", "-l", disk));
        Assert.InRange(Child.Run("fsck.ext4", "-fy", image), 0, 1);
        Assert.Equal(0, Child.Run("mount", "-o", "loop", image, disk));
        await Given.UntilAsync(appender, JournalState.Available);
        Assert.Equal(WriteStatus.Committed, (await appender.WriteAsync(WriteSet.Of(Given.Entry(3)))).Status);
        Assert.True(appender.EntryCount > acknowledged);
        Assert.True(JournalVerification.Fsck(store).IsSound);
    }

    [Fact]
    public async Task P51_write_error_refuses_and_recovers()
    {
        // A file size limit: write fails with EFBIG, which SQLite reports as an I/O error.
        if (Child.Run("prlimit", "--version") != 0) Assert.Skip("needs prlimit (util-linux)");
        using var child = new Child("puppet", folder.Data);
        Assert.Equal("Ready", await child.ReadLineAsync());
        Assert.StartsWith("Committed", await child.AskAsync("write 1000"));
        Assert.Equal(0, Child.Run("prlimit", "--pid", $"{child.Id}", "--fsize=200000:unlimited"));
        Assert.StartsWith("Unavailable Io the disk under the data folder failed (sqlite ", await child.AskAsync("write 500000"));
        Assert.Equal(0, Child.Run("prlimit", "--pid", $"{child.Id}", "--fsize=unlimited:unlimited"));
        Assert.Equal("Available", await child.AskAsync("until Available"));
        Assert.StartsWith("Committed", await child.AskAsync("write 500000"));
        Assert.Equal("start test.write test.write", await child.AskAsync("types"));
        Assert.Equal("Sound 3", await child.AskAsync("fsck"));
        await child.StopAsync();
    }

    [Fact]
    public async Task P51_failed_fsync_is_not_believed_and_what_came_back_is_named()
    {
        var library = FsyncFault();
        var flag = Path.Combine(folder.Path, "fault");
        using (var child = new Child("puppet", folder.Data, ("LD_PRELOAD", library), ("FAULT_FOLDER", folder.Data), ("FAULT_FLAG", flag)))
        {
            Assert.Equal("Ready", await child.ReadLineAsync());
            Assert.StartsWith("Committed", await child.AskAsync("write 100"));

            // The bytes reach the file, the fsync fails, and so does every attempt to open the store again.
            File.WriteAllText(flag, "");
            Assert.StartsWith("Unavailable Io the disk under the data folder failed (sqlite 1034)", await child.AskAsync("write 100")); // SQLITE_IOERR_FSYNC
            Assert.StartsWith("Unavailable Io", await child.AskAsync("write 100"));
            Assert.Equal("Unavailable", await child.AskAsync("until Unavailable"));

            File.Delete(flag);
            Assert.Equal("Available", await child.AskAsync("until Available"));
            Assert.StartsWith("Committed", await child.AskAsync("write 100"));
            Assert.Equal("Sound 5", await child.AskAsync("fsck"));

            // Entry 2 was reported as not written and came back with the log: the journal says so.
            Assert.Equal("start test.write test.write uncertain test.write", await child.AskAsync("types"));
            await child.StopAsync();
        }

        using var store = Given.Store(folder.Data);
        var uncertain = Given.Parsed(store, 3).Root;
        Assert.Equal((2, 2), (uncertain.GetProperty("first").GetInt32(), uncertain.GetProperty("last").GetInt32()));
        Assert.Equal("stop", Given.Parsed(store, 5).Type);
    }

    [Fact]
    public async Task P51_database_that_cannot_be_synced_is_heard_and_loses_nothing()
    {
        // The log is fine, so that commits are; moving it into the database fails, and is not kept quiet.
        var library = FsyncFault();
        var flag = Path.Combine(folder.Path, "fault");
        using var child = new Child("puppet", folder.Data, ("LD_PRELOAD", library), ("FAULT_FILE", folder.Database), ("FAULT_FLAG", flag));
        Assert.Equal("Ready", await child.ReadLineAsync());
        File.WriteAllText(flag, "");
        Assert.Equal("Committed 600 of 600, unavailable in between: True", await child.AskAsync("burst 600"));
        File.Delete(flag);
        Assert.StartsWith("Committed", await child.AskAsync("write 100"));
        Assert.Equal("Available", await child.AskAsync("until Available"));
        Assert.Equal("Sound 602", await child.AskAsync("fsck"));
        await child.StopAsync();
    }

    [Fact]
    public async Task P51_start_while_fsync_fails_is_refused()
    {
        var library = FsyncFault();
        var flag = Path.Combine(folder.Path, "fault");
        Given.Store(folder.Data).Dispose();
        File.WriteAllText(flag, "");
        using var child = new Child("puppet", folder.Data, ("LD_PRELOAD", library), ("FAULT_FOLDER", folder.Data), ("FAULT_FLAG", flag));
        Assert.StartsWith("Refused Io", await child.ReadLineAsync());
    }

    private static async Task<WriteResult> UntilRefusedAsync(JournalAppender appender, int bodyBytes)
    {
        for (var i = 0; i < 1000; i++)
        {
            var result = await appender.WriteAsync(WriteSet.Of(Given.Entry(i, bodyBytes))).AsTask().WaitAsync(Given.Patience);
            if (result.Status != WriteStatus.Committed) return result;
        }

        throw new InvalidOperationException("never refused");
    }

    private static void SkipUnlessRoot()
    {
        if (!Environment.IsPrivilegedProcess) Assert.Skip("needs root to mount");
    }

    private string Tmpfs(string size)
    {
        SkipUnlessRoot();
        var disk = Path.Combine(folder.Path, "disk");
        Directory.CreateDirectory(disk);
        if (Child.Run("mount", "-t", "tmpfs", "-o", $"size={size},mode=700", "tmpfs", disk) != 0) Assert.Skip("needs the right to mount a tmpfs");
        mounts.Add(disk);
        return disk;
    }

    private string FsyncFault()
    {
        var library = Path.Combine(folder.Path, "fsync-fault.so");
        var source = Path.Combine(AppContext.BaseDirectory, "Support", "fsync-fault.c");
        if (Child.Run("gcc", "-shared", "-fPIC", "-o", library, source, "-ldl") != 0) Assert.Skip("needs gcc");
        return library;
    }

    private static void Fill(string path)
    {
        using var file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);
        foreach (var size in (int[])[64 << 10, 4 << 10])
        {
            try
            {
                while (true) file.Write(new byte[size]);
            }
            catch (IOException)
            {
                // Full: that is what it is for.
            }
        }
    }
}
