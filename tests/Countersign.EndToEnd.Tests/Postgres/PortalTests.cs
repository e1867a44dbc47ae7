using System.Text.Json;
using Countersign.EndToEnd.Tests.Fixtures;
using Countersign.PgWire;

namespace Countersign.EndToEnd.Tests.Postgres;

/// <summary>Portals that are read in parts, and what a session may keep.</summary>
[Collection("postgres")]
public sealed class PortalTests(WireFixture fixture) : IClassFixture<WireFixture>, IAsyncLifetime
{
    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync() => await fixture.DenyAllAsync();

    /// <summary>The outcomes of actions whose text holds this, as (status, rows), once there are as many as said.</summary>
    private async Task<(string? Status, long? Rows)[]> OutcomesAsync(string text, int atLeast = 1)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        while (true)
        {
            var journal = await GatewayProcess.JournalAsync(fixture.Root);
            var actions = journal.Where(e => GatewayProcess.TypeOf(e) != "outcome" && e.GetRawText().Contains(text, StringComparison.Ordinal))
                .Select(static e => e.GetProperty("entry").TryGetProperty("action", out var id) ? id.GetString() : null).OfType<string>().ToHashSet();
            var outcomes = journal.Where(e => GatewayProcess.TypeOf(e) == "outcome" && actions.Contains(e.GetProperty("entry").GetProperty("action").GetString()!))
                .Select(static e => e.GetProperty("entry")).Select(static e => (e.GetProperty("status").GetString(), Rows(e))).ToArray();
            if (outcomes.Length >= atLeast) return outcomes;
            await Task.Delay(TimeSpan.FromMilliseconds(25), TimeProvider.System, limit.Token);
        }

        static long? Rows(JsonElement entry) => entry.TryGetProperty("rows", out var rows) && rows.ValueKind == JsonValueKind.Number ? rows.GetInt64() : null;
    }

    [Fact]
    public async Task A_portal_read_in_parts_has_one_outcome_with_all_its_rows_when_it_is_complete()
    {
        await using var client = await fixture.ConnectAsync();
        await client.Query("BEGIN").AskAsync();
        await client.Parse("", "SELECT id AS in_parts FROM orders WHERE id <= 5 ORDER BY id").Bind("p", "").Execute("p", 2).Sync().AskAsync();
        await client.Execute("p", 2).Sync().AskAsync();
        Assert.Equal(("DCZ", "5"), (await client.Execute("p", 2).Sync().AskAsync()) is var last ? (last.Tags, last.Values[0]) : default);
        await client.Query("COMMIT").AskAsync();
        Assert.Equal([("done", 5L)], await OutcomesAsync("in_parts"));
    }

    [Theory]
    [InlineData("closed")]
    [InlineData("committed")]
    [InlineData("synced")]
    [InlineData("replaced")]
    [InlineData("gone")]
    public async Task A_portal_that_is_not_read_to_its_end_is_done_with_the_rows_that_were(string how)
    {
        await using var client = await fixture.ConnectAsync();
        if (how != "synced") await client.Query("BEGIN").AskAsync();
        await client.Parse("", $"SELECT id AS ended_{how} FROM orders").Bind("", "").Execute("", 2).Execute("", 3).Flush().FlushAsync();
        await client.UntilAsync('s');
        await client.UntilAsync('s');
        switch (how)
        {
            case "closed": await client.Close(NamedKind.Portal, "").Sync().AskAsync(); break;
            case "committed": await client.Sync().Query("COMMIT").AskAsync(2); break;
            case "synced": await client.Sync().AskAsync(); break;
            case "replaced": await client.Run("SELECT 1").Sync().AskAsync(); break;
            case "gone": await client.DisposeAsync(); break;
        }

        Assert.Equal([("done", 5L)], await OutcomesAsync($"ended_{how}"));
    }

    [Fact]
    public async Task A_held_write_whose_answer_is_read_in_parts_ran_once_and_its_outcome_counts_all_its_rows()
    {
        await using var client = await fixture.ConnectAsync();
        await client.Query("BEGIN").AskAsync();
        await client.Parse("", "UPDATE customers SET credit = 181 WHERE id IN (181, 182, 183) RETURNING id").Bind("", "").Execute("", 2).Sync().FlushAsync();
        await client.UntilAsync('N');
        await fixture.ApproveAsync();
        Assert.Equal("2DDsZ", (await client.UntilAsync('Z')).Tags);
        Assert.Equal("DCZ", (await client.Execute("", 2).Sync().AskAsync()).Tags);
        await client.Query("COMMIT").AskAsync();
        Assert.Equal(3L, await fixture.Server.AskAsync<long>("SELECT count(*) FROM customers WHERE credit = 181"));
        Assert.Equal([("done", 3L)], await OutcomesAsync("credit = 181"));
    }

    [Fact]
    public async Task What_a_session_keeps_is_bounded_in_bytes_and_its_settings_in_number()
    {
        await using var client = await fixture.ConnectAsync();
        var filler = new string('x', 900_000);
        var answers = new List<Answer>();
        for (var n = 0; n < 12; n++) answers.Add(await client.Parse($"s{n}", $"SELECT '{filler}'").Sync().AskAsync());
        Assert.Equal("1Z", answers[0].Tags);
        Assert.StartsWith("54000", Assert.Single(answers[^1].Errors), StringComparison.Ordinal);
        Assert.Equal("3Z", (await client.Close(NamedKind.Statement, "s0").Sync().AskAsync()).Tags);
        for (var n = 1; n < 9; n++) await client.Close(NamedKind.Statement, $"s{n}").Sync().AskAsync();
        Assert.Equal("1Z", (await client.Parse("s0", "SELECT 1").Sync().AskAsync()).Tags);

        for (var n = 0; n < 256; n++) client.Query($"SET my.setting_{n} = 1");
        Assert.Empty((await client.AskAsync(256)).Errors);
        Assert.StartsWith("54000", Assert.Single((await client.Query("SET my.other = 1").AskAsync()).Errors), StringComparison.Ordinal);
        Assert.Empty((await client.Query("SET my.setting_7 = 2").Query("SET work_mem = '8MB'").AskAsync(2)).Errors);
    }
}
