using System.Buffers;

namespace Countersign.PgWire;

/// <summary>
/// Writes what the gateway sends to a server. Each call writes one whole message or throws without writing: an
/// <see cref="ArgumentException"/> for a string with a NUL or a lone surrogate, which is a bug of the caller.
/// </summary>
public static class FrontendWriter
{
    /// <summary>SSLRequest.</summary>
    public static void WriteSslRequest(IBufferWriter<byte> output) => WriteStartupCode(output, 80877103);

    /// <summary>GSSENCRequest.</summary>
    public static void WriteGssEncRequest(IBufferWriter<byte> output) => WriteStartupCode(output, 80877104);

    /// <summary>CancelRequest. The key is what the server gave: 4 bytes in protocol 3.0.</summary>
    public static void WriteCancelRequest(IBufferWriter<byte> output, int processId, ReadOnlySpan<byte> key)
    {
        if (key.Length is < CancelRequest.LeastKeyBytes or > CancelRequest.MostKeyBytes)
            throw new ArgumentException("a cancel key has 4 to 256 bytes", nameof(key));
        var writer = new MessageWriter(output, 8 + key.Length);
        writer.Int32(80877102);
        writer.Int32(processId);
        writer.Bytes(key);
        writer.Finish();
    }

    /// <summary>StartupMessage.</summary>
    public static void WriteStartup(IBufferWriter<byte> output, ProtocolVersion version, ReadOnlySpan<StartupParameter> parameters)
    {
        int size = 4 + 1;
        foreach (var parameter in parameters)
        {
            if (parameter.Name.Length == 0)
                throw new ArgumentException("a start-up parameter needs a name", nameof(parameters));
            size += MessageWriter.Size(parameter.Name) + MessageWriter.Size(parameter.Value);
        }
        var writer = new MessageWriter(output, size);
        writer.Int32(version.Code);
        foreach (var parameter in parameters)
        {
            writer.Text(parameter.Name);
            writer.Text(parameter.Value);
        }
        writer.Byte(0);
        writer.Finish();
    }

    /// <summary>PasswordMessage, for an answer made by <see cref="PasswordAnswer"/>.</summary>
    public static void WritePassword(IBufferWriter<byte> output, string password) => WriteText(output, FrontendTag.Password, password);

    /// <summary>SASLInitialResponse.</summary>
    public static void WriteSaslInitialResponse(IBufferWriter<byte> output, string mechanism, ReadOnlySpan<byte> data)
    {
        var writer = new MessageWriter(output, FrontendTag.Password, MessageWriter.Size(mechanism) + 4 + data.Length);
        writer.Text(mechanism);
        writer.Int32(data.Length);
        writer.Bytes(data);
        writer.Finish();
    }

    /// <summary>SASLResponse.</summary>
    public static void WriteSaslResponse(IBufferWriter<byte> output, ReadOnlySpan<byte> data) => WriteBytes(output, FrontendTag.Password, data);

    /// <summary>Query.</summary>
    public static void WriteQuery(IBufferWriter<byte> output, string sql) => WriteText(output, FrontendTag.Query, sql);

    /// <summary>Query, of text as a client sent it.</summary>
    public static void WriteQuery(IBufferWriter<byte> output, WireText sql)
    {
        var writer = new MessageWriter(output, FrontendTag.Query, MessageWriter.Size(sql.Utf8.Span));
        writer.Text(sql.Utf8.Span);
        writer.Finish();
    }

    /// <summary>Parse.</summary>
    public static void WriteParse(IBufferWriter<byte> output, string name, string sql, ReadOnlySpan<uint> parameterTypes = default)
    {
        var writer = new MessageWriter(output, FrontendTag.Parse,
            MessageWriter.Size(name) + MessageWriter.Size(sql) + 2 + (4 * parameterTypes.Length));
        writer.Text(name);
        writer.Text(sql);
        writer.Int16(parameterTypes.Length);
        foreach (uint oid in parameterTypes)
            writer.UInt32(oid);
        writer.Finish();
    }

    /// <summary>Bind, with one format code for each value. More than 65,535 values throw <see cref="OverflowException"/>.</summary>
    public static void WriteBind(IBufferWriter<byte> output, string portal, string statement,
        ReadOnlySpan<BoundParameter> parameters = default, ReadOnlySpan<WireFormat> resultFormats = default)
    {
        int size = MessageWriter.Size(portal) + MessageWriter.Size(statement) + 6 + (2 * resultFormats.Length);
        foreach (ref readonly var parameter in parameters)
            size += 2 + 4 + (parameter.Value?.Length ?? 0);
        var writer = new MessageWriter(output, FrontendTag.Bind, size);
        writer.Text(portal);
        writer.Text(statement);
        writer.Int16(parameters.Length);
        foreach (ref readonly var parameter in parameters)
            writer.Int16((int)parameter.Format);
        writer.Int16(parameters.Length);
        foreach (ref readonly var parameter in parameters)
        {
            writer.Int32(parameter.Value?.Length ?? -1);
            if (parameter.Value is { } value)
                writer.Bytes(value.Span);
        }
        writer.Int16(resultFormats.Length);
        foreach (var format in resultFormats)
            writer.Int16((int)format);
        writer.Finish();
    }

    /// <summary>Describe.</summary>
    public static void WriteDescribe(IBufferWriter<byte> output, NamedKind kind, string name) => WriteNamed(output, FrontendTag.Describe, kind, name);

    /// <summary>Close.</summary>
    public static void WriteClose(IBufferWriter<byte> output, NamedKind kind, string name) => WriteNamed(output, FrontendTag.Close, kind, name);

    /// <summary>Execute. <paramref name="maxRows"/> 0 is for all rows.</summary>
    public static void WriteExecute(IBufferWriter<byte> output, string portal, int maxRows = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(maxRows);
        var writer = new MessageWriter(output, FrontendTag.Execute, MessageWriter.Size(portal) + 4);
        writer.Text(portal);
        writer.Int32(maxRows);
        writer.Finish();
    }

    /// <summary>Sync.</summary>
    public static void WriteSync(IBufferWriter<byte> output) => WriteBytes(output, FrontendTag.Sync, default);

    /// <summary>Flush.</summary>
    public static void WriteFlush(IBufferWriter<byte> output) => WriteBytes(output, FrontendTag.Flush, default);

    /// <summary>Terminate.</summary>
    public static void WriteTerminate(IBufferWriter<byte> output) => WriteBytes(output, FrontendTag.Terminate, default);

    /// <summary>CopyFail: how the gateway ends a COPY that it will not carry.</summary>
    public static void WriteCopyFail(IBufferWriter<byte> output, string reason) => WriteText(output, FrontendTag.CopyFail, reason);

    static void WriteStartupCode(IBufferWriter<byte> output, int code)
    {
        var writer = new MessageWriter(output, 4);
        writer.Int32(code);
        writer.Finish();
    }

    static void WriteText(IBufferWriter<byte> output, byte tag, string text)
    {
        var writer = new MessageWriter(output, tag, MessageWriter.Size(text));
        writer.Text(text);
        writer.Finish();
    }

    static void WriteBytes(IBufferWriter<byte> output, byte tag, ReadOnlySpan<byte> bytes)
    {
        var writer = new MessageWriter(output, tag, bytes.Length);
        writer.Bytes(bytes);
        writer.Finish();
    }

    static void WriteNamed(IBufferWriter<byte> output, byte tag, NamedKind kind, string name)
    {
        var writer = new MessageWriter(output, tag, 1 + MessageWriter.Size(name));
        writer.Byte((byte)kind);
        writer.Text(name);
        writer.Finish();
    }
}
