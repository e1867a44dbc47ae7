using Countersign.Core;

namespace Countersign.Channels.Teams;

/// <summary>One thing that `countersign teams check` looked at, in words.</summary>
/// <param name="Good">Null: nothing that can be looked at from here, and somebody has to.</param>
public sealed record TeamsFinding(bool? Good, string Words);

/// <summary>Says what is missing before anybody waits for a card that does not come. Sends no message.</summary>
public static class TeamsCheck
{
    /// <param name="bot">The registration.</param>
    /// <param name="console">Where browsers and Teams reach this gateway; null: the configuration does not say.</param>
    /// <param name="path">Of the bot's address.</param>
    /// <param name="places">Places of routes, without the channel's name.</param>
    /// <param name="time">The clock.</param>
    /// <param name="ct">Ends it.</param>
    public static async Task<IReadOnlyList<TeamsFinding>> RunAsync(TeamsBot bot, Uri? console, string path, IReadOnlyList<string> places, TimeProvider time, CancellationToken ct)
    {
        var limits = new TeamsLimits();
        var found = new List<TeamsFinding>();
        using var http = BotConnector.Client(limits);
        using var keys = new ConnectorKeys(bot, limits, time, http);
        using var token = new BotToken(bot, limits, time, http);
        var connector = new BotConnector(bot, token, limits, time, http);

        if (console is null) found.Add(new(false, "`listen.url` is missing: Teams has to reach this gateway over https, and cards link to it"));
        else if (console.Scheme != Uri.UriSchemeHttps) found.Add(new(console.IsLoopback, $"`listen.url` is {console.GetLeftPart(UriPartial.Authority)}: Teams sends to https addresses only{(console.IsLoopback ? ", so this is for trying out" : "")}"));
        else found.Add(new(null, $"the messaging endpoint of the bot's registration must be {new Uri(console, path)}"));

        var (bearer, fault) = await token.GetAsync(ct).ConfigureAwait(false);
        found.Add(bearer is not null ? new(true, "the app id and its secret are good: the sign-in service gives a token") : new(false, fault!.Words));

        var endorsed = await keys.EndorsedAsync(ConnectorTokens.Channel, ct).ConfigureAwait(false);
        found.Add(endorsed switch
        {
            null => new(false, $"the connector's keys can not be read from {bot.OpenIdMetadata.Host}: without them nothing that Teams sends is believed; let the gateway reach that host"),
            0 => new(false, $"none of the keys of {bot.OpenIdMetadata.Host} is for Teams: is `cloud` right?"),
            var n => new(true, $"the connector's keys can be read, {n} of them for Teams"),
        });

        if (places.Count == 0) found.Add(new(false, "no route leads to `teams:…`: add one to `routing.routes`"));
        foreach (var place in places.Where(static p => p.StartsWith("19:", StringComparison.Ordinal)).Distinct(StringComparer.Ordinal))
        {
            var named = VisibleText.Of(place, multiline: false);
            if (bearer is null) found.Add(new(null, $"{named} was not looked at, for want of a token"));
            else found.Add(await connector.ReachAsync(ServiceUrl.Of(bot), place, ct).ConfigureAwait(false) is { } why ? new(false, $"{named}: {why.Words}") : new(true, $"the bot is in {named}"));
        }

        if (places.Any(static p => !p.StartsWith("19:", StringComparison.Ordinal))) found.Add(new(null, "people are written to when they have linked their account: each opens the app in Teams once and says something to it"));
        return found;
    }
}
