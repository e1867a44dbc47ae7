using System.CommandLine;
using Countersign.Config;
using Countersign.Core;
using Countersign.Hosting;

namespace Countersign.Commands;

internal static class ServeCommand
{
    public static Command Create()
    {
        var config = new Option<string>("--config") { Description = "the configuration file", HelpName = "FILE", DefaultValueFactory = static _ => "countersign.yaml" };
        var log = new Option<string>("--log") { Description = "how logs are written to stderr: `text` for people, `json` for programs; `auto` is text on a terminal", HelpName = "FORM", DefaultValueFactory = static _ => "auto" };
        log.AcceptOnlyFromAmong("auto", "text", "json");
        var command = new ExampledCommand("serve", "Run the gateway until it is told to stop (SIGTERM, Ctrl-C).",
            "countersign serve --config countersign.yaml",
            "countersign serve --config countersign.yaml 2>countersign.log.json") { config, log };
        command.SetAction((parsed, ct) => RunAsync(parsed.GetRequiredValue(config), parsed.GetRequiredValue(log), ct));
        return command;
    }

    /// <summary>The configuration, or a failure with everything that is wrong with it.</summary>
    /// <param name="path">The file.</param>
    /// <param name="environment">Looks environment variables up; null for the process's own.</param>
    public static CountersignConfig Load(string path, Func<string, string?>? environment = null)
    {
        var result = ConfigFile.Load(path, environment ?? Environment.GetEnvironmentVariable);
        return result.TryGet(out var config)
            ? config
            : throw new StartFailure(Exit.Usage, result.Errors.Select(e => $"{VisibleText.Of(path, multiline: false)}:{e}{(File.Exists(path) ? "" : "; `countersign init` writes one")}").ToArray());
    }

    private static async Task<int> RunAsync(string path, string log, CancellationToken ct)
    {
        var config = Load(path);
        var text = log == "text" || (log == "auto" && !Console.IsErrorRedirected);
        if (Listeners.Taken(config.Listen) is { Count: > 0 } taken) throw new StartFailure(Exit.Failed, taken.Select(t => $"{VisibleText.Of(path, multiline: false)}: {t}").ToArray());

        // A second signal must not cut off the journal's last entry: connections have one such time to leave, the journal another.
        CommandLine.Orderly = 2 * GatewayHost.StopTimeout;
        await using var host = await GatewayHost.StartAsync(new GatewayOptions
        {
            Config = config,
            ShowLoginCode = static (user, code) => Line($"login code for {user}: {code} (5 min)"),
            ShowLoginLink = static (user, link) => Line($"sign-in link for {user}: {link} (5 min)"),
            Notice = text ? static said => Console.Error.WriteLine(said) : TelemetryLines.NoticeAsJson,
            Logging = logging => Telemetry.OnStandardError(logging, text),
        }, ct).ConfigureAwait(false);
        Line(host.ReadyLine);
        if (text) Invite(host, config);
        await ct.WhenCancelled().ConfigureAwait(false);
        return Exit.Done;
    }

    /// <summary>What a person does next; programs read the line before it.</summary>
    private static void Invite(GatewayHost host, CountersignConfig config)
    {
        foreach (var target in config.Targets.Keys.Order(StringComparer.Ordinal)) Line($"  agents: postgres://<agent>:<key>@{host.Postgres}/{target}");
        foreach (var server in config.McpServers.Keys.Order(StringComparer.Ordinal)) Line($"  agents: {host.Http.GetLeftPart(UriPartial.Authority)}/mcp/{server} with `Authorization: Bearer <key>`");
        Line($"  people: {Demo.Launcher.Name} login --server {host.Http.GetLeftPart(UriPartial.Authority)} --user {config.Users.Select(static u => u.Name).FirstOrDefault() ?? "NAME"}");
    }

    private static void Line(string text)
    {
        Console.Out.WriteLine(text);
        Console.Out.Flush();
    }
}

internal static class CancellationExtensions
{
    /// <summary>Completes, without an exception, when the token is cancelled.</summary>
    public static async Task WhenCancelled(this CancellationToken ct)
    {
        var cancelled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var registration = ct.Register(cancelled.SetResult).ConfigureAwait(false);
        await cancelled.Task.ConfigureAwait(false);
    }
}
