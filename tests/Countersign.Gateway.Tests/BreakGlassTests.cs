using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;
using Countersign.Reviews;

namespace Countersign.Gateway.Tests;

/// <summary>Breaking the glass: at once, loudly, and never for oneself.</summary>
public sealed class BreakGlassTests
{
    private static async Task<House> OpenAsync(params string[] hammers)
    {
        var people = Given.People;
        people["sec"] = ["security"];
        var house = await House.OpenAsync(people: people);
        house.Rules.Ask(Rules.Requirement(2, "dba"));
        house.Rules.MayBreakGlass = (user, _, _) => hammers.Contains(user.Ref.Name);
        return house;
    }

    [Fact]
    public async Task P30_With_confirm_the_glass_is_broken_in_a_browser_only()
    {
        await using var house = await House.OpenAsync(limits: new ReviewLimits { ApprovesOnlyInBrowser = true });
        house.Rules.MayBreakGlass = static (user, _, _) => user.Ref.Name == "sue";
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        foreach (var channel in new[] { "cli", "api" })
        {
            Assert.Equal(ReasonCodes.PresenceRequired, (await house.AnswerAsync(id, "sue", AnswerKind.BreakGlass, "the shop is down", channel)).ReasonCode);

            // Nor with a statement that was drafted for the browser.
            var (statement, _) = house.Desk.Draft(id, house.User("sue"), AnswerKind.BreakGlass, ReviewDesk.BrowserChannel, "the shop is down");
            Assert.Equal(ReasonCodes.StatementMismatch, (await house.Desk.AnswerAsync(id, house.User("sue"), channel, statement!)).ReasonCode);
        }

        Assert.Equal(ReviewState.Pending, house.Desk.Find(id)!.State);
        Assert.Equal(ReasonCodes.GlassBroken, (await house.AnswerAsync(id, "sue", AnswerKind.BreakGlass, "the shop is down", ReviewDesk.BrowserChannel)).ReasonCode);
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task P30_With_confirm_a_delegate_is_named_in_a_browser_only_and_taken_back_from_everywhere()
    {
        await using var house = await House.OpenAsync(limits: new ReviewLimits { ApprovesOnlyInBrowser = true });
        var (ada, now) = (house.User("ada"), house.Time.GetUtcNow());
        foreach (var channel in new[] { "cli", "api" })
            Assert.Equal(ReasonCodes.PresenceRequired, (await house.Delegations.SetAsync(ada, "sue", now, now.AddHours(1), ada.Ref, channel)).ReasonCode);
        Assert.Empty(house.Delegations.List());
        Assert.Null((await house.Delegations.SetAsync(ada, "sue", now, now.AddHours(1), ada.Ref, ReviewDesk.BrowserChannel)).ReasonCode);
        Assert.Single(house.Delegations.List());
        Assert.Null((await house.Delegations.EndAsync(ada, ada.Ref)).ReasonCode);
        Assert.Empty(house.Delegations.List());
    }

    private static Task<AnswerResult> BreakAsync(House house, ReviewId id, string user, string? comment = "the shop is down") =>
        house.AnswerAsync(id, user, AnswerKind.BreakGlass, comment);

    [Fact]
    public async Task P30_Who_is_behind_an_earlier_actor_neither_breaks_the_glass_nor_judges_it()
    {
        await using var house = await OpenAsync("sue", "sec");
        var action = house.Action();
        var held = house.Hold(action with { Actors = action.Actors with { Via = [house.User("sec").Ref] } });
        var id = (await held.Opened).Id;
        Assert.Equal(ReasonCodes.SelfApproval, (await BreakAsync(house, id, "sec")).ReasonCode);
        Assert.Equal(ReasonCodes.GlassBroken, (await BreakAsync(house, id, "sue")).ReasonCode);
        await held.ReleasedAsync();
        Assert.Equal(ReasonCodes.SelfApproval, (await house.Desk.CloseAftermathAsync(id, house.User("sec"), "cli", true, "fine")).ReasonCode);
    }

    [Fact]
    public async Task Broken_glass_releases_at_once_and_opens_a_review_after_the_fact()
    {
        await using var house = await OpenAsync("sue");
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        Assert.Equal(ReasonCodes.GlassBroken, (await BreakAsync(house, id, "sue")).ReasonCode);
        var end = await held.ReleasedAsync();
        Assert.Equal(house.User("sue").Ref.Id, end.Review.GlassBrokenBy);
        Assert.Equal(house.User("sue").Ref.Id.Value, house.Entry("released").GetProperty("glassBrokenBy").GetString());
        Assert.Empty(house.Entry("released").GetProperty("approvers").EnumerateArray());
        Assert.Equal(["answer", "glass-broken", "aftermath-opened", "released"], house.Types.TakeLast(4));

        var aftermath = Assert.Single(house.Desk.ListAftermaths());
        Assert.Equal((id, "sue", "the shop is down", null), (aftermath.Review, aftermath.BrokenBy.Name, aftermath.Comment, aftermath.ClosedAt));
        foreach (var (name, reason) in new[] { ("sue", ReasonCodes.SelfApproval), ("olga", ReasonCodes.SelfApproval), ("uwe", ReasonCodes.SelfApproval), ("nil", ReasonCodes.NotEligible) })
            Assert.Equal(reason, (await house.Desk.CloseAftermathAsync(id, house.User(name), "cli", true, "fine")).ReasonCode);
        Assert.Equal(ReasonCodes.JustificationRequired, (await house.Desk.CloseAftermathAsync(id, house.User("sec"), "cli", true, " ")).ReasonCode);
        Assert.Equal(ReasonCodes.ReviewClosed, (await house.Desk.CloseAftermathAsync(id, house.User("sec"), "cli", false, "it could have waited")).ReasonCode);
        var closed = house.Entry("aftermath-closed");
        Assert.Equal((house.User("sec").Ref.Id.Value, false), (closed.GetProperty("user").GetString(), closed.GetProperty("justified").GetBoolean()));
        Assert.Equal(1, house.Count("aftermath-closed"));
        await house.Desk.CloseAftermathAsync(id, house.User("ada"), "cli", true, "again");
        Assert.Equal(1, house.Count("aftermath-closed"));
    }

    [Fact]
    public async Task I4_Nobody_breaks_the_glass_for_his_own_agent_whatever_policy_says()
    {
        await using var house = await OpenAsync("olga", "uwe", "sue");
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        foreach (var name in new[] { "olga", "uwe" }) Assert.Equal(ReasonCodes.SelfApproval, (await BreakAsync(house, id, name)).ReasonCode);
        Assert.Equal(ReasonCodes.NotEligible, (await BreakAsync(house, id, "ada")).ReasonCode);
        Assert.Equal(ReasonCodes.JustificationRequired, (await BreakAsync(house, id, "sue", " ")).ReasonCode);

        // Nor does somebody whom such a one has lent his voice.
        house.Rules.MayBreakGlass = static (user, _, _) => user.Groups.Contains("sre");
        await house.Delegations.SetAsync(house.User("sue"), "nil", house.Time.GetUtcNow(), house.Time.GetUtcNow().AddHours(1), house.User("sue").Ref, "cli");
        Assert.Equal(ReasonCodes.NotEligible, (await BreakAsync(house, id, "nil")).ReasonCode);
        Assert.Empty(house.Desk.ListAftermaths());
        await held.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task I5_Policy_has_the_last_word_over_a_broken_glass()
    {
        await using var house = await OpenAsync("sue");
        var held = await house.HoldOpenAsync();
        await held.LeaveAsync(LeaveReason.Lost);
        var id = (await held.Opened).Id;
        await BreakAsync(house, id, "sue");
        Assert.Equal(0, house.Count("released")); // nothing runs for nobody
        house.Rules.Decide = Rules.Deny();
        await house.Hold(house.Action()).RefusedAsync(ReasonCodes.PolicyDenied);
        Assert.Single(house.Desk.ListAftermaths());
    }

    [Fact]
    public async Task Hammer_that_was_taken_away_and_effects_that_nobody_saw_void_it()
    {
        await using var house = await OpenAsync("sue");
        var held = await house.HoldOpenAsync();
        await held.LeaveAsync(LeaveReason.Lost);
        var id = (await held.Opened).Id;
        await BreakAsync(house, id, "sue");
        var may = house.Rules.MayBreakGlass;
        house.Rules.MayBreakGlass = static (_, _, _) => false;
        var again = house.Hold(house.Action());
        await house.UntilAsync(id, static r => r is { State: ReviewState.Pending, GlassBrokenBy: null });
        await again.LeaveAsync(LeaveReason.Lost);

        house.Rules.MayBreakGlass = may;
        await BreakAsync(house, id, "sue");
        var action = house.Action();
        again = house.Hold(action, () => new(new Rederived.As(action with { Effects = [Given.Update(), Given.Read("payments")] })));
        await house.UntilAsync(id, static r => r is { State: ReviewState.Pending, GlassBrokenBy: null });
        Assert.Equal(0, house.Count("released"));
        await again.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task P33_Glass_of_somebody_whose_groups_can_not_be_read_any_more_does_not_stand()
    {
        await using var house = await OpenAsync("vera");
        Assert.NotNull((await house.Users.RecogniseAsync(new Subject("https://idp.example", "s-1"), "vera", new HashSet<string> { "dba" })).User);
        var held = await house.HoldOpenAsync();
        await held.LeaveAsync(LeaveReason.Lost);
        var id = (await held.Opened).Id;
        Assert.Equal(ReasonCodes.GlassBroken, (await BreakAsync(house, id, "vera")).ReasonCode);

        // He has left the provider meanwhile: nobody says any more what he is.
        house.Time.Advance(new DirectoryOptions().GroupsMaxAge + TimeSpan.FromSeconds(1));
        var again = house.Hold(house.Action());
        await Task.WhenAny(again.End, house.UntilAsync(id, static r => r is { State: ReviewState.Pending, GlassBrokenBy: null }));
        Assert.Equal((ReviewState.Pending, 0), (house.Desk.Find(id)!.State, house.Count("released")));
        await again.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task Who_approved_may_still_break_it_and_grants_nothing_by_that()
    {
        await using var house = await OpenAsync("ada");
        house.Rules.Ask(Rules.Requirement(2, "dba") with { Grant = new GrantTerms(TimeSpan.FromMinutes(30), 5) });
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        await house.ApproveAsync(held, "ada", grant: new GrantWish(TimeSpan.FromMinutes(10), 3, []));
        Assert.Equal(ReasonCodes.GrantNotAllowed, (await house.AnswerAsync(id, "ada", AnswerKind.BreakGlass, "now", grant: new GrantWish(TimeSpan.FromMinutes(10), 3, []))).ReasonCode);
        Assert.Equal(ReasonCodes.GlassBroken, (await BreakAsync(house, id, "ada")).ReasonCode);
        await held.ReleasedAsync();
        Assert.Empty(house.Desk.ListGrants());
    }

    [Fact]
    public async Task I11_Who_changed_the_rule_or_owned_the_agent_neither_approves_nor_breaks_nor_lends()
    {
        await using var house = await OpenAsync("ada");
        house.Rules.Ask(Rules.Requirement(1, "dba"));
        var ada = house.User("ada").Ref.Id;
        house.Rules.IsCooling = (user, _) => user == ada;
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        Assert.Equal(ReasonCodes.CoolingOff, (await house.AnswerAsync(id, "ada")).ReasonCode);
        Assert.Equal(ReasonCodes.CoolingOff, (await BreakAsync(house, id, "ada")).ReasonCode);
        await house.Delegations.SetAsync(house.User("ada"), "nil", house.Time.GetUtcNow(), house.Time.GetUtcNow().AddHours(1), house.User("ada").Ref, "cli");
        Assert.Equal(ReasonCodes.NotEligible, (await house.AnswerAsync(id, "nil")).ReasonCode);
        Assert.DoesNotContain("ada", house.Desk.Eligible(house.Desk.Find(id)!).Select(static u => u.Ref.Name));

        // An approval of before the change counts no more.
        await held.LeaveAsync(LeaveReason.Lost);
        await house.ApproveAsync(held, "ben");
        house.Rules.IsCooling = (user, _) => user == house.User("ben").Ref.Id;
        var again = house.Hold(house.Action());
        await house.UntilAsync(id, static r => r.State == ReviewState.Pending);
        Assert.Equal(ReviewState.Denied, (await house.AnswerAsync(id, "ada", AnswerKind.Deny)).Review!.State); // a no is always heard
        await again.RefusedAsync(ReasonCodes.ReviewDenied);
    }
}
