using System.Text.Json;
using Countersign.EndToEnd.Tests.Fixtures;
using Npgsql;

namespace Countersign.EndToEnd.Tests.Postgres;

/// <summary>How many rows the planner expects of what is held: asked beside the session, and only where planning runs nothing unknown.</summary>
[Collection("postgres")]
public sealed class EstimateTests(WireFixture fixture) : IClassFixture<WireFixture>, IAsyncLifetime
{
    public async ValueTask InitializeAsync() => await fixture.Server.ExecuteAsync("ANALYZE public.customers; ANALYZE public.orders");

    public async ValueTask DisposeAsync() => await fixture.DenyAllAsync();

    private static bool IsHeld((char Tag, byte[] Body) m) => m.Tag == 'N' && WireClient.ErrorOf(m.Body).Contains("held for review", StringComparison.Ordinal);

    /// <summary>The card of the one open review, once it has its estimate.</summary>
    private async Task<JsonElement> EstimatedAsync()
    {
        var review = await GatewayProcess.TheOpenReviewAsync(fixture.Alice);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (true)
        {
            var card = await GatewayProcess.ReviewInStateAsync(fixture.Alice, review, "pending");
            if (card.TryGetProperty("estimate", out var estimate)) return estimate;
            await Task.Delay(TimeSpan.FromMilliseconds(25), TimeProvider.System, limit.Token);
        }
    }

    private async Task<JsonElement> EstimateOfAsync(WireClient client, string sql)
    {
        await client.Query(sql).FlushAsync();
        var answer = await client.UntilAsync(static m => m.Tag == 'Z' || IsHeld(m));
        Assert.False(answer.Tags.EndsWith('Z'), $"{sql}: {answer.Tags} {string.Join(' ', answer.Errors)}");
        var estimate = await EstimatedAsync();
        await fixture.DenyAllAsync();
        await client.UntilAsync('Z');
        return estimate;
    }

    private static string Says(JsonElement estimate) => estimate.GetProperty("says").GetString()!;

    [Fact]
    public async Task A_held_write_says_about_how_many_rows_and_how_the_target_would_find_them()
    {
        await using var client = await fixture.ConnectAsync();
        var one = await EstimateOfAsync(client, "UPDATE customers SET credit = 700 WHERE id = 42");
        Assert.Equal("about 1 row to update in public.customers", Says(one));
        Assert.Contains(one.GetProperty("plan").EnumerateArray(), static s => s.GetProperty("does").GetString() == "Seq Scan on public.customers");
        Assert.DoesNotContain("42", one.GetProperty("plan").ToString().Replace("\"rows\":42", "", StringComparison.Ordinal), StringComparison.Ordinal); // no condition, no value

        Assert.Equal("about 200 rows to update in public.customers", Says(await EstimateOfAsync(client, "UPDATE customers SET credit = credit + 1")));
        Assert.Equal("about 200 rows to read", Says(await EstimateOfAsync(client, "SELECT email FROM customers")));
        Assert.Equal("about 1 row to insert into public.customers", Says(await EstimateOfAsync(client, "INSERT INTO customers VALUES (7001, 'n', 'e')")));
        Assert.Contains("about 1 row to delete in public.customers", Says(await EstimateOfAsync(client, "WITH gone AS (DELETE FROM customers WHERE id = 42 RETURNING id) SELECT * FROM gone")), StringComparison.Ordinal);
        Assert.Equal(0, await fixture.CreditAsync(42));
        Assert.Equal(0, fixture.Gateway.Arrived("SET credit = 700"));
    }

    [Fact]
    public async Task P7_the_estimate_is_of_the_bound_values()
    {
        await using var connection = await fixture.Gateway.ConnectAsync();
        foreach (var (from, least, most) in ((long, long, long)[])[(150, 40, 60), (10, 180, 200)])
        {
            await using var command = new NpgsqlCommand("UPDATE customers SET credit = 0 WHERE id > $1", connection);
            command.Parameters.Add(new NpgsqlParameter { Value = from });
            var running = command.ExecuteNonQueryAsync();
            var rows = (await EstimatedAsync()).GetProperty("rows")[0].GetProperty("rows").GetInt64();
            Assert.InRange(rows, least, most);
            await fixture.DenyAllAsync();
            await Assert.ThrowsAsync<PostgresException>(() => running);
        }
    }

    [Fact]
    public async Task P5_the_estimate_is_of_the_sessions_own_path()
    {
        await fixture.Server.ExecuteAsync("CREATE SCHEMA IF NOT EXISTS \"odd \"\"path'\"; GRANT USAGE ON SCHEMA \"odd \"\"path'\" TO gateway");
        await using var client = await fixture.ConnectAsync();
        Assert.Empty((await client.Query("SET search_path = \"odd \"\"path'\", public, evil").AskAsync()).Errors);
        Assert.Equal("about 200 rows to update in public.customers", Says(await EstimateOfAsync(client, "UPDATE customers SET credit = 0")));
    }

    [Fact]
    public async Task P4_what_planning_could_run_is_not_planned()
    {
        await fixture.Server.ExecuteAsync("""
            CREATE TABLE IF NOT EXISTS public.seen (n int);
            GRANT INSERT, SELECT ON public.seen TO gateway;
            CREATE OR REPLACE FUNCTION public.folded(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.seen VALUES (n); RETURN n; END';
            """);
        await using var client = await fixture.ConnectAsync();
        Assert.Equal("no estimate: planning it could run `public.folded`", Says(await EstimateOfAsync(client, "UPDATE customers SET credit = 1 WHERE id = folded(1)")));
        Assert.Equal(0, fixture.Gateway.Arrived("folded(1)"));
        Assert.DoesNotContain("EXPLAIN (FORMAT JSON, VERBOSE) UPDATE customers SET credit = 1 WHERE id = folded", fixture.Server.Log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task P13_an_estimate_waits_for_no_lock_and_the_hold_for_no_estimate()
    {
        await using var client = await fixture.ConnectAsync();
        await using var admin = new NpgsqlConnection(fixture.Server.AdminConnection);
        await admin.OpenAsync();
        await using var transaction = await admin.BeginTransactionAsync();
        await using (var command = new NpgsqlCommand("LOCK TABLE public.customers IN ACCESS EXCLUSIVE MODE", admin, transaction)) await command.ExecuteNonQueryAsync();
        Assert.Equal("no estimate: what it touches is locked by somebody, perhaps by this very transaction", Says(await EstimateOfAsync(client, "DELETE FROM customers WHERE id = 42")));
    }

    [Fact]
    public async Task I10_the_journal_tells_whether_the_estimate_could_be_seen()
    {
        await using var client = await fixture.ConnectAsync();
        await client.Query("UPDATE customers SET credit = 701 WHERE id = 43").FlushAsync();
        await client.UntilAsync(IsHeld);
        await EstimatedAsync();
        var review = await fixture.ApproveAsync();
        await client.UntilAsync('Z');
        Assert.Equal(701, await fixture.CreditAsync(43));
        var story = (await GatewayProcess.JournalAsync(fixture.Root)).Where(e => e.GetRawText().Contains(review, StringComparison.Ordinal)).Select(GatewayProcess.TypeOf).ToArray();
        Assert.Equal(["review-opened", "review-estimated", "answer", "review-approved", "released", "outcome"], story);
    }

    [Fact]
    public async Task P4_a_tables_own_default_is_named_on_the_card_and_reviewed()
    {
        await fixture.Server.ExecuteAsync("""
            CREATE TABLE IF NOT EXISTS public.trapped (id bigserial PRIMARY KEY, at timestamptz DEFAULT now(), path text);
            CREATE OR REPLACE FUNCTION public.sly() RETURNS text LANGUAGE sql AS $$ SELECT set_config('search_path', 'evil', false) $$;
            GRANT SELECT, INSERT ON public.trapped TO gateway; GRANT USAGE ON SEQUENCE public.trapped_id_seq TO gateway;
            """);
        await using var client = await fixture.ConnectAsync();
        Assert.Equal("CZ", (await client.Query("INSERT INTO trapped (path) VALUES ('x')").AskAsync()).Tags.Replace("S", "", StringComparison.Ordinal));

        // Beside the gateway, as an operator would: the catalogue is read again within its age, or with the next DDL.
        await fixture.Server.ExecuteAsync("ALTER TABLE public.trapped ALTER path SET DEFAULT public.sly()");
        await client.Query("CREATE TEMP TABLE nudge (a int)").AskAsync();
        await using var other = await fixture.Gateway.ConnectAsync();
        await client.Query("INSERT INTO public.trapped DEFAULT VALUES").FlushAsync();
        var answer = await client.UntilAsync(static m => m.Tag == 'Z' || IsHeld(m));
        Assert.False(answer.Tags.EndsWith('Z'), "it was not held");
        var card = (await GatewayProcess.ReviewInStateAsync(fixture.Alice, await GatewayProcess.TheOpenReviewAsync(fixture.Alice), "pending")).GetRawText();
        Assert.Contains("public.sly", card, StringComparison.Ordinal);
    }

    [Fact]
    public async Task P5_what_stands_behind_an_unknown_call_is_not_sworn_to()
    {
        await fixture.Server.ExecuteAsync("CREATE OR REPLACE FUNCTION public.sly() RETURNS text LANGUAGE sql AS $$ SELECT set_config('search_path', 'evil', false) $$");
        await using var client = await fixture.ConnectAsync();
        await client.Query("SELECT sly(); UPDATE customers SET credit = 0 WHERE id = 44").FlushAsync();
        await client.UntilAsync(IsHeld);
        var card = await GatewayProcess.ReviewInStateAsync(fixture.Alice, await GatewayProcess.TheOpenReviewAsync(fixture.Alice), "pending");
        Assert.Contains(card.GetProperty("effects").EnumerateArray(), static e => e.GetProperty("action").GetString() == "sql:opaque" && e.GetProperty("resource").GetString() == "shop");
        Assert.Contains("the tables named here are those of before", card.GetProperty("notes").ToString(), StringComparison.Ordinal);
    }
}
