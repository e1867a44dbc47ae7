using System.Text.Json;
using System.Text.Json.Nodes;
using Countersign.Channels.Cards;
using Countersign.Channels.Delivery;

namespace Countersign.Channels.Teams;

/// <summary>
/// Cards in Teams. A place is a channel of a team (`19:…@thread.tacv2`), where each review is a thread, or a person by
/// tenant and object id, whom the bot has met. What the connector calls a message is kept with the address that it has.
/// </summary>
internal sealed class TeamsChannel(string name, ChannelReach reach, TeamsBot bot, BotConnector connector, TeamsPeople people, Func<string, IReadOnlyList<string>> deciders) : IChannel
{
    private const int LongestMessage = 500;

    public string Name { get; } = name;
    public ChannelReach Reach { get; } = reach;

    public async Task<DeliveryResult> PostAsync(Notice notice, string place, CancellationToken ct)
    {
        var message = Message(notice);
        if (place.StartsWith("19:", StringComparison.Ordinal))
        {
            var at = people.AddressOf(place) ?? ServiceUrl.Of(bot);
            return Result(at, await connector.StartThreadAsync(at, place, message, ct).ConfigureAwait(false));
        }

        if (people.Find(place) is not { } person)
        {
            return new DeliveryResult(DeliveryStatus.Refused, Error: "the bot has not met this person in Teams; have him open the app and say something to it");
        }

        var chat = await connector.OpenChatAsync(person.At, person.UserId, ct).ConfigureAwait(false);
        return chat.Value is not { } conversation
            ? Failed(chat.Fault!, sent: false)
            : Result(person.At, await connector.SendAsync(person.At, conversation, message, ct).ConfigureAwait(false));
    }

    /// <summary>
    /// The connector has no way to look for a message, so one of unknown end is taken as not there: it may come to stand there
    /// twice. Both carry the same reference, the buttons are made when somebody looks, and an answer counts once (I7).
    /// </summary>
    public Task<DeliveryResult> FindAsync(string posting, string place, DateTimeOffset since, string? message, string? line, CancellationToken ct) =>
        Task.FromResult(line is null ? DeliveryResult.Done(null) : DeliveryResult.Done("assumed"));

    public async Task<DeliveryResult> UpdateAsync(Notice notice, string place, string message, CancellationToken ct)
    {
        if (Read(message) is not var (at, sent)) return new DeliveryResult(DeliveryStatus.Refused, Error: "the message is of another registration of the bot");
        var fault = await connector.UpdateAsync(at, sent, Message(notice), ct).ConfigureAwait(false);
        return fault is null ? DeliveryResult.Done(null) : Failed(fault, sent: false);
    }

    public async Task<DeliveryResult> TellAsync(string posting, StoryLine line, string place, string message, CancellationToken ct)
    {
        if (Read(message) is not var (at, sent)) return new DeliveryResult(DeliveryStatus.Refused, Error: "the message is of another registration of the bot");

        // In a chat with one person there is no thread: what is not loud is on the card already.
        if (!line.Loud && !place.StartsWith("19:", StringComparison.Ordinal)) return DeliveryResult.Done(null);
        var told = await connector.SendAsync(at, sent.ConversationId, TeamsCard.Message(TeamsCard.LineOf(line.Text), "A review went on"), ct).ConfigureAwait(false);
        return told.Fault is null ? DeliveryResult.Done(null) : Failed(told.Fault, sent: true);
    }

    private JsonObject Message(Notice notice) =>
        TeamsCard.Message(TeamsCard.Render(notice, new TeamsView.Everybody(deciders(notice.Card.Review))), notice.Card.IsOpen ? "An action of an agent waits for approval" : "A review is over");

    private static DeliveryResult Result(ServiceUrl at, ConnectorAnswer<SentActivity> answer)
    {
        if (answer.Value is not { } sent) return Failed(answer.Fault!, sent: true);
        var name = JsonSerializer.Serialize([sent.ConversationId, sent.ActivityId, at.ToString()], TeamsJson.Default.StringArray);
        return name.Length <= LongestMessage ? DeliveryResult.Done(name) : new DeliveryResult(DeliveryStatus.Refused, Error: "the connector named the message with more than can be kept");
    }

    /// <summary>Whether what is kept as a message is this one. Where it is reached may have changed since.</summary>
    public static bool Names(string message, string conversationId, string? activityId)
    {
        try
        {
            return JsonSerializer.Deserialize(message, TeamsJson.Default.StringArray) is [var conversation, var activity, _] && conversation == conversationId && activity == activityId;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private (ServiceUrl At, SentActivity Sent)? Read(string message)
    {
        try
        {
            return JsonSerializer.Deserialize(message, TeamsJson.Default.StringArray) is [var conversation, var activity, var at] && ServiceUrl.Kept(at, bot) is { } address
                ? (address, new SentActivity(conversation, activity))
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>A fault that may have come after the connector had taken the message is of unknown end.</summary>
    private static DeliveryResult Failed(ConnectorFault fault, bool sent) => fault.Kind switch
    {
        FaultKind.Passing => new DeliveryResult(sent && fault.MayHaveHappened ? DeliveryStatus.Unknown : DeliveryStatus.NotNow, Error: fault.Words, RetryAfter: fault.After),
        _ => new DeliveryResult(DeliveryStatus.Refused, Error: fault.Words),
    };
}
