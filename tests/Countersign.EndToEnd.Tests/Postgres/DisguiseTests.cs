using Countersign.EndToEnd.Tests.Fixtures;
using Countersign.PgWire;

namespace Countersign.EndToEnd.Tests.Postgres;

/// <summary>Ways to be understood as one thing and carried out as another. Each ran unreviewed once.</summary>
[Collection("postgres")]
public sealed class DisguiseTests(WireFixture fixture) : IClassFixture<WireFixture>, IAsyncLifetime
{
    private const string Slow = "SELECT count(*) FROM generate_series(1, 1500000)";

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync() => await fixture.DenyAllAsync();

    private static string Update(int id) => $"UPDATE customers SET credit = {id} WHERE id = {id}";

    /// <summary>Whatever the client is told: the customer is as before, and nothing arrived.</summary>
    private async Task NothingRanAsync(int id)
    {
        Assert.Equal(0, await fixture.CreditAsync(id));
        Assert.Equal(0, fixture.Gateway.Arrived(Update(id)));
    }

    [Fact]
    public async Task P11_statement_names_that_the_server_cuts_to_one_are_refused()
    {
        await using var client = await fixture.ConnectAsync();
        var stem = new string('n', 63);
        await client.Parse(stem + "A", "SELECT 1").Sync().Close(NamedKind.Statement, stem + "B").Sync().Parse(stem + "C", Update(101)).Sync().AskAsync(3);
        var answer = await client.Bind("", stem + "A").Execute().Sync().AskAsync();
        Assert.Single(answer.Errors);
        await NothingRanAsync(101);
    }

    [Fact]
    public async Task P11_two_failed_parses_of_one_name_leave_what_the_server_has()
    {
        await using var client = await fixture.ConnectAsync();
        Assert.Equal("1Z", (await client.Parse("s", Update(102)).Sync().AskAsync()).Tags);
        await client.Query(Slow).Parse("s", "SELECT 1").Sync().Parse("s", "SELECT 2").Sync().AskAsync(3);
        await client.Bind("", "s").Execute().Sync().FlushAsync();
        var told = await client.UntilAsync(static m => m.Tag is 'N' or 'Z');
        Assert.Contains("held for review", Assert.Single(told.Notices), StringComparison.Ordinal);
        await NothingRanAsync(102);
    }

    [Fact]
    public async Task P11_a_name_that_sql_gives_to_another_statement_in_flight_is_not_the_old_one()
    {
        await using var client = await fixture.ConnectAsync();
        await client.Query("PREPARE n AS SELECT 1").AskAsync();
        await client.Query(Slow).Query("DEALLOCATE n").Query("PREPARE n AS " + Update(103)).Bind("", "n").Execute().Sync().FlushAsync();
        var readies = 0;
        var told = await client.UntilAsync(m => (m.Tag == 'N') || (m.Tag == 'Z' && ++readies == 4));
        Assert.Contains("held for review", Assert.Single(told.Notices), StringComparison.Ordinal);
        Assert.Equal(0, await fixture.CreditAsync(103));
    }

    [Fact]
    public async Task P5_a_path_set_locally_in_an_implicit_transaction_ends_with_it()
    {
        await using var client = await fixture.ConnectAsync();
        await client.Run("SET LOCAL search_path = evil").Run("SELECT 1").Sync().AskAsync();
        await client.Query(Update(104)).FlushAsync();
        var told = await client.UntilAsync(static m => (m.Tag == 'N' && WireClient.ErrorOf(m.Body).Contains("held", StringComparison.Ordinal)) || m.Tag == 'Z');
        Assert.DoesNotContain('Z', told.Tags);
        await NothingRanAsync(104);
    }

    [Fact]
    public async Task P5_a_path_set_in_a_batch_that_failed_is_undone()
    {
        await using var client = await fixture.ConnectAsync();
        var batch = await client.Run("SET search_path = evil").Run("SELECT 1").Run("SELECT 1/0").Sync().AskAsync();
        Assert.StartsWith("22012", Assert.Single(batch.Errors), StringComparison.Ordinal);
        await client.Query(Update(105)).FlushAsync();
        Assert.DoesNotContain('Z', (await client.UntilAsync(static m => m.Tag is 'N' or 'Z')).Tags);
        await NothingRanAsync(105);
    }

    [Fact]
    public async Task P5_a_rollback_before_another_statement_in_one_text_is_refused_where_a_transaction_is_open()
    {
        await using var client = await fixture.ConnectAsync();
        await client.Query("BEGIN").Query("SET search_path = evil").Query("SELECT 1").AskAsync(3);
        var answer = await client.Query("ROLLBACK; " + Update(106)).AskAsync();
        Assert.Contains("reason=not-supported", Assert.Single(answer.Errors), StringComparison.Ordinal);
        Assert.Equal("E", answer.TransactionStatus);
        await NothingRanAsync(106);
        Assert.Equal("I", (await client.Query("ROLLBACK").AskAsync()).TransactionStatus);
    }

    [Fact]
    public async Task P5_what_follows_a_rollback_in_the_same_batch_is_understood_under_the_path_of_then()
    {
        await using var client = await fixture.ConnectAsync();
        await client.Query("BEGIN").Query("SET search_path = evil").Query("SELECT 1").Query("SELECT 1/0").AskAsync(4);
        await client.Run("ROLLBACK").Run(Update(107)).Sync().FlushAsync();
        Assert.DoesNotContain('Z', (await client.UntilAsync(static m => m.Tag is 'N' or 'Z')).Tags);
        await NothingRanAsync(107);
    }

    [Fact]
    public async Task P7_a_portal_approved_under_one_path_does_not_run_under_another()
    {
        await using var client = await fixture.ConnectAsync();
        await client.Query("BEGIN").AskAsync();
        await client.Parse("u", Update(108)).Bind("p", "u").Flush().FlushAsync();
        await client.UntilAsync('N');
        await fixture.ApproveAsync();
        await client.UntilAsync('2');
        await client.Sync().Query("SET search_path = evil").AskAsync(2);
        var answer = await client.Execute("p").Sync().AskAsync();
        Assert.Single(answer.Errors);
        Assert.Equal("E", answer.TransactionStatus);
        await NothingRanAsync(108);
    }

    [Fact]
    public async Task P8_an_execute_that_was_skipped_does_not_run_later()
    {
        await using var client = await fixture.ConnectAsync();
        await client.Query("BEGIN").AskAsync();
        await client.Parse("u", Update(109)).Bind("p", "u").Flush().FlushAsync();
        await client.UntilAsync('N');
        await fixture.ApproveAsync();
        await client.UntilAsync('2');
        await client.Sync().Query("SAVEPOINT s").AskAsync(2);
        Assert.Single((await client.Run("SELECT 1/0").Execute("p").Sync().AskAsync()).Errors);
        await client.Query("ROLLBACK TO s").AskAsync();
        Assert.Single((await client.Execute("p").Sync().AskAsync()).Errors);
        await client.Query("COMMIT").AskAsync();
        await NothingRanAsync(109);
    }

    [Fact]
    public async Task P11_an_approved_execute_is_void_when_its_name_means_something_else()
    {
        await using var client = await fixture.ConnectAsync();
        await client.Query("BEGIN").Query("PREPARE k AS SELECT 1").AskAsync(2);
        Assert.Equal("12", (await FlushedAsync(client.Parse("e", "EXECUTE k").Bind("p", "e").Flush(), '2')).Tags);
        await client.Sync().Query("DEALLOCATE k").Query("PREPARE k AS " + Update(112)).AskAsync(3);
        Assert.Single((await client.Execute("p").Sync().AskAsync()).Errors);
        Assert.Equal(0, await fixture.CreditAsync(112));

        static async Task<Answer> FlushedAsync(WireClient client, char last)
        {
            await client.FlushAsync();
            return await client.UntilAsync(last);
        }
    }

    [Fact]
    public async Task P11_a_cursor_does_not_answer_for_a_portal_of_an_ended_transaction()
    {
        await using var client = await fixture.ConnectAsync();
        await client.Parse("q", "SELECT 1").Bind("c", "q").Execute("c").Sync().AskAsync();
        await client.Query("BEGIN").Query("DECLARE c CURSOR FOR SELECT id FROM orders").AskAsync(2);
        var answer = await client.Execute("c").Sync().AskAsync();
        Assert.Single(answer.Errors);
        Assert.Empty(answer.Values);
    }

    [Fact]
    public async Task P2_a_setting_that_changes_how_text_is_read_is_refused_and_the_session_goes_on()
    {
        await using var client = await fixture.ConnectAsync();
        foreach (var sql in new[] { "SET standard_conforming_strings = off", "SELECT set_config('standard_conforming_strings', 'off', false)", "SET client_encoding = 'SJIS'", "SET NAMES 'GBK'" })
        {
            Assert.Contains("reason=unsafe-setting", Assert.Single((await client.Query(sql).AskAsync()).Errors), StringComparison.Ordinal);
            Assert.Contains("reason=unsafe-setting", Assert.Single((await client.Run(sql).Sync().AskAsync()).Errors), StringComparison.Ordinal);
        }

        Assert.Equal(["on"], (await client.Query("SHOW standard_conforming_strings").AskAsync()).Values);
    }

    [Fact]
    public async Task P2_a_block_that_changes_how_text_is_read_ends_the_session_before_anything_more_is_read()
    {
        await using var client = await fixture.ConnectAsync();
        await client.Run("DO $$ BEGIN PERFORM set_config('standard_conforming_strings', 'off', false); END $$").Run(@"SELECT '\'' ; DELETE FROM notes; --'").Sync().FlushAsync();
        await client.UntilAsync('N');
        await fixture.ApproveAsync();
        var answer = await client.UntilAsync('Z');
        Assert.True(answer.Closed, answer.Tags);
        Assert.Contains(answer.Errors, static e => e.Contains("reason=unsafe-setting", StringComparison.Ordinal));
        Assert.Equal(0, fixture.Gateway.Arrived("DELETE FROM notes"));
    }

    [Fact]
    public async Task A_revoked_agent_runs_nothing_more_on_a_session_that_it_had()
    {
        await using var gateway = await GatewayProcess.StartAsync(fixture.Server, hold: WireFixture.Hold);
        using var root = await gateway.SignInAsync("root");
        using var alice = await gateway.SignInAsync("alice");
        await using var client = await WireClient.ConnectAsync(gateway);
        await using var held = await WireClient.ConnectAsync(gateway);
        Assert.Equal(["1"], (await client.Query("SELECT 1").AskAsync()).Values);
        await held.Query(Update(113)).FlushAsync();
        await held.UntilAsync('N');
        (await root.DeleteAsync($"/api/v1/agents/{GatewayProcess.Agent}")).EnsureSuccessStatusCode();
        var answer = await client.Query("SELECT 2").AskAsync();
        Assert.Empty(answer.Values);
        Assert.True(answer.Closed);
        await GatewayProcess.AnswerAsync(alice, await GatewayProcess.TheOpenReviewAsync(alice));
        Assert.NotEmpty((await held.UntilAsync('Z')).Errors);
        await NothingRanAsync(113);
        await using var again = await WireClient.DialAsync(gateway.Port);
        Assert.StartsWith("28P01", await again.StartAsync(GatewayProcess.Agent, gateway.AgentKey, "shop"), StringComparison.Ordinal);
    }
}
