using CsCheck;

namespace Countersign.Core.Tests;

using People = KeyValuePair<OpaqueId, IReadOnlySet<string>>;

/// <summary>The named properties of the requirement algebra (docs/spec/policy.md).</summary>
public sealed class RequirementTests
{
    private static readonly string[] AllGroups = ["dba", "legal", "sre"];

    private static readonly Gen<IReadOnlyList<string>> Groups =
        Gen.Int[1, 7].Select(static mask => (IReadOnlyList<string>)AllGroups.Where((_, i) => (mask >> i & 1) == 1).ToArray());

    private static readonly Gen<Requirement> One =
        Gen.Select(Groups, Gen.Int[1, 3], Gen.Int[1, 60], Gen.Bool, Gen.Select(Groups, Gen.Int[1, 30]).Array[0, 2], Gen.Select(Gen.OneOf("p1", "p2", "p3"), Gen.Int[0, 2], Gen.Bool, Gen.Bool))
            .Select(static (groups, quorum, minutes, justify, escalations, rest) => new Requirement
            {
                Stage = rest.Item2,
                StepUp = rest.Item4 ? StepUp.Passkey : StepUp.None,
                Grant = rest.Item3 ? new GrantTerms(TimeSpan.FromMinutes(minutes), quorum) : null,
                Groups = groups,
                Quorum = quorum,
                Expires = TimeSpan.FromMinutes(minutes),
                Justify = justify,
                Escalations = escalations.Select(static e => new Escalation(e.Item1, TimeSpan.FromMinutes(e.Item2))).OrderBy(static e => e.After).ToArray(),
                Policies = [rest.Item1],
            });

    private static readonly Gen<Requirement[]> Many = One.Array[0, 4];

    private static readonly Gen<People[]> Crowd =
        Gen.Int[0, 7].Array[0, 5].Select(static masks => masks.Select(static (mask, i) => Person(i, AllGroups.Where((_, g) => (mask >> g & 1) == 1).ToArray())).ToArray());

    private static readonly Gen<TimeSpan> Age = Gen.Int[0, 40].Select(static m => TimeSpan.FromMinutes(m));

    [Fact]
    public void Merge_is_idempotent() =>
        Many.Sample(static many => RequirementAlgebra.Merge(RequirementAlgebra.Merge(many)).SequenceEqual(RequirementAlgebra.Merge(many)));

    [Fact]
    public void Order_does_not_matter() =>
        Gen.Select(Many, Crowd, Age).SelectMany(static it => Gen.Select(Gen.Shuffle(it.Item1), Gen.Shuffle(it.Item2)).Select(s => (it.Item1, it.Item2, it.Item3, s.Item1, s.Item2)))
            .Sample(static (many, crowd, age, shuffledMany, shuffledCrowd) =>
            {
                var merged = RequirementAlgebra.Merge(many);
                return merged.SequenceEqual(RequirementAlgebra.Merge(shuffledMany))
                    && RequirementAlgebra.OpenSlots(merged, crowd, age).SequenceEqual(RequirementAlgebra.OpenSlots(merged, shuffledCrowd, age));
            });

    [Fact]
    public void Duplicates_do_not_matter() =>
        Many.Sample(static many => RequirementAlgebra.Merge(many.Concat(many)).SequenceEqual(RequirementAlgebra.Merge(many)));

    [Fact]
    public void Merging_only_makes_stricter() =>
        Gen.Select(Many, Crowd).Sample(static (many, crowd) =>
        {
            var merged = RequirementAlgebra.Merge(many);
            return many.All(r => merged.Any(m => m.Stage == r.Stage && m.Groups.SequenceEqual(r.Groups) && m.Quorum >= r.Quorum && m.Expires <= r.Expires && (m.Justify || !r.Justify) && m.StepUp >= r.StepUp
                && (m.Grant is null || (r.Grant is { } g && m.Grant.For <= g.For && m.Grant.Uses <= g.Uses))
                && r.Escalations.All(m.Escalations.Contains) && r.Policies.All(m.Policies.Contains)))

                // And who meets all together meets each alone.
                && (!RequirementAlgebra.IsMet(merged, crowd, TimeSpan.Zero) || many.All(r => RequirementAlgebra.IsMet([r], crowd, TimeSpan.Zero)));
        });

    [Fact]
    public void Step_up_is_never_loosened_by_another_requirement() =>
        Gen.Select(Many, Many).Sample(static (many, more) =>
            RequirementAlgebra.StepUpOf(RequirementAlgebra.Merge(many.Concat(more))) == (StepUp)Math.Max((int)RequirementAlgebra.StepUpOf(many), (int)RequirementAlgebra.StepUpOf(more)));

    [Fact]
    public void P31_One_human_counts_once() =>
        Gen.Select(Many, Crowd, Age, Gen.Int[2, 4]).Sample(static (many, crowd, age, times) =>
        {
            var merged = RequirementAlgebra.Merge(many);
            var repeated = Enumerable.Repeat(crowd, times).SelectMany(static c => c).ToArray();
            return RequirementAlgebra.OpenSlots(merged, crowd, age).SequenceEqual(RequirementAlgebra.OpenSlots(merged, repeated, age));
        });

    [Fact]
    public void P31_One_person_in_two_groups_does_not_satisfy_both()
    {
        Requirement[] both = [Need(1, "dba"), Need(1, "legal")];
        Assert.False(RequirementAlgebra.IsMet(both, [Person(1, "dba", "legal")], TimeSpan.Zero));
        Assert.True(RequirementAlgebra.IsMet(both, [Person(1, "dba", "legal"), Person(2, "legal")], TimeSpan.Zero));

        // The same id with its groups told apart is still one person.
        Assert.False(RequirementAlgebra.IsMet(both, [Person(1, "dba"), Person(1, "legal")], TimeSpan.Zero));
    }

    [Fact]
    public void P31_Threshold_is_at_least_not_exactly()
    {
        Requirement[] two = [Need(2, "dba")];
        Assert.False(RequirementAlgebra.IsMet(two, [Person(1, "dba")], TimeSpan.Zero));
        Assert.True(RequirementAlgebra.IsMet(two, [Person(1, "dba"), Person(2, "dba")], TimeSpan.Zero));
        Assert.True(RequirementAlgebra.IsMet(two, [Person(1, "dba"), Person(2, "dba"), Person(3, "dba")], TimeSpan.Zero));
    }

    [Fact]
    public void Escalation_only_adds() =>
        Gen.Select(Many, Crowd, Age, Age).Sample(static (many, crowd, one, two) =>
        {
            var merged = RequirementAlgebra.Merge(many);
            var (early, late) = one < two ? (one, two) : (two, one);
            return merged.All(r => r.GroupsAt(early).All(r.GroupsAt(late).Contains) && r.Groups.All(r.GroupsAt(early).Contains))
                && (!RequirementAlgebra.IsMet(merged, crowd, early) || RequirementAlgebra.IsMet(merged, crowd, late))
                && (!RequirementAlgebra.IsMet(merged, crowd, late) || RequirementAlgebra.IsMet(merged, crowd, null));
        });

    [Fact]
    public void One_more_approver_never_hurts() =>
        Gen.Select(Many, Crowd, Age).Sample(static (many, crowd, age) =>
        {
            var merged = RequirementAlgebra.Merge(many);
            return !RequirementAlgebra.IsMet(merged, crowd[..Math.Max(0, crowd.Length - 1)], age) || RequirementAlgebra.IsMet(merged, crowd, age);
        });

    [Fact]
    public void I4_One_human_counts_once() =>
        Gen.Select(Many, Crowd, Age, Gen.Int[2, 4]).Sample(static (many, crowd, age, times) =>
        {
            var merged = RequirementAlgebra.Merge(many);
            var once = RequirementAlgebra.Follow(merged, crowd, age);
            var often = RequirementAlgebra.Follow(merged, Enumerable.Repeat(crowd, times).SelectMany(static c => c), age);

            // Saying it again later may be the answer to a later stage's question, but never a second one of the same human.
            return often.Counted.Distinct().Count() == often.Counted.Count && once.Counted.Count <= crowd.Length
                && (!often.IsMet || often.Counted.Count >= merged.Sum(static r => r.Quorum));
        });

    [Fact]
    public void Stages_are_never_skipped() =>
        Gen.Select(Many, Crowd, Age).Sample(static (many, crowd, age) =>
        {
            var merged = RequirementAlgebra.Merge(many);
            for (var n = 0; n <= crowd.Length; n++)
            {
                var before = RequirementAlgebra.Follow(merged, crowd[..n], age);
                if (before.Stage is { } stage)
                {
                    // Stages before the one that is asked are met, those behind it untouched.
                    if (merged.Where((r, i) => r.Stage < stage && before.Open[i] > 0).Any() || merged.Where((r, i) => r.Stage > stage && before.Open[i] != r.Quorum).Any()) return false;
                }

                if (n == crowd.Length) break;
                var after = RequirementAlgebra.Follow(merged, crowd[..(n + 1)], age);
                var counts = after.Counted.Count > before.Counted.Count;
                if (counts && !merged.Any(r => r.Stage == before.Stage && r.GroupsAt(age).Any(crowd[n].Value.Contains))) return false;
            }

            return true;
        });

    [Fact]
    public void Without_stages_the_order_of_approvals_does_not_matter() =>
        Gen.Select(Many, Crowd, Age).SelectMany(static it => Gen.Shuffle(it.Item2).Select(s => (it.Item1, it.Item2, it.Item3, s))).Sample(static (many, crowd, age, shuffled) =>
        {
            var merged = RequirementAlgebra.Merge(many.Select(static r => r with { Stage = 0 }));
            return RequirementAlgebra.Follow(merged, crowd, age).IsMet == RequirementAlgebra.IsMet(merged, crowd, age)
                && RequirementAlgebra.Follow(merged, crowd, age).Open.SequenceEqual(RequirementAlgebra.Follow(merged, shuffled, age).Open);
        });

    [Fact]
    public void Staged_escalation_only_adds_and_one_more_approver_never_hurts() =>
        Gen.Select(Many, Crowd, Age, Age).Sample(static (many, crowd, one, two) =>
        {
            var merged = RequirementAlgebra.Merge(many);
            var (early, late) = one < two ? (one, two) : (two, one);
            var fewer = crowd[..Math.Max(0, crowd.Length - 1)];
            return (!RequirementAlgebra.Follow(merged, crowd, early).IsMet || RequirementAlgebra.Follow(merged, crowd, late).IsMet)
                && (!RequirementAlgebra.Follow(merged, crowd, late).IsMet || RequirementAlgebra.Follow(merged, crowd, null).IsMet)
                && (!RequirementAlgebra.Follow(merged, fewer, early).IsMet || RequirementAlgebra.Follow(merged, crowd, early).IsMet);
        });

    [Fact]
    public void What_stages_leave_met_could_be_met_at_once() =>
        Gen.Select(Many, Crowd, Age).Sample(static (many, crowd, age) =>
        {
            var merged = RequirementAlgebra.Merge(many);
            return !RequirementAlgebra.Follow(merged, crowd, age).IsMet || RequirementAlgebra.IsMet(merged, crowd, age);
        });

    [Fact]
    public void Who_spoke_for_an_early_stage_does_not_count_for_a_later_one()
    {
        Requirement[] needs = [Need(1, "dba"), Need(1, "sre"), Need(1, "legal") with { Stage = 1 }];

        // 1 could fill the lawyers' slot, but spoke before they were asked.
        var progress = RequirementAlgebra.Follow(needs, [Person(1, "dba", "legal"), Person(2, "dba"), Person(3, "sre")], TimeSpan.Zero);
        Assert.Equal(1, progress.Stage);
        Assert.Equal([0, 0, 1], progress.Open);
        Assert.True(RequirementAlgebra.IsMet(needs, [Person(1, "dba", "legal"), Person(2, "dba"), Person(3, "sre")], TimeSpan.Zero));

        // And who lost his group takes with him what was built upon his approval.
        Assert.False(RequirementAlgebra.Follow(needs, [Person(1), Person(3, "sre"), Person(4, "legal")], TimeSpan.Zero).IsMet);
        Assert.True(RequirementAlgebra.Follow(needs, [Person(1, "dba"), Person(3, "sre"), Person(4, "legal")], TimeSpan.Zero).IsMet);
    }

    [Theory]
    [InlineData("[A-Z]+-[0-9]+", "see OPS-12, please", true, false)]
    [InlineData("[A-Z]+-[0-9]+", "OPS-12", true, true)]
    [InlineData("OPS-1|2", "OPS-12", true, false)]
    [InlineData("OPS-[0-9]", "OPS-1\n", true, false)]
    public void Patterns_hold_or_match_as_a_whole(string pattern, string text, bool holds, bool matches) =>
        Assert.Equal((holds, matches), (PolicyPattern.Holds(pattern, text), PolicyPattern.Matches(pattern, text)));

    [Theory]
    [InlineData("(?=a)b")]
    [InlineData("(a)\\1")]
    [InlineData("(")]
    public void Pattern_that_needs_backtracking_is_none(string pattern) => Assert.False(PolicyPattern.IsWellFormed(pattern));

    [Fact]
    public void Matching_beats_first_fit()
    {
        // First fit would spend the only lawyer on the slot that anybody can take.
        Requirement[] needs = [Need(1, "dba", "legal"), Need(1, "legal")];
        Assert.True(RequirementAlgebra.IsMet(needs, [Person(1, "legal"), Person(2, "dba")], TimeSpan.Zero));
        Assert.Equal([1, 0], RequirementAlgebra.OpenSlots([Need(2, "dba"), Need(1, "legal")], [Person(1, "legal"), Person(2, "dba", "legal")], TimeSpan.Zero));
    }

    [Fact]
    public void Matching_finds_an_assignment_exactly_when_there_is_one() =>
        Gen.Select(Many, Crowd, Age).Sample(static (many, crowd, age) =>
        {
            var merged = RequirementAlgebra.Merge(many);
            var slots = merged.SelectMany(r => Enumerable.Repeat(r.GroupsAt(age), r.Quorum)).ToArray();
            return RequirementAlgebra.IsMet(merged, crowd, age) == Exists(slots, crowd);
        });

    [Fact]
    public void Nothing_required_is_met_by_nobody() => Assert.True(RequirementAlgebra.IsMet([], [], TimeSpan.Zero));

    [Fact]
    public void Quorum_that_is_absurd_is_counted_without_trying_every_slot()
    {
        Assert.Equal([int.MaxValue - 1], RequirementAlgebra.OpenSlots([Need(int.MaxValue, "dba")], [Person(1, "dba")], TimeSpan.Zero));
    }

    /// <summary>Tries everything.</summary>
    private static bool Exists(IReadOnlyList<string>[] slots, People[] crowd)
    {
        if (slots.Length == 0) return true;
        return crowd.Any(p => slots[0].Any(p.Value.Contains) && Exists(slots[1..], crowd.Where(other => other.Key != p.Key).ToArray()));
    }

    private static Requirement Need(int quorum, params string[] groups) => new() { Groups = groups, Quorum = quorum, Expires = TimeSpan.FromMinutes(15) };

    private static People Person(int number, params string[] groups) => new(new OpaqueId($"us_{number}"), groups.ToHashSet(StringComparer.Ordinal));
}
