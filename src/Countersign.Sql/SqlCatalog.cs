using System.Collections.Frozen;

namespace Countersign.Sql;

/// <summary>A schema-qualified name as the catalogue has it: folded, cut, never quoted.</summary>
public readonly record struct SqlName(string Schema, string Name)
{
    public override string ToString() => $"{Schema}.{Name}";
}

/// <summary>Kinds of relation, by <c>pg_class.relkind</c>.</summary>
public enum SqlRelationKind
{
    Table,
    PartitionedTable,
    View,
    MaterializedView,
    ForeignTable,
    Sequence,
    Index,
    CompositeType,
    Toast,
}

/// <summary>What a foreign key does to the rows that refer to a row that goes or changes, by <c>pg_constraint.confdeltype</c> and <c>confupdtype</c>.</summary>
public enum SqlReferentialAction
{
    /// <summary>NO ACTION or RESTRICT: nothing is written.</summary>
    None,
    Cascade,

    /// <summary>SET NULL or SET DEFAULT.</summary>
    Set,
}

/// <summary>A table whose foreign key refers to another.</summary>
public sealed record SqlReference(SqlName Table, SqlReferentialAction OnDelete, SqlReferentialAction OnUpdate)
{
    /// <summary>The referred-to columns: an update of none of them cascades nothing. Empty: unknown, so that any may be.</summary>
    public IReadOnlyList<string> Columns { get; init; } = [];
}

/// <summary>A relation as the server has it.</summary>
public sealed record SqlRelation(SqlName Name, SqlRelationKind Kind)
{
    /// <summary>Column names, in order. Empty: unknown.</summary>
    public IReadOnlyList<string> Columns { get; init; } = [];

    /// <summary>Columns of each unique, valid, immediate index without predicate and expressions. Null values do not matter: equality with one finds no row.</summary>
    public IReadOnlyList<IReadOnlyList<string>> UniqueKeys { get; init; } = [];

    /// <summary>Direct parents: partitioned table or inherited ones.</summary>
    public IReadOnlyList<SqlName> Parents { get; init; } = [];

    /// <summary>For views and materialized views: the relations that its query reads, directly.</summary>
    public IReadOnlyList<SqlName> Reads { get; init; } = [];

    /// <summary>For views and materialized views: functions that its query calls, operators' included. Harmless ones may be among them.</summary>
    public IReadOnlyList<SqlName> Calls { get; init; } = [];

    /// <summary>For tables: functions that nobody writes and that run all the same, but for immutable ones of pg_catalog. Harmless ones may be among them.</summary>
    public IReadOnlyList<SqlHiddenCall> Hidden { get; init; } = [];

    /// <summary>Whether it has triggers that are not internal (those of foreign keys are).</summary>
    public bool HasTriggers { get; init; }

    /// <summary>Whether it has rules besides a view's own SELECT rule.</summary>
    public bool HasRules { get; init; }
}

/// <summary>Where a table calls a function that the statement does not name.</summary>
public enum SqlHiddenPlace
{
    /// <summary>A default, of the column or of its type: at INSERT, or where UPDATE asks for it.</summary>
    Default,

    /// <summary>A check, a generated column, an index, a partition key: whenever a row is written.</summary>
    Write,

    /// <summary>A row-security policy about writing.</summary>
    WritePolicy,

    /// <summary>A row-security policy about reading, or a column that is generated when it is read.</summary>
    Read,
}

/// <summary>A function that a table calls.</summary>
public sealed record SqlHiddenCall(SqlName Function, SqlHiddenPlace Place)
{
    internal bool RunsAt(string action) => Place switch
    {
        SqlHiddenPlace.Default or SqlHiddenPlace.Write => action is SqlActions.Insert or SqlActions.Update or SqlActions.CopyIn,
        SqlHiddenPlace.WritePolicy => action is SqlActions.Insert or SqlActions.Update or SqlActions.Delete or SqlActions.CopyIn,
        _ => action is not SqlActions.Truncate,
    };
}

/// <summary>Volatility, by <c>pg_proc.provolatile</c>.</summary>
public enum SqlVolatility
{
    Immutable,
    Stable,
    Volatile,
}

/// <summary>A function, procedure or aggregate outside pg_catalog. Overloads are entries of their own.</summary>
public sealed record SqlFunction(SqlName Name)
{
    public SqlVolatility Volatility { get; init; } = SqlVolatility.Volatile;

    /// <summary><c>pg_language.lanname</c>.</summary>
    public string Language { get; init; } = "";

    public bool SecurityDefiner { get; init; }

    /// <summary>Whether its first argument is of a row type or polymorphic, so that <c>x.name</c> may call it (functional notation).</summary>
    public bool TakesRow { get; init; }

    /// <summary>Whether it may be called with one argument, of whatever type: <c>(x).name</c> calls it. True until the catalogue says otherwise.</summary>
    public bool TakesOne { get; init; } = true;

    /// <summary>Whether it is an aggregate.</summary>
    public bool IsAggregate { get; init; }

    /// <summary>
    /// In C, so that only a superuser can have made it, and immutable or reviewed by name. SQL and PL/pgSQL bodies are not looked at in this build.
    /// </summary>
    internal bool IsHarmless => Language is "c" or "internal" && !IsAggregate && (Volatility == SqlVolatility.Immutable || Analysis.Builtins.IsReviewedExtension(Name.Name));
}

/// <summary>An operator outside pg_catalog, with what is known of its function.</summary>
public sealed record SqlOperator(SqlName Name, SqlVolatility Volatility, string Language)
{
    internal bool IsHarmless => Volatility == SqlVolatility.Immutable && Language is "c" or "internal";
}

/// <summary>
/// A type outside pg_catalog. <paramref name="MayRunCode"/>: a cast to it may run code of a user (a domain with checks, a base type with
/// functions that are not in C, a type that a user-defined cast leads to).
/// </summary>
public sealed record SqlType(SqlName Name, bool MayRunCode);

/// <summary>
/// What the server's catalogue said at one moment. Immutable and shared; the gateway replaces it as a whole. What is missing from it is
/// treated as unknown, never as harmless.
/// </summary>
public sealed class SqlCatalog
{
    readonly FrozenDictionary<SqlName, SqlRelation> relations;
    readonly FrozenDictionary<string, SqlFunction[]> functions;
    readonly FrozenDictionary<string, SqlOperator[]> operators;
    readonly FrozenDictionary<string, SqlType[]> types;
    readonly FrozenDictionary<SqlName, SqlName[]> children;
    readonly FrozenDictionary<SqlName, SqlName[]> readers;
    readonly FrozenDictionary<SqlName, SqlReference[]> references;

    SqlCatalog(Builder builder)
    {
        Version = builder.Version;
        relations = builder.Relations.ToFrozenDictionary();
        functions = builder.Functions.GroupBy(static f => f.Name.Name, StringComparer.Ordinal).ToFrozenDictionary(static g => g.Key, static g => g.ToArray(), StringComparer.Ordinal);
        operators = builder.Operators.GroupBy(static o => o.Name.Name, StringComparer.Ordinal).ToFrozenDictionary(static g => g.Key, static g => g.ToArray(), StringComparer.Ordinal);
        types = builder.Types.GroupBy(static t => t.Name.Name, StringComparer.Ordinal).ToFrozenDictionary(static g => g.Key, static g => g.ToArray(), StringComparer.Ordinal);
        children = Invert(static r => r.Parents);
        readers = Invert(static r => r.Reads);
        references = builder.References.GroupBy(static r => r.Referenced).ToFrozenDictionary(static g => g.Key, static g => g.Select(static r => r.Reference).ToArray());
    }

    FrozenDictionary<SqlName, SqlName[]> Invert(Func<SqlRelation, IReadOnlyList<SqlName>> targets) =>
        relations.Values.SelectMany(r => targets(r).Select(t => (Target: t, r.Name))).GroupBy(static p => p.Target)
            .ToFrozenDictionary(static g => g.Key, static g => g.Select(static p => p.Name).OrderBy(static n => n.Schema, StringComparer.Ordinal).ThenBy(static n => n.Name, StringComparer.Ordinal).ToArray());

    /// <summary>Knows nothing: every name is unresolved, every function outside pg_catalog unknown.</summary>
    public static SqlCatalog Empty { get; } = new(new Builder());

    /// <summary>Tells one snapshot from another; part of what an understanding is cached under. Never equal for different content.</summary>
    public long Version { get; }

    /// <summary>The relation of that name, or null.</summary>
    public SqlRelation? Relation(SqlName name) => relations.GetValueOrDefault(name);

    /// <summary>The relations that hold rows (or show them) of a schema, or of all schemas but the system's.</summary>
    internal IEnumerable<SqlRelation> RelationsIn(string? schema) =>
        relations.Values.Where(r => r.Kind is not (SqlRelationKind.Index or SqlRelationKind.CompositeType or SqlRelationKind.Toast)
                && (schema is null ? !Analysis.Builtins.IsSystemSchema(r.Name.Schema) : r.Name.Schema == schema))
            .OrderBy(static r => r.Name.Schema, StringComparer.Ordinal).ThenBy(static r => r.Name.Name, StringComparer.Ordinal);

    internal ReadOnlySpan<SqlFunction> Functions(string name) => functions.GetValueOrDefault(name);

    internal ReadOnlySpan<SqlOperator> Operators(string name) => operators.GetValueOrDefault(name);

    internal ReadOnlySpan<SqlType> Types(string name) => types.GetValueOrDefault(name);

    internal ReadOnlySpan<SqlName> Children(SqlName name) => children.GetValueOrDefault(name);

    /// <summary>Views that read the relation directly.</summary>
    internal ReadOnlySpan<SqlName> Readers(SqlName name) => readers.GetValueOrDefault(name);

    /// <summary>Foreign keys that refer to the relation.</summary>
    internal ReadOnlySpan<SqlReference> References(SqlName name) => references.GetValueOrDefault(name);

    /// <summary>Collects a snapshot. Not thread-safe.</summary>
    public sealed class Builder
    {
        static long lastVersion;

        internal long Version { get; private set; }
        internal Dictionary<SqlName, SqlRelation> Relations { get; } = [];
        internal List<SqlFunction> Functions { get; } = [];
        internal List<SqlOperator> Operators { get; } = [];
        internal List<SqlType> Types { get; } = [];
        internal List<(SqlName Referenced, SqlReference Reference)> References { get; } = [];

        /// <summary>Adds a relation; a second one of the same name replaces the first.</summary>
        public Builder Add(SqlRelation relation)
        {
            ArgumentNullException.ThrowIfNull(relation);
            Relations[relation.Name] = relation;
            return this;
        }

        /// <summary>Changes a relation that was added; false when there is none of that name.</summary>
        public bool Update(SqlName name, Func<SqlRelation, SqlRelation> change)
        {
            ArgumentNullException.ThrowIfNull(change);
            if (!Relations.TryGetValue(name, out var relation)) return false;
            Relations[name] = change(relation);
            return true;
        }

        public Builder Add(SqlFunction function)
        {
            Functions.Add(function);
            return this;
        }

        public Builder Add(SqlOperator op)
        {
            Operators.Add(op);
            return this;
        }

        public Builder Add(SqlType type)
        {
            Types.Add(type);
            return this;
        }

        /// <summary>Adds a foreign key that refers to <paramref name="referenced"/>.</summary>
        public Builder Add(SqlName referenced, SqlReference reference)
        {
            References.Add((referenced, reference));
            return this;
        }

        /// <summary>The snapshot, with a version of its own.</summary>
        public SqlCatalog Build()
        {
            Version = Interlocked.Increment(ref lastVersion);
            return new SqlCatalog(this);
        }
    }
}

/// <summary>What the classification says of a relation.</summary>
/// <param name="DataClasses">Names of data classes; the config's default class where it lists none.</param>
/// <param name="Guarded">Whether reading it in bulk is an export: it is in a class that is neither empty, nor `none`, nor there by default only.</param>
public readonly record struct SqlClassification(IReadOnlyList<string> DataClasses, bool Guarded)
{
    public static readonly SqlClassification None = new([], false);
}

/// <summary>Looks a relation up in the config's classification. Pure and thread-safe; equal arguments give equal answers for as long as an understanding is cached.</summary>
public delegate SqlClassification SqlClassify(string target, string schema, string name);
