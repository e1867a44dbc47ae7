using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Countersign.Channels.Cards;
using Countersign.Core;
using Countersign.Journal;
using Countersign.Reviews;

namespace Countersign.Channels.Webhooks;

/// <summary>An event as it is sent: its id is the same at every attempt.</summary>
internal sealed record WebhookEvent(string Id, string Type, JsonObject Body);

/// <summary>
/// Entries of the journal as CloudEvents 1.0 (docs/spec/webhooks.md). What an entry says itself, and the names behind its ids,
/// is told to every receiver; statement, values and words to those that may have the data classes of the action. Thread-safe.
/// </summary>
internal sealed class WebhookEvents(IStateReader reader, ReviewDesk desk, CardMaker cards, Func<Uri> console, WebhookLimits limits)
{
    /// <summary>Members of an entry that are the journal's own.</summary>
    private static readonly string[] OfTheJournal = ["v", "time", "type", "body"];

    private static readonly Dictionary<string, string> Types = new(StringComparer.Ordinal)
    {
        ["review-opened"] = "review.opened",
        ["review-reopened"] = "review.reopened",
        ["approvals-voided"] = "review.reopened",
        ["review-edited"] = "review.edited",
        ["edit-refused"] = "review.edit-refused",
        ["review-estimated"] = "review.estimated",
        ["review-joined"] = "review.joined",
        ["review-detached"] = "review.detached",
        ["review-escalated"] = "review.escalated",
        ["stage-opened"] = "review.stage-opened",
        ["answer"] = "review.answered",
        ["answer-refused"] = "review.answer-refused",
        ["click-refused"] = "review.answer-refused",
        ["review-approved"] = "review.approved",
        ["review-denied"] = "review.denied",
        ["review-expired"] = "review.expired",
        ["review-withdrawn"] = "review.withdrawn",
        ["glass-broken"] = "review.glass-broken",
        ["released"] = "review.released",
        ["grant-opened"] = "grant.opened",
        ["grant-used"] = "grant.used",
        ["grant-revoked"] = "grant.revoked",
        ["grant-expired"] = "grant.expired",
        ["grant-void"] = "grant.void",
        ["aftermath-opened"] = "aftermath.opened",
        ["aftermath-closed"] = "aftermath.closed",
        ["agent-suspended"] = "agent.suspended",
        ["agent-resumed"] = "agent.resumed",
    };

    /// <summary>The type of an entry without its prefix; null: nobody is told of it.</summary>
    public static string? TypeOf(EntryContent entry) => entry.Type switch
    {
        "action" => Text(entry.Root, "verdict") == "permit" ? "action.permitted" : "action.denied",
        "outcome" => Text(entry.Root, "review") is null ? "action.finished" : "review.finished",
        var type => Types.GetValueOrDefault(type),
    };

    public WebhookEvent Of(JournalEntry entry, EntryContent content, string type, WebhookEndpoint to)
    {
        var data = new JsonObject();
        foreach (var member in content.Root.EnumerateObject().Where(static m => !OfTheJournal.Contains(m.Name, StringComparer.Ordinal))) data[member.Name] = JsonNode.Parse(member.Value.GetRawText());
        var review = Text(content.Root, "review") is { } text && ReviewId.TryParse(text, out var id) ? desk.Find(id) : null;
        if (review is not null)
        {
            data["link"] = cards.LinkOf(review.Id).AbsoluteUri;
            data["state"] = review.State.ToString().ToLowerInvariant();
            data["agentName"] = review.Agent.Name;
            data["ownerName"] = review.Owner.Name;
            if (review.OnBehalfOf is { } user) data["forName"] = user.Name;
            data["environment"] = review.Target.Environment;
        }

        if (type is "review.opened" or "review.reopened" && review is not null) Shown(data, review, to);
        else if (content.Type == "action") Shown(data, content, entry, to);
        else if (content.Type == "answer" && Body(entry) is { } body && Text(body, "name") is { } name) data["userName"] = name;

        var index = content.Index.Value.ToString(CultureInfo.InvariantCulture);
        return new WebhookEvent($"evt_{index}", EventTypes.Prefix + type, new JsonObject
        {
            ["specversion"] = "1.0",
            ["id"] = $"evt_{index}",
            ["source"] = console().GetLeftPart(UriPartial.Authority),
            ["type"] = EventTypes.Prefix + type,
            ["subject"] = Text(content.Root, "review") ?? Text(content.Root, "action") ?? Text(content.Root, "grant") ?? Text(content.Root, "agent"),
            ["time"] = content.Time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture),
            ["datacontenttype"] = "application/json",
            ["data"] = data,
        });
    }

    private void Shown(JsonObject data, Review review, WebhookEndpoint to)
    {
        data["needs"] = ReviewDesk.Describe(review.Requirements);
        data["touches"] = new JsonArray(review.Effects.Select(static e => (JsonNode)new JsonObject { ["verb"] = e.Verb, ["action"] = e.Action, ["type"] = e.ResourceType, ["resource"] = e.ResourceId, ["classes"] = List(e.DataClasses) }).ToArray());
        if (review.Effects.SelectMany(static e => e.DataClasses).Any(c => !to.Carries.Contains(c)))
        {
            data["withheld"] = "data-class";
            return;
        }

        data["operation"] = review.Operation;
        Statement(data, review.Statement);
        data["parameters"] = new JsonArray(review.Parameters.Select(static p => (JsonNode)new JsonObject { ["type"] = p.Type, ["value"] = p.Text }).ToArray());
        data["intent"] = new JsonObject { ["reason"] = review.Intent.Reason, ["ticket"] = review.Intent.Ticket, ["task"] = review.Intent.Task, ["model"] = review.Intent.Model };
    }

    private void Shown(JsonObject data, EntryContent content, JournalEntry entry, WebhookEndpoint to)
    {
        var classes = content.Root.TryGetProperty("classes", out var c) && c.ValueKind == JsonValueKind.Array ? c.EnumerateArray().Select(static e => e.GetString() ?? "").ToArray() : [];
        if (Body(entry) is not { } body) return;
        if (Text(body, "agent") is { } agent) data["agentName"] = agent;
        if (classes.Any(k => !to.Carries.Contains(k)))
        {
            data["withheld"] = "data-class";
            return;
        }

        if (Text(body, "operation") is { } operation) data["operation"] = operation;
        if (Text(body, "statement") is { } statement) Statement(data, statement);
        if (body.TryGetProperty("intent", out var intent)) data["intent"] = JsonNode.Parse(intent.GetRawText());
    }

    private void Statement(JsonObject data, string statement)
    {
        if (statement.Length <= limits.StatementChars) data["statement"] = statement;
        else data["withheld"] = "too-large"; // a part of it would read as another statement
    }

    private JsonElement? Body(JournalEntry entry)
    {
        if (reader.GetBody(entry.Index) is not { Bytes: { } bytes }) return null;
        using var document = JsonDocument.Parse(bytes);
        return document.RootElement.Clone();
    }

    private static JsonArray List(IEnumerable<string> items) => new(items.Select(static i => (JsonNode)i).ToArray());

    private static string? Text(JsonElement at, string name) => at.ValueKind == JsonValueKind.Object && at.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
