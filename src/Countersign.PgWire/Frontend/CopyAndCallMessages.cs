namespace Countersign.PgWire;

/// <summary>A piece of COPY data, in either direction: any bytes, on any boundary.</summary>
/// <param name="Data">The bytes.</param>
public readonly record struct CopyDataMessage(ReadOnlyMemory<byte> Data)
{
    /// <summary>Reads the body of a CopyData. Cannot fail: every body is data.</summary>
    public static CopyDataMessage Read(ReadOnlyMemory<byte> body) => new(body);
}

/// <summary>The client gives a COPY up.</summary>
/// <param name="Reason">Its words.</param>
public readonly record struct CopyFailMessage(WireText Reason)
{
    /// <summary>Reads the body of a <see cref="FrontendTag.CopyFail"/>.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> body, out CopyFailMessage message, out WireFault fault)
    {
        var reader = new BodyReader(body);
        message = new CopyFailMessage(reader.Text());
        return Outcome.Of(ref reader, ref message, out fault);
    }
}

/// <summary>The fast path: calls a function by oid, without any SQL (P10).</summary>
public readonly struct FunctionCallMessage
{
    readonly BoundParameter[]? _arguments;

    FunctionCallMessage(uint function, BoundParameter[] arguments, WireFormat resultFormat)
    {
        Function = function;
        _arguments = arguments;
        ResultFormat = resultFormat;
    }

    /// <summary>Oid of the function.</summary>
    public uint Function { get; }

    /// <summary>The arguments, each with its format resolved.</summary>
    public ReadOnlySpan<BoundParameter> Arguments => _arguments;

    /// <summary>Format asked for the result.</summary>
    public WireFormat ResultFormat { get; }

    /// <summary>Reads the body of a <see cref="FrontendTag.FunctionCall"/>.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> body, out FunctionCallMessage message, out WireFault fault)
    {
        var reader = new BodyReader(body);
        message = new FunctionCallMessage(reader.UInt32(), BindMessage.ReadParameters(ref reader), reader.Format());
        return Outcome.Of(ref reader, ref message, out fault);
    }
}
