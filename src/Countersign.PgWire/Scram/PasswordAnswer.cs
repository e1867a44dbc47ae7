using System.Security.Cryptography;
using System.Text;

namespace Countersign.PgWire;

/// <summary>Answers to a server that asks for a password without SASL.</summary>
public static class PasswordAnswer
{
    /// <summary>
    /// The answer to AuthenticationMD5Password: <c>md5</c>, then the hash of the hash of password and user with the server's
    /// four bytes of salt (PostgreSQL documentation §54.2.1).
    /// </summary>
    public static string Md5(string user, string password, ReadOnlySpan<byte> salt)
    {
        byte[] inner = Encoding.UTF8.GetBytes(password + user);
        byte[] outer = [.. HexOfMd5(inner), .. salt];
        CryptographicOperations.ZeroMemory(inner);
        return "md5" + Encoding.ASCII.GetString(HexOfMd5(outer));
    }

    /// <summary>
    /// The answer to AuthenticationCleartextPassword. False, with no answer, unless <paramref name="channelIsTls"/>: the
    /// target's credential never crosses a network in clear text.
    /// </summary>
    public static bool TryCleartext(string password, bool channelIsTls, out string answer)
    {
        answer = channelIsTls ? password : "";
        return channelIsTls;
    }

    static byte[] HexOfMd5(ReadOnlySpan<byte> data) => Encoding.ASCII.GetBytes(Convert.ToHexStringLower(MD5.HashData(data)));
}
