using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Countersign.PgWire;

/// <summary>
/// The server's side of one SCRAM-SHA-256 exchange: <see cref="TryFirst"/>, then <see cref="TryFinal"/>, once each. Needs no
/// costly hashing, whatever the client sends. Not for use by two threads at once.
/// </summary>
public sealed class ScramServer
{
    readonly ScramVerifier _verifier;
    readonly string _ownNonce;
    State _state;
    string _gs2Header = "";
    string _clientFirstBare = "";
    string _serverFirst = "";
    string _nonce = "";

    /// <summary>An exchange with <see cref="Scram.NonceBytes"/> or more fresh random bytes.</summary>
    public ScramServer(ScramVerifier verifier, ReadOnlySpan<byte> randomBytes)
        : this(verifier, Scram.NonceText(randomBytes))
    {
    }

    internal ScramServer(ScramVerifier verifier, string nonce)
    {
        _verifier = verifier;
        _ownNonce = nonce;
    }

    enum State
    {
        Fresh,
        Challenged,
        Over,
    }

    /// <summary>Index in <see cref="ScramVerifier.Candidates"/> of the key that the client proved, after success; else -1.</summary>
    public int MatchedCandidate { get; private set; } = -1;

    /// <summary>Takes the client's first message; gives the challenge. The name inside is ignored, as PostgreSQL does: the start-up packet has it.</summary>
    public bool TryFirst(ReadOnlySpan<byte> clientFirst, out byte[] challenge, out ScramFailure failure)
    {
        challenge = [];
        failure = First(clientFirst);
        _state = failure == ScramFailure.None ? State.Challenged : State.Over;
        if (failure == ScramFailure.None)
            challenge = Encoding.UTF8.GetBytes(_serverFirst);
        return failure == ScramFailure.None;
    }

    /// <summary>Takes the client's proof; gives the server's signature when it fits one of the keys.</summary>
    public bool TryFinal(ReadOnlySpan<byte> clientFinal, out byte[] signature, out ScramFailure failure)
    {
        failure = Final(clientFinal, out signature);
        _state = State.Over;
        return failure == ScramFailure.None;
    }

    ScramFailure First(ReadOnlySpan<byte> message)
    {
        if (_state != State.Fresh)
            return ScramFailure.OutOfOrder;
        if (!Scram.TryText(message, out string text))
            return ScramFailure.Malformed;
        // gs2-cbind-flag: "y" says that the client could bind but believes that we cannot, which is true.
        if (text.StartsWith("p=", StringComparison.Ordinal))
            return ScramFailure.ChannelBindingNotOffered;
        if (!text.StartsWith("n,", StringComparison.Ordinal) && !text.StartsWith("y,", StringComparison.Ordinal))
            return ScramFailure.Malformed;
        if (text.AsSpan(2).StartsWith("a="))
            return ScramFailure.AuthorizationIdentity;
        if (text.Length < 3 || text[2] != ',')
            return ScramFailure.Malformed;
        _gs2Header = text[..3];
        _clientFirstBare = text[3..];
        ReadOnlySpan<char> rest = _clientFirstBare;
        if (rest.StartsWith("m="))
            return ScramFailure.MandatoryExtension;
        if (!Scram.TryTake(ref rest, 'n', out _) || !Scram.TryTake(ref rest, 'r', out var clientNonce)
            || !Scram.IsNonce(clientNonce) || !Scram.AreExtensions(rest))
            return ScramFailure.Malformed;
        _nonce = clientNonce.ToString() + _ownNonce;
        _serverFirst = string.Create(CultureInfo.InvariantCulture,
            $"r={_nonce},s={Convert.ToBase64String(_verifier.Salt.Span)},i={_verifier.Iterations}");
        return ScramFailure.None;
    }

    ScramFailure Final(ReadOnlySpan<byte> message, out byte[] signature)
    {
        signature = [];
        if (_state != State.Challenged)
            return ScramFailure.OutOfOrder;
        if (!Scram.TryText(message, out string text))
            return ScramFailure.Malformed;
        // The proof is the last attribute, and base64 has no comma.
        int proofAt = text.LastIndexOf(",p=", StringComparison.Ordinal);
        if (proofAt < 0 || !Scram.TryBase64(text.AsSpan(proofAt + 3), out byte[] proof) || proof.Length != ScramKeys.KeyBytes)
            return ScramFailure.Malformed;
        ReadOnlySpan<char> rest = text.AsSpan(0, proofAt);
        if (!Scram.TryTake(ref rest, 'c', out var binding) || !Scram.TryTake(ref rest, 'r', out var nonce) || !Scram.AreExtensions(rest))
            return ScramFailure.Malformed;
        if (!binding.SequenceEqual(Convert.ToBase64String(Encoding.ASCII.GetBytes(_gs2Header))))
            return ScramFailure.ChannelBindingMismatch;
        if (!nonce.SequenceEqual(_nonce))
            return ScramFailure.NonceMismatch;

        byte[] authMessage = Encoding.UTF8.GetBytes($"{_clientFirstBare},{_serverFirst},{text[..proofAt]}");
        MatchedCandidate = Match(proof, authMessage);
        if (MatchedCandidate < 0)
            return ScramFailure.WrongProof;
        byte[] serverSignature = HMACSHA256.HashData(_verifier.Candidates[MatchedCandidate].ServerKey.Span, authMessage);
        signature = Encoding.ASCII.GetBytes("v=" + Convert.ToBase64String(serverSignature));
        return ScramFailure.None;
    }

    /// <summary>
    /// Tries the proof against every key, and against a dummy for as many rounds as are missing, without leaving early:
    /// neither the number of keys nor which one fitted shows in the time.
    /// </summary>
    int Match(ReadOnlySpan<byte> proof, byte[] authMessage)
    {
        Span<byte> clientKey = stackalloc byte[ScramKeys.KeyBytes];
        Span<byte> storedKey = stackalloc byte[ScramKeys.KeyBytes];
        ReadOnlySpan<byte> dummy = stackalloc byte[ScramKeys.KeyBytes];
        var candidates = _verifier.Candidates;
        int rounds = Math.Max(ScramVerifier.LeastRounds, candidates.Length);
        int matched = -1;
        for (int i = 0; i < rounds; i++)
        {
            bool isReal = i < candidates.Length;
            var expected = isReal ? candidates[i].StoredKey.Span : dummy;
            HMACSHA256.HashData(expected, authMessage, clientKey);
            Scram.Xor(clientKey, proof);
            SHA256.HashData(clientKey, storedKey);
            bool equal = CryptographicOperations.FixedTimeEquals(storedKey, expected);
            if (equal & isReal & matched < 0)
                matched = i;
        }
        CryptographicOperations.ZeroMemory(clientKey);
        return matched;
    }
}
