using Countersign.Core;
using Countersign.Sql.Parsing;

namespace Countersign.Sql.Analysis;

/// <summary>The statement kinds, each to its case. What has none is opaque.</summary>
sealed partial class StatementWalk
{
    SqlStatementKind Statement(PgNode node, Place place)
    {
        System.Runtime.CompilerServices.RuntimeHelpers.EnsureSufficientExecutionStack();
        switch (node.Type)
        {
            case "SelectStmt":
                Select(node, place.Ctes, place.Level, passes: null, once: true, locking: false);
                return node.Has("intoClause") ? SqlStatementKind.Create : SqlStatementKind.Select;
            case "InsertStmt": Insert(node, place); return SqlStatementKind.Insert;
            case "UpdateStmt": Update(node, place); return SqlStatementKind.Update;
            case "DeleteStmt": Delete(node, place); return SqlStatementKind.Delete;
            case "MergeStmt": Merge(node, place); return SqlStatementKind.Merge;
            case "CopyStmt": return Copy(node, place);
            case "ExplainStmt": return Explain(node, place);

            case "TransactionStmt": return Transaction(node);
            case "VariableSetStmt": return Set(node);
            case "VariableShowStmt":
                Add(SqlActions.Show, names.Database()).AddSetting((node.Text("name") ?? "").ToLowerInvariant());
                return SqlStatementKind.Show;
            case "ConstraintsSetStmt": AddSession(); return SqlStatementKind.Set;
            case "DiscardStmt": return Discard(node);
            case "PrepareStmt": return Prepare(node, place);
            case "ExecuteStmt": return Execute(node, place);
            case "DeallocateStmt":
                AddSession();
                Consequences.Add(new SqlConsequence.Deallocates(node.Flag("isall") || node.Text("name") is null ? null : node.Text("name")));
                return SqlStatementKind.Deallocate;
            case "DeclareCursorStmt": return DeclareCursor(node, place);
            case "FetchStmt":
                AddSession();
                Consequences.Add(new SqlConsequence.FetchesCursor(node.Text("portalname") ?? ""));
                return SqlStatementKind.Fetch;
            case "ClosePortalStmt":
                AddSession();
                Consequences.Add(new SqlConsequence.ClosesCursor(node.Text("portalname")));
                return SqlStatementKind.CloseCursor;
            case "ListenStmt":
                AddSession();
                Consequences.Add(new SqlConsequence.Listens(node.Text("conditionname") ?? ""));
                return SqlStatementKind.Listen;
            case "UnlistenStmt":
                AddSession();
                Consequences.Add(new SqlConsequence.Unlistens(node.Text("conditionname")));
                return SqlStatementKind.Listen;
            case "NotifyStmt": Add(SqlActions.Notify, names.Database()); return SqlStatementKind.Notify;
            case "LockStmt": return LockTables(node);
            case "TruncateStmt": return Truncate(node);

            case "DoStmt": AddOpaque(names.Database(), "block"); return SqlStatementKind.Do;
            case "CallStmt": return Call(node, place);
            case "LoadStmt": Add(SqlActions.ServerFile, names.Database(), "library"); return SqlStatementKind.Server;
            case "AlterSystemStmt": return AlterSystem(node);
            case "CheckPointStmt": Add(SqlActions.Maintain, names.Database()); return SqlStatementKind.Maintain;
            case "VacuumStmt": return Vacuum(node);
            case "ClusterStmt" or "ReindexStmt": return Rebuild(node);
            case "RefreshMatViewStmt": return Refresh(node);

            case "GrantStmt" or "GrantRoleStmt" or "AlterDefaultPrivilegesStmt" or "ReassignOwnedStmt" or "DropOwnedStmt"
                or "CreateRoleStmt" or "AlterRoleStmt" or "AlterRoleSetStmt" or "DropRoleStmt":
                return Privileges(node, place);
            default:
                return Definition(node, place);
        }
    }

    SqlStatementKind Explain(PgNode node, Place place)
    {
        explain = true;
        var analyze = false;
        foreach (var option in node.List("options"))
        {
            if (option?.Text("defname") is { } name && name.Equals("analyze", StringComparison.OrdinalIgnoreCase)) analyze |= !IsFalse(option.Node("arg"));
        }

        if (node.Node("query") is not { } query)
        {
            Unknown();
            return SqlStatementKind.Explain;
        }

        // Without ANALYZE nothing runs but what the planner evaluates: functions keep their effects, relations are only looked at.
        var before = planOnly;
        planOnly |= !analyze;
        Statement(query, place);
        planOnly = before;
        return SqlStatementKind.Explain;
    }

    /// <summary>Whether an option is surely off, as defGetBoolean reads it; anything else counts as on.</summary>
    static bool IsFalse(PgNode? value) => Trees.OptionText(value)?.ToLowerInvariant() is "false" or "off" or "0";

    SqlStatementKind LockTables(PgNode node)
    {
        foreach (var relation in node.List("relations"))
        {
            if (relation is not null) Touch(SqlActions.Lock, relation, static draft => draft.Where = false);
        }

        return SqlStatementKind.Lock;
    }

    SqlStatementKind Truncate(PgNode node)
    {
        var cascade = node.Text("behavior") == "DROP_CASCADE";
        foreach (var relation in node.List("relations"))
        {
            if (relation is null) continue;
            Touch(SqlActions.Truncate, relation, Fill);
            if (!cascade) continue;
            var seen = new HashSet<SqlName>();
            foreach (var candidate in names.Resolve(relation.Text("schemaname"), relation.Text("relname") ?? "")) Follow(candidate.Name, seen);
        }

        return SqlStatementKind.Truncate;

        void Fill(EffectDraft draft)
        {
            draft.Where = false;
            draft.Cascade |= cascade;
        }

        // CASCADE empties every table that refers to it, whatever the foreign key says.
        void Follow(SqlName name, HashSet<SqlName> seen)
        {
            if (!seen.Add(name)) return;
            foreach (var reference in catalog.References(name))
            {
                Touch(SqlActions.Truncate, new Names.Candidate(reference.Table, catalog.Relation(reference.Table), false), true, Fill);
                Follow(reference.Table, seen);
            }
        }
    }

    SqlStatementKind Call(PgNode node, Place place)
    {
        if (node.Node("funccall") is not { } call)
        {
            Unknown();
            return SqlStatementKind.Call;
        }

        var name = call.Names("funcname");
        if (name.Length > 0)
        {
            // Procedures of pg_catalog do not exist; every one is a user's, and may commit.
            var procedure = new SqlName(name.Length > 1 ? name[^2] : names.CreationSchema, name[^1]);
            var found = false;
            foreach (var candidate in catalog.Functions(procedure.Name))
            {
                if (name.Length > 1 ? candidate.Name.Schema != procedure.Schema : !names.IsOnPath(candidate.Name.Schema)) continue;
                found = true;
                AddCall(candidate.Name, known: true);
            }

            if (!found) AddCall(procedure, known: false);
        }

        WalkChildren(call, place);
        return SqlStatementKind.Call;
    }

    SqlStatementKind Vacuum(PgNode node)
    {
        var relations = node.List("rels");
        if (relations.Length == 0) Add(SqlActions.Maintain, names.Database());
        foreach (var item in relations)
        {
            if (item?.Node("relation") is { } range) Maintain(range);
        }

        return SqlStatementKind.Maintain;
    }

    SqlStatementKind Rebuild(PgNode node)
    {
        if (node.Node("relation") is { } range)
        {
            Maintain(range);
            if (node.Text("kind") == "REINDEX_OBJECT_SCHEMA") Add(SqlActions.Maintain, names.Database());
        }
        else if (node.Text("kind") == "REINDEX_OBJECT_SCHEMA" && node.Text("name") is { } schema)
        {
            Add(SqlActions.Maintain, names.Schema(schema));
        }
        else
        {
            Add(SqlActions.Maintain, names.Database());
        }

        return SqlStatementKind.Maintain;
    }

    void Maintain(PgNode range) => Touch(SqlActions.Maintain, range, static draft => draft.Where = false);

    SqlStatementKind Refresh(PgNode node)
    {
        if (node.Node("relation") is not { } range) return Unknown();
        Touch(SqlActions.Refresh, range, static _ => { });
        foreach (var candidate in names.Resolve(range.Text("schemaname"), range.Text("relname") ?? ""))
        {
            // The view's query runs, functions included; what it reads stays in the view, whose classes are those of its tables.
            if (candidate.Relation is null) opaque = true;
            foreach (var called in candidate.Relation?.Calls ?? []) ViewCall(called);
            foreach (var read in candidate.Relation?.Reads ?? [])
            {
                Touch(SqlActions.Select, new Names.Candidate(read, catalog.Relation(read), false), true, static draft =>
                {
                    draft.Where = false;
                    draft.AddColumn("*");
                });
            }
        }

        return SqlStatementKind.Maintain;
    }
}
