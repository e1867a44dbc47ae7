using System.Globalization;
using System.Net;
using System.Text.Encodings.Web;
using Countersign.Core;
using Countersign.Identity;

namespace Countersign.Api;

/// <summary>
/// The command line signs in through the browser: it listens on loopback, the browser asks the person whether it is his,
/// and takes a one-time code across. Nothing happens without that click: an agent under the same account can open a
/// browser too.
/// </summary>
internal static class CliLoginEndpoints
{
    public const string Page = "/login/cli";

    public static void Map(IEndpointRouteBuilder app, IEndpointRouteBuilder api)
    {
        app.MapGet(Page, Ask).WithMetadata(ConsolePage.Instance).ExcludeFromDescription();
        app.MapPost(Page, GrantAsync).WithMetadata(ConsolePage.Instance).DisableAntiforgery().ExcludeFromDescription();
        api.MapPost("/login/cli", RedeemAsync).WithMetadata(AnswersAnybody.Instance).RequireRateLimiting(LoginEndpoints.RateLimit).WithTags("login")
            .Produces<Session>().WithSummary("Trade the code that the browser brought for a session of the command line");
    }

    private sealed record Asked(string Challenge, int Port, string State);

    /// <summary>What the command line asked for; null where it is not what ours would ask.</summary>
    private static Asked? Read(Func<string, string?> of) =>
        of("challenge") is { } challenge && CliGrants.IsChallenge(challenge)
        && int.TryParse(of("port"), NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port is >= 1024 and <= 65535
        && of("state") is { } state && CliGrants.IsChallenge(state)
            ? new Asked(challenge, port, state)
            : null;

    private static IResult Ask(HttpContext http)
    {
        var me = SignedIn.Of(http);
        if (me.PageToken is null || Read(name => http.Request.Query[name] is [{ } one] ? one : null) is not { } asked) return NotOurs();
        var headers = http.Response.Headers;

        // The redirect after the form leads to the command line, which browsers count as a form's target.
        headers.ContentSecurityPolicy = $"default-src 'none'; form-action 'self' http://127.0.0.1:{asked.Port.ToString(CultureInfo.InvariantCulture)}; frame-ancestors 'none'; base-uri 'none'";
        headers["Referrer-Policy"] = "same-origin";
        headers.XFrameOptions = "DENY";
        static string E(string text) => HtmlEncoder.Default.Encode(text);
        return Results.Content($"""
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><title>Sign the command line in</title></head>
            <body><main>
            <h1>Sign the command line in?</h1>
            <p>A command line on this computer asks to act as <strong>{E(me.User.Ref.Name)}</strong>. Agree only if you have just run <code>countersign login</code> and it shows this word:</p>
            <p><strong>{E(CliGrants.CheckWord(asked.Challenge))}</strong></p>
            <form method="post" action="{Page}">
            <input type="hidden" name="{HumanGate.PageTokenField}" value="{E(me.PageToken)}">
            <input type="hidden" name="challenge" value="{E(asked.Challenge)}"><input type="hidden" name="port" value="{asked.Port.ToString(CultureInfo.InvariantCulture)}"><input type="hidden" name="state" value="{E(asked.State)}">
            <p><button type="submit">It is mine: sign it in</button> <a href="/">No</a></p>
            </form>
            </main></body></html>
            """, "text/html; charset=utf-8");
    }

    private static async Task<IResult> GrantAsync(HttpContext http, CliGrants grants)
    {
        var me = SignedIn.Of(http);

        // A bearer session grants none: the click in a browser is the point.
        if (me.PageToken is null || !http.Request.HasFormContentType) return NotOurs();
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        if (Read(name => form[name] is [{ } one] ? one : null) is not { } asked) return NotOurs();
        http.Response.Headers["Referrer-Policy"] = "no-referrer";
        http.Response.Headers.Location = string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{asked.Port}/?code={grants.Grant(me.Session, asked.Challenge)}&state={asked.State}");
        return Results.StatusCode((int)HttpStatusCode.SeeOther);
    }

    private static async Task<IResult> RedeemAsync(CliLogin body, HttpContext http, CliGrants grants)
    {
        var result = await grants.RedeemAsync(body.Code, body.Verifier, http.Request.Headers.UserAgent.ToString()).ConfigureAwait(false);
        return result is { Token: { } token, User: { } user, ExpiresAt: { } expires }
            ? Results.Json(new Session(user.Ref.Name, token, expires), ApiJson.Default.Session)
            : LoginEndpoints.Refused(result.ReasonCode);
    }

    private static IResult NotOurs() => Problems.Result(HttpStatusCode.BadRequest, ReasonCodes.NotUnderstood, "this is not what `countersign login` asks for; run it again");
}
