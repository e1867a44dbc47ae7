using System.Net;
using System.Text;
using Countersign.Config.Yaml;

namespace Countersign.Config.Reading;

internal static class TargetReader
{
    private const int MaxIdentifierBytes = 63;
    private const int MaxHostLength = 253;

    private static readonly NumberLimit Port = new(5432, 1, 65535);

    private static readonly Dictionary<string, StrongRole> StrongRoles = new(StringComparer.Ordinal)
    {
        ["superuser"] = StrongRole.Superuser,
        ["replication"] = StrongRole.Replication,
        ["bypassrls"] = StrongRole.BypassRls,
        ["createrole"] = StrongRole.CreateRole,
        ["pg_read_server_files"] = StrongRole.ReadServerFiles,
        ["pg_write_server_files"] = StrongRole.WriteServerFiles,
        ["pg_execute_server_program"] = StrongRole.ExecuteServerProgram,
    };

    /// <summary>Keys of targets that are databases, and of nothing else.</summary>
    private static readonly string[] DatabaseKeys = ["host", "port", "database", "user", "password", "tls", "ca", "allow-strong-role"];

    public static (IReadOnlyDictionary<string, TargetConfig> Databases, IReadOnlyDictionary<string, McpServerConfig> Servers) Targets(Cursor at, References references)
    {
        var names = new NameReader("target");
        var targets = new Dictionary<string, TargetConfig>(StringComparer.Ordinal);
        var servers = new Dictionary<string, McpServerConfig>(StringComparer.Ordinal);
        foreach (var (name, key, target) in at.Entries())
        {
            // Read even where the name is wrong: every error at once.
            var fresh = names.TryTake(key, name);
            if (target["kind"].Text is "mcp")
            {
                foreach (var foreign in DatabaseKeys.Where(k => target[k].Exists)) target[foreign].Fail("is for a target of kind `postgres`; remove it");
                if (McpReader.Server(name, target, references) is { } server && fresh) servers.Add(name, server);
                continue;
            }

            foreach (var foreign in McpReader.Keys.Where(k => target[k].Exists)) target[foreign].Fail("is for a target of kind `mcp`; remove it");
            if (Target(name, target, references) is { } read && fresh) targets.Add(name, read);
        }

        return (targets, servers);
    }

    /// <summary>Null where something is wrong that was reported.</summary>
    private static TargetConfig? Target(string name, Cursor at, References references)
    {
        var kind = at["kind"].Required("`kind`: `postgres` or `mcp`");
        if (kind is not null and not "postgres") at["kind"].Fail($"`{Shown.Text(kind)}` is not a kind of target; use `postgres` or `mcp`{DidYouMean.Hint(kind, ["postgres", "mcp"])}");
        var environment = at["environment"].Required("`environment`, such as `prod`; policies decide by it");
        if (environment is not null) NameReader.Check(at["environment"], environment, "environment");
        var host = Host(at["host"]);
        var port = at["port"].Number(Port);
        var database = Identifier(at["database"], "`database`, the one database that agents reach");
        var user = Identifier(at["user"], "`user`, the gateway's own role on the target");
        at["password"].Required("`password`, as `{ env: NAME }` or `{ file: path }`");
        var password = references.Secret(at["password"]);

        var tls = Tls(at["tls"], host);
        var authorities = references.Authorities(at["ca"]);
        if (at["ca"].Exists && tls != TargetTls.VerifyFull) at["ca"].Fail("has no effect unless `tls` is `verify-full`; set that, or remove it");

        var strong = new HashSet<StrongRole>();
        foreach (var item in at["allow-strong-role"].Items())
        {
            if (item.Text is not { } text) continue;
            if (StrongRoles.TryGetValue(text, out var role)) strong.Add(role);
            else item.Fail($"`{Shown.Text(text)}` is not one of {string.Join(", ", StrongRoles.Keys.Select(static k => $"`{k}`"))}");
        }

        if (kind is null || environment is null || host is null || database is null || user is null || password is null) return null;
        return new TargetConfig
        {
            Name = name,
            Kind = TargetKind.Postgres,
            Environment = environment,
            Host = host,
            Port = port,
            Database = database,
            User = user,
            Password = password,
            PasswordFrom = at["password"]["env"].Text ?? at["password"]["file"].Text,
            Tls = tls,
            CaFile = authorities,
            AllowStrongRole = strong,
        };
    }

    private static string? Host(Cursor at)
    {
        if (at.Required("`host`, a name or an address") is not { } host) return null;
        var wellFormed = host.Length is > 0 and <= MaxHostLength
            && (IPAddress.TryParse(host, out _) || host.All(static c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_'));
        if (wellFormed) return host;

        // Not repeated: people paste whole connection strings here, with the password in them (P56).
        at.Fail("not a host name or address; give the name alone, without scheme, user, port or path");
        return null;
    }

    private static string? Identifier(Cursor at, string what)
    {
        if (at.Required(what) is not { } text) return null;
        if (text.Length > 0 && !text.Any(char.IsControl) && Encoding.UTF8.GetByteCount(text) <= MaxIdentifierBytes) return text;
        at.Fail($"not a PostgreSQL name: 1 to {MaxIdentifierBytes} bytes, no control characters");
        return null;
    }

    private static TargetTls Tls(Cursor at, string? host)
    {
        switch (at.Text)
        {
            case "disable": return TargetTls.Disable;
            case "require": return TargetTls.Require;
            case "verify-full": return TargetTls.VerifyFull;
            case null: break;
            case var other:
                at.Fail($"`{Shown.Text(other)}` is not one of `disable`, `require`, `verify-full`{DidYouMean.Hint(other, ["disable", "require", "verify-full"])}");
                break;
        }

        var loopback = host is "localhost" || (IPAddress.TryParse(host, out var address) && IPAddress.IsLoopback(address));
        return loopback ? TargetTls.Disable : TargetTls.VerifyFull;
    }
}
