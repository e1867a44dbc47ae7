using Countersign.Core;
using Countersign.Sql.Parsing;

namespace Countersign.Sql.Analysis;

/// <summary>What changes the session: settings, transactions, prepared statements, cursors.</summary>
sealed partial class StatementWalk
{
    SqlStatementKind Transaction(PgNode node)
    {
        AddSession();
        var name = node.Text("savepoint_name") ?? "";
        var (isolation, readOnly) = Modes(node.List("options"));
        switch (node.Text("kind"))
        {
            // The grammar's first kind is BEGIN; libpg-query names every kind.
            case "TRANS_STMT_BEGIN" or "TRANS_STMT_START": Consequences.Add(new SqlConsequence.BeginsTransaction(isolation, readOnly)); break;
            case "TRANS_STMT_COMMIT": Consequences.Add(new SqlConsequence.EndsTransaction(true, node.Flag("chain"))); break;
            case "TRANS_STMT_ROLLBACK": Consequences.Add(new SqlConsequence.EndsTransaction(false, node.Flag("chain"))); break;
            case "TRANS_STMT_SAVEPOINT": Consequences.Add(new SqlConsequence.SetsSavepoint(name)); break;
            case "TRANS_STMT_RELEASE": Consequences.Add(new SqlConsequence.ReleasesSavepoint(name)); break;
            case "TRANS_STMT_ROLLBACK_TO": Consequences.Add(new SqlConsequence.RollsBackToSavepoint(name)); break;
            case "TRANS_STMT_PREPARE":
                // A prepared transaction keeps its locks beyond the session, until somebody ends it by its name.
                AddOpaque(names.Database(), "prepared-transaction");
                Consequences.Add(new SqlConsequence.EndsTransaction(true, false));
                break;
            default:
                // COMMIT PREPARED, ROLLBACK PREPARED: somebody's work, of which nothing is known here.
                AddOpaque(names.Database(), "prepared-transaction");
                break;
        }

        return SqlStatementKind.Transaction;
    }

    static (string? Isolation, bool? ReadOnly) Modes(IEnumerable<PgNode?> options)
    {
        string? isolation = null;
        bool? readOnly = null;
        foreach (var option in options)
        {
            var value = Trees.Literal(option?.Node("arg"));
            if (option?.Text("defname") == "transaction_isolation") isolation = value;
            if (option?.Text("defname") == "transaction_read_only") readOnly = value is not "0";
        }

        return (isolation, readOnly);
    }

    SqlStatementKind Set(PgNode node)
    {
        var name = (node.Text("name") ?? "").ToLowerInvariant();
        var local = node.Flag("is_local");
        switch (node.Text("kind"))
        {
            case "VAR_RESET_ALL":
                AddSession();
                Consequences.Add(new SqlConsequence.ResetsAllSettings());
                return SqlStatementKind.Set;
            case "VAR_SET_MULTI":
                AddSession().AddSetting(name);
                var (isolation, readOnly) = Modes(node.List("args"));
                if (name == "transaction")
                {
                    Consequences.Add(new SqlConsequence.ChangesTransaction(isolation, readOnly));
                }
                else if (name == "session characteristics")
                {
                    if (isolation is not null) Consequences.Add(new SqlConsequence.ChangesSetting("default_transaction_isolation", isolation, false));
                    if (readOnly is { } value) Consequences.Add(new SqlConsequence.ChangesSetting("default_transaction_read_only", value ? "on" : "off", false));
                }

                return SqlStatementKind.Set;
            case "VAR_SET_VALUE":
                var values = node.List("args");
                Setting(name, values.Length == 1 ? Trees.Literal(values[0]) : SettingList(values), local, reset: false);
                if (Settings.IsSecret(name))
                {
                    foreach (var value in values) MaskLiterals(value);
                }

                return SqlStatementKind.Set;
            default:
                // RESET, SET TO DEFAULT, SET FROM CURRENT
                Setting(name, null, local, reset: true);
                return SqlStatementKind.Set;
        }
    }

    /// <summary>A list (search_path) as PostgreSQL shows it: parts quoted where they need it.</summary>
    static string? SettingList(IEnumerable<PgNode?> values)
    {
        var parts = values.Select(Trees.Literal).ToArray();
        return Array.Exists(parts, static p => p is null) ? null
            : string.Join(", ", parts.Select(static p => p!.Length > 0 && p.All(static c => c is (>= 'a' and <= 'z') or (>= '0' and <= '9') or '_') ? p : $"\"{p.Replace("\"", "\"\"", StringComparison.Ordinal)}\""));
    }

    /// <summary>One setting changes. <paramref name="value"/> null: unknown, or back to its default.</summary>
    void Setting(string name, string? value, bool local, bool reset)
    {
        switch (Settings.Class(name))
        {
            case SettingClass.Parsing:
                if (value is null || !Settings.IsSafe(name, value))
                    Refuse(ReasonCodes.UnsafeSetting, $"the setting `{name}` changes how SQL text is read; leave it as it is");
                AddSession().AddSetting(name);
                break;
            case SettingClass.Identity:
                if (value is null && !reset) Refuse(ReasonCodes.UnsafeSetting, $"the setting `{name}` must be given by a literal; use SET ROLE");
                var role = reset || value is null or "none" && name == "role" ? null : value;
                // Back to the role that the session began with is no more than any session has.
                var back = role is null && (reset || value is not null);
                (back ? AddSession() : Add(SqlActions.SetRole, role is null ? names.Database() : names.Role(role), "role")).AddSetting(name);
                Consequences.Add(new SqlConsequence.ChangesRole(role));
                return;
            case SettingClass.Server:
                Add(SqlActions.Configure, names.Database(), "setting").AddSetting(name);
                break;
            default:
                AddSession().AddSetting(name);
                break;
        }

        Consequences.Add(reset ? new SqlConsequence.ResetsSetting(name, local) : new SqlConsequence.ChangesSetting(name, value, local));
    }

    /// <summary>set_config(name, value, is_local): SET by another name, but its arguments may be computed.</summary>
    void SetConfig(PgNode? call)
    {
        PgNode?[] arguments = [null, null, null];
        var position = 0;
        var usable = call is not null && !call.Flag("func_variadic");
        foreach (var argument in call?.List("args") ?? [])
        {
            if (argument?.Type != "NamedArgExpr")
            {
                if (position < 3) arguments[position++] = argument;
                continue;
            }

            var named = argument.Text("name") switch { "setting_name" => 0, "new_value" => 1, "is_local" => 2, _ => -1 };
            if (named < 0) usable = false;
            else arguments[named] = argument.Node("arg");
        }

        if (!usable || Trees.Literal(arguments[0]) is not { } name)
        {
            Refuse(ReasonCodes.UnsafeSetting, "`set_config` must name its setting by a literal; use SET");
            return;
        }

        name = name.ToLowerInvariant();
        if (Settings.IsSecret(name)) MaskLiterals(arguments[1]);
        Setting(name, Trees.Literal(arguments[1]), Trees.Literal(arguments[2])?.ToLowerInvariant() is "on" or "true" or "t" or "1", reset: false);
    }

    /// <summary>Settings that a definition carries (ALTER ROLE … SET, CREATE FUNCTION … SET): those that change parsing are refused there too.</summary>
    void CarriedSetting(PgNode? set, EffectDraft draft)
    {
        if (set is null) return;
        var name = (set.Text("name") ?? "").ToLowerInvariant();
        if (name.Length > 0) draft.AddSetting(name);
        if (Settings.IsSecret(name)) MaskLiterals(set);
        if (Settings.Class(name) != SettingClass.Parsing || set.Text("kind") != "VAR_SET_VALUE") return;
        var values = set.List("args");
        if (values.Length != 1 || Trees.Literal(values[0]) is not { } value || !Settings.IsSafe(name, value))
            Refuse(ReasonCodes.UnsafeSetting, $"the setting `{name}` changes how SQL text is read; leave it as it is");
    }

    SqlStatementKind AlterSystem(PgNode node)
    {
        CarriedSetting(node.Node("setstmt"), Add(SqlActions.Configure, names.Database(), "setting"));
        return SqlStatementKind.Server;
    }

    SqlStatementKind Discard(PgNode node)
    {
        AddSession();
        switch (node.Text("target"))
        {
            case "DISCARD_PLANS" or "DISCARD_SEQUENCES": break;
            case "DISCARD_TEMP": Consequences.Add(new SqlConsequence.DiscardsTemporary()); break;
            default: Consequences.Add(new SqlConsequence.DiscardsAll()); break;
        }

        return SqlStatementKind.Discard;
    }

    SqlStatementKind Prepare(PgNode node, Place place)
    {
        if (node.Node("query") is { } query) Statement(query, place);
        else Unknown();
        WalkAll(node.List("argtypes"), place);
        AddSession();
        EffectsAreDeferred = true;
        // What the inner statement does to the session happens at EXECUTE.
        Deferred.AddRange(Consequences);
        Consequences.Clear();
        Consequences.Add(new SqlConsequence.PreparesStatement(node.Text("name") ?? "", ""));
        return SqlStatementKind.Prepare;
    }

    SqlStatementKind Execute(PgNode node, Place place)
    {
        AddOpaque(names.Database(), SqlUnderstanding.PreparedObject);
        WalkAll(node.List("params"), place);
        Consequences.Add(new SqlConsequence.ExecutesPrepared(node.Text("name") ?? ""));
        return SqlStatementKind.Execute;
    }

    SqlStatementKind DeclareCursor(PgNode node, Place place)
    {
        const int withHold = 0x0020; // CURSOR_OPT_HOLD, parsenodes.h
        if (node.Node("query") is { } query) Statement(query, place);
        else Unknown();
        AddSession();
        Consequences.Add(new SqlConsequence.DeclaresCursor(node.Text("portalname") ?? "", (node.Number("options") & withHold) != 0));
        return SqlStatementKind.DeclareCursor;
    }
}
