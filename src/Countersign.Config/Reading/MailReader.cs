using System.Net;
using Countersign.Config.Yaml;

namespace Countersign.Config.Reading;

internal static class MailReader
{
    private static readonly Dictionary<string, (MailTls Tls, int Port)> Ways = new(StringComparer.Ordinal)
    {
        ["implicit"] = (MailTls.Implicit, 465), ["starttls"] = (MailTls.StartTls, 587), ["none"] = (MailTls.None, 25),
    };

    public static MailConfig? Read(Cursor at, References references, Classification classification)
    {
        if (!at.Exists) return null;
        var host = Host(at["host"]);
        var way = at["tls"].Text ?? "implicit";
        if (!Ways.TryGetValue(way, out var found)) at["tls"].Fail($"`{Shown.Text(way)}` is not one of {string.Join(", ", Ways.Keys.Select(static w => $"`{w}`"))}");
        if (found == default) found = Ways["implicit"];
        if (found.Tls == MailTls.None && host is not null && !IsLoopback(host)) at["tls"].Fail("`none` is for a server on this machine: write `implicit` or `starttls`");
        var port = at["port"].Exists ? at["port"].Number(new NumberLimit(found.Port, 1, 65535)) : found.Port;
        var from = at["from"].Required("`from`, the sender's address, such as `countersign@example.com`");
        if (from is not null && !IsAddress(from)) at["from"].Fail("not an address such as `countersign@example.com`");
        var user = at["user"].Text;
        var password = references.Secret(at["password"]);
        if (user is not null && (user.Length is 0 or > 255 || user.Any(char.IsControl))) at["user"].Fail("not 1 to 255 characters");
        if (at["user"].Exists != at["password"].Exists) at.Fail("`user` and `password` belong together; give both, or none where the server asks for none");
        if (at["user"].Exists && found.Tls == MailTls.None) at["user"].Fail("a password is sent over TLS or not at all; write `tls: implicit` or `starttls`");
        if (at["ca"].Exists && found.Tls == MailTls.None) at["ca"].Fail("has no effect without TLS; remove it");
        var authorities = references.Authorities(at["ca"]);
        var carries = ChannelReader.Carries(at["highest-class"], classification);
        if (host is null || from is null) return null;
        return new MailConfig { Host = host, Port = port, Tls = found.Tls, User = user, Password = password, From = from, CaFile = authorities, Carries = carries };
    }

    /// <summary>
    /// One address of common letters (RFC 5321 §4.1.2, without quoted local parts): nothing in it could be read as a second
    /// one, or as a command.
    /// </summary>
    public static bool IsAddress(string text)
    {
        if (text.Length > 254 || text.Split('@') is not [{ Length: > 0 and <= 64 } local, { Length: > 0 } domain]) return false;
        return local.All(static c => char.IsAsciiLetterOrDigit(c) || "!#$%&'*+/=?^_`{|}~.-".Contains(c, StringComparison.Ordinal)) && !local.StartsWith('.') && !local.EndsWith('.') && !local.Contains("..", StringComparison.Ordinal)
            && domain.Split('.').All(static label => label.Length is > 0 and <= 63 && label.All(static c => char.IsAsciiLetterOrDigit(c) || c == '-') && label[0] != '-' && label[^1] != '-');
    }

    private static string? Host(Cursor at)
    {
        if (at.Required("`host`, the mail server's name") is not { } host) return null;
        if (host.Length is > 0 and <= 253 && (IPAddress.TryParse(host, out _) || host.All(static c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_'))) return host;
        at.Fail("not a host name or address; give the name alone, without scheme, user, port or path");
        return null;
    }

    private static bool IsLoopback(string host) => host is "localhost" || (IPAddress.TryParse(host, out var address) && IPAddress.IsLoopback(address));
}
