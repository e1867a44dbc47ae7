using System.Net;
using System.Text.Json;
using Countersign.Channels.Cards;
using Countersign.Channels.Webhooks;
using Countersign.Core;
using Countersign.Gateway.Tests;
using Countersign.Reviews;
using Microsoft.Extensions.Logging.Abstractions;

namespace Countersign.Channels.Tests.Webhooks;

/// <summary>Every event, signed, in order, at least once, to a receiver that looks.</summary>
public sealed class WebhookTests
{
    private static readonly string First = WebhookSecret.NewText();
    private static readonly string Second = WebhookSecret.NewText();

    /// <summary>Webhooks of a house, running.</summary>
    private sealed class Hooked : IAsyncDisposable
    {
        private readonly CancellationTokenSource stop = new();
        private readonly Countersign.Channels.Webhooks.Webhooks hooks;
        private readonly Task running;
        private readonly House house;

        public Hooked(House house, Uri url, string[]? carries = null, string[]? events = null, string[]? secrets = null, string name = "siem")
        {
            this.house = house;
            var endpoint = new WebhookEndpoint
            {
                Name = name,
                Url = url,
                Secrets = (secrets ?? [First]).Select(static s => WebhookSecret.TryParse(s, out var secret) ? secret! : throw new FormatException()).ToArray(),
                Carries = (carries ?? ["pii"]).ToHashSet(StringComparer.Ordinal),
                Events = events ?? EventTypes.Default,
            };
            hooks = new Countersign.Channels.Webhooks.Webhooks([endpoint], house.Desk, new CardMaker(Console), Console, house.Journal, house.Time, NullLoggerFactory.Instance);
            running = hooks.RunAsync(stop.Token);
        }

        private static Uri Console() => new("https://countersign.example.com");

        /// <summary>Time goes on slowly: a request on a busy machine must not seem to take minutes.</summary>
        public async Task UntilAsync(Func<bool> holds, TimeSpan? step = null)
        {
            for (var n = 1; !holds(); n++)
            {
                Assert.True(n < 3000, "it never came to be so");
                if (n % 5 == 0 && step is { } by) house.Time.Advance(by);
                await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System);
            }
        }

        public async ValueTask DisposeAsync()
        {
            await stop.CancelAsync();
            await running;
            hooks.Dispose();
            stop.Dispose();
        }
    }

    /// <summary>The place up to which a new receiver has been told is kept before anything happens.</summary>
    private static async Task<Hooked> ReadyAsync(House house, PlayedReceiver receiver, string[]? carries = null, string[]? events = null, string[]? secrets = null)
    {
        var hooked = new Hooked(house, receiver.Url, carries, events, secrets);
        await hooked.UntilAsync(() => house.Store.Get("webhooks", "siem") is not null);
        return hooked;
    }

    [Fact]
    public async Task Life_of_a_review_is_told_in_its_order()
    {
        await using var house = await House.OpenAsync();
        await using var receiver = await PlayedReceiver.StartAsync(house.Time, First);
        await using var hooked = await ReadyAsync(house, receiver);
        var held = await house.HoldOpenAsync();
        await house.ApproveAsync(held, "ada", "fine");
        var released = await held.ReleasedAsync();
        await house.Desk.RecordOutcomeAsync(released.Review.Id, released.Review.ReleasedAction!.Value, new Outcome(OutcomeStatus.Done, 1, 0, TimeSpan.Zero, null));
        await hooked.UntilAsync(() => receiver.Events.Count == 5);

        Assert.Equal(["review.opened", "review.answered", "review.approved", "review.released", "review.finished"], receiver.Events.Select(static e => e.Type["dev.countersign.".Length..]));
        var opened = receiver.Events[0];
        Assert.Equal(released.Review.Id.Value, opened.Body.GetProperty("subject").GetString());
        Assert.Equal("https://countersign.example.com", opened.Body.GetProperty("source").GetString());
        Assert.Equal("update customers set name = 'x' where id = 1", opened.Data.GetProperty("statement").GetString());
        Assert.Equal(released.Review.Digest, opened.Data.GetProperty("digest").GetString());
        Assert.Equal($"https://countersign.example.com/reviews/{released.Review.Id}", opened.Data.GetProperty("link").GetString());
        Assert.Equal("ada", receiver.Events[1].Data.GetProperty("userName").GetString());
        Assert.Equal("done", receiver.Events[4].Data.GetProperty("status").GetString());
        Assert.Empty(receiver.Complaints);
    }

    [Fact]
    public async Task I10_Receiver_below_the_data_class_is_told_without_statement_values_and_words()
    {
        await using var house = await House.OpenAsync();
        await using var receiver = await PlayedReceiver.StartAsync(house.Time, First);
        await using var hooked = await ReadyAsync(house, receiver, carries: []);
        await house.HoldOpenAsync(house.Action("update customers set secret_name = 'x'"));
        await hooked.UntilAsync(() => receiver.Events.Count == 1);
        var body = receiver.Events[0].Body.GetRawText();
        Assert.Equal("data-class", receiver.Events[0].Data.GetProperty("withheld").GetString());
        Assert.DoesNotContain("secret_name", body, StringComparison.Ordinal);
        Assert.DoesNotContain("refund", body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task I10_Statement_that_is_too_long_is_left_out_whole()
    {
        await using var house = await House.OpenAsync();
        await using var receiver = await PlayedReceiver.StartAsync(house.Time, First);
        await using var hooked = await ReadyAsync(house, receiver);
        await house.HoldOpenAsync(house.Action($"update customers set a = '{new string('x', 200_000)}'"));
        await hooked.UntilAsync(() => receiver.Events.Count == 1);
        Assert.Equal("too-large", receiver.Events[0].Data.GetProperty("withheld").GetString());
        Assert.False(receiver.Events[0].Data.TryGetProperty("statement", out _));
        Assert.Empty(receiver.Complaints);
    }

    [Theory]
    [InlineData(HttpStatusCode.InternalServerError, null)]
    [InlineData(HttpStatusCode.TooManyRequests, "20")]
    [InlineData(HttpStatusCode.NotFound, null)]
    [InlineData(HttpStatusCode.TemporaryRedirect, null)]
    public async Task Receiver_that_has_a_bad_day_is_told_later_and_nothing_follows_its_redirect(HttpStatusCode status, string? after)
    {
        await using var house = await House.OpenAsync();
        await using var receiver = await PlayedReceiver.StartAsync(house.Time, First);
        await using var hooked = await ReadyAsync(house, receiver);
        receiver.Fail(status, after, times: 2);
        await house.HoldOpenAsync();
        await hooked.UntilAsync(() => receiver.Attempts == 1);
        await hooked.UntilAsync(() => receiver.Events.Count == 1, TimeSpan.FromSeconds(2));
        Assert.Equal(3, receiver.Attempts);
        Assert.Empty(receiver.Complaints);
    }

    [Fact]
    public async Task Event_whose_answer_was_lost_comes_again_with_its_id()
    {
        await using var house = await House.OpenAsync();
        await using var receiver = await PlayedReceiver.StartAsync(house.Time, First);
        await using var hooked = await ReadyAsync(house, receiver);
        receiver.LosesAnswers = true;
        await house.HoldOpenAsync();
        await hooked.UntilAsync(() => receiver.Events.Count == 1);
        receiver.LosesAnswers = false;
        await hooked.UntilAsync(() => receiver.Repeats > 0, TimeSpan.FromSeconds(2));
        Assert.Single(receiver.Events);
    }

    [Fact]
    public async Task P50_Receiver_that_was_down_over_a_kill_misses_nothing()
    {
        await using var house = await House.OpenAsync();
        await using var receiver = await PlayedReceiver.StartAsync(house.Time, First);
        House next;
        await using (var hooked = await ReadyAsync(house, receiver))
        {
            receiver.Fail(HttpStatusCode.ServiceUnavailable, times: 1);
            await house.HoldOpenAsync();
            await hooked.UntilAsync(() => receiver.Attempts == 1);
            next = await house.CrashAsync();
        }

        await using var again = next;
        await using var after = new Hooked(again, receiver.Url);
        await after.UntilAsync(() => receiver.Events.Count >= 2);
        Assert.Equal(["review.opened", "review.detached"], receiver.Events.Take(2).Select(static e => e.Type["dev.countersign.".Length..]));
    }

    [Fact]
    public async Task Secret_changes_without_a_gap()
    {
        await using var house = await House.OpenAsync();
        await using var old = await PlayedReceiver.StartAsync(house.Time, First);
        await using (await ReadyAsync(house, old)) { }
        await using var hooked = new Hooked(house, old.Url, secrets: [Second, First]);
        await house.HoldOpenAsync();
        await hooked.UntilAsync(() => old.Events.Count == 1);
        old.Secrets[0] = WebhookSecret.TryParse(Second, out var secret) ? secret! : throw new FormatException();
        await house.HoldOpenAsync(house.Action("update customers set b = 2"));
        await hooked.UntilAsync(() => old.Events.Count == 2);
        Assert.Empty(old.Complaints);
    }

    [Fact]
    public async Task Receiver_that_is_gone_is_told_nothing_more_and_that_is_in_the_journal()
    {
        await using var house = await House.OpenAsync();
        await using var receiver = await PlayedReceiver.StartAsync(house.Time, First);
        await using var hooked = await ReadyAsync(house, receiver);
        receiver.Fail(HttpStatusCode.Gone);
        await house.HoldOpenAsync();
        await hooked.UntilAsync(() => house.Count("webhook-ended") == 1);
        await house.HoldOpenAsync(house.Action("update customers set b = 2"));
        Assert.Equal(1, receiver.Attempts);
    }

    [Fact]
    public async Task Event_that_is_refused_for_three_days_is_given_up_and_the_next_is_told()
    {
        await using var house = await House.OpenAsync();
        await using var receiver = await PlayedReceiver.StartAsync(house.Time, First);
        await using var hooked = await ReadyAsync(house, receiver);
        receiver.Fail(HttpStatusCode.BadRequest, times: 1000);
        await house.HoldOpenAsync();
        await hooked.UntilAsync(() => house.Count("webhook-given-up") == 1, TimeSpan.FromHours(7));
        Assert.Equal("it answered 400", house.Entry("webhook-given-up").GetProperty("cause").GetString());
    }

    [Fact]
    public async Task Receiver_gets_the_events_that_it_asked_for_and_what_policy_refused()
    {
        var rules = new Rules();
        await using var house = await House.OpenAsync(rules);
        await using var receiver = await PlayedReceiver.StartAsync(house.Time, First);
        await using var hooked = await ReadyAsync(house, receiver, events: ["action.denied"]);
        await house.HoldOpenAsync();
        rules.Decide = Rules.Deny();
        await house.Spine.SubmitAsync(house.Action("drop table customers"), static () => throw new InvalidOperationException("nobody waits for what is denied"));
        await hooked.UntilAsync(() => receiver.Events.Count == 1);
        Assert.Equal("dev.countersign.action.denied", receiver.Events[0].Type);
        Assert.Equal("deny", receiver.Events[0].Data.GetProperty("verdict").GetString());
        Assert.Equal("drop table customers", receiver.Events[0].Data.GetProperty("statement").GetString());
    }

    [Fact]
    public void Every_documented_type_has_a_line_in_the_specification()
    {
        var page = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "webhooks.md")).Split('\n').Where(static l => l.StartsWith("| `", StringComparison.Ordinal)).Select(static l => l.Split('`')[1]).Where(static t => t.Contains('.', StringComparison.Ordinal) && !t.StartsWith("webhook", StringComparison.Ordinal) && !t.StartsWith("data", StringComparison.Ordinal));
        Assert.Equal(EventTypes.All, page.Order(StringComparer.Ordinal));
    }
}
