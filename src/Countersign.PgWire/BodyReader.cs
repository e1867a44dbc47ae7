using System.Buffers.Binary;
using System.Text.Unicode;

namespace Countersign.PgWire;

/// <summary>
/// A cursor over one message body. The first fault sticks: everything read after it is a default, and
/// <see cref="Finish"/> reports it. Nothing is ever read or reserved beyond the bytes that are there.
/// </summary>
ref struct BodyReader(ReadOnlyMemory<byte> body)
{
    readonly ReadOnlyMemory<byte> _body = body;
    readonly ReadOnlySpan<byte> _span = body.Span;
    int _position;
    WireFault _fault;

    public readonly int Remaining => _span.Length - _position;

    public readonly bool Failed => _fault != WireFault.None;

    public void Fail(WireFault fault)
    {
        if (_fault == WireFault.None)
            _fault = fault;
    }

    public readonly bool Finish(out WireFault fault)
    {
        fault = _fault;
        if (fault == WireFault.None && Remaining != 0)
            fault = WireFault.TrailingBytes;
        return fault == WireFault.None;
    }

    bool Need(int count)
    {
        if (Failed)
            return false;
        if (Remaining >= count)
            return true;
        Fail(WireFault.Truncated);
        return false;
    }

    public byte Byte() => Need(1) ? _span[_position++] : (byte)0;

    public int Int16()
    {
        if (!Need(2))
            return 0;
        int value = BinaryPrimitives.ReadInt16BigEndian(_span[_position..]);
        _position += 2;
        return value;
    }

    public int Int32()
    {
        if (!Need(4))
            return 0;
        int value = BinaryPrimitives.ReadInt32BigEndian(_span[_position..]);
        _position += 4;
        return value;
    }

    public uint UInt32()
    {
        if (!Need(4))
            return 0;
        uint value = BinaryPrimitives.ReadUInt32BigEndian(_span[_position..]);
        _position += 4;
        return value;
    }

    /// <summary>
    /// A count of items that follow. PostgreSQL reads it unsigned (<c>pq_getmsgint(2)</c>), so that 65,535 parameters are
    /// legal; one that needs more bytes than there are, as any count meant to be negative does, is a fault here.
    /// </summary>
    public int Count(int leastBytesEach)
    {
        int count = Int16() & 0xFFFF;
        return Bounded(count, leastBytesEach);
    }

    /// <summary>A count in 32 bits, signed.</summary>
    public int Count32(int leastBytesEach) => Bounded(Int32(), leastBytesEach);

    int Bounded(int count, int leastBytesEach)
    {
        if (Failed)
            return 0;
        if (count >= 0 && (long)count * leastBytesEach <= Remaining)
            return count;
        Fail(WireFault.BadCount);
        return 0;
    }

    /// <summary>A NUL-terminated string, which must be valid UTF-8.</summary>
    public WireText Text()
    {
        var raw = RawText();
        if (!Failed && !Utf8.IsValid(raw.Span))
            Fail(WireFault.InvalidUtf8);
        return Failed ? default : new WireText(raw);
    }

    /// <summary>A NUL-terminated string in whatever encoding its sender was in.</summary>
    public ReadOnlyMemory<byte> RawText()
    {
        if (Failed)
            return default;
        int length = _span[_position..].IndexOf((byte)0);
        if (length < 0)
        {
            Fail(WireFault.MissingTerminator);
            return default;
        }
        var text = _body.Slice(_position, length);
        _position += length + 1;
        return text;
    }

    public ReadOnlyMemory<byte> Bytes(int count)
    {
        if (!Need(count))
            return default;
        var bytes = _body.Slice(_position, count);
        _position += count;
        return bytes;
    }

    public ReadOnlyMemory<byte> Rest() => Bytes(Failed ? 0 : Remaining);

    /// <summary>A value behind its 32-bit length, where -1 is NULL.</summary>
    public ReadOnlyMemory<byte>? Value()
    {
        int length = Int32();
        if (Failed || length == -1)
            return null;
        if (length < 0)
        {
            Fail(WireFault.BadValueLength);
            return null;
        }
        var value = Bytes(length);
        return Failed ? null : value;
    }

    public WireFormat Format()
    {
        int code = Int16();
        if (code is not (0 or 1))
            Fail(WireFault.UnknownFormat);
        return Failed ? WireFormat.Text : (WireFormat)code;
    }

    public WireFormat[] Formats()
    {
        int count = Count(2);
        if (count == 0)
            return [];
        var formats = new WireFormat[count];
        for (int i = 0; i < count && !Failed; i++)
            formats[i] = Format();
        return formats;
    }

    public uint[] Oids()
    {
        int count = Count(4);
        if (count == 0)
            return [];
        var oids = new uint[count];
        for (int i = 0; i < count; i++)
            oids[i] = UInt32();
        return oids;
    }
}
