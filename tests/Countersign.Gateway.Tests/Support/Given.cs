using System.Text;
using Countersign.Core;

namespace Countersign.Gateway.Tests;

internal static class Given
{
    /// <summary>Longer than anything here takes on a busy machine; only a hang reaches it.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    public static readonly DateTimeOffset Noon = new(2026, 11, 22, 12, 0, 0, TimeSpan.Zero);
    public static readonly TargetRef Shop = new("shop", "postgres", "prod");

    /// <summary>The people of every test: owner and user of the agent, three of `dba`, two of `sre`, one of both, one of none.</summary>
    public static Dictionary<string, string[]> People => new()
    {
        ["olga"] = ["dba"],
        ["uwe"] = ["dba"],
        ["ada"] = ["dba"],
        ["ben"] = ["dba"],
        ["cem"] = ["dba"],
        ["sue"] = ["sre"],
        ["sam"] = ["sre"],
        ["zoe"] = ["dba", "sre"],
        ["nil"] = [],
    };

    public static ResourceRef Table(string name, params string[] classes) => new("Table", $"shop.public.{name}")
    {
        Parents = [("Schema", "shop.public"), ("Database", "shop")],
        DataClasses = classes,
    };

    public static Effect Update(string table = "customers", params (string Name, FactValue Value)[] facts) =>
        new(Verb.Write, "sql:update", Table(table, "pii")) { Facts = facts.ToDictionary(static f => f.Name, static f => f.Value) };

    public static Effect Read(string table = "orders", params string[] classes) => new(Verb.Read, "sql:select", Table(table, classes));

    public static ActionParameter Bigint(long value) =>
        new("bigint", "text", Encoding.UTF8.GetBytes(value.ToString(System.Globalization.CultureInfo.InvariantCulture)), value.ToString(System.Globalization.CultureInfo.InvariantCulture));

    public static GatewayAction Action(ActorChain actors, string sql = "update customers set name = 'x' where id = 1", params Effect[] effects) => new()
    {
        Id = ActionId.New(),
        Actors = actors,
        Target = Shop,
        Effects = effects.Length == 0 ? [Update()] : effects,
        Payload = new ActionPayload("postgres/3", "query", Encoding.UTF8.GetBytes(sql)) { DisplayText = sql },
        Settings = new Dictionary<string, string> { ["database"] = "shop", ["role"] = "app", ["search_path"] = "[\"public\"]" },
        Intent = new Intent("refund", "T-1", null, null),
    };
}
