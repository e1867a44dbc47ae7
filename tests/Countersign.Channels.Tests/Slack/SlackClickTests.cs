using Countersign.Channels.Accounts;
using Countersign.Core;
using Countersign.Gateway.Tests;
using Countersign.Reviews;
using Countersign.Tests.Slack;

namespace Countersign.Channels.Tests.Slack;

public sealed class SlackClickTests
{
    private const string Alice = "U0ALICE01";
    private const string Bob = "U0BOB0001";

    [Fact]
    public async Task Approval_by_a_click_over_a_socket_releases_the_action_and_the_card_says_so()
    {
        await using var house = await SlackHouse.OpenAsync();
        await house.LinkAsync(Alice, "ada");
        var (held, card) = await house.HoldAsync();
        Assert.Equal(["approve", "deny", "open"], card.Actions);

        Assert.Null(await house.ClickAsync(card, Alice));
        var released = await held.ReleasedAsync();
        Assert.Equal(("ada", "slack", AnswerKind.Approve), (released.Review.Answers[0].Name, released.Review.Answers[0].Channel, released.Review.Answers[0].Kind));
        await house.House.Desk.RecordOutcomeAsync(released.Review.Id, released.Review.ReleasedAction!.Value, new Outcome(OutcomeStatus.Done, 1, 0, TimeSpan.Zero, null));
        await house.Told.FinishedAsync(released.Review.Id);
        Assert.Equal(["open"], card.Actions);
        Assert.Contains("ran once: done, 1 row", card.Text, StringComparison.Ordinal);
        Assert.Equal(["ada approved it in Slack", "Decided afresh, and released", "Ran once: done, 1 row"], house.Slack.Thread(card).Select(static m => m.Text));
        Assert.Empty(house.Slack.Refusals);
        Assert.Empty(house.Slack.Ephemerals);
    }

    [Fact]
    public async Task P55_same_click_four_times_out_of_order_counts_once_and_each_refusal_is_in_the_journal()
    {
        await using var house = await SlackHouse.OpenAsync();
        house.House.Rules.Ask(Rules.Requirement(2, "dba"));
        await house.LinkAsync(Alice, "ada");
        await house.LinkAsync(Bob, "ben");
        var (held, card) = await house.HoldAsync();
        var click = house.Slack.Click(card, Alice, "approve");

        // The same envelope twice, and the same click in envelopes of their own, all at once.
        await Task.WhenAll(
            house.Slack.DeliverAsync(click, "e1"), house.Slack.DeliverAsync(click, "e1", retry: 1),
            house.Slack.DeliverAsync(click, "e2", retry: 2), house.Slack.DeliverAsync(click, "e3", retry: 3));
        await house.Told.UntilAsync(() => house.RefusedClicks.Count + house.House.Count("answer-refused") == 3, timeGoesOn: false);
        Assert.Equal(1, house.House.Count("answer"));
        Assert.Equal(ReviewState.Pending, house.House.Desk.Find(held.Id)!.State);
        Assert.All(house.RefusedClicks, static r => Assert.Equal(ReasonCodes.AlreadyDecided, r));
        Assert.Contains("counts", await house.SaidToAsync(Alice), StringComparison.Ordinal);

        await house.ClickAsync(card, Bob);
        await held.ReleasedAsync();

        // Once more, late.
        await house.Slack.DeliverAsync(click, "e4");
        Assert.Equal(2, house.House.Count("answer"));
    }

    [Fact]
    public async Task P32_click_of_an_account_that_nobody_has_linked_gets_a_link_for_him_alone_and_does_not_count()
    {
        await using var house = await SlackHouse.OpenAsync();
        var (held, card) = await house.HoldAsync();
        await house.ClickAsync(card, Alice);
        Assert.Equal([ReasonCodes.AccountNotLinked], house.RefusedClicks);
        await house.SaidToAsync(Alice);
        var link = BlockKit.Buttons(house.Slack.Ephemerals.Single().Body.GetProperty("blocks")).Single(static b => b.GetProperty("action_id").GetString() == "link").GetProperty("url").GetString()!;
        var code = link[(link.IndexOf("code=", StringComparison.Ordinal) + 5)..];

        // The first session that opens it is the only one that may, and it works once.
        var ada = await house.SessionAsync("ada");
        var mallory = await house.SessionAsync("nil");
        var offer = house.Accounts.Open(code, ada)!;
        Assert.Contains(Alice, offer.Shown, StringComparison.Ordinal);
        Assert.Contains(offer.Word, house.Slack.Ephemerals.Single().Text, StringComparison.Ordinal);
        Assert.Null(house.Accounts.Open(code, mallory));
        Assert.Equal(ReasonCodes.CodeInvalid, await house.Accounts.ConfirmAsync(code, mallory));
        Assert.Null(await house.Accounts.ConfirmAsync(code, ada));
        Assert.Equal(ReasonCodes.CodeInvalid, await house.Accounts.ConfirmAsync(code, ada));
        Assert.Equal(1, house.House.Count("account-linked"));

        await house.ClickAsync(card, Alice);
        await held.ReleasedAsync();

        // And he can take it back.
        Assert.True(await house.Accounts.RemoveAsync(ada.User.Ref.Id, house.Accounts.Of(ada.User.Ref.Id).Single().Id));
        Assert.Equal(1, house.House.Count("account-unlinked"));
        Assert.Null(house.Accounts.Find(new ChatAccount("slack", SlackStandIn.Team, Alice)));
    }

    [Fact]
    public async Task P32_code_that_is_too_old_links_nothing()
    {
        await using var house = await SlackHouse.OpenAsync();
        var (code, _) = house.Accounts.Begin(new ChatAccount("slack", SlackStandIn.Team, Alice), "alice");
        var ada = await house.SessionAsync("ada");
        house.House.Time.Advance(AccountLinks.OfferLifetime);
        Assert.Null(house.Accounts.Open(code, ada));
        Assert.Equal(ReasonCodes.CodeInvalid, await house.Accounts.ConfirmAsync(code, ada));
    }

    [Theory]
    [InlineData("is_restricted", ReasonCodes.AccountRestricted)]
    [InlineData("is_ultra_restricted", ReasonCodes.AccountRestricted)]
    [InlineData("is_stranger", ReasonCodes.AccountForeign)]
    [InlineData("team_id", ReasonCodes.AccountForeign)]
    [InlineData("deleted", ReasonCodes.AccountInactive)]
    [InlineData("is_bot", ReasonCodes.AccountInactive)]
    public async Task P32_account_that_changed_since_it_was_linked_is_refused_at_the_click(string what, string reason)
    {
        await using var house = await SlackHouse.OpenAsync();
        await house.LinkAsync(Alice, "ada");
        var (held, card) = await house.HoldAsync();
        house.Slack.Person(Alice, "alice", user =>
        {
            if (what == "team_id") user[what] = "T0OTHER01";
            else user[what] = true;
        });
        await house.ClickAsync(card, Alice);
        Assert.Equal([reason], house.RefusedClicks);
        Assert.Contains("did not count", (await house.SaidToAsync(Alice)).Replace("Only people decide", "did not count", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.Empty(house.House.Desk.Find(held.Id)!.Answers);
    }

    [Fact]
    public async Task P32_click_is_refused_while_slack_can_not_say_who_it_is()
    {
        await using var house = await SlackHouse.OpenAsync();
        await house.LinkAsync(Alice, "ada");
        var (held, card) = await house.HoldAsync();
        house.Slack.Fail = static method => method == "users.info" ? 500 : null;
        await house.ClickAsync(card, Alice);
        Assert.Equal([ReasonCodes.ProviderUnavailable], house.RefusedClicks);
        Assert.Empty(house.House.Desk.Find(held.Id)!.Answers);
    }

    [Fact]
    public async Task I4_owner_of_the_agent_and_whom_it_acts_for_approve_nothing_in_slack_either()
    {
        await using var house = await SlackHouse.OpenAsync();
        await house.LinkAsync(Alice, "olga");
        await house.LinkAsync(Bob, "uwe");
        var (_, card) = await house.HoldAsync();
        await house.ClickAsync(card, Alice);
        await house.ClickAsync(card, Bob);
        Assert.Equal([ReasonCodes.SelfApproval, ReasonCodes.SelfApproval], house.RefusedClicks);
        Assert.Contains("nobody approves their own action", await house.SaidToAsync(Alice), StringComparison.Ordinal);
    }

    [Fact]
    public async Task P32_member_of_the_conversation_who_is_in_no_group_that_is_asked_decides_nothing()
    {
        await using var house = await SlackHouse.OpenAsync();
        await house.LinkAsync(Alice, "nil");
        var (_, card) = await house.HoldAsync();
        await house.ClickAsync(card, Alice);
        Assert.Equal([ReasonCodes.NotEligible], house.RefusedClicks);
    }

    [Fact]
    public async Task I10_click_on_a_card_of_before_the_review_changed_does_not_count_and_the_card_is_rewritten()
    {
        await using var house = await SlackHouse.OpenAsync();
        await house.LinkAsync(Alice, "ada");
        await house.LinkAsync(Bob, "ben");
        var (held, card) = await house.HoldAsync();
        var stale = house.Slack.Click(card, Alice, "approve");

        // Decided afresh at the release, it needs two: the approval that there was is void, and so is the card that asked for one.
        house.House.Rules.Ask(Rules.Requirement(2, "dba"));
        await house.House.ApproveAsync(held, "cem");
        await house.House.UntilAsync(held.Id, static r => r.Requirements[0].Quorum == 2 && r.State == ReviewState.Pending);
        await house.Slack.DeliverAsync(stale);
        Assert.Equal([ReasonCodes.StatementMismatch], house.RefusedClicks);
        await house.Told.UntilAsync(() => card.Text.Contains("2 of dba", StringComparison.Ordinal) && house.Told.Postings.Of(held.Id)[0].Version == 2);

        await house.ClickAsync(card, Alice);
        Assert.Contains(house.House.Desk.Find(held.Id)!.Answers, static a => a.Name == "ada");
    }

    [Fact]
    public async Task P55_reference_of_another_review_or_of_none_does_not_count()
    {
        await using var house = await SlackHouse.OpenAsync();
        await house.LinkAsync(Alice, "ada");
        var (_, first) = await house.HoldAsync(house.House.Action("update customers set a = 1"));
        var (second, card) = await house.HoldAsync(house.House.Action("update customers set b = 2"));
        await house.ClickAsync(first, Alice, value: card.Value("approve"));
        await house.ClickAsync(card, Alice, value: $"{new string('0', 32)}.1");
        await house.ClickAsync(card, Alice, value: second.Id.Value);
        Assert.Equal([ReasonCodes.StatementMismatch, ReasonCodes.ReviewUnknown, ReasonCodes.ReviewUnknown], house.RefusedClicks);
        Assert.Equal(0, house.House.Count("answer"));
    }

    [Fact]
    public async Task Denial_asks_for_a_reason_and_the_agent_is_told_it()
    {
        await using var house = await SlackHouse.OpenAsync();
        await house.LinkAsync(Alice, "ada");
        var (held, card) = await house.HoldAsync();
        await house.ClickAsync(card, Alice, "deny");
        var view = Assert.Single(house.Slack.Views);
        var answer = await house.Slack.DeliverAsync(house.Slack.Submit(view, Alice, "not before the backup"));
        Assert.Equal("clear", answer!.Value.GetProperty("response_action").GetString());
        var refused = await held.RefusedAsync(ReasonCodes.ReviewDenied);
        Assert.Contains("not before the backup", refused.Message, StringComparison.Ordinal);
        await house.Told.UntilAsync(() => card.Text.Contains("denied by ada", StringComparison.Ordinal));
        Assert.Equal(["open"], card.Actions);
        Assert.Empty(house.Slack.Refusals);
    }

    [Fact]
    public async Task Justification_is_asked_in_a_form_and_one_that_does_not_do_is_said_there()
    {
        await using var house = await SlackHouse.OpenAsync();
        house.House.Rules.Ask(Rules.Requirement(1, "dba") with { Justify = true, JustifyPatterns = ["CHG-[0-9]+"] });
        await house.LinkAsync(Alice, "ada");
        var (held, card) = await house.HoldAsync();
        await house.ClickAsync(card, Alice);
        var view = Assert.Single(house.Slack.Views);
        var no = await house.Slack.DeliverAsync(house.Slack.Submit(view, Alice, "because"));
        Assert.Equal("errors", no!.Value.GetProperty("response_action").GetString());
        Assert.Contains("CHG-", no.Value.GetProperty("errors").GetProperty("reason").GetString(), StringComparison.Ordinal);
        await house.Slack.DeliverAsync(house.Slack.Submit(view, Alice, "CHG-7"));
        Assert.Equal("CHG-7", (await held.ReleasedAsync()).Review.Answers[0].Comment);
    }

    [Fact]
    public async Task P32_step_up_leads_to_the_console_and_a_forged_click_does_not_get_around_it()
    {
        await using var house = await SlackHouse.OpenAsync();
        house.House.Rules.Ask(Rules.Requirement(1, "dba") with { StepUp = StepUp.Passkey });
        await house.LinkAsync(Alice, "ada");
        var (held, card) = await house.HoldAsync();
        Assert.Equal(["deny", "open"], card.Actions);
        var reference = house.Told.Postings.Of(held.Id)[0].Reference;
        await house.ClickAsync(card, Alice, value: reference);
        Assert.Equal([ReasonCodes.StepUpRequired], house.RefusedClicks);
        Assert.Empty(house.House.Desk.Find(held.Id)!.Answers);
    }

    [Fact]
    public async Task I10_above_the_ceiling_there_is_no_value_no_button_and_no_way_around()
    {
        await using var house = await SlackHouse.OpenAsync(carries: "internal");
        await house.LinkAsync(Alice, "ada");
        var (held, card) = await house.HoldAsync(house.House.Action("update customers set card = '4111-1111' where id = 1"));
        Assert.Equal(["open"], card.Actions);
        Assert.DoesNotContain("4111", card.Body.GetRawText(), StringComparison.Ordinal);
        await house.ClickAsync(card, Alice, value: house.Told.Postings.Of(held.Id)[0].Reference);
        Assert.Equal([ReasonCodes.PresenceRequired], house.RefusedClicks);
    }

    [Fact]
    public async Task I10_what_the_message_does_not_show_whole_is_not_approved_by_a_forged_button_either()
    {
        await using var house = await SlackHouse.OpenAsync();
        await house.LinkAsync(Alice, "ada");
        var (held, card) = await house.HoldAsync(house.House.Action($"update customers set name = '{new string('x', 5_000)}' where id = 1"));
        Assert.Equal(["deny", "open"], card.Actions);
        await house.ClickAsync(card, Alice, value: card.Value("deny"));
        Assert.Equal([ReasonCodes.PresenceRequired], house.RefusedClicks);
        Assert.Empty(house.House.Desk.Find(held.Id)!.Answers);
    }

    [Fact]
    public async Task Command_line_that_must_confirm_in_the_browser_does_not_hinder_slack()
    {
        await using var house = await SlackHouse.OpenAsync(limits: new ReviewLimits { ApprovesOnlyInBrowser = true });
        await house.LinkAsync(Alice, "ada");
        var (held, card) = await house.HoldAsync();
        Assert.Equal(ReasonCodes.PresenceRequired, (await house.House.AnswerAsync(held.Id, "ada")).ReasonCode);
        await house.ClickAsync(card, Alice);
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task Decided_elsewhere_the_card_says_so_and_a_late_click_learns_it()
    {
        await using var house = await SlackHouse.OpenAsync();
        await house.LinkAsync(Alice, "ada");
        var (held, card) = await house.HoldAsync();
        var late = house.Slack.Click(card, Alice, "approve");
        await house.House.AnswerAsync(held.Id, "ben", AnswerKind.Deny, "no");
        await held.RefusedAsync(ReasonCodes.ReviewDenied);
        await house.Told.UntilAsync(() => card.Text.Contains("denied by ben", StringComparison.Ordinal), timeGoesOn: false);
        await house.Slack.DeliverAsync(late);
        Assert.Equal([ReasonCodes.ReviewClosed], house.RefusedClicks);
        Assert.Contains("denied by ben", await house.SaidToAsync(Alice), StringComparison.Ordinal);
    }

    [Fact]
    public async Task P55_decision_that_is_not_durable_in_time_is_said_not_to_count_and_then_how_it_ended()
    {
        await using var house = await SlackHouse.OpenAsync();
        await house.LinkAsync(Alice, "ada");
        var (held, card) = await house.HoldAsync();
        using var disk = new ManualResetEventSlim();
        house.House.Store.BeforeCommit = types =>
        {
            if (types.Contains("answer")) disk.Wait();
        };
        var acknowledged = house.ClickAsync(card, Alice);
        await house.Told.UntilAsync(() => acknowledged.IsCompleted); // Slack's time goes on: 2.5 seconds
        Assert.Contains("does not count so far", await house.SaidToAsync(Alice), StringComparison.Ordinal);
        disk.Set();
        Assert.Contains("recorded now, and counts", await house.SaidToAsync(Alice, 1), StringComparison.Ordinal);
        await held.ReleasedAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task P55_killed_between_click_and_acknowledgement_nothing_is_lost_and_nothing_is_done_twice(bool durable)
    {
        var house = await SlackHouse.OpenAsync();
        house.House.Rules.Ask(Rules.Requirement(2, "dba"));
        await house.LinkAsync(Alice, "ada");
        var (held, card) = await house.HoldAsync();
        var click = house.Slack.Click(card, Alice, "approve");

        // The kill comes before the answer is durable, or after it.
        House? next = null;
        var killed = new TaskCompletionSource();
        void Kill(IReadOnlyList<string> types)
        {
            if (!types.Contains("answer") || next is not null) return;
            next = house.House.CrashAsync().GetAwaiter().GetResult();
            killed.TrySetResult();
            throw FaultyStore.Fault();
        }

        if (durable) house.House.Store.AfterCommit = Kill;
        else house.House.Store.BeforeCommit = Kill;
        _ = house.Slack.DeliverAsync(click, "k", wait: false);
        await killed.Task.WaitAsync(Given.Patience);
        await house.StopAsync();

        // Slack, unanswered, delivers it again to what was started.
        await using var again = SlackHouse.Over(house.Slack, next!, carries: "pii");
        await again.Slack.DeliverAsync(click, "again", retry: 1);
        Assert.Equal("ada", Assert.Single(again.House.Desk.Find(held.Id)!.Answers).Name);
        Assert.Equal(durable ? [ReasonCodes.AlreadyDecided] : [], again.RefusedClicks);
    }
}
