using Countersign.Core;

namespace Countersign.Policy.Tests;

/// <summary>What makes two requests one to the cache, and what does not. That it never changes a decision is a property test.</summary>
public sealed class CacheTests(World world)
{
    static GatewayAction Update(Intent? intent = null, params (string, FactValue)[] facts) =>
        World.Action(World.Actors("agents"), World.Effect("sql:update", World.Table("orders"), facts)) with { Intent = intent ?? Intent.None };

    (long Hits, long Misses) Use(string policies, params (GatewayAction, DecisionContext)[] requests)
    {
        using var store = world.Store(policies);
        foreach (var (action, context) in requests) World.Decide(store, action, context);
        return (store.Current.CacheUse.Hits, store.Current.CacheUse.Misses);
    }

    [Fact]
    public void What_no_policy_mentions_does_not_part_requests() =>
        Assert.Equal((3, 1), Use("permit (principal, action in Action::\"write\", resource);",
            (Update(), World.Now),
            (Update(new Intent("why", "T-1", null, null)), World.Now),
            (Update(facts: [("where", true), ("limit", 3L)]), World.Now),
            (Update(), World.Now with { Now = World.Noon.AddHours(5) })));

    [Fact]
    public void What_a_policy_mentions_parts_them() =>
        Assert.Equal((2, 4), Use("permit (principal, action in Action::\"write\", resource) when { context has where && context.where || context.intent has ticket };",
            (Update(), World.Now),
            (Update(facts: ("where", true)), World.Now),
            (Update(facts: ("where", false)), World.Now),
            (Update(new Intent(null, "T-1", null, null)), World.Now),
            (Update(new Intent("a reason", "T-1", null, null)), World.Now),
            (Update(facts: [("where", true), ("limit", 3L)]), World.Now)));

    [Fact]
    public void Absent_false_empty_and_look_alike_values_are_all_different()
    {
        const string policy = "permit (principal, action in Action::\"write\", resource) when { context has columns && context.columns.contains(\"x\") || context has statement && context.statement == \"\" };";
        Assert.Equal((1, 6), Use(policy,
            (Update(), World.Now),
            (Update(facts: ("columns", FactValue.Of([]))), World.Now),
            (Update(facts: ("columns", FactValue.Of([""]))), World.Now),
            (Update(facts: ("columns", FactValue.Of(["a", "b"]))), World.Now),
            (Update(facts: ("columns", FactValue.Of(["a\"1:b"]))), World.Now),
            (Update(facts: ("statement", "")), World.Now),
            (Update(facts: ("columns", FactValue.Of(["b", "a"]))), World.Now)));
    }

    [Fact]
    public void Policy_that_reads_time_keeps_its_requests_out_and_only_those()
    {
        const string policies = "permit (principal, action in [Action::\"read\", Action::\"write\"], resource); forbid (principal, action in Action::\"write\", resource) when { context.time.hour < 6 };";
        var read = World.Action(World.Actors("agents"), World.Effect("sql:select", World.Table("orders")));
        Assert.Equal((1, 3), Use(policies, (Update(), World.Now), (Update(), World.Now), (read, World.Now), (read, World.Now)));
    }

    [Fact]
    public void Context_read_as_a_whole_is_not_cached() =>
        Assert.Equal((0, 2), Use("permit (principal, action in Action::\"write\", resource) unless { {\"c\": context}.c.target.name == \"x\" };", (Update(), World.Now), (Update(), World.Now)));

    [Fact]
    public void Humans_part_requests_where_a_policy_reads_them()
    {
        const string policies = "permit (principal, action in Action::\"write\", resource) unless { principal.owner in Group::\"contractors\" };";
        var other = World.Now with { HumanGroups = new Dictionary<OpaqueId, IReadOnlyList<string>> { [World.Alice.Id] = ["contractors"] } };
        Assert.Equal((1, 2), Use(policies, (Update(), World.Now), (Update(), other), (Update(), World.Now)));
        Assert.Equal((2, 1), Use("permit (principal, action in Action::\"write\", resource);", (Update(), World.Now), (Update(), other), (Update(), World.Now)));
    }

    [Fact]
    public void Humans_behind_earlier_actors_part_requests_and_policies_read_them()
    {
        const string policies = "permit (principal, action in Action::\"write\", resource) unless { principal.via.contains(User::\"bob\") };";
        var through = Update() with { Actors = World.Actors("agents") with { Via = [World.Bob] } };
        Assert.Equal((1, 2), Use(policies, (Update(), World.Now), (through, World.Now), (Update(), World.Now)));
    }

    [Fact]
    public void P22_group_of_the_agent_and_class_of_the_table_part_requests()
    {
        var action = Update();
        Assert.Equal((0, 4), Use("permit (principal, action in Action::\"write\", resource);",
            (action, World.Now),
            (action with { Actors = World.Actors("agents", "admins") }, World.Now),
            (action with { Effects = [World.Effect("sql:update", World.Table("orders", "pii"))] }, World.Now),
            (action with { Effects = [World.Effect("sql:update", World.Table("orders", "pii"))] }, World.Now with { Frameworks = new Dictionary<string, IReadOnlyList<string>>() })));
    }
}
