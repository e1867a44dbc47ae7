using System.Text.Json;
using System.Text.Json.Serialization;
using Countersign.Core;
using Countersign.Journal;
using Countersign.Reviews;

namespace Countersign.Gateway.Mcp;

/// <summary>A call that waits for humans, to be carried out later byte for byte as it was asked (P20).</summary>
/// <param name="Agent">Whose it is.</param>
/// <param name="Server">Name of the target.</param>
/// <param name="Parameters">What is decided on, of <c>tools/call</c>.</param>
internal sealed record StoredCall(string Agent, string Server, byte[] Parameters, Intent Intent, DateTimeOffset At);

/// <summary>
/// Held calls by their review, so that an agent need not repeat its arguments. In the store, for as long as the review is open; nothing
/// here permits anything, since what runs is decided and matched with its digest again. Thread-safe.
/// </summary>
internal sealed class StoredCalls(IStateReader reader, JournalAppender journal, ReviewDesk desk, TimeProvider time)
{
    private const string Collection = "mcp-calls";

    private static readonly TimeSpan SweepEvery = TimeSpan.FromMinutes(1);

    private long sweptAt = time.GetTimestamp();

    /// <summary>Keeps it, unless it is there already. What can not be written is not kept: the agent repeats its call then.</summary>
    public async Task KeepAsync(ReviewId review, StoredCall call)
    {
        try
        {
            if (time.GetElapsedTime(Interlocked.Read(ref sweptAt)) > SweepEvery) await SweepAsync().ConfigureAwait(false);
            if (reader.Get(Collection, review.Value) is not null) return;
            await journal.WriteAsync(new WriteSet([], [new StateChange.Put(Collection, review.Value, 0, null, JsonSerializer.SerializeToUtf8Bytes(call, StoredJson.Default.StoredCall))])).ConfigureAwait(false);
        }
        catch (JournalStoreException)
        {
        }
    }

    /// <exception cref="JournalStoreException">The store can not be read.</exception>
    public StoredCall? Find(ReviewId review) => reader.Get(Collection, review.Value) is { } document ? JsonSerializer.Deserialize(document.Value, StoredJson.Default.StoredCall) : null;

    /// <summary>Forgets those whose review is over: their arguments have no business here any more.</summary>
    public async Task SweepAsync()
    {
        Interlocked.Exchange(ref sweptAt, time.GetTimestamp());
        for (string? after = null; ;)
        {
            var page = reader.List(Collection, after, 500);
            if (page.Count == 0) return;
            after = page[^1].Key;
            var over = page.Where(d => !ReviewId.TryParse(d.Key, out var id) || desk.Find(id) is not { IsOpen: true }).Select(static d => (StateChange)new StateChange.Delete(Collection, d.Key, d.Version)).ToArray();
            if (over.Length > 0) await journal.WriteAsync(new WriteSet([], over)).ConfigureAwait(false);
        }
    }
}

[JsonSerializable(typeof(StoredCall))]
internal sealed partial class StoredJson : JsonSerializerContext;
