using Countersign.Core;
using Countersign.Reviews;

namespace Countersign.Gateway.Tests;

/// <summary>Opening, joining, waiting and leaving.</summary>
public sealed class HoldTests
{
    [Fact]
    public async Task Review_shows_what_was_presented_and_survives_the_store()
    {
        await using var house = await House.OpenAsync();
        var action = house.Action() with
        {
            Payload = house.Action().Payload with
            {
                Parameters = [Given.Bigint(9007199254740993), new ActionParameter("text", "text", null, null), new ActionParameter("text", "text", [], ""), new ActionParameter("bytea", "binary", [0xde, 0xad], null)],
            },
            Notes = ["held inside an open transaction"],
        };
        var held = await house.HoldOpenAsync(action);
        var told = await held.Opened;
        var stored = house.Desk.Find(told.Id)!;
        Assert.Equal(ReviewState.Pending, stored.State);
        Assert.Equal(GatewayAction.ComputeDigest(stored.Salt, action.ToCanonical()).ToString(), stored.Digest);
        Assert.Equal(action.Payload.DisplayText, stored.Statement);
        Assert.Equal(action.Settings, stored.Settings);
        Assert.Equal(action.Intent, stored.Intent);
        Assert.Equal(action.Notes, stored.Notes);
        Assert.Equal(house.Bot.Agent, stored.Agent);
        Assert.Equal((house.Bot.Owner, house.Bot.OnBehalfOf), (stored.Owner, stored.OnBehalfOf));
        Assert.Equal(Given.Noon, stored.CreatedAt);
        Assert.Equal(Given.Noon + TimeSpan.FromMinutes(15), stored.ExpiresAt);
        Assert.Equal(Rules.Requirement(1, "dba"), Assert.Single(stored.Requirements));
        Assert.Equal(told.Effects.Select(static e => e.Canonical), stored.Effects.Select(static e => e.Canonical));

        // NULL is no text, an empty text is one, and bytes without a text are neither (I10).
        Assert.Equal(["9007199254740993", null, "", "hex:dead"], stored.Parameters.Select(static p => p.Text));
        Assert.Null(stored.DetachedAt);
        Assert.False(held.End.IsCompleted);
        await held.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task Journal_holds_no_payload_value_intent_or_name_in_its_entries()
    {
        await using var house = await House.OpenAsync();
        var action = house.Action("update customers set iban = 'DE-SECRET' where id = 1") with { Intent = new Intent("intent-secret", "T-77", "task-secret", "model-secret") };
        action = action with { Payload = action.Payload with { Parameters = [new ActionParameter("text", "text", "value-secret"u8.ToArray(), "value-secret")] } };
        var held = await house.HoldOpenAsync(action);
        await house.ApproveAsync(held, "ada", "comment-secret");
        await held.ReleasedAsync();
        var (entries, bodies) = house.Text;
        foreach (var secret in new[] { "DE-SECRET", "intent-secret", "task-secret", "model-secret", "T-77", "value-secret", "comment-secret", "\"ada\"", "\"olga\"", "\"bot\"" }) Assert.DoesNotContain(secret, entries, StringComparison.Ordinal);
        foreach (var kept in new[] { "DE-SECRET", "intent-secret", "value-secret", "comment-secret", "olga" }) Assert.Contains(kept, bodies, StringComparison.Ordinal);
    }

    [Fact]
    public async Task P23_same_action_again_joins_and_never_opens_a_second_review()
    {
        await using var house = await House.OpenAsync();
        var first = await house.HoldOpenAsync(house.Action());
        var second = await house.HoldOpenAsync(house.Action() with { Intent = Intent.None });
        Assert.Equal((await first.Opened).Id, (await second.Opened).Id);
        Assert.Single(house.Desk.ListOpen());
        Assert.Equal(2, house.Desk.WaiterCount((await first.Opened).Id));
        Assert.Equal((1, 1), (house.Count("review-opened"), house.Count("review-joined")));
        await first.LeaveAsync(LeaveReason.Lost);
        await second.LeaveAsync(LeaveReason.Lost);
    }

    [Fact]
    public async Task P20_another_agent_with_the_same_statement_has_a_review_of_its_own()
    {
        await using var house = await House.OpenAsync();
        await house.Agents.AddAsync("rob", "olga", "uwe", ["agents"], house.User("olga").Ref);
        var rob = house.Agents.ChainOf(house.Agents.Find("rob")!)!;
        var bots = await house.HoldOpenAsync();
        var robs = await house.HoldOpenAsync(Given.Action(rob));
        Assert.NotEqual((await bots.Opened).Id, (await robs.Opened).Id);
        await house.ApproveAsync(bots, "ada");
        await bots.ReleasedAsync();
        Assert.False(robs.End.IsCompleted);
        await robs.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task P12_cancel_withdraws_and_the_same_action_opens_a_new_review()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        var refused = await held.LeaveAsync(LeaveReason.Cancelled);
        Assert.Equal(ReasonCodes.ReviewWithdrawn, refused.ReasonCode);
        Assert.Equal(ReviewState.Withdrawn, refused.Review!.State);
        Assert.Equal(ReasonCodes.ReviewClosed, (await house.AnswerAsync(refused.Review.Id, "ada")).ReasonCode);
        var again = await house.HoldOpenAsync();
        Assert.NotEqual(refused.Review.Id, (await again.Opened).Id);
        await again.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task P12_cancel_of_one_of_several_waiters_does_not_withdraw()
    {
        await using var house = await House.OpenAsync();
        var first = await house.HoldOpenAsync();
        var second = await house.HoldOpenAsync();
        var third = await house.HoldOpenAsync();
        var id = (await first.Opened).Id;
        await first.LeaveAsync(LeaveReason.Cancelled);
        await second.LeaveAsync(LeaveReason.Lost);
        Assert.Equal((ReviewState.Pending, (DateTimeOffset?)null), (house.Desk.Find(id)!.State, house.Desk.Find(id)!.DetachedAt));
        Assert.Equal(1, house.Desk.WaiterCount(id));
        await third.LeaveAsync(LeaveReason.Cancelled);
        Assert.Equal(ReviewState.Withdrawn, house.Desk.Find(id)!.State);
        Assert.Equal(0, house.Desk.WaiterCount(id));
    }

    [Theory]
    [InlineData(LeaveReason.Lost, ReasonCodes.ReviewPending)]
    [InlineData(LeaveReason.HoldLimit, ReasonCodes.ReviewPending)]
    [InlineData(LeaveReason.ShuttingDown, ReasonCodes.ShuttingDown)]
    public async Task P12_lost_connection_hold_limit_and_shut_down_detach(LeaveReason reason, string code)
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        house.Time.Advance(TimeSpan.FromSeconds(30));
        var refused = await held.LeaveAsync(reason);
        Assert.Equal(code, refused.ReasonCode);
        Assert.Equal(Given.Noon.AddSeconds(30), house.Desk.Find(refused.Review!.Id)!.DetachedAt);
        var again = await house.HoldOpenAsync();
        Assert.Equal(refused.Review.Id, (await again.Opened).Id);
        Assert.Null(house.Desk.Find(refused.Review.Id)!.DetachedAt);
        await again.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task First_reason_to_leave_counts()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        held.Waiter.Leave(LeaveReason.HoldLimit);
        held.Waiter.Leave(LeaveReason.Cancelled);
        Assert.Equal(LeaveReason.HoldLimit, held.Waiter.Left);
        var refused = await held.RefusedAsync(ReasonCodes.ReviewPending);
        Assert.True(house.Desk.Find(refused.Review!.Id)!.IsOpen);
    }

    [Fact]
    public async Task Nobody_is_asked_for_a_client_that_has_gone_already()
    {
        await using var house = await House.OpenAsync();
        var action = house.Action();
        var waiter = new Waiter(action, () => new(new Rederived.As(action)), static _ => { });
        waiter.Leave(LeaveReason.Cancelled);
        var end = Assert.IsType<HoldEnd.Refused>(await house.Desk.HoldAsync(waiter, house.Rules.Decide(action)).WaitAsync(Given.Patience));
        Assert.Equal((ReasonCodes.ReviewWithdrawn, null), (end.ReasonCode, end.Review));
        Assert.Empty(house.Desk.ListOpen());
        Assert.Equal(0, house.Count("review-opened"));
    }

    [Fact]
    public async Task Hold_limit_after_the_review_has_ended_tells_how_it_ended()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;

        // Denied and at its limit before it looks: "send it again" would ask humans twice.
        house.Store.AfterCommit = types =>
        {
            if (types.Contains("review-denied")) held.Waiter.Leave(LeaveReason.HoldLimit);
        };
        Assert.Equal(ReasonCodes.ReviewDenied, (await house.AnswerAsync(id, "ada", AnswerKind.Deny)).ReasonCode);
        await held.RefusedAsync(ReasonCodes.ReviewDenied);
    }

    [Fact]
    public async Task P37_open_reviews_of_one_agent_are_capped()
    {
        await using var house = await House.OpenAsync(limits: new ReviewLimits { PendingPerAgent = 2 });
        await house.Agents.AddAsync("rob", "olga", null, ["agents"], house.User("olga").Ref);
        var one = await house.HoldOpenAsync(house.Action("1"));
        var two = await house.HoldOpenAsync(house.Action("2"));
        var three = house.Hold(house.Action("3"));
        Assert.Null((await three.RefusedAsync(ReasonCodes.TooManyPending)).Review);

        // A join is no new review, and another agent has its own cap.
        var joined = await house.HoldOpenAsync(house.Action("1"));
        var robs = await house.HoldOpenAsync(Given.Action(house.Agents.ChainOf(house.Agents.Find("rob")!)!, "3"));
        await one.LeaveAsync(LeaveReason.Lost);
        await joined.LeaveAsync(LeaveReason.Cancelled);
        var now = await house.HoldOpenAsync(house.Action("3"));
        foreach (var held in new[] { two, robs, now }) await held.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task P37_cap_holds_when_all_ask_at_once()
    {
        await using var house = await House.OpenAsync(limits: new ReviewLimits { PendingPerAgent = 5 });
        var all = Enumerable.Range(0, 40).Select(n => house.Hold(house.Action($"statement {n % 20}"))).ToArray();
        foreach (var held in all) await Task.WhenAny(held.Opened, held.End).WaitAsync(Given.Patience);
        Assert.Equal(5, house.Desk.ListOpen().Count);
        Assert.Equal(5, house.Count("review-opened"));
        foreach (var held in all.Where(static h => !h.Opened.IsCompleted)) await held.RefusedAsync(ReasonCodes.TooManyPending);

        // Each of the five has both of its connections: which were two never cost the second its place.
        foreach (var review in house.Desk.ListOpen()) Assert.InRange(house.Desk.WaiterCount(review.Id), 1, 2);
        foreach (var held in all.Where(static h => h.Opened.IsCompleted)) await held.LeaveAsync(LeaveReason.Lost);
    }

    [Fact]
    public async Task What_no_human_could_be_shown_whole_is_refused_when_it_is_asked()
    {
        await using var house = await House.OpenAsync(limits: new ReviewLimits { StatementBytes = 10_000 });
        var held = house.Hold(house.Action(new string('x', 10_000)));
        Assert.Null((await held.RefusedAsync(ReasonCodes.TooLarge)).Review);
        var quotes = await house.HoldOpenAsync(house.Action(new string('x', 8_000)));
        await quotes.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task Largest_statement_that_opens_can_be_answered()
    {
        await using var house = await House.OpenAsync();

        // Quotes double with each layer of JSON.
        var held = await house.HoldOpenAsync(house.Action(new string('"', (house.Limits.StatementBytes / 2) - 5_000)));
        await house.ApproveAsync(held, "ada", new string('"', house.Limits.CommentLength));
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task No_eligible_approver_is_said_at_once()
    {
        await using var house = await House.OpenAsync();

        // Five of dba beside the agent's humans cannot make six, nor does a group of nobody make one.
        foreach (var requirements in new Requirement[][] { [Rules.Requirement(5, "dba")], [Rules.Requirement(1, "owners")], [Rules.Requirement(3, "sre"), Rules.Requirement(2, "dba"), Rules.Requirement(4, "dba", "sre")] })
        {
            house.Rules.Ask(requirements);
            var refused = await house.Hold(house.Action()).RefusedAsync(ReasonCodes.NoEligibleApprover);
            Assert.Null(refused.Review);
        }

        Assert.Empty(house.Desk.ListOpen());
        house.Rules.Ask(Rules.Requirement(4, "dba"));
        var held = await house.HoldOpenAsync();
        await held.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task Escalation_that_comes_in_time_makes_approvers_and_one_that_comes_too_late_does_not()
    {
        await using var house = await House.OpenAsync();
        var escalated = Rules.Requirement(1, "owners") with { Escalations = [new Escalation(["sre"], TimeSpan.FromMinutes(10))] };
        house.Rules.Ask(escalated);
        var held = await house.HoldOpenAsync();
        await held.LeaveAsync(LeaveReason.Cancelled);

        // Another policy's shorter expiry: the escalation will never come.
        house.Rules.Ask(escalated, Rules.Requirement(1, "dba") with { Expires = TimeSpan.FromMinutes(10) });
        await house.Hold(house.Action()).RefusedAsync(ReasonCodes.NoEligibleApprover);
    }

    [Fact]
    public async Task Waiter_whose_client_can_not_be_told_is_lost_and_stops_nobody_else()
    {
        await using var house = await House.OpenAsync();
        var action = house.Action();
        var deaf = new Waiter(action, () => new(new Rederived.As(action)), static _ => throw new IOException("broken pipe"));
        var refused = Assert.IsType<HoldEnd.Refused>(await house.Desk.HoldAsync(deaf, house.Rules.Decide(action)).WaitAsync(Given.Patience));
        Assert.Equal(ReasonCodes.ReviewPending, refused.ReasonCode);
        var review = Assert.Single(house.Desk.ListOpen());
        Assert.NotNull(review.DetachedAt);
        Assert.Equal(0, house.Desk.WaiterCount(review.Id));
    }

    [Fact]
    public async Task Detached_and_joined_at_once_never_ends_detached_with_a_waiter()
    {
        await using var house = await House.OpenAsync();
        var first = await house.HoldOpenAsync();
        var id = (await first.Opened).Id;

        // The join comes between the look at the waiters and the write that detaches.
        Held? second = null;
        house.Store.BeforeCommit = types =>
        {
            if (!types.Contains("review-detached")) return;
            house.Store.BeforeCommit = static _ => { };
            second = house.Hold(house.Action());
            SpinWait.SpinUntil(() => house.Desk.WaiterCount(id) == 1, Given.Patience);
        };
        await first.LeaveAsync(LeaveReason.Lost);
        await second!.Opened.WaitAsync(Given.Patience);
        Assert.Null(house.Desk.Find(id)!.DetachedAt);
        Assert.Equal(1, house.Desk.WaiterCount(id));
        await house.ApproveAsync(second, "ada");
        await second.ReleasedAsync();
    }

    [Fact]
    public async Task Withdrawn_and_joined_at_once_gives_the_joiner_a_review_of_its_own()
    {
        await using var house = await House.OpenAsync();
        var first = await house.HoldOpenAsync();
        var id = (await first.Opened).Id;
        Held? second = null;
        house.Store.BeforeCommit = types =>
        {
            if (!types.Contains("review-withdrawn")) return;
            house.Store.BeforeCommit = static _ => { };
            second = house.Hold(house.Action());
            SpinWait.SpinUntil(() => house.Desk.WaiterCount(id) == 1, Given.Patience);
        };
        await first.LeaveAsync(LeaveReason.Cancelled);
        var opened = await second!.Opened.WaitAsync(Given.Patience);
        Assert.NotEqual(id, opened.Id);
        Assert.Equal(0, house.Desk.WaiterCount(id));
        await house.ApproveAsync(second, "ada");
        await second.ReleasedAsync();
    }

    [Fact]
    public async Task Waiter_refused_alone_leaves_the_review_detached()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync(house.Action(), static () => new(new Rederived.Refused(ReasonCodes.TargetUnavailable, "the target is away")));
        await house.ApproveAsync(held, "ada");
        var refused = await held.RefusedAsync(ReasonCodes.TargetUnavailable);
        Assert.Equal("the target is away", refused.Message);
        var review = house.Desk.Find(refused.Review!.Id)!;
        Assert.Equal((ReviewState.Approved, Given.Noon), (review.State, review.DetachedAt));

        // The approval stays for who presents the same action again.
        var again = house.Hold(house.Action());
        Assert.Equal(review.Id, (await again.ReleasedAsync()).Review.Id);
    }

    [Fact]
    public async Task Protocol_that_throws_while_it_derives_leaves_the_review_detached()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync(house.Action(), static () => throw new InvalidOperationException("a bug"));
        await house.ApproveAsync(held, "ada");
        await Assert.ThrowsAsync<InvalidOperationException>(() => held.End.WaitAsync(Given.Patience));
        var review = Assert.Single(house.Desk.ListOpen());
        Assert.NotNull(review.DetachedAt);
        Assert.Equal(0, house.Desk.WaiterCount(review.Id));
    }
}
