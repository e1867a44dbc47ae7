using System.Collections.Immutable;

namespace Countersign.PgWire;

/// <summary>What a server asks for; the values are the protocol's.</summary>
public enum AuthenticationKind
{
    /// <summary>Nothing more: authenticated.</summary>
    Ok = 0,
    /// <summary>Kerberos V5, which no server asks for any more.</summary>
    KerberosV5 = 2,
    /// <summary>The password in clear text.</summary>
    CleartextPassword = 3,
    /// <summary>The password hashed with a salt.</summary>
    Md5Password = 5,
    /// <summary>GSSAPI.</summary>
    Gss = 7,
    /// <summary>More GSSAPI or SSPI data.</summary>
    GssContinue = 8,
    /// <summary>SSPI.</summary>
    Sspi = 9,
    /// <summary>SASL: a choice of mechanisms.</summary>
    Sasl = 10,
    /// <summary>A SASL challenge.</summary>
    SaslContinue = 11,
    /// <summary>The last SASL message; Ok follows.</summary>
    SaslFinal = 12,
}

/// <summary>An Authentication* message.</summary>
public readonly struct AuthenticationMessage
{
    /// <summary>Which one.</summary>
    public AuthenticationKind Kind { get; private init; }

    /// <summary>The four bytes of salt of <see cref="AuthenticationKind.Md5Password"/>, or the data of GssContinue, SaslContinue or SaslFinal; else empty.</summary>
    public ReadOnlyMemory<byte> Data { get; private init; }

    /// <summary>Mechanisms of <see cref="AuthenticationKind.Sasl"/>, in the server's order of preference; else empty.</summary>
    public ImmutableArray<string> Mechanisms { get; private init; }

    /// <summary>Reads the body of a <see cref="BackendTag.Authentication"/>. A kind that the protocol does not define is a fault.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> body, out AuthenticationMessage message, out WireFault fault)
    {
        var reader = new BodyReader(body);
        var kind = (AuthenticationKind)reader.Int32();
        ReadOnlyMemory<byte> data = default;
        ImmutableArray<string> mechanisms = [];
        switch (kind)
        {
            case AuthenticationKind.Ok or AuthenticationKind.KerberosV5 or AuthenticationKind.CleartextPassword
                or AuthenticationKind.Gss or AuthenticationKind.Sspi:
                break;
            case AuthenticationKind.Md5Password:
                data = reader.Bytes(4);
                break;
            case AuthenticationKind.GssContinue or AuthenticationKind.SaslContinue or AuthenticationKind.SaslFinal:
                data = reader.Rest();
                break;
            case AuthenticationKind.Sasl:
                mechanisms = ReadMechanisms(ref reader);
                break;
            default:
                reader.Fail(WireFault.UnknownKind);
                break;
        }
        message = new AuthenticationMessage { Kind = kind, Data = data, Mechanisms = mechanisms };
        return Outcome.Of(ref reader, ref message, out fault);
    }

    static ImmutableArray<string> ReadMechanisms(ref BodyReader reader)
    {
        var mechanisms = ImmutableArray.CreateBuilder<string>();
        while (true)
        {
            var mechanism = reader.Text();
            if (reader.Failed || mechanism.IsEmpty)
                return mechanisms.ToImmutable();
            mechanisms.Add(mechanism.ToString());
        }
    }
}
