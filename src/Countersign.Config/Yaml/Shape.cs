namespace Countersign.Config.Yaml;

/// <summary>Which keys may stand where. The shipped JSON schema says the same, and a test compares the two.</summary>
internal abstract record Shape
{
    private Shape() { }

    /// <summary>A single value.</summary>
    internal sealed record Value : Shape
    {
        public static readonly Value Any = new();
    }

    internal sealed record List(Shape Item) : Shape;

    /// <summary>
    /// Fixed keys. <paramref name="Instead"/> is what to write when something else was found; such a section never
    /// repeats what it found, since people write secrets there (P56).
    /// </summary>
    internal sealed record Section(IReadOnlyDictionary<string, Shape> Keys, string? Instead = null) : Shape;

    /// <summary>Keys that the operator chooses.</summary>
    internal sealed record Named(Shape Item) : Shape;

    public static Section Of(params ReadOnlySpan<(string Key, Shape Shape)> keys) => Of(null, keys);

    public static Section Of(string? instead, params ReadOnlySpan<(string Key, Shape Shape)> keys)
    {
        var map = new Dictionary<string, Shape>(StringComparer.Ordinal);
        foreach (var (key, shape) in keys) map.Add(key, shape);
        return new Section(map, instead);
    }

    /// <summary>Reports unknown keys and values of the wrong kind, all of them.</summary>
    public void Check(YamlNode node, string path, Problems problems)
    {
        switch (this, node)
        {
            case (_, YamlNode.Scalar { IsNothing: true }):
                problems.Add(path, node.At, this is Named or Section ? "has no value; give it one, or write `{}`, or remove the key" : "has no value; give it one or remove the key");
                break;
            case (Value, YamlNode.Scalar):
                break;
            case (List list, YamlNode.List items):
                for (var i = 0; i < items.Items.Count; i++) list.Item.Check(items.Items[i], YamlPath.Index(path, i), problems);
                break;
            case (Section { Instead: { } instead }, YamlNode.Map { Entries.Count: 0 }):
                problems.Add(path, node.At, instead);
                break;
            case (Section section, YamlNode.Map map):
                foreach (var (key, value) in map.Entries)
                {
                    var inner = YamlPath.Key(path, key.Value);
                    if (section.Keys.TryGetValue(key.Value, out var shape)) shape.Check(value, inner, problems);
                    else if (section.Instead is { } only) problems.Add(path, key.At, only + DidYouMean.Hint(key.Value, section.Keys.Keys));
                    else problems.Add(inner, key.At, $"unknown key `{Shown.Text(key.Value)}`{DidYouMean.Hint(key.Value, section.Keys.Keys)}");
                }

                break;
            case (Named named, YamlNode.Map map):
                foreach (var (key, value) in map.Entries) named.Item.Check(value, YamlPath.Key(path, key.Value), problems);
                break;
            default:
                problems.Add(path, node.At, this switch
                {
                    Value => "expected one value, not a list or a map",
                    List => "expected a list, such as `[a, b]`",
                    Section { Instead: { } wanted } => wanted,
                    _ => "expected a map of keys and values",
                });
                break;
        }
    }
}
