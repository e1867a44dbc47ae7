using System.Net;
using System.Text.Json.Nodes;
using Countersign.Core;
using Countersign.Gateway.Tests;
using Countersign.Reviews;

namespace Countersign.Channels.Tests.Teams;

/// <summary>Reviews in Teams: who sees what, whose click counts, and what becomes of all the others.</summary>
public sealed class TeamsTests
{
    [Fact]
    public async Task Click_of_somebody_who_may_approves_and_the_message_follows()
    {
        await using var rig = await TeamsRig.OpenAsync();
        await rig.LinkAsync("ada");
        var (held, message) = await rig.HeldAsync();
        Assert.Equal(["Decide here"], CardText.Buttons(message.Card));
        Assert.Equal(["29:ada"], message.Card.GetProperty("refresh").GetProperty("userIds").EnumerateArray().Select(static u => u.GetString()));

        var view = await rig.ClickAsync("ada", message, "view");
        Assert.Equal(["Approve", "Deny"], view.Buttons);
        Assert.Contains("update customers set name = 'x' where id = 1", view.Text.Replace('\u00a0', ' '), StringComparison.Ordinal);

        var answer = await rig.ClickAsync("ada", message, "approve");
        Assert.Contains("Approved", answer.Text, StringComparison.Ordinal);
        Assert.Empty(answer.Buttons);
        var released = await held.ReleasedAsync();
        var counted = Assert.Single(released.Review.Answers);
        Assert.Equal(("ada", "teams"), (counted.Name, counted.Channel));
        await rig.House.Desk.RecordOutcomeAsync(released.Review.Id, released.Review.ReleasedAction!.Value, new Outcome(OutcomeStatus.Done, 1, 0, TimeSpan.Zero, null));
        await rig.UntilAsync(() => rig.Told.Postings.Of(released.Review.Id) is [{ FinishedAt: not null }]);
        Assert.Contains("ran once: done, 1 row", CardText.Of(message.Card), StringComparison.Ordinal);
        Assert.Empty(CardText.Buttons(message.Card));
        Assert.False(message.Card.TryGetProperty("refresh", out _));
        Assert.Contains(rig.Teams.Messages, m => m.Conversation == message.Conversation && CardText.Of(m.Card).Contains("ada approved it in Teams", StringComparison.Ordinal));
        Assert.Empty(rig.Teams.Complaints);
    }

    [Fact]
    public async Task Deny_takes_its_reason_to_the_agent()
    {
        await using var rig = await TeamsRig.OpenAsync();
        await rig.LinkAsync("ada");
        var (held, message) = await rig.HeldAsync();
        var answer = await rig.ClickAsync("ada", message, "deny", "use the ticket's customer instead");
        Assert.Contains("Denied", answer.Text, StringComparison.OrdinalIgnoreCase);
        var refused = await held.RefusedAsync(ReasonCodes.ReviewDenied);
        Assert.Equal("use the ticket's customer instead", refused.Review!.Answers[0].Comment);
    }

    [Fact]
    public async Task P55_Same_click_four_times_counts_once_and_the_rest_is_journalled()
    {
        await using var rig = await TeamsRig.OpenAsync();
        await rig.LinkAsync("ada");
        var (held, message) = await rig.HeldAsync();
        var reference = TeamsRig.ReferenceOf(message);
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => rig.ClickAsync("ada", message, "approve", reference: reference)));
        var released = await held.ReleasedAsync();
        Assert.Single(released.Review.Answers);
        Assert.Equal(1, rig.House.Count("released"));
        Assert.Equal(3, rig.House.Count("click-refused") + rig.House.Count("answer-refused"));

        // Late, and out of order: a no after the yes.
        var late = await rig.ClickAsync("ada", message, "deny", "changed my mind", reference);
        Assert.Contains("changed nothing", late.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task P55_Click_on_a_card_whose_review_has_changed_does_not_count()
    {
        await using var rig = await TeamsRig.OpenAsync();
        await rig.LinkAsync("ada");
        var (held, message) = await rig.HeldAsync();
        var reference = TeamsRig.ReferenceOf(message);
        var parts = reference.Split('.');
        foreach (var stale in (string[])[$"{parts[0]}.0", $"{parts[0]}.2", $"{new string('0', 32)}.1", "nonsense", $"{parts[0]}"])
        {
            var answer = await rig.ClickAsync("ada", message, "approve", reference: stale);
            Assert.Contains("did not count", answer.Text, StringComparison.Ordinal);
        }

        Assert.False(held.End.IsCompleted);
        Assert.Equal(5, rig.House.Count("click-refused"));
    }

    [Fact]
    public async Task P55_Click_replayed_on_the_message_of_another_review_does_not_count()
    {
        await using var rig = await TeamsRig.OpenAsync();
        await rig.LinkAsync("ada");
        var (first, message) = await rig.HeldAsync("update customers set a = 1");
        var (second, other) = await rig.HeldAsync("update customers set b = 2");
        var answer = await rig.ClickAsync("ada", other, "approve", reference: TeamsRig.ReferenceOf(message));
        Assert.Contains("another message", answer.Text, StringComparison.Ordinal);
        Assert.False(first.End.IsCompleted);
        Assert.False(second.End.IsCompleted);
        Assert.Equal(ReasonCodes.StatementMismatch, rig.House.Entry("click-refused").GetProperty("reason").GetString());
    }

    [Fact]
    public async Task P32_Stranger_is_told_to_link_and_his_click_did_not_count()
    {
        await using var rig = await TeamsRig.OpenAsync();
        var (held, message) = await rig.HeldAsync();
        var answer = await rig.ClickAsync("ada", message, "approve");
        Assert.Empty(answer.Buttons);
        Assert.StartsWith(TeamsRig.Page, answer.Card!.Value.GetProperty("actions")[0].GetProperty("url").GetString(), StringComparison.Ordinal);
        Assert.False(held.End.IsCompleted);
        Assert.Equal(ReasonCodes.AccountNotLinked, rig.House.Entry("click-refused").GetProperty("reason").GetString());
    }

    [Fact]
    public async Task P32_Link_is_for_one_account_one_browser_and_once()
    {
        await using var rig = await TeamsRig.OpenAsync();
        var code = (await rig.SayAsync(rig.People["ada"])).Card.GetProperty("actions")[0].GetProperty("url").GetString()![TeamsRig.Page.Length..];
        Assert.NotNull(rig.Accounts.Open(code, rig.Session("ada")));
        Assert.Null(rig.Accounts.Open(code, rig.Session("ben")));
        Assert.Equal(ReasonCodes.CodeInvalid, await rig.Accounts.ConfirmAsync(code, rig.Session("ben")));
        Assert.Null(await rig.Accounts.ConfirmAsync(code, rig.Session("ada")));
        Assert.Equal(ReasonCodes.CodeInvalid, await rig.Accounts.ConfirmAsync(code, rig.Session("ada")));
        Assert.Contains("linked to ada", CardText.Of((await rig.SayAsync(rig.People["ada"])).Card), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("guest", ReasonCodes.AccountRestricted)]
    [InlineData("external", ReasonCodes.AccountRestricted)]
    [InlineData("anonymous", ReasonCodes.AccountRestricted)]
    [InlineData("other-tenant", ReasonCodes.AccountForeign)]
    [InlineData("gone", ReasonCodes.AccountInactive)]
    [InlineData("renamed", ReasonCodes.AccountInactive)]
    [InlineData("bot", ReasonCodes.NotHuman)]
    public async Task P32_Account_that_is_not_one_of_this_tenants_people_now_decides_nothing(string kind, string reason)
    {
        await using var rig = await TeamsRig.OpenAsync();
        await rig.LinkAsync("ada");
        var (held, message) = await rig.HeldAsync();
        var ada = rig.People["ada"];
        switch (kind)
        {
            case "guest": ada.Role = "guest"; break;
            case "external": ada.PrincipalName = "ada_other.example#EXT#@ours.onmicrosoft.com"; break;
            case "anonymous": rig.People["ada"] = ada with { ObjectId = "" }; break;
            case "other-tenant": rig.People["ada"] = ada with { Tenant = "99999999-0000-4000-8000-000000000000" }; break;
            case "gone": ada.IsMember = false; break;
            case "renamed": rig.People["ada"] = ada with { ObjectId = rig.People["ben"].ObjectId }; break;
            case "bot": rig.People["ada"] = ada with { Id = "28:another-bot" }; break;
        }

        var answer = await rig.ClickAsync("ada", message, "approve");
        Assert.Null(answer.Card);
        Assert.NotEmpty(answer.Said!);
        Assert.Equal(reason, rig.House.Entry("click-refused").GetProperty("reason").GetString());
        Assert.Empty((await rig.ClickAsync("ada", message, "view")).Buttons);
        Assert.False(held.End.IsCompleted);
    }

    [Fact]
    public async Task P32_Teams_that_can_not_be_asked_lets_nobody_decide()
    {
        await using var rig = await TeamsRig.OpenAsync();
        await rig.LinkAsync("ada");
        var (held, message) = await rig.HeldAsync();
        rig.Teams.Fail(HttpStatusCode.ServiceUnavailable);
        var answer = await rig.ClickAsync("ada", message, "approve");
        Assert.Contains("did not count", answer.Said, StringComparison.Ordinal);
        Assert.Equal(ReasonCodes.ProviderUnavailable, rig.House.Entry("click-refused").GetProperty("reason").GetString());
        Assert.Contains("Approved", (await rig.ClickAsync("ada", message, "approve")).Text, StringComparison.Ordinal);
        await held.ReleasedAsync();
    }

    [Theory]
    [InlineData("olga", ReasonCodes.SelfApproval)]
    [InlineData("sue", ReasonCodes.NotEligible)]
    [InlineData("nil", ReasonCodes.NotEligible)]
    public async Task I4_Owner_of_the_agent_and_who_is_not_asked_see_no_approve_and_their_click_does_not_count(string person, string reason)
    {
        await using var rig = await TeamsRig.OpenAsync();
        await rig.LinkAsync(person);
        var (held, message) = await rig.HeldAsync();
        Assert.DoesNotContain("Approve", (await rig.ClickAsync(person, message, "view")).Buttons);
        var answer = await rig.ClickAsync(person, message, "approve");
        Assert.Contains("did not count", answer.Text, StringComparison.Ordinal);
        Assert.Equal(reason, rig.House.Entry("click-refused").GetProperty("reason").GetString());
        Assert.False(held.End.IsCompleted);
    }

    [Fact]
    public async Task I10_Data_above_the_channels_class_is_told_with_a_link_and_without_buttons()
    {
        await using var rig = await TeamsRig.OpenAsync(carries: ["internal"]);
        await rig.LinkAsync("ada");
        var (held, message) = await rig.HeldAsync("update customers set secret_name = 'x'");
        Assert.Empty(CardText.Buttons(message.Card));
        Assert.DoesNotContain("secret_name", message.Now.GetRawText(), StringComparison.Ordinal);
        Assert.DoesNotContain("refund", message.Now.GetRawText(), StringComparison.Ordinal);
        var answer = await rig.ClickAsync("ada", message, "approve", reference: rig.Told.Postings.Of((await held.Opened).Id)[0].Reference);
        Assert.Contains("can not be approved here", answer.Text, StringComparison.Ordinal);
        Assert.Equal(ReasonCodes.PresenceRequired, rig.House.Entry("click-refused").GetProperty("reason").GetString());
        Assert.False(held.End.IsCompleted);
    }

    [Fact]
    public async Task I10_Statement_that_does_not_fit_is_cut_with_a_notice_and_takes_no_approval()
    {
        await using var rig = await TeamsRig.OpenAsync();
        await rig.LinkAsync("ada");
        var (held, message) = await rig.HeldAsync($"update customers set note = '{string.Concat(Enumerable.Repeat("0123456789", 20_000))}' where id = 1 -- and the tail");
        var text = CardText.Of(message.Card);
        Assert.Contains("This is not all of it", text, StringComparison.Ordinal);
        Assert.Contains((await held.Opened).Digest, text, StringComparison.Ordinal);
        var view = await rig.ClickAsync("ada", message, "view");
        Assert.Equal(["Deny"], view.Buttons);
        var answer = await rig.ClickAsync("ada", message, "approve");
        Assert.Contains("does not show all of it", answer.Text, StringComparison.Ordinal);
        Assert.False(held.End.IsCompleted);
        Assert.Contains("denied", (await rig.ClickAsync("ada", message, "deny", "too long to judge here")).Text, StringComparison.OrdinalIgnoreCase);
        await held.RefusedAsync(ReasonCodes.ReviewDenied);
    }

    [Fact]
    public async Task Review_decided_elsewhere_closes_its_card_and_a_late_click_says_so()
    {
        await using var rig = await TeamsRig.OpenAsync();
        await rig.LinkAsync("ada");
        var (held, message) = await rig.HeldAsync();
        var reference = TeamsRig.ReferenceOf(message);
        await rig.House.ApproveAsync(held, "ben");
        await held.ReleasedAsync();
        await rig.UntilAsync(() => message.Versions.Count > 1 && CardText.Buttons(message.Card).Count == 0);
        var late = await rig.ClickAsync("ada", message, "approve", reference: reference);
        Assert.Contains("It is over", late.Text, StringComparison.Ordinal);
        Assert.Equal(ReasonCodes.ReviewClosed, rig.House.Entry("click-refused").GetProperty("reason").GetString());
    }

    [Fact]
    public async Task Teams_that_is_down_or_busy_holds_nothing_up_and_is_caught_up_with()
    {
        await using var rig = await TeamsRig.OpenAsync();
        rig.Teams.IsDown = true;
        var held = await rig.House.HoldOpenAsync();
        var id = (await held.Opened).Id;
        await rig.UntilAsync(() => rig.Told.Postings.Of(id) is [{ Attempts: > 0 }]);
        rig.Teams.IsDown = false;
        rig.Teams.Fail(HttpStatusCode.TooManyRequests, "5");
        rig.Teams.Fail(HttpStatusCode.PreconditionFailed);
        await rig.UntilAsync(() => rig.Told.Postings.Of(id) is [{ Message: not null }]);
        Assert.Single(rig.Teams.Messages);
        await rig.House.ApproveAsync(held, "ben");
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task Bot_that_was_not_added_to_the_channel_says_so_where_the_reviewer_looks()
    {
        await using var rig = await TeamsRig.OpenAsync();
        rig.Teams.IsUninstalled = true;
        var id = (await (await rig.House.HoldOpenAsync()).Opened).Id;
        await rig.Told.UntilAsync(() => rig.Told.Postings.Of(id) is [{ Error: not null }], timeGoesOn: false);
        Assert.Contains("add the app", rig.Told.Postings.Of(id)[0].Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task People_who_may_decide_are_told_in_a_chat_of_their_own_once_they_are_linked()
    {
        await using var rig = await TeamsRig.OpenAsync(to: ["teams:eligible"]);
        await rig.LinkAsync("ada");
        await rig.LinkAsync("sue");
        var said = rig.Teams.Messages.Count;
        var (held, message) = await rig.HeldAsync();
        Assert.Equal(said + 1, rig.Teams.Messages.Count);
        Assert.StartsWith("a:", message.Conversation, StringComparison.Ordinal);
        Assert.Contains("Approved", (await rig.ClickAsync("ada", message, "approve")).Text, StringComparison.Ordinal);
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task P35_What_nobody_signed_is_refused_and_journalled_up_to_a_rate()
    {
        await using var rig = await TeamsRig.OpenAsync();
        await rig.LinkAsync("ada");
        var (held, message) = await rig.HeldAsync();
        var activity = rig.Teams.Invoke(rig.People["ada"], message, "approve", new JsonObject { ["reference"] = TeamsRig.ReferenceOf(message) });
        var forged = rig.Teams.Claims();
        forged["aud"] = "another-bot";
        for (var i = 0; i < 100; i++) Assert.Equal(403, (await rig.SendAsync((JsonObject)activity.DeepClone(), rig.Teams.Sign(forged))).Status);
        Assert.Equal(60, rig.House.Count("channel-refused"));
        Assert.Equal(ReasonCodes.TokenAudience, rig.House.Entry("channel-refused").GetProperty("reason").GetString());
        Assert.False(held.End.IsCompleted);
    }

    [Fact]
    public async Task Store_that_can_not_be_written_lets_no_click_count()
    {
        await using var rig = await TeamsRig.OpenAsync();
        await rig.LinkAsync("ada");
        var (held, message) = await rig.HeldAsync();
        rig.House.Store.FailWritesOf("answer");
        var answer = await rig.ClickAsync("ada", message, "approve");
        Assert.DoesNotContain("Approved", answer.Text, StringComparison.Ordinal);
        Assert.False(held.End.IsCompleted);
    }
}
