using CsCheck;

namespace Countersign.Core.Tests;

public sealed class DecisionTests
{
    private static readonly Revision Revision = new(new string('a', 64), null);
    private static readonly Gen<Verdict> AnyVerdict = Gen.OneOf(Verdict.Permit, Verdict.Review, Verdict.Deny);

    [Fact]
    public void Action_of_which_nothing_was_understood_is_denied()
    {
        var decision = Decision.Combine(Revision, [], [Need()]);
        Assert.Equal((Verdict.Deny, ReasonCodes.NotUnderstood), (decision.Verdict, decision.ReasonCode));
        Assert.Empty(decision.Requirements);
    }

    [Fact]
    public void Strictest_effect_decides_for_all_wherever_it_stands() =>
        AnyVerdict.Array[1, 6].Sample(static verdicts => Decision.Combine(Revision, verdicts.Select(Effect).ToArray(), [Need()]).Verdict == verdicts.Max());

    [Fact]
    public void Requirements_belong_to_a_review_only() =>
        AnyVerdict.Array[1, 6].Sample(static verdicts =>
        {
            var decision = Decision.Combine(Revision, verdicts.Select(Effect).ToArray(), [Need(), Need()]);
            return decision.Requirements.Count == (decision.Verdict == Verdict.Review ? 1 : 0);
        });

    [Fact]
    public void Determining_policies_are_those_of_the_verdict_each_once()
    {
        var decision = Decision.Combine(Revision, [Effect(Verdict.Permit), Effect(Verdict.Deny), Effect(Verdict.Deny)], []);
        Assert.Equal(["Deny"], decision.DeterminingPolicies.Select(static p => p.Id));
    }

    [Fact]
    public void Reason_codes_are_kebab_case_and_each_is_said_once()
    {
        var codes = typeof(ReasonCodes).GetFields().Select(static f => (string)f.GetRawConstantValue()!).ToArray();
        Assert.Equal(codes.Length, codes.Distinct().Count());
        Assert.All(codes, static c => Assert.True(c.All(static ch => char.IsAsciiLetterLower(ch) || char.IsAsciiDigit(ch) || ch == '-') && c[0] != '-' && c[^1] != '-', c));
    }

    [Theory]
    [InlineData("alice", true)]
    [InlineData("a.b_c@d-e", true)]
    [InlineData("9lives", true)]
    [InlineData("", false)]
    [InlineData("a,b", false)]
    [InlineData("a b", false)]
    [InlineData("-a", false)]
    [InlineData(".a", false)]
    [InlineData("ä", false)]
    [InlineData("a\n", false)]
    public void P36_Name_holds_no_separator(string name, bool expected) => Assert.Equal(expected, Names.IsWellFormed(name));

    [Fact]
    public void Ids_are_well_formed_and_new()
    {
        var ids = Enumerable.Range(0, 1000).Select(static _ => IdText.New("rv_")).ToArray();
        Assert.Equal(1000, ids.Distinct().Count());
        Assert.All(ids, static id => Assert.True(IdText.IsWellFormed("rv_", id)));
        Assert.False(IdText.IsWellFormed("rv_", ids[0] + "0"));
        Assert.False(IdText.IsWellFormed("ag_", ids[0]));
        Assert.False(IdText.IsWellFormed("rv_", ids[0].ToUpperInvariant()));
        Assert.False(IdText.IsWellFormed("rv_", null));
    }

    private static EffectDecision Effect(Verdict verdict) =>
        new(new Effect(Verb.Read, "sql:select", new ResourceRef("Table", "t")), verdict, verdict.ToString(), [new MatchedPolicy(verdict.ToString(), null, null, [])]);

    private static Requirement Need() => new() { Groups = ["dba"], Quorum = 1, Expires = TimeSpan.FromMinutes(15) };
}
