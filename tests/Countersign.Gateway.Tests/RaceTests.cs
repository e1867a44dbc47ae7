using Countersign.Core;
using Countersign.Identity;
using Countersign.Reviews;

namespace Countersign.Gateway.Tests;

/// <summary>I7: whatever comes at once, one clearance.</summary>
public sealed class RaceTests
{
    [Fact]
    public async Task I7_P23_fifty_waiters_and_fifty_answers_give_exactly_one_clearance()
    {
        var people = Given.People;
        for (var n = 0; n < 25; n++) people[$"dba{n}"] = ["dba"];
        for (var round = 0; round < 3; round++)
        {
            await using var house = await House.OpenAsync(people: people);
            house.Rules.Ask(Rules.Requirement(3, "dba"));
            var first = await house.HoldOpenAsync();
            var id = (await first.Opened).Id;

            // Each of 25 people clicks, and each click is delivered twice, while 50 connections present the same action.
            var answers = Enumerable.Range(0, 25).Select(n => house.User($"dba{n}")).SelectMany(user =>
            {
                var (statement, _) = house.Desk.Draft(id, user, AnswerKind.Approve, "cli", null);
                return new[] { 1, 2 }.Select(_ => Task.Run(() => house.Desk.AnswerAsync(id, user, "cli", statement!)));
            }).ToArray();
            var waiters = Enumerable.Range(0, 50).Select(_ => house.Hold(house.Action())).ToArray();
            var sweeps = Task.Run(async () =>
            {
                for (var n = 0; n < 20; n++) await house.Desk.SweepAsync();
            });
            var results = await Task.WhenAll(answers).WaitAsync(Given.Patience);
            await sweeps.WaitAsync(Given.Patience);

            // Who joined in time ends with it; who came after it has a review of his own, which nobody approved.
            await Task.WhenAll(waiters.Append(first).Select(async w =>
            {
                await Task.WhenAny(w.Opened, w.End);
                if (w.Opened.IsCompletedSuccessfully && (await w.Opened).Id == id) await w.End;
            })).WaitAsync(Given.Patience);

            Assert.Equal(1, house.Count("released"));
            Assert.Equal(1, house.Count("review-approved"));
            var all = waiters.Append(first).Where(static w => w.End.IsCompleted).Select(static w => w.End.Result).ToArray();
            Assert.Single(all.OfType<HoldEnd.Released>());
            Assert.All(all.OfType<HoldEnd.Refused>(), static r => Assert.Equal(ReasonCodes.AlreadyReleased, r.ReasonCode));
            var review = house.Desk.Find(id)!;
            Assert.Equal(review.Answers.Count, review.Answers.Select(static a => a.User).Distinct().Count());
            Assert.Equal(review.Answers.Count, results.Count(static r => r.Accepted));
            Assert.All(results.Where(static r => !r.Accepted), static r => Assert.Contains(r.ReasonCode, new[] { ReasonCodes.AlreadyDecided, ReasonCodes.ReviewClosed }));
            Assert.InRange(house.Desk.ListOpen().Count, 0, 1);
            foreach (var waiter in waiters) waiter.Waiter.Leave(LeaveReason.Cancelled);
            await Task.WhenAll(waiters.Select(static w => w.End)).WaitAsync(Given.Patience);
            Assert.Equal(0, house.Desk.WaiterCount(id));
        }
    }

    [Fact]
    public async Task I7_yes_and_no_at_once_end_in_one_of_them()
    {
        await using var house = await House.OpenAsync(limits: new ReviewLimits { PendingPerAgent = 100 });
        for (var round = 0; round < 20; round++)
        {
            var held = await house.HoldOpenAsync(house.Action($"statement {round}"));
            var id = (await held.Opened).Id;
            string Draft(string user, AnswerKind kind) => house.Desk.Draft(id, house.User(user), kind, "cli", null).Statement!;
            var (yes, no) = (Draft("ada", AnswerKind.Approve), Draft("ben", AnswerKind.Deny));
            var both = await Task.WhenAll(
                Task.Run(() => house.Desk.AnswerAsync(id, house.User("ada"), "cli", yes)),
                Task.Run(() => house.Desk.AnswerAsync(id, house.User("ben"), "cli", no))).WaitAsync(Given.Patience);
            var end = await held.End.WaitAsync(Given.Patience);
            var review = house.Desk.Find(id)!;
            if (both[1].Accepted)
            {
                Assert.Equal(ReviewState.Denied, review.State);
                Assert.Equal(ReasonCodes.ReviewDenied, Assert.IsType<HoldEnd.Refused>(end).ReasonCode);
            }
            else
            {
                Assert.Equal((ReviewState.Released, ReasonCodes.ReviewClosed), (review.State, both[1].ReasonCode));
                Assert.IsType<HoldEnd.Released>(end);
            }
        }
    }

    [Fact]
    public async Task I7_expiry_and_approval_at_once_end_in_one_of_them()
    {
        await using var house = await House.OpenAsync(limits: new ReviewLimits { PendingPerAgent = 100 });
        for (var round = 0; round < 20; round++)
        {
            var held = await house.HoldOpenAsync(house.Action($"statement {round}"));
            var id = (await held.Opened).Id;
            house.Time.Advance(TimeSpan.FromMinutes(14));
            var statement = house.Desk.Draft(id, house.User("ada"), AnswerKind.Approve, "cli", null).Statement!;
            var answer = Task.Run(() => house.Desk.AnswerAsync(id, house.User("ada"), "cli", statement));
            house.Time.Advance(TimeSpan.FromMinutes(1));
            await Task.WhenAll(answer, Task.Run(house.Desk.SweepAsync)).WaitAsync(Given.Patience);
            await house.Desk.SweepAsync();
            var end = await held.End.WaitAsync(Given.Patience);
            var state = house.Desk.Find(id)!.State;
            Assert.Equal(end is HoldEnd.Released ? ReviewState.Released : ReviewState.Expired, state);
        }
    }

    [Fact]
    public async Task Waiters_that_come_and_go_never_leave_a_review_with_the_wrong_number_of_them()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(1, "dba") with { Expires = TimeSpan.FromHours(8) });
        var anchor = await house.HoldOpenAsync();
        var id = (await anchor.Opened).Id;
        await anchor.LeaveAsync(LeaveReason.Lost);
        for (var round = 0; round < 30; round++)
        {
            var some = Enumerable.Range(0, 6).Select(_ => house.Hold(house.Action())).ToArray();
            foreach (var held in some[..5]) held.Waiter.Leave(round % 2 == 0 ? LeaveReason.Lost : LeaveReason.HoldLimit);
            await Task.WhenAll(some[..5].Select(static h => h.End)).WaitAsync(Given.Patience);
            await some[5].Opened.WaitAsync(Given.Patience);

            // One waits: the review must say so, or it expires under his feet.
            Assert.Equal((1, (DateTimeOffset?)null), (house.Desk.WaiterCount(id), house.Desk.Find(id)!.DetachedAt));
            await some[5].LeaveAsync(LeaveReason.Lost);
            Assert.Equal(0, house.Desk.WaiterCount(id));
            Assert.NotNull(house.Desk.Find(id)!.DetachedAt);
        }

        Assert.Single(house.Desk.ListOpen());
    }

    [Fact]
    public async Task Joins_and_withdrawals_at_once_never_strand_a_waiter()
    {
        await using var house = await House.OpenAsync();
        for (var round = 0; round < 30; round++)
        {
            var leaving = await house.HoldOpenAsync();
            var joining = house.Hold(house.Action());
            leaving.Waiter.Leave(LeaveReason.Cancelled);
            await leaving.End.WaitAsync(Given.Patience);
            var review = await joining.Opened.WaitAsync(Given.Patience);

            // Either it joined in time and keeps the review open, or it has one of its own; both can be approved.
            await house.ApproveAsync(joining, "ada");
            var released = await joining.ReleasedAsync();
            Assert.Equal(review.Id, released.Review.Id);
            Assert.Empty(house.Desk.ListOpen());
        }
    }

    [Fact]
    public async Task P30_P23_one_code_makes_one_session_however_often_it_is_sent()
    {
        await using var house = await House.OpenAsync();
        var code = "";
        house.Sessions.Begin("ada", (_, c) => code = c);
        var all = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => Task.Run(() => house.Sessions.CompleteAsync("ada", code)))).WaitAsync(Given.Patience);
        var one = Assert.Single(all, static r => r.Token is not null);
        Assert.Equal("ada", house.Sessions.Find(one.Token)!.User.Ref.Name);
        Assert.Equal(1, house.Count("login"));
    }
}
