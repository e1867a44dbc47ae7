using Countersign.Core;
using Countersign.Journal;
using Countersign.Reviews;

namespace Countersign.Gateway.Tests;

/// <summary>Caps of an agent: 600 actions a minute here, and five denials in five minutes.</summary>
public sealed class BrakeTests
{
    private static async Task<string> SubmitAsync(House house, GatewayAction? action = null) =>
        await house.Spine.SubmitAsync(action ?? house.Action(), () => throw new InvalidOperationException("held")) is Ruling.Refused refused ? refused.Refusal.ReasonCode : ReasonCodes.Permitted;

    [Fact]
    public async Task P37_Agent_that_asks_too_much_is_refused_until_its_bucket_fills()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Decide = Rules.Permit();
        for (var n = 0; n < 600; n++) Assert.True(house.Brake.TryTake(house.Bot.Agent.Id));
        Assert.Equal(ReasonCodes.TooManyRequests, await SubmitAsync(house));
        Assert.Equal(ReasonCodes.TooManyRequests, await SubmitAsync(house));
        Assert.Equal(1, house.Count("refused")); // one entry tells of many
        house.Time.Advance(TimeSpan.FromMilliseconds(100));
        Assert.Equal(ReasonCodes.Permitted, await SubmitAsync(house));
        Assert.Equal(ReasonCodes.TooManyRequests, await SubmitAsync(house));
        house.Time.Advance(TimeSpan.FromMinutes(1));
        for (var n = 0; n < 600; n++) Assert.True(house.Brake.TryTake(house.Bot.Agent.Id));
        Assert.Equal(ReasonCodes.TooManyRequests, await SubmitAsync(house));
        Assert.Equal(2, house.Entry("refused").GetProperty("unsaid").GetInt32());
    }

    [Fact]
    public async Task Denials_in_a_window_suspend_until_a_human_lifts_it()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Decide = Rules.Deny();
        for (var n = 0; n < 4; n++) Assert.Equal(ReasonCodes.PolicyDenied, await SubmitAsync(house));
        house.Time.Advance(TimeSpan.FromMinutes(5)); // they are forgotten by now
        for (var n = 0; n < 4; n++) Assert.Equal(ReasonCodes.PolicyDenied, await SubmitAsync(house));
        Assert.Equal(0, house.Count("agent-suspended"));
        Assert.Equal(ReasonCodes.PolicyDenied, await SubmitAsync(house));
        Assert.Equal(5, house.Entry("agent-suspended").GetProperty("denials").GetInt32());

        house.Rules.Decide = Rules.Permit();
        Assert.Equal(ReasonCodes.AgentSuspended, await SubmitAsync(house));
        house.Time.Advance(TimeSpan.FromDays(1));
        Assert.Equal(ReasonCodes.AgentSuspended, await SubmitAsync(house));

        // Time lifts nothing, and neither does a restart.
        await using (var next = await house.CrashAsync()) Assert.Equal(ReasonCodes.AgentSuspended, await SubmitAsync(next, next.Action()));

        Assert.Equal(WriteStatus.Committed, await house.Brake.ResumeAsync(house.Bot.Agent, house.User("nil").Ref));
        Assert.Equal(house.User("nil").Ref.Id.Value, house.Entry("agent-resumed").GetProperty("author").GetString());
        Assert.Equal(ReasonCodes.Permitted, await SubmitAsync(house));
        house.Rules.Decide = Rules.Deny();
        Assert.Equal(ReasonCodes.PolicyDenied, await SubmitAsync(house)); // and it starts afresh
        Assert.Null(house.Brake.Find(house.Bot.Agent.Id));
    }

    [Fact]
    public async Task Human_denials_count_and_those_of_the_moment_do_not()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Decide = Rules.Deny(ReasonCodes.PolicyUnavailable);
        for (var n = 0; n < 10; n++) await SubmitAsync(house);
        Assert.Null(house.Brake.Find(house.Bot.Agent.Id));
        house.Rules.Ask(Rules.Requirement(1, "dba"));
        for (var n = 0; n < 5; n++)
        {
            var opened = new TaskCompletionSource<Review>();
            var action = house.Action($"statement {n}");
            var ruling = house.Spine.SubmitAsync(action, () => new Waiter(action, () => new(new Rederived.As(action)), r => opened.TrySetResult(r))).AsTask();
            await house.AnswerAsync((await opened.Task.WaitAsync(Given.Patience)).Id, "ada", AnswerKind.Deny);
            Assert.IsType<Ruling.Refused>(await ruling.WaitAsync(Given.Patience));
        }

        Assert.NotNull(house.Brake.Find(house.Bot.Agent.Id));
    }

    [Fact]
    public async Task Human_pulls_the_brake_and_it_holds_though_nothing_can_be_written_by_itself()
    {
        await using var house = await House.OpenAsync();
        Assert.Equal(WriteStatus.Committed, await house.Brake.SuspendAsync(house.Bot.Agent, house.User("ada").Ref));
        Assert.Equal(ReasonCodes.AgentSuspended, await SubmitAsync(house));
        Assert.Equal(house.User("ada").Ref.Id.Value, house.Entry("agent-suspended").GetProperty("author").GetString());
        await house.Brake.ResumeAsync(house.Bot.Agent, house.User("ada").Ref);

        house.Rules.Decide = Rules.Deny();
        house.Store.FailWritesOf("agent-suspended");
        for (var n = 0; n < 5; n++) await SubmitAsync(house);
        Assert.NotNull(house.Brake.Find(house.Bot.Agent.Id));
        house.Store.Heal();
    }

    [Fact]
    public async Task One_agents_brake_is_no_others()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Decide = Rules.Deny();
        for (var n = 0; n < 5; n++) await SubmitAsync(house);
        var twin = await house.Agents.AddAsync("twin", "olga", null, ["agents"], house.User("olga").Ref);
        house.Rules.Decide = Rules.Permit();
        Assert.Equal(ReasonCodes.Permitted, await SubmitAsync(house, Given.Action(house.Agents.ChainOf(twin.Agent!)!)));
        Assert.Equal(ReasonCodes.AgentSuspended, await SubmitAsync(house));
    }

    [Fact]
    public async Task I11_Another_owner_is_journalled_and_the_former_one_remembered()
    {
        await using var house = await House.OpenAsync();
        var before = house.Bot;
        Assert.Equal(Identity.AgentChangeStatus.UnknownOwner, (await house.Agents.SetOwnerAsync("bot", "nobody", house.User("ada").Ref)).Status);
        Assert.Equal(Identity.AgentChangeStatus.Done, (await house.Agents.SetOwnerAsync("bot", "ada", house.User("nil").Ref)).Status);
        var changed = house.Entry("agent-owner-changed");
        Assert.Equal((house.User("nil").Ref.Id.Value, house.User("ada").Ref.Id.Value), (changed.GetProperty("author").GetString(), changed.GetProperty("owner").GetString()));
        Assert.Equal(house.User("olga").Ref.Id.Value, Assert.Single(house.Agents.Find("bot")!.FormerOwners).Id);
        Assert.False(house.Agents.StillActs(before));
    }
}
