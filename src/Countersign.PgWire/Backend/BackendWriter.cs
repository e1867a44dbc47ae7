using System.Buffers;
using System.Text;

namespace Countersign.PgWire;

/// <summary>A column of a result that the gateway makes itself; its values are text.</summary>
/// <param name="Name">Name.</param>
/// <param name="TypeOid">Type oid: a constant of <see cref="PgTypes"/>.</param>
/// <param name="TypeSize">Bytes of the type; -1 for variable width.</param>
public readonly record struct TextColumn(string Name, uint TypeOid = PgTypes.Text, short TypeSize = -1);

/// <summary>
/// Writes what the gateway sends to a client. Each call writes one whole message or throws without writing: an
/// <see cref="ArgumentException"/> for a string with a NUL or a lone surrogate, which is a bug of the caller. Reports are the
/// exception: their text may come from anywhere and is made safe instead.
/// </summary>
public static class BackendWriter
{
    /// <summary>AuthenticationOk.</summary>
    public static void WriteAuthenticationOk(IBufferWriter<byte> output) => WriteAuthentication(output, AuthenticationKind.Ok, default);

    /// <summary>AuthenticationCleartextPassword. Only ever over TLS.</summary>
    public static void WriteAuthenticationCleartextPassword(IBufferWriter<byte> output) =>
        WriteAuthentication(output, AuthenticationKind.CleartextPassword, default);

    /// <summary>AuthenticationSASL, with the mechanisms in order of preference.</summary>
    public static void WriteAuthenticationSasl(IBufferWriter<byte> output, params ReadOnlySpan<string> mechanisms)
    {
        int size = 4 + 1;
        foreach (string mechanism in mechanisms)
            size += MessageWriter.Size(mechanism);
        var writer = new MessageWriter(output, BackendTag.Authentication, size);
        writer.Int32((int)AuthenticationKind.Sasl);
        foreach (string mechanism in mechanisms)
            writer.Text(mechanism);
        writer.Byte(0);
        writer.Finish();
    }

    /// <summary>AuthenticationSASLContinue.</summary>
    public static void WriteAuthenticationSaslContinue(IBufferWriter<byte> output, ReadOnlySpan<byte> data) =>
        WriteAuthentication(output, AuthenticationKind.SaslContinue, data);

    /// <summary>AuthenticationSASLFinal.</summary>
    public static void WriteAuthenticationSaslFinal(IBufferWriter<byte> output, ReadOnlySpan<byte> data) =>
        WriteAuthentication(output, AuthenticationKind.SaslFinal, data);

    /// <summary>
    /// NegotiateProtocolVersion. The word is the whole version (0x00030000 for 3.0), as PostgreSQL sends it and libpq
    /// checks it, though the documentation calls it the minor version.
    /// </summary>
    public static void WriteNegotiateProtocolVersion(IBufferWriter<byte> output, ProtocolVersion newest, params ReadOnlySpan<string> unknownOptions)
    {
        int size = 8;
        foreach (string option in unknownOptions)
            size += MessageWriter.Size(option);
        var writer = new MessageWriter(output, BackendTag.NegotiateProtocolVersion, size);
        writer.Int32(newest.Code);
        writer.Int32(unknownOptions.Length);
        foreach (string option in unknownOptions)
            writer.Text(option);
        writer.Finish();
    }

    /// <summary>The one byte that answers an SSLRequest: <c>S</c> when <paramref name="accepted"/>, else <c>N</c>.</summary>
    public static void WriteSslAnswer(IBufferWriter<byte> output, bool accepted) => output.Write(accepted ? "S"u8 : "N"u8);

    /// <summary>The one byte <c>N</c> that refuses a GSSENCRequest.</summary>
    public static void WriteGssEncRefusal(IBufferWriter<byte> output) => output.Write("N"u8);

    /// <summary>ParameterStatus.</summary>
    public static void WriteParameterStatus(IBufferWriter<byte> output, string name, string value)
    {
        var writer = new MessageWriter(output, BackendTag.ParameterStatus, MessageWriter.Size(name) + MessageWriter.Size(value));
        writer.Text(name);
        writer.Text(value);
        writer.Finish();
    }

    /// <summary>BackendKeyData. The key has 4 bytes in protocol 3.0.</summary>
    public static void WriteBackendKeyData(IBufferWriter<byte> output, int processId, ReadOnlySpan<byte> key)
    {
        if (key.Length is < CancelRequest.LeastKeyBytes or > CancelRequest.MostKeyBytes)
            throw new ArgumentException("a cancel key has 4 to 256 bytes", nameof(key));
        var writer = new MessageWriter(output, BackendTag.KeyData, 4 + key.Length);
        writer.Int32(processId);
        writer.Bytes(key);
        writer.Finish();
    }

    /// <summary>ReadyForQuery.</summary>
    public static void WriteReadyForQuery(IBufferWriter<byte> output, TransactionStatus status)
    {
        var writer = new MessageWriter(output, BackendTag.ReadyForQuery, 1);
        writer.Byte((byte)status);
        writer.Finish();
    }

    /// <summary>
    /// ErrorResponse or NoticeResponse, by the severity. NULs become U+FFFD; a field above
    /// <see cref="PgWireLimits.ReportFieldBytes"/> is cut with a mark.
    /// </summary>
    public static void WriteReport(IBufferWriter<byte> output, Report report, PgWireLimits limits)
    {
        if (report.SqlState.Length != 5 || report.SqlState.AsSpan().ContainsAnyExcept(SqlStateCharacters))
            throw new ArgumentException("a sqlstate has five characters of 0-9 and A-Z", nameof(report));
        bool isError = report.Severity is ReportSeverity.Error or ReportSeverity.Fatal;
        byte[] severity = Encoding.ASCII.GetBytes(report.SeverityWord);
        byte[] sqlState = Encoding.ASCII.GetBytes(report.SqlState);
        byte[] message = Report.Field(report.Message, limits.ReportFieldBytes);
        byte[]? detail = report.Detail is null ? null : Report.Field(report.Detail, limits.ReportFieldBytes);
        byte[]? hint = report.Hint is null ? null : Report.Field(report.Hint, limits.ReportFieldBytes);
        byte[]? position = report.Position is { } at ? Encoding.ASCII.GetBytes(at.ToString(System.Globalization.CultureInfo.InvariantCulture)) : null;

        int size = Size(severity) + Size(severity) + Size(sqlState) + Size(message) + Size(detail) + Size(hint) + Size(position) + 1;
        var writer = new MessageWriter(output, isError ? BackendTag.Error : BackendTag.Notice, size);
        Write(ref writer, 'S', severity);
        Write(ref writer, 'V', severity);
        Write(ref writer, 'C', sqlState);
        Write(ref writer, 'M', message);
        Write(ref writer, 'D', detail);
        Write(ref writer, 'H', hint);
        Write(ref writer, 'P', position);
        writer.Byte(0);
        writer.Finish();

        static int Size(byte[]? field) => field is null ? 0 : field.Length + 2;

        static void Write(ref MessageWriter writer, char code, byte[]? field)
        {
            if (field is null)
                return;
            writer.Byte((byte)code);
            writer.Text(field);
        }
    }

    static readonly SearchValues<char> SqlStateCharacters = SearchValues.Create("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");

    /// <summary>RowDescription of text columns.</summary>
    public static void WriteRowDescription(IBufferWriter<byte> output, params ReadOnlySpan<TextColumn> columns)
    {
        int size = 2;
        foreach (var column in columns)
            size += MessageWriter.Size(column.Name) + 18;
        var writer = new MessageWriter(output, BackendTag.RowDescription, size);
        writer.Int16(columns.Length);
        foreach (var column in columns)
        {
            writer.Text(column.Name);
            writer.UInt32(0);
            writer.Int16(0);
            writer.UInt32(column.TypeOid);
            writer.SignedInt16(column.TypeSize);
            writer.Int32(-1);
            writer.Int16((int)WireFormat.Text);
        }
        writer.Finish();
    }

    /// <summary>DataRow of text values; null is NULL.</summary>
    public static void WriteDataRow(IBufferWriter<byte> output, params ReadOnlySpan<string?> values)
    {
        int size = 2;
        foreach (string? value in values)
            size += 4 + (value is null ? 0 : MessageWriter.Size(value) - 1);
        var writer = new MessageWriter(output, BackendTag.DataRow, size);
        writer.Int16(values.Length);
        foreach (string? value in values)
        {
            writer.Int32(value is null ? -1 : Encoding.UTF8.GetByteCount(value));
            if (value is not null)
                writer.Bytes(Encoding.UTF8.GetBytes(value));
        }
        writer.Finish();
    }

    /// <summary>CommandComplete.</summary>
    public static void WriteCommandComplete(IBufferWriter<byte> output, string tag)
    {
        var writer = new MessageWriter(output, BackendTag.CommandComplete, MessageWriter.Size(tag));
        writer.Text(tag);
        writer.Finish();
    }

    /// <summary>ParameterDescription.</summary>
    public static void WriteParameterDescription(IBufferWriter<byte> output, params ReadOnlySpan<uint> types)
    {
        var writer = new MessageWriter(output, BackendTag.ParameterDescription, 2 + (4 * types.Length));
        writer.Int16(types.Length);
        foreach (uint type in types)
            writer.UInt32(type);
        writer.Finish();
    }

    /// <summary>ParseComplete.</summary>
    public static void WriteParseComplete(IBufferWriter<byte> output) => WriteEmpty(output, BackendTag.ParseComplete);

    /// <summary>BindComplete.</summary>
    public static void WriteBindComplete(IBufferWriter<byte> output) => WriteEmpty(output, BackendTag.BindComplete);

    /// <summary>CloseComplete.</summary>
    public static void WriteCloseComplete(IBufferWriter<byte> output) => WriteEmpty(output, BackendTag.CloseComplete);

    /// <summary>NoData.</summary>
    public static void WriteNoData(IBufferWriter<byte> output) => WriteEmpty(output, BackendTag.NoData);

    /// <summary>PortalSuspended.</summary>
    public static void WritePortalSuspended(IBufferWriter<byte> output) => WriteEmpty(output, BackendTag.PortalSuspended);

    /// <summary>EmptyQueryResponse.</summary>
    public static void WriteEmptyQueryResponse(IBufferWriter<byte> output) => WriteEmpty(output, BackendTag.EmptyQuery);

    static void WriteEmpty(IBufferWriter<byte> output, byte tag) => new MessageWriter(output, tag, 0).Finish();

    static void WriteAuthentication(IBufferWriter<byte> output, AuthenticationKind kind, ReadOnlySpan<byte> data)
    {
        var writer = new MessageWriter(output, BackendTag.Authentication, 4 + data.Length);
        writer.Int32((int)kind);
        writer.Bytes(data);
        writer.Finish();
    }
}
