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

    public static IReadOnlyList<UserConfig> Users(Cursor at, IReadOnlyList<string>? declared)
    {
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

            if (names.TryTake(key, name)) users.Add(new UserConfig(name, member.Order(StringComparer.Ordinal).ToArray()));
        }

        if (!any) at.Fail("no users: nobody could approve anything; add at least one person, such as `alice: { groups: [dba] }`");
        return users.OrderBy(static u => u.Name, StringComparer.Ordinal).ToArray();
    }
}
