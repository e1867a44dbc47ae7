using Wasmtime;

namespace Countersign.Sandbox;

/// <summary>A compiled module, from which any number of guests are instantiated. Thread-safe.</summary>
public sealed class GuestModule : IDisposable
{
    internal GuestModule(SandboxHost host, string name, Module module)
    {
        Host = host;
        Name = name;
        Module = module;
    }

    /// <summary>The host that it was compiled for.</summary>
    public SandboxHost Host { get; }

    /// <summary>Its name in logs and in the cache.</summary>
    public string Name { get; }

    /// <summary>Wasmtime's own object.</summary>
    public Module Module { get; }

    /// <summary>Compiles <paramref name="wasm"/> (the binary format) without a cache: seconds for a large one.</summary>
    public static GuestModule Compile(SandboxHost host, string name, ReadOnlySpan<byte> wasm)
    {
        ArgumentNullException.ThrowIfNull(host);
        return new GuestModule(host, name, Module.FromBytes(host.Engine, name, wasm));
    }

    /// <summary>Frees the code. Guests must be gone.</summary>
    public void Dispose() => Module.Dispose();
}
