namespace Countersign.Journal;

/// <summary>Every bound of the journal; docs/limits.md lists them. Beyond a bound is refused, never queued unseen.</summary>
public sealed record JournalLimits
{
    /// <summary>Default 4,096 sets. More waiting writers than that means a disk that does not keep up: `overloaded`.</summary>
    public int MaxQueuedSets { get; init; } = 4096;

    /// <summary>Default 64 MiB, over all that is queued.</summary>
    public long MaxQueuedBytes { get; init; } = 64L << 20;

    /// <summary>Default 256 sets in one commit, so that one fsync is shared without making the first one wait for the last.</summary>
    public int MaxBatchSets { get; init; } = 256;

    /// <summary>Default 8 MiB in one commit; one set that is larger goes alone.</summary>
    public long MaxBatchBytes { get; init; } = 8L << 20;

    /// <summary>Default 64 KiB. Entries are kept for ever and copied to every verifier.</summary>
    public int MaxEntryBytes { get; init; } = 64 << 10;

    /// <summary>Default 16 MiB for one body or one document: a payload at its largest, with its statement.</summary>
    public int MaxValueBytes { get; init; } = 16 << 20;

    /// <summary>Default 1,024 entries waiting behind their reads; further reads wait.</summary>
    public int MaxWriteBehindEntries { get; init; } = 1024;

    /// <summary>Default 50 ms: how long a write-behind entry waits for company before it is committed on its own.</summary>
    public TimeSpan WriteBehindDelay { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>
    /// Default 100 ms (I2): the accepted and not yet durable reads never span more than this; on a slow disk further
    /// reads wait. It is what the `start` entry after a crash names as possibly lost.
    /// </summary>
    public TimeSpan WriteBehindWindow { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Default 250 ms until the first probe of a store that failed; doubles up to <see cref="MaxProbeDelay"/>.</summary>
    public TimeSpan FirstProbeDelay { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>Default 5 s.</summary>
    public TimeSpan MaxProbeDelay { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Default 10 s: how long a stop waits for what is queued.</summary>
    public TimeSpan StopTimeout { get; init; } = TimeSpan.FromSeconds(10);
}
