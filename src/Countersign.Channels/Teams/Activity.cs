using System.Text.Json;

namespace Countersign.Channels.Teams;

/// <summary>Somebody in Teams as the connector names him: the id is for this bot alone, the object id is the directory's.</summary>
public sealed record TeamsAccount(string Id, string? ObjectId);

/// <summary>
/// What the connector told us, as far as this bot looks at it (Bot Framework Activity schema). Nothing of it is believed
/// before its token is (<see cref="ConnectorTokens"/>).
/// </summary>
internal sealed record Activity
{
    public required string Type { get; init; }
    public string? Id { get; init; }
    public string? Name { get; init; }
    public required string ChannelId { get; init; }
    public required string ServiceUrl { get; init; }
    public required TeamsAccount From { get; init; }
    public required TeamsAccount Recipient { get; init; }
    public required string ConversationId { get; init; }
    public string? ConversationType { get; init; }

    /// <summary>The tenant of the conversation; and of whoever acts, where `channelData` names one beside.</summary>
    public string? TenantId { get; init; }
    public string? ChannelTenantId { get; init; }

    /// <summary>The message that a click was on.</summary>
    public string? ReplyToId { get; init; }
    public string? Text { get; init; }
    public string? Action { get; init; }
    public string? TeamId { get; init; }
    public string? TeamsChannelId { get; init; }
    public JsonElement Value { get; init; }

    private const int MaxName = 2048;

    /// <summary>Null for what is no activity: a member of another kind, a name that is far too long, or two members of one name (P25).</summary>
    public static Activity? Parse(ReadOnlyMemory<byte> body)
    {
        try
        {
            using var document = JsonDocument.Parse(body, new JsonDocumentOptions { AllowDuplicateProperties = false, MaxDepth = 32 });
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object) return null;
            var conversation = root.GetProperty("conversation");
            var data = root.TryGetProperty("channelData", out var d) && d.ValueKind == JsonValueKind.Object ? d : default;
            return new Activity
            {
                Type = Required(root, "type"),
                Id = StringOf(root, "id"),
                Name = StringOf(root, "name"),
                ChannelId = Required(root, "channelId"),
                ServiceUrl = Required(root, "serviceUrl"),
                From = Account(root.GetProperty("from")),
                Recipient = Account(root.GetProperty("recipient")),
                ConversationId = Required(conversation, "id"),
                ConversationType = StringOf(conversation, "conversationType"),
                TenantId = StringOf(conversation, "tenantId"),
                ChannelTenantId = StringOf(Inner(data, "tenant"), "id"),
                ReplyToId = StringOf(root, "replyToId"),
                Text = root.TryGetProperty("text", out var text) && text.ValueKind == JsonValueKind.String ? text.GetString() : null,
                Action = StringOf(root, "action"),
                TeamId = StringOf(Inner(data, "team"), "id"),
                TeamsChannelId = StringOf(Inner(data, "channel"), "id"),
                Value = root.TryGetProperty("value", out var value) ? value.Clone() : default,
            };
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            return null;
        }
    }

    private static TeamsAccount Account(JsonElement at) => new(Required(at, "id"), StringOf(at, "aadObjectId"));

    private static JsonElement Inner(JsonElement at, string name) =>
        at.ValueKind == JsonValueKind.Object && at.TryGetProperty(name, out var inner) && inner.ValueKind == JsonValueKind.Object ? inner : default;

    private static string Required(JsonElement at, string name) => StringOf(at, name) is { Length: > 0 } text ? text : throw new FormatException(name);

    private static string? StringOf(JsonElement at, string name)
    {
        if (at.ValueKind != JsonValueKind.Object || !at.TryGetProperty(name, out var value) || value.ValueKind == JsonValueKind.Null) return null;
        return value.GetString() is { Length: <= MaxName } text ? text : throw new FormatException(name);
    }
}
