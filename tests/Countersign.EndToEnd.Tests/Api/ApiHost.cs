using System.Collections.Concurrent;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Countersign.Config;
using Countersign.Core;
using Countersign.Gateway;
using Countersign.Hosting;
using Countersign.Identity;
using Countersign.Journal;
using Countersign.Reviews;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Countersign.EndToEnd.Tests.Api;

/// <summary>
/// The whole gateway over a fresh folder with the shop's own config and policies, on free ports. Only the wire is left out:
/// actions are handed to the spine as a listener would.
/// </summary>
internal sealed class ApiHost : IAsyncDisposable
{
    public const string TargetPassword = "target-password-that-nobody-may-see";

    private readonly TaskCompletionSource<string> nextNotice = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly bool ownsFolder;

    private ApiHost(string folder, bool ownsFolder)
    {
        Folder = folder;
        this.ownsFolder = ownsFolder;
    }

    public string Folder { get; }
    public GatewayHost Gateway { get; private set; } = null!;
    public ConcurrentQueue<(string User, string Code)> Codes { get; } = new();
    public ConcurrentQueue<(string User, Uri Link)> Links { get; } = new();
    public ConcurrentQueue<string> Notices { get; } = new();
    public ConcurrentQueue<string> Log { get; } = new();

    public ReviewDesk Desk => Get<ReviewDesk>();
    public AgentRegistry Agents => Get<AgentRegistry>();
    public JournalAppender Journal => Get<JournalAppender>();
    public T Get<T>() where T : notnull => Gateway.Services.GetRequiredService<T>();

    public static string NewFolder() => Directory.CreateTempSubdirectory("countersign-api-").FullName;

    public static async Task<ApiHost> StartAsync(TimeProvider? time = null, string? folder = null, Func<string, string>? config = null, string secret = TargetPassword)
    {
        var host = new ApiHost(folder ?? NewFolder(), folder is null);
        WriteShop(host.Folder, config);
        var loaded = ConfigFile.Load(Path.Combine(host.Folder, "countersign.yaml"), name => name == "SHOP_PASSWORD" ? secret : null);
        Assert.True(loaded.TryGet(out var model), string.Join('\n', loaded.Errors));
        host.Gateway = await GatewayHost.StartAsync(new GatewayOptions
        {
            Config = model,
            ShowLoginCode = (user, code) => host.Codes.Enqueue((user, code)),
            ShowLoginLink = (user, link) => host.Links.Enqueue((user, link)),
            Notice = host.Notices.Enqueue,
            Logging = logging => logging.SetMinimumLevel(LogLevel.Trace).AddProvider(new Collected(host.Log)),
            Time = time ?? TimeProvider.System,
            CacheFolder = Fixtures.GatewayProcess.SharedCache,
        }, TestContext.Current.CancellationToken);
        return host;
    }

    public static void WriteShop(string folder, Func<string, string>? config = null)
    {
        var sample = Path.Combine(Repository, "samples", "shop");
        var yaml = File.ReadAllText(Path.Combine(sample, "countersign.yaml"))
            .Replace("127.0.0.1:8080", "127.0.0.1:0", StringComparison.Ordinal)
            .Replace("127.0.0.1:6543", "127.0.0.1:0", StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(folder, "countersign.yaml"), config is null ? yaml : config(yaml));
        var policies = Path.Combine(folder, "policies");
        if (Directory.Exists(policies)) return;
        Directory.CreateDirectory(policies);
        foreach (var file in Directory.EnumerateFiles(Path.Combine(sample, "policies"), "*.cedar")) File.Copy(file, Path.Combine(policies, Path.GetFileName(file)));
    }

    public static string Repository { get; } = FindRepository();

    private static string FindRepository()
    {
        for (var at = new DirectoryInfo(AppContext.BaseDirectory); at is not null; at = at.Parent)
        {
            if (File.Exists(Path.Combine(at.FullName, "Countersign.slnx"))) return at.FullName;
        }

        throw new InvalidOperationException("the tests run outside of the repository");
    }

    public HttpClient Anonymous() => new() { BaseAddress = Gateway.Http };

    /// <summary>Signs in as a person does: a code from the terminal, traded for a session.</summary>
    public async Task<HttpClient> SignInAsync(string user, string? channel = "cli")
    {
        var http = Anonymous();
        if (channel is not null) http.DefaultRequestHeaders.Add("Countersign-Client", channel);
        using (var begun = await http.PostAsJsonAsync("/api/v1/login/begin", new { user })) begun.EnsureSuccessStatusCode();
        var code = Codes.Last(c => c.User == user).Code;
        using var completed = await http.PostAsJsonAsync("/api/v1/login/complete", new { user, code });
        completed.EnsureSuccessStatusCode();
        var session = await completed.Content.ReadFromJsonAsync<JsonElement>();
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", session.GetProperty("token").GetString());
        return http;
    }

    public async Task<(AgentEntry Agent, string Key)> AddAgentAsync(string name = "support-bot", string owner = "alice", string? onBehalfOf = null)
    {
        var author = Get<UserDirectory>().Find("alice")!.Ref;
        var added = await Agents.AddAsync(name, owner, onBehalfOf, ["agents"], author);
        Assert.Equal(AgentChangeStatus.Done, added.Status);
        return (added.Agent!, added.Key!.Secret);
    }

    /// <summary>An UPDATE of a customer's e-mail with bound values, as the PostgreSQL listener would understand it.</summary>
    public GatewayAction UpdateCustomer(AgentEntry agent, string email = "ada@example.org", long id = 42, string? statement = null, Intent? intent = null) => new()
    {
        Id = ActionId.New(),
        Actors = Agents.ChainOf(agent)!,
        Target = new TargetRef("shop", "postgres", "prod"),
        Effects = [new Effect(Verb.Write, "sql:update", Customers) { Facts = new Dictionary<string, FactValue> { ["statement"] = "UPDATE", ["where"] = true, ["columns"] = FactValue.Of(["email"]) } }],
        Payload = new ActionPayload("postgres", "execute", System.Text.Encoding.UTF8.GetBytes(statement ?? Update))
        {
            DisplayText = statement ?? Update,
            Parameters =
            [
                new ActionParameter("text", "text", System.Text.Encoding.UTF8.GetBytes(email), email),
                new ActionParameter("int8", "text", System.Text.Encoding.UTF8.GetBytes($"{id}"), $"{id}"),
            ],
        },
        Settings = new Dictionary<string, string> { ["database"] = "shop", ["user"] = "countersign", ["search_path"] = "\"$user\", public" },
        Intent = intent ?? Intent.None,
    };

    /// <summary>A read of unclassified data, which policy permits without review.</summary>
    public GatewayAction ReadOrders(AgentEntry agent) => UpdateCustomer(agent) with
    {
        Effects = [new Effect(Verb.Read, "sql:select", Customers with { Id = "shop.public.orders", DataClasses = [] })],
        Payload = new ActionPayload("postgres", "query", "SELECT * FROM orders"u8.ToArray()) { DisplayText = "SELECT * FROM orders" },
    };

    private const string Update = "UPDATE customers SET email = $1 WHERE id = $2";

    private static readonly ResourceRef Customers = new("Table", "shop.public.customers")
    {
        Parents = [("Schema", "shop.public"), ("Database", "shop"), ("Target", "shop"), ("Environment", "prod")],
        DataClasses = ["pii"],
    };

    /// <summary>Hands an action to the spine and waits until its review is open.</summary>
    public async Task<Held> HoldAsync(GatewayAction action)
    {
        var told = new TaskCompletionSource<Review>(TaskCreationOptions.RunContinuationsAsynchronously);
        Waiter? waiter = null;
        var ruling = Get<Spine>().SubmitAsync(action, () => waiter = new Waiter(action, () => ValueTask.FromResult<Rederived>(new Rederived.As(action)), r => told.TrySetResult(r))).AsTask();
        if (await Task.WhenAny(told.Task, ruling) == ruling) Assert.Fail($"was not held: {await ruling}");
        return new Held(await told.Task, ruling, waiter!);
    }

    public IReadOnlyList<JsonElement> Entries() => Get<IStateReader>().ReadEntries(0, 10_000).Select(static e => JsonElement.Parse(e.Bytes)).ToArray();

    public async ValueTask DisposeAsync()
    {
        await Gateway.DisposeAsync();
        if (ownsFolder) Directory.Delete(Folder, recursive: true);
    }

    internal sealed record Held(Review Review, Task<Ruling> Ruling, Waiter Waiter);

    private sealed class Collected(ConcurrentQueue<string> lines) : ILoggerProvider, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;
        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;
        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            lines.Enqueue($"{formatter(state, exception)} {exception}");
            if (state is IEnumerable<KeyValuePair<string, object?>> fields) lines.Enqueue(string.Join(' ', fields.Select(static f => $"{f.Key}={f.Value}")));
        }

        public void Dispose() { }
    }
}

internal static class Answers
{
    public static async Task<JsonElement> JsonAsync(this HttpResponseMessage response) => await response.Content.ReadFromJsonAsync<JsonElement>();

    public static async Task<string?> ReasonAsync(this HttpResponseMessage response) => (await response.JsonAsync()).GetProperty("reason").GetString();

    /// <summary>Drafts and answers, as a client does; gives the last response.</summary>
    public static async Task<HttpResponseMessage> AnswerAsync(this HttpClient http, ReviewId id, string decision, string? comment = null)
    {
        var draft = await http.PostAsJsonAsync($"/api/v1/reviews/{id}/statements", comment is null ? (object)new { decision } : new { decision, comment });
        if (!draft.IsSuccessStatusCode) return draft;
        var statement = (await draft.JsonAsync()).GetProperty("statement").GetString();
        return await http.PostAsJsonAsync($"/api/v1/reviews/{id}/answers", new { statement });
    }
}
