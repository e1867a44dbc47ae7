using System.CommandLine;
using System.Net;
using Countersign.Api;
using Countersign.Commands;
using Countersign.Core;

namespace Countersign.Client;

/// <summary>Finds the server and the session of a client command, and gives its refusals their exit code.</summary>
internal static class Connection
{
    /// <summary>Where `serve` listens unless its config says otherwise.</summary>
    private const string Default = "http://127.0.0.1:8080";

    public static Option<string?> ServerOption() => new("--server")
    {
        Description = "address of the server, as `serve` printed it; default: COUNTERSIGN_SERVER, else that of the last login",
        HelpName = "URL",
    };

    public static Uri Server(string? given, SessionsFile file)
    {
        var text = given ?? NotEmpty(Environment.GetEnvironmentVariable("COUNTERSIGN_SERVER")) ?? file.Read().Current ?? Default;
        return Uri.TryCreate(text, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https" && uri.UserInfo.Length == 0
            ? new Uri(uri.GetLeftPart(UriPartial.Authority))
            : throw new CommandFailure(Exit.Usage, $"`{VisibleText.Of(text, multiline: false)}` is not a server address such as `{Default}`");
    }

    /// <summary>Runs a command as the signed-in human.</summary>
    public static async Task<int> AsHumanAsync(string? given, Func<ApiClient, Task<int>> command)
    {
        var file = SessionsFile.Default();
        var server = Server(given, file);
        var session = file.Read().Sessions.FirstOrDefault(s => s.Server == Key(server))
            ?? throw new CommandFailure(Exit.Failed, $"not signed in at {Key(server)}: run `countersign login --server {Key(server)}`, or with `--user NAME` for a code from the terminal of `serve`", ReasonCodes.LoginRequired);
        using var client = new ApiClient(server, session.Token);
        return await GuardAsync(() => command(client)).ConfigureAwait(false);
    }

    /// <summary>Refusals become exit codes: 3 where a human or a rule says no, 4 where it is too late, 1 for the rest.</summary>
    public static async Task<int> GuardAsync(Func<Task<int>> command)
    {
        try
        {
            return await command().ConfigureAwait(false);
        }
        catch (ApiRefused e)
        {
            var problem = e.Problem;
            var exit = problem.Reason switch
            {
                ReasonCodes.ReviewExpired => Exit.Expired,
                ReasonCodes.SelfApproval or ReasonCodes.NotEligible or ReasonCodes.AlreadyDecided or ReasonCodes.ReviewClosed or ReasonCodes.ReviewDenied
                    or ReasonCodes.StatementMismatch or ReasonCodes.JustificationRequired or ReasonCodes.NotHuman or ReasonCodes.PresenceRequired or ReasonCodes.CodeInvalid => Exit.Denied,
                _ => problem.Status == (int)HttpStatusCode.Forbidden ? Exit.Denied : Exit.Failed,
            };
            throw new CommandFailure(exit, problem.Detail, problem.Reason, problem.Review);
        }
    }

    /// <summary>A server as the sessions file knows it.</summary>
    public static string Key(Uri server) => server.GetLeftPart(UriPartial.Authority);

    private static string? NotEmpty(string? text) => string.IsNullOrEmpty(text) ? null : text;
}
