namespace Countersign.PgWire;

/// <summary>A password, in clear text or as the answer to MD5. Never logged: it does not print itself.</summary>
public readonly struct PasswordMessage
{
    /// <summary>The password.</summary>
    public WireText Password { get; private init; }

    /// <summary>Reads the body of a <see cref="FrontendTag.Password"/> that answers a cleartext or MD5 request.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> body, out PasswordMessage message, out WireFault fault)
    {
        var reader = new BodyReader(body);
        message = new PasswordMessage { Password = reader.Text() };
        return Outcome.Of(ref reader, ref message, out fault);
    }

    /// <summary>Says that it is withheld.</summary>
    public override string ToString() => "PasswordMessage (withheld)";
}

/// <summary>Chooses a SASL mechanism and carries its first message.</summary>
public readonly struct SaslInitialResponse
{
    /// <summary>Name of the mechanism.</summary>
    public WireText Mechanism { get; private init; }

    /// <summary>The mechanism's first message; null when there is none.</summary>
    public ReadOnlyMemory<byte>? Data { get; private init; }

    /// <summary>Reads the body of a <see cref="FrontendTag.Password"/> that answers AuthenticationSASL.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> body, out SaslInitialResponse message, out WireFault fault)
    {
        var reader = new BodyReader(body);
        message = new SaslInitialResponse { Mechanism = reader.Text(), Data = reader.Value() };
        return Outcome.Of(ref reader, ref message, out fault);
    }

    /// <summary>Says that it is withheld.</summary>
    public override string ToString() => "SaslInitialResponse (withheld)";
}

/// <summary>A further SASL message of the client: the whole body.</summary>
public readonly struct SaslResponse
{
    /// <summary>The mechanism's message.</summary>
    public ReadOnlyMemory<byte> Data { get; private init; }

    /// <summary>Reads the body of a <see cref="FrontendTag.Password"/> that answers AuthenticationSASLContinue. Cannot fail.</summary>
    public static SaslResponse Read(ReadOnlyMemory<byte> body) => new() { Data = body };

    /// <summary>Says that it is withheld.</summary>
    public override string ToString() => "SaslResponse (withheld)";
}
