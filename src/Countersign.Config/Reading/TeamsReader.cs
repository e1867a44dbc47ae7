using Countersign.Config.Yaml;

namespace Countersign.Config.Reading;

internal static class TeamsReader
{
    private sealed record Cloud(string Service, string Login, string Metadata, string Api);

    /// <summary>The clouds in which bots for Teams live. Those of one's own addresses are told by the addresses.</summary>
    private static readonly Dictionary<string, Cloud> Clouds = new(StringComparer.Ordinal)
    {
        ["public"] = new("https://smba.trafficmanager.net/teams/", "https://login.microsoftonline.com", "https://login.botframework.com/v1/.well-known/openidconfiguration", "https://api.botframework.com"),
        ["gcc"] = new("https://smba.infra.gcc.teams.microsoft.com/gcc/", "https://login.microsoftonline.com", "https://login.botframework.com/v1/.well-known/openidconfiguration", "https://api.botframework.com"),
        ["gcc-high"] = new("https://smba.infra.gov.teams.microsoft.us/gcch/", "https://login.microsoftonline.us", "https://login.botframework.azure.us/v1/.well-known/openidconfiguration", "https://api.botframework.us"),
    };

    public static TeamsConfig? Read(Cursor at, References references, Classification classification)
    {
        if (!at.Exists) return null;
        var app = Id(at["app-id"], "`app-id`, the application id of the bot's registration");
        var tenant = Id(at["tenant"], "`tenant`, the id of your directory: people of another are never let decide");
        at["secret"].Required("`secret: { env: … }`, a client secret of the app registration");
        var secret = references.Secret(at["secret"]);
        var named = at["cloud"].Text ?? "public";
        if (!Clouds.TryGetValue(named, out var cloud)) at["cloud"].Fail($"`{Shown.Text(named)}` is not one of {string.Join(", ", Clouds.Keys.Select(static c => $"`{c}`"))}{DidYouMean.Hint(named, Clouds.Keys)}");
        cloud ??= Clouds["public"];
        var service = ChannelReader.Service(at["service-url"]) ?? new Uri(cloud.Service);
        var token = Address(at["token-url"]);
        var metadata = Address(at["metadata-url"]);
        var carries = ChannelReader.Carries(at["highest-class"], classification);
        var answers = ChannelReader.Answers(at["answers"]);
        if (app is null || tenant is null || secret is null) return null;
        return new TeamsConfig
        {
            AppId = app,
            Tenant = tenant,
            Secret = secret,
            Carries = carries,
            TakesAnswers = answers,
            ServiceUrl = service,
            TokenUrl = token ?? new Uri($"{cloud.Login}/{tenant}/oauth2/v2.0/token"),
            MetadataUrl = metadata ?? new Uri(cloud.Metadata),
            Scope = $"{cloud.Api}/.default",
            Issuer = cloud.Api,
        };
    }

    /// <summary>A place that Teams knows: a channel of a team by its id, or one of the words for people.</summary>
    public static bool IsPlace(string place) =>
        place == Core.Destination.Eligible || place.StartsWith(Core.Destination.OnCallPlace, StringComparison.Ordinal)
        || (place.StartsWith("19:", StringComparison.Ordinal) && place.Contains("@thread.", StringComparison.Ordinal) && !place.AsSpan().ContainsAny(";/?#\\"));

    private static string? Id(Cursor at, string what)
    {
        if (at.Required(what) is not { } text) return null;
        if (Guid.TryParseExact(text, "D", out var id)) return id.ToString("D");
        at.Fail("not an id such as `1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed`");
        return null;
    }

    /// <summary>An address without a slash of ours at its end: these are of pages, not of folders.</summary>
    private static Uri? Address(Cursor at)
    {
        if (at.Text is not { } text) return null;
        if (!Uri.TryCreate(text, UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https") || uri.UserInfo.Length > 0 || uri.Fragment.Length > 0) at.Fail("not an address, such as `https://login.microsoftonline.us/…`");
        else if (uri.Scheme == Uri.UriSchemeHttp && !uri.IsLoopback) at.Fail("must be https: who answers there says whom we believe");
        else return uri;
        return null;
    }
}
