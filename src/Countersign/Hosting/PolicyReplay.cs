using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using Countersign.Api;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;
using Countersign.Policy;

namespace Countersign.Hosting;

/// <summary>
/// Takes recorded decisions again under another policy set: what would have differed? Nothing is recorded and nothing runs.
/// Time, intent, effects, classes and the agent's groups are those that were recorded; people's groups are those of now.
/// </summary>
internal sealed class PolicyReplay(IStateReader reader, UserDirectory users, ServingPolicies serving, PolicyStore other, int examples)
{
    private const int Page = 256;

    private readonly ConcurrentDictionary<(string Was, string Now, string Policies), Found> groups = new();
    private readonly ConcurrentDictionary<string, long> skipped = new(StringComparer.Ordinal);
    private long replayed;
    private long differing;

    private sealed class Found
    {
        public long Count;
        public readonly SortedList<long, ReplayedAction> Examples = [];
    }

    private readonly RecordedActions recordings = new(reader, users);

    /// <summary>Reads every entry once, a page at a time on as many threads as there are processors.</summary>
    public async Task<ReplayView> RunAsync(DateTimeOffset? from, DateTimeOffset? until, CancellationToken ct)
    {
        await Parallel.ForEachAsync(Pages(reader.EntryCount), new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount, CancellationToken = ct }, async (page, token) =>
        {
            foreach (var entry in page) await TakeAsync(entry, from, until, token).ConfigureAwait(false);
        }).ConfigureAwait(false);
        return new ReplayView(other.Current.Id.ContentHash, serving.Store.Current.Id.ContentHash, replayed, differing,
            skipped.OrderBy(static s => s.Key, StringComparer.Ordinal).ToDictionary(static s => s.Key, static s => s.Value),
            groups.OrderByDescending(static g => g.Value.Count).ThenBy(static g => g.Key.Policies, StringComparer.Ordinal).ThenBy(static g => g.Key.Was, StringComparer.Ordinal)
                .Select(static g => new ReplayGroup(g.Key.Was, g.Key.Now, g.Key.Policies.Length == 0 ? [] : g.Key.Policies.Split(' '), g.Value.Count, g.Value.Examples.Values.ToArray())).ToArray());
    }

    private IEnumerable<IReadOnlyList<JournalEntry>> Pages(long end)
    {
        for (long next = 0; next < end;)
        {
            var page = reader.ReadEntries(next, Page);
            if (page.Count == 0) yield break;
            next = page[^1].Index.Value + 1;
            yield return page;
        }
    }

    private async ValueTask TakeAsync(JournalEntry entry, DateTimeOffset? from, DateTimeOffset? until, CancellationToken ct)
    {
        if (!entry.TryParse(out var content) || !RecordedActions.Holds(content)) return;
        var at = RecordedActions.TimeOf(content);
        if (at < from || at >= until) return;
        if (recordings.Read(entry, content, out var why) is not { } recorded)
        {
            skipped.AddOrUpdate(why, 1, static (_, n) => n + 1);
            return;
        }

        var decision = await other.DecideAsync(recorded.Action, serving.ContextOf(recorded.Action.Actors) with { Now = at }, ct).ConfigureAwait(false);
        Interlocked.Increment(ref replayed);
        var now = decision.Verdict.ToString().ToLowerInvariant();
        var same = now == recorded.Verdict
            && (recorded.Verdict != "review" || recorded.Requirements is null || Asked(recorded.Requirements) == Asked(decision.Requirements.Select(static r => r.ToCanonical().ToString())));
        if (same) return;

        Interlocked.Increment(ref differing);

        // The policies that make the difference: those that decide now, and where none does, those that decided.
        var policies = decision.DeterminingPolicies.Select(static p => p.Id).ToArray();
        var key = (Was: Say(recorded.Verdict, recorded.Reason), Now: Say(now, decision.ReasonCode), Policies: string.Join(' ', policies.Length > 0 ? policies : recorded.Policies));
        var found = groups.GetOrAdd(key, static _ => new Found());
        lock (found)
        {
            found.Count++;
            if (found.Examples.Count >= examples && (examples == 0 || found.Examples.Keys[^1] < entry.Index.Value)) return;
            found.Examples.Add(entry.Index.Value, new ReplayedAction(entry.Index.Value, recorded.Action.Id.Value, at, VisibleText.Of(recorded.Action.Actors.Agent.Name, multiline: false), recorded.Action.Target.Name,
                VisibleText.Of(recorded.Action.Payload.DisplayText), recorded.Policies, policies));
            if (found.Examples.Count > examples) found.Examples.RemoveAt(examples);
        }
    }

    private static string Say(string verdict, string reason) => verdict == "deny" ? reason : verdict;

    /// <summary>What was asked for, whichever policies asked: a policy that was renamed decides nothing else.</summary>
    private static string Asked(IEnumerable<string> requirements) => string.Join('\n', requirements.Select(static r =>
    {
        var node = JsonNode.Parse(r)!.AsObject();
        node.Remove("policies");
        return node.ToJsonString();
    }));
}
