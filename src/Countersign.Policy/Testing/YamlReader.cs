using System.Globalization;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Countersign.Policy.Testing;

/// <summary>A fault of a test file, where it stands.</summary>
sealed class TestFileException(string message, Mark at) : Exception(message)
{
    public Mark At { get; } = at;
}

/// <summary>One mapping of a test file: every key is taken or refused, and every value knows its place.</summary>
sealed class YamlReader
{
    readonly YamlMappingNode node;
    readonly HashSet<string> taken = new(StringComparer.Ordinal);

    public YamlReader(YamlNode node) => this.node = node as YamlMappingNode ?? throw new TestFileException("a mapping is expected here", node.Start);

    public Mark At => node.Start;

    public YamlNode? Find(string key)
    {
        taken.Add(key);
        return node.Children.TryGetValue(new YamlScalarNode(key), out var value) ? value : null;
    }

    public YamlNode Take(string key) => Find(key) ?? throw new TestFileException($"`{key}` is missing", At);

    public string? Text(string key) => Find(key) is { } value ? Scalar(value) : null;

    public string Required(string key) => Scalar(Take(key));

    public IReadOnlyList<string> List(string key) => Find(key) is { } value ? Strings(value) : [];

    public IEnumerable<(string Key, YamlNode Value)> Members()
    {
        foreach (var (key, value) in node.Children)
        {
            taken.Add(Scalar(key));
            yield return (Scalar(key), value);
        }
    }

    /// <summary>Refuses every key that nothing asked for.</summary>
    public void Done()
    {
        foreach (var (key, _) in node.Children)
            if (!taken.Contains(Scalar(key))) throw new TestFileException($"`{Scalar(key)}` is not a key here; the keys are {string.Join(", ", taken.Order(StringComparer.Ordinal))}", key.Start);
    }

    public static string Scalar(YamlNode node) =>
        node is YamlScalarNode { Value: { } value } ? value : throw new TestFileException("a text is expected here", node.Start);

    public static IReadOnlyList<YamlNode> Sequence(YamlNode node) =>
        node is YamlSequenceNode sequence ? [.. sequence.Children] : throw new TestFileException("a list is expected here", node.Start);

    public static IReadOnlyList<string> Strings(YamlNode node) => [.. Sequence(node).Select(Scalar)];

    /// <summary>A plain scalar as YAML's core schema reads it: true and false, integers, else text; a quoted one is text.</summary>
    public static object Value(YamlNode node)
    {
        if (node is YamlSequenceNode) return Strings(node);
        var text = Scalar(node);
        if (((YamlScalarNode)node).Style != ScalarStyle.Plain) return text;
        if (text is "true" or "false") return text == "true";
        return long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number : text;
    }
}
