using System.IO.Pipelines;
using System.Buffers;
using System.Security.Cryptography.X509Certificates;
using Countersign.PgWire;

namespace Countersign.Gateway.Postgres;

/// <summary>A byte stream in both directions with frames on it. One reader and, under the caller's lock, one writer.</summary>
internal sealed class Transport(PipeReader input, PipeWriter output, bool isTls)
{
    public PipeReader Input { get; } = input;
    public PipeWriter Output { get; } = output;
    public bool IsTls { get; } = isTls;

    /// <summary>Who is at the other end, as far as the connection itself tells.</summary>
    public Peer Peer { get; init; } = new();

    public static Transport Over(Stream stream, bool isTls, Peer? peer = null) =>
        new(PipeReader.Create(stream, new StreamPipeReaderOptions(bufferSize: 16 << 10, leaveOpen: true)), PipeWriter.Create(stream, new StreamPipeWriterOptions(leaveOpen: true)), isTls) { Peer = peer ?? new Peer() };

    /// <summary>Bytes that were read while something was held, in front of what is still in <see cref="Input"/>.</summary>
    private byte[] held = [];
    private int heldStart;
    private int heldEnd;

    /// <summary>
    /// The next whole frame, its bytes copied out; null when the peer is gone. Throws <see cref="WireException"/> for what is
    /// no frame.
    /// </summary>
    public async ValueTask<Frame?> ReadFrameAsync(FrameReader frames, CancellationToken ct)
    {
        while (heldStart < heldEnd)
        {
            var sequence = new ReadOnlySequence<byte>(held, heldStart, heldEnd - heldStart);
            if (Take(frames, ref sequence) is { } kept)
            {
                heldStart += kept.Header.TotalLength;
                return kept;
            }

            if (!await HoldMoreAsync(ct).ConfigureAwait(false)) return null;
        }

        while (true)
        {
            var result = await Input.ReadAsync(ct).ConfigureAwait(false);
            var buffer = result.Buffer;
            Frame? frame;
            try
            {
                frame = Take(frames, ref buffer);
            }
            catch
            {
                Input.AdvanceTo(result.Buffer.Start);
                throw;
            }

            if (frame is not null)
            {
                Input.AdvanceTo(buffer.Start);
                return frame;
            }

            Input.AdvanceTo(result.Buffer.Start, result.Buffer.End);
            if (result.IsCompleted) return null;
        }
    }

    /// <summary>
    /// Reads what has come and keeps it for <see cref="ReadFrameAsync"/>: so a peer's leaving is seen while its next message
    /// must wait. False when the peer is gone.
    /// </summary>
    public async ValueTask<bool> HoldMoreAsync(CancellationToken ct)
    {
        var result = await Input.ReadAsync(ct).ConfigureAwait(false);
        var more = checked((int)result.Buffer.Length);
        if (heldEnd + more > held.Length)
        {
            var grown = new byte[Math.Max(4096, (heldEnd - heldStart + more) * 2)];
            held.AsSpan(heldStart, heldEnd - heldStart).CopyTo(grown);
            (heldEnd, heldStart, held) = (heldEnd - heldStart, 0, grown);
        }

        result.Buffer.CopyTo(held.AsSpan(heldEnd));
        heldEnd += more;
        Input.AdvanceTo(result.Buffer.End);
        return !result.IsCompleted;
    }

    /// <summary>Bytes kept in front of what is still to come.</summary>
    public int HeldBytes => heldEnd - heldStart;

    /// <summary>The tag of the first kept message.</summary>
    public byte? HeldTag => heldStart < heldEnd ? held[heldStart] : null;

    private static Frame? Take(FrameReader frames, ref ReadOnlySequence<byte> buffer)
    {
        var status = frames.TryReadFrame(ref buffer, out var frame, out var fault);
        return status switch
        {
            FrameStatus.Ok => frame.Detach(),
            FrameStatus.NeedMore => null,
            _ => throw new WireException(fault, status == FrameStatus.TooLarge),
        };
    }

    public async ValueTask FlushAsync(CancellationToken ct) => await Output.FlushAsync(ct).ConfigureAwait(false);
}

/// <summary>What a connection tells of its other end.</summary>
internal sealed class Peer
{
    public System.Net.EndPoint? Remote { get; init; }
    public bool IsLoopback { get; init; }

    /// <summary>The client's certificate, proven to be its own by TLS and otherwise unchecked; null for none.</summary>
    public X509Certificate2? Certificate { get; set; }

    /// <summary>What the client sent along with it.</summary>
    public X509Certificate2Collection Between { get; } = [];
}

/// <summary>A peer sent what the protocol does not know, or too much of it: the session ends.</summary>
internal sealed class WireException(WireFault fault, bool tooLarge) : Exception(fault.Describe())
{
    public WireFault Fault { get; } = fault;
    public bool TooLarge { get; } = tooLarge;
}
