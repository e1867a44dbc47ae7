using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Countersign.EndToEnd.Tests.Fixtures;
using Countersign.PgWire;
using Npgsql;

namespace Countersign.EndToEnd.Tests.Postgres;

/// <summary>A gateway whose review of customer data may be edited.</summary>
public sealed class EditFixture(PostgresServer server) : IAsyncLifetime
{
    public PostgresServer Server { get; } = server;
    public GatewayProcess Gateway { get; private set; } = null!;
    public HttpClient Alice { get; private set; } = null!;
    public HttpClient Bob { get; private set; } = null!;
    public HttpClient Olga { get; private set; } = null!;
    public HttpClient Root { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        var policies = GatewayProcess.Policies.Replace("@review(\"dba\") @expires(\"15m\") @control", "@review(\"dba\") @edit(\"allowed\") @expires(\"15m\") @control", StringComparison.Ordinal);
        Gateway = await GatewayProcess.StartAsync(Server, policies, "hold: { notice: 1s, transaction: 20s }");
        (Alice, Bob, Olga, Root) = (await Gateway.SignInAsync("alice"), await Gateway.SignInAsync("bob"), await Gateway.SignInAsync("olga"), await Gateway.SignInAsync("root"));
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var one in new[] { Alice, Bob, Olga, Root }) one?.Dispose();
        if (Gateway is not null) await Gateway.DisposeAsync();
    }
}

/// <summary>Edit and approve: what a human made of what an agent asked runs, approved by another, and nothing of the old.</summary>
[Collection("postgres")]
public sealed class EditTests(EditFixture fixture) : IClassFixture<EditFixture>, IAsyncLifetime
{
    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        foreach (var review in await GatewayProcess.OpenReviewsAsync(fixture.Alice, 0)) await GatewayProcess.AnswerAsync(fixture.Alice, review.GetProperty("id").GetString()!, "deny");
    }

    private static bool IsHeld((char Tag, byte[] Body) m) => m.Tag == 'N' && WireClient.ErrorOf(m.Body).Contains("held for review", StringComparison.Ordinal);

    private Task<WireClient> ConnectAsync() => WireClient.ConnectAsync(fixture.Gateway);

    private Task<long> CreditAsync(int id) => fixture.Server.AskAsync<long>($"SELECT credit FROM public.customers WHERE id = {id}");

    private async Task<string> HeldAsync(WireClient client)
    {
        var answer = await client.UntilAsync(static m => m.Tag == 'Z' || IsHeld(m));
        Assert.False(answer.Tags.EndsWith('Z'), $"not held: {answer.Tags} {string.Join(' ', answer.Errors)}");
        return await GatewayProcess.TheOpenReviewAsync(fixture.Alice);
    }

    private static async Task<(HttpStatusCode Status, string Reason, string? Review)> EditAsync(HttpClient human, string review, string statement, params (int Position, string? Value)[] values)
    {
        var answer = await human.PostAsJsonAsync($"/api/v1/reviews/{review}/edits", new { statement, values = values.Select(static v => new { position = v.Position, value = v.Value }), comment = "less of it" });
        var body = JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement;
        return (answer.StatusCode, body.GetProperty("reason").GetString()!, body.TryGetProperty("review", out var id) ? id.GetString() : null);
    }

    private static async Task<string> EditedAsync(HttpClient human, string review, string statement, params (int Position, string? Value)[] values)
    {
        var (_, reason, next) = await EditAsync(human, review, statement, values);
        Assert.Equal("review-edited", reason);
        return next!;
    }

    [Fact]
    public async Task I4_an_edited_statement_runs_when_somebody_else_approves_it_and_the_old_one_never()
    {
        await using var client = await ConnectAsync();
        await client.Query("UPDATE customers SET credit = 900 WHERE id > 60").FlushAsync();
        var review = await HeldAsync(client);
        Assert.True((await GatewayProcess.ReviewInStateAsync(fixture.Alice, review, "pending")).GetProperty("mayEdit").GetBoolean());
        var next = await EditedAsync(fixture.Alice, review, "UPDATE customers SET credit = 901 WHERE id = 61");
        Assert.Equal("review-edited", (await GatewayProcess.ReviewInStateAsync(fixture.Alice, review, "withdrawn")).GetProperty("closeReason").GetString());

        var card = await GatewayProcess.ReviewInStateAsync(fixture.Bob, next, "pending");
        Assert.Equal(("alice", "UPDATE customers SET credit = 900 WHERE id > 60", review), (card.GetProperty("edit").GetProperty("by").GetString(), card.GetProperty("edit").GetProperty("statement").GetString(), card.GetProperty("edit").GetProperty("from").GetString()));
        Assert.Equal((HttpStatusCode.Forbidden, "self-approval"), await GatewayProcess.AnswerAsync(fixture.Alice, next));
        Assert.Equal((HttpStatusCode.Forbidden, "self-approval"), await GatewayProcess.AnswerAsync(fixture.Olga, next));
        Assert.Equal("approved", (await GatewayProcess.AnswerAsync(fixture.Bob, next)).Reason);
        var answer = await client.UntilAsync('Z');
        Assert.Empty(answer.Errors);
        Assert.Contains(answer.Notices, static n => n.Contains("`alice` has changed what you asked", StringComparison.Ordinal));
        Assert.Contains(answer.Notices, static n => n.Contains("what runs now is what `alice` made of it", StringComparison.Ordinal));
        Assert.Equal((901L, 0L), (await CreditAsync(61), await CreditAsync(62)));
        Assert.Equal(0, fixture.Gateway.Arrived("SET credit = 900"));

        var story = (await GatewayProcess.JournalAsync(fixture.Root)).Where(e => e.GetProperty("entry").GetRawText().Contains(next, StringComparison.Ordinal)).Select(GatewayProcess.TypeOf).Where(static t => t != "review-estimated").ToArray();
        Assert.Equal(["review-edited", "review-opened", "answer", "review-approved", "released", "outcome"], story.Where(static t => t != "answer-refused"));

        // A retry of the original is a new action.
        await client.Query("UPDATE customers SET credit = 900 WHERE id > 60").FlushAsync();
        Assert.NotEqual(next, await HeldAsync(client));
    }

    [Fact]
    public async Task P7_bound_values_are_edited_and_the_prepared_statement_stays_what_it_was()
    {
        await using var connection = await fixture.Gateway.ConnectAsync();
        await using var command = new NpgsqlCommand("UPDATE customers SET credit = $1, email = $2 WHERE id = $3 RETURNING id, credit, email", connection);
        command.Parameters.Add(new NpgsqlParameter { Value = 5000L });
        command.Parameters.Add(new NpgsqlParameter { Value = "a@b" });
        command.Parameters.Add(new NpgsqlParameter { Value = 63L });
        await command.PrepareAsync();
        foreach (var edit in (bool[])[true, false])
        {
            var running = command.ExecuteReaderAsync();
            var review = await GatewayProcess.TheOpenReviewAsync(fixture.Alice);
            if (edit)
            {
                Assert.Equal("edit-not-possible", (await EditAsync(fixture.Alice, review, command.CommandText, (1, "not a number"))).Reason);
                Assert.Equal("edit-changes-shape", (await EditAsync(fixture.Alice, review, command.CommandText, (4, "1"))).Reason);
                review = await EditedAsync(fixture.Alice, review, "UPDATE customers SET credit = $1 + 1, email = $2 WHERE id = $3 AND credit < 100000 RETURNING id, credit, email", (1, "49"), (2, null));
            }

            Assert.Equal("approved", (await GatewayProcess.AnswerAsync(fixture.Bob, review)).Reason);
            await using var reader = await running;
            Assert.True(await reader.ReadAsync());
            Assert.Equal((63L, edit ? 50L : 5000L), (reader.GetInt64(0), reader.GetInt64(1)));
            Assert.Equal(edit, await reader.IsDBNullAsync(2));
        }

        Assert.Equal(5000, await CreditAsync(63));
    }

    [Fact]
    public async Task P20_an_edit_keeps_the_shape_and_the_kind_of_what_was_asked()
    {
        await using var client = await ConnectAsync();
        await client.Query("UPDATE customers SET credit = 902 WHERE id = 64 RETURNING id, email").FlushAsync();
        var review = await HeldAsync(client);
        foreach (var (statement, reason) in ((string, string)[])
        [
            ("UPDATE customers SET credit = 902 WHERE id = 64", "edit-changes-shape"),
            ("UPDATE customers SET credit = 902 WHERE id = 64 RETURNING id, name, email", "edit-changes-shape"),
            ("UPDATE customers SET credit = 902 WHERE id = 64 RETURNING id::int, email", "edit-changes-shape"),
            ("UPDATE customers SET credit = 902 WHERE id = 64 RETURNING id, email AS mail", "edit-changes-shape"),
            ("DELETE FROM customers WHERE id = 64 RETURNING id, email", "edit-changes-shape"),
            ("UPDATE customers SET credit = 902 WHERE id = 64 RETURNING id, email; SELECT 1", "edit-changes-shape"),
            ("UPDATE customers SET credit = 902 WHERE id = $1 RETURNING id, email", "edit-changes-shape"),
            ("UPDATE customers SET", "unparseable"),
            ("UPDATE customers SET email = set_config('search_path', 'evil', false) WHERE id = 64 RETURNING id, email", "edit-not-possible"),
            ("UPDATE customers SET credit = 902 WHERE id = 64 RETURNING id, email", "edit-not-possible"), // nothing changed
        ])
        {
            Assert.Equal((statement, reason), (statement, (await EditAsync(fixture.Alice, review, statement)).Reason));
        }

        Assert.Equal("self-approval", (await EditAsync(fixture.Olga, review, "UPDATE customers SET credit = 1 WHERE id = 64 RETURNING id, email")).Reason);
        Assert.Equal("pending", (await GatewayProcess.ReviewInStateAsync(fixture.Alice, review, "pending")).GetProperty("state").GetString());
        Assert.Equal(0, await CreditAsync(64));
    }

    [Fact]
    public async Task I4_who_edited_an_edit_before_is_still_behind_it()
    {
        await using var client = await ConnectAsync();
        await client.Query("UPDATE customers SET credit = 903 WHERE id = 65").FlushAsync();
        var first = await EditedAsync(fixture.Alice, await HeldAsync(client), "UPDATE customers SET credit = 904 WHERE id = 65");
        var second = await EditedAsync(fixture.Bob, first, "UPDATE customers SET credit = 905 WHERE id = 65");
        Assert.Equal("self-approval", (await GatewayProcess.AnswerAsync(fixture.Alice, second)).Reason);
        Assert.Equal("self-approval", (await GatewayProcess.AnswerAsync(fixture.Bob, second)).Reason);
        using var carl = await fixture.Gateway.SignInAsync("carl");

        // Who is left may not edit: nobody could approve then.
        Assert.Equal("no-eligible-approver", (await EditAsync(carl, second, "UPDATE customers SET credit = 906 WHERE id = 65")).Reason);
        Assert.Equal("approved", (await GatewayProcess.AnswerAsync(carl, second)).Reason);
        Assert.Empty((await client.UntilAsync('Z')).Errors);
        Assert.Equal(905, await CreditAsync(65));
    }

    [Fact]
    public async Task P24_an_edited_statement_whose_connection_is_lost_or_cancelled_runs_for_nobody()
    {
        await using (var client = await ConnectAsync())
        {
            await client.Query("UPDATE customers SET credit = 907 WHERE id = 66").FlushAsync();
            var edited = await EditedAsync(fixture.Alice, await HeldAsync(client), "UPDATE customers SET credit = 908 WHERE id = 66");
            await using (var cancel = await WireClient.DialAsync(fixture.Gateway.Port))
            {
                await cancel.Write(o => FrontendWriter.WriteCancelRequest(o, client.ProcessId, client.CancelKey)).FlushAsync();
                await cancel.UntilAsync(static _ => false);
            }

            Assert.StartsWith("57014", Assert.Single((await client.UntilAsync('Z')).Errors), StringComparison.Ordinal);
            await GatewayProcess.ReviewInStateAsync(fixture.Alice, edited, "withdrawn");
            await client.Query("UPDATE customers SET credit = 909 WHERE id = 66").FlushAsync();
            edited = await EditedAsync(fixture.Alice, await HeldAsync(client), "UPDATE customers SET credit = 910 WHERE id = 66");
            await client.DisposeAsync();
            await GatewayProcess.ReviewInStateAsync(fixture.Alice, edited, "withdrawn");
            Assert.Equal("review-closed", (await GatewayProcess.AnswerAsync(fixture.Bob, edited)).Reason);
        }

        Assert.Equal(0, await CreditAsync(66));
    }

    [Fact]
    public async Task P22_an_edit_within_a_transaction_and_of_a_pipeline_runs_in_its_place()
    {
        await using var client = await ConnectAsync();
        await client.Query("BEGIN").AskAsync();
        await client.Parse("", "UPDATE customers SET credit = 911 WHERE id = 67 RETURNING credit").Bind("", "").Execute("").Parse("s", "SELECT 7").Bind("", "s").Execute("").Sync().FlushAsync();
        var edited = await EditedAsync(fixture.Alice, await HeldAsync(client), "UPDATE customers SET credit = 912 WHERE id = 67 RETURNING credit");
        Assert.Equal("approved", (await GatewayProcess.AnswerAsync(fixture.Bob, edited)).Reason);
        var answer = await client.UntilAsync('Z');
        Assert.Empty(answer.Errors);
        Assert.Equal(["912", "7"], answer.Values);
        Assert.Equal("2DC12DCZ", answer.Tags.Replace("N", "", StringComparison.Ordinal).Replace("S", "", StringComparison.Ordinal));
        Assert.Empty((await client.Query("SELECT name FROM pg_prepared_statements WHERE name LIKE '%edit%'").AskAsync()).Values);
        await client.Query("COMMIT").AskAsync();
        Assert.Equal(912, await CreditAsync(67));
    }

    [Fact]
    public async Task P20_psql_is_told_what_ran_in_place_of_what_it_sent()
    {
        await using var psql = fixture.Gateway.Psql("-c", "UPDATE customers SET credit = 913 WHERE id IN (68, 69)");
        var edited = await EditedAsync(fixture.Alice, await GatewayProcess.TheOpenReviewAsync(fixture.Alice), "UPDATE customers SET credit = 914 WHERE id = 68");
        Assert.Equal("approved", (await GatewayProcess.AnswerAsync(fixture.Bob, edited)).Reason);
        Assert.Equal(0, await psql.EndsAsync());
        Assert.Contains("UPDATE 1", psql.Text, StringComparison.Ordinal);
        Assert.Contains("reason=review-edited", psql.Text, StringComparison.Ordinal);
        Assert.Equal((914L, 0L), (await CreditAsync(68), await CreditAsync(69)));
    }
}
