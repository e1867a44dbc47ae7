using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Countersign.Sandbox;
using Wasmtime;

namespace Countersign.Sql.Parsing;

/// <summary>
/// PostgreSQL's own parser (libpg-query, built by Emscripten) as a guest. Instances are made by a <see cref="GuestPool{TGuest}"/>; one
/// call at a time.
/// </summary>
/// <remarks>
/// Errors in PostgreSQL are longjmps. Emscripten makes each call that may longjmp an import (<c>invoke_</c> and a signature), which calls
/// through the function table and, when a longjmp comes out, restores the stack pointer and calls <c>setThrew</c>; the longjmp itself is a
/// host exception of our own type. The module keeps its C stack (32 MiB) in linear memory above its data, where an overflow would
/// overwrite rather than trap; it cannot come to that, for Wasmtime's own stack limit (512 KiB) ends a recursion first unless each frame
/// took 6 KiB of C stack, and no recursive function of the parser does.
/// </remarks>
public sealed class PgParserGuest : Guest
{
    const string ResourceWasm = "libpg-query.wasm";
    const string ResourceNames = "libpg-query.json";
    const int WasiBadDescriptor = 8;
    const int PageBytes = 65536;
    const int LowFunctionCap = 65_536;

    static readonly Lazy<GuestNames> Names = new(static () => GuestNames.Read(Resource(ResourceNames)));

    readonly Dictionary<int, Function> functions = [];
    Table table = null!;
    Func<int> stackCurrent = null!;
    Action<int> stackRestore = null!, free = null!, freeResult = null!, freeString = null!;
    Action<int, int> setThrew = null!;
    Func<int, int> malloc = null!, parse = null!, scan = null!;

    /// <summary>A guest of <paramref name="module"/>, which <see cref="Load"/> made.</summary>
    public PgParserGuest(GuestModule module, GuestLimits limits) : base(module, limits) { }

    /// <summary>
    /// What one parser may use: as <see cref="GuestLimits"/>, but 256 MiB, for the module starts with 128 MiB (it does not touch most of it).
    /// </summary>
    public static GuestLimits DefaultLimits { get; } = new() { MemoryBytes = 256L << 20 };

    /// <summary>The pool of parsers over <paramref name="module"/>: recycled above 160 MiB, for the module starts with 128 MiB.</summary>
    public static GuestPool<PgParserGuest> CreatePool(GuestModule module, GuestLimits? limits = null, GuestPoolLimits? pool = null) =>
        new(() => new PgParserGuest(module, limits ?? DefaultLimits), pool ?? new GuestPoolLimits { RecycleAboveBytes = 160L << 20 });

    /// <summary>Loads the module that is embedded in this assembly.</summary>
    /// <exception cref="InvalidOperationException">The module is not the one that its names were read for.</exception>
    public static GuestModule Load(ModuleCache cache, SandboxHost host)
    {
        ArgumentNullException.ThrowIfNull(cache);
        using var stream = Resource(ResourceWasm);
        var wasm = new byte[stream.Length];
        stream.ReadExactly(wasm);
        if (Convert.ToHexStringLower(SHA256.HashData(wasm)) != Names.Value.Sha256)
            throw new InvalidOperationException("the embedded SQL parser is not the one that its import names were read for: build again");
        return cache.Load(host, "libpg-query", wasm);
    }

    static Stream Resource(string name) =>
        typeof(PgParserGuest).Assembly.GetManifestResourceStream(name) ?? throw new InvalidOperationException($"the resource `{name}` is missing");

    /// <inheritdoc/>
    protected override string MemoryExport => Names.Value.Export("memory");

    /// <inheritdoc/>
    protected override void Link(Linker linker)
    {
        ArgumentNullException.ThrowIfNull(linker);
        var names = Names.Value;
        foreach (var import in Module.Module.Imports.Cast<FunctionImport>())
        {
            var real = names.ImportByMinified[import.Name];
            if (real.StartsWith("invoke_", StringComparison.Ordinal)) DefineInvoke(linker, import);
            else DefineHost(linker, import, real);
        }
    }

    void DefineHost(Linker linker, FunctionImport import, string real)
    {
        var (space, name) = (import.ModuleName, import.Name);
        switch (real)
        {
            case "__emscripten_throw_longjmp": linker.DefineFunction(space, name, static () => throw new LongJump()); break;
            case "_emscripten_resize_heap": linker.DefineFunction(space, name, (Func<int, int>)Resize); break;
            case "_fd_write": linker.DefineFunction(space, name, (Func<int, int, int, int, int>)Swallow); break;
            case "_fd_read": linker.DefineFunction(space, name, static (int _, int _, int _, int _) => WasiBadDescriptor); break;
            case "_fd_seek": linker.DefineFunction(space, name, static (int _, long _, int _, int _) => WasiBadDescriptor); break;
            case "_fd_close": linker.DefineFunction(space, name, static (int _) => WasiBadDescriptor); break;
            case "__setitimer_js": linker.DefineFunction(space, name, static (int _, double _) => 0); break;
            case "__emscripten_runtime_keepalive_clear": linker.DefineFunction(space, name, static () => { }); break;
            default:
                // ___assert_fail, __abort_js, _exit, _proc_exit, and whatever an upgrade adds: the guest may not, and its life ends.
                linker.DefineFunction(space, name, (Caller _, ReadOnlySpan<ValueBox> _, Span<ValueBox> _) =>
                    throw new GuestFaultException(GuestOutcome.Trapped, $"the parser called `{real}`"), import.Parameters, import.Results);
                break;
        }
    }

    void DefineInvoke(Linker linker, FunctionImport import)
    {
        var (space, name) = (import.ModuleName, import.Name);
        const ValueKind i = ValueKind.Int32;
        var plain = import.Parameters.All(static k => k == i) && import.Results.All(static k => k == i);
        switch (plain ? import.Parameters.Count : -1, import.Results.Count)
        {
            case (1, 0): linker.DefineFunction(space, name, (int f) => { var sp = stackCurrent(); try { Entry(f).WrapAction()!(); } catch (Exception e) when (IsJump(e)) { Landed(sp); } }); break;
            case (2, 0): linker.DefineFunction(space, name, (int f, int a) => { var sp = stackCurrent(); try { Entry(f).WrapAction<int>()!(a); } catch (Exception e) when (IsJump(e)) { Landed(sp); } }); break;
            case (3, 0): linker.DefineFunction(space, name, (int f, int a, int b) => { var sp = stackCurrent(); try { Entry(f).WrapAction<int, int>()!(a, b); } catch (Exception e) when (IsJump(e)) { Landed(sp); } }); break;
            case (1, 1): linker.DefineFunction(space, name, (int f) => { var sp = stackCurrent(); try { return Entry(f).WrapFunc<int>()!(); } catch (Exception e) when (IsJump(e)) { return Landed(sp); } }); break;
            case (2, 1): linker.DefineFunction(space, name, (int f, int a) => { var sp = stackCurrent(); try { return Entry(f).WrapFunc<int, int>()!(a); } catch (Exception e) when (IsJump(e)) { return Landed(sp); } }); break;
            case (3, 1): linker.DefineFunction(space, name, (int f, int a, int b) => { var sp = stackCurrent(); try { return Entry(f).WrapFunc<int, int, int>()!(a, b); } catch (Exception e) when (IsJump(e)) { return Landed(sp); } }); break;
            default:
                linker.DefineFunction(space, name, (Caller _, ReadOnlySpan<ValueBox> arguments, Span<ValueBox> results) =>
                {
                    var sp = stackCurrent();
                    try
                    {
                        var value = Entry(arguments[0].AsInt32()).Invoke(arguments[1..].ToArray());
                        if (results.Length > 0) results[0] = value switch { int x => x, long x => x, float x => x, double x => x, _ => throw new GuestFaultException(GuestOutcome.Trapped, "a trampoline returned nothing") };
                    }
                    catch (Exception e) when (IsJump(e))
                    {
                        Landed(sp);
                        if (results.Length > 0) results[0] = import.Results[0] switch { ValueKind.Int64 => 0L, ValueKind.Float32 => 0f, ValueKind.Float64 => 0d, _ => 0 };
                    }
                }, import.Parameters, import.Results);
                break;
        }
    }

    Function Entry(int index)
    {
        // The table is fixed once the module is instantiated (no dlopen), so an entry can be kept.
        ref var entry = ref CollectionsMarshal.GetValueRefOrAddDefault(functions, index, out _);
        if (functions.Count > LowFunctionCap) throw new GuestFaultException(GuestOutcome.Trapped, "the parser called too many functions");
        return entry ??= table.GetElement((uint)index) as Function ?? throw new GuestFaultException(GuestOutcome.Trapped, "the parser called a null function");
    }

    int Landed(int stackPointer)
    {
        stackRestore(stackPointer);
        setThrew(1, 0);
        return 0;
    }

    static bool IsJump(Exception e)
    {
        for (Exception? x = e; x is not null; x = x.InnerException)
        {
            if (x is LongJump) return true;
        }

        return false;
    }

    int Resize(int requested)
    {
        var missing = (uint)requested - Memory.GetLength();
        if (missing <= 0) return 1;
        // Growing beyond the limits is refused by Wasmtime (store limits): malloc then answers null, as on a full machine.
        try { return Memory.Grow((missing + PageBytes - 1) / PageBytes) < 0 ? 0 : 1; }
        catch (WasmtimeException) { throw new GuestFaultException(GuestOutcome.OutOfMemory, "the parser asked for more memory than it may have"); }
    }

    int Swallow(int descriptor, int vectors, int count, int written)
    {
        // The parser may print (it captures stderr itself); whatever it prints is dropped.
        var total = 0;
        for (var n = 0; n < count; n++) total = checked(total + Memory.ReadInt32(vectors + (8 * n) + 4));
        Memory.WriteInt32(written, total);
        return 0;
    }

    /// <inheritdoc/>
    protected override void OnStarted()
    {
        var names = Names.Value;
        table = Instance.GetTable(names.Export("__indirect_function_table")) ?? throw Missing();
        stackCurrent = Instance.GetFunction<int>(names.Export("_emscripten_stack_get_current")) ?? throw Missing();
        stackRestore = Instance.GetAction<int>(names.Export("__emscripten_stack_restore")) ?? throw Missing();
        setThrew = Instance.GetAction<int, int>(names.Export("_setThrew")) ?? throw Missing();
        malloc = Instance.GetFunction<int, int>(names.Export("_malloc")) ?? throw Missing();
        free = Instance.GetAction<int>(names.Export("_free")) ?? throw Missing();
        parse = Instance.GetFunction<int, int>(names.Export("_wasm_parse_query_raw")) ?? throw Missing();
        freeResult = Instance.GetAction<int>(names.Export("_wasm_free_parse_result")) ?? throw Missing();
        scan = Instance.GetFunction<int, int>(names.Export("_wasm_scan")) ?? throw Missing();
        freeString = Instance.GetAction<int>(names.Export("_wasm_free_string")) ?? throw Missing();
        (Instance.GetAction(names.Export("__wasm_call_ctors")) ?? throw Missing())();
    }

    static GuestFaultException Missing() => new(GuestOutcome.Trapped, "the parser's module has other exports than its loader says");

    /// <summary>Parses UTF-8 text without NUL bytes. The tree is libpg-query's JSON, in UTF-8.</summary>
    /// <param name="sql">The text.</param>
    /// <param name="maxTreeBytes">Longest tree that is copied out.</param>
    internal RawParse Parse(ReadOnlySpan<byte> sql, int maxTreeBytes)
    {
        var text = Copy(sql);
        var result = parse(text);
        if (result == 0) throw new GuestFaultException(GuestOutcome.OutOfMemory, "the parser had no memory for its result");
        var tree = Memory.ReadInt32(result);
        var error = Memory.ReadInt32(result + 8);
        RawParse answer;
        if (error != 0) answer = new RawParse(null, Text(Memory.ReadInt32(error)), Memory.ReadInt32(error + 16));
        else if (tree == 0) throw new GuestFaultException(GuestOutcome.Trapped, "the parser gave neither a tree nor an error");
        else answer = Bytes(tree, maxTreeBytes) is { } json ? new RawParse(json, null, 0) : new RawParse(null, null, 0);
        free(text);
        freeResult(result);
        return answer;
    }

    /// <summary>The tokens of UTF-8 text that parsed, as libpg-query's JSON; null when it does not scan.</summary>
    internal byte[]? Scan(ReadOnlySpan<byte> sql, int maxTreeBytes)
    {
        var text = Copy(sql);
        var result = scan(text);
        if (result == 0) throw new GuestFaultException(GuestOutcome.OutOfMemory, "the scanner had no memory for its result");
        var json = Bytes(result, maxTreeBytes);
        free(text);
        freeString(result);
        return json is [(byte)'{', ..] ? json : null;
    }

    int Copy(ReadOnlySpan<byte> sql)
    {
        var text = malloc(checked(sql.Length + 1));
        if (text == 0) throw new GuestFaultException(GuestOutcome.OutOfMemory, "the parser had no memory for the text");
        var target = Memory.GetSpan(text, sql.Length + 1);
        sql.CopyTo(target);
        target[sql.Length] = 0;
        return text;
    }

    string Text(int pointer) => pointer == 0 ? "" : Bytes(pointer, 64 << 10) is { } bytes ? Encoding.UTF8.GetString(bytes) : "";

    byte[]? Bytes(int pointer, int most)
    {
        var rest = Memory.GetLength() - (uint)pointer;
        var span = Memory.GetSpan((uint)pointer, (int)Math.Min(rest, (long)most + 1));
        var length = span.IndexOf((byte)0);
        return length < 0 ? null : span[..length].ToArray();
    }

    sealed class LongJump : Exception;
}

/// <summary>What the parser said: a tree, or an error with its position (1-based, in characters; 0 when unknown), or neither when the tree is too large.</summary>
readonly record struct RawParse(byte[]? Tree, string? Error, int Position);
