using System.Formats.Cbor;
using System.Security.Cryptography;

namespace Countersign.Identity.Passkeys;

/// <summary>Public keys as authenticators write them (RFC 9052 §7, RFC 9053 §7). Pure.</summary>
internal static class CoseKey
{
    private const int KeyType = 1, Algorithm = 3, CurveOrModulus = -1, XOrExponent = -2, Y = -3;
    private const int Okp = 1, Ec2 = 2, Rsa = 3, P256 = 1, Ed25519 = 6;

    /// <summary>Reads the key at the reader's place; null when it is of no algorithm that is believed.</summary>
    /// <exception cref="CborContentException">It is no CBOR.</exception>
    /// <exception cref="InvalidOperationException">It is no map of a key.</exception>
    public static PasskeyKey? Read(CborReader reader)
    {
        long? type = null, algorithm = null, curve = null;
        byte[]? modulus = null, x = null, y = null;
        for (var left = reader.ReadStartMap(); left is null ? reader.PeekState() != CborReaderState.EndMap : left > 0; left--)
        {
            if (reader.PeekState() is not (CborReaderState.UnsignedInteger or CborReaderState.NegativeInteger))
            {
                reader.SkipValue();
                reader.SkipValue();
                continue;
            }

            switch (reader.ReadInt64())
            {
                case KeyType: type = reader.ReadInt64(); break;
                case Algorithm: algorithm = reader.ReadInt64(); break;
                case CurveOrModulus when reader.PeekState() == CborReaderState.ByteString: modulus = reader.ReadByteString(); break;
                case CurveOrModulus: curve = reader.ReadInt64(); break;
                case XOrExponent: x = reader.ReadByteString(); break;
                case Y when reader.PeekState() == CborReaderState.ByteString: y = reader.ReadByteString(); break;
                default: reader.SkipValue(); break;
            }
        }

        reader.ReadEndMap();
        return (type, (PasskeyAlgorithm?)algorithm, curve) switch
        {
            (Ec2, PasskeyAlgorithm.Es256, P256) when x is not null && y is not null => PasskeyKey.P256(x, y),
            (Okp, PasskeyAlgorithm.EdDsa, Ed25519) when x is not null => PasskeyKey.Ed25519(x),
            (Rsa, PasskeyAlgorithm.Rs256, null) when modulus is not null && x is not null => PasskeyKey.Rsa(new RSAParameters { Modulus = modulus, Exponent = x }),
            _ => null,
        };
    }
}
