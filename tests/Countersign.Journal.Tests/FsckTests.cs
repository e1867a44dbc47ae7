using Microsoft.Data.Sqlite;

namespace Countersign.Journal.Tests;

public sealed class FsckTests : IDisposable
{
    private readonly TestFolder folder = new();

    public FsckTests() => WriteAsync().GetAwaiter().GetResult();

    public void Dispose() => folder.Dispose();

    /// <summary>Entries 0 `start`, 1…5 with bodies, 6 `stop`.</summary>
    private async Task WriteAsync()
    {
        using var store = Given.Store(folder.Data);
        await using var appender = Given.Appender(store);
        for (var i = 1; i <= 5; i++) await appender.WriteAsync(WriteSet.Of(Given.Entry(i, bodyBytes: 50)));
    }

    [Fact]
    public void Sound_journal_is_sound()
    {
        var report = Fsck();
        Assert.Equal((7, 5, 0), (report.Entries, report.Bodies, report.Erased));
        Assert.Empty(report.Defects);
    }

    [Theory]
    [InlineData("UPDATE entries SET bytes = x'7b7d' WHERE idx = 3", 3L, "leaf-hash-mismatch", "entry-malformed")]
    [InlineData("UPDATE entries SET leaf = zeroblob(32) WHERE idx = 3", 3L, "leaf-hash-mismatch")]
    [InlineData("PRAGMA foreign_keys = OFF; DELETE FROM bodies WHERE idx = 3; DELETE FROM entries WHERE idx = 3", 3L, "entry-missing")]
    [InlineData("DELETE FROM bodies WHERE idx = 3", 3L, "body-missing")]
    [InlineData("UPDATE bodies SET salt = zeroblob(16) WHERE idx = 3", 3L, "body-mismatch")]
    [InlineData("UPDATE bodies SET salt = zeroblob(15) WHERE idx = 3", 3L, "body-mismatch")]
    [InlineData("INSERT INTO bodies VALUES (0, zeroblob(16), x'00')", 0L, "body-unexpected")]
    [InlineData("""
        UPDATE bodies SET salt = (SELECT salt FROM bodies b WHERE b.idx = 7 - bodies.idx), body = (SELECT body FROM bodies b WHERE b.idx = 7 - bodies.idx) WHERE idx = 3
        """, 3L, "body-mismatch")]
    public void P52_tampering_is_found_at_its_place(string sql, long index, params string[] codes)
    {
        Tamper(sql);
        var report = Fsck();
        Assert.Equal(codes.Select(c => ((LeafIndex?)new LeafIndex(index), c)), report.Defects.Select(d => (d.Index, d.Code)));
    }

    [Fact]
    public void P52_entries_that_changed_places_are_found()
    {
        Tamper("""
            PRAGMA foreign_keys = OFF; UPDATE entries SET idx = 99 WHERE idx = 2; UPDATE entries SET idx = 2 WHERE idx = 3; UPDATE entries SET idx = 3 WHERE idx = 99
            """);
        Assert.Contains(Fsck().Defects, d => d is { Index.Value: 2, Code: "entry-misplaced" });
        Assert.Contains(Fsck().Defects, d => d is { Index.Value: 3, Code: "entry-misplaced" });
    }

    [Fact]
    public void P52_every_flipped_bit_of_an_entry_and_a_body_is_found()
    {
        var (entry, body) = (Read("SELECT bytes FROM entries WHERE idx = 4"), Read("SELECT body FROM bodies WHERE idx = 4"));
        using (var plain = Sqlite())
        {
            Execute(plain, Unlock);
            foreach (var (table, column, original) in ((string, string, byte[])[])[("entries", "bytes", entry), ("bodies", "body", body)])
            {
                for (var bit = 0; bit < original.Length * 8; bit += 37)
                {
                    var flipped = (byte[])original.Clone();
                    flipped[bit / 8] ^= (byte)(1 << (bit % 8));
                    Execute(plain, $"UPDATE {table} SET {column} = x'{Convert.ToHexString(flipped)}' WHERE idx = 4");
                    Assert.Contains(Fsck().Defects, d => d.Index?.Value == 4);
                }

                Execute(plain, $"UPDATE {table} SET {column} = x'{Convert.ToHexString(original)}' WHERE idx = 4");
            }
        }

        Assert.True(Fsck().IsSound);
    }

    [Fact]
    public void P52_flipped_bytes_of_the_file_are_found_or_change_nothing()
    {
        var original = File.ReadAllBytes(folder.Database);
        var (found, refused) = (0, 0);
        for (var offset = 4096; offset < original.Length; offset += 251)
        {
            var damaged = (byte[])original.Clone();
            damaged[offset] ^= 0x10;
            File.WriteAllBytes(folder.Database, damaged);
            try
            {
                using var store = Given.Store(folder.Data);
                var report = JournalVerification.Fsck(store);
                if (!report.IsSound) found++;
                else Assert.Equal(7, report.Entries); // Free space, documents, a page's unused bytes.
            }
            catch (JournalStoreException)
            {
                refused++;
            }
        }

        Assert.True(found > 5, $"{found} found, {refused} refused");
        File.WriteAllBytes(folder.Database, original);
        Assert.True(Fsck().IsSound);
    }

    [Fact]
    public void P52_damaged_last_entry_refuses_to_start()
    {
        Tamper("UPDATE entries SET bytes = x'7b7d' WHERE idx = 6");
        using var store = Given.Store(folder.Data);
        Assert.Contains("damaged", Assert.Throws<JournalStoreException>(() => Given.Appender(store)).Message);
    }

    [Fact]
    public void Erased_body_is_no_defect_and_its_entry_stays()
    {
        using (var plain = Sqlite()) Execute(plain, "UPDATE bodies SET salt = NULL, body = NULL WHERE idx = 3");
        var report = Fsck();
        Assert.Equal((7, 4, 1), (report.Entries, report.Bodies, report.Erased));
        Assert.True(report.IsSound);
        using var store = Given.Store(folder.Data);
        Assert.True(store.GetBody(new LeafIndex(3))!.IsErased);
    }

    [Fact]
    public void Defects_are_bounded()
    {
        Tamper("UPDATE entries SET leaf = zeroblob(32)");
        using var store = Given.Store(folder.Data);
        Assert.Equal(3, JournalVerification.Fsck(store, maxDefects: 3).Defects.Count);
    }

    private const string Unlock = """
        DROP TRIGGER entries_append; DROP TRIGGER entries_update; DROP TRIGGER entries_delete; DROP TRIGGER bodies_update; DROP TRIGGER bodies_delete;
        """;

    private FsckReport Fsck()
    {
        using var store = Given.Store(folder.Data);
        return JournalVerification.Fsck(store);
    }

    private void Tamper(string sql)
    {
        using var plain = Sqlite();
        Execute(plain, Unlock + sql);
    }

    private byte[] Read(string sql)
    {
        using var plain = Sqlite();
        using var command = plain.CreateCommand();
        command.CommandText = sql;
        return (byte[])command.ExecuteScalar()!;
    }

    private SqliteConnection Sqlite()
    {
        var connection = new SqliteConnection($"Data Source={folder.Database};Pooling=False");
        connection.Open();
        return connection;
    }

    private static void Execute(SqliteConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }
}
