using System.Security.Cryptography;
using Countersign.Identity;

namespace Countersign.Api;

/// <summary>
/// The cookies of browsers. The session's is `HttpOnly` (no script reads it), `SameSite=Lax`, since a link to a review from
/// Slack or a mail must open signed in while no other site's form or script may use it, and over https `Secure` with the
/// `__Host-` prefix, so that no other host can set it (RFC 6265bis §4.1.3.2). Over plain http, which is for loopback,
/// browsers keep neither; ports share cookies there, so the port is in the name to keep two gateways apart.
/// </summary>
internal sealed class WebCookies(Origins origins)
{
    /// <summary>Names the browser that asked for a one-time code, so that the code is of use to no other.</summary>
    private const string Asking = "login";

    /// <summary>
    /// Names the browser that went to the identity provider. `Lax`, because it comes back from there; of another name than
    /// the former, so that neither serves for the other.
    /// </summary>
    private const string AtProvider = "oidc";

    public string SessionName(HttpContext http) => Name(http, "session");

    /// <summary>
    /// The token of the session cookie; null when there is none, or more than one: which of them is the real one nobody
    /// could tell.
    /// </summary>
    public string? Session(HttpContext http) => Single(http, SessionName(http));

    public void SetSession(HttpContext http, string token, DateTimeOffset expires) => Append(http, SessionName(http), token, SameSiteMode.Lax, expires);

    public void ClearSession(HttpContext http) => Clear(http, SessionName(http), SameSiteMode.Lax);

    /// <summary>The value that names this browser while it signs in; made when it has none.</summary>
    public string Browser(HttpContext http, DateTimeOffset expires) => Named(http, Asking, SameSiteMode.Strict, expires);

    public string? BrowserOrNull(HttpContext http) => NamedOrNull(http, Asking);

    public string Provider(HttpContext http, DateTimeOffset expires) => Named(http, AtProvider, SameSiteMode.Lax, expires);

    public string? ProviderOrNull(HttpContext http) => NamedOrNull(http, AtProvider);

    public void ClearProvider(HttpContext http) => Clear(http, Name(http, AtProvider), SameSiteMode.Lax);

    public void ClearBrowser(HttpContext http) => Clear(http, Name(http, Asking), SameSiteMode.Strict);

    private string Named(HttpContext http, string what, SameSiteMode sameSite, DateTimeOffset expires)
    {
        var value = NamedOrNull(http, what) ?? RandomNumberGenerator.GetHexString(64, lowercase: true);
        Append(http, Name(http, what), value, sameSite, expires);
        return value;
    }

    private string? NamedOrNull(HttpContext http, string what) => Single(http, Name(http, what)) is { Length: 64 } value ? value : null;

    private string Name(HttpContext http, string what) =>
        origins.IsSecure(http) ? $"__Host-countersign-{what}" : $"countersign-{http.Connection.LocalPort}-{what}";

    private void Append(HttpContext http, string name, string value, SameSiteMode sameSite, DateTimeOffset expires) =>
        http.Response.Cookies.Append(name, value, new CookieOptions { HttpOnly = true, Secure = origins.IsSecure(http), SameSite = sameSite, Path = "/", Expires = expires, IsEssential = true });

    private void Clear(HttpContext http, string name, SameSiteMode sameSite) =>
        http.Response.Cookies.Delete(name, new CookieOptions { HttpOnly = true, Secure = origins.IsSecure(http), SameSite = sameSite, Path = "/" });

    private static string? Single(HttpContext http, string name)
    {
        string? found = null;
        foreach (var header in http.Request.Headers.Cookie)
        {
            foreach (var pair in (header ?? "").Split(';', StringSplitOptions.TrimEntries))
            {
                var equals = pair.IndexOf('=', StringComparison.Ordinal);
                if (equals < 0 || !pair.AsSpan(0, equals).SequenceEqual(name)) continue;
                if (found is not null) return null;
                found = pair[(equals + 1)..];
            }
        }

        return found;
    }
}
