using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Countersign.Core;
using Countersign.Journal;

namespace Countersign.Identity;

/// <summary>What came of an attempt to sign in.</summary>
public sealed record LoginResult(string? Token, UserEntry? User, DateTimeOffset? ExpiresAt, string? ReasonCode)
{
    public override string ToString() => $"login {User?.Ref.Name ?? ReasonCode}";
}

/// <summary>Limits of signing in.</summary>
public sealed record LoginLimits
{
    /// <summary>How long a one-time code works. 5 minutes: long enough to walk to the other terminal.</summary>
    public TimeSpan CodeLifetime { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Wrong codes before all codes of a user are void. 5: forty random bits leave a guesser nothing.</summary>
    public int MaxAttempts { get; init; } = 5;

    /// <summary>Codes that may be open at once for one user; asking for more voids the oldest. 3: anybody may ask, so the terminal must not be flooded.</summary>
    public int MaxOpenCodes { get; init; } = 3;

    /// <summary>Codes a minute for all users together. 20: a flood would hide the code that a person waits for.</summary>
    public int MaxCodesPerMinute { get; init; } = 20;

    /// <summary>How long a session lives. 12 hours: one working day.</summary>
    public TimeSpan SessionLifetime { get; init; } = TimeSpan.FromHours(12);
}

/// <summary>
/// Interactive sessions of humans. A session starts with a one-time code that only the terminal of `serve` shows; whoever
/// reads that terminal is trusted to hand each code to the person it names. The token is stored as a hash. Thread-safe.
/// </summary>
public sealed class HumanSessions(IStateReader reader, JournalAppender journal, UserDirectory users, TimeProvider time, LoginLimits limits)
{
    private const string Collection = "sessions";
    private const int MaxNameLength = 256;
    private const string CodeAlphabet = "23456789ABCDEFGHJKMNPQRSTVWXYZ";

    private readonly Lock gate = new();
    private readonly Dictionary<string, PendingCodes> pending = new(StringComparer.Ordinal);
    private DateTimeOffset windowStart;
    private int windowCount;

    private sealed class PendingCodes
    {
        public readonly List<(string Code, DateTimeOffset Expires)> Codes = [];
        public int Failures;
    }

    /// <summary>
    /// Makes a code for this user and gives it to <paramref name="show"/>, the operator's terminal. Nothing that the caller
    /// can see, here or in <see cref="CompleteAsync"/>, tells whether the user exists: codes are made for any name, and
    /// shown only for users. False only when too many were asked for.
    /// </summary>
    public bool Begin(string userName, Action<UserEntry, string> show)
    {
        var now = time.GetUtcNow();
        var code = $"{RandomNumberGenerator.GetString(CodeAlphabet, 4)}-{RandomNumberGenerator.GetString(CodeAlphabet, 4)}";
        lock (gate)
        {
            if (!CountCode(now)) return false;
            if (userName.Length > MaxNameLength) return true; // nobody's, and not worth keeping

            // Names are whatever somebody sent: they are kept no longer than their codes, and those are counted.
            foreach (var name in pending.Where(p => p.Value.Codes.TrueForAll(c => c.Expires <= now)).Select(static p => p.Key).ToArray()) pending.Remove(name);
            if (!pending.TryGetValue(userName, out var codes)) pending[userName] = codes = new PendingCodes();
            codes.Codes.RemoveAll(c => c.Expires <= now);
            if (codes.Codes.Count >= limits.MaxOpenCodes) codes.Codes.RemoveAt(0);
            codes.Codes.Add((code, now + limits.CodeLifetime));
        }

        if (users.Find(userName) is { } user) show(user, code);
        return true;
    }

    private bool CountCode(DateTimeOffset now)
    {
        if (now - windowStart >= TimeSpan.FromMinutes(1) || now < windowStart) (windowStart, windowCount) = (now, 0);
        return ++windowCount <= limits.MaxCodesPerMinute;
    }

    /// <summary>Trades a code for a session. The code works once; wrong ones count against the user's open codes.</summary>
    public async Task<LoginResult> CompleteAsync(string userName, string code)
    {
        var now = time.GetUtcNow();
        var presented = Encoding.UTF8.GetBytes(code.Trim().ToUpperInvariant());
        lock (gate)
        {
            if (!pending.TryGetValue(userName, out var codes)) return new LoginResult(null, null, null, ReasonCodes.CodeInvalid);
            var match = codes.Codes.FindIndex(c => c.Expires > now && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(c.Code), presented));
            if (match < 0)
            {
                if (++codes.Failures < limits.MaxAttempts) return new LoginResult(null, null, null, ReasonCodes.CodeInvalid);
                pending.Remove(userName);
                return new LoginResult(null, null, null, ReasonCodes.TooManyAttempts);
            }

            codes.Codes.RemoveAt(match);
        }

        if (users.Find(userName) is not { } user) return new LoginResult(null, null, null, ReasonCodes.CodeInvalid);
        var token = $"css_{RandomNumberGenerator.GetHexString(64, lowercase: true)}";
        var expires = now + limits.SessionLifetime;
        var session = new SessionDocument(user.Ref.Id.Value, user.Ref.Name, now, expires);
        var result = await journal.WriteAsync(new WriteSet(
            [new EntryDraft("login", CanonicalJson.Object(("user", user.Ref.Id.Value), ("method", "terminal-code"), ("expires", CanonicalJson.Time(expires))), null)],
            [new StateChange.Put(Collection, Hash(token), 0, null, JsonSerializer.SerializeToUtf8Bytes(session, IdentityJson.Default.SessionDocument))])).ConfigureAwait(false);
        return result.Status == WriteStatus.Committed
            ? new LoginResult(token, user, expires, null)
            : new LoginResult(null, null, null, ReasonCodes.JournalUnavailable);
    }

    /// <summary>
    /// The human behind a token, as the directory knows him now; null when the token is unknown or expired or he is no
    /// longer a user. Only tokens of this class are looked up: an agent's key is never a session (P30, P35).
    /// </summary>
    public UserEntry? Find(string? token)
    {
        if (token is null || !token.StartsWith("css_", StringComparison.Ordinal)) return null;
        var key = Hash(token);
        if (reader.Get(Collection, key) is not { } document) return null;
        var session = JsonSerializer.Deserialize(document.Value, IdentityJson.Default.SessionDocument)!;
        if (session.ExpiresAt <= time.GetUtcNow()) return null;
        return users.Find(new OpaqueId(session.UserId));
    }

    /// <summary>Ends a session. True when it was there.</summary>
    public async Task<bool> EndAsync(string token)
    {
        var key = Hash(token);
        if (reader.Get(Collection, key) is not { } document) return false;
        var session = JsonSerializer.Deserialize(document.Value, IdentityJson.Default.SessionDocument)!;
        var result = await journal.WriteAsync(new WriteSet(
            [new EntryDraft("logout", CanonicalJson.Object(("user", session.UserId)), null)],
            [new StateChange.Delete(Collection, key, document.Version)])).ConfigureAwait(false);
        return result.Status == WriteStatus.Committed;
    }

    private static string Hash(string token) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(token)));
}
