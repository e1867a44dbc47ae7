using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using Countersign.Core;

namespace Countersign.Identity;

/// <summary>
/// One-time codes by which a browser's session signs the command line in: bound to a secret that only the command line
/// has (as PKCE, RFC 7636), so that whoever reads the code on its way has no use of it. In memory; a restart asks again.
/// </summary>
public sealed class CliGrants(HumanSessions sessions, TimeProvider time)
{
    /// <summary>How long a code works. 1 minute: the browser takes it across at once.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromMinutes(1);

    /// <summary>Codes under way. 100: each is the click of a person.</summary>
    private const int MaxOpen = 100;

    private readonly Lock gate = new();
    private readonly Dictionary<string, (HumanSession From, string Challenge, DateTimeOffset Expires)> open = new(StringComparer.Ordinal);

    /// <summary>What both sides show, so that a person sees that it is his own command line that asks.</summary>
    public static string CheckWord(string challenge)
    {
        const string alphabet = "23456789ABCDEFGHJKMNPQRSTVWXYZ";
        var hash = SHA256.HashData(Encoding.UTF8.GetBytes("check:" + challenge));
        return string.Create(4, hash, static (word, bytes) =>
        {
            for (var i = 0; i < word.Length; i++) word[i] = alphabet[bytes[i] % alphabet.Length];
        });
    }

    public static string ChallengeOf(string verifier) => Base64Url.EncodeToString(SHA256.HashData(Encoding.UTF8.GetBytes(verifier)));

    /// <summary>43 characters of base64url: a SHA-256.</summary>
    public static bool IsChallenge(string? text) => text is { Length: 43 } && text.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_');

    /// <summary>A code for the command line that has the secret behind the challenge. The human has just agreed in his browser.</summary>
    public string Grant(HumanSession from, string challenge)
    {
        var code = RandomNumberGenerator.GetHexString(64, lowercase: true);
        var now = time.GetUtcNow();
        lock (gate)
        {
            foreach (var old in open.Where(o => o.Value.Expires <= now).Select(static o => o.Key).ToArray()) open.Remove(old);
            if (open.Count >= MaxOpen) open.Remove(open.MinBy(static o => o.Value.Expires).Key);
            open.Add(Hash(code), (from, challenge, now + Lifetime));
        }

        return code;
    }

    /// <summary>Trades a code for a session of the command line; it ends with the provider's log-out as the browser's does.</summary>
    public async Task<LoginResult> RedeemAsync(string code, string verifier, string? client)
    {
        (HumanSession From, string Challenge, DateTimeOffset Expires) granted;
        lock (gate)
        {
            // Shown once, right or wrong.
            if (!open.Remove(Hash(code), out granted)) return new LoginResult(null, null, null, ReasonCodes.CodeInvalid);
        }

        var matches = CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(ChallengeOf(verifier)), Encoding.ASCII.GetBytes(granted.Challenge));
        return matches && granted.Expires > time.GetUtcNow()
            ? await sessions.StartFromAsync(granted.From, new SessionStart(SessionKind.Cli, "browser", client)).ConfigureAwait(false)
            : new LoginResult(null, null, null, ReasonCodes.CodeInvalid);
    }

    private static string Hash(string code) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(code)));
}
