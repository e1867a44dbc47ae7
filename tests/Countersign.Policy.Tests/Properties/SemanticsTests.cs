using Countersign.Core;
using CsCheck;

namespace Countersign.Policy.Tests.Properties;

/// <summary>The named properties of docs/spec/policy.md, on generated sets and requests.</summary>
public sealed class SemanticsTests(World world)
{
    static readonly GeneratedPolicy ForbidAll = new("principal, action, resource", "", true, null, 0, 0, (_, _, _) => true);

    Decision Decide(IEnumerable<GeneratedPolicy> policies, (GatewayAction Action, DecisionContext Context) request, PolicyStoreOptions? options = null)
    {
        using var store = world.Store(Generated.Text(policies), options);
        return World.Decide(store, request.Action, request.Context);
    }

    /// <summary>The meaning of a set, said a second time without Cedar.</summary>
    static Verdict Model(IReadOnlyCollection<GeneratedPolicy> policies, (GatewayAction Action, DecisionContext Context) request) =>
        request.Action.Effects.Max(effect =>
        {
            var matched = policies.Where(p => p.Matches(request.Action, effect, request.Context)).ToArray();
            if (matched.Length == 0 || matched.Any(p => p.IsForbid)) return Verdict.Deny;
            return matched.Any(p => p.ReviewGroup is not null) ? Verdict.Review : Verdict.Permit;
        });

    static bool IsNoWeaker(IReadOnlyList<Requirement> after, IReadOnlyList<Requirement> before) =>
        before.All(b => after.Any(a => a.Groups.SequenceEqual(b.Groups) && a.Quorum >= b.Quorum && a.Expires <= b.Expires));

    static IEnumerable<Requirement> WithoutIds(IEnumerable<Requirement> requirements) => requirements.Select(r => r with { Policies = [] });

    [Fact]
    public void Decision_is_what_the_words_of_the_policies_say() =>
        Gen.Select(Generated.Set, Generated.Request.Array[6]).Sample((policies, requests) =>
        {
            using var store = world.Store(Generated.Text(policies));
            foreach (var request in requests) Assert.Equal(Model(policies, request), World.Decide(store, request.Action, request.Context).Verdict);
        }, iter: Campaign.Of(25, 2_000));

    [Fact]
    public void Forbid_trumps_permit() =>
        Gen.Select(Generated.Set, Generated.Forbid, Generated.Request).Sample((policies, forbid, request) =>
        {
            var matches = request.Action.Effects.Any(e => forbid.Matches(request.Action, e, request.Context));
            var decision = Decide([.. policies, forbid], request);
            if (matches) Assert.Equal(Verdict.Deny, decision.Verdict);
            Assert.Equal((Verdict.Deny, ReasonCodes.PolicyDenied), (Decide([.. policies, ForbidAll], request).Verdict, Decide([ForbidAll, .. policies], request).ReasonCode));
        }, iter: Campaign.Of(25, 2_000));

    [Fact]
    public void Review_is_never_skipped() =>
        Gen.Select(Generated.Set, Generated.Review, Generated.Request).Sample((policies, review, request) =>
        {
            var before = Decide(policies, request);
            var after = Decide([.. policies, review], request);
            // It never yields an unreviewed permit …
            var matched = request.Action.Effects.Where(e => review.Matches(request.Action, e, request.Context)).ToArray();
            if (matched.Length > 0) Assert.NotEqual(Verdict.Permit, after.Verdict);
            // … nor removes a requirement …
            if (before.Verdict == Verdict.Review)
            {
                Assert.Equal(Verdict.Review, after.Verdict);
                Assert.True(IsNoWeaker(after.Requirements, before.Requirements));
            }
            // … and what it asks for is there when it counts.
            if (matched.Length > 0 && after.Verdict == Verdict.Review)
                Assert.True(IsNoWeaker(after.Requirements, [new Requirement { Groups = [.. review.ReviewGroup!.Split(',')], Quorum = review.Quorum, Expires = TimeSpan.FromMinutes(review.Minutes) }]));
        }, iter: Campaign.Of(25, 2_000));

    [Fact]
    public void Permits_without_review_never_remove_a_requirement() =>
        Gen.Select(Generated.Set, Generated.Permit.Array[1, 3], Generated.Request).Sample((policies, permits, request) =>
        {
            var before = Decide(policies, request);
            if (before.Verdict != Verdict.Review) return;
            var after = Decide([.. policies, .. permits], request);
            Assert.Equal(Verdict.Review, after.Verdict);
            Assert.Equal(WithoutIds(before.Requirements), WithoutIds(after.Requirements));
        }, iter: Campaign.Of(25, 2_000));

    [Fact]
    public void Denied_unless_permitted() =>
        Gen.Select(Generated.Set, Generated.Request).Sample((policies, request) =>
        {
            var decision = Decide(policies, request);
            var permitted = request.Action.Effects.All(e => policies.Any(p => !p.IsForbid && p.Matches(request.Action, e, request.Context)));
            if (!permitted) Assert.Equal(Verdict.Deny, decision.Verdict);
            foreach (var effect in decision.Effects.Where(e => e.ReasonCode == ReasonCodes.NoMatchingPermit)) Assert.Empty(effect.Policies);
            var forbids = policies.Where(p => p.IsForbid).Append(ForbidAll).ToArray();
            Assert.Equal(Verdict.Deny, Decide(forbids, request).Verdict);
        }, iter: Campaign.Of(25, 2_000));

    [Fact]
    public void Order_and_duplicates_do_not_matter() =>
        Gen.Select(Generated.Set, Generated.Request).SelectMany(x => Gen.Shuffle(x.Item1.Concat(x.Item1.Take(3)).ToArray()), (x, shuffled) => (x.Item1, x.Item2, shuffled)).Sample((policies, request, shuffled) =>
        {
            var one = Decide(policies, request);
            var other = Decide(shuffled, request);
            Assert.Equal((one.Verdict, one.ReasonCode), (other.Verdict, other.ReasonCode));
            Assert.Equal(WithoutIds(one.Requirements), WithoutIds(other.Requirements));
        }, iter: Campaign.Of(25, 2_000));

    [Fact]
    public void Erroring_policy_denies() =>
        Gen.Select(Generated.Set, Gen.Bool, Gen.Bool, Generated.Request).Sample((policies, forbid, review, request) =>
        {
            // The one thing that strict validation lets through: arithmetic that overflows.
            var erroring = new GeneratedPolicy("principal, action, resource", "when { context.target.name != \"\" && 9223372036854775807 + 1 > 0 }", forbid, forbid || !review ? null : "dba", 1, 5, (_, _, _) => false);
            using var store = world.Store(Generated.Text([.. policies, erroring]));
            var decision = World.Decide(store, request.Action, request.Context);
            Assert.Equal(Verdict.Deny, decision.Verdict);
            foreach (var effect in decision.Effects)
            {
                Assert.Contains(effect.ReasonCode, new[] { ReasonCodes.PolicyError, ReasonCodes.PolicyDenied });
                Assert.Contains("overflow", Assert.Single(effect.Errors), StringComparison.Ordinal);
            }
        }, iter: Campaign.Of(25, 2_000));

    [Fact]
    public void Cache_never_changes_a_decision() =>
        Gen.Select(Generated.Set, Generated.Request.Array[30]).Sample((policies, requests) =>
        {
            using var cached = world.Store(Generated.Text(policies), new PolicyStoreOptions { Cache = new() { Entries = 24 } }); // small, so that it turns over
            using var uncached = world.Store(Generated.Text(policies), new PolicyStoreOptions { Cache = null });
            foreach (var (action, context) in requests.Concat(requests))
            {
                var (a, b) = (World.Decide(cached, action, context), World.Decide(uncached, action, context));
                Assert.Equal((b.Verdict, b.ReasonCode, b.Revision), (a.Verdict, a.ReasonCode, a.Revision));
                Assert.Equal(b.Requirements, a.Requirements);
                Assert.Equal(b.Effects.Select(e => (e.Effect, e.Verdict, e.ReasonCode)), a.Effects.Select(e => (e.Effect, e.Verdict, e.ReasonCode)));
                Assert.Equal(b.Effects.SelectMany(e => e.Policies).Select(p => p.Id), a.Effects.SelectMany(e => e.Policies).Select(p => p.Id));
                Assert.Equal(b.Effects.SelectMany(e => e.Errors), a.Effects.SelectMany(e => e.Errors));
            }
            Assert.InRange(cached.Current.CacheUse.Kept, 0, 24);
        }, iter: Campaign.Of(25, 2_000));
}
