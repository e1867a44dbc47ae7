using System.Globalization;
using System.Text.Json;
using Countersign.Core;
using Countersign.Journal;
using Countersign.Reviews;
using Microsoft.Extensions.Logging;

namespace Countersign.Hosting;

/// <summary>
/// Actions that an earlier run was allowed to forward and whose outcome it never recorded: whether they ran is not known,
/// and the journal says so (P50, P23). Reviewed actions are found by the review desk.
/// </summary>
internal sealed partial class UnknownOutcomes(JournalAppender journal, TimeProvider time, ILogger<UnknownOutcomes> logger)
{
    private const int Page = 512;
    private const int MaxSet = 128;

    /// <summary>
    /// Actions without an outcome that are kept in mind at once. At work at one time are no more than there are connections;
    /// beyond this bound the oldest are called unknown without reading on.
    /// </summary>
    public const int MaxOpen = 20_000;

    private readonly Dictionary<string, LinkedListNode<Open>> open = new(StringComparer.Ordinal);
    private readonly LinkedList<Open> inOrder = new();
    private int unknown;

    private sealed record Open(string Action, string Agent, string Target);

    /// <summary>
    /// Reads what earlier runs wrote since the last settled place up to (not including) <paramref name="end"/>, the `start`
    /// entry of this run. Entries are read in pages: memory does not grow with the journal. Safe to run while serving, and
    /// to be cut off anywhere: what was written is found again as an outcome.
    /// </summary>
    /// <returns>How many were called unknown.</returns>
    public async Task<int> SettleAsync(LeafIndex end, CancellationToken ct)
    {
        var reader = journal.Reader;
        var began = time.GetTimestamp();
        var from = reader.Get(HostState.Collection, HostState.Settled) is { } known ? long.Parse(HostState.Text(known), CultureInfo.InvariantCulture) : 0;
        for (var next = from; next < end.Value;)
        {
            ct.ThrowIfCancellationRequested();
            var page = reader.ReadEntries(next, Page);
            if (page.Count == 0) break;
            foreach (var entry in page)
            {
                next = entry.Index.Value + 1;
                if (entry.Index.Value < end.Value && entry.TryParse(out var content)) Read(content);
            }

            while (open.Count > MaxOpen)
            {
                if (!await WriteAsync(open.Count - MaxOpen).ConfigureAwait(false)) return unknown;
            }
        }

        while (open.Count > 0)
        {
            ct.ThrowIfCancellationRequested();
            if (!await WriteAsync(open.Count).ConfigureAwait(false)) return unknown;
        }

        await journal.WriteAsync(new WriteSet([], [HostState.Put(reader, HostState.Settled, end.ToString())]), CancellationToken.None).ConfigureAwait(false);
        if (unknown > 0) LogUnknown(unknown, time.GetElapsedTime(began).TotalMilliseconds);
        return unknown;
    }

    private void Read(EntryContent content)
    {
        if (content.Type == "action" && Text(content.Root, "verdict") == "permit")
        {
            if (Text(content.Root, "action") is not { } id || open.ContainsKey(id)) return;
            open.Add(id, inOrder.AddLast(new Open(id, Text(content.Root, "agent") ?? "", Text(content.Root, "target") ?? "")));
        }
        else if (content.Type == "outcome" && Text(content.Root, "action") is { } done && open.Remove(done, out var node))
        {
            inOrder.Remove(node);
        }
    }

    /// <summary>False: the journal can not be written. Nothing is settled then, and the next start tries again.</summary>
    private async Task<bool> WriteAsync(int count)
    {
        var some = inOrder.Take(Math.Min(count, MaxSet)).ToArray();
        var nothing = new Outcome(OutcomeStatus.Unknown, null, 0, TimeSpan.Zero, null);
        var result = await journal.WriteAsync(new WriteSet(
            some.Select(o => ReviewEntries.OutcomeOf(new ActionId(o.Action), null, new OpaqueId(o.Agent), new TargetRef(o.Target, "", ""), nothing)).ToArray(), []), CancellationToken.None).ConfigureAwait(false);
        if (result.Status != WriteStatus.Committed) return false;
        foreach (var o in some)
        {
            open.Remove(o.Action);
            inOrder.RemoveFirst();
        }

        unknown += some.Length;
        return true;
    }

    private static string? Text(JsonElement entry, string name) =>
        entry.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    [LoggerMessage(9020, LogLevel.Warning, "{Count} forwarded actions of an earlier run have no recorded outcome and are journalled as unknown ({Milliseconds:F0} ms)")]
    private partial void LogUnknown(int count, double milliseconds);
}
