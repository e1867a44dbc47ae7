using Countersign.Core;

namespace Countersign.Channels.Webhooks;

/// <summary>Somebody who is told of every event by a signed request.</summary>
public sealed record WebhookEndpoint
{
    /// <summary>Its name in the configuration: what is remembered for it is kept by it.</summary>
    public required string Name { get; init; }

    /// <summary>https; plain http on this machine alone.</summary>
    public required Uri Url { get; init; }

    /// <summary>The newest first; each signs.</summary>
    public required IReadOnlyList<WebhookSecret> Secrets { get; init; }

    /// <summary>Data classes whose statements, values and words it may be told; of another class they are left out.</summary>
    public required IReadOnlySet<string> Carries { get; init; }

    /// <summary>Event types without their prefix, exact or as `review.*`.</summary>
    public required IReadOnlyList<string> Events { get; init; }

    public bool Wants(string type) => Events.Any(e => EventTypes.Matches(e, type));
}

/// <summary>Limits of webhooks (docs/limits.md).</summary>
public sealed record WebhookLimits
{
    /// <summary>Longest wait for an answer. 15 s: the least that receivers are advised to be given.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Waits between attempts; the last repeats. Together they span the three days after which an event is given up.</summary>
    public IReadOnlyList<TimeSpan> Retries { get; init; } =
    [
        TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(30), TimeSpan.FromMinutes(2), TimeSpan.FromMinutes(10), TimeSpan.FromMinutes(30), TimeSpan.FromHours(1), TimeSpan.FromHours(3), TimeSpan.FromHours(6),
    ];

    /// <summary>Longest wait that a receiver may ask for. 6 h: as long as our own longest.</summary>
    public TimeSpan LongestRetryAfter { get; init; } = TimeSpan.FromHours(6);

    /// <summary>How long one event is tried. 3 days: a weekend.</summary>
    public TimeSpan GiveUp { get; init; } = TimeSpan.FromDays(3);

    /// <summary>Longest statement in an event, characters. 8,192: the body stays below the 20 kB that receivers are advised to expect.</summary>
    public int StatementChars { get; init; } = 8 << 10;

    /// <summary>Entries that nobody is told of, passed before the place is kept. 1,000: read again at a start in no time, and most actions cost no write.</summary>
    public int Unkept { get; init; } = 1000;

    /// <summary>Entries of the journal read at once. 64.</summary>
    public int Page { get; init; } = 64;
}
