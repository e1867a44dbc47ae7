using System.Globalization;
using System.Net;

namespace Countersign.Api;

/// <summary>Under which address browsers know this server.</summary>
/// <param name="loopbackOnly">The listener is on loopback.</param>
/// <param name="certificateNames">Whether the listener's certificate is for this name.</param>
/// <param name="published">The address that people are given, where the config names one; a proxy may stand behind it.</param>
/// <param name="listener">Where it listens, once it does.</param>
internal sealed class Origins(bool loopbackOnly, Func<string, bool> certificateNames, Uri? published, Func<Uri> listener)
{
    /// <summary>Whether a request may name this host. A page that made a name of its own point here (DNS rebinding, P45) still sends that name.</summary>
    public bool AllowsHost(string host)
    {
        if (host.Equals("localhost", StringComparison.OrdinalIgnoreCase)) return true;

        // An address can not be rebound: a name can. Beyond loopback any address is one of ours, or the connection would not be here.
        if (IPAddress.TryParse(host.Trim('[', ']'), out var address)) return !loopbackOnly || IPAddress.IsLoopback(address);
        return host.Length > 0 && (host.Equals(published?.IdnHost, StringComparison.OrdinalIgnoreCase) || certificateNames(host));
    }

    /// <summary>Whether the browser speaks https, to us or to the proxy that the config names.</summary>
    public bool IsSecure(HttpContext http) => http.Request.IsHttps || IsPublished(http) && published!.Scheme == Uri.UriSchemeHttps;

    /// <summary>The origin that this request was sent to, as the browser knows it (RFC 6454 §6.2).</summary>
    public string Of(HttpContext http) =>
        IsPublished(http) ? published!.GetLeftPart(UriPartial.Authority) : $"{http.Request.Scheme}://{http.Request.Host.Value}";

    /// <summary>
    /// Where links lead that somebody else will open, a person at the terminal or a provider. Never merely what a request
    /// says of itself: who could choose the port or the address would have the code sent to himself.
    /// </summary>
    public Uri LinkBase(HttpContext http)
    {
        if (published is not null) return published;
        var host = http.Request.Host.Host;
        var local = http.Connection.LocalIpAddress ?? IPAddress.Loopback;
        if (local.IsIPv4MappedToIPv6) local = local.MapToIPv4();
        var address = IPAddress.TryParse(host.Trim('[', ']'), out var named) ? named : null;
        var ours = host.Equals("localhost", StringComparison.OrdinalIgnoreCase) || certificateNames(host) || (address is not null && (IPAddress.IsLoopback(address) || address.Equals(local)));
        if (!ours) host = local.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 ? $"[{local}]" : local.ToString();
        return new Uri(string.Create(CultureInfo.InvariantCulture, $"{http.Request.Scheme}://{host}:{http.Connection.LocalPort}"));
    }

    /// <summary>
    /// Whether a page of this origin is one of ours, so that what a passkey signed on it was signed for us. It goes by what the
    /// config says and where we listen, never by what a request says of itself: on `localhost` every port is somebody else's page.
    /// </summary>
    public bool IsOwn(string origin)
    {
        if (!Uri.TryCreate(origin, UriKind.Absolute, out var at) || at.GetLeftPart(UriPartial.Authority) != origin) return false;
        if (published is not null && origin == published.GetLeftPart(UriPartial.Authority)) return true;
        var own = listener();
        return at.Scheme == own.Scheme && at.Port == own.Port && (certificateNames(at.IdnHost) || (published is null && loopbackOnly && at.IdnHost == Localhost));
    }

    /// <summary>The host that passkeys made on this page are for; null where browsers take none: an address that is a number has no name.</summary>
    public string? RelyingParty(HttpContext http) =>
        Of(http) is var origin && IsOwn(origin) && new Uri(origin) is { HostNameType: UriHostNameType.Dns } at ? at.IdnHost : null;

    /// <summary>An address of this server on which passkeys work; null where it has none that we know.</summary>
    public Uri? WherePasskeysWork => published is not null
        ? published.HostNameType == UriHostNameType.Dns ? published : null
        : loopbackOnly ? new UriBuilder(listener()) { Host = Localhost }.Uri : null;

    private const string Localhost = "localhost";

    private bool IsPublished(HttpContext http) =>
        published is not null && string.Equals(http.Request.Host.Host, published.IdnHost, StringComparison.OrdinalIgnoreCase);
}
