using System.Globalization;
using Countersign.Config.Yaml;
using Countersign.Core;

namespace Countersign.Config.Reading;

/// <summary>`identity.issuers`, `identity.runtimes` and `identity.mtls`: whole or not at all, since half of it lets in whom nobody meant (P35).</summary>
internal sealed partial class FederationReader
{
    private const int MaxText = 1024;

    /// <summary>Public issuers that sign for everybody in the world, and the claims of which one must say for whom.</summary>
    private static readonly Dictionary<string, (string Prefix, string[] Claims)> Shared = new(StringComparer.Ordinal)
    {
        ["https://token.actions.githubusercontent.com"] = ("repo:", ["repository", "repository_id", "repository_owner", "repository_owner_id", "enterprise_id"]),
        ["https://gitlab.com"] = ("project_path:", ["project_path", "project_id", "namespace_id", "namespace_path"]),
    };

    private readonly References references;
    private readonly IReadOnlyList<string> users;
    private readonly OidcConfig? provider;
    private readonly NameReader agentNames = new("agent");

    private FederationReader(References references, IReadOnlyList<string> users, OidcConfig? provider)
    {
        this.references = references;
        this.users = users;
        this.provider = provider;
    }

    /// <param name="provider">The provider that people sign in at, and that knows users whom the config does not; null for none.</param>
    public static FederationConfig Read(Cursor at, References references, ListenConfig listen, IReadOnlyList<string> users, OidcConfig? provider)
    {
        var reader = new FederationReader(references, users, provider);
        var insecure = at["insecure-loopback"].Flag();
        var issuers = reader.Issuers(at["issuers"]);
        var certificates = reader.Certificates(at["mtls"]);
        var runtimes = reader.Runtimes(at["runtimes"], issuers.SelectMany(static i => i.Agents).Concat(certificates?.Agents ?? []).ToArray());
        if (listen.Tls is null)
        {
            if (at["mtls"].Exists) at["mtls"].Fail("client certificates need TLS; give `listen.tls`");
            if (at["issuers"].Exists && !insecure) at["issuers"].Fail("a token is a password, and passes over TLS only; give `listen.tls`, or say `identity.insecure-loopback: true` on purpose, for loopback");
        }

        if (insecure && !System.Net.IPAddress.IsLoopback(listen.Postgres.Address)) at["insecure-loopback"].Fail("is for a listener on loopback only, and `listen.postgres` is not");
        return new FederationConfig { Issuers = issuers, Runtimes = runtimes, Certificates = certificates, InsecureLoopback = insecure };
    }

    private IReadOnlyList<IssuerConfig> Issuers(Cursor at)
    {
        var names = new NameReader("issuer");
        var byIssuer = new Dictionary<string, string>(StringComparer.Ordinal);
        var issuers = new List<IssuerConfig>();
        foreach (var (name, key, value) in at.Entries())
        {
            var fresh = names.TryTake(key, name);
            if (Issuer(name, value) is not { } issuer || !fresh) continue;
            if (byIssuer.TryAdd(issuer.Issuer, name)) issuers.Add(issuer);
            else value["issuer"].Fail($"is that of `{byIssuer[issuer.Issuer]}` too; put its agents in one place");
        }

        return issuers.OrderBy(static i => i.Name, StringComparer.Ordinal).ToArray();
    }

    private IssuerConfig? Issuer(string name, Cursor at)
    {
        var issuer = Text(at["issuer"], at["issuer"].Required("`issuer`, exactly as it stands in the tokens (`iss`)"));
        var audience = Text(at["audience"], at["audience"].Required("`audience`, the `aud` that tokens for this gateway bear; a token for anybody else is none for us"));
        if (provider is not null && issuer == provider.Issuer && audience == provider.ClientId) at["audience"].Fail("is `identity.oidc.client-id`: the ID token of everybody who signs in would be a workload's; have one of its own");
        if (issuer is not null && audience == issuer) at["audience"].Fail("is the issuer itself: its tokens for its own use would open this gateway");

        var (url, file) = Keys(at, issuer);
        var replay = at["replay"].Text;
        if (replay is not null and not "once" and not "reuse") at["replay"].Fail($"`{Shown.Text(replay)}` is neither `once` nor `reuse`");
        var type = at["type"].Text ?? "JWT";
        if (type is not ("JWT" or "at+jwt" or "wit+jwt")) at["type"].Fail($"`{Shown.Text(type)}` is not one of `JWT`, `at+jwt`, `wit+jwt`");

        var (claim, people) = People(at["people"], issuer);
        var agents = new List<WorkloadConfig>();
        foreach (var (agent, key, value) in at["agents"].Entries())
        {
            if (Agent(agent, key, value) is not { } workload) continue;
            var match = Match(value["match"], issuer);
            var delegated = value["delegated"].Flag();
            if (delegated && workload.For is not null) value["for"].Fail("fixes the user that `delegated` takes from the token; keep one of them");
            if (match is not null) agents.Add(workload with { Match = match, Delegated = delegated });
        }

        if (!at["agents"].Entries().Any()) at.Fail("missing: `agents`, which workloads of this issuer are which agents");
        if (issuer is null || audience is null) return null;
        return new IssuerConfig
        {
            Name = name,
            Issuer = issuer,
            Audience = audience,
            JwksUrl = url,
            JwksFile = file,
            Type = type,
            Once = replay != "reuse",
            MaxLifetime = at["max-lifetime"].Duration(ConfigLimits.TokenLifetime),
            Grace = at["grace"].Duration(ConfigLimits.CredentialGrace),
            Agents = agents.OrderBy(static a => a.Name, StringComparer.Ordinal).ToArray(),
            PeopleClaim = claim,
            People = people,
        };
    }

    /// <summary>Where the keys are: an address, a file, or neither, to find them by discovery.</summary>
    private (Uri? Url, string? File) Keys(Cursor at, string? issuer)
    {
        var jwks = at["jwks"];
        var url = KeysUrl(jwks["url"]);
        var file = references.FullPath(jwks);
        if (jwks["url"].Exists && jwks["file"].Exists) jwks.Fail("names both a URL and a file; keep one of them");
        if (file is not null && !FileReader.TryRead(file, ConfigLimits.PemBytes, out _, out _, out var why)) jwks["file"].Fail($"can not read `{Shown.Text(file)}`: {why}");
        if (issuer is not null && !jwks.Exists && !IsFetchable(issuer)) at["issuer"].Fail("is no https address, so its keys can not be found by discovery; give `jwks: { url: … }` or `jwks: { file: … }`");
        return (url, file);
    }

    private (string Claim, IReadOnlyDictionary<string, string> Users) People(Cursor at, string? issuer)
    {
        var people = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var (subject, _, user) in at["users"].Entries())
        {
            if (user.Text is { } known && User(user, known)) people.Add(subject, known);
        }

        var claim = Text(at["claim"], at["claim"].Text) ?? (issuer is not null && issuer == provider?.Issuer ? provider.SubjectClaim : "sub");
        if (claim is "email" or "preferred_username" or "name" or "upn" or "nickname") at["claim"].Fail($"`{claim}` may be changed, or given to somebody else; use `sub`, or another claim that never is, such as Entra's `oid`");
        return (claim, people);
    }

    /// <summary>Name, owner, groups and `for` of a workload; what it must match is read by its kind.</summary>
    private WorkloadConfig? Agent(string name, Cursor key, Cursor at)
    {
        var named = agentNames.TryTake(key, name);
        if (named && (!char.IsAsciiLetter(name[0]) || name.Contains('@', StringComparison.Ordinal)))
        {
            key.Fail($"agent `{Shown.Text(name)}` must begin with a letter and have no `@`");
            named = false;
        }

        if (named && name != name.ToLowerInvariant())
        {
            key.Fail($"agent `{Shown.Text(name)}` has capitals; write it in lower case, as it is in `postgres://{Shown.Text(name.ToLowerInvariant())}@…`");
            named = false;
        }

        if (named && users.Contains(name, StringComparer.OrdinalIgnoreCase))
        {
            key.Fail($"`{name}` is the name of a user");
            named = false;
        }

        at["match"].Required("`match`, what makes a workload this agent");
        var owner = at["owner"].Required("`owner`, the human who answers for it, and can not approve what it does");
        if (owner is not null && !User(at["owner"], owner)) owner = null;
        var onBehalfOf = at["for"].Text;
        if (onBehalfOf is not null && !User(at["for"], onBehalfOf)) onBehalfOf = null;
        var names = new NameReader("group");
        var groups = at["groups"].Items().Where(item => item.Text is { } group && names.TryTake(item, group)).Select(static item => item.Text!).Order(StringComparer.Ordinal).ToArray();
        return named && owner is not null ? new WorkloadConfig(name, new Dictionary<string, SubjectPattern>(), owner) { Groups = groups, For = onBehalfOf } : null;
    }

    private static Dictionary<string, SubjectPattern>? Match(Cursor at, string? issuer)
    {
        if (!at.Exists) return null;
        var match = Patterns(at.Entries().Select(static e => (e.Key, e.Value)));
        if (!match.TryGetValue("sub", out var subject))
        {
            if (!at.Entries().Any(static e => e.Key == "sub")) at.Fail("missing: `sub`; without it every workload of this issuer with the other claims would be this agent");
            return null;
        }

        if (issuer is not null && Shared.TryGetValue(issuer, out var shared)
            && !IsFixedBeyond(subject, shared.Prefix) && !shared.Claims.Any(c => match.TryGetValue(c, out var claim) && claim.IsExact))
        {
            at.Fail($"this issuer signs for everybody, and `sub` does not fix whose workload it is; write the owner out (`{shared.Prefix}acme/…`), or add one of {string.Join(", ", shared.Claims.Select(static c => $"`{c}`"))}");
        }

        return match;
    }

    /// <summary>True where the owner, the segment after the prefix, is written out.</summary>
    private static bool IsFixedBeyond(SubjectPattern pattern, string prefix) =>
        pattern.IsExact || (pattern.FixedPrefix.StartsWith(prefix, StringComparison.Ordinal) && pattern.FixedPrefix.AsSpan(prefix.Length).IndexOf('/') > 0);

    private static Dictionary<string, SubjectPattern> Patterns(IEnumerable<(string Key, Cursor Value)> entries)
    {
        var match = new Dictionary<string, SubjectPattern>(StringComparer.Ordinal);
        foreach (var (claim, value) in entries)
        {
            if (value.Text is not { } text) continue;
            if (claim is "iss" or "aud" or "exp" or "nbf" or "iat" or "jti" or "act") value.Fail($"`{claim}` is checked of every token and is no matter of a rule");
            else if (SubjectPattern.TryParse(text, out var pattern, out var why)) match.Add(claim, pattern);
            else value.Fail($"`{Shown.Text(text)}`: {why}");
        }

        return match;
    }

    private CertificatesConfig? Certificates(Cursor at)
    {
        if (!at.Exists) return null;
        at["ca"].Required("`ca: { file: … }`, the PEM certificates of the authorities that issue client certificates");
        var authorities = references.Authorities(at["ca"]);
        var revoked = new HashSet<string>(StringComparer.Ordinal);
        foreach (var item in at["revoked"].Items())
        {
            if (item.Text is not { } text) continue;
            var serial = text.Replace(":", "", StringComparison.Ordinal).ToLowerInvariant().TrimStart('0');
            if (serial.Length is 0 or > 64 || !serial.All(char.IsAsciiHexDigitLower)) item.Fail($"`{Shown.Text(text)}` is no serial number; write it in hex, in quotes, as `openssl x509 -serial` does");
            else revoked.Add(serial);
        }

        var agents = new List<WorkloadConfig>();
        foreach (var (name, key, value) in at["agents"].Entries())
        {
            if (Agent(name, key, value) is not { } agent) continue;
            var match = Patterns([("uri", value["match"]["uri"]), ("dns", value["match"]["dns"])]);
            if (match.TryGetValue("dns", out var dns) && (!dns.IsExact || dns.Text != dns.Text.ToLowerInvariant())) value["match"]["dns"].Fail("a DNS name is matched exactly: write it out, in lower case");
            else if (match.Count > 0) agents.Add(agent with { Match = match });
            else if (value["match"].Exists && !value["match"]["uri"].Exists && !value["match"]["dns"].Exists) value["match"].Fail("missing: `uri` or `dns`, a subject alternative name of the certificate");
        }

        if (!at["agents"].Entries().Any()) at.Fail("missing: `agents`, which certificates are which agents");
        return authorities is null ? null : new CertificatesConfig { CaFile = authorities, Revoked = revoked, Grace = at["grace"].Duration(ConfigLimits.CredentialGrace), Agents = agents.OrderBy(static a => a.Name, StringComparer.Ordinal).ToArray() };
    }

    private bool User(Cursor at, string name)
    {
        if (users.Contains(name, StringComparer.Ordinal)) return true;
        if (!NameReader.Check(at, name, "user")) return false;
        if (provider is not null) return true; // the provider's: who he is, is known when the agent signs in
        at.Fail($"`{name}` is not in `users`{DidYouMean.Hint(name, users)}");
        return false;
    }

    private static string? Text(Cursor at, string? text)
    {
        if (text is null || (text.Length is > 0 and <= MaxText && !text.Any(char.IsControl))) return text;
        at.Fail(string.Create(CultureInfo.InvariantCulture, $"not 1 to {MaxText} characters"));
        return null;
    }

    private static Uri? KeysUrl(Cursor at)
    {
        if (at.Text is not { } text) return null;
        if (IsFetchable(text)) return new Uri(text);
        at.Fail("must be an https address: who can change the keys on the way can be anybody");
        return null;
    }

    /// <summary>https; or http on loopback, where there is no way to change anything on.</summary>
    private static bool IsFetchable(string text) =>
        Uri.TryCreate(text, UriKind.Absolute, out var uri) && uri.UserInfo.Length == 0 && uri.Query.Length == 0 && uri.Fragment.Length == 0
        && (uri.Scheme == Uri.UriSchemeHttps || (uri.Scheme == Uri.UriSchemeHttp && uri.IsLoopback));
}
