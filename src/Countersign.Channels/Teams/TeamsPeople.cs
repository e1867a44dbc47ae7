using System.Text.Json;
using System.Text.Json.Serialization;
using Countersign.Journal;

namespace Countersign.Channels.Teams;

/// <summary>A person whom the bot has met: what the connector calls him, and where it is reached for him.</summary>
internal sealed record MetPerson(string UserId, ServiceUrl At);

/// <summary>
/// Whom and what the bot has met in signed activities: it can write to a person only by the id that the connector gave him
/// for this bot, and where a connector is reached may change. Thread-safe.
/// </summary>
internal sealed class TeamsPeople(TeamsBot bot, IStateReader reader, JournalAppender journal)
{
    private const string Collection = "teams-met";

    /// <summary>By object id of the directory; null: not met.</summary>
    public MetPerson? Find(string objectId) =>
        Read(Person(objectId)) is { UserId: { } id } met && ServiceUrl.Kept(met.ServiceUrl, bot) is { } at ? new MetPerson(id, at) : null;

    /// <summary>Of a channel of a team; null: not met.</summary>
    public ServiceUrl? AddressOf(string channelId) => Read(Place(channelId)) is { } met ? ServiceUrl.Kept(met.ServiceUrl, bot) : null;

    public async Task RememberAsync(SignedActivity signed)
    {
        var activity = signed.Activity;
        var at = signed.ServiceUrl.ToString();
        if (activity.From.ObjectId is { Length: > 0 and <= 64 } person) await KeepAsync(Person(person), new Met(activity.From.Id, at)).ConfigureAwait(false);

        // A thread of a channel is the channel with the id of its first message.
        if (activity.ConversationId.Split(';')[0] is { Length: <= 200 } place && place.StartsWith("19:", StringComparison.Ordinal)) await KeepAsync(Place(place), new Met(null, at)).ConfigureAwait(false);
    }

    private async Task KeepAsync(string key, Met met)
    {
        var there = reader.Get(Collection, key);
        if (there is not null && JsonSerializer.Deserialize(there.Value, TeamsJson.Default.Met) == met) return;

        // Lost by a race or a store that rests: it is met again.
        await journal.WriteAsync(new WriteSet([], [new StateChange.Put(Collection, key, there?.Version ?? 0, null, JsonSerializer.SerializeToUtf8Bytes(met, TeamsJson.Default.Met))])).ConfigureAwait(false);
    }

    private Met? Read(string key) => reader.Get(Collection, key) is { } document ? JsonSerializer.Deserialize(document.Value, TeamsJson.Default.Met) : null;

    private string Person(string objectId) => $"{bot.AppId}/person/{objectId.ToLowerInvariant()}";

    private string Place(string channelId) => $"{bot.AppId}/place/{channelId}";
}

/// <summary>How it is stored.</summary>
internal sealed record Met(string? UserId, string ServiceUrl);

[JsonSerializable(typeof(Met))]
[JsonSerializable(typeof(string[]))]
internal sealed partial class TeamsJson : JsonSerializerContext;
