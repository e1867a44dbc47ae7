using System.Runtime.CompilerServices;
using Countersign.Core;
using Countersign.Sql.Parsing;

namespace Countersign.Sql.Analysis;

/// <summary>
/// Walks one statement and collects what it does. Every node of the tree is visited: those that mean something have a case, all others have
/// their children walked, and a statement that has no case is opaque (I1).
/// </summary>
sealed partial class StatementWalk(SqlSession session, SqlCatalog catalog, SqlClassify classify, SqlLimits limits)
{
    readonly Names names = new(session, catalog, classify);
    readonly EffectSet effects = new(limits.Effects);
    readonly SortedSet<string> functions = new(StringComparer.Ordinal);
    bool opaque, fires, modifyingCte, explain;

    /// <summary>What planning the statement may run, or ask of another server; the first of them. What triggers do is not among it.</summary>
    string? planRisk;

    /// <summary>Set under an EXPLAIN that does not run its statement: everything is only looked at.</summary>
    bool planOnly;

    public List<SqlConsequence> Consequences { get; } = [];

    public List<SqlConsequence> Deferred { get; } = [];

    public List<MaskRange> Masks { get; } = [];

    public SqlRefusal? Refusal { get; private set; }

    public bool EffectsAreDeferred { get; private set; }

    /// <summary>Walks a top-level statement and answers its kind.</summary>
    public SqlStatementKind Run(PgNode statement)
    {
        try
        {
            return Statement(statement, default);
        }
        catch (InsufficientExecutionStackException)
        {
            Refuse(ReasonCodes.TooLarge, "the statement nests too deeply; simplify it");
            return SqlStatementKind.Unknown;
        }
    }

    /// <summary>Why the statement can not be planned for nothing but a look at its plan; null when planning runs nothing but what is known to be harmless.</summary>
    public string? PlanRisk => planRisk ?? (opaque ? "what it does is not fully known" : null);

    /// <summary>The effects, with the facts that hold for the whole statement.</summary>
    public IReadOnlyList<Effect> Effects(string statement, int statements)
    {
        if (effects.IsOverflowing) Refuse(ReasonCodes.TooLarge, $"the statement has more than {limits.Effects} effects; split it");
        var calls = FactValue.Of(functions);
        return effects.Drafts.Select(draft =>
        {
            var facts = new Dictionary<string, FactValue>(16, StringComparer.Ordinal)
            {
                [SqlFacts.Statement] = statement,
                [SqlFacts.Where] = draft.Where,
                [SqlFacts.Unbounded] = draft.Unbounded,
                [SqlFacts.Columns] = FactValue.Of(draft.Columns ?? []),
                [SqlFacts.Functions] = calls,
                [SqlFacts.Opaque] = opaque || fires || draft.Opaque,
                [SqlFacts.Explain] = explain,
                [SqlFacts.Cte] = modifyingCte,
                [SqlFacts.Triggers] = draft.Triggers,
                [SqlFacts.Unresolved] = draft.Unresolved,
                [SqlFacts.Locking] = draft.Locking,
                [SqlFacts.Temporary] = draft.Temp,
                [SqlFacts.Statements] = (long)statements,
            };
            if (draft.Limit is { } limit) facts[SqlFacts.Limit] = limit;
            if (draft.ObjectKind is { } kind) facts[SqlFacts.Object] = kind;
            if (draft.Cascade) facts[SqlFacts.Cascade] = true;
            if (draft.Privileges is { } privileges) facts[SqlFacts.Privileges] = FactValue.Of(privileges);
            if (draft.Grantees is { } grantees) facts[SqlFacts.Grantees] = FactValue.Of(grantees);
            if (draft.Settings is { } settings) facts[SqlFacts.Settings] = FactValue.Of(settings);
            return new Effect(SqlVocabulary.Actions[draft.Action], draft.Action, draft.Resource) { Facts = facts };
        }).ToArray();
    }

    void Refuse(string reason, string message) => Refusal ??= new SqlRefusal(reason, message);

    /// <summary>An effect that is no read or write of a relation.</summary>
    EffectDraft Add(string action, ResourceRef resource, string? kind = null)
    {
        var draft = effects.Add(action, resource, kind);
        draft.Where = false;
        return draft;
    }

    EffectDraft AddSession() => Add(SqlActions.Session, names.Database());

    void AddOpaque(ResourceRef resource, string? kind = null)
    {
        opaque = true;
        Add(SqlActions.Opaque, resource, kind);
    }

    void Changed() => Consequences.Add(new SqlConsequence.ChangesCatalog());

    /// <summary>
    /// Records an effect on a relation and on what goes with it: a view's base tables, partitions and children, cascading foreign keys,
    /// triggers and rules. Answers the drafts of the relation itself.
    /// </summary>
    List<EffectDraft> Touch(string action, PgNode range, Action<EffectDraft> fill)
    {
        if (range.Text("catalogname") is { } database && database != session.Database) opaque = true;
        var drafts = new List<EffectDraft>(1);
        foreach (var candidate in names.Resolve(range.Text("schemaname"), range.Text("relname") ?? ""))
            drafts.AddRange(Touch(action, candidate, range.Flag("inh"), fill));
        return drafts;
    }

    /// <param name="action">What is done.</param>
    /// <param name="candidate">To what.</param>
    /// <param name="descendants">Whether children and partitions are touched too (no ONLY).</param>
    /// <param name="fill">Sets the facts of each draft.</param>
    /// <param name="part">What of the relation is meant, where it is not the whole: <c>column</c>, <c>trigger</c>, …</param>
    List<EffectDraft> Touch(string action, in Names.Candidate candidate, bool descendants, Action<EffectDraft> fill, string? part = null)
    {
        var drafts = new List<EffectDraft>(1);
        Touch(action, candidate, descendants, fill, drafts, [], 0, part);
        return drafts;
    }

    void Touch(string action, in Names.Candidate candidate, bool descendants, Action<EffectDraft> fill, List<EffectDraft>? own, HashSet<SqlName> seen, int depth, string? part = null)
    {
        if (!seen.Add(candidate.Name)) return;
        var isWrite = action is SqlActions.Insert or SqlActions.Update or SqlActions.Delete or SqlActions.CopyIn or SqlActions.Truncate;
        if (planOnly && (isWrite || action is SqlActions.Lock or SqlActions.Select)) (action, isWrite) = (explain ? SqlActions.Explain : SqlActions.Select, false);

        var resource = names.Relation(candidate, out var guarded);
        var draft = effects.Add(action, resource, part ?? Names.KindOf(candidate.Relation));
        var isData = isWrite || action is SqlActions.Select or SqlActions.Explain or SqlActions.Export or SqlActions.CopyOut or SqlActions.Lock;
        if (!isData || action == SqlActions.Truncate) draft.Where = false;
        draft.Unresolved |= candidate.IsUnresolved;
        draft.Temp |= candidate.IsTemporary;
        fill(draft);
        if (planOnly) draft.Unbounded = false;
        if (depth > 0 && own is null) draft.AddColumn("*");
        own?.Add(draft);

        if (action == SqlActions.Select && guarded && draft.Unbounded && !planOnly)
        {
            var export = effects.Add(SqlActions.Export, resource, Names.KindOf(candidate.Relation));
            fill(export);
            export.Unbounded = true;
            export.Unresolved |= candidate.IsUnresolved;
            own?.Add(export);
        }

        if (isData && candidate.IsTemporary && session.OpaqueTemporaries.Contains(candidate.Name.Name))
        {
            // A temporary view shows and changes what it reads, a rule or trigger does anything: no other connection can look it up.
            draft.Triggers = true;
            AddOpaque(resource, "temporary");
        }

        if (names.IsForeignTemporary(candidate.Name.Schema)) AddOpaque(resource, "temporary");
        if (isWrite) AddWriteRisks(action, candidate, draft);
        if (candidate.IsTemporary || candidate.IsUnresolved) planRisk ??= $"`{candidate.Name.Name}`, which only the session itself sees";
        if (candidate.Relation is not { } relation) return;
        if (isData) AddHidden(action, relation);

        // What is done to a view's rows is done to its tables'; what is done to its definition is not.
        if (isData && relation.Kind == SqlRelationKind.View)
        {
            foreach (var called in relation.Calls) ViewCall(called);
            foreach (var read in relation.Reads) Touch(action, new Names.Candidate(read, catalog.Relation(read), false), true, fill, null, seen, depth + 1, part);
        }

        if (!descendants) return;
        var children = catalog.Children(candidate.Name);
        if (children.Length + seen.Count > limits.ListedDescendants)
        {
            draft.Opaque = true;
            planRisk ??= "too many children to look at";
            return;
        }

        foreach (var child in children) Touch(action, new Names.Candidate(child, catalog.Relation(child), false), true, fill, own, seen, depth + 1, part);
    }

    /// <summary>What the table itself calls: each function that is not known to be harmless makes the statement opaque, by name.</summary>
    void AddHidden(string action, SqlRelation relation)
    {
        if (relation.Kind == SqlRelationKind.ForeignTable) planRisk ??= $"the server behind `{relation.Name}`";
        foreach (var hidden in relation.Hidden)
        {
            var name = hidden.Function;
            if (name.Schema == "pg_catalog")
            {
                // nextval: what every serial column calls, and no more than what the INSERT says.
                if (name.Name == "nextval" || Builtins.Function(name.Name) is BuiltinClass.Harmless or BuiltinClass.ScalarAggregate or BuiltinClass.CollectingAggregate) continue;
                if (hidden.RunsAt(action)) AddCall(name, known: true);
            }
            else if (hidden.RunsAt(action))
            {
                FunctionName([name.Schema, name.Name], null, default);
                continue;
            }

            // Planning looks at checks, indexes and policies whatever the statement is, and folds what they call.
            if (name.Schema == "pg_catalog" || HasUnknown(name)) planRisk ??= $"`{name}`, which `{relation.Name}` calls";
        }

        bool HasUnknown(SqlName name)
        {
            foreach (var function in catalog.Functions(name.Name))
            {
                if (function.Name.Schema == name.Schema && !function.IsHarmless) return true;
            }

            return false;
        }
    }

    void AddWriteRisks(string action, in Names.Candidate candidate, EffectDraft draft)
    {
        if (candidate.Name is { Schema: "pg_catalog", Name: "pg_settings" } && action != SqlActions.Truncate)
            Refuse(ReasonCodes.UnsafeSetting, "writing to `pg_settings` changes settings unseen; use SET");
        else if (Builtins.IsSystemSchema(candidate.Name.Schema)) AddOpaque(draft.Resource, "system-catalogue");
        if (candidate.Relation is not { } relation) return;

        if (relation.HasTriggers || relation.HasRules)
        {
            draft.Triggers = true;
            var risk = effects.Add(SqlActions.Opaque, draft.Resource, Names.KindOf(relation));
            risk.Triggers = true;
            risk.Where = false;
            fires = true;
            if (relation.HasRules) planRisk ??= $"rules of `{relation.Name}`";
        }

        if (action is not (SqlActions.Delete or SqlActions.Update)) return;
        foreach (var reference in catalog.References(candidate.Name))
        {
            var what = action == SqlActions.Delete ? reference.OnDelete : reference.OnUpdate;
            if (what == SqlReferentialAction.None) continue;
            if (action == SqlActions.Update && reference.Columns.Count > 0 && draft.Columns is { } written && !written.Contains("*") && !reference.Columns.Any(written.Contains)) continue;
            var follows = what == SqlReferentialAction.Cascade && action == SqlActions.Delete ? SqlActions.Delete : SqlActions.Update;
            if (effects.Drafts.Any(d => d.Action == follows && d.Cascade && d.Resource.Id == Names.Join(session.Target, reference.Table.Schema, reference.Table.Name))) continue;
            var where = draft.Where;
            Touch(follows, new Names.Candidate(reference.Table, catalog.Relation(reference.Table), false), true, d =>
            {
                d.Cascade = true;
                d.Where &= where;
            });
        }
    }

    /// <summary>An effect that cannot be told, on the whole database.</summary>
    SqlStatementKind Unknown()
    {
        AddOpaque(names.Database());
        return SqlStatementKind.Unknown;
    }

    void WalkAll(IEnumerable<PgNode?> nodes, Place place)
    {
        foreach (var node in nodes) Walk(node, place);
    }

    void WalkField(PgNode node, string field, Place place)
    {
        if (node.Node(field) is { } child) Walk(child, place);
        else WalkAll(node.List(field), place);
    }

    void WalkChildren(PgNode node, Place place)
    {
        foreach (var (_, value) in node.Fields)
        {
            if (value is PgNode child) Walk(child, place);
            else if (value is PgNode?[] list) WalkAll(list, place);
        }
    }

    /// <summary>Walks an expression, or anything else that is not the statement itself.</summary>
    void Walk(PgNode? node, Place place)
    {
        if (node is null) return;
        RuntimeHelpers.EnsureSufficientExecutionStack();
        switch (node.Type)
        {
            case "SelectStmt": Select(node, place.Ctes, place.Level, passes: null, once: true, locking: false); break;
            case "InsertStmt" or "UpdateStmt" or "DeleteStmt" or "MergeStmt": Statement(node, place); break;
            case "SubLink": SubLink(node, place); break;
            case "FuncCall": Function(node, place); break;
            case "A_Expr": Operator(node, place); break;
            case "TypeName": TypeName(node); WalkAll(node.List("typmods"), place); break;
            case "ColumnRef": Column(node, place.Level); break;
            case "A_Indirection": Indirection(node, place); break;
            case "CaseExpr": if (node.Has("arg")) OperatorName(null, "="); WalkChildren(node, place); break;
            case "SortBy": if (node.Names("useOp") is { Length: > 0 } op) OperatorName(op); WalkChildren(node, place); break;
            // Functions by keyword: built in, unless the server is older than the keyword and has a function of that name.
            case "JsonArrayAgg" or "JsonObjectAgg" or "JsonScalarExpr" or "JsonSerializeExpr" or "JsonParseExpr" or "JsonObjectConstructor"
                or "JsonArrayConstructor" or "JsonArrayQueryConstructor" or "JsonFuncExpr" or "MergeSupportFunc" or "JsonTable":
                KeywordFunction(node);
                if (node.Node("query", "SelectStmt") is { } query)
                {
                    Select(query, place.Ctes, place.Level, passes: null, once: IsUncorrelated(query, place), locking: false);
                    WalkField(node, "output", place);
                }
                else
                {
                    WalkChildren(node, place);
                }

                break;
            // A relation in a place that no case above accounts for: at least it is read, all of it.
            case "RangeVar": Read(node, new ReadFacts(false, null, null, false)); break;
            case "JoinExpr" or "RangeSubselect" or "RangeFunction" or "RangeTableFunc" or "RangeTableSample":
                var level = new Level(place.Level);
                From([node], place.Ctes, level);
                break;
            default:
                if (node.Type.EndsWith("Stmt", StringComparison.Ordinal) && node.Type != "RawStmt" && node.Type != "ReturnStmt") Statement(node, place);
                else WalkChildren(node, place);
                break;
        }
    }
}
