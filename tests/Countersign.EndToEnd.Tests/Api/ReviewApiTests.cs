using System.Net;
using System.Net.Http.Json;
using Countersign.Core;
using Countersign.Gateway;
using Countersign.Reviews;
using Microsoft.Extensions.Time.Testing;

namespace Countersign.EndToEnd.Tests.Api;

public sealed class ReviewApiTests
{
    [Fact]
    public async Task An_eligible_human_approves_and_the_held_action_is_released_once()
    {
        await using var host = await ApiHost.StartAsync();
        var (agent, _) = await host.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        using var mira = await host.SignInAsync("mira");

        var list = await (await mira.GetAsync("/api/v1/reviews")).JsonAsync();
        Assert.Equal(held.Review.Id.Value, Assert.Single(list.GetProperty("reviews").EnumerateArray()).GetProperty("id").GetString());

        using var answer = await mira.AnswerAsync(held.Review.Id, "approve", "checked");
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        var forward = Assert.IsType<Ruling.Forward>(await held.Ruling);
        await forward.Passage.CompleteAsync(OutcomeStatus.Done, 1, 0, null);

        var card = await (await mira.GetAsync($"/api/v1/reviews/{held.Review.Id}")).JsonAsync();
        Assert.Equal("released", card.GetProperty("state").GetString());
        Assert.Equal(1, card.GetProperty("outcome").GetProperty("rows").GetInt64());
        var types = host.Entries().Select(static e => e.GetProperty("type").GetString()).ToArray();
        Assert.Equal(["review-opened", "login", "answer", "review-approved", "released", "outcome"], types.Skip(Array.IndexOf(types, "review-opened")));
    }

    [Fact]
    public async Task A_denial_reaches_the_agent_with_the_words_of_who_denied()
    {
        await using var host = await ApiHost.StartAsync();
        var (agent, _) = await host.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        using var mira = await host.SignInAsync("mira");
        using var answer = await mira.AnswerAsync(held.Review.Id, "deny", "not this customer");

        var refused = Assert.IsType<Ruling.Refused>(await held.Ruling).Refusal;
        Assert.Equal(ReasonCodes.ReviewDenied, refused.ReasonCode);
        Assert.Contains("not this customer", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("alice", null)] // the owner
    [InlineData("alice", "mira")] // for whom it acts
    public async Task I4_Whoever_is_behind_the_agent_may_not_approve_and_may_deny(string owner, string? onBehalfOf)
    {
        await using var host = await ApiHost.StartAsync();
        var (agent, _) = await host.AddAgentAsync(owner: owner, onBehalfOf: onBehalfOf);
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        using var self = await host.SignInAsync(onBehalfOf ?? owner);

        using var refused = await self.AnswerAsync(held.Review.Id, "approve");
        Assert.Equal(HttpStatusCode.Forbidden, refused.StatusCode);
        Assert.Equal(ReasonCodes.SelfApproval, await refused.ReasonAsync());
        Assert.Empty(host.Desk.Find(held.Review.Id)!.Answers);

        using var denied = await self.AnswerAsync(held.Review.Id, "deny");
        Assert.Equal(HttpStatusCode.OK, denied.StatusCode);
    }

    [Fact]
    public async Task A_statement_that_was_changed_or_moved_to_another_channel_is_refused()
    {
        await using var host = await ApiHost.StartAsync();
        var (agent, _) = await host.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        using var mira = await host.SignInAsync("mira", channel: null);
        var path = $"/api/v1/reviews/{held.Review.Id}";
        var statement = (await (await mira.PostAsJsonAsync($"{path}/statements", new { decision = "deny" })).JsonAsync()).GetProperty("statement").GetString()!;

        using var changed = await mira.PostAsJsonAsync($"{path}/answers", new { statement = statement.Replace("\"deny\"", "\"approve\"", StringComparison.Ordinal).Replace("42", "43", StringComparison.Ordinal) });
        Assert.Equal(ReasonCodes.StatementMismatch, await changed.ReasonAsync());
        mira.DefaultRequestHeaders.Add("Countersign-Client", "cli");
        using var moved = await mira.PostAsJsonAsync($"{path}/answers", new { statement });
        Assert.Equal(ReasonCodes.StatementMismatch, await moved.ReasonAsync());
        Assert.Equal(ReviewState.Pending, host.Desk.Find(held.Review.Id)!.State);
    }

    [Fact]
    public async Task Who_is_neither_eligible_nor_concerned_does_not_even_see_that_it_exists()
    {
        await using var host = await ApiHost.StartAsync(config: static yaml => yaml.Replace("  tom:", "  otto: { groups: [warehouse] }\n  tom:", StringComparison.Ordinal));
        var (agent, _) = await host.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        using var otto = await host.SignInAsync("otto");

        using var show = await otto.GetAsync($"/api/v1/reviews/{held.Review.Id}");
        using var none = await otto.GetAsync($"/api/v1/reviews/{ReviewId.New()}");
        Assert.Equal((HttpStatusCode.NotFound, HttpStatusCode.NotFound), (show.StatusCode, none.StatusCode));
        Assert.Empty((await (await otto.GetAsync("/api/v1/reviews")).JsonAsync()).GetProperty("reviews").EnumerateArray());
        using var answer = await otto.AnswerAsync(held.Review.Id, "deny");
        Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
    }

    [Fact]
    public async Task The_stream_tells_of_the_open_review_and_then_of_its_end()
    {
        await using var host = await ApiHost.StartAsync();
        var (agent, _) = await host.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        using var mira = await host.SignInAsync("mira");
        await using var stream = await mira.GetStreamAsync("/api/v1/reviews/stream");
        using var lines = new StreamReader(stream);

        Assert.Equal("pending", await NextStateAsync(lines));
        using var answer = await mira.AnswerAsync(held.Review.Id, "deny");
        Assert.Equal("denied", await NextStateAsync(lines));

        static async Task<string?> NextStateAsync(StreamReader lines)
        {
            while (await lines.ReadLineAsync(TestContext.Current.CancellationToken) is { } line)
            {
                if (line.StartsWith("data: ", StringComparison.Ordinal)) return System.Text.Json.JsonElement.Parse(line["data: ".Length..]).GetProperty("state").GetString();
            }

            return null;
        }
    }

    [Fact]
    public async Task P26_A_review_expires_by_the_sweep_and_can_not_be_answered_any_more()
    {
        var time = new FakeTimeProvider(new DateTimeOffset(2026, 11, 22, 12, 0, 0, TimeSpan.Zero));
        await using var host = await ApiHost.StartAsync(time);
        var (agent, _) = await host.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        using var mira = await host.SignInAsync("mira");
        time.Advance(TimeSpan.FromMinutes(10));

        Assert.Equal(ReasonCodes.ReviewExpired, Assert.IsType<Ruling.Refused>(await held.Ruling).Refusal.ReasonCode);
        using var late = await mira.AnswerAsync(held.Review.Id, "approve");
        Assert.Equal((HttpStatusCode.Conflict, ReasonCodes.ReviewClosed), (late.StatusCode, await late.ReasonAsync()));
    }

    [Fact]
    public async Task Stopping_lets_the_review_stay_open_and_a_new_start_shows_it_detached()
    {
        var folder = ApiHost.NewFolder();
        try
        {
            ReviewId id;
            await using (var host = await ApiHost.StartAsync(folder: folder))
            {
                var (agent, _) = await host.AddAgentAsync();
                var held = await host.HoldAsync(host.UpdateCustomer(agent));
                id = held.Review.Id;
                held.Waiter.Leave(LeaveReason.ShuttingDown);
                Assert.Equal(ReasonCodes.ShuttingDown, Assert.IsType<Ruling.Refused>(await held.Ruling).Refusal.ReasonCode);
            }

            await using (var again = await ApiHost.StartAsync(folder: folder))
            {
                using var mira = await again.SignInAsync("mira");
                var card = await (await mira.GetAsync($"/api/v1/reviews/{id}")).JsonAsync();
                Assert.Equal(("pending", 0), (card.GetProperty("state").GetString(), card.GetProperty("waiters").GetInt32()));
                Assert.True(card.TryGetProperty("detachedAt", out _));
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
