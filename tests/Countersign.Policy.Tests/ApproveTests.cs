using Countersign.Core;

namespace Countersign.Policy.Tests;

public sealed class ApproveTests(World world)
{
    const string Agents = "permit (principal, action in Action::\"read\", resource);";

    static ApproveRequest Ask(PrincipalRef user, string[] groups, ActorChain? actors = null, string channel = "cli") => new(user, groups, new ReviewFacts
    {
        Id = "rv_1",
        Actors = actors ?? World.Actors("agents"),
        Target = World.Shop,
        Groups = ["dba"],
        Verbs = [Verb.Write],
        DataClasses = ["pii"],
    }, channel, World.Noon);

    static async Task<(bool, string)> Answer(PolicyStore store, ApproveRequest request)
    {
        var answer = await store.CanApproveAsync(request);
        return (answer.Permitted, answer.ReasonCode);
    }

    [Fact]
    public async Task Shipped_policy_lets_members_of_the_asked_groups_approve()
    {
        using var store = world.Store(Agents);
        var answer = await store.CanApproveAsync(Ask(World.Carol, ["dba"]));
        Assert.True(answer.Permitted);
        Assert.Equal("countersign-default-approve", Assert.Single(answer.Policies).Id);
        Assert.Equal((false, ReasonCodes.NotEligible), await Answer(store, Ask(World.Carol, ["sre"])));
        Assert.Equal((false, ReasonCodes.NotEligible), await Answer(store, Ask(World.Carol, [])));
    }

    [Fact]
    public async Task P30_nobody_in_the_actor_chain_approves_whatever_policy_says()
    {
        using var store = world.Store("permit (principal, action == Action::\"approve\", resource);");
        var chain = World.Actors("agents") with { OnBehalfOf = World.Bob };
        Assert.Equal((true, ReasonCodes.Permitted), await Answer(store, Ask(World.Carol, [], chain)));
        Assert.Equal((false, ReasonCodes.SelfApproval), await Answer(store, Ask(World.Alice, ["dba"], chain)));
        Assert.Equal((false, ReasonCodes.SelfApproval), await Answer(store, Ask(World.Bob, ["dba"], chain)));
        Assert.Equal((false, ReasonCodes.SelfApproval), await Answer(store, Ask(World.Alice with { Id = new OpaqueId("us_twin"), Name = "Alice" }, ["dba"], chain)));
        Assert.Equal((false, ReasonCodes.NotHuman), await Answer(store, Ask(World.Claude, ["dba"], chain)));
    }

    [Fact]
    public async Task Permit_that_does_not_name_approve_lets_nobody_approve()
    {
        using var store = world.Store("permit (principal, action, resource);");
        Assert.Equal((false, ReasonCodes.NotEligible), await Answer(store, Ask(World.Carol, ["sre"])));
        Assert.Equal((true, ReasonCodes.Permitted), await Answer(store, Ask(World.Carol, ["dba"]))); // by the shipped one
    }

    [Fact]
    public async Task Folders_own_approve_policy_replaces_the_shipped_one()
    {
        using var store = world.Store("""
            permit (principal in Group::"leads", action == Action::"approve", resource)
            when { context.channel == "console" && resource.verbs.contains("write") && DataClass::"pii" in resource.classes };
            """);
        Assert.DoesNotContain(store.Current.Policies, p => p.Id == "countersign-default-approve");
        Assert.Equal((true, ReasonCodes.Permitted), await Answer(store, Ask(World.Carol, ["leads"], channel: "console")));
        Assert.Equal((false, ReasonCodes.NotEligible), await Answer(store, Ask(World.Carol, ["leads"], channel: "slack")));
        Assert.Equal((false, ReasonCodes.NotEligible), await Answer(store, Ask(World.Carol, ["dba"], channel: "console")));
    }

    [Fact]
    public async Task Forbid_of_approve_keeps_the_shipped_policy_and_wins()
    {
        using var store = world.Store(Agents + "forbid (principal, action == Action::\"approve\", resource) when { context.channel == \"slack\" };");
        Assert.Equal((true, ReasonCodes.Permitted), await Answer(store, Ask(World.Carol, ["dba"])));
        Assert.Equal((false, ReasonCodes.PolicyDenied), await Answer(store, Ask(World.Carol, ["dba"], channel: "slack")));
    }

    [Fact]
    public async Task Wide_forbid_holds_for_approvers_too()
    {
        using var store = world.Store(Agents + "forbid (principal, action, resource) when { context.target.environment == \"prod\" };");
        Assert.Equal((false, ReasonCodes.PolicyDenied), await Answer(store, Ask(World.Carol, ["dba"])));
    }

    [Fact]
    public async Task P36_group_with_a_separator_in_its_name_is_one_group()
    {
        using var store = world.Store(Agents);
        Assert.Equal((false, ReasonCodes.NotEligible), await Answer(store, Ask(World.Carol, ["dba,sre", "DBA", "dba "])));
    }
}
