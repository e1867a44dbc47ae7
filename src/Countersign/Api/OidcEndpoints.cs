using System.Net;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Identity.Oidc;

namespace Countersign.Api;

/// <summary>
/// Signing in at the identity provider. The first two are opened by the browser, the second by a redirect from the
/// provider; the third is called by the provider itself, and its token is its credential.
/// </summary>
internal static class OidcEndpoints
{
    public const string Callback = "/login/oidc/callback";

    public static void Map(IEndpointRouteBuilder app)
    {
        var oidc = app.MapGroup("/login/oidc").WithMetadata(AnswersAnybody.Instance).RequireRateLimiting(LoginEndpoints.RateLimit).ExcludeFromDescription();
        oidc.MapGet("", BeginAsync).WithMetadata(ConsolePage.Instance);
        oidc.MapGet("/callback", CallbackAsync).WithMetadata(ConsolePage.Instance);

        // The provider's own address is one for all of its log-outs: a limit for people would drop some.
        app.MapPost("/login/oidc/logout", LogoutAsync).WithMetadata(AnswersAnybody.Instance).DisableAntiforgery().ExcludeFromDescription();
    }

    private static async Task<IResult> BeginAsync(HttpContext http, OidcSignIn oidc, WebCookies cookies, Origins origins, TimeProvider time)
    {
        var browser = cookies.Provider(http, time.GetUtcNow() + oidc.Options.SignInLifetime);
        var begun = await oidc.BeginAsync(browser, new Uri(origins.LinkBase(http), Callback).ToString(), http.Request.Query["return"] is [{ } path] ? path : null, http.RequestAborted).ConfigureAwait(false);
        return begun.Location is { } location ? SeeOther(http, location.AbsoluteUri) : Failed(http, begun.ReasonCode!);
    }

    private static async Task<IResult> CallbackAsync(HttpContext http, OidcSignIn oidc, WebCookies cookies)
    {
        var back = new OidcReturn(One(http, "state"), One(http, "code"), One(http, "iss"), One(http, "error"));
        var replaces = http.Features.Get<SignedIn>() is { PageToken: not null } old ? old.Session : null;
        var done = await oidc.CompleteAsync(back, cookies.ProviderOrNull(http), http.Request.Headers.UserAgent.ToString(), replaces, http.RequestAborted).ConfigureAwait(false);
        if (done.Login is not { Token: { } token, ExpiresAt: { } expires }) return Failed(http, done.Login.ReasonCode ?? ReasonCodes.SignInFailed);
        cookies.ClearProvider(http);
        cookies.SetSession(http, token, expires);
        return SeeOther(http, done.ReturnTo);
    }

    /// <summary>OpenID Connect Back-Channel Logout §2.5, §2.8.</summary>
    private static async Task<IResult> LogoutAsync(HttpContext http, OidcSignIn oidc)
    {
        if (!http.Request.HasFormContentType) return Problems.Result(HttpStatusCode.BadRequest, ReasonCodes.SignInFailed, "a form with `logout_token` is expected");
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        var reason = form["logout_token"] is [{ } token] ? await oidc.LogoutAsync(token, http.RequestAborted).ConfigureAwait(false) : ReasonCodes.SignInFailed;
        return reason switch
        {
            null => Results.Ok(),
            ReasonCodes.JournalUnavailable or ReasonCodes.ProviderUnavailable => Problems.Result(HttpStatusCode.ServiceUnavailable, reason, "try again"),
            _ => Problems.Result(HttpStatusCode.BadRequest, reason, "the log-out token is not valid"),
        };
    }

    /// <summary>A parameter that is there once; given twice it is two things to two readers.</summary>
    private static string? One(HttpContext http, string name) => http.Request.Query[name] is [{ } value] ? value : null;

    /// <summary>The page there says what the reason code means; nothing that came from outside is shown.</summary>
    private static IResult Failed(HttpContext http, string reason) => SeeOther(http, $"/login?error={reason}");

    private static IResult SeeOther(HttpContext http, string location)
    {
        http.Response.Headers.Location = location;
        http.Response.Headers["Referrer-Policy"] = "no-referrer"; // the address holds a code
        return Results.StatusCode((int)HttpStatusCode.SeeOther);
    }
}
