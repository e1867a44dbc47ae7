using Countersign.Core;
using Countersign.Sql.Parsing;

namespace Countersign.Sql.Analysis;

/// <summary>INSERT, UPDATE, DELETE, MERGE, COPY, and what RETURNING reads.</summary>
sealed partial class StatementWalk
{
    List<EffectDraft> Write(string action, PgNode range, IEnumerable<string> columns, bool where)
    {
        var written = columns.ToArray();
        return Touch(action, range, draft =>
        {
            draft.Where &= where;
            foreach (var column in written) draft.AddColumn(column);
        });
    }

    static IEnumerable<string> TargetColumns(PgNode statement, string field)
    {
        foreach (var target in statement.List(field))
        {
            if (target?.Text("name") is { } name) yield return name;
        }
    }

    /// <summary>The level of a data-modifying statement: its target by alias, then FROM or USING.</summary>
    Level TargetLevel(PgNode range, Level? outer, List<EffectDraft> drafts)
    {
        var name = range.Text("relname") ?? "";
        var candidates = names.Resolve(range.Text("schemaname"), name);
        var level = new Level(outer);
        // Columns that the target's own expressions mention are not what is written: they are not recorded.
        level.Sources.Add(new Source(range.Node("alias")?.Text("aliasname") ?? name, candidates.Count == 1 ? candidates[0].Relation : null, planOnly ? drafts : []));
        return level;
    }

    void Insert(PgNode insert, Place place)
    {
        if (insert.Node("relation") is not { } range) return;
        var ctes = With(insert, place.Ctes, place.Level, once: true);
        var columns = TargetColumns(insert, "cols").ToArray();
        var drafts = Write(SqlActions.Insert, range, columns.Length == 0 ? ["*"] : columns, where: false);
        var query = insert.Node("selectStmt");
        var values = query is null || query.Has("valuesLists");
        if (query is not null) Select(query, ctes, null, passes: null, once: true, locking: false);

        var level = TargetLevel(range, place.Level, drafts);
        level.Bound = values ? 1 : null;
        foreach (var column in insert.List("cols")) WalkChildren(column!, new Place(ctes, level));
        if (insert.Node("onConflictClause") is { } conflict)
        {
            // The conflict names the row; a WHERE only narrows it.
            if (conflict.Text("action") == "ONCONFLICT_UPDATE") Write(SqlActions.Update, range, TargetColumns(conflict, "targetList"), where: true);
            level.Sources.Add(new Source("excluded", null, []));
            WalkChildren(conflict, new Place(ctes, level));
        }

        Returning(insert, range, ctes, level, values ? 1 : null);
    }

    void Update(PgNode update, Place place)
    {
        if (update.Node("relation") is not { } range) return;
        var ctes = With(update, place.Ctes, place.Level, once: true);
        var where = update.Node("whereClause");
        var drafts = Write(SqlActions.Update, range, TargetColumns(update, "targetList"), Trees.ChoosesRows(where));
        var from = update.List("fromClause");
        var level = TargetLevel(range, place.Level, drafts);
        var keyed = from.Length == 0 ? Keyed([range], where, null) : null;
        // What FROM reads flows into the target: as much as a query that answers it.
        level.Bound = keyed;
        level.Facts = new ReadFacts(Trees.ChoosesRows(where), null, null, false);
        From(from, ctes, level);
        var inner = new Place(ctes, level);
        WalkAll(update.List("targetList"), inner);
        WalkCondition(where, ctes, level, returns: update.Has("returningClause"));
        Returning(update, range, ctes, level, keyed);
    }

    void Delete(PgNode delete, Place place)
    {
        if (delete.Node("relation") is not { } range) return;
        var ctes = With(delete, place.Ctes, place.Level, once: true);
        var where = delete.Node("whereClause");
        var drafts = Write(SqlActions.Delete, range, [], Trees.ChoosesRows(where));
        var uses = delete.List("usingClause");
        var returns = delete.Has("returningClause");
        var level = TargetLevel(range, place.Level, drafts);
        var keyed = uses.Length == 0 ? Keyed([range], where, null) : null;
        level.Bound = keyed;
        // Without RETURNING nothing that USING reads leaves: it only chooses rows.
        level.Facts = new ReadFacts(Trees.ChoosesRows(where), returns ? null : 0, null, false);
        From(uses, ctes, level, feeds: returns ? null : 0);
        WalkCondition(where, ctes, level, returns);
        Returning(delete, range, ctes, level, keyed);
    }

    /// <summary>The WHERE of a write. Without RETURNING its subqueries choose rows and nothing of them leaves.</summary>
    void WalkCondition(PgNode? where, CteScope? ctes, Level level, bool returns)
    {
        var bound = level.Bound;
        if (!returns) level.Bound = 0;
        Walk(where, new Place(ctes, level));
        level.Bound = bound;
    }

    void Returning(PgNode statement, PgNode range, CteScope? ctes, Level level, long? bound)
    {
        if (statement.Node("returningClause") is not { } returning) return;
        var drafts = Touch(SqlActions.Select, range, draft =>
        {
            draft.Where &= level.Facts.Where;
            draft.Unbounded |= bound is null;
            draft.MergeLimit(null);
        });
        var returned = new Level(level.Outer) { Bound = bound };
        returned.Sources.AddRange(level.Sources.Skip(1));
        foreach (var alias in (ReadOnlySpan<string?>)[level.Sources[0].Alias, "old", "new"]) returned.Sources.Add(new Source(alias, level.Sources[0].Relation, drafts));
        foreach (var option in returning.List("options"))
        {
            if (option?.Text("value") is { } name) returned.Sources.Add(new Source(name, level.Sources[0].Relation, drafts));
        }

        WalkAll(returning.List("exprs"), new Place(ctes, returned));
    }

    void Merge(PgNode merge, Place place)
    {
        if (merge.Node("relation") is not { } range) return;
        var ctes = With(merge, place.Ctes, place.Level, once: true);
        var clauses = merge.List("mergeWhenClauses");
        var drafts = new List<EffectDraft>();
        foreach (var clause in clauses)
        {
            if (clause is null) continue;
            // MATCHED rows are chosen by the join; those NOT MATCHED BY SOURCE only by the clause's own condition.
            var where = clause.Text("matchKind") == "MERGE_WHEN_MATCHED" || Trees.ChoosesRows(clause.Node("condition"));
            switch (clause.Text("commandType"))
            {
                case "CMD_INSERT":
                    var columns = TargetColumns(clause, "targetList").ToArray();
                    drafts.AddRange(Write(SqlActions.Insert, range, columns.Length == 0 ? ["*"] : columns, where: false));
                    break;
                case "CMD_UPDATE": drafts.AddRange(Write(SqlActions.Update, range, TargetColumns(clause, "targetList"), where)); break;
                case "CMD_DELETE": drafts.AddRange(Write(SqlActions.Delete, range, [], where)); break;
                case "CMD_NOTHING": break;
                default: AddOpaque(names.Database()); break;
            }
        }

        if (drafts.Count == 0) drafts = Read(range, new ReadFacts(true, 0, null, false));
        var level = TargetLevel(range, place.Level, drafts);
        level.Facts = new ReadFacts(true, null, null, false);
        From([merge.Node("sourceRelation")], ctes, level);
        var inner = new Place(ctes, level);
        Walk(merge.Node("joinCondition"), inner);
        foreach (var clause in clauses)
        {
            if (clause is not null) WalkChildren(clause, inner);
        }

        Returning(merge, range, ctes, level, bound: null);
    }

    SqlStatementKind Copy(PgNode copy, Place place)
    {
        var isFrom = copy.Flag("is_from");
        var program = copy.Flag("is_program");
        var file = copy.Text("filename");
        var columns = copy.Names("attlist");
        if (copy.Node("relation") is { } range)
        {
            if (isFrom)
            {
                Touch(SqlActions.CopyIn, range, draft =>
                {
                    draft.Where = false;
                    foreach (var column in columns.Length == 0 ? ["*"] : columns) draft.AddColumn(column);
                });
            }
            else
            {
                foreach (var action in (ReadOnlySpan<string>)[SqlActions.Select, SqlActions.CopyOut])
                {
                    Touch(action, range, draft =>
                    {
                        draft.Where = false;
                        draft.Unbounded = true;
                        foreach (var column in columns.Length == 0 ? ["*"] : columns) draft.AddColumn(column);
                    });
                }
            }
        }
        else if (copy.Node("query") is { } query)
        {
            if (query.Type == "SelectStmt") Select(query, place.Ctes, null, passes: null, once: true, locking: false);
            else Statement(query, place);
            // COPY … TO lets data out, whatever it reads and however little.
            foreach (var read in effects.Drafts.Where(static d => d.Action == SqlActions.Select).ToArray())
            {
                var export = effects.Add(SqlActions.CopyOut, read.Resource, read.ObjectKind);
                export.Where &= read.Where;
                export.Unbounded |= read.Unbounded;
                export.MergeLimit(read.Limit);
                foreach (var column in read.Columns ?? []) export.AddColumn(column);
            }
        }

        Walk(copy.Node("whereClause"), place);
        WalkAll(copy.List("options"), place);
        if (program || file is not null) Add(SqlActions.ServerFile, names.Database(), program ? "program" : "file");
        else Refuse(ReasonCodes.NotSupported, isFrom ? "COPY FROM STDIN is not supported yet; use INSERT" : "COPY TO STDOUT is not supported yet; use SELECT");
        return isFrom ? SqlStatementKind.CopyIn : SqlStatementKind.CopyOut;
    }
}
