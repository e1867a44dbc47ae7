using System.Buffers.Text;
using System.Net;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Identity.Passkeys;

namespace Countersign.Api;

/// <summary>Passkeys: one's own, and signing in with one. Both are for browsers.</summary>
internal static class PasskeyEndpoints
{
    public static void Map(IEndpointRouteBuilder api)
    {
        var mine = api.MapGroup("/me/passkeys").WithTags("passkeys");
        mine.MapGet("", List).Produces<PasskeyList>().WithSummary("My passkeys");
        mine.MapPost("/begin", Begin).Produces<PasskeyBegun>().WithSummary("What the browser makes a passkey of; by a browser's session that has just begun");
        mine.MapPost("", RegisterAsync).Produces<PasskeyView>().WithSummary("Register what the browser made");
        mine.MapDelete("/{id}", RemoveAsync).Produces(204).WithSummary("Remove one of mine; what it signed in ends, and what it approved and is not released yet counts no more");
        var login = api.MapGroup("/login/passkey").WithMetadata(AnswersAnybody.Instance).RequireRateLimiting(LoginEndpoints.RateLimit).WithTags("login");
        login.MapPost("/begin", BeginLogin).Produces<PasskeyLogin>().WithSummary("A challenge for this browser");
        login.MapPost("/complete", CompleteLoginAsync).Produces<WebSession>().WithSummary("Trade a passkey's signature over it for a cookie; for users of the config");
    }

    private static IResult List(HttpContext http, PasskeyRegistry passkeys, Origins origins) =>
        Results.Json(new PasskeyList(passkeys.Of(SignedIn.Of(http).User.Ref.Id).Select(PasskeyView.Of).ToArray(), origins.WherePasskeysWork?.GetLeftPart(UriPartial.Authority)), ApiJson.Default.PasskeyList);

    private static IResult Begin(HttpContext http, PasskeyRegistry passkeys, Origins origins)
    {
        var session = SignedIn.Of(http).Session;
        var rpId = origins.RelyingParty(http);
        if (rpId is null && passkeys.MayRegister(session)) return NotHere(origins);
        var (wish, refused) = passkeys.Begin(session, rpId ?? ""); // refused without a host, as just seen
        return wish is null ? Refused(refused!) : Results.Json(new PasskeyBegun(
            Base64Url.EncodeToString(wish.Challenge), wish.RpId, Base64Url.EncodeToString(wish.UserHandle), wish.UserName,
            wish.Known.Select(static k => Base64Url.EncodeToString(k)).ToArray()), ApiJson.Default.PasskeyBegun);
    }

    private static async Task<IResult> RegisterAsync(HttpContext http, PasskeyRegistry passkeys, PasskeyRequest body)
    {
        if (Bytes(body.ClientData) is not { } client || Bytes(body.Attestation) is not { } attestation) return Problems.Result(HttpStatusCode.BadRequest, ReasonCodes.NotUnderstood, "`clientData` and `attestation` are base64url without padding");
        var change = await passkeys.RegisterAsync(SignedIn.Of(http).Session, body.Name, client, attestation).ConfigureAwait(false);
        return change is { ReasonCode: null, Passkey: { } made } ? Results.Json(PasskeyView.Of(made), ApiJson.Default.PasskeyView) : Refused(change);
    }

    private static async Task<IResult> RemoveAsync(HttpContext http, PasskeyRegistry passkeys, string id)
    {
        var change = await passkeys.RemoveAsync(SignedIn.Of(http).Session, id).ConfigureAwait(false);
        return change.ReasonCode is null ? Results.NoContent() : Refused(change);
    }

    private static IResult BeginLogin(HttpContext http, PasskeyRegistry passkeys, Origins origins, WebCookies cookies, PasskeyLimits limits, TimeProvider time) => origins.RelyingParty(http) is not { } rpId
        ? NotHere(origins)
        : Results.Json(new PasskeyLogin(Base64Url.EncodeToString(passkeys.BeginSignIn(cookies.Browser(http, time.GetUtcNow() + limits.ChallengeLifetime), rpId)), rpId), ApiJson.Default.PasskeyLogin);

    private static async Task<IResult> CompleteLoginAsync(PasskeyLoginDone body, HttpContext http, PasskeyRegistry passkeys, WebCookies cookies)
    {
        if (cookies.BrowserOrNull(http) is not { } browser) return NotSignedIn(ReasonCodes.CodeInvalid);
        if (body.Assertion.Read() is not { } assertion) return NotSignedIn(ReasonCodes.PasskeyRefused);
        var result = await passkeys.SignInAsync(browser, assertion, Bytes(body.UserHandle), http.Request.Headers.UserAgent.ToString(), http.Features.Get<SignedIn>() is { PageToken: not null } old ? old.Session : null).ConfigureAwait(false);
        if (result.Token is null) return NotSignedIn(result.ReasonCode);
        cookies.ClearBrowser(http);
        cookies.SetSession(http, result.Token, result.ExpiresAt!.Value);
        return Results.Json(new WebSession(result.User!.Ref.Name, PageTokens.Of(result.Token), result.ExpiresAt.Value), ApiJson.Default.WebSession);
    }

    /// <summary>What exactly is wrong with it is for the log of whoever owns the passkey, not for whoever tries.</summary>
    private static IResult NotSignedIn(string? reason) => reason switch
    {
        ReasonCodes.JournalUnavailable => LoginEndpoints.Refused(reason),
        ReasonCodes.NotRecognised => Problems.Result(HttpStatusCode.Forbidden, ReasonCodes.NotRecognised, "this passkey confirms what you approve, and does not sign you in: sign in with your organisation"),
        ReasonCodes.PasskeyRefused => Problems.Result(HttpStatusCode.Unauthorized, ReasonCodes.PasskeyRefused, "this passkey does not sign anybody in here; sign in another way"),
        _ => Problems.Result(HttpStatusCode.Unauthorized, ReasonCodes.CodeInvalid, "it took too long, or this browser takes no cookies; begin again"),
    };

    private static IResult NotHere(Origins origins) => Problems.Result(HttpStatusCode.Conflict, ReasonCodes.NotSupported, origins.WherePasskeysWork is { } there
        ? $"browsers take no passkey for this address; open {there} instead"
        : "browsers take no passkey for this address; the operator gives it a name with `listen.url`");

    private static IResult Refused(PasskeyChange refused) => Problems.Result(refused.ReasonCode switch
    {
        ReasonCodes.PresenceRequired or ReasonCodes.LoginRequired => HttpStatusCode.Forbidden,
        ReasonCodes.UnknownTarget => HttpStatusCode.NotFound,
        ReasonCodes.NotUnderstood or ReasonCodes.PasskeyRefused or ReasonCodes.NotSupported => HttpStatusCode.UnprocessableContent,
        _ => HttpStatusCode.ServiceUnavailable,
    }, refused.ReasonCode!, refused.Detail!);

    private static byte[]? Bytes(string text) => PasskeyAssertion.Bytes(text, PasskeyLimits.LongestAuthenticatorData);
}
