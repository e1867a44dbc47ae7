namespace Countersign.Config;

/// <summary>One bot in Microsoft Teams, for the people of one tenant, complete.</summary>
public sealed record TeamsConfig
{
    /// <summary>Of the bot's registration; lower case.</summary>
    public required string AppId { get; init; }

    /// <summary>Id of the directory; lower case.</summary>
    public required string Tenant { get; init; }

    public required Secret Secret { get; init; }

    /// <summary>Data classes that it may show.</summary>
    public required IReadOnlySet<string> Carries { get; init; }

    /// <summary>Whether people answer there.</summary>
    public required bool TakesAnswers { get; init; }

    /// <summary>Where the connector is while no activity has said better; ends with a slash.</summary>
    public required Uri ServiceUrl { get; init; }

    public required Uri TokenUrl { get; init; }
    public required Uri MetadataUrl { get; init; }
    public required string Scope { get; init; }
    public required string Issuer { get; init; }
}
