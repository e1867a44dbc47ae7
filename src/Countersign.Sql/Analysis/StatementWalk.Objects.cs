using Countersign.Sql.Parsing;

namespace Countersign.Sql.Analysis;

/// <summary>Objects by the grammar's ObjectType and the many shapes in which it names them.</summary>
sealed partial class StatementWalk
{
    static string KindName(string? objectType) => objectType switch
    {
        null => "object",
        "OBJECT_MATVIEW" => "materialized-view",
        "OBJECT_FDW" => "foreign-data-wrapper",
        "OBJECT_TABCONSTRAINT" or "OBJECT_DOMCONSTRAINT" => "constraint",
        "OBJECT_STATISTIC_EXT" => "statistics",
        "OBJECT_LARGEOBJECT" => "large-object",
        "OBJECT_OPCLASS" => "operator-class",
        "OBJECT_OPFAMILY" => "operator-family",
        "OBJECT_TSCONFIGURATION" or "OBJECT_TSDICTIONARY" or "OBJECT_TSPARSER" or "OBJECT_TSTEMPLATE" => "text-search",
        _ => objectType["OBJECT_".Length..].ToLowerInvariant().Replace('_', '-'),
    };

    /// <summary>
    /// Records <paramref name="action"/> on an object. <paramref name="relation"/> is the relation beside it where the grammar has one
    /// (RENAME, SET SCHEMA, OWNER TO). A shape that has no case here is opaque.
    /// </summary>
    void Object(string action, string? objectType, PgNode? item, PgNode? relation, Action<EffectDraft> fill)
    {
        var path = item?.Type switch
        {
            "List" => item.Names("items"),
            "String" => [item.Text("sval") ?? ""],
            "TypeName" => item.Names("names"),
            "ObjectWithArgs" => item.Names("objname"),
            _ => [],
        };
        switch (objectType)
        {
            case "OBJECT_TABLE" or "OBJECT_VIEW" or "OBJECT_MATVIEW" or "OBJECT_FOREIGN_TABLE" or "OBJECT_SEQUENCE" or "OBJECT_INDEX":
                if (relation is not null) Relation(action, relation.Text("schemaname"), relation.Text("relname") ?? "", objectType, fill);
                else if (path.Length > 0) Relation(action, path.Length > 1 ? path[^2] : null, path[^1], objectType, fill);
                else Unknown();
                return;
            // What belongs to a table is done to the table.
            case "OBJECT_COLUMN" or "OBJECT_TABCONSTRAINT" or "OBJECT_TRIGGER" or "OBJECT_RULE" or "OBJECT_POLICY" or "OBJECT_DEFAULT":
                if (relation is not null) Relation(action, relation.Text("schemaname"), relation.Text("relname") ?? "", null, fill, KindName(objectType));
                else if (path.Length > 1) Relation(action, path.Length > 2 ? path[^3] : null, path[^2], null, fill, KindName(objectType));
                else Unknown();
                return;
            case "OBJECT_FUNCTION" or "OBJECT_PROCEDURE" or "OBJECT_ROUTINE" or "OBJECT_AGGREGATE":
                if (path.Length == 0) Unknown();
                foreach (var name in FunctionNames(path)) fill(Add(action, names.InSchema(SqlResources.Function, name), KindName(objectType)));
                return;
            case "OBJECT_SCHEMA": fill(Add(action, names.Schema(Only(path)), "schema")); return;
            case "OBJECT_DATABASE": fill(Add(action, names.Database(Only(path)), "database")); return;
            case "OBJECT_ROLE": fill(Add(action, names.Role(item?.Type == "RoleSpec" ? RoleName(item) : Only(path)), "role")); return;
            case "OBJECT_EXTENSION" or "OBJECT_LANGUAGE" or "OBJECT_FDW" or "OBJECT_FOREIGN_SERVER" or "OBJECT_EVENT_TRIGGER" or "OBJECT_PUBLICATION"
                or "OBJECT_SUBSCRIPTION" or "OBJECT_TABLESPACE" or "OBJECT_ACCESS_METHOD" or "OBJECT_PARAMETER_ACL":
                fill(Add(action, names.InDatabase(Only(path)), KindName(objectType)));
                return;
            case "OBJECT_TYPE" or "OBJECT_DOMAIN" or "OBJECT_COLLATION" or "OBJECT_CONVERSION" or "OBJECT_STATISTIC_EXT" or "OBJECT_OPERATOR"
                or "OBJECT_TSCONFIGURATION" or "OBJECT_TSDICTIONARY" or "OBJECT_TSPARSER" or "OBJECT_TSTEMPLATE":
                if (relation is not null) path = relation.Text("schemaname") is { } schema ? [schema, relation.Text("relname") ?? ""] : [relation.Text("relname") ?? ""];
                if (path.Length > 0) fill(Add(action, InSchema(path), KindName(objectType)));
                else Unknown();
                return;
            case "OBJECT_ATTRIBUTE":
                if (relation is not null) Relation(action, relation.Text("schemaname"), relation.Text("relname") ?? "", null, fill);
                else Unknown();
                return;
            case "OBJECT_OPCLASS" or "OBJECT_OPFAMILY" when path.Length > 1: // the access method comes first
                fill(Add(action, InSchema(path[1..]), KindName(objectType)));
                return;
            case "OBJECT_DOMCONSTRAINT" when item?.List("items") is [{ Type: "TypeName" } domain, ..]:
                fill(Add(action, InSchema(domain.Names("names")), "domain"));
                return;
            default:
                // Casts, transforms, large objects, user mappings, and what a later grammar brings: the database, by kind.
                fill(Add(action, names.Database(), KindName(objectType)));
                return;
        }
    }

    /// <summary>Everything in a schema (null: in the database) that has rows: what is done to the whole is done to each, whatever its classes.</summary>
    void Everything(string action, string? schema, Action<EffectDraft> fill, Func<SqlRelation, bool>? which = null)
    {
        foreach (var relation in catalog.RelationsIn(schema))
        {
            if (which?.Invoke(relation) != false) Touch(action, new Names.Candidate(relation.Name, relation, false), false, fill);
        }
    }

    static string Only(string[] path) => path.Length > 0 ? path[^1] : "";

    Countersign.Core.ResourceRef InSchema(string[] path) =>
        names.InSchema(SqlResources.Object, new SqlName(path.Length > 1 ? path[^2] : names.CreationSchema, Only(path)));

    void Relation(string action, string? schema, string name, string? objectType, Action<EffectDraft> fill, string? part = null)
    {
        foreach (var candidate in names.Resolve(schema, name))
        {
            if (candidate.Relation is null && objectType is "OBJECT_SEQUENCE" or "OBJECT_INDEX")
            {
                var type = objectType == "OBJECT_SEQUENCE" ? SqlResources.Sequence : SqlResources.Object;
                var draft = Add(action, names.InSchema(type, candidate.Name), KindName(objectType));
                draft.Unresolved |= candidate.IsUnresolved;
                draft.Temp |= candidate.IsTemporary;
                fill(draft);
                continue;
            }

            Touch(action, candidate, true, fill, part);
        }
    }

    /// <summary>The functions that a name may mean in a definition; where it would be made when there is none.</summary>
    IEnumerable<SqlName> FunctionNames(string[] path)
    {
        var (schema, name) = (path.Length > 1 ? path[^2] : null, path[^1]);
        if (schema is not null) return [new SqlName(schema, name)];
        var found = new HashSet<SqlName>();
        foreach (var candidate in catalog.Functions(name))
        {
            if (names.IsOnPath(candidate.Name.Schema)) found.Add(candidate.Name);
        }

        if (Builtins.Function(name) != BuiltinClass.Unknown) found.Add(new SqlName("pg_catalog", name));
        if (found.Count == 0) found.Add(new SqlName(names.CreationSchema, name));
        return found;
    }
}
