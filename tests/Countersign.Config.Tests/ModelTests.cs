using System.Net;

namespace Countersign.Config.Tests;

public sealed class ModelTests
{
    [Fact]
    public void Minimal_file_takes_every_documented_default()
    {
        var config = Yaml.Good(Yaml.Minimal, "/etc/countersign");

        Assert.Equal(new IPEndPoint(IPAddress.Loopback, 8080), config.Listen.Http);
        Assert.Equal(new IPEndPoint(IPAddress.Loopback, 6543), config.Listen.Postgres);
        Assert.Null(config.Listen.Tls);
        Assert.Equal("/etc/countersign/data", config.DataFolder);
        Assert.Equal("/etc/countersign/policies", config.PolicyFolder);
        Assert.Equal(new HoldConfig(TimeSpan.FromMinutes(10), TimeSpan.FromSeconds(60), TimeSpan.FromMinutes(15), TimeSpan.FromSeconds(10)), config.Hold);
        Assert.Equal(20, config.Limits.PendingPerAgent);
        Assert.Equal(100, config.Classification.BoundedRows);
        Assert.Null(config.Groups);
        Assert.Null(config.Telemetry.Otlp);

        var alice = Assert.Single(config.Users);
        Assert.Equal("alice", alice.Name);
        Assert.Equal(["dba"], alice.Groups);

        var shop = config.Targets["shop"];
        Assert.Equal(5432, shop.Port);
        Assert.Equal("correct horse", shop.Password.Reveal());
        Assert.Equal(TargetTls.Disable, shop.Tls);
        Assert.Empty(shop.AllowStrongRole);
    }

    [Fact]
    public void Given_values_arrive_in_the_model()
    {
        var config = Yaml.Good(Yaml.Minimal + """
            listen: { http: "[::1]:0", postgres: localhost:7000 }
            data: ../var
            hold: { detached: 1h, transaction: 5s, connection: 90s, notice: 1s }
            limits: { pending-per-agent: 3, connections: 9, connections-per-agent: 4, message-bytes: 4096, held-bytes: 2048 }
            groups: [sre, dba]
            telemetry: { otlp: "http://127.0.0.1:4317" }
            """, "/etc/countersign");

        Assert.Equal(new IPEndPoint(IPAddress.IPv6Loopback, 0), config.Listen.Http);
        Assert.Equal(new IPEndPoint(IPAddress.Loopback, 7000), config.Listen.Postgres);
        Assert.Equal("/etc/var", config.DataFolder);
        Assert.Equal(TimeSpan.FromHours(1), config.Hold.Detached);
        Assert.Equal(TimeSpan.FromSeconds(90), config.Hold.Connection);
        Assert.Equal((3, 9, 4, 4096, 2048), (config.Limits.PendingPerAgent, config.Limits.Connections, config.Limits.ConnectionsPerAgent, config.Limits.MessageBytes, config.Limits.HeldBytes));
        Assert.Equal(["dba", "sre"], config.Groups!);
        Assert.Equal(4317, config.Telemetry.Otlp!.Port);
    }

    [Theory]
    [InlineData("host: db.internal", TargetTls.VerifyFull)]
    [InlineData("host: 10.0.0.7", TargetTls.VerifyFull)]
    [InlineData("host: localhost.evil.example", TargetTls.VerifyFull)]
    [InlineData("host: localhost", TargetTls.Disable)]
    [InlineData("host: 127.0.0.9", TargetTls.Disable)]
    [InlineData("host: '::1'", TargetTls.Disable)]
    [InlineData("host: db.internal, tls: require", TargetTls.Require)]
    [InlineData("host: db.internal, tls: disable", TargetTls.Disable)]
    [InlineData("host: localhost, tls: verify-full", TargetTls.VerifyFull)]
    public void Target_tls_is_verified_unless_loopback_or_said_otherwise(string keys, TargetTls expected) =>
        Assert.Equal(expected, Yaml.Good(Yaml.Target($"{keys}, password: {{ env: PW }}")).Targets["shop"].Tls);

    [Fact]
    public void Strong_roles_are_allowed_by_name_only()
    {
        var good = Yaml.Good(Yaml.Target("host: localhost, password: { env: PW }, allow-strong-role: [superuser, pg_execute_server_program]"));
        Assert.Equal([StrongRole.Superuser, StrongRole.ExecuteServerProgram], good.Targets["shop"].AllowStrongRole.Order());

        var error = Yaml.Bad(Yaml.Target("host: localhost, password: { env: PW }, allow-strong-role: [all]"));
        Assert.Equal("targets.shop.allow-strong-role[0]", error.Path);
    }

    [Fact]
    public void Same_file_twice_gives_equal_secrets_so_that_a_reload_sees_what_changed()
    {
        var one = Yaml.Good(Yaml.Minimal).Targets["shop"];
        var two = Yaml.Good(Yaml.Minimal).Targets["shop"];
        Assert.Equal(one.Password, two.Password);
        Assert.NotEqual(one.Password, new Secret("correct horsf"));
    }

    [Fact]
    public void Durations_are_written_back_as_they_are_read()
    {
        foreach (var text in (string[])["1s", "90s", "10m", "1h", "24h"])
        {
            Assert.True(Durations.TryParse(text, out var value));
            Assert.Equal(text, Durations.Format(value));
        }
    }
}
