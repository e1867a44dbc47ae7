namespace Countersign.PgWire;

/// <summary>Why bytes are not the message that they claim to be. Closed: a new value is a change of the codec.</summary>
public enum WireFault
{
    /// <summary>Nothing is wrong.</summary>
    None = 0,
    /// <summary>The length word is negative or smaller than itself.</summary>
    BadLength,
    /// <summary>The length word is above the limit for this message.</summary>
    TooLong,
    /// <summary>No message of this direction and phase has this tag.</summary>
    UnknownTag,
    /// <summary>The body ends before the message does.</summary>
    Truncated,
    /// <summary>The body goes on after the message has ended.</summary>
    TrailingBytes,
    /// <summary>A string has no NUL at its end.</summary>
    MissingTerminator,
    /// <summary>A string is not valid UTF-8 (P17).</summary>
    InvalidUtf8,
    /// <summary>A text value has a NUL inside.</summary>
    EmbeddedNul,
    /// <summary>A length of a value is negative and not the -1 of NULL, or above the limit of its field.</summary>
    BadValueLength,
    /// <summary>A count is negative, does not match another one, or needs more bytes than there are.</summary>
    BadCount,
    /// <summary>A format code is neither 0 (text) nor 1 (binary).</summary>
    UnknownFormat,
    /// <summary>A one-byte or numeric discriminator has a value that the protocol does not define.</summary>
    UnknownKind,
    /// <summary>The protocol's major version is not 3.</summary>
    UnsupportedProtocol,
    /// <summary>A cancel key is shorter than 4 or longer than 256 bytes.</summary>
    BadCancelKey,
}

/// <summary>The words for a <see cref="WireFault"/>.</summary>
public static class WireFaults
{
    /// <summary>What to tell the peer: lower case, no full stop, never any of the peer's bytes.</summary>
    public static string Describe(this WireFault fault) => fault switch
    {
        WireFault.None => "no fault",
        WireFault.BadLength => "message length is negative or too small",
        WireFault.TooLong => "message is longer than the limit",
        WireFault.UnknownTag => "unknown message type",
        WireFault.Truncated => "message body is shorter than its contents",
        WireFault.TrailingBytes => "message has bytes after its end",
        WireFault.MissingTerminator => "string in message is not terminated",
        WireFault.InvalidUtf8 => "string in message is not valid UTF-8; use client_encoding UTF8",
        WireFault.EmbeddedNul => "text value contains a NUL byte",
        WireFault.BadValueLength => "length of a value in message is invalid",
        WireFault.BadCount => "count in message is negative or does not match its contents",
        WireFault.UnknownFormat => "format code in message is neither 0 nor 1",
        WireFault.UnknownKind => "message has an undefined kind",
        WireFault.UnsupportedProtocol => "unsupported protocol version; use 3.0",
        WireFault.BadCancelKey => "cancel key has an invalid length",
        _ => throw new ArgumentOutOfRangeException(nameof(fault)),
    };
}
