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

    /// <summary>Time to tell a client that the gateway stops. 2 s: one that does not read must not hold up the stop.</summary>
    public TimeSpan Farewell { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Texts of the prepared statements of one session, and values of its portals, in bytes each. 16 MiB: some hundred times what a driver's cache of statements holds.</summary>
    public int NamedBytes { get; init; } = 16 << 20;

    /// <summary>Settings that one session may name and that are part of the digest. 256: each is asked for whenever the session's state is.</summary>
    public int NamedSettings { get; init; } = 256;

    /// <summary>Prepared statements, portals and temporary relations that one session may keep. 4,096 each: drivers cache some hundreds.</summary>
    public int NamedObjects { get; init; } = 4096;

    /// <summary>How long a catalogue snapshot serves without being read again. 30 s; DDL through the gateway reads it at once, and so does every release.</summary>
    public TimeSpan CatalogAge { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Time to ask what a held statement would touch, all in all: connecting, planning, reading. 3 s: a reviewer has not read the statement by then.</summary>
    public TimeSpan Beside { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>Of that, for a lock. 250 ms: whoever queues behind us waits no longer than he would notice.</summary>
    public TimeSpan BesideLock { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>Connections to one target that ask beside the sessions at a time. 2: what they ask can wait, a target's connections are few.</summary>
    public int BesideConnections { get; init; } = 2;

    /// <summary>Steps of a plan that are kept. 60: a screen; a plan of hundreds says that it is large.</summary>
    public int PlanSteps { get; init; } = 60;

    /// <summary>Longest plan that is read, in bytes. 1 MiB: thousands of partitions.</summary>
    public int PlanBytes { get; init; } = 1 << 20;

    /// <summary>Client connections in all. 1,000.</summary>
    public int Connections { get; init; } = 1000;

    /// <summary>Client connections of one agent. 100.</summary>
    public int ConnectionsPerAgent { get; init; } = 100;
}
