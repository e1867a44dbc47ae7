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

    /// <summary>A server's address, and where it comes from in the words of an error; null where the user named it.</summary>
    public sealed record Address(Uri Uri, string? Whence);

    public static Address Server(string? given, SessionsFile file)
    {
        var named = given ?? NotEmpty(Environment.GetEnvironmentVariable("COUNTERSIGN_SERVER"));
        var last = named is null ? file.Read().Current : null;
        var text = named ?? last ?? Default;
        var whence = named is not null ? null
            : last is not null ? "that address is from your last login; name another with --server (`serve` prints it)"
            : "that address is the default; name another with --server (`serve` prints it)";
        return Uri.TryCreate(text, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https" && uri.UserInfo.Length == 0
            ? new Address(new Uri(uri.GetLeftPart(UriPartial.Authority)), whence)
            : throw new CommandFailure(Exit.Usage, $"`{VisibleText.Of(text, multiline: false)}` is not a server address such as `{Default}`");
    }

    /// <summary>Runs a command as the signed-in human.</summary>
    public static async Task<int> AsHumanAsync(string? given, Func<ApiClient, Task<int>> command)
    {
        var file = SessionsFile.Default();
        var (server, whence) = Server(given, file);
        var session = file.Read().Sessions.FirstOrDefault(s => s.Server == Key(server))
            ?? throw new CommandFailure(Exit.Failed, $"not signed in at {Key(server)}: run `countersign login --server {Key(server)}`, or with `--user NAME` for a code from the terminal of `serve`", ReasonCodes.LoginRequired);
        using var client = new ApiClient(server, session.Token, whence);
        return await GuardAsync(() => command(client), session.User).ConfigureAwait(false);
    }

    /// <summary>Refusals become exit codes: 3 where a human or a rule says no, 4 where it is too late, 1 for the rest.</summary>
    /// <param name="command">The command.</param>
    /// <param name="user">Who is signed in; null for nobody.</param>
    public static async Task<int> GuardAsync(Func<Task<int>> command, string? user = null)
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
                    or ReasonCodes.StatementMismatch or ReasonCodes.JustificationRequired or ReasonCodes.NotHuman or ReasonCodes.PresenceRequired or ReasonCodes.StepUpRequired or ReasonCodes.StepUpFailed or ReasonCodes.CodeInvalid => Exit.Denied,
                _ => problem.Status == (int)HttpStatusCode.Forbidden ? Exit.Denied : Exit.Failed,
            };
            var detail = problem.Reason == ReasonCodes.JustificationRequired ? $"{problem.Detail}; add --comment \"why\"" : problem.Detail;
            if (user is not null && problem.Status == (int)HttpStatusCode.Forbidden) detail = $"you are signed in as `{user}`; {detail}";
            throw new CommandFailure(exit, detail, problem.Reason, problem.Review);
        }
    }

    /// <summary>A server as the sessions file knows it.</summary>
    public static string Key(Uri server) => server.GetLeftPart(UriPartial.Authority);

    private static string? NotEmpty(string? text) => string.IsNullOrEmpty(text) ? null : text;
}
