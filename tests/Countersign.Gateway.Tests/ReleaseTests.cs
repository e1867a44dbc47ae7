using System.Text;
using Countersign.Core;
using Countersign.Reviews;
using CsCheck;

namespace Countersign.Gateway.Tests;

/// <summary>What runs after an approval, and what does not.</summary>
public sealed class ReleaseTests
{
    [Fact]
    public async Task I3_what_was_presented_and_approved_is_what_is_released_once_with_its_entry()
    {
        await using var house = await House.OpenAsync();
        var action = house.Action();
        var held = await house.HoldOpenAsync(action);
        await house.ApproveAsync(held, "ada");
        var released = await held.ReleasedAsync();
        Assert.Equal(action.ToCanonical(), released.Action.ToCanonical());
        Assert.Equal((ReviewState.Released, action.Id), (released.Review.State, released.Review.ReleasedAction));
        var entry = house.Entry("released");
        Assert.Equal(action.Id.Value, entry.GetProperty("released").GetString());
        Assert.Equal(released.Review.Digest, entry.GetProperty("presentedDigest").GetString());
        Assert.Equal([house.User("ada").Ref.Id.Value], entry.GetProperty("approvers").EnumerateArray().Select(static a => a.GetString()));

        // Once: the same action again is a new request.
        var again = await house.HoldOpenAsync(house.Action());
        Assert.NotEqual(released.Review.Id, (await again.Opened).Id);
        await again.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task P20_what_runs_is_the_waiters_own_message_derived_again()
    {
        await using var house = await House.OpenAsync();
        var action = house.Action();
        var fresh = action with { Id = ActionId.New(), Intent = new Intent("another", null, null, null), Payload = action.Payload with { DisplayText = "(other words)" } };
        var held = await house.HoldOpenAsync(action, () => new(new Rederived.As(fresh)));
        await house.ApproveAsync(held, "ada");
        var released = await held.ReleasedAsync();
        Assert.Same(fresh.Payload, released.Action.Payload);

        // The journal knows it by the id under which it was presented, from release to outcome.
        Assert.Equal(action.Id, released.Action.Id);
    }

    public static TheoryData<string> Changes => ["payload", "parameter", "field", "setting", "target", "actor"];

    [Theory]
    [MemberData(nameof(Changes))]
    public async Task P20_P21_message_that_changed_while_it_waited_is_refused(string what)
    {
        await using var house = await House.OpenAsync();
        var action = house.Action();
        var changed = what switch
        {
            "payload" => action with { Payload = new ActionPayload("postgres/3", "query", Encoding.UTF8.GetBytes("drop table customers")) { DisplayText = action.Payload.DisplayText } },
            "parameter" => action with { Payload = action.Payload with { Parameters = [Given.Bigint(1)] } },
            "field" => action with { Payload = action.Payload with { Fields = [("prepared", "x")] } },
            "setting" => action with { Settings = new Dictionary<string, string>(action.Settings) { ["search_path"] = "[\"evil\",\"public\"]" } },
            "target" => action with { Target = Given.Shop with { Name = "payroll" } },
            _ => action with { Actors = house.Bot with { OnBehalfOf = null } },
        };
        var held = await house.HoldOpenAsync(action, () => new(new Rederived.As(changed)));
        await house.ApproveAsync(held, "ada");
        var refused = await held.RefusedAsync(ReasonCodes.TargetChanged);
        Assert.Equal(0, house.Count("released"));
        Assert.NotNull(house.Desk.Find(refused.Review!.Id)!.DetachedAt);
    }

    /// <summary>Two actions that differ in exactly one thing that the digest must see.</summary>
    private static readonly Gen<(GatewayAction, GatewayAction, string)> Neighbours = Gen.Select(
        Gen.Byte.Array[1, 40], Gen.Int[0, 39], Gen.Byte[1, 255], Gen.Int[0, 10], Gen.String[1, 8],
        (bytes, at, flip, what, word) =>
        {
            var owner = new PrincipalRef(PrincipalKind.User, new OpaqueId("us_owner"), "owner");
            var chain = new ActorChain(new PrincipalRef(PrincipalKind.Agent, new OpaqueId("ag_one"), "one"), owner, null) { Groups = [] };
            var parameter = new ActionParameter("text", "text", bytes, word);
            var one = new GatewayAction
            {
                Id = new ActionId("ac_same"),
                Actors = chain,
                Target = Given.Shop,
                Effects = [Given.Update()],
                Payload = new ActionPayload("postgres/3", "execute", bytes) { DisplayText = word, Parameters = [parameter], Fields = [("format", word)] },
                Settings = new Dictionary<string, string> { ["role"] = word },
            };
            var other = bytes.ToArray();
            other[at % other.Length] ^= flip;
            GatewayAction Bound(params ActionParameter[] p) => one with { Payload = one.Payload with { Parameters = p } };
            return what switch
            {
                0 => (one, one with { Payload = new ActionPayload("postgres/3", "execute", other) { DisplayText = word, Parameters = [parameter], Fields = one.Payload.Fields } }, "payload"),
                1 => (one, Bound(parameter with { Type = "varchar" }), "type"),
                2 => (one, Bound(parameter with { Format = "binary" }), "format"),
                3 => (one, Bound(parameter with { Raw = other }), "raw"),
                4 => (Bound(parameter with { Raw = null }), Bound(parameter with { Raw = [] }), "null against empty"),
                5 => (one, Bound(parameter, parameter), "one more"),
                6 => (one, one with { Settings = new Dictionary<string, string> { ["role"] = word + "x" } }, "setting"),
                7 => (one, one with { Settings = new Dictionary<string, string> { ["role"] = word, ["extra"] = "" } }, "setting more"),
                8 => (one, one with { Target = Given.Shop with { Environment = "prod2" } }, "target"),
                9 => (one, one with { Actors = chain with { OnBehalfOf = owner } }, "actor"),
                _ => (one, one with { Payload = one.Payload with { Fields = [("format", word), ("rows", "1")] } }, "field"),
            };
        });

    [Fact]
    public void P21_no_two_actions_that_differ_in_one_thing_share_digest_or_join_key() => Neighbours.Sample(static pair =>
    {
        var (one, two, what) = pair;
        var salt = new byte[GatewayAction.SaltBytes];
        Assert.False(GatewayAction.ComputeDigest(salt, one.ToCanonical()) == GatewayAction.ComputeDigest(salt, two.ToCanonical()), what);
        Assert.False(JoinKey.Compute(salt, one.ToCanonical()) == JoinKey.Compute(salt, two.ToCanonical()), what);
    }, iter: 3000);

    [Fact]
    public async Task P21_approval_of_one_action_never_releases_a_neighbour()
    {
        await using var house = await House.OpenAsync(limits: new ReviewLimits { PendingPerAgent = 1000 });
        await Neighbours.SampleAsync(async pair =>
        {
            var approved = pair.Item1 with { Id = ActionId.New(), Actors = house.Bot with { OnBehalfOf = pair.Item1.Actors.OnBehalfOf } };
            var neighbour = pair.Item2 with { Id = ActionId.New(), Actors = house.Bot with { OnBehalfOf = pair.Item2.Actors.OnBehalfOf } };
            var first = await house.HoldOpenAsync(approved);
            await first.LeaveAsync(LeaveReason.Lost);
            await house.ApproveAsync(first, "ada");

            // Neither joins the other's review, nor does it pass for the other at release.
            var second = await house.HoldOpenAsync(neighbour);
            Assert.NotEqual((await first.Opened).Id, (await second.Opened).Id);
            await second.LeaveAsync(LeaveReason.Cancelled);
            var swapped = house.Hold(approved, () => new(new Rederived.As(neighbour)));
            await swapped.RefusedAsync(ReasonCodes.TargetChanged);
            var own = house.Hold(approved);
            Assert.Equal((await first.Opened).Id, (await own.ReleasedAsync()).Review.Id);
        }, iter: 25, threads: 1);
    }

    [Fact]
    public async Task P22_policy_turned_to_deny_while_waiting_ends_it()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        var second = await house.HoldOpenAsync();
        house.Rules.Decide = Rules.Deny();
        Assert.Equal(ReasonCodes.Approved, (await house.AnswerAsync((await held.Opened).Id, "ada")).ReasonCode);
        var refused = await held.RefusedAsync(ReasonCodes.PolicyDenied);
        await second.RefusedAsync(ReasonCodes.PolicyDenied);
        Assert.Equal(ReviewState.Denied, refused.Review!.State);
        Assert.Equal(["forbids"], refused.Review.Policies.Select(static p => p.Id));
        Assert.Equal(ReasonCodes.PolicyDenied, house.Entry("review-denied").GetProperty("reason").GetString());
    }

    [Theory]
    [InlineData(ReasonCodes.PolicyError)]
    [InlineData(ReasonCodes.PolicyUnavailable)]
    [InlineData(ReasonCodes.NoMatchingPermit)]
    public async Task I6_whatever_keeps_policy_from_permitting_at_release_denies(string reason)
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        house.Rules.Decide = Rules.Deny(reason);
        await house.AnswerAsync((await held.Opened).Id, "ada");
        await held.RefusedAsync(reason);
        Assert.Equal(0, house.Count("released"));
    }

    [Fact]
    public async Task P22_new_requirement_keeps_the_review_open_until_it_is_met_too()
    {
        await using var house = await House.OpenAsync();
        var first = await house.HoldOpenAsync();
        var second = await house.HoldOpenAsync();
        var id = (await first.Opened).Id;
        house.Rules.Ask(Rules.Requirement(1, "dba"), Rules.Requirement(1, "sre") with { Expires = TimeSpan.FromMinutes(10) });
        await house.ApproveAsync(first, "ada");
        await house.UntilAsync(id, static r => r.State == ReviewState.Pending);
        var reopened = house.Desk.Find(id)!;
        Assert.Equal(2, reopened.Requirements.Count);
        Assert.Equal(Given.Noon.AddMinutes(10), reopened.ExpiresAt);
        Assert.Single(reopened.Answers);
        Assert.Equal(ReasonCodes.ReviewRequired, house.Entry("review-reopened").GetProperty("reason").GetString());
        Assert.False(first.End.IsCompleted);
        await house.ApproveAsync(first, "sue");
        var ends = await Task.WhenAll(first.End, second.End).WaitAsync(Given.Patience);
        Assert.Single(ends.OfType<HoldEnd.Released>());
        Assert.Equal(ReasonCodes.AlreadyReleased, Assert.Single(ends.OfType<HoldEnd.Refused>()).ReasonCode);

        // Every connection that waited was told what was asked from then on.
        foreach (var held in new[] { first, second }) Assert.Equal([1, 2], held.Told.Select(static r => r.Requirements.Count));
    }

    [Fact]
    public async Task P22_requirement_that_nobody_can_meet_any_more_ends_it_and_the_review_says_so()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        house.Rules.Ask(Rules.Requirement(1, "owners"));
        await house.AnswerAsync((await held.Opened).Id, "ada");
        var refused = await held.RefusedAsync(ReasonCodes.NoEligibleApprover);
        Assert.Equal(ReviewState.Denied, refused.Review!.State);
        Assert.Contains("1 of owners", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task P22_shorter_expiry_of_a_new_requirement_is_kept_at_once()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        await held.LeaveAsync(LeaveReason.Lost);
        await house.ApproveAsync(held, "ada");
        house.Time.Advance(TimeSpan.FromMinutes(6));
        house.Rules.Ask(Rules.Requirement(2, "dba") with { Expires = TimeSpan.FromMinutes(5) });
        var again = house.Hold(house.Action());
        await again.Opened.WaitAsync(Given.Patience);
        await house.UntilAsync((await held.Opened).Id, static r => r.State == ReviewState.Pending);
        await house.Desk.SweepAsync();
        await again.RefusedAsync(ReasonCodes.ReviewExpired);
    }

    [Fact]
    public async Task I5_P22_effect_that_nobody_was_shown_voids_the_approvals()
    {
        await using var house = await House.OpenAsync();
        var action = house.Action("update v set x = 1", Given.Update("customers"));
        var trigger = action with { Effects = [Given.Update("customers"), Given.Update("payments")], Notes = ["now a trigger writes payments"] };
        var derived = action;
        var held = await house.HoldOpenAsync(action, () => new(new Rederived.As(derived)));
        var id = (await held.Opened).Id;
        var (statement, _) = house.Desk.Draft(id, house.User("ada"), AnswerKind.Approve, "cli", null);
        var (other, _) = house.Desk.Draft(id, house.User("ben"), AnswerKind.Approve, "cli", null);
        derived = trigger;
        Assert.True((await house.Desk.AnswerAsync(id, house.User("ada"), "cli", statement!)).Accepted);
        await house.UntilAsync(id, static r => r.State == ReviewState.Pending);
        var voided = house.Desk.Find(id)!;
        Assert.Empty(voided.Answers);
        Assert.Equal(["shop.public.customers", "shop.public.payments"], voided.Effects.Select(static e => e.ResourceId));
        Assert.Equal(trigger.Notes, voided.Notes);
        var entry = house.Entry("approvals-voided");
        Assert.Equal(ReasonCodes.TargetChanged, entry.GetProperty("reason").GetString());
        Assert.Equal([house.User("ada").Ref.Id.Value], entry.GetProperty("voided").EnumerateArray().Select(static v => v.GetString()));

        // What was drafted before is about something else.
        Assert.Equal(ReasonCodes.StatementMismatch, (await house.Desk.AnswerAsync(id, house.User("ben"), "cli", other!)).ReasonCode);

        // Who approved the first may approve the second, having seen it.
        await house.ApproveAsync(held, "ada");
        Assert.Equal(trigger.ToCanonical(), (await held.ReleasedAsync()).Action.ToCanonical());
    }

    [Fact]
    public async Task I7_statement_whose_answer_was_voided_never_counts_again()
    {
        await using var house = await House.OpenAsync();
        var action = house.Action();
        var wider = action with { Effects = [Given.Update("customers"), Given.Update("payments")] };
        var other = action with { Effects = [Given.Update("payments")] };
        var derived = wider;
        var held = await house.HoldOpenAsync(action, () => new(new Rederived.As(derived)));
        var id = (await held.Opened).Id;
        var (statement, _) = house.Desk.Draft(id, house.User("ada"), AnswerKind.Approve, "cli", null);
        Assert.True((await house.Desk.AnswerAsync(id, house.User("ada"), "cli", statement!)).Accepted);
        await house.UntilAsync(id, static r => r.Effects.Count == 2);

        // Narrower than shown releases; to get back to the first effects, something else must come between.
        derived = action with { Effects = [Given.Update("orders")] };
        await house.ApproveAsync(held, "ben");
        await house.UntilAsync(id, static r => r.Effects[0].ResourceId == "shop.public.orders");
        derived = action;
        await house.ApproveAsync(held, "cem");
        await house.UntilAsync(id, static r => r.Effects is [{ ResourceId: "shop.public.customers" }]);

        // All is as when ada answered, within the life of her statement: the redelivered click is still spent.
        Assert.Equal(ReasonCodes.StatementMismatch, (await house.Desk.AnswerAsync(id, house.User("ada"), "cli", statement!)).ReasonCode);
        Assert.False(held.End.IsCompleted);
        await house.ApproveAsync(held, "ada");
        await held.ReleasedAsync();
        Assert.NotEqual(other.Effects[0], derived.Effects[0]);
    }

    [Fact]
    public async Task I5_fact_of_an_effect_that_changed_voids_and_fewer_effects_do_not()
    {
        await using var house = await House.OpenAsync();
        var bounded = house.Action("x", Given.Update("customers", ("where", true)), Given.Read("orders"));
        var unbounded = bounded with { Effects = [Given.Update("customers", ("where", false)), Given.Read("orders")] };
        var held = await house.HoldOpenAsync(bounded, () => new(new Rederived.As(unbounded)));
        await house.ApproveAsync(held, "ada");
        await house.UntilAsync((await held.Opened).Id, static r => r.State == ReviewState.Pending);
        await held.LeaveAsync(LeaveReason.Cancelled);

        var fewer = bounded with { Effects = [bounded.Effects[0]] };
        var narrower = await house.HoldOpenAsync(bounded, () => new(new Rederived.As(fewer)));
        await house.ApproveAsync(narrower, "ada");
        await narrower.ReleasedAsync();
    }

    [Fact]
    public async Task I5_new_effect_that_policy_permits_is_still_shown_before_it_runs()
    {
        await using var house = await House.OpenAsync();
        var action = house.Action();
        var wider = action with { Effects = [Given.Update("customers"), Given.Update("payments")] };
        var held = await house.HoldOpenAsync(action, () => new(new Rederived.As(wider)));
        var id = (await held.Opened).Id;
        house.Rules.Decide = Rules.Permit();
        await house.ApproveAsync(held, "ada");
        await house.UntilAsync(id, static r => r.State == ReviewState.Pending);

        // No requirements came with the permit: those who were asked are asked again.
        Assert.Equal(Rules.Requirement(1, "dba"), Assert.Single(house.Desk.Find(id)!.Requirements));
        await house.ApproveAsync(held, "ben");
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task P22_policy_that_permits_without_review_by_now_releases()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(1, "dba"));
        var held = await house.HoldOpenAsync();
        house.Rules.Decide = Rules.Permit();
        await house.ApproveAsync(held, "ada");
        var released = await held.ReleasedAsync();
        Assert.Equal(["permits"], released.Review.Policies.Select(static p => p.Id));
        Assert.Single(house.Entry("released").GetProperty("approvers").EnumerateArray());
    }

    [Fact]
    public async Task P22_P33_approver_who_lost_his_right_in_between_does_not_count()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        await held.LeaveAsync(LeaveReason.Lost);
        await house.ApproveAsync(held, "ada");
        await house.ApproveAsync(held, "ben");
        house.Rules.MayApprove = static (user, _, _) => user.Ref.Name is "ben" or "cem";

        // One is enough, and it is not ada.
        var again = house.Hold(house.Action());
        await again.ReleasedAsync();
        Assert.Equal([house.User("ben").Ref.Id.Value], house.Entry("released").GetProperty("approvers").EnumerateArray().Select(static a => a.GetString()));
    }

    [Fact]
    public async Task P22_P33_approver_who_left_or_lost_his_group_is_gone_after_a_restart_with_another_config()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(3, "dba"));
        var held = await house.HoldOpenAsync();
        await held.LeaveAsync(LeaveReason.Lost);
        foreach (var name in new[] { "ada", "ben", "cem" }) await house.ApproveAsync(held, name);
        var people = Given.People;
        people.Remove("ada");
        people["ben"] = ["sre"];
        people["new1"] = people["new2"] = ["dba"];
        await using var next = await house.CrashAsync(people);
        var again = await next.HoldOpenAsync(next.Action());
        var id = (await held.Opened).Id;
        await next.UntilAsync(id, static r => r.State == ReviewState.Pending);
        Assert.Equal(["cem"], next.Desk.Find(id)!.Answers.Select(static a => a.Name));
        Assert.Equal(2, next.Entry("review-reopened").GetProperty("voided").GetArrayLength());
        await next.ApproveAsync(again, "new1");
        Assert.False(again.End.IsCompleted);
        await next.ApproveAsync(again, "new2");
        await again.ReleasedAsync();
    }

    [Fact]
    public async Task Justification_that_is_asked_for_by_now_can_be_given_by_who_had_approved_without()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        house.Rules.Ask(Rules.Requirement(1, "dba") with { Justify = true });
        await house.ApproveAsync(held, "ada");
        await house.UntilAsync(id, static r => r.State == ReviewState.Pending);
        Assert.Equal(ReasonCodes.JustificationRequired, (await house.AnswerAsync(id, "ada")).ReasonCode);
        await house.ApproveAsync(held, "ada", "it is ticket 42");
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task P22_approvers_are_asked_about_with_the_requirements_of_now()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        await held.LeaveAsync(LeaveReason.Lost);
        await house.ApproveAsync(held, "zoe"); // of dba and sre
        house.Rules.Ask(Rules.Requirement(1, "sre"));
        var asked = new List<string>();
        var before = house.Rules.MayApprove;
        house.Rules.MayApprove = (user, review, channel) =>
        {
            lock (asked) asked.Add(string.Join(',', review.Requirements.SelectMany(static r => r.Groups)));
            return before(user, review, channel);
        };
        await house.Hold(house.Action()).ReleasedAsync();
        Assert.Equal(["sre"], asked.Distinct());
    }

    [Fact]
    public async Task P22_agent_that_was_revoked_while_it_waited_runs_nothing()
    {
        await using var house = await House.OpenAsync();
        house.Rules.StillActs = house.Agents.StillActs;
        var held = await house.HoldOpenAsync();
        await house.Agents.RevokeAsync("bot", null, house.User("olga").Ref);
        await house.AnswerAsync((await held.Opened).Id, "ada");
        var refused = await held.RefusedAsync(ReasonCodes.Unauthenticated);
        Assert.Equal(ReviewState.Denied, refused.Review!.State);
        Assert.Equal(0, house.Count("released"));
    }

    [Fact]
    public async Task P23_two_waiters_one_is_released_and_the_other_is_told()
    {
        await using var house = await House.OpenAsync();
        var first = await house.HoldOpenAsync();
        var second = await house.HoldOpenAsync();
        await house.ApproveAsync(first, "ada");
        var ends = await Task.WhenAll(first.End, second.End).WaitAsync(Given.Patience);
        var released = Assert.Single(ends.OfType<HoldEnd.Released>());
        var refused = Assert.Single(ends.OfType<HoldEnd.Refused>());
        Assert.Equal((ReasonCodes.AlreadyReleased, released.Review.Id), (refused.ReasonCode, refused.Review!.Id));
        Assert.Equal(1, house.Count("released"));
    }

    [Fact]
    public async Task P24_approval_after_the_caller_left_waits_for_the_same_action()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        await held.LeaveAsync(LeaveReason.Lost);
        await house.ApproveAsync(held, "ada");
        await house.Desk.SweepAsync();
        Assert.Equal(0, house.Count("released"));
        house.Time.Advance(house.Limits.Detached - TimeSpan.FromTicks(1));
        await house.Desk.SweepAsync();
        var again = house.Hold(house.Action());
        Assert.Equal((await held.Opened).Id, (await again.ReleasedAsync()).Review.Id);
    }

    [Fact]
    public async Task P24_approval_that_nobody_comes_for_expires()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        await held.LeaveAsync(LeaveReason.Lost);
        await house.ApproveAsync(held, "ada");
        house.Time.Advance(house.Limits.Detached);

        // Before any sweep: what was granted is over all the same, and this is a new request.
        var late = await house.HoldOpenAsync();
        Assert.NotEqual((await held.Opened).Id, (await late.Opened).Id);
        Assert.Equal((ReviewState.Expired, ReasonCodes.ReviewExpired), (house.Desk.Find((await held.Opened).Id)!.State, house.Desk.Find((await held.Opened).Id)!.CloseReason));
        Assert.Equal(0, house.Count("released"));
        await late.LeaveAsync(LeaveReason.Cancelled);
    }

    [Theory]
    [InlineData(LeaveReason.Cancelled)]
    [InlineData(LeaveReason.Lost)]
    public async Task P24_waiter_that_leaves_while_it_is_derived_gets_nothing_run(LeaveReason reason)
    {
        await using var house = await House.OpenAsync();
        var action = house.Action();
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var answer = new TaskCompletionSource<Rederived>(TaskCreationOptions.RunContinuationsAsynchronously);
        var held = await house.HoldOpenAsync(action, async () =>
        {
            asked.SetResult();
            return await answer.Task;
        });
        await house.ApproveAsync(held, "ada");
        await asked.Task.WaitAsync(Given.Patience);
        held.Waiter.Leave(reason);
        answer.SetResult(new Rederived.As(action));
        Assert.IsType<HoldEnd.Refused>(await held.End.WaitAsync(Given.Patience));
        Assert.Equal(0, house.Count("released"));
        Assert.Equal(reason == LeaveReason.Cancelled ? ReviewState.Withdrawn : ReviewState.Approved, house.Desk.Find((await held.Opened).Id)!.State);
    }

    [Theory]
    [InlineData(LeaveReason.Cancelled, ReasonCodes.ReviewWithdrawn)]
    [InlineData(LeaveReason.Lost, ReasonCodes.ReviewPending)]
    public async Task P24_waiter_that_leaves_while_the_clearance_is_written_gets_nothing_run_and_that_is_journalled(LeaveReason reason, string code)
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        house.Store.BeforeCommit = types =>
        {
            if (types.Contains("released")) held.Waiter.Leave(reason);
        };
        await house.ApproveAsync(held, "ada");
        var refused = await held.RefusedAsync(code);
        var review = house.Desk.Find(refused.Review!.Id)!;
        Assert.Equal((ReviewState.Released, OutcomeStatus.Failed, "not-sent"), (review.State, review.Outcome!.Status, review.Outcome.ErrorCode));
        Assert.Equal((1, 1), (house.Count("released"), house.Count("outcome")));
    }

    [Fact]
    public async Task Hold_limit_that_comes_while_the_clearance_is_written_is_too_late()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        house.Store.BeforeCommit = types =>
        {
            if (types.Contains("released")) held.Waiter.Leave(LeaveReason.HoldLimit);
        };
        await house.ApproveAsync(held, "ada");
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task I6_deadline_that_passes_while_it_is_derived_denies()
    {
        await using var house = await House.OpenAsync();
        var action = house.Action();
        var held = await house.HoldOpenAsync(action, () =>
        {
            house.Time.Advance(TimeSpan.FromMinutes(15));
            return new(new Rederived.As(action));
        });
        await house.ApproveAsync(held, "ada");
        await held.RefusedAsync(ReasonCodes.ReviewExpired);
        Assert.Equal(0, house.Count("released"));
    }
}
