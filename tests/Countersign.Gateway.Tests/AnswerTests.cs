using Countersign.Core;
using Countersign.Identity;
using Countersign.Reviews;

namespace Countersign.Gateway.Tests;

/// <summary>Who may answer, and what counts.</summary>
public sealed class AnswerTests
{
    [Theory]
    [InlineData("olga", "the owner of")]
    [InlineData("uwe", "the user behind")]
    public async Task I4_humans_of_the_actor_chain_never_approve_and_may_deny(string name, string because)
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        var refused = await house.AnswerAsync(id, name);
        Assert.Equal((ReasonCodes.SelfApproval, false), (refused.ReasonCode, refused.Accepted));
        Assert.Contains(because, refused.Message, StringComparison.Ordinal);

        // Also with a statement that somebody wrote himself, past the draft.
        var forged = ApprovalStatement.Create(house.Desk.Find(id)!, house.User(name), AnswerKind.Approve, "cli", null, Given.Noon);
        Assert.Equal(ReasonCodes.SelfApproval, (await house.Desk.AnswerAsync(id, house.User(name), "cli", forged)).ReasonCode);
        Assert.Equal(ReasonCodes.SelfApproval, house.Entry("answer-refused").GetProperty("reason").GetString());
        Assert.False(held.End.IsCompleted);

        Assert.Equal(ReasonCodes.ReviewDenied, (await house.AnswerAsync(id, name, AnswerKind.Deny, "not in my name")).ReasonCode);
        Assert.Contains("not in my name", (await held.RefusedAsync(ReasonCodes.ReviewDenied)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task I4_nobody_of_the_chain_counts_even_when_his_approval_is_in_the_store()
    {
        // A chain whose owner changed hands after he approved: the same agent, now his.
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(2, "dba"));
        var held = await house.HoldOpenAsync();
        await house.ApproveAsync(held, "ada");
        var review = await house.ApproveAsync(held, "ben");
        await held.ReleasedAsync();
        Assert.All(review.Answers, a => Assert.False(review.IsActor(a.User)));
        Assert.All(house.Desk.Eligible(review), u => Assert.False(review.IsActor(u.Ref.Id)));
        Assert.DoesNotContain(house.Desk.Eligible(review), static u => u.Ref.Name is "olga" or "uwe");
    }

    [Fact]
    public async Task P30_agent_is_no_approver_whatever_the_caller_says_it_is()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        var disguised = new UserEntry(house.Bot.Agent, new HashSet<string> { "dba" });
        Assert.Equal(ReasonCodes.NotHuman, house.Desk.Draft(id, disguised, AnswerKind.Approve, "cli", null).Refused!.ReasonCode);
        var forged = ApprovalStatement.Create(house.Desk.Find(id)!, disguised, AnswerKind.Approve, "cli", null, Given.Noon);
        Assert.Equal(ReasonCodes.NotHuman, (await house.Desk.AnswerAsync(id, disguised, "cli", forged)).ReasonCode);
        Assert.Empty(house.Desk.Find(id)!.Answers);
        await held.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task P33_groups_are_those_of_the_directory_now_and_not_those_the_caller_brings()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        var inflated = house.User("nil") with { Groups = new HashSet<string> { "dba" } };
        Assert.Equal(ReasonCodes.NotEligible, house.Desk.Draft(id, inflated, AnswerKind.Approve, "cli", null).Refused!.ReasonCode);
        var stranger = new UserEntry(new PrincipalRef(PrincipalKind.User, OpaqueId.NewUser(), "ada"), new HashSet<string> { "dba" });
        Assert.Equal(ReasonCodes.NotEligible, house.Desk.Draft(id, stranger, AnswerKind.Approve, "cli", null).Refused!.ReasonCode);
        await held.LeaveAsync(LeaveReason.Cancelled);
    }

    [Theory]
    [InlineData(AnswerKind.Approve)]
    [InlineData(AnswerKind.Deny)]
    public async Task Only_members_of_the_asked_groups_answer_on_a_channel_of_this_build(AnswerKind kind)
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        Assert.Equal(ReasonCodes.NotEligible, (await house.AnswerAsync(id, "sue", kind)).ReasonCode);
        Assert.Equal(ReasonCodes.NotEligible, (await house.AnswerAsync(id, "nil", kind)).ReasonCode);
        Assert.Equal(ReasonCodes.NotEligible, (await house.AnswerAsync(id, "ada", kind, channel: "pigeon")).ReasonCode);
        house.Rules.MayApprove = static (_, _, channel) => channel == "api";
        Assert.Equal(ReasonCodes.NotEligible, (await house.AnswerAsync(id, "ada", kind)).ReasonCode);
        Assert.True((await house.AnswerAsync(id, "ada", kind, channel: "api")).Accepted);
        await held.End.WaitAsync(Given.Patience);
    }

    [Fact]
    public async Task I7_P31_one_human_counts_once_and_a_redelivered_answer_too()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(2, "dba"));
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        var (statement, _) = house.Desk.Draft(id, house.User("ada"), AnswerKind.Approve, "cli", null);
        var first = await house.Desk.AnswerAsync(id, house.User("ada"), "cli", statement!);
        Assert.Equal((ReasonCodes.Approved, "approved by you; 1 more needed"), (first.ReasonCode, first.Message));
        Assert.Equal(ReasonCodes.AlreadyDecided, (await house.Desk.AnswerAsync(id, house.User("ada"), "cli", statement!)).ReasonCode);
        Assert.Equal(ReasonCodes.AlreadyDecided, (await house.AnswerAsync(id, "ada", channel: "api")).ReasonCode);
        Assert.Single(house.Desk.Find(id)!.Answers);
        Assert.Equal(1, house.Count("answer"));
        Assert.False(held.End.IsCompleted);
        await house.ApproveAsync(held, "ben");
        var released = await held.ReleasedAsync();
        Assert.Equal(2, released.Review.Answers.Select(static a => a.User).Distinct().Count());
    }

    [Fact]
    public async Task P31_one_person_in_two_groups_fills_one_slot()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(1, "dba"), Rules.Requirement(1, "sre"));
        var held = await house.HoldOpenAsync();
        Assert.Equal(ReviewState.Pending, (await house.ApproveAsync(held, "zoe")).State);
        Assert.Equal(ReviewState.Approved, (await house.ApproveAsync(held, "ada")).State);
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task P31_slots_are_filled_by_a_best_matching_in_whatever_order_people_come()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(1, "dba"), Rules.Requirement(1, "dba", "sre"), Rules.Requirement(1, "sre"));
        foreach (var order in new[] { new[] { "zoe", "ada", "sue" }, ["ada", "sue", "zoe"], ["sue", "zoe", "ada"], ["ada", "ben", "cem", "sue"] })
        {
            var held = await house.HoldOpenAsync();
            foreach (var name in order[..^1]) Assert.Equal(ReviewState.Pending, (await house.ApproveAsync(held, name)).State);
            Assert.Equal(ReviewState.Approved, (await house.ApproveAsync(held, order[^1])).State);
            await held.ReleasedAsync();
        }
    }

    [Fact]
    public async Task P36_separator_in_a_group_name_makes_no_second_group()
    {
        var people = Given.People;
        people["eve"] = ["dba,sre", "dba sre", "dba\0sre", "DBA"];
        await using var house = await House.OpenAsync(people: people);
        var held = await house.HoldOpenAsync();
        Assert.Equal(ReasonCodes.NotEligible, (await house.AnswerAsync((await held.Opened).Id, "eve")).ReasonCode);
        await held.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task Justification_that_policy_asks_for_must_be_there()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(1, "dba") with { Justify = true });
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        foreach (var nothing in new[] { null, "", " \t\n" }) Assert.Equal(ReasonCodes.JustificationRequired, (await house.AnswerAsync(id, "ada", comment: nothing)).ReasonCode);
        Assert.Equal(ReasonCodes.TooLarge, (await house.AnswerAsync(id, "ada", comment: new string('x', house.Limits.CommentLength + 1))).ReasonCode);
        await house.ApproveAsync(held, "ada", "ticket 42 is mine");
        await held.ReleasedAsync();

        // A no needs no reason.
        var other = await house.HoldOpenAsync(house.Action("other"));
        Assert.Equal(ReasonCodes.ReviewDenied, (await house.AnswerAsync((await other.Opened).Id, "ada", AnswerKind.Deny)).ReasonCode);
        await other.RefusedAsync(ReasonCodes.ReviewDenied);
    }

    [Fact]
    public async Task One_no_ends_it_for_every_waiter_also_after_it_was_approved()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(2, "dba"));
        var first = await house.HoldOpenAsync();
        var second = await house.HoldOpenAsync();
        await house.ApproveAsync(first, "ada");
        await house.AnswerAsync((await first.Opened).Id, "ben", AnswerKind.Deny, "no\u202eoh");
        var refused = await first.RefusedAsync(ReasonCodes.ReviewDenied);
        await second.RefusedAsync(ReasonCodes.ReviewDenied);
        Assert.Equal("`ben` denied it: no⟦U+202E⟧oh", refused.Message);
        Assert.Equal("ben", refused.Review!.ClosedBy);

        house.Rules.Ask(Rules.Requirement(1, "dba"));
        var detached = await house.HoldOpenAsync(house.Action("other"));
        await detached.LeaveAsync(LeaveReason.Lost);
        var id = (await detached.Opened).Id;
        Assert.Equal("approved; it runs when the agent presents the same action again", (await house.AnswerAsync(id, "ada")).Message);
        Assert.Equal(ReasonCodes.ReviewDenied, (await house.AnswerAsync(id, "ben", AnswerKind.Deny)).ReasonCode);
        Assert.Equal(ReviewState.Denied, house.Desk.Find(id)!.State);
    }

    [Fact]
    public async Task Approval_of_what_is_approved_already_is_recorded_and_approves_nothing_twice()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        await held.LeaveAsync(LeaveReason.Lost);
        await house.ApproveAsync(held, "ada");
        await house.ApproveAsync(held, "ben");
        Assert.Equal((2, 1), (house.Count("answer"), house.Count("review-approved")));
    }

    [Fact]
    public async Task Unknown_and_closed_reviews_are_told_apart()
    {
        await using var house = await House.OpenAsync();
        Assert.Equal(ReasonCodes.ReviewUnknown, (await house.AnswerAsync(ReviewId.New(), "ada")).ReasonCode);
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        var (statement, _) = house.Desk.Draft(id, house.User("ben"), AnswerKind.Approve, "cli", null);
        await house.AnswerAsync(id, "ada", AnswerKind.Deny);
        await held.RefusedAsync(ReasonCodes.ReviewDenied);

        // Replayed after the no: it can not undo it.
        Assert.Equal(ReasonCodes.ReviewClosed, (await house.Desk.AnswerAsync(id, house.User("ben"), "cli", statement!)).ReasonCode);
        Assert.Equal(ReviewState.Denied, house.Desk.Find(id)!.State);
    }

    [Fact]
    public async Task Escalation_comes_by_time_is_told_once_and_lets_its_groups_approve()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(1, "dba") with { Escalations = [new Escalation(["sre"], TimeSpan.FromMinutes(5))] });
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        Assert.Equal(ReasonCodes.NotEligible, (await house.AnswerAsync(id, "sue")).ReasonCode);
        house.Time.Advance(TimeSpan.FromMinutes(5) - TimeSpan.FromTicks(1));
        await house.Desk.SweepAsync();
        Assert.Equal(ReasonCodes.NotEligible, (await house.AnswerAsync(id, "sue")).ReasonCode);
        Assert.Equal((0, 1), (house.Count("review-escalated"), held.Told.Count));
        house.Time.Advance(TimeSpan.FromTicks(1));
        await house.Desk.SweepAsync();
        await house.Desk.SweepAsync();
        Assert.Equal((1, 2), (house.Count("review-escalated"), held.Told.Count));
        await house.ApproveAsync(held, "sue");
        await held.ReleasedAsync();
    }
}
