namespace Countersign.Sandbox;

/// <summary>What one guest may use. Exceeding any of them costs the guest its life, and the action is refused.</summary>
public sealed record GuestLimits
{
    /// <summary>
    /// Longest time of one call, measured in ticks of <see cref="SandboxLimits.Tick"/> (rounded up, plus one).
    /// Default 1 second: ordinary calls take microseconds to a few milliseconds, so a second is a guest that is stuck or under attack.
    /// </summary>
    public TimeSpan CallTime { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Longest time to instantiate and initialise. Default 10 seconds: a cached guest takes milliseconds, but a guest may load a large
    /// policy set as a part of its start on a busy machine.
    /// </summary>
    public TimeSpan StartTime { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// Most bytes of linear memory. Default 128 MiB: some hundred times what an ordinary call needs, and a size of which
    /// one guest per processor does no harm to the host.
    /// </summary>
    public long MemoryBytes { get; init; } = 128L << 20;

    /// <summary>Most elements of one table (function references and externrefs). Default 65,536: the guests that ship have a few thousand.</summary>
    public uint TableElements { get; init; } = 65_536;

    /// <summary>
    /// Calls after which the store's externref heap is collected. Default 256: a host string that was handed to a guest is held
    /// until then, so this bounds what the host keeps alive.
    /// </summary>
    public int CallsPerCollection { get; init; } = 256;
}

/// <summary>What a pool of guests may use.</summary>
public sealed record GuestPoolLimits
{
    /// <summary>Most guests alive at once. Default: one per processor, for a guest is single-threaded and never waits for anything.</summary>
    public int Size { get; init; } = Environment.ProcessorCount;

    /// <summary>Longest wait for a free guest. Default 2 seconds: twice the time limit of one call, so that one stuck guest does not refuse those behind it.</summary>
    public TimeSpan Wait { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Calls after which a guest is replaced. Default 100,000: bounds a slow leak in a guest at a cost of one start, some milliseconds.</summary>
    public long RecycleAfterCalls { get; init; } = 100_000;

    /// <summary>
    /// Linear memory above which a guest is replaced when it comes back. Default 64 MiB, half of the cap: linear memory never
    /// shrinks, so one huge input would otherwise be paid for until the end.
    /// </summary>
    public long RecycleAboveBytes { get; init; } = 64L << 20;
}

/// <summary>What holds for all guests of a process.</summary>
public sealed record SandboxLimits
{
    /// <summary>Resolution of time limits. Default 10 ms: a hundredth of the default limit, and a hundred wake-ups a second only while a guest runs.</summary>
    public TimeSpan Tick { get; init; } = TimeSpan.FromMilliseconds(10);

    /// <summary>
    /// Most bytes of native stack that WebAssembly may use. Default 512 KiB: guests recurse over hostile input, and the smallest
    /// thread of .NET on Linux has 1.5 MiB, of which host functions need their share.
    /// </summary>
    public int StackBytes { get; init; } = 512 << 10;
}
