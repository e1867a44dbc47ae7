using Countersign.Core;

namespace Countersign.Policy.Tests;

public sealed class ExplainTests(World world)
{
    [Fact]
    public async Task Explanation_says_what_matched_what_it_asks_for_and_what_kept_the_others_from_it()
    {
        using var store = world.Store("""
            @id("reads") permit (principal, action in Action::"read", resource);
            @id("reviewed") @review("dba") permit (principal in Group::"agents", action in Action::"write", resource);
            @id("plain") permit (principal, action in Action::"write", resource in Target::"shop");
            @id("others") permit (principal in Group::"others", action in Action::"write", resource in DataClass::"pii");
            @id("conditions") forbid (principal, action, resource)
              when { context.target.environment == "prod" } unless { context.target.name == "shop" } when { principal is Agent };
            """);
        var explanation = await store.ExplainAsync(World.Action(World.Actors("agents"), World.Effect("sql:update", World.Table("orders"))), World.Now);
        Assert.Equal((Verdict.Review, store.Current.Id), (explanation.Decision.Verdict, explanation.Decision.Revision));
        var effect = Assert.Single(explanation.Effects);
        Assert.Equal(["plain", "reviewed"], effect.Decision.Policies.Select(p => p.Id));
        Assert.Equal(["reviewed"], Assert.Single(effect.Requirements).Policies);
        Assert.Equal([
            "reads: action",
            "others: principal, resource",
            "conditions: unless 2",
        ], effect.Others.Select(o => $"{o.Policy.Id}: {string.Join(", ", o.Unmet)}"));
    }

    [Fact]
    public async Task Permit_that_a_forbid_overrides_is_shown_as_holding()
    {
        using var store = world.Store("""
            @id("all") permit (principal, action in Action::"write", resource);
            @id("none") forbid (principal, action in Action::"write", resource);
            """);
        var effect = (await store.ExplainAsync(World.Action(World.Actors(), World.Effect("sql:update", World.Table("orders"))), World.Now)).Effects[0];
        Assert.Equal(["none"], effect.Decision.Policies.Select(p => p.Id));
        Assert.Empty(effect.Others.Single(o => o.Policy.Id == "all").Unmet);
    }

    [Fact]
    public async Task Error_of_a_policy_is_shown_with_it()
    {
        using var store = world.Store("@id(\"bad\") permit (principal, action in Action::\"write\", resource) when { 9223372036854775807 + 1 > 0 };");
        var effect = (await store.ExplainAsync(World.Action(World.Actors(), World.Effect("sql:update", World.Table("orders"))), World.Now)).Effects[0];
        Assert.Equal(ReasonCodes.PolicyError, effect.Decision.ReasonCode);
        Assert.StartsWith("bad: ", Assert.Single(effect.Decision.Errors), StringComparison.Ordinal);
        Assert.Equal(["when 1 (error)"], effect.Others.Single(o => o.Policy.Id == "bad").Unmet);
    }
}
