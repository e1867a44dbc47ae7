using System.Buffers.Binary;
using System.Buffers.Text;
using System.Formats.Cbor;
using System.Security.Cryptography;
using System.Text;
using Countersign.Identity.Passkeys;
using NSec.Cryptography;

namespace Countersign.Tests.Passkeys;

/// <summary>
/// An authenticator and its browser in one, by the letter of WebAuthn level 3 §6.1 and §5.8.1; each part of what it gives
/// can be had otherwise, as an attacker would.
/// </summary>
internal sealed class TestAuthenticator
{
    public const byte Present = 0x01, Verified = 0x04, BackupEligible = 0x08, BackedUp = 0x10, Attested = 0x40, Extensions = 0x80;

    private readonly Func<byte[], byte[]> sign;
    private readonly Action<CborWriter> cose;

    private TestAuthenticator(byte[] spki, Action<CborWriter> cose, Func<byte[], byte[]> sign)
    {
        Spki = spki;
        this.cose = cose;
        this.sign = sign;
    }

    public byte[] CredentialId { get; init; } = RandomNumberGenerator.GetBytes(32);
    public byte[] Spki { get; }
    public string RpId { get; set; } = "localhost";
    public string Origin { get; set; } = "http://localhost:8080";
    public byte Flags { get; set; } = Present | Verified;
    public uint Counter { get; set; }
    public bool? CrossOrigin { get; set; } = false;

    public static TestAuthenticator Make(PasskeyAlgorithm algorithm = PasskeyAlgorithm.Es256) => algorithm switch
    {
        PasskeyAlgorithm.Es256 => Es256(),
        PasskeyAlgorithm.Rs256 => Rs256(2048),
        _ => EdDsa(),
    };

    public static TestAuthenticator Es256()
    {
        var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var q = key.ExportParameters(false).Q;
        return new TestAuthenticator(key.ExportSubjectPublicKeyInfo(), writer =>
        {
            writer.WriteStartMap(5);
            Pair(writer, 1, 2);
            Pair(writer, 3, -7);
            Pair(writer, -1, 1);
            Pair(writer, -2, q.X!);
            Pair(writer, -3, q.Y!);
            writer.WriteEndMap();
        }, data => key.SignData(data, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence));
    }

    public static TestAuthenticator Rs256(int bits)
    {
        var key = System.Security.Cryptography.RSA.Create(bits);
        var parameters = key.ExportParameters(false);
        return new TestAuthenticator(key.ExportSubjectPublicKeyInfo(), writer =>
        {
            writer.WriteStartMap(4);
            Pair(writer, 1, 3);
            Pair(writer, 3, -257);
            Pair(writer, -1, parameters.Modulus!);
            Pair(writer, -2, parameters.Exponent!);
            writer.WriteEndMap();
        }, data => key.SignData(data, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1));
    }

    public static TestAuthenticator EdDsa()
    {
        var key = Key.Create(SignatureAlgorithm.Ed25519);
        var raw = key.PublicKey.Export(KeyBlobFormat.RawPublicKey);
        return new TestAuthenticator([.. Convert.FromHexString("302A300506032B6570032100"), .. raw], writer =>
        {
            writer.WriteStartMap(4);
            Pair(writer, 1, 1);
            Pair(writer, 3, -8);
            Pair(writer, -1, 6);
            Pair(writer, -2, raw);
            writer.WriteEndMap();
        }, data => SignatureAlgorithm.Ed25519.Sign(key, data));
    }

    private static void Pair(CborWriter writer, int name, int value)
    {
        writer.WriteInt32(name);
        writer.WriteInt32(value);
    }

    private static void Pair(CborWriter writer, int name, byte[] value)
    {
        writer.WriteInt32(name);
        writer.WriteByteString(value);
    }

    public byte[] ClientData(string type, ReadOnlySpan<byte> challenge) => Encoding.UTF8.GetBytes(
        $"{{\"type\":\"{type}\",\"challenge\":\"{Base64Url.EncodeToString(challenge)}\",\"origin\":\"{Origin}\"{(CrossOrigin is { } cross ? $",\"crossOrigin\":{(cross ? "true" : "false")}" : "")}}}");

    public byte[] AuthenticatorData(bool attested = false, byte[]? tail = null)
    {
        var data = new List<byte>(SHA256.HashData(Encoding.UTF8.GetBytes(RpId))) { (byte)(Flags | (attested ? Attested : 0)) };
        var four = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(four, Counter);
        data.AddRange(four);
        if (attested)
        {
            data.AddRange(new byte[16]);
            data.AddRange([(byte)(CredentialId.Length >> 8), (byte)CredentialId.Length]);
            data.AddRange(CredentialId);
            var writer = new CborWriter(CborConformanceMode.Ctap2Canonical);
            cose(writer);
            data.AddRange(writer.Encode());
        }

        data.AddRange(tail ?? []);
        return [.. data];
    }

    /// <summary>What `navigator.credentials.create` gives.</summary>
    public (byte[] ClientData, byte[] Attestation) Create(ReadOnlySpan<byte> challenge, string type = "webauthn.create")
    {
        var writer = new CborWriter(CborConformanceMode.Ctap2Canonical);
        writer.WriteStartMap(3);
        writer.WriteTextString("fmt");
        writer.WriteTextString("none");
        writer.WriteTextString("attStmt");
        writer.WriteStartMap(0);
        writer.WriteEndMap();
        writer.WriteTextString("authData");
        writer.WriteByteString(AuthenticatorData(attested: true));
        writer.WriteEndMap();
        return (ClientData(type, challenge), writer.Encode());
    }

    /// <summary>What `navigator.credentials.get` gives.</summary>
    public PasskeyAssertion Get(ReadOnlySpan<byte> challenge, string type = "webauthn.get", byte[]? data = null)
    {
        var client = ClientData(type, challenge);
        data ??= AuthenticatorData();
        return new PasskeyAssertion(CredentialId, data, client, sign([.. data, .. SHA256.HashData(client)]));
    }

    /// <summary>Over an approval statement.</summary>
    public PasskeyAssertion Sign(string statement) => Get(SHA256.HashData(Encoding.UTF8.GetBytes(statement)));
}
