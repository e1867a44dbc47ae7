using Countersign.Core;
using Countersign.Policy.Cedar;
using Countersign.Policy.Evaluation;
using Countersign.Policy.Loading;
using Countersign.Sandbox;

[assembly: AssemblyFixture(typeof(Countersign.Policy.Tests.World))]

namespace Countersign.Policy.Tests;

/// <summary>Cedar's engine, compiled once for all tests (and kept between runs in the temporary folder), and short ways to say requests.</summary>
public sealed class World : IDisposable
{
    readonly SandboxHost host = new();

    public World()
    {
        var folder = Path.Combine(Path.GetTempPath(), $"countersign-test-guests-{Environment.UserName}");
        Cedar = new CedarRuntime(host, new ModuleCache(folder));
    }

    public CedarRuntime Cedar { get; }

    public SandboxHost Host => host;

    public void Dispose()
    {
        Cedar.Dispose();
        host.Dispose();
    }

    public static readonly DateTimeOffset Noon = new(2026, 11, 22, 12, 0, 0, TimeSpan.Zero);
    public static readonly PrincipalRef Alice = new(PrincipalKind.User, new OpaqueId("us_alice"), "alice");
    public static readonly PrincipalRef Bob = new(PrincipalKind.User, new OpaqueId("us_bob"), "bob");
    public static readonly PrincipalRef Carol = new(PrincipalKind.User, new OpaqueId("us_carol"), "carol");
    public static readonly PrincipalRef Claude = new(PrincipalKind.Agent, new OpaqueId("ag_claude"), "claude");
    public static readonly TargetRef Shop = new("shop", "postgres", "prod");

    public static ActorChain Actors(params string[] groups) => new(Claude, Alice, null) { Groups = groups };

    public static DecisionContext Now => new()
    {
        Now = Noon,
        Frameworks = new Dictionary<string, IReadOnlyList<string>> { ["pii"] = ["SOC2", "GDPR"] },
        HumanGroups = new Dictionary<OpaqueId, IReadOnlyList<string>> { [Alice.Id] = ["dba"], [Bob.Id] = [], [Carol.Id] = ["dba", "sre"] },
    };

    public static ResourceRef Table(string name, params string[] classes) => new("Table", $"shop.public.{name}")
    {
        Parents = [("Schema", "shop.public"), ("Database", "shop")],
        DataClasses = classes,
    };

    public static Effect Effect(string action, ResourceRef resource, params (string Name, FactValue Value)[] facts) =>
        new(SqlVocabulary.Actions[action], action, resource) { Facts = facts.ToDictionary(f => f.Name, f => f.Value) };

    public static GatewayAction Action(ActorChain actors, params Effect[] effects) => new()
    {
        Id = new ActionId("ac_test"),
        Actors = actors,
        Target = Shop,
        Effects = effects,
        Payload = new ActionPayload("postgres", "query", default) { DisplayText = "" },
        Settings = new Dictionary<string, string>(),
    };

    /// <summary>Nothing here waits for anything but the guest, so a synchronous test may ask.</summary>
    public static Decision Decide(PolicyStore store, GatewayAction action, DecisionContext? context = null) =>
        store.DecideAsync(action, context ?? Now).AsTask().GetAwaiter().GetResult();

    internal PolicyLoad Load(PolicyStoreOptions? options, params (string Path, string Text)[] files) =>
        PolicyRevision.Load(Cedar, PolicySnapshot.Of(files), Cedar.Schema, options ?? new PolicyStoreOptions());

    internal PolicyStore Store(string text, PolicyStoreOptions? options = null) => Store(options, ("main.cedar", text));

    internal PolicyStore Store(PolicyStoreOptions? options, params (string Path, string Text)[] files)
    {
        Assert.True(PolicyStore.TryOpen(Cedar, "/nowhere", PolicySnapshot.Of(files), options ?? new PolicyStoreOptions(), out var store, out var diagnostics), string.Join('\n', diagnostics));
        return store;
    }

    internal IReadOnlyList<PolicyDiagnostic> Faults(string text) => Load(null, ("main.cedar", text)).Diagnostics;
}
