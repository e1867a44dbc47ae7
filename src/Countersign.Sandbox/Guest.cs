using Wasmtime;

namespace Countersign.Sandbox;

/// <summary>
/// One instance of a module with its own memory: the base of every guest. Single-threaded: whoever uses it holds a lease on it.
/// </summary>
/// <remarks>
/// A guest defines its imports in <see cref="Link"/>, looks up its exports in <see cref="OnStarted"/>, and offers methods that are called
/// inside <see cref="Call{T}"/> (or <see cref="GuestLease{TGuest}.Call{T}"/>), which sets the time limit and turns faults into outcomes.
/// Host functions may throw: Wasmtime carries the exception through the guest's frames and it arrives as the <c>InnerException</c> of a
/// <see cref="WasmtimeException"/> at the host's nearest call into the guest, which is how longjmp is built. One that catches there must
/// catch only its own exception type, or it would swallow the interruption.
/// </remarks>
public abstract class Guest : IDisposable
{
    /// <summary>Share of the memory cap from which on a trap is reported as <see cref="GuestOutcome.OutOfMemory"/>.</summary>
    const int OutOfMemoryShare = 2;

    Store? store;
    Instance? instance;
    Memory? memory;
    int sinceCollection;

    /// <summary>Prepares a guest; nothing runs before <see cref="Start"/>.</summary>
    protected Guest(GuestModule module, GuestLimits limits)
    {
        Module = module;
        Limits = limits;
    }

    /// <summary>The module that this is an instance of.</summary>
    public GuestModule Module { get; }

    /// <summary>What it may use.</summary>
    public GuestLimits Limits { get; }

    /// <summary>Calls so far.</summary>
    public long Calls { get; private set; }

    /// <summary>Whether a call ended in anything but an answer: its memory cannot be trusted any more, and it answers nothing.</summary>
    public bool IsFaulted { get; private set; }

    /// <summary>Bytes of linear memory that it has grown to.</summary>
    public long MemoryBytes => memory?.GetLength() ?? 0;

    /// <summary>The store: available from <see cref="Link"/> on.</summary>
    protected Store Store => store ?? throw new InvalidOperationException("the guest has not been started");

    /// <summary>The instance: available from <see cref="OnStarted"/> on, and to imports that are called after instantiation.</summary>
    protected Instance Instance => instance ?? throw new InvalidOperationException("the guest has not been started");

    /// <summary>The linear memory: available when <see cref="Instance"/> is.</summary>
    protected Memory Memory => memory ?? throw new InvalidOperationException("the guest has not been started");

    /// <summary>The name under which the module exports its memory. Default <c>memory</c>.</summary>
    protected virtual string MemoryExport => "memory";

    /// <summary>Defines every import of the module. What is left undefined fails the start.</summary>
    protected abstract void Link(Linker linker);

    /// <summary>Looks up exports and runs the module's initialisers, under <see cref="GuestLimits.StartTime"/>.</summary>
    protected virtual void OnStarted() { }

    /// <summary>Instantiates the module. Once, before any call; <see cref="GuestPool{TGuest}"/> does it for its own.</summary>
    public GuestResult<bool> Start()
    {
        if (store is not null) throw new InvalidOperationException("the guest has been started already");
        return Run(Limits.StartTime, () =>
        {
            // A module whose initial memory is above the cap is refused here by Wasmtime.
            using var linker = new Linker(Module.Host.Engine);
            Link(linker);
            instance = linker.Instantiate(Store, Module.Module);
            memory = instance.GetMemory(MemoryExport);
            OnStarted();
            return true;
        });
    }

    /// <summary>
    /// Runs <paramref name="body"/>, which calls exports of this guest, under a time limit. Anything but an answer faults the guest.
    /// An exception of the body's own (a bug of the host) faults it too, and is thrown.
    /// </summary>
    /// <param name="body">Host code that calls into the guest; host time in it counts, but only guest code is interrupted.</param>
    /// <param name="limit">Longest time; default <see cref="GuestLimits.CallTime"/>.</param>
    public GuestResult<T> Call<T>(Func<T> body, TimeSpan? limit = null)
    {
        ArgumentNullException.ThrowIfNull(body);
        if (instance is null) throw new InvalidOperationException("the guest has not been started");
        if (IsFaulted) return GuestResult<T>.Refused(GuestOutcome.Trapped, "the guest has faulted before");
        Calls++;
        var result = Run(limit ?? Limits.CallTime, body);
        if (result.IsOk && ++sinceCollection >= Limits.CallsPerCollection)
        {
            sinceCollection = 0;
            Store.GC();
        }
        return result;
    }

    GuestResult<T> Run<T>(TimeSpan limit, Func<T> body)
    {
        var answered = false;
        Module.Host.Enter();
        try
        {
            if (store is null)
            {
                store = new Store(Module.Host.Engine);
                store.SetLimits(Limits.MemoryBytes, Limits.TableElements, 1, 8, 1);
            }
            store.SetEpochDeadline(Module.Host.Ticks(limit));
            var value = body();
            answered = true;
            return GuestResult<T>.Answer(value);
        }
        catch (GuestFaultException e)
        {
            return GuestResult<T>.Refused(e.Outcome, e.Message);
        }
        catch (WasmtimeException e)
        {
            return GuestResult<T>.Refused(Classify(e, out var detail), detail);
        }
        finally
        {
            if (!answered) IsFaulted = true;
            Module.Host.Leave();
        }
    }

    GuestOutcome Classify(WasmtimeException e, out string detail)
    {
        detail = e.Message;
        for (Exception? x = e; x is not null; x = x.InnerException)
        {
            if (x is GuestFaultException fault)
            {
                detail = fault.Message;
                return fault.Outcome;
            }
            if (x is TrapException { Type: TrapCode.Interrupt }) return GuestOutcome.TimedOut;
        }
        if (e is TrapException { Type: TrapCode.AllocationTooLarge }) return GuestOutcome.OutOfMemory;
        // A refused memory.grow only returns -1: what the guest does then (abort, unreachable) looks like any trap. Both labels end alike.
        return MemoryBytes >= Limits.MemoryBytes / OutOfMemoryShare ? GuestOutcome.OutOfMemory : GuestOutcome.Trapped;
    }

    /// <summary>Frees the instance and its memory.</summary>
    public void Dispose()
    {
        IsFaulted = true;
        store?.Dispose();
        GC.SuppressFinalize(this);
    }
}
