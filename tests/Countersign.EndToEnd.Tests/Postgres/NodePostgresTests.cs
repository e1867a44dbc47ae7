using System.Globalization;
using System.Text.Json;
using Countersign.EndToEnd.Tests.Fixtures;

namespace Countersign.EndToEnd.Tests.Postgres;

/// <summary>node-postgres, unmodified, through a real gateway.</summary>
[Collection("postgres")]
public sealed class NodePostgresTests(PostgresServer server) : IAsyncLifetime
{
    private GatewayProcess gateway = null!;

    public async ValueTask InitializeAsync() => gateway = await GatewayProcess.StartAsync(server);

    public async ValueTask DisposeAsync() => await gateway.DisposeAsync();

    [Fact]
    public async Task Node_postgres_reads_is_denied_is_held_with_its_values_and_goes_on()
    {
        using var alice = await gateway.SignInAsync("alice");
        await using var node = Child.Start("node", [Path.Combine(Root(), "tests", "peers", "node-postgres.mjs")],
            [("PGHOST", "127.0.0.1"), ("PGPORT", gateway.Port.ToString(CultureInfo.InvariantCulture)), ("PGDATABASE", "shop"), ("PGUSER", GatewayProcess.Agent), ("PGPASSWORD", gateway.AgentKey)]);
        var review = await GatewayProcess.TheOpenReviewAsync(alice);
        var card = await GatewayProcess.ReviewInStateAsync(alice, review, "pending");
        Assert.Equal(["9007199254740993", "90"], card.GetProperty("parameters").EnumerateArray().Select(static p => p.GetProperty("value").GetString()!).ToArray());
        Assert.Equal("approved", (await GatewayProcess.AnswerAsync(alice, review)).Reason);
        Assert.True(await node.EndsAsync() == 0, node.Text);

        var said = node.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(static l => JsonDocument.Parse(l).RootElement)
            .Where(static l => l.GetProperty("what").GetString() != "notice").ToDictionary(static l => l.GetProperty("what").GetString()!);
        Assert.Equal(10, said["read"].GetProperty("rows")[0].GetProperty("n").GetInt32());
        Assert.Equal("42501", said["denied"].GetProperty("code").GetString());
        Assert.Contains("reason=policy-denied", said["denied"].GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.Equal(1, said["updated"].GetProperty("rows").GetInt32());
        Assert.Equal(1, said["after"].GetProperty("rows")[0].GetProperty("one").GetInt32());
        Assert.Contains($"review={review}", node.Output, StringComparison.Ordinal);
        Assert.Equal(9007199254740993L, await server.AskAsync<long>("SELECT credit FROM customers WHERE id = 90"));
    }

    private static string Root()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder!.FullName, "Countersign.slnx"))) folder = folder.Parent;
        return folder.FullName;
    }
}
