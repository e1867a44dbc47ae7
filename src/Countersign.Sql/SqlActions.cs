namespace Countersign.Sql;

/// <summary>
/// The Cedar actions of SQL: the words of <see cref="Core.SqlVocabulary"/>, which has the verb group of each (a test keeps the two equal).
/// </summary>
public static class SqlActions
{
    /// <summary>Rows are read, by the statement itself or for another.</summary>
    public const string Select = "sql:select";

    /// <summary>EXPLAIN without ANALYZE looks at a relation: plans and statistics, no rows.</summary>
    public const string Explain = "sql:explain";

    public const string Show = "sql:show";

    /// <summary>Session matters: SET of a harmless setting, transaction control, DISCARD, DEALLOCATE, FETCH, LISTEN.</summary>
    public const string Session = "sql:session";

    /// <summary>Guarded data leaves in bulk: reads that neither a key nor a LIMIT bounds, and publications.</summary>
    public const string Export = "sql:export";

    /// <summary>COPY … TO, whatever it reads and however little.</summary>
    public const string CopyOut = "sql:copy-out";

    public const string Insert = "sql:insert";

    /// <summary>Also ON CONFLICT DO UPDATE, MERGE … UPDATE, and what a cascading foreign key updates.</summary>
    public const string Update = "sql:update";

    /// <summary>Without a WHERE it is still a write, with the fact <c>where: false</c>: a policy can tell, and a full UPDATE loses no less.</summary>
    public const string Delete = "sql:delete";

    public const string CopyIn = "sql:copy-in";

    /// <summary>LOCK TABLE, SELECT … FOR UPDATE or SHARE, advisory locks.</summary>
    public const string Lock = "sql:lock";

    /// <summary>REFRESH MATERIALIZED VIEW.</summary>
    public const string Refresh = "sql:refresh";

    /// <summary>A function of pg_catalog that is known to have an effect, and which (nextval, setval, lo_put, …).</summary>
    public const string Call = "sql:call";

    /// <summary>NOTIFY and pg_notify.</summary>
    public const string Notify = "sql:notify";

    /// <summary>A temporary relation is created: gone with the session, seen by nobody else.</summary>
    public const string CreateTemporary = "sql:create-temporary";

    /// <summary>DROP of anything; of a part of a relation with the part as the fact <c>object</c> (<c>column</c>, <c>trigger</c>, …).</summary>
    public const string Drop = "sql:drop";

    public const string Truncate = "sql:truncate";

    public const string Create = "sql:create";

    /// <summary>ALTER, COMMENT, RENAME, indexes, policies, triggers.</summary>
    public const string Alter = "sql:alter";

    /// <summary>GRANT, default privileges, ownership, membership.</summary>
    public const string Grant = "sql:grant";

    public const string Revoke = "sql:revoke";

    /// <summary>CREATE, ALTER, DROP ROLE.</summary>
    public const string Role = "sql:role";

    /// <summary>SET ROLE, SET SESSION AUTHORIZATION, and their resets.</summary>
    public const string SetRole = "sql:set-role";

    /// <summary>VACUUM, ANALYZE, REINDEX, CLUSTER, CHECKPOINT.</summary>
    public const string Maintain = "sql:maintain";

    /// <summary>The server as a whole: its settings, WAL, replication, tablespaces, other sessions; settings of the session that switch off protections.</summary>
    public const string Configure = "sql:configure";

    /// <summary>Files and programs of the server's host, and libraries loaded from it.</summary>
    public const string ServerFile = "sql:server-file";

    /// <summary>What it does cannot be known from the text: DO, CALL, functions not known to be harmless, user triggers and rules, unknown statements.</summary>
    public const string Opaque = "sql:opaque";
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

/// <summary>
/// The facts that effects carry, of <see cref="Core.SqlVocabulary"/>. Bools and sets are always there, so that a policy may ask for either
/// value; <c>limit</c>, <c>object</c>, <c>cascade</c>, <c>privileges</c>, <c>grantees</c> and <c>settings</c> only where they mean something.
/// <c>in_transaction</c> is the gateway's to add.
/// </summary>
public static class SqlFacts
{
    /// <summary>String. The kind of statement in capitals: <c>SELECT</c>, <c>UPDATE</c>, <c>BEGIN</c>, <c>CREATE</c>, ….</summary>
    public const string Statement = "statement";

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
    public const string Cte = "cte";

    /// <summary>Bool. The relation has user triggers or rules, which run with the write.</summary>
    public const string Triggers = "triggers";

    /// <summary>Bool. The name was not found in the catalogue.</summary>
    public const string Unresolved = "unresolved";

    /// <summary>Long, when there is a literal one. The LIMIT of the query level.</summary>
    public const string Limit = "limit";

    /// <summary>Bool. The query locks rows (FOR UPDATE, FOR SHARE, …).</summary>
    public const string Locking = "locking";

    /// <summary>Bool. The relation is temporary.</summary>
    public const string Temporary = "temporary";

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
}
