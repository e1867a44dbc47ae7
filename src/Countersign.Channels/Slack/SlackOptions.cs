using Countersign.Channels.Cards;

namespace Countersign.Channels.Slack;

/// <summary>One Slack app in one workspace.</summary>
public sealed record SlackOptions
{
    /// <summary>The name of the channel, in routes and in answers.</summary>
    public const string Name = "slack";

    public required string BotToken { get; init; }

    /// <summary>Opens sockets; null: clicks come by HTTP, or none do.</summary>
    public string? AppToken { get; init; }

    /// <summary>What Slack signs requests with; null: clicks come by socket, or none do.</summary>
    public string? SigningSecret { get; init; }

    public required ChannelReach Reach { get; init; }

    /// <summary>The Web API, with a slash at its end.</summary>
    public Uri Api { get; init; } = new("https://slack.com/api/");

    public override string ToString() => $"slack at {Api}";
}
