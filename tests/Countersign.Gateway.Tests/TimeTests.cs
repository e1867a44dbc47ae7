using Countersign.Core;
using Countersign.Reviews;

namespace Countersign.Gateway.Tests;

/// <summary>Deadlines, restarts and crashes.</summary>
public sealed class TimeTests
{
    [Fact]
    public async Task I6_undecided_at_its_deadline_is_denied()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(2, "dba"));
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        await house.ApproveAsync(held, "ada");
        house.Time.Advance(TimeSpan.FromMinutes(15) - TimeSpan.FromTicks(1));
        await house.Desk.SweepAsync();
        Assert.True(house.Desk.Find(id)!.IsOpen);
        house.Time.Advance(TimeSpan.FromTicks(1));
        await house.Desk.SweepAsync();
        var refused = await held.RefusedAsync(ReasonCodes.ReviewExpired);
        Assert.Equal(ReviewState.Expired, refused.Review!.State);
        Assert.Equal(ReasonCodes.ReviewClosed, (await house.AnswerAsync(id, "ben")).ReasonCode);
    }

    [Fact]
    public async Task I6_answer_after_the_deadline_is_refused_before_any_sweep()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        house.Time.Advance(TimeSpan.FromMinutes(14));
        var (statement, _) = house.Desk.Draft(id, house.User("ada"), AnswerKind.Approve, "cli", null);
        house.Time.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(ReasonCodes.ReviewClosed, house.Desk.Draft(id, house.User("ada"), AnswerKind.Approve, "cli", null).Refused!.ReasonCode);
        Assert.Equal(ReasonCodes.ReviewClosed, (await house.Desk.AnswerAsync(id, house.User("ada"), "cli", statement!).WaitAsync(Given.Patience)).ReasonCode);
        await held.RefusedAsync(ReasonCodes.ReviewExpired);
    }

    [Fact]
    public async Task P26_deadline_survives_a_restart()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        await using var next = await house.CrashAsync(later: TimeSpan.FromMinutes(15));
        Assert.Equal(ReasonCodes.ReviewClosed, (await next.AnswerAsync(id, "ada")).ReasonCode);
        await next.Desk.SweepAsync();
        Assert.Equal(ReviewState.Expired, next.Desk.Find(id)!.State);
    }

    [Fact]
    public async Task P26_detached_time_survives_a_restart_and_ends_an_approval_before_the_first_sweep()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(1, "dba") with { Expires = TimeSpan.FromHours(8) });
        var held = await house.HoldOpenAsync();
        await held.LeaveAsync(LeaveReason.Lost);
        await house.ApproveAsync(held, "ada");
        await using var next = await house.CrashAsync(later: house.Limits.Detached);
        var again = await next.HoldOpenAsync(next.Action());
        Assert.NotEqual((await held.Opened).Id, (await again.Opened).Id);
        Assert.Equal(ReviewState.Expired, next.Desk.Find((await held.Opened).Id)!.State);
        Assert.Equal(0, next.Count("released"));
        await again.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task P54_clock_that_went_back_approves_nothing_by_itself()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(1, "dba") with { Escalations = [new Escalation(["sre"], TimeSpan.FromMinutes(5))] });
        house.Time.Advance(TimeSpan.FromMinutes(30));
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        house.Time.AdjustTime(Given.Noon);
        await house.Desk.SweepAsync();
        Assert.True(house.Desk.Find(id)!.IsOpen);
        Assert.Equal(ReasonCodes.NotEligible, (await house.AnswerAsync(id, "sue")).ReasonCode);
        await house.ApproveAsync(held, "ada");
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task P50_crash_while_pending_is_shown_detached_and_joins_again()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        await using var next = await house.CrashAsync(later: TimeSpan.FromSeconds(20));
        var review = Assert.Single(next.Desk.ListOpen());
        Assert.Equal((ReviewState.Pending, Given.Noon.AddSeconds(20), 0), (review.State, review.DetachedAt, next.Desk.WaiterCount(review.Id)));
        Assert.Equal("restart", next.Entry("review-detached").GetProperty("reason").GetString());
        var again = await next.HoldOpenAsync(next.Action());
        Assert.Equal((await held.Opened).Id, (await again.Opened).Id);
        await next.ApproveAsync(again, "ada");
        await again.ReleasedAsync();
    }

    [Fact]
    public async Task P50_crash_after_the_approval_runs_nothing_until_the_agent_is_back()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync(house.Action(), static () => new(new TaskCompletionSource<Rederived>().Task));
        await house.ApproveAsync(held, "ada");
        await using var next = await house.CrashAsync();
        await next.Desk.SweepAsync();
        var review = Assert.Single(next.Desk.ListOpen());
        Assert.Equal((ReviewState.Approved, 0), (review.State, next.Count("released")));
        Assert.NotNull(review.DetachedAt);
        await next.Hold(next.Action()).ReleasedAsync();
        Assert.Equal(1, next.Count("released"));
        held.Waiter.Leave(LeaveReason.Lost);
    }

    [Fact]
    public async Task P50_P23_crash_between_release_and_outcome_is_unknown_and_never_retried()
    {
        await using var house = await House.OpenAsync();
        var opened = house.Action();
        var first = await house.HoldOpenAsync(opened);
        await first.LeaveAsync(LeaveReason.Lost);
        await house.ApproveAsync(first, "ada");
        var ran = house.Action();
        await house.Hold(ran).ReleasedAsync();
        await using var next = await house.CrashAsync();
        var review = Assert.Single(next.Desk.ListClosed());
        Assert.Equal((ReviewState.Released, OutcomeStatus.Unknown), (review.State, review.Outcome!.Status));
        var outcome = next.Entry("outcome");
        Assert.Equal("unknown", outcome.GetProperty("status").GetString());

        // It is the action that consumed the clearance, not the one that opened the review.
        Assert.Equal(ran.Id.Value, outcome.GetProperty("action").GetString());
        Assert.Equal(next.Entry("released").GetProperty("released").GetString(), outcome.GetProperty("action").GetString());
        await next.Desk.SweepAsync();
        Assert.Equal((1, 1), (next.Count("released"), next.Count("outcome")));

        // The same action again is a new request that humans decide.
        var again = await next.HoldOpenAsync(next.Action());
        Assert.NotEqual(review.Id, (await again.Opened).Id);
        await again.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task P50_crash_after_the_outcome_leaves_it_done()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        await house.ApproveAsync(held, "ada");
        var released = await held.ReleasedAsync();
        await house.Desk.RecordOutcomeAsync(released.Review.Id, released.Action.Id, new Outcome(OutcomeStatus.Done, 3, 10, TimeSpan.FromMilliseconds(5), null));
        await using var next = await house.CrashAsync();
        var review = Assert.Single(next.Desk.ListClosed());
        Assert.Equal((OutcomeStatus.Done, (long?)3), (review.Outcome!.Status, review.Outcome.Rows));
        Assert.Equal(1, next.Count("outcome"));
    }

    [Fact]
    public async Task No_eligible_approver_after_a_restart_with_another_config_is_said_at_release()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(3, "dba"));
        var held = await house.HoldOpenAsync();
        await held.LeaveAsync(LeaveReason.Lost);
        foreach (var name in new[] { "ada", "ben", "cem" }) await house.ApproveAsync(held, name);
        var people = Given.People;
        foreach (var name in new[] { "ada", "ben", "zoe" }) people.Remove(name);
        await using var next = await house.CrashAsync(people);
        var refused = await next.Hold(next.Action()).RefusedAsync(ReasonCodes.NoEligibleApprover);
        Assert.Equal((await held.Opened).Id, refused.Review!.Id);
        await next.Hold(next.Action()).RefusedAsync(ReasonCodes.NoEligibleApprover);
        Assert.Empty(next.Desk.ListOpen());
    }

    [Fact]
    public async Task Closed_reviews_are_listed_newest_first_and_no_more_than_asked_for()
    {
        await using var house = await House.OpenAsync();
        var ids = new List<ReviewId>();
        for (var n = 0; n < 6; n++)
        {
            house.Time.Advance(TimeSpan.FromSeconds(1));
            var held = await house.HoldOpenAsync(house.Action($"statement {n}"));
            ids.Insert(0, (await held.Opened).Id);
            if (n % 2 == 0)
            {
                await held.LeaveAsync(LeaveReason.Cancelled);
                continue;
            }

            await house.ApproveAsync(held, "ada");
            var released = await held.ReleasedAsync();
            if (n == 3) await house.Desk.RecordOutcomeAsync(released.Review.Id, released.Action.Id, new Outcome(OutcomeStatus.Done, 1, 1, TimeSpan.Zero, null));
        }

        Assert.Equal(ids, house.Desk.ListClosed().Select(static r => r.Id));
        Assert.Equal(ids[..3], house.Desk.ListClosed(3).Select(static r => r.Id));
        foreach (var id in ids) Assert.Equal(id, house.Desk.Find(id)!.Id);
    }
}
