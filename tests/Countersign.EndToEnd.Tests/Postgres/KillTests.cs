using System.Text.Json;
using Countersign.EndToEnd.Tests.Fixtures;

namespace Countersign.EndToEnd.Tests.Postgres;

/// <summary>`kill -9` of the gateway at points of a hold: the target's own log against the journal.</summary>
[Collection("postgres")]
public sealed class KillTests(PostgresServer server) : IAsyncLifetime
{
    private GatewayProcess gateway = null!;

    public async ValueTask InitializeAsync() => gateway = await GatewayProcess.StartAsync(server, hold: WireFixture.Hold);

    public async ValueTask DisposeAsync() => await gateway.DisposeAsync();

    [Fact]
    public async Task P50_killed_around_the_approval_it_runs_exactly_once_and_only_when_it_is_repeated()
    {
        for (int round = 0, rounds = Campaign.Of(2, 40); round < rounds; round++)
        {
            var sql = $"UPDATE customers SET credit = {50_000 + round} WHERE id = 150";
            using var alice = await gateway.SignInAsync("alice");
            await using var client = await WireClient.ConnectAsync(gateway);
            await client.Query(sql).FlushAsync();
            await client.UntilAsync('N');
            var review = await GatewayProcess.TheOpenReviewAsync(alice);
            var approve = round % 2 == 1;
            if (approve)
            {
                Assert.Equal("approved", (await GatewayProcess.AnswerAsync(alice, review)).Reason);
                await Task.Delay(TimeSpan.FromMilliseconds(round * 7919 % 30), TimeProvider.System);
            }

            await gateway.KillAsync();
            await gateway.RestartAsync();
            using var again = await gateway.SignInAsync("alice");
            using var root = await gateway.SignInAsync("root");
            var card = await again.GetFromJsonOrFailAsync($"/api/v1/reviews/{review}");
            var state = card.GetProperty("state").GetString();
            if (state == "released")
            {
                // Its outcome was recorded before the gateway died, or nobody knows and it says so; it is never sent again for it.
                var status = card.GetProperty("outcome").GetProperty("status").GetString();
                Assert.Contains(status, (string[])["done", "unknown"]);
                Assert.InRange(gateway.Arrived(sql), status == "done" ? 1 : 0, 1);
                Assert.Single(await GatewayProcess.JournalAsync(root), e => GatewayProcess.TypeOf(e) == "outcome" && e.GetRawText().Contains(review, StringComparison.Ordinal));
                continue;
            }

            Assert.Equal(0, gateway.Arrived(sql));
            await using var retry = await WireClient.ConnectAsync(gateway);
            await retry.Query(sql).FlushAsync();
            if (state == "pending")
            {
                Assert.Contains(review, (await retry.UntilAsync('N')).Notices[^1], StringComparison.Ordinal);
                Assert.Equal("approved", (await GatewayProcess.AnswerAsync(again, review)).Reason);
            }

            Assert.Equal("CZ", (await retry.UntilAsync('Z')).Tags);
            Assert.Equal(1, gateway.Arrived(sql));
        }
    }

    [Fact]
    public async Task P50_I2_killed_while_it_runs_the_entry_is_there_the_outcome_unknown_and_it_is_not_run_again()
    {
        const string sql = "WITH slept AS MATERIALIZED (SELECT pg_sleep(3)) UPDATE customers SET credit = 151 FROM slept WHERE id = 151";
        using var alice = await gateway.SignInAsync("alice");
        await using var client = await WireClient.ConnectAsync(gateway);
        await client.Query(sql).FlushAsync();
        await client.UntilAsync('N');
        var review = await GatewayProcess.TheOpenReviewAsync(alice);
        await GatewayProcess.AnswerAsync(alice, review);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (gateway.Arrived("pg_sleep(3)") == 0) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, limit.Token);
        await gateway.KillAsync();
        await gateway.RestartAsync();
        using var root = await gateway.SignInAsync("root");
        var journal = await GatewayProcess.JournalAsync(root);
        var mine = journal.Where(e => e.GetRawText().Contains(review, StringComparison.Ordinal)).Select(GatewayProcess.TypeOf).ToArray();
        Assert.Contains("released", mine);
        Assert.Contains(journal, e => e.GetRawText().Contains(review, StringComparison.Ordinal) && e.GetRawText().Contains("unknown", StringComparison.Ordinal));
        Assert.Equal(1, gateway.Arrived("pg_sleep(3)"));
    }
}

internal static class JsonHttp
{
    public static async Task<JsonElement> GetFromJsonOrFailAsync(this HttpClient http, string path)
    {
        var text = await http.GetStringAsync(path);
        return JsonDocument.Parse(text).RootElement.Clone();
    }
}
