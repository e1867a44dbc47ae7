namespace Countersign.Gateway.Postgres;

/// <summary>Limits of a PostgreSQL session (docs/limits.md).</summary>
public sealed record PostgresLimits
{
    /// <summary>Hold limit of a connection outside a transaction. 15 minutes: longer than a person needs, shorter than most middle boxes allow.</summary>
    public TimeSpan HoldConnection { get; init; } = TimeSpan.FromMinutes(15);

    /// <summary>Hold limit inside an open transaction. 60 s: its locks stop others (P13).</summary>
    public TimeSpan HoldTransaction { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Time between two notices while it waits. 10 s: a common driver's 30-second timer restarts with each.</summary>
    public TimeSpan Notice { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>What a client may pipeline behind a held message, in bytes (P9). 1 MiB: a driver's batch; more is refused, never streamed unseen.</summary>
    public int HeldBytes { get; init; } = 1 << 20;

    /// <summary>Time from accept to the end of authentication. 30 s: nobody unknown may hold a connection for longer.</summary>
    public TimeSpan Startup { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Time to connect and authenticate to the target. 10 s: an agent retries better than it waits.</summary>
    public TimeSpan Connect { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Prepared statements and portals that one session may keep. 4,096 each: drivers cache some hundreds.</summary>
    public int NamedObjects { get; init; } = 4096;

    /// <summary>How long a catalogue snapshot serves without being read again. 30 s; DDL through the gateway reads it at once, and so does every release.</summary>
    public TimeSpan CatalogAge { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Client connections in all. 1,000.</summary>
    public int Connections { get; init; } = 1000;

    /// <summary>Client connections of one agent. 100.</summary>
    public int ConnectionsPerAgent { get; init; } = 100;
}
