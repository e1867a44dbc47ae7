using System.Text.Json;
using Countersign.PgWire;

namespace Countersign.Gateway.Postgres;

/// <summary>
/// What the server says its session is, asked of the server itself and never inferred from a SET that went by (P5, P11):
/// everything here is part of the digest.
/// </summary>
internal sealed record SessionState(IReadOnlyList<string> SearchPath, string Role, IReadOnlyDictionary<string, string> Settings)
{
    /// <summary>
    /// Settings that change what a statement means or what its literals stand for. Settings outside this list and outside
    /// <see cref="Inert"/> join the digest as soon as the session changes them.
    /// </summary>
    public static readonly IReadOnlyList<string> Meaningful =
        ["DateStyle", "IntervalStyle", "TimeZone", "session_replication_role", "row_security", "transform_null_equals", "array_nulls", "xmloption", "bytea_output", "extra_float_digits", "default_tablespace", "check_function_bodies"];

    /// <summary>Settings that can not change what is done to data: how long things may take, what is told and logged.</summary>
    public static readonly IReadOnlySet<string> Inert = new HashSet<string>(StringComparer.OrdinalIgnoreCase)
    {
        "application_name", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
        "idle_session_timeout", "transaction_timeout", "client_min_messages", "work_mem", "search_path", "role", "client_encoding",
    };

    /// <summary>
    /// The question. Every name is qualified, so that nothing on the session's path can answer in its place, and no literal
    /// depends on a setting. <paramref name="touched"/> are settings that the session has named. With
    /// <paramref name="preparedNames"/> it also asks what each prepared statement's text is, as a SHA-256.
    /// </summary>
    public static string Question(IReadOnlyCollection<string> touched, bool preparedNames)
    {
        var names = Meaningful.Concat(touched.Where(static t => !Inert.Contains(t))).Distinct(StringComparer.OrdinalIgnoreCase).Order(StringComparer.Ordinal);
        return "SELECT pg_catalog.array_to_json(pg_catalog.current_schemas(true)), current_user, pg_catalog.current_setting('standard_conforming_strings'), pg_catalog.current_setting('client_encoding'), "
            + (preparedNames ? "(SELECT pg_catalog.json_object_agg(p.name, pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(p.statement, 'UTF8')), 'hex')) FROM pg_catalog.pg_prepared_statements p)" : "NULL")
            + ", " + Temporaries
            + string.Concat(names.Select(static n => $", '{n.Replace("'", "''", StringComparison.Ordinal)}', pg_catalog.current_setting('{n.Replace("'", "''", StringComparison.Ordinal)}', true)"));
    }

    /// <summary>
    /// The session's temporary relations, which no other connection can see, each with whether using it may do more than its
    /// name says: a view or rule, a trigger, children that have one; a default, check or index that calls what is not known to
    /// be harmless (a `set_config` in a default is no SET that anybody would see).
    /// </summary>
    private const string Temporaries =
        "CASE WHEN pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.=) 0 THEN NULL ELSE (SELECT pg_catalog.json_object_agg(c.relname, c.relhasrules OR c.relhastriggers OR c.relhassubclass OR " + Calls + ") "
        + "FROM pg_catalog.pg_class c WHERE c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()) END";

    /// <summary>Whether any expression of relation c calls a function outside pg_catalog, or one of it that may do something.</summary>
    private const string Calls =
        "EXISTS (SELECT FROM (SELECT d.adbin::pg_catalog.text FROM pg_catalog.pg_attrdef d WHERE d.adrelid OPERATOR(pg_catalog.=) c.oid "
        + "UNION ALL SELECT k.conbin::pg_catalog.text FROM pg_catalog.pg_constraint k WHERE k.conrelid OPERATOR(pg_catalog.=) c.oid "
        + "UNION ALL SELECT pg_catalog.concat(i.indexprs::pg_catalog.text, ' ', i.indpred::pg_catalog.text) FROM pg_catalog.pg_index i WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid "
        + "UNION ALL SELECT pg_catalog.concat(t.typdefaultbin::pg_catalog.text, ' ', k.conbin::pg_catalog.text) FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) a.atttypid "
        + "LEFT JOIN pg_catalog.pg_constraint k ON k.contypid OPERATOR(pg_catalog.=) t.oid WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid) e (tree) "
        + "CROSS JOIN LATERAL pg_catalog.regexp_matches(e.tree, ':(?:funcid|opfuncid) ([0-9]+)', 'g') m (found) "
        + "JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) m.found[1]::pg_catalog.oid JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace "
        + "WHERE n.nspname OPERATOR(pg_catalog.<>) 'pg_catalog' OR p.proname OPERATOR(pg_catalog.~) '_to_xml|^pg_(read|ls)_' "
        + "OR (p.provolatile OPERATOR(pg_catalog.=) 'v' AND p.proname OPERATOR(pg_catalog.!~) '^(nextval|currval|lastval|clock_timestamp|timeofday|random|random_normal|gen_random_uuid|uuidv4|uuidv7)$'))";

    public static SessionState Read(string?[] row)
    {
        var path = JsonSerializer.Deserialize<string[]>(row[0]!) ?? throw new DesyncException("the target did not tell its search path");
        var settings = new Dictionary<string, string>(StringComparer.Ordinal);
        for (var i = 6; i + 1 < row.Length; i += 2) settings[row[i]!] = row[i + 1] ?? "(unset)";

        // The server reports these two by itself only before it is ready again, which may be long after it has begun to read
        // by them: inside a batch only a question tells (P2, P17).
        if (row[2] != "on") throw new UnsafeSessionException("`standard_conforming_strings` is not `on`");
        if (!"UTF8".Equals(row[3], StringComparison.OrdinalIgnoreCase)) throw new UnsafeSessionException("`client_encoding` is not `UTF8`");
        return new SessionState(path, row[1] ?? throw new DesyncException("the target did not tell its role"), settings)
        {
            Prepared = row[4] is { } names ? JsonSerializer.Deserialize<Dictionary<string, string>>(names) : null,
            Temporary = row[5] is { } temporary ? JsonSerializer.Deserialize<Dictionary<string, bool>>(temporary)! : [],
        };
    }

    /// <summary>Names of prepared statements and the SHA-256 of their texts, where they were asked for and there are any.</summary>
    public IReadOnlyDictionary<string, string>? Prepared { get; init; }

    /// <summary>Names of the session's temporary relations, with whether using one may do more than its name says.</summary>
    public IReadOnlyDictionary<string, bool> Temporary { get; init; } = new Dictionary<string, bool>();

    /// <summary>Names of what the gateway itself prepares in the session; a client's own can not begin so.</summary>
    public const string ReservedPrefix = "_countersign_";

    public static void WriteProbe(System.Buffers.IBufferWriter<byte> output, string question, bool sync)
    {
        const string name = ReservedPrefix + "state";
        // One that a cancel hit has left its statement behind; closing what is not there is no error.
        FrontendWriter.WriteClose(output, NamedKind.Statement, name);
        FrontendWriter.WriteParse(output, name, question);
        FrontendWriter.WriteBind(output, name, name);
        FrontendWriter.WriteExecute(output, name);
        FrontendWriter.WriteClose(output, NamedKind.Portal, name);
        FrontendWriter.WriteClose(output, NamedKind.Statement, name);
        if (sync) FrontendWriter.WriteSync(output);
        else FrontendWriter.WriteFlush(output);
    }
}

/// <summary>A prepared statement as the server has it: by protocol or by SQL, one namespace.</summary>
internal sealed record PreparedStatement(string Name, string Text, uint[] ParameterTypes)
{
    /// <summary>Answered by the gateway itself (`SET countersign.reason`); the server does not know it.</summary>
    public bool IsOwn { get; init; }

    /// <summary>Made by PREPARE: <see cref="Text"/> is that whole statement, and what a portal of it runs is the inner one.</summary>
    public bool FromSql { get; init; }

    /// <summary>As a human may read it, once it was understood: on the card of what runs it by name (I10).</summary>
    public string? Display { get; set; }

    /// <summary>Types as the server resolved them, once it was asked.</summary>
    public uint[]? ResolvedTypes { get; set; }
}

/// <summary>A portal: a prepared statement with bound values.</summary>
internal sealed class Portal(string name, PreparedStatement statement, BindMessage bind, Frame frame)
{
    public string Name { get; } = name;
    public PreparedStatement Statement { get; } = statement;
    public BindMessage Bind { get; } = bind;
    public Frame Frame { get; } = frame;

    /// <summary>True once its Bind may be or was forwarded: it was decided.</summary>
    public bool Cleared { get; set; }

    /// <summary>The session's <c>meaning</c> and <c>names</c> under which it was decided: under others it is void (P7, P11).</summary>
    public (long Meaning, long Names) DecidedUnder { get; set; }

    /// <summary>How many ReadyForQuery had been asked for when its Bind was forwarded.</summary>
    public long Born { get; set; }

    /// <summary>The target has carried out an Execute of it: a further one gives the next rows of the same execution.</summary>
    public bool Carried
    {
        get => Volatile.Read(ref carried);
        set => Volatile.Write(ref carried, value);
    }

    private bool carried;

    /// <summary>The right to execute it, until the first Execute takes it.</summary>
    public Passage? Passage { get; set; }

    /// <summary>Its execution, once an Execute has taken the right: further Executes go on with it.</summary>
    public PortalRun? Run { get; set; }

    /// <summary>Forwards what a human made of it in place of its Bind; null: it is forwarded as the client sent it.</summary>
    public Func<Owed, bool>? Edited { get; set; }

    /// <summary>What the understanding said follows from it.</summary>
    public Sql.SqlUnderstanding? Understood { get; set; }
}
