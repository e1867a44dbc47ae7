using System.Collections.Frozen;
using Countersign.Core;

namespace Countersign.Sql;

/// <summary>
/// The Cedar actions of SQL and the verb group of each. The policy schema that ships declares exactly these (a test keeps the two equal).
/// </summary>
public static class SqlActions
{
    /// <summary>Rows are read. With the fact <c>explain</c> and no ANALYZE: only planned, which reveals statistics.</summary>
    public const string Select = "sql:select";

    /// <summary>Session matters: SET, SHOW, transaction control, DISCARD, DEALLOCATE, FETCH, LISTEN.</summary>
    public const string Session = "sql:session";

    /// <summary>Guarded data leaves in bulk: COPY … TO, publications, and reads that neither a key nor a LIMIT bounds.</summary>
    public const string Export = "sql:export";

    public const string Insert = "sql:insert";

    /// <summary>Also ON CONFLICT DO UPDATE, MERGE … UPDATE, and what a cascading foreign key updates.</summary>
    public const string Update = "sql:update";

    /// <summary>Without a WHERE it is still a write, with the fact <c>where: false</c>: rows come back from a backup as an updated column would.</summary>
    public const string Delete = "sql:delete";

    public const string CopyIn = "sql:copy-in";

    /// <summary>LOCK TABLE, SELECT … FOR UPDATE or SHARE, advisory locks.</summary>
    public const string Lock = "sql:lock";

    /// <summary>A function or procedure that is not known to be harmless.</summary>
    public const string Call = "sql:call";

    /// <summary>NOTIFY and pg_notify.</summary>
    public const string Notify = "sql:notify";

    /// <summary>A temporary relation is created: gone with the session, seen by nobody else.</summary>
    public const string CreateTemporary = "sql:create-temporary";

    /// <summary>DROP of anything, and of a column (then with the fact <c>columns</c>).</summary>
    public const string Drop = "sql:drop";

    public const string Truncate = "sql:truncate";

    public const string Create = "sql:create";

    /// <summary>ALTER, COMMENT, RENAME, indexes, policies, triggers.</summary>
    public const string Alter = "sql:alter";

    /// <summary>GRANT, REVOKE, default privileges, ownership, membership.</summary>
    public const string Grant = "sql:grant";

    /// <summary>CREATE, ALTER, DROP ROLE; SET ROLE; SET SESSION AUTHORIZATION.</summary>
    public const string Role = "sql:role";

    /// <summary>VACUUM, ANALYZE, REINDEX, CLUSTER, REFRESH MATERIALIZED VIEW, CHECKPOINT.</summary>
    public const string Maintain = "sql:maintain";

    /// <summary>The server and its host: files, programs, settings, WAL, replication, other sessions.</summary>
    public const string Server = "sql:server";

    /// <summary>What it does cannot be known from the text: DO, unknown statements, SQL run by a function, user triggers and rules.</summary>
    public const string Opaque = "sql:opaque";

    /// <summary>Each action with its verb.</summary>
    public static FrozenDictionary<string, Verb> All { get; } = new Dictionary<string, Verb>(StringComparer.Ordinal)
    {
        [Select] = Verb.Read,
        [Session] = Verb.Read,
        [Export] = Verb.Export,
        [Insert] = Verb.Write,
        [Update] = Verb.Write,
        [Delete] = Verb.Write,
        [CopyIn] = Verb.Write,
        [Lock] = Verb.Write,
        [Call] = Verb.Write,
        [Notify] = Verb.Write,
        [CreateTemporary] = Verb.Write,
        [Drop] = Verb.Destroy,
        [Truncate] = Verb.Destroy,
        [Create] = Verb.Administer,
        [Alter] = Verb.Administer,
        [Grant] = Verb.Administer,
        [Role] = Verb.Administer,
        [Maintain] = Verb.Administer,
        [Server] = Verb.Administer,
        [Opaque] = Verb.Administer,
    }.ToFrozenDictionary(StringComparer.Ordinal);
}

/// <summary>The Cedar entity types of SQL resources.</summary>
public static class SqlResources
{
    public const string Target = "Target";
    public const string Database = "Database";
    public const string Schema = "Schema";

    /// <summary>Table, partitioned table, view, materialized view, foreign table; the fact <c>object</c> says which.</summary>
    public const string Table = "Table";
    public const string Sequence = "Sequence";

    /// <summary>Functions, procedures and aggregates, by name without argument types.</summary>
    public const string Function = "Function";
    public const string Role = "Role";

    /// <summary>Any other object of a database; the fact <c>object</c> says what.</summary>
    public const string Object = "SqlObject";
}

/// <summary>The facts that effects carry: the context attributes of the policy schema.</summary>
public static class SqlFacts
{
    /// <summary>Bool. The statement or query level has a WHERE that looks at a column.</summary>
    public const string Where = "where";

    /// <summary>Bool. Neither a unique key nor a LIMIT nor an aggregate bounds what is read.</summary>
    public const string Unbounded = "unbounded";

    /// <summary>Set of String. Columns written, or read as far as the text tells; <c>*</c> for all.</summary>
    public const string Columns = "columns";

    /// <summary>Set of String. Functions of the statement that are not known to be harmless, as <c>schema.name</c>.</summary>
    public const string Functions = "functions";

    /// <summary>Bool. The statement does something that its text does not tell.</summary>
    public const string Opaque = "opaque";

    /// <summary>Bool. The statement is an EXPLAIN.</summary>
    public const string Explain = "explain";

    /// <summary>Bool. The statement has a data-modifying WITH.</summary>
    public const string ModifyingCte = "modifyingCte";

    /// <summary>Bool. The relation has user triggers or rules, which run with the write.</summary>
    public const string Triggers = "triggers";

    /// <summary>Bool. The name was not found in the catalogue.</summary>
    public const string Unresolved = "unresolved";

    /// <summary>Long, when there is a literal one. The LIMIT of the query level.</summary>
    public const string Limit = "limit";

    /// <summary>Bool. The query locks rows (FOR UPDATE, FOR SHARE, …).</summary>
    public const string Locking = "locking";

    /// <summary>Bool. The relation is temporary.</summary>
    public const string Temp = "temp";

    /// <summary>Long. Statements in the text.</summary>
    public const string Statements = "statements";

    /// <summary>String. The kind of object: <c>table</c>, <c>view</c>, <c>index</c>, <c>extension</c>, ….</summary>
    public const string Object = "object";

    /// <summary>Bool. DROP, TRUNCATE or REVOKE … CASCADE.</summary>
    public const string Cascade = "cascade";

    /// <summary>Set of String. Privileges that are granted or revoked; <c>all</c> for all.</summary>
    public const string Privileges = "privileges";

    /// <summary>Set of String. Roles that gain or lose; <c>public</c> for everybody.</summary>
    public const string Grantees = "grantees";

    /// <summary>Set of String. Settings that are changed or shown, in lower case.</summary>
    public const string Settings = "settings";

    /// <summary>Each fact with the Cedar type of its attribute.</summary>
    public static FrozenDictionary<string, string> All { get; } = new Dictionary<string, string>(StringComparer.Ordinal)
    {
        [Where] = "Bool",
        [Unbounded] = "Bool",
        [Columns] = "Set<String>",
        [Functions] = "Set<String>",
        [Opaque] = "Bool",
        [Explain] = "Bool",
        [ModifyingCte] = "Bool",
        [Triggers] = "Bool",
        [Unresolved] = "Bool",
        [Limit] = "Long",
        [Locking] = "Bool",
        [Temp] = "Bool",
        [Statements] = "Long",
        [Object] = "String",
        [Cascade] = "Bool",
        [Privileges] = "Set<String>",
        [Grantees] = "Set<String>",
        [Settings] = "Set<String>",
    }.ToFrozenDictionary(StringComparer.Ordinal);
}
