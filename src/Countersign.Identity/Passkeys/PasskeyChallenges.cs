using System.Security.Cryptography;

namespace Countersign.Identity.Passkeys;

/// <summary>
/// What was asked of whom, random, once, for a while. A later question to the same one voids the earlier. Nothing outlives
/// the process. Thread-safe.
/// </summary>
internal sealed class PasskeyChallenges(TimeProvider time, PasskeyLimits limits)
{
    private const int Bytes = 32;
    private readonly Lock gate = new();
    private readonly Dictionary<string, (byte[] Challenge, string RpId, DateTimeOffset Expires)> asked = new(StringComparer.Ordinal);

    public byte[] Ask(string whom, string rpId)
    {
        var now = time.GetUtcNow();
        var challenge = RandomNumberGenerator.GetBytes(Bytes);
        lock (gate)
        {
            asked.Remove(whom);
            if (asked.Count >= limits.MostChallenges)
            {
                foreach (var over in asked.Where(a => a.Value.Expires <= now).Select(static a => a.Key).ToArray()) asked.Remove(over);
                if (asked.Count >= limits.MostChallenges) asked.Remove(asked.MinBy(static a => a.Value.Expires).Key);
            }

            asked[whom] = (challenge, rpId, now + limits.ChallengeLifetime);
        }

        return challenge;
    }

    /// <summary>What was asked of him; null: nothing, or too long ago. It is not asked any more then.</summary>
    public (byte[] Challenge, string RpId)? Take(string whom)
    {
        lock (gate)
        {
            return asked.Remove(whom, out var found) && found.Expires > time.GetUtcNow() ? (found.Challenge, found.RpId) : null;
        }
    }
}
