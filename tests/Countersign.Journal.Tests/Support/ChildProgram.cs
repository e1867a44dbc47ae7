using System.Diagnostics;
using System.Globalization;
using Countersign.Core;

namespace Countersign.Journal.Tests;

/// <summary>
/// This assembly as a process of its own, to be killed or to have its disk taken away.
/// </summary>
internal static class ChildProgram
{
    public const string Mode = "COUNTERSIGN_JOURNAL_CHILD";
    public const string Folder = "COUNTERSIGN_JOURNAL_FOLDER";

    public static async Task<int> RunAsync(string mode)
    {
        var folder = Environment.GetEnvironmentVariable(Folder)!;
        try
        {
            await (mode == "crash" ? CrashAsync(folder) : PuppetAsync(folder));
        }
        catch (JournalStoreException e)
        {
            Say($"Refused {e.Fault} {e.Message}");
        }

        return 0;
    }

    /// <summary>Writes from several sides until it is killed, and says what it was told.</summary>
    private static async Task CrashAsync(string folder)
    {
        var store = Given.Store(folder);
        var appender = Given.Appender(store);
        var next = appender.EntryCount * 1000; // No key is used twice, also not after a crash.
        var writers = Enumerable.Range(0, 8).Select(_ => Task.Run(async () =>
        {
            while (true)
            {
                var n = Interlocked.Increment(ref next);
                var size = (int)(n * 7919 % 20_000);
                var result = await appender.WriteAsync(new WriteSet(
                    [Given.Entry(n, bodyBytes: 1 + size)],
                    [Given.Put($"k{n}", 0, tag: $"t{n}"), new StateChange.Put("sums", $"w{n}", 0, null, new byte[size / 10])]));
                Say($"{result.Status} {n} {result.Indices.Select(static i => i.Value).FirstOrDefault(-1)}");
            }
        }));
        var clock = Stopwatch.StartNew();
        var reader = Task.Run(async () =>
        {
            for (var n = 0; ; n++)
            {
                var draft = new EntryDraft("test.read", CanonicalJson.Object(("n", n)), null);
                var before = clock.ElapsedMilliseconds;
                var status = await appender.WriteBehindAsync(draft);
                Say($"Behind{status} {n} {before} {clock.ElapsedMilliseconds}");
                await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System);
            }
        });
        await Task.WhenAny([.. writers, reader]);
    }

    /// <summary>Does one thing per line of its input and answers with one line.</summary>
    private static async Task PuppetAsync(string folder)
    {
        using var store = Given.Store(folder);
        await using var appender = Given.Appender(store);
        Say("Ready");
        while (Console.In.ReadLine()?.Split(' ') is { } words)
        {
            switch (words[0])
            {
                case "write":
                    var size = int.Parse(words[1], CultureInfo.InvariantCulture);
                    var result = await appender.WriteAsync(WriteSet.Of(Given.Entry(store.EntryCount, size)));
                    Say($"{result.Status} {appender.Health.Fault} {result.Detail}");
                    break;
                case "burst":
                    var (count, committed, unavailable) = (int.Parse(words[1], CultureInfo.InvariantCulture), 0, false);
                    appender.HealthChanged += h => unavailable |= h.State == JournalState.Unavailable;
                    for (var i = 0; i < count; i++)
                    {
                        if ((await appender.WriteAsync(WriteSet.Of(Given.Entry(i)))).Status == WriteStatus.Committed) committed++;
                    }

                    Say($"Committed {committed} of {count}, unavailable in between: {unavailable}");
                    break;
                case "until":
                    await Given.UntilAsync(appender, Enum.Parse<JournalState>(words[1]));
                    Say(words[1]);
                    break;
                case "types":
                    Say(string.Join(' ', Given.Types(store)));
                    break;
                case "fsck":
                    Say(JournalVerification.Fsck(store) is { IsSound: true } r ? $"Sound {r.Entries}" : "Damaged");
                    break;
                case "stop":
                    return;
            }
        }
    }

    private static void Say(string line)
    {
        lock (Console.Out)
        {
            Console.Out.WriteLine(line);
            Console.Out.Flush();
        }
    }
}
