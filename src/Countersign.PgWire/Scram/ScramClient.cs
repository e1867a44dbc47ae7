using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Countersign.PgWire;

/// <summary>
/// The client's side of one SCRAM-SHA-256 exchange: <see cref="TryFirst"/>, <see cref="TryChallenge"/>,
/// <see cref="TryFinish"/>, once each. A server counts as authenticated only after <see cref="TryFinish"/> was true, so
/// AuthenticationOk before it is to be refused. Not for use by two threads at once.
/// </summary>
public sealed class ScramClient
{
    const string Gs2Header = "n,,";

    readonly string _password;
    readonly string _ownNonce;
    readonly string _clientFirstBare;
    readonly PgWireLimits _limits;
    State _state;
    byte[] _expectedSignature = [];

    /// <summary>An exchange with <see cref="Scram.NonceBytes"/> or more fresh random bytes. No user name is sent: the start-up packet has it.</summary>
    public ScramClient(string password, ReadOnlySpan<byte> randomBytes, PgWireLimits limits)
        : this(password, "", Scram.NonceText(randomBytes), limits)
    {
    }

    internal ScramClient(string password, string userName, string nonce, PgWireLimits limits)
    {
        _password = password;
        _ownNonce = nonce;
        _clientFirstBare = $"n={userName},r={nonce}";
        _limits = limits;
    }

    enum State
    {
        Fresh,
        Started,
        Proved,
        Done,
        Failed,
    }

    /// <summary>Whether the server has proved that it knows the password too.</summary>
    public bool IsDone => _state == State.Done;

    /// <summary>The first message. False when it was given already.</summary>
    public bool TryFirst(out byte[] message)
    {
        message = _state == State.Fresh ? Encoding.UTF8.GetBytes(Gs2Header + _clientFirstBare) : [];
        _state = _state == State.Fresh ? State.Started : State.Failed;
        return _state == State.Started;
    }

    /// <summary>
    /// Takes the server's challenge; gives the proof. The iteration count is checked against the limits before any hashing
    /// (P14); within them it costs up to half a second of a core.
    /// </summary>
    public bool TryChallenge(ReadOnlySpan<byte> challenge, out byte[] proof, out ScramFailure failure)
    {
        failure = Challenge(challenge, out proof);
        _state = failure == ScramFailure.None ? State.Proved : State.Failed;
        return failure == ScramFailure.None;
    }

    /// <summary>Takes the server's last message and checks its signature.</summary>
    public bool TryFinish(ReadOnlySpan<byte> serverFinal, out ScramFailure failure)
    {
        failure = Finish(serverFinal);
        _state = failure == ScramFailure.None ? State.Done : State.Failed;
        return failure == ScramFailure.None;
    }

    ScramFailure Challenge(ReadOnlySpan<byte> challenge, out byte[] proof)
    {
        proof = [];
        if (_state != State.Started)
            return ScramFailure.OutOfOrder;
        if (!Scram.TryText(challenge, out string serverFirst))
            return ScramFailure.Malformed;
        ReadOnlySpan<char> rest = serverFirst;
        if (rest.StartsWith("m="))
            return ScramFailure.MandatoryExtension;
        if (rest.StartsWith("e="))
            return ScramFailure.ServerError;
        if (!Scram.TryTake(ref rest, 'r', out var nonce) || !Scram.TryTake(ref rest, 's', out var saltText)
            || !Scram.TryTake(ref rest, 'i', out var iterationText) || !Scram.AreExtensions(rest)
            || !Scram.IsNonce(nonce) || !Scram.TryBase64(saltText, out byte[] salt) || salt.Length == 0
            || !IsPosNumber(iterationText))
            return ScramFailure.Malformed;
        // A nonce that only echoes ours has nothing of the server in it: its answers could be replayed.
        if (nonce.Length <= _ownNonce.Length || !nonce.StartsWith(_ownNonce))
            return ScramFailure.NonceMismatch;
        if (!int.TryParse(iterationText, NumberStyles.None, CultureInfo.InvariantCulture, out int iterations)
            || iterations > _limits.ScramMaxIterations)
            return ScramFailure.TooManyIterations;
        if (iterations < _limits.ScramMinIterations)
            return ScramFailure.TooFewIterations;

        string withoutProof = $"c={Convert.ToBase64String(Encoding.ASCII.GetBytes(Gs2Header))},r={nonce}";
        byte[] authMessage = Encoding.UTF8.GetBytes($"{_clientFirstBare},{serverFirst},{withoutProof}");
        byte[] salted = Scram.SaltedPassword(_password, salt, iterations);
        byte[] clientKey = Scram.ClientKey(salted);
        byte[] signature = HMACSHA256.HashData(SHA256.HashData(clientKey), authMessage);
        Scram.Xor(signature, clientKey);
        _expectedSignature = HMACSHA256.HashData(Scram.ServerKey(salted), authMessage);
        proof = Encoding.UTF8.GetBytes($"{withoutProof},p={Convert.ToBase64String(signature)}");
        CryptographicOperations.ZeroMemory(salted);
        CryptographicOperations.ZeroMemory(clientKey);
        return ScramFailure.None;
    }

    ScramFailure Finish(ReadOnlySpan<byte> serverFinal)
    {
        if (_state != State.Proved)
            return ScramFailure.OutOfOrder;
        if (!Scram.TryText(serverFinal, out string text))
            return ScramFailure.Malformed;
        ReadOnlySpan<char> rest = text;
        if (rest.StartsWith("e="))
            return ScramFailure.ServerError;
        if (!Scram.TryTake(ref rest, 'v', out var signatureText) || !Scram.AreExtensions(rest) || !Scram.TryBase64(signatureText, out byte[] signature))
            return ScramFailure.Malformed;
        return CryptographicOperations.FixedTimeEquals(signature, _expectedSignature)
            ? ScramFailure.None
            : ScramFailure.WrongServerSignature;
    }

    /// <summary>RFC 5802 §7 posit-number: digits, the first not zero. One too long for an int is too many, not malformed.</summary>
    static bool IsPosNumber(ReadOnlySpan<char> text) =>
        !text.IsEmpty && text[0] is >= '1' and <= '9' && text.IndexOfAnyExceptInRange('0', '9') < 0;
}
