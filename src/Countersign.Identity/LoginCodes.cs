using System.Security.Cryptography;
using System.Text;
using Countersign.Core;

namespace Countersign.Identity;

/// <summary>
/// One-time codes that the operator's terminal shows. A code is for one user and one kind of session, and a browser's code
/// only for the browser that asked: whoever lures a person to a link, or reads it, has no use of it. Thread-safe; nothing
/// outlives the process.
/// </summary>
internal sealed class LoginCodes(TimeProvider time, LoginLimits limits)
{
    private const int MaxNameLength = 256;
    private const string Alphabet = "23456789ABCDEFGHJKMNPQRSTVWXYZ";

    private readonly Lock gate = new();
    private readonly Dictionary<string, PendingCodes> pending = new(StringComparer.Ordinal);
    private DateTimeOffset windowStart;
    private int windowCount;

    private sealed record PendingCode(string Code, DateTimeOffset Expires, SessionKind Kind, byte[]? Browser);

    private sealed class PendingCodes
    {
        public readonly List<PendingCode> Codes = [];
        public int Failures;
    }

    /// <summary>A code for any name, so that nothing tells who exists; null when too many were asked for.</summary>
    public string? Make(string userName, SessionKind kind, string? browser)
    {
        var now = time.GetUtcNow();
        var code = $"{RandomNumberGenerator.GetString(Alphabet, 4)}-{RandomNumberGenerator.GetString(Alphabet, 4)}";
        lock (gate)
        {
            if (!Count(now)) return null;
            if (userName.Length > MaxNameLength) return code; // nobody's, and not worth keeping

            // Names are whatever somebody sent: they are kept no longer than their codes, and those are counted.
            foreach (var name in pending.Where(p => p.Value.Codes.TrueForAll(c => c.Expires <= now)).Select(static p => p.Key).ToArray()) pending.Remove(name);
            if (!pending.TryGetValue(userName, out var codes)) pending[userName] = codes = new PendingCodes();
            codes.Codes.RemoveAll(c => c.Expires <= now);
            if (codes.Codes.Count >= limits.MaxOpenCodes) codes.Codes.RemoveAt(0);
            codes.Codes.Add(new PendingCode(code, now + limits.CodeLifetime, kind, browser is null ? null : Hash(browser)));
        }

        return code;
    }

    /// <summary>Spends a code. Null when it was right, else the reason; wrong ones count against the user's open codes.</summary>
    public string? Spend(string userName, string code, SessionKind kind, string? browser)
    {
        var now = time.GetUtcNow();
        var presented = Encoding.UTF8.GetBytes(code.Trim().ToUpperInvariant());
        var from = browser is null ? null : Hash(browser);
        lock (gate)
        {
            if (!pending.TryGetValue(userName, out var codes)) return ReasonCodes.CodeInvalid;
            var match = codes.Codes.FindIndex(c => c.Expires > now && c.Kind == kind && FromSame(c.Browser, from) && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(c.Code), presented));
            if (match >= 0)
            {
                codes.Codes.RemoveAt(match);
                return null;
            }

            if (++codes.Failures < limits.MaxAttempts) return ReasonCodes.CodeInvalid;
            pending.Remove(userName);
            return ReasonCodes.TooManyAttempts;
        }
    }

    private static bool FromSame(byte[]? asked, byte[]? presents) =>
        asked is null ? presents is null : presents is not null && CryptographicOperations.FixedTimeEquals(asked, presents);

    private bool Count(DateTimeOffset now)
    {
        if (now - windowStart >= TimeSpan.FromMinutes(1) || now < windowStart) (windowStart, windowCount) = (now, 0);
        return ++windowCount <= limits.MaxCodesPerMinute;
    }

    private static byte[] Hash(string browser) => SHA256.HashData(Encoding.UTF8.GetBytes(browser));
}
