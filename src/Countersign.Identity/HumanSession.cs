using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Serialization;
using Countersign.Core;

namespace Countersign.Identity;

/// <summary>Which credential a session lives in. The two are never taken for one another (P35).</summary>
[JsonConverter(typeof(JsonStringEnumConverter<SessionKind>))]
public enum SessionKind
{
    /// <summary>A bearer token in a file of the command line.</summary>
    Cli,

    /// <summary>A cookie of a browser.</summary>
    Web,
}

/// <summary>How a session ended; the `cause` of its `logout` entry.</summary>
public enum SessionEnd
{
    /// <summary>Its human signed out.</summary>
    SignedOut,

    /// <summary>Its human ended it from another session.</summary>
    EndedElsewhere,

    /// <summary>The same browser signed in again.</summary>
    Replaced,

    /// <summary>No request for too long.</summary>
    Idle,

    /// <summary>Its absolute lifetime is over.</summary>
    Expired,

    /// <summary>Its human is no user any more, or disabled.</summary>
    UserGone,

    /// <summary>The identity provider signed its human out.</summary>
    Provider,
}

/// <summary>An interactive session of a human, as it is now. <see cref="Id"/> is no secret: it names the session in lists.</summary>
public sealed record HumanSession(
    string Id, UserEntry User, SessionKind Kind, string Method, DateTimeOffset CreatedAt, DateTimeOffset LastSeenAt, DateTimeOffset ExpiresAt, string? Client)
{
    /// <summary>Key in the store: the hash of the token, never the token.</summary>
    internal string Key { get; init; } = "";

    /// <summary>Who vouched for him; null for a one-time code.</summary>
    public Subject? Subject { get; init; }
}

/// <summary>What came of an attempt to sign in.</summary>
public sealed record LoginResult(string? Token, UserEntry? User, DateTimeOffset? ExpiresAt, string? ReasonCode)
{
    public override string ToString() => $"login {User?.Ref.Name ?? ReasonCode}";
}

/// <summary>
/// The human behind a request, as the door found him: a feature of the request (`http.Features.Get&lt;SignedIn&gt;()`).
/// </summary>
/// <param name="Channel">`console` for a cookie, and nothing else may call itself that; otherwise what the client says of itself.</param>
/// <param name="PageToken">What a page of this session sends with each change, in `Countersign-Csrf` or a field `csrf`; null without a cookie.</param>
/// <param name="Sessions">Where the session is kept.</param>
public sealed record SignedIn(UserEntry User, HumanSession Session, string Channel, string? PageToken, HumanSessions Sessions)
{
    /// <summary>
    /// Asks policy, each time, whether this human may administer this gateway in some respect (`countersign:agents`, …).
    /// Nothing, unless the door binds it (I11).
    /// </summary>
    public Func<string, bool> MayAdminister { get; init; } = static _ => false;

    /// <summary>Whether he sees everybody's reviews and agents, and may change agents: `countersign:agents`.</summary>
    public bool IsAdmin => MayAdminister("countersign:agents");

    /// <summary>Fires when the session ends in whatever way. A stream stops then.</summary>
    public CancellationToken Ends => Sessions.EndsOf(Session);

    public override string ToString() => User.Ref.Name;
}

/// <summary>Marks the endpoints that answer without a session: health, and signing in. Everything else is closed.</summary>
public sealed class AnswersAnybody
{
    public static readonly AnswersAnybody Instance = new();

    private AnswersAnybody() { }
}

/// <summary>
/// Marks the pages of the console: a link elsewhere (Slack, a mail) may open them, and who is not signed in is led to
/// `/login?return=…`. A page changes nothing when it is merely opened.
/// </summary>
public sealed class ConsolePage
{
    public static readonly ConsolePage Instance = new();

    private ConsolePage() { }
}

/// <summary>The second secret of a browser's session, which only its own pages know.</summary>
public static class PageTokens
{
    /// <summary>
    /// Derived from the session's token, so that it is as random, needs no place in the store, ends with the session, and
    /// gives nothing away of the token.
    /// </summary>
    public static string Of(string sessionToken) =>
        Convert.ToHexStringLower(HMACSHA256.HashData(Encoding.UTF8.GetBytes(sessionToken), "countersign page token v1"u8));

    public static bool Matches(string? presented, string expected) =>
        presented is not null && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(presented), Encoding.UTF8.GetBytes(expected));
}
