using System.Text.Unicode;

namespace Countersign.PgWire;

/// <summary>One bound value: null is SQL NULL, which is not the empty value (P25).</summary>
/// <param name="Format">How the value is encoded.</param>
/// <param name="Value">The raw bytes, a slice of the frame; null for NULL.</param>
public readonly record struct BoundParameter(WireFormat Format, ReadOnlyMemory<byte>? Value)
{
    /// <summary>Values may be anybody's data: withheld.</summary>
    public override string ToString() => Value is { } value ? $"{Format}, {value.Length} bytes" : "NULL";
}

/// <summary>Binds values to a prepared statement, making a portal.</summary>
public readonly struct BindMessage
{
    readonly BoundParameter[]? _parameters;
    readonly WireFormat[]? _resultFormats;

    BindMessage(WireText portal, WireText statement, BoundParameter[] parameters, WireFormat[] resultFormats)
    {
        Portal = portal;
        Statement = statement;
        _parameters = parameters;
        _resultFormats = resultFormats;
    }

    /// <summary>Name of the portal; empty for the unnamed one.</summary>
    public WireText Portal { get; }

    /// <summary>Name of the statement; empty for the unnamed one.</summary>
    public WireText Statement { get; }

    /// <summary>The values, each with its format resolved: no code means text for all, one code is for all, else one each.</summary>
    public ReadOnlySpan<BoundParameter> Parameters => _parameters;

    /// <summary>As <see cref="Parameters"/>, for keeping.</summary>
    public ReadOnlyMemory<BoundParameter> ParameterMemory => _parameters;

    /// <summary>Result format codes as sent: none (all text), one (for all columns), or one a column, which only the server can check.</summary>
    public ReadOnlySpan<WireFormat> ResultFormats => _resultFormats;

    /// <summary>
    /// Reads the body of a <see cref="FrontendTag.Bind"/>. A text value must be valid UTF-8 without NUL (P17): it is what a
    /// human is shown.
    /// </summary>
    public static bool TryRead(ReadOnlyMemory<byte> body, out BindMessage message, out WireFault fault)
    {
        var reader = new BodyReader(body);
        var portal = reader.Text();
        var statement = reader.Text();
        var parameters = ReadParameters(ref reader);
        message = new BindMessage(portal, statement, parameters, reader.Formats());
        return Outcome.Of(ref reader, ref message, out fault);
    }

    /// <summary>Format codes, then values: shared with FunctionCall, whose arguments have the same form.</summary>
    internal static BoundParameter[] ReadParameters(ref BodyReader reader)
    {
        var formats = reader.Formats();
        int count = reader.Count(leastBytesEach: 4);
        if (formats.Length > 1 && formats.Length != count)
            reader.Fail(WireFault.BadCount);
        if (count == 0 || reader.Failed)
            return [];
        var parameters = new BoundParameter[count];
        for (int i = 0; i < count && !reader.Failed; i++)
        {
            var format = formats.Length switch { 0 => WireFormat.Text, 1 => formats[0], _ => formats[i] };
            var value = reader.Value();
            if (format == WireFormat.Text && value is { } text)
                CheckText(ref reader, text.Span);
            parameters[i] = new BoundParameter(format, value);
        }
        return parameters;
    }

    static void CheckText(ref BodyReader reader, ReadOnlySpan<byte> text)
    {
        if (!Utf8.IsValid(text))
            reader.Fail(WireFault.InvalidUtf8);
        else if (text.Contains((byte)0))
            reader.Fail(WireFault.EmbeddedNul);
    }
}
