using Countersign.Core;

namespace Countersign.Policy.Tests;

public sealed class DecisionTests(World world)
{
    /// <summary>The example of DESIGN §4, in the words of this build.</summary>
    const string Example = """
        @id("agents-read-freely")
        permit (principal in Group::"agents", action in Action::"read", resource)
        unless { resource in DataClass::"pii" };

        @id("customer-deletes-need-two-dbas")
        @review("dba") @quorum("2") @expires("20m") @escalate("sre-leads@10m") @control("SOC2:CC8.1")
        @reason("Deleting customer data needs two DBAs who did not ask for it.")
        permit (principal in Group::"agents", action in Action::"write", resource in DataClass::"pii")
        when { context.target.environment == "prod" };

        @id("nobody-drops-production")
        forbid (principal, action in Action::"destroy", resource in Environment::"prod");
        """;

    static Decision Decide(PolicyStore store, params Effect[] effects) =>
        World.Decide(store, World.Action(World.Actors("agents"), effects));

    [Fact]
    public void Example_of_the_design_decides_as_it_reads()
    {
        using var store = world.Store(Example);
        var read = Decide(store, World.Effect("sql:select", World.Table("orders")));
        Assert.Equal((Verdict.Permit, ReasonCodes.Permitted), (read.Verdict, read.ReasonCode));
        Assert.Equal(["agents-read-freely"], read.DeterminingPolicies.Select(p => p.Id));

        var pii = Decide(store, World.Effect("sql:select", World.Table("customers", "pii")));
        Assert.Equal((Verdict.Deny, ReasonCodes.NoMatchingPermit), (pii.Verdict, pii.ReasonCode));

        var write = Decide(store, World.Effect("sql:delete", World.Table("customers", "pii")));
        Assert.Equal((Verdict.Review, ReasonCodes.ReviewRequired), (write.Verdict, write.ReasonCode));
        Assert.Equal(new Requirement
        {
            Groups = ["dba"],
            Quorum = 2,
            Expires = TimeSpan.FromMinutes(20),
            Escalations = [new Escalation(["sre-leads"], TimeSpan.FromMinutes(10))],
            Policies = ["customer-deletes-need-two-dbas"],
        }, Assert.Single(write.Requirements));
        var cited = Assert.Single(write.DeterminingPolicies);
        Assert.Equal("main.cedar:5", cited.Source);
        Assert.Equal(["SOC2:CC8.1"], cited.Controls);
        Assert.StartsWith("Deleting customer data", cited.Reason, StringComparison.Ordinal);

        var drop = Decide(store, World.Effect("sql:drop", World.Table("orders")));
        Assert.Equal((Verdict.Deny, ReasonCodes.PolicyDenied), (drop.Verdict, drop.ReasonCode));
        Assert.Equal(["nobody-drops-production"], drop.DeterminingPolicies.Select(p => p.Id));
    }

    [Fact]
    public void P1_strictest_effect_decides_for_all()
    {
        using var store = world.Store(Example);
        var read = World.Effect("sql:select", World.Table("orders"));
        var write = World.Effect("sql:update", World.Table("customers", "pii"));
        var drop = World.Effect("sql:drop", World.Table("orders"));
        Assert.Equal(Verdict.Review, Decide(store, read, write).Verdict);
        Assert.Equal(Verdict.Deny, Decide(store, read, write, drop).Verdict);
        Assert.Empty(Decide(store, write, drop).Requirements);
        Assert.Equal((Verdict.Deny, ReasonCodes.NotUnderstood), (Decide(store).Verdict, Decide(store).ReasonCode));
    }

    [Fact]
    public void I6_request_with_a_word_that_the_schema_lacks_is_denied()
    {
        using var store = world.Store("permit (principal, action, resource);");
        var table = World.Table("orders");
        var good = World.Effect("sql:update", table, ("where", true));
        Assert.Equal(Verdict.Permit, Decide(store, good).Verdict);
        foreach (var bad in new[]
        {
            good with { Action = "sql:updaet" },
            good with { Action = "approve" },
            good with { Verb = Verb.Read },
            good with { Resource = new ResourceRef("Tabel", "x") },
            good with { Facts = new Dictionary<string, FactValue> { ["wher"] = true } },
            good with { Facts = new Dictionary<string, FactValue> { ["where"] = "yes" } },
            good with { Facts = new Dictionary<string, FactValue> { ["time"] = true } },
            good with { Resource = new ResourceRef("Table", "lone \ud800 surrogate") },
        })
        {
            var decision = Decide(store, bad);
            Assert.Equal((Verdict.Deny, ReasonCodes.PolicyError), (decision.Verdict, decision.ReasonCode));
            Assert.NotEmpty(Assert.Single(decision.Effects).Errors);
        }
    }

    [Fact]
    public void Own_check_of_requests_knows_exactly_the_words_of_the_shared_vocabulary()
    {
        var schema = world.Cedar.Schema.Requests;
        Assert.Equal(SqlVocabulary.Actions.Keys.ToHashSet(), schema.Actions.Keys.Where(static a => !a.StartsWith("mcp:", StringComparison.Ordinal)).ToHashSet());
        foreach (var (action, verb) in SqlVocabulary.Actions)
        {
            var shape = schema.Actions[action];
            Assert.True(shape.Groups.SetEquals([action, verb.ToString().ToLowerInvariant()]));
            Assert.True(SqlVocabulary.ResourceTypes.SetEquals(shape.Resources));
            Assert.Equal(SqlVocabulary.Facts.ToHashSet(), shape.Facts.Select(static f => KeyValuePair.Create(f.Key, f.Value.Kind)).ToHashSet());
        }
    }

    [Fact]
    public void Humans_whose_groups_a_policy_needs_and_nobody_knows_are_an_error()
    {
        using var store = world.Store("""
            permit (principal, action, resource);
            forbid (principal, action in Action::"write", resource) when { principal.owner in Group::"contractors" };
            """);
        var unknown = World.Now with { HumanGroups = new Dictionary<OpaqueId, IReadOnlyList<string>>() };
        var contractor = World.Now with { HumanGroups = new Dictionary<OpaqueId, IReadOnlyList<string>> { [World.Alice.Id] = ["contractors"] } };
        var write = World.Action(World.Actors(), World.Effect("sql:update", World.Table("orders")));
        var read = World.Action(World.Actors(), World.Effect("sql:select", World.Table("orders")));
        Assert.Equal(Verdict.Permit, World.Decide(store, write, World.Now).Verdict);
        Assert.Equal(ReasonCodes.PolicyDenied, World.Decide(store, write, contractor).ReasonCode);
        Assert.Equal(ReasonCodes.PolicyError, World.Decide(store, write, unknown).ReasonCode);
        Assert.Equal(Verdict.Permit, World.Decide(store, read, unknown).Verdict); // no policy of reads asks
    }
}
