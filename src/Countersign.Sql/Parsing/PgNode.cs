namespace Countersign.Sql.Parsing;

/// <summary>
/// A node of a raw parse tree. Fields that hold the grammar's default are absent (libpg-query leaves them out). Immutable.
/// </summary>
sealed class PgNode(NodeType type, KeyValuePair<string, object>[] fields)
{
    public string Type => type.Name;

    public NodeType NodeType => type;

    /// <summary>Values are a <see cref="PgNode"/>, an array of them, a string, a long or a bool. Absent elements of a list are null.</summary>
    public ReadOnlySpan<KeyValuePair<string, object>> Fields => fields;

    object? Get(string field)
    {
        foreach (var (name, value) in fields)
        {
            if (ReferenceEquals(name, field) || name == field) return value;
        }

        return null;
    }

    public PgNode? Node(string field) => Get(field) as PgNode;

    public PgNode? Node(string field, string nodeType) => Get(field) is PgNode node && node.Type == nodeType ? node : null;

    /// <summary>The elements of a list field; empty when absent.</summary>
    public PgNode?[] List(string field) => Get(field) as PgNode?[] ?? [];

    public bool Has(string field) => Get(field) is not null;

    public string? Text(string field) => Get(field) as string;

    public bool Flag(string field) => Get(field) is true;

    public long Number(string field) => Get(field) is long number ? number : 0;

    /// <summary>Names of a list of String nodes, as in qualified names. Other elements (a star) are left out.</summary>
    public string[] Names(string field) => List(field).Where(static n => n?.Type == "String").Select(static n => n!.Text("sval") ?? "").ToArray();

    public override string ToString() => Type;
}
