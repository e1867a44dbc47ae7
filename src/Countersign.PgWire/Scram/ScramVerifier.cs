using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;

namespace Countersign.PgWire;

/// <summary>What a server keeps of one key instead of the key (RFC 5802 §3).</summary>
/// <param name="StoredKey">H(ClientKey), 32 bytes.</param>
/// <param name="ServerKey">HMAC(SaltedPassword, "Server Key"), 32 bytes.</param>
public sealed record ScramKeys(ReadOnlyMemory<byte> StoredKey, ReadOnlyMemory<byte> ServerKey)
{
    /// <summary>Bytes of either key: SHA-256.</summary>
    public const int KeyBytes = 32;

    /// <summary>
    /// Derives the pair from a password or key. Costs <paramref name="iterations"/> HMACs: 4,096 take about 2 ms.
    /// </summary>
    public static ScramKeys Derive(string password, ReadOnlySpan<byte> salt, int iterations)
    {
        byte[] salted = Scram.SaltedPassword(password, salt, iterations);
        var keys = new ScramKeys(SHA256.HashData(Scram.ClientKey(salted)), Scram.ServerKey(salted));
        CryptographicOperations.ZeroMemory(salted);
        return keys;
    }

    /// <summary>Verifiers are secrets: withheld.</summary>
    public override string ToString() => "ScramKeys (withheld)";
}

/// <summary>
/// What a server knows of a principal: one salt and iteration count, since SCRAM sends them before it learns which key the
/// client holds, and a pair for each of its keys.
/// </summary>
public sealed class ScramVerifier
{
    /// <summary>Rounds of comparison that every exchange takes at least, so that its time does not tell how many keys there are, or that there are none.</summary>
    internal const int LeastRounds = 8;

    /// <summary>A verifier. Throws <see cref="ArgumentException"/> for no salt, an iteration count below 1, or a key that is not 32 bytes.</summary>
    public ScramVerifier(ReadOnlyMemory<byte> salt, int iterations, ImmutableArray<ScramKeys> candidates)
    {
        if (salt.IsEmpty)
            throw new ArgumentException("a verifier needs a salt", nameof(salt));
        ArgumentOutOfRangeException.ThrowIfLessThan(iterations, 1);
        if (candidates.IsDefault || candidates.Any(c => c.StoredKey.Length != ScramKeys.KeyBytes || c.ServerKey.Length != ScramKeys.KeyBytes))
            throw new ArgumentException("a key of a verifier has 32 bytes", nameof(candidates));
        Salt = salt;
        Iterations = iterations;
        Candidates = candidates;
    }

    /// <summary>Salt.</summary>
    public ReadOnlyMemory<byte> Salt { get; }

    /// <summary>Iteration count.</summary>
    public int Iterations { get; }

    /// <summary>The pairs, any of which lets the client in. Empty: nobody gets in, by the same steps.</summary>
    public ImmutableArray<ScramKeys> Candidates { get; }

    /// <summary>
    /// For a name that nobody has: the same exchange, which never succeeds. The salt is stable for a name and a
    /// <paramref name="secret"/> of at least 32 bytes that the server keeps, as PostgreSQL does (<c>scram_mock_salt</c>), so
    /// that asking twice does not tell. Give it the salt size and iteration count of real verifiers.
    /// </summary>
    public static ScramVerifier Mock(ReadOnlySpan<byte> secret, string name, int iterations, int saltBytes = 16)
    {
        if (secret.Length < 32)
            throw new ArgumentException("the secret for mock salts has at least 32 bytes", nameof(secret));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(saltBytes, 32);
        byte[] salt = HMACSHA256.HashData(secret, Encoding.UTF8.GetBytes(name));
        return new ScramVerifier(salt.AsMemory(0, saltBytes), iterations, []);
    }
}
