using Countersign.Core;

namespace Countersign.Policy.Tests;

public sealed class AdministerTests(World world)
{
    const string Agents = "permit (principal, action in Action::\"read\", resource);";

    static async Task<(bool, string)> Ask(PolicyStore store, PrincipalRef user, string action, params string[] groups)
    {
        var answer = await store.CanAdministerAsync(new AdministerRequest(user, groups, action, "cli", World.Noon));
        return (answer.Permitted, answer.ReasonCode);
    }

    static async Task<(bool, string)> Break(PolicyStore store, PrincipalRef user, params string[] groups)
    {
        var answer = await store.CanApproveAsync(new ApproveRequest(user, groups, new ReviewFacts { Id = "rv_1", Actors = World.Actors("agents"), Target = World.Shop, Groups = ["dba"] }, "cli", World.Noon) { BreakGlass = true });
        return (answer.Permitted, answer.ReasonCode);
    }

    [Fact]
    public async Task I11_Shipped_policy_lets_admins_administer_and_nobody_else()
    {
        using var store = world.Store(Agents);
        foreach (var action in AdministerActions.All)
        {
            Assert.Equal((true, ReasonCodes.Permitted), await Ask(store, World.Carol, action, "admins"));
            Assert.Equal((false, ReasonCodes.NotEligible), await Ask(store, World.Carol, action, "dba", "Admins", "admins "));
            Assert.Equal((false, ReasonCodes.NotHuman), await Ask(store, World.Claude, action, "admins"));
        }
    }

    [Fact]
    public async Task I11_Permit_that_does_not_name_the_gateway_lets_nobody_administer()
    {
        using var store = world.Store("permit (principal, action, resource);");
        Assert.Equal((false, ReasonCodes.NotEligible), await Ask(store, World.Carol, AdministerActions.Agents, "dba"));
        Assert.Equal((true, ReasonCodes.Permitted), await Ask(store, World.Carol, AdministerActions.Agents, "admins"));
    }

    [Fact]
    public async Task Folders_own_policy_replaces_the_shipped_one_and_forbids_win()
    {
        using var store = world.Store(Agents + """
            permit (principal in Group::"platform", action == Action::"countersign:agents", resource == Gateway::"countersign");
            permit (principal in Group::"audit", action == Action::"countersign:journal", resource is Gateway) when { context.channel == "console" };
            forbid (principal == User::"bob", action in Action::"countersign:administer", resource);
            """);
        Assert.DoesNotContain(store.Current.Policies, p => p.Id == "countersign-default-administer");
        Assert.Contains(store.Current.Policies, p => p.Id == "countersign-default-approve");
        Assert.Equal((true, ReasonCodes.Permitted), await Ask(store, World.Carol, AdministerActions.Agents, "platform"));
        Assert.Equal((false, ReasonCodes.NotEligible), await Ask(store, World.Carol, AdministerActions.Journal, "platform", "admins"));
        Assert.Equal((false, ReasonCodes.NotEligible), await Ask(store, World.Carol, AdministerActions.Journal, "audit"));
        Assert.Equal((false, ReasonCodes.PolicyDenied), await Ask(store, World.Bob, AdministerActions.Agents, "platform"));
    }

    [Fact]
    public async Task Nobody_breaks_the_glass_unless_a_policy_names_it_and_never_for_his_own()
    {
        using (var store = world.Store("permit (principal, action, resource);")) Assert.Equal((false, ReasonCodes.NotEligible), await Break(store, World.Carol, "dba"));
        using var named = world.Store(Agents + "permit (principal in Group::\"sre\", action == Action::\"break-glass\", resource is Review);");
        Assert.Equal((true, ReasonCodes.Permitted), await Break(named, World.Carol, "sre"));
        Assert.Equal((false, ReasonCodes.NotEligible), await Break(named, World.Carol, "dba"));
        Assert.Equal((false, ReasonCodes.SelfApproval), await Break(named, World.Alice, "sre")); // the owner
        Assert.Equal((false, ReasonCodes.NotHuman), await Break(named, World.Claude, "sre"));
    }

    [Theory]
    [InlineData("permit (principal, action == Action::\"break-glass\", resource);")]
    [InlineData("permit (principal, action in Action::\"countersign:administer\", resource is Gateway);")]
    public void Requirement_on_a_policy_about_people_is_an_error(string policy) =>
        Assert.Equal(PolicyFaults.MisplacedAnnotation, Assert.Single(world.Faults("@review(\"dba\") " + policy)).Code);
}
