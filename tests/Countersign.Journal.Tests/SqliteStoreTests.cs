using Countersign.Storage;
using Microsoft.Data.Sqlite;

namespace Countersign.Journal.Tests;

public sealed class SqliteStoreTests : JournalStoreCompliance
{
    private readonly TestFolder folder = new();

    protected override IJournalStore OpenStore() => Given.Store(folder.Data);

    public override void Dispose()
    {
        base.Dispose();
        folder.Dispose();
    }

    [Fact]
    public void Second_open_of_a_folder_is_refused_until_the_first_is_closed()
    {
        var first = Given.Store(folder.Data);
        var refused = Assert.Throws<JournalStoreException>(() => Given.Store(folder.Data));
        Assert.Equal(StoreFault.Busy, refused.Fault);
        Assert.Contains("in use by another", refused.Message);
        first.Reopen();
        Assert.Equal(StoreFault.Busy, Assert.Throws<JournalStoreException>(() => Given.Store(folder.Data)).Fault);
        first.Dispose();
        Given.Store(folder.Data).Dispose();
    }

    [Fact]
    public void Folder_and_files_are_their_owners_alone()
    {
        using var store = Given.Store(folder.Data);
        store.Probe();
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(folder.Data));
        var files = Directory.GetFiles(folder.Data);
        Assert.Equal(4, files.Length); // database, -wal, -shm, lock
        Assert.All(files, f => Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(f)));
    }

    [Fact]
    public void Folder_that_others_may_write_to_is_refused()
    {
        Directory.CreateDirectory(folder.Data);
        File.SetUnixFileMode(folder.Data, (UnixFileMode)0b111_111_111);
        Assert.Contains("chmod 700", Assert.Throws<JournalStoreException>(() => Given.Store(folder.Data)).Message);
        Assert.Empty(Directory.GetFiles(folder.Data));
    }

    [Fact]
    public void Newer_schema_is_refused_and_left_alone()
    {
        Given.Store(folder.Data).Dispose();
        Sql("UPDATE schema_version SET version = 99");
        var refused = Assert.Throws<JournalStoreException>(() => Given.Store(folder.Data));
        Assert.Contains("schema version `99`", refused.Message);
        Assert.Contains("newer countersign", refused.Message);
    }

    [Fact]
    public void Foreign_database_is_refused()
    {
        Directory.CreateDirectory(folder.Data, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        File.WriteAllBytes(folder.Database, []);
        Sql("CREATE TABLE other (a)");
        Assert.Contains("not one of countersign's", Assert.Throws<JournalStoreException>(() => Given.Store(folder.Data)).Message);
        File.WriteAllText(folder.Database, new string('x', 8192));
        Assert.Equal(StoreFault.Corrupt, Assert.Throws<JournalStoreException>(() => Given.Store(folder.Data)).Fault);
    }

    [Fact]
    public void Secrets_are_made_once_and_kept()
    {
        byte[] join, other;
        using (var store = Given.Store(folder.Data))
        {
            (join, other) = (store.GetOrCreateSecret(SqliteStore.JoinKey), store.GetOrCreateSecret("other"));
            Assert.Equal(32, join.Length);
            Assert.NotEqual(join, other);
        }

        using var again = Given.Store(folder.Data);
        Assert.Equal(join, again.GetOrCreateSecret(SqliteStore.JoinKey));
        Assert.Equal(other, again.GetOrCreateSecret("other"));
    }

    [Theory]
    [InlineData("UPDATE entries SET bytes = x'00'")]
    [InlineData("DELETE FROM entries")]
    [InlineData("INSERT OR REPLACE INTO entries SELECT idx, x'00', leaf FROM entries LIMIT 1")]
    [InlineData("INSERT INTO entries SELECT 77, bytes, leaf FROM entries LIMIT 1")]
    [InlineData("UPDATE bodies SET body = x'00'")]
    [InlineData("UPDATE bodies SET body = NULL")]
    [InlineData("DELETE FROM bodies")]
    public async Task Entries_and_bodies_are_not_changed_by_our_own_mistake(string sql)
    {
        using (var store = Given.Store(folder.Data))
        await using (var appender = Given.Appender(store))
        {
            await appender.WriteAsync(WriteSet.Of(Given.Entry(1, bodyBytes: 10)));
        }

        Assert.Equal(19, Assert.Throws<SqliteException>(() => Sql(sql)).SqliteErrorCode); // SQLITE_CONSTRAINT
    }

    [Fact]
    public async Task Reads_run_beside_writes()
    {
        using var store = Given.Store(folder.Data);
        await using var appender = Given.Appender(store);
        var writing = Enumerable.Range(0, 200).Select(i => appender.WriteAsync(new WriteSet([Given.Entry(i)], [Given.Put($"k{i}", 0)])).AsTask());
        var reading = Enumerable.Range(0, 16).Select(i => Task.Run(() =>
        {
            // Entry and document were committed together: whoever sees the one sees the other.
            for (var n = 0; n < 50; n++)
            {
                var documents = store.List("things").Count;
                Assert.True(store.EntryCount - 1 >= documents);
            }
        }));
        var results = await Task.WhenAll(writing);
        await Task.WhenAll(reading);
        Assert.All(results, r => Assert.Equal(WriteStatus.Committed, r.Status));
    }

    private void Sql(string sql)
    {
        using var connection = new SqliteConnection($"Data Source={folder.Database};Pooling=False");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }
}
