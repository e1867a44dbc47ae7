using System.Diagnostics;
using System.Globalization;
using System.Net;
using Countersign.EndToEnd.Tests.Fixtures;
using Npgsql;

namespace Countersign.EndToEnd.Tests.Postgres;

/// <summary>What an operator lives with: a disk that takes nothing more, and a collector that wants to know.</summary>
[Collection("postgres")]
public sealed class OperatingTests(PostgresServer server)
{
    private static Task LimitFilesAsync(GatewayProcess gateway, string limit) =>
        Child.RunAsync("prlimit", "--pid", gateway.Process.Id.ToString(CultureInfo.InvariantCulture), $"--fsize={limit}:unlimited");

    /// <summary>Asks again and again until it is as wanted.</summary>
    private static async Task<Answer> UntilAsync(WireClient client, string sql, Func<Answer, bool> wanted)
    {
        var since = Stopwatch.StartNew();
        while (true)
        {
            var answer = await client.Query(sql).AskAsync();
            if (wanted(answer)) return answer;
            Assert.True(since.Elapsed < TimeSpan.FromSeconds(20), $"{sql}: {answer.Tags} {string.Join(' ', answer.Errors)}");
            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System);
        }
    }

    [Fact]
    public async Task P51_I2_nothing_runs_while_the_journal_can_not_write_and_it_goes_on_by_itself_when_it_can()
    {
        await using var gateway = await GatewayProcess.StartAsync(server, new GatewayProcess.Setup(IgnoreFileSizeSignal: true));
        using var http = new HttpClient { BaseAddress = gateway.Http };
        await using var client = await WireClient.ConnectAsync(gateway);
        Assert.Equal("CZ", (await client.Query("INSERT INTO notes (body) VALUES ('space left')").AskAsync()).Tags);

        // No file grows, or is written, beyond its first byte: each write of the journal fails.
        await LimitFilesAsync(gateway, "1");
        foreach (var sql in new[] { "INSERT INTO notes (body) VALUES ('no space left')", "UPDATE customers SET credit = 141 WHERE id = 141", "DROP TABLE orders", "SELEC p51_marker" })
        {
            var refused = await client.Query(sql).AskAsync();
            Assert.True(refused.Errors is [var error] && error.Contains("reason=journal-unavailable", StringComparison.Ordinal), $"{sql}: {refused.Tags} {string.Join(' ', refused.Errors)} {gateway.Said}");
            Assert.Equal(0, gateway.Arrived(sql));
        }

        // Reads may be journalled just behind, and so a few may pass until the bound is reached.
        var read = await UntilAsync(client, "SELECT 1", static a => a.Errors.Length > 0);
        Assert.Contains("reason=journal-unavailable", Assert.Single(read.Errors), StringComparison.Ordinal);
        Assert.Contains("reason=journal-unavailable", Assert.Single((await client.Run("SELECT 2").Sync().AskAsync()).Errors), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await http.GetAsync("/readyz")).StatusCode);

        await LimitFilesAsync(gateway, "unlimited");
        await UntilAsync(client, "INSERT INTO notes (body) VALUES ('space again')", static a => a.Tags == "CZ");
        Assert.Equal(["3"], (await client.Query("SELECT 3").AskAsync()).Values);
        Assert.Equal(HttpStatusCode.OK, (await http.GetAsync("/readyz")).StatusCode);
        Assert.Equal("space again,space left", await server.AskAsync<string>("SELECT string_agg(body, ',' ORDER BY body) FROM notes WHERE body LIKE '%space%'"));
        Assert.Equal(0L, await server.AskAsync<long>("SELECT credit FROM customers WHERE id = 141"));
    }

    [Fact]
    public async Task P56_each_step_of_an_action_is_a_span_of_one_trace_and_nothing_that_was_said_or_bound_is_in_it()
    {
        await using var collector = await OtlpReceiver.StartAsync();
        await using var gateway = await GatewayProcess.StartAsync(server, new GatewayProcess.Setup(Extra: $"telemetry: {{ otlp: {collector.Endpoint} }}"));
        using (var alice = await gateway.SignInAsync("alice"))
        {
            await using var connection = await gateway.ConnectAsync();
            await new NpgsqlCommand("SET countersign.reason = 'otlp_intent_marker'", connection).ExecuteNonQueryAsync();
            await using var command = new NpgsqlCommand("UPDATE customers SET email = $1, credit = 142 WHERE id = $2 AND 'otlp_text_marker' <> ''", connection)
            {
                Parameters = { new() { Value = "otlp_value_marker" }, new() { Value = 142L } },
            };
            var running = command.ExecuteNonQueryAsync();
            var review = await GatewayProcess.TheOpenReviewAsync(alice);
            Assert.Equal("approved", (await GatewayProcess.AnswerAsync(alice, review, comment: "otlp_comment_marker")).Reason);
            Assert.Equal(1, await running);
            await Assert.ThrowsAsync<PostgresException>(() => new NpgsqlCommand("DROP TABLE orders", connection).ExecuteNonQueryAsync());
        }

        await gateway.StopAsync();
        var spans = collector.Spans;
        var held = spans.Single(static s => s.Name == "hold");
        var steps = spans.Where(s => s.Trace == held.Trace).ToArray();
        Assert.Equal(["action", "decide", "forward", "hold", "outcome", "release", "understand"], steps.Select(static s => s.Name).Distinct().Order(StringComparer.Ordinal));
        var root = steps.Single(static s => s.Parent.Length == 0);
        Assert.Equal("action", root.Name);
        Assert.All(steps, s => Assert.True(s == root || steps.Any(p => p.Id == s.Parent), s.Name));
        Assert.Equal(held.Id, steps.Single(static s => s.Name == "release").Parent);
        Assert.Equal(root.Id, steps.Single(static s => s.Name == "forward").Parent);
        var names = spans.Select(static s => s.Name).ToHashSet();
        foreach (var step in (string[])["identify", "record", "answer", "journal.commit"]) Assert.Contains(step, names);
        foreach (var metric in (string[])["countersign.actions", "countersign.outcomes", "countersign.held", "countersign.decide.duration", "countersign.record.duration", "countersign.hold.duration", "countersign.forward.duration", "countersign.journal.commit.duration"])
        {
            Assert.Contains(metric, collector.Metrics);
        }

        var everything = collector.Everything;
        Assert.Contains("countersign", everything, StringComparison.Ordinal);
        foreach (var secret in (string[])["otlp_", "UPDATE", "customers", "DROP", PostgresServer.GatewayPassword, gateway.AgentKey, "alice", "Bearer"])
        {
            Assert.DoesNotContain(secret, everything, StringComparison.Ordinal);
        }
    }
}
