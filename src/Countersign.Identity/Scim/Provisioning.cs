namespace Countersign.Identity.Scim;

/// <summary>What provisioning says of people, at one moment.</summary>
internal sealed class Provisioning
{
    private readonly ScimOptions options;
    private readonly Dictionary<string, ScimUser> byExternalId = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ScimUser> byUserName = new(StringComparer.OrdinalIgnoreCase);
    private readonly ILookup<string, string> groups;

    public Provisioning(ScimOptions options, IEnumerable<ScimUser> users, IEnumerable<ScimGroup> groups)
    {
        this.options = options;

        // Of two records of one name the living one speaks: the other was deleted before.
        foreach (var user in users.OrderBy(static u => u.Deleted ? 0 : 1).ThenBy(static u => u.ModifiedAt))
        {
            byUserName[user.UserName] = user;
            if (user.ExternalId is { } external) byExternalId[external] = user;
        }

        this.groups = groups.SelectMany(g => options.Groups.Of(g.DisplayName) is { } name ? g.Members.Select(m => (Member: m, Name: name)) : [])
            .ToLookup(static m => m.Member, static m => m.Name, StringComparer.Ordinal);
    }

    /// <summary>
    /// The record of a user, and whether it vouches for him: gives him groups. A record that is found by the other attribute
    /// gives nothing, but an inactive one takes away: disabled anywhere is disabled here.
    /// </summary>
    public (ScimUser? Record, bool Vouches) Of(UserEntry user)
    {
        var external = user.Subject is { } subject && subject.Issuer == options.Issuer ? byExternalId.GetValueOrDefault(subject.Value) : null;
        var named = byUserName.GetValueOrDefault(user.Ref.Name);

        // His own record says that he left: a new one of the same name is somebody else's.
        if (options.Match == ScimMatch.UserName && external is { Active: false }) return (external, false);
        var (first, second) = options.Match == ScimMatch.ExternalId ? (external, named) : (named, external);
        return first is not null ? (first, true) : (second, false);
    }

    public IEnumerable<string> GroupsOf(ScimUser user) => groups[user.Id];
}
