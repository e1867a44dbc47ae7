namespace Countersign.Config;

/// <summary>Somebody who is told of events by signed requests, complete.</summary>
public sealed record WebhookConfig
{
    public required string Name { get; init; }

    /// <summary>https; http on this machine alone.</summary>
    public required Uri Url { get; init; }

    /// <summary>`whsec_…`; each signs.</summary>
    public required IReadOnlyList<Secret> Secrets { get; init; }

    /// <summary>Event types, exact or as `review.*`.</summary>
    public required IReadOnlyList<string> Events { get; init; }

    /// <summary>Data classes that it may be told.</summary>
    public required IReadOnlySet<string> Carries { get; init; }
}
