using System.Collections.Concurrent;
using System.Text.RegularExpressions;
using Countersign.EndToEnd.Tests.Fixtures;
using Microsoft.Playwright;
using Npgsql;

namespace Countersign.Console.Tests;

/// <summary>Debian's Chromium, a real PostgreSQL and a real gateway process, for all tests of the console.</summary>
public sealed class Stage : IAsyncLifetime
{
    private readonly SemaphoreSlim signing = new(1, 1);
    private readonly Dictionary<string, string> cookies = new(StringComparer.Ordinal);
    private IPlaywright playwright = null!;

    public PostgresServer Server { get; } = new();
    public GatewayProcess Gateway { get; private set; } = null!;
    public IBrowser Browser { get; private set; } = null!;

    /// <summary>A DBA, by the API, for what happens elsewhere.</summary>
    public HttpClient Bob { get; private set; } = null!;
    public HttpClient Root { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        Environment.SetEnvironmentVariable("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
        await Server.InitializeAsync();
        Gateway = await GatewayProcess.StartAsync(Server, Policies);
        Bob = await Gateway.SignInAsync("bob");
        Root = await Gateway.SignInAsync("root");
        playwright = await Playwright.CreateAsync();
        Browser = await playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions
        {
            ExecutablePath = "/usr/bin/chromium",
            // Chromium's own sandbox needs what root in a container may not have.
            Args = Environment.UserName == "root" ? ["--no-sandbox"] : [],
        });
    }

    /// <summary>A page of a person who is signed in. Each signs in once, as people do: by the link that serve's terminal shows.</summary>
    public async Task<Seat> SitAsync(string user, int width = 1280, int height = 900, ColorScheme theme = ColorScheme.Light, bool script = true)
    {
        await signing.WaitAsync();
        try
        {
            if (!cookies.ContainsKey(user)) cookies[user] = await SignInAsync(user);
        }
        finally
        {
            signing.Release();
        }

        return await OpenAsync(width, height, theme, script, cookies[user]);
    }

    /// <summary>A page of nobody.</summary>
    public async Task<Seat> OpenAsync(int width = 1280, int height = 900, ColorScheme theme = ColorScheme.Light, bool script = true, string? cookies = null, Uri? at = null)
    {
        var context = await Browser.NewContextAsync(new BrowserNewContextOptions
        {
            BaseURL = (at ?? Gateway.Http).ToString(), ViewportSize = new ViewportSize { Width = width, Height = height }, ColorScheme = theme, JavaScriptEnabled = script, StorageState = cookies,
        });
        return new Seat(context, await context.NewPageAsync());
    }

    /// <summary>Signs in through the pages; what the browser keeps of it.</summary>
    public async Task<string> SignInAsync(string user, string start = "/")
    {
        await using var seat = await OpenAsync();
        await SignInAsync(seat, user, start);
        return await seat.Context.StorageStateAsync();
    }

    public async Task SignInAsync(Seat seat, string user, string start = "/")
    {
        var page = seat.Page;
        var before = Links(user).Length;
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(100));
        while (true)
        {
            await page.GotoAsync(start);
            await page.FillAsync("input[name=user]", user);
            await page.ClickAsync("button.yes");
            await page.WaitForSelectorAsync("[data-signin-said]:not([hidden])");

            // All tests come from one address, and so many attempts a minute are for one address.
            if (await page.InnerTextAsync("[data-signin-said]") is var said && said.StartsWith("If you are", StringComparison.Ordinal)) break;
            Assert.Contains("wait a minute", said, StringComparison.Ordinal);
            await Task.Delay(TimeSpan.FromSeconds(5), TimeProvider.System, limit.Token);
        }

        while (Links(user).Length == before) await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, limit.Token);
        await page.GotoAsync(Links(user)[^1]);
        await page.ClickAsync("[data-link] button");
        await page.WaitForURLAsync(url => !url.Contains("/login", StringComparison.Ordinal));
    }

    private string[] Links(string user) => Regex.Matches(Gateway.Process.Output, $@"sign-in link for {Regex.Escape(user)}: (\S+)").Select(static m => m.Groups[1].Value).ToArray();

    /// <summary>No review may be left over from one test to the next.</summary>
    public async Task DenyAllAsync()
    {
        foreach (var review in await GatewayProcess.OpenReviewsAsync(Bob, 0)) await GatewayProcess.AnswerAsync(Bob, review.GetProperty("id").GetString()!, "deny");
    }

    public async ValueTask DisposeAsync()
    {
        if (Browser is not null) await Browser.DisposeAsync();
        playwright?.Dispose();
        Bob?.Dispose();
        Root?.Dispose();
        if (Gateway is not null) await Gateway.DisposeAsync();
        await Server.DisposeAsync();
    }

    private const string Policies = """
        @id("agents-read")
        permit (principal in Group::"agents", action in Action::"read", resource);

        @id("agents-write")
        permit (principal in Group::"agents", action in Action::"write", resource)
        unless { resource in DataClass::"pii" };

        @id("customers-need-a-dba")
        @review("dba") @expires("15m") @grant("30m") @edit("allowed") @control("SOC2:CC8.1")
        @reason("Customer data is changed only with a DBA's consent.")
        permit (principal in Group::"agents", action in [Action::"sql:update", Action::"sql:insert", Action::"export"], resource in DataClass::"pii");

        @id("deleting-customers-needs-two")
        @review("dba") @quorum("2") @expires("15m") @justify @escalate("sre@10m") @control("GDPR:17")
        @reason("Deleting customers needs two DBAs, and a reason on the record.")
        permit (principal in Group::"agents", action == Action::"sql:delete", resource in DataClass::"pii");

        @id("notes-are-deleted-with-a-passkey")
        @review("dba") @expires("15m") @stepup("passkey")
        @reason("Notes are deleted by somebody who proves who he is.")
        permit (principal in Group::"agents", action == Action::"sql:delete", resource == Table::"shop.public.notes");

        @id("sre-breaks-the-glass")
        permit (principal in Group::"sre", action == Action::"break-glass", resource is Review);

        @id("nobody-drops-production")
        @reason("Production objects are dropped by migrations only.")
        forbid (principal, action in Action::"destroy", resource in Environment::"prod");
        """;
}

/// <summary>A browser with one page, and all that it complained about.</summary>
public sealed class Seat : IAsyncDisposable
{
    private readonly ConcurrentQueue<string> complaints = new();

    public Seat(IBrowserContext context, IPage page)
    {
        (Context, Page) = (context, page);
        page.SetDefaultTimeout(15_000);
        page.Console += (_, message) =>
        {
            if (message.Type is "error" or "warning") complaints.Enqueue(message.Text);
        };
        page.PageError += (_, error) => complaints.Enqueue(error);
    }

    public IBrowserContext Context { get; }
    public IPage Page { get; }
    public IReadOnlyCollection<string> Complaints => complaints;

    /// <summary>What another server's pages complained about is not ours.</summary>
    public void Forget() => complaints.Clear();

    public ValueTask DisposeAsync() => Context.DisposeAsync();
}

[CollectionDefinition("console")]
public sealed class ConsoleCollection : ICollectionFixture<Stage>;

/// <summary>A statement that waits for a human. However a test ends, it is cancelled first: a driver waits for its answer else.</summary>
public sealed class Held(Stage stage, string sql, params object[] values) : IAsyncDisposable
{
    private NpgsqlConnection? connection;
    private NpgsqlCommand? command;

    public Task<int> Running { get; private set; } = Task.FromResult(0);

    /// <summary>Runs <paramref name="first"/> freely on its connection, then asks.</summary>
    public async Task<Held> AskAsync(params string[] first)
    {
        connection = await stage.Gateway.ConnectAsync();
        foreach (var text in first)
        {
            await using var free = new NpgsqlCommand(text, connection);
            await free.ExecuteNonQueryAsync();
        }

        command = new NpgsqlCommand(sql, connection);
        foreach (var value in values) command.Parameters.Add(new NpgsqlParameter { Value = value });
        Running = command.ExecuteNonQueryAsync();
        return this;
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            command?.Cancel();
            await Running.WaitAsync(TimeSpan.FromSeconds(20));
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException or OperationCanceledException)
        {
            // Denied, cancelled, or the gateway is gone: the test has said what it had to say.
        }

        if (Running.IsCompleted && connection is not null) await connection.DisposeAsync();
    }
}
