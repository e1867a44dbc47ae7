using Countersign.Config;
using Countersign.Identity;
using Countersign.Identity.Oidc;
using Countersign.Identity.Scim;
using Countersign.Journal;
using Microsoft.Extensions.Logging;

namespace Countersign.Hosting;

/// <summary>Who may sign in, and how, from the config.</summary>
internal static class SigningIn
{
    public static Task<UserDirectory> DirectoryAsync(CountersignConfig config, IStateReader reader, JournalAppender journal, TimeProvider time) => UserDirectory.LoadAsync(
        config.Users.ToDictionary(static u => u.Name, static u => (IReadOnlySet<string>)u.Groups.ToHashSet(StringComparer.Ordinal), StringComparer.Ordinal), reader, journal,
        new DirectoryOptions
        {
            Links = config.Identity.Oidc is { } oidc
                ? config.Users.Where(static u => u.Subject is not null).ToDictionary(static u => u.Name, u => new Subject(oidc.Issuer, u.Subject!), StringComparer.Ordinal)
                : [],
            GroupsMaxAge = config.Identity.Oidc?.GroupsMaxAge ?? TimeSpan.FromMinutes(5),
            Time = time,
            Scim = config.Identity.Scim is not { } scim ? null : new ScimOptions
            {
                Match = scim.MatchesUserName ? ScimMatch.UserName : ScimMatch.ExternalId,
                OwnsGroups = scim.OwnsGroups,
                Groups = new GroupNames(scim.Groups, config.Groups),
                Issuer = config.Identity.Oidc?.Issuer,
            },
        });

    public static LoginLimits Limits(IdentityConfig config) => new() { SessionLifetime = config.SessionLifetime, IdleLifetime = config.SessionIdle };

    public static OidcSignIn? Oidc(CountersignConfig config, UserDirectory users, HumanSessions sessions, TimeProvider time, ILoggerFactory loggers) =>
        config.Identity.Oidc is not { } oidc ? null : new OidcSignIn(new OidcOptions
        {
            Issuer = oidc.Issuer,
            ClientId = oidc.ClientId,
            ClientSecret = oidc.ClientSecret?.Reveal(),
            Scopes = oidc.Scopes,
            GroupsClaim = oidc.GroupsClaim,
            NameClaim = oidc.NameClaim,
            SubjectClaim = oidc.SubjectClaim,
            Groups = new GroupNames(oidc.Groups, config.Groups),
        }, users, sessions, time, loggers.CreateLogger<OidcSignIn>());
}
