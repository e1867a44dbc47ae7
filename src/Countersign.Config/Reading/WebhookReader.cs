using Countersign.Config.Yaml;
using Countersign.Core;

namespace Countersign.Config.Reading;

internal static class WebhookReader
{
    private const string Prefix = "whsec_";

    /// <summary>Standard Webhooks 1.0: at least 192 bits, at most 512.</summary>
    private const int MinBytes = 24;
    private const int MaxBytes = 64;

    /// <summary>Two in a rotation; a third for whoever has two rotations at once. More is a mistake.</summary>
    private const int MaxSecrets = 3;

    public static IReadOnlyList<WebhookConfig> Read(Cursor at, References references, Classification classification)
    {
        var names = new NameReader("webhook");
        var webhooks = new List<WebhookConfig>();
        foreach (var (name, key, webhook) in at.Entries())
        {
            var named = names.TryTake(key, name);
            var url = Url(webhook["url"]);
            var secrets = Secrets(webhook["secrets"], references);
            var events = new List<string>();
            foreach (var item in webhook["events"].Items())
            {
                if (item.Text is not { } wish) continue;
                if (!EventTypes.IsKnown(wish)) item.Fail($"there is no event `{Shown.Text(wish)}`{DidYouMean.Hint(wish, EventTypes.All.ToArray())}; docs/spec/webhooks.md lists them");
                else if (events.Contains(wish, StringComparer.Ordinal)) item.Fail($"event `{wish}` is listed twice");
                else events.Add(wish);
            }

            var carries = ChannelReader.Carries(webhook["highest-class"], classification);
            if (named && url is not null && secrets.Count > 0) webhooks.Add(new WebhookConfig { Name = name, Url = url, Secrets = secrets, Events = events.Count > 0 ? events : EventTypes.Default, Carries = carries });
        }

        return webhooks.OrderBy(static w => w.Name, StringComparer.Ordinal).ToArray();
    }

    private static Uri? Url(Cursor at)
    {
        if (at.Required("`url`, where it is told, such as `https://hooks.example.com/countersign`") is not { } text) return null;

        // Not repeated: what people paste here may hold a secret of the receiver's (P56).
        if (!Uri.TryCreate(text, UriKind.Absolute, out var uri) || uri.UserInfo.Length > 0 || uri.Fragment.Length > 0 || uri.Scheme is not ("http" or "https")) at.Fail("not an address, such as `https://hooks.example.com/countersign`");
        else if (uri.Scheme == Uri.UriSchemeHttp && !uri.IsLoopback) at.Fail("must be https: what it is told is not for those on the way");
        else return uri;
        return null;
    }

    private static List<Secret> Secrets(Cursor at, References references)
    {
        var secrets = new List<Secret>();
        if (!at.IsList) at.Fail("missing: `secrets`, a list of `{ env: … }`, the one in use first; `openssl rand -base64 32` with `whsec_` before it makes one");
        foreach (var item in at.Items())
        {
            if (references.Secret(item) is not { } secret) continue;
            var buffer = new byte[MaxBytes + 3];
            var text = secret.Reveal();
            if (!text.StartsWith(Prefix, StringComparison.Ordinal) || !Convert.TryFromBase64String(text[Prefix.Length..], buffer, out var length) || length is < MinBytes or > MaxBytes)
                item.Fail($"not a secret of Standard Webhooks: `{Prefix}` and the base64 of {MinBytes} to {MaxBytes} random bytes; `openssl rand -base64 32` makes them");
            else
                secrets.Add(secret);
        }

        if (secrets.Count > MaxSecrets) at.Fail($"more than {MaxSecrets} secrets; remove those that no receiver knows any more");
        return secrets;
    }
}
