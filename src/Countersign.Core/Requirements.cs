using System.Text.Json.Serialization;
using System.Text.RegularExpressions;

namespace Countersign.Core;

/// <summary>At <see cref="After"/> from the review's start, <see cref="Groups"/> may approve as well.</summary>
public sealed record Escalation(IReadOnlyList<string> Groups, TimeSpan After)
{
    public bool Equals(Escalation? other) =>
        other is not null && After == other.After && Groups.SequenceEqual(other.Groups, StringComparer.Ordinal);

    public override int GetHashCode() => HashCode.Combine(After, Groups.Count);
}

/// <summary>What a policy allows an approver to grant at most: for how long from the approval, and how many uses.</summary>
public sealed record GrantTerms(TimeSpan For, int Uses)
{
    /// <summary>What both allow; null where one of them allows none.</summary>
    public static GrantTerms? Both(GrantTerms? one, GrantTerms? other) => one is null || other is null
        ? null
        : new GrantTerms(one.For < other.For ? one.For : other.For, Math.Min(one.Uses, other.Uses));
}

/// <summary>What an approval is proven with beside the session of who gives it. A greater one is stricter.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<StepUp>))]
public enum StepUp
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>A passkey of the approver signs the approval statement itself.</summary>
    Passkey,
}

/// <summary>
/// One thing that must be met before a review can be released: <see cref="Quorum"/> distinct humans, each a member of
/// any of <see cref="Groups"/> (or of an escalation's groups once its time has come).
/// </summary>
public sealed record Requirement
{
    /// <summary>Groups of people who are on call: the name of a schedule follows. No directory can put anybody in one.</summary>
    public const string OnCallPrefix = "oncall:";

    /// <summary>From 0. Nobody is asked for a stage before every requirement of the stages before it is met.</summary>
    public int Stage { get; init; }

    /// <summary>Sorted, distinct, not empty.</summary>
    public required IReadOnlyList<string> Groups { get; init; }

    /// <summary>At least 1.</summary>
    public required int Quorum { get; init; }

    /// <summary>From the review's start; at its end the review is denied as expired.</summary>
    public required TimeSpan Expires { get; init; }

    /// <summary>An approval needs a comment.</summary>
    public bool Justify { get; init; }

    /// <summary>Patterns that each approval's comment must hold a match of, every one. Sorted, distinct.</summary>
    public IReadOnlyList<string> JustifyPatterns { get; init; } = [];

    /// <summary>
    /// Patterns that the agent's ticket must match as a whole, every one; without it nobody is asked. Sorted, distinct.
    /// </summary>
    public IReadOnlyList<string> TicketPatterns { get; init; } = [];

    /// <summary>What each approval is proven with.</summary>
    public StepUp StepUp { get; init; }

    /// <summary>What an approver may grant; null: this one action and nothing else.</summary>
    public GrantTerms? Grant { get; init; }

    /// <summary>Whether who is asked may change the action, for others to approve.</summary>
    public bool Edit { get; init; }

    /// <summary>Sorted by time.</summary>
    public IReadOnlyList<Escalation> Escalations { get; init; } = [];

    /// <summary>Ids of the policies that ask for it, sorted.</summary>
    public IReadOnlyList<string> Policies { get; init; } = [];

    /// <summary>Groups that may fill a slot at this age of the review: escalation only ever adds.</summary>
    public IReadOnlyList<string> GroupsAt(TimeSpan age) =>
        Escalations.Where(e => e.After <= age).SelectMany(static e => e.Groups)
            .Concat(Groups).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray();

    public bool Equals(Requirement? other) =>
        other is not null && Stage == other.Stage && Quorum == other.Quorum && Expires == other.Expires && Justify == other.Justify && StepUp == other.StepUp && Grant == other.Grant && Edit == other.Edit
        && JustifyPatterns.SequenceEqual(other.JustifyPatterns, StringComparer.Ordinal)
        && TicketPatterns.SequenceEqual(other.TicketPatterns, StringComparer.Ordinal)
        && Groups.SequenceEqual(other.Groups, StringComparer.Ordinal)
        && Escalations.SequenceEqual(other.Escalations)
        && Policies.SequenceEqual(other.Policies, StringComparer.Ordinal);

    public override int GetHashCode() => HashCode.Combine(Quorum, Expires, Justify, string.Join(',', Groups));

    /// <summary>Whether a comment says what is asked for.</summary>
    public bool IsJustifiedBy(string? comment) =>
        !Justify || (!string.IsNullOrWhiteSpace(comment) && JustifyPatterns.All(p => PolicyPattern.Holds(p, comment)));

    /// <summary>Whether a ticket is what is asked for.</summary>
    public bool IsTicketedBy(string? ticket) => TicketPatterns.All(p => ticket is not null && PolicyPattern.Matches(p, ticket));

    /// <summary>Members that say what is the default are absent.</summary>
    public CanonicalJson ToCanonical() => CanonicalJson.Object(
        ("stage", Stage == 0 ? null : (CanonicalJson)Stage),
        ("groups", CanonicalJson.Strings(Groups)),
        ("quorum", Quorum),
        ("expiresSeconds", (long)Expires.TotalSeconds),
        ("justify", Justify),
        ("justifyPatterns", JustifyPatterns.Count == 0 ? null : CanonicalJson.Strings(JustifyPatterns)),
        ("ticketPatterns", TicketPatterns.Count == 0 ? null : CanonicalJson.Strings(TicketPatterns)),
        ("stepUp", StepUp == StepUp.None ? null : (CanonicalJson)"passkey"),
        ("grant", Grant is null ? null : CanonicalJson.Object(("forSeconds", (long)Grant.For.TotalSeconds), ("uses", Grant.Uses))),
        ("edit", Edit ? (CanonicalJson)true : null),
        ("escalations", CanonicalJson.Array(Escalations.Select(static e => (CanonicalJson)CanonicalJson.Object(
            ("groups", CanonicalJson.Strings(e.Groups)), ("afterSeconds", (long)e.After.TotalSeconds))))),
        ("policies", CanonicalJson.Strings(Policies)));
}

/// <summary>
/// Patterns of policies over what people and agents write: .NET regular expressions without backtracking, so that no text
/// can make one slow.
/// </summary>
public static class PolicyPattern
{
    private const RegexOptions Options = RegexOptions.NonBacktracking | RegexOptions.CultureInvariant;

    /// <summary>Whether it is one; look-arounds and back-references are none, since they need backtracking.</summary>
    public static bool IsWellFormed(string pattern)
    {
        try
        {
            return Regex.Match("", pattern, Options) is not null;
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            return false;
        }
    }

    /// <summary>Whether the whole text matches.</summary>
    public static bool Matches(string pattern, string text) => Regex.IsMatch(text, $@"\A(?:{pattern})\z", Options);

    /// <summary>Whether some part of the text matches.</summary>
    public static bool Holds(string pattern, string text) => Regex.IsMatch(text, pattern, Options);
}

/// <summary>Where approvals leave requirements.</summary>
/// <param name="Open">Slots of each requirement that are still open, in the requirements' order.</param>
/// <param name="Stage">The stage that is asked now; null: everything is met.</param>
/// <param name="Counted">The people whose approvals count, in the order in which they were given.</param>
public sealed record Progress(IReadOnlyList<int> Open, int? Stage, IReadOnlyList<OpaqueId> Counted)
{
    public bool IsMet => Stage is null;
}

/// <summary>How requirements combine and when they are met (docs/spec/policy.md).</summary>
public static class RequirementAlgebra
{
    /// <summary>
    /// Equal group sets of one stage become one requirement: the larger quorum, the shortest expiry, a justification if any
    /// asks, every pattern, the strictest step-up, the union of escalations, and a grant only where all allow one. All others
    /// stay apart: they are ANDed. The result is in one order whatever the order of the input, and merging twice changes nothing.
    /// </summary>
    public static IReadOnlyList<Requirement> Merge(IEnumerable<Requirement> requirements) =>
        requirements
            .GroupBy(static r => (r.Stage, Groups: string.Join('\0', r.Groups)))
            .OrderBy(static g => g.Key.Stage).ThenBy(static g => g.Key.Groups, StringComparer.Ordinal)
            .Select(static g => new Requirement
            {
                Stage = g.Key.Stage,
                Groups = g.First().Groups,
                Quorum = g.Max(static r => r.Quorum),
                Expires = g.Min(static r => r.Expires),
                Justify = g.Any(static r => r.Justify),
                JustifyPatterns = g.SelectMany(static r => r.JustifyPatterns).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray(),
                TicketPatterns = g.SelectMany(static r => r.TicketPatterns).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray(),
                StepUp = g.Max(static r => r.StepUp),
                Grant = g.Select(static r => r.Grant).Aggregate(GrantTerms.Both),
                Edit = g.All(static r => r.Edit),
                Escalations = g.SelectMany(static r => r.Escalations)
                    .DistinctBy(static e => (e.After, string.Join('\0', e.Groups)))
                    .OrderBy(static e => e.After).ThenBy(static e => string.Join('\0', e.Groups), StringComparer.Ordinal)
                    .ToArray(),
                Policies = g.SelectMany(static r => r.Policies).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray(),
            })
            .ToArray();

    /// <summary>What each approval of a review with these requirements is proven with: the strictest that any of them asks for.</summary>
    public static StepUp StepUpOf(IReadOnlyList<Requirement> requirements) =>
        requirements.Count == 0 ? StepUp.None : requirements.Max(static r => r.StepUp);

    /// <summary>Whether an action with these requirements may be changed: where every one of them allows it.</summary>
    public static bool EditOf(IReadOnlyList<Requirement> requirements) => requirements.Count > 0 && requirements.All(static r => r.Edit);

    /// <summary>What may be granted of an action with these requirements: what every one of them allows.</summary>
    public static GrantTerms? GrantOf(IReadOnlyList<Requirement> requirements) =>
        requirements.Count == 0 ? null : requirements.Select(static r => r.Grant).Aggregate(GrantTerms.Both);

    /// <summary>
    /// Goes through approvals in the order in which they were given. Each counts for the stage that was asked when it came,
    /// or not at all: what somebody said before his stage is not what he says about it, and nobody counts for two stages.
    /// So whoever loses his eligibility takes with him what was built upon his approval, unless later ones carry it.
    /// </summary>
    /// <param name="requirements">Merged requirements.</param>
    /// <param name="approvals">Who approved, in order, each with the groups that he is in now.</param>
    /// <param name="age">Age of the review, for escalations; null counts every escalation as come.</param>
    public static Progress Follow(IReadOnlyList<Requirement> requirements, IEnumerable<KeyValuePair<OpaqueId, IReadOnlySet<string>>> approvals, TimeSpan? age)
    {
        var stages = new Queue<int>(requirements.Select(static r => r.Stage).Distinct().Order());
        var counted = new List<OpaqueId>();
        var inStage = new List<KeyValuePair<OpaqueId, IReadOnlySet<string>>>();
        var open = requirements.Select(static r => r.Quorum).ToArray();
        Settle();
        foreach (var approval in approvals)
        {
            if (stages.Count == 0) break;
            if (counted.Contains(approval.Key)) continue;
            var stage = stages.Peek();
            if (!requirements.Any(r => r.Stage == stage && r.GroupsAt(age ?? TimeSpan.MaxValue).Any(approval.Value.Contains))) continue;
            counted.Add(approval.Key);
            inStage.Add(approval);
            Settle();
        }

        return new Progress(open, stages.Count == 0 ? null : stages.Peek(), counted);

        void Settle()
        {
            while (stages.TryPeek(out var stage))
            {
                var of = Enumerable.Range(0, requirements.Count).Where(i => requirements[i].Stage == stage).ToArray();
                var left = OpenSlots(of.Select(i => requirements[i]).ToArray(), inStage, age);
                for (var i = 0; i < of.Length; i++) open[of[i]] = left[i];
                if (left.Any(static l => l > 0)) return;
                stages.Dequeue();
                inStage.Clear();
            }
        }
    }

    /// <summary>
    /// True when distinct people can be given to every slot of every requirement, each person at most once, whatever
    /// the order in which they speak: whether a review could ever be met. This is a maximum bipartite matching (augmenting paths), since first fit would waste the only member of a small group.
    /// </summary>
    /// <param name="requirements">Merged requirements.</param>
    /// <param name="people">For each distinct person the groups that he is in now.</param>
    /// <param name="age">Age of the review, for escalations; null counts every escalation as come.</param>
    public static bool IsMet(IReadOnlyList<Requirement> requirements, IReadOnlyCollection<KeyValuePair<OpaqueId, IReadOnlySet<string>>> people, TimeSpan? age) =>
        OpenSlots(requirements, people, age).All(static open => open == 0);

    /// <summary>How many slots of each requirement a best assignment leaves open, in the requirements' order.</summary>
    public static IReadOnlyList<int> OpenSlots(IReadOnlyList<Requirement> requirements, IReadOnlyCollection<KeyValuePair<OpaqueId, IReadOnlySet<string>>> people, TimeSpan? age)
    {
        // One human counts once, whatever the caller passed (I4): the same id twice is one candidate with the union of groups.
        var candidates = people
            .GroupBy(static p => p.Key)
            .OrderBy(static g => g.Key.Value, StringComparer.Ordinal)
            .Select(static g => g.SelectMany(static p => p.Value).ToHashSet(StringComparer.Ordinal))
            .ToArray();

        var slots = new List<(int Requirement, IReadOnlyList<string> Groups)>();
        for (var i = 0; i < requirements.Count; i++)
        {
            var groups = requirements[i].GroupsAt(age ?? TimeSpan.MaxValue);
            // A quorum beyond the number of candidates can not be met; matching more slots than that tells nothing new.
            var wanted = Math.Min(requirements[i].Quorum, candidates.Length + 1);
            for (var q = 0; q < wanted; q++) slots.Add((i, groups));
        }

        var holder = new int[candidates.Length];
        Array.Fill(holder, -1);
        var open = requirements.Select(r => Math.Max(0, r.Quorum - (candidates.Length + 1))).ToArray();
        for (var s = 0; s < slots.Count; s++)
        {
            if (!TryAssign(s, new bool[candidates.Length])) open[slots[s].Requirement]++;
        }

        return open;

        bool TryAssign(int slot, bool[] visited)
        {
            for (var c = 0; c < candidates.Length; c++)
            {
                if (visited[c] || !slots[slot].Groups.Any(candidates[c].Contains)) continue;
                visited[c] = true;
                if (holder[c] >= 0 && !TryAssign(holder[c], visited)) continue;
                holder[c] = slot;
                return true;
            }

            return false;
        }
    }
}
