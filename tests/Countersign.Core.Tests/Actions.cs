using System.Buffers.Binary;
using System.Text;

namespace Countersign.Core.Tests;

/// <summary>The action of docs/spec/digest.md, and variations of it.</summary>
static class Actions
{
    public static readonly PrincipalRef Agent = new(PrincipalKind.Agent, new OpaqueId("ag_0123456789abcdef"), "billing-bot");
    public static readonly PrincipalRef Alice = new(PrincipalKind.User, new OpaqueId("us_0123456789abcdef"), "alice");
    public static readonly PrincipalRef Bob = new(PrincipalKind.User, new OpaqueId("us_fedcba9876543210"), "bob");

    public static readonly byte[] Salt = Convert.FromHexString("000102030405060708090a0b0c0d0e0f");

    public static GatewayAction Example { get; } = new()
    {
        Id = new ActionId("ac_0123456789abcdef"),
        Actors = new ActorChain(Agent, Alice, null) { Groups = ["agents"] },
        Target = new TargetRef("shop", "postgres", "prod"),
        Effects = [new Effect(Verb.Write, "sql:update", new ResourceRef("Table", "shop.public.customers"))],
        Payload = new ActionPayload("postgres/3", "execute", Encoding.UTF8.GetBytes("UPDATE customers SET vip = $1 WHERE id = $2"))
        {
            Parameters =
            [
                new ActionParameter("bool", "text", Encoding.UTF8.GetBytes("t"), "true"),
                Bigint(9007199254740993),
            ],
            Fields = [("row-limit", "0")],
            DisplayText = "UPDATE customers SET vip = $1 WHERE id = $2",
        },
        Settings = new Dictionary<string, string> { ["user"] = "countersign", ["database"] = "shop", ["search_path"] = "[\"public\"]" },
    };

    public static ActionParameter Bigint(long value)
    {
        var raw = new byte[8];
        BinaryPrimitives.WriteInt64BigEndian(raw, value);
        return new ActionParameter("int8", "binary", raw, value.ToString(System.Globalization.CultureInfo.InvariantCulture));
    }

    public static ActionDigest Digest(GatewayAction action) => GatewayAction.ComputeDigest(Salt, action.ToCanonical());

    public static GatewayAction With(params ActionParameter[] parameters) =>
        Example with { Payload = Example.Payload with { Parameters = parameters } };
}
