using System.Text.Json;
using Countersign.Api;
using Countersign.Core;
using Countersign.Terminal;
using Spectre.Console;

namespace Countersign.Demo;

/// <summary>The story that the demo tells, act by act.</summary>
internal sealed class DemoScript(IAnsiConsole console, DemoStage stage, bool auto)
{
    private const string AgentName = "support-bot";
    private const string Reviewer = "mira";
    private const string FixedAddress = "ada@example.org";
    private const long Customer = 42;
    private const string Update = "UPDATE customers SET email = $1 WHERE id = $2";

    private readonly DemoChecks checks = new();
    private readonly TaskCompletionSource<string> held = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private string? connectionString;

    public DemoChecks Checks => checks;

    /// <summary>Plays all acts. The stage is set already.</summary>
    public async Task PlayAsync(CancellationToken ct)
    {
        stage.OnLoginCode = (user, code) => console.MarkupLine($"  [grey]login code for[/] {Shown.Line(user)}[grey]:[/] [bold]{Shown.Line(code)}[/] [grey](5 min)[/]");
        stage.OnNotice = text => console.MarkupLine($"  [grey]{Shown.Text(text)}[/]");

        // Alice runs the gateway. She adds the agent and answers for it, so she can not approve what it does.
        using var alice = await DemoHuman.SignInAsync(stage, "alice", ct).ConfigureAwait(false);
        var added = await alice.Client.PostAsync("/api/v1/agents", new AgentAdd(AgentName, "alice", null, ["agents"]), ApiJson.Default.AgentAdd, ApiJson.Default.AgentChanged, ct).ConfigureAwait(false);
        connectionString = added.Connections!.Single();
        Done($"a real PostgreSQL {stage.Postgres.Version}, with a small shop in it");
        Done($"a gateway before it, at [bold]{stage.Gateway.Postgres}[/]; its policies are in");
        Command($"  {stage.PolicyFolder}");
        Done($"an agent, [bold]{AgentName}[/], that knows the gateway and not the database's password");

        var agent = await PlayedAgent.ConnectAsync(new Uri(connectionString), text => held.TrySetResult(text), ct).ConfigureAwait(false);
        await using (agent.ConfigureAwait(false))
        {
            await ReadAsync(agent, ct).ConfigureAwait(false);
            await OverstepAsync(agent, ct).ConfigureAwait(false);
            await ChangeAsync(agent, alice, added.Key!, ct).ConfigureAwait(false);
        }
    }

    private async Task ReadAsync(PlayedAgent agent, CancellationToken ct)
    {
        Act("it reads, and nobody is bothered");
        await SayAsync(agent, "SELECT id, customer_id, item, status FROM orders ORDER BY id", [], ct).ConfigureAwait(false);
        var customer = await SayAsync(agent, "SELECT name, email FROM customers WHERE id = $1", [Customer], ct).ConfigureAwait(false);
        checks.That("reads run without a human", customer is Answered.Rows { Values.Count: 1 });
    }

    private async Task OverstepAsync(PlayedAgent agent, CancellationToken ct)
    {
        Act("it oversteps, and is told why");
        var dropped = await SayAsync(agent, "DROP TABLE payments", [], ct).ConfigureAwait(false);
        checks.That("a DROP is refused by policy", dropped is Answered.Refused { SqlState: "42501", Detail: { } detail } && detail.Contains(ReasonCodes.PolicyDenied, StringComparison.Ordinal));
        checks.That("the table is still there", await CountAsync("SELECT count(*) FROM payments", ct).ConfigureAwait(false) == 3);
    }

    private async Task ChangeAsync(PlayedAgent agent, DemoHuman alice, string agentKey, CancellationToken ct)
    {
        Act("it wants to change a customer, and a human decides");
        await agent.ExplainItselfAsync("order 1002 bounced, the address has a typo", "OPS-112", ct).ConfigureAwait(false);
        Statement(Update, [FixedAddress, Customer]);
        using var given = CancellationTokenSource.CreateLinkedTokenSource(ct);
        var running = agent.RunAsync(Update, [FixedAddress, Customer], given.Token);
        try
        {
            await HeldAsync(running, alice, agentKey, ct).ConfigureAwait(false);
        }
        catch
        {
            await given.CancelAsync().ConfigureAwait(false);
            throw;
        }
        finally
        {
            // A driver's connection must not be closed under a statement that still runs on it.
            await ((Task)running).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        await agent.DisposeAsync().ConfigureAwait(false);
        await ProveAsync(alice, checks.Review!, await running.ConfigureAwait(false), ct).ConfigureAwait(false);
    }

    private async Task HeldAsync(Task<Answered> running, DemoHuman alice, string agentKey, CancellationToken ct)
    {
        if (await Task.WhenAny(held.Task, running).ConfigureAwait(false) == running)
        {
            Answer(await running.ConfigureAwait(false));
            throw new DemoFailure("the statement was not held");
        }

        console.MarkupLine($"    [grey]NOTICE[/]  {Shown.Line(await held.Task.ConfigureAwait(false))}");
        console.WriteLine();
        var open = await alice.Client.GetAsync("/api/v1/reviews?state=open", ApiJson.Default.ReviewList, ct).ConfigureAwait(false);
        var card = await alice.CardAsync(open.Reviews.Single(static r => r.Agent == AgentName).Id, ct).ConfigureAwait(false);
        checks.Review = card.Id;
        Indented(CardView.Panel(card, TimeProvider.System.GetUtcNow()));
        checks.That("nothing ran while it was held", await UnchangedAsync(ct).ConfigureAwait(false));
        console.MarkupLine("  The agent's connection is held open. [bold]Nothing has run yet.[/]");

        if (auto) await DecideAsync(card, agentKey, ct).ConfigureAwait(false);
        else await InviteAsync(card, ct).ConfigureAwait(false);

        var answered = await WaitAsync(running, card, ct).ConfigureAwait(false);
        Statement(Update, [FixedAddress, Customer]);
        Answer(answered);
    }

    /// <summary>Plays the human too, by the same API that the command line speaks.</summary>
    private async Task DecideAsync(ReviewCard card, string agentKey, CancellationToken ct)
    {
        using (var pretender = new DemoHuman(new Client.ApiClient(stage.Gateway.Http, agentKey)))
        {
            try
            {
                await pretender.ApproveAsync(card, "looks fine to me", ct).ConfigureAwait(false);
                checks.That("the agent can not approve itself", false);
            }
            catch (Client.ApiRefused e)
            {
                checks.That("the agent can not approve itself", e.Problem.Reason == ReasonCodes.NotHuman);
            }
        }

        using var mira = await DemoHuman.SignInAsync(stage, Reviewer, ct).ConfigureAwait(false);
        var done = await mira.ApproveAsync(card, "checked with the customer", ct).ConfigureAwait(false);
        console.WriteLine();
        console.MarkupLine($"  [green]✓[/] [bold]{Reviewer}[/] signs in and approves: [grey]{Shown.Line(done.Message)}[/]");
    }

    private async Task InviteAsync(ReviewCard card, CancellationToken ct)
    {
        var code = await DemoHuman.CodeAsync(stage, Reviewer, ct).ConfigureAwait(false);
        var launcher = Launcher.Name;
        console.MarkupLine($"  You are [bold]{Reviewer}[/], a support lead. In a second terminal:");
        console.WriteLine();
        Command($"{launcher} login --server {Client.Connection.Key(stage.Gateway.Http)} --user {Reviewer} --code {code}");
        Command($"{launcher} review approve {card.Id}");
        console.MarkupLine("    [grey]or[/]");
        Command($"{launcher} review deny {card.Id} --comment \"ask the customer first\"");
        console.WriteLine();
    }

    private async Task<Answered> WaitAsync(Task<Answered> running, ReviewCard card, CancellationToken ct)
    {
        if (!auto)
        {
            await console.Status().Spinner(Spinner.Known.Dots).SpinnerStyle(new Style(Color.Grey)).StartAsync("waiting", async status =>
            {
                using var second = new PeriodicTimer(TimeSpan.FromSeconds(1));
                while (!running.IsCompleted)
                {
                    status.Status($"[grey]waiting for a human, until {Shown.Clock(card.ExpiresAt)} ({Shown.Until(card.ExpiresAt, TimeProvider.System.GetUtcNow())})[/]");
                    await Task.WhenAny(running, second.WaitForNextTickAsync(ct).AsTask()).ConfigureAwait(false);
                    ct.ThrowIfCancellationRequested();
                }
            }).ConfigureAwait(false);
        }

        return await running.WaitAsync(ct).ConfigureAwait(false);
    }

    /// <summary>What really happened: on the database, past the gateway, and in the journal.</summary>
    private async Task ProveAsync(DemoHuman alice, string id, Answered answered, CancellationToken ct)
    {
        Act("what is left of it");
        console.WriteLine();
        var card = await alice.CardAsync(id, ct).ConfigureAwait(false);
        var page = await alice.Client.GetAsync($"/api/v1/journal/entries?max={JournalEndpoints.MaxPage}", ApiJson.Default.JournalPage, ct).ConfigureAwait(false);
        console.MarkupLine("  [grey]journal[/]");
        foreach (var line in page.Entries.Where(static l => Of(l, "agent") is not null || Of(l, "review") is not null)) console.MarkupLine($"  {JournalView.Line(line, console.Profile.Width - 2)}");
        console.WriteLine();
        var why = await alice.Client.PostAsync("/api/v1/policy/explain",
            new ExplainRequest(AgentName, "shop", "sql:update", "public.customers", null, null, null, null, null), ApiJson.Default.ExplainRequest, ApiJson.Default.ExplainView, ct).ConfigureAwait(false);
        console.MarkupLine("  [grey]why it was stopped: ● decided, ○ did not[/]");
        foreach (var policy in why.Effects.SelectMany(static e => e.Policies)) console.MarkupLine($"  [yellow]●[/] {Shown.Line(policy.Id)} [grey]{Shown.Line(policy.Source ?? "")}[/]");
        foreach (var miss in why.Effects.SelectMany(static e => e.Others).Where(static o => !o.Source.StartsWith("countersign:", StringComparison.Ordinal)))
        {
            console.MarkupLine($"  [grey]○ {Shown.Line(miss.Id)} {Shown.Line(miss.Source)}: {Shown.Line(ExplanationView.Unmet(miss.Unmet))}[/]");
        }

        console.WriteLine();

        var changed = answered is Answered.Changed { Count: 1 };
        if (changed)
        {
            checks.That("the approved statement changed one row", true);
            checks.That("the real database has the new address", await EmailAsync(ct).ConfigureAwait(false) == FixedAddress);
            checks.That("the real database was told once", await UpdatesAsync(ct).ConfigureAwait(false) == (1, 1));
        }
        else
        {
            checks.That("nothing was changed", await UnchangedAsync(ct).ConfigureAwait(false));
        }

        // What the planner expected is told in between, whenever the database has answered.
        var mine = page.Entries.Where(l => Of(l, "review") == id).Select(static l => Of(l, "type")!).Where(static t => t != "review-estimated").ToArray();
        checks.That(changed ? "the journal holds opened, answer, released and outcome, once each and in this order" : "the journal holds how it ended",
            changed ? mine.SequenceEqual(["review-opened", "answer", "review-approved", "released", "outcome"], StringComparer.Ordinal) : mine is ["review-opened", ..]);
        var verdict = await alice.Client.GetAsync("/api/v1/journal/verify", ApiJson.Default.JournalVerdict, ct).ConfigureAwait(false);
        checks.That($"the journal proves itself: {verdict.Entries} entries, {verdict.Bodies} bodies", verdict.Sound);
        foreach (var (what, holds) in checks.All.Where(c => auto || !c.Holds || c.What.StartsWith("the ", StringComparison.Ordinal) || c.What.StartsWith("nothing was", StringComparison.Ordinal)))
        {
            console.MarkupLine(holds ? $"  [green]✓[/] {Shown.Line(what)}" : $"  [red]✗[/] {Shown.Line(what)}");
        }
    }

    /// <summary>What a person may do while the stage stands.</summary>
    public void TryNext()
    {
        Act("try it yourself");
        console.WriteLine();
        var launcher = Launcher.Name;
        console.MarkupLine("  [grey]be the agent, with any PostgreSQL client:[/]");
        Command($"psql \"{connectionString}\"");
        console.WriteLine();
        var tries = new Table().Border(TableBorder.None).HideHeaders().AddColumns("", "");
        tries.AddRow("UPDATE customers SET name = 'Grace B. Hopper' WHERE id = 41;", "[grey]waits for mira or tom[/]");
        tries.AddRow("DELETE FROM customers WHERE id = 44;", "[grey]waits for tom, a DBA, and his reason[/]");
        tries.AddRow("SELECT * FROM customers;", "[grey]all at once is an export, and waits[/]");
        tries.AddRow("SELECT iban FROM payments;", "[grey]nobody can approve that[/]");
        console.Write(new Padder(tries, new Padding(6, 0, 0, 0)));
        console.WriteLine();
        console.MarkupLine("  [grey]be a human: mira, tom, or alice who runs it (the code appears here):[/]");
        Command($"{launcher} login --server {Client.Connection.Key(stage.Gateway.Http)} --user tom");
        Command($"{launcher} review watch");
        Command($"{launcher} journal tail --follow");
        console.WriteLine();
        console.MarkupLine("  [grey]change a policy and watch it come into force:[/]");
        Command($"${{EDITOR:-vi}} {Path.Combine(stage.PolicyFolder, "people.cedar")}");
        console.WriteLine();
        console.MarkupLine("  [grey]Ctrl-C ends the demo and takes everything away.[/]");
    }

    // ---- past the gateway: what is really there ----

    private async Task<string?> EmailAsync(CancellationToken ct)
    {
        await using var connection = await stage.Postgres.OpenAsync("shop", ct).ConfigureAwait(false);
        await using var command = new Npgsql.NpgsqlCommand("SELECT email FROM customers WHERE id = $1", connection) { Parameters = { new() { Value = Customer } } };
        return (string?)await command.ExecuteScalarAsync(ct).ConfigureAwait(false);
    }

    private async Task<bool> UnchangedAsync(CancellationToken ct) => await EmailAsync(ct).ConfigureAwait(false) != FixedAddress && await UpdatesAsync(ct).ConfigureAwait(false) is (_, 0);

    private async Task<long> CountAsync(string sql, CancellationToken ct)
    {
        await using var connection = await stage.Postgres.OpenAsync("shop", ct).ConfigureAwait(false);
        await using var command = new Npgsql.NpgsqlCommand(sql, connection);
        return (long)(await command.ExecuteScalarAsync(ct).ConfigureAwait(false))!;
    }

    /// <summary>
    /// How many rows of customers were ever updated, by the server's own count, and how many UPDATEs its log has seen. The
    /// count follows the end of a session by a moment.
    /// </summary>
    private async Task<(long Rows, int Statements)> UpdatesAsync(CancellationToken ct)
    {
        var rows = 0L;
        using var patience = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        var statements = (await File.ReadAllLinesAsync(stage.Postgres.LogFile, ct).ConfigureAwait(false)).Count(static l => l.Contains("UPDATE customers", StringComparison.Ordinal));
        for (var tries = 0; tries < 50; tries++)
        {
            rows = await CountAsync("SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'customers'", ct).ConfigureAwait(false);
            if (rows >= statements) break;
            await patience.WaitForNextTickAsync(ct).ConfigureAwait(false);
        }

        return (rows, statements);
    }

    // ---- how it looks ----

    private async Task<Answered> SayAsync(PlayedAgent agent, string sql, object[] values, CancellationToken ct)
    {
        Statement(sql, values);
        var answered = await agent.RunAsync(sql, values, ct).ConfigureAwait(false);
        Answer(answered);
        return answered;
    }

    private void Done(string markup) => console.MarkupLine($"  [green]✓[/] {markup}");

    private void Act(string title)
    {
        console.WriteLine();
        console.Write(new Rule($"[bold]{Markup.Escape(title)}[/]") { Justification = Justify.Left, Style = new Style(Color.Grey) });
    }

    private void Statement(string sql, object[] values)
    {
        var bound = values.Length == 0 ? "" : $"  [grey]{string.Join("  ", values.Select(static (v, i) => $"${i + 1} = [/][aqua]{Shown.Line(v is string ? $"'{v}'" : $"{v}")}[/][grey]"))}[/]";
        console.WriteLine();
        console.MarkupLine($"  [grey]{AgentName} ›[/] {Shown.Line(sql)}{bound}");
    }

    private void Answer(Answered answered)
    {
        switch (answered)
        {
            case Answered.Rows rows:
                var table = new Table().Border(TableBorder.None).HideRowSeparators();
                foreach (var column in rows.Columns) table.AddColumn(new TableColumn($"[grey]{Shown.Line(column)}[/]"));
                foreach (var row in rows.Values) table.AddRow(row.Select(Shown.Line).ToArray());
                Indented(table);
                break;
            case Answered.Changed changed:
                Indented(new Markup($"[green]✓[/] {changed.Count} {(changed.Count == 1 ? "row" : "rows")} changed"));
                break;
            case Answered.Refused refused:
                var error = new Grid().AddColumn(new GridColumn().NoWrap().PadLeft(0).PadRight(2)).AddColumn(new GridColumn().PadLeft(0).PadRight(0));
                error.AddRow(new Markup("[red]✗[/] [grey]ERROR[/]"), new Markup($"{Shown.Line(refused.Message)} [grey]({Shown.Line(refused.SqlState)})[/]"));
                if (refused.Detail is { } detail) error.AddRow(new Markup("  [grey]DETAIL[/]"), new Markup($"[grey]{Shown.Line(detail)}[/]"));
                if (refused.Hint is { } hint) error.AddRow(new Markup("  [grey]HINT[/]"), new Markup($"[grey]{Shown.Line(hint)}[/]"));
                Indented(error);
                break;
        }
    }

    private void Indented(Spectre.Console.Rendering.IRenderable what) => console.Write(new Padder(what, new Padding(4, 0, 0, 0)));

    /// <summary>On one line however narrow the terminal is: it is copied.</summary>
    private void Command(string command) => console.Profile.Out.Writer.WriteLine($"    {command}");

    private static string? Of(JournalLine line, string name) =>
        line.Entry is { } entry && entry.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}

/// <summary>What the demo found to hold, on the real database and in the journal.</summary>
internal sealed class DemoChecks
{
    private readonly List<(string What, bool Holds)> all = [];

    public IReadOnlyList<(string What, bool Holds)> All => all;
    public bool Hold => all.Count > 0 && all.All(static c => c.Holds);
    public string? Review { get; set; }

    public void That(string what, bool holds) => all.Add((what, holds));
}

/// <summary>How this program was called, for commands that a person copies.</summary>
internal static class Launcher
{
    public static string Name { get; } = Environment.GetEnvironmentVariable("COUNTERSIGN_ROOT") switch
    {
        { Length: > 0 } root when Path.GetFullPath(root) == Directory.GetCurrentDirectory() => "./countersign",
        { Length: > 0 } root => Path.Combine(root, "countersign"),
        _ when Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" => $"dotnet {Path.Combine(AppContext.BaseDirectory, "countersign.dll")}",
        _ => Environment.ProcessPath ?? "countersign",
    };
}
