using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.RegularExpressions;
using Npgsql;

namespace Countersign.EndToEnd.Tests.Fixtures;

/// <summary>
/// A real `countersign serve` as a process of its own, in front of a real PostgreSQL, with people, an agent and policies.
/// It can be killed and started again on the same data.
/// </summary>
public sealed partial class GatewayProcess : IAsyncDisposable
{
    public const string Policies = """
        @id("agents-read")
        permit (principal in Group::"agents", action in Action::"read", resource);

        @id("agents-write")
        permit (principal in Group::"agents", action in Action::"write", resource)
        unless { resource in DataClass::"pii" };

        @id("customers-need-a-dba")
        @review("dba") @expires("15m") @control("SOC2:CC8.1")
        @reason("Customer data is changed only with a DBA's consent.")
        permit (principal in Group::"agents", action in [Action::"write", Action::"export"], resource in DataClass::"pii");

        @id("administration-needs-a-dba")
        @review("dba") @expires("15m")
        permit (principal in Group::"agents", action in Action::"administer", resource);

        @id("nobody-drops-production")
        @reason("Production objects are dropped by migrations only.")
        forbid (principal, action in Action::"destroy", resource in Environment::"prod");
        """;

    private readonly string folder = Directory.CreateTempSubdirectory("countersign-e2e-").FullName;
    private readonly PostgresServer server;
    private readonly Setup setup;
    private Child? serve;

    private GatewayProcess(PostgresServer server, Setup setup)
    {
        this.server = server;
        this.setup = setup;
    }

    /// <summary>What a test wants otherwise. <paramref name="Extra"/> is more of the file's top level.</summary>
    public sealed record Setup(string? Policies = null, string Extra = "", Certificates? Listen = null, string TargetTls = "tls: disable", string TargetHost = "127.0.0.1", bool IgnoreFileSizeSignal = false, int HttpPort = 0);

    public int Port { get; private set; }
    public Uri Http { get; private set; } = null!;
    public string AgentKey { get; private set; } = "";
    public string Folder => folder;
    public string Said => serve!.Text;
    public Child Process => serve!;

    public const string Agent = "robo";
    public const string Owner = "olga";
    public const string ActsFor = "uwe";

    /// <summary>alice and bob are DBAs, carl too and in another group as well; olga owns the agent, uwe is whom it acts for, and both are DBAs.</summary>
    public static Task<GatewayProcess> StartAsync(PostgresServer server, string? policies = null, string hold = "") => StartAsync(server, new Setup(policies, hold));

    public static async Task<GatewayProcess> StartAsync(PostgresServer server, Setup setup)
    {
        var gateway = new GatewayProcess(server, setup);
        Directory.CreateDirectory(Path.Combine(gateway.folder, "policies"));
        await File.WriteAllTextAsync(Path.Combine(gateway.folder, "policies", "main.cedar"), setup.Policies ?? Policies);
        await File.WriteAllTextAsync(Path.Combine(gateway.folder, "countersign.yaml"), $$"""
            listen:
              http: 127.0.0.1:{{setup.HttpPort}}
              postgres: 127.0.0.1:0
            {{(setup.Listen is { } tls ? $"  tls: {{ certificate: {{ file: {tls.CertificateFile} }}, key: {{ file: {tls.KeyFile} }} }}" : "")}}
            data: ./data
            policies: ./policies
            {{setup.Extra}}
            users:
              root: { groups: [admins] }
              alice: { groups: [dba] }
              bob: { groups: [dba] }
              carl: { groups: [dba, sre] }
              eve: { groups: [interns] }
              olga: { groups: [dba] }
              uwe: { groups: [dba] }
            targets:
              shop:
                kind: postgres
                environment: prod
                host: {{setup.TargetHost}}
                port: {{server.Port}}
                database: shop
                user: gateway
                password: { env: SHOP_PASSWORD }
                {{setup.TargetTls}}
            classification:
              classes:
                pii: { frameworks: [SOC2, GDPR] }
              resources:
                shop.public.customers: [pii]
            """);
        await gateway.WarmAsync();
        await gateway.RunAsync();
        using var root = await gateway.SignInAsync("root");
        var added = await root.PostAsJsonAsync("/api/v1/agents", new { name = Agent, owner = Owner, @for = ActsFor, groups = new[] { "agents" } });
        var body = await added.Content.ReadAsStringAsync();
        Assert.True(added.IsSuccessStatusCode, body);
        gateway.AgentKey = JsonDocument.Parse(body).RootElement.GetProperty("key").GetString()!;
        return gateway;
    }

    /// <summary>Compiled modules are kept between tests and runs: they are verified before they are loaded.</summary>
    public static string SharedCache { get; } = Path.Combine(Path.GetTempPath(), $"countersign-test-cache-{Environment.UserName}");

    /// <summary>Compiled modules of an earlier start, where there are any: compiling takes seconds.</summary>
    private async Task WarmAsync()
    {
        if (OperatingSystem.IsWindows() || !Directory.Exists(SharedCache)) return;
        const UnixFileMode ours = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        Directory.CreateDirectory(Path.Combine(folder, "data"), ours);
        await Child.RunAsync("cp", "-a", SharedCache, Path.Combine(folder, "data", "cache"));
    }

    private async Task RunAsync()
    {
        string[] command = ["dotnet", Path.Combine(AppContext.BaseDirectory, "countersign.dll"), "serve", "--config", Path.Combine(folder, "countersign.yaml")];
        // A shell that ignores SIGXFSZ and becomes the gateway: a write beyond the limit is then an error, and no signal.
        if (setup.IgnoreFileSizeSignal) command = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh", .. command];
        serve = Child.Start(command[0], command[1..], [("SHOP_PASSWORD", PostgresServer.GatewayPassword)], folder);
        var said = await serve.SaysAsync("ready http=", 120);
        var ready = Ready().Match(said);
        Http = new Uri(ready.Groups[1].Value);
        Port = int.Parse(ready.Groups[2].Value, CultureInfo.InvariantCulture);
    }

    /// <summary>kill -9.</summary>
    public async Task KillAsync()
    {
        serve!.Signal(Child.SigKill);
        await serve.EndsAsync();
        await serve.DisposeAsync();
    }

    public async Task StopAsync()
    {
        serve!.Signal(Child.SigTerm);
        await serve.EndsAsync();
        await serve.DisposeAsync();
    }

    public Task RestartAsync() => RunAsync();

    /// <summary>A human's session, by the one-time code from serve's own terminal.</summary>
    public async Task<HttpClient> SignInAsync(string user)
    {
        var http = setup.Listen is { } tls ? new HttpClient(tls.Trusting()) { BaseAddress = new Uri($"https://localhost:{Http.Port}") } : new HttpClient { BaseAddress = Http };
        var before = Codes(user).Count();
        (await http.PostAsJsonAsync("/api/v1/login/begin", new { user })).EnsureSuccessStatusCode();
        await serve!.SaysAsync($"login code for {user}:");
        while (Codes(user).Count() == before) await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System);
        var answer = await http.PostAsJsonAsync("/api/v1/login/complete", new { user, code = Codes(user).Last() });
        var text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.IsSuccessStatusCode, text);
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", JsonDocument.Parse(text).RootElement.GetProperty("token").GetString());
        return http;
    }

    private IEnumerable<string> Codes(string user) =>
        Regex.Matches(serve!.Output, $@"login code for {Regex.Escape(user)}: ([A-Z0-9]{{4}}-[A-Z0-9]{{4}})").Select(static m => m.Groups[1].Value);

    public string AgentConnection(string extra = "") =>
        $"Host=127.0.0.1;Port={Port.ToString(CultureInfo.InvariantCulture)};Database=shop;Username={Agent};Password={AgentKey};Pooling=false;SSL Mode=Disable;GSS Encryption Mode=Disable;Include Error Detail=true;{extra}";

    public async Task<NpgsqlConnection> ConnectAsync(string extra = "")
    {
        var connection = new NpgsqlConnection(AgentConnection(extra));
        await connection.OpenAsync();
        return connection;
    }

    /// <summary>psql as the agent, unmodified.</summary>
    public Child Psql(params string[] arguments) => Child.Start("psql",
        ["-X", "-v", "VERBOSITY=verbose", .. arguments], [("PGHOST", "127.0.0.1"), ("PGPORT", Port.ToString(CultureInfo.InvariantCulture)), ("PGDATABASE", "shop"), ("PGUSER", Agent), ("PGPASSWORD", AgentKey), ("PGGSSENCMODE", null)]);

    /// <summary>Waits until as many reviews are open as said, and returns them, oldest first.</summary>
    public static async Task<IReadOnlyList<JsonElement>> OpenReviewsAsync(HttpClient human, int atLeast = 1, int seconds = 30)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(seconds));
        while (true)
        {
            var list = await human.GetFromJsonAsync<JsonElement>("/api/v1/reviews?state=open", limit.Token);
            var reviews = list.GetProperty("reviews").EnumerateArray().ToArray();
            if (reviews.Length >= atLeast) return reviews;
            await Task.Delay(TimeSpan.FromMilliseconds(25), TimeProvider.System, limit.Token);
        }
    }

    public static async Task<string> TheOpenReviewAsync(HttpClient human) => (await OpenReviewsAsync(human))[0].GetProperty("id").GetString()!;

    /// <summary>Waits until a review is in this state and returns its card.</summary>
    public static async Task<JsonElement> ReviewInStateAsync(HttpClient human, string review, string state, int seconds = 30)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(seconds));
        while (true)
        {
            var card = await human.GetFromJsonAsync<JsonElement>($"/api/v1/reviews/{review}", limit.Token);
            if (card.GetProperty("state").GetString() == state) return card;
            await Task.Delay(TimeSpan.FromMilliseconds(25), TimeProvider.System, limit.Token);
        }
    }

    /// <summary>Answers as a person's client does: fetch the statement, send it back. Returns status and reason.</summary>
    public static async Task<(HttpStatusCode Status, string Reason)> AnswerAsync(HttpClient human, string review, string decision = "approve", string? comment = null)
    {
        var draft = await human.PostAsJsonAsync($"/api/v1/reviews/{review}/statements", new { decision, comment });
        var drafted = JsonDocument.Parse(await draft.Content.ReadAsStringAsync()).RootElement;
        if (!draft.IsSuccessStatusCode) return (draft.StatusCode, drafted.GetProperty("reason").GetString()!);
        var answer = await human.PostAsJsonAsync($"/api/v1/reviews/{review}/answers", new { statement = drafted.GetProperty("statement").GetString() });
        return (answer.StatusCode, JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement.GetProperty("reason").GetString()!);
    }

    /// <summary>All journal entries with their bodies.</summary>
    public static async Task<IReadOnlyList<JsonElement>> JournalAsync(HttpClient admin)
    {
        var entries = new List<JsonElement>();
        for (long from = 0; ;)
        {
            var page = await admin.GetFromJsonAsync<JsonElement>($"/api/v1/journal/entries?from={from}&max=500");
            entries.AddRange(page.GetProperty("entries").EnumerateArray().Select(static e => e.Clone()));
            var next = page.GetProperty("next").GetInt64();
            if (next <= from) return entries;
            from = next;
        }
    }

    public static string TypeOf(JsonElement line) => line.GetProperty("entry").GetProperty("type").GetString()!;

    /// <summary>How often the target was sent a text that holds this, by its own log; not counting that the gateway asked for its plan.</summary>
    public int Arrived(string text) => server.Log.Split('\n').Count(l => (l.Contains("statement:", StringComparison.Ordinal) || l.Contains("execute ", StringComparison.Ordinal)) && l.Contains(text, StringComparison.Ordinal) && !l.Contains("EXPLAIN (FORMAT JSON, VERBOSE)", StringComparison.Ordinal));

    public async ValueTask DisposeAsync()
    {
        if (serve is not null && !HasEnded()) await StopAsync();
        Directory.Delete(folder, recursive: true);

        bool HasEnded()
        {
            try
            {
                return serve.HasEnded;
            }
            catch (InvalidOperationException)
            {
                return true;
            }
        }
    }

    [GeneratedRegex(@"ready http=(\S+) postgres=127\.0\.0\.1:(\d+)")]
    private static partial Regex Ready();
}
