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
            "countersign journal verify",
            "countersign journal export rv_4k2m9x7c1d3f5g8h > review.jsonl",
            "countersign journal verify --approval review.jsonl --key alice.pem") { server, Tail(server), Verify(server), Export(server) };
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

    private static Command Export(Option<string?> server)
    {
        var id = new Argument<string>("ID") { Description = "of a review (`rv_…`), a passkey (`pk_…`), a person, an agent, an action or a grant" };
        var command = new ExampledCommand("export", "Write every entry that is about something, with body and salt, one JSON value a line, oldest first.",
            "countersign journal export rv_4k2m9x7c1d3f5g8h > review.jsonl", "countersign journal export pk_0123456789abcdef > key.jsonl") { id };
        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), async client =>
        {
            var wanted = parsed.GetRequiredValue(id);
            var found = new Stack<JournalLine>();
            var before = (await client.GetAsync("/api/v1/journal/entries?max=1", ApiJson.Default.JournalPage, ct).ConfigureAwait(false)).Count;
            for (var begun = false; before > 0 && !begun;)
            {
                // Backwards, page by page: what is asked for is mostly young, and a review begins with one entry.
                var from = Math.Max(0, before - JournalEndpoints.MaxPage);
                var lines = new List<JournalLine>();
                for (var next = from; next < before;)
                {
                    // A page ends early rather than grow too large: what it left out comes next.
                    var page = await client.GetAsync($"/api/v1/journal/entries?from={next}&max={before - next}", ApiJson.Default.JournalPage, ct).ConfigureAwait(false);
                    if (page.Entries.Count == 0) break;
                    lines.AddRange(page.Entries);
                    next = page.Next;
                }

                foreach (var line in Enumerable.Reverse(lines).Where(l => IsAbout(l, wanted)))
                {
                    found.Push(line);
                    begun |= line.Entry is { } entry && entry.GetProperty("type").GetString() == "review-opened" && entry.GetProperty("review").GetString() == wanted;
                }

                before = from;
            }

            if (found.Count == 0) throw new CommandFailure(Exit.Failed, $"no entry is about `{VisibleText.Of(wanted, multiline: false)}`");
            foreach (var line in found) Output.Value(line, ApiJson.Default.JournalLine);
            return Exit.Done;
        }));
        return command;
    }

    private static bool IsAbout(JournalLine line, string id) =>
        line.Entry is { } entry && entry.EnumerateObject().Any(m => m.Value.ValueKind == JsonValueKind.String && m.Value.GetString() == id);

    private static Command Verify(Option<string?> server)
    {
        var approval = new Option<FileInfo?>("--approval") { Description = "verify the answers in an exported file instead, by their passkeys' signatures: needs no server", HelpName = "FILE" };
        var key = new Option<FileInfo?>("--key") { Description = "with --approval: the person's public key (PEM, or an exported `passkey-added` entry); without it, the key that the entry carries", HelpName = "FILE" };
        var origin = new Option<string?>("--origin") { Description = "with --approval: the address of the console on which it must have been signed", HelpName = "URL" };
        var command = new ExampledCommand("verify", "Recompute every leaf hash and every commitment to a body; or verify exported answers offline.",
            "countersign journal verify", "countersign journal verify --approval review.jsonl --key alice.pem --origin https://countersign.example") { approval, key, origin };
        command.Validators.Add(result =>
        {
            if (result.GetValue(approval) is null && (result.GetValue(key) is not null || result.GetValue(origin) is not null)) result.AddError("--key and --origin go with --approval");
        });
        command.SetAction((parsed, ct) => parsed.GetValue(approval) is { } file
            ? ApprovalFile.VerifyAsync(new Output(parsed.GetValue(CommandLine.Json)), file, parsed.GetValue(key), parsed.GetValue(origin), ct)
            : Connection.AsHumanAsync(parsed.GetValue(server), async client =>
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
