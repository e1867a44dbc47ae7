using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json;
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

    private sealed record Recorded(string Verdict, string Reason, IReadOnlyList<string> Policies, string? Requirements, GatewayAction Action, DateTimeOffset At);

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
        if (!entry.TryParse(out var content) || content.Type is not ("action" or "review-opened" or "grant-used")) return;
        var at = DateTimeOffset.Parse(content.Root.GetProperty("time").GetString()!, CultureInfo.InvariantCulture);
        if (at < from || at >= until) return;
        if (Read(entry, content, at, out var why) is not { } recorded)
        {
            skipped.AddOrUpdate(why, 1, static (_, n) => n + 1);
            return;
        }

        var decision = await other.DecideAsync(recorded.Action, serving.ContextOf(recorded.Action.Actors) with { Now = at }, ct).ConfigureAwait(false);
        Interlocked.Increment(ref replayed);
        var now = decision.Verdict.ToString().ToLowerInvariant();
        var same = now == recorded.Verdict
            && (recorded.Verdict != "review" || recorded.Requirements is null || recorded.Requirements == Asked(decision.Requirements.Select(static r => r.ToCanonical().ToString())));
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

    /// <summary>The action and what was decided; null with the reason where it can not be taken again.</summary>
    private Recorded? Read(JournalEntry entry, EntryContent content, DateTimeOffset at, out string why)
    {
        why = "not-readable";
        try
        {
            if (reader.GetBody(entry.Index) is not { } stored) { why = "body-missing"; return null; }
            if (stored.Bytes is not { } bytes) { why = "erased"; return null; }
            using var document = JsonDocument.Parse(bytes, new JsonDocumentOptions { MaxDepth = 16 });
            var (root, body) = (content.Root, document.RootElement);
            if (!body.TryGetProperty("replay", out var replay)) { why = "recorded-by-an-older-version"; return null; }

            var parents = replay.GetProperty("parents").EnumerateArray().Select(static p => p.EnumerateArray().Select(static t => Parent(t.GetString()!)).ToArray()).ToArray();
            var effects = body.GetProperty("effects").EnumerateArray().Select((e, i) => Effect(e, parents[i])).ToArray();
            var verdict = replay.GetProperty("verdict").GetString()!;
            var reason = root.TryGetProperty("reason", out var r) ? r.GetString()! : ReasonCodes.ReviewRequired;
            var intent = body.GetProperty("intent");
            var action = new GatewayAction
            {
                Id = new ActionId(root.GetProperty("action").GetString()!),
                Actors = new ActorChain(new PrincipalRef(PrincipalKind.Agent, new OpaqueId(root.GetProperty("agent").GetString()!), body.GetProperty("agent").GetString()!),
                    Human(replay.GetProperty("owner").GetString()!), replay.TryGetProperty("for", out var user) ? Human(user.GetString()!) : null)
                {
                    Groups = replay.GetProperty("groups").EnumerateArray().Select(static g => g.GetString()!).ToArray(),
                    Via = replay.TryGetProperty("via", out var via) ? via.EnumerateArray().Select(h => Human(h.GetString()!)).ToArray() : [],
                },
                Target = new TargetRef(root.GetProperty("target").GetString()!, replay.GetProperty("kind").GetString()!, replay.GetProperty("environment").GetString()!),
                Effects = effects,
                Payload = new ActionPayload("replay", body.GetProperty("operation").GetString()!, default) { DisplayText = body.GetProperty("statement").GetString()! },
                Settings = Nothing,
                Intent = new Intent(Text(intent, "reason"), Text(intent, "ticket"), Text(intent, "task"), Text(intent, "model")),
            };
            return new Recorded(verdict, reason, root.GetProperty("policies").EnumerateArray().Select(static p => p.GetString()!).ToArray(),
                body.TryGetProperty("requirements", out var requirements) ? Asked(requirements.EnumerateArray().Select(static q => q.GetRawText())) : null, action, at);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or ArgumentException or IndexOutOfRangeException or FormatException)
        {
            return null;
        }
    }

    private static readonly Dictionary<string, string> Nothing = [];

    private PrincipalRef Human(string id) => new(PrincipalKind.User, new OpaqueId(id), users.Find(new OpaqueId(id))?.Ref.Name ?? id);

    private static string? Text(JsonElement element, string name) => element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static (string, string) Parent(string text)
    {
        var colons = text.IndexOf("::", StringComparison.Ordinal);
        return (text[..colons], text[(colons + 2)..]);
    }

    /// <summary>What was asked for, whichever policies asked: a policy that was renamed decides nothing else.</summary>
    private static string Asked(IEnumerable<string> requirements) => string.Join('\n', requirements.Select(static r =>
    {
        var node = JsonNode.Parse(r)!.AsObject();
        node.Remove("policies");
        return node.ToJsonString();
    }));

    /// <summary>An effect from its canonical form, which reviews hold as text and actions as it is.</summary>
    private static Effect Effect(JsonElement canonical, (string, string)[] parents)
    {
        if (canonical.ValueKind == JsonValueKind.String)
        {
            using var inner = JsonDocument.Parse(canonical.GetString()!);
            return Effect(inner.RootElement, parents);
        }

        var resource = canonical.GetProperty("resource");
        return new Effect(Enum.Parse<Verb>(canonical.GetProperty("verb").GetString()!, ignoreCase: true), canonical.GetProperty("action").GetString()!,
            new ResourceRef(resource.GetProperty("type").GetString()!, resource.GetProperty("id").GetString()!)
            {
                Parents = parents,
                DataClasses = canonical.GetProperty("classes").EnumerateArray().Select(static c => c.GetString()!).ToArray(),
            })
        {
            Facts = Facts(canonical.GetProperty("facts")),
        };
    }

    private static Dictionary<string, FactValue> Facts(JsonElement facts) => facts.EnumerateObject().ToDictionary(static f => f.Name, static f => f.Value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.Number => f.Value.GetInt64(),
        JsonValueKind.String => f.Value.GetString()!,
        JsonValueKind.Array => FactValue.Of(f.Value.EnumerateArray().Select(static v => v.GetString()!)),
        JsonValueKind.Object => new FactValue.Record(Facts(f.Value)),
        _ => throw new FormatException(),
    }, StringComparer.Ordinal);
}
