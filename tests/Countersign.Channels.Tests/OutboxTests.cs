using Countersign.Channels.Cards;
using Countersign.Channels.Delivery;
using Countersign.Core;
using Countersign.Gateway.Tests;
using Countersign.Reviews;

namespace Countersign.Channels.Tests;

public sealed class OutboxTests
{
    private static readonly Route[] Room = [Told.Everything("slack:C1")];

    [Fact]
    public async Task Review_is_told_once_and_its_message_follows_it_to_the_end()
    {
        await using var house = await House.OpenAsync();
        var channel = new PlayedChannel(carries: "pii");
        await using var told = new Told(house, Room, channel);
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        await told.UntilAsync(() => channel.Messages.Count == 1, timeGoesOn: false);

        await house.ApproveAsync(held, "ada", "looks right");
        var released = await held.ReleasedAsync();
        await house.Desk.RecordOutcomeAsync(id, released.Review.ReleasedAction!.Value, new Outcome(OutcomeStatus.Done, 1, 0, TimeSpan.Zero, null));
        var posting = await told.FinishedAsync(id);

        var message = channel.Only;
        Assert.Equal("ran once: done, 1 row", message.Versions[^1].Card.State);
        Assert.False(message.Versions[^1].Card.IsOpen);
        Assert.Equal(["ada approved it on the command line, saying “looks right”", "Decided afresh, and released", "Ran once: done, 1 row"], message.Story.Select(static s => s.Text));
        Assert.Null(posting.Error);
    }

    [Fact]
    public async Task Post_whose_answer_was_lost_is_found_and_not_repeated()
    {
        await using var house = await House.OpenAsync();
        var channel = new PlayedChannel(carries: "pii");
        var lost = 0;
        channel.After = call => call == "post" && Interlocked.Increment(ref lost) == 1 ? new DeliveryResult(DeliveryStatus.Unknown, Error: "the connection was lost") : null;
        await using var told = new Told(house, Room, channel);
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;

        await told.UntilAsync(() => told.Postings.Of(id) is [{ Message: not null }]);
        Assert.Equal("m1", channel.Only.Id);
        Assert.Equal(["post", "find"], channel.Calls.Take(2));
    }

    [Fact]
    public async Task P55_kill_between_post_and_its_memory_posts_nothing_twice()
    {
        await using var house = await House.OpenAsync();
        var channel = new PlayedChannel(carries: "pii");
        var posted = new TaskCompletionSource();
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        House? next = null;
        await using (var told = new Told(house, Room, channel))
        {
            // The message is there, and the store as the kill leaves it does not know.
            channel.After = call =>
            {
                if (call != "post" || next is not null) return null;
                next = house.CrashAsync().GetAwaiter().GetResult();
                posted.TrySetResult();
                return null;
            };
            await posted.Task.WaitAsync(Given.Patience);
        }

        await using var again = next!;
        await using var after = new Told(again, Room, channel);
        await after.UntilAsync(() => after.Postings.Of(id) is [{ Message: "m1", BegunAt: null }]);
        Assert.Single(channel.Messages);
    }

    [Fact]
    public async Task Channel_that_is_down_holds_nothing_up_and_is_caught_up_with()
    {
        await using var house = await House.OpenAsync();
        var up = false;
        var channel = new PlayedChannel(carries: "pii") { Before = _ => up ? null : new DeliveryResult(DeliveryStatus.NotNow, Error: "no route") };
        await using var told = new Told(house, Room, channel);
        var over = await house.HoldOpenAsync(house.Action("update customers set a = 1"));
        var open = await house.HoldOpenAsync(house.Action("update customers set b = 2"));
        await told.UntilAsync(() => told.Postings.Of(over.Id) is [{ Attempts: > 0 }] && told.Postings.Of(open.Id) is [{ Attempts: > 0 }]);

        // Decided elsewhere meanwhile: nobody need be told of it any more.
        await house.ApproveAsync(over, "ada");
        await over.ReleasedAsync();
        up = true;
        await told.UntilAsync(() => !channel.Messages.IsEmpty);
        await told.UntilAsync(() => told.Postings.Of(over.Id) is [{ FinishedAt: not null, Message: null }]);

        Assert.Equal("update customers set b = 2", channel.Only.Versions[0].Card.Statement);
    }

    [Fact]
    public async Task Retry_after_is_kept()
    {
        await using var house = await House.OpenAsync();
        var limited = true;
        var channel = new PlayedChannel(carries: "pii") { Before = _ => limited ? new DeliveryResult(DeliveryStatus.NotNow, Error: "ratelimited", RetryAfter: TimeSpan.FromSeconds(40)) : null };
        await using var told = new Told(house, Room, channel);
        var id = (await (await house.HoldOpenAsync()).Opened).Id;
        await told.UntilAsync(() => told.Postings.Of(id) is [{ NextAt: not null }], timeGoesOn: false);
        Assert.Equal(house.Time.GetUtcNow() + TimeSpan.FromSeconds(40), told.Postings.Of(id)[0].NextAt);

        limited = false;
        house.Time.Advance(TimeSpan.FromSeconds(30));
        await told.Outbox.SweepAsync(whole: true);
        Assert.Single(channel.Calls);
        await told.UntilAsync(() => channel.Messages.Count == 1);
        Assert.Equal(2, channel.Calls.Count);
    }

    [Fact]
    public async Task Reminder_comes_at_half_time_and_expiry_is_told()
    {
        await using var house = await House.OpenAsync();
        var channel = new PlayedChannel(carries: "pii");
        await using var told = new Told(house, Room, channel);
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        await told.UntilAsync(() => channel.Messages.Count == 1, timeGoesOn: false);

        house.Time.Advance(TimeSpan.FromMinutes(8));
        await told.UntilAsync(() => channel.Only.Story.Count > 0);
        Assert.Equal(("reminder", true), (channel.Only.Story[0].Key, channel.Only.Story[0].Loud));

        house.Time.Advance(TimeSpan.FromMinutes(8));
        await house.Desk.SweepAsync();
        await told.FinishedAsync(id);
        Assert.Equal("expired: nobody decided in time, which is a no", channel.Only.Versions[^1].Card.State);
        Assert.Equal(["reminder", "closed"], channel.Only.Story.Select(static s => s.Key));
    }

    [Fact]
    public async Task Escalation_posts_to_the_next()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(1, "dba") with { Escalations = [new Escalation(["sre"], TimeSpan.FromMinutes(5))] });
        var channel = new PlayedChannel(carries: "pii");
        Route route = Told.Everything("slack:C1") with { EscalationTo = [Destination.Parse("slack:C2")!] };
        await using var told = new Told(house, [route], channel);
        await house.HoldOpenAsync();
        await told.UntilAsync(() => channel.Messages.Count == 1, timeGoesOn: false);
        Assert.Equal("C1", channel.Only.Place);

        house.Time.Advance(TimeSpan.FromMinutes(5));
        await house.Desk.SweepAsync();
        await told.UntilAsync(() => channel.Messages.Count == 2);
        await told.UntilAsync(() => channel.Messages.Values.Single(static m => m.Place == "C1").Story.Any(static s => s.Key == "escalation-1"));
    }

    [Fact]
    public async Task Message_that_somebody_removed_is_told_anew()
    {
        await using var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(2, "dba"));
        var channel = new PlayedChannel(carries: "pii");
        await using var told = new Told(house, Room, channel);
        var held = await house.HoldOpenAsync();
        await told.UntilAsync(() => told.Postings.Of(held.Id) is [{ Message: not null }], timeGoesOn: false);
        channel.Messages.Clear();
        await house.ApproveAsync(held, "ada");
        await told.UntilAsync(() => channel.Messages.Count == 1);
    }

    [Fact]
    public void I10_card_above_the_ceiling_has_marks_and_no_buttons()
    {
        var reach = new ChannelReach(new HashSet<string>(["internal"]), TakesAnswers: true);
        var review = Cards.Review(static r => r with { Parameters = [new ShownParameter("text", "4111 1111")], Statement = "update customers set card = '4111 1111'", Intent = new Intent("card 4111 1111", null, null, null) });
        var card = new CardMaker(static () => new Uri("https://countersign.example.com")).Of(review, reach);
        Assert.Null(card.Statement);
        Assert.Equal(CardMaker.Mark, card.Values[0].Text);
        Assert.NotNull(card.NoButtons);
        Assert.NotNull(card.Withheld);
        Assert.DoesNotContain("4111", System.Text.Json.JsonSerializer.Serialize(card), StringComparison.Ordinal);
        Assert.DoesNotContain("4111", string.Concat(CardMaker.Story(review with { Answers = [new Answer(OpaqueId.NewUser(), "ada", AnswerKind.Approve, "console", Given.Noon, "card 4111 1111", new string('a', 64))] }, reach, Given.Noon)), StringComparison.Ordinal);
    }

    [Fact]
    public void I10_statement_that_a_person_changed_is_not_approved_beside_the_one_that_is_not_shown()
    {
        var ben = new PrincipalRef(PrincipalKind.User, OpaqueId.NewUser(), "ben");
        var card = new CardMaker(static () => new Uri("https://countersign.example.com")).Of(
            Cards.Review(r => r with { Editors = [ben], Edit = new ReviewEdit(ReviewId.New(), "update customers set name = 'y'", [], ben, Given.Noon, null) }), new ChannelReach(new HashSet<string>(["pii"]), TakesAnswers: true));
        Assert.Equal("ben has changed what the agent asked for", card.Edited);
        Assert.NotNull(card.NoButtons);
        Assert.Equal(["ben"], card.Behind);
    }

    [Fact]
    public void Card_says_how_many_rows_the_planner_expects_and_an_approval_does_not_commit_to_it()
    {
        var review = Cards.Review();
        var estimated = review with { Estimate = new Estimate([new EstimatedRows("update", "public.customers", 12)], [], null, Given.Noon) };
        var maker = new CardMaker(static () => new Uri("https://countersign.example.com"));
        var reach = new ChannelReach(new HashSet<string>(["pii"]), TakesAnswers: true);
        Assert.Equal("the rows that its WHERE finds; about 12 rows to update in public.customers by the planner's estimate", maker.Of(estimated, reach).HowMuch);
        Assert.Equal("the rows that its WHERE finds", maker.Of(review, reach).HowMuch);
        Assert.Equal(ShownContent.Sha256Of(review), ShownContent.Sha256Of(estimated));
    }

    [Fact]
    public void I10_content_of_a_statement_is_that_of_its_review_whoever_answers_and_differs_with_what_is_answered()
    {
        var review = Cards.Review();
        var user = new Identity.UserEntry(new PrincipalRef(PrincipalKind.User, OpaqueId.NewUser(), "ada"), new HashSet<string>());
        Assert.Equal(ShownContent.Sha256Of(review), ShownContent.Sha256Of(ApprovalStatement.Create(review, user, AnswerKind.Approve, "slack", "yes", Given.Noon)));
        Assert.NotEqual(ShownContent.Sha256Of(review), ShownContent.Sha256Of(review with { Statement = review.Statement + " " }));
        Assert.NotEqual(ShownContent.Sha256Of(review), ShownContent.Sha256Of(review with { Requirements = [Rules.Requirement(2, "dba")] }));
        Assert.NotEqual(ShownContent.Sha256Of(review), ShownContent.Sha256Of(review with { Effects = [] }));
    }

    [Theory]
    [InlineData("2026-11-20T21:30:00Z", true)] // Friday 22:30 in Berlin
    [InlineData("2026-11-21T05:30:00Z", true)] // Saturday 06:30: still Friday's night
    [InlineData("2026-11-21T06:00:00Z", false)]
    [InlineData("2026-11-21T21:30:00Z", false)] // Saturday's night is not quiet
    [InlineData("2026-07-17T20:30:00Z", true)] // Friday 22:30 in summer
    [InlineData("2026-07-17T19:30:00Z", false)]
    public void Quiet_hours_are_of_the_day_on_which_they_begin_on_the_clocks_of_their_zone(string at, bool quiet) => Assert.Equal(quiet,
        new QuietHours(new TimeOnly(22, 0), new TimeOnly(7, 0), new HashSet<DayOfWeek> { DayOfWeek.Friday }, TimeZoneInfo.FindSystemTimeZoneById("Europe/Berlin"))
            .At(DateTimeOffset.Parse(at, System.Globalization.CultureInfo.InvariantCulture)));

    [Fact]
    public void Every_route_that_matches_counts_and_quiet_ones_tell_elsewhere()
    {
        static RoutedReview Asked(string environment = "prod") => new("shop", environment, new HashSet<string> { "pii" }, new HashSet<string> { "write" }, new HashSet<string> { "dba" }, new HashSet<string>());
        var always = new QuietHours(TimeOnly.MinValue, TimeOnly.MinValue, Enum.GetValues<DayOfWeek>().ToHashSet(), TimeZoneInfo.Utc);
        Route[] routes =
        [
            Told.Everything("slack:C1"),
            Told.Everything("teams:T1") with { Classes = ["pii"], Verbs = ["destroy", "write"], Groups = ["dba"], Environments = ["prod"] },
            Told.Everything("slack:C3") with { Groups = ["sre"] },
            Told.Everything("slack:C4") with { Quiet = always, QuietTo = [Destination.Parse("slack:oncall/primary")!] },
        ];
        Assert.Equal(["slack:C1", "teams:T1", "slack:oncall/primary"], routes.SelectMany(static r => r.At(Asked(), Given.Noon)).Select(static d => d.ToString()));
        Assert.Equal(["slack:C1", "slack:oncall/primary"], routes.SelectMany(static r => r.At(Asked("test"), Given.Noon)).Select(static d => d.ToString()));
    }
}
