using System.Net;
using Countersign.Config.Yaml;

namespace Countersign.Config.Reading;

/// <summary>A target of kind `mcp`: an address, or a program to start; never both.</summary>
internal static class McpReader
{
    private const int MaxText = 4096;

    /// <summary>Keys of such a target, and of no other.</summary>
    public static readonly string[] Keys = ["url", "token", "headers", "command", "args", "pass-env", "secret-env", "folder", "hold"];

    private static readonly string[] OfUrl = ["token", "headers"];
    private static readonly string[] OfCommand = ["args", "pass-env", "secret-env", "folder"];

    /// <summary>Headers that are the protocol's, the connection's or a hop's, and never the operator's.</summary>
    private static readonly HashSet<string> Reserved = new(StringComparer.OrdinalIgnoreCase)
    {
        "Accept", "Accept-Encoding", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "Host", "Keep-Alive", "Last-Event-ID", "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name",
        "Mcp-Session-Id", "Proxy-Authorization", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
    };

    /// <summary>Null where something is wrong that was reported.</summary>
    public static McpServerConfig? Server(string name, Cursor at, References references)
    {
        var environment = at["environment"].Required("`environment`, such as `prod`; policies decide by it");
        if (environment is not null) NameReader.Check(at["environment"], environment, "environment");
        var (url, command) = (at["url"], at["command"]);
        if (url.Exists == command.Exists)
        {
            at.Fail(url.Exists ? "names both `url` and `command`; keep one of them" : "missing: `url`, where the server is, or `command`, the program that it is");
        }

        var address = url.Exists ? Address(url) : null;
        var program = command.Exists ? Line(command, command.Text) : null;
        foreach (var key in (url.Exists ? OfCommand : OfUrl).Where(k => at[k].Exists)) at[key].Fail(url.Exists ? "is for a server that is started with `command`; remove it" : "is for a server at a `url`; remove it");
        var server = new McpServerConfig
        {
            Name = name,
            Environment = environment ?? "",
            Url = address,
            Headers = Headers(at, references),
            Command = program,
            Arguments = Arguments(at["args"]),
            PassedEnvironment = Passed(at["pass-env"]),
            SecretEnvironment = Variables(at["secret-env"], references),
            Folder = references.Folder(at["folder"]),
            Hold = at["hold"].Duration(ConfigLimits.McpHold),
        };
        return environment is null || (address is null && program is null) ? null : server;
    }

    private static Uri? Address(Cursor at)
    {
        // Not repeated: a credential may be pasted into an address (P56).
        if (at.Text is not { } text || !Uri.TryCreate(text, UriKind.Absolute, out var url) || url.Scheme is not ("https" or "http") || url.UserInfo.Length > 0 || url.Fragment.Length > 0)
        {
            at.Fail("not an address; write `https://host/path`, without user, password or fragment");
            return null;
        }

        var loopback = url.IsLoopback || (IPAddress.TryParse(url.Host.Trim('[', ']'), out var address) && IPAddress.IsLoopback(address));
        if (url.Scheme == "https" || loopback) return url;
        at.Fail("plain http is for loopback only: the credential would pass in clear; use https");
        return null;
    }

    private static Dictionary<string, Secret> Headers(Cursor at, References references)
    {
        var headers = new Dictionary<string, Secret>(StringComparer.OrdinalIgnoreCase);
        foreach (var (name, key, value) in at["headers"].Entries())
        {
            if (name.Length is 0 or > 64 || !name.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-')) key.Fail("not the name of a header: letters, digits and `-`");
            else if (Reserved.Contains(name)) key.Fail($"`{name}` is set by the gateway itself; remove it");
            else if (Ascii(value, references.Secret(value)) is { } secret && !headers.TryAdd(name, secret)) key.Fail($"`{name}` is there twice");
        }

        if (headers.Count > ConfigLimits.McpItems) at["headers"].Fail($"more than {ConfigLimits.McpItems}");
        if (!at["token"].Exists || Ascii(at["token"], references.Secret(at["token"])) is not { } token) return headers;
        if (!headers.TryAdd("Authorization", new Secret($"Bearer {token.Reveal()}"))) at["token"].Fail("is sent as `Authorization`, which `headers` has too; keep one of them");
        return headers;
    }

    private static Secret? Ascii(Cursor at, Secret? secret)
    {
        if (secret is null || secret.Reveal().All(static c => c is >= ' ' and <= '~')) return secret;
        at.Fail("can not be sent in a header: it has characters outside printable ASCII");
        return null;
    }

    private static string[] Arguments(Cursor at)
    {
        var arguments = at.Items().Select(static i => i.Text ?? "").ToArray();
        if (arguments.Length > ConfigLimits.McpItems || arguments.Any(static a => a.Length > MaxText || a.Contains('\0', StringComparison.Ordinal))) at.Fail($"more than {ConfigLimits.McpItems} arguments, or one longer than {MaxText} characters");
        return arguments;
    }

    private static string[] Passed(Cursor at) => at.Items().Where(static i => i.Text is { } name && Variable(i, name)).Select(static i => i.Text!).Distinct(StringComparer.Ordinal).ToArray();

    private static Dictionary<string, Secret> Variables(Cursor at, References references)
    {
        var variables = new Dictionary<string, Secret>(StringComparer.Ordinal);
        foreach (var (name, key, value) in at.Entries())
        {
            if (Variable(key, name) && references.Secret(value) is { } secret) variables[name] = secret;
        }

        return variables;
    }

    private static bool Variable(Cursor at, string name)
    {
        if (name.Length is > 0 and <= 128 && !char.IsAsciiDigit(name[0]) && name.All(static c => char.IsAsciiLetterOrDigit(c) || c == '_'))
        {
            // What makes the loader run other code is no setting of a server.
            if (!name.StartsWith("LD_", StringComparison.Ordinal)) return true;
            at.Fail("variables of the dynamic loader are not passed on");
            return false;
        }

        at.Fail("not the name of an environment variable (letters, digits and `_`)");
        return false;
    }

    private static string? Line(Cursor at, string? text)
    {
        if (text is { Length: > 0 and <= MaxText } && !text.Any(char.IsControl)) return text;
        at.Fail("not a program; give its path, or a name that is on `PATH`, and its arguments in `args`");
        return null;
    }
}
