using System.Text.Json;
using System.Text.Json.Nodes;
using Countersign.Channels.Accounts;
using Countersign.Channels.Answering;
using Countersign.Channels.Cards;
using Countersign.Channels.Delivery;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;
using Countersign.Reviews;
using Microsoft.Extensions.Logging;

namespace Countersign.Channels.Teams;

/// <summary>What the bot answers to the connector: an HTTP status, and a body where the activity asks for one.</summary>
public sealed record TeamsReply(int Status, JsonObject? Body = null);

/// <summary>
/// Where Teams speaks to the bot. What the connector did not sign is refused and not looked at; of the rest, clicks on cards
/// are answered, whoever speaks to the bot is told how to link his account, and anything else is taken note of. Thread-safe;
/// throws nothing but cancellation.
/// </summary>
public sealed partial class TeamsDoor
{
    private const string Invoke = "adaptiveCard/action";

    /// <summary>How long an answer to a click may take. 2.5 s: Teams says that something went wrong to whoever waits much longer.</summary>
    public static readonly TimeSpan ClickLimit = TimeSpan.FromSeconds(2.5);

    /// <summary>Largest request, bytes.</summary>
    public static readonly int MaxRequest = new TeamsLimits().ActivityBytes;

    private const int RefusalsPerMinute = 60;

    private readonly TeamsBot bot;
    private readonly TeamsParts parts;
    private readonly string channel;
    private readonly ChannelReach reach;
    private readonly ReviewDesk desk;
    private readonly AccountLinks accounts;
    private readonly Clicks clicks;
    private readonly CardMaker cards;
    private readonly Func<string, Uri> linkPage;
    private readonly Postings postings;
    private readonly JournalAppender journal;
    private readonly TimeProvider time;
    private readonly ILogger<TeamsDoor> logger;
    private readonly Lock gate = new();
    private DateTimeOffset minute = DateTimeOffset.MinValue;
    private int written;
    private long unwritten;

    internal TeamsDoor(TeamsParts parts, string channel, ChannelReach reach, ReviewDesk desk, AccountLinks accounts, Clicks clicks, CardMaker cards, Func<string, Uri> linkPage, IStateReader reader, JournalAppender journal, TimeProvider time, ILogger<TeamsDoor> logger)
    {
        bot = parts.Bot;
        postings = new Postings(reader);
        (this.parts, this.channel, this.reach, this.desk, this.accounts, this.clicks, this.cards, this.linkPage, this.journal, this.time, this.logger) = (parts, channel, reach, desk, accounts, clicks, cards, linkPage, journal, time, logger);
    }

    /// <summary>One request to the bot's address.</summary>
    /// <param name="authorization">The header as it came; null where there is none or more than one.</param>
    /// <param name="body">At most <see cref="TeamsLimits.ActivityBytes"/>.</param>
    /// <param name="ct">The request is gone.</param>
    public async Task<TeamsReply> TakeAsync(string? authorization, ReadOnlyMemory<byte> body, CancellationToken ct)
    {
        var outcome = await parts.Tokens.ValidateAsync(authorization, body, ct).ConfigureAwait(false);
        if (outcome.Signed is not { } signed)
        {
            await RefusedAsync(outcome.ReasonCode!).ConfigureAwait(false);
            return new TeamsReply(outcome.ReasonCode switch
            {
                ReasonCodes.Unauthenticated => 401,
                ReasonCodes.IssuerUnavailable => 503,
                ReasonCodes.NotUnderstood => 400,
                _ => 403, // what the documentation of the connector asks for
            });
        }

        var activity = signed.Activity;
        if (activity.Recipient.Id != $"28:{bot.AppId}" && activity.Recipient.Id != bot.AppId)
        {
            await RefusedAsync(ReasonCodes.TokenAudience).ConfigureAwait(false);
            return new TeamsReply(403);
        }

        try
        {
            if (IsOurTenant(activity)) await parts.People.RememberAsync(signed).ConfigureAwait(false);
            return activity.Type switch
            {
                "invoke" when activity.Name == Invoke => new TeamsReply(200, await ClickedAsync(signed, ct).ConfigureAwait(false)),
                "invoke" => new TeamsReply(501),
                "message" => await SpokenToAsync(signed, ct).ConfigureAwait(false),
                _ => new TeamsReply(200),
            };
        }
        catch (JournalStoreException)
        {
            return activity.Type == "invoke" ? new TeamsReply(200, Say("The store can not be read, so this did not count. Try again in a moment.")) : new TeamsReply(503);
        }
    }

    // ---- clicks ----

    private async Task<JsonObject> ClickedAsync(SignedActivity signed, CancellationToken ct)
    {
        if (Read(signed.Activity.Value) is not var (verb, reference, words)) return Fault("BadRequest", "this button is not one of ours");
        var working = verb switch
        {
            TeamsCard.View => ViewAsync(signed, reference, null, ct),
            TeamsCard.Approve => AnswerAsync(signed, reference, AnswerKind.Approve, words, ct),
            TeamsCard.Deny => AnswerAsync(signed, reference, AnswerKind.Deny, words, ct),
            _ => Task.FromResult(Fault("BadRequest", "this button is not one of ours")),
        };
        try
        {
            return await working.WaitAsync(ClickLimit, time, ct).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            Watch(working);
            return Say("That took too long, and as far as is known it did not count. Look at the card again before you repeat it.");
        }
    }

    private async Task<JsonObject> AnswerAsync(SignedActivity signed, string reference, AnswerKind kind, string? words, CancellationToken ct)
    {
        var account = AccountOf(signed.Activity);
        var click = new Click(channel, account, reference, MessageOf(signed, reference), kind, string.IsNullOrWhiteSpace(words) ? null : words.Trim());

        // A card that could not show all of it had no such button, whoever says that it was pressed (I10).
        var result = await clicks.TakeAsync(click, reach, () => CheckAsync(signed, ct), TeamsCard.ShowsAll).ConfigureAwait(false);
        if (result.LinkFirst is { } name) return Card(Linking(reference, account, name, result.Message));
        if (result.Review is null) return Say(result.Message);
        return await ViewAsync(signed, reference, (result.Message, result.Accepted, result.Page), ct).ConfigureAwait(false);
    }

    /// <summary>The card as this person sees it now.</summary>
    private async Task<JsonObject> ViewAsync(SignedActivity signed, string reference, (string Message, bool Accepted, Uri? Page)? said, CancellationToken ct)
    {
        var account = AccountOf(signed.Activity);
        if (said is null)
        {
            var check = await CheckAsync(signed, ct).ConfigureAwait(false);
            if (check.ReasonCode is not null) return Say(check.Message);
            if (accounts.Find(account) is null) return Card(Linking(reference, account, check.Shown, "Link your account once, in your browser; then decide here."));
        }

        if (accounts.Find(account) is not { } user || postings.Find(reference) is not var (posting, _) || !ReviewId.TryParse(posting.Review, out var id) || desk.Find(id) is not { } review)
        {
            return Say(said?.Message ?? "This card is not one that this gateway knows.");
        }

        var card = cards.Of(review, reach);
        var notice = new Notice(posting.Id, posting.Reference, card);
        if (said is { Accepted: true }) return Card(TeamsCard.Render(notice, new TeamsView.Told(said.Value.Message, null)));
        if (!review.IsOpen) return Card(TeamsCard.Render(notice, said is { } refused ? new TeamsView.Told(refused.Message, null) : new TeamsView.Everybody([])));

        // Only what the message shows can be answered; who sees its buttons sees its content, for it is made of it here.
        if (posting.Content is null || posting.Content != ShownContent.Sha256Of(review)) return Card(TeamsCard.Render(notice, new TeamsView.Told("The review has just changed; this card follows in a moment.", null)));
        var voice = desk.VoiceOf(user, review, channel);
        if (voice.CannotApprove is { } why && !voice.CanDeny) return Card(TeamsCard.Render(notice, new TeamsView.Told(said?.Message ?? $"{Sentence(why.Message)}", null)));
        return Card(TeamsCard.Render(notice, new TeamsView.Decider(voice.CannotApprove is null, voice.CanDeny, said?.Message ?? (voice.CannotApprove is { } not ? Sentence(not.Message) : null))));
    }

    private JsonObject Linking(string reference, ChatAccount account, string shown, string message)
    {
        var (code, word) = accounts.Begin(account, shown);
        var note = $"{message} The page shows the word {word}, or it is not yours.";
        var link = ("Link my account", linkPage(code));

        // Who is nobody here learns nothing of the review that the others in the channel do not see; the others' card says less than a view.
        return clicks.Look(reference).Review is { } review && postings.Find(reference) is var (posting, _)
            ? TeamsCard.Render(new Notice(posting.Id, posting.Reference, cards.Of(review, reach)), new TeamsView.Told(note, link))
            : TeamsCard.Saying(note, link);
    }

    /// <summary>Who that is, by the connector and at this moment: a member of the conversation, of our tenant, no guest, no bot.</summary>
    private async Task<AccountCheck> CheckAsync(SignedActivity signed, CancellationToken ct)
    {
        var activity = signed.Activity;
        if (!IsOurTenant(activity)) return new AccountCheck(ReasonCodes.AccountForeign, "Your account is of another organisation, and only people of this one decide here. Use the console, if you have an account there.", "");
        if (activity.From.Id.StartsWith("28:", StringComparison.Ordinal)) return new AccountCheck(ReasonCodes.NotHuman, "Only humans decide.", "");
        if (activity.From.ObjectId is not { Length: > 0 } objectId) return new AccountCheck(ReasonCodes.AccountRestricted, "You are not signed in to Teams with an account of this organisation, and only such accounts decide here.", "");
        var (member, fault) = await parts.Connector.MemberAsync(signed.ServiceUrl, activity.ConversationId, activity.From.Id, ct).ConfigureAwait(false);
        if (fault is not null)
        {
            return fault.Kind == FaultKind.Gone
                ? new AccountCheck(ReasonCodes.AccountInactive, "Teams says that you are no member of this conversation any more, so this did not count.", "")
                : new AccountCheck(ReasonCodes.ProviderUnavailable, "Teams could not be asked who you are, so this did not count. Try again in a moment, or decide in the console.", "");
        }

        if (member!.Id != activity.From.Id || !string.Equals(member.ObjectId, objectId, StringComparison.OrdinalIgnoreCase)) return new AccountCheck(ReasonCodes.AccountInactive, "Teams does not know you as who you were when you clicked, so this did not count.", "");
        if (member.TenantId is { } tenant && !string.Equals(tenant, bot.TenantId, StringComparison.OrdinalIgnoreCase)) return new AccountCheck(ReasonCodes.AccountForeign, "Your account is of another organisation, and only people of this one decide here.", "");

        // `user` is a member of the organisation; a guest's principal name has `#EXT#` in it, whatever his role is called.
        if (member.Role is not null and not "user" || member.PrincipalName?.Contains("#EXT#", StringComparison.OrdinalIgnoreCase) == true)
        {
            return new AccountCheck(ReasonCodes.AccountRestricted, "Guests do not decide here. Ask for an account of this organisation, or use the console.", "");
        }

        return AccountCheck.Good(member.PrincipalName ?? objectId);
    }

    private bool IsOurTenant(Activity activity) =>
        (activity.TenantId ?? activity.ChannelTenantId) is not null
        && IsOurs(activity.TenantId) && IsOurs(activity.ChannelTenantId);

    private bool IsOurs(string? tenant) => tenant is null || string.Equals(tenant, bot.TenantId, StringComparison.OrdinalIgnoreCase);

    private ChatAccount AccountOf(Activity activity) => new(channel, bot.TenantId, (activity.From.ObjectId ?? "").ToLowerInvariant());

    /// <summary>The message that was clicked on, in the words in which it was named when it was posted; another, where it is another.</summary>
    private string? MessageOf(SignedActivity signed, string reference)
    {
        var (conversation, message) = (signed.Activity.ConversationId, signed.Activity.ReplyToId);
        if (postings.Find(reference) is not var (posting, _) || posting.Message is null) return null;
        return TeamsChannel.Names(posting.Message, conversation, message) ? posting.Message : $"{conversation}/{message}";
    }

    /// <summary>`{"action":{"type":"Action.Execute","verb":…,"data":{…}}}` (Universal Actions).</summary>
    private static (string Verb, string Reference, string? Words)? Read(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Object || !value.TryGetProperty("action", out var action) || Text(action, "verb") is not { } verb) return null;
        if (Text(action, "type") is { } type && type != "Action.Execute") return null;
        if (!action.TryGetProperty("data", out var data) || Text(data, TeamsCard.Reference) is not { Length: <= 64 } reference) return null;
        return (verb, reference, Text(data, verb == TeamsCard.Approve ? TeamsCard.WhyInput : TeamsCard.ReasonInput));
    }

    private static string? Text(JsonElement at, string name) => at.ValueKind == JsonValueKind.Object && at.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    // ---- what is said to the bot ----

    /// <summary>Whoever writes to it in a chat of their own is told what it is, and can link his account.</summary>
    private async Task<TeamsReply> SpokenToAsync(SignedActivity signed, CancellationToken ct)
    {
        if (signed.Activity.ConversationType != "personal") return new TeamsReply(200);
        var check = await CheckAsync(signed, ct).ConfigureAwait(false);
        var account = AccountOf(signed.Activity);
        JsonObject card;
        if (check.ReasonCode is not null) card = TeamsCard.Saying(check.Message, null);
        else if (accounts.Find(account) is { } user) card = TeamsCard.Saying($"Your account is linked to {VisibleText.Of(user.Ref.Name, multiline: false)}. Reviews that you are asked about can come to you here.", null);
        else
        {
            var (code, word) = accounts.Begin(account, check.Shown);
            card = TeamsCard.Saying($"I tell of actions of agents that wait for approval. Link your account once, in your browser, to decide here. The page shows the word {word}, or it is not yours.", ("Link my account", linkPage(code)));
        }

        var sent = await parts.Connector.SendAsync(signed.ServiceUrl, signed.Activity.ConversationId, TeamsCard.Message(card, "Countersign"), ct).ConfigureAwait(false);
        if (sent.Fault is { } fault) LogNotAnswered(fault.Words);
        return new TeamsReply(200);
    }

    // ---- answers ----

    private static JsonObject Card(JsonObject card) => new() { ["statusCode"] = 200, ["type"] = "application/vnd.microsoft.card.adaptive", ["value"] = card };

    private static JsonObject Say(string message) => new() { ["statusCode"] = 200, ["type"] = "application/vnd.microsoft.activity.message", ["value"] = message };

    private static JsonObject Fault(string code, string message) => new() { ["statusCode"] = 400, ["type"] = "application/vnd.microsoft.error", ["value"] = new JsonObject { ["code"] = code, ["message"] = message } };

    private static string Sentence(string message) => message.Length == 0 ? message : $"{char.ToUpperInvariant(message[0])}{message[1..]}.";

    /// <summary>What nobody waits for any more still ends, and says so where it fails.</summary>
    private void Watch(Task working) => working.ContinueWith(t => LogLate(t.Exception!), CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted | TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);

    /// <summary>Refused at the door: in the journal, up to a rate, so that strangers do not fill it.</summary>
    private async Task RefusedAsync(string reason)
    {
        long unsaid;
        lock (gate)
        {
            var now = time.GetUtcNow();
            if (now - minute >= TimeSpan.FromMinutes(1) || now < minute) (minute, written) = (now, 0);
            if (written >= RefusalsPerMinute)
            {
                unwritten++;
                return;
            }

            written++;
            (unsaid, unwritten) = (unwritten, 0);
        }

        LogRefused(reason);
        await journal.WriteAsync(WriteSet.Of(new EntryDraft("channel-refused",
            CanonicalJson.Object(("channel", channel), ("reason", reason), ("unsaid", unsaid == 0 ? null : (CanonicalJson)unsaid)), null))).ConfigureAwait(false);
    }

    [LoggerMessage(EventId = 7201, Level = LogLevel.Warning, Message = "a request to the Teams bot was refused: {Reason}")]
    private partial void LogRefused(string reason);

    [LoggerMessage(EventId = 7202, Level = LogLevel.Warning, Message = "what was said to the Teams bot could not be answered: {Why}")]
    private partial void LogNotAnswered(string why);

    [LoggerMessage(EventId = 7203, Level = LogLevel.Error, Message = "a click in Teams failed after its answer had been sent")]
    private partial void LogLate(Exception exception);
}
