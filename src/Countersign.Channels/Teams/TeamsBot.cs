namespace Countersign.Channels.Teams;

/// <summary>
/// A bot registered for Microsoft Teams, complete, and the addresses of the cloud it lives in. Sovereign clouds have others
/// (docs/operate/teams.md).
/// </summary>
public sealed record TeamsBot
{
    /// <summary>The app id of the registration: the audience of what is sent to us, and our name when we ask for a token.</summary>
    public required string AppId { get; init; }

    /// <summary>The one tenant whose people we know.</summary>
    public required string TenantId { get; init; }

    public required Credential AppSecret { get; init; }

    /// <summary>Where messages go while no activity has said better: the connector of the tenant's region.</summary>
    public required Uri ServiceUrl { get; init; }

    /// <summary>Where our own token comes from (OAuth 2.0 client credentials).</summary>
    public required Uri TokenEndpoint { get; init; }

    /// <summary>What our own token is for.</summary>
    public string Scope { get; init; } = "https://api.botframework.com/.default";

    /// <summary>The connector's OpenID metadata: where the keys are that sign what is sent to us.</summary>
    public Uri OpenIdMetadata { get; init; } = new("https://login.botframework.com/v1/.well-known/openidconfiguration");

    /// <summary>`iss` of what is sent to us.</summary>
    public string Issuer { get; init; } = "https://api.botframework.com";

    /// <summary>The service of the public cloud that serves every region.</summary>
    public static readonly Uri PublicServiceUrl = new("https://smba.trafficmanager.net/teams/");

    /// <summary>Where bots of one tenant get their tokens in the public cloud.</summary>
    public static Uri PublicTokenEndpoint(string tenantId) => new($"https://login.microsoftonline.com/{Uri.EscapeDataString(tenantId)}/oauth2/v2.0/token");

    /// <summary>
    /// Whether a credential or a card may be sent there: https, or http on this machine (tests, a relay), no user part, no
    /// query, no fragment.
    /// </summary>
    public static bool IsSafe(Uri address) =>
        address is { IsAbsoluteUri: true, UserInfo: "", Query: "", Fragment: "" } && (address.Scheme == Uri.UriSchemeHttps || (address.Scheme == Uri.UriSchemeHttp && address.IsLoopback));
}

/// <summary>
/// Where the connector is reached, and our token sent: there are two ways to have one, and none takes an address from
/// somebody who was not verified (a forged address would be given our token).
/// </summary>
public sealed record ServiceUrl
{
    private ServiceUrl(Uri address) => Address = address;

    /// <summary>With a slash at its end.</summary>
    public Uri Address { get; }

    /// <summary>As the operator wrote it.</summary>
    public static ServiceUrl Of(TeamsBot bot) => TeamsBot.IsSafe(bot.ServiceUrl) ? new(Slashed(bot.ServiceUrl)) : throw new ArgumentException("an https address without query", nameof(bot));

    /// <summary>As the connector signed it; null where it is no address that a token may be sent to.</summary>
    internal static ServiceUrl? Signed(string claim, TeamsBot bot)
    {
        if (!Uri.TryCreate(claim, UriKind.Absolute, out var address) || !TeamsBot.IsSafe(address)) return null;

        // Plain http is for a machine whose config says so itself.
        return address.Scheme == Uri.UriSchemeHttp && bot.ServiceUrl.Scheme != Uri.UriSchemeHttp ? null : new ServiceUrl(Slashed(address));
    }

    /// <summary>As it was stored when it had been signed.</summary>
    internal static ServiceUrl? Kept(string stored, TeamsBot bot) => Signed(stored, bot);

    private static Uri Slashed(Uri address) => address.AbsoluteUri.EndsWith('/') ? address : new Uri(address.AbsoluteUri + "/");

    public override string ToString() => Address.AbsoluteUri;
}

/// <summary>Bounds of the Teams channel (docs/limits.md).</summary>
public sealed record TeamsLimits
{
    /// <summary>Largest activity that is read, bytes. 256 KiB: a card's data and a reason are some kB.</summary>
    public int ActivityBytes { get; init; } = 256 << 10;

    /// <summary>Largest token, characters. 8000, as everywhere.</summary>
    public int TokenChars { get; init; } = 8000;

    /// <summary>By how much the connector's clock may differ. 5 minutes: what its documentation says.</summary>
    public TimeSpan Skew { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How long the connector's keys are believed. 24 hours, as its documentation advises at most: a withdrawn key signs no longer than that.</summary>
    public TimeSpan KeysLifetime { get; init; } = TimeSpan.FromHours(24);

    /// <summary>How long older keys serve while the metadata can not be reached. 24 hours.</summary>
    public TimeSpan KeysStale { get; init; } = TimeSpan.FromHours(24);

    /// <summary>Least time between two fetches of keys. 30 s: a forged key id must not make us knock at their door.</summary>
    public TimeSpan FetchInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Most keys. 100.</summary>
    public int Keys { get; init; } = 100;

    /// <summary>Time for one request to the connector or the sign-in service. 10 s.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Time for asking the connector about whoever clicked. 1.5 s: the answer to the click must leave within 2.5 s.</summary>
    public TimeSpan MemberTimeout { get; init; } = TimeSpan.FromMilliseconds(1500);

    /// <summary>Largest answer that is read, bytes. 256 KiB.</summary>
    public int AnswerBytes { get; init; } = 256 << 10;

    /// <summary>How long before its end our own token is renewed. 5 minutes.</summary>
    public TimeSpan RenewBefore { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Longest pause that is kept when the connector asks for one. 10 minutes: longer is the outbox's business.</summary>
    public TimeSpan LongestPause { get; init; } = TimeSpan.FromMinutes(10);
}
