using Countersign.Sandbox;
using Wasmtime;

namespace Countersign.Policy.Tests.Sandbox;

/// <summary>A guest of a few lines of WebAssembly text, with a host function of each temper.</summary>
sealed class WatGuest(GuestModule module, GuestLimits limits) : Guest(module, limits)
{
    public const string Text = """
        (module
          (import "host" "fault" (func $fault))
          (import "host" "jump" (func $jump))
          (memory (export "memory") 1)
          (table (export "table") 4 funcref)
          (elem (i32.const 1) $jumper)
          (func $jumper (call $jump))
          (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
          (func (export "trap") unreachable)
          (func (export "spin") (loop $l (br $l)))
          (func $deep (export "deep") (call $deep) (call $deep))
          (func (export "fault") (call $fault))
          (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
          (func (export "grow_or_trap") (param i32)
            (loop $l (if (i32.eq (memory.grow (local.get 0)) (i32.const -1)) (then unreachable)) (br $l)))
          (func (export "peek") (result i32) (i32.load (i32.const 0)))
          (func (export "poke") (param i32) (i32.store (i32.const 0) (local.get 0))))
        """;

    sealed class Jump : Exception;

    protected override void Link(Linker linker)
    {
        linker.DefineFunction("host", "fault", () => throw new GuestFaultException(GuestOutcome.Trapped, "the guest gave up"));
        linker.DefineFunction("host", "jump", () => throw new Jump());
    }

    public int Add(int a, int b) => Instance.GetFunction<int, int, int>("add")!(a, b);
    public bool Run(string export) { Instance.GetAction(export)!(); return true; }
    public int Grow(int pages) => Instance.GetFunction<int, int>("grow")!(pages);
    public bool GrowOrTrap(int pages) { Instance.GetAction<int>("grow_or_trap")!(pages); return true; }
    public int Peek() => Instance.GetFunction<int>("peek")!();
    public bool Poke(int value) { Instance.GetAction<int>("poke")!(value); return true; }

    /// <summary>What a longjmp is made of: a host exception through guest frames, caught where the host called in.</summary>
    public bool CallsTableEntryAndCatchesJump()
    {
        var entry = (Function)Instance.GetTable("table")!.GetElement(1)!;
        try { entry.Invoke(); }
        catch (WasmtimeException e) when (e.InnerException is Jump) { return true; }
        return false;
    }

    /// <summary>The same catch around a guest that never ends: it must not swallow the interruption.</summary>
    public bool SpinUnderJumpGuard()
    {
        try { return Run("spin"); }
        catch (WasmtimeException e) when (e.InnerException is Jump) { return false; }
    }
}
