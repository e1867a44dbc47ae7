using BenchmarkDotNet.Attributes;
using Countersign.Policy.Cedar;
using Countersign.Sandbox;

namespace Countersign.Benchmarks;

/// <summary>Start to ready: the engine from the verified cache, with its tool guest and the shipped schema and policy loaded.</summary>
[MinColumn]
public class EngineStart
{
    readonly string folder = Path.Combine(Path.GetTempPath(), $"countersign-bench-guests-{Environment.UserName}");
    SandboxHost host = null!;

    [GlobalSetup]
    public void Setup()
    {
        host = new SandboxHost();
        new CedarRuntime(host, new ModuleCache(folder)).Dispose();
    }

    [GlobalCleanup]
    public void Cleanup() => host.Dispose();

    [Benchmark]
    public string Cedar()
    {
        using var cedar = new CedarRuntime(host, new ModuleCache(folder));
        return cedar.Version;
    }
}
