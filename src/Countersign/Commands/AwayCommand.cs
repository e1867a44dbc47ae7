using System.CommandLine;
using System.Globalization;
using Countersign.Api;
using Countersign.Client;
using Countersign.Core;
using Countersign.Terminal;
using Spectre.Console;

namespace Countersign.Commands;

internal static class AwayCommand
{
    public static Command Create()
    {
        var server = Connection.ServerOption();
        server.Recursive = true;
        return new ExampledCommand("away", "Name who speaks for you while you are away.",
            "countersign away set --delegate bob --until 2026-12-27T09:00:00+01:00",
            "countersign away list",
            "countersign away end") { server, Set(server), List(server), End(server) };
    }

    private static Command Set(Option<string?> server)
    {
        var to = new Option<string>("--delegate") { Description = "who speaks for you; never about what is done in your name or his", HelpName = "USER", Required = true };
        var from = new Option<string?>("--from") { Description = "when it begins; default: now", HelpName = "TIME" };
        var until = new Option<string>("--until") { Description = "when it ends, with its offset", HelpName = "TIME", Required = true };
        var user = Whom();
        var command = new ExampledCommand("set", "Name a delegate, in place of an earlier one.", "countersign away set --delegate bob --from 2026-12-24T09:00:00+01:00 --until 2026-12-27T09:00:00+01:00") { to, from, until, user };
        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), async client =>
        {
            var body = new AwaySet(parsed.GetRequiredValue(to), parsed.GetValue(from) is { } text ? Time(text) : null, Time(parsed.GetRequiredValue(until)));
            var set = await client.PutAsync(await PathAsync(client, parsed.GetValue(user), ct).ConfigureAwait(false), body, ApiJson.Default.AwaySet, ApiJson.Default.AwayView, ct).ConfigureAwait(false);
            new Output(parsed.GetValue(CommandLine.Json)).Value(set, ApiJson.Default.AwayView, console => console.MarkupLine(Line(set)));
            return Exit.Done;
        }));
        return command;
    }

    private static Command List(Option<string?> server)
    {
        var command = new ExampledCommand("list", "List delegates: those that you gave or hold.", "countersign away list");
        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), async client =>
        {
            var list = await client.GetAsync("/api/v1/away", ApiJson.Default.AwayList, ct).ConfigureAwait(false);
            new Output(parsed.GetValue(CommandLine.Json)).Value(list, ApiJson.Default.AwayList, console =>
            {
                if (list.Away.Count == 0) console.MarkupLine("[grey]nobody speaks for anybody[/]");
                foreach (var away in list.Away) console.MarkupLine(Line(away));
            });
            return Exit.Done;
        }));
        return command;
    }

    private static Command End(Option<string?> server)
    {
        var user = Whom();
        var command = new ExampledCommand("end", "You are back.", "countersign away end") { user };
        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), async client =>
        {
            var ended = await client.DeleteAsync(await PathAsync(client, parsed.GetValue(user), ct).ConfigureAwait(false), ApiJson.Default.AwayView, ct).ConfigureAwait(false);
            new Output(parsed.GetValue(CommandLine.Json)).Value(ended, ApiJson.Default.AwayView, console => console.MarkupLine($"{Shown.Line(ended.Delegate)} speaks for {Shown.Line(ended.User)} no more"));
            return Exit.Done;
        }));
        return command;
    }

    private static Option<string?> Whom() => new("--user") { Description = "for somebody else (for who administers)", HelpName = "USER" };

    private static async Task<string> PathAsync(ApiClient client, string? user, CancellationToken ct) =>
        $"/api/v1/away/{Uri.EscapeDataString(user ?? (await client.GetAsync("/api/v1/me", ApiJson.Default.Me, ct).ConfigureAwait(false)).User)}";

    private static DateTimeOffset Time(string text) =>
        DateTimeOffset.TryParseExact(text, ["yyyy-MM-dd'T'HH:mm:ssK", "yyyy-MM-dd'T'HH:mmK"], CultureInfo.InvariantCulture, DateTimeStyles.None, out var time) && (text[^1] == 'Z' || text[^6] is '+' or '-')
            ? time
            : throw new CommandFailure(Exit.Usage, $"`{VisibleText.Of(text, multiline: false)}` is not a time with its offset; write `2026-12-24T09:00:00+01:00`");

    private static string Line(AwayView away) =>
        $"{Shown.Line(away.Delegate)} speaks for {Shown.Line(away.User)} [grey]from[/] {away.From.ToLocalTime():yyyy-MM-dd HH:mm} [grey]until[/] {away.Until.ToLocalTime():yyyy-MM-dd HH:mm}";
}
