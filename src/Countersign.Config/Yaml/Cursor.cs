using System.Globalization;

namespace Countersign.Config.Yaml;

/// <summary>
/// A place in the tree, present or not, with the path to it. Reading never throws on what the operator wrote: what is of
/// the wrong kind was reported by <see cref="Shape.Check"/> and reads as absent.
/// </summary>
internal readonly struct Cursor(Problems problems, Shape shape, YamlNode? node, string path, Position parent)
{
    public string Path { get; } = path;

    public Position At => node?.At ?? parent;

    /// <summary>True where something stands, even something wrong.</summary>
    public bool Exists => node is not null;

    public bool IsList => node is YamlNode.List;

    public Cursor this[string key]
    {
        get
        {
            var inner = ((Shape.Section)shape).Keys[key];
            var value = (node as YamlNode.Map)?.Entries.FirstOrDefault(e => e.Key.Value == key)?.Value;
            return new Cursor(problems, inner, value, YamlPath.Key(Path, key), At);
        }
    }

    /// <summary>The entries of a map whose keys the operator chose; the cursor of the key itself stands at the key.</summary>
    public IEnumerable<(string Key, Cursor AtKey, Cursor Value)> Entries()
    {
        if (shape is not Shape.Named named) throw new InvalidOperationException($"`{Path}` has fixed keys");
        if (node is not YamlNode.Map map) yield break;
        foreach (var (key, value) in map.Entries)
        {
            var inner = YamlPath.Key(Path, key.Value);
            yield return (key.Value, new Cursor(problems, Shape.Value.Any, key, inner, At), new Cursor(problems, named.Item, value, inner, key.At));
        }
    }

    public IEnumerable<Cursor> Items()
    {
        if (shape is not Shape.List list) throw new InvalidOperationException($"`{Path}` is no list");
        if (node is not YamlNode.List items) yield break;
        for (var i = 0; i < items.Items.Count; i++) yield return new Cursor(problems, list.Item, items.Items[i], YamlPath.Index(Path, i), At);
    }

    public void Fail(string message) => problems.Add(Path, At, message);

    /// <summary>The text, or null where there is none.</summary>
    public string? Text => node is YamlNode.Scalar { IsNothing: false } scalar ? scalar.Value : null;

    /// <summary>Text that must be there: says so, unless something of the wrong kind was reported already.</summary>
    public string? Required(string what)
    {
        if (node is null) problems.Add(Path, At, $"missing: {what}");
        return Text;
    }

    public bool Flag()
    {
        if (Text is not { } text) return false;
        if (node is YamlNode.Scalar { Plain: true } && text is "true" or "false") return text == "true";
        Fail($"`{Shown.Text(text)}` is neither `true` nor `false`");
        return false;
    }

    public int Number(NumberLimit limit)
    {
        if (Text is not { } text) return limit.Default;
        if (text.Length <= 10 && text.All(char.IsAsciiDigit) && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value)
            && value >= limit.Minimum && value <= limit.Maximum)
        {
            return (int)value;
        }

        Fail(string.Create(CultureInfo.InvariantCulture, $"`{Shown.Text(text)}` is not a whole number from {limit.Minimum} to {limit.Maximum}"));
        return limit.Default;
    }

    public TimeSpan Duration(DurationLimit limit)
    {
        if (Text is not { } text) return limit.Default;
        if (!Durations.TryParse(text, out var value))
        {
            Fail($"`{Shown.Text(text)}` is not a duration; write a whole number and a unit: `90s`, `10m`, `1h`");
            return limit.Default;
        }

        if (value >= limit.Minimum && value <= limit.Maximum) return value;
        Fail($"`{Shown.Text(text)}` is out of bounds; use {Durations.Format(limit.Minimum)} to {Durations.Format(limit.Maximum)}");
        return limit.Default;
    }
}
