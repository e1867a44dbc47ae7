using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using Countersign.Client;
using Countersign.Commands;
using Countersign.Config;
using Countersign.Hosting;
using Microsoft.Extensions.Logging;

namespace Countersign.Demo;

/// <summary>Everything the demo stands on: a temporary folder, a PostgreSQL with a shop in it, and a gateway before it.</summary>
internal sealed class DemoStage : IAsyncDisposable
{
    private readonly Stack<Func<ValueTask>> undo = new();
    private readonly ConcurrentDictionary<string, TaskCompletionSource<string>> codes = new(StringComparer.Ordinal);

    private DemoStage(string folder) => Folder = folder;

    public string Folder { get; }
    public string PolicyFolder => Path.Combine(Folder, "gateway", "policies");
    public DemoPostgres Postgres { get; private set; } = null!;
    public GatewayHost Gateway { get; private set; } = null!;

    /// <summary>Told of a one-time code that the demo itself did not ask for: somebody signs in from another terminal.</summary>
    public Action<string, string>? OnLoginCode { get; set; }

    public Action<string>? OnNotice { get; set; }

    public static async Task<DemoStage> SetAsync(IProgress<string> progress, CancellationToken ct)
    {
        // PostgreSQL's user passes through the folder to its own part; what is in it stays closed.
        var folder = Directory.CreateTempSubdirectory("countersign-demo-");
        var stage = new DemoStage(folder.FullName);
        stage.undo.Push(() =>
        {
            Directory.Delete(folder.FullName, recursive: true);
            return ValueTask.CompletedTask;
        });
        try
        {
            Folders.LetThrough(folder.FullName);
            await stage.SetUpAsync(progress, ct).ConfigureAwait(false);
            return stage;
        }
        catch
        {
            await stage.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    private async Task SetUpAsync(IProgress<string> progress, CancellationToken ct)
    {
        var package = await PostgresPackage.EnsureAsync(() => progress.Report("fetching PostgreSQL (once)…"), ct).ConfigureAwait(false);
        progress.Report("starting PostgreSQL…");
        Postgres = await DemoPostgres.StartAsync(package, Folder, ct).ConfigureAwait(false);
        undo.Push(Postgres.DisposeAsync);

        var password = RandomNumberGenerator.GetHexString(32, lowercase: true);
        await SeedAsync(password, ct).ConfigureAwait(false);

        progress.Report("starting the gateway…");
        var gateway = Folders.MakePrivate(Path.Combine(Folder, "gateway"));
        foreach (var path in Shipped.Under("samples/shop/"))
        {
            var file = Path.Combine(gateway, Path.GetRelativePath("samples/shop", path));
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            await File.WriteAllTextAsync(file, ForThisMachine(Shipped.Text(path)), ct).ConfigureAwait(false);
        }

        var loaded = ConfigFile.Load(Path.Combine(gateway, "countersign.yaml"), name => name == "SHOP_PASSWORD" ? password : null);
        if (!loaded.TryGet(out var config)) throw new DemoFailure($"the sample's configuration does not load: {string.Join("; ", loaded.Errors)}");
        var log = new FileLog(Path.Combine(Folder, "gateway", "gateway.log"));
        undo.Push(log.CloseAsync);
        Gateway = await GatewayHost.StartAsync(new GatewayOptions
        {
            Config = config,
            ShowLoginCode = Show,
            Notice = text =>
            {
                if (OnNotice is { } told) told(text);
                else progress.Report(text);
            },
            Logging = logging => logging.SetMinimumLevel(LogLevel.Information).AddProvider(log),
            CacheFolder = Folders.MakePrivate(Path.Combine(Folders.Cache, "modules")),
        }, ct).ConfigureAwait(false);
        undo.Push(Gateway.DisposeAsync);
        ForgetSessions(Connection.Key(Gateway.Http));
    }

    /// <summary>
    /// Who signs in at the demo makes it his current server. It is gone when the demo ends, and what was current before is
    /// then so again.
    /// </summary>
    private void ForgetSessions(string server)
    {
        var file = SessionsFile.Default();
        string? before = null;
        try
        {
            before = file.Read().Current;
        }
        catch (CommandFailure)
        {
            // The commands say what is wrong with it; the demo does without.
        }

        undo.Push(() =>
        {
            try
            {
                file.Forget(server, before);
            }
            catch (CommandFailure)
            {
                // As above.
            }

            return ValueTask.CompletedTask;
        });
    }

    /// <summary>The sample as it is, but for ports: those of this machine are found when it runs.</summary>
    private string ForThisMachine(string text) => text
        .Replace("127.0.0.1:8080  ", "127.0.0.1:0     ", StringComparison.Ordinal)
        .Replace("127.0.0.1:6543  ", "127.0.0.1:0     ", StringComparison.Ordinal)
        .Replace("port: 5432", string.Create(CultureInfo.InvariantCulture, $"port: {Postgres.Port}"), StringComparison.Ordinal);

    private async Task SeedAsync(string password, CancellationToken ct)
    {
        await using (var admin = await Postgres.OpenAsync("postgres", ct).ConfigureAwait(false))
        {
            await ExecuteAsync(admin, "CREATE DATABASE shop", ct).ConfigureAwait(false);
        }

        await using var shop = await Postgres.OpenAsync("shop", ct).ConfigureAwait(false);
        await ExecuteAsync(shop, Shipped.Text("samples/shop/shop.sql"), ct).ConfigureAwait(false);
        await ExecuteAsync(shop, Shipped.Text("samples/shop/grants.sql").Replace(":'password'", $"'{password}'", StringComparison.Ordinal), ct).ConfigureAwait(false);
    }

    private static async Task ExecuteAsync(Npgsql.NpgsqlConnection connection, string sql, CancellationToken ct)
    {
        await using var command = new Npgsql.NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(ct).ConfigureAwait(false);
    }

    /// <summary>The next code that is shown for this user: the demo stands where the operator does.</summary>
    public Task<string> NextCode(string user) => codes.GetOrAdd(user, static _ => new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously)).Task;

    private void Show(string user, string code)
    {
        if (codes.TryRemove(user, out var awaited)) awaited.TrySetResult(code);
        else OnLoginCode?.Invoke(user, code);
    }

    public async ValueTask DisposeAsync()
    {
        while (undo.TryPop(out var action)) await action().ConfigureAwait(false);
    }

    /// <summary>The gateway's log, beside its config.</summary>
    private sealed class FileLog : ILoggerProvider, ILogger
    {
        private readonly StreamWriter writer;
        private readonly Lock gate = new();
        private bool closed;

        public FileLog(string path) => writer = new StreamWriter(path) { AutoFlush = true };

        public ILogger CreateLogger(string categoryName) => this;
        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;
        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            lock (gate)
            {
                if (!closed) writer.WriteLine($"{logLevel}: {formatter(state, exception)}{(exception is null ? "" : $": {exception.Message}")}");
            }
        }

        public void Dispose() { } // loggers of several containers share it

        public ValueTask CloseAsync()
        {
            lock (gate)
            {
                closed = true;
                writer.Dispose();
            }

            return ValueTask.CompletedTask;
        }
    }
}
