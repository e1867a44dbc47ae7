using System.Globalization;
using System.Text.Json;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;
using Countersign.Reviews;

namespace Countersign.Pages.Activity;

/// <summary>What is searched for; null members say nothing.</summary>
public sealed record ActivityQuery
{
    public string? Agent { get; init; }

    /// <summary>A human: owner, acted for, or answered.</summary>
    public string? User { get; init; }
    public string? Target { get; init; }
    public string? Class { get; init; }

    /// <summary>`permit`, `review` or `deny`.</summary>
    public string? Decision { get; init; }
    public DateTimeOffset? From { get; init; }
    public DateTimeOffset? Until { get; init; }

    /// <summary>Entries from this index on are not looked at: where the last page ended.</summary>
    public long? Before { get; init; }

    public bool IsEmpty => Agent is null && User is null && Target is null && Class is null && Decision is null && From is null && Until is null;
}

/// <summary>How an action ended, as a word and a detail.</summary>
public sealed record Ending(string Word, string Tone, string? Detail = null)
{
    public static readonly Ending Ran = new("ran", "good");
    public static readonly Ending Open = new("waits", "warn");
}

/// <summary>One action of the journal.</summary>
public sealed record ActivityRow(
    long Index, DateTimeOffset At, string Id, string Agent, string Target, string Decision, string Reason,
    IReadOnlyList<string> Verbs, IReadOnlyList<string> Classes, string Statement, Ending Ending);

/// <param name="Rows">Newest first.</param>
/// <param name="Next">Where an older page begins; null when the journal's first entry was reached.</param>
/// <param name="Looked">Entries that were looked at for it.</param>
/// <param name="Back">How far back that was; null when nothing was there.</param>
public sealed record ActivityPageRows(IReadOnlyList<ActivityRow> Rows, long? Next, int Looked, DateTimeOffset? Back);

/// <summary>One entry of an action's story.</summary>
public sealed record StoryStep(long Index, DateTimeOffset At, string Type, string Title, string Tone, IReadOnlyList<(string Name, string Value)> Facts, string? Text);

public sealed record Story(string Id, ReviewId? Review, IReadOnlyList<StoryStep> Steps, bool IsCut);

/// <summary>What an agent did last.</summary>
public sealed record AgentRecord(int Actions, int Ran, int Approved, int Refused, int Failed, int Unknown);

/// <summary>
/// Reads the journal for people: backwards from the newest entry, at most <see cref="MaxEntries"/> a page. There is no index beside
/// the journal: a page that found little says how far it has looked, and goes on from there when asked.
/// </summary>
public sealed class Activities(IStateReader reader, ReviewDesk desk, AgentRegistry agents, UserDirectory users)
{
    private readonly ReviewDesk desk = desk;
    private readonly AgentRegistry agents = agents;
    private readonly UserDirectory users = users;

    /// <summary>Entries looked at for one page. 20,000: a tenth of a second, some days of a small gateway, a minute of a busy one.</summary>
    public const int MaxEntries = 20_000;

    /// <summary>Entries looked at for an agent's record on a card. 2,000: it is read with each change of the card.</summary>
    public const int MaxRecordEntries = 2_000;

    /// <summary>Actions of a page.</summary>
    public const int PageRows = 50;

    /// <summary>Actions of an agent's record.</summary>
    public const int RecordActions = 50;

    private const int Chunk = 500;

    /// <summary>Bodies longer than this are not opened for a list.</summary>
    private const int MaxListBody = 256 << 10;

    private Dictionary<string, string>? agentNames;

    public ActivityPageRows Search(ActivityQuery query, Reader who)
    {
        var filter = new Filter(query, who, this);
        var rows = new List<ActivityRow>();
        var endings = new Dictionary<string, Ending>(StringComparer.Ordinal);
        var upper = Math.Min(query.Before ?? long.MaxValue, reader.EntryCount);
        if (query.Until is { } until) upper = Math.Min(upper, FirstAfter(until));

        // How an action of this page ended may stand right above it.
        foreach (var entry in Backwards(Math.Min(upper + Chunk, reader.EntryCount), upper)) Note(entry, endings, filter);
        var looked = 0;
        var next = upper;
        DateTimeOffset? back = null;
        foreach (var entry in Backwards(upper, 0))
        {
            if (looked == MaxEntries || rows.Count == PageRows) break;
            if (query.From is { } from && entry.At < from)
            {
                next = 0;
                break;
            }

            looked++;
            next = entry.Index;
            back = entry.At;
            Note(entry, endings, filter);
            if (IsAction(entry.Type) && filter.Takes(entry)) rows.Add(Row(entry, endings));
        }

        return new ActivityPageRows(rows, next == 0 ? null : next, looked, back);
    }

    /// <summary>Whether a reader may see an entry.</summary>
    public bool MaySee(long index, Reader who) =>
        index >= 0 && index < reader.EntryCount && reader.ReadEntries(index, 1) is [var entry] && entry.Index.Value == index && new Filter(new ActivityQuery(), who, this).MaySee(Line.Of(entry));

    /// <summary>The last actions of an agent, counted by how they ended.</summary>
    public AgentRecord RecordOf(OpaqueId agent)
    {
        var endings = new Dictionary<string, Ending>(StringComparer.Ordinal);
        var (actions, ran, approved, refused, failed, unknown) = (0, 0, 0, 0, 0, 0);
        foreach (var entry in Backwards(reader.EntryCount, Math.Max(0, reader.EntryCount - MaxRecordEntries)))
        {
            if (entry["agent"] != agent.Value) continue;
            Note(entry, endings, null);
            if (!IsAction(entry.Type)) continue;
            var ending = EndingOf(entry, endings);
            if (ending == Ending.Open) continue;
            actions++;
            if (ending.Word == "ran" && entry.Type == "review-opened") approved++;
            else if (ending.Word == "ran") ran++;
            else if (ending.Word == "failed") failed++;
            else if (ending.Word == "unknown") unknown++;
            else refused++;
            if (actions == RecordActions) break;
        }

        return new AgentRecord(actions, ran, approved, refused, failed, unknown);
    }

    /// <summary>An action's whole story, or a review's; null when there is none that this reader may see.</summary>
    /// <param name="id">Of an action or a review.</param>
    /// <param name="at">Index of one of its entries, where it is known.</param>
    /// <param name="who">The reader.</param>
    public Story? StoryOf(string id, long? at, Reader who)
    {
        ReviewId? review = ReviewId.TryParse(id, out var parsed) ? parsed : null;
        var known = review is { } r ? desk.Find(r) : null;
        var count = reader.EntryCount;

        // A review says when it began: the journal is looked up there. Else around the entry that led here, else the newest.
        var start = known is not null ? Math.Max(0, FirstAfter(known.CreatedAt.AddSeconds(-2)))
            : at is { } index && index < count ? Math.Max(0, index - Chunk)
            : Math.Max(0, count - MaxEntries);
        var filter = new Filter(new ActivityQuery(), who, this);
        var keys = new HashSet<string>(StringComparer.Ordinal) { id };
        var steps = new List<StoryStep>();
        var looked = 0;
        var (ended, glass) = (false, false);
        foreach (var entry in Forwards(start))
        {
            if (looked++ == MaxEntries || ended) break;
            if (!keys.Contains(entry["action"] ?? "") && !keys.Contains(entry["review"] ?? "") && !keys.Contains(entry["released"] ?? "")) continue;
            if (!filter.MaySee(entry)) return null;
            if (entry["review"] is { } of)
            {
                keys.Add(of);
                if (review is null && ReviewId.TryParse(of, out var found)) review = found;
            }

            if (entry["action"] is { } action) keys.Add(action);
            if (entry["joined"] is { } joined) keys.Add(joined);
            steps.Add(Step(entry));

            // After a broken glass the story ends with what somebody else found.
            glass |= entry.Type == "glass-broken";
            ended = glass ? entry.Type == "aftermath-closed" : entry.Type is "outcome" or "refused" or "review-denied" or "review-expired" or "review-withdrawn" || (entry.Type == "action" && entry["verdict"] == "deny");
        }

        return steps.Count == 0 ? null : new Story(id, review, steps, !ended && looked > MaxEntries);
    }

    public string NameOf(string? id) => id switch
    {
        null => "",
        ['u', 's', '_', ..] => users.Find(new OpaqueId(id))?.Ref.Name ?? id,
        ['a', 'g', '_', ..] => (agentNames ??= agents.List().ToDictionary(static a => a.Id.Value, static a => a.Name, StringComparer.Ordinal)).GetValueOrDefault(id, id),
        _ => id,
    };

    private static bool IsAction(string type) => type is "action" or "refused" or "review-opened";

    private ActivityRow Row(Line entry, Dictionary<string, Ending> endings)
    {
        var decision = entry.Type switch { "review-opened" => "review", "refused" => "deny", _ => entry["verdict"] ?? "" };
        return new ActivityRow(entry.Index, entry.At, entry["review"] ?? entry["action"] ?? entry.Index.ToString(CultureInfo.InvariantCulture),
            NameOf(entry["agent"]), entry["target"] ?? "", decision, entry["reason"] ?? "", entry.Strings("verbs"), entry.Strings("classes"), StatementOf(entry), EndingOf(entry, endings));
    }

    private string StatementOf(Line entry)
    {
        var body = reader.GetBody(new LeafIndex(entry.Index));
        if (body is null) return "";
        if (body.Bytes is not { } bytes) return "(erased)";
        if (bytes.Length > MaxListBody) return "(long)";
        using var json = JsonDocument.Parse(bytes);
        return Text(json.RootElement, "statement") ?? Text(json.RootElement, "text") ?? "";
    }

    private Ending EndingOf(Line entry, Dictionary<string, Ending> endings)
    {
        if (entry.Type == "refused" || entry["verdict"] == "deny") return new Ending("refused", "bad", entry["reason"]);
        if (entry["review"] is { } id)
        {
            if (endings.TryGetValue(id, out var ended)) return ended;
            return ReviewId.TryParse(id, out var review) && desk.Find(review) is { } found ? EndingOf(found) : Ending.Open;
        }

        return entry["action"] is { } action && endings.TryGetValue(action, out var outcome) ? outcome : Ending.Ran;
    }

    public static Ending EndingOf(Review review) => review.State switch
    {
        ReviewState.Pending => Ending.Open,
        ReviewState.Approved => new Ending("approved", "good"),
        ReviewState.Released => review.Outcome is { } outcome ? EndingOf(outcome.Status.ToString().ToLowerInvariant(), outcome.Rows, outcome.ErrorCode) : new Ending("runs", "warn"),
        var other => new Ending(other.ToString().ToLowerInvariant(), "bad", review.CloseReason),
    };

    private static Ending EndingOf(string? status, long? rows, string? error) => status switch
    {
        "done" => rows is { } n ? new Ending("ran", "good", $"{n.ToString("N0", CultureInfo.InvariantCulture)} {(n == 1 ? "row" : "rows")}") : Ending.Ran,
        "failed" => new Ending("failed", "bad", error),
        _ => new Ending("unknown", "warn", "sent, and the answer was lost"),
    };

    private static void Note(Line entry, Dictionary<string, Ending> endings, Filter? filter)
    {
        filter?.Hear(entry);
        var ending = entry.Type switch
        {
            "outcome" => EndingOf(entry["status"], entry.Number("rows"), entry["error"]),
            "review-denied" or "review-expired" or "review-withdrawn" => new Ending(entry.Type["review-".Length..], "bad", entry["reason"]),
            _ => null,
        };
        if (ending is null) return;
        if (entry["review"] is { } review) endings.TryAdd(review, ending);
        if (entry["action"] is { } action) endings.TryAdd(action, ending);
    }

    private StoryStep Step(Line entry)
    {
        var who = NameOf(entry["user"] ?? entry["agent"]);
        var (title, tone) = entry.Type switch
        {
            "action" => entry["verdict"] == "permit" ? ($"{who} asked; policy permitted it at once", "good") : ($"{who} asked; policy refused it", "bad"),
            "refused" => ($"{who} was refused", "bad"),
            "review-opened" => ($"{who} asked; policy holds it for a human", "warn"),
            "review-joined" => ("The agent came back and waits again", ""),
            "review-detached" => ("The agent left; the review stays open", "warn"),
            "review-escalated" => ("More people may answer now", "warn"),
            "review-edited" => ($"{who} made something else of it, which waits in {entry["into"]}", "warn"),
            "edit-refused" => ($"An edit of {who} was refused: {entry["reason"]}", "bad"),
            "review-estimated" => (entry["known"] == "true" ? "The target's planner said how many rows it expects" : "There is no estimate of the rows", ""),
            "review-reopened" => ("Decided afresh: more is needed", "warn"),
            "approvals-voided" => ("The target changed: approvals no longer count", "bad"),
            "answer" => ($"{who} {entry["decision"] switch { "deny" => "said no", "break-glass" => "broke the glass", _ => "approved" }} {Where(entry["channel"])}", entry["decision"] == "approve" ? "good" : "bad"),
            "glass-broken" => ("It is let through without those who decide", "bad"),
            "aftermath-opened" => ("Somebody else has to look into the broken glass", "warn"),
            "aftermath-closed" => ($"{NameOf(entry["by"] ?? entry["user"])} looked into the broken glass", ""),
            "answer-refused" => ($"An answer of {who} did not count", "bad"),
            "review-approved" => ("Enough people have approved", "good"),
            "review-denied" => ("Denied", "bad"),
            "review-expired" => ("Nobody decided in time, which is a no", "bad"),
            "review-withdrawn" => ("The agent withdrew it", "bad"),
            "stage-opened" => ("The next stage is asked", ""),
            "released" => ("Decided afresh, and released once", "good"),
            "outcome" => (entry["status"] switch { "done" => "The target carried it out", "failed" => "The target failed it", _ => "It was sent, and its answer was lost" }, entry["status"] switch { "done" => "good", "failed" => "bad", _ => "warn" }),
            var other => (other, ""),
        };
        var facts = entry.All()
            .Where(static f => f.Name is not ("type" or "v" or "index" or "time" or "body"))
            .Select(f => (f.Name, Value: f.Name is "agent" or "user" or "owner" or "for" or "author" ? $"{NameOf(f.Value)} ({f.Value})" : f.Value))
            .Where(static f => f.Value.Length > 0).ToArray();
        return new StoryStep(entry.Index, entry.At, entry.Type, title, tone, facts, TextOf(entry));
    }

    public static string Where(string? channel) => channel switch
    {
        "console" => "in the console",
        "cli" => "on the command line",
        "api" => "over the API",
        "slack" => "in Slack",
        "teams" => "in Teams",
        _ => $"by {channel}",
    };

    /// <summary>What people said or sent in this entry, from its body.</summary>
    private string? TextOf(Line entry)
    {
        if (entry.Type is not ("action" or "refused" or "review-opened" or "review-reopened" or "approvals-voided" or "answer")) return null;
        if (reader.GetBody(new LeafIndex(entry.Index)) is not { } body) return null;
        if (body.Bytes is not { } bytes) return "(erased)";
        using var json = JsonDocument.Parse(bytes);
        if (entry.Type != "answer") return Text(json.RootElement, "statement") ?? Text(json.RootElement, "text");
        if (Text(json.RootElement, "statement") is not { } statement) return null;
        using var said = JsonDocument.Parse(statement);
        return Text(said.RootElement, "comment");
    }

    private static string? Text(JsonElement json, string name) => json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    // ---- reading ----

    private IEnumerable<Line> Forwards(long from)
    {
        while (true)
        {
            var page = reader.ReadEntries(from, Chunk);
            foreach (var entry in page) yield return Line.Of(entry);
            if (page.Count == 0) yield break;
            from = page[^1].Index.Value + 1;
        }
    }

    /// <summary>Entries below <paramref name="upper"/> down to <paramref name="lower"/>, newest first.</summary>
    private IEnumerable<Line> Backwards(long upper, long lower)
    {
        while (upper > lower)
        {
            var start = Math.Max(lower, upper - Chunk);
            var part = new List<JournalEntry>();
            for (var from = start; from < upper;)
            {
                var page = reader.ReadEntries(from, (int)(upper - from));
                if (page.Count == 0) break;
                part.AddRange(page);
                from = page[^1].Index.Value + 1;
            }

            for (var i = part.Count - 1; i >= 0; i--) yield return Line.Of(part[i]);
            upper = start;
        }
    }

    /// <summary>
    /// Index of the first entry after a moment, by halving. Times mostly rise with the index; where a clock went back this is
    /// near it, and the order of what is shown is the index all the same.
    /// </summary>
    private long FirstAfter(DateTimeOffset moment)
    {
        var (low, high) = (0L, reader.EntryCount);
        while (low < high)
        {
            var middle = low + (high - low) / 2;
            if (reader.ReadEntries(middle, 1) is not [var entry] || Line.Of(entry).At > moment) high = middle;
            else low = middle + 1;
        }

        return low;
    }

    /// <summary>An entry's own members, read once.</summary>
    private sealed class Line
    {
        private readonly JsonElement json;

        private Line(long index, JsonElement json)
        {
            Index = index;
            this.json = json;
        }

        public long Index { get; }
        public string Type => this["type"] ?? "";
        public DateTimeOffset At => this["time"] is { } time && DateTimeOffset.TryParse(time, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var at) ? at : default;
        public string? this[string name] => Text(json, name);

        public static Line Of(JournalEntry entry) => new(entry.Index.Value, JsonElement.Parse(entry.Bytes));

        public long? Number(string name) => json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var number) ? number : null;

        public IReadOnlyList<string> Strings(string name) =>
            json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Array ? value.EnumerateArray().Select(static v => v.ToString()).ToArray() : [];

        public IEnumerable<(string Name, string Value)> All() => json.EnumerateObject().Select(static m =>
            (m.Name, m.Value.ValueKind == JsonValueKind.Array ? string.Join(", ", m.Value.EnumerateArray().Select(static v => v.ToString())) : m.Value.ToString()));
    }

    /// <summary>What of the journal a query takes and a reader may see.</summary>
    private sealed class Filter
    {
        private readonly ActivityQuery query;
        private readonly Reader who;
        private readonly Activities of;
        private readonly string? user;
        private readonly HashSet<string> agentIds;
        private readonly HashSet<string>? mine;
        private readonly HashSet<string> answered = new(StringComparer.Ordinal);
        private readonly Dictionary<string, bool> reviews = new(StringComparer.Ordinal);

        public Filter(ActivityQuery query, Reader who, Activities of)
        {
            (this.query, this.who, this.of) = (query, who, of);
            var all = of.agents.List();
            agentIds = all.Where(a => a.Name == query.Agent).Select(static a => a.Id.Value).ToHashSet(StringComparer.Ordinal);
            user = query.User is null ? null : of.users.Find(query.User)?.Ref.Id.Value ?? "";
            mine = who.IsAdmin ? null : all.Where(a => a.Owner == who.Name || a.For == who.Name).Select(static a => a.Id.Value).ToHashSet(StringComparer.Ordinal);
        }

        /// <summary>Remembers whose answers stand above an action that is still to come.</summary>
        public void Hear(Line entry)
        {
            if (user is not null && entry.Type is "answer" or "answer-refused" && entry["user"] == user && entry["review"] is { } review) answered.Add(review);
        }

        public bool Takes(Line entry) =>
            (query.Agent is null || agentIds.Contains(entry["agent"] ?? ""))
            && (query.Target is null || entry["target"] == query.Target)
            && (query.Class is null || entry.Strings("classes").Contains(query.Class, StringComparer.Ordinal))
            && (query.Decision is null || query.Decision == (entry.Type switch { "review-opened" => "review", "refused" => "deny", _ => entry["verdict"] }))
            && (user is null || IsOf(entry, user))
            && MaySee(entry);

        private bool IsOf(Line entry, string id)
        {
            if (entry["owner"] == id || entry["for"] == id || (entry["review"] is { } review && answered.Contains(review))) return true;
            return of.agents.Find(of.NameOf(entry["agent"])) is { } agent && (agent.Owner == query.User || agent.For == query.User);
        }

        /// <summary>Admins all; others what their agents do, and the reviews that they may see.</summary>
        public bool MaySee(Line entry)
        {
            if (mine is null || mine.Contains(entry["agent"] ?? "")) return true;
            if (entry["review"] is not { } id) return false;
            if (reviews.TryGetValue(id, out var may)) return may;
            return reviews[id] = ReviewId.TryParse(id, out var parsed) && of.desk.Find(parsed) is { } review && of.desk.MaySee(who.User, seesAll: false, review);
        }
    }
}
