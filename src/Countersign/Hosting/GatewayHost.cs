using System.Net;
using System.Reflection;
using System.Threading.RateLimiting;
using Countersign.Api;
using Countersign.Config;
using Countersign.Core;
using Countersign.Gateway;
using Countersign.Gateway.Mcp.Understanding;
using Countersign.Identity;
using Countersign.Identity.Federation;
using Countersign.Identity.Oidc;
using Countersign.Identity.Passkeys;
using Countersign.Identity.Scim;
using Countersign.Journal;
using Countersign.Pages;
using Countersign.Policy;
using Countersign.Policy.Cedar;
using Countersign.Reviews;
using Countersign.Sandbox;
using Countersign.Storage;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;

namespace Countersign.Hosting;

/// <summary>What a gateway runs with.</summary>
internal sealed record GatewayOptions
{
    public required CountersignConfig Config { get; init; }

    /// <summary>Shows a one-time login code (user, code) on the operator's terminal. The code goes nowhere else.</summary>
    public required Action<string, string> ShowLoginCode { get; init; }

    /// <summary>Shows a one-time sign-in link (user, link) on the operator's terminal; null shows it as a code.</summary>
    public Action<string, Uri>? ShowLoginLink { get; init; }

    /// <summary>Tells the operator something in one or more lines.</summary>
    public required Action<string> Notice { get; init; }

    public required Action<ILoggingBuilder> Logging { get; init; }
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Folder of compiled modules; null for `cache` in the data folder. It is trusted as code is.</summary>
    public string? CacheFolder { get; init; }
}

/// <summary>The composition root: everything that `serve` is, from a valid config to two listeners that accept.</summary>
internal sealed class GatewayHost : IAsyncDisposable
{
    /// <summary>How long a stop waits for connections to leave.</summary>
    public static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(10);

    private readonly Stack<Func<ValueTask>> undo = new();
    private WebApplication app = null!;
    private Listeners listeners = null!;
    private bool stopped;

    private GatewayHost() { }

    public static string Version { get; } =
        typeof(GatewayHost).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "0";

    public Uri Http => listeners.Http;
    public IPEndPoint Postgres => listeners.Postgres;
    public IServiceProvider Services => app.Services;

    /// <summary>The line that tells programs where to connect.</summary>
    public string ReadyLine => $"ready http={Http.GetLeftPart(UriPartial.Authority)} postgres={Postgres}";

    /// <summary>Starts everything; completes when both listeners accept.</summary>
    /// <exception cref="StartFailure">What the operator has to mend.</exception>
    public static async Task<GatewayHost> StartAsync(GatewayOptions options, CancellationToken ct)
    {
        var host = new GatewayHost();
        try
        {
            await host.RunUpAsync(options, ct).ConfigureAwait(false);
            return host;
        }
        catch (Exception e)
        {
            await host.DisposeAsync().ConfigureAwait(false);
            if (e is JournalStoreException or IOException or CedarUnavailableException) throw new StartFailure(Exit.Failed, [Said(e)]);
            throw;
        }
    }

    private async Task RunUpAsync(GatewayOptions options, CancellationToken ct)
    {
        var config = options.Config;
        var time = options.Time;
        var loggers = LoggerFactory.Create(options.Logging);
        Own(loggers);

        // The lock on the data folder comes first: whatever else is in that folder belongs to its holder.
        var store = Own(SqliteStore.Open(config.DataFolder, loggers.CreateLogger<SqliteStore>()));
        var sandbox = Own(new SandboxHost());
        var cache = Cache(options.CacheFolder ?? Path.Combine(config.DataFolder, "cache"), options.Notice);
        var loadingParser = Load(PostgresListener.LoadAsync(cache, sandbox));
        var loading = Load(Task.Run(() => new CedarRuntime(sandbox, cache), CancellationToken.None));

        var journal = Own(JournalAppender.Start(store, time, loggers.CreateLogger<JournalAppender>(), Version));
        var start = new LeafIndex(journal.EntryCount - 1);
        var users = Own(await SigningIn.DirectoryAsync(config, store, journal, time).ConfigureAwait(false));
        var agents = new AgentRegistry(store, journal, users, time, store.GetOrCreateSecret("scram-mock-salt"));
        var (issuers, authority) = (Workloads.Issuers(config.Federation), Workloads.Authority(config.Federation));
        if (await agents.DeclareAsync(WorkloadDoor.Declared(issuers, authority)).ConfigureAwait(false) is { Count: > 0 } undeclared) throw new StartFailure(Exit.Failed, undeclared);
        var workloads = Own(new WorkloadDoor(issuers, authority, agents, users, store, journal, time, runtimes: Workloads.Runtimes(config.Federation)));
        var logins = SigningIn.Limits(config.Identity);
        var sessions = new HumanSessions(store, journal, users, time, logins);
        var oidc = SigningIn.Oidc(config, users, sessions, time, loggers);
        if (oidc is not null) Own(oidc);

        listeners = new Listeners(config.Listen);
        var origins = listeners.Origins;
        var passkeyLimits = new PasskeyLimits();
        var passkeys = new PasskeyRegistry(store, journal, users, sessions, time, origins.IsOwn, passkeyLimits);
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ApplicationName = typeof(GatewayHost).Assembly.GetName().Name, ContentRootPath = config.DataFolder });
        builder.Configuration.Sources.Clear(); // the config file is the only one: no ASPNETCORE_URLS binds what it does not say
        builder.Logging.ClearProviders();
        options.Logging(builder.Logging);
        builder.Services.Replace(ServiceDescriptor.Singleton<IHostLifetime, NoLifetime>());
        builder.Services.Configure<HostOptions>(static o => o.ShutdownTimeout = StopTimeout);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(listeners.Configure);
        if (listeners.Certificate is not null) builder.WebHost.UseKestrelHttpsConfiguration();

        var cedar = await loading.ConfigureAwait(false);
        var authors = new PolicyAuthors(config.Governance, config.PolicyFolder, store, users, agents, time);
        foreach (var warning in config.Warnings) options.Notice($"warning: {VisibleText.Of(config.File, multiline: false)}:{warning}");
        await ConfigHistory.RecordAsync(config, authors, store, journal, time).ConfigureAwait(false);
        var policies = Own(new ServingPolicies(ServingPolicies.Open(cedar, config.PolicyFolder, ToolTrust.SchemaOf(ToolTrust.Load(store))), config, users, agents, authors, journal, time, options.Notice, loggers.CreateLogger<ServingPolicies>()));
        await policies.RecordStartAsync(store).ConfigureAwait(false);

        var feed = new ReviewFeed();
        var delegations = new Delegations(store, journal, users, time) { NamedOnlyInBrowser = config.Review.ConfirmsCli };
        var voices = new Voices(users, delegations, config.OnCall, time);
        var brake = new AgentBrake(store, journal, time, new BrakeLimits { RequestsPerMinute = config.Limits.RequestsPerMinute, Denials = config.Limits.Denials, Window = config.Limits.DenialsWindow });
        var questions = policies.Questions with { StillActs = a => agents.StillActs(a) && brake.Find(a.Agent.Id) is null };
        var desk = new ReviewDesk(store, journal, users, questions, voices, time,
            new ReviewLimits { Detached = config.Hold.Detached, PendingPerAgent = config.Limits.PendingPerAgent, ApprovesOnlyInBrowser = config.Review.ConfirmsCli }, store.GetOrCreateSecret(SqliteStore.JoinKey), feed) { SecurityGroup = config.Governance.Security, Passkeys = passkeys, Channels = [.. ReviewDesk.OwnChannels, .. ChannelParts.Answering(config.Channels)] };
        await desk.RecoverAsync().ConfigureAwait(false);

        var channels = Own(new ChannelParts(config, desk, users, store, journal, feed, time, () => config.Listen.Url ?? Http, loggers));
        var connections = new ConnectionStrings(() => listeners.Postgres, config.Targets.Keys.Order(StringComparer.Ordinal).ToArray());
        builder.Services
            .AddSingleton(config).AddSingleton(time).AddSingleton<IJournalStore>(store).AddSingleton<IStateReader>(store).AddSingleton(journal)
            .AddSingleton(users).AddSingleton(agents).AddSingleton(workloads).AddSingleton(sessions).AddSingleton(logins).AddSingleton(new LoginTerminal(options.ShowLoginCode, options.ShowLoginLink ?? ((user, link) => options.ShowLoginCode(user, link.ToString()))))
            .AddSingleton(sandbox).AddSingleton(cache).AddSingleton(policies).AddSingleton(policies.Store).AddSingleton(desk).AddSingleton(feed).AddSingleton(brake).AddSingleton(delegations).AddSingleton(voices)
            .AddSingleton(new Spine(questions, desk, brake, journal, time))
            .AddSingleton(listeners).AddSingleton(origins).AddSingleton(passkeys).AddSingleton(passkeyLimits).AddSingleton<WebCookies>().AddSingleton<VerifyingNow>().AddSingleton<ReplayingNow>().AddSingleton(cedar)
            .AddSingleton(connections).AddConsole(channels.Show(ConsoleParts.Seams(config, policies, agents, connections, origins)))
            .AddSingleton<PolicyParts>().AddSingleton(static s => s.GetRequiredService<PolicyParts>().Seams)
            .AddSingleton(new HostWork(desk, sessions, workloads, policies, new UnknownOutcomes(journal, time, loggers.CreateLogger<UnknownOutcomes>()), store, start, time, loggers.CreateLogger<HostWork>()))
            .AddHostedService(static s => s.GetRequiredService<HostWork>());
        builder.Services.AddSingleton(new ToolTrust(store, journal, time, tools => policies.Use(cedar, tools, store)));
        McpListener.Add(builder.Services, store.GetOrCreateSecret("mcp-request-state"));
        builder.Services.AddSingleton(new ScimService(users, sessions, time)).AddSingleton(new CliGrants(sessions, time));
        channels.Add(builder.Services);
        if (oidc is not null) builder.Services.AddSingleton(oidc);
        AddApi(builder.Services);
        Telemetry.Add(builder, config.Telemetry);
        PostgresListener.Add(builder.Services, config, await loadingParser.ConfigureAwait(false));

        app = builder.Build();
        undo.Push(app.DisposeAsync);
        MapApi(app);
        McpListener.Map(app);

        var refused = await PostgresListener.CheckTargetsAsync(app.Services, ct).ConfigureAwait(false);
        if (refused.Count > 0) throw new StartFailure(Exit.Failed, refused);
        await app.StartAsync(ct).ConfigureAwait(false);
    }

    private static void AddApi(IServiceCollection services)
    {
        services.ConfigureHttpJsonOptions(static o =>
        {
            o.SerializerOptions.TypeInfoResolverChain.Insert(0, ApiJson.Default);
            o.SerializerOptions.UnmappedMemberHandling = ApiJson.Default.Options.UnmappedMemberHandling;
            o.SerializerOptions.AllowDuplicateProperties = false;
            o.SerializerOptions.DefaultIgnoreCondition = ApiJson.Default.Options.DefaultIgnoreCondition;
            o.SerializerOptions.RespectNullableAnnotations = true;
        });
        services.AddOpenApi("v1", static o => o.AddDocumentTransformer(static (document, _, _) =>
        {
            document.Info.Title = "Countersign";
            document.Info.Version = "v1";
            document.Servers = [];
            return Task.CompletedTask;
        }));
        services.AddRateLimiter(static limiter =>
        {
            limiter.AddPolicy(LoginEndpoints.RateLimit, static http => RateLimitPartition.GetFixedWindowLimiter(
                http.Connection.RemoteIpAddress ?? IPAddress.None,
                static _ => new FixedWindowRateLimiterOptions { PermitLimit = LoginEndpoints.AttemptsPerMinute, Window = TimeSpan.FromMinutes(1) }));
            limiter.OnRejected = static async (context, _) =>
                await Problems.WriteAsync(context.HttpContext, HttpStatusCode.TooManyRequests, ReasonCodes.TooManyAttempts, "too many attempts to sign in; wait a minute").ConfigureAwait(false);
        });
    }

    private static void MapApi(WebApplication app)
    {
        app.UseMiddleware<Faults>();
        app.UseRouting();
        app.UseMiddleware<HumanGate>();
        app.UseRateLimiter();
        HealthEndpoints.Map(app);
        app.MapOpenApi("/openapi/{documentName}.json");
        var api = app.MapGroup("/api/v1");
        LoginEndpoints.Map(api);
        PasskeyEndpoints.Map(api);
        ReviewEndpoints.Map(api);
        AgentEndpoints.Map(api);
        AwayEndpoints.Map(api);
        GrantEndpoints.Map(api);
        AftermathEndpoints.Map(api);
        JournalEndpoints.Map(api);
        PolicyEndpoints.Map(api);
        ToolEndpoints.Map(api);
        CliLoginEndpoints.Map(app, api);
        if (app.Services.GetService<OidcSignIn>() is not null) OidcEndpoints.Map(app);
        ConsolePages.Map(app);
        ChannelEndpoints.Map(app, app.Services.GetRequiredService<ChannelParts>());
        if (app.Services.GetRequiredService<CountersignConfig>().Identity.Scim is { } scim) ScimEndpoints.Map(app, scim.Token.Reveal());
    }

    private static ModuleCache Cache(string folder, Action<string> notice)
    {
        var told = 0;
        return new ModuleCache(folder, (what, _, why) =>
        {
            if (what == ModuleCacheEvent.Compiling && Interlocked.Exchange(ref told, 1) == 0) notice("compiling policy engine and SQL parser (once)…");
            if (what == ModuleCacheEvent.NotKept) notice($"the compiled modules can not be kept, so the next start compiles again: {why}");
        });
    }

    /// <summary>Refuses what is new, lets waiters leave, and ends the journal with `stop`. Safe to call twice.</summary>
    public async ValueTask DisposeAsync()
    {
        if (stopped) return;
        stopped = true;
        if (app is not null)
        {
            try
            {
                using var limit = new CancellationTokenSource(StopTimeout);
                await app.StopAsync(limit.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                // Connections that do not leave are closed with the server.
            }
        }

        while (undo.TryPop(out var action)) await action().ConfigureAwait(false);
    }

    private T Own<T>(T part) where T : notnull
    {
        undo.Push(part is IAsyncDisposable later ? later.DisposeAsync : () =>
        {
            (part as IDisposable)?.Dispose();
            return ValueTask.CompletedTask;
        });
        return part;
    }

    /// <summary>What loads beside the rest of the start, and is freed at the end whether or not anybody came to await it.</summary>
    private Task<T> Load<T>(Task<T> loading) where T : IDisposable
    {
        undo.Push(async () =>
        {
            try
            {
                (await loading.ConfigureAwait(false)).Dispose();
            }
            catch (Exception) when (loading.IsFaulted)
            {
                // Said where it was awaited.
            }
        });
        return loading;
    }

    /// <summary>Of a start-up error: what happened, never where in our code.</summary>
    private static string Said(Exception e) => e is IOException { InnerException: { } inner } && e is not FileNotFoundException ? $"{e.Message} ({inner.Message})" : e.Message;

    /// <summary>Signals are the command's business: a host inside another program must not take them.</summary>
    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;
        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
