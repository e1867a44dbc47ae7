using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Countersign.Core;
using Countersign.Journal;

namespace Countersign.Identity;

/// <summary>
/// Interactive sessions of humans: a bearer token for the command line, a cookie for a browser. The embedded way in is a
/// one-time code that only the terminal of `serve` shows; whoever reads that terminal is trusted to hand each code to the
/// person it names. Tokens are 256 random bits and stored as a hash. Thread-safe.
/// </summary>
public sealed class HumanSessions(IStateReader reader, JournalAppender journal, UserDirectory users, TimeProvider time, LoginLimits limits)
{
    private const string Collection = "sessions";
    private const string CliPrefix = "css_";
    private const string WebPrefix = "csw_";
    private const int MaxClientLength = 200;

    private readonly LoginCodes codes = new(time, limits);

    /// <summary>Last requests that the store does not know yet, by key.</summary>
    private readonly ConcurrentDictionary<string, DateTimeOffset> seen = new(StringComparer.Ordinal);

    /// <summary>What must stop when a session ends, by key.</summary>
    private readonly ConcurrentDictionary<string, CancellationTokenSource> watched = new(StringComparer.Ordinal);

    private DateTimeOffset swept;

    /// <summary>
    /// Makes a code for this user and gives it to <paramref name="show"/>, the operator's terminal. Nothing that the caller
    /// can see, here or in <see cref="CompleteAsync"/>, tells whether the user exists: codes are made for any name, and
    /// shown only for users. False only when too many were asked for.
    /// </summary>
    public bool Begin(string userName, Action<UserEntry, string> show) => Begin(userName, SessionKind.Cli, null, show);

    /// <summary>The same for a browser. <paramref name="browser"/> is a random value that only that browser has.</summary>
    public bool BeginWeb(string userName, string browser, Action<UserEntry, string> show) => Begin(userName, SessionKind.Web, browser, show);

    private bool Begin(string userName, SessionKind kind, string? browser, Action<UserEntry, string> show)
    {
        if (codes.Make(userName, kind, browser) is not { } code) return false;

        // Whom a provider knows signs in there: a code would outlive his leaving it.
        if (users.Find(userName) is { Subject: null } user) show(user, code);
        return true;
    }

    /// <summary>Trades a code for a session of the command line. The code works once.</summary>
    public Task<LoginResult> CompleteAsync(string userName, string code, string? client = null) =>
        codes.Spend(userName, code, SessionKind.Cli, null) is { } reason
            ? Task.FromResult(Refused(reason))
            : StartAsync(userName, new SessionStart(SessionKind.Cli, "terminal-code", client));

    /// <summary>
    /// Trades a code for a session of the browser that asked for it. The session is always a new one (fixation), and the
    /// one that the browser had, <paramref name="replaces"/>, ends.
    /// </summary>
    public Task<LoginResult> CompleteWebAsync(string userName, string code, string browser, string? client, HumanSession? replaces) =>
        codes.Spend(userName, code, SessionKind.Web, browser) is { } reason
            ? Task.FromResult(Refused(reason))
            : StartAsync(userName, new SessionStart(SessionKind.Web, "terminal-link", client) { Replaces = replaces });

    private Task<LoginResult> StartAsync(string userName, SessionStart start) =>
        users.Find(userName) is { Subject: null } user ? StartAsync(user, start) : Task.FromResult(Refused(ReasonCodes.CodeInvalid));

    private static LoginResult Refused(string reason) => new(null, null, null, reason);

    /// <summary>
    /// A session for the human of another one, who has just agreed to it there. It is no longer than that one, and whoever
    /// vouched for that one takes both back.
    /// </summary>
    internal async Task<LoginResult> StartFromAsync(HumanSession from, SessionStart start)
    {
        if (reader.Get(Collection, from.Key) is not { } document || Look(from.Key, out _) is not { } alive) return Refused(ReasonCodes.CodeInvalid);
        var stored = Document(document);
        return await StartAsync(alive.User, start with { Subject = SubjectOf(stored), ProviderSubject = stored.ProviderSubject, ProviderSession = stored.ProviderSession, Passkey = stored.Passkey, NotAfter = stored.ExpiresAt }).ConfigureAwait(false);
    }

    /// <summary>Starts a session of somebody whose identity was just proven.</summary>
    internal async Task<LoginResult> StartAsync(UserEntry user, SessionStart start)
    {
        var now = time.GetUtcNow();
        var token = $"{(start.Kind == SessionKind.Web ? WebPrefix : CliPrefix)}{RandomNumberGenerator.GetHexString(64, lowercase: true)}";
        var expires = now + limits.SessionLifetime;
        if (start.NotAfter is { } end && end < expires) expires = end;
        var session = new SessionDocument(user.Ref.Id.Value, user.Ref.Name, now, expires)
        {
            Id = IdText.New("se_"),
            Kind = start.Kind,
            Method = start.Method,
            LastSeenAt = now,
            Issuer = start.Subject?.Issuer,
            Subject = start.Subject?.Value,
            ProviderSubject = start.ProviderSubject,
            ProviderSession = start.ProviderSession,
            Passkey = start.Passkey,
            Client = start.Client is null ? null : VisibleText.Of(start.Client.Length > MaxClientLength ? start.Client[..MaxClientLength] : start.Client, multiline: false),
        };
        var result = await journal.WriteAsync(new WriteSet(
            [new EntryDraft("login", CanonicalJson.Object(
                ("user", user.Ref.Id.Value), ("session", session.Id), ("kind", KindName(start.Kind)), ("method", start.Method), ("passkey", start.Passkey is null ? null : (CanonicalJson)start.Passkey), ("expires", CanonicalJson.Time(expires))), null)],
            [Put(Hash(token), 0, session), .. start.Also])).ConfigureAwait(false);
        if (result.Status != WriteStatus.Committed) return Refused(ReasonCodes.JournalUnavailable);
        if (start.Replaces is { } old) await EndAsync(old, SessionEnd.Replaced).ConfigureAwait(false);
        return new LoginResult(token, user, expires, null);
    }

    /// <summary>
    /// The session behind a token, its human as the directory knows him now; null when the token is unknown, of another
    /// kind, or over, or he is no longer a user. Only tokens of these classes are looked up: an agent's key is never a
    /// session (P30, P35). Counts as a request of it.
    /// </summary>
    public HumanSession? Find(string? token, SessionKind kind = SessionKind.Cli)
    {
        if (token is null || !token.StartsWith(kind == SessionKind.Web ? WebPrefix : CliPrefix, StringComparison.Ordinal)) return null;
        var key = Hash(token);
        if (Look(key, out _) is not { } session || session.Kind != kind) return null;
        var now = time.GetUtcNow();
        seen[key] = now;
        return session with { LastSeenAt = now };
    }

    private HumanSession? Look(string key, out SessionEnd? over)
    {
        over = null;
        if (reader.Get(Collection, key) is not { } document) return null;
        var session = Read(document, out over);
        return over is null ? session : null;
    }

    private HumanSession? Read(StateDocument document, out SessionEnd? over)
    {
        var stored = Document(document);
        var lastSeen = seen.TryGetValue(document.Key, out var later) && later > stored.LastSeenAt ? later : stored.LastSeenAt;
        var now = time.GetUtcNow();
        var user = users.Find(new OpaqueId(stored.UserId));
        // A session is of whom it began for: the provider's subject, where there is one, is still this user.
        over = user is null || (SubjectOf(stored) is { } subject && user.Subject != subject) ? SessionEnd.UserGone
            : stored.ExpiresAt <= now || stored.Id.Length == 0 ? SessionEnd.Expired
            : stored.Kind == SessionKind.Web && lastSeen + limits.IdleLifetime <= now ? SessionEnd.Idle
            : null;
        return user is null ? null : new HumanSession(stored.Id, user, stored.Kind, stored.Method, stored.CreatedAt, lastSeen, stored.ExpiresAt, stored.Client)
        {
            Key = document.Key,
            Subject = SubjectOf(stored),
        };
    }

    /// <summary>The sessions of a human that are not over, newest first.</summary>
    public IReadOnlyList<HumanSession> Of(OpaqueId user) =>
        reader.List(Collection).Select(d => Read(d, out var over) is { } session && over is null ? session : null).OfType<HumanSession>()
            .Where(s => s.User.Ref.Id == user).OrderByDescending(static s => s.CreatedAt).ToArray();

    /// <summary>Fires when this session ends. The one who asks looks after nothing.</summary>
    public CancellationToken EndsOf(HumanSession session)
    {
        var source = watched.GetOrAdd(session.Key, static _ => new CancellationTokenSource());

        // It may have ended since it was found; then nobody else would say so.
        if (reader.Get(Collection, session.Key) is null) Stop(session.Key);
        return source.Token;
    }

    /// <summary>Ends a session. False when the store could not be written, and it lives.</summary>
    public async Task<bool> EndAsync(HumanSession session, SessionEnd end)
    {
        while (reader.Get(Collection, session.Key) is { } document)
        {
            var result = await RemoveAsync(document, end).ConfigureAwait(false);
            if (result.Status == WriteStatus.Unavailable) return false;
        }

        return true;
    }

    /// <summary>Ends every session of a human: he left, was disabled, or his provider signed him out.</summary>
    public async Task<bool> EndAllAsync(OpaqueId user, SessionEnd end)
    {
        var all = true;
        foreach (var document in reader.List(Collection).Where(d => Document(d).UserId == user.Value))
        {
            all &= (await RemoveAsync(document, end).ConfigureAwait(false)).Status != WriteStatus.Unavailable;
        }

        return all;
    }

    /// <summary>
    /// Ends what the provider signed out: one of its sessions, or all of a person. False when the store could not be written.
    /// </summary>
    internal async Task<bool> EndOfProviderAsync(string issuer, string? sub, string? providerSession)
    {
        var all = true;
        foreach (var document in reader.List(Collection))
        {
            var stored = Document(document);
            if (stored.Issuer != issuer || (sub is not null && stored.ProviderSubject != sub) || (providerSession is not null && stored.ProviderSession != providerSession)) continue;
            all &= (await RemoveAsync(document, SessionEnd.Provider).ConfigureAwait(false)).Status != WriteStatus.Unavailable;
        }

        return all;
    }

    /// <summary>Ends what a passkey began that is no longer its person's, and what was begun from that.</summary>
    internal async Task EndOfPasskeyAsync(string passkey)
    {
        foreach (var document in reader.List(Collection).Where(d => Document(d).Passkey == passkey)) await RemoveAsync(document, SessionEnd.EndedElsewhere).ConfigureAwait(false);
    }

    private static Subject? SubjectOf(SessionDocument session) => session.Subject is null ? null : new Subject(session.Issuer!, session.Subject);

    private async Task<WriteResult> RemoveAsync(StateDocument document, SessionEnd end)
    {
        var session = Document(document);
        var result = await journal.WriteAsync(new WriteSet(
            [new EntryDraft("logout", CanonicalJson.Object(("user", session.UserId), ("session", session.Id), ("cause", Name(end))), null)],
            [new StateChange.Delete(Collection, document.Key, document.Version)])).ConfigureAwait(false);
        if (result.Status == WriteStatus.Committed)
        {
            seen.TryRemove(document.Key, out _);
            Stop(document.Key);
        }

        return result;
    }

    private void Stop(string key)
    {
        // Not disposed: a stream may still be about to ask whether it ends.
        if (watched.TryRemove(key, out var source)) source.Cancel();
    }

    /// <summary>
    /// Stops the streams of sessions that are over, writes down who was here, and deletes what is over; called each second
    /// by the host. Never throws for a store that is away: the next one does it.
    /// </summary>
    public async Task SweepAsync()
    {
        foreach (var key in watched.Keys)
        {
            if (Look(key, out _) is null) Stop(key);
        }

        var now = time.GetUtcNow();
        if (now - swept < limits.SweepEvery && now >= swept) return;
        swept = now;
        var there = new HashSet<string>(StringComparer.Ordinal);
        foreach (var document in reader.List(Collection))
        {
            there.Add(document.Key);
            Read(document, out var over);
            if (over is { } end)
            {
                await RemoveAsync(document, end).ConfigureAwait(false);
                continue;
            }

            var stored = Document(document);
            if (!seen.TryGetValue(document.Key, out var last)) continue;
            if (last - stored.LastSeenAt >= limits.LastSeenLag) await journal.WriteAsync(new WriteSet([], [Put(document.Key, document.Version, stored with { LastSeenAt = last })])).ConfigureAwait(false);
        }

        foreach (var key in seen.Keys.Where(k => !there.Contains(k))) seen.TryRemove(key, out _);
    }

    private static SessionDocument Document(StateDocument document) => JsonSerializer.Deserialize(document.Value, IdentityJson.Default.SessionDocument)!;

    private static StateChange.Put Put(string key, long version, SessionDocument session) =>
        new(Collection, key, version, null, JsonSerializer.SerializeToUtf8Bytes(session, IdentityJson.Default.SessionDocument));

    private static string KindName(SessionKind kind) => kind == SessionKind.Web ? "web" : "cli";

    private static string Name(SessionEnd end) => end switch
    {
        SessionEnd.SignedOut => "signed-out",
        SessionEnd.EndedElsewhere => "ended-elsewhere",
        SessionEnd.Replaced => "replaced",
        SessionEnd.Idle => "idle",
        SessionEnd.Expired => "expired",
        SessionEnd.UserGone => "user-gone",
        _ => "provider",
    };

    private static string Hash(string token) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(token)));
}

/// <summary>What a session starts with.</summary>
internal sealed record SessionStart(SessionKind Kind, string Method, string? Client)
{
    public HumanSession? Replaces { get; init; }

    /// <summary>When it ends at the latest; null for its whole lifetime.</summary>
    public DateTimeOffset? NotAfter { get; init; }

    /// <summary>By whom and as what the provider vouched for him.</summary>
    public Subject? Subject { get; init; }

    /// <summary>The provider's own name of the person (`sub`).</summary>
    public string? ProviderSubject { get; init; }

    /// <summary>The provider's own name of the session (`sid`).</summary>
    public string? ProviderSession { get; init; }

    /// <summary>Id of the passkey that proved it; null where none did.</summary>
    public string? Passkey { get; init; }

    /// <summary>Written with it, or it does not begin.</summary>
    public IReadOnlyList<StateChange> Also { get; init; } = [];
}
