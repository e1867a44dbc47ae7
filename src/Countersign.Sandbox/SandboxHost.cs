using Wasmtime;

namespace Countersign.Sandbox;

/// <summary>
/// The ground that guests run on: Wasmtime with our settings, and the clock that interrupts them. One per process; thread-safe.
/// </summary>
/// <remarks>
/// Time limits are epochs: compiled code compares a counter with its deadline at each loop and call, and this class increments the counter.
/// Epochs rather than fuel, since they bound time, which is what a waiting agent and a stuck processor care about, and cost a tenth as much.
/// </remarks>
public sealed class SandboxHost : IDisposable
{
    /// <summary>Ticks without any call after which the clock sleeps until the next one.</summary>
    const int IdleTicks = 100;

    readonly Thread clock;
    readonly ManualResetEventSlim stop = new(false);
    readonly AutoResetEvent wake = new(false);
    int running;
    volatile bool parked;
    bool disposed;

    /// <summary>Starts the host.</summary>
    public SandboxHost(SandboxLimits? limits = null)
    {
        Limits = limits ?? new SandboxLimits();
        ArgumentOutOfRangeException.ThrowIfLessThan(Limits.Tick, TimeSpan.FromMilliseconds(1), nameof(limits));
        // Each setting is in SettingsKey: an artefact compiled under others must not be found in the cache.
        Engine = new Engine(new Config()
            .WithReferenceTypes(true)
            .WithBulkMemory(true)
            .WithMultiValue(true)
            .WithWasmThreads(false)
            .WithMemory64(false)
            .WithMultiMemory(false)
            .WithEpochInterruption(true)
            .WithMaximumStackSize(Limits.StackBytes)
            .WithOptimizationLevel(OptimizationLevel.Speed));
        SettingsKey = $"reftypes bulk multivalue nothreads no64 nomultimemory epoch speed stack={Limits.StackBytes}";
        clock = new Thread(Tick) { IsBackground = true, Name = "countersign-guest-clock" };
        clock.Start();
    }

    /// <summary>The limits that hold for all guests.</summary>
    public SandboxLimits Limits { get; }

    /// <summary>Wasmtime's own object, for stores, linkers and modules.</summary>
    public Engine Engine { get; }

    internal string SettingsKey { get; }

    internal bool IsParked => parked;

    internal ulong Ticks(TimeSpan limit) => checked((ulong)Math.Max(1, Math.Ceiling(limit / Limits.Tick)) + 1);

    internal void Enter()
    {
        Interlocked.Increment(ref running);
        if (parked) wake.Set();
    }

    internal void Leave() => Interlocked.Decrement(ref running);

    void Tick()
    {
        var idle = 0;
        // A thread of its own, not a timer: stuck guests may hold every thread of the pool, which a timer's callback would wait for.
        while (!stop.Wait(Limits.Tick))
        {
            Engine.IncrementEpoch();
            idle = Volatile.Read(ref running) == 0 ? idle + 1 : 0;
            if (idle < IdleTicks) continue;
            parked = true;
            Interlocked.MemoryBarrier(); // a caller that did not see `parked` is seen here
            if (Volatile.Read(ref running) == 0) wake.WaitOne();
            parked = false;
            idle = 0;
        }
    }

    /// <summary>Stops the clock and frees Wasmtime. Guests must be gone.</summary>
    public void Dispose()
    {
        if (disposed) return;
        disposed = true;
        stop.Set();
        wake.Set();
        clock.Join();
        Engine.Dispose();
        stop.Dispose();
        wake.Dispose();
    }
}
