using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Countersign.Channels.Cards;
using Countersign.Channels.Delivery;

namespace Countersign.Channels.Slack;

/// <summary>
/// Cards in Slack: posted, rewritten, their story in a thread. A message is named `conversation/ts`. Its metadata carry the
/// posting's id, so that what an attempt of unknown end has posted is found in the conversation's history.
/// </summary>
internal sealed class SlackChannel(SlackApi api, SlackOptions options) : IChannel
{
    public const string MetadataType = "countersign_review";

    /// <summary>Clocks apart, in looking for what was posted since.</summary>
    private static readonly TimeSpan Apart = TimeSpan.FromMinutes(5);

    /// <summary>Pages of a conversation's history that are looked through. 10 of 200: a busy conversation during an outage.</summary>
    private const int MaxPages = 10;

    public string Name => SlackOptions.Name;

    public ChannelReach Reach => options.Reach;

    public async Task<DeliveryResult> PostAsync(Notice notice, string place, CancellationToken ct)
    {
        var body = Body(notice);
        body["channel"] = place;
        var reply = await api.WriteAsync("chat.postMessage", options.BotToken, body, ct).ConfigureAwait(false);
        if (!reply.Ok) return reply.ToResult();
        return reply.Text("channel") is { } conversation && reply.Text("ts") is { } ts
            ? DeliveryResult.Done($"{conversation}/{ts}")
            : new DeliveryResult(DeliveryStatus.Unknown, Error: "slack did not say what it posted");
    }

    public async Task<DeliveryResult> UpdateAsync(Notice notice, string place, string message, CancellationToken ct)
    {
        var (conversation, ts) = Split(message);
        var body = Body(notice);
        body["channel"] = conversation;
        body["ts"] = ts;
        return (await api.WriteAsync("chat.update", options.BotToken, body, ct).ConfigureAwait(false)).ToResult(message);
    }

    public async Task<DeliveryResult> TellAsync(string posting, StoryLine line, string place, string message, CancellationToken ct)
    {
        var (conversation, ts) = Split(message);
        var reply = await api.WriteAsync("chat.postMessage", options.BotToken, new JsonObject
        {
            ["channel"] = conversation,
            ["thread_ts"] = ts,
            ["reply_broadcast"] = line.Loud,
            ["text"] = SlackCard.Escape(line.Text),
            ["blocks"] = new JsonArray(SlackCard.Line(line.Text, line.Loud)),
            ["parse"] = "none",
            ["link_names"] = false,
            ["unfurl_links"] = false,
            ["unfurl_media"] = false,
            ["metadata"] = Metadata(posting, line.Key),
        }, ct).ConfigureAwait(false);

        // With the message gone there is nothing to tell beneath; the next look at it posts anew.
        return reply.Status == DeliveryStatus.Gone ? DeliveryResult.Done(null) : reply.ToResult();
    }

    public async Task<DeliveryResult> FindAsync(string posting, string place, DateTimeOffset since, string? message, string? line, CancellationToken ct)
    {
        var conversation = message is null ? place : Split(message).Conversation;
        if (conversation[0] is 'U' or 'W')
        {
            var opened = await api.WriteAsync("conversations.open", options.BotToken, new JsonObject { ["users"] = conversation }, ct).ConfigureAwait(false);
            if (!opened.Ok || !opened.Body.TryGetProperty("channel", out var direct) || !direct.TryGetProperty("id", out var id)) return opened.Ok ? NotUnderstood() : opened.ToResult();
            conversation = id.GetString()!;
        }

        string? cursor = null;
        for (var page = 0; page < MaxPages; page++)
        {
            List<(string, string)> arguments = [("channel", conversation), ("include_all_metadata", "true"), ("limit", "200"), ("inclusive", "true"),
                ("oldest", (since - Apart).ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture))];
            if (message is not null) arguments.Add(("ts", Split(message).Ts));
            if (cursor is not null) arguments.Add(("cursor", cursor));
            var reply = await api.ReadAsync(message is null ? "conversations.history" : "conversations.replies", options.BotToken, ct, [.. arguments]).ConfigureAwait(false);
            if (!reply.Ok) return reply.ToResult();
            if (!reply.Body.TryGetProperty("messages", out var messages) || messages.ValueKind != JsonValueKind.Array) return NotUnderstood();
            foreach (var found in messages.EnumerateArray())
            {
                if (IsOurs(found, posting, line) && found.TryGetProperty("ts", out var ts) && ts.GetString() is { } at) return DeliveryResult.Done($"{conversation}/{at}");
            }

            cursor = reply.Body.TryGetProperty("response_metadata", out var meta) && meta.TryGetProperty("next_cursor", out var next) && next.GetString() is { Length: > 0 } more ? more : null;
            if (cursor is null) return DeliveryResult.Done(null);
        }

        return new DeliveryResult(DeliveryStatus.NotNow, Error: "the conversation has more messages since than are looked through");
    }

    private static DeliveryResult NotUnderstood() => new(DeliveryStatus.NotNow, Error: "slack's answer is not as documented");

    private static bool IsOurs(JsonElement message, string posting, string? line) =>
        message.TryGetProperty("metadata", out var metadata) && metadata.TryGetProperty("event_type", out var type) && type.ValueEquals(MetadataType)
        && metadata.TryGetProperty("event_payload", out var payload) && payload.TryGetProperty("posting", out var id) && id.ValueEquals(posting)
        && (payload.TryGetProperty("line", out var key) && key.ValueKind == JsonValueKind.String ? line is not null && key.ValueEquals(line) : line is null);

    private static JsonObject Body(Notice notice) => new()
    {
        ["text"] = SlackCard.Fallback(notice.Card),
        ["blocks"] = SlackCard.Blocks(notice),
        ["parse"] = "none",
        ["link_names"] = false,
        ["unfurl_links"] = false,
        ["unfurl_media"] = false,
        ["metadata"] = Metadata(notice.Posting, null),
    };

    private static JsonObject Metadata(string posting, string? line)
    {
        var payload = new JsonObject { ["posting"] = posting };
        if (line is not null) payload["line"] = line;
        return new JsonObject { ["event_type"] = MetadataType, ["event_payload"] = payload };
    }

    private static (string Conversation, string Ts) Split(string message)
    {
        var slash = message.IndexOf('/', StringComparison.Ordinal);
        return (message[..slash], message[(slash + 1)..]);
    }
}
