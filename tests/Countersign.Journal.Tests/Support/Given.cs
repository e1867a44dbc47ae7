using System.Text;
using Countersign.Core;
using Countersign.Storage;
using Microsoft.Extensions.Logging.Abstractions;

namespace Countersign.Journal.Tests;

internal static class Given
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public static SqliteStore Store(string folder, SqliteStoreOptions? options = null) =>
        SqliteStore.Open(folder, NullLogger<SqliteStore>.Instance, options);

    public static JournalAppender Appender(IJournalStore store, TimeProvider? time = null, JournalLimits? limits = null) =>
        JournalAppender.Start(store, time ?? TimeProvider.System, NullLogger<JournalAppender>.Instance, "1.2.3", limits);

    public static EntryDraft Entry(long n = 0, int bodyBytes = 0) => new(
        "test.write",
        CanonicalJson.Object(("n", n)),
        bodyBytes == 0 ? null : CanonicalJson.Object(("payload", new string('x', bodyBytes))));

    public static byte[] Value(string text) => Encoding.UTF8.GetBytes(text);

    public static StateChange Put(string key, long expected, string value = "v", string? tag = null, string collection = "things") =>
        new StateChange.Put(collection, key, expected, tag, Value(value));

    public static StateChange Delete(string key, long expected) => new StateChange.Delete("things", key, expected);

    public static WriteSet Changes(params StateChange[] changes) => new([], changes);

    public static EntryContent Parsed(IStateReader reader, long index)
    {
        var entry = Assert.Single(reader.ReadEntries(index, 1));
        Assert.True(entry.TryParse(out var content));
        return content;
    }

    public static IEnumerable<string> Types(IStateReader reader) =>
        reader.ReadEntries(0, int.MaxValue).Select(e => e.TryParse(out var c) ? c.Type : "?");

    public static async Task UntilAsync(JournalAppender appender, JournalState state)
    {
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        void Look(JournalHealth health)
        {
            if (health.State == state) reached.TrySetResult();
        }

        appender.HealthChanged += Look;
        Look(appender.Health);
        await reached.Task.WaitAsync(Patience);
        appender.HealthChanged -= Look;
    }
}
