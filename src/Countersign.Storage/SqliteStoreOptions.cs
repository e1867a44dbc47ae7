namespace Countersign.Storage;

/// <summary>Bounds of the embedded store; docs/limits.md lists them.</summary>
public sealed record SqliteStoreOptions
{
    /// <summary>Default 4 read connections; further readers wait for one. Reads take microseconds: more would only cost memory.</summary>
    public int MaxReaders { get; init; } = 4;

    /// <summary>Default 8 MiB page cache of the writer, and a quarter of it for each reader.</summary>
    public int CacheBytes { get; init; } = 8 << 20;

    /// <summary>Default 0: as large as the disk. Otherwise writes fail as on a full disk beyond it.</summary>
    public long MaxBytes { get; init; }

    /// <summary>Default 256 commits, after which the write-ahead log is moved into the database.</summary>
    public int CheckpointCommits { get; init; } = 256;

    /// <summary>Default 4 MiB of entries and documents, after which the same happens.</summary>
    public long CheckpointBytes { get; init; } = 4 << 20;

    /// <summary>Default 16 MiB: a write-ahead log that grew beyond it is cut when it starts over.</summary>
    public long MaxIdleWalBytes { get; init; } = 16 << 20;

    /// <summary>Default 1 s, in whole seconds: how long to wait for a lock that only a foreign program can hold.</summary>
    public TimeSpan BusyTimeout { get; init; } = TimeSpan.FromSeconds(1);
}
