using Countersign.Config.Yaml;

namespace Countersign.Config.Reading;

internal static class ChannelReader
{
    private static readonly Uri SlackApi = new("https://slack.com/api/");

    public static ChannelsConfig Channels(Cursor at, References references, Classification classification) => new()
    {
        Slack = Slack(at["slack"], references, classification),
        Teams = TeamsReader.Read(at["teams"], references, classification),
        Mail = MailReader.Read(at["mail"], references, classification),
        Webhooks = WebhookReader.Read(at["webhooks"], references, classification),
    };

    /// <summary>
    /// The classes that a channel with this highest class may show: that one, and those before it in
    /// `classification.order`. None without it: what is classified stays in the console unless somebody says otherwise.
    /// </summary>
    public static IReadOnlySet<string> Carries(Cursor at, Classification classification)
    {
        if (at.Text is not { } highest || highest == "none") return new HashSet<string>();
        if (highest == Classification.Secrets) at.Fail($"`{Classification.Secrets}` is shown in no channel; name a lower class");
        else if (!classification.Classes.ContainsKey(highest)) at.Fail($"there is no class `{Shown.Text(highest)}` in `classification.classes`{DidYouMean.Hint(highest, classification.Classes.Keys)}");
        else if (classification.Order.Count == 0) return new HashSet<string>([highest], StringComparer.Ordinal);
        else if (!classification.Order.Contains(highest, StringComparer.Ordinal)) at.Fail($"class `{Shown.Text(highest)}` has no place in `classification.order`, so what is below it is not known; add it there");
        else return classification.Order.TakeWhile(c => c != highest).Append(highest).ToHashSet(StringComparer.Ordinal);
        return new HashSet<string>();
    }

    /// <summary>Whether people answer there; yes unless the file says no.</summary>
    public static bool Answers(Cursor at) => !at.Exists || at.Flag();

    /// <summary>The address of a service: https, or http on this machine; always ends with a slash.</summary>
    public static Uri? Service(Cursor at)
    {
        if (at.Text is not { } text) return null;
        if (!Uri.TryCreate(text.EndsWith('/') ? text : text + "/", UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https") || uri.UserInfo.Length > 0 || uri.Query.Length > 0 || uri.Fragment.Length > 0)
            at.Fail("not an address, such as `https://slack.com/api/`");
        else if (uri.Scheme == Uri.UriSchemeHttp && !uri.IsLoopback)
            at.Fail("must be https: the token goes there");
        else
            return uri;
        return null;
    }

    private static SlackConfig? Slack(Cursor at, References references, Classification classification)
    {
        if (!at.Exists) return null;
        at["bot-token"].Required("`bot-token: { env: … }`, the app's token, which begins with `xoxb-`");
        var bot = Token(at["bot-token"], "xoxb-", references);
        var app = Token(at["app-token"], "xapp-", references);
        var signing = references.Secret(at["signing-secret"]);
        var answers = Answers(at["answers"]);
        var carries = Carries(at["highest-class"], classification);
        var api = Service(at["api"]) ?? SlackApi;
        if (at["app-token"].Exists && at["signing-secret"].Exists) at["signing-secret"].Fail("is for requests by HTTP, where `app-token` has clicks come by socket; keep one of them");
        else if (answers && !at["app-token"].Exists && !at["signing-secret"].Exists) at.Fail("missing: `app-token` (clicks come by socket) or `signing-secret` (they come by HTTP); or say `answers: false`");
        return bot is null ? null : new SlackConfig { BotToken = bot, AppToken = app, SigningSecret = signing, Carries = carries, TakesAnswers = answers, Api = api };
    }

    /// <summary>A token of the right kind: one of another would do something else than is meant (P35).</summary>
    private static Secret? Token(Cursor at, string prefix, References references)
    {
        if (references.Secret(at) is not { } token) return null;
        if (token.Reveal().StartsWith(prefix, StringComparison.Ordinal)) return token;
        at.Fail($"not the token that belongs here, which begins with `{prefix}`");
        return null;
    }
}
