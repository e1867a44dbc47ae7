using System.Diagnostics;
using System.Text.Json;
using Countersign.Client;
using Countersign.Core;
using Countersign.EndToEnd.Tests.Api;
using Countersign.Gateway;
using Countersign.Reviews;
using Microsoft.Extensions.Time.Testing;

namespace Countersign.EndToEnd.Tests.Cli;

/// <summary>The commands as a person runs them: a process each, against a gateway that really serves.</summary>
public sealed class CommandTests
{
    [Fact]
    public async Task A_person_signs_in_sees_approves_and_signs_out()
    {
        await using var host = await ApiHost.StartAsync();
        using var home = new Home(host);
        var (agent, _) = await host.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));

        Assert.Equal(1, (await home.RunAsync("review", "list")).Exit); // not signed in
        await home.SignInAsync("mira");
        Assert.Contains(held.Review.Id.Value, (await home.RunAsync("review", "list")).Output, StringComparison.Ordinal);
        var shown = (await home.RunAsync("review", "show", held.Review.Id.Value)).Output;
        Assert.Contains("UPDATE customers SET email = 'ada@example.org' WHERE id = 42", shown, StringComparison.Ordinal);
        Assert.Contains("customer-changes-need-a-lead", shown, StringComparison.Ordinal);

        Assert.Equal(2, (await home.RunAsync("review", "approve", held.Review.Id.Value)).Exit); // nobody to ask, and no --yes
        var approved = await home.RunAsync("review", "approve", held.Review.Id.Value, "--yes", "--json");
        Assert.Equal(0, approved.Exit);
        Assert.Equal("approved", JsonElement.Parse(approved.Output).GetProperty("reason").GetString());
        await Assert.IsType<Ruling.Forward>(await held.Ruling).Passage.CompleteAsync(OutcomeStatus.Done, 1, 0, null);
        Assert.Equal("cli", Assert.Single(host.Desk.Find(held.Review.Id)!.Answers).Channel);

        var again = await home.RunAsync("review", "approve", held.Review.Id.Value, "--yes");
        Assert.Equal(3, again.Exit);
        Assert.Contains("review-closed", again.Error, StringComparison.Ordinal);
        Assert.Equal(0, (await home.RunAsync("logout")).Exit);
        Assert.Equal(1, (await home.RunAsync("review", "list")).Exit);
    }

    [Fact]
    public async Task Approval_that_needs_a_passkey_leads_to_the_browser_and_the_review_is_exported()
    {
        var folder = ApiHost.NewFolder();
        ApiHost.WriteShop(folder);
        await File.WriteAllTextAsync(Path.Combine(folder, "policies", "passkey.cedar"), """@review("support-leads") @stepup("passkey") permit (principal in Group::"agents", action == Action::"sql:update", resource in DataClass::"pii");""");
        await using var host = await ApiHost.StartAsync(folder: folder);
        using var home = new Home(host);
        var (agent, _) = await host.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        await home.SignInAsync("mira");
        Assert.Contains("with a passkey", (await home.RunAsync("review", "show", held.Review.Id.Value)).Output, StringComparison.Ordinal);
        var refused = await home.RunAsync("review", "approve", held.Review.Id.Value, "--yes", "--json");
        Assert.Equal(3, refused.Exit);
        var problem = JsonElement.Parse(refused.Output);
        Assert.Equal(ReasonCodes.StepUpRequired, problem.GetProperty("reason").GetString());
        var named = $"http://localhost:{host.Gateway.Http.Port}";
        Assert.Contains($"you have none: register one at {named}/me: open {named}/reviews/{held.Review.Id}", problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.Equal(0, (await home.RunAsync("review", "deny", held.Review.Id.Value, "--yes")).Exit); // a no needs none

        await home.SignInAsync("alice");
        var exported = await home.RunAsync("journal", "export", held.Review.Id.Value);
        Assert.Equal(["review-opened", "answer", "review-denied"],
            exported.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(static l => JsonElement.Parse(l).GetProperty("entry").GetProperty("type").GetString()).Where(static t => t is not "review-estimated"));
        var file = Path.Combine(home.Folder, "review.jsonl");
        await File.WriteAllTextAsync(file, exported.Output);
        var unproven = await home.RunAsync("journal", "verify", "--approval", file, "--json");
        Assert.Equal(1, unproven.Exit);
        Assert.Contains("a session alone", JsonElement.Parse(unproven.Output).GetProperty("flaw").GetString(), StringComparison.Ordinal);
        Assert.Equal(2, (await home.RunAsync("journal", "verify", "--key", file)).Exit);
        Assert.Equal(1, (await home.RunAsync("journal", "export", "rv_0000000000000000")).Exit);
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task The_owner_of_the_agent_is_refused_with_exit_3_and_the_reason()
    {
        await using var host = await ApiHost.StartAsync();
        using var home = new Home(host);
        var (agent, _) = await host.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        await home.SignInAsync("alice");
        var refused = await home.RunAsync("review", "approve", held.Review.Id.Value, "--yes", "--json");
        Assert.Equal(3, refused.Exit);
        Assert.Equal(ReasonCodes.SelfApproval, JsonElement.Parse(refused.Output).GetProperty("reason").GetString());
        Assert.Equal(0, (await home.RunAsync("review", "deny", held.Review.Id.Value, "--yes")).Exit);
        Assert.Equal(ReviewState.Denied, host.Desk.Find(held.Review.Id)!.State);
    }

    [Fact]
    public async Task An_answer_that_comes_too_late_is_exit_4()
    {
        var time = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using var host = await ApiHost.StartAsync(time);
        using var home = new Home(host);
        var (agent, _) = await host.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        await home.SignInAsync("mira");
        time.Advance(TimeSpan.FromMinutes(10));
        Assert.IsType<Ruling.Refused>(await held.Ruling);
        Assert.Equal(4, (await home.RunAsync("review", "approve", held.Review.Id.Value, "--yes")).Exit);
    }

    [Fact]
    public async Task Watch_shows_the_card_and_then_how_it_ends_until_it_is_interrupted()
    {
        await using var host = await ApiHost.StartAsync();
        using var home = new Home(host);
        var (agent, _) = await host.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        await home.SignInAsync("mira");
        using var watch = home.Start("review", "watch", "--json");
        Assert.Equal("pending", await NextStateAsync());
        using var mira = await host.SignInAsync("mira");
        using var denied = await mira.AnswerAsync(held.Review.Id, "deny");
        Assert.Equal("denied", await NextStateAsync());
        using var interrupt = Process.Start("kill", ["-INT", $"{watch.Id}"]);
        await watch.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, watch.ExitCode);

        async Task<string?> NextStateAsync() => JsonElement.Parse((await watch.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken))!).GetProperty("state").GetString();
    }

    [Fact]
    public async Task The_demo_holds_approves_and_runs_a_statement_once_on_a_real_PostgreSQL_and_leaves_nothing()
    {
        var folder = ApiHost.NewFolder();
        try
        {
            // PostgreSQL's user has to pass through it, when the demo is run as root.
            if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(folder, File.GetUnixFileMode(folder) | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
            var said = await RunAsync(folder, ["demo", "--auto", "--json"], [("TMPDIR", folder)]);
            Assert.Equal("", said.Error);
            var report = JsonElement.Parse(said.Output);
            Assert.True(report.GetProperty("passed").GetBoolean(), said.Output);
            Assert.True(report.GetProperty("checks").GetArrayLength() >= 10, said.Output);
            Assert.Equal(0, said.Exit);
            Assert.Empty(Directory.EnumerateFileSystemEntries(folder, "countersign-demo-*"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task P35_A_session_file_that_others_can_read_is_refused()
    {
        await using var host = await ApiHost.StartAsync();
        using var home = new Home(host);
        await home.SignInAsync("mira");
        var file = Path.Combine(home.Folder, "countersign", "sessions.json");
        if (!OperatingSystem.IsWindows())
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
            File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.OtherRead);
        }

        var refused = await home.RunAsync("review", "list");
        Assert.Equal(1, refused.Exit);
        Assert.Contains("chmod 600", refused.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Serve_says_every_error_of_its_config_at_once_and_no_secret_or_stack()
    {
        var folder = ApiHost.NewFolder();
        try
        {
            ApiHost.WriteShop(folder, static yaml => yaml.Replace("kind: postgres", "kind: oracle", StringComparison.Ordinal).Replace("users:", "usres:", StringComparison.Ordinal));
            var said = await RunAsync(folder, ["serve", "--config", Path.Combine(folder, "countersign.yaml")], []);
            Assert.Equal(2, said.Exit);
            Assert.Contains("usres", said.Error, StringComparison.Ordinal);
            Assert.Contains("oracle", said.Error, StringComparison.Ordinal);
            Assert.Contains("SHOP_PASSWORD", said.Error, StringComparison.Ordinal);
            Assert.DoesNotContain("   at ", said.Error, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task Serve_is_ready_answers_and_stops_when_told()
    {
        var folder = ApiHost.NewFolder();
        try
        {
            ApiHost.WriteShop(folder);
            Directory.CreateDirectory(Path.Combine(folder, "data"));
            if (Directory.Exists(Fixtures.GatewayProcess.SharedCache))
            {
                using var copy = Process.Start("cp", ["-a", Fixtures.GatewayProcess.SharedCache, Path.Combine(folder, "data", "cache")]);
                await copy.WaitForExitAsync(TestContext.Current.CancellationToken);
            }

            using var serve = Start(folder, ["serve", "--config", Path.Combine(folder, "countersign.yaml")], [("SHOP_PASSWORD", ApiHost.TargetPassword)]);
            var error = serve.StandardError.ReadToEndAsync();
            var ready = await serve.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken);
            Assert.Matches(@"^ready http=http://127\.0\.0\.1:\d+ postgres=127\.0\.0\.1:\d+$", ready);
            using var http = new HttpClient();
            Assert.Contains("ready", await http.GetStringAsync(new Uri(ready!.Split('=', 2)[1].Split(' ')[0] + "/readyz")), StringComparison.Ordinal);
            using var kill = Process.Start("kill", ["-TERM", $"{serve.Id}"]);
            await serve.WaitForExitAsync(TestContext.Current.CancellationToken);
            Assert.Equal(0, serve.ExitCode);
            Assert.DoesNotContain("OriginalFormat", await error, StringComparison.Ordinal);
            foreach (var line in (await error).Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(static l => l.StartsWith('{'))) JsonElement.Parse(line);
            Assert.DoesNotContain(ApiHost.TargetPassword, await error, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task Init_writes_what_loads_checks_and_passes_its_own_tests()
    {
        var folder = ApiHost.NewFolder();
        try
        {
            Assert.Equal(0, (await RunAsync(folder, ["init"], [])).Exit);
            Assert.Equal(1, (await RunAsync(folder, ["init"], [])).Exit); // nothing is overwritten
            var config = Config.ConfigFile.Load(Path.Combine(folder, "countersign.yaml"), static _ => "x");
            Assert.Empty(config.Errors);
            var tested = await RunAsync(folder, ["policy", "test", "--json"], []);
            Assert.Equal((0, true), (tested.Exit, JsonElement.Parse(tested.Output).GetProperty("passed").GetBoolean()));
            var explained = await RunAsync(folder, ["policy", "explain", "--group", "agents", "--target", "shop", "--action", "sql:drop", "--resource", "public.orders", "--json"], []);
            Assert.Equal("deny", JsonElement.Parse(explained.Output).GetProperty("decision").GetString());
            var read = await RunAsync(folder, ["policy", "explain", "--group", "agents", "--target", "shop", "--action", "sql:select", "--resource", "public.customers"], []);
            Assert.Contains("its condition 1 (`unless`) rules it out", read.Output, StringComparison.Ordinal);
            Assert.DoesNotContain("countersign:", read.Output, StringComparison.Ordinal);
            Assert.Contains("write `public.customers`", (await RunAsync(folder, ["policy", "explain", "--target", "shop", "--action", "sql:select", "--resource", "customers"], [])).Error, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task The_shops_policies_say_what_their_tests_say()
    {
        var tested = await RunAsync(ApiHost.Repository, ["policy", "test", Path.Combine(ApiHost.Repository, "samples", "shop", "policies"), "--json"], []);
        Assert.Equal(0, tested.Exit);
    }

    [Fact]
    public async Task A_login_at_a_server_that_is_gone_says_where_its_address_comes_from()
    {
        await using var host = await ApiHost.StartAsync();
        using var home = new Home(host);
        await home.SignInAsync("mira");
        var file = new SessionsFile(Path.Combine(home.Folder, "countersign", "sessions.json"));
        file.Save(new SavedSession("http://127.0.0.1:9", "mira", "gone", DateTimeOffset.MaxValue));
        var said = await RunAsync(home.Folder, ["review", "list"], [("XDG_CONFIG_HOME", home.Folder)]);
        Assert.Equal(1, said.Exit);
        Assert.Contains("can not reach `http://127.0.0.1:9/`", said.Error, StringComparison.Ordinal);
        Assert.Contains("that address is from your last login; name another with --server", said.Error, StringComparison.Ordinal);

        // As the demo does at its end: what was current before is so again.
        var server = host.Gateway.Http.GetLeftPart(UriPartial.Authority);
        file.Forget("http://127.0.0.1:9", server);
        Assert.Equal(server, file.Read().Current);
        Assert.Equal(0, (await RunAsync(home.Folder, ["review", "list"], [("XDG_CONFIG_HOME", home.Folder)])).Exit);
    }

    [Fact]
    public async Task Two_people_share_a_machine_by_session_files_of_their_own()
    {
        await using var host = await ApiHost.StartAsync();
        using var home = new Home(host);
        await home.SignInAsync("mira");
        var mine = Path.Combine(home.Folder, "tom.json");
        var refused = await RunAsync(home.Folder, ["review", "list"], [("XDG_CONFIG_HOME", home.Folder), ("COUNTERSIGN_SESSION", mine), ("COUNTERSIGN_SERVER", host.Gateway.Http.GetLeftPart(UriPartial.Authority))]);
        Assert.Contains("not signed in", refused.Error, StringComparison.Ordinal);
        var notAdmin = await home.RunAsync("agent", "list");
        Assert.Equal(3, notAdmin.Exit);
        Assert.Contains("you are signed in as `mira`; ", notAdmin.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_port_in_use_is_one_line_and_no_stack()
    {
        using var other = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        other.Start();
        var folder = ApiHost.NewFolder();
        try
        {
            ApiHost.WriteShop(folder, yaml => new System.Text.RegularExpressions.Regex("127\\.0\\.0\\.1:0").Replace(yaml, $"{other.LocalEndpoint}", 1));
            var said = await RunAsync(folder, ["serve"], [("SHOP_PASSWORD", ApiHost.TargetPassword)]);
            Assert.Equal((1, $"countersign: countersign.yaml: listen.http: {other.LocalEndpoint} is in use by another process; name another port"), (said.Exit, said.Error.Trim()));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task A_further_signal_does_not_cut_off_the_journal_and_logs_for_people_are_short()
    {
        var folder = ApiHost.NewFolder();
        try
        {
            ApiHost.WriteShop(folder);
            Directory.CreateDirectory(Path.Combine(folder, "data"));
            if (Directory.Exists(Fixtures.GatewayProcess.SharedCache))
            {
                using var copy = Process.Start("cp", ["-a", Fixtures.GatewayProcess.SharedCache, Path.Combine(folder, "data", "cache")]);
                await copy.WaitForExitAsync(TestContext.Current.CancellationToken);
            }

            using var serve = Start(folder, ["serve", "--log", "text"], [("SHOP_PASSWORD", ApiHost.TargetPassword)]);
            var error = serve.StandardError.ReadToEndAsync();
            var ready = await serve.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken);
            Assert.StartsWith("ready http=", ready, StringComparison.Ordinal);
            Assert.StartsWith("  agents: postgres://<agent>:<key>@127.0.0.1:", await serve.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
            using var kill = Process.Start("sh", ["-c", $"for i in 1 2 3 4 5; do kill -TERM {serve.Id}; done 2>/dev/null"]);
            await serve.WaitForExitAsync(TestContext.Current.CancellationToken);
            Assert.Equal(0, serve.ExitCode);
            Assert.Contains("journal stopped", await error, StringComparison.Ordinal);
            Assert.DoesNotContain("{", await error, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task Usage_errors_are_exit_2_on_standard_error()
    {
        foreach (var args in new[] { new[] { "nonsense" }, ["review", "approve"], ["serve", "--port", "1"], ["agent", "add", "x"] })
        {
            var said = await RunAsync(ApiHost.Repository, args, []);
            Assert.Equal((2, ""), (said.Exit, said.Output));
            Assert.StartsWith("countersign: ", said.Error, StringComparison.Ordinal);
            Assert.DoesNotContain("required command", said.Error, StringComparison.Ordinal);
        }

        Assert.Contains("`countersign init` writes one", (await RunAsync(ApiHost.Repository, ["serve", "--config", "none.yaml"], [])).Error, StringComparison.Ordinal);
    }

    private sealed record Said(int Exit, string Output, string Error);

    private static async Task<Said> RunAsync(string folder, string[] args, (string Name, string Value)[] environment)
    {
        using var process = Start(folder, args, environment);
        process.StandardInput.Close();
        var error = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return new Said(process.ExitCode, output, await error);
    }

    private static Process Start(string folder, string[] args, (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo("dotnet") { WorkingDirectory = folder, RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "countersign.dll"));
        foreach (var arg in args) start.ArgumentList.Add(arg);
        start.Environment.Remove("COUNTERSIGN_SERVER");
        start.Environment.Remove("COUNTERSIGN_SESSION");
        start.Environment.Remove("SHOP_PASSWORD");
        foreach (var (name, value) in environment) start.Environment[name] = value;
        return Process.Start(start)!;
    }

    /// <summary>A person's own configuration folder, pointed at one gateway.</summary>
    private sealed class Home(ApiHost host) : IDisposable
    {
        public string Folder { get; } = ApiHost.NewFolder();

        public Task<Said> RunAsync(params string[] args) =>
            CommandTests.RunAsync(Folder, args, [("XDG_CONFIG_HOME", Folder), ("COUNTERSIGN_SERVER", host.Gateway.Http.GetLeftPart(UriPartial.Authority))]);

        public Process Start(params string[] args) =>
            CommandTests.Start(Folder, args, [("XDG_CONFIG_HOME", Folder), ("COUNTERSIGN_SERVER", host.Gateway.Http.GetLeftPart(UriPartial.Authority))]);

        public async Task SignInAsync(string user)
        {
            using var http = host.Anonymous();
            using var begun = await System.Net.Http.Json.HttpClientJsonExtensions.PostAsJsonAsync(http, "/api/v1/login/begin", new { user });
            var said = await RunAsync("login", "--user", user, "--code", host.Codes.Last(c => c.User == user).Code);
            Assert.Equal((0, ""), (said.Exit, said.Error));
        }

        public void Dispose() => Directory.Delete(Folder, recursive: true);
    }
}
