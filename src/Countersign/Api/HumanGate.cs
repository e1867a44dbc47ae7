using System.Net;
using System.Net.Http.Headers;
using Countersign.Core;
using Countersign.Identity;

namespace Countersign.Api;

/// <summary>Marks the endpoints that answer without a session: health, and signing in. Everything else is closed.</summary>
internal sealed class AnswersAnybody
{
    public static readonly AnswersAnybody Instance = new();
}

/// <summary>
/// The one door of the API: a request either reaches an endpoint that answers anybody, or carries the session of a human.
/// It looks at the marks of the endpoint and not at paths, so that a new endpoint is closed until somebody opens it.
/// </summary>
internal sealed class HumanGate(RequestDelegate next, HumanSessions sessions, HostNames names)
{
    private const string AgentKeyPrefix = "csk_";

    public async Task InvokeAsync(HttpContext http)
    {
        // A page that made a name of its own point at this address (DNS rebinding, P45) still sends that name.
        if (!names.Allows(http.Request.Host.Host))
        {
            await Problems.WriteAsync(http, HttpStatusCode.MisdirectedRequest, ReasonCodes.UnknownTarget, "this is not a host name of this server; use the address that `serve` printed").ConfigureAwait(false);
            return;
        }

        // Browsers say where a request comes from; no page of another site has business here.
        if (http.Request.Headers.TryGetValue("Sec-Fetch-Site", out var site) && site.ToString() is "cross-site" or "same-site")
        {
            await Problems.WriteAsync(http, HttpStatusCode.Forbidden, ReasonCodes.NotEligible, "requests from other sites are refused").ConfigureAwait(false);
            return;
        }

        if (http.GetEndpoint()?.Metadata.GetMetadata<AnswersAnybody>() is not null)
        {
            await next(http).ConfigureAwait(false);
            return;
        }

        var token = Bearer(http.Request);
        if (sessions.Find(token) is { } user)
        {
            http.Features.Set(new SignedIn(user, token!, Channel(http.Request)));
            await next(http).ConfigureAwait(false);
            return;
        }

        http.Response.Headers.WWWAuthenticate = "Bearer";
        var agent = token is not null && token.StartsWith(AgentKeyPrefix, StringComparison.Ordinal);
        await Problems.WriteAsync(http, HttpStatusCode.Unauthorized, agent ? ReasonCodes.NotHuman : ReasonCodes.LoginRequired, agent
            ? "an agent's key opens nothing here: only humans review, and only in a session of their own"
            : "sign in first: `countersign login`").ConfigureAwait(false);
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

/// <summary>The human behind a request, as the gate found him.</summary>
internal sealed record SignedIn(UserEntry User, string Token, string Channel)
{
    /// <summary>Members may change agents and read the journal. Policies and reviews need no membership of their own.</summary>
    public const string Admins = "admins";

    public bool IsAdmin => User.Groups.Contains(Admins);

    public static SignedIn Of(HttpContext http) => http.Features.Get<SignedIn>() ?? throw new InvalidOperationException("an endpoint ran that the gate had not opened");

    public override string ToString() => User.Ref.Name;
}

/// <summary>Host names under which this server may be called.</summary>
internal sealed class HostNames(bool loopbackOnly, Func<string, bool> certificateNames)
{
    public bool Allows(string host)
    {
        if (host.Equals("localhost", StringComparison.OrdinalIgnoreCase)) return true;

        // An address can not be rebound: a name can. Beyond loopback any address is one of ours, or the connection would not be here.
        if (IPAddress.TryParse(host.Trim('[', ']'), out var address)) return !loopbackOnly || IPAddress.IsLoopback(address);
        return host.Length > 0 && certificateNames(host);
    }
}
