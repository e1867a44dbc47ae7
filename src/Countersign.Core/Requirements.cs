namespace Countersign.Core;

/// <summary>At <see cref="After"/> from the review's start, <see cref="Groups"/> may approve as well.</summary>
public sealed record Escalation(IReadOnlyList<string> Groups, TimeSpan After)
{
    public bool Equals(Escalation? other) =>
        other is not null && After == other.After && Groups.SequenceEqual(other.Groups, StringComparer.Ordinal);

    public override int GetHashCode() => HashCode.Combine(After, Groups.Count);
}

/// <summary>
/// One thing that must be met before a review can be released: <see cref="Quorum"/> distinct humans, each a member of
/// any of <see cref="Groups"/> (or of an escalation's groups once its time has come).
/// </summary>
public sealed record Requirement
{
    /// <summary>Sorted, distinct, not empty.</summary>
    public required IReadOnlyList<string> Groups { get; init; }

    /// <summary>At least 1.</summary>
    public required int Quorum { get; init; }

    /// <summary>From the review's start; at its end the review is denied as expired.</summary>
    public required TimeSpan Expires { get; init; }

    /// <summary>An approval needs a comment.</summary>
    public bool Justify { get; init; }

    /// <summary>Sorted by time.</summary>
    public IReadOnlyList<Escalation> Escalations { get; init; } = [];

    /// <summary>Ids of the policies that ask for it, sorted.</summary>
    public IReadOnlyList<string> Policies { get; init; } = [];

    /// <summary>Groups that may fill a slot at this age of the review: escalation only ever adds.</summary>
    public IReadOnlyList<string> GroupsAt(TimeSpan age) =>
        Escalations.Where(e => e.After <= age).SelectMany(static e => e.Groups)
            .Concat(Groups).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray();

    public bool Equals(Requirement? other) =>
        other is not null && Quorum == other.Quorum && Expires == other.Expires && Justify == other.Justify
        && Groups.SequenceEqual(other.Groups, StringComparer.Ordinal)
        && Escalations.SequenceEqual(other.Escalations)
        && Policies.SequenceEqual(other.Policies, StringComparer.Ordinal);

    public override int GetHashCode() => HashCode.Combine(Quorum, Expires, Justify, string.Join(',', Groups));

    public CanonicalJson ToCanonical() => CanonicalJson.Object(
        ("groups", CanonicalJson.Strings(Groups)),
        ("quorum", Quorum),
        ("expiresSeconds", (long)Expires.TotalSeconds),
        ("justify", Justify),
        ("escalations", CanonicalJson.Array(Escalations.Select(static e => (CanonicalJson)CanonicalJson.Object(
            ("groups", CanonicalJson.Strings(e.Groups)), ("afterSeconds", (long)e.After.TotalSeconds))))),
        ("policies", CanonicalJson.Strings(Policies)));
}

/// <summary>How requirements combine and when they are met (docs/spec/policy.md).</summary>
public static class RequirementAlgebra
{
    /// <summary>
    /// Equal group sets become one requirement: the larger quorum, the shortest expiry, a justification if any asks,
    /// the union of escalations. Different group sets stay apart: they are ANDed. The result is in one order whatever
    /// the order of the input, and merging twice changes nothing.
    /// </summary>
    public static IReadOnlyList<Requirement> Merge(IEnumerable<Requirement> requirements) =>
        requirements
            .GroupBy(static r => string.Join('\0', r.Groups), StringComparer.Ordinal)
            .OrderBy(static g => g.Key, StringComparer.Ordinal)
            .Select(static g => new Requirement
            {
                Groups = g.First().Groups,
                Quorum = g.Max(static r => r.Quorum),
                Expires = g.Min(static r => r.Expires),
                Justify = g.Any(static r => r.Justify),
                Escalations = g.SelectMany(static r => r.Escalations)
                    .DistinctBy(static e => (e.After, string.Join('\0', e.Groups)))
                    .OrderBy(static e => e.After).ThenBy(static e => string.Join('\0', e.Groups), StringComparer.Ordinal)
                    .ToArray(),
                Policies = g.SelectMany(static r => r.Policies).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray(),
            })
            .ToArray();

    /// <summary>
    /// True when distinct people can be given to every slot of every requirement, each person at most once. This is a
    /// maximum bipartite matching (augmenting paths), since first fit would waste the only member of a small group.
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
