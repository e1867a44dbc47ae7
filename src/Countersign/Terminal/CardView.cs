using Countersign.Api;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Countersign.Terminal;

/// <summary>A review as a calm panel: what will happen, to what, who asks, why it was stopped, who may say yes, until when.</summary>
internal static class CardView
{
    /// <summary>Texts longer than this are written out before the panel, line by line: laying out a long text in columns takes seconds.</summary>
    private const int LongText = 8 << 10;

    /// <summary>Writes the card; whatever is long stands whole above the panel (I10: nothing is cut).</summary>
    public static void Write(IAnsiConsole console, ReviewCard card, DateTimeOffset now)
    {
        if (card.Statement.Length > LongText) Whole("will run", card.Statement);
        foreach (var note in card.Notes.Where(static n => n.Length > LongText)) Whole("note", note);
        foreach (var parameter in card.Parameters.Where(static p => p.Value?.Length > LongText)) Whole($"${parameter.Position}", ValuesInPlace.Literal(parameter));
        console.Write(Panel(card, now));

        void Whole(string name, string text)
        {
            console.MarkupLine($"[grey]── {name}: {text.Length} characters ──[/]");

            // Behind a rule on each line, so that no line of the payload can pass for one of ours (P34).
            foreach (var line in Shown.Safe(text, multiline: true).Split('\n')) console.Profile.Out.Writer.WriteLine($"│ {line}");
        }
    }

    /// <summary>The panel alone, for a card that is known to be short.</summary>
    public static IRenderable Panel(ReviewCard card, DateTimeOffset now)
    {
        var rows = new Grid().AddColumn(new GridColumn().NoWrap().PadLeft(0).PadRight(2)).AddColumn(new GridColumn().PadLeft(0).PadRight(0));
        var large = card.Statement.Length > LongText || card.Parameters.Any(static p => p.Value?.Length > LongText);
        var statement = card.Statement.Length > LongText ? $"[bold]as written above[/][grey], {card.Statement.Length} characters[/]" : large ? null : ValuesInPlace.Markup(card.Statement, card.Parameters, static s => $"[bold]{Shown.Text(s)}[/]", static v => $"[bold aqua]{Shown.Line(v)}[/]");
        Row(rows, "will run", statement ?? $"[bold]{Shown.Text(card.Statement)}[/]");
        if (card.Parameters.Count > 0)
        {
            Row(rows, "values", string.Join('\n', card.Parameters.Select(static p =>
                $"[grey]${p.Position}[/] {(p.Value?.Length > LongText ? $"as written above[grey], {p.Value.Length} characters[/]" : $"[aqua]{Shown.Line(ValuesInPlace.Literal(p))}[/]")} [grey]{Shown.Line(p.Type)}[/]")));
        }

        if (card.Edit is { } edit)
        {
            Row(rows, "edited by", $"{Shown.Line(edit.By)} [grey]of review {Shown.Line(edit.From)}[/]{(edit.Comment is { } why ? $"\n[italic]“{Shown.Text(why)}”[/]" : "")}");
            Row(rows, "it was", $"[strikethrough]{Shown.Text(edit.Statement)}[/]");
            foreach (var (was, _) in edit.Parameters.Zip(card.Parameters).Where(static v => v.First.Value != v.Second.Value)) Row(rows, "", $"[grey]${was.Position} was[/] {Shown.Line(ValuesInPlace.Literal(was))}");
        }

        if (card.EditedInto is { } into) Row(rows, "became", $"review {Shown.Line(into)}");
        Gap(rows);
        Row(rows, "touches", string.Join('\n', card.Effects.Select(Effect)));
        if (card.Estimate is { } estimate) Row(rows, "how much", estimate.Known ? $"{Shown.Line(estimate.Says)} [grey](the planner's estimate)[/]" : $"[grey]{Shown.Line(estimate.Says)}[/]");
        Row(rows, "on", $"{Shown.Line(card.Target)} [grey]({Shown.Line(card.TargetKind)},[/] {Shown.Line(card.Environment)}[grey])[/]");
        Row(rows, "asked by", $"agent [bold]{Shown.Line(card.Agent)}[/][grey], owned by[/] {Shown.Line(card.Owner)}{(card.For is { } user ? $"[grey], for[/] {Shown.Line(user)}" : "")}{(card.Via is { Count: > 0 } via ? $"[grey], through agents of[/] {Shown.Line(string.Join(", ", via))}" : "")}");
        if (Claims(card.Claims) is { } claims) Row(rows, "it says", $"{claims} [grey](the agent's own words, unchecked)[/]");
        Gap(rows);
        Row(rows, "stopped by", string.Join('\n', card.Policies.Select(static p =>
            $"{Shown.Line(p.Id)}{(p.Controls.Count > 0 ? $" [grey]{Shown.Line(string.Join(", ", p.Controls))}[/]" : "")}{(p.Reason is { } reason ? $"\n[grey]{Shown.Line(reason)}[/]" : "")}")));
        Row(rows, "needs", $"{Shown.Line(card.Needs)}{(card.Requirements.Any(static r => r.Justify) ? " [yellow]with a comment[/]" : "")}{(card.Approvers.Count > 0 ? $" [grey]→[/] {Shown.Line(string.Join(", ", card.Approvers))}" : "")}");
        if (card.Requirements.Count > 1 || card.Requirements.Any(static r => r.Stage > 1))
        {
            foreach (var requirement in card.Requirements) Row(rows, "", $"{(requirement.State == "met" ? "[green]✓[/]" : requirement.State == "asked" ? "[yellow]…[/]" : "[grey]·[/]")} {Shown.Line(requirement.Words)}");
        }

        foreach (var pattern in card.Requirements.SelectMany(static r => r.CommentMatches).Distinct(StringComparer.Ordinal)) Row(rows, "", $"[yellow]the comment must hold a match of[/] /{Shown.Line(pattern)}/");
        foreach (var escalation in card.Requirements.SelectMany(static r => r.Escalations)) Row(rows, "", $"[grey]from {Shown.Clock(escalation.At)} also {Shown.Line(string.Join(" or ", escalation.Groups))}[/]");
        if (card.MayGrant is { } terms) Row(rows, "", $"[grey]the like may be granted for up to[/] {Shown.Span(TimeSpan.FromSeconds(terms.ForSeconds))}[grey],[/] {terms.Uses} [grey]times[/]");
        if (card.Grant is { } of) Row(rows, "granted", $"a use of {Shown.Line(of)}: nobody was asked again");
        foreach (var note in card.Notes) Row(rows, "note", note.Length > LongText ? $"[yellow]as written above[/][grey], {note.Length} characters[/]" : $"[yellow]{Shown.Line(note)}[/]");
        if (card.GlassBroken) Row(rows, "", "[white on red] GLASS BROKEN [/] [red]released without those whom it waited for[/]");
        foreach (var answer in card.Answers) Row(rows, answer.Decision switch { "approve" => "approved", "deny" => "denied", _ => "broken by" }, Answer(answer));
        Row(rows, card.ClosedAt is null ? "until" : "closed", Ending(card, now));
        if (Outcome(card.Outcome) is { } outcome) Row(rows, "outcome", outcome);

        return new Panel(new Padder(rows, new Padding(1, 1, 1, 1)))
        {
            Header = new PanelHeader($" {Shown.Line(card.Id)} [grey]·[/] {State(card)} "),
            Border = BoxBorder.Rounded,
            BorderStyle = new Style(Color.Grey),
            Expand = false,
        };
    }

    /// <summary>One line per change, for `watch`.</summary>
    public static string Summary(ReviewCard card, DateTimeOffset now) =>
        $"[grey]{Shown.Clock(now)}[/]  {Shown.Line(card.Id)}  {State(card)}  [grey]{Shown.Line(card.Agent)}[/]  {Shown.Line(OneLine(card.Statement, 80))}";

    public static string State(ReviewCard card) => StateOf(card.State, card.Waiters, card.Outcome?.Status);

    /// <summary>One word, for lists.</summary>
    public static string ShortState(string state) => state switch
    {
        "pending" => "[yellow]waiting[/]",
        var other => StateOf(other, 1, null),
    };

    public static string StateOf(string state, int waiters, string? outcome) => state switch
    {
        "pending" when waiters == 0 => "[yellow]waiting for approval[/] [grey](the agent has left)[/]",
        "pending" => "[yellow]waiting for approval[/]",
        "approved" when waiters == 0 => "[green]approved[/] [grey](runs when the agent asks again)[/]",
        "approved" => "[green]approved[/]",
        "released" => outcome switch
        {
            "done" => "[green]ran once[/]",
            "failed" => "[red]ran once and failed[/]",
            "unknown" => "[yellow]released, outcome unknown[/]",
            _ => "[green]released[/]",
        },
        "denied" => "[red]denied[/]",
        "expired" => "[red]expired[/]",
        var other => $"[grey]{Shown.Line(other)}[/]",
    };

    /// <summary>Cut for lists only; the card always shows it whole.</summary>
    public static string OneLine(string statement, int length)
    {
        var line = string.Join(' ', statement.Split(['\n', '\t', ' '], StringSplitOptions.RemoveEmptyEntries));
        return line.Length <= length ? line : $"{line[..(length - 1)]}…";
    }

    private static string Effect(CardEffect effect)
    {
        var verb = effect.Verb switch
        {
            "read" => "[green]read[/]",
            "destroy" or "administer" => $"[red]{Shown.Line(effect.Verb)}[/]",
            var other => $"[yellow]{Shown.Line(other)}[/]",
        };
        var classes = effect.DataClasses.Count > 0 ? $"  [black on yellow] {Shown.Line(string.Join(" ", effect.DataClasses))} [/]" : "";
        var facts = effect.Facts.Length > 0 ? $"\n[grey]{Shown.Line(effect.Facts)}[/]" : "";
        return $"{verb} {Shown.Line(effect.ResourceType.ToLowerInvariant())} [bold]{Shown.Line(effect.Resource)}[/]{classes}{facts}";
    }

    private static string? Claims(CardClaims claims)
    {
        (string Name, string? Text)[] all = [("", claims.Reason), ("ticket ", claims.Ticket), ("task ", claims.Task), ("model ", claims.Model)];
        var said = all.Where(static c => !string.IsNullOrEmpty(c.Text)).Select(static c => c.Name.Length == 0 ? $"[italic]“{Shown.Line(c.Text!)}”[/]" : $"[grey]{c.Name}[/]{Shown.Line(c.Text!)}").ToArray();
        return said.Length == 0 ? null : string.Join("[grey],[/] ", said);
    }

    private static string Answer(CardAnswer answer) =>
        $"{Shown.Line(answer.User)} [grey]at {Shown.Clock(answer.At)} by {Shown.Line(answer.Channel)}[/]{(answer.Grant is { } grant ? $"\n[yellow]and grants the like[/] {Shown.Line(grant)}" : "")}{(answer.Comment is { } comment ? $"\n[italic]“{Shown.Text(comment)}”[/]" : "")}";

    private static string Ending(ReviewCard card, DateTimeOffset now) => card.ClosedAt is { } closed
        ? $"{Shown.Clock(closed)} [grey]{Shown.Line(card.CloseReason ?? "")}{(card.ClosedBy is { } by ? $" by {Shown.Line(by)}" : "")}[/]"
        : $"{Shown.Clock(card.ExpiresAt)} [grey]({Shown.Until(card.ExpiresAt, now)}; undecided is a no)[/]";

    private static string? Outcome(CardOutcome? outcome) => outcome switch
    {
        null => null,
        { Status: "done", Rows: { } rows } => $"[green]done[/], {rows} {(rows == 1 ? "row" : "rows")}",
        { Status: "done" } => "[green]done[/]",
        { Status: "failed", Error: { } error } => $"[red]failed[/] with {Shown.Line(error)}",
        { Status: "unknown" } => "[yellow]unknown[/]: it was sent and its answer was lost; it is never sent again",
        var other => Shown.Line(other.Status),
    };

    private static void Row(Grid rows, string name, string markup) => rows.AddRow(new Markup($"[grey]{name}[/]"), new Markup(markup));

    private static void Gap(Grid rows) => rows.AddRow(new Text(""), new Text(""));
}
