using Countersign.Core;
using Countersign.Policy.Cedar;
using Countersign.Sandbox;

namespace Countersign.Policy.Tests;

/// <summary>What keeps the policies from answering denies, and says so (I6).</summary>
public sealed class FailureTests(World world)
{
    const string All = "permit (principal, action, resource);";

    CedarRuntime Runtime(CedarLimits limits) => new(world.Host, new ModuleCache(Path.Combine(Path.GetTempPath(), $"countersign-test-guests-{Environment.UserName}")), limits);

    static PolicyStore Open(CedarRuntime cedar, PolicyStoreOptions? options = null)
    {
        Assert.True(PolicyStore.TryOpen(cedar, "/nowhere", Countersign.Policy.Loading.PolicySnapshot.Of([("main.cedar", All)]), options ?? new(), out var store, out var faults), string.Join('\n', faults));
        return store;
    }

    static readonly GatewayAction Small = World.Action(World.Actors(), World.Effect("sql:update", World.Table("orders")));

    [Fact]
    public void I6_busy_guests_deny_and_the_answer_is_not_kept()
    {
        using var cedar = Runtime(new CedarLimits { Pool = new GuestPoolLimits { Size = 1, Wait = TimeSpan.FromMilliseconds(10) } });
        using var store = Open(cedar);
        using (store.Current.Official.Guests.Lease())
        {
            var decision = World.Decide(store, Small);
            Assert.Equal((Verdict.Deny, ReasonCodes.PolicyUnavailable), (decision.Verdict, decision.ReasonCode));
        }
        Assert.Equal(Verdict.Permit, World.Decide(store, Small).Verdict);
    }

    [Fact]
    public void I6_guest_that_runs_out_of_memory_denies_and_the_next_decision_has_a_new_one()
    {
        using var cedar = Runtime(new CedarLimits { Guest = new GuestLimits { MemoryBytes = 4 << 20 }, Pool = new GuestPoolLimits { Size = 1 } });
        using var store = Open(cedar);
        var huge = World.Action(World.Actors(), World.Effect("sql:update", World.Table("orders"), ("columns", FactValue.Of(Enumerable.Range(0, 50_000).Select(i => $"a-column-of-a-hostile-statement-{i}")))));
        var decision = World.Decide(store, huge);
        Assert.Equal((Verdict.Deny, ReasonCodes.PolicyUnavailable), (decision.Verdict, decision.ReasonCode));
        Assert.Equal(1, store.Current.Official.Guests.Discarded);
        Assert.Equal(Verdict.Permit, World.Decide(store, Small).Verdict);
    }

    [Fact]
    public void I6_guest_that_takes_too_long_denies()
    {
        using var cedar = Runtime(new CedarLimits { Guest = new GuestLimits { CallTime = TimeSpan.FromMilliseconds(1), StartTime = TimeSpan.FromSeconds(30) }, Pool = new GuestPoolLimits { Size = 1 } });
        using var store = Open(cedar);
        // One to two ticks of 10 ms are allowed; Cedar needs longer to read this.
        var slow = World.Action(World.Actors(), World.Effect("sql:update", World.Table("orders"), ("columns", FactValue.Of(Enumerable.Range(0, 100_000).Select(i => $"column-{i}")))));
        var decision = World.Decide(store, slow);
        Assert.Equal((Verdict.Deny, ReasonCodes.PolicyUnavailable), (decision.Verdict, decision.ReasonCode));
        Assert.Contains("time limit", Assert.Single(Assert.Single(decision.Effects).Errors), StringComparison.Ordinal);
    }

    [Fact]
    public void I6_set_that_the_guests_cannot_hold_does_not_load()
    {
        using var cedar = Runtime(new CedarLimits { Guest = new GuestLimits { MemoryBytes = 4 << 20, StartTime = TimeSpan.FromSeconds(30) } });
        var text = string.Join('\n', Enumerable.Range(0, 4000).Select(i => $"permit (principal == Agent::\"a{i}\", action in Action::\"read\", resource) when {{ context.target.name == \"t{i}\" }};"));
        Assert.False(PolicyStore.TryOpen(cedar, "/nowhere", Countersign.Policy.Loading.PolicySnapshot.Of([("main.cedar", text)]), new(), out _, out var faults));
        Assert.Contains(faults, f => f.Code == PolicyFaults.Unavailable);
    }

    [Fact]
    public void Evaluator_of_ones_own_takes_the_hot_path_behind_the_cache()
    {
        var own = new Counting();
        using var store = Open(world.Cedar, new PolicyStoreOptions { Evaluator = (official, policies) => { own.Official = official; Assert.NotEmpty(policies); return own; } });
        for (var i = 0; i < 3; i++) Assert.Equal(Verdict.Permit, World.Decide(store, Small).Verdict);
        Assert.Equal(1, own.Calls);
        Assert.Equal((2, 1, 1), store.Current.CacheUse);
    }

    sealed class Counting : IPolicyEvaluator
    {
        public IPolicyEvaluator? Official { get; set; }
        public int Calls { get; private set; }

        public ValueTask<IReadOnlyList<PolicyAnswer>> EvaluateAsync(IReadOnlyList<PolicyRequest> requests, CancellationToken cancellation)
        {
            Calls++;
            return Official!.EvaluateAsync(requests, cancellation);
        }
    }
}
