using System.Text;

namespace Countersign.PgWire;

/// <summary>
/// SASL OAUTHBEARER (RFC 7628), as PostgreSQL 18 speaks it. The client's first message is a GS2 header and pairs of key and
/// value, each ended by 0x01:
/// <code>n,[a=name],^Aauth=Bearer token^A^A</code>
/// A server that refuses answers with JSON, is answered by a single 0x01, and then fails the exchange (§3.2.3).
/// </summary>
public static class OAuthBearer
{
    /// <summary>Name of the mechanism.</summary>
    public const string Mechanism = "OAUTHBEARER";

    const char End = '\u0001';

    /// <summary>
    /// Reads the client's first message. False for what RFC 7628 §3.1 does not allow, for channel binding (not offered), and for
    /// an authorization identity other than <paramref name="user"/>. <paramref name="token"/> is null when the client has none
    /// yet and asks how to get one (§4.3).
    /// </summary>
    public static bool TryRead(ReadOnlySpan<byte> message, string user, out string? token)
    {
        token = null;
        if (message.ContainsAnyExceptInRange((byte)1, (byte)0x7E))
            return false;
        string text = Encoding.ASCII.GetString(message);
        // gs2-header, RFC 5801 §4: "y" says that the client could bind but believes that we cannot, which is true.
        if (text.Length < 2 || text[0] is not ('n' or 'y') || text[1] != ',')
            return false;
        int headerEnd = text.IndexOf(',', 2);
        if (headerEnd < 0)
            return false;
        string identity = text[2..headerEnd];
        if (identity.Length > 0 && identity != "a=" + user)
            return false;
        string pairs = text[(headerEnd + 1)..];
        if (pairs.Length < 2 || pairs[0] != End || pairs[^1] != End)
            return false;

        string? auth = null;
        // Between the first and the last 0x01 each pair ends with one of its own.
        string body = pairs[1..^1];
        if (body.Length > 0 && body[^1] != End)
            return false;
        foreach (string pair in body.Length == 0 ? [] : body[..^1].Split(End))
        {
            int equals = pair.IndexOf('=');
            if (equals <= 0 || pair.AsSpan(0, equals).ContainsAnyExcept(Letters) || !IsValue(pair.AsSpan(equals + 1)))
                return false;
            if (!pair.AsSpan(0, equals).SequenceEqual("auth"))
                continue; // host, port and others mean nothing here
            if (auth is not null)
                return false;
            auth = pair[(equals + 1)..];
        }
        if (auth is null)
            return false;
        if (auth.Length == 0)
            return true;
        // RFC 9110 §11.1: the scheme is of any case; RFC 6750 §2.1: b64token.
        const string scheme = "bearer ";
        if (!auth.StartsWith(scheme, StringComparison.OrdinalIgnoreCase))
            return false;
        string bearer = auth[scheme.Length..].TrimStart(' ');
        if (bearer.Length == 0 || bearer.TrimEnd('=').AsSpan().ContainsAnyExcept(TokenCharacters))
            return false;
        token = bearer;
        return true;
    }

    /// <summary>What a refused client is told (§3.2.2), as JSON. <paramref name="discovery"/> says where tokens come from; null leaves it out.</summary>
    public static byte[] Refusal(string? discovery)
    {
        var json = new StringBuilder("{\"status\":\"invalid_token\"");
        if (discovery is not null)
            json.Append(",\"openid-configuration\":\"").Append(System.Text.Json.JsonEncodedText.Encode(discovery).ToString()).Append("\",\"scope\":\"\"");
        return Encoding.UTF8.GetBytes(json.Append('}').ToString());
    }

    /// <summary>Whether a client has taken note of the refusal.</summary>
    public static bool IsAcknowledged(ReadOnlySpan<byte> message) => message.Length == 1 && message[0] == End;

    // value = *(VCHAR / SP / HTAB / CR / LF)
    static bool IsValue(ReadOnlySpan<char> value)
    {
        foreach (char c in value)
        {
            if (c is not ((>= ' ' and <= '~') or '\t' or '\r' or '\n'))
                return false;
        }
        return true;
    }

    static readonly System.Buffers.SearchValues<char> Letters = System.Buffers.SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
    static readonly System.Buffers.SearchValues<char> TokenCharacters = System.Buffers.SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/");
}
