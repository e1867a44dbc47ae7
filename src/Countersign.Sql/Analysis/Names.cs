using System.Text;
using Countersign.Core;

namespace Countersign.Sql.Analysis;

/// <summary>Names to resources, as the server would resolve them under the session (P5, P15).</summary>
sealed class Names(SqlSession session, SqlCatalog catalog, SqlClassify classify)
{
    public const string TemporarySchema = "pg_temp";

    readonly (string, string)[] databaseParents =
        [(SqlResources.Database, Quote(session.Target)), (SqlResources.Target, session.Target)];

    /// <summary>A relation that a name may mean. <paramref name="Relation"/> is null when the catalogue has none: then <paramref name="Name"/> is where it would be made.</summary>
    public readonly record struct Candidate(SqlName Name, SqlRelation? Relation, bool IsTemporary)
    {
        public bool IsUnresolved => Relation is null && !IsTemporary;
    }

    /// <summary>
    /// Everything that a name may mean, never nothing: each schema of the path that holds it, and the session's temporary relation. More
    /// than the server's answer, for the catalogue may be older than the session.
    /// </summary>
    public List<Candidate> Resolve(string? schema, string name)
    {
        var found = new List<Candidate>(1);
        if (!string.IsNullOrEmpty(schema))
        {
            // A superuser reads another session's temporary schema too: what is in it is not known here.
            if (IsTemporary(schema) && IsOwnTemporary(schema)) found.Add(new Candidate(new SqlName(TemporarySchema, name), null, true));
            else found.Add(new Candidate(new SqlName(schema, name), catalog.Relation(new SqlName(schema, name)), false));
            return found;
        }

        if (session.TemporaryNames.Contains(name)) found.Add(new Candidate(new SqlName(TemporarySchema, name), null, true));
        foreach (var candidate in session.SearchPath)
        {
            if (!IsTemporary(candidate) && catalog.Relation(new SqlName(candidate, name)) is { } relation) found.Add(new Candidate(relation.Name, relation, false));
        }

        // The system catalogues are searched even when the path does not name them, and need not be in the snapshot.
        if (found.Count == 0 && name.StartsWith("pg_", StringComparison.Ordinal)) found.Add(new Candidate(new SqlName("pg_catalog", name), catalog.Relation(new SqlName("pg_catalog", name)), false));
        if (found.Count == 0) found.Add(new Candidate(new SqlName(CreationSchema, name), null, false));
        return found;
    }

    static bool IsTemporary(string schema) => schema == TemporarySchema || schema.StartsWith("pg_temp_", StringComparison.Ordinal);

    bool IsOwnTemporary(string schema) => schema == TemporarySchema || session.SearchPath.Contains(schema, StringComparer.Ordinal);

    /// <summary>A temporary schema of another session, as far as is known: a view in it shows what nobody here has looked at.</summary>
    public bool IsForeignTemporary(string schema) => IsTemporary(schema) && !IsOwnTemporary(schema);

    public static bool IsTemporarySchema(string? schema) => schema is not null && IsTemporary(schema);

    /// <summary>Set within CREATE SCHEMA: its elements are made in the new schema.</summary>
    public string? NewSchema { get; set; }

    /// <summary>Where an unqualified name is created: the first of the path that is not the system's.</summary>
    public string CreationSchema
    {
        get
        {
            if (NewSchema is not null) return NewSchema;
            foreach (var schema in session.SearchPath)
            {
                if (!IsTemporary(schema) && schema != "pg_catalog") return schema;
            }

            return "";
        }
    }

    public bool IsOnPath(string schema)
    {
        if (schema == "pg_catalog" || IsTemporary(schema)) return true;
        foreach (var candidate in session.SearchPath)
        {
            if (candidate == schema) return true;
        }

        return false;
    }

    public ResourceRef Database() => new(SqlResources.Database, Quote(session.Target)) { Parents = [(SqlResources.Target, session.Target)] };

    /// <summary>Another database of the server, or the session's own.</summary>
    public ResourceRef Database(string name) => name == session.Database ? Database()
        : new ResourceRef(SqlResources.Database, Join(session.Target, name)) { Parents = [(SqlResources.Target, session.Target)] };

    public ResourceRef Schema(string name) => new(SqlResources.Schema, Join(session.Target, name)) { Parents = databaseParents };

    public ResourceRef Role(string name) => new(SqlResources.Role, Join(session.Target, name)) { Parents = [(SqlResources.Target, session.Target)] };

    public ResourceRef InSchema(string type, SqlName name) => new(type, Join(session.Target, name.Schema, name.Name))
    {
        Parents = [(SqlResources.Schema, Join(session.Target, name.Schema)), .. databaseParents],
    };

    /// <summary>An object that is in no schema.</summary>
    public ResourceRef InDatabase(string name) => new(SqlResources.Object, Join(session.Target, name)) { Parents = databaseParents };

    public static string TypeOf(SqlRelation? relation) => relation?.Kind switch
    {
        SqlRelationKind.Sequence => SqlResources.Sequence,
        SqlRelationKind.Index or SqlRelationKind.CompositeType => SqlResources.Object,
        _ => SqlResources.Table,
    };

    public static string? KindOf(SqlRelation? relation) => relation?.Kind switch
    {
        SqlRelationKind.Table or SqlRelationKind.PartitionedTable => "table",
        SqlRelationKind.View => "view",
        SqlRelationKind.MaterializedView => "materialized-view",
        SqlRelationKind.ForeignTable => "foreign-table",
        SqlRelationKind.Sequence => "sequence",
        SqlRelationKind.Index => "index",
        SqlRelationKind.CompositeType => "type",
        SqlRelationKind.Toast => "toast",
        _ => null,
    };

    /// <summary>
    /// A relation with its data classes: its own, those of its partitions and children, of what it is a partition or child of, and, for a
    /// materialized view, of what it was filled from.
    /// </summary>
    public ResourceRef Relation(in Candidate candidate, out bool guarded)
    {
        guarded = false;
        var resource = InSchema(TypeOf(candidate.Relation), candidate.Name);
        if (candidate.IsTemporary) return resource;
        var classes = new SortedSet<string>(StringComparer.Ordinal);
        var seen = new HashSet<SqlName>();
        guarded = Collect(candidate.Name, classes, seen, up: true, down: true);
        return classes.Count == 0 ? resource : resource with { DataClasses = [.. classes] };
    }

    bool Collect(SqlName name, SortedSet<string> classes, HashSet<SqlName> seen, bool up, bool down)
    {
        if (!seen.Add(name)) return false;
        var guarded = false;
        var relation = catalog.Relation(name);
        if (Builtins.IsSecret(name.Schema, name.Name))
        {
            classes.Add(Builtins.SecretsClass);
            guarded = true;
        }

        // What the config says of a system catalogue counts; its default class does not, for that is about the users' data.
        var own = classify(session.Target, name.Schema, name.Name);
        if (own.Guarded || !Builtins.IsSystemSchema(name.Schema))
        {
            classes.UnionWith(own.DataClasses);
            guarded |= own.Guarded;
        }

        if (relation is null) return guarded;
        if (up)
        {
            foreach (var parent in relation.Parents) guarded |= Collect(parent, classes, seen, true, false);
        }

        if (down)
        {
            foreach (var child in catalog.Children(name)) guarded |= Collect(child, classes, seen, false, true);
        }

        if (relation.Kind == SqlRelationKind.MaterializedView)
        {
            foreach (var read in relation.Reads) guarded |= Collect(read, classes, seen, true, true);
        }
        else if (relation.Kind == SqlRelationKind.View && seen.Count > 1)
        {
            // A view within a materialized view: its tables come through.
            foreach (var read in relation.Reads) guarded |= Collect(read, classes, seen, true, true);
        }

        return guarded;
    }

    /// <summary>
    /// A resource id: parts joined by dots. A part that holds a dot or a quote is quoted as SQL quotes it, and so is an empty one, so that
    /// two names never share an id.
    /// </summary>
    public static string Join(params ReadOnlySpan<string> parts)
    {
        var text = new StringBuilder();
        foreach (var part in parts)
        {
            if (text.Length > 0) text.Append('.');
            text.Append(Quote(part));
        }

        return text.ToString();
    }

    public static string Quote(string part) =>
        part.Length > 0 && part.AsSpan().IndexOfAny('.', '"') < 0 ? part : $"\"{part.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
}
