using System.Buffers;

namespace Countersign.PgWire.Tests;

/// <summary>
/// Entry points for a fuzzer, run in the unit suite too. For any bytes: nothing throws, nothing reads past the end, no
/// memory is reserved by a claimed length, the span and the segmented reader agree, and what was read, written again, is
/// the same message.
/// </summary>
public static class Fuzz
{
    static readonly FrameReader FrontendReader = FrameReader.Frontend(PgWireLimits.Default);
    static readonly FrameReader AuthenticationReader = FrameReader.FrontendAuthentication(PgWireLimits.Default);
    static readonly FrameReader BackendReader = FrameReader.Backend(PgWireLimits.Default);
    static readonly FrameReader BackendStartupReader = FrameReader.BackendStartup(PgWireLimits.Default);

    /// <summary>A client's stream after authentication, and the same bytes as start-up and as password messages.</summary>
    public static void Frontend(ReadOnlySpan<byte> data)
    {
        byte[] bytes = data.ToArray();
        Frames(FrontendReader, bytes, FrontendMessage);
        Frames(AuthenticationReader, bytes, static (_, body, _) =>
        {
            bool isPassword = PasswordMessage.TryRead(body, out var password, out var fault);
            Agree(isPassword, fault);
            bool isSasl = SaslInitialResponse.TryRead(body, out _, out fault);
            Agree(isSasl, fault);
            True(SaslResponse.Read(body).Data.Length == body.Length);
            if (isPassword)
                True(password.Password.Utf8.Length == body.Length - 1);
        });
        Startup(bytes);
    }

    /// <summary>A server's stream.</summary>
    public static void Backend(ReadOnlySpan<byte> data)
    {
        byte[] bytes = data.ToArray();
        Frames(BackendReader, bytes, BackendMessage);
        Frames(BackendStartupReader, bytes, BackendMessage);
    }

    /// <summary>A value of a type named by the first two bytes, in both formats.</summary>
    public static void Value(ReadOnlySpan<byte> data)
    {
        if (data.Length < 2)
            return;
        uint oid = (uint)((data[0] << 8) | data[1]);
        foreach (var format in (ReadOnlySpan<WireFormat>)[WireFormat.Text, WireFormat.Binary])
        {
            bool read = ParameterText.TryRender(oid, format, data[2..], out string text);
            True(text is not null);
            True(text!.Length <= 1024 + (64 * data.Length));
            True(read || text.StartsWith("\\x", StringComparison.Ordinal));
        }
    }

    /// <summary>Each message of a SCRAM exchange, on either side.</summary>
    public static void Sasl(ReadOnlySpan<byte> data)
    {
        var limits = PgWireLimits.Default with { ScramMinIterations = 1, ScramMaxIterations = 10 };
        var server = new ScramServer(ScramVerifier.Mock(new byte[32], "x", 4096), new byte[Scram.NonceBytes]);
        if (server.TryFirst(data, out _, out var failure))
        {
            True(!server.TryFinal(data, out byte[] signature, out failure));
            True(signature.Length == 0);
        }
        True(failure != ScramFailure.None);
        var client = new ScramClient("key", new byte[Scram.NonceBytes], limits);
        client.TryFirst(out _);
        client.TryChallenge(data, out _, out _);
        True(!client.TryFinish(data, out _) && !client.IsDone);
    }

    static void Startup(byte[] bytes)
    {
        var whole = new ReadOnlySequence<byte>(bytes);
        var cut = Wire.Segments(bytes, 3);
        long before = GC.GetAllocatedBytesForCurrentThread();
        var status = StartupPacket.TryRead(ref whole, PgWireLimits.Default, out var packet, out var fault);
        Bounded(before, bytes.Length);
        True(StartupPacket.TryRead(ref cut, PgWireLimits.Default, out _, out var cutFault) == status && cutFault == fault);
        True(packet is not null == (status == FrameStatus.Ok));
        True(whole.Length == (status == FrameStatus.Ok ? cut.Length : bytes.Length));
        if (packet is null)
            return;
        byte[] again = Wire.Written(output =>
        {
            switch (packet.Kind)
            {
                case StartupKind.SslRequest:
                    FrontendWriter.WriteSslRequest(output);
                    break;
                case StartupKind.GssEncRequest:
                    FrontendWriter.WriteGssEncRequest(output);
                    break;
                case StartupKind.CancelRequest:
                    FrontendWriter.WriteCancelRequest(output, packet.Cancel!.ProcessId, packet.Cancel.Key.Span);
                    break;
                default:
                    FrontendWriter.WriteStartup(output, packet.Startup!.Version, packet.Startup.Parameters.AsSpan());
                    break;
            }
        });
        True(again.AsSpan().SequenceEqual(bytes.AsSpan(0, (int)(bytes.Length - whole.Length))));
    }

    static void Frames(FrameReader reader, byte[] bytes, Action<byte, ReadOnlyMemory<byte>, byte[]> message)
    {
        var cut = Wire.Segments(bytes, 3);
        int at = 0;
        while (true)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            var status = reader.TryReadFrame(bytes.AsSpan(at), out var header, out var body, out var fault);
            True(GC.GetAllocatedBytesForCurrentThread() == before);
            long rest = cut.Length;
            True(reader.TryReadFrame(ref cut, out var frame, out var cutFault) == status && cutFault == fault);
            True((fault == WireFault.None) == (status is FrameStatus.Ok or FrameStatus.NeedMore));
            if (status != FrameStatus.Ok)
            {
                True(cut.Length == rest);
                return;
            }
            True(header == frame.Header && body.SequenceEqual(frame.Body.Span) && header.TotalLength == frame.Whole.Length);
            byte[] whole = bytes.AsSpan(at, header.TotalLength).ToArray();
            before = GC.GetAllocatedBytesForCurrentThread();
            message(header.Tag, whole.AsMemory(FrameHeader.Size), whole);
            Bounded(before, whole.Length);
            at += header.TotalLength;
        }
    }

    static void FrontendMessage(byte tag, ReadOnlyMemory<byte> body, byte[] whole)
    {
        WireFault fault;
        switch (tag)
        {
            case FrontendTag.Query:
                if (Agree(QueryMessage.TryRead(body, out var query, out fault), fault))
                    Same(whole, o => FrontendWriter.WriteQuery(o, query.Sql));
                break;
            case FrontendTag.Parse:
                if (Agree(ParseMessage.TryRead(body, out var parse, out fault), fault))
                    Same(whole, o => FrontendWriter.WriteParse(o, parse.Name.ToString(), parse.Sql.ToString(), parse.ParameterTypes));
                break;
            case FrontendTag.Bind:
                if (Agree(BindMessage.TryRead(body, out var bind, out fault), fault))
                    SameBind(bind);
                break;
            case FrontendTag.Describe:
                if (Agree(DescribeMessage.TryRead(body, out var describe, out fault), fault))
                    Same(whole, o => FrontendWriter.WriteDescribe(o, describe.Kind, describe.Name.ToString()));
                break;
            case FrontendTag.Close:
                if (Agree(CloseMessage.TryRead(body, out var close, out fault), fault))
                    Same(whole, o => FrontendWriter.WriteClose(o, close.Kind, close.Name.ToString()));
                break;
            case FrontendTag.Execute:
                if (Agree(ExecuteMessage.TryRead(body, out var execute, out fault), fault))
                    Same(whole, o => FrontendWriter.WriteExecute(o, execute.Portal.ToString(), execute.MaxRows));
                break;
            case FrontendTag.FunctionCall:
                Agree(FunctionCallMessage.TryRead(body, out _, out fault), fault);
                break;
            case FrontendTag.CopyFail:
                if (Agree(CopyFailMessage.TryRead(body, out var fail, out fault), fault))
                    Same(whole, o => FrontendWriter.WriteCopyFail(o, fail.Reason.ToString()));
                break;
            case FrontendTag.CopyData:
                True(CopyDataMessage.Read(body).Data.Length == body.Length);
                break;
            default:
                Agree(EmptyMessage.TryRead(body, out fault), fault);
                break;
        }
    }

    static void SameBind(BindMessage bind)
    {
        var parameters = bind.ParameterMemory;
        var formats = bind.ResultFormats.ToArray();
        byte[] again = Wire.Written(o => FrontendWriter.WriteBind(o, bind.Portal.ToString(), bind.Statement.ToString(), parameters.Span, formats));
        True(BindMessage.TryRead(again.AsMemory(FrameHeader.Size), out var second, out _));
        True(second.Portal == bind.Portal && second.Statement == bind.Statement && second.ResultFormats.SequenceEqual(formats));
        True(second.Parameters.Length == parameters.Length);
        for (int i = 0; i < parameters.Length; i++)
        {
            var (left, right) = (parameters.Span[i], second.Parameters[i]);
            True(left.Format == right.Format && left.Value.HasValue == right.Value.HasValue);
            True(left.Value is not { } value || value.Span.SequenceEqual(right.Value!.Value.Span));
        }
    }

    static void BackendMessage(byte tag, ReadOnlyMemory<byte> body, byte[] whole)
    {
        WireFault fault;
        switch (tag)
        {
            case BackendTag.Authentication:
                Agree(AuthenticationMessage.TryRead(body, out _, out fault), fault);
                break;
            case BackendTag.KeyData:
                if (Agree(BackendKeyData.TryRead(body, out var key, out fault), fault))
                    Same(whole, o => BackendWriter.WriteBackendKeyData(o, key.ProcessId, key.Key.Span));
                break;
            case BackendTag.ParameterStatus:
                if (Agree(ParameterStatus.TryRead(body, out var setting, out fault), fault))
                    Same(whole, o => BackendWriter.WriteParameterStatus(o, setting.Name.ToString(), setting.Value.ToString()));
                break;
            case BackendTag.ReadyForQuery:
                if (Agree(ReadyForQuery.TryRead(body, out var ready, out fault), fault))
                    Same(whole, o => BackendWriter.WriteReadyForQuery(o, ready.Status));
                break;
            case BackendTag.Error or BackendTag.Notice:
                if (Agree(ServerReport.TryRead(body, out var report, out fault), fault))
                    True(report!.ToString().Length > 0 && report.SqlState is null or { Length: 5 });
                break;
            case BackendTag.CommandComplete:
                if (Agree(CommandComplete.TryRead(body, out var complete, out fault), fault))
                {
                    True(complete.Rows is null or >= 0);
                    Same(whole, o => BackendWriter.WriteCommandComplete(o, complete.Tag.ToString()));
                }
                break;
            case BackendTag.RowDescription:
                Agree(RowDescription.TryRead(body, out _, out fault), fault);
                break;
            case BackendTag.DataRow:
                Row(body.Span);
                break;
            case BackendTag.ParameterDescription:
                if (Agree(ParameterDescription.TryRead(body, out var types, out fault), fault))
                    Same(whole, o => BackendWriter.WriteParameterDescription(o, types.Types));
                break;
            case BackendTag.CopyIn or BackendTag.CopyOut or BackendTag.CopyBoth:
                Agree(CopyResponse.TryRead(body, out _, out fault), fault);
                break;
            case BackendTag.Notification:
                Agree(NotificationMessage.TryRead(body, out _, out fault), fault);
                break;
            case BackendTag.NegotiateProtocolVersion:
                Agree(NegotiateProtocolVersion.TryRead(body, out _, out fault), fault);
                break;
            case BackendTag.ParseComplete or BackendTag.BindComplete or BackendTag.NoData:
                Agree(EmptyMessage.TryRead(body, out fault), fault);
                break;
        }
    }

    static void Row(ReadOnlySpan<byte> body)
    {
        if (!Agree(DataRow.TryRead(body, out var row, out var fault), fault))
            return;
        int values = 0, bytes = 2;
        while (row.TryNext(out bool isNull, out var value))
        {
            values++;
            bytes += 4 + value.Length;
            True(!isNull || value.IsEmpty);
        }
        True(values == row.Columns && bytes == body.Length);
    }

    static bool Agree(bool read, WireFault fault)
    {
        True(read == (fault == WireFault.None));
        return read;
    }

    static void Same(byte[] whole, Action<IBufferWriter<byte>> write) => True(Wire.Written(write).AsSpan().SequenceEqual(whole));

    /// <summary>The slack is for what the runtime itself sets up on a first call, and the writers of this check.</summary>
    static void Bounded(long before, int length) => True(GC.GetAllocatedBytesForCurrentThread() - before <= 64 * 1024 + (256L * length));

    static void True(bool condition, [System.Runtime.CompilerServices.CallerArgumentExpression(nameof(condition))] string? text = null)
    {
        if (!condition)
            throw new InvalidOperationException("invariant broken: " + text);
    }
}
