namespace Countersign.Config.Yaml;

/// <summary>A place in the file; both count from 1.</summary>
internal readonly record struct Position(int Line, int Column);

/// <summary>The part of YAML that a configuration needs: scalars, lists, and maps with scalar keys, each once.</summary>
internal abstract record YamlNode(Position At)
{
    /// <summary>Text as written. Plain means unquoted: only a plain scalar can be a number, a flag or nothing.</summary>
    internal sealed record Scalar(Position At, string Value, bool Plain) : YamlNode(At)
    {
        public bool IsNothing => Plain && Value is ("" or "~" or "null" or "Null" or "NULL");
    }

    internal sealed record List(Position At, IReadOnlyList<YamlNode> Items) : YamlNode(At);

    internal sealed record Map(Position At, IReadOnlyList<MapEntry> Entries) : YamlNode(At);
}

internal sealed record MapEntry(YamlNode.Scalar Key, YamlNode Value);
