using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;
using Countersign.Reviews;
using CsCheck;

namespace Countersign.Gateway.Tests;

/// <summary>Stages, calls, delegates and patterns, on a real journal: what is enough, and what must not be.</summary>
public sealed class AlgebraTests
{
    private static Requirement Then(int stage, int quorum, params string[] groups) => Rules.Requirement(quorum, groups) with { Stage = stage };

    private static async Task AwayAsync(House house, string away, string to, TimeSpan? from = null, TimeSpan? until = null) =>
        Assert.Null((await house.Delegations.SetAsync(house.User(away), to, house.Time.GetUtcNow() + (from ?? TimeSpan.Zero), house.Time.GetUtcNow() + (until ?? TimeSpan.FromHours(8)), house.User(away).Ref, "cli")).ReasonCode);

    [Fact]
    public async Task Second_stage_is_asked_when_the_first_is_met_and_not_before()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Then(0, 1, "dba"), Then(1, 1, "sre"));
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        Assert.Equal(ReasonCodes.NotYetAsked, (await house.AnswerAsync(id, "sue")).ReasonCode);
        Assert.Equal([true, false], house.Desk.Asking(house.Desk.Find(id)!).Select(static a => a.Now));

        await house.ApproveAsync(held, "ada");
        Assert.Equal(ReviewState.Pending, house.Desk.Find(id)!.State);
        Assert.Equal(1, house.Entry("stage-opened").GetProperty("stage").GetInt32());
        Assert.Equal(["sam", "sue", "zoe"], house.Desk.Asking(house.Desk.Find(id)!)[1].Can);
        await house.ApproveAsync(held, "sue");
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task No_is_heard_in_every_stage()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Then(0, 1, "dba"), Then(1, 1, "sre"));
        var held = await house.HoldOpenAsync();
        Assert.Equal(ReasonCodes.ReviewDenied, (await house.AnswerAsync((await held.Opened).Id, "sue", AnswerKind.Deny)).ReasonCode);
        await held.RefusedAsync(ReasonCodes.ReviewDenied);
    }

    [Fact]
    public async Task P31_One_human_of_both_stages_fills_one()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Then(0, 1, "dba"), Then(1, 1, "sre"));
        var held = await house.HoldOpenAsync();
        await house.ApproveAsync(held, "zoe");
        Assert.Equal(ReasonCodes.AlreadyDecided, (await house.AnswerAsync((await held.Opened).Id, "zoe")).ReasonCode);
        Assert.Equal(ReviewState.Pending, house.Desk.Find((await held.Opened).Id)!.State);
        await house.ApproveAsync(held, "sam");
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task P33_Leaver_of_the_first_stage_takes_the_second_with_him()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Then(0, 1, "dba"), Then(1, 1, "sre"));
        var held = await house.HoldOpenAsync();
        await held.LeaveAsync(LeaveReason.Lost);
        await house.ApproveAsync(held, "ada");
        await house.ApproveAsync(held, "sue");
        Assert.Equal(ReviewState.Approved, house.Desk.Find((await held.Opened).Id)!.State);

        // Ada is in the group no more when the agent comes back: what Sue said was said upon Ada's word.
        var may = house.Rules.MayApprove;
        house.Rules.MayApprove = (user, review, channel) => user.Ref.Name != "ada" && may(user, review, channel);
        var again = house.Hold(house.Action());
        await house.UntilAsync((await held.Opened).Id, static r => r.State == ReviewState.Pending && r.Answers.Count == 0);
        Assert.Equal(ReasonCodes.NotYetAsked, (await house.AnswerAsync((await held.Opened).Id, "sue")).ReasonCode);
        await house.ApproveAsync(again, "ben");
        await house.ApproveAsync(again, "sue");
        await again.ReleasedAsync();
        Assert.Equal([house.User("ben").Ref.Id.Value, house.User("sue").Ref.Id.Value], house.Entry("released").GetProperty("approvers").EnumerateArray().Select(static a => a.GetString()));
    }

    [Fact]
    public async Task Several_at_once_are_all_asked_and_nobody_fills_two()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(1, "dba"), Rules.Requirement(1, "sre"));
        var held = await house.HoldOpenAsync();
        Assert.Contains("1 of dba, and 1 of sre", ReviewDesk.Describe((await held.Opened).Requirements), StringComparison.Ordinal);
        await house.ApproveAsync(held, "zoe");
        Assert.Equal(ReviewState.Pending, house.Desk.Find((await held.Opened).Id)!.State);
        await house.ApproveAsync(held, "ada");
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task On_call_is_who_has_the_turn_now_and_nobody_who_is_merely_called_so()
    {
        var people = Given.People;
        people["nil"] = ["oncall:primary", "OnCall:primary"]; // a directory that says so puts nobody on call
        await using var house = await House.OpenAsync(people: people);
        house.OnCall.Add(new OnCallSchedule { Name = "primary", Members = ["sue", "sam"], Start = new DateOnly(2026, 11, 22), PeriodDays = 1, Handover = new TimeOnly(9, 0), Zone = TimeZoneInfo.Utc });
        house.Rules.Ask(Rules.Requirement(1, "oncall:primary") with { Expires = TimeSpan.FromHours(48) });
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        await held.LeaveAsync(LeaveReason.Lost);
        foreach (var name in new[] { "sam", "nil", "ada" }) Assert.Equal(ReasonCodes.NotEligible, (await house.AnswerAsync(id, name)).ReasonCode);
        Assert.Contains("who is on call for primary", ReviewDesk.Describe((await held.Opened).Requirements), StringComparison.Ordinal);
        Assert.Equal(["sue"], Assert.Single(house.Desk.Asking(house.Desk.Find(id)!)).Can);
        await house.ApproveAsync(held, "sue");
    }

    [Fact]
    public async Task Approval_of_who_is_on_call_no_more_does_not_count()
    {
        await using var house = await House.OpenAsync(limits: new ReviewLimits { Detached = TimeSpan.FromDays(2) });
        house.OnCall.Add(new OnCallSchedule { Name = "primary", Members = ["sue", "sam"], Start = new DateOnly(2026, 11, 22), PeriodDays = 1, Handover = new TimeOnly(9, 0), Zone = TimeZoneInfo.Utc });
        house.Rules.Ask(Rules.Requirement(1, "oncall:primary") with { Expires = TimeSpan.FromHours(48) });
        var held = await house.HoldOpenAsync();
        await held.LeaveAsync(LeaveReason.Lost);
        await house.ApproveAsync(held, "sue");
        house.Time.Advance(TimeSpan.FromHours(22));
        var again = house.Hold(house.Action());
        await house.UntilAsync((await held.Opened).Id, static r => r.State == ReviewState.Pending);
        await house.ApproveAsync(again, "sam");
        await again.ReleasedAsync();
    }

    [Fact]
    public async Task Delegate_speaks_for_who_is_away_while_he_is()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        await AwayAsync(house, "ada", "nil", TimeSpan.FromMinutes(1), TimeSpan.FromMinutes(3));
        Assert.Equal(ReasonCodes.NotEligible, (await house.AnswerAsync(id, "nil")).ReasonCode);
        house.Time.Advance(TimeSpan.FromMinutes(1));
        Assert.Contains("nil (for ada)", Assert.Single(house.Desk.Asking(house.Desk.Find(id)!)).Can);
        house.Time.Advance(TimeSpan.FromMinutes(2));
        Assert.Equal(ReasonCodes.NotEligible, (await house.AnswerAsync(id, "nil")).ReasonCode);

        await AwayAsync(house, "ada", "nil");
        await house.ApproveAsync(held, "nil");
        await held.ReleasedAsync();
        var set = house.Entry("delegate-set");
        Assert.Equal((house.User("ada").Ref.Id.Value, house.User("nil").Ref.Id.Value), (set.GetProperty("user").GetString(), set.GetProperty("delegate").GetString()));
    }

    [Fact]
    public async Task P33_Delegate_speaks_in_the_groups_that_the_one_away_has_now()
    {
        await using var house = await House.OpenAsync();
        var subject = new Subject("https://idp.example", "away");
        Assert.Null((await house.Users.RecogniseAsync(subject, "wilma", new HashSet<string> { "dba" })).ReasonCode);
        var read = 0;
        IReadOnlySet<string>? said = null;
        house.Users.GroupSource = async (_, _) =>
        {
            read++;
            if (said is { } groups) await house.Users.RecogniseAsync(subject, null, groups);
        };
        await AwayAsync(house, "wilma", "nil");
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;

        // The provider does not answer: what was known an hour ago is nothing to decide by.
        house.Time.Advance(TimeSpan.FromMinutes(6));
        Assert.Equal(ReasonCodes.NotEligible, (await house.AnswerAsync(id, "nil")).ReasonCode);
        Assert.DoesNotContain(house.Desk.Eligible(house.Desk.Find(id)!), static u => u.Ref.Name == "nil");

        // Asked again at the answer, and taken out of the group meanwhile.
        Assert.Null((await house.Users.RecogniseAsync(subject, null, new HashSet<string> { "dba" })).ReasonCode);
        var (statement, _) = house.Desk.Draft(id, house.User("nil"), AnswerKind.Approve, "cli", null);
        house.Time.Advance(TimeSpan.FromMinutes(3));
        said = new HashSet<string>();
        Assert.Equal(ReasonCodes.NotEligible, (await house.Desk.AnswerAsync(id, house.User("nil"), "cli", statement!)).ReasonCode);
        Assert.True(read > 0);

        said = new HashSet<string> { "dba" };
        Assert.Null((await house.Users.RecogniseAsync(subject, null, said)).ReasonCode);
        await house.ApproveAsync(held, "nil");
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task Delegation_that_ended_before_the_release_does_not_count()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        await held.LeaveAsync(LeaveReason.Lost);
        await AwayAsync(house, "ada", "nil");
        await house.ApproveAsync(held, "nil");
        Assert.Null((await house.Delegations.EndAsync(house.User("ada"), house.User("ada").Ref)).ReasonCode);
        var again = house.Hold(house.Action());
        await house.UntilAsync((await held.Opened).Id, static r => r.State == ReviewState.Pending);
        await again.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task I4_One_human_counts_once_through_a_delegate_and_himself()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(2, "dba"));
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        await AwayAsync(house, "ada", "nil");
        await house.ApproveAsync(held, "nil");
        await house.ApproveAsync(held, "ada"); // her own voice, which nil has used
        Assert.Equal(ReviewState.Pending, house.Desk.Find(id)!.State);
        Assert.Equal(1, Assert.Single(house.Desk.Asking(house.Desk.Find(id)!)).Open);
        await house.ApproveAsync(held, "ben");
        await held.ReleasedAsync();
        Assert.DoesNotContain(house.User("nil").Ref.Id.Value, house.Entry("released").GetProperty("approvers").EnumerateArray().Select(static a => a.GetString()));
    }

    [Fact]
    public async Task I4_Delegate_of_two_is_one_human()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(2, "dba"));
        var held = await house.HoldOpenAsync();
        await AwayAsync(house, "ada", "nil");
        await AwayAsync(house, "ben", "nil");
        await house.ApproveAsync(held, "nil");
        Assert.Equal(ReviewState.Pending, house.Desk.Find((await held.Opened).Id)!.State);
        Assert.Equal(ReasonCodes.AlreadyDecided, (await house.AnswerAsync((await held.Opened).Id, "nil")).ReasonCode);
        await held.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task I4_Who_is_behind_the_action_lends_nobody_his_voice_and_speaks_for_nobody()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        await AwayAsync(house, "olga", "nil"); // the owner, of `dba`
        await AwayAsync(house, "uwe", "sue");  // for whom it acts, of `dba`
        await AwayAsync(house, "ada", "olga"); // and the owner as a delegate
        Assert.Equal(ReasonCodes.NotEligible, (await house.AnswerAsync(id, "nil")).ReasonCode);
        Assert.Equal(ReasonCodes.NotEligible, (await house.AnswerAsync(id, "sue")).ReasonCode);
        Assert.Equal(ReasonCodes.SelfApproval, (await house.AnswerAsync(id, "olga")).ReasonCode);
        await held.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task Delegations_do_not_chain_and_loops_lend_nothing_more()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        await AwayAsync(house, "ada", "sue");
        await AwayAsync(house, "sue", "nil"); // gets `sre`, not what ada lent sue
        await AwayAsync(house, "nil", "ada");
        Assert.Equal(ReasonCodes.NotEligible, (await house.AnswerAsync((await held.Opened).Id, "nil")).ReasonCode);
        await house.ApproveAsync(held, "sue");
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task Away_and_delegate_are_one_voice_when_it_is_asked_whether_there_are_enough()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(5, "dba")); // ada, ben, cem and zoe are four, and nil for ada none more
        await AwayAsync(house, "ada", "nil");
        await house.Hold(house.Action()).RefusedAsync(ReasonCodes.NoEligibleApprover);
        house.Rules.Ask(Rules.Requirement(4, "dba"));
        var held = await house.HoldOpenAsync();
        await held.LeaveAsync(LeaveReason.Cancelled);
    }

    [Theory]
    [InlineData("ada", "ada", 0, 1)]
    [InlineData("ada", "nobody", 0, 1)]
    [InlineData("ada", "ben", 0, 0)]
    [InlineData("ada", "ben", -5, -1)]
    [InlineData("ada", "ben", 0, 24 * 91)]
    public async Task Delegation_that_makes_no_sense_is_refused(string away, string to, int from, int until)
    {
        await using var house = await House.OpenAsync();
        var now = house.Time.GetUtcNow();
        Assert.Equal(ReasonCodes.NotSupported, (await house.Delegations.SetAsync(house.User(away), to, now.AddHours(from), now.AddHours(until), house.User(away).Ref, "cli")).ReasonCode);
        Assert.Empty(house.Delegations.List());
    }

    [Fact]
    public async Task Comment_must_hold_what_policy_asks_for()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(1, "dba") with { Justify = true, JustifyPatterns = ["[A-Z]+-[0-9]+"] });
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        Assert.Equal(ReasonCodes.JustificationRequired, (await house.AnswerAsync(id, "ada")).ReasonCode);
        var refused = await house.AnswerAsync(id, "ada", comment: "fine by me");
        Assert.Equal(ReasonCodes.JustificationRequired, refused.ReasonCode);
        Assert.Contains("/[A-Z]+-[0-9]+/", refused.Message, StringComparison.Ordinal);
        await house.ApproveAsync(held, "ada", "as in OPS-12");
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task Without_the_ticket_that_policy_asks_for_nobody_is_asked()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(1, "dba") with { TicketPatterns = ["OPS-[0-9]+"] });
        await house.Hold(house.Action()).RefusedAsync(ReasonCodes.TicketRequired); // it says T-1
        await house.Hold(house.Action() with { Intent = Intent.None }).RefusedAsync(ReasonCodes.TicketRequired);
        Assert.Empty(house.Desk.ListOpen());
        var held = await house.HoldOpenAsync(house.Action() with { Intent = new Intent(null, "OPS-7", null, null) });

        // Joining with another ticket is no way around it.
        await house.Hold(house.Action()).RefusedAsync(ReasonCodes.TicketRequired);
        await house.ApproveAsync(held, "ada");
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task Requester_never_counts_and_Expiry_denies()
    {
        // Whoever approves in whatever order, whoever is lent to whom: at the deadline nothing runs, and before it the owner counts for nothing.
        await using var house = await House.OpenAsync();
        var names = new[] { "olga", "uwe", "ada", "ben", "sue", "zoe", "nil" };
        var n = 0;
        await Gen.Select(Gen.Shuffle(names), Gen.Select(Gen.OneOf(names), Gen.OneOf(names)).Array[0, 3], Gen.Bool).SampleAsync(async (order, lent, late) =>
        {
            foreach (var (away, to) in lent) await house.Delegations.SetAsync(house.User(away), to, house.Time.GetUtcNow(), house.Time.GetUtcNow().AddHours(1), house.User(away).Ref, "cli");
            house.Rules.Ask(Then(0, 1, "dba"), Then(1, 1, "sre"));
            var action = house.Action($"statement {Interlocked.Increment(ref n)}");
            var held = await house.HoldOpenAsync(action);
            var id = (await held.Opened).Id;
            await held.LeaveAsync(LeaveReason.Lost);
            foreach (var name in order)
            {
                var result = await house.AnswerAsync(id, name);
                Assert.True(!result.Accepted || name is not ("olga" or "uwe"));

                // Enough: who is away and speaks himself after that takes back what was said for him.
                if (house.Desk.Find(id)!.State == ReviewState.Approved) break;
            }

            var approved = house.Desk.Find(id)!.State == ReviewState.Approved;
            Assert.DoesNotContain(house.Desk.Find(id)!.Answers, static a => a.Name is "olga" or "uwe");
            if (late)
            {
                house.Time.Advance(TimeSpan.FromMinutes(15));
                Assert.Equal(ReasonCodes.ReviewClosed, (await house.AnswerAsync(id, "cem")).ReasonCode);
                await house.Desk.SweepAsync();
                Assert.Equal(ReviewState.Expired, house.Desk.Find(id)!.State);
            }
            else if (approved)
            {
                var end = await house.Hold(action with { Id = ActionId.New() }).ReleasedAsync();
                Assert.DoesNotContain(house.Entry("released").GetProperty("approvers").EnumerateArray(), a => a.GetString() == house.User("olga").Ref.Id.Value);
                await house.Desk.RecordOutcomeAsync(id, end.Action.Id, new Outcome(OutcomeStatus.Done, 1, 1, TimeSpan.Zero, null));
            }
            else await house.AnswerAsync(id, "cem", AnswerKind.Deny);

            foreach (var (away, _) in lent) await house.Delegations.EndAsync(house.User(away), house.User(away).Ref);
        }, iter: 40, threads: 1);
    }
}
