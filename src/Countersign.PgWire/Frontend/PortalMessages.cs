namespace Countersign.PgWire;

/// <summary>What a Describe or Close names.</summary>
public enum NamedKind : byte
{
    /// <summary>A prepared statement.</summary>
    Statement = (byte)'S',
    /// <summary>A portal.</summary>
    Portal = (byte)'P',
}

/// <summary>Asks for the description of a statement or portal.</summary>
/// <param name="Kind">Which of the two.</param>
/// <param name="Name">Its name; empty for the unnamed one.</param>
public readonly record struct DescribeMessage(NamedKind Kind, WireText Name)
{
    /// <summary>Reads the body of a <see cref="FrontendTag.Describe"/>.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> body, out DescribeMessage message, out WireFault fault)
    {
        var reader = new BodyReader(body);
        message = new DescribeMessage(Named.Kind(ref reader), reader.Text());
        return Outcome.Of(ref reader, ref message, out fault);
    }
}

/// <summary>Drops a statement or portal; one that does not exist is no error.</summary>
/// <param name="Kind">Which of the two.</param>
/// <param name="Name">Its name; empty for the unnamed one.</param>
public readonly record struct CloseMessage(NamedKind Kind, WireText Name)
{
    /// <summary>Reads the body of a <see cref="FrontendTag.Close"/>.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> body, out CloseMessage message, out WireFault fault)
    {
        var reader = new BodyReader(body);
        message = new CloseMessage(Named.Kind(ref reader), reader.Text());
        return Outcome.Of(ref reader, ref message, out fault);
    }
}

/// <summary>Runs a portal.</summary>
/// <param name="Portal">Its name; empty for the unnamed one.</param>
/// <param name="MaxRows">Most rows to return before PortalSuspended; 0 for all. Never negative.</param>
public readonly record struct ExecuteMessage(WireText Portal, int MaxRows)
{
    /// <summary>Reads the body of an <see cref="FrontendTag.Execute"/>.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> body, out ExecuteMessage message, out WireFault fault)
    {
        var reader = new BodyReader(body);
        message = new ExecuteMessage(reader.Text(), reader.Int32());
        if (message.MaxRows < 0)
            reader.Fail(WireFault.BadCount);
        return Outcome.Of(ref reader, ref message, out fault);
    }
}

/// <summary>Messages whose body must be empty, in either direction: Sync, Flush, Terminate, CopyDone, ParseComplete, NoData, ….</summary>
public static class EmptyMessage
{
    /// <summary>Checks that there is no body.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> body, out WireFault fault)
    {
        fault = body.IsEmpty ? WireFault.None : WireFault.TrailingBytes;
        return body.IsEmpty;
    }
}

static class Named
{
    public static NamedKind Kind(ref BodyReader reader)
    {
        byte kind = reader.Byte();
        if (kind is not ((byte)'S' or (byte)'P'))
            reader.Fail(WireFault.UnknownKind);
        return (NamedKind)kind;
    }
}
