using Countersign.EndToEnd.Tests.Api;
using Countersign.EndToEnd.Tests.Fixtures;

namespace Countersign.EndToEnd.Tests.Postgres;

/// <summary>A target that does not take the gateway, told to who can mend it and to nobody else.</summary>
[Collection("postgres")]
public sealed class TargetTests(PostgresServer server)
{
    [Theory]
    [InlineData("wrong-password", "shop", "28P01 password authentication failed; is SHOP_PASSWORD right?")]
    [InlineData(PostgresServer.GatewayPassword, "shoop", "3D000 there is no database `shoop`; is `targets.shop.database` right?")]
    public async Task A_refused_password_or_database_keeps_the_gateway_from_starting_and_says_which(string password, string database, string says)
    {
        var folder = ApiHost.NewFolder();
        try
        {
            ApiHost.WriteShop(folder, yaml => yaml.Replace("port: 5432", FormattableString.Invariant($"port: {server.Port}"), StringComparison.Ordinal)
                .Replace("user: countersign ", "user: gateway ", StringComparison.Ordinal).Replace("database: shop", $"database: {database}", StringComparison.Ordinal));
            if (Directory.Exists(Fixtures.GatewayProcess.SharedCache))
            {
                Directory.CreateDirectory(Path.Combine(folder, "data"));
                await Child.RunAsync("cp", "-a", Fixtures.GatewayProcess.SharedCache, Path.Combine(folder, "data", "cache"));
            }

            await using var serve = Child.Start("dotnet", [Path.Combine(AppContext.BaseDirectory, "countersign.dll"), "serve", "--config", Path.Combine(folder, "countersign.yaml")], [("SHOP_PASSWORD", password)], folder);
            Assert.Equal(1, await serve.EndsAsync(120));
            Assert.Contains(FormattableString.Invariant($"countersign: target `shop`: 127.0.0.1:{server.Port} refuses role `gateway`: {says}"), serve.Text, StringComparison.Ordinal);
            Assert.DoesNotContain(password, serve.Text, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task A_password_that_is_changed_later_is_the_operators_matter_and_no_detail_reaches_the_agent()
    {
        await using var gateway = await GatewayProcess.StartAsync(server);
        await server.ExecuteAsync("ALTER ROLE gateway PASSWORD 'another one'");
        try
        {
            await using var psql = gateway.Psql("-c", "SELECT 1");
            Assert.NotEqual(0, await psql.EndsAsync());
            Assert.Contains("target `shop` refuses the gateway", psql.Text, StringComparison.Ordinal);
            Assert.Contains("tell the operator: its credentials or database are not accepted", psql.Text, StringComparison.Ordinal);
            Assert.DoesNotContain("28P01", psql.Text, StringComparison.Ordinal);
            await gateway.Process.SaysAsync("28P01 password authentication failed; is SHOP_PASSWORD right?");
        }
        finally
        {
            await server.ExecuteAsync($"ALTER ROLE gateway PASSWORD '{PostgresServer.GatewayPassword}'");
        }
    }

    [Fact]
    public async Task An_unknown_target_is_answered_with_their_names_only_to_who_is_known()
    {
        await using var gateway = await GatewayProcess.StartAsync(server);
        await using (var known = await WireClient.DialAsync(gateway.Port))
        {
            Assert.Contains("the targets are: shop", await known.StartAsync(GatewayProcess.Agent, gateway.AgentKey, "shoop"), StringComparison.Ordinal);
        }

        await using (var stranger = await WireClient.DialAsync(gateway.Port))
        {
            Assert.DoesNotContain("the targets are", await stranger.StartAsync("mallory\u001b[2J", "csk_none", "shoop"), StringComparison.Ordinal);
        }

        // The log has who was claimed, so that nothing in it acts on a terminal, and from where (P34).
        await gateway.Process.SaysAsync("somebody at 127.0.0.1:");
        Assert.Contains("mallory", gateway.Said, StringComparison.Ordinal);
        Assert.DoesNotContain("\u001b", gateway.Said, StringComparison.Ordinal);
    }
}
