using Countersign.EndToEnd.Tests.Fixtures;

namespace Countersign.EndToEnd.Tests.Postgres;

/// <summary>A gateway whose agents may define what they like, and schema `lab` to do it in.</summary>
public sealed class NamesFixture(PostgresServer server) : IAsyncLifetime
{
    private const string Policies = """
        @id("agents-read-and-define")
        permit (principal in Group::"agents", action in [Action::"read", Action::"sql:create", Action::"sql:alter", Action::"sql:drop"], resource);

        @id("agents-write")
        permit (principal in Group::"agents", action in Action::"write", resource)
        unless { resource in DataClass::"pii" };

        @id("customers-need-a-dba")
        @review("dba")
        permit (principal in Group::"agents", action in [Action::"write", Action::"export"], resource in DataClass::"pii");

        @id("what-is-opaque-needs-a-dba")
        @review("dba")
        permit (principal in Group::"agents", action in [Action::"sql:opaque"], resource);
        """;

    public PostgresServer Server { get; } = server;
    public GatewayProcess Gateway { get; private set; } = null!;
    public HttpClient Alice { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        await Server.ExecuteAsync("CREATE SCHEMA lab AUTHORIZATION gateway");
        Gateway = await GatewayProcess.StartAsync(Server, Policies, WireFixture.Hold);
        Alice = await Gateway.SignInAsync("alice");
    }

    public async ValueTask DisposeAsync()
    {
        Alice?.Dispose();
        if (Gateway is not null) await Gateway.DisposeAsync();
        await Server.ExecuteAsync("DROP SCHEMA lab CASCADE");
    }
}

/// <summary>What a name stands for is the server's to say, whatever was made, renamed or put in front meanwhile (P5, P22).</summary>
[Collection("postgres")]
public sealed class NamesTests(NamesFixture fixture) : IClassFixture<NamesFixture>, IAsyncLifetime
{
    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        foreach (var review in await GatewayProcess.OpenReviewsAsync(fixture.Alice, 0)) await GatewayProcess.AnswerAsync(fixture.Alice, review.GetProperty("id").GetString()!, "deny");
    }

    private Task<long> CreditAsync(int customer) => fixture.Server.AskAsync<long>($"SELECT credit FROM public.customers WHERE id = {customer}");

    /// <summary>Runs what is permitted, and fails where it is not.</summary>
    private static async Task<Answer> DoAsync(WireClient client, string sql)
    {
        await client.Query(sql).FlushAsync();
        var answer = await client.UntilAsync(static m => m.Tag == 'Z' || IsHeld(m));
        Assert.True(answer.Tags.EndsWith('Z') && answer.Errors.Length == 0, $"{sql}: {answer.Tags} {string.Join(' ', answer.Errors)}{string.Join(' ', answer.Notices)}");
        return answer;
    }

    private static bool IsHeld((char Tag, byte[] Body) m) => m.Tag == 'N' && WireClient.ErrorOf(m.Body).Contains("held for review", StringComparison.Ordinal);

    /// <summary>Sends it, sees that it is held with this effect on its card, and lets it be denied.</summary>
    private async Task HeldAsync(WireClient client, string sql, string effect)
    {
        await client.Query(sql).FlushAsync();
        var answer = await client.UntilAsync(static m => m.Tag == 'Z' || IsHeld(m));
        Assert.True(!answer.Tags.EndsWith('Z'), $"{sql} was not held: {answer.Tags} {string.Join(' ', answer.Errors)}");
        var review = await GatewayProcess.TheOpenReviewAsync(fixture.Alice);
        var card = (await GatewayProcess.ReviewInStateAsync(fixture.Alice, review, "pending")).GetProperty("effects").GetRawText();
        Assert.Contains(effect, card, StringComparison.Ordinal);
        Assert.Equal("review-denied", (await GatewayProcess.AnswerAsync(fixture.Alice, review, "deny")).Reason);
        await client.UntilAsync('Z');
        Assert.Equal(0, fixture.Gateway.Arrived(sql));
    }

    [Fact]
    public async Task P5_a_temporary_table_in_front_of_a_classified_one_takes_nothing_of_its_class_away()
    {
        await using var client = await WireClient.ConnectAsync(fixture.Gateway);
        await DoAsync(client, "CREATE TEMP TABLE customers (id bigint, credit bigint)");
        await HeldAsync(client, "UPDATE customers SET credit = 161 WHERE id = 161", "shop.public.customers");
        await HeldAsync(client, "UPDATE public.customers SET credit = 161 WHERE id = 161", "shop.public.customers");
        await DoAsync(client, "INSERT INTO pg_temp.customers VALUES (161, 1)");
        await DoAsync(client, "DISCARD TEMP");
        await HeldAsync(client, "UPDATE customers SET credit = 161 WHERE id = 161", "shop.public.customers");
        Assert.Equal(0, await CreditAsync(161));
    }

    [Theory]
    [InlineData("CREATE TEMP VIEW orders AS SELECT id, credit AS total FROM public.customers")]
    [InlineData("CREATE VIEW pg_temp.orders AS SELECT id, credit AS total FROM public.customers")]
    public async Task P5_a_temporary_view_of_a_classified_table_is_no_way_around_its_class(string view)
    {
        await using var client = await WireClient.ConnectAsync(fixture.Gateway);
        await DoAsync(client, view);
        await HeldAsync(client, "UPDATE orders SET total = 162 WHERE id = 162", "sql:opaque");
        await HeldAsync(client, "SELECT * FROM orders AS unbounded", "sql:opaque");
        await HeldAsync(client, "SELECT * FROM pg_temp.orders AS unbounded", "sql:opaque");
        Assert.Equal(0, await CreditAsync(162));
        await DoAsync(client, "DISCARD ALL");
        await DoAsync(client, "UPDATE orders SET total = total WHERE id = 162");
    }

    [Fact]
    public async Task P22_a_table_made_or_renamed_in_an_open_transaction_is_not_what_the_catalogue_says()
    {
        await using var client = await WireClient.ConnectAsync(fixture.Gateway);
        await DoAsync(client, "CREATE TABLE lab.spare (id bigint)");
        await DoAsync(client, "BEGIN");
        await DoAsync(client, "ALTER TABLE lab.spare RENAME TO fresh");
        await HeldAsync(client, "SELECT id FROM lab.fresh WHERE id = 1", "sql:opaque");
        await client.Query("ROLLBACK").AskAsync();

        // Once it is over, the names are as they were, or as they are now, and are known again at once.
        await DoAsync(client, "SELECT id FROM lab.spare WHERE id = 1");
        await DoAsync(client, "ALTER TABLE lab.spare RENAME TO fresh");
        await DoAsync(client, "SELECT id FROM lab.fresh WHERE id = 1");
    }

    [Fact]
    public async Task P5_a_view_over_a_classified_table_has_its_class_from_its_first_use_on_every_session()
    {
        await using var maker = await WireClient.ConnectAsync(fixture.Gateway);
        await using var other = await WireClient.ConnectAsync(fixture.Gateway);
        await DoAsync(other, "SELECT 1");
        await DoAsync(maker, "CREATE VIEW lab.thin AS SELECT id, credit FROM public.customers");
        await HeldAsync(other, "UPDATE lab.thin SET credit = 163 WHERE id = 163", "shop.public.customers");
        await HeldAsync(maker, "SELECT id FROM lab.thin AS every", "sql:export");
        await DoAsync(maker, "SET search_path = lab");
        await HeldAsync(maker, "UPDATE thin SET credit = 163 WHERE id = 163", "shop.public.customers");
        await DoAsync(maker, "CREATE TABLE customers (id bigint, credit bigint)");
        await DoAsync(maker, "UPDATE customers SET credit = 163 WHERE id = 163");
        await DoAsync(maker, "SET search_path = public, lab");
        await HeldAsync(maker, "UPDATE customers SET credit = 163 WHERE id = 163 AND true", "shop.public.customers");
        Assert.Equal(0, await CreditAsync(163));
    }
}
