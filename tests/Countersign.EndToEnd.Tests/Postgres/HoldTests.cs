using System.Net;
using Countersign.EndToEnd.Tests.Fixtures;
using Npgsql;

namespace Countersign.EndToEnd.Tests.Postgres;

/// <summary>The whole way, with real clients, a real server and a real gateway process.</summary>
[Collection("postgres")]
public sealed class HoldTests(PostgresServer server) : IAsyncLifetime
{
    private GatewayProcess gateway = null!;
    private HttpClient alice = null!;
    private HttpClient root = null!;

    public async ValueTask InitializeAsync()
    {
        gateway = await GatewayProcess.StartAsync(server);
        alice = await gateway.SignInAsync("alice");
        root = await gateway.SignInAsync("root");
    }

    public async ValueTask DisposeAsync()
    {
        alice.Dispose();
        root.Dispose();
        await gateway.DisposeAsync();
    }

    [Fact]
    public async Task Psql_waits_with_a_notice_and_finishes_with_its_row_count_when_approved()
    {
        await using var psql = gateway.Psql("-c", "UPDATE customers SET credit = 11 WHERE id = 1");
        await psql.SaysAsync("held for review");
        Assert.Equal(0L, await server.AskAsync<long>("SELECT credit FROM customers WHERE id = 1"));
        var review = await GatewayProcess.TheOpenReviewAsync(alice);
        Assert.Equal((HttpStatusCode.OK, "approved"), await GatewayProcess.AnswerAsync(alice, review));
        Assert.Equal(0, await psql.EndsAsync());
        Assert.Contains("UPDATE 1", psql.Text, StringComparison.Ordinal);
        Assert.Equal(11L, await server.AskAsync<long>("SELECT credit FROM customers WHERE id = 1"));
        Assert.Equal(1, gateway.Arrived("SET credit = 11 WHERE"));
    }

    [Fact]
    public async Task Psql_gets_42501_with_the_reason_when_denied_and_the_session_goes_on()
    {
        await using var psql = gateway.Psql("-c", "UPDATE customers SET credit = 12 WHERE id = 2", "-c", "SELECT 'still ' || 'here'");
        await psql.SaysAsync("held for review");
        await GatewayProcess.AnswerAsync(alice, await GatewayProcess.TheOpenReviewAsync(alice), "deny", "not tonight");
        await psql.EndsAsync();
        Assert.Contains("42501", psql.Text, StringComparison.Ordinal);
        Assert.Contains("reason=review-denied", psql.Text, StringComparison.Ordinal);
        Assert.Contains("not tonight", psql.Text, StringComparison.Ordinal);
        Assert.Contains("still here", psql.Text, StringComparison.Ordinal);
        Assert.Equal(0, gateway.Arrived("SET credit = 12 WHERE"));
    }

    [Fact]
    public async Task P12_psql_interrupted_withdraws_the_review()
    {
        await using var psql = gateway.Psql("-c", "UPDATE customers SET credit = 13 WHERE id = 3", "-c", "SELECT 'still ' || 'here'");
        await psql.SaysAsync("held for review");
        var review = await GatewayProcess.TheOpenReviewAsync(alice);
        psql.Signal(Child.SigInt);
        await psql.EndsAsync();
        await GatewayProcess.ReviewInStateAsync(alice, review, "withdrawn");
        Assert.Contains("57014", psql.Text, StringComparison.Ordinal);
        Assert.Equal((HttpStatusCode.Conflict, "review-closed"), await GatewayProcess.AnswerAsync(alice, review));
        Assert.Equal(0, gateway.Arrived("SET credit = 13 WHERE"));
    }

    [Fact]
    public async Task P7_a_prepared_statement_executed_twice_with_other_values_asks_twice_and_each_card_shows_its_own()
    {
        await using var connection = await gateway.ConnectAsync();
        await using var command = new NpgsqlCommand("UPDATE customers SET credit = $1 WHERE id = $2", connection);
        var credit = command.Parameters.Add(new NpgsqlParameter<long>());
        var id = command.Parameters.Add(new NpgsqlParameter<long>());
        await command.PrepareAsync();

        // Two bigints that differ in the last digit, beyond what a double can tell apart.
        string[] digests = new string[2];
        for (var n = 0; n < 2; n++)
        {
            ((NpgsqlParameter<long>)credit!).TypedValue = 9007199254740992 + n;
            ((NpgsqlParameter<long>)id!).TypedValue = 7;
            var running = command.ExecuteNonQueryAsync();
            var review = await GatewayProcess.TheOpenReviewAsync(alice);
            var card = await GatewayProcess.ReviewInStateAsync(alice, review, "pending");
            digests[n] = card.GetProperty("digest").GetString()!;
            Assert.Equal($"{9007199254740992 + n}", card.GetProperty("parameters")[0].GetProperty("value").GetString());
            Assert.Equal("bigint", card.GetProperty("parameters")[0].GetProperty("type").GetString());
            Assert.Equal((HttpStatusCode.OK, "approved"), await GatewayProcess.AnswerAsync(alice, review));
            Assert.Equal(1, await running.WaitAsync(TimeSpan.FromSeconds(30)));
            await GatewayProcess.ReviewInStateAsync(alice, review, "released");
        }

        Assert.NotEqual(digests[0], digests[1]);
        Assert.Equal(9007199254740993L, await server.AskAsync<long>("SELECT credit FROM customers WHERE id = 7"));
    }

    [Fact]
    public async Task I4_owner_and_acted_for_are_refused_and_the_refusal_is_journalled()
    {
        await using var psql = gateway.Psql("-c", "UPDATE customers SET credit = 14 WHERE id = 4");
        await psql.SaysAsync("held for review");
        var review = await GatewayProcess.TheOpenReviewAsync(alice);
        foreach (var user in new[] { GatewayProcess.Owner, GatewayProcess.ActsFor })
        {
            using var self = await gateway.SignInAsync(user);
            Assert.Equal((HttpStatusCode.Forbidden, "self-approval"), await GatewayProcess.AnswerAsync(self, review));
        }

        using var eve = await gateway.SignInAsync("eve");
        Assert.NotEqual(HttpStatusCode.OK, (await GatewayProcess.AnswerAsync(eve, review)).Status);
        Assert.Equal("approved", (await GatewayProcess.AnswerAsync(alice, review)).Reason);
        Assert.Equal(0, await psql.EndsAsync());
    }

    [Fact]
    public async Task The_first_notice_tells_the_agent_what_to_do_and_the_next_ones_are_short()
    {
        await using var quick = await GatewayProcess.StartAsync(server, hold: "hold: { notice: 1s }");
        await using var psql = quick.Psql("-c", "UPDATE customers SET credit = 15 WHERE id = 5");
        await psql.SaysAsync("still held for review");
        Assert.Equal(1, psql.Text.Split("HINT:").Length - 1);
        Assert.Matches("tell your human: countersign review approve rv_[a-z0-9]+; keep this connection open; a cancel withdraws", psql.Text);
        psql.Signal(Child.SigInt);
        await psql.EndsAsync();
    }

    [Fact]
    public async Task A_drop_is_denied_at_once_and_never_arrives()
    {
        await using var psql = gateway.Psql("-c", "DROP TABLE orders", "-c", "SELECT count(*) FROM orders");
        await psql.EndsAsync();
        Assert.Contains("reason=policy-denied", psql.Text, StringComparison.Ordinal);
        Assert.Contains("Production objects are dropped by migrations only.", psql.Text, StringComparison.Ordinal);
        Assert.Contains("200", psql.Text, StringComparison.Ordinal);
        Assert.Equal(0, gateway.Arrived("DROP TABLE orders"));
    }
}

[CollectionDefinition("postgres")]
public sealed class PostgresCollection : ICollectionFixture<PostgresServer>;
