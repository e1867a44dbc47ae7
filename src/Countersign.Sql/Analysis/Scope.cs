using Countersign.Sql.Parsing;

namespace Countersign.Sql.Analysis;

/// <summary>The WITH names that are visible at a place. Immutable.</summary>
sealed record CteScope(CteScope? Outer, string Name)
{
    public static bool Holds(CteScope? scope, string name)
    {
        for (; scope is not null; scope = scope.Outer)
        {
            if (scope.Name == name) return true;
        }

        return false;
    }
}

/// <summary>Something in FROM: its alias, and the effects that reading it made (none for subqueries and functions).</summary>
sealed record Source(string? Alias, SqlRelation? Relation, IReadOnlyList<EffectDraft> Drafts)
{
    public bool HasColumn(string name)
    {
        foreach (var column in Relation?.Columns ?? [])
        {
            if (column == name) return true;
        }

        return false;
    }

    public bool KnowsColumns => Relation is { Columns.Count: > 0 };

    public void AddColumn(string name)
    {
        foreach (var draft in Drafts) draft.AddColumn(name);
    }
}

/// <summary>A query level: what its names mean, and whether what comes out of it is bounded.</summary>
sealed class Level(Level? outer)
{
    public Level? Outer => outer;
    public List<Source> Sources { get; } = [];

    /// <summary>How many rows of what is read here can leave at most, at least one for an aggregate of them; null when nothing bounds it.</summary>
    public long? Bound { get; set; }

    /// <summary>Whether the query is carried out once, not per row of another.</summary>
    public bool IsOnce { get; set; } = true;

    /// <summary>For effects that are made here.</summary>
    public ReadFacts Facts { get; set; }
}

/// <summary>Facts of a query level that its reads carry.</summary>
readonly record struct ReadFacts(bool Where, long? Bound, long? Limit, bool Locking);

/// <summary>Where the walk is.</summary>
readonly record struct Place(CteScope? Ctes, Level? Level);

/// <summary>
/// A secret in the text, in bytes: the token that starts at <paramref name="From"/>, or, with a <paramref name="To"/>, the first string
/// constant that starts in between (the grammar keeps no location of an option's value).
/// </summary>
readonly record struct MaskRange(int From, int? To);

static class Trees
{
    /// <summary>Whether anything in the tree, itself included, satisfies <paramref name="match"/>; subqueries are entered when <paramref name="subqueries"/>.</summary>
    public static bool Any(PgNode? node, Func<PgNode, bool> match, bool subqueries)
    {
        if (node is null) return false;
        if (match(node)) return true;
        if (!subqueries && node.Type == "SelectStmt") return false;
        foreach (var (_, value) in node.Fields)
        {
            if (value is PgNode child && Any(child, match, subqueries)) return true;
            if (value is not PgNode?[] list) continue;
            foreach (var item in list)
            {
                if (Any(item, match, subqueries)) return true;
            }
        }

        return false;
    }

    public static bool Any(IEnumerable<PgNode?> nodes, Func<PgNode, bool> match, bool subqueries)
    {
        foreach (var node in nodes)
        {
            if (Any(node, match, subqueries)) return true;
        }

        return false;
    }

    /// <summary>A WHERE that looks at no column (<c>true</c>, <c>1 = 1</c>) chooses nothing, and is none.</summary>
    public static bool ChoosesRows(PgNode? where) => Any(where, static n => n.Type is "ColumnRef" or "CurrentOfExpr", subqueries: true);

    /// <summary>The literal of a constant, casts around it included; null when it is none or NULL.</summary>
    public static string? Literal(PgNode? node)
    {
        while (node?.Type == "TypeCast") node = node.Node("arg");
        if (node?.Type != "A_Const") return null;
        if (node.Node("sval") is { } s) return s.Text("sval") ?? "";
        if (node.Node("ival") is { } i) return i.Number("ival").ToString(System.Globalization.CultureInfo.InvariantCulture);
        if (node.Node("fval") is { } f) return f.Text("fval") ?? "";
        if (node.Node("boolval") is { } b) return b.Flag("boolval") ? "on" : "off";
        return null;
    }

    /// <summary>The text of an option's value: names and numbers too.</summary>
    public static string? OptionText(PgNode? node) => node?.Type switch
    {
        null => null,
        "String" => node.Text("sval") ?? "",
        "Integer" => node.Number("ival").ToString(System.Globalization.CultureInfo.InvariantCulture),
        "Float" => node.Text("fval"),
        "Boolean" => node.Flag("boolval") ? "true" : "false",
        "TypeName" => string.Join('.', node.Names("names")),
        _ => Literal(node),
    };
}
