using System.Buffers;
using System.Buffers.Binary;

namespace Countersign.PgWire;

/// <summary>What a start-up packet asks for.</summary>
public enum StartupKind
{
    /// <summary>A session: see <see cref="StartupPacket.Startup"/>.</summary>
    Startup,
    /// <summary>TLS; the answer is one byte, <c>S</c> or <c>N</c>.</summary>
    SslRequest,
    /// <summary>GSSAPI encryption; the answer is one byte, <c>G</c> or <c>N</c>.</summary>
    GssEncRequest,
    /// <summary>Cancel what another connection runs: see <see cref="StartupPacket.Cancel"/>. There is no answer.</summary>
    CancelRequest,
}

/// <summary>
/// The first packet of a connection, which has no tag (PostgreSQL documentation §54.2.1, §54.2.10–11). After an
/// <see cref="StartupKind.SslRequest"/> answered with <c>S</c> no byte of clear text may be in the buffer: the caller
/// checks that the buffer is empty before the TLS handshake (CVE-2021-23214, P10).
/// </summary>
public sealed class StartupPacket
{
    const int SslRequestCode = 80877103;
    const int GssEncRequestCode = 80877104;
    const int CancelRequestCode = 80877102;

    StartupPacket(StartupKind kind, StartupMessage? startup = null, CancelRequest? cancel = null)
    {
        Kind = kind;
        Startup = startup;
        Cancel = cancel;
    }

    /// <summary>What is asked for.</summary>
    public StartupKind Kind { get; }

    /// <summary>The session asked for; set exactly when <see cref="Kind"/> is <see cref="StartupKind.Startup"/>.</summary>
    public StartupMessage? Startup { get; }

    /// <summary>Whom to cancel; set exactly when <see cref="Kind"/> is <see cref="StartupKind.CancelRequest"/>.</summary>
    public CancelRequest? Cancel { get; }

    /// <summary>
    /// Reads a start-up packet from the front of <paramref name="buffer"/> and moves the buffer past it. The packet owns
    /// its bytes. Limit: <see cref="PgWireLimits.StartupBytes"/>.
    /// </summary>
    public static FrameStatus TryRead(ref ReadOnlySequence<byte> buffer, PgWireLimits limits, out StartupPacket? packet, out WireFault fault)
    {
        packet = null;
        fault = WireFault.None;
        if (buffer.Length < 4)
            return FrameStatus.NeedMore;
        Span<byte> word = stackalloc byte[4];
        buffer.Slice(0, 4).CopyTo(word);
        int length = BinaryPrimitives.ReadInt32BigEndian(word);
        if (length < 8)
        {
            fault = WireFault.BadLength;
            return FrameStatus.Malformed;
        }
        if (length > limits.StartupBytes)
        {
            fault = WireFault.TooLong;
            return FrameStatus.TooLarge;
        }
        if (buffer.Length < length)
            return FrameStatus.NeedMore;
        if (!TryParse(buffer.Slice(4, length - 4).ToArray(), out packet, out fault))
            return FrameStatus.Malformed;
        buffer = buffer.Slice(length);
        return FrameStatus.Ok;
    }

    static bool TryParse(ReadOnlyMemory<byte> body, out StartupPacket? packet, out WireFault fault)
    {
        packet = null;
        int code = BinaryPrimitives.ReadInt32BigEndian(body.Span);
        var rest = body[4..];
        switch (code)
        {
            case SslRequestCode or GssEncRequestCode:
                fault = rest.IsEmpty ? WireFault.None : WireFault.TrailingBytes;
                if (fault != WireFault.None)
                    return false;
                packet = new StartupPacket(code == SslRequestCode ? StartupKind.SslRequest : StartupKind.GssEncRequest);
                return true;
            case CancelRequestCode:
                if (!CancelRequest.TryParse(rest, out var cancel, out fault))
                    return false;
                packet = new StartupPacket(StartupKind.CancelRequest, cancel: cancel);
                return true;
            default:
                var version = new ProtocolVersion(code);
                if (version.Major != 3)
                {
                    fault = WireFault.UnsupportedProtocol;
                    return false;
                }
                if (!StartupMessage.TryParse(version, rest, out var startup, out fault))
                    return false;
                packet = new StartupPacket(StartupKind.Startup, startup);
                return true;
        }
    }
}

/// <summary>A protocol version as the wire has it: major in the high 16 bits, minor in the low.</summary>
/// <param name="Code">The word.</param>
public readonly record struct ProtocolVersion(int Code)
{
    /// <summary>3.0, which every server since 7.4 and every client speaks. The gateway's own.</summary>
    public static ProtocolVersion V30 => new(0x0003_0000);

    /// <summary>3.2 of PostgreSQL 18: longer cancel keys.</summary>
    public static ProtocolVersion V32 => new(0x0003_0002);

    /// <summary>Major version.</summary>
    public int Major => (Code >> 16) & 0xFFFF;

    /// <summary>Minor version.</summary>
    public int Minor => Code & 0xFFFF;

    /// <inheritdoc/>
    public override string ToString() => $"{Major}.{Minor}";
}

/// <summary>Which backend, by the process id and secret that <see cref="BackendKeyData"/> gave to its client.</summary>
/// <param name="ProcessId">Process id.</param>
/// <param name="Key">Secret: 4 bytes in protocol 3.0, 4 to 256 in 3.2. Compare in fixed time; never log.</param>
public sealed record CancelRequest(int ProcessId, ReadOnlyMemory<byte> Key)
{
    /// <summary>Least bytes of a key, and the only number of bytes in protocol 3.0.</summary>
    public const int LeastKeyBytes = 4;

    /// <summary>Most bytes of a key (documentation §54.7, CancelRequest).</summary>
    public const int MostKeyBytes = 256;

    internal static bool TryParse(ReadOnlyMemory<byte> body, out CancelRequest? cancel, out WireFault fault)
    {
        cancel = null;
        var reader = new BodyReader(body);
        int processId = reader.Int32();
        var key = reader.Rest();
        if (!reader.Failed && key.Length is < LeastKeyBytes or > MostKeyBytes)
            reader.Fail(WireFault.BadCancelKey);
        if (!reader.Finish(out fault))
            return false;
        cancel = new CancelRequest(processId, key);
        return true;
    }

    /// <summary>The key is a secret: it is withheld.</summary>
    public override string ToString() => $"CancelRequest {{ ProcessId = {ProcessId}, Key = (withheld, {Key.Length} bytes) }}";
}
