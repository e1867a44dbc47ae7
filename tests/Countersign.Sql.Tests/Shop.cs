using Countersign.Sandbox;
using Countersign.Sql.Parsing;

namespace Countersign.Sql.Tests;

/// <summary>The parser, one pool for all tests of the process: compiling costs seconds, so the module is cached as in the product.</summary>
static class Parsers
{
    static readonly Lazy<GuestPool<PgParserGuest>> pool = new(static () =>
    {
        var host = new SandboxHost();
        var cache = new ModuleCache(Path.Combine(Path.GetTempPath(), $"countersign-test-modules-{Environment.UserName}"));
        return PgParserGuest.CreatePool(PgParserGuest.Load(cache, host));
    });

    public static GuestPool<PgParserGuest> Pool => pool.Value;

    public static SqlParser Parser { get; } = new(Pool);
}

/// <summary>A small shop: what the corpus is written against.</summary>
static class Shop
{
    public static SqlSession Session { get; } = new()
    {
        Target = "shop",
        Database = "shopdb",
        SearchPath = ["pg_catalog", "public"],
        StandardConformingStrings = true,
        ServerMajor = 15,
    };

    public static SqlCatalog Catalog { get; } = Build();

    static SqlName N(string name) => name.Split('.') is [var schema, var last] ? new SqlName(schema, last) : new SqlName("public", name);

    static SqlRelation Table(string name, string columns, params string[][] keys) =>
        new(N(name), SqlRelationKind.Table) { Columns = columns.Split(' '), UniqueKeys = keys };

    static SqlCatalog Build() => new SqlCatalog.Builder()
        .Add(Table("customers", "id email name ssn region_id created", ["id"], ["email"]))
        .Add(Table("regions", "id name", ["id"]))
        .Add(Table("products", "id sku price stock", ["id"]))
        .Add(Table("orders", "id customer_id total status note", ["id"]))
        .Add(Table("order_items", "order_id line product_id qty", ["order_id", "line"]))
        .Add(N("orders"), new SqlReference(N("order_items"), SqlReferentialAction.Cascade, SqlReferentialAction.None))
        .Add(N("customers"), new SqlReference(N("orders"), SqlReferentialAction.Set, SqlReferentialAction.Cascade) { Columns = ["id"] })
        .Add(N("regions"), new SqlReference(N("customers"), SqlReferentialAction.None, SqlReferentialAction.None))
        .Add(Table("payments", "id card amount paid_on", ["id", "paid_on"]) with { Kind = SqlRelationKind.PartitionedTable })
        .Add(Table("payments_2025", "id card amount paid_on", ["id", "paid_on"]) with { Parents = [N("payments")] })
        .Add(Table("payments_2026", "id card amount paid_on", ["id", "paid_on"]) with { Parents = [N("payments")] })
        .Add(Table("staff", "id name", ["id"]))
        .Add(Table("contractors", "id name agency", ["id"]) with { Parents = [N("staff")] })
        .Add(Table("audited", "id v", ["id"]) with { HasTriggers = true })
        .Add(Table("legacy", "id v", ["id"]) with { HasRules = true })
        .Add(Table("archive.orders", "id customer_id total", ["id"]))
        .Add(Table("archive.shadow", "id x"))
        .Add(Table("shadow", "id y"))
        .Add(new SqlRelation(N("customer_names"), SqlRelationKind.View) { Columns = ["id", "name"], Reads = [N("customers")] })
        .Add(new SqlRelation(N("busy_view"), SqlRelationKind.View) { Columns = ["id"], Reads = [N("orders")], Calls = [N("touch_order")] })
        .Add(new SqlRelation(N("deep_view"), SqlRelationKind.View) { Columns = ["id"], Reads = [N("customer_names"), N("regions")] })
        .Add(new SqlRelation(N("settings_view"), SqlRelationKind.View) { Columns = ["name", "setting"], Reads = [new SqlName("pg_catalog", "pg_settings")] })
        .Add(new SqlRelation(N("revenue"), SqlRelationKind.MaterializedView) { Columns = ["region", "total"], Reads = [N("orders"), N("customer_names")] })
        .Add(new SqlRelation(N("remote_stock"), SqlRelationKind.ForeignTable) { Columns = ["sku", "qty"] })
        .Add(new SqlRelation(N("order_ids"), SqlRelationKind.Sequence))
        .Add(new SqlRelation(N("orders_note_idx"), SqlRelationKind.Index))
        .Add(new SqlRelation(new SqlName("pg_catalog", "pg_class"), SqlRelationKind.Table))
        .Add(new SqlRelation(new SqlName("pg_catalog", "pg_settings"), SqlRelationKind.View) { HasRules = true })
        .Add(new SqlRelation(new SqlName("pg_catalog", "pg_authid"), SqlRelationKind.Table))
        .Add(new SqlFunction(N("touch_order")) { Language = "plpgsql" })
        .Add(new SqlFunction(N("upper")) { Language = "sql", Volatility = SqlVolatility.Immutable })
        .Add(new SqlFunction(N("archive.upper")) { Language = "plpgsql" })
        .Add(new SqlFunction(N("archive.lower")) { Language = "plpgsql" })
        .Add(new SqlFunction(N("similarity")) { Language = "c", Volatility = SqlVolatility.Immutable })
        .Add(new SqlFunction(N("crosstab")) { Language = "c", Volatility = SqlVolatility.Stable })
        .Add(new SqlFunction(N("badge")) { Language = "sql", Volatility = SqlVolatility.Stable, TakesRow = true })
        .Add(new SqlFunction(N("gather")) { Language = "internal", Volatility = SqlVolatility.Immutable, IsAggregate = true })
        .Add(new SqlFunction(N("settle")) { Language = "plpgsql" })
        .Add(new SqlFunction(N("json_scalar")) { Language = "plpgsql" })
        .Add(new SqlOperator(N("<->"), SqlVolatility.Immutable, "c"))
        .Add(new SqlOperator(N("@@@"), SqlVolatility.Volatile, "plpgsql"))
        .Add(new SqlType(N("order_status"), false))
        .Add(new SqlType(N("email"), true))
        .Build();

    /// <summary>customers is pii, payments pci, both listed; everything else has the default class.</summary>
    public static SqlClassification Classify(string target, string schema, string name) => (schema, name) switch
    {
        ("public", "customers") => new(["pii"], true),
        ("public", "payments") => new(["pci"], true),
        ("public", "contractors") => new(["hr"], true),
        _ => new(["internal"], false),
    };

    public static readonly SqlAnalyzer Analyzer = new(Parsers.Parser);

    public static SqlUnderstanding Understand(string sql, SqlSession? session = null, SqlCatalog? catalog = null)
    {
        var parse = Parsers.Parser.Parse(sql);
        return parse.Text is { } text ? Analyzer.Understand(text, session ?? Session, catalog ?? Catalog, Classify) : SqlAnalyzer.Refused(parse.Refusal!);
    }
}
