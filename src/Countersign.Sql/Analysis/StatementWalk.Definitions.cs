using Countersign.Core;
using Countersign.Sql.Parsing;

namespace Countersign.Sql.Analysis;

/// <summary>CREATE, ALTER, DROP and their kin.</summary>
sealed partial class StatementWalk
{
    SqlStatementKind Definition(PgNode node, Place place)
    {
        switch (node.Type)
        {
            case "DropStmt": return Drop(node);
            case "CreateStmt": CreateTable(node, place, "table"); return SqlStatementKind.Create;
            case "CreateTableAsStmt": return CreateTableAs(node, place);
            case "ViewStmt":
                // The view's query does not run now; what it will show is on record: its tables are read whenever the view is.
                CreateRelation(node.Node("view"), "view");
                Defined(node.Node("query"), place);
                break;
            case "IndexStmt":
                if (node.Node("relation") is { } indexed)
                {
                    AlterRelation(indexed);
                    if (node.Text("idxname") is { } index)
                        Add(SqlActions.Create, names.InSchema(SqlResources.Object, new SqlName(indexed.Text("schemaname") ?? names.CreationSchema, index)), "index");
                }

                WalkParts(node, place, "relation");
                break;
            case "CreateSeqStmt": CreateRelation(node.Node("sequence"), "sequence", SqlResources.Sequence); break;
            case "AlterSeqStmt":
                if (node.Node("sequence") is { } sequence) Relation(SqlActions.Alter, sequence.Text("schemaname"), sequence.Text("relname") ?? "", "OBJECT_SEQUENCE", static _ => { });
                break;
            case "CreateForeignTableStmt":
                if (node.Node("base") is { } foreign) CreateTable(foreign, place, "foreign-table");
                MaskOptions(node.List("options"));
                break;
            case "CreateSchemaStmt":
                var schema = node.Text("schemaname") ?? RoleName(node.Node("authrole"));
                Add(SqlActions.Create, names.Schema(schema), "schema");
                names.NewSchema = schema;
                foreach (var element in node.List("schemaElts")) Walk(element, place);
                names.NewSchema = null;
                break;
            case "CreateFunctionStmt":
                opaque = true; // the body is not looked at
                var function = FunctionResource(node.Names("funcname"));
                var created = Add(SqlActions.Create, function, node.Flag("is_procedure") ? "procedure" : "function");
                foreach (var option in node.List("options")) CarriedSetting(option?.Node("arg", "VariableSetStmt"), created);
                foreach (var parameter in node.List("parameters")) Walk(parameter?.Node("defexpr"), place);
                break;
            case "AlterFunctionStmt":
                foreach (var name in FunctionNames(node.Node("func")?.Names("objname") is { Length: > 0 } path ? path : [""]))
                {
                    var altered = Add(SqlActions.Alter, names.InSchema(SqlResources.Function, name), KindName(node.Text("objtype")));
                    foreach (var option in node.List("actions")) CarriedSetting(option?.Node("arg", "VariableSetStmt"), altered);
                }

                break;
            case "CreateTrigStmt":
                opaque = true;
                AlterRelation(node.Node("relation"));
                AlterRelation(node.Node("constrrel"));
                Walk(node.Node("whenClause"), place);
                break;
            case "RuleStmt":
                opaque = true;
                AlterRelation(node.Node("relation"));
                foreach (var action in node.List("actions")) Defined(action, place);
                break;
            case "CreatePolicyStmt" or "AlterPolicyStmt":
                AlterRelation(node.Node("table"));
                Walk(node.Node("qual"), place);
                Walk(node.Node("with_check"), place);
                break;
            case "CreateEventTrigStmt":
                opaque = true;
                Add(SqlActions.Create, names.InDatabase(node.Text("trigname") ?? ""), "event-trigger");
                break;
            case "AlterEventTrigStmt": Add(SqlActions.Alter, names.InDatabase(node.Text("trigname") ?? ""), "event-trigger"); break;
            case "AlterTableStmt": AlterTable(node, place); Changed(); return SqlStatementKind.Alter;
            case "AlterTableMoveAllStmt": AddOpaque(names.Database(), "tablespace"); Add(SqlActions.Alter, names.Database(), "tablespace"); break;
            case "RenameStmt": return Rename(node);
            case "AlterObjectSchemaStmt": return MoveToSchema(node);
            case "AlterOwnerStmt":
                Object(SqlActions.Alter, node.Text("objectType"), node.Node("object"), node.Node("relation"), static _ => { });
                Object(SqlActions.Grant, node.Text("objectType"), node.Node("object"), node.Node("relation"), draft =>
                {
                    draft.AddPrivilege("owner");
                    draft.AddGrantee(RoleName(node.Node("newowner")));
                });
                break;
            case "AlterObjectDependsStmt":
                Object(SqlActions.Alter, node.Text("objectType"), node.Node("object"), node.Node("relation"), static _ => { });
                break;
            case "CommentStmt" or "SecLabelStmt":
                Object(SqlActions.Alter, node.Text("objtype"), node.Node("object"), null, static _ => { });
                return SqlStatementKind.Alter;
            case "CreatedbStmt": Add(SqlActions.Create, names.Database(node.Text("dbname") ?? ""), "database"); break;
            case "DropdbStmt": Add(SqlActions.Drop, names.Database(node.Text("dbname") ?? ""), "database"); return SqlStatementKind.Drop;
            case "AlterDatabaseStmt" or "AlterDatabaseRefreshCollStmt": Add(SqlActions.Alter, names.Database(node.Text("dbname") ?? ""), "database"); break;
            case "AlterDatabaseSetStmt":
                CarriedSetting(node.Node("setstmt"), Add(SqlActions.Configure, names.Database(node.Text("dbname") ?? ""), "database"));
                break;
            case "CreateTableSpaceStmt" or "DropTableSpaceStmt" or "AlterTableSpaceOptionsStmt":
                Add(SqlActions.Configure, names.InDatabase(node.Text("tablespacename") ?? ""), "tablespace");
                if (node.Type == "DropTableSpaceStmt") Add(SqlActions.Drop, names.InDatabase(node.Text("tablespacename") ?? ""), "tablespace");
                break;
            case "CreateExtensionStmt": opaque = true; Named(SqlActions.Create, node.Text("extname"), "extension"); break; // its script runs
            case "AlterExtensionStmt": opaque = true; Named(SqlActions.Alter, node.Text("extname"), "extension"); break;
            case "AlterExtensionContentsStmt":
                Named(SqlActions.Alter, node.Text("extname"), "extension");
                Object(SqlActions.Alter, node.Text("objtype"), node.Node("object"), null, static _ => { });
                break;
            case "CreateFdwStmt": Named(SqlActions.Create, node.Text("fdwname"), "foreign-data-wrapper"); MaskOptions(node.List("options")); break;
            case "AlterFdwStmt": Named(SqlActions.Alter, node.Text("fdwname"), "foreign-data-wrapper"); MaskOptions(node.List("options")); break;
            case "CreateForeignServerStmt": Named(SqlActions.Create, node.Text("servername"), "foreign-server"); MaskOptions(node.List("options")); break;
            case "AlterForeignServerStmt": Named(SqlActions.Alter, node.Text("servername"), "foreign-server"); MaskOptions(node.List("options")); break;
            case "CreateUserMappingStmt" or "AlterUserMappingStmt" or "DropUserMappingStmt":
                var mapping = node.Type switch { "CreateUserMappingStmt" => SqlActions.Create, "AlterUserMappingStmt" => SqlActions.Alter, _ => SqlActions.Drop };
                Named(mapping, node.Text("servername"), "user-mapping").AddGrantee(RoleName(node.Node("user")));
                MaskOptions(node.List("options"));
                break;
            case "ImportForeignSchemaStmt":
                Add(SqlActions.Create, names.Schema(node.Text("local_schema") ?? ""), "foreign-table");
                Named(SqlActions.Alter, node.Text("server_name"), "foreign-server");
                MaskOptions(node.List("options"));
                break;
            case "CreatePublicationStmt" or "AlterPublicationStmt": Publication(node, place); break;
            case "CreateSubscriptionStmt" or "AlterSubscriptionStmt" or "DropSubscriptionStmt": Subscription(node); break;
            case "DefineStmt": Define(node); break;
            case "CreateDomainStmt":
                Add(SqlActions.Create, InSchema(node.Names("domainname")), "domain");
                WalkParts(node, place);
                break;
            case "AlterDomainStmt":
                Add(SqlActions.Alter, InSchema(node.Names("typeName")), "domain");
                Walk(node.Node("def"), place);
                break;
            case "CompositeTypeStmt":
                var row = node.Node("typevar");
                Add(SqlActions.Create, InSchema([row?.Text("schemaname") ?? names.CreationSchema, row?.Text("relname") ?? ""]), "type");
                break;
            case "CreateEnumStmt" or "CreateRangeStmt": Add(SqlActions.Create, InSchema(node.Names("typeName")), "type"); break;
            case "AlterEnumStmt" or "AlterTypeStmt": Add(SqlActions.Alter, InSchema(node.Names("typeName")), "type"); break;
            case "CreateOpClassStmt": Add(SqlActions.Create, InSchema(node.Names("opclassname")), "operator-class"); break;
            case "CreateOpFamilyStmt": Add(SqlActions.Create, InSchema(node.Names("opfamilyname")), "operator-family"); break;
            case "AlterOpFamilyStmt": Add(SqlActions.Alter, InSchema(node.Names("opfamilyname")), "operator-family"); break;
            case "AlterOperatorStmt": Add(SqlActions.Alter, InSchema(node.Node("opername")?.Names("objname") ?? []), "operator"); break;
            case "CreateConversionStmt": opaque = true; Add(SqlActions.Create, InSchema(node.Names("conversion_name")), "conversion"); break;
            case "AlterCollationStmt": Add(SqlActions.Alter, InSchema(node.Names("collname")), "collation"); break;
            case "CreateCastStmt": opaque = true; Add(SqlActions.Create, names.Database(), "cast"); break;
            case "CreateTransformStmt": opaque = true; Add(SqlActions.Create, names.Database(), "transform"); break;
            case "CreatePLangStmt": opaque = true; Named(SqlActions.Create, node.Text("plname"), "language"); break;
            case "CreateAmStmt": opaque = true; Named(SqlActions.Create, node.Text("amname"), "access-method"); break;
            case "CreateStatsStmt":
                foreach (var range in node.List("relations"))
                {
                    if (range?.Type == "RangeVar") AlterRelation(range);
                    else Walk(range, place);
                }

                WalkAll(node.List("exprs"), place);
                if (node.Names("defnames") is { Length: > 0 } statistics) Add(SqlActions.Create, InSchema(statistics), "statistics");
                break;
            case "AlterStatsStmt": Add(SqlActions.Alter, InSchema(node.Names("defnames")), "statistics"); break;
            case "AlterTSDictionaryStmt": Add(SqlActions.Alter, InSchema(node.Names("dictname")), "text-search"); break;
            case "AlterTSConfigurationStmt": Add(SqlActions.Alter, InSchema(node.Names("cfgname")), "text-search"); break;
            default: return Unknown();
        }

        Changed();
        return node.Type.StartsWith("Alter", StringComparison.Ordinal) ? SqlStatementKind.Alter
            : node.Type.StartsWith("Drop", StringComparison.Ordinal) ? SqlStatementKind.Drop : SqlStatementKind.Create;
    }

    EffectDraft Named(string action, string? name, string kind) => Add(action, names.InDatabase(name ?? ""), kind);

    ResourceRef FunctionResource(string[] path) =>
        names.InSchema(SqlResources.Function, new SqlName(path.Length > 1 ? path[^2] : names.CreationSchema, Only(path)));

    /// <summary>All fields but <paramref name="but"/>.</summary>
    void WalkParts(PgNode node, Place place, params ReadOnlySpan<string> but)
    {
        foreach (var (name, value) in node.Fields)
        {
            if (but.Contains(name)) continue;
            if (value is PgNode child) Walk(child, place);
            else if (value is PgNode?[] list) WalkAll(list, place);
        }
    }

    void AlterRelation(PgNode? range)
    {
        if (range is null) return;
        foreach (var candidate in names.Resolve(range.Text("schemaname"), range.Text("relname") ?? ""))
            Touch(SqlActions.Alter, candidate, range.Flag("inh"), static draft => draft.Where = false);
    }

    /// <summary>A relation comes to be: temporary ones by their persistence or their schema.</summary>
    void CreateRelation(PgNode? range, string kind, string type = SqlResources.Table)
    {
        if (range is null)
        {
            Unknown();
            return;
        }

        var name = range.Text("relname") ?? "";
        if (range.Text("relpersistence") == "t" || Names.IsTemporarySchema(range.Text("schemaname")))
        {
            Add(SqlActions.CreateTemporary, names.InSchema(type, new SqlName(Names.TemporarySchema, name)), kind).Temp = true;
            Consequences.Add(new SqlConsequence.CreatesTemporary(name));
            return;
        }

        var made = new SqlName(range.Text("schemaname") ?? names.CreationSchema, name);
        var resource = names.Relation(new Names.Candidate(made, null, false), out _);
        Add(SqlActions.Create, resource with { Type = type }, kind);
    }

    void CreateTable(PgNode node, Place place, string kind)
    {
        CreateRelation(node.Node("relation"), kind);
        // A child or partition changes what its parent shows.
        foreach (var parent in node.List("inhRelations")) AlterRelation(parent);
        foreach (var element in node.List("tableElts")) TableElement(element, place);
        foreach (var constraint in node.List("constraints")) TableElement(constraint, place);
        WalkParts(node, place, "relation", "inhRelations", "tableElts", "constraints");
        Changed();
    }

    void TableElement(PgNode? element, Place place)
    {
        switch (element?.Type)
        {
            case null: return;
            case "TableLikeClause":
                // LIKE copies the definition, not the rows.
                if (element.Node("relation") is { } like) Read(like, new ReadFacts(false, 0, null, false));
                return;
            case "Constraint":
                AlterRelation(element.Node("pktable"));
                WalkParts(element, place, "pktable");
                return;
            case "ColumnDef":
                foreach (var constraint in element.List("constraints")) TableElement(constraint, place);
                MaskOptions(element.List("fdwoptions"));
                WalkParts(element, place, "constraints", "identitySequence");
                return;
            default: Walk(element, place); return;
        }
    }

    /// <summary>A query that is stored, not run: what it reads and writes is on record, but nothing leaves now.</summary>
    void Defined(PgNode? query, Place place)
    {
        if (query is null) return;
        var before = planOnly;
        planOnly = true;
        Statement(query, place);
        planOnly = before;
    }

    SqlStatementKind CreateTableAs(PgNode node, Place place)
    {
        if (node.Node("into") is { } into) Into(into, place.Ctes, node.Text("objtype") == "OBJECT_MATVIEW" ? "materialized-view" : "table");
        else Unknown();
        var query = node.Node("query");
        if (query?.Type == "SelectStmt") Select(query, place.Ctes, null, passes: null, once: true, locking: false);
        else if (query is not null) Statement(query, place);
        return SqlStatementKind.Create;
    }

    void Into(PgNode into, CteScope? ctes, string kind = "table")
    {
        if (planOnly) return;
        CreateRelation(into.Node("rel"), kind);
        WalkAll(into.List("options"), new Place(ctes, null));
        Changed();
    }

    SqlStatementKind Drop(PgNode node)
    {
        var type = node.Text("removeType");
        var cascade = node.Text("behavior") == "DROP_CASCADE";
        // Policies, triggers and rules are taken from a table: that is an ALTER of it as well.
        if (type is "OBJECT_POLICY" or "OBJECT_TRIGGER" or "OBJECT_RULE")
        {
            foreach (var item in node.List("objects")) Object(SqlActions.Alter, type, item, null, static _ => { });
        }

        foreach (var item in node.List("objects"))
        {
            Object(SqlActions.Drop, type, item, null, Fill);
            if (cascade && type == "OBJECT_SCHEMA") Everything(SqlActions.Drop, item?.Text("sval") ?? "", Fill);
            if (cascade && item?.Type == "List" && item.Names("items") is { Length: > 0 } path) Dependents(path);
        }

        // CASCADE reaches what the catalogue snapshot does not list: functions, defaults, types' columns.
        if (cascade) opaque = true;
        Changed();
        return SqlStatementKind.Drop;

        void Fill(EffectDraft draft)
        {
            draft.Where = false;
            draft.Cascade |= cascade;
        }

        void Dependents(string[] path)
        {
            var seen = new HashSet<SqlName>();
            foreach (var candidate in names.Resolve(path.Length > 1 ? path[^2] : null, path[^1])) Views(candidate.Name, seen);
        }

        void Views(SqlName name, HashSet<SqlName> seen)
        {
            if (!seen.Add(name)) return;
            foreach (var reader in catalog.Readers(name))
            {
                Touch(SqlActions.Drop, new Names.Candidate(reader, catalog.Relation(reader), false), false, Fill);
                Views(reader, seen);
            }
        }
    }

    void AlterTable(PgNode node, Place place)
    {
        if (node.Node("relation") is not { } range)
        {
            Unknown();
            return;
        }

        var type = node.Text("objtype");
        var (schema, name) = (range.Text("schemaname"), range.Text("relname") ?? "");
        Relation(SqlActions.Alter, schema, name, type, static draft => draft.Where = false);
        foreach (var command in node.List("cmds"))
        {
            if (command is null) continue;
            switch (command.Text("subtype"))
            {
                case "AT_DropColumn":
                    // The column's data is gone: no less a destruction than a dropped table.
                    Relation(SqlActions.Drop, schema, name, type, draft =>
                    {
                        draft.Where = false;
                        draft.AddColumn(command.Text("name") ?? "");
                        draft.Cascade |= command.Text("behavior") == "DROP_CASCADE";
                    }, "column");
                    break;
                case "AT_DropConstraint":
                    Relation(SqlActions.Drop, schema, name, type, draft => draft.Cascade |= command.Text("behavior") == "DROP_CASCADE", "constraint");
                    break;
                case "AT_ChangeOwner":
                    Relation(SqlActions.Grant, schema, name, type, draft =>
                    {
                        draft.Where = false;
                        draft.AddPrivilege("owner");
                        draft.AddGrantee(RoleName(command.Node("newowner")));
                    });
                    break;
                case "AT_GenericOptions" or "AT_AlterColumnGenericOptions":
                    MaskOptions(command.Node("def")?.List("items") ?? []);
                    break;
            }

            switch (command.Node("def"))
            {
                case { Type: "PartitionCmd" } partition: AlterRelation(partition.Node("name")); break;
                case { Type: "RangeVar" } parent: AlterRelation(parent); break;
                case { } definition: TableElement(definition, place); break;
            }
        }
    }

    SqlStatementKind Rename(PgNode node)
    {
        var type = node.Text("renameType");
        var (old, name) = (node.Text("subname") ?? "", node.Text("newname") ?? "");
        switch (type)
        {
            // These are named by a bare string, not by an object.
            case "OBJECT_SCHEMA":
                Add(SqlActions.Alter, names.Schema(old), "schema");
                Everything(SqlActions.Alter, old, static _ => { });
                break;
            case "OBJECT_DATABASE":
                Add(SqlActions.Alter, names.Database(old), "database");
                Add(SqlActions.Create, names.Database(name), "database");
                break;
            case "OBJECT_ROLE":
                Add(SqlActions.Role, names.Role(old), "role");
                Add(SqlActions.Role, names.Role(name), "role");
                break;
            case "OBJECT_TABLESPACE": Add(SqlActions.Configure, names.InDatabase(old), "tablespace"); break;
            default: Object(SqlActions.Alter, type, node.Node("object"), node.Node("relation"), static _ => { }); break;
        }

        // A table under another name is another to policy and classification.
        if (node.Node("relation") is { } range && type is "OBJECT_TABLE" or "OBJECT_VIEW" or "OBJECT_MATVIEW" or "OBJECT_FOREIGN_TABLE" or "OBJECT_SEQUENCE" or "OBJECT_INDEX")
            Renamed(range, null, name);
        else if (type == "OBJECT_SCHEMA") Add(SqlActions.Create, names.Schema(name), "schema");
        Changed();
        return SqlStatementKind.Alter;
    }

    SqlStatementKind MoveToSchema(PgNode node)
    {
        Object(SqlActions.Alter, node.Text("objectType"), node.Node("object"), node.Node("relation"), static _ => { });
        var schema = node.Text("newschema") ?? "";
        if (node.Node("relation") is { } range) Renamed(range, schema, range.Text("relname") ?? "");
        else Add(SqlActions.Create, names.Schema(schema), KindName(node.Text("objectType")));
        Changed();
        return SqlStatementKind.Alter;
    }

    void Renamed(PgNode range, string? schema, string name)
    {
        foreach (var candidate in names.Resolve(range.Text("schemaname"), range.Text("relname") ?? ""))
        {
            if (candidate.IsTemporary) continue;
            var made = new SqlName(schema ?? candidate.Name.Schema, name);
            var resource = names.Relation(new Names.Candidate(made, null, false), out _);
            Add(SqlActions.Create, resource with { Type = Names.TypeOf(candidate.Relation) }, Names.KindOf(candidate.Relation) ?? "table");
        }
    }

    void Publication(PgNode node, Place place)
    {
        Named(node.Type == "CreatePublicationStmt" ? SqlActions.Create : SqlActions.Alter, node.Text("pubname"), "publication");
        // What is published leaves, row by row, to whoever subscribes.
        if (node.Flag("for_all_tables"))
        {
            Add(SqlActions.Export, names.Database()).Unbounded = true;
            Everything(SqlActions.Export, null, Published, IsPublished);
        }

        foreach (var item in node.List("pubobjects"))
        {
            if (item?.Node("pubtable") is { } table && table.Node("relation") is { } range)
            {
                Touch(SqlActions.Export, range, Published);
                Walk(table.Node("whereClause"), place);
            }
            else if (item is not null)
            {
                var schema = item.Text("name") ?? names.CreationSchema;
                Add(SqlActions.Export, names.Schema(schema)).Unbounded = true;
                Everything(SqlActions.Export, schema, Published, IsPublished);
            }
        }

        static void Published(EffectDraft draft)
        {
            draft.Where = false;
            draft.Unbounded = true;
        }

        static bool IsPublished(SqlRelation relation) => relation.Kind is SqlRelationKind.Table or SqlRelationKind.PartitionedTable;
    }

    void Subscription(PgNode node)
    {
        var action = node.Type switch { "CreateSubscriptionStmt" => SqlActions.Create, "AlterSubscriptionStmt" => SqlActions.Alter, _ => SqlActions.Drop };
        Named(action, node.Text("subname"), "subscription");
        Add(SqlActions.Configure, names.Database(), "subscription");
        if (node.Has("conninfo")) Masks.Add(new MaskRange(0, int.MaxValue));
    }

    void Define(PgNode node)
    {
        var kind = node.Text("kind");
        var path = node.Names("defnames");
        opaque |= kind is "OBJECT_AGGREGATE" or "OBJECT_OPERATOR" or "OBJECT_TYPE" or "OBJECT_TSPARSER" or "OBJECT_TSTEMPLATE";
        if (kind == "OBJECT_AGGREGATE") Add(SqlActions.Create, FunctionResource(path), "aggregate");
        else Add(SqlActions.Create, InSchema(path), KindName(kind));
    }

    /// <summary>Values of generic OPTIONS (…) are masked but for those that are surely no secrets.</summary>
    void MaskOptions(PgNode?[] options)
    {
        foreach (var option in options)
        {
            if (option?.Text("defname") is { } name && name.ToLowerInvariant() is not ("user" or "username" or "host" or "hostaddr" or "port" or "dbname" or "schema_name"
                or "table_name" or "column_name" or "fetch_size" or "batch_size" or "updatable" or "truncatable" or "sslmode" or "use_remote_estimate" or "application_name"))
                MaskOption(option, options);
        }
    }
}
