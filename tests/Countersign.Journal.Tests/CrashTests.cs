using System.Globalization;
using System.Security.Cryptography;

namespace Countersign.Journal.Tests;

/// <summary>kill -9 at seeded moments (P50). A campaign.</summary>
public sealed class CrashTests
{
    private const string Seed = "journal-crash-1";

    [Fact]
    public async Task P50_killed_at_any_moment_all_that_was_durable_is_there_and_nothing_is_torn()
    {
        using var folder = new TestFolder();
        var durable = new Dictionary<long, long>();
        var entries = 0L;
        for (int round = 0, rounds = Campaign.Of(6, 200); round < rounds; round++)
        {
            var noise = SHA256.HashData(System.Text.Encoding.UTF8.GetBytes($"{Seed}/{round}"));
            var lines = 1 + (BitConverter.ToUInt16(noise) % 400);
            // A data folder per few rounds, so that crashes pile up on crashes.
            var data = Path.Combine(folder.Path, $"data{round / 3}");
            if (round % 3 == 0) (durable, entries) = ([], 0);

            using var child = new Child("crash", data);
            var said = new List<string>();
            while (said.Count < lines && await child.ReadLineAsync() is { } line) said.Add(line);
            said.AddRange(await child.KillAsync());
            Assert.NotEmpty(said);

            var reads = new List<(long N, long Before, long After)>();
            foreach (var line in said)
            {
                // The last line of a killed process may be cut short: what was not said whole was not said.
                var words = line.Split(' ');
                if (line == said[^1]) break;
                var numbers = words[1..].Select(w => long.Parse(w, CultureInfo.InvariantCulture)).ToArray();
                if (words[0] == "Committed") durable.Add(numbers[1], numbers[0]);
                else if (words[0] == "BehindCommitted") reads.Add((numbers[0], numbers[1], numbers[2]));
                else Assert.Fail(line);
            }

            using var store = Given.Store(data);
            await using var appender = Given.Appender(store);
            var report = JournalVerification.Fsck(store);
            Assert.True(report.IsSound, string.Join('\n', report.Defects));
            var start = Given.Parsed(store, store.EntryCount - 1);
            Assert.Equal(("start", true), (start.Type, start.Root.GetProperty("unclean").GetBoolean()));

            foreach (var (index, n) in durable)
            {
                var entry = Given.Parsed(store, index);
                Assert.Equal(n, entry.Root.GetProperty("n").GetInt64());
                Assert.NotNull(entry.BodySha256);
                Assert.Equal($"k{n}", store.FindByTag("things", $"t{n}")?.Key);
            }

            // State without its entry, or the other way round, would be a torn transaction.
            var all = new List<EntryContent>();
            while (store.ReadEntries(all.Count, int.MaxValue) is { Count: > 0 } page) all.AddRange(page.Select(e => e.TryParse(out var c) ? c : default));
            Assert.Equal(
                all.Where(c => c.Type == "test.write").Select(c => $"k{c.Root.GetProperty("n").GetInt64()}").Order(StringComparer.Ordinal),
                store.List("things").Select(d => d.Key).Order(StringComparer.Ordinal));

            // I2: only the newest of the reads that were let through may be missing.
            var kept = all.Where(c => c.Type == "test.read" && c.Index.Value >= entries).Select(c => c.Root.GetProperty("n").GetInt64()).ToList();
            Assert.Equal(Enumerable.Range(0, kept.Count).Select(i => (long)i), kept);
            var lost = reads.Where(r => r.N >= kept.Count).ToList();
            if (lost.Count > 0) Assert.InRange(lost[^1].Before - lost[0].After, long.MinValue, (long)appender.Limits.WriteBehindWindow.TotalMilliseconds);
            await appender.DisposeAsync();
            entries = store.EntryCount;
        }
    }
}
