using System.CommandLine;
using System.Text.Json;
using Countersign.Api;
using Countersign.Client;
using Countersign.Core;
using Countersign.Terminal;
using Spectre.Console;

namespace Countersign.Commands;

internal static class JournalCommand
{
    public static Command Create()
    {
        var server = Connection.ServerOption();
        server.Recursive = true;
        return new ExampledCommand("journal", "Read and verify the journal (for members of group `admins`).",
            "countersign journal tail",
            "countersign journal tail --follow --json",
            "countersign journal verify") { server, Tail(server), Verify(server) };
    }

    private static Command Tail(Option<string?> server)
    {
        var follow = new Option<bool>("--follow", "-f") { Description = "go on as entries become durable" };
        var lines = new Option<int>("--lines", "-n") { Description = "how many entries to begin with", HelpName = "N", DefaultValueFactory = static _ => 20 };
        lines.Validators.Add(static result =>
        {
            if (result.GetValueOrDefault<int>() is < 1 or > JournalEndpoints.MaxPage) result.AddError($"--lines is 1 to {JournalEndpoints.MaxPage}");
        });
        var command = new ExampledCommand("tail", "Show the last entries.", "countersign journal tail -n 50", "countersign journal tail --follow") { follow, lines };
        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), async client =>
        {
            var output = new Output(parsed.GetValue(CommandLine.Json));
            var page = await client.GetAsync($"/api/v1/journal/entries?max={parsed.GetValue(lines)}", ApiJson.Default.JournalPage, ct).ConfigureAwait(false);
            foreach (var line in page.Entries) output.Value(line, ApiJson.Default.JournalLine, console => console.MarkupLine(JournalView.Line(line, console.Profile.Width)));
            if (!parsed.GetValue(follow)) return Exit.Done;
            try
            {
                await foreach (var line in client.StreamAsync($"/api/v1/journal/tail?from={page.Next}", ApiJson.Default.JournalLine, ct).ConfigureAwait(false))
                {
                    output.Value(line, ApiJson.Default.JournalLine, console => console.MarkupLine(JournalView.Line(line, console.Profile.Width)));
                }
            }
            catch (OperationCanceledException) when (ct.IsCancellationRequested)
            {
                return Exit.Done;
            }
            catch (IOException)
            {
                // Said below.
            }

            throw new CommandFailure(Exit.Failed, "the server ended the stream; tail again");
        }));
        return command;
    }

    private static Command Verify(Option<string?> server)
    {
        var command = new ExampledCommand("verify", "Recompute every leaf hash and every commitment to a body.", "countersign journal verify");
        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), async client =>
        {
            var verdict = await client.GetAsync("/api/v1/journal/verify", ApiJson.Default.JournalVerdict, ct).ConfigureAwait(false);
            new Output(parsed.GetValue(CommandLine.Json)).Value(verdict, ApiJson.Default.JournalVerdict, console =>
            {
                console.MarkupLine(verdict.Sound
                    ? $"[green]✓[/] {verdict.Entries} entries and {verdict.Bodies} bodies are what their hashes say[grey]{(verdict.Erased > 0 ? $"; {verdict.Erased} bodies erased on purpose" : "")}[/]"
                    : $"[red]✗[/] the journal is damaged");
                foreach (var defect in verdict.Defects) console.MarkupLine($"  {(defect.Index is { } index ? $"{index}" : "store")}  [red]{Shown.Line(defect.Code)}[/]  {Shown.Line(defect.Detail)}");
            });
            return verdict.Sound ? Exit.Done : Exit.Failed;
        }));
        return command;
    }
}
