using Countersign.Core;
using Countersign.Journal;
using Countersign.Reviews;

namespace Countersign.Gateway.Tests;

/// <summary>The way of an action through the spine, and what a refusal says.</summary>
public sealed class SpineTests
{
    private static async Task<Ruling> SubmitAsync(House house, GatewayAction action, Func<Waiter>? makeWaiter = null) =>
        await house.Spine.SubmitAsync(action, makeWaiter ?? (() => new Waiter(action, () => new(new Rederived.As(action)), static _ => { }))).AsTask().WaitAsync(Given.Patience);

    [Fact]
    public async Task I2_permitted_write_is_durable_before_it_may_be_forwarded()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Decide = Rules.Permit();
        var action = house.Action();
        var forward = Assert.IsType<Ruling.Forward>(await SubmitAsync(house, action, static () => throw new InvalidOperationException("nothing is held")));
        Assert.Same(action, forward.Passage.Action);
        Assert.Null(forward.Passage.Review);
        var entry = house.Entry("action");
        Assert.Equal(("permit", action.Id.Value), (entry.GetProperty("verdict").GetString(), entry.GetProperty("action").GetString()));
    }

    public static TheoryData<string, bool> Trails => new()
    {
        { "read", true },
        { "classified read", false },
        { "export", false },
        { "write", false },
        { "read and write", false },
        { "read and classified read", false },
        { "read and opaque", false },
    };

    [Theory]
    [MemberData(nameof(Trails))]
    public async Task I2_only_reads_of_unclassified_data_may_trail(string what, bool trails)
    {
        await using var house = await House.OpenAsync();
        house.Rules.Decide = Rules.Permit();
        Effect[] effects = what switch
        {
            "read" => [Given.Read(), Given.Read("items")],
            "classified read" => [Given.Read("customers", "pii")],
            "export" => [new Effect(Verb.Export, "sql:copy-out", Given.Table("orders"))],
            "write" => [new Effect(Verb.Write, "sql:update", Given.Table("orders"))],
            "read and write" => [Given.Read(), new Effect(Verb.Write, "sql:update", Given.Table("orders"))],
            "read and classified read" => [Given.Read(), Given.Read("customers", "pii")],
            _ => [Given.Read(), new Effect(Verb.Administer, "sql:opaque", Given.Table("orders"))],
        };

        // While nothing can be made durable, only what may trail goes on.
        house.Store.FailWritesOf("action");
        var ruling = await SubmitAsync(house, house.Action("x", effects));
        Assert.Equal(trails, ruling is Ruling.Forward);
        if (ruling is Ruling.Refused refused) Assert.Equal(ReasonCodes.JournalUnavailable, refused.Refusal.ReasonCode);
    }

    [Fact]
    public async Task I1_permit_of_what_has_no_effects_does_not_trail()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Decide = static _ => new Decision(Verdict.Permit, ReasonCodes.Permitted, Rules.First, []);
        house.Store.FailWritesOf("action");
        Assert.IsType<Ruling.Refused>(await SubmitAsync(house, house.Action() with { Effects = [] }));
    }

    [Fact]
    public async Task Outcome_is_recorded_once_however_often_it_is_told()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        await held.LeaveAsync(LeaveReason.Lost);
        await house.ApproveAsync(held, "ada");
        var forward = Assert.IsType<Ruling.Forward>(await SubmitAsync(house, house.Action()));
        Assert.Equal(id, forward.Passage.Review);
        house.Time.Advance(TimeSpan.FromMilliseconds(250));
        await Task.WhenAll(Enumerable.Range(0, 10).Select(n => Task.Run(async () => await forward.Passage.CompleteAsync(OutcomeStatus.Done, 3, 64, null)))).WaitAsync(Given.Patience);
        await forward.Passage.CompleteAsync(OutcomeStatus.Failed, null, 0, "42P01");
        Assert.Equal(1, house.Count("outcome"));
        var entry = house.Entry("outcome");
        Assert.Equal(("done", 3, 64, 250_000), (entry.GetProperty("status").GetString(), entry.GetProperty("rows").GetInt64(), entry.GetProperty("bytes").GetInt64(), entry.GetProperty("durationUs").GetInt64()));
        Assert.Equal((forward.Passage.Action.Id.Value, id.Value), (entry.GetProperty("action").GetString(), entry.GetProperty("review").GetString()));
        Assert.Equal(OutcomeStatus.Done, house.Desk.Find(id)!.Outcome!.Status);
    }

    [Fact]
    public async Task Outcome_of_what_needed_no_review_is_recorded_behind_it()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Decide = Rules.Permit();
        var forward = Assert.IsType<Ruling.Forward>(await SubmitAsync(house, house.Action()));
        await forward.Passage.CompleteAsync(OutcomeStatus.Failed, null, 0, "23505");
        await forward.Passage.CompleteAsync(OutcomeStatus.Done, 1, 0, null);
        house.Time.Advance(house.Journal.Limits.WriteBehindDelay);
        Assert.Equal(ReasonCodes.Unparseable, (await house.Spine.RefuseAsync(house.Bot, Given.Shop, ReasonCodes.Unparseable, "m", "h", "t")).ReasonCode);
        Assert.Equal((1, "23505"), (house.Count("outcome"), house.Entry("outcome").GetProperty("error").GetString()));
    }

    [Fact]
    public async Task Refusals_carry_reason_code_and_review_and_what_to_do()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Decide = Rules.Deny();
        var denied = Assert.IsType<Ruling.Refused>(await SubmitAsync(house, house.Action("x", Given.Update("evil\u202ename")))).Refusal;
        Assert.Equal(("reason=policy-denied", ReasonCodes.PolicyDenied), (denied.Detail, denied.ReasonCode));
        Assert.Equal("`sql:update` on Table `shop.public.evil⟦U+202E⟧name` is denied by policy `forbids`: Not on Fridays.", denied.Message);
        Assert.Contains("do not retry", denied.Hint, StringComparison.Ordinal);

        foreach (var reason in new[] { ReasonCodes.NoMatchingPermit, ReasonCodes.PolicyError, ReasonCodes.PolicyUnavailable, ReasonCodes.NotUnderstood })
        {
            house.Rules.Decide = Rules.Deny(reason);
            var refusal = Assert.IsType<Ruling.Refused>(await SubmitAsync(house, house.Action())).Refusal;
            Assert.Equal((reason, $"reason={reason}"), (refusal.ReasonCode, refusal.Detail));
            Assert.NotEmpty(refusal.Hint);
        }

        house.Rules.Ask(Rules.Requirement(1, "dba"));
        var held = await house.HoldOpenAsync();
        await held.LeaveAsync(LeaveReason.Lost);
        await house.ApproveAsync(held, "ada");
        var id = (await held.Opened).Id;
        house.Rules.Decide = action => house.Desk.Find(id) is { State: ReviewState.Approved, DetachedAt: null } ? Rules.Deny()(action) : Rules.Review(Rules.Requirement(1, "dba"))(action);
        var late = Assert.IsType<Ruling.Refused>(await SubmitAsync(house, house.Action())).Refusal;
        Assert.Equal($"reason=policy-denied review={id}", late.Detail);
        Assert.Equal(id, late.Review);
    }

    [Theory]
    [InlineData(LeaveReason.Cancelled, ReasonCodes.ReviewWithdrawn)]
    [InlineData(LeaveReason.HoldLimit, ReasonCodes.ReviewPending)]
    [InlineData(LeaveReason.ShuttingDown, ReasonCodes.ShuttingDown)]
    public async Task Refusal_of_who_left_names_the_review(LeaveReason reason, string code)
    {
        await using var house = await House.OpenAsync();
        var action = house.Action();
        Waiter? waiter = null;
        waiter = new Waiter(action, () => new(new Rederived.As(action)), _ => waiter!.Leave(reason));
        var refusal = Assert.IsType<Ruling.Refused>(await SubmitAsync(house, action, () => waiter)).Refusal;
        Assert.Equal((code, $"reason={code} review={refusal.Review}"), (refusal.ReasonCode, refusal.Detail));
        Assert.NotNull(house.Desk.Find(refusal.Review!.Value));
        Assert.StartsWith("nothing ran", refusal.Hint, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_opened_no_review_is_recorded_as_refused_and_names_none()
    {
        await using var house = await House.OpenAsync(limits: new ReviewLimits { PendingPerAgent = 0 });
        var full = Assert.IsType<Ruling.Refused>(await SubmitAsync(house, house.Action())).Refusal;
        Assert.Equal((ReasonCodes.TooManyPending, null), (full.ReasonCode, full.Review));
        Assert.Equal(("deny", ReasonCodes.TooManyPending), (house.Entry("action").GetProperty("verdict").GetString(), house.Entry("action").GetProperty("reason").GetString()));

        await using var other = await House.OpenAsync();
        other.Rules.Ask(Rules.Requirement(9, "dba"));
        var nobody = Assert.IsType<Ruling.Refused>(await SubmitAsync(other, other.Action())).Refusal;
        Assert.Equal("reason=no-eligible-approver", nobody.Detail);
        Assert.Equal(ReasonCodes.NoEligibleApprover, other.Entry("action").GetProperty("reason").GetString());
        Assert.Equal(0, other.Count("review-opened"));
    }

    [Fact]
    public async Task No_eligible_approver_at_release_keeps_its_review_and_is_journalled_once()
    {
        await using var house = await House.OpenAsync();
        var action = house.Action();
        var told = new TaskCompletionSource<Review>(TaskCreationOptions.RunContinuationsAsynchronously);
        var submitted = SubmitAsync(house, action, () => new Waiter(action, () => new(new Rederived.As(action)), r => told.TrySetResult(r)));
        var id = (await told.Task.WaitAsync(Given.Patience)).Id;
        house.Rules.Ask(Rules.Requirement(9, "dba"));
        await house.AnswerAsync(id, "ada");
        var refusal = Assert.IsType<Ruling.Refused>(await submitted).Refusal;
        Assert.Equal($"reason=no-eligible-approver review={id}", refusal.Detail);
        Assert.Equal((0, 1), (house.Count("action"), house.Count("review-denied")));
    }

    [Fact]
    public async Task Refusal_of_what_is_too_large_for_the_journal_is_recorded_without_its_text()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Decide = Rules.Deny();
        var huge = new string('x', house.Journal.Limits.MaxValueBytes);
        Assert.Equal(ReasonCodes.PolicyDenied, Assert.IsType<Ruling.Refused>(await SubmitAsync(house, house.Action(huge))).Refusal.ReasonCode);
        Assert.Equal(ReasonCodes.Unparseable, (await house.Spine.RefuseAsync(house.Bot, Given.Shop, ReasonCodes.Unparseable, "m", "h", huge)).ReasonCode);
        Assert.Equal((1, 1), (house.Count("action"), house.Count("refused")));

        // What may run may not run with half an entry.
        house.Rules.Decide = Rules.Permit();
        Assert.Equal(ReasonCodes.TooLarge, Assert.IsType<Ruling.Refused>(await SubmitAsync(house, house.Action(huge))).Refusal.ReasonCode);
        Assert.Equal(1, house.Count("action"));
    }

    [Fact]
    public async Task Preview_records_and_holds_nothing()
    {
        await using var house = await House.OpenAsync();
        var before = house.Store.EntryCount;
        Assert.Equal(Verdict.Review, house.Spine.Preview(house.Action()).Verdict);
        Assert.Equal((before, 0), (house.Store.EntryCount, house.Desk.ListOpen().Count));
    }

    [Fact]
    public async Task Refused_text_goes_to_the_body_and_never_into_the_entry()
    {
        await using var house = await House.OpenAsync();
        var refusal = await house.Spine.RefuseAsync(house.Bot, Given.Shop, ReasonCodes.Unparseable, "syntax error at `selct`", "correct it.", "selct 'card 4111'");
        Assert.Equal("reason=unparseable", refusal.Detail);
        Assert.DoesNotContain("card 4111", house.Text.Entries, StringComparison.Ordinal);
        Assert.Contains("card 4111", house.Text.Bodies, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Waiter_that_can_not_be_made_holds_nothing()
    {
        await using var house = await House.OpenAsync();
        await Assert.ThrowsAsync<InvalidOperationException>(() => SubmitAsync(house, house.Action(), static () => throw new InvalidOperationException("moved")));
        Assert.Empty(house.Desk.ListOpen());
    }

    [Fact]
    public async Task P22_agent_revoked_on_an_open_connection_does_nothing_more()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Decide = Rules.Permit();
        house.Rules.StillActs = house.Agents.StillActs;
        Assert.IsType<Ruling.Forward>(await SubmitAsync(house, house.Action("x", Given.Read())));
        house.Store.FailReads();
        Assert.Equal(ReasonCodes.JournalUnavailable, Assert.IsType<Ruling.Refused>(await SubmitAsync(house, house.Action("x", Given.Read()))).Refusal.ReasonCode);
        house.Store.Heal();
        await house.Agents.RevokeAsync("bot", null, house.User("olga").Ref);
        foreach (var decide in new[] { Rules.Permit(), Rules.Review(Rules.Requirement(1, "dba")) })
        {
            house.Rules.Decide = decide;
            Assert.Equal(ReasonCodes.Unauthenticated, Assert.IsType<Ruling.Refused>(await SubmitAsync(house, house.Action("x", Given.Read()))).Refusal.ReasonCode);
        }

        Assert.Equal((2, 0), (house.Count("refused"), house.Desk.ListOpen().Count));
    }
}
