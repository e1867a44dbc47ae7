using System.Text;
using Countersign.Sandbox;
using Wasmtime;

namespace Countersign.Policy.Cedar;

/// <summary>
/// Cedar's official Rust engine as a guest. Its currency is JSON text: where its JavaScript host would pass values by reference, this
/// one passes the UTF-8 bytes of their JSON as an opaque reference, which makes <c>JSON.parse</c> and <c>JSON.stringify</c> the identity.
/// </summary>
sealed class CedarGuest(GuestModule module, GuestLimits limits, Action<CedarGuest>? prepare = null) : Guest(module, limits)
{
    const string Imports = "./cedar_wasm_bg.js";

    // wasm-bindgen puts a hash of the signature behind each name; the part before it is what we rely on.
    const string IsUndefined = "__wbg___wbindgen_is_undefined_", StringGet = "__wbg___wbindgen_string_get_", Throw = "__wbg___wbindgen_throw_",
        Parse = "__wbg_parse_", Stringify = "__wbg_stringify_", InitTable = "__wbindgen_init_externref_table";

    /// <summary>
    /// Largest JSON text handed in or out, 16 MiB: a policy set of 8 MiB escaped, and far below the memory cap of the guest.
    /// </summary>
    public const int LargestText = 16 << 20;

    Func<int, int, int> malloc = null!;
    Func<object?, object?> authorize = null!;
    readonly Dictionary<string, Func<object?, object?>> functions = new(StringComparer.Ordinal);

    protected override void Link(Linker linker)
    {
        foreach (var import in Module.Module.Imports)
        {
            if (import.ModuleName != Imports) throw Unknown(import);
            var name = import.Name;
            if (name.StartsWith(IsUndefined, StringComparison.Ordinal)) linker.DefineFunction(Imports, name, (object? value) => value is null ? 1 : 0);
            else if (name.StartsWith(StringGet, StringComparison.Ordinal)) linker.DefineFunction(Imports, name, (int result, object? value) => Pass(result, value));
            else if (name.StartsWith(Throw, StringComparison.Ordinal))
                linker.DefineFunction(Imports, name, (int at, int length) => throw new GuestFaultException(GuestOutcome.Trapped, "cedar: " + Encoding.UTF8.GetString(Take(at, length))));
            else if (name.StartsWith(Parse, StringComparison.Ordinal)) linker.DefineFunction(Imports, name, (int at, int length) => (object?)Take(at, length));
            else if (name.StartsWith(Stringify, StringComparison.Ordinal)) linker.DefineFunction(Imports, name, (object? value) => value);
            else if (name == InitTable) linker.DefineFunction(Imports, name, () => { Instance.GetTable("__wbindgen_externrefs")!.Grow(4, null); });
            else throw Unknown(import);
        }
    }

    static GuestFaultException Unknown(Import import) =>
        new(GuestOutcome.Trapped, $"the cedar module imports `{import.ModuleName}` `{import.Name}`, which this build does not know; its package was upgraded");

    protected override void OnStarted()
    {
        malloc = Instance.GetFunction<int, int, int>("__wbindgen_malloc") ?? throw Missing("__wbindgen_malloc");
        authorize = Export("statefulIsAuthorized");
        (Instance.GetAction("__wbindgen_start") ?? throw Missing("__wbindgen_start"))();
        prepare?.Invoke(this);
    }

    static GuestFaultException Missing(string name) => new(GuestOutcome.Trapped, $"the cedar module has no export `{name}`");

    Func<object?, object?> Export(string name)
    {
        if (functions.TryGetValue(name, out var function)) return function;
        function = Instance.GetFunction<object?, object?>(name) ?? throw Missing(name);
        functions.Add(name, function);
        return function;
    }

    byte[] Take(int at, int length)
    {
        if (length is < 0 or > LargestText) throw new GuestFaultException(GuestOutcome.OutOfMemory, $"the guest hands out {(uint)length} bytes; at most {LargestText} are taken");
        return Memory.GetSpan((uint)at, length).ToArray();
    }

    void Pass(int result, object? value)
    {
        if (value is not ReadOnlyMemory<byte> and not byte[])
        {
            Memory.WriteInt32((uint)result, 0);
            Memory.WriteInt32((uint)result + 4, 0);
            return;
        }
        var bytes = value is byte[] array ? array : (ReadOnlyMemory<byte>)value;
        var at = Place(bytes.Span);
        Memory.WriteInt32((uint)result, at);
        Memory.WriteInt32((uint)result + 4, bytes.Length);
    }

    int Place(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > LargestText) throw new GuestFaultException(GuestOutcome.OutOfMemory, $"{bytes.Length} bytes were to be handed to the guest; at most {LargestText} are");
        var at = malloc(bytes.Length, 1);
        bytes.CopyTo(Memory.GetSpan((uint)at, bytes.Length)); // after the allocation, which may have moved the memory
        return at;
    }

    static byte[] Answer(object? value) =>
        value as byte[] ?? throw new GuestFaultException(GuestOutcome.Trapped, "the cedar guest answered nothing");

    /// <summary>Decides one request: the bytes are a <c>StatefulAuthorizationCall</c>, the answer an <c>AuthorizationAnswer</c>.</summary>
    public byte[] Authorize(ReadOnlyMemory<byte> call) => Answer(authorize(call));

    /// <summary>The engine's version, as a JSON string.</summary>
    public byte[] Version()
    {
        // Two results (address, length), which the guest hands over: freed here, as its JavaScript host would.
        var results = (object?[])(Instance.GetFunction("getCedarVersion") ?? throw Missing("getCedarVersion")).Invoke()!;
        int at = (int)results[0]!, length = (int)results[1]!;
        var text = Encoding.UTF8.GetString(Take(at, length));
        (Instance.GetAction<int, int, int>("__wbindgen_free") ?? throw Missing("__wbindgen_free"))(at, length, 1);
        return System.Text.Json.JsonSerializer.SerializeToUtf8Bytes(text);
    }

    /// <summary>Calls a function of one JSON value.</summary>
    public byte[] Invoke(string export, ReadOnlyMemory<byte> json) => Answer(Export(export)(json));

    /// <summary>Calls a function of one string.</summary>
    public byte[] InvokeText(string export, string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        var function = Instance.GetFunction<int, int, object?>(export) ?? throw Missing(export);
        return Answer(function(Place(bytes), bytes.Length));
    }

    /// <summary>Calls a function of a name and one JSON value: <c>preparsePolicySet</c>, <c>preparseSchema</c>.</summary>
    public byte[] InvokeNamed(string export, string name, ReadOnlyMemory<byte> json)
    {
        var bytes = Encoding.UTF8.GetBytes(name);
        var function = Instance.GetFunction<int, int, object?, object?>(export) ?? throw Missing(export);
        return Answer(function(Place(bytes), bytes.Length, json));
    }
}
