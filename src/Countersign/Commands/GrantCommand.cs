using System.CommandLine;
using System.Globalization;
using Countersign.Api;
using Countersign.Client;
using Countersign.Config;
using Countersign.Core;
using Countersign.Terminal;
using Spectre.Console;

namespace Countersign.Commands;

internal static class GrantCommand
{
    public static Command Create()
    {
        var server = Connection.ServerOption();
        server.Recursive = true;
        return new ExampledCommand("grant", "Look at what is granted beyond one action, and take it back.",
            "countersign grant list", "countersign grant revoke gr_4k2m9x7c1d3f5g8h") { server, List(server), Revoke(server) };
    }

    private static Command List(Option<string?> server)
    {
        var closed = new Option<bool>("--closed") { Description = "those that are over, newest first" };
        var command = new ExampledCommand("list", "List grants.", "countersign grant list", "countersign grant list --closed --json") { closed };
        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), async client =>
        {
            var list = await client.GetAsync($"/api/v1/grants?state={(parsed.GetValue(closed) ? "closed" : "open")}", ApiJson.Default.GrantList, ct).ConfigureAwait(false);
            new Output(parsed.GetValue(CommandLine.Json)).Value(list, ApiJson.Default.GrantList, console => Table(console, list));
            return Exit.Done;
        }));
        return command;
    }

    private static void Table(IAnsiConsole console, GrantList list)
    {
        if (list.Grants.Count == 0)
        {
            console.MarkupLine("[grey]nothing is granted[/]");
            return;
        }

        var now = TimeProvider.System.GetUtcNow();
        foreach (var g in list.Grants)
        {
            console.MarkupLine($"{Shown.Line(g.Id)}  {Shown.Line(g.Agent)} [grey]on[/] {Shown.Line(g.Target)}  [bold]{Shown.Line(CardView.OneLine(g.Statement, 80))}[/]");
            console.MarkupLine($"  [grey]{(g.Free.Count == 0 ? "no value may differ" : Shown.Line(string.Join(", ", g.Free)))}; used {g.Uses} of {g.MaxUses}; by {Shown.Line(string.Join(", ", g.Approvers))};[/] {(g.CloseReason is { } why ? Shown.Line(why) : $"until {Shown.Clock(g.ExpiresAt)} ({Shown.Until(g.ExpiresAt, now)})")}");
        }
    }

    private static Command Revoke(Option<string?> server)
    {
        var id = new Argument<string>("grant") { Description = "its id, `gr_…`", HelpName = "grant" };
        var command = new ExampledCommand("revoke", "Take a grant back: the next use is asked about again.", "countersign grant revoke gr_4k2m9x7c1d3f5g8h") { id };
        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), async client =>
        {
            var revoked = await client.DeleteAsync($"/api/v1/grants/{Uri.EscapeDataString(parsed.GetRequiredValue(id))}", ApiJson.Default.GrantView, ct).ConfigureAwait(false);
            new Output(parsed.GetValue(CommandLine.Json)).Value(revoked, ApiJson.Default.GrantView, console => console.MarkupLine($"{Shown.Line(revoked.Id)} is revoked; it was used {revoked.Uses} times"));
            return Exit.Done;
        }));
        return command;
    }

    /// <summary>`30m`, 5, `$2=1..100`.</summary>
    public static GrantRequest Request(string time, int uses, IReadOnlyList<string> free) => Durations.TryParse(time, out var span)
        ? new GrantRequest((int)span.TotalSeconds, uses, free.Select(Free).OrderBy(static f => f.Parameter).ToArray())
        : throw new CommandFailure(Exit.Usage, $"`{VisibleText.Of(time, multiline: false)}` is not a time; write `30m`");

    private static FreeRequest Free(string text)
    {
        var equals = text.IndexOf('=', StringComparison.Ordinal);
        if (equals > 1 && text[0] == '$' && int.TryParse(text.AsSpan(1, equals - 1), NumberStyles.None, CultureInfo.InvariantCulture, out var position))
        {
            var bound = text[(equals + 1)..];
            if (bound.StartsWith("text:", StringComparison.Ordinal) && int.TryParse(bound.AsSpan(5), NumberStyles.None, CultureInfo.InvariantCulture, out var length)) return new FreeRequest(position, null, null, null, length);
            var dots = bound.IndexOf("..", StringComparison.Ordinal);
            if (dots > 0 && Number(bound[..dots], out var min) && Number(bound[(dots + 2)..], out var max)) return new FreeRequest(position, min, max, null, null);
            if (dots < 0 && bound.Length > 0) return new FreeRequest(position, null, null, bound.Split('|'), null);
        }

        throw new CommandFailure(Exit.Usage, $"`{VisibleText.Of(text, multiline: false)}` is no bound; write `$1=1..100`, `$1=a|b`, or `$1=text:40`");
    }

    private static bool Number(string text, out decimal value) => decimal.TryParse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out value);
}
