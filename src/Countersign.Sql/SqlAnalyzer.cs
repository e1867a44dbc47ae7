using System.Text;
using Countersign.Core;
using Countersign.Sql.Analysis;
using Countersign.Sql.Parsing;

namespace Countersign.Sql;

/// <summary>Parsed text to effects, under a session and a catalogue. Thread-safe; keeps nothing.</summary>
public sealed class SqlAnalyzer(SqlParser parser)
{
    /// <summary>What stands where a secret literal was.</summary>
    public const string Mask = "'[masked]'";

    readonly SqlLimits limits = parser.Limits;

    /// <summary>
    /// Understands a text that parsed. Refusals: <c>unsafe-setting</c> (the session reads text otherwise than the parser, or a statement would
    /// make it so), <c>not-supported</c> (a newer server, another encoding, COPY with the client), <c>too-large</c>.
    /// </summary>
    public SqlUnderstanding Understand(SqlText text, SqlSession session, SqlCatalog catalog, SqlClassify classify)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(session);
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(classify);
        if (Unfit(text, session) is { } unfit) return Refused(unfit);

        var statements = new SqlStatement[text.Count];
        var masks = new List<MaskRange>();
        var ranges = new List<MaskRange>[text.Count];
        for (var n = 0; n < statements.Length; n++)
        {
            var (start, length) = text.Span(n);
            if (text.Raw[n].Node("stmt") is not { } node) return Refused(new SqlRefusal(ReasonCodes.NotUnderstood, "a statement without content"));
            var walk = new StatementWalk(session, catalog, classify, limits);
            var kind = walk.Run(node);
            var effects = walk.Effects(Word(kind, node), text.Count);
            ranges[n] = walk.Masks.ConvertAll(m => m.To is { } to ? new MaskRange(Math.Max(m.From, start), Math.Min(to, start + length)) : m);
            masks.AddRange(ranges[n]);
            statements[n] = new SqlStatement
            {
                Kind = kind,
                Effects = effects,
                Consequences = walk.Consequences,
                DeferredConsequences = walk.Deferred,
                Display = "",
                Start = start,
                Length = length,
                Refusal = walk.Refusal,
                EffectsAreDeferred = walk.EffectsAreDeferred,
                IsPlainReset = IsPlainReset(node, catalog),
                PlanRisk = walk.PlanRisk,
            };
        }

        var tokens = masks.Count == 0 ? [] : parser.Tokens(text.Utf8);
        for (var n = 0; n < statements.Length; n++)
        {
            var statement = statements[n];
            statements[n] = statement with
            {
                Display = Show(text.Utf8, statement.Start, statement.Length, ranges[n], tokens),
                Consequences = statement.EffectsAreDeferred
                    ? [.. statement.Consequences.Select(c => c is SqlConsequence.PreparesStatement p ? p with { Text = Slice(text.Utf8, statement.Start, statement.Length) } : c)]
                    : statement.Consequences,
            };
        }

        return new SqlUnderstanding
        {
            Refusal = Array.Find(statements, static s => s.Refusal is not null)?.Refusal,
            Statements = statements,
            Effects = SqlUnderstanding.Union(statements),
            Display = masks.Count == 0 ? text.Text : Show(text.Utf8, 0, text.Utf8.Length, masks, tokens),
        };
    }

    static bool IsPlainReset(PgNode node, SqlCatalog catalog)
    {
        switch (node.Type)
        {
            case "DiscardStmt" or "ClosePortalStmt" or "UnlistenStmt" or "DeallocateStmt": return true;
            case "VariableSetStmt": return node.Text("kind") is "VAR_RESET_ALL" or "VAR_RESET" or "VAR_SET_DEFAULT";
            case "SelectStmt":
                const string unlock = "pg_advisory_unlock_all";
                foreach (var (field, value) in node.Fields)
                {
                    if (field is not ("targetList" or "limitOption" or "op") || (field == "op" && value is not "SETOP_NONE")) return false;
                }

                // A function of that name anywhere could be the one that a path means; where there is none, only the built-in is left.
                return node.List("targetList") is [{ Type: "ResTarget" } only] && only.Node("val", "FuncCall") is { } call
                    && call.Names("funcname") is [unlock] or ["pg_catalog", unlock] && !call.Has("args") && catalog.Functions(unlock).Length == 0;
            default: return false;
        }
    }

    /// <summary>The kind as policy reads it: PostgreSQL's own word.</summary>
    static string Word(SqlStatementKind kind, PgNode node) => kind switch
    {
        SqlStatementKind.Transaction => (node.Text("kind") ?? "TRANS_STMT_BEGIN")["TRANS_STMT_".Length..].Replace('_', ' '),
        SqlStatementKind.CopyIn or SqlStatementKind.CopyOut => "COPY",
        SqlStatementKind.DeclareCursor => "DECLARE",
        SqlStatementKind.CloseCursor => "CLOSE",
        SqlStatementKind.Role or SqlStatementKind.Maintain or SqlStatementKind.Server or SqlStatementKind.Unknown => Word(node),
        _ => kind.ToString().ToUpperInvariant(),
    };

    /// <summary>From the grammar's name of the statement: <c>AlterRoleStmt</c> is <c>ALTER ROLE</c>.</summary>
    static string Word(PgNode node)
    {
        var word = new StringBuilder();
        foreach (var c in node.Type.EndsWith("Stmt", StringComparison.Ordinal) ? node.Type[..^4] : node.Type)
        {
            if (char.IsUpper(c) && word.Length > 0) word.Append(' ');
            word.Append(char.ToUpperInvariant(c));
        }

        return word.ToString();
    }

    /// <summary>The understanding of a text that was refused before it parsed.</summary>
    public static SqlUnderstanding Refused(SqlRefusal refusal) => new() { Refusal = refusal, Statements = [], Effects = [], Display = "(not shown: the text was not understood)" };

    static SqlRefusal? Unfit(SqlText text, SqlSession session)
    {
        if (!session.StandardConformingStrings)
            return new SqlRefusal(ReasonCodes.UnsafeSetting, "the session has `standard_conforming_strings` off; set it to on");
        if (session.ServerMajor > SqlParser.GrammarMajor)
            return new SqlRefusal(ReasonCodes.NotSupported, $"the server is PostgreSQL {session.ServerMajor}, newer than the gateway's grammar ({SqlParser.GrammarMajor})");
        if (!session.ServerEncoding.Equals("UTF8", StringComparison.OrdinalIgnoreCase) && !Ascii.IsValid(text.Utf8))
            return new SqlRefusal(ReasonCodes.NotSupported, $"the database's encoding is `{session.ServerEncoding}`; text beyond ASCII is understood only with UTF8");
        return null;
    }

    static string Slice(byte[] utf8, int start, int length) => Encoding.UTF8.GetString(utf8, start, length);

    /// <summary>The text with its secrets replaced by the mark. When the place of one cannot be told, nothing is shown.</summary>
    static string Show(byte[] utf8, int start, int length, List<MaskRange> masks, List<(int Start, int End, bool IsString)>? tokens)
    {
        if (masks.Count == 0) return Slice(utf8, start, length);
        var secrets = new SortedSet<(int Start, int End)>();
        foreach (var mask in masks)
        {
            var found = tokens?.FindIndex(t => mask.To is { } to ? t.IsString && t.Start >= mask.From && t.Start < to : t.Start == mask.From) ?? -1;
            if (found < 0) return "(not shown: it holds a secret whose place could not be told)";
            secrets.Add((tokens![found].Start, tokens[found].End));
        }

        var shown = new StringBuilder(length);
        var at = start;
        foreach (var (from, to) in secrets)
        {
            shown.Append(Slice(utf8, at, from - at)).Append(Mask);
            at = to;
        }

        return shown.Append(Slice(utf8, at, start + length - at)).ToString();
    }
}
