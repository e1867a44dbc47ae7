using System.CommandLine;
using System.Text.Json.Serialization;
using Countersign.Client;
using Countersign.Demo;
using Countersign.Terminal;
using Spectre.Console;

namespace Countersign.Commands;

internal static class DemoCommand
{
    public static Command Create()
    {
        var auto = new Option<bool>("--auto") { Description = "play the human too, check everything on the real database, and end" };
        var command = new ExampledCommand("demo", "See it work: an agent, a gateway and a real PostgreSQL, and you decide. Needs no set-up, leaves nothing behind.",
            "countersign demo",
            "countersign demo --auto") { auto };
        command.SetAction((parsed, ct) => RunAsync(parsed.GetValue(auto), new Output(parsed.GetValue(CommandLine.Json)), ct));
        return command;
    }

    private static async Task<int> RunAsync(bool auto, Output output, CancellationToken ct)
    {
        if (output.Json && !auto) throw new CommandFailure(Exit.Usage, "the demo for people has no JSON: use `--auto --json`");
        var console = output.Json ? AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(TextWriter.Null) }) : output.Console;
        console.WriteLine();
        console.MarkupLine("  [bold]Countersign[/]  [grey]the agent signs, a human countersigns[/]");
        console.WriteLine();
        try
        {
            return await PlayAsync(auto, output, console, ct).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            console.WriteLine();
            console.MarkupLine("  [grey]ended; nothing is left behind[/]");
            return auto ? Exit.Failed : Exit.Done;
        }
        catch (Exception e) when (e is DemoFailure or ApiRefused or Npgsql.NpgsqlException or IOException)
        {
            throw new CommandFailure(Exit.Failed, $"the demo can not go on: {e.Message}");
        }
    }

    private static async Task<int> PlayAsync(bool auto, Output output, IAnsiConsole console, CancellationToken ct)
    {
        // PostgreSQL and the temporary folder are taken away whatever signals follow the first.
        CommandLine.Orderly = 2 * Hosting.GatewayHost.StopTimeout;
        DemoStage? stage = null;
        try
        {
            await console.Status().Spinner(Spinner.Known.Dots).SpinnerStyle(new Style(Color.Grey)).StartAsync("[grey]setting the stage…[/]", async status =>
                stage = await DemoStage.SetAsync(new Now(text => status.Status($"[grey]{Shown.Line(text)}[/]")), ct).ConfigureAwait(false)).ConfigureAwait(false);
            var script = new DemoScript(console, stage!, auto);
            await script.PlayAsync(ct).ConfigureAwait(false);
            if (auto)
            {
                console.WriteLine();
                if (output.Json) Output.Value(new DemoReport(script.Checks.Hold, script.Checks.Review, script.Checks.All.Select(static c => new DemoCheck(c.What, c.Holds)).ToArray()), DemoJson.Default.DemoReport);
                return script.Checks.Hold ? Exit.Done : Exit.Failed;
            }

            script.TryNext();
            await ct.WhenCancelled().ConfigureAwait(false);
            console.WriteLine();
            console.MarkupLine("  [grey]ended; nothing is left behind[/]");
            return Exit.Done;
        }
        finally
        {
            if (stage is not null) await stage.DisposeAsync().ConfigureAwait(false);
        }
    }

    /// <summary>Tells at once, in order; <see cref="Progress{T}"/> may tell late.</summary>
    private sealed class Now(Action<string> tell) : IProgress<string>
    {
        public void Report(string value) => tell(value);
    }
}

internal sealed record DemoCheck(string What, bool Holds);

internal sealed record DemoReport(bool Passed, string? Review, IReadOnlyList<DemoCheck> Checks);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(DemoReport))]
internal sealed partial class DemoJson : JsonSerializerContext;
