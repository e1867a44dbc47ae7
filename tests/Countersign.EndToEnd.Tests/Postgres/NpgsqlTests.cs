using System.Data;
using System.Text.Json;
using Countersign.EndToEnd.Tests.Fixtures;
using Npgsql;
using NpgsqlTypes;

namespace Countersign.EndToEnd.Tests.Postgres;

/// <summary>Npgsql as applications use it: pools, batches, transactions, prepared statements, parameters of all kinds.</summary>
[Collection("postgres")]
public sealed class NpgsqlTests(WireFixture fixture) : IClassFixture<WireFixture>, IAsyncLifetime
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync() => await fixture.DenyAllAsync();

    private string Pooled(string extra = "") => fixture.Gateway.AgentConnection(extra).Replace("Pooling=false", "Pooling=true;Maximum Pool Size=1", StringComparison.Ordinal);

    private static async Task<string> DeniedAsync(Func<Task> what)
    {
        var refused = await Assert.ThrowsAsync<PostgresException>(what);
        Assert.Equal("42501", refused.SqlState);
        return refused.Detail!;
    }

    private async Task<T> ApprovingAsync<T>(Task<T> running)
    {
        await fixture.ApproveAsync();
        return await running.WaitAsync(Soon);
    }

    [Fact]
    public async Task A_pooled_connection_is_used_again_after_a_hold_a_denial_and_a_change_of_its_settings()
    {
        await using var pool = NpgsqlDataSource.Create(Pooled());
        var backends = new HashSet<int>();
        await using (var first = await pool.OpenConnectionAsync())
        {
            backends.Add(first.ProcessID);
            Assert.Equal(1, await ApprovingAsync(new NpgsqlCommand("UPDATE customers SET credit = 191 WHERE id = 191", first).ExecuteNonQueryAsync()));
            await new NpgsqlCommand("SET search_path = evil", first).ExecuteNonQueryAsync();
            await new NpgsqlCommand("CREATE TEMP TABLE mine (id bigint)", first).ExecuteNonQueryAsync();
        }

        await using (var second = await pool.OpenConnectionAsync())
        {
            backends.Add(second.ProcessID);
            Assert.Equal("\"$user\", public", await new NpgsqlCommand("SHOW search_path", second).ExecuteScalarAsync());
            Assert.Contains("reason=policy-denied", await DeniedAsync(() => new NpgsqlCommand("DROP TABLE orders", second).ExecuteNonQueryAsync()), StringComparison.Ordinal);
        }

        await using (var third = await pool.OpenConnectionAsync())
        {
            backends.Add(third.ProcessID);
            Assert.Equal(200L, await new NpgsqlCommand("SELECT count(*) FROM orders", third).ExecuteScalarAsync());
            Assert.Equal("42P01", (await Assert.ThrowsAsync<PostgresException>(() => new NpgsqlCommand("SELECT * FROM mine", third).ExecuteNonQueryAsync())).SqlState);

            // Under the path of now, not of then: this is the classified table again.
            Assert.Equal(1, await ApprovingAsync(new NpgsqlCommand("UPDATE customers SET credit = 192 WHERE id = 192", third).ExecuteNonQueryAsync()));
        }

        Assert.Single(backends);
        Assert.Equal(192, await fixture.CreditAsync(192));
    }

    [Fact]
    public async Task A_batch_that_is_held_in_the_middle_goes_on_and_one_that_is_denied_there_leaves_nothing_behind()
    {
        await using var connection = await fixture.Gateway.ConnectAsync();
        await using var batch = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                new("INSERT INTO notes (body) VALUES ('before the hold')"),
                new("UPDATE customers SET credit = $1 WHERE id = $2") { Parameters = { new() { Value = 193L }, new() { Value = 193L } } },
                new("INSERT INTO notes (body) VALUES ('behind the hold')"),
            },
        };
        var running = batch.ExecuteNonQueryAsync();
        var review = await GatewayProcess.TheOpenReviewAsync(fixture.Alice);
        Assert.Equal(0L, await fixture.Server.AskAsync<long>("SELECT count(*) FROM notes WHERE body LIKE '%the hold'"));
        Assert.Equal(0, fixture.Gateway.Arrived("behind the hold"));
        var card = await GatewayProcess.ReviewInStateAsync(fixture.Alice, review, "pending");
        Assert.Contains("open transaction", card.GetProperty("notes").GetRawText(), StringComparison.Ordinal);
        Assert.Equal(3, await ApprovingAsync(running));
        Assert.Equal(2L, await fixture.Server.AskAsync<long>("SELECT count(*) FROM notes WHERE body LIKE '%the hold'"));

        await using var denied = new NpgsqlBatch(connection)
        {
            BatchCommands = { new("INSERT INTO notes (body) VALUES ('before the denial')"), new("DROP TABLE orders"), new("INSERT INTO notes (body) VALUES ('behind the denial')") },
        };
        var refused = await Assert.ThrowsAsync<PostgresException>(() => denied.ExecuteNonQueryAsync());
        Assert.Contains("reason=policy-denied", refused.Detail, StringComparison.Ordinal);
        Assert.Equal(0L, await fixture.Server.AskAsync<long>("SELECT count(*) FROM notes WHERE body LIKE '%the denial'"));
        Assert.Equal(200L, await new NpgsqlCommand("SELECT count(*) FROM orders", connection).ExecuteScalarAsync());
    }

    [Fact]
    public async Task In_a_transaction_a_hold_commits_with_it_a_denial_fails_it_and_a_savepoint_mends_it()
    {
        await using var connection = await fixture.Gateway.ConnectAsync();
        await using (var transaction = await connection.BeginTransactionAsync(IsolationLevel.RepeatableRead))
        {
            await new NpgsqlCommand("INSERT INTO notes (body) VALUES ('savepoint kept')", connection).ExecuteNonQueryAsync();
            Assert.Equal(1, await ApprovingAsync(new NpgsqlCommand("UPDATE customers SET credit = 194 WHERE id = 194", connection).ExecuteNonQueryAsync()));
            Assert.Equal(0, await fixture.CreditAsync(194));
            await transaction.SaveAsync("here");
            await new NpgsqlCommand("INSERT INTO notes (body) VALUES ('savepoint undone')", connection).ExecuteNonQueryAsync();
            await DeniedAsync(() => new NpgsqlCommand("DROP TABLE orders", connection).ExecuteNonQueryAsync());
            Assert.Equal("25P02", (await Assert.ThrowsAsync<PostgresException>(() => new NpgsqlCommand("SELECT 1", connection).ExecuteNonQueryAsync())).SqlState);
            await transaction.RollbackAsync("here");
            await transaction.CommitAsync();
        }

        Assert.Equal(194, await fixture.CreditAsync(194));
        Assert.Equal("savepoint kept", await fixture.Server.AskAsync<string>("SELECT string_agg(body, ',') FROM notes WHERE body LIKE 'savepoint%'"));
        await using (var transaction = await connection.BeginTransactionAsync())
        {
            await new NpgsqlCommand("INSERT INTO notes (body) VALUES ('rolled back')", connection).ExecuteNonQueryAsync();
            await DeniedAsync(() => new NpgsqlCommand("DROP TABLE orders", connection).ExecuteNonQueryAsync());
            await transaction.RollbackAsync();
        }

        Assert.Equal(0L, await fixture.Server.AskAsync<long>("SELECT count(*) FROM notes WHERE body = 'rolled back'"));
        Assert.Equal(1, await new NpgsqlCommand("INSERT INTO notes (body) VALUES ('after it')", connection).ExecuteNonQueryAsync());
    }

    [Fact]
    public async Task I10_values_of_every_kind_are_on_the_card_as_a_human_reads_them_and_on_the_server_as_they_were_bound()
    {
        await fixture.Server.ExecuteAsync("""
            CREATE TABLE kinds (id bigint PRIMARY KEY, nothing text, empty text, words text, bytes bytea, none bytea, money numeric, big numeric, at timestamptz, day date, who uuid, yes boolean, ratio float8, many bigint[], texts text[], doc jsonb);
            INSERT INTO kinds (id) VALUES (1);
            GRANT SELECT, UPDATE ON kinds TO gateway;
            """);
        const string policies = GatewayProcess.Policies + """

            @id("kinds-too")
            @review("dba")
            permit (principal in Group::"agents", action in Action::"write", resource == Table::"shop.public.kinds");
            """;
        await using var gateway = await GatewayProcess.StartAsync(fixture.Server, policies, WireFixture.Hold);
        using var alice = await gateway.SignInAsync("alice");
        await using var connection = await gateway.ConnectAsync();
        var words = "naïve ‮ \t'quoted' \\ 漢字 🙂" + new string('w', 200_000) + "END";
        var at = new DateTime(2026, 2, 28, 23, 59, 59, 123, DateTimeKind.Utc).AddTicks(4560);
        var who = Guid.Parse("00112233-4455-6677-8899-aabbccddeeff");
        await using var command = new NpgsqlCommand(
            "UPDATE kinds SET nothing = $1, empty = $2, words = $3, bytes = $4, none = $5, money = $6, big = $7, at = $8, day = $9, who = $10, yes = $11, ratio = $12, many = $13, texts = $14, doc = $15 WHERE id = $16", connection)
        {
            Parameters =
            {
                new() { Value = DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text }, new() { Value = "" }, new() { Value = words }, new() { Value = new byte[] { 0, 1, 0xFE, 0xFF } },
                new() { Value = Array.Empty<byte>() }, new() { Value = 12345678901234567890.0100m }, new() { Value = System.Numerics.BigInteger.Parse("-123456789012345678901234567890", System.Globalization.CultureInfo.InvariantCulture), NpgsqlDbType = NpgsqlDbType.Numeric },
                new() { Value = at }, new() { Value = new DateOnly(2024, 2, 29) }, new() { Value = who }, new() { Value = true }, new() { Value = 0.1 },
                new() { Value = new long?[] { 9007199254740993, null, -1 }, NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Bigint }, new() { Value = new[] { "a,b", "", "\"q\"", "NULL" } },
                new() { Value = """{"a": [1, null]}""", NpgsqlDbType = NpgsqlDbType.Jsonb }, new() { Value = 1L },
            },
        };
        var running = command.ExecuteNonQueryAsync();
        var review = await GatewayProcess.TheOpenReviewAsync(alice);
        var card = await GatewayProcess.ReviewInStateAsync(alice, review, "pending");
        var shown = card.GetProperty("parameters").EnumerateArray().Select(static p => p.GetProperty("value").ValueKind == JsonValueKind.Null ? null : p.GetProperty("value").GetString()).ToArray();
        Assert.Equal("approved", (await GatewayProcess.AnswerAsync(alice, review)).Reason);
        Assert.Equal(1, await running.WaitAsync(Soon));

        Assert.Null(shown[0]);
        Assert.Equal("", shown[1]);
        Assert.EndsWith("wwwEND", shown[2], StringComparison.Ordinal);
        Assert.Contains("naïve", shown[2], StringComparison.Ordinal);
        Assert.DoesNotContain('‮', shown[2]!);
        Assert.Equal([@"\x0001feff", @"\x", "12345678901234567890.0100", "-123456789012345678901234567890"], shown[3..7]);
        Assert.Equal(["2026-02-28 23:59:59.123456+00", "2024-02-29", who.ToString(), "true", "0.1", "{9007199254740993,NULL,-1}"], shown[7..13]);
        Assert.Equal("""{"a,b","","\"q\"","NULL"}""", shown[13]);
        Assert.Equal("""{"a": [1, null]}""", shown[14]);

        Assert.Equal(words, await fixture.Server.AskAsync<string>("SELECT words FROM kinds"));
        Assert.Equal("t|t|\\x0001feff|t|12345678901234567890.0100|-123456789012345678901234567890|2026-02-28 23:59:59.123456+00|2024-02-29|00112233-4455-6677-8899-aabbccddeeff|true|0.1|{9007199254740993,NULL,-1}|{\"a,b\",\"\",\"\\\"q\\\"\",\"NULL\"}|{\"a\": [1, null]}",
            await fixture.Server.AskAsync<string>("SELECT concat_ws('|', nothing IS NULL, empty = '', bytes, none = '', money, big, at AT TIME ZONE 'UTC' || '+00', day, who, yes::text, ratio, many, texts, doc) FROM kinds"));
    }

    [Theory]
    [InlineData("")]
    [InlineData("Max Auto Prepare=10;Auto Prepare Min Usages=1")]
    public async Task P7_a_prepared_statement_asks_for_each_of_its_values_on_whatever_connection_it_runs(string kind)
    {
        await using var pool = NpgsqlDataSource.Create(Pooled(kind));
        var id = kind.Length == 0 ? 195 : kind[0] == 'M' && kind[1] == 'a' ? 196 : 197;
        for (var n = 1; n <= 2; n++)
        {
            await using var connection = await pool.OpenConnectionAsync();
            await using var command = new NpgsqlCommand("UPDATE customers SET credit = $1 WHERE id = $2", connection) { Parameters = { new() { Value = (long)n }, new() { Value = (long)id } } };
            if (kind.Length == 0) await command.PrepareAsync();
            var running = command.ExecuteNonQueryAsync();
            var review = await GatewayProcess.TheOpenReviewAsync(fixture.Alice);
            var card = await GatewayProcess.ReviewInStateAsync(fixture.Alice, review, "pending");
            Assert.Equal($"{n}", card.GetProperty("parameters")[0].GetProperty("value").GetString());
            Assert.Equal(1, await ApprovingAsync(running));
            Assert.Equal(n, await fixture.CreditAsync(id));
            await GatewayProcess.ReviewInStateAsync(fixture.Alice, review, "released");
        }
    }
}
