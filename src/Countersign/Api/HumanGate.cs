using System.Net;
using System.Net.Http.Headers;
using Countersign.Core;
using Countersign.Hosting;
using Countersign.Identity;

namespace Countersign.Api;

/// <summary>
/// The one door: a request either reaches an endpoint that answers anybody, or carries the session of a human. It looks at
/// the marks of the endpoint and not at paths, so that a new endpoint is closed until somebody opens it.
/// A browser sends its cookie by itself, so whatever it changes needs the page token as well; a bearer token is sent by
/// nobody but its holder. A request that brings both is judged by the bearer token alone.
/// </summary>
internal sealed class HumanGate(RequestDelegate next, HumanSessions sessions, UserDirectory users, Origins origins, WebCookies cookies, ServingPolicies policies)
{
    public const string PageTokenHeader = "Countersign-Csrf";
    public const string PageTokenField = "csrf";
    private const string AgentKeyPrefix = "csk_";

    /// <summary>Of a cookie's session, and of nothing else.</summary>
    private const string Console = "console";

    public async Task InvokeAsync(HttpContext http)
    {
        if (!origins.AllowsHost(http.Request.Host.Host))
        {
            await Problems.WriteAsync(http, HttpStatusCode.MisdirectedRequest, ReasonCodes.UnknownTarget, "this is not a host name of this server; use the address that `serve` printed").ConfigureAwait(false);
            return;
        }

        var marks = http.GetEndpoint()?.Metadata;
        var isPage = marks?.GetMetadata<ConsolePage>() is not null;
        if (!IsOwnRequest(http, isPage))
        {
            await CrossSiteAsync(http, "requests from other sites are refused").ConfigureAwait(false);
            return;
        }

        var anybody = marks?.GetMetadata<AnswersAnybody>() is not null;
        var found = Find(http, out var bearer);
        if (found is { PageToken: not null } && !anybody && !IsSafe(http.Request) && !await HasPageTokenAsync(http.Request, found.PageToken).ConfigureAwait(false))
        {
            await CrossSiteAsync(http, $"what a browser changes needs the page token of its session, in `{PageTokenHeader}` or the field `{PageTokenField}`; load the page again").ConfigureAwait(false);
            return;
        }

        // Groups that are soon too old are read again here, so that what he sees and what he may do are the same (P33).
        if (found?.User.GroupsReadAt is not null)
        {
            await users.FreshenAsync([found.User.Ref.Id], http.RequestAborted).ConfigureAwait(false);
            found = Find(http, out bearer);
        }

        if (found is not null) http.Features.Set(found with { MayAdminister = action => policies.MayAdminister(found.User, action, found.Channel).Permitted });
        if (found is not null || anybody)
        {
            await next(http).ConfigureAwait(false);
            return;
        }

        await RefuseAsync(http, bearer, isPage).ConfigureAwait(false);
    }

    /// <summary>The session that the request carries, in one of its two forms.</summary>
    private SignedIn? Find(HttpContext http, out string? bearer)
    {
        bearer = null;
        if (http.Request.Headers.Authorization.Count > 0)
        {
            bearer = Bearer(http.Request);
            return sessions.Find(bearer) is { } cli ? new SignedIn(cli.User, cli, Channel(http.Request), null, sessions) : null;
        }

        var token = cookies.Session(http);
        return sessions.Find(token, SessionKind.Web) is { } web ? new SignedIn(web.User, web, Console, PageTokens.Of(token!), sessions) : null;
    }

    private static Task CrossSiteAsync(HttpContext http, string detail) => Problems.WriteAsync(http, HttpStatusCode.Forbidden, ReasonCodes.CrossSite, detail);

    private static async Task RefuseAsync(HttpContext http, string? bearer, bool isPage)
    {
        if (isPage && bearer is null)
        {
            var back = IsSafe(http.Request) ? $"?return={Uri.EscapeDataString($"{http.Request.Path}{http.Request.QueryString}")}" : "";
            http.Response.StatusCode = (int)HttpStatusCode.SeeOther;
            http.Response.Headers.Location = $"/login{back}";
            return;
        }

        http.Response.Headers.WWWAuthenticate = "Bearer";
        var agent = bearer is not null && bearer.StartsWith(AgentKeyPrefix, StringComparison.Ordinal);
        await Problems.WriteAsync(http, HttpStatusCode.Unauthorized, agent ? ReasonCodes.NotHuman : ReasonCodes.LoginRequired, agent
            ? "an agent's key opens nothing here: only humans review, and only in a session of their own"
            : "sign in first: `countersign login`").ConfigureAwait(false);
    }

    /// <summary>
    /// Browsers say where a request comes from; no page of another site has business here, but for following a link to a
    /// page (Fetch Metadata, W3C). `Origin` says the same to those that do not know the former, and knows of ports.
    /// </summary>
    private bool IsOwnRequest(HttpContext http, bool isPage)
    {
        var headers = http.Request.Headers;
        var site = headers.TryGetValue("Sec-Fetch-Site", out var said) ? said.ToString() : null;
        if (site is not (null or "same-origin" or "none"))
        {
            return isPage && IsSafe(http.Request) && headers["Sec-Fetch-Mode"] == "navigate" && headers["Sec-Fetch-Dest"] == "document";
        }

        if (IsSafe(http.Request) || headers.Origin.Count == 0) return true;

        // `null` is what a page of ours sends that says `no-referrer`, and what a sandboxed one of anybody sends.
        return headers.Origin == "null" ? site == "same-origin" : headers.Origin == origins.Of(http);
    }

    private static bool IsSafe(HttpRequest request) => HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method) || HttpMethods.IsOptions(request.Method);

    private static async Task<bool> HasPageTokenAsync(HttpRequest request, string expected)
    {
        if (request.Headers.TryGetValue(PageTokenHeader, out var header)) return header.Count == 1 && PageTokens.Matches(header[0], expected);
        if (!request.HasFormContentType) return false;
        try
        {
            var form = await request.ReadFormAsync(request.HttpContext.RequestAborted).ConfigureAwait(false);
            return form[PageTokenField] is [{ } field] && PageTokens.Matches(field, expected);
        }
        catch (InvalidDataException)
        {
            return false;
        }
    }

    /// <summary>
    /// The token of exactly one `Authorization: Bearer` header. An agent's key is also recognised in the forms in which its
    /// other protocols send it, to be refused by name.
    /// </summary>
    private static string? Bearer(HttpRequest request)
    {
        if (request.Headers.Authorization is not [{ } value] || !AuthenticationHeaderValue.TryParse(value, out var header)) return null;
        if (string.Equals(header.Scheme, "Bearer", StringComparison.OrdinalIgnoreCase)) return header.Parameter;
        if (!string.Equals(header.Scheme, "Basic", StringComparison.OrdinalIgnoreCase)) return null;
        try
        {
            var pair = System.Text.Encoding.UTF8.GetString(Convert.FromBase64String(header.Parameter ?? ""));
            var secret = pair[(pair.IndexOf(':', StringComparison.Ordinal) + 1)..];
            return secret.StartsWith(AgentKeyPrefix, StringComparison.Ordinal) ? secret : null;
        }
        catch (FormatException)
        {
            return null;
        }
    }

    /// <summary>A label that the client gives itself: policy sees it, nothing trusts it.</summary>
    private static string Channel(HttpRequest request) => request.Headers["Countersign-Client"] is ["cli"] ? "cli" : "api";
}

internal static class SignedInRequest
{
    extension(SignedIn)
    {
        /// <summary>The human behind a request that the door has let in.</summary>
        public static SignedIn Of(HttpContext http) => http.Features.Get<SignedIn>() ?? throw new InvalidOperationException("an endpoint ran that the gate had not opened");
    }
}
