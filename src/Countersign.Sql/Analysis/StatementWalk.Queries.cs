using Countersign.Sql.Parsing;

namespace Countersign.Sql.Analysis;

/// <summary>SELECT in all its forms, and when what it reads is bounded.</summary>
/// <remarks>
/// A query level is bounded when at most <see cref="SqlLimits.BoundedRows"/> rows of what it reads can leave it, or only an aggregate that
/// answers one value; and so is the statement's reading of a relation when all its levels together let out no more than that. That is so when its rows feed a level that is bounded (<c>passes</c>), when it has a literal LIMIT without OFFSET, when
/// all columns of a unique key equal constants or parameters, or when it is a plain aggregate. A LIMIT or an aggregate of a query that is
/// carried out once per row of another bounds nothing. An aggregate that collects (string_agg, json_agg, …) makes one row of many, so that
/// no bound from outside holds within. count, sum, min and their like are taken as bounded: they reveal one value, not the rows.
/// </remarks>
sealed partial class StatementWalk
{
    void Select(PgNode select, CteScope? ctes, Level? outer, long? passes, bool once, bool locking)
    {
        System.Runtime.CompilerServices.RuntimeHelpers.EnsureSufficientExecutionStack();
        ctes = With(select, ctes, outer, once);
        var limit = LiteralLimit(select);
        var limited = limit is { } most && most <= limits.BoundedRows && (!select.Has("limitOffset") || Trees.Literal(select.Node("limitOffset")) == "0") && select.Text("limitOption") != "LIMIT_OPTION_WITH_TIES";
        var lockClauses = select.List("lockingClause");
        locking |= lockClauses.Length > 0;

        if (select.Text("op") is { } op && op != "SETOP_NONE")
        {
            var bounded = passes ?? (limited && once ? limit : null);
            foreach (var branch in (ReadOnlySpan<string>)["larg", "rarg"])
            {
                if (select.Node(branch) is { } arm) Select(arm, ctes, outer, bounded, once, locking);
            }

            var setLevel = new Level(outer) { Bound = bounded, IsOnce = once };
            foreach (var field in (ReadOnlySpan<string>)["sortClause", "limitOffset", "limitCount"]) WalkField(select, field, new Place(ctes, setLevel));
            return;
        }

        if (select.Node("intoClause") is { } into) Into(into, ctes);

        var level = new Level(outer) { IsOnce = once };
        var from = select.List("fromClause");
        var collects = Trees.Any(OwnExpressions(select), IsCollecting, subqueries: false);
        var aggregates = select.List("groupClause").Length == 0 && Trees.Any(OwnExpressions(select), IsScalarAggregate, subqueries: false);
        var often = once ? 1 : passes; // how often the query gives its one row, where it gives one
        var single = (aggregates && !collects) || from.Length == 0 ? often : null;
        var rows = collects ? null : limited && once ? Least(limit, passes) : passes;
        level.Bound = Least(Least(rows, single), Keyed(from, select.Node("whereClause"), ctes));
        level.Facts = new ReadFacts(Trees.ChoosesRows(select.Node("whereClause")), level.Bound, limit, locking);

        From(from, ctes, level, feeds: Least(rows, single));
        if (locking) Lock(level, lockClauses);

        var place = new Place(ctes, level);
        foreach (var (name, value) in select.Fields)
        {
            if (name is "withClause" or "fromClause" or "intoClause" or "lockingClause" or "larg" or "rarg") continue;
            if (value is PgNode child) Walk(child, place);
            else if (value is PgNode?[] list) WalkAll(list, place);
        }
    }

    static long? Least(long? a, long? b) => a is null ? b : b is null ? a : Math.Min(a.Value, b.Value);

    static IEnumerable<PgNode?> OwnExpressions(PgNode select) =>
        [.. select.List("targetList"), select.Node("havingClause"), .. select.List("sortClause"), .. select.List("distinctClause"), .. select.List("windowClause")];

    /// <summary>Registers the names of a WITH one by one, as they become visible, and walks their queries. Answers the scope with all of them.</summary>
    CteScope? With(PgNode statement, CteScope? ctes, Level? outer, bool once)
    {
        if (statement.Node("withClause") is not { } with) return ctes;
        var members = with.List("ctes");
        var all = ctes;
        foreach (var member in members) all = new CteScope(all, member?.Text("ctename") ?? "");
        // Without RECURSIVE a query sees those before it: its own name means the table.
        var visible = with.Flag("recursive") ? all : ctes;
        foreach (var member in members)
        {
            if (member?.Node("ctequery") is not { } query) continue;
            if (query.Type == "SelectStmt")
            {
                // The arm of a recursion is carried out again and again: its own LIMIT bounds one round.
                Select(query, visible, outer, passes: null, once: once && !with.Flag("recursive"), locking: false);
            }
            else
            {
                modifyingCte = true;
                Statement(query, new Place(visible, outer));
            }

            foreach (var (name, value) in member.Fields)
            {
                if (name != "ctequery" && value is PgNode clause) Walk(clause, new Place(visible, outer));
            }

            if (!with.Flag("recursive")) visible = new CteScope(visible, member.Text("ctename") ?? "");
        }

        return all;
    }

    static long? LiteralLimit(PgNode select)
    {
        var count = select.Node("limitCount");
        return count?.Type == "A_Const" && count.Node("ival") is { } value ? value.Number("ival") : null;
    }

    /// <summary>
    /// FROM: names first, so that every expression of the level knows them, then the expressions and subqueries.
    /// <paramref name="feeds"/>: how many of the rows that its subqueries give the level hands on; null when nothing bounds that.
    /// </summary>
    void From(IEnumerable<PgNode?> items, CteScope? ctes, Level level, long? feeds = null)
    {
        var later = new List<PgNode>();
        foreach (var item in items) Source(item, ctes, level, later);
        var place = new Place(ctes, level);
        foreach (var node in later)
        {
            if (node.Type == "RangeSubselect")
            {
                var query = node.Node("subquery");
                if (query?.Type == "SelectStmt")
                    Select(query, ctes, level, feeds, level.IsOnce && (!node.Flag("lateral") || IsUncorrelated(query, place)), level.Facts.Locking);
                else Walk(query, place);
            }
            else
            {
                Walk(node, place);
            }
        }
    }

    void Source(PgNode? item, CteScope? ctes, Level level, List<PgNode> later)
    {
        System.Runtime.CompilerServices.RuntimeHelpers.EnsureSufficientExecutionStack();
        if (item is null) return;
        var alias = item.Node("alias")?.Text("aliasname");
        switch (item.Type)
        {
            case "RangeVar":
                var name = item.Text("relname") ?? "";
                if (item.Text("schemaname") is null && CteScope.Holds(ctes, name))
                {
                    level.Sources.Add(new Source(alias ?? name, null, []));
                    return;
                }

                var drafts = Read(item, level.Facts);
                var candidates = names.Resolve(item.Text("schemaname"), name);
                level.Sources.Add(new Source(alias ?? name, candidates.Count == 1 ? candidates[0].Relation : null, drafts));
                return;
            case "RangeSubselect":
                level.Sources.Add(new Source(alias, null, []));
                later.Add(item);
                return;
            case "JoinExpr":
                Source(item.Node("larg"), ctes, level, later);
                Source(item.Node("rarg"), ctes, level, later);
                if (item.Has("usingClause") || item.Flag("isNatural")) OperatorName(null, "=");
                foreach (var column in item.Names("usingClause")) AddColumn(column, level);
                if (item.Node("quals") is { } quals) later.Add(quals);
                return;
            case "RangeFunction" or "RangeTableFunc" or "JsonTable":
                level.Sources.Add(new Source(alias, null, []));
                if (item.Type == "JsonTable") KeywordFunction(item);
                foreach (var (_, value) in item.Fields)
                {
                    if (value is PgNode child) later.Add(child);
                    else if (value is PgNode?[] list) later.AddRange(list.OfType<PgNode>());
                }

                return;
            case "RangeTableSample":
                Source(item.Node("relation"), ctes, level, later);
                FunctionName(item.Names("method"), null, default);
                later.AddRange(item.List("args").OfType<PgNode>());
                if (item.Node("repeatable") is { } seed) later.Add(seed);
                return;
            default:
                // A kind of source that has no case: its parts are walked, and the whole is opaque.
                AddOpaque(names.Database());
                later.Add(item);
                return;
        }
    }

    List<EffectDraft> Read(PgNode range, ReadFacts facts) => Touch(SqlActions.Select, range, draft =>
    {
        draft.Where &= facts.Where;
        draft.Rows = Math.Min(draft.Rows + (facts.Bound ?? 0), long.MaxValue / 2);
        draft.Unbounded |= facts.Bound is null || draft.Rows > limits.BoundedRows;
        draft.Locking |= facts.Locking;
        draft.MergeLimit(facts.Limit);
    });

    /// <summary>
    /// FOR UPDATE and its weaker forms lock rows of the level's tables, or of those that OF names; a subquery in FROM is locked with all of its own.
    /// </summary>
    void Lock(Level level, PgNode?[] clauses)
    {
        if (planOnly) return;
        var all = clauses.Length == 0 || Array.Exists(clauses, static c => c!.List("lockedRels").Length == 0);
        var named = clauses.SelectMany(static c => c!.List("lockedRels")).Select(static r => r?.Text("relname")).ToHashSet();
        foreach (var source in level.Sources)
        {
            if (!all && !named.Contains(source.Alias)) continue;
            foreach (var read in source.Drafts)
            {
                if (read.Action != SqlActions.Select) continue;
                var draft = effects.Add(SqlActions.Lock, read.Resource, read.ObjectKind);
                draft.Where &= level.Facts.Where;
                draft.Locking = true;
                draft.Temp |= read.Temp;
                draft.Unresolved |= read.Unresolved;
            }
        }
    }

    void SubLink(PgNode link, Place place)
    {
        var kind = link.Text("subLinkType");
        if (link.Names("operName") is { Length: > 0 } op) OperatorName(op);
        else if (kind == "ANY_SUBLINK") OperatorName(null, "=");
        Walk(link.Node("testexpr"), place);
        var query = link.Node("subselect");
        if (query?.Type != "SelectStmt")
        {
            Walk(query, place);
            return;
        }

        // A value per row of the level: bounded as the level is. A yes or no reveals no row. ARRAY(…) gathers all rows into one.
        var passes = kind switch
        {
            "ARRAY_SUBLINK" => null,
            "EXISTS_SUBLINK" or "ANY_SUBLINK" or "ALL_SUBLINK" => Least(place.Level?.Bound, place.Level?.Bound is null ? null : 1),
            _ => place.Level?.Bound,
        };
        Select(query, place.Ctes, place.Level, passes, IsUncorrelated(query, place), locking: false);
    }

    /// <summary>
    /// Whether a subquery surely refers to nothing outside, and so is carried out once. Only plain ones are judged: tables with known columns,
    /// no further subqueries. When in doubt it is correlated.
    /// </summary>
    bool IsUncorrelated(PgNode query, Place place)
    {
        if (place.Level is null) return true;
        if (query.Has("withClause") || query.Text("op") is not (null or "SETOP_NONE")) return false;
        var aliases = new HashSet<string>(StringComparer.Ordinal);
        var columns = new HashSet<string>(StringComparer.Ordinal);
        foreach (var item in query.List("fromClause"))
        {
            if (item?.Type != "RangeVar") return false;
            var name = item.Text("relname") ?? "";
            if (item.Text("schemaname") is null && CteScope.Holds(place.Ctes, name)) return false;
            var candidates = names.Resolve(item.Text("schemaname"), name);
            if (candidates is not [{ Relation: { Columns.Count: > 0 } relation }] || item.Node("alias")?.Has("colnames") == true) return false;
            aliases.Add(item.Node("alias")?.Text("aliasname") ?? name);
            columns.UnionWith(relation.Columns);
        }

        return !Trees.Any(OwnExpressions(query).Append(query.Node("whereClause")).Concat(query.List("groupClause")).Append(query.Node("limitCount")).Append(query.Node("limitOffset")),
            node => node.Type == "SubLink" || (node.Type == "ColumnRef" && !IsOwn(node)), subqueries: true);

        bool IsOwn(PgNode column) => column.List("fields") switch
        {
            [{ Type: "A_Star" }] => true,
            [{ Type: "String" } only] => columns.Contains(only.Text("sval") ?? ""),
            [{ Type: "String" } first, _] => aliases.Contains(first.Text("sval") ?? ""),
            _ => false,
        };
    }

    /// <summary>
    /// How many rows there can be when FROM is one table and the WHERE sets all columns of one of its unique keys equal to constants or
    /// parameters (or to lists of them, of at most <see cref="SqlLimits.BoundedRows"/> combinations); else null.
    /// </summary>
    long? Keyed(PgNode?[] from, PgNode? where, CteScope? ctes)
    {
        if (from is not [{ Type: "RangeVar" } range] || where is null) return null;
        var name = range.Text("relname") ?? "";
        if (range.Text("schemaname") is null && CteScope.Holds(ctes, name)) return null;
        var candidates = names.Resolve(range.Text("schemaname"), name);
        if (candidates is not [{ Relation: { UniqueKeys.Count: > 0 } relation }]) return null;
        // A unique index holds for one table: children that inherit have rows of their own. Partitions share their parent's.
        if (relation.Kind != SqlRelationKind.PartitionedTable && range.Flag("inh") && catalog.Children(relation.Name).Length > 0) return null;
        if (range.Node("alias")?.Has("colnames") == true) return null;

        var fixedColumns = new Dictionary<string, long>(StringComparer.Ordinal);
        Conjuncts(where, range.Node("alias")?.Text("aliasname") ?? name, fixedColumns);
        foreach (var key in relation.UniqueKeys)
        {
            long combinations = 1;
            foreach (var column in key)
                combinations = fixedColumns.TryGetValue(column, out var values) && combinations <= limits.BoundedRows ? combinations * values : long.MaxValue;
            if (combinations <= limits.BoundedRows) return combinations;
        }

        return null;
    }

    void Conjuncts(PgNode? node, string alias, Dictionary<string, long> fixedColumns)
    {
        if (node is null) return;
        if (node.Type == "BoolExpr" && node.Text("boolop") == "AND_EXPR")
        {
            foreach (var part in node.List("args")) Conjuncts(part, alias, fixedColumns);
            return;
        }

        if (node.Type != "A_Expr" || !IsBuiltinEquality(node)) return;
        switch (node.Text("kind"))
        {
            case "AEXPR_OP":
                if (OwnColumn(node.Node("lexpr"), alias) is { } left && IsConstant(node.Node("rexpr"))) Fix(left, 1);
                else if (OwnColumn(node.Node("rexpr"), alias) is { } right && IsConstant(node.Node("lexpr"))) Fix(right, 1);
                break;
            case "AEXPR_IN":
                if (OwnColumn(node.Node("lexpr"), alias) is { } listed && node.Node("rexpr", "List")?.List("items") is { } items && Array.TrueForAll(items, IsConstant)) Fix(listed, items.Length);
                break;
            case "AEXPR_OP_ANY":
                if (OwnColumn(node.Node("lexpr"), alias) is { } any && node.Node("rexpr", "A_ArrayExpr")?.List("elements") is { } elements && Array.TrueForAll(elements, IsConstant)) Fix(any, elements.Length);
                break;
        }

        void Fix(string column, long values) => fixedColumns[column] = Math.Min(values, fixedColumns.GetValueOrDefault(column, long.MaxValue));
    }

    bool IsBuiltinEquality(PgNode expression) => expression.Names("name") switch
    {
        ["="] => AllHarmless(catalog.Operators("=")),
        ["pg_catalog", "="] => true,
        _ => false,
    };

    static bool AllHarmless(ReadOnlySpan<SqlOperator> operators)
    {
        foreach (var op in operators)
        {
            if (!op.IsHarmless) return false;
        }

        return true;
    }

    static string? OwnColumn(PgNode? node, string alias) => node?.Type != "ColumnRef" ? null : node.List("fields") switch
    {
        [{ Type: "String" } only] => only.Text("sval"),
        [{ Type: "String" } first, { Type: "String" } second] when first.Text("sval") == alias => second.Text("sval"),
        _ => null,
    };

    /// <summary>A non-null literal or a parameter, cast at most to a type under which equality is as fine as the column's own.</summary>
    static bool IsConstant(PgNode? node)
    {
        while (node?.Type == "TypeCast")
        {
            if (node.Node("typeName") is not { } type || type.Has("arrayBounds")
                || BuiltinName(type.Names("names")) is not ("int2" or "int4" or "int8" or "numeric" or "text" or "varchar" or "uuid" or "date" or "timestamp" or "timestamptz")) return false;
            node = node.Node("arg");
        }

        return node?.Type == "ParamRef" || (node?.Type == "A_Const" && !node.Flag("isnull"));
    }

    bool IsCollecting(PgNode node)
    {
        switch (node.Type)
        {
            case "JsonArrayAgg" or "JsonObjectAgg": return true;
            case "FuncCall":
                var name = node.Names("funcname");
                if (IsManyPercentiles(node, name[^1])) return true;
                foreach (var function in catalog.Functions(name[^1]))
                {
                    if (function.IsAggregate) return true;
                }

                // Unknown functions may be aggregates.
                return Builtins.Function(name[^1]) switch
                {
                    BuiltinClass.CollectingAggregate => true,
                    BuiltinClass.Unknown => catalog.Functions(name[^1]).Length == 0,
                    _ => false,
                };
            // Functional notation: c.json_agg is json_agg(c).
            case "ColumnRef": return node.List("fields") is [_, .., { Type: "String" } last] && Builtins.Function(last.Text("sval") ?? "") == BuiltinClass.CollectingAggregate;
            case "A_Indirection": return Array.Exists(node.Names("indirection"), static field => Builtins.Function(field) == BuiltinClass.CollectingAggregate);
            default: return false;
        }
    }

    /// <summary>percentile_disc(ARRAY[…]) answers as many values as it is asked for; with one literal fraction it answers one.</summary>
    static bool IsManyPercentiles(PgNode call, string name) => name is "percentile_disc" or "percentile_cont"
        && !(call.List("args") is [{ Type: "A_Const" } fraction, ..] && (fraction.Has("fval") || fraction.Has("ival")));

    bool IsScalarAggregate(PgNode node) =>
        node.Type == "FuncCall" && !node.Has("over") && !IsManyPercentiles(node, node.Names("funcname")[^1]) && BuiltinName(node.Names("funcname")) is { } name
        && Builtins.Function(name) == BuiltinClass.ScalarAggregate && catalog.Functions(name).Length == 0;

    /// <summary>A name that is unqualified or of pg_catalog.</summary>
    static string? BuiltinName(string[] name) => name switch
    {
        [var only] => only,
        ["pg_catalog", var last] => last,
        _ => null,
    };
}
