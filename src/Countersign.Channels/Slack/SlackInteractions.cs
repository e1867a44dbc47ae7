using System.Text.Json;
using System.Text.Json.Nodes;
using Countersign.Channels.Accounts;
using Countersign.Channels.Answering;
using Countersign.Channels.Cards;
using Countersign.Channels.Delivery;
using Countersign.Core;
using Countersign.Reviews;
using Microsoft.Extensions.Logging;

namespace Countersign.Channels.Slack;

/// <summary>
/// What Slack says that people did: clicks on a card, and forms that they sent. Slack waits 3 seconds for an answer; it gets
/// one once the decision is durable, or after 2.5 seconds without, and then the person is told how it stands, and how it
/// ended. Both ways of connecting lead here. Thread-safe; never throws.
/// </summary>
internal sealed partial class SlackInteractions(SlackApi api, SlackWorkspace workspace, SlackOptions options, Clicks clicks, AccountLinks accounts, CardMaker cards, Func<Uri> console, TimeProvider time, ILogger logger)
{
    /// <summary>Half a second less than Slack waits.</summary>
    public static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(2.5);

    private const string Late = "This is not recorded yet, so it does not count so far. You are told here how it ended.";

    /// <summary>Takes a payload that is proven to be Slack's. Gives what goes back with the acknowledgement; null: nothing.</summary>
    public async Task<JsonObject?> TakeAsync(JsonElement payload, CancellationToken ct)
    {
        try
        {
            return Text(payload, "type") switch
            {
                "block_actions" => await ClickedAsync(payload, ct).ConfigureAwait(false),
                "view_submission" => await SentAsync(payload, ct).ConfigureAwait(false),
                _ => null,
            };
        }
        catch (Exception e) when (e is InvalidOperationException or KeyNotFoundException or JsonException or FormatException)
        {
            LogNotUnderstood(e.GetType().Name);
            return null;
        }
    }

    private async Task<JsonObject?> ClickedAsync(JsonElement payload, CancellationToken ct)
    {
        if (!payload.TryGetProperty("actions", out var actions) || actions.ValueKind != JsonValueKind.Array || actions.GetArrayLength() != 1 || AccountOf(payload) is not { } account) return null;
        var action = Text(actions[0], "action_id");
        if (action is not (SlackCard.Approve or SlackCard.Deny) || Text(actions[0], "value") is not { } reference) return null; // links need no answer
        var (conversation, message) = MessageOf(payload);
        var (review, _) = clicks.Look(reference);

        // A no is asked for its reason, and a yes where policy asks for one; who could not answer anyway is told so at once.
        var asks = action == SlackCard.Deny || review?.Requirements.Any(static r => r.Justify) == true;
        if (asks && review is { IsOpen: true } && accounts.Find(account) is not null && Text(payload, "trigger_id") is { } trigger)
        {
            var patterns = action == SlackCard.Approve ? review.Requirements.SelectMany(static r => r.JustifyPatterns).Distinct(StringComparer.Ordinal).Select(static p => VisibleText.Of(p, multiline: false)).ToArray() : [];
            var metadata = new JsonObject { ["reference"] = reference, ["message"] = message, ["conversation"] = conversation }.ToJsonString();
            var view = SlackCard.Form(action, metadata, cards.Of(review, options.Reach).Headline, optional: action == SlackCard.Deny, patterns);
            var opened = await api.WriteAsync("views.open", options.BotToken, new JsonObject { ["trigger_id"] = trigger, ["view"] = view }, ct).ConfigureAwait(false);
            if (!opened.Ok) await SayAsync(conversation, account, new ClickResult(ReasonCodes.ProviderUnavailable, $"The form could not be opened ({SlackErrors.Explain(opened.Error)}), so nothing was decided. Click again, or decide in the console.", review) { Page = cards.LinkOf(review.Id) }, ct).ConfigureAwait(false);
            return null;
        }

        var click = new Click(SlackOptions.Name, account, reference, message, action == SlackCard.Approve ? AnswerKind.Approve : AnswerKind.Deny, null);
        var taken = clicks.TakeAsync(click, options.Reach, () => workspace.CheckAsync(account, ct), SlackCard.IsWhole);
        if (await InTimeAsync(taken, ct).ConfigureAwait(false) is { } result)
        {
            // The card itself says what counted.
            if (!result.Accepted) _ = SayAsync(conversation, account, result, ct);
            return null;
        }

        _ = LateAsync(conversation, account, taken, ct);
        return null;
    }

    private async Task<JsonObject?> SentAsync(JsonElement payload, CancellationToken ct)
    {
        if (!payload.TryGetProperty("view", out var view) || AccountOf(payload) is not { } account) return null;
        AnswerKind? kind = Text(view, "callback_id") switch { SlackCard.Approve => AnswerKind.Approve, SlackCard.Deny => AnswerKind.Deny, _ => null };
        if (kind is not { } answer || Text(view, "private_metadata") is not { } metadata) return null;
        using var carried = JsonDocument.Parse(metadata);
        var (conversation, message) = (Text(carried.RootElement, "conversation"), Text(carried.RootElement, "message"));
        var said = view.GetProperty("state").GetProperty("values").TryGetProperty("reason", out var block) && block.TryGetProperty("text", out var input) ? Text(input, "value")?.Trim() : null;
        var click = new Click(SlackOptions.Name, account, Text(carried.RootElement, "reference") ?? "", message, answer, string.IsNullOrEmpty(said) ? null : said);
        var taken = clicks.TakeAsync(click, options.Reach, () => workspace.CheckAsync(account, ct), SlackCard.IsWhole);
        if (await InTimeAsync(taken, ct).ConfigureAwait(false) is not { } result)
        {
            _ = LateAsync(conversation, account, taken, ct);
            return Says("Not yet", Late);
        }

        if (result.Accepted) return new JsonObject { ["response_action"] = "clear" };
        if (result.ReasonCode is ReasonCodes.JustificationRequired or ReasonCodes.TooLarge)
        {
            return new JsonObject { ["response_action"] = "errors", ["errors"] = new JsonObject { ["reason"] = result.Message.Length <= 1000 ? result.Message : result.Message[..1000] } };
        }

        if (result.LinkFirst is not null) _ = SayAsync(conversation, account, result, ct);
        return Says("It did not count", result.Message);
    }

    private static JsonObject Says(string title, string message) => new() { ["response_action"] = "update", ["view"] = SlackCard.FormSays(title, message) };

    private async Task<ClickResult?> InTimeAsync(Task<ClickResult> taken, CancellationToken ct)
    {
        try
        {
            return await taken.WaitAsync(AnswerWithin, time, ct).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            return null;
        }
    }

    /// <summary>It was too late for an answer in time: the person is told that it does not count yet, and then the truth.</summary>
    private async Task LateAsync(string? conversation, ChatAccount account, Task<ClickResult> taken, CancellationToken ct)
    {
        await SayAsync(conversation, account, new ClickResult(ReasonCodes.JournalUnavailable, Late, null), ct).ConfigureAwait(false);
        var result = await taken.ConfigureAwait(false);
        await SayAsync(conversation, account, result.Accepted ? result with { Message = $"It is recorded now, and counts. {result.Message}" } : result, ct).ConfigureAwait(false);
    }

    /// <summary>Tells one person alone. Where that fails the card still says what is so.</summary>
    private async Task SayAsync(string? conversation, ChatAccount account, ClickResult result, CancellationToken ct)
    {
        try
        {
            if (conversation is null) return;
            (string, Uri)? link = null;
            var message = result.Message;
            if (result.LinkFirst is { } shown)
            {
                var (code, word) = accounts.Begin(account, shown);
                link = ("Link this account", new Uri(console(), $"/me/accounts/link?code={code}"));
                message = $"{message} The page shows this word: {word}. The link is for you alone, works once, and for ten minutes.";
            }

            using var late = CancellationTokenSource.CreateLinkedTokenSource(ct);
            late.CancelAfter(Outbox.CallLimit);
            var reply = await api.WriteAsync("chat.postEphemeral", options.BotToken, new JsonObject
            {
                ["channel"] = conversation,
                ["user"] = account.Account,
                ["text"] = SlackCard.Escape(message),
                ["blocks"] = SlackCard.Said(message, result.Page, link),
                ["parse"] = "none",
                ["link_names"] = false,
            }, late.Token).ConfigureAwait(false);
            if (!reply.Ok) LogNotSaid(SlackErrors.Explain(reply.Error));
        }
        catch (OperationCanceledException)
        {
            // Stopping, or Slack is away.
        }
    }

    /// <summary>Who did it, by the ids that Slack vouches for.</summary>
    private static ChatAccount? AccountOf(JsonElement payload) =>
        payload.TryGetProperty("user", out var user) && user.ValueKind == JsonValueKind.Object && Text(user, "id") is { Length: > 0 and <= 32 } id
        && (Text(user, "team_id") ?? (payload.TryGetProperty("team", out var team) && team.ValueKind == JsonValueKind.Object ? Text(team, "id") : null)) is { Length: > 0 and <= 32 } of
            ? new ChatAccount(SlackOptions.Name, of, id)
            : null;

    private static (string? Conversation, string? Message) MessageOf(JsonElement payload)
    {
        if (!payload.TryGetProperty("container", out var container) || container.ValueKind != JsonValueKind.Object) return (null, "nowhere");
        var conversation = Text(container, "channel_id");
        return (conversation, $"{conversation}/{Text(container, "message_ts")}");
    }

    private static string? Text(JsonElement json, string name) => json.ValueKind == JsonValueKind.Object && json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    [LoggerMessage(EventId = 7010, Level = LogLevel.Warning, Message = "what slack sent is not as documented ({What}); it was left alone")]
    private partial void LogNotUnderstood(string what);

    [LoggerMessage(EventId = 7011, Level = LogLevel.Warning, Message = "somebody could not be told in slack what became of his click: {Why}")]
    private partial void LogNotSaid(string why);
}
