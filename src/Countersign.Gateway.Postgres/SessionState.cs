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
        ["DateStyle", "IntervalStyle", "TimeZone", "session_replication_role", "row_security", "transform_null_equals", "array_nulls", "xmloption", "default_tablespace", "check_function_bodies"];

    /// <summary>Settings that can not change what is done to data: how results look, how long things may take, what is logged.</summary>
    public static readonly IReadOnlySet<string> Inert = new HashSet<string>(StringComparer.OrdinalIgnoreCase)
    {
        "application_name", "extra_float_digits", "bytea_output", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
        "idle_session_timeout", "transaction_timeout", "client_min_messages", "work_mem", "search_path", "role", "client_encoding",
    };

    /// <summary>
    /// The question. Every name is qualified, so that nothing on the session's path can answer in its place, and no literal
    /// depends on a setting. <paramref name="touched"/> are settings that the session has named.
    /// </summary>
    public static string Question(IReadOnlyCollection<string> touched)
    {
        var names = Meaningful.Concat(touched.Where(static t => !Inert.Contains(t))).Distinct(StringComparer.OrdinalIgnoreCase).Order(StringComparer.Ordinal);
        return "SELECT pg_catalog.array_to_json(pg_catalog.current_schemas(true)), current_user"
            + string.Concat(names.Select(static n => $", '{n.Replace("'", "''", StringComparison.Ordinal)}', pg_catalog.current_setting('{n.Replace("'", "''", StringComparison.Ordinal)}', true)"));
    }

    public static SessionState Read(string?[] row)
    {
        var path = JsonSerializer.Deserialize<string[]>(row[0]!) ?? throw new DesyncException("the target did not tell its search path");
        var settings = new Dictionary<string, string>(StringComparer.Ordinal);
        for (var i = 2; i + 1 < row.Length; i += 2) settings[row[i]!] = row[i + 1] ?? "(unset)";
        return new SessionState(path, row[1] ?? throw new DesyncException("the target did not tell its role"), settings);
    }

    /// <summary>Names of what the gateway itself prepares in the session; a client's own can not begin so.</summary>
    public const string ReservedPrefix = "_countersign_";

    public static void WriteProbe(System.Buffers.IBufferWriter<byte> output, string question, bool sync)
    {
        const string name = ReservedPrefix + "state";
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

    /// <summary>The right to execute it, until the first Execute takes it.</summary>
    public Passage? Passage { get; set; }

    /// <summary>What the understanding said follows from it.</summary>
    public Sql.SqlUnderstanding? Understood { get; set; }
}
