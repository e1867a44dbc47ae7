using System.Net;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Identity.Oidc;

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
        login.MapPost("/begin", Begin).Produces<LoginBegun>().WithSummary("Have the terminal of `serve` show a one-time code for a user, or with `web` a link for this browser");
        login.MapPost("/complete", CompleteAsync).Produces<Session>().WithSummary("Trade the code for a session; with `web` for a cookie");
        api.MapPost("/logout", LogoutAsync).Produces<LoggedOut>().Produces(204).WithTags("login").WithSummary("End this session; with `provider=true` the answer says where to sign out at the identity provider");
        var me = api.MapGroup("/me").WithTags("login");
        me.MapGet("", static (HttpContext http) => Ok(SignedIn.Of(http))).Produces<Me>().WithSummary("Who I am here");
        me.MapGet("/sessions", List).Produces<SessionList>().WithSummary("My sessions");
        me.MapDelete("/sessions/{id}", EndAsync).Produces(204).WithSummary("End one of my sessions");
    }

    private static IResult Begin(LoginBegin body, HttpContext http, HumanSessions sessions, LoginTerminal terminal, WebCookies cookies, Origins origins, LoginLimits limits, TimeProvider time)
    {
        var web = body.Web == true;
        var begun = web
            ? sessions.BeginWeb(body.User, cookies.Browser(http, time.GetUtcNow() + limits.CodeLifetime), (user, code) => terminal.ShowLink(user, Link(origins.LinkBase(http), user, code)))
            : sessions.Begin(body.User, terminal.Show);
        return begun
            ? Results.Json(new LoginBegun($"if this user exists, the terminal of `countersign serve` shows a {(web ? "link" : "code")} now", (int)limits.CodeLifetime.TotalSeconds), ApiJson.Default.LoginBegun)
            : Problems.Result(HttpStatusCode.TooManyRequests, ReasonCodes.TooManyAttempts, "too many codes were asked for; wait a minute");
    }

    /// <summary>What follows `#` is sent to no server: it is in no log, and what merely fetches the page spends nothing.</summary>
    private static Uri Link(Uri server, UserEntry user, string code) => new(server, $"/login/link#user={Uri.EscapeDataString(user.Ref.Name)}&code={code}");

    private static async Task<IResult> CompleteAsync(LoginComplete body, HttpContext http, HumanSessions sessions, WebCookies cookies)
    {
        var client = http.Request.Headers.UserAgent.ToString();
        if (body.Web != true)
        {
            var cli = await sessions.CompleteAsync(body.User, body.Code, client).ConfigureAwait(false);
            return cli is { Token: { } token, User: { } user, ExpiresAt: { } expires }
                ? Results.Json(new Session(user.Ref.Name, token, expires), ApiJson.Default.Session)
                : Refused(cli.ReasonCode);
        }

        if (cookies.BrowserOrNull(http) is not { } browser)
        {
            return Problems.Result(HttpStatusCode.Unauthorized, ReasonCodes.CodeInvalid, "open the link in the browser that asked for it, which must take cookies; or begin again here");
        }

        var result = await sessions.CompleteWebAsync(body.User, body.Code, browser, client, http.Features.Get<SignedIn>() is { PageToken: not null } old ? old.Session : null).ConfigureAwait(false);
        if (result.Token is null) return Refused(result.ReasonCode);
        cookies.ClearBrowser(http);
        cookies.SetSession(http, result.Token, result.ExpiresAt!.Value);
        return Results.Json(new WebSession(result.User!.Ref.Name, PageTokens.Of(result.Token), result.ExpiresAt.Value), ApiJson.Default.WebSession);
    }

    public static IResult Refused(string? reason) => reason switch
    {
        ReasonCodes.TooManyAttempts => Problems.Result(HttpStatusCode.TooManyRequests, ReasonCodes.TooManyAttempts, "too many wrong codes: all codes of this user are void; begin again"),
        ReasonCodes.JournalUnavailable => Problems.Result(HttpStatusCode.ServiceUnavailable, ReasonCodes.JournalUnavailable, "the journal can not be written, so nobody can sign in"),
        _ => Problems.Result(HttpStatusCode.Unauthorized, ReasonCodes.CodeInvalid, "the code is wrong, used, too old, or another browser's; begin again"),
    };

    private static async Task<IResult> LogoutAsync(HttpContext http, HumanSessions sessions, WebCookies cookies, Origins origins, bool provider = false)
    {
        var me = SignedIn.Of(http);
        var next = provider && http.RequestServices.GetService<OidcSignIn>() is { } oidc
            ? await oidc.EndSessionAsync(me.Session, new Uri(origins.LinkBase(http), "/login").ToString(), http.RequestAborted).ConfigureAwait(false)
            : null;
        if (!await sessions.EndAsync(me.Session, SessionEnd.SignedOut).ConfigureAwait(false)) return NotEnded();
        if (me.PageToken is not null) cookies.ClearSession(http);
        return next is null ? Results.NoContent() : Results.Json(new LoggedOut(next.AbsoluteUri), ApiJson.Default.LoggedOut);
    }

    private static IResult NotEnded() => Problems.Result(HttpStatusCode.ServiceUnavailable, ReasonCodes.JournalUnavailable, "the session could not be ended, because the journal can not be written");

    private static IResult Ok(SignedIn me) =>
        Results.Json(new Me(me.User.Ref.Name, me.User.Groups.Order(StringComparer.Ordinal).ToArray(), me.IsAdmin, me.Channel, me.Session.Id, me.PageToken), ApiJson.Default.Me);

    private static IResult List(HttpContext http, HumanSessions sessions)
    {
        var me = SignedIn.Of(http);
        return Results.Json(new SessionList(sessions.Of(me.User.Ref.Id).Select(s => new SessionView(
            s.Id, s.Kind == SessionKind.Web ? "web" : "cli", s.Method, s.Client, s.Id == me.Session.Id, s.CreatedAt, s.LastSeenAt, s.ExpiresAt)).ToArray()), ApiJson.Default.SessionList);
    }

    private static async Task<IResult> EndAsync(HttpContext http, HumanSessions sessions, WebCookies cookies, string id)
    {
        var me = SignedIn.Of(http);

        // Of one's own only: somebody else's does not exist here.
        if (sessions.Of(me.User.Ref.Id).FirstOrDefault(s => s.Id == id) is not { } session)
        {
            return Problems.Result(HttpStatusCode.NotFound, ReasonCodes.UnknownTarget, $"you have no session `{VisibleText.Of(id, multiline: false)}`");
        }

        var own = session.Id == me.Session.Id;
        if (!await sessions.EndAsync(session, own ? SessionEnd.SignedOut : SessionEnd.EndedElsewhere).ConfigureAwait(false)) return NotEnded();
        if (own && me.PageToken is not null) cookies.ClearSession(http);
        return Results.NoContent();
    }
}

/// <summary>Where one-time codes and links are shown: the operator's terminal, and nowhere else (P56).</summary>
internal sealed class LoginTerminal(Action<string, string> show, Action<string, Uri> showLink)
{
    public void Show(UserEntry user, string code) => show(user.Ref.Name, code);

    public void ShowLink(UserEntry user, Uri link) => showLink(user.Ref.Name, link);
}
