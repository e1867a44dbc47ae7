using System.Text;
using BenchmarkDotNet.Attributes;
using Countersign.Core;
using Countersign.Policy;
using Countersign.Policy.Cedar;
using Countersign.Policy.Loading;
using Countersign.Sandbox;

namespace Countersign.Benchmarks;

/// <summary>
/// What one decision on an action of one effect costs, from the call to the merged decision: cold (Cedar evaluates all policies) and
/// cached. Every set holds a read permit and a reviewed write permit that match; the rest are forbids of other agents on other classes,
/// of which Cedar must look at each.
/// </summary>
[MemoryDiagnoser, MinColumn]
public class PolicyDecisions
{
    static readonly GatewayAction Action = new()
    {
        Id = new ActionId("ac_bench"),
        Actors = new ActorChain(
            new PrincipalRef(PrincipalKind.Agent, new OpaqueId("ag_1"), "claude"),
            new PrincipalRef(PrincipalKind.User, new OpaqueId("us_1"), "alice"), null) { Groups = ["agents"] },
        Target = new TargetRef("shop", "postgres", "prod"),
        Effects =
        [
            new Effect(Verb.Write, "sql:update", new ResourceRef("Table", "shop.public.customers")
            {
                Parents = [("Schema", "shop.public"), ("Database", "shop")],
                DataClasses = ["pii"],
            })
            {
                Facts = new Dictionary<string, FactValue>
                {
                    ["statement"] = "UPDATE", ["where"] = true, ["columns"] = FactValue.Of(["email", "id"]), ["in_transaction"] = false,
                },
            },
        ],
        Payload = new ActionPayload("postgres", "query", default) { DisplayText = "" },
        Settings = new Dictionary<string, string>(),
    };

    static readonly DecisionContext Context = new()
    {
        Now = new DateTimeOffset(2026, 11, 22, 12, 0, 0, TimeSpan.Zero),
        Frameworks = new Dictionary<string, IReadOnlyList<string>> { ["pii"] = ["SOC2", "GDPR"] },
    };

    SandboxHost host = null!;
    CedarRuntime cedar = null!;
    PolicyStore cold = null!, cached = null!;

    [Params(1, 10, 100, 1000)]
    public int Policies { get; set; }

    static string Text(int policies)
    {
        var text = new StringBuilder();
        text.AppendLine("@review(\"dba\") permit (principal in Group::\"agents\", action in Action::\"write\", resource in DataClass::\"pii\") when { context.target.environment == \"prod\" };");
        if (policies > 1) text.AppendLine("permit (principal in Group::\"agents\", action in Action::\"read\", resource) unless { resource in DataClass::\"pii\" };");
        for (var i = 2; i < policies; i++)
            text.AppendLine(System.Globalization.CultureInfo.InvariantCulture, $"forbid (principal == Agent::\"agent-{i}\", action in Action::\"write\", resource in DataClass::\"class-{i}\") when {{ context has limit && context.limit > {i} }};");
        return text.ToString();
    }

    [GlobalSetup]
    public void Setup()
    {
        host = new SandboxHost();
        cedar = new CedarRuntime(host, new ModuleCache(Path.Combine(Path.GetTempPath(), $"countersign-bench-guests-{Environment.UserName}")));
        var snapshot = PolicySnapshot.Of([("main.cedar", Text(Policies))]);
        cold = Open(snapshot, null);
        cached = Open(snapshot, new());
        if (Cold().Verdict != Verdict.Review || Cached() is not { Verdict: Verdict.Review }) throw new InvalidOperationException("the benchmark measures something else than it says");
    }

    PolicyStore Open(PolicySnapshot snapshot, Countersign.Policy.Evaluation.DecisionCacheLimits? cache) =>
        PolicyStore.TryOpen(cedar, "/nowhere", snapshot, new PolicyStoreOptions { Cache = cache }, out var store, out var faults)
            ? store : throw new InvalidOperationException(string.Join('\n', faults));

    [GlobalCleanup]
    public void Cleanup()
    {
        cold.Dispose();
        cached.Dispose();
        cedar.Dispose();
        host.Dispose();
    }

    [Benchmark(Baseline = true)]
    public Decision Cold() => cold.DecideAsync(Action, Context).GetAwaiter().GetResult();

    [Benchmark]
    public Decision Cached() => cached.DecideAsync(Action, Context).GetAwaiter().GetResult();
}
