using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace Countersign.PgWire;

/// <summary>Why a SCRAM exchange ended without success. Closed.</summary>
public enum ScramFailure
{
    /// <summary>It did not fail.</summary>
    None = 0,
    /// <summary>A message came out of turn: a bug of the caller or a peer that repeats itself.</summary>
    OutOfOrder,
    /// <summary>A message is not what RFC 5802 §7 allows.</summary>
    Malformed,
    /// <summary>The client asks for channel binding, which is not offered.</summary>
    ChannelBindingNotOffered,
    /// <summary>The channel binding of the last message is not that of the first.</summary>
    ChannelBindingMismatch,
    /// <summary>The client asks to act as another identity.</summary>
    AuthorizationIdentity,
    /// <summary>The peer needs an extension (<c>m=</c>).</summary>
    MandatoryExtension,
    /// <summary>The nonce is not the one agreed on, or does not extend ours.</summary>
    NonceMismatch,
    /// <summary>The proof fits none of the keys.</summary>
    WrongProof,
    /// <summary>The server asks for more iterations than <see cref="PgWireLimits.ScramMaxIterations"/>.</summary>
    TooManyIterations,
    /// <summary>The server asks for fewer iterations than <see cref="PgWireLimits.ScramMinIterations"/>.</summary>
    TooFewIterations,
    /// <summary>The server's signature is wrong: it does not know the password, so it is not the server.</summary>
    WrongServerSignature,
    /// <summary>The server reports an error (<c>e=</c>).</summary>
    ServerError,
}

/// <summary>Names and arithmetic of SCRAM-SHA-256 (RFC 5802 §3, RFC 7677).</summary>
public static class Scram
{
    /// <summary>The mechanism without channel binding: the only one offered and used.</summary>
    public const string Mechanism = "SCRAM-SHA-256";

    /// <summary>Random bytes that each side of an exchange needs; PostgreSQL's own number.</summary>
    public const int NonceBytes = 18;

    internal static byte[] SaltedPassword(string password, ReadOnlySpan<byte> salt, int iterations)
    {
        byte[] prepared = SaslPrep.Prepare(password);
        byte[] salted = Rfc2898DeriveBytes.Pbkdf2(prepared, salt, iterations, HashAlgorithmName.SHA256, ScramKeys.KeyBytes);
        CryptographicOperations.ZeroMemory(prepared);
        return salted;
    }

    internal static byte[] ClientKey(byte[] saltedPassword) => HMACSHA256.HashData(saltedPassword, "Client Key"u8);

    internal static byte[] ServerKey(byte[] saltedPassword) => HMACSHA256.HashData(saltedPassword, "Server Key"u8);

    internal static string NonceText(ReadOnlySpan<byte> entropy)
    {
        if (entropy.Length < NonceBytes)
            throw new ArgumentException($"a nonce needs {NonceBytes} random bytes", nameof(entropy));
        return Convert.ToBase64String(entropy);
    }

    internal static void Xor(Span<byte> left, ReadOnlySpan<byte> right)
    {
        for (int i = 0; i < left.Length; i++)
            left[i] ^= right[i];
    }

    /// <summary>The message as text, when it is valid UTF-8 without NUL (RFC 5802 §5.1).</summary>
    internal static bool TryText(ReadOnlySpan<byte> message, out string text)
    {
        text = "";
        if (!System.Text.Unicode.Utf8.IsValid(message) || message.Contains((byte)0))
            return false;
        text = Encoding.UTF8.GetString(message);
        return true;
    }

    /// <summary>Takes <c>x=value</c> off the front of comma-separated attributes.</summary>
    internal static bool TryTake(ref ReadOnlySpan<char> rest, char name, out ReadOnlySpan<char> value)
    {
        value = default;
        if (rest.Length < 2 || rest[0] != name || rest[1] != '=')
            return false;
        int comma = rest.IndexOf(',');
        if (comma == rest.Length - 1)
            return false;
        value = comma < 0 ? rest[2..] : rest[2..comma];
        rest = comma < 0 ? default : rest[(comma + 1)..];
        return true;
    }

    /// <summary>Whether what is left are extensions that RFC 5802 §5.1 lets us ignore: letter, equals sign, value.</summary>
    internal static bool AreExtensions(ReadOnlySpan<char> rest)
    {
        while (!rest.IsEmpty)
        {
            if (!char.IsAsciiLetter(rest[0]) || !TryTake(ref rest, rest[0], out var value) || value.IsEmpty)
                return false;
        }
        return true;
    }

    /// <summary>RFC 5802 §7 printable: what a nonce is made of.</summary>
    internal static bool IsNonce(ReadOnlySpan<char> nonce)
    {
        foreach (char c in nonce)
        {
            if (c is < '!' or > '~' or ',')
                return false;
        }
        return !nonce.IsEmpty;
    }

    /// <summary>Base64 in its one canonical spelling; .NET's own reader lets white space pass.</summary>
    internal static bool TryBase64(ReadOnlySpan<char> text, out byte[] bytes)
    {
        bytes = [];
        if (!Base64.IsValid(text))
            return false;
        bytes = Convert.FromBase64String(text.ToString());
        return text.SequenceEqual(Convert.ToBase64String(bytes));
    }
}
