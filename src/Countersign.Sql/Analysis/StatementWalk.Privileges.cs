using Countersign.Core;
using Countersign.Sql.Parsing;

namespace Countersign.Sql.Analysis;

/// <summary>Who may do what: roles, grants, ownership.</summary>
sealed partial class StatementWalk
{
    SqlStatementKind Privileges(PgNode node, Place place)
    {
        switch (node.Type)
        {
            case "GrantStmt": Grant(node, null); return SqlStatementKind.Grant;
            case "AlterDefaultPrivilegesStmt":
                var schemas = node.List("options").Where(static o => o?.Text("defname") == "schemas").SelectMany(static o => o!.Node("arg")?.Names("items") ?? []).ToArray();
                if (node.Node("action") is { } action) Grant(action, schemas);
                else Unknown();
                return SqlStatementKind.Grant;
            case "GrantRoleStmt":
                foreach (var granted in node.List("granted_roles"))
                {
                    if (granted?.Text("priv_name") is not { } role) continue;
                    var draft = Add(node.Flag("is_grant") ? SqlActions.Grant : SqlActions.Revoke, names.Role(role), "role");
                    draft.AddPrivilege("member");
                    foreach (var grantee in node.List("grantee_roles")) draft.AddGrantee(RoleName(grantee));
                }

                return SqlStatementKind.Grant;
            case "ReassignOwnedStmt":
                foreach (var role in node.List("roles")) Add(SqlActions.Grant, names.Role(RoleName(role)), "role").AddGrantee(RoleName(node.Node("newrole")));
                AddOpaque(names.Database());
                return SqlStatementKind.Grant;
            case "DropOwnedStmt":
                foreach (var role in node.List("roles")) Add(SqlActions.Drop, names.Role(RoleName(role)), "owned").Cascade |= node.Text("behavior") == "DROP_CASCADE";
                AddOpaque(names.Database());
                Changed();
                return SqlStatementKind.Drop;
            case "CreateRoleStmt":
                Add(SqlActions.Role, names.Role(node.Text("role") ?? ""), "role");
                RoleOptions(node.Text("role") ?? "", node.List("options"));
                return SqlStatementKind.Role;
            case "AlterRoleStmt":
                Add(SqlActions.Role, names.Role(RoleName(node.Node("role"))), "role");
                RoleOptions(RoleName(node.Node("role")), node.List("options"), revokes: node.Number("action") < 0);
                return SqlStatementKind.Role;
            case "AlterRoleSetStmt":
                CarriedSetting(node.Node("setstmt"), Add(SqlActions.Role, node.Node("role") is { } target ? names.Role(RoleName(target)) : names.Database(), "role"));
                return SqlStatementKind.Role;
            default:
                foreach (var role in node.List("roles"))
                {
                    Add(SqlActions.Role, names.Role(RoleName(role)), "role");
                    Add(SqlActions.Drop, names.Role(RoleName(role)), "role");
                }

                return SqlStatementKind.Role;
        }
    }

    static string RoleName(PgNode? role) => role?.Text("roletype") switch
    {
        "ROLESPEC_CURRENT_ROLE" => "current_role",
        "ROLESPEC_CURRENT_USER" => "current_user",
        "ROLESPEC_SESSION_USER" => "session_user",
        "ROLESPEC_PUBLIC" => "public",
        _ => role?.Text("rolename") ?? "",
    };

    /// <summary>Passwords are masked; memberships that the statement brings are grants (ALTER GROUP … DROP USER: a revoke).</summary>
    void RoleOptions(string role, PgNode?[] options, bool revokes = false)
    {
        foreach (var option in options)
        {
            var members = option?.Node("arg")?.List("items") ?? [];
            switch (option?.Text("defname"))
            {
                case "password": MaskOption(option, options); break;
                case "addroleto":
                    foreach (var group in members) Member(RoleName(group), role);
                    break;
                case "rolemembers" or "adminmembers":
                    foreach (var member in members) Member(role, RoleName(member));
                    break;
            }
        }

        void Member(string group, string member)
        {
            var draft = Add(revokes ? SqlActions.Revoke : SqlActions.Grant, names.Role(group), "role");
            draft.AddPrivilege("member");
            draft.AddGrantee(member);
        }
    }

    /// <summary>Masks the literals between an option's place in the text and the next one's.</summary>
    void MaskOption(PgNode option, PgNode?[] options)
    {
        if (!option.Has("arg")) return; // PASSWORD NULL, DROP option
        var from = (int)option.Number("location");
        var to = int.MaxValue;
        foreach (var other in options)
        {
            if (other is not null && other.Number("location") > from) to = Math.Min(to, (int)other.Number("location"));
        }

        Masks.Add(new MaskRange(from, to));
    }

    void Grant(PgNode grant, string[]? defaultSchemas)
    {
        var privileges = grant.List("privileges").Select(static p => (Name: p?.Text("priv_name") ?? "all", Columns: p?.Names("cols") ?? [])).ToArray();
        var type = grant.Text("objtype");
        var action = grant.Flag("is_grant") ? SqlActions.Grant : SqlActions.Revoke;
        if (defaultSchemas is not null)
        {
            if (defaultSchemas.Length == 0) Fill(Add(action, names.Database(), "default-privileges"));
            foreach (var schema in defaultSchemas) Fill(Add(action, names.Schema(schema), "default-privileges"));
            return;
        }

        foreach (var item in grant.List("objects"))
        {
            if (item is null) continue;
            if (grant.Text("targtype") == "ACL_TARGET_ALL_IN_SCHEMA")
            {
                Fill(Add(action, names.Schema(item.Text("sval") ?? ""), KindName(type) + "s"));
                if (type is "OBJECT_TABLE" or "OBJECT_SEQUENCE")
                    Everything(action, item.Text("sval") ?? "", Fill, r => r.Kind == SqlRelationKind.Sequence == (type == "OBJECT_SEQUENCE"));
            }
            else if (item.Type == "RangeVar")
            {
                foreach (var candidate in names.Resolve(item.Text("schemaname"), item.Text("relname") ?? "")) Touch(action, candidate, false, Fill);
            }
            else
            {
                Object(action, type, item, null, Fill);
            }
        }

        void Fill(EffectDraft draft)
        {
            draft.Where = false;
            draft.Cascade |= grant.Text("behavior") == "DROP_CASCADE";
            if (privileges.Length == 0) draft.AddPrivilege("all");
            foreach (var (name, columns) in privileges)
            {
                draft.AddPrivilege(name);
                foreach (var column in columns) draft.AddColumn(column);
            }

            foreach (var grantee in grant.List("grantees")) draft.AddGrantee(RoleName(grantee));
        }
    }
}
