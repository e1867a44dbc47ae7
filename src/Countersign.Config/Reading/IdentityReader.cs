using Countersign.Config.Yaml;
using Countersign.Core;

namespace Countersign.Config.Reading;

internal static class IdentityReader
{
    private const int MaxText = 255;
    private const int MinToken = 32;
    private static readonly string[] DefaultScopes = ["openid", "profile"];

    public static IdentityConfig Read(Cursor at, References references, IReadOnlyList<string>? declared)
    {
        var (idle, lifetime) = (at["sessions"]["idle"].Duration(ConfigLimits.SessionIdle), at["sessions"]["lifetime"].Duration(ConfigLimits.SessionLifetime));
        if (idle > lifetime) at["sessions"]["idle"].Fail($"longer than `identity.sessions.lifetime` ({Durations.Format(lifetime)}), after which a session ends however busy; shorten it");
        return new IdentityConfig { SessionIdle = idle, SessionLifetime = lifetime, Oidc = Oidc(at["oidc"], references, declared), Scim = Scim(at["scim"], at["oidc"].Exists, references, declared) };
    }

    /// <summary>Whole or not at all: a provider that is half configured lets in whom nobody meant (P35).</summary>
    private static OidcConfig? Oidc(Cursor at, References references, IReadOnlyList<string>? declared)
    {
        if (!at.Exists) return null;
        var issuer = Issuer(at["issuer"]);
        var clientId = Text(at["client-id"], at["client-id"].Required("`client-id`, as it is registered at the provider"));
        var secret = references.Secret(at["client-secret"]);
        var isPublic = at["public-client"].Flag();
        if (at["client-secret"].Exists && isPublic) at["public-client"].Fail("says that there is no secret, where `client-secret` gives one; remove one of them");
        else if (!at["client-secret"].Exists && !isPublic) at.Fail("missing: `client-secret: { env: … }`; or say `public-client: true` on purpose, for a client without a secret");

        var scopes = new List<string>();
        foreach (var item in at["scopes"].Items())
        {
            if (item.Text is not { } scope) continue;

            // RFC 6749 §3.3.
            if (scope.Length is 0 or > MaxText || scope.Any(static c => c is < '!' or > '~' or '"' or '\\')) item.Fail($"`{Shown.Text(scope)}` is no scope");
            else if (scopes.Contains(scope, StringComparer.Ordinal)) item.Fail($"scope `{scope}` is listed twice");
            else scopes.Add(scope);
        }

        if (at["scopes"].IsList && !scopes.Contains("openid", StringComparer.Ordinal)) at["scopes"].Fail("lacks `openid`, without which the provider does not say who signs in");

        var groups = Groups(at["groups"], declared);
        if (issuer is null || clientId is null) return null;
        return new OidcConfig
        {
            Issuer = issuer,
            ClientId = clientId,
            ClientSecret = secret,
            Scopes = scopes.Count > 0 ? scopes : DefaultScopes,
            GroupsClaim = Text(at["groups-claim"], at["groups-claim"].Text) ?? "groups",
            NameClaim = Text(at["name-claim"], at["name-claim"].Text) ?? "preferred_username",
            SubjectClaim = Subject(at["subject-claim"]),
            Groups = groups,
            GroupsMaxAge = at["groups-max-age"].Duration(ConfigLimits.GroupsMaxAge),
        };
    }

    private static Dictionary<string, string>? Groups(Cursor at, IReadOnlyList<string>? declared)
    {
        Dictionary<string, string>? groups = null;
        foreach (var (theirs, _, value) in at.Entries())
        {
            groups ??= new Dictionary<string, string>(StringComparer.Ordinal);
            if (value.Text is not { } ours || !NameReader.Check(value, ours, "group")) continue;
            if (declared is not null && !declared.Contains(ours, StringComparer.Ordinal)) value.Fail($"group `{ours}` is not in `groups`{DidYouMean.Hint(ours, declared)}");
            else groups.Add(theirs, ours);
        }

        if (at.Exists && groups is null) at.Fail("maps no group; list the provider's groups with their names here, or remove it to take them as they are");
        return groups;
    }

    private static ScimConfig? Scim(Cursor at, bool hasProvider, References references, IReadOnlyList<string>? declared)
    {
        if (!at.Exists) return null;
        at["token"].Required("`token`, as `{ env: NAME }` or `{ file: path }`: what the identity provider proves itself with");
        var token = references.Secret(at["token"]);

        // Whoever guesses it makes approvers.
        if (token is not null && token.Reveal().Length < MinToken) at["token"].Fail($"shorter than {MinToken} characters; make it with `openssl rand -hex 32`");
        var match = at["match"].Text ?? (hasProvider ? "external-id" : "user-name");
        if (match is not ("external-id" or "user-name")) at["match"].Fail($"`{Shown.Text(match)}` is neither `external-id` nor `user-name`");
        else if (match == "external-id" && !hasProvider) at["match"].Fail("`external-id` is the subject of a provider, and there is none: give `identity.oidc`, or say `user-name`");
        var from = at["groups-from"].Text ?? "scim";
        if (from is not ("scim" or "claim")) at["groups-from"].Fail($"`{Shown.Text(from)}` is neither `scim` nor `claim`");
        else if (from == "claim" && !hasProvider) at["groups-from"].Fail("`claim` is of a provider, and there is none");
        var groups = Groups(at["groups"], declared);
        return token is null ? null : new ScimConfig { Token = token, MatchesUserName = match == "user-name", Groups = groups, OwnsGroups = from == "scim" };
    }

    private static string? Issuer(Cursor at)
    {
        if (at.Required("`issuer`, exactly as the provider writes it in its tokens") is not { } text) return null;

        // OpenID Connect Discovery §3: no query, no fragment; https, but for one's own machine.
        if (!Uri.TryCreate(text, UriKind.Absolute, out var uri) || uri.UserInfo.Length > 0 || uri.Query.Length > 0 || uri.Fragment.Length > 0 || text.AsSpan().IndexOfAny('?', '#') >= 0)
            at.Fail("not an address such as `https://id.example.com`");
        else if (uri.Scheme != Uri.UriSchemeHttps && !(uri.Scheme == Uri.UriSchemeHttp && uri.IsLoopback))
            at.Fail("must be https: over plain http anybody on the way could sign in as anybody");
        else
            return text;
        return null;
    }

    private static string Subject(Cursor at)
    {
        var claim = Text(at, at.Text) ?? "sub";

        // Names and addresses are given to another person one day (P32, Core §5.7).
        if (claim is "email" or "preferred_username" or "name" or "upn" or "nickname") at.Fail($"`{claim}` may be changed, or given to somebody else; use `sub`, or another claim that never is, such as Entra's `oid`");
        return claim;
    }

    private static string? Text(Cursor at, string? text)
    {
        if (text is null || (text.Length is > 0 and <= MaxText && !text.Any(char.IsControl))) return text;
        at.Fail($"not 1 to {MaxText} characters");
        return null;
    }

    /// <summary>The address that people are given: an origin and nothing behind it.</summary>
    public static Uri? PublicUrl(Cursor at)
    {
        if (at.Text is not { } text) return null;
        if (!Uri.TryCreate(text, UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https") || uri.UserInfo.Length > 0 || uri.PathAndQuery != "/" || uri.Fragment.Length > 0)
            at.Fail("not an address without a path, such as `https://countersign.example.com`");
        else if (uri.Scheme == Uri.UriSchemeHttp && !uri.IsLoopback)
            at.Fail("must be https: over plain http the session of whoever signs in can be read on the way");
        else
            return uri;
        return null;
    }
}
