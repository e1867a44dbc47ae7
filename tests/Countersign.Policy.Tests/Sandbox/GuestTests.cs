using Countersign.Sandbox;
using Wasmtime;

namespace Countersign.Policy.Tests.Sandbox;

public sealed class GuestTests : IDisposable
{
    readonly SandboxHost host = new();
    readonly GuestModule module;
    static readonly GuestLimits Limits = new() { CallTime = TimeSpan.FromMilliseconds(50), MemoryBytes = 1 << 20 };

    public GuestTests() => module = GuestModule.Compile(host, "wat", Module.ConvertText(WatGuest.Text));

    public void Dispose()
    {
        module.Dispose();
        host.Dispose();
    }

    GuestPool<WatGuest> Pool(GuestPoolLimits? limits = null) => new(() => new WatGuest(module, Limits), limits ?? new GuestPoolLimits { Size = 1 });

    [Fact]
    public void Guest_answers()
    {
        using var pool = Pool();
        Assert.Equal(new GuestResult<int>(GuestOutcome.Ok, 5, null), pool.Call(g => g.Add(2, 3)));
    }

    [Theory]
    [InlineData("trap", GuestOutcome.Trapped)]
    [InlineData("deep", GuestOutcome.Trapped)]
    [InlineData("fault", GuestOutcome.Trapped)]
    [InlineData("spin", GuestOutcome.TimedOut)]
    public void Faulty_call_is_an_outcome_and_the_next_lease_gets_a_new_guest(string export, GuestOutcome expected)
    {
        using var pool = Pool();
        Assert.True(pool.Call(g => g.Poke(7)).IsOk);
        Assert.Equal(7, pool.Call(g => g.Peek()).Value);

        var fault = pool.Call(g => g.Run(export));
        Assert.Equal(expected, fault.Outcome);
        Assert.NotNull(fault.Detail);

        Assert.Equal(new GuestResult<int>(GuestOutcome.Ok, 0, null), pool.Call(g => g.Peek())); // a fresh memory
        Assert.Equal(1, pool.Discarded);
        Assert.Equal(2, pool.Started);
    }

    [Fact]
    public void Faulted_guest_answers_nothing_within_the_same_lease()
    {
        using var pool = Pool();
        using var lease = pool.Lease();
        Assert.Equal(GuestOutcome.Trapped, lease.Call(g => g.Run("trap")).Outcome);
        Assert.Equal(GuestOutcome.Trapped, lease.Call(g => g.Add(1, 1)).Outcome);
    }

    [Fact]
    public void Memory_cap_refuses_growth_and_names_the_failure()
    {
        using var pool = Pool();
        Assert.Equal(-1, pool.Call(g => g.Grow(1000)).Value);
        Assert.Equal(GuestOutcome.OutOfMemory, pool.Call(g => g.GrowOrTrap(1)).Outcome);
        Assert.Equal(1, pool.Discarded);
    }

    [Fact]
    public void Module_whose_first_memory_is_above_the_cap_does_not_start()
    {
        using var pool = new GuestPool<WatGuest>(() => new WatGuest(module, Limits with { MemoryBytes = 100 }), new GuestPoolLimits { Size = 1 });
        for (var i = 0; i < 3; i++) Assert.NotEqual(GuestOutcome.Ok, pool.Call(g => g.Add(1, 1)).Outcome); // and the slot is not lost
    }

    [Fact]
    public void Host_exception_passes_through_guest_frames_to_the_host_that_called()
    {
        using var pool = Pool();
        Assert.True(pool.Call(g => g.CallsTableEntryAndCatchesJump()).Value);
        Assert.Equal(0, pool.Discarded);
    }

    [Fact]
    public void Time_limit_is_not_swallowed_by_a_longjmp_guard()
    {
        using var pool = Pool();
        Assert.Equal(GuestOutcome.TimedOut, pool.Call(g => g.SpinUnderJumpGuard()).Outcome);
    }

    [Fact]
    public void Exception_of_the_hosts_own_is_thrown_and_costs_the_guest()
    {
        using var pool = Pool();
        Assert.Throws<InvalidDataException>(() => pool.Call<int>(_ => throw new InvalidDataException()));
        Assert.Equal(1, pool.Discarded);
        Assert.True(pool.Call(g => g.Add(1, 1)).IsOk);
    }

    [Fact]
    public void Guest_is_replaced_after_its_number_of_calls()
    {
        using var pool = Pool(new GuestPoolLimits { Size = 1, RecycleAfterCalls = 2 });
        for (var i = 0; i < 4; i++) Assert.True(pool.Call(g => g.Add(1, 1)).IsOk);
        Assert.Equal((2, 2, 0), (pool.Started, pool.Recycled, pool.Discarded));
    }

    [Fact]
    public void Guest_is_replaced_when_it_grew_too_large()
    {
        using var pool = Pool(new GuestPoolLimits { Size = 1, RecycleAboveBytes = 128 << 10 });
        Assert.True(pool.Call(g => g.Grow(4)).IsOk);
        Assert.Equal(1, pool.Recycled);
        Assert.Equal(1, pool.Call(g => g.Grow(0)).Value);
    }

    [Fact]
    public void Lease_of_an_exhausted_pool_waits_for_a_bounded_time()
    {
        using var pool = Pool(new GuestPoolLimits { Size = 1, Wait = TimeSpan.FromMilliseconds(20) });
        using (var held = pool.Lease())
        {
            Assert.True(held.Call(g => g.Add(1, 1)).IsOk);
            Assert.Equal(GuestOutcome.Busy, pool.Call(g => g.Add(1, 1)).Outcome);
        }
        Assert.True(pool.Call(g => g.Add(1, 1)).IsOk);
    }

    [Fact]
    public void Drained_pool_refuses_new_leases_and_lets_the_held_one_finish()
    {
        using var pool = Pool();
        using (var held = pool.Lease())
        {
            pool.Drain();
            Assert.True(held.Call(g => g.Add(1, 1)).IsOk);
        }
        Assert.Equal(GuestOutcome.Drained, pool.Call(g => g.Add(1, 1)).Outcome);
    }

    [Fact]
    public void Pool_serves_many_threads_with_few_guests()
    {
        using var pool = Pool(new GuestPoolLimits { Size = 2, Wait = TimeSpan.FromSeconds(30) });
        Parallel.For(0, 2000, i =>
        {
            if (i % 97 == 0) Assert.Equal(GuestOutcome.Trapped, pool.Call(g => g.Run("trap")).Outcome);
            else Assert.Equal(i + 1, pool.Call(g => g.Add(i, 1)).Value);
        });
        Assert.Equal(21, pool.Discarded);
        Assert.InRange(pool.Started, 2, 23);
    }

    [Fact]
    public void Clock_interrupts_again_after_it_has_been_idle()
    {
        // 1 ms ticks: after 100 idle ones the clock is parked, which Enter must undo.
        using var quick = new SandboxHost(new SandboxLimits { Tick = TimeSpan.FromMilliseconds(1) });
        using var own = GuestModule.Compile(quick, "wat", Module.ConvertText(WatGuest.Text));
        using var pool = new GuestPool<WatGuest>(() => new WatGuest(own, Limits), new GuestPoolLimits { Size = 1 });
        Assert.True(pool.Call(g => g.Add(1, 1)).IsOk);
        Assert.True(SpinWait.SpinUntil(() => quick.IsParked, TimeSpan.FromSeconds(30)));
        Assert.Equal(GuestOutcome.TimedOut, pool.Call(g => g.Run("spin")).Outcome);
    }
}
