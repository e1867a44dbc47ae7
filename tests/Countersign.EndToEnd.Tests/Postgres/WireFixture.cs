using Countersign.EndToEnd.Tests.Fixtures;

namespace Countersign.EndToEnd.Tests.Postgres;

/// <summary>One gateway for the tests of a class, with short notices, a table that another path shadows, and two humans.</summary>
public sealed class WireFixture(PostgresServer server) : IAsyncLifetime
{
    public const string Hold = "hold: { notice: 1s, transaction: 4s }";

    public PostgresServer Server { get; } = server;
    public GatewayProcess Gateway { get; private set; } = null!;
    public HttpClient Alice { get; private set; } = null!;
    public HttpClient Root { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        await Server.ExecuteAsync("""
            CREATE SCHEMA IF NOT EXISTS evil;
            CREATE TABLE IF NOT EXISTS evil.customers (LIKE public.customers INCLUDING ALL);
            GRANT USAGE ON SCHEMA evil TO gateway;
            GRANT SELECT, INSERT, UPDATE, DELETE ON evil.customers TO gateway;
            """);
        Gateway = await GatewayProcess.StartAsync(Server, hold: Hold);
        Alice = await Gateway.SignInAsync("alice");
        Root = await Gateway.SignInAsync("root");
    }

    public Task<WireClient> ConnectAsync()
    {
        Assert.False(Gateway.Process.HasEnded, Gateway.Process.HasEnded ? $"the gateway ended: {Gateway.Said}" : "");
        return WireClient.ConnectAsync(Gateway);
    }

    public Task<long> CreditAsync(int customer) => Server.AskAsync<long>($"SELECT credit FROM public.customers WHERE id = {customer}");

    /// <summary>No review may be left over from one test to the next.</summary>
    public async Task DenyAllAsync()
    {
        foreach (var review in await GatewayProcess.OpenReviewsAsync(Alice, 0)) await GatewayProcess.AnswerAsync(Alice, review.GetProperty("id").GetString()!, "deny");
    }

    public async Task<string> ApproveAsync()
    {
        var review = await GatewayProcess.TheOpenReviewAsync(Alice);
        Assert.Equal("approved", (await GatewayProcess.AnswerAsync(Alice, review)).Reason);
        return review;
    }

    public async ValueTask DisposeAsync()
    {
        Alice?.Dispose();
        Root?.Dispose();
        if (Gateway is not null) await Gateway.DisposeAsync();
    }
}
