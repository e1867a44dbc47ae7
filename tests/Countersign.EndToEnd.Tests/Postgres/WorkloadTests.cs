using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Countersign.EndToEnd.Tests.Api;
using Countersign.EndToEnd.Tests.Fixtures;
using Countersign.Identity;
using Countersign.PgWire;
using Countersign.Tests.Workloads;

namespace Countersign.EndToEnd.Tests.Postgres;

/// <summary>
/// Workloads without a secret of ours, end to end: an unmodified psql over verified TLS, an issuer over real HTTP, a real
/// PostgreSQL behind.
/// </summary>
[Collection("postgres")]
public sealed class WorkloadTests(PostgresServer server)
{
    private const string Agent = "shop-deploy";

    private sealed class Setting : IAsyncDisposable
    {
        public required ApiHost Host { get; init; }
        public required TestIssuer Issuer { get; init; }
        public required TestAuthority Authority { get; init; }
        public required string Folder { get; init; }

        public int Port => Host.Gateway.Postgres.Port;

        public static async Task<Setting> OpenAsync(PostgresServer server, bool tls = true, string grace = "0s")
        {
            var folder = ApiHost.NewFolder();
            var issuer = new TestIssuer();
            var authority = new TestAuthority(TimeProvider.System.GetUtcNow());
            using var certificate = authority.Server();
            var files = TestAuthority.Write(folder, "server", certificate);
            var root = authority.WriteRoot(folder);
            var password = Path.Combine(folder, "password");
            await File.WriteAllTextAsync(password, PostgresServer.GatewayPassword);
            if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(password, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            var config = $$"""
                listen:
                  http: 127.0.0.1:0
                  postgres: 127.0.0.1:0
                {{(tls ? $"  tls: {{ certificate: {{ file: {files.Certificate} }}, key: {{ file: {files.Key} }} }}" : "")}}
                data: data
                policies: policies
                users:
                  alice: { groups: [admins] }
                  mira: { groups: [support-leads] }
                  tom: { groups: [support-leads, dba] }
                identity:
                  issuers:
                    github:
                      issuer: {{issuer.Issuer}}
                      audience: {{TestIssuer.Audience}}
                      grace: {{grace}}
                      agents:
                        {{Agent}}: { match: { sub: "repo:acme/shop:ref:refs/heads/main" }, owner: tom, groups: [agents] }
                  runtimes:
                    platform:
                      issuer: {{issuer.Issuer}}
                      audience: {{TestIssuer.Audience}}
                      agents: [code-bot]
                      people: { users: { u-mira: mira } }
                {{(tls ? $"  mtls: {{ ca: {{ file: {root} }}, agents: {{ batch: {{ match: {{ uri: \"spiffe://acme/ns/prod/sa/batch\" }}, owner: tom, groups: [agents] }} }} }}" : "  insecure-loopback: true")}}
                targets:
                  shop: { kind: postgres, environment: prod, host: 127.0.0.1, port: {{server.Port}}, database: shop, user: gateway, password: { file: {{password}} }, tls: disable }
                classification:
                  classes: { pii: {}, payment: {} }
                  resources: { shop.public.customers: [pii] }
                """;
            return new Setting { Host = await ApiHost.StartAsync(folder: folder, config: _ => config), Issuer = issuer, Authority = authority, Folder = folder };
        }

        public JsonObject Claims() => Issuer.GitHub(TimeProvider.System.GetUtcNow());

        public string Token() => Issuer.Sign(Claims());

        public async Task<(int Code, string Said)> PsqlAsync(string password, string sql, string user = Agent, string ssl = "verify-full", params (string, string?)[] more)
        {
            await using var psql = Child.Start("psql", ["-X", "-w", "-A", "-t", "-v", "VERBOSITY=verbose", "-c", sql],
            [
                ("PGHOST", "localhost"), ("PGHOSTADDR", "127.0.0.1"), ("PGPORT", Port.ToString(System.Globalization.CultureInfo.InvariantCulture)), ("PGDATABASE", "shop"), ("PGUSER", user),
                ("PGPASSWORD", password), ("PGSSLMODE", ssl), ("PGSSLROOTCERT", Path.Combine(Folder, "ca.pem")), ("PGGSSENCMODE", null), .. more,
            ]);
            var code = await psql.EndsAsync();
            return (code, psql.Text);
        }

        /// <summary>Types, reasons and methods of the sign-ins in the journal.</summary>
        public IReadOnlyList<string> SignIns => Host.Get<Journal.IStateReader>().ReadEntries(0, int.MaxValue)
            .Select(static e => e.TryParse(out var content) ? content.Root : default)
            .Where(static r => r.GetProperty("type").GetString() is "agent-signed-in" or "agent-refused")
            .Select(static r => r.TryGetProperty("reason", out var reason) ? reason.GetString()! : "agent-signed-in").ToArray();

        public async ValueTask DisposeAsync()
        {
            await Host.DisposeAsync();
            await Issuer.DisposeAsync();
            Authority.Dispose();
            Directory.Delete(Folder, recursive: true);
        }
    }

    [Fact]
    public async Task Workload_connects_with_psql_and_no_secret()
    {
        await using var at = await Setting.OpenAsync(server);
        var (code, said) = await at.PsqlAsync(at.Token(), "SELECT count(*) FROM orders");
        Assert.True(code == 0, said);
        Assert.Contains("200", said, StringComparison.Ordinal);
        Assert.Equal(["agent-signed-in"], at.SignIns);

        using var alice = await SignInAsync(at, "alice");
        var list = (await JsonAsync(alice, "/api/v1/agents")).GetProperty("agents").EnumerateArray().Single(static a => a.GetProperty("name").GetString() == Agent);
        Assert.Equal((at.Issuer.Issuer, "tom", 0), (list.GetProperty("vouchedBy").GetString(), list.GetProperty("owner").GetString(), list.GetProperty("keys").GetArrayLength()));
    }

    [Fact]
    public async Task P35_each_wrong_token_is_refused_with_its_reason_and_leaks_nothing()
    {
        await using var at = await Setting.OpenAsync(server);
        await using var other = new TestIssuer();
        var used = at.Token();
        Assert.Equal(0, (await at.PsqlAsync(used, "SELECT 1")).Code);
        var now = TimeProvider.System.GetUtcNow();
        JsonObject Changed(string name, JsonNode value)
        {
            var claims = at.Claims();
            claims[name] = value;
            return claims;
        }

        (string Token, string Reason)[] wrong =
        [
            (at.Issuer.Sign(Changed("aud", "https://github.com/acme")), "token-audience"),
            (at.Issuer.Sign(Changed("exp", now.AddSeconds(-1).ToUnixTimeSeconds())), "token-expired"),
            (other.Sign(other.GitHub(now)), "token-issuer"),
            (used, "token-replayed"),
            (at.Issuer.Sign(Changed("sub", "repo:acme/shop:ref:refs/heads/other")), "token-subject"),
            (at.Issuer.Sign(at.Claims(), typ: "logout+jwt"), "token-type"),
            (TestIssuer.Mac(at.Claims(), at.Issuer.Rsa.ExportSubjectPublicKeyInfo()), "token-algorithm"),
            (other.Sign(at.Claims()), "token-signature"),
            ("hunter2", "token-malformed"),
        ];
        foreach (var (token, reason) in wrong)
        {
            var (code, said) = await at.PsqlAsync(token, "SELECT 1");
            Assert.Equal(2, code);
            Assert.Contains($"reason={reason}", said, StringComparison.Ordinal);
            foreach (var ours in new[] { TestIssuer.Audience, at.Issuer.Issuer, "acme/shop", "tom", token }) Assert.DoesNotContain(ours, said, StringComparison.Ordinal);
        }

        Assert.Equal(["agent-signed-in", .. wrong.Select(static w => w.Reason)], at.SignIns);
        Assert.DoesNotContain(used, string.Join('\n', at.Host.Log), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Owner_of_a_workload_can_not_approve_what_it_does()
    {
        await using var at = await Setting.OpenAsync(server);
        var running = at.PsqlAsync(at.Token(), "UPDATE customers SET credit = credit + 1 WHERE id = 77");
        using var tom = await SignInAsync(at, "tom");
        using var mira = await SignInAsync(at, "mira");
        var review = await GatewayProcess.TheOpenReviewAsync(mira);
        Assert.Equal("self-approval", (await GatewayProcess.AnswerAsync(tom, review)).Reason);
        Assert.Equal("approved", (await GatewayProcess.AnswerAsync(mira, review)).Reason);
        var (code, said) = await running;
        Assert.True(code == 0, said);
        Assert.Contains("UPDATE 1", said, StringComparison.Ordinal);
    }

    [Fact]
    public async Task I4_Human_whom_a_runtime_names_can_not_approve_what_its_agent_does()
    {
        await using var at = await Setting.OpenAsync(server);
        var (_, key) = await at.Host.AddAgentAsync("code-bot", owner: "alice");
        var now = TimeProvider.System.GetUtcNow();
        string Statement(string agent = "code-bot", string audience = TestIssuer.Audience) => at.Issuer.Sign(new JsonObject
        {
            ["iss"] = at.Issuer.Issuer, ["aud"] = audience, ["sub"] = "u-mira", ["client_id"] = agent, ["jti"] = TestIssuer.NewId(),
            ["iat"] = now.ToUnixTimeSeconds(), ["exp"] = now.AddMinutes(4).ToUnixTimeSeconds(),
        }, typ: "on-behalf-of+jwt");
        Task<(int Code, string Said)> BotAsync(string sql, string? statement) =>
            at.PsqlAsync(key, sql, "code-bot", more: statement is null ? [] : [("PGOPTIONS", $"-c countersign.on_behalf_of={statement}")]);

        var good = Statement();
        var running = BotAsync("UPDATE customers SET credit = credit + 1 WHERE id = 78", good);
        using var mira = await SignInAsync(at, "mira");
        using var tom = await SignInAsync(at, "tom");
        var review = await GatewayProcess.TheOpenReviewAsync(tom);
        Assert.Equal("mira", (await JsonAsync(tom, $"/api/v1/reviews/{review}")).GetProperty("for").GetString());
        Assert.Equal("self-approval", (await GatewayProcess.AnswerAsync(mira, review)).Reason);
        Assert.Equal("approved", (await GatewayProcess.AnswerAsync(tom, review)).Reason);
        var (code, said) = await running;
        Assert.True(code == 0, said);
        Assert.Contains("UPDATE 1", said, StringComparison.Ordinal);

        foreach (var (statement, reason) in ((string?, string)[])[(null, "on-behalf-of-required"), (good, "token-replayed"), (Statement("shop-deploy"), "token-subject"), (Statement(audience: "other"), "token-audience"), ("mira", "token-malformed"), (at.Token(), "token-type")])
        {
            (code, said) = await BotAsync("SELECT 1", statement);
            Assert.Equal(2, code);
            Assert.Contains($"reason={reason}", said, StringComparison.Ordinal);
            if (statement is { Length: > 20 }) Assert.DoesNotContain(statement, said, StringComparison.Ordinal);
        }

        // Two statements, of which either could be meant, are none.
        (code, said) = await at.PsqlAsync(key, "SELECT 1", "code-bot", more: ("PGOPTIONS", $"-c countersign.on_behalf_of={Statement()} -c countersign.on_behalf_of={Statement()}"));
        Assert.Equal(2, code);
        Assert.Contains("given twice", said, StringComparison.Ordinal);
        Assert.DoesNotContain(good, string.Join('\n', at.Host.Log), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Claim_of_a_user_at_start_up_admits_nobody_for_whom_it_acts()
    {
        await using var at = await Setting.OpenAsync(server);
        var (code, said) = await at.PsqlAsync(at.Token(), "SELECT 1", more: ("PGOPTIONS", "-c countersign.for=mira"));
        Assert.Equal(2, code);
        Assert.Contains("countersign.for", said, StringComparison.Ordinal);
        Assert.Empty(at.SignIns);
    }

    [Fact]
    public async Task P35_token_is_not_asked_for_without_tls()
    {
        await using var at = await Setting.OpenAsync(server);
        var (code, said) = await at.PsqlAsync(at.Token(), "SELECT 1", ssl: "disable");
        Assert.Equal(2, code);
        Assert.Contains("reason=tls-required", said, StringComparison.Ordinal);
        Assert.Empty(at.SignIns);
        Assert.Equal(0, at.Issuer.Fetches);
    }

    [Fact]
    public async Task Token_passes_without_tls_on_loopback_where_the_config_says_so()
    {
        await using var at = await Setting.OpenAsync(server, tls: false);
        var (code, said) = await at.PsqlAsync(at.Token(), "SELECT 1", ssl: "disable");
        Assert.True(code == 0, said);
    }

    [Fact]
    public async Task P35_agent_with_a_key_is_never_asked_for_it_in_clear()
    {
        await using var at = await Setting.OpenAsync(server);
        var added = await at.Host.Agents.AddAsync("keyed", "tom", null, ["agents"], at.Host.Get<UserDirectory>().Find("alice")!.Ref);
        var (code, said) = await at.PsqlAsync(added.Key!.Secret, "SELECT 1", "keyed");
        Assert.True(code == 0, said);

        foreach (var name in new[] { "keyed", "nobody", "Shop-Deploy", "shop-deploy " })
        {
            await using var client = await DialAsync(at);
            client.Start(name, "-c countersign.auth=oauthbearer");
            Assert.Equal((AuthenticationKind.Sasl, "SCRAM-SHA-256"), await client.AskedAsync());
        }

        // Nor does a key open the door of an agent with tokens.
        (code, said) = await at.PsqlAsync(added.Key!.Secret, "SELECT 1");
        Assert.Equal(2, code);
        Assert.Contains("reason=token-malformed", said, StringComparison.Ordinal);
        Assert.DoesNotContain(added.Key.Secret, said + string.Join('\n', at.Host.Log), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Client_that_speaks_oauthbearer_hands_its_token_over_so()
    {
        await using var at = await Setting.OpenAsync(server);
        await using var client = await DialAsync(at);
        client.Start(Agent, "-c countersign.auth=oauthbearer");
        Assert.Equal((AuthenticationKind.Sasl, "OAUTHBEARER"), await client.AskedAsync());
        client.Write(o => FrontendWriter.WriteSaslInitialResponse(o, OAuthBearer.Mechanism, Encoding.ASCII.GetBytes($"n,,\u0001auth=Bearer {at.Token()}\u0001\u0001")));
        Assert.Equal('Z', await client.UntilAsync('Z'));

        // Without a token it is told where to get one, answers, and is refused.
        await using var asking = await DialAsync(at);
        asking.Start(Agent, "-c countersign.auth=oauthbearer");
        await asking.AskedAsync();
        asking.Write(static o => FrontendWriter.WriteSaslInitialResponse(o, OAuthBearer.Mechanism, "n,,\u0001auth=\u0001\u0001"u8));
        Assert.Equal('R', await asking.UntilAsync('R'));
        Assert.True(AuthenticationMessage.TryRead(asking.Body, out var told, out _));
        using var json = JsonDocument.Parse(told.Data);
        Assert.Equal(("invalid_token", at.Issuer.Issuer + "/.well-known/openid-configuration"), (json.RootElement.GetProperty("status").GetString(), json.RootElement.GetProperty("openid-configuration").GetString()));
        asking.Write(static o => FrontendWriter.WriteSaslResponse(o, "\u0001"u8));
        Assert.Equal('E', await asking.UntilAsync('E'));
        Assert.Equal(["agent-signed-in"], at.SignIns);
    }

    [Fact]
    public async Task Connection_begins_nothing_after_its_token_has_ended()
    {
        await using var at = await Setting.OpenAsync(server);
        await using var client = await DialAsync(at);
        var claims = at.Claims();
        var end = DateTimeOffset.FromUnixTimeSeconds(TimeProvider.System.GetUtcNow().ToUnixTimeSeconds() + 3);
        claims["exp"] = end.ToUnixTimeSeconds();
        client.Start(Agent);
        await client.AskedAsync();
        client.Write(o => FrontendWriter.WritePassword(o, at.Issuer.Sign(claims)));
        Assert.Equal('Z', await client.UntilAsync('Z'));
        client.Write(static o => FrontendWriter.WriteQuery(o, "SELECT 1"));
        Assert.Equal('Z', await client.UntilAsync('Z'));
        while (TimeProvider.System.GetUtcNow() <= end) await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, TestContext.Current.CancellationToken);
        client.Write(static o => FrontendWriter.WriteQuery(o, "SELECT 2"));
        Assert.Equal('E', await client.UntilAsync('E'));
        Assert.Contains("reason=token-expired", WireClient.ErrorOf(client.Body), StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_was_held_before_the_token_ended_runs_when_it_is_approved()
    {
        await using var at = await Setting.OpenAsync(server);
        using var mira = await SignInAsync(at, "mira");
        await using var client = await DialAsync(at);
        var claims = at.Claims();
        var end = DateTimeOffset.FromUnixTimeSeconds(TimeProvider.System.GetUtcNow().ToUnixTimeSeconds() + 6);
        claims["exp"] = end.ToUnixTimeSeconds();
        client.Start(Agent);
        await client.AskedAsync();
        client.Write(o => FrontendWriter.WritePassword(o, at.Issuer.Sign(claims)));
        Assert.Equal('Z', await client.UntilAsync('Z'));

        // The whole batch at once, as a driver sends it: its Sync is read only after the approval, and must still commit it.
        client.Write(static o =>
        {
            FrontendWriter.WriteParse(o, "", "UPDATE customers SET credit = 4711 WHERE id = 78", []);
            FrontendWriter.WriteBind(o, "", "", []);
            FrontendWriter.WriteExecute(o, "", 0);
            FrontendWriter.WriteSync(o);
        });
        var review = await GatewayProcess.TheOpenReviewAsync(mira);
        while (TimeProvider.System.GetUtcNow() <= end) await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, TestContext.Current.CancellationToken);
        Assert.Equal("approved", (await GatewayProcess.AnswerAsync(mira, review)).Reason);
        Assert.Equal('Z', await client.UntilAsync('Z'));
        Assert.Equal(4711, await server.AskAsync<long>("SELECT credit FROM customers WHERE id = 78"));
        client.Write(static o => FrontendWriter.WriteQuery(o, "SELECT 1"));
        Assert.Equal('E', await client.UntilAsync('E'));
        Assert.Contains("reason=token-expired", WireClient.ErrorOf(client.Body), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Revoked_workload_loses_its_open_connection()
    {
        await using var at = await Setting.OpenAsync(server);
        await using var client = await DialAsync(at);
        client.Start(Agent);
        await client.AskedAsync();
        client.Write(o => FrontendWriter.WritePassword(o, at.Token()));
        Assert.Equal('Z', await client.UntilAsync('Z'));
        using var alice = await SignInAsync(at, "alice");
        using var revoked = await alice.DeleteAsync($"/api/v1/agents/{Agent}", TestContext.Current.CancellationToken);
        revoked.EnsureSuccessStatusCode();
        client.Write(static o => FrontendWriter.WriteQuery(o, "SELECT 1"));
        Assert.Equal('E', await client.UntilAsync('E'));
        Assert.Contains("reason=unauthenticated", WireClient.ErrorOf(client.Body), StringComparison.Ordinal);
        Assert.Contains("reason=unauthenticated", (await at.PsqlAsync(at.Token(), "SELECT 1")).Said, StringComparison.Ordinal);
    }

    [Fact]
    public async Task P35_client_certificate_lets_in_its_own_agent_and_nobody_else()
    {
        await using var at = await Setting.OpenAsync(server);
        using var good = at.Authority.Client("spiffe://acme/ns/prod/sa/batch");
        var (code, said) = await CertificateAsync(at, good);
        Assert.True(code == 0, said);

        using var stranger = new TestAuthority(TimeProvider.System.GetUtcNow());
        var now = TimeProvider.System.GetUtcNow();
        (X509Certificate2? Certificate, string Reason)[] wrong =
        [
            (null, "certificate-required"),
            (at.Authority.Server(), "certificate-invalid"),
            (at.Authority.Issue(["1.3.6.1.5.5.7.3.1"], static n => n.AddUri(new Uri("spiffe://acme/ns/prod/sa/batch"))), "certificate-invalid"),
            (at.Authority.Issue([], static n => n.AddUri(new Uri("spiffe://acme/ns/prod/sa/batch"))), "certificate-invalid"),
            (at.Authority.Issue([TestAuthority.ClientAuth], static n => n.AddUri(new Uri("spiffe://acme/ns/prod/sa/batch")), now.AddHours(-2), now.AddHours(-1)), "certificate-invalid"),
            (stranger.Client("spiffe://acme/ns/prod/sa/batch"), "certificate-invalid"),
            (at.Authority.Client("spiffe://acme/ns/prod/sa/other"), "certificate-subject"),
            (at.Authority.Client("spiffe://acme/ns/prod/sa/batch/x"), "certificate-subject"),
            (at.Authority.Issue([TestAuthority.ClientAuth], static n => n.AddDnsName("batch")), "certificate-subject"),
            (at.Authority.Issue([TestAuthority.ClientAuth], static n =>
            {
                n.AddUri(new Uri("spiffe://acme/ns/prod/sa/batch"));
                n.AddUri(new Uri("spiffe://acme/ns/prod/sa/other"));
            }), "certificate-subject"),
        ];
        foreach (var (certificate, reason) in wrong)
        {
            (code, said) = await CertificateAsync(at, certificate);
            certificate?.Dispose();
            Assert.Equal(2, code);
            Assert.Contains($"reason={reason}", said, StringComparison.Ordinal);
        }

        Assert.Equal(["agent-signed-in", .. wrong.Select(static w => w.Reason)], at.SignIns);

        // The same port still takes a token, certificate or not.
        Assert.Equal(0, (await at.PsqlAsync(at.Token(), "SELECT 1")).Code);
    }

    private static async Task<(int Code, string Said)> CertificateAsync(Setting at, X509Certificate2? certificate)
    {
        if (certificate is null) return await at.PsqlAsync("", "SELECT 1", "batch");
        var files = TestAuthority.Write(at.Folder, "client", certificate);
        return await at.PsqlAsync("", "SELECT 1", "batch", "verify-full", ("PGSSLCERT", files.Certificate), ("PGSSLKEY", files.Key));
    }

    private static async Task<HttpClient> SignInAsync(Setting at, string user)
    {
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.Add(at.Authority.Root);
        var http = new HttpClient(new SocketsHttpHandler { SslOptions = { CertificateChainPolicy = policy } }) { BaseAddress = new Uri($"https://localhost:{at.Host.Gateway.Http.Port}") };
        using var content = System.Net.Http.Json.JsonContent.Create(new { user });
        (await http.PostAsync("/api/v1/login/begin", content)).EnsureSuccessStatusCode();
        var code = at.Host.Codes.Last(c => c.User == user).Code;
        using var completed = await http.PostAsync("/api/v1/login/complete", System.Net.Http.Json.JsonContent.Create(new { user, code }));
        var text = await completed.Content.ReadAsStringAsync();
        Assert.True(completed.IsSuccessStatusCode, text);
        http.DefaultRequestHeaders.Authorization = new System.Net.Http.Headers.AuthenticationHeaderValue("Bearer", JsonDocument.Parse(text).RootElement.GetProperty("token").GetString());
        return http;
    }

    private static async Task<JsonElement> JsonAsync(HttpClient http, string path) => JsonDocument.Parse(await http.GetStringAsync(path)).RootElement;

    private static async Task<Wire> DialAsync(Setting at)
    {
        var wire = new Wire(new TcpClient { NoDelay = true });
        await wire.OpenAsync(at);
        return wire;
    }

    /// <summary>A client that speaks each message by itself, over TLS.</summary>
    private sealed class Wire(TcpClient tcp) : IAsyncDisposable
    {
        private SslStream stream = null!;

        public byte[] Body { get; private set; } = [];

        public async Task OpenAsync(Setting at)
        {
            await tcp.ConnectAsync("127.0.0.1", at.Port);
            var plain = tcp.GetStream();
            await plain.WriteAsync(new byte[] { 0, 0, 0, 8, 4, 210, 22, 47 });
            Assert.Equal('S', plain.ReadByte());
            var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            policy.CustomTrustStore.Add(at.Authority.Root);
            stream = new SslStream(plain);
            await stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = "localhost", CertificateChainPolicy = policy });
        }

        public void Write(Action<System.Buffers.IBufferWriter<byte>> write)
        {
            var output = new System.Buffers.ArrayBufferWriter<byte>();
            write(output);
            stream.Write(output.WrittenSpan);
        }

        public void Start(string user, string? options = null) => Write(o => FrontendWriter.WriteStartup(o, ProtocolVersion.V30,
            options is null ? [new("user", user), new("database", "shop")] : [new("user", user), new("database", "shop"), new("options", options)]));

        /// <summary>What the gateway asks for first, with the one mechanism that it offers.</summary>
        public async Task<(AuthenticationKind Kind, string Mechanism)> AskedAsync()
        {
            Assert.Equal('R', await UntilAsync('R'));
            Assert.True(AuthenticationMessage.TryRead(Body, out var message, out _));
            return (message.Kind, message.Kind == AuthenticationKind.Sasl ? Encoding.ASCII.GetString(Body.AsSpan(4)).TrimEnd('\0') : "");
        }

        /// <summary>Reads to a message of this tag, or the first error.</summary>
        public async Task<char> UntilAsync(char tag)
        {
            while (true)
            {
                var header = new byte[5];
                await stream.ReadExactlyAsync(header, TestContext.Current.CancellationToken);
                Body = new byte[System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(1)) - 4];
                await stream.ReadExactlyAsync(Body, TestContext.Current.CancellationToken);
                if ((char)header[0] == tag || header[0] == 'E') return (char)header[0];
            }
        }

        public async ValueTask DisposeAsync()
        {
            await stream.DisposeAsync();
            tcp.Dispose();
        }
    }
}
