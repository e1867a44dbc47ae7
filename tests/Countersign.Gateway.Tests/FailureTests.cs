using Countersign.Core;
using Countersign.Reviews;

namespace Countersign.Gateway.Tests;

/// <summary>The store fails at each step: nothing runs that was not journalled, nobody spins, and it recovers by itself.</summary>
public sealed class FailureTests
{
    [Fact]
    public async Task I2_review_that_can_not_be_written_is_not_opened()
    {
        await using var house = await House.OpenAsync();
        house.Store.FailWritesOf("review-opened");
        var refused = await house.Hold(house.Action()).RefusedAsync(ReasonCodes.JournalUnavailable);
        Assert.DoesNotContain("secret", refused.Message, StringComparison.Ordinal);
        Assert.Empty(house.Desk.ListOpen());
        house.Store.Heal();
        var held = await house.HoldOpenAsync();
        await house.ApproveAsync(held, "ada");
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task I2_join_that_can_not_be_written_does_not_wait()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        house.Store.FailWritesOf("review-joined");
        await house.Hold(house.Action()).RefusedAsync(ReasonCodes.JournalUnavailable);
        Assert.Equal(1, house.Desk.WaiterCount((await held.Opened).Id));
        house.Store.Heal();
        await held.LeaveAsync(LeaveReason.Cancelled);
    }

    [Theory]
    [InlineData(AnswerKind.Approve)]
    [InlineData(AnswerKind.Deny)]
    public async Task I2_answer_that_can_not_be_written_does_not_count_and_can_be_given_again(AnswerKind kind)
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        var (statement, _) = house.Desk.Draft(id, house.User("ada"), kind, "cli", null);
        house.Store.FailWritesOf("answer");
        var refused = await house.Desk.AnswerAsync(id, house.User("ada"), "cli", statement!);
        Assert.Equal((ReasonCodes.JournalUnavailable, false), (refused.ReasonCode, refused.Accepted));
        Assert.DoesNotContain("secret", refused.Message, StringComparison.Ordinal);
        Assert.False(held.End.IsCompleted);
        house.Store.Heal();
        Assert.True((await house.Desk.AnswerAsync(id, house.User("ada"), "cli", statement!)).Accepted);
        Assert.Equal(kind == AnswerKind.Approve, await held.End.WaitAsync(Given.Patience) is HoldEnd.Released);
    }

    [Fact]
    public async Task I2_clearance_that_can_not_be_written_releases_nothing_and_the_approval_stays()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        house.Store.FailWritesOf("released");
        await house.ApproveAsync(held, "ada");
        await held.RefusedAsync(ReasonCodes.JournalUnavailable);
        var review = Assert.Single(house.Desk.ListOpen());
        Assert.Equal(ReviewState.Approved, review.State);
        Assert.NotNull(review.DetachedAt);
        house.Store.Heal();
        Assert.Equal(review.Id, (await house.Hold(house.Action()).ReleasedAsync()).Review.Id);
        Assert.Equal(1, house.Count("released"));
    }

    public static TheoryData<string> Ends => ["review-expired", "review-denied", "review-reopened", "approvals-voided"];

    [Theory]
    [MemberData(nameof(Ends))]
    public async Task I2_what_release_finds_and_can_not_write_ends_the_wait_instead_of_looping(string entry)
    {
        await using var house = await House.OpenAsync();
        var action = house.Action();
        var derived = entry == "approvals-voided" ? action with { Effects = [Given.Update("payments")] } : action;
        var times = 0;
        var held = await house.HoldOpenAsync(action, () =>
        {
            if (Interlocked.Increment(ref times) == 1 && entry == "review-expired") house.Time.Advance(TimeSpan.FromMinutes(15));
            return new(new Rederived.As(derived));
        });
        var id = (await held.Opened).Id;
        if (entry == "review-denied") house.Rules.Decide = Rules.Deny();
        if (entry == "review-reopened") house.Rules.Ask(Rules.Requirement(2, "dba"));
        house.Store.FailWritesOf(entry);
        await house.ApproveAsync(held, "ada");
        await held.RefusedAsync(ReasonCodes.JournalUnavailable);
        Assert.Equal((1, 0), (times, house.Count("released")));
        Assert.True(house.Desk.Find(id)!.IsOpen);
    }

    [Fact]
    public async Task I6_expiry_that_can_not_be_written_still_refuses_answers_and_joins()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        await held.LeaveAsync(LeaveReason.Lost);
        var id = (await held.Opened).Id;
        house.Time.Advance(TimeSpan.FromMinutes(14));
        house.Time.Advance(TimeSpan.FromMinutes(1));
        house.Store.FailWritesOf("review-expired");
        var statement = ApprovalStatement.Create(house.Desk.Find(id)!, house.User("ada"), AnswerKind.Approve, "cli", null, house.Time.GetUtcNow());
        Assert.Equal(ReasonCodes.ReviewClosed, (await house.Desk.AnswerAsync(id, house.User("ada"), "cli", statement).WaitAsync(Given.Patience)).ReasonCode);
        await house.Hold(house.Action()).RefusedAsync(ReasonCodes.JournalUnavailable);
        await house.Desk.SweepAsync().WaitAsync(Given.Patience);
        Assert.True(house.Desk.Find(id)!.IsOpen);
        house.Store.Heal();
        await house.Desk.SweepAsync();
        Assert.Equal(ReviewState.Expired, house.Desk.Find(id)!.State);
    }

    [Fact]
    public async Task Detachment_that_could_not_be_written_is_made_good_by_the_sweep()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        house.Store.FailWritesOf("review-detached");
        await held.LeaveAsync(LeaveReason.Lost);
        var id = (await held.Opened).Id;
        Assert.Null(house.Desk.Find(id)!.DetachedAt);
        house.Store.Heal();
        await house.Desk.SweepAsync();
        Assert.Equal(Given.Noon, house.Desk.Find(id)!.DetachedAt);
        house.Time.Advance(house.Limits.Detached);
        await house.Desk.SweepAsync();
        Assert.Equal(ReviewState.Expired, house.Desk.Find(id)!.State);
    }

    [Fact]
    public async Task Withdrawal_that_could_not_be_written_is_not_called_one()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        house.Store.FailWritesOf("review-withdrawn");
        var refused = await held.LeaveAsync(LeaveReason.Cancelled);
        Assert.Equal(ReasonCodes.JournalUnavailable, refused.ReasonCode);
        var review = house.Desk.Find((await held.Opened).Id)!;
        Assert.Equal((ReviewState.Pending, (DateTimeOffset?)Given.Noon), (review.State, review.DetachedAt));
    }

    [Fact]
    public async Task P53_clearance_whose_answer_was_lost_is_never_forwarded_nor_given_again()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        house.Store.LoseAnswerOf("released");
        await house.ApproveAsync(held, "ada");
        await held.RefusedAsync(ReasonCodes.JournalUnavailable);
        var id = (await held.Opened).Id;

        // The next write finds what really is there.
        var again = await house.HoldOpenAsync();
        Assert.NotEqual(id, (await again.Opened).Id);
        Assert.Equal((ReviewState.Released, 1), (house.Desk.Find(id)!.State, house.Count("released")));
        await again.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task P53_approval_whose_answer_was_lost_reaches_its_waiter_with_the_next_sweep()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        house.Store.LoseAnswerOf("review-approved");
        Assert.Equal(ReasonCodes.JournalUnavailable, (await house.AnswerAsync((await held.Opened).Id, "ada")).ReasonCode);
        await house.Desk.SweepAsync();
        await held.ReleasedAsync();
        Assert.Equal(1, house.Count("answer"));
    }

    [Theory]
    [InlineData("review-denied", AnswerKind.Deny, ReasonCodes.ReviewDenied)]
    [InlineData("review-approved", AnswerKind.Approve, ReasonCodes.AlreadyReleased)]
    public async Task P53_end_whose_answer_was_lost_reaches_every_waiter_with_the_next_sweep(string entry, AnswerKind kind, string reason)
    {
        await using var house = await House.OpenAsync();
        var first = await house.HoldOpenAsync();
        var second = await house.HoldOpenAsync();
        house.Store.LoseAnswerOf(entry);
        await house.AnswerAsync((await first.Opened).Id, "ada", kind);

        // Any write opens the store again; who reads in that very moment is refused, and that is another test's business.
        await house.Spine.RefuseAsync(house.Bot, Given.Shop, ReasonCodes.Unparseable, "m", "h", "t");
        await house.Desk.SweepAsync();
        var ends = await Task.WhenAll(first.End, second.End).WaitAsync(Given.Patience);
        Assert.Equal(kind == AnswerKind.Deny ? 2 : 1, ends.OfType<HoldEnd.Refused>().Count(r => r.ReasonCode == reason));
    }

    [Fact]
    public async Task P53_review_whose_opening_lost_its_answer_is_found_detached_and_joined()
    {
        await using var house = await House.OpenAsync();
        house.Store.LoseAnswerOf("review-opened");
        await house.Hold(house.Action()).RefusedAsync(ReasonCodes.JournalUnavailable);
        await house.Desk.SweepAsync();
        var review = Assert.Single(house.Desk.ListOpen());
        Assert.NotNull(review.DetachedAt);
        var held = await house.HoldOpenAsync();
        Assert.Equal(review.Id, (await held.Opened).Id);
        await held.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task P51_outcome_that_could_not_be_written_is_written_when_the_disk_is_back()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        await house.ApproveAsync(held, "ada");
        var released = await held.ReleasedAsync();
        house.Store.FailWritesOf("outcome");
        await house.Desk.RecordOutcomeAsync(released.Review.Id, released.Action.Id, new Outcome(OutcomeStatus.Done, 7, 1, TimeSpan.Zero, null));
        house.Store.Heal();
        house.Store.FailReads();
        await house.Desk.RecordOutcomeAsync(released.Review.Id, released.Action.Id, new Outcome(OutcomeStatus.Done, 7, 1, TimeSpan.Zero, null));
        house.Store.Heal();
        Assert.Null(house.Desk.Find(released.Review.Id)!.Outcome);
        await house.Desk.SweepAsync();
        await house.Desk.SweepAsync();
        Assert.Equal((OutcomeStatus.Done, (long?)7), (house.Desk.Find(released.Review.Id)!.Outcome!.Status, house.Desk.Find(released.Review.Id)!.Outcome!.Rows));
        Assert.Equal(1, house.Count("outcome"));
    }

    [Fact]
    public async Task P51_store_that_can_not_be_read_refuses_and_recovers()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        var (statement, _) = house.Desk.Draft(id, house.User("ada"), AnswerKind.Approve, "cli", null);
        house.Store.FailReads();
        Assert.Equal(ReasonCodes.JournalUnavailable, (await house.Desk.AnswerAsync(id, house.User("ada"), "cli", statement!)).ReasonCode);
        var action = house.Action("other");
        var ruling = Assert.IsType<Ruling.Refused>(await house.Spine.SubmitAsync(action, () => new Waiter(action, () => new(new Rederived.As(action)), static _ => { })));
        Assert.Equal(ReasonCodes.JournalUnavailable, ruling.Refusal.ReasonCode);
        Assert.DoesNotContain("secret", ruling.Refusal.Message + ruling.Refusal.Hint + ruling.Refusal.Detail, StringComparison.Ordinal);
        house.Store.Heal();
        Assert.True((await house.Desk.AnswerAsync(id, house.User("ada"), "cli", statement!)).Accepted);
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task P51_whole_way_refuses_while_nothing_can_be_written_and_recovers_by_itself()
    {
        await using var house = await House.OpenAsync();
        async Task<string?> SubmitAsync(Func<GatewayAction, Decision> decide)
        {
            house.Rules.Decide = decide;
            var action = house.Action();
            var ruling = await house.Spine.SubmitAsync(action, () => new Waiter(action, () => new(new Rederived.As(action)), static _ => { })).AsTask().WaitAsync(Given.Patience);
            return (ruling as Ruling.Refused)?.Refusal.ReasonCode;
        }

        house.Store.FailAllWrites();
        foreach (var decide in new[] { Rules.Permit(), Rules.Deny(), Rules.Review(Rules.Requirement(1, "dba")), Rules.Review(Rules.Requirement(9, "dba")) }) Assert.Equal(ReasonCodes.JournalUnavailable, await SubmitAsync(decide));
        Assert.Equal(ReasonCodes.JournalUnavailable, (await house.Spine.RefuseAsync(house.Bot, Given.Shop, ReasonCodes.Unparseable, "m", "h", "t")).ReasonCode);
        Assert.Equal(ReasonCodes.JournalUnavailable, (await house.Sessions.CompleteAsync("ada", Code(house, "ada"))).ReasonCode);
        house.Store.Heal();
        Assert.Null(await SubmitAsync(Rules.Permit()));
        Assert.Equal(ReasonCodes.PolicyDenied, await SubmitAsync(Rules.Deny()));
    }

    private static string Code(House house, string user)
    {
        var code = "";
        Assert.True(house.Sessions.Begin(user, (_, c) => code = c));
        return code;
    }
}
