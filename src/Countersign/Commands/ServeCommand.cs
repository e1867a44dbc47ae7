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
        var command = new ExampledCommand("serve", "Run the gateway until it is told to stop (SIGTERM, Ctrl-C).",
            "countersign serve --config countersign.yaml",
            "countersign serve --config countersign.yaml 2>countersign.log.json") { config };
        command.SetAction((parsed, ct) => RunAsync(parsed.GetRequiredValue(config), ct));
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
            : throw new StartFailure(Exit.Usage, result.Errors.Select(e => $"{VisibleText.Of(path, multiline: false)}:{e}").ToArray());
    }

    private static async Task<int> RunAsync(string path, CancellationToken ct)
    {
        var config = Load(path);
        await using var host = await GatewayHost.StartAsync(new GatewayOptions
        {
            Config = config,
            ShowLoginCode = static (user, code) => Line($"login code for {user}: {code} (5 min)"),
            ShowLoginLink = static (user, link) => Line($"sign-in link for {user}: {link} (5 min)"),
            Notice = static text => Console.Error.WriteLine(text),
            Logging = Telemetry.JsonOnStandardError,
        }, ct).ConfigureAwait(false);
        Line(host.ReadyLine);
        await ct.WhenCancelled().ConfigureAwait(false);
        return Exit.Done;
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
