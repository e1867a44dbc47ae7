using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Serialization;
using Countersign.Core;
using Countersign.Journal;

namespace Countersign.Gateway;

/// <summary>What one agent may do in a time (docs/limits.md).</summary>
public sealed record BrakeLimits
{
    /// <summary>Actions a minute: a bucket of so many that fills evenly. 12,000: far above what is asked on purpose.</summary>
    public int RequestsPerMinute { get; init; } = 12_000;

    /// <summary>Denials within <see cref="Window"/> that suspend an agent. 100: who is told no so often does not listen.</summary>
    public int Denials { get; init; } = 100;

    /// <summary>5 minutes: long enough to see a loop with pauses.</summary>
    public TimeSpan Window { get; init; } = TimeSpan.FromMinutes(5);
}

/// <summary>Since when an agent is suspended, and by whom; null: by the brake itself.</summary>
public sealed record Suspension(DateTimeOffset At, string? By, int Denials);

/// <summary>
/// Caps of each agent, and the brake for one that runs away: it suspends, and only a human lifts it. Suspensions are in the
/// store and outlive a restart; counts do not. Thread-safe.
/// </summary>
public sealed class AgentBrake
{
    private const string Collection = "suspensions";

    /// <summary>Refusals of one kind of one agent that are journalled singly: one a minute, with the number of those in between.</summary>
    private static readonly TimeSpan Quiet = TimeSpan.FromMinutes(1);

    private readonly IStateReader reader;
    private readonly JournalAppender journal;
    private readonly TimeProvider time;
    private readonly BrakeLimits limits;
    private readonly ConcurrentDictionary<OpaqueId, Suspension> suspended = new();

    /// <summary>As many as there are agents.</summary>
    private readonly ConcurrentDictionary<OpaqueId, Track> tracks = new();

    private sealed class Track
    {
        public double Tokens;
        public long FilledAt;
        public readonly Queue<long> Denials = new();
        public readonly Dictionary<string, (long At, int Unsaid)> Said = new(StringComparer.Ordinal);
    }

    public AgentBrake(IStateReader reader, JournalAppender journal, TimeProvider time, BrakeLimits limits)
    {
        this.reader = reader;
        this.journal = journal;
        this.time = time;
        this.limits = limits;
        foreach (var document in reader.List(Collection)) suspended[new OpaqueId(document.Key)] = JsonSerializer.Deserialize(document.Value, BrakeJson.Default.Suspension)!;
    }

    public Suspension? Find(OpaqueId agent) => suspended.GetValueOrDefault(agent);

    /// <summary>Takes one action off the agent's minute. False: it has none left.</summary>
    public bool TryTake(OpaqueId agent)
    {
        var track = TrackOf(agent);
        lock (track)
        {
            var now = time.GetTimestamp();
            track.Tokens = Math.Min(limits.RequestsPerMinute, track.Tokens + time.GetElapsedTime(track.FilledAt, now).TotalMinutes * limits.RequestsPerMinute);
            track.FilledAt = now;
            if (track.Tokens < 1) return false;
            track.Tokens--;
            return true;
        }
    }

    /// <summary>
    /// Whether a refusal by the brake is to be journalled, so that who is braked does not fill the journal: null when not,
    /// else how many like it were not since the last.
    /// </summary>
    public int? ToldLately(OpaqueId agent, string reason)
    {
        var track = TrackOf(agent);
        lock (track)
        {
            var now = time.GetTimestamp();
            if (track.Said.TryGetValue(reason, out var said) && time.GetElapsedTime(said.At, now) < Quiet)
            {
                track.Said[reason] = said with { Unsaid = said.Unsaid + 1 };
                return null;
            }

            track.Said[reason] = (now, 0);
            return said.Unsaid;
        }
    }

    /// <summary>Counts a denial, and suspends the agent when there were too many. What can not be written now is tried at the next denial.</summary>
    public async Task DeniedAsync(PrincipalRef agent)
    {
        int count;
        var track = TrackOf(agent.Id);
        lock (track)
        {
            var now = time.GetTimestamp();
            while (track.Denials.TryPeek(out var oldest) && time.GetElapsedTime(oldest, now) >= limits.Window) track.Denials.Dequeue();
            track.Denials.Enqueue(now);
            count = track.Denials.Count;
            if (count > limits.Denials) track.Denials.Dequeue();
        }

        if (count >= limits.Denials) await SuspendAsync(agent, null, count).ConfigureAwait(false);
    }

    /// <summary>Suspends an agent: by a human, or with null by itself. It stays until a human lifts it.</summary>
    public async Task<WriteStatus> SuspendAsync(PrincipalRef agent, PrincipalRef? by, int denials = 0)
    {
        if (suspended.ContainsKey(agent.Id)) return WriteStatus.Committed;
        var suspension = new Suspension(time.GetUtcNow(), by?.Name, denials);

        // At once, whether or not it can be written: a brake that waits for a disk is none.
        suspended[agent.Id] = suspension;
        var result = await journal.WriteAsync(new WriteSet(
            [new EntryDraft("agent-suspended",
                CanonicalJson.Object(("agent", agent.Id.Value), ("reason", ReasonCodes.AgentSuspended), ("author", by is null ? null : (CanonicalJson)by.Id.Value),
                    ("denials", by is null ? (CanonicalJson)denials : null), ("windowSeconds", by is null ? (CanonicalJson)(long)limits.Window.TotalSeconds : null)),
                CanonicalJson.Object(("name", agent.Name), ("author", by?.Name)))],
            [new StateChange.Put(Collection, agent.Id.Value, reader.Get(Collection, agent.Id.Value)?.Version ?? 0, null, JsonSerializer.SerializeToUtf8Bytes(suspension, BrakeJson.Default.Suspension))])).ConfigureAwait(false);
        if (result.Status == WriteStatus.Unavailable && by is not null) suspended.TryRemove(agent.Id, out _);
        return result.Status;
    }

    /// <summary>Lifts a suspension, and forgets what led to it.</summary>
    public async Task<WriteStatus> ResumeAsync(PrincipalRef agent, PrincipalRef by)
    {
        var document = reader.Get(Collection, agent.Id.Value);
        if (document is null && !suspended.ContainsKey(agent.Id)) return WriteStatus.Committed;
        var result = await journal.WriteAsync(new WriteSet(
            [new EntryDraft("agent-resumed", CanonicalJson.Object(("agent", agent.Id.Value), ("author", by.Id.Value)), CanonicalJson.Object(("name", agent.Name), ("author", by.Name)))],
            document is null ? [] : [new StateChange.Delete(Collection, document.Key, document.Version)])).ConfigureAwait(false);
        if (result.Status != WriteStatus.Committed) return result.Status;
        suspended.TryRemove(agent.Id, out _);
        var track = TrackOf(agent.Id);
        lock (track) track.Denials.Clear();
        return WriteStatus.Committed;
    }

    private Track TrackOf(OpaqueId agent) => tracks.GetOrAdd(agent, _ => new Track { Tokens = limits.RequestsPerMinute, FilledAt = time.GetTimestamp() });
}

[JsonSerializable(typeof(Suspension))]
internal sealed partial class BrakeJson : JsonSerializerContext;
