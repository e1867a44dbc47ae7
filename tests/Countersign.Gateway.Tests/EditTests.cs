using Countersign.Core;
using Countersign.Reviews;

namespace Countersign.Gateway.Tests;

/// <summary>What a human makes of what an agent asked: another action, with him behind it.</summary>
public sealed class EditTests
{
    private static Requirement Editable(int quorum, params string[] groups) => Rules.Requirement(quorum, groups) with { Edit = true };

    private static Rules Allowing(int quorum = 1)
    {
        var rules = new Rules();
        rules.Ask(Editable(quorum, "dba"));
        return rules;
    }

    /// <summary>A connection whose protocol takes every edit, as the real one does of one that fits.</summary>
    private static Held Hold(House house, GatewayAction action, Func<Task>? whileEditing = null)
    {
        var opened = new TaskCompletionSource<Review>(TaskCreationOptions.RunContinuationsAsynchronously);
        var told = new List<Review>();
        var waiter = Make(action);
        return new Held(waiter, Task.Run(() => house.Desk.HoldAsync(waiter, house.Rules.Decide(action))), opened.Task, told);

        Waiter Make(GatewayAction of) => new(of, () => new(new Rederived.As(of)), review =>
        {
            lock (told) told.Add(review);
            opened.TrySetResult(review);
        })
        {
            Edit = async (wish, by) =>
            {
                if (whileEditing is not null) await whileEditing();
                return new Edited.As(Make(Given.Action(of.Actors with { Editors = [.. of.Actors.Editors, by] }, wish.Statement)));
            },
        };
    }

    private static Task<EditResult> EditAsync(House house, ReviewId id, string user, string sql = "update customers set name = 'y' where id = 1") =>
        house.Desk.EditAsync(id, house.User(user), "cli", new EditWish(sql, new Dictionary<int, string?>(), null)).WaitAsync(Given.Patience);

    [Fact]
    public async Task I4_the_editor_is_behind_the_action_and_another_approves_it()
    {
        await using var house = await House.OpenAsync(Allowing());
        var held = Hold(house, house.Action());
        var first = await held.Opened;
        var edited = await EditAsync(house, first.Id, "ada");
        Assert.Equal(ReasonCodes.ReviewEdited, edited.ReasonCode);
        var next = edited.Review!;
        Assert.Equal((ReviewState.Withdrawn, ReasonCodes.ReviewEdited, next.Id), (house.Desk.Find(first.Id)!.State, house.Desk.Find(first.Id)!.CloseReason, house.Desk.Find(first.Id)!.EditedInto!.Value));
        foreach (var actor in (string[])["ada", "olga", "uwe"]) Assert.Equal(ReasonCodes.SelfApproval, (await house.AnswerAsync(next.Id, actor)).ReasonCode);
        Assert.Equal(ReasonCodes.Approved, (await house.AnswerAsync(next.Id, "ben")).ReasonCode);
        var released = await held.ReleasedAsync();
        Assert.Equal("update customers set name = 'y' where id = 1", released.Action.Payload.DisplayText);
        Assert.Equal(["review-edited", "review-opened"], house.Types.SkipWhile(static t => t != "review-edited").Take(2));
        Assert.Equal(1, house.Count("released"));
    }

    [Fact]
    public async Task P31_who_has_approved_does_not_edit_and_his_approval_is_not_of_the_edit()
    {
        await using var house = await House.OpenAsync(Allowing(2));
        var held = Hold(house, house.Action());
        await house.ApproveAsync(held, "ben");
        var first = await held.Opened;
        Assert.Equal(ReasonCodes.AlreadyDecided, (await EditAsync(house, first.Id, "ben")).ReasonCode);
        var next = (await EditAsync(house, first.Id, "ada")).Review!;
        Assert.Empty(next.Answers);
        Assert.Equal(ReasonCodes.Approved, (await house.AnswerAsync(next.Id, "ben")).ReasonCode);
        Assert.Equal(ReviewState.Pending, house.Desk.Find(next.Id)!.State);
        Assert.Equal(ReasonCodes.Approved, (await house.AnswerAsync(next.Id, "cem")).ReasonCode);
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task I5_what_was_asked_for_before_an_edit_stays_asked_for()
    {
        await using var house = await House.OpenAsync(Allowing(2));
        var held = Hold(house, house.Action());
        var first = await held.Opened;
        house.Rules.Decide = Rules.Permit(); // nobody would be asked for what is written now
        var next = (await EditAsync(house, first.Id, "ada")).Review!;
        Assert.Equal(2, Assert.Single(next.Requirements).Quorum);
        await house.AnswerAsync(next.Id, "ben");
        Assert.Equal(ReviewState.Pending, house.Desk.Find(next.Id)!.State);
        await house.AnswerAsync(next.Id, "cem");
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task Edit_that_policy_denies_or_does_not_allow_leaves_the_review_as_it_was()
    {
        await using var house = await House.OpenAsync(Allowing());
        var held = Hold(house, house.Action());
        var first = await held.Opened;
        var review = house.Rules.Decide;
        house.Rules.Decide = Rules.Deny();
        Assert.Equal(ReasonCodes.PolicyDenied, (await EditAsync(house, first.Id, "ada")).ReasonCode);
        house.Rules.Decide = review;
        Assert.Equal(ReasonCodes.NotEligible, (await EditAsync(house, first.Id, "sue")).ReasonCode);
        Assert.Equal(2, house.Count("edit-refused"));
        await house.ApproveAsync(held, "ada");
        await held.ReleasedAsync();

        house.Rules.Ask(Editable(1, "dba"), Rules.Requirement(1, "sre"));
        var other = Hold(house, house.Action("update customers set name = 'z'"));
        Assert.Equal(ReasonCodes.EditNotAllowed, (await EditAsync(house, (await other.Opened).Id, "ada")).ReasonCode);
    }

    [Fact]
    public async Task I7_an_approval_that_wins_against_an_edit_runs_the_old_one_and_no_edit_happens()
    {
        await using var house = await House.OpenAsync(Allowing());
        var approved = new TaskCompletionSource();
        ReviewId? id = null;
        var held = Hold(house, house.Action(), async () =>
        {
            Assert.Equal(ReasonCodes.Approved, (await house.AnswerAsync(id!.Value, "ben")).ReasonCode);
            approved.SetResult();
        });
        id = (await held.Opened).Id;
        var edited = await EditAsync(house, id.Value, "ada");
        Assert.Equal(ReasonCodes.EditNotPossible, edited.ReasonCode);
        await approved.Task;
        Assert.Equal("update customers set name = 'x' where id = 1", (await held.ReleasedAsync()).Action.Payload.DisplayText);
        Assert.Equal((0, 1), (house.Count("review-edited"), house.Count("released")));
    }

    [Fact]
    public async Task P12_a_cancel_during_an_edit_leaves_nothing_open()
    {
        await using var house = await House.OpenAsync(Allowing());
        Held held = null!;
        held = Hold(house, house.Action(), () =>
        {
            held.Waiter.Leave(LeaveReason.Cancelled);
            return Task.CompletedTask;
        });
        var first = await held.Opened;
        Assert.Equal(ReasonCodes.EditNotPossible, (await EditAsync(house, first.Id, "ada")).ReasonCode);
        await held.RefusedAsync(ReasonCodes.ReviewWithdrawn);
        Assert.Empty(house.Desk.ListOpen());

        // And behind one.
        var other = Hold(house, house.Action("update customers set name = 'z'"));
        var next = (await EditAsync(house, (await other.Opened).Id, "ada")).Review!;
        Assert.Equal(ReasonCodes.ReviewWithdrawn, (await other.LeaveAsync(LeaveReason.Cancelled)).ReasonCode);
        Assert.Equal(ReviewState.Withdrawn, house.Desk.Find(next.Id)!.State);
        Assert.Empty(house.Desk.ListOpen());
    }

    [Fact]
    public async Task P50_an_edited_review_does_not_outlive_its_connection_or_a_crash()
    {
        await using var house = await House.OpenAsync(Allowing());
        var held = Hold(house, house.Action());
        var next = (await EditAsync(house, (await held.Opened).Id, "ada")).Review!;
        await using (var after = await house.CrashAsync())
        {
            Assert.Equal(ReviewState.Withdrawn, after.Desk.Find(next.Id)!.State);
            Assert.Equal(ReasonCodes.ReviewClosed, (await after.AnswerAsync(next.Id, "ben")).ReasonCode);
        }

        await held.LeaveAsync(LeaveReason.Lost);
        Assert.Equal(ReviewState.Withdrawn, house.Desk.Find(next.Id)!.State);
    }

    [Fact]
    public async Task P21_an_edited_action_grants_nothing_and_says_in_the_statement_what_it_was()
    {
        var rules = new Rules();
        rules.Ask(Editable(1, "dba") with { Grant = new GrantTerms(TimeSpan.FromMinutes(30), 10) });
        await using var house = await House.OpenAsync(rules);
        var held = Hold(house, house.Action());
        var next = (await EditAsync(house, (await held.Opened).Id, "ada")).Review!;
        Assert.Equal(ReasonCodes.GrantNotAllowed, (await house.AnswerAsync(next.Id, "ben", grant: new GrantWish(TimeSpan.FromMinutes(5), 3, []))).ReasonCode);
        var (statement, _) = house.Desk.Draft(next.Id, house.User("ben"), AnswerKind.Approve, "cli", null);
        Assert.Contains("set name = 'x' where id = 1", statement, StringComparison.Ordinal);
        Assert.Contains($"\"editors\":[\"{house.User("ada").Ref.Id.Value}\"]", statement, StringComparison.Ordinal);
        Assert.False(ApprovalStatement.TryVerify(statement!, next with { Edit = next.Edit! with { Statement = "something else" } }, house.User("ben"), "cli", house.Time.GetUtcNow(), out _, out _, out _));
    }
}
