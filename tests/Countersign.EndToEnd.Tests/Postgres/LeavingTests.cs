using System.Text.Json;
using Countersign.EndToEnd.Tests.Fixtures;
using Npgsql;

namespace Countersign.EndToEnd.Tests.Postgres;

/// <summary>Who leaves while something is held: the client, the gateway, the key, the agent.</summary>
[Collection("postgres")]
public sealed class LeavingTests(PostgresServer server) : IAsyncLifetime
{
    private GatewayProcess gateway = null!;

    public async ValueTask InitializeAsync() => gateway = await GatewayProcess.StartAsync(server, hold: WireFixture.Hold);

    public async ValueTask DisposeAsync() => await gateway.DisposeAsync();

    private static string Update(int id) => $"UPDATE customers SET credit = {id} WHERE id = {id}";

    private static async Task<string> HoldAsync(WireClient client, HttpClient human, int id)
    {
        await client.Query(Update(id)).FlushAsync();
        await client.UntilAsync('N');
        return (await GatewayProcess.OpenReviewsAsync(human)).Single(r => r.GetRawText().Contains(Update(id), StringComparison.Ordinal)).GetProperty("id").GetString()!;
    }

    private async Task NothingRanAsync(int id)
    {
        Assert.Equal(0, gateway.Arrived(Update(id)));
        Assert.Equal(0L, await server.AskAsync<long>($"SELECT credit FROM customers WHERE id = {id}"));
    }

    [Fact]
    public async Task P24_a_client_that_says_goodbye_while_held_detaches_its_review_and_nothing_runs_when_it_is_approved()
    {
        using var alice = await gateway.SignInAsync("alice");
        await using (var client = await WireClient.ConnectAsync(gateway))
        {
            var review = await HoldAsync(client, alice, 171);
            await client.Write(static o => System.Buffers.BuffersExtensions.Write(o, "X\0\0\0\u0004"u8)).FlushAsync();
            Assert.True((await client.UntilAsync(static _ => false)).Closed);
            Assert.Equal("approved", (await GatewayProcess.AnswerAsync(alice, review)).Reason);
        }

        await NothingRanAsync(171);
        await using var back = await WireClient.ConnectAsync(gateway);
        Assert.Equal("CZ", (await back.Query(Update(171)).AskAsync()).Tags);
        Assert.Equal(1, gateway.Arrived(Update(171)));
    }

    [Fact]
    public async Task A_gateway_that_is_told_to_stop_tells_who_is_held_and_the_review_waits_for_a_retry_after_the_restart()
    {
        string review;
        using (var alice = await gateway.SignInAsync("alice"))
        {
            await using var client = await WireClient.ConnectAsync(gateway);
            await using var idle = await gateway.ConnectAsync();
            review = await HoldAsync(client, alice, 172);
            var stopping = gateway.StopAsync();
            var told = await client.UntilAsync(static _ => false);
            var error = Assert.Single(told.Errors);
            Assert.StartsWith("57P01", error, StringComparison.Ordinal);
            Assert.Contains($"reason=shutting-down review={review}", error, StringComparison.Ordinal);
            await stopping.WaitAsync(TimeSpan.FromSeconds(8));
            var failed = await Assert.ThrowsAsync<PostgresException>(() => new NpgsqlCommand("SELECT 1", idle).ExecuteNonQueryAsync());
            Assert.Equal("57P01", failed.SqlState);
        }

        await NothingRanAsync(172);
        await gateway.RestartAsync();
        using var again = await gateway.SignInAsync("alice");
        var card = await GatewayProcess.ReviewInStateAsync(again, review, "pending");
        Assert.Equal(JsonValueKind.String, card.GetProperty("detachedAt").ValueKind);
        await using var retry = await WireClient.ConnectAsync(gateway);
        Assert.Equal(review, await HoldAsync(retry, again, 172));
        Assert.Equal("approved", (await GatewayProcess.AnswerAsync(again, review)).Reason);
        Assert.Equal("CZ", (await retry.UntilAsync('Z')).Tags);
        Assert.Equal(1, gateway.Arrived(Update(172)));
    }

    [Fact]
    public async Task P22_a_revoked_key_ends_what_its_sessions_may_do_and_leaves_those_of_another_key_alone()
    {
        using var root = await gateway.SignInAsync("root");
        using var alice = await gateway.SignInAsync("alice");
        var agents = await root.GetFromJsonOrFailAsync("/api/v1/agents");
        var keyId = agents.GetProperty("agents")[0].GetProperty("keys")[0].GetProperty("id").GetString();
        var added = await root.PostAsync($"/api/v1/agents/{GatewayProcess.Agent}/keys", null);
        var key = JsonDocument.Parse(await added.Content.ReadAsStringAsync()).RootElement.GetProperty("key").GetString()!;

        await using var old = await WireClient.ConnectAsync(gateway);
        await using var held = await WireClient.ConnectAsync(gateway);
        await using var other = await WireClient.DialAsync(gateway.Port);
        Assert.Null(await other.StartAsync(GatewayProcess.Agent, key, "shop"));
        var review = await HoldAsync(held, alice, 173);
        (await root.DeleteAsync($"/api/v1/agents/{GatewayProcess.Agent}/keys/{keyId}")).EnsureSuccessStatusCode();

        Assert.Contains("reason=unauthenticated", Assert.Single((await old.Query("SELECT 1").AskAsync()).Errors), StringComparison.Ordinal);
        Assert.Equal(["2"], (await other.Query("SELECT 2").AskAsync()).Values);
        Assert.Equal("approved", (await GatewayProcess.AnswerAsync(alice, review)).Reason);
        Assert.Contains("reason=unauthenticated", Assert.Single((await held.UntilAsync('Z')).Errors), StringComparison.Ordinal);
        await NothingRanAsync(173);
        await using var again = await WireClient.DialAsync(gateway.Port);
        Assert.StartsWith("28P01", await again.StartAsync(GatewayProcess.Agent, gateway.AgentKey, "shop"), StringComparison.Ordinal);

        // What was approved is the agent's, and waits for its other key.
        Assert.Equal("CZ", (await other.Query(Update(173)).AskAsync()).Tags);
        Assert.Equal(1, gateway.Arrived(Update(173)));
    }
}
