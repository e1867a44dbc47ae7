using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Countersign.PgWire;

/// <summary>
/// Writes one message whose length was computed beforehand into a single span of the output, so that nothing is copied
/// twice and a half-written message can never be seen by the reader of the output.
/// </summary>
ref struct MessageWriter
{
    /// <summary>Refuses lone surrogates: text that leaves the gateway is exactly the text that came in.</summary>
    static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    readonly IBufferWriter<byte> _output;
    readonly Span<byte> _span;
    readonly int _total;
    int _position;

    /// <summary>A message with a tag.</summary>
    public MessageWriter(IBufferWriter<byte> output, byte tag, int bodyLength)
    {
        if (bodyLength > PgWireLimits.AbsoluteFrameBytes)
            throw new ArgumentOutOfRangeException(nameof(bodyLength), bodyLength, "message is longer than the protocol allows");
        _output = output;
        _total = 5 + bodyLength;
        _span = output.GetSpan(_total);
        _span[0] = tag;
        BinaryPrimitives.WriteInt32BigEndian(_span[1..], 4 + bodyLength);
        _position = 5;
    }

    /// <summary>A start-up packet, which has no tag.</summary>
    public MessageWriter(IBufferWriter<byte> output, int bodyLength)
    {
        _output = output;
        _total = 4 + bodyLength;
        _span = output.GetSpan(_total);
        BinaryPrimitives.WriteInt32BigEndian(_span, _total);
        _position = 4;
    }

    /// <summary>Bytes that <see cref="Text"/> will take. Throws <see cref="ArgumentException"/> for a NUL or a lone surrogate.</summary>
    public static int Size(string text)
    {
        if (text.Contains('\0'))
            throw new ArgumentException("a string of the protocol cannot contain a NUL", nameof(text));
        return Strict.GetByteCount(text) + 1;
    }

    public static int Size(ReadOnlySpan<byte> utf8)
    {
        if (utf8.Contains((byte)0))
            throw new ArgumentException("a string of the protocol cannot contain a NUL", nameof(utf8));
        return utf8.Length + 1;
    }

    public void Byte(byte value) => _span[_position++] = value;

    public void Int16(int value)
    {
        BinaryPrimitives.WriteInt16BigEndian(_span[_position..], unchecked((short)checked((ushort)value)));
        _position += 2;
    }

    public void SignedInt16(short value)
    {
        BinaryPrimitives.WriteInt16BigEndian(_span[_position..], value);
        _position += 2;
    }

    public void Int32(int value)
    {
        BinaryPrimitives.WriteInt32BigEndian(_span[_position..], value);
        _position += 4;
    }

    public void UInt32(uint value)
    {
        BinaryPrimitives.WriteUInt32BigEndian(_span[_position..], value);
        _position += 4;
    }

    public void Bytes(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(_span[_position..]);
        _position += bytes.Length;
    }

    public void Text(string text)
    {
        _position += Strict.GetBytes(text, _span[_position..]);
        _span[_position++] = 0;
    }

    public void Text(ReadOnlySpan<byte> utf8)
    {
        Bytes(utf8);
        Byte(0);
    }

    public readonly void Finish()
    {
        if (_position != _total)
            throw new InvalidOperationException($"wrote {_position} bytes of a message of {_total}");
        _output.Advance(_total);
    }
}
