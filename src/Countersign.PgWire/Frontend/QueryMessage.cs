namespace Countersign.PgWire;

/// <summary>A simple query: one string that may hold any number of statements (P1).</summary>
public readonly struct QueryMessage
{
    /// <summary>The text.</summary>
    public WireText Sql { get; private init; }

    /// <summary>Reads the body of a <see cref="FrontendTag.Query"/>.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> body, out QueryMessage message, out WireFault fault)
    {
        var reader = new BodyReader(body);
        message = new QueryMessage { Sql = reader.Text() };
        return Outcome.Of(ref reader, ref message, out fault);
    }
}

/// <summary>Ends a read: a message that is not wholly right is never handed out in part.</summary>
static class Outcome
{
    public static bool Of<T>(ref BodyReader reader, ref T message, out WireFault fault)
        where T : struct
    {
        if (reader.Finish(out fault))
            return true;
        message = default;
        return false;
    }
}
