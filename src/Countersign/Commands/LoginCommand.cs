using System.CommandLine;
using Countersign.Api;
using Countersign.Client;
using Countersign.Terminal;
using Spectre.Console;

namespace Countersign.Commands;

internal static class LoginCommand
{
    public static Command Create()
    {
        var server = Connection.ServerOption();
        var user = new Option<string>("--user") { Description = "your name in the config", HelpName = "NAME", Required = true };
        var code = new Option<string?>("--code") { Description = "a one-time code that was shown to you already", HelpName = "XXXX-XXXX" };
        var command = new ExampledCommand("login", "Sign in as a human. The terminal of `serve` shows a one-time code.",
            "countersign login --user alice",
            "countersign login --server http://127.0.0.1:8080 --user alice --code K3QF-9T2M") { server, user, code };
        command.SetAction((parsed, ct) => Connection.GuardAsync(() =>
            RunAsync(new Output(parsed.GetValue(CommandLine.Json)), parsed.GetValue(server), parsed.GetRequiredValue(user), parsed.GetValue(code), ct)));
        return command;
    }

    private static async Task<int> RunAsync(Output output, string? given, string user, string? code, CancellationToken ct)
    {
        var file = SessionsFile.Default();
        var server = Connection.Server(given, file);
        using var client = new ApiClient(server, null);
        if (code is null)
        {
            if (Console.IsInputRedirected || output.Json) throw new CommandFailure(Exit.Usage, "there is nobody to ask for the code: pass --code");
            var begun = await client.PostAsync("/api/v1/login/begin", new LoginBegin(user), ApiJson.Default.LoginBegin, ApiJson.Default.LoginBegun, ct).ConfigureAwait(false);
            output.Console.MarkupLine($"[grey]{Shown.Line(begun.Message)}[/]");
            Console.Write("code: ");
            code = await Console.In.ReadLineAsync(ct).ConfigureAwait(false) ?? "";
        }

        var session = await client.PostAsync("/api/v1/login/complete", new LoginComplete(user, code), ApiJson.Default.LoginComplete, ApiJson.Default.Session, ct).ConfigureAwait(false);
        file.Save(new SavedSession(Connection.Key(server), session.User, session.Token, session.Expires));
        output.Value(new Me(session.User, [], false), ApiJson.Default.Me,
            console => console.MarkupLine($"signed in at {Shown.Line(Connection.Key(server))} as [bold]{Shown.Line(session.User)}[/] until {Shown.Clock(session.Expires)}"));
        return Exit.Done;
    }
}
