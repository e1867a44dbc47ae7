using Countersign.EndToEnd.Tests.Fixtures;
using Countersign.PgWire;

namespace Countersign.EndToEnd.Tests.Postgres;

/// <summary>What is called without its call being written, or later than it was written. Each ran unreviewed once.</summary>
[Collection("postgres")]
public sealed class HiddenCallTests(WireFixture fixture) : IClassFixture<WireFixture>, IAsyncLifetime
{
    private const string ToPublic = "set_config('search_path', 'public', false)";

    public async ValueTask InitializeAsync() => await fixture.Server.ExecuteAsync("""
        CREATE OR REPLACE FUNCTION public.give(customer bigint) RETURNS bigint LANGUAGE sql AS 'UPDATE public.customers SET credit = customer WHERE id = customer RETURNING credit';
        """);

    public async ValueTask DisposeAsync() => await fixture.DenyAllAsync();

    private static bool IsHeld((char Tag, byte[] Body) m) => m.Tag == 'N' && WireClient.ErrorOf(m.Body).Contains("held for review", StringComparison.Ordinal);

    private static string Update(int id) => $"UPDATE customers SET credit = 40{id} WHERE id = {id}";

    /// <summary>Runs what is permitted, and fails where it is not.</summary>
    private static async Task<Answer> DoAsync(WireClient client, string sql)
    {
        await client.Query(sql).FlushAsync();
        var answer = await client.UntilAsync(static m => m.Tag == 'Z' || IsHeld(m));
        Assert.True(answer.Tags.EndsWith('Z') && answer.Errors.Length == 0, $"{sql}: {answer.Tags} {string.Join(' ', answer.Errors)}{string.Join(' ', answer.Notices)}");
        return answer;
    }

    /// <summary>Sends it, sees that it is held, and answers the card with what stands on it.</summary>
    private async Task<string> HeldAsync(WireClient client, string sql, string effect)
    {
        await client.Query(sql).FlushAsync();
        var answer = await client.UntilAsync(static m => m.Tag == 'Z' || IsHeld(m));
        Assert.True(!answer.Tags.EndsWith('Z'), $"{sql} was not held: {answer.Tags} {string.Join(' ', answer.Errors)}");
        var review = await GatewayProcess.TheOpenReviewAsync(fixture.Alice);
        var card = (await GatewayProcess.ReviewInStateAsync(fixture.Alice, review, "pending")).GetRawText();
        Assert.Contains(effect, card, StringComparison.Ordinal);
        Assert.Equal("review-denied", (await GatewayProcess.AnswerAsync(fixture.Alice, review, "deny")).Reason);
        await client.UntilAsync('Z');
        Assert.Equal(0, fixture.Gateway.Arrived(sql));
        return card;
    }

    [Theory]
    [InlineData("SELECT (111::bigint).give")]
    [InlineData("SELECT (c.id).give FROM orders c WHERE id = 111")]
    [InlineData("SELECT g.give FROM generate_series(111::bigint, 111) AS g")]
    [InlineData("SELECT (ARRAY[111::bigint])[1].give")]
    [InlineData("SELECT ('SELECT to_tsvector(email) FROM customers'::text).ts_stat")]
    public async Task P4_a_function_that_is_called_as_if_it_were_a_column_is_a_call(string sql)
    {
        await using var client = await fixture.ConnectAsync();
        await HeldAsync(client, sql, "sql:opaque");
        Assert.Equal(0, await fixture.CreditAsync(111));
    }

    [Fact]
    public async Task P5_a_setting_that_a_cursor_changes_is_changed_when_it_is_fetched()
    {
        await using var client = await fixture.ConnectAsync();
        await DoAsync(client, "SET search_path = evil");
        await DoAsync(client, "BEGIN");
        await DoAsync(client, $"DECLARE c CURSOR FOR SELECT {ToPublic}");
        await DoAsync(client, "UPDATE customers SET credit = 0 WHERE id = 112"); // of evil.customers
        await DoAsync(client, "FETCH c");
        await HeldAsync(client, Update(112), "shop.public.customers");
        Assert.Equal(0, await fixture.CreditAsync(112));
    }

    [Fact]
    public async Task P5_nothing_is_understood_behind_a_fetch_of_the_same_text()
    {
        await using var client = await fixture.ConnectAsync();
        await DoAsync(client, "SET search_path = evil");
        await DoAsync(client, "BEGIN");
        await DoAsync(client, $"DECLARE c CURSOR FOR SELECT {ToPublic}");
        Assert.StartsWith("0A000", Assert.Single((await client.Query($"FETCH c; {Update(113)}").AskAsync()).Errors), StringComparison.Ordinal);
        await DoAsync(client, "ROLLBACK");
        await DoAsync(client, "BEGIN; DECLARE d CURSOR FOR SELECT 1; FETCH d; MOVE d; CLOSE d; COMMIT");
        Assert.Equal(0, await fixture.CreditAsync(113));
    }

    [Fact]
    public async Task P5_a_setting_that_a_later_row_of_a_portal_changes_is_seen()
    {
        await using var client = await fixture.ConnectAsync();
        await DoAsync(client, "SET search_path = evil");
        await DoAsync(client, "BEGIN");
        await client.Parse("", $"SELECT CASE WHEN g = 1 THEN 'x' ELSE {ToPublic} END FROM generate_series(1, 3) g").Bind("p", "").Execute("p", 1).Sync().AskAsync();
        await DoAsync(client, "UPDATE customers SET credit = 0 WHERE id = 114"); // of evil.customers
        Assert.Equal("DsZ", (await client.Execute("p", 1).Sync().AskAsync()).Tags);
        await HeldAsync(client, Update(114), "shop.public.customers");
        Assert.Equal(0, await fixture.CreditAsync(114));
    }

    [Theory]
    [InlineData("default")]
    [InlineData("check")]
    public async Task P5_a_setting_that_a_temporary_table_changes_is_no_plain_insert(string how)
    {
        await using var client = await fixture.ConnectAsync();
        await DoAsync(client, "SET search_path = evil");
        await DoAsync(client, how == "default" ? $"CREATE TEMP TABLE scratch (a int, path text DEFAULT {ToPublic})" : "CREATE TEMP TABLE scratch (a int, CHECK (set_config('search_path', 'public', a < 0) IS NOT NULL))");
        await HeldAsync(client, "INSERT INTO scratch (a) VALUES (1)", "sql:opaque");
        await DoAsync(client, "CREATE TEMP TABLE plain (id serial PRIMARY KEY, at timestamptz DEFAULT now(), body text CHECK (length(body) > 0))");
        await DoAsync(client, "INSERT INTO plain (body) VALUES ('x')");
    }

    [Theory]
    [InlineData("query")]
    [InlineData("execute")]
    [InlineData("before")]
    public async Task P7_what_was_decided_for_an_Execute_is_not_carried_out_by_a_FETCH(string how)
    {
        await using var client = await fixture.ConnectAsync();
        await DoAsync(client, "BEGIN");
        if (how == "before") Assert.Equal("12Z", (await client.Parse("f", "FETCH ALL FROM p").Bind("f", "f").Sync().AskAsync()).Tags);
        await client.Parse("u", Update(115) + " RETURNING id").Bind("p", "u").Sync().FlushAsync();
        await client.UntilAsync(IsHeld);
        await fixture.ApproveAsync();
        await client.UntilAsync('Z');
        var answer = how switch
        {
            "query" => await client.Query("FETCH ALL FROM p").AskAsync(),
            "execute" => await client.Run("MOVE ALL IN p").Sync().AskAsync(),
            _ => await client.Execute("f").Sync().AskAsync(),
        };
        Assert.Single(answer.Errors);
        await DoAsync(client, "COMMIT");
        Assert.Equal(0, await fixture.CreditAsync(115));
    }

    [Fact]
    public async Task P5_a_temporary_view_of_another_session_is_no_way_around_a_class()
    {
        await using var maker = await fixture.ConnectAsync();
        await using var reader = await fixture.ConnectAsync();
        await DoAsync(maker, "CREATE TEMP VIEW spy AS SELECT id, email, credit FROM public.customers");
        var schema = Assert.Single((await DoAsync(maker, "SELECT pg_my_temp_schema()::regnamespace::text")).Values);
        await HeldAsync(reader, $"SELECT email FROM {schema}.spy", "sql:opaque");
        await HeldAsync(reader, $"UPDATE {schema}.spy SET credit = 116 WHERE id = 116", "sql:opaque");
        await HeldAsync(maker, $"SELECT email FROM {schema}.spy", "sql:opaque");
        Assert.Equal(0, await fixture.CreditAsync(116));
    }

    [Fact]
    public async Task I10_the_card_of_an_EXECUTE_shows_what_is_executed()
    {
        await using var client = await fixture.ConnectAsync();
        await DoAsync(client, "PREPARE harmless AS UPDATE customers SET credit = $1 WHERE id = 117");
        var card = await HeldAsync(client, "EXECUTE harmless(117)", "UPDATE customers SET credit = $1 WHERE id = 117");
        Assert.Contains("shop.public.customers", card, StringComparison.Ordinal);
    }

    [Fact]
    public async Task I3_how_bytes_become_text_is_part_of_what_was_approved()
    {
        await using var one = await fixture.ConnectAsync();
        await using var other = await fixture.ConnectAsync();
        const string sql = "UPDATE customers SET email = '\\x00'::bytea::text WHERE id = 118";
        await DoAsync(other, "SET bytea_output = 'escape'");
        await one.Query(sql).FlushAsync();
        await one.UntilAsync(IsHeld);
        await other.Query(sql).FlushAsync();
        await other.UntilAsync(IsHeld);
        Assert.Equal(2, (await GatewayProcess.OpenReviewsAsync(fixture.Alice, 2)).Count);
    }

    [Fact]
    public async Task P3_percentiles_in_an_array_are_the_rows()
    {
        await using var client = await fixture.ConnectAsync();
        await HeldAsync(client, "SELECT percentile_disc(ARRAY[0.1, 0.5, 0.9]) WITHIN GROUP (ORDER BY email) FROM customers", "sql:export");
        await DoAsync(client, "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY credit) FROM customers");
    }
}
