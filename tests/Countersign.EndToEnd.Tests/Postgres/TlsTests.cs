using System.Globalization;
using Countersign.EndToEnd.Tests.Fixtures;
using Countersign.PgWire;
using Npgsql;

namespace Countersign.EndToEnd.Tests.Postgres;

/// <summary>A gateway whose listeners have a certificate, before a target whose certificate is checked.</summary>
public sealed class TlsFixture(PostgresServer server) : IAsyncLifetime
{
    private readonly string folder = Directory.CreateTempSubdirectory("countersign-tls-").FullName;

    public PostgresServer Server { get; } = server;
    public Certificates Certificates { get; private set; } = null!;
    public GatewayProcess Gateway { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        Certificates = Certificates.Make(folder);
        Gateway = await GatewayProcess.StartAsync(Server, new GatewayProcess.Setup(Listen: Certificates,
            TargetHost: "localhost", TargetTls: $"tls: verify-full\n    ca: {{ file: {Server.Tls.CaFile} }}"));
    }

    public async ValueTask DisposeAsync()
    {
        if (Gateway is not null) await Gateway.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }
}

[Collection("postgres")]
public sealed class TlsTests(TlsFixture fixture) : IClassFixture<TlsFixture>
{
    private Child Psql(string mode, string? authority, string sql, string host = "localhost") => Child.Start("psql", ["-X", "-v", "VERBOSITY=verbose", "-At", "-c", sql],
        [("PGHOST", host), ("PGPORT", fixture.Gateway.Port.ToString(CultureInfo.InvariantCulture)), ("PGDATABASE", "shop"), ("PGUSER", GatewayProcess.Agent),
            ("PGPASSWORD", fixture.Gateway.AgentKey), ("PGSSLMODE", mode), ("PGSSLROOTCERT", authority), ("PGGSSENCMODE", "disable")]);

    [Fact]
    public async Task Psql_with_require_and_verify_full_is_served_and_held_and_one_that_trusts_another_authority_leaves()
    {
        await using (var required = Psql("require", null, "SELECT 'over ' || 'tls'"))
        {
            Assert.True(await required.EndsAsync() == 0, required.Text);
            Assert.Contains("over tls", required.Output, StringComparison.Ordinal);
        }

        using var alice = await fixture.Gateway.SignInAsync("alice");
        await using (var verified = Psql("verify-full", fixture.Certificates.CaFile, "UPDATE customers SET credit = 131 WHERE id = 131", "127.0.0.1"))
        {
            await verified.SaysAsync("held for review");
            Assert.Equal("approved", (await GatewayProcess.AnswerAsync(alice, await GatewayProcess.TheOpenReviewAsync(alice))).Reason);
            Assert.True(await verified.EndsAsync() == 0, verified.Text);
            Assert.Contains("UPDATE 1", verified.Output, StringComparison.Ordinal);
        }

        await using var stranger = Psql("verify-full", fixture.Server.Tls.CaFile, "SELECT 1");
        Assert.Equal(2, await stranger.EndsAsync());
        Assert.True(stranger.Text.Contains("certificate verify failed", StringComparison.Ordinal), stranger.Text);
    }

    [Fact]
    public async Task Npgsql_with_verify_full_is_served()
    {
        await using var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(fixture.Gateway.AgentConnection())
        {
            Host = "localhost", SslMode = SslMode.VerifyFull, RootCertificate = fixture.Certificates.CaFile,
        }.ConnectionString);
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand("SELECT count(*) FROM orders WHERE id < $1", connection) { Parameters = { new() { Value = 11L } } };
        Assert.Equal(10L, await command.ExecuteScalarAsync());
    }

    [Fact]
    public async Task P10_clear_text_is_refused_before_anybody_is_asked_who_he_is_where_the_listener_has_a_certificate()
    {
        await using (var plain = Psql("disable", null, "SELECT 1"))
        {
            Assert.Equal(2, await plain.EndsAsync());
            Assert.Contains("this listener speaks TLS only", plain.Text, StringComparison.Ordinal);
        }

        await using var client = await WireClient.DialAsync(fixture.Gateway.Port);
        var refused = await client.StartAsync(GatewayProcess.Agent, fixture.Gateway.AgentKey, "shop");
        Assert.StartsWith("28000", refused, StringComparison.Ordinal);
        Assert.Contains("reason=tls-required", refused, StringComparison.Ordinal);

        // One that would fall back to clear text finds no such way, and one that asks for TLS by itself gets it.
        await using var preferring = Psql("prefer", null, "SELECT 1");
        Assert.True(await preferring.EndsAsync() == 0, preferring.Text);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task P10_clear_text_behind_the_request_for_tls_never_becomes_what_was_said_within_it(bool atOnce)
    {
        await using var client = await WireClient.DialAsync(fixture.Gateway.Port);
        client.Write(FrontendWriter.WriteSslRequest);
        if (!atOnce)
        {
            await client.FlushAsync();
            Assert.Equal('S', client.Stream.ReadByte());
        }

        await client.Write(static o => FrontendWriter.WriteStartup(o, ProtocolVersion.V30, [new("user", "robo"), new("database", "shop")])).FlushAsync();
        var answer = await client.UntilAsync(static _ => false);
        Assert.True(answer.Closed);
        Assert.Empty(answer.Messages);
    }

    [Fact]
    public async Task A_target_is_reached_over_tls_by_sessions_and_by_the_catalogue()
    {
        await using var psql = Psql("require", null, "SELECT 'is it ' || 'encrypted', pg_sleep(1)");
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (fixture.Gateway.Arrived("'is it '") == 0) await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System, limit.Token);
        const string sessions = "FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.usename = 'gateway' AND";
        var clear = await fixture.Server.AskAsync<long>($"SELECT count(*) {sessions} NOT s.ssl");
        var encrypted = await fixture.Server.AskAsync<string>($"SELECT string_agg(DISTINCT a.application_name, ',' ORDER BY a.application_name) {sessions} s.ssl");
        Assert.Equal(0L, clear);
        Assert.Equal("countersign-catalogue,psql", encrypted);
        await psql.EndsAsync();
    }

    [Theory]
    [InlineData("127.0.0.1", true)]
    [InlineData("localhost", false)]
    public async Task A_target_whose_certificate_is_not_for_its_name_or_by_a_stranger_gets_no_credential(string host, bool rightAuthority)
    {
        var authority = rightAuthority ? fixture.Server.Tls.CaFile : fixture.Certificates.CaFile;
        await using var gateway = await GatewayProcess.StartAsync(fixture.Server, new GatewayProcess.Setup(TargetHost: host, TargetTls: $"tls: verify-full\n    ca: {{ file: {authority} }}"));
        await using var client = await WireClient.DialAsync(gateway.Port);
        var refused = await client.StartAsync(GatewayProcess.Agent, gateway.AgentKey, "shop");
        Assert.StartsWith("08001", refused, StringComparison.Ordinal);
        Assert.Contains("reason=target-unavailable", refused, StringComparison.Ordinal);
        Assert.Contains("can not be reached; it is checked at its first session", gateway.Said, StringComparison.Ordinal);
    }
}
