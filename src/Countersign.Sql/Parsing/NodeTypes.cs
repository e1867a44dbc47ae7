using System.Collections.Frozen;

namespace Countersign.Sql.Parsing;

enum FieldShape
{
    Scalar,
    Node,
    NodeList,
    Typed,
    TypedList,
}

/// <summary>A field of a node type; <see cref="Target"/> is the node type of a typed field.</summary>
sealed record FieldType(string Name, FieldShape Shape)
{
    public NodeType? Target { get; set; }
}

/// <summary>A node type of PostgreSQL's grammar with its fields.</summary>
sealed record NodeType(string Name)
{
    public FrozenDictionary<string, FieldType> Fields { get; set; } = FrozenDictionary<string, FieldType>.Empty;

    public override string ToString() => Name;

    /// <summary>
    /// Every type that a raw parse tree may hold, from Data/nodes.txt. A closed world: a tree with another type or field comes from a
    /// grammar that nobody has looked at, and is refused.
    /// </summary>
    public static FrozenDictionary<string, NodeType> All { get; } = Read();

    static FrozenDictionary<string, NodeType> Read()
    {
        var lines = DataFile.Lines("nodes.txt").Select(static l => l.Split(' ')).ToArray();
        var types = lines.ToDictionary(static l => string.Intern(l[0]), static l => new NodeType(string.Intern(l[0])), StringComparer.Ordinal);
        foreach (var line in lines)
        {
            types[line[0]].Fields = line.Skip(1).Select(spec =>
            {
                var colon = spec.IndexOf(':', StringComparison.Ordinal);
                if (colon < 0) return new FieldType(string.Intern(spec), FieldShape.Scalar);
                var name = string.Intern(spec[..colon]);
                var list = spec.EndsWith("[]", StringComparison.Ordinal);
                var target = list ? spec[(colon + 1)..^2] : spec[(colon + 1)..];
                return target == "Node"
                    ? new FieldType(name, list ? FieldShape.NodeList : FieldShape.Node)
                    : new FieldType(name, list ? FieldShape.TypedList : FieldShape.Typed) { Target = types[target] };
            }).ToFrozenDictionary(static f => f.Name, StringComparer.Ordinal);
        }

        return types.ToFrozenDictionary(StringComparer.Ordinal);
    }
}

/// <summary>The data files that are embedded in this assembly: lines of text, <c>#</c> begins a comment line.</summary>
static class DataFile
{
    public static IEnumerable<string> Lines(string name)
    {
        using var stream = typeof(DataFile).Assembly.GetManifestResourceStream(name) ?? throw new InvalidOperationException($"the resource `{name}` is missing");
        using var reader = new StreamReader(stream);
        while (reader.ReadLine() is { } line)
        {
            if (line.Length > 0 && line[0] != '#') yield return line;
        }
    }
}
