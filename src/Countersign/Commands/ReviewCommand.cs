using System.CommandLine;
using System.Text;
using System.Text.Json;
using Countersign.Api;
using Countersign.Client;
using Countersign.Core;
using Countersign.Reviews;
using Countersign.Terminal;
using Spectre.Console;

namespace Countersign.Commands;

internal static class ReviewCommand
{
    private sealed record Answering(string Decision, string Id, string? Comment, bool Yes, GrantRequest? Grant);

    public static Command Create()
    {
        var server = Connection.ServerOption();
        server.Recursive = true;
        return new ExampledCommand("review", "Look at what waits for approval, and answer.",
            "countersign review list",
            "countersign review show rv_4k2m9x7c1d3f5g8h",
            "countersign review approve rv_4k2m9x7c1d3f5g8h --comment \"checked with support\"",
            "countersign review watch") { server, List(server), Show(server), Watch(server), Answer(server, "approve"), Answer(server, "deny"), Answer(server, "break-glass"), Aftermath(server) };
    }

    private static Command List(Option<string?> server)
    {
        var closed = new Option<bool>("--closed") { Description = "those that have ended, newest first" };
        var command = new ExampledCommand("list", "List reviews that you may see.", "countersign review list", "countersign review list --closed --json") { closed };
        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), async client =>
        {
            var output = new Output(parsed.GetValue(CommandLine.Json));
            var state = parsed.GetValue(closed) ? "closed" : "open";
            var list = await client.GetAsync($"/api/v1/reviews?state={state}", ApiJson.Default.ReviewList, ct).ConfigureAwait(false);
            output.Value(list, ApiJson.Default.ReviewList, console => Table(console, list, state));
            return Exit.Done;
        }));
        return command;
    }

    private static void Table(IAnsiConsole console, ReviewList list, string state)
    {
        if (list.Reviews.Count == 0)
        {
            console.MarkupLine(state == "open" ? "[grey]nothing waits for you[/]" : "[grey]no closed reviews[/]");
            return;
        }

        var table = new Table().Border(TableBorder.None).AddColumns(
            Column("review"), Column("state"), Column("agent"), Column("target"), Column("statement"), Column("data"), Column("until"));
        var room = StatementRoom(console.Profile.Width, list.Reviews);
        var now = TimeProvider.System.GetUtcNow();
        foreach (var r in list.Reviews)
        {
            table.AddRow(Shown.Line(r.Id), CardView.ShortState(r.State), Shown.Line(Short(r.Agent)), Shown.Line(Short(r.Target)), Shown.Line(CardView.OneLine(r.Statement, room)),
                r.DataClasses.Count == 0 ? "" : $"[yellow]{Shown.Line(string.Join(' ', r.DataClasses))}[/]", state == "open" ? Left(r.ExpiresAt - now) : Shown.Line(r.CloseReason ?? ""));
        }

        console.Write(table);
    }

    private const int LongestName = 16;
    private const int LeastStatement = 8;
    private const int MostStatement = 80;

    private static TableColumn Column(string name) => new TableColumn($"[grey]{name}[/]").NoWrap();

    private static string Short(string name) => CardView.OneLine(name, LongestName);

    /// <summary>Time left, to the minute: the card has it to the second.</summary>
    private static string Left(TimeSpan left) => left.TotalHours >= 1 ? Shown.Span(left) : left > TimeSpan.FromMinutes(1) ? $"{(int)left.TotalMinutes} min" : Shown.Span(left > TimeSpan.Zero ? left : TimeSpan.Zero);

    /// <summary>Columns that are left for a statement, so that each review has one line.</summary>
    private static int StatementRoom(int width, IReadOnlyList<ReviewSummary> reviews)
    {
        const int id = 19, state = 8, until = 9, gaps = 14;
        var others = id + state + until + gaps + reviews.Max(static r => Short(r.Agent).Length) + Math.Max(6, reviews.Max(static r => Short(r.Target).Length)) + reviews.Max(static r => string.Join(' ', r.DataClasses).Length);
        return Math.Clamp(width - others, LeastStatement, MostStatement);
    }

    private static Command Show(Option<string?> server)
    {
        var id = Id();
        var command = new ExampledCommand("show", "Show the whole card of a review.", "countersign review show rv_4k2m9x7c1d3f5g8h") { id };
        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), async client =>
        {
            var output = new Output(parsed.GetValue(CommandLine.Json));
            var card = await CardAsync(client, parsed.GetRequiredValue(id), ct).ConfigureAwait(false);
            output.Value(card, ApiJson.Default.ReviewCard, console => CardView.Write(console, card, TimeProvider.System.GetUtcNow()));
            return Exit.Done;
        }));
        return command;
    }

    private static Command Watch(Option<string?> server)
    {
        var command = new ExampledCommand("watch", "Show each review as it opens and changes, until Ctrl-C.", "countersign review watch", "countersign review watch --json");
        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), async client =>
        {
            var output = new Output(parsed.GetValue(CommandLine.Json));
            var seen = new HashSet<string>(StringComparer.Ordinal);
            if (!output.Json) output.Console.MarkupLine("[grey]watching; Ctrl-C ends[/]");
            try
            {
                await foreach (var card in client.StreamAsync("/api/v1/reviews/stream", ApiJson.Default.ReviewCard, ct).ConfigureAwait(false))
                {
                    var now = TimeProvider.System.GetUtcNow();
                    var fresh = seen.Add(card.Id) && card.ClosedAt is null;
                    output.Value(card, ApiJson.Default.ReviewCard, console =>
                    {
                        if (fresh) CardView.Write(console, card, now);
                        else console.MarkupLine(CardView.Summary(card, now));
                    });
                }
            }
            catch (OperationCanceledException) when (ct.IsCancellationRequested)
            {
                return Exit.Done;
            }
            catch (IOException)
            {
                // Said below: a stream that breaks and one that ends are the same to a watcher.
            }

            throw new CommandFailure(Exit.Failed, "the server ended the stream; watch again");
        }));
        return command;
    }

    private static Command Answer(Option<string?> server, string decision)
    {
        var id = Id();
        var comment = new Option<string?>("--comment") { Description = "what you want on the record", HelpName = "TEXT" };
        var yes = new Option<bool>("--yes", "-y") { Description = "do not ask" };
        var command = new ExampledCommand(decision, decision switch
            {
                "approve" => "Approve exactly this action, once.",
                "deny" => "Refuse it.",
                _ => "Release it now, without those whom it waits for, where policy lets you. Everybody is told, and somebody else looks at it afterwards.",
            },
            $"countersign review {decision} rv_4k2m9x7c1d3f5g8h",
            decision == "approve" ? "countersign review approve rv_4k2m9x7c1d3f5g8h --grant 30m --uses 5 --free '$2=1..100'" : $"countersign review {decision} rv_4k2m9x7c1d3f5g8h --comment \"see OPS-112\" --yes --json") { id, comment, yes };
        var grant = new Option<string?>("--grant") { Description = "grant the like as well, for so long, where policy lets you", HelpName = "30m" };
        var uses = new Option<int>("--uses") { Description = "with --grant: so many times in all", HelpName = "N", DefaultValueFactory = static _ => 10 };
        var free = new Option<string[]>("--free") { Description = "with --grant: a value that may differ, as `$1=1..100`, `$1=a|b`, or `$1=text:40` (at most so many characters)", HelpName = "BOUND", DefaultValueFactory = static _ => [] };
        if (decision == "approve")
        {
            command.Add(grant);
            command.Add(uses);
            command.Add(free);
        }

        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), client => AnswerAsync(
            client, new Output(parsed.GetValue(CommandLine.Json)), new Answering(decision, parsed.GetRequiredValue(id), parsed.GetValue(comment), parsed.GetValue(yes),
                decision == "approve" && parsed.GetValue(grant) is { } time ? GrantCommand.Request(time, parsed.GetValue(uses), parsed.GetValue(free) ?? []) : null), ct)));
        return command;
    }

    private static async Task<int> AnswerAsync(ApiClient client, Output output, Answering answering, CancellationToken ct)
    {
        if (!answering.Yes && (output.Json || Console.IsInputRedirected)) throw new CommandFailure(Exit.Usage, "there is nobody to ask whether you mean it: pass --yes");
        var card = await CardAsync(client, answering.Id, ct).ConfigureAwait(false);
        if (!output.Json) CardView.Write(output.Console, card, TimeProvider.System.GetUtcNow());
        if (card.State == "expired") throw new CommandFailure(Exit.Expired, "it has expired", ReasonCodes.ReviewExpired, card.Id);

        if (answering is { Decision: "approve", Comment: null, Yes: false } && card.Requirements.Any(static r => r.Justify)) answering = answering with { Comment = await WhyAsync(ct).ConfigureAwait(false) };
        // A terminal has no passkey to sign with.
        if (answering.Decision != "deny" && card.Requirements.Any(static r => r.StepUp is not null)) return await InBrowserAsync(client, output, card, answering, ct, ReasonCodes.StepUpRequired).ConfigureAwait(false);
        StatementDraft draft;
        try
        {
            draft = await client.PostAsync($"/api/v1/reviews/{card.Id}/statements", new StatementRequest(answering.Decision, answering.Comment, answering.Grant),
                ApiJson.Default.StatementRequest, ApiJson.Default.StatementDraft, ct).ConfigureAwait(false);
        }
        catch (ApiRefused e) when (e.Problem.Reason == ReasonCodes.PresenceRequired)
        {
            return await InBrowserAsync(client, output, card, answering, ct).ConfigureAwait(false);
        }

        if (Mismatch(draft, card, answering) is { } mismatch) throw new CommandFailure(Exit.Denied, $"the statement that the server offers is not what was shown: {mismatch}", ReasonCodes.StatementMismatch, card.Id);
        if (!output.Json)
        {
            if (answering.Grant is { } like) output.Console.MarkupLine($"[yellow]and you grant the like[/] {Shown.Line(like.ToWish().ToString())}[yellow]: nobody is asked then[/]");
            output.Console.MarkupLine($"[grey]you commit to[/] {answering.Decision} [grey]exactly the above: action digest[/] {Shown.Line(card.Digest[..16])}…[grey], statement[/] {Shown.Line(draft.Sha256[..16])}…");
            if (!answering.Yes && !await AskAsync(answering.Decision, ct).ConfigureAwait(false))
            {
                output.Console.MarkupLine("[grey]nothing was answered[/]");
                return Exit.Failed;
            }
        }

        try
        {
            var done = await client.PostAsync($"/api/v1/reviews/{card.Id}/answers", new AnswerRequest(draft.Statement), ApiJson.Default.AnswerRequest, ApiJson.Default.AnswerDone, ct).ConfigureAwait(false);
            output.Value(done, ApiJson.Default.AnswerDone, console => console.MarkupLine(done.Reason is ReasonCodes.Approved or ReasonCodes.GlassBroken ? $"[green]✓[/] {Shown.Line(done.Message)}" : $"[red]✗[/] {Shown.Line(done.Message)}"));
            return Exit.Done;
        }
        catch (ApiRefused e) when (e.Problem.Reason == ReasonCodes.ReviewClosed)
        {
            var now = await CardAsync(client, card.Id, ct).ConfigureAwait(false);
            if (now.State == "expired") throw new CommandFailure(Exit.Expired, "it expired before you answered", ReasonCodes.ReviewExpired, card.Id);
            throw;
        }
    }

    /// <summary>
    /// Leads to the browser, where the same person looks at the same review and answers with a session that no program
    /// under his account has, and waits for that.
    /// </summary>
    private static async Task<int> InBrowserAsync(ApiClient client, Output output, ReviewCard card, Answering answering, CancellationToken ct, string reason = ReasonCodes.PresenceRequired)
    {
        var page = new Uri(client.Server, $"/reviews/{card.Id}");
        var why = "it is confirmed in the browser";
        if (reason == ReasonCodes.StepUpRequired)
        {
            // Browsers take passkeys at an address with a name only, and the server knows its own.
            var mine = await client.GetAsync("/api/v1/me/passkeys", ApiJson.Default.PasskeyList, ct).ConfigureAwait(false);
            if (mine.Address is { } address) page = new Uri(new Uri(address), $"/reviews/{card.Id}");
            why = mine.Passkeys.Any(static p => p.Locked is null) ? "policy asks for your passkey" : $"policy asks for a passkey, and you have none: register one at {new Uri(page, "/me")}";
        }

        if (output.Json || answering.Yes || Console.IsInputRedirected)
        {
            throw new CommandFailure(Exit.Denied, $"{why}: open {page}", reason, card.Id);
        }

        var me = await client.GetAsync("/api/v1/me", ApiJson.Default.Me, ct).ConfigureAwait(false);
        if (reason == ReasonCodes.StepUpRequired) output.Console.MarkupLine($"[yellow]{Shown.Line(why)}[/]");
        output.Console.MarkupLine($"[grey]confirm it in your browser; it is the action with digest[/] {Shown.Line(card.Digest[..16])}…");
        output.Console.MarkupLine($"  {Shown.Line(page.AbsoluteUri)}");
        if (answering.Comment is not null || answering.Grant is not null) output.Console.MarkupLine("[yellow]comment and grant are given there: what this terminal was told is not taken over[/]");
        SystemBrowser.Open(page);
        while (true)
        {
            var now = await CardAsync(client, card.Id, ct).ConfigureAwait(false);
            if (now.Answers.FirstOrDefault(a => a.User == me.User) is { } mine)
            {
                output.Console.MarkupLine(mine.Decision switch
                {
                    "approve" => "[green]✓[/] approved in the browser",
                    "deny" => "[red]✗[/] denied in the browser",
                    _ => "[green]✓[/] the glass was broken in the browser",
                });
                return Exit.Done;
            }

            if (now.State == "expired") throw new CommandFailure(Exit.Expired, "it expired before you answered", ReasonCodes.ReviewExpired, card.Id);
            if (now.ClosedAt is not null) throw new CommandFailure(Exit.Denied, $"it is {now.State} already", ReasonCodes.ReviewClosed, card.Id);
            await Task.Delay(TimeSpan.FromSeconds(1), TimeProvider.System, ct).ConfigureAwait(false);
        }
    }

    /// <summary>The comment that policy asks for; what is left empty the server refuses.</summary>
    private static async Task<string?> WhyAsync(CancellationToken ct)
    {
        Console.Write("policy asks why (your comment goes on the record): ");
        var why = (await Console.In.ReadLineAsync(ct).ConfigureAwait(false))?.Trim();
        return string.IsNullOrEmpty(why) ? null : why;
    }

    private static async Task<bool> AskAsync(string decision, CancellationToken ct)
    {
        Console.Write($"{decision}? [y/N] ");
        var answer = await Console.In.ReadLineAsync(ct).ConfigureAwait(false);
        return answer?.Trim().ToLowerInvariant() is "y" or "yes";
    }

    /// <summary>
    /// What of the statement is not what this terminal has shown, or null: a person answers what he read, whatever came
    /// over the wire in between.
    /// </summary>
    private static string? Mismatch(StatementDraft draft, ReviewCard card, Answering answering)
    {
        if (ApprovalStatement.Sha256(draft.Statement) != draft.Sha256) return "its hash";
        try
        {
            using var document = JsonDocument.Parse(draft.Statement);
            var root = document.RootElement;
            if (root.GetProperty("review").GetString() != card.Id) return "the review";
            if (root.GetProperty("digest").GetString() != card.Digest) return "the digest";
            if (root.GetProperty("decision").GetString() != answering.Decision) return "the decision";
            if ((root.TryGetProperty("comment", out var comment) ? comment.GetString() : null) is var said && (said ?? "") != (answering.Comment ?? "")) return "the comment";
            if ((root.TryGetProperty("grant", out var granted) ? granted.GetRawText() : null) != answering.Grant?.ToWish().ToCanonical().ToString()) return "the grant";
            if (VisibleText.Of(root.GetProperty("statement").GetString()!) != card.Statement) return "the payload";
            var values = root.GetProperty("parameters").EnumerateArray().Select(static p => p.GetProperty("value")).Select(static v => v.ValueKind == JsonValueKind.Null ? null : VisibleText.Of(v.GetString()!));
            if (!values.SequenceEqual(card.Parameters.Select(static p => p.Value), StringComparer.Ordinal)) return "the values";
            return root.GetProperty("effects").GetArrayLength() != card.Effects.Count ? "the effects" : null;
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return "its form";
        }
    }

    private static Command Aftermath(Option<string?> server)
    {
        var id = Id();
        id.Arity = ArgumentArity.ZeroOrOne;
        var finding = new Option<string?>("--close") { Description = "say what you found; for somebody else than who broke the glass", HelpName = "FINDING" };
        var wrong = new Option<bool>("--unjustified") { Description = "with --close: it was wrong to break it" };
        var command = new ExampledCommand("aftermath", "Look at broken glass, and close what follows it.",
            "countersign review aftermath", "countersign review aftermath rv_4k2m9x7c1d3f5g8h --close \"the fix was needed, see INC-7\"") { id, finding, wrong };
        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), async client =>
        {
            var output = new Output(parsed.GetValue(CommandLine.Json));
            if (parsed.GetValue(finding) is { } found)
            {
                if (!ReviewId.TryParse(parsed.GetValue(id), out var review)) throw new CommandFailure(Exit.Usage, "name the review whose glass was broken: `rv_…`");
                var closed = await client.PostAsync($"/api/v1/aftermaths/{review}/close", new AftermathClose(!parsed.GetValue(wrong), found), ApiJson.Default.AftermathClose, ApiJson.Default.AftermathView, ct).ConfigureAwait(false);
                output.Value(closed, ApiJson.Default.AftermathView, static console => console.MarkupLine("closed"));
                return Exit.Done;
            }

            var list = await client.GetAsync("/api/v1/aftermaths", ApiJson.Default.AftermathList, ct).ConfigureAwait(false);
            output.Value(list, ApiJson.Default.AftermathList, console =>
            {
                if (list.Aftermaths.Count == 0) console.MarkupLine("[grey]no glass was broken[/]");
                foreach (var a in list.Aftermaths)
                {
                    console.MarkupLine($"{Shown.Line(a.Review)}  [red]broken by {Shown.Line(a.BrokenBy)}[/] [grey]for agent[/] {Shown.Line(a.Agent)}  [italic]“{Shown.Line(a.Comment)}”[/]");
                    console.MarkupLine(a.ClosedBy is { } by ? $"  [grey]closed by[/] {Shown.Line(by)}[grey]:[/] {(a.Justified == true ? "justified" : "[red]not justified[/]")}[grey],[/] “{Shown.Line(a.Finding ?? "")}”" : "  [yellow]open: somebody else has to look at it[/]");
                }
            });
            return Exit.Done;
        }));
        return command;
    }

    private static Argument<string> Id() => new("review") { Description = "its id, `rv_…`", HelpName = "review" };

    private static Task<ReviewCard> CardAsync(ApiClient client, string id, CancellationToken ct) => ReviewId.TryParse(id, out var review)
        ? client.GetAsync($"/api/v1/reviews/{review}", ApiJson.Default.ReviewCard, ct)
        : throw new CommandFailure(Exit.Usage, $"`{VisibleText.Of(id, multiline: false)}` is no review id: `countersign review list` shows them");
}
