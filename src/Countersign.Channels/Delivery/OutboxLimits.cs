namespace Countersign.Channels.Delivery;

/// <summary>Limits of the outbox (docs/limits.md).</summary>
public sealed record OutboxLimits
{
    /// <summary>Calls to one channel at once. 4: a slow place holds no other up, and no service takes it for an attack.</summary>
    public int PerChannel { get; init; } = 4;

    /// <summary>First wait after a failure; doubles. 1 s: a hiccup is over by then.</summary>
    public TimeSpan FirstRetry { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Longest wait between two attempts. 1 min: whoever waits in the console loses no more by it once the channel is back.</summary>
    public TimeSpan LastRetry { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Longest wait that a service may ask for. 10 min: most of a review's life.</summary>
    public TimeSpan LongestRetryAfter { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Wait after a refusal that somebody has to mend. 30 s: who has just invited the app wants to see it.</summary>
    public TimeSpan AfterRefusal { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>For how long a message of a closed review is tried to be rewritten. 24 h: an outage of a day is caught up with.</summary>
    public TimeSpan GiveUp { get; init; } = TimeSpan.FromHours(24);

    /// <summary>How long it is remembered what was told where. 30 days: so long a late click finds what it was for.</summary>
    public TimeSpan Keep { get; init; } = TimeSpan.FromDays(30);
}
