using System.Buffers.Binary;

namespace Countersign.PgWire;

/// <summary>One column of a result.</summary>
/// <param name="Name">Name.</param>
/// <param name="TableOid">Oid of its table, 0 when it is no plain column.</param>
/// <param name="ColumnNumber">Number in its table, 0 when it is no plain column; system columns are negative.</param>
/// <param name="TypeOid">Oid of its type.</param>
/// <param name="TypeSize">Bytes of the type; negative for variable width.</param>
/// <param name="TypeModifier">Modifier of the type; -1 for none.</param>
/// <param name="Format">Format of its values; from Describe of a statement always text, since not yet known.</param>
public readonly record struct ColumnDescription(
    WireText Name, uint TableOid, short ColumnNumber, uint TypeOid, short TypeSize, int TypeModifier, WireFormat Format);

/// <summary>The columns of what follows.</summary>
public readonly struct RowDescription
{
    const int LeastColumnBytes = 1 + 4 + 2 + 4 + 2 + 4 + 2;
    readonly ColumnDescription[]? _columns;

    RowDescription(ColumnDescription[] columns) => _columns = columns;

    /// <summary>The columns; there may be none.</summary>
    public ReadOnlySpan<ColumnDescription> Columns => _columns;

    /// <summary>Reads the body of a <see cref="BackendTag.RowDescription"/>.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> body, out RowDescription message, out WireFault fault)
    {
        var reader = new BodyReader(body);
        int count = reader.Count(LeastColumnBytes);
        var columns = new ColumnDescription[count];
        for (int i = 0; i < count && !reader.Failed; i++)
        {
            columns[i] = new ColumnDescription(reader.Text(), reader.UInt32(), (short)reader.Int16(),
                reader.UInt32(), (short)reader.Int16(), reader.Int32(), reader.Format());
        }
        message = new RowDescription(columns);
        return Outcome.Of(ref reader, ref message, out fault);
    }
}

/// <summary>A row, walked without copying it.</summary>
public ref struct DataRow
{
    ReadOnlySpan<byte> _rest;

    DataRow(int columns, ReadOnlySpan<byte> rest)
    {
        Columns = columns;
        _rest = rest;
    }

    /// <summary>How many values there are.</summary>
    public int Columns { get; }

    /// <summary>Checks that the body of a <see cref="BackendTag.DataRow"/> is a row: every length inside it adds up. Allocates nothing.</summary>
    public static bool TryRead(ReadOnlySpan<byte> body, out DataRow row, out WireFault fault)
    {
        row = default;
        if (body.Length < 2)
        {
            fault = WireFault.Truncated;
            return false;
        }
        int columns = BinaryPrimitives.ReadUInt16BigEndian(body);
        var rest = body[2..];
        for (int i = 0; i < columns; i++)
        {
            if (rest.Length < 4)
            {
                fault = WireFault.Truncated;
                return false;
            }
            int length = BinaryPrimitives.ReadInt32BigEndian(rest);
            rest = rest[4..];
            if (length == -1)
                continue;
            if (length < 0 || length > rest.Length)
            {
                fault = length < 0 ? WireFault.BadValueLength : WireFault.Truncated;
                return false;
            }
            rest = rest[length..];
        }
        fault = rest.IsEmpty ? WireFault.None : WireFault.TrailingBytes;
        if (fault != WireFault.None)
            return false;
        row = new DataRow(columns, body[2..]);
        return true;
    }

    /// <summary>The next value; false after the last one.</summary>
    public bool TryNext(out bool isNull, out ReadOnlySpan<byte> value)
    {
        isNull = false;
        value = default;
        if (_rest.IsEmpty)
            return false;
        int length = BinaryPrimitives.ReadInt32BigEndian(_rest);
        _rest = _rest[4..];
        isNull = length == -1;
        if (isNull)
            return true;
        value = _rest[..length];
        _rest = _rest[length..];
        return true;
    }
}

/// <summary>Types of a prepared statement's parameters, as the server resolved them.</summary>
public readonly struct ParameterDescription
{
    readonly uint[]? _types;

    ParameterDescription(uint[] types) => _types = types;

    /// <summary>Type oids.</summary>
    public ReadOnlySpan<uint> Types => _types;

    /// <summary>Reads the body of a <see cref="BackendTag.ParameterDescription"/>.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> body, out ParameterDescription message, out WireFault fault)
    {
        var reader = new BodyReader(body);
        message = new ParameterDescription(reader.Oids());
        return Outcome.Of(ref reader, ref message, out fault);
    }
}

/// <summary>The server begins COPY: CopyInResponse, CopyOutResponse or CopyBothResponse, told apart by the tag.</summary>
public readonly struct CopyResponse
{
    readonly WireFormat[]? _columns;

    CopyResponse(WireFormat format, WireFormat[] columns)
    {
        Format = format;
        _columns = columns;
    }

    /// <summary>Format of the whole stream.</summary>
    public WireFormat Format { get; }

    /// <summary>Format of each column.</summary>
    public ReadOnlySpan<WireFormat> Columns => _columns;

    /// <summary>Reads the body of a <see cref="BackendTag.CopyIn"/>, <see cref="BackendTag.CopyOut"/> or <see cref="BackendTag.CopyBoth"/>.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> body, out CopyResponse message, out WireFault fault)
    {
        var reader = new BodyReader(body);
        byte format = reader.Byte();
        if (format > 1)
            reader.Fail(WireFault.UnknownFormat);
        message = new CopyResponse((WireFormat)format, reader.Formats());
        return Outcome.Of(ref reader, ref message, out fault);
    }
}
