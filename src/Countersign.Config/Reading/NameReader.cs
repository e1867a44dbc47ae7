using Countersign.Config.Yaml;
using Countersign.Core;

namespace Countersign.Config.Reading;

/// <summary>Names by the one rule of <see cref="Names"/>, and no two that differ only by case (P36).</summary>
internal sealed class NameReader(string what)
{
    private readonly Dictionary<string, string> seen = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>True where the name is well-formed and new.</summary>
    public bool TryTake(Cursor at, string name)
    {
        if (!Check(at, name, what)) return false;
        if (seen.TryAdd(name, name)) return true;
        at.Fail(seen[name] == name
            ? $"{what} `{name}` is listed twice"
            : $"{what} `{name}` differs from `{seen[name]}` only by case; rename one of them");
        return false;
    }

    public static bool Check(Cursor at, string name, string what)
    {
        if (Names.IsWellFormed(name)) return true;
        at.Fail($"`{Shown.Text(name)}` is no name for a {what}: {Names.Rule}");
        return false;
    }
}
