using System.Collections.Concurrent;

namespace Countersign.Sandbox;

/// <summary>
/// Guests of one kind, each used by one caller at a time. Thread-safe. Guests are started when first needed; one that faulted, served
/// its number of calls or grew too large is replaced.
/// </summary>
public sealed class GuestPool<TGuest> : IDisposable where TGuest : Guest
{
    readonly Func<TGuest> create;
    readonly SemaphoreSlim slots;
    readonly ConcurrentStack<TGuest> idle = new(); // a stack: the guest used last is the warmest
    volatile bool drained;
    long started, discarded, recycled;

    /// <summary>A pool whose guests <paramref name="create"/> makes (not started; the pool starts them).</summary>
    public GuestPool(Func<TGuest> create, GuestPoolLimits? limits = null)
    {
        this.create = create;
        Limits = limits ?? new GuestPoolLimits();
        ArgumentOutOfRangeException.ThrowIfLessThan(Limits.Size, 1, nameof(limits));
        slots = new SemaphoreSlim(Limits.Size, Limits.Size);
    }

    /// <summary>What the pool may use.</summary>
    public GuestPoolLimits Limits { get; }

    /// <summary>Guests started so far.</summary>
    public long Started => Interlocked.Read(ref started);

    /// <summary>Guests thrown away for a fault so far.</summary>
    public long Discarded => Interlocked.Read(ref discarded);

    /// <summary>Guests replaced by age or size so far.</summary>
    public long Recycled => Interlocked.Read(ref recycled);

    /// <summary>Whether <see cref="Drain"/> has been called.</summary>
    public bool IsDrained => drained;

    /// <summary>
    /// Takes a guest, waiting for at most <see cref="GuestPoolLimits.Wait"/>. The lease says whether it holds one: always dispose it.
    /// A call blocks its thread: guests compute, and are done in microseconds or interrupted.
    /// </summary>
    public GuestLease<TGuest> Lease(CancellationToken cancellation = default) => Take(slots.Wait(Limits.Wait, cancellation));

    /// <summary>As <see cref="Lease"/>, without blocking while it waits.</summary>
    public async ValueTask<GuestLease<TGuest>> LeaseAsync(CancellationToken cancellation = default) =>
        Take(await slots.WaitAsync(Limits.Wait, cancellation).ConfigureAwait(false));

    /// <summary>Takes a guest, runs <paramref name="body"/> on it under its time limit, and gives it back.</summary>
    public GuestResult<T> Call<T>(Func<TGuest, T> body, TimeSpan? limit = null, CancellationToken cancellation = default)
    {
        using var lease = Lease(cancellation);
        return lease.Call(body, limit);
    }

    GuestLease<TGuest> Take(bool admitted)
    {
        if (!admitted)
            return new GuestLease<TGuest>(this, null, drained ? GuestOutcome.Drained : GuestOutcome.Busy, $"no guest was free within {Limits.Wait}");
        TGuest? fresh = null;
        var handedOver = false;
        try
        {
            if (drained) return new GuestLease<TGuest>(this, null, GuestOutcome.Drained, "the pool has been drained");
            if (!idle.TryPop(out var guest))
            {
                guest = fresh = create();
                var start = fresh.Start();
                if (!start.IsOk)
                {
                    Interlocked.Increment(ref discarded);
                    return new GuestLease<TGuest>(this, null, start.Outcome, start.Detail);
                }
                Interlocked.Increment(ref started);
            }
            handedOver = true;
            return new GuestLease<TGuest>(this, guest, GuestOutcome.Ok, null);
        }
        finally
        {
            if (!handedOver)
            {
                fresh?.Dispose();
                slots.Release();
            }
        }
    }

    internal void Return(TGuest guest)
    {
        var keep = false;
        try
        {
            if (guest.IsFaulted) Interlocked.Increment(ref discarded);
            else if (guest.Calls >= Limits.RecycleAfterCalls || guest.MemoryBytes > Limits.RecycleAboveBytes) Interlocked.Increment(ref recycled);
            else keep = !drained;
        }
        finally
        {
            if (keep) idle.Push(guest);
            else guest.Dispose();
            slots.Release();
            if (keep && drained) Sweep(); // drained between the look and the push
        }
    }

    /// <summary>Ends the pool: idle guests go now, leased ones when they come back, and new leases are refused as <see cref="GuestOutcome.Drained"/>.</summary>
    public void Drain()
    {
        drained = true;
        Sweep();
    }

    void Sweep()
    {
        while (idle.TryPop(out var guest)) guest.Dispose();
    }

    /// <summary>Drains the pool.</summary>
    public void Dispose() => Drain();
}

/// <summary>The right to use one guest until disposed.</summary>
public sealed class GuestLease<TGuest> : IDisposable where TGuest : Guest
{
    readonly GuestPool<TGuest> pool;
    readonly string? detail;
    TGuest? guest;

    internal GuestLease(GuestPool<TGuest> pool, TGuest? guest, GuestOutcome outcome, string? detail)
    {
        this.pool = pool;
        this.guest = guest;
        this.detail = detail;
        Outcome = outcome;
    }

    /// <summary><see cref="GuestOutcome.Ok"/> when a guest is held; else why not.</summary>
    public GuestOutcome Outcome { get; }

    /// <summary>Runs <paramref name="body"/> on the guest under a time limit; a lease without a guest answers with its own outcome.</summary>
    public GuestResult<T> Call<T>(Func<TGuest, T> body, TimeSpan? limit = null)
    {
        ArgumentNullException.ThrowIfNull(body);
        if (Outcome != GuestOutcome.Ok) return GuestResult<T>.Refused(Outcome, detail);
        var held = guest ?? throw new ObjectDisposedException(nameof(GuestLease<TGuest>));
        return held.Call(() => body(held), limit);
    }

    /// <summary>Gives the guest back.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref guest, null) is { } held) pool.Return(held);
    }
}
