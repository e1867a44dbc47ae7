using Countersign.Config.Yaml;

namespace Countersign.Config.Reading;

internal static class PeopleReader
{
    /// <summary>The declared groups, or null where the file declares none.</summary>
    public static IReadOnlyList<string>? Groups(Cursor at)
    {
        if (!at.IsList) return null;
        var names = new NameReader("group");
        var groups = new List<string>();
        foreach (var item in at.Items())
        {
            if (item.Text is { } name && names.TryTake(item, name)) groups.Add(name);
        }

        return groups.Order(StringComparer.Ordinal).ToArray();
    }

    public static IReadOnlyList<UserConfig> Users(Cursor at, IReadOnlyList<string>? declared, bool hasProvider)
    {
        var subjects = new HashSet<string>(StringComparer.Ordinal);
        var names = new NameReader("user");
        var spellings = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        var users = new List<UserConfig>();
        var any = false;
        foreach (var (name, key, user) in at.Entries())
        {
            any = true;
            var groups = new NameReader("group");
            var member = new List<string>();
            foreach (var item in user["groups"].Items())
            {
                if (item.Text is not { } group || !groups.TryTake(item, group)) continue;
                if (declared is not null && !declared.Contains(group, StringComparer.Ordinal))
                    item.Fail($"group `{group}` is not in `groups`{DidYouMean.Hint(group, declared)}");
                else if (!spellings.TryAdd(group, group) && spellings[group] != group)
                    item.Fail($"group `{group}` differs from `{spellings[group]}` only by case; rename one of them");
                else
                    member.Add(group);
            }

            var subject = user["subject"].Text;
            if (subject is not null && !hasProvider) user["subject"].Fail("names whom the provider knows, and there is none: give `identity.oidc`, or remove it");
            else if (subject is not null && (subject.Length is 0 or > 255 || subject.Any(char.IsControl))) user["subject"].Fail("not a subject: 1 to 255 characters");
            else if (subject is not null && !subjects.Add(subject)) user["subject"].Fail("is another user's too: one person is one user, or he would count twice");
            if (names.TryTake(key, name)) users.Add(new UserConfig(name, member.Order(StringComparer.Ordinal).ToArray()) { Subject = subject });
        }

        if (!any && !hasProvider) at.Fail("no users: nobody could approve anything; add at least one person, such as `alice: { groups: [dba] }`");
        return users.OrderBy(static u => u.Name, StringComparer.Ordinal).ToArray();
    }
}
