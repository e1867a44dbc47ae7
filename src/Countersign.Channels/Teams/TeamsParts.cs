using Countersign.Channels.Accounts;
using Countersign.Channels.Answering;
using Countersign.Channels.Cards;
using Countersign.Channels.Delivery;
using Countersign.Core;
using Countersign.Journal;
using Countersign.Reviews;
using Microsoft.Extensions.Logging;

namespace Countersign.Channels.Teams;

/// <summary>The Teams channel of one bot, and the door through which Teams speaks to it. Owns their connections.</summary>
public sealed class TeamsRoom : IDisposable
{
    private readonly TeamsParts parts;

    /// <param name="name">Of the channel: `teams`.</param>
    /// <param name="bot">The registration.</param>
    /// <param name="reach">What it may carry and take.</param>
    /// <param name="desk">Reviews.</param>
    /// <param name="accounts">Which account is whose.</param>
    /// <param name="clicks">Takes answers.</param>
    /// <param name="cards">Makes cards.</param>
    /// <param name="linkPage">The page where a code links an account.</param>
    /// <param name="journal">The journal.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">For operators.</param>
    public TeamsRoom(string name, TeamsBot bot, ChannelReach reach, ReviewDesk desk, AccountLinks accounts, Clicks clicks, CardMaker cards, Func<string, Uri> linkPage, JournalAppender journal, TimeProvider time, ILogger<TeamsDoor> logger)
    {
        var reader = journal.Reader;
        parts = new TeamsParts(bot, reader, journal, time);
        Channel = new TeamsChannel(name, reach, bot, parts.Connector, parts.People, id => Deciders(id, name, desk, accounts));
        Door = new TeamsDoor(parts, name, reach, desk, accounts, clicks, cards, linkPage, reader, journal, time, logger);
    }

    public IChannel Channel { get; }
    public TeamsDoor Door { get; }

    /// <summary>Those who could decide and have been met, as the connector calls them: their own view comes to them without asking.</summary>
    private IReadOnlyList<string> Deciders(string id, string name, ReviewDesk desk, AccountLinks accounts)
    {
        try
        {
            return !ReviewId.TryParse(id, out var review) || desk.Find(review) is not { IsOpen: true } open
                ? []
                : desk.Eligible(open).SelectMany(u => accounts.Of(u.Ref.Id)).Where(a => a.Channel == name && a.Team == parts.Bot.TenantId).Select(a => parts.People.Find(a.Account)?.UserId).OfType<string>().Distinct(StringComparer.Ordinal).Take(TeamsCard.MaxRefresh).ToArray();
        }
        catch (JournalStoreException)
        {
            return []; // each can ask for his view by the button
        }
    }

    public void Dispose() => parts.Dispose();
}

/// <summary>What one bot is made of. Owns its connections.</summary>
internal sealed class TeamsParts : IDisposable
{
    private readonly HttpClient http;
    private readonly ConnectorKeys keys;
    private readonly BotToken token;

    public TeamsParts(TeamsBot bot, IStateReader reader, JournalAppender journal, TimeProvider time, TeamsLimits? limits = null)
    {
        var bounds = limits ?? new TeamsLimits();
        Bot = bot;
        http = BotConnector.Client(bounds);
        keys = new ConnectorKeys(bot, bounds, time, http);
        token = new BotToken(bot, bounds, time, http);
        Tokens = new ConnectorTokens(bot, keys, bounds, time);
        Connector = new BotConnector(bot, token, bounds, time, http);
        People = new TeamsPeople(bot, reader, journal);
    }

    public TeamsBot Bot { get; }
    public ConnectorTokens Tokens { get; }
    public BotConnector Connector { get; }
    public TeamsPeople People { get; }

    public void Dispose()
    {
        keys.Dispose();
        token.Dispose();
        http.Dispose();
    }
}
