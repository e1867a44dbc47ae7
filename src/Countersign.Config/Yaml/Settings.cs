using System.Text;

namespace Countersign.Config.Yaml;

/// <summary>What a file says, key by key, so that two versions of it can be compared.</summary>
internal static class Settings
{
    public static IReadOnlyDictionary<string, string> Of(YamlNode root)
    {
        var settings = new SortedDictionary<string, string>(StringComparer.Ordinal);
        Collect(root, "", settings);
        return settings;
    }

    private static void Collect(YamlNode node, string path, SortedDictionary<string, string> settings)
    {
        switch (node)
        {
            case YamlNode.Scalar scalar:
                settings[path] = scalar.Value;
                break;
            case YamlNode.Map { Entries.Count: 0 }:
                settings[path] = "{}";
                break;
            case YamlNode.Map map:
                foreach (var (key, value) in map.Entries) Collect(value, YamlPath.Key(path, key.Value), settings);
                break;
            case YamlNode.List list when list.Items.All(static i => i is YamlNode.Scalar):
                // A list of names is one setting: who is in it is read at a glance.
                settings[path] = Listed(list.Items.Cast<YamlNode.Scalar>());
                break;
            case YamlNode.List list:
                for (var i = 0; i < list.Items.Count; i++) Collect(list.Items[i], YamlPath.Index(path, i), settings);
                break;
        }
    }

    private static string Listed(IEnumerable<YamlNode.Scalar> items)
    {
        var text = new StringBuilder("[");
        foreach (var item in items) text.Append(text.Length > 1 ? ", " : "").Append(item.Value);
        return text.Append(']').ToString();
    }
}
