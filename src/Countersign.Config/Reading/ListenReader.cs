using System.Globalization;
using System.Net;
using Countersign.Config.Yaml;

namespace Countersign.Config.Reading;

internal static class ListenReader
{
    public static ListenConfig Read(Cursor at, References references)
    {
        var tls = references.Tls(at["tls"]);
        var insecure = at["insecure"].Flag();
        var http = EndPoint(at["http"], new IPEndPoint(IPAddress.Loopback, 8080));
        var postgres = EndPoint(at["postgres"], new IPEndPoint(IPAddress.Loopback, 6543));
        if (http.Equals(postgres) && http.Port != 0) at.Fail("`http` and `postgres` can not share one address and port");
        if (at["tls"].Exists && insecure) at["insecure"].Fail("says to do without TLS where `tls` is given; remove one of them");
        if (!at["tls"].Exists && !insecure)
        {
            RefusePlain(at["http"], http);
            RefusePlain(at["postgres"], postgres);
        }

        return new ListenConfig(http, postgres) { Tls = tls, Insecure = insecure, Url = IdentityReader.PublicUrl(at["url"]) };
    }

    private static void RefusePlain(Cursor at, IPEndPoint endPoint)
    {
        if (IPAddress.IsLoopback(endPoint.Address)) return;
        at.Fail("reachable from other machines without TLS, which would show keys and data to the network; give `listen.tls`, or say `listen.insecure: true` on purpose");
    }

    /// <summary>`127.0.0.1:8080`, `[::1]:8080` or `localhost:8080`; names are not looked up, since they change.</summary>
    private static IPEndPoint EndPoint(Cursor at, IPEndPoint fallback)
    {
        if (at.Text is not { } text) return fallback;
        var colon = text.LastIndexOf(':');
        if (colon > 0
            && text.Length - colon is > 1 and <= 6
            && ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port)
            && Address(text[..colon]) is { } address)
        {
            return new IPEndPoint(address, port);
        }

        at.Fail($"`{Shown.Text(text)}` is not an address and port, such as `127.0.0.1:8080` or `[::1]:8080`");
        return fallback;
    }

    private static IPAddress? Address(string text)
    {
        if (text == "localhost") return IPAddress.Loopback;
        var bracketed = text.StartsWith('[') && text.EndsWith(']');
        if (bracketed) text = text[1..^1];
        if (!IPAddress.TryParse(text, out var address)) return null;

        // Brackets and colons go together; and `127.1` or `2130706433` are spellings that a reader takes for something else.
        var six = address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6;
        if (six != bracketed) return null;
        return six || address.ToString() == text ? address : null;
    }
}
