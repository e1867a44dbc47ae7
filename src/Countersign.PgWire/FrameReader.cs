using System.Buffers;
using System.Buffers.Binary;

namespace Countersign.PgWire;

/// <summary>What reading a frame came to.</summary>
public enum FrameStatus
{
    /// <summary>More bytes are needed; nothing was consumed or allocated.</summary>
    NeedMore,
    /// <summary>A whole frame (or header) was read.</summary>
    Ok,
    /// <summary>The bytes are not the protocol. The boundary of messages is lost: close the connection.</summary>
    Malformed,
    /// <summary>The frame claims to be above the limit for its kind. Nothing of its body was read: close the connection.</summary>
    TooLarge,
}

/// <summary>The tag and length of a message.</summary>
/// <param name="Tag">First byte.</param>
/// <param name="BodyLength">Bytes after the length word; never negative, never above the limit for the tag.</param>
public readonly record struct FrameHeader(byte Tag, int BodyLength)
{
    /// <summary>Bytes of tag and length word.</summary>
    public const int Size = 5;

    /// <summary>Bytes of the whole message on the wire.</summary>
    public int TotalLength => Size + BodyLength;
}

/// <summary>
/// One whole message, still in the buffer that it was read from: valid until that buffer is advanced or reused.
/// <see cref="Detach"/> makes it outlive the buffer.
/// </summary>
public readonly struct Frame
{
    internal Frame(FrameHeader header, ReadOnlySequence<byte> whole)
    {
        Header = header;
        Whole = whole;
    }

    /// <summary>Tag and length.</summary>
    public FrameHeader Header { get; }

    /// <summary>First byte: a constant of <see cref="FrontendTag"/> or <see cref="BackendTag"/>.</summary>
    public byte Tag => Header.Tag;

    /// <summary>The message as sent, header included: what is forwarded when a frame is passed on as it came.</summary>
    public ReadOnlySequence<byte> Whole { get; }

    /// <summary>
    /// The body in one piece. Without a copy when it lies in one segment of the buffer, as it nearly always does; else a
    /// copy, whose size is bounded since the bytes have already arrived.
    /// </summary>
    public ReadOnlyMemory<byte> Body
    {
        get
        {
            var body = Whole.Slice(FrameHeader.Size);
            return body.IsSingleSegment ? body.First : body.ToArray();
        }
    }

    /// <summary>The same frame over a copy of its own, to keep beyond the life of the buffer (a held Bind).</summary>
    public Frame Detach() => new(Header, new ReadOnlySequence<byte>(Whole.ToArray()));
}

/// <summary>
/// Cuts a stream of bytes into frames for one direction and phase. The length is checked against the limit for the tag
/// before anything waits for, or reserves room for, a body (P14). Immutable; safe to share between threads.
/// </summary>
public sealed class FrameReader
{
    /// <summary>By tag: its limit plus one, so that 0 is left to say that the tag does not exist here.</summary>
    readonly int[] _limitPlusOne = new int[256];

    FrameReader(PgWireLimits limits, params ReadOnlySpan<(string Tags, int Limit)> groups)
    {
        limits.Validate();
        foreach (var (tags, limit) in groups)
        {
            foreach (char tag in tags)
                _limitPlusOne[tag] = limit + 1;
        }
    }

    /// <summary>What a client sends after authentication.</summary>
    public static FrameReader Frontend(PgWireLimits limits) => new(limits,
        ("QPBFd", limits.FrontendBytes),
        ("DECSHXcf", limits.FrontendSmallBytes));

    /// <summary>What a client sends while it authenticates: answers to the gateway's requests, or Terminate.</summary>
    public static FrameReader FrontendAuthentication(PgWireLimits limits) => new(limits,
        ("p", limits.PasswordBytes),
        ("X", 0));

    /// <summary>What a server sends until its first ReadyForQuery.</summary>
    public static FrameReader BackendStartup(PgWireLimits limits) => new(limits,
        ("RENvSKZ", limits.BackendStartupBytes));

    /// <summary>What a server sends afterwards. A second authentication or key is none of it.</summary>
    public static FrameReader Backend(PgWireLimits limits) => new(limits,
        ("123ACEGHINSTWZcnst", limits.BackendBytes),
        ("DdV", limits.BackendRowBytes));

    /// <summary>
    /// Reads a header without waiting for the body: for passing on a long DataRow or CopyData in pieces, or for refusing
    /// before a body is buffered.
    /// </summary>
    public FrameStatus TryReadHeader(ReadOnlySpan<byte> buffer, out FrameHeader header, out WireFault fault)
    {
        header = default;
        fault = WireFault.None;
        if (buffer.IsEmpty)
            return FrameStatus.NeedMore;
        byte tag = buffer[0];
        int limitPlusOne = _limitPlusOne[tag];
        if (limitPlusOne == 0)
        {
            fault = WireFault.UnknownTag;
            return FrameStatus.Malformed;
        }
        if (buffer.Length < FrameHeader.Size)
            return FrameStatus.NeedMore;
        int length = BinaryPrimitives.ReadInt32BigEndian(buffer[1..]);
        if (length < 4)
        {
            fault = WireFault.BadLength;
            return FrameStatus.Malformed;
        }
        if (length - 4 >= limitPlusOne)
        {
            fault = WireFault.TooLong;
            return FrameStatus.TooLarge;
        }
        header = new FrameHeader(tag, length - 4);
        return FrameStatus.Ok;
    }

    /// <summary>As the overload over a span, for a buffer in segments. Consumes nothing.</summary>
    public FrameStatus TryReadHeader(in ReadOnlySequence<byte> buffer, out FrameHeader header, out WireFault fault)
    {
        var first = buffer.FirstSpan;
        if (first.Length >= FrameHeader.Size || buffer.IsSingleSegment)
            return TryReadHeader(first, out header, out fault);
        Span<byte> scratch = stackalloc byte[FrameHeader.Size];
        var head = buffer.Slice(0, Math.Min(buffer.Length, FrameHeader.Size));
        head.CopyTo(scratch);
        return TryReadHeader(scratch[..(int)head.Length], out header, out fault);
    }

    /// <summary>Reads one whole frame from the front of <paramref name="buffer"/> and moves the buffer past it. Allocates nothing.</summary>
    public FrameStatus TryReadFrame(ref ReadOnlySequence<byte> buffer, out Frame frame, out WireFault fault)
    {
        frame = default;
        var status = TryReadHeader(buffer, out var header, out fault);
        if (status != FrameStatus.Ok)
            return status;
        if (buffer.Length < header.TotalLength)
            return FrameStatus.NeedMore;
        frame = new Frame(header, buffer.Slice(0, header.TotalLength));
        buffer = buffer.Slice(header.TotalLength);
        return FrameStatus.Ok;
    }

    /// <summary>Reads one whole frame from the front of contiguous bytes; the next one begins at <see cref="FrameHeader.TotalLength"/>.</summary>
    public FrameStatus TryReadFrame(ReadOnlySpan<byte> buffer, out FrameHeader header, out ReadOnlySpan<byte> body, out WireFault fault)
    {
        body = default;
        var status = TryReadHeader(buffer, out header, out fault);
        if (status != FrameStatus.Ok)
            return status;
        if (buffer.Length < header.TotalLength)
            return FrameStatus.NeedMore;
        body = buffer.Slice(FrameHeader.Size, header.BodyLength);
        return FrameStatus.Ok;
    }
}
