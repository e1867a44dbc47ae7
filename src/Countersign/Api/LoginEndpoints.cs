using System.Net;
using Countersign.Core;
using Countersign.Identity;

namespace Countersign.Api;

internal static class LoginEndpoints
{
    /// <summary>Name of the rate limit on signing in.</summary>
    public const string RateLimit = "login";

    /// <summary>Attempts a minute from one address. 30: a team behind one address, and no guesser.</summary>
    public const int AttemptsPerMinute = 30;

    public static void Map(IEndpointRouteBuilder api)
    {
        var login = api.MapGroup("/login").WithMetadata(AnswersAnybody.Instance).RequireRateLimiting(RateLimit).WithTags("login");
        login.MapPost("/begin", Begin).Produces<LoginBegun>().WithSummary("Have the terminal of `serve` show a one-time code for a user");
        login.MapPost("/complete", CompleteAsync).Produces<Session>().WithSummary("Trade the code for a session");
        api.MapPost("/logout", LogoutAsync).Produces(204).WithTags("login").WithSummary("End this session");
        api.MapGet("/me", static (HttpContext http) => Ok(SignedIn.Of(http))).Produces<Me>().WithTags("login").WithSummary("Who I am here");
    }

    private static IResult Begin(LoginBegin body, HumanSessions sessions, LoginTerminal terminal, LoginLimits limits) =>
        sessions.Begin(body.User, terminal.Show)
            ? Results.Json(new LoginBegun("if this user exists, the terminal of `countersign serve` shows a code now", (int)limits.CodeLifetime.TotalSeconds), ApiJson.Default.LoginBegun)
            : Problems.Result(HttpStatusCode.TooManyRequests, ReasonCodes.TooManyAttempts, "too many codes were asked for; wait a minute");

    private static async Task<IResult> CompleteAsync(LoginComplete body, HumanSessions sessions)
    {
        var result = await sessions.CompleteAsync(body.User, body.Code).ConfigureAwait(false);
        if (result is { Token: { } token, User: { } user, ExpiresAt: { } expires })
        {
            return Results.Json(new Session(user.Ref.Name, token, expires), ApiJson.Default.Session);
        }

        return result.ReasonCode switch
        {
            ReasonCodes.TooManyAttempts => Problems.Result(HttpStatusCode.TooManyRequests, ReasonCodes.TooManyAttempts, "too many wrong codes: all codes of this user are void; begin again"),
            ReasonCodes.JournalUnavailable => Problems.Result(HttpStatusCode.ServiceUnavailable, ReasonCodes.JournalUnavailable, "the journal can not be written, so nobody can sign in"),
            _ => Problems.Result(HttpStatusCode.Unauthorized, ReasonCodes.CodeInvalid, "the code is wrong, used, or too old; begin again"),
        };
    }

    private static async Task<IResult> LogoutAsync(HttpContext http, HumanSessions sessions) =>
        await sessions.EndAsync(SignedIn.Of(http).Token).ConfigureAwait(false)
            ? Results.NoContent()
            : Problems.Result(HttpStatusCode.ServiceUnavailable, ReasonCodes.JournalUnavailable, "the session could not be ended, because the journal can not be written");

    private static IResult Ok(SignedIn me) =>
        Results.Json(new Me(me.User.Ref.Name, me.User.Groups.Order(StringComparer.Ordinal).ToArray(), me.IsAdmin), ApiJson.Default.Me);
}

/// <summary>Where one-time codes are shown: the operator's terminal, and nowhere else (P56).</summary>
internal sealed class LoginTerminal(Action<string, string> show)
{
    public void Show(UserEntry user, string code) => show(user.Ref.Name, code);
}
