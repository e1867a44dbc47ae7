namespace Countersign.Sql;

/// <summary>
/// The queries that fill a <see cref="SqlCatalog"/>, for PostgreSQL 13 to 18 and any role: they read only catalogues that everybody may read.
/// Run them with <c>search_path = pg_catalog</c> (P5), in one repeatable-read transaction, so that they agree with each other; <see cref="SqlCatalogReader"/> does.
/// </summary>
public static class SqlCatalogQueries
{
    /// <summary>
    /// Relations: schema, name, relkind, columns text[], has_triggers, has_rules (besides a view's own). Temporary ones are left out: the
    /// session's own are told by <see cref="TemporaryNames"/>, others' cannot be reached.
    /// </summary>
    public const string Relations = """
        select n.nspname::text, c.relname::text, c.relkind::text,
          array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum),
          exists (select from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal),
          exists (select from pg_rewrite r where r.ev_class = c.oid and r.rulename <> '_RETURN')
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I', 'c') and c.relpersistence <> 't' and n.nspname !~ '^pg_toast'
        """;

    /// <summary>Unique keys: schema, relation, columns text[]. Valid, immediate, without predicate or expressions; included columns are no part of it.</summary>
    public const string UniqueKeys = """
        select n.nspname::text, c.relname::text,
          array(select a.attname::text from unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) k (attnum) join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum)
        from pg_index i join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace
        where i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null
          and c.relpersistence <> 't' and n.nspname !~ '^pg_toast'
        """;

    /// <summary>Inheritance and partitions: schema, relation, parent_schema, parent.</summary>
    public const string Parents = """
        select cn.nspname::text, c.relname::text, pn.nspname::text, p.relname::text
        from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_namespace cn on cn.oid = c.relnamespace
          join pg_class p on p.oid = i.inhparent join pg_namespace pn on pn.oid = p.relnamespace
        where c.relkind in ('r', 'p', 'f') and c.relpersistence <> 't'
        """;

    /// <summary>
    /// What views and materialized views read, directly: schema, view, read_schema, read. From the rules' own trees, for pg_depend does not
    /// record what is pinned: a view of pg_authid has no dependency on it. Names in a tree cannot pass for a field: their blanks are escaped.
    /// </summary>
    public const string ViewReads = """
        select distinct vn.nspname::text, v.relname::text, tn.nspname::text, t.relname::text
        from pg_rewrite r join pg_class v on v.oid = r.ev_class join pg_namespace vn on vn.oid = v.relnamespace
          cross join lateral regexp_matches(r.ev_action::text, ':relid (\d+)', 'g') m (found)
          join pg_class t on t.oid = m.found[1]::oid join pg_namespace tn on tn.oid = t.relnamespace
        where v.relkind in ('v', 'm') and r.ev_type = '1' and v.relpersistence <> 't' and t.oid <> v.oid
          and vn.nspname not in ('pg_catalog', 'information_schema')
        """;

    /// <summary>
    /// What functions views call, operators' included: schema, view, function_schema, function. From the trees, as <see cref="ViewReads"/>. The
    /// harmless ones of pg_catalog are among them.
    /// </summary>
    public const string ViewCalls = """
        select distinct vn.nspname::text, v.relname::text, pn.nspname::text, p.proname::text
        from pg_rewrite r join pg_class v on v.oid = r.ev_class join pg_namespace vn on vn.oid = v.relnamespace
          cross join lateral regexp_matches(r.ev_action::text, ':(?:funcid|opfuncid|aggfnoid|winfnoid) (\d+)', 'g') m (found)
          join pg_proc p on p.oid = m.found[1]::oid join pg_namespace pn on pn.oid = p.pronamespace
        where v.relkind in ('v', 'm') and r.ev_type = '1' and v.relpersistence <> 't'
          and vn.nspname not in ('pg_catalog', 'information_schema')
        """;

    /// <summary>
    /// What tables call that no statement names: schema, table, function_schema, function, place (d default, w write, p policy about writing,
    /// r reading). From the trees, as <see cref="ViewReads"/>; what is immutable in pg_catalog is left out.
    /// </summary>
    public const string HiddenCalls = """
        with recursive reach (rel, typ) as (
          select a.attrelid, a.atttypid from pg_attribute a join pg_class c on c.oid = a.attrelid
          where c.relkind in ('r', 'p', 'f') and a.attnum > 0 and not a.attisdropped and a.atttypid >= 16384
          union
          select r.rel, x.typ from reach r cross join lateral (
            select t.typelem from pg_type t where t.oid = r.typ
            union all select t.typbasetype from pg_type t where t.oid = r.typ
            union all select g.rngsubtype from pg_range g where g.rngtypid = r.typ
            union all select a.atttypid from pg_type t join pg_attribute a on a.attrelid = t.typrelid where t.oid = r.typ and a.attnum > 0 and not a.attisdropped) x (typ)
          where x.typ >= 16384
        ), tree (rel, place, body) as (
          select d.adrelid, case a.attgenerated when '' then 'd' when 'v' then 'r' else 'w' end, d.adbin::text
          from pg_attrdef d join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
          union all select k.conrelid, 'w', k.conbin::text from pg_constraint k where k.conrelid <> 0
          union all select i.indrelid, 'w', concat(i.indexprs::text, ' ', i.indpred::text) from pg_index i
          union all select p.partrelid, 'w', p.partexprs::text from pg_partitioned_table p
          union all select r.rel, 'd', t.typdefaultbin::text from reach r join pg_type t on t.oid = r.typ
          union all select r.rel, 'w', k.conbin::text from reach r join pg_constraint k on k.contypid = r.typ
          union all select p.polrelid, case when p.polcmd in ('r', '*') then 'r' else 'p' end, p.polqual::text from pg_policy p join pg_class c on c.oid = p.polrelid where c.relrowsecurity
          union all select p.polrelid, 'p', p.polwithcheck::text from pg_policy p join pg_class c on c.oid = p.polrelid where c.relrowsecurity
        )
        select distinct n.nspname::text, c.relname::text, pn.nspname::text, f.proname::text, tree.place
        from tree cross join lateral regexp_matches(tree.body, ':(?:funcid|opfuncid|aggfnoid|winfnoid) (\d+)', 'g') m (found)
          join pg_proc f on f.oid = m.found[1]::oid join pg_namespace pn on pn.oid = f.pronamespace
          join pg_class c on c.oid = tree.rel join pg_namespace n on n.oid = c.relnamespace
        where c.relpersistence <> 't' and c.relkind in ('r', 'p', 'f') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_toast'
          and not (pn.nspname = 'pg_catalog' and f.provolatile = 'i')
        """;

    /// <summary>
    /// Functions outside the system schemas: schema, name, provolatile, language, security_definer, is_aggregate, takes_row (callable with
    /// one argument, of a row or polymorphic type), takes_one (callable with one argument).
    /// </summary>
    public const string Functions = """
        select n.nspname::text, p.proname::text, p.provolatile::text, l.lanname::text, p.prosecdef, p.prokind = 'a',
          p.pronargs > 0 and p.pronargs - p.pronargdefaults <= 1 and coalesce((select t.typtype in ('c', 'p', 'd') from pg_type t where t.oid = p.proargtypes[0]), true),
          p.pronargs > 0 and p.pronargs - p.pronargdefaults <= 1
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_language l on l.oid = p.prolang
        where n.nspname not in ('pg_catalog', 'information_schema')
        """;

    /// <summary>Operators outside pg_catalog: schema, name, provolatile and language of the function.</summary>
    public const string Operators = """
        select n.nspname::text, o.oprname::text, p.provolatile::text, l.lanname::text
        from pg_operator o join pg_namespace n on n.oid = o.oprnamespace join pg_proc p on p.oid = o.oprcode join pg_language l on l.oid = p.prolang
        where n.nspname <> 'pg_catalog'
        """;

    /// <summary>
    /// Types outside the system schemas that are no rows and no arrays, and those of pg_catalog that a user's cast leads to: schema, name,
    /// may_run_code.
    /// </summary>
    public const string Types = """
        select n.nspname::text, t.typname::text,
          -- a domain over a domain has the other's checks too; a check that calls none but harmless built-ins of pg_catalog cannot do anything
          (t.typtype = 'd' and (exists (select from pg_type b where b.oid = t.typbasetype and b.typtype = 'd')
            or exists (select from pg_constraint k cross join lateral regexp_matches(k.conbin::text, ':(?:funcid|opfuncid) (\d+)', 'g') m (found)
              join pg_proc p on p.oid = m.found[1]::oid
              where k.contypid = t.oid and (p.pronamespace <> 'pg_catalog'::regnamespace or p.provolatile = 'v'))))
          or (t.typtype = 'b' and exists (select from pg_proc p join pg_language l on l.oid = p.prolang where p.oid = t.typinput and l.lanname not in ('c', 'internal')))
          or exists (select from pg_cast c join pg_proc p on p.oid = c.castfunc join pg_language l on l.oid = p.prolang
            where c.casttarget = t.oid and l.lanname not in ('c', 'internal') and p.pronamespace <> 'pg_catalog'::regnamespace)
        from pg_type t join pg_namespace n on n.oid = t.typnamespace
        where (t.typtype in ('b', 'd', 'e', 'r', 'm') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_toast'
            and not exists (select from pg_type e where e.typarray = t.oid))
          or exists (select from pg_cast c join pg_proc p on p.oid = c.castfunc join pg_language l on l.oid = p.prolang
            where c.casttarget = t.oid and l.lanname not in ('c', 'internal') and p.pronamespace <> 'pg_catalog'::regnamespace)
        """;

    /// <summary>Foreign keys: referenced_schema, referenced, schema, table, confdeltype, confupdtype, referenced columns text[].</summary>
    public const string References = """
        select rn.nspname::text, r.relname::text, tn.nspname::text, t.relname::text, k.confdeltype::text, k.confupdtype::text,
          array(select a.attname::text from unnest(k.confkey) f (attnum) join pg_attribute a on a.attrelid = r.oid and a.attnum = f.attnum)
        from pg_constraint k join pg_class r on r.oid = k.confrelid join pg_namespace rn on rn.oid = r.relnamespace
          join pg_class t on t.oid = k.conrelid join pg_namespace tn on tn.oid = t.relnamespace
        where k.contype = 'f' and r.relpersistence <> 't'
        """;

    /// <summary>
    /// One number that differs when anything above may: a cheap look for DDL that went beside the gateway. Row versions (xmin) change with
    /// each ALTER; oids with each CREATE and DROP.
    /// </summary>
    public const string Fingerprint = """
        select coalesce(sum(hashtextextended(x.what || x.id::text || ':' || x.version::text, 0)::numeric), 0)::text from (
          select 'c' as what, oid as id, xmin as version from pg_class where relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I', 'c') and relpersistence <> 't'
          union all select 'i', indexrelid, xmin from pg_index where indexrelid >= 16384
          union all select 'h', inhrelid, xmin from pg_inherits
          union all select 'w', oid, xmin from pg_rewrite where oid >= 16384
          union all select 't', oid, xmin from pg_trigger where not tgisinternal
          union all select 'p', oid, xmin from pg_proc where oid >= 16384
          union all select 'o', oid, xmin from pg_operator where oid >= 16384
          union all select 'y', oid, xmin from pg_type where oid >= 16384
          union all select 'k', oid, xmin from pg_constraint where oid >= 16384
          union all select 'd', oid, xmin from pg_attrdef where oid >= 16384
          union all select 'l', oid, xmin from pg_policy
          union all select 'a', oid, xmin from pg_cast where oid >= 16384
          union all select 'n', oid, xmin from pg_namespace) x
        """;

    /// <summary>
    /// The session, asked on its own connection: database, schemas text[] (as <see cref="SqlSession.SearchPath"/> wants them), server_encoding,
    /// server major version, standard_conforming_strings.
    /// </summary>
    public const string Session = """
        select pg_catalog.current_database()::text, pg_catalog.current_schemas(true)::text[], pg_catalog.current_setting('server_encoding'),
          pg_catalog.current_setting('server_version_num')::int / 10000, pg_catalog.current_setting('standard_conforming_strings')
        """;

    /// <summary>The session's own temporary relations, asked on its own connection: name.</summary>
    public const string TemporaryNames = "select relname::text from pg_catalog.pg_class where relnamespace = pg_catalog.pg_my_temp_schema()";
}
