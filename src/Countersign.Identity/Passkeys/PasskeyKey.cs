using System.Security.Cryptography;
using NSec.Cryptography;

namespace Countersign.Identity.Passkeys;

/// <summary>Algorithms of signatures that are believed (RFC 9053 §2); no other is.</summary>
public enum PasskeyAlgorithm
{
    /// <summary>ECDSA over P-256 with SHA-256.</summary>
    Es256 = -7,

    /// <summary>Ed25519.</summary>
    EdDsa = -8,

    /// <summary>RSA PKCS #1 v1.5 with SHA-256.</summary>
    Rs256 = -257,
}

/// <summary>
/// The public key of a passkey. Its one form is the DER of SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), which every tool
/// reads; the algorithm follows from it. Pure.
/// </summary>
public sealed class PasskeyKey
{
    private const int LeastRsaBits = 2048;
    private const int MostRsaBits = 8192;

    // Both have one encoding only: everything before the key itself is always the same.
    private static readonly byte[] P256Prefix = Convert.FromHexString("3059301306072A8648CE3D020106082A8648CE3D03010703420004");
    private static readonly byte[] Ed25519Prefix = Convert.FromHexString("302A300506032B6570032100");

    private readonly byte[] spki;

    private PasskeyKey(PasskeyAlgorithm algorithm, byte[] spki) => (Algorithm, this.spki) = (algorithm, spki);

    public PasskeyAlgorithm Algorithm { get; }

    public ReadOnlySpan<byte> Spki => spki;

    /// <summary>Hex of the SHA-256 of the SPKI: what an entry names the key by.</summary>
    public string Sha256 => Convert.ToHexStringLower(SHA256.HashData(spki));

    public string AlgorithmName => Algorithm switch
    {
        PasskeyAlgorithm.Es256 => "ES256",
        PasskeyAlgorithm.EdDsa => "EdDSA",
        _ => "RS256",
    };

    /// <summary>Reads a SubjectPublicKeyInfo; null when it is none of an algorithm that is believed, or not in its one encoding.</summary>
    public static PasskeyKey? Read(ReadOnlySpan<byte> der)
    {
        if (der.StartsWith(P256Prefix)) return der.Length == P256Prefix.Length + 64 ? P256(der[P256Prefix.Length..][..32], der[^32..]) : null;
        if (der.StartsWith(Ed25519Prefix)) return der.Length == Ed25519Prefix.Length + 32 ? Ed25519(der[Ed25519Prefix.Length..]) : null;
        try
        {
            using var rsa = System.Security.Cryptography.RSA.Create();
            rsa.ImportSubjectPublicKeyInfo(der, out var read);
            return read == der.Length && Rsa(rsa.ExportParameters(includePrivateParameters: false)) is { } key && der.SequenceEqual(key.spki) ? key : null;
        }
        catch (CryptographicException)
        {
            return null;
        }
    }

    /// <summary>A point of P-256; null when it is none.</summary>
    internal static PasskeyKey? P256(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y)
    {
        if (x.Length != 32 || y.Length != 32) return null;
        try
        {
            // The import looks whether the point is on the curve.
            using var key = ECDsa.Create(new ECParameters { Curve = ECCurve.NamedCurves.nistP256, Q = new ECPoint { X = x.ToArray(), Y = y.ToArray() } });
            return new PasskeyKey(PasskeyAlgorithm.Es256, [.. P256Prefix, .. x, .. y]);
        }
        catch (CryptographicException)
        {
            return null;
        }
    }

    internal static PasskeyKey? Ed25519(ReadOnlySpan<byte> key) =>
        key.Length == 32 && PublicKey.TryImport(SignatureAlgorithm.Ed25519, key, KeyBlobFormat.RawPublicKey, out _) ? new PasskeyKey(PasskeyAlgorithm.EdDsa, [.. Ed25519Prefix, .. key]) : null;

    internal static PasskeyKey? Rsa(RSAParameters parameters)
    {
        if (parameters is not { Modulus: { } n, Exponent: [1, 0, 1] } || n.Length * 8 is < LeastRsaBits or > MostRsaBits || n[0] == 0 || (n[^1] & 1) == 0) return null;
        try
        {
            using var rsa = System.Security.Cryptography.RSA.Create(parameters);
            return new PasskeyKey(PasskeyAlgorithm.Rs256, rsa.ExportSubjectPublicKeyInfo());
        }
        catch (CryptographicException)
        {
            return null;
        }
    }

    /// <summary>Whether a signature over these bytes is of this key. Never throws.</summary>
    public bool Verifies(ReadOnlySpan<byte> data, ReadOnlySpan<byte> signature)
    {
        try
        {
            switch (Algorithm)
            {
                case PasskeyAlgorithm.Es256:
                    using (var key = ECDsa.Create())
                    {
                        key.ImportSubjectPublicKeyInfo(spki, out _);
                        return key.VerifyData(data, signature, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);
                    }

                case PasskeyAlgorithm.Rs256:
                    using (var key = System.Security.Cryptography.RSA.Create())
                    {
                        key.ImportSubjectPublicKeyInfo(spki, out _);
                        return key.VerifyData(data, signature, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
                    }

                default:
                    return SignatureAlgorithm.Ed25519.Verify(PublicKey.Import(SignatureAlgorithm.Ed25519, spki.AsSpan(Ed25519Prefix.Length), KeyBlobFormat.RawPublicKey), data, signature);
            }
        }
        catch (CryptographicException)
        {
            return false;
        }
    }
}
