namespace Countersign.PgWire;

/// <summary>Makes a prepared statement of one statement's text.</summary>
public readonly struct ParseMessage
{
    readonly uint[]? _parameterTypes;

    ParseMessage(WireText name, WireText sql, uint[] parameterTypes)
    {
        Name = name;
        Sql = sql;
        _parameterTypes = parameterTypes;
    }

    /// <summary>Name of the statement; empty for the unnamed one.</summary>
    public WireText Name { get; }

    /// <summary>The text.</summary>
    public WireText Sql { get; }

    /// <summary>Type oids that the client names, from the first parameter on; 0 leaves the type to the server, as does a missing one.</summary>
    public ReadOnlySpan<uint> ParameterTypes => _parameterTypes;

    /// <summary>Reads the body of a <see cref="FrontendTag.Parse"/>.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> body, out ParseMessage message, out WireFault fault)
    {
        var reader = new BodyReader(body);
        message = new ParseMessage(reader.Text(), reader.Text(), reader.Oids());
        return Outcome.Of(ref reader, ref message, out fault);
    }
}
