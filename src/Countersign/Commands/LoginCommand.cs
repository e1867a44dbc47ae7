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
        var user = new Option<string?>("--user") { Description = "your name in the config: sign in by a code from the terminal of `serve`", HelpName = "NAME" };
        var code = new Option<string?>("--code") { Description = "a one-time code that was shown to you already", HelpName = "XXXX-XXXX" };
        var command = new ExampledCommand("login", "Sign in as a human, through the browser, or with --user by a one-time code from the terminal of `serve`.",
            "countersign login",
            "countersign login --user alice",
            "countersign login --server http://127.0.0.1:8080 --user alice --code K3QF-9T2M") { server, user, code };
        command.SetAction((parsed, ct) => Connection.GuardAsync(() =>
            RunAsync(new Output(parsed.GetValue(CommandLine.Json)), parsed.GetValue(server), parsed.GetValue(user), parsed.GetValue(code), ct)));
        return command;
    }

    private static async Task<int> RunAsync(Output output, string? given, string? user, string? code, CancellationToken ct)
    {
        var file = SessionsFile.Default();
        var (server, whence) = Connection.Server(given, file);
        using var client = new ApiClient(server, null, whence);
        if (user is null)
        {
            if (code is not null) throw new CommandFailure(Exit.Usage, "a code is of one user: pass --user too");
            return Keep(output, file, server, await ThroughBrowserAsync(output, server, client, ct).ConfigureAwait(false));
        }

        if (code is null)
        {
            if (Console.IsInputRedirected || output.Json) throw new CommandFailure(Exit.Usage, "there is nobody to ask for the code: pass --code");
            var begun = await client.PostAsync("/api/v1/login/begin", new LoginBegin(user), ApiJson.Default.LoginBegin, ApiJson.Default.LoginBegun, ct).ConfigureAwait(false);
            output.Console.MarkupLine($"[grey]{Shown.Line(begun.Message)}[/]");
            Console.Write("code: ");
            code = await Console.In.ReadLineAsync(ct).ConfigureAwait(false) ?? "";
        }

        var session = await client.PostAsync("/api/v1/login/complete", new LoginComplete(user, code), ApiJson.Default.LoginComplete, ApiJson.Default.Session, ct).ConfigureAwait(false);
        return Keep(output, file, server, session);
    }

    /// <summary>The browser asks the person, and brings a code. What is to be read goes to the error output, so that `--json` stays JSON.</summary>
    private static async Task<Session> ThroughBrowserAsync(Output output, Uri server, ApiClient client, CancellationToken ct)
    {
        using var login = new BrowserLogin();
        var page = login.PageAt(server);
        await Console.Error.WriteLineAsync($"open this in your browser, and agree if it shows the word {login.CheckWord}:\n{page.AbsoluteUri}".AsMemory(), ct).ConfigureAwait(false);
        if (!output.Json) SystemBrowser.Open(page);
        var brought = await login.WaitAsync(ct).ConfigureAwait(false);
        return await client.PostAsync("/api/v1/login/cli", brought, ApiJson.Default.CliLogin, ApiJson.Default.Session, ct).ConfigureAwait(false);
    }

    private static int Keep(Output output, SessionsFile file, Uri server, Session session)
    {
        file.Save(new SavedSession(Connection.Key(server), session.User, session.Token, session.Expires));
        output.Value(new Me(session.User, [], false), ApiJson.Default.Me,
            console => console.MarkupLine($"signed in at {Shown.Line(Connection.Key(server))} as [bold]{Shown.Line(session.User)}[/] until {Shown.DayAndClock(session.Expires)}"));
        return Exit.Done;
    }
}
