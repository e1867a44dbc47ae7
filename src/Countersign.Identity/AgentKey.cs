using System.Security.Cryptography;
using System.Text;

namespace Countersign.Identity;

/// <summary>
/// One key of an agent as it is stored: nothing here yields the key. <see cref="StoredKey"/> and <see cref="ServerKey"/>
/// are RFC 5802 §3; <see cref="BearerHash"/> serves protocols that send the key itself.
/// </summary>
public sealed record AgentKey(string KeyId, byte[] StoredKey, byte[] ServerKey, byte[] BearerHash, DateTimeOffset CreatedAt, DateTimeOffset? RevokedAt);

/// <summary>A new key, shown once.</summary>
public sealed record IssuedKey(string KeyId, string Secret)
{
    /// <summary>Never prints the secret (P56).</summary>
    public override string ToString() => $"key {KeyId} ***";
}

/// <summary>What SCRAM needs before it knows which key the agent holds: all keys of an agent share it (DESIGN §7).</summary>
public sealed record ScramMaterial(byte[] Salt, int Iterations, IReadOnlyList<AgentKey> Keys);

internal static class AgentKeys
{
    /// <summary>
    /// 4,096 is RFC 7677's minimum. Iterations defend guessable passwords; a key of 256 random bits is not guessable, and
    /// an agent that reconnects per transaction pays them each time.
    /// </summary>
    public const int Iterations = 4096;

    public const int SaltBytes = 16;

    public static (IssuedKey Issued, AgentKey Stored) Issue(byte[] salt, DateTimeOffset now)
    {
        var keyId = RandomNumberGenerator.GetString("0123456789abcdefghjkmnpqrstvwxyz", 8);
        var secret = $"csk_{keyId}_{RandomNumberGenerator.GetString("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 43)}";
        return (new IssuedKey(keyId, secret), Derive(keyId, secret, salt, now));
    }

    private static AgentKey Derive(string keyId, string secret, byte[] salt, DateTimeOffset now)
    {
        var salted = Rfc2898DeriveBytes.Pbkdf2(secret, salt, Iterations, HashAlgorithmName.SHA256, 32);
        var clientKey = HMACSHA256.HashData(salted, "Client Key"u8);
        var serverKey = HMACSHA256.HashData(salted, "Server Key"u8);
        return new AgentKey(keyId, SHA256.HashData(clientKey), serverKey, SHA256.HashData(Encoding.UTF8.GetBytes(secret)), now, null);
    }
}
