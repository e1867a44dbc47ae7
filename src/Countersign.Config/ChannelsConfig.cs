namespace Countersign.Config;

/// <summary>Ways to tell people of reviews. One member a channel, named as in the file; null where it is not configured.</summary>
public sealed record ChannelsConfig
{
    public SlackConfig? Slack { get; init; }
    public TeamsConfig? Teams { get; init; }
    public MailConfig? Mail { get; init; }

    /// <summary>By name. They follow the journal and are no places of routes.</summary>
    public IReadOnlyList<WebhookConfig> Webhooks { get; init; } = [];

    /// <summary>Names of those that are configured: what routes may lead to.</summary>
    public IReadOnlyList<string> Names
    {
        get
        {
            var names = new List<string>();
            if (Slack is not null) names.Add("slack");
            if (Teams is not null) names.Add("teams");
            if (Mail is not null) names.Add("mail");
            return names;
        }
    }
}

/// <summary>One Slack app in one workspace, complete.</summary>
public sealed record SlackConfig
{
    /// <summary>`xoxb-…`: what the app does, it does with this.</summary>
    public required Secret BotToken { get; init; }

    /// <summary>`xapp-…`: opens sockets, over which clicks come. Null: they come by HTTP, or none are taken.</summary>
    public Secret? AppToken { get; init; }

    /// <summary>What Slack signs its requests with. Null: clicks come by socket, or none are taken.</summary>
    public Secret? SigningSecret { get; init; }

    /// <summary>Data classes that it may show.</summary>
    public required IReadOnlySet<string> Carries { get; init; }

    /// <summary>Whether people answer there.</summary>
    public required bool TakesAnswers { get; init; }

    /// <summary>Where the Web API is; ends with a slash.</summary>
    public required Uri Api { get; init; }
}
