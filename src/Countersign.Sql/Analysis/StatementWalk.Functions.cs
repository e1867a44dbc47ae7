using Countersign.Core;
using Countersign.Sql.Parsing;

namespace Countersign.Sql.Analysis;

/// <summary>What expressions call: functions, operators, types, and columns that may be functions (P4, P5).</summary>
sealed partial class StatementWalk
{
    void Function(PgNode call, Place place)
    {
        var name = call.Names("funcname");
        FunctionName(name, call, place);
        WalkChildren(call, place);
    }

    /// <summary>
    /// A function by name, as the server would find it. Overloads are not told apart: a name is harmless when everything that it may mean is.
    /// </summary>
    void FunctionName(string[] name, PgNode? call, Place place)
    {
        if (name.Length == 0) return;
        var function = name[^1];
        var schema = name.Length > 1 ? name[^2] : null;
        if (name.Length > 2 && name[0] != session.Database) opaque = true;

        if (call is not null && Builtins.SecretArguments.TryGetValue(function, out var secret)) MaskArguments(call, secret);
        if (Builtins.RunsSqlByName(function))
        {
            AddOpaque(names.InSchema(SqlResources.Function, new SqlName(schema ?? names.CreationSchema, function)), "function");
            if (call is not null) MaskConnectionStrings(call);
        }

        switch (schema)
        {
            case null:
                var found = false;
                foreach (var candidate in catalog.Functions(function))
                {
                    if (!names.IsOnPath(candidate.Name.Schema)) continue;
                    found = true;
                    if (!candidate.IsHarmless) AddCall(candidate.Name, known: true);
                }

                var builtin = Builtins.Function(function);
                if (builtin != BuiltinClass.Unknown) Builtin(builtin, function, call);
                else if (!found) AddCall(new SqlName(names.CreationSchema, function), known: false);
                break;
            case "pg_catalog":
                var kind = Builtins.Function(function);
                if (kind == BuiltinClass.Unknown) AddCall(new SqlName(schema, function), known: false);
                else Builtin(kind, function, call);
                break;
            case "information_schema":
                break; // a few immutable conversions that its own views use
            default:
                var any = false;
                foreach (var candidate in catalog.Functions(function))
                {
                    if (candidate.Name.Schema != schema) continue;
                    any = true;
                    if (!candidate.IsHarmless) AddCall(candidate.Name, known: true);
                }

                if (!any) AddCall(new SqlName(schema, function), known: false);
                break;
        }
    }

    /// <summary>A function that is not known to be harmless: what it does cannot be told.</summary>
    void AddCall(SqlName name, bool known, string kind = "function")
    {
        opaque = true;
        planRisk ??= $"`{name}`";
        functions.Add(name.ToString());
        var draft = Add(SqlActions.Opaque, names.InSchema(SqlResources.Function, name), kind);
        draft.Unresolved |= !known;
    }

    /// <summary>A function that a view calls: known by its schema and name, operators' functions included.</summary>
    void ViewCall(SqlName name)
    {
        if (name.Schema == "pg_catalog") Builtin(Builtins.Function(name.Name), name.Name, null);
        else FunctionName([name.Schema, name.Name], null, default);
    }

    void Builtin(BuiltinClass kind, string function, PgNode? call)
    {
        if (kind is BuiltinClass.Harmless or BuiltinClass.ScalarAggregate or BuiltinClass.CollectingAggregate) return;
        var name = new SqlName("pg_catalog", function);
        var resource = names.InSchema(SqlResources.Function, name);
        functions.Add(name.ToString());
        planRisk ??= $"`{name}`";
        switch (kind)
        {
            case BuiltinClass.SetConfig: SetConfig(call); break; // without a call (in a view) it is refused
            case BuiltinClass.Locks: Add(SqlActions.Lock, names.Database()); break;
            case BuiltinClass.Notifies: Add(SqlActions.Notify, names.Database()); break;
            case BuiltinClass.Writes: Add(SqlActions.Call, resource, "function"); break;
            case BuiltinClass.Server: Add(SqlActions.Configure, resource, "function"); break;
            case BuiltinClass.Files: Add(SqlActions.ServerFile, resource, "function"); break;
            default: AddOpaque(resource, "function"); break;
        }
    }

    /// <summary>
    /// A function that the grammar knows by keyword (JSON_VALUE, MERGE_ACTION, …). To a server that is older than the keyword it is a call like any other.
    /// </summary>
    void KeywordFunction(PgNode node)
    {
        var name = node.Type switch
        {
            "JsonArrayAgg" => "json_arrayagg",
            "JsonObjectAgg" => "json_objectagg",
            "JsonScalarExpr" => "json_scalar",
            "JsonSerializeExpr" => "json_serialize",
            "JsonParseExpr" => "json",
            "JsonObjectConstructor" => "json_object",
            "JsonArrayConstructor" or "JsonArrayQueryConstructor" => "json_array",
            "MergeSupportFunc" => "merge_action",
            "JsonTable" => "json_table",
            _ => node.Text("op") switch { "JSON_EXISTS_OP" => "json_exists", "JSON_QUERY_OP" => "json_query", _ => "json_value" },
        };
        foreach (var function in catalog.Functions(name))
        {
            if (names.IsOnPath(function.Name.Schema) && !function.IsHarmless) AddCall(function.Name, known: true);
        }
    }

    void Operator(PgNode expression, Place place)
    {
        switch (expression.Text("kind"))
        {
            // These carry the keyword; the server looks the comparisons up by name.
            case "AEXPR_BETWEEN" or "AEXPR_NOT_BETWEEN" or "AEXPR_BETWEEN_SYM" or "AEXPR_NOT_BETWEEN_SYM":
                foreach (var comparison in (ReadOnlySpan<string>)["<", "<=", ">", ">="]) OperatorName(null, comparison);
                break;
            default:
                OperatorName(expression.Names("name"));
                break;
        }

        WalkChildren(expression, place);
    }

    void OperatorName(string[] name)
    {
        if (name.Length > 0) OperatorName(name.Length > 1 ? name[^2] : null, name[^1]);
    }

    void OperatorName(string? schema, string name)
    {
        if (schema == "pg_catalog") return;
        var any = false;
        foreach (var candidate in catalog.Operators(name))
        {
            if (schema is null ? !names.IsOnPath(candidate.Name.Schema) : candidate.Name.Schema != schema) continue;
            any = true;
            if (candidate.IsHarmless) continue;
            AddCall(candidate.Name, known: true, "operator");
        }

        if (schema is null || any) return;
        AddCall(new SqlName(schema, name), known: false, "operator");
    }

    /// <summary>A type: a cast to one runs its input function, its casts and its checks. Those of pg_catalog are harmless.</summary>
    void TypeName(PgNode type)
    {
        if (type.Flag("pct_type")) return;
        var name = type.Names("names");
        if (name.Length == 0) return;
        var (schema, last) = (name.Length > 1 ? name[^2] : null, name[^1]);
        if (schema is "pg_catalog" or "information_schema")
        {
            // Harmless, unless a user's cast leads to it.
            foreach (var target in catalog.Types(last))
            {
                if (target.Name.Schema == schema && target.MayRunCode) AddOpaque(names.InSchema(SqlResources.Object, target.Name), "type");
            }

            return;
        }

        if (last.StartsWith('_') && catalog.Types(last).Length == 0) last = last[1..]; // an array type by its internal name

        var (any, risky) = (false, false);
        foreach (var candidate in catalog.Types(last))
        {
            if (schema is null ? !names.IsOnPath(candidate.Name.Schema) : candidate.Name.Schema != schema) continue;
            any = true;
            risky |= candidate.MayRunCode;
        }

        if (!any)
        {
            // Each relation is a row type too. serial is no type but a default.
            if (schema is null && (Builtins.IsType(last) || last is "serial" or "bigserial" or "smallserial" or "serial2" or "serial4" or "serial8")) return;
            if (names.Resolve(schema, last).Exists(static c => c.Relation is not null)) return;
        }

        if (any && !risky) return;
        AddOpaque(names.InSchema(SqlResources.Object, new SqlName(schema ?? names.CreationSchema, last)), "type");
    }

    void Column(PgNode column, Level? level)
    {
        var fields = column.List("fields");
        var last = fields.Length == 0 ? null : fields[^1];
        if (last?.Type == "A_Star" && fields.Length == 1)
        {
            foreach (var source in level?.Sources ?? []) source.AddColumn("*");
            return;
        }

        if (fields.Length == 1)
        {
            AddColumn(last?.Text("sval") ?? "", level);
            return;
        }

        var alias = fields[^2]?.Text("sval");
        var name = last?.Type == "A_Star" ? "*" : last?.Text("sval") ?? "";
        for (var at = level; at is not null; at = at.Outer)
        {
            var source = at.Sources.Find(s => s.Alias == alias);
            if (source is null) continue;
            source.AddColumn(name);
            if (name != "*" && !source.HasColumn(name)) Notation(name, source, ofAny: source.Relation is null);
            return;
        }

        if (name != "*") Notation(name, null, ofAny: true);
    }

    static void AddColumn(string name, Level? level)
    {
        for (var at = level; at is not null; at = at.Outer)
        {
            var found = false;
            foreach (var source in at.Sources)
            {
                // The name of a source stands for its whole row, unless it is a column; when that is not known it is taken for both.
                if (source.HasColumn(name)) source.AddColumn(name);
                else if (source.Alias == name) source.AddColumn("*");
                else continue;
                found = true;
            }

            if (found) return;
            foreach (var source in at.Sources)
            {
                if (source.KnowsColumns || source.Drafts.Count == 0) continue;
                source.AddColumn(name);
                found = true;
            }

            if (found) return;
        }
    }

    /// <summary>
    /// <c>x.f</c> is <c>f(x)</c> when x has no column f: any function of one argument may be called so, where <paramref name="ofAny"/>; of
    /// the row of a relation only one that takes a row. A name of a type is a cast to it.
    /// </summary>
    void Notation(string name, Source? source, bool ofAny)
    {
        foreach (var function in catalog.Functions(name))
        {
            if (!(ofAny ? function.TakesOne : function.TakesRow) || function.IsHarmless || !names.IsOnPath(function.Name.Schema)) continue;
            AddCall(function.Name, known: true);
            if (function.IsAggregate) source?.AddColumn("*");
        }

        var builtin = Builtins.Function(name);
        if (builtin is BuiltinClass.CollectingAggregate) source?.AddColumn("*");
        else if (ofAny && builtin is not (BuiltinClass.Unknown or BuiltinClass.SetConfig)) Builtin(builtin, name, null); // set_config takes three
        if (!ofAny) return;
        foreach (var type in catalog.Types(name))
        {
            if (type.MayRunCode && names.IsOnPath(type.Name.Schema)) AddOpaque(names.InSchema(SqlResources.Object, type.Name), "type");
        }
    }

    void Indirection(PgNode node, Place place)
    {
        var argument = node.Node("arg");
        var source = argument?.Type == "ColumnRef" && argument.Names("fields") is [var alias] ? FindSource(alias, place.Level) : null;
        foreach (var field in node.Names("indirection"))
        {
            if (source?.HasColumn(field) != true) Notation(field, source, ofAny: source?.Relation is null);
        }

        WalkChildren(node, place);
    }

    static Source? FindSource(string alias, Level? level)
    {
        for (; level is not null; level = level.Outer)
        {
            if (level.Sources.Find(s => s.Alias == alias) is { } source) return source;
        }

        return null;
    }

    void MaskArguments(PgNode call, int[] positions)
    {
        var arguments = call.List("args");
        foreach (var position in positions)
        {
            if (position < arguments.Length) MaskLiterals(arguments[position]);
        }
    }

    /// <summary>Masks every string literal within an expression.</summary>
    void MaskLiterals(PgNode? node) => Trees.Any(node, n =>
    {
        if (n.Type == "A_Const" && n.Has("sval"))
        {
            Masks.Add(new MaskRange((int)n.Number("location"), null));
        }

        return false;
    }, subqueries: true);

    void MaskConnectionStrings(PgNode call)
    {
        foreach (var argument in call.List("args"))
        {
            if (Trees.Literal(argument) is { } text && LooksLikeConnection(text)) MaskLiterals(argument);
        }
    }

    static bool LooksLikeConnection(string text) =>
        text.Contains("password", StringComparison.OrdinalIgnoreCase) || text.Contains("://", StringComparison.Ordinal) || text.Contains("passfile", StringComparison.OrdinalIgnoreCase);
}
