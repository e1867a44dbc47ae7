using System.Buffers;
using System.Text;

namespace Countersign.PgWire.Tests;

public sealed class BackendTests
{
    [Fact]
    public void Messages_golden_bytes()
    {
        Assert.Equal(Wire.Hex("52 00000008 00000000"), Wire.Written(BackendWriter.WriteAuthenticationOk));
        Assert.Equal(Wire.Hex("52 00000008 00000003"), Wire.Written(BackendWriter.WriteAuthenticationCleartextPassword));
        Assert.Equal(Wire.Message('R', Wire.I32(10), Wire.Z("SCRAM-SHA-256"), [0]), Wire.Written(o => BackendWriter.WriteAuthenticationSasl(o, Scram.Mechanism)));
        Assert.Equal(Wire.Hex("52 00000009 0000000b 61"), Wire.Written(o => BackendWriter.WriteAuthenticationSaslContinue(o, "a"u8)));
        Assert.Equal(Wire.Hex("52 00000009 0000000c 61"), Wire.Written(o => BackendWriter.WriteAuthenticationSaslFinal(o, "a"u8)));
        Assert.Equal(Wire.Hex("53 00000008 6100 6200"), Wire.Written(o => BackendWriter.WriteParameterStatus(o, "a", "b")));
        Assert.Equal(Wire.Hex("4b 0000000c 0000002a 01020304"), Wire.Written(o => BackendWriter.WriteBackendKeyData(o, 42, [1, 2, 3, 4])));
        Assert.Equal(Wire.Hex("5a 00000005 54"), Wire.Written(o => BackendWriter.WriteReadyForQuery(o, TransactionStatus.InTransaction)));
        Assert.Equal(Wire.Hex("54 0000001a 0001 6100 00000000 0000 00000019 ffff ffffffff 0000"), Wire.Written(o => BackendWriter.WriteRowDescription(o, new TextColumn("a"))));
        Assert.Equal(Wire.Hex("44 00000013 0003 00000001 61 ffffffff 00000000"), Wire.Written(o => BackendWriter.WriteDataRow(o, "a", null, "")));
        Assert.Equal(Wire.Hex("43 00000008 53455400"), Wire.Written(o => BackendWriter.WriteCommandComplete(o, "SET")));
        Assert.Equal(Wire.Hex("74 0000000a 0001 00000014"), Wire.Written(o => BackendWriter.WriteParameterDescription(o, 20)));
        Assert.Equal(Wire.Hex("31 00000004"), Wire.Written(BackendWriter.WriteParseComplete));
        Assert.Equal(Wire.Hex("32 00000004"), Wire.Written(BackendWriter.WriteBindComplete));
        Assert.Equal(Wire.Hex("33 00000004"), Wire.Written(BackendWriter.WriteCloseComplete));
        Assert.Equal(Wire.Hex("6e 00000004"), Wire.Written(BackendWriter.WriteNoData));
        Assert.Equal(Wire.Hex("73 00000004"), Wire.Written(BackendWriter.WritePortalSuspended));
        Assert.Equal(Wire.Hex("49 00000004"), Wire.Written(BackendWriter.WriteEmptyQueryResponse));
        Assert.Equal("SN"u8.ToArray(), Wire.Written(o =>
        {
            BackendWriter.WriteSslAnswer(o, true);
            BackendWriter.WriteGssEncRefusal(o);
        }));
    }

    [Fact]
    public void Report_error_golden_bytes()
    {
        var report = new Report(ReportSeverity.Error, SqlStates.InsufficientPrivilege, "no", "reason=policy-denied review=-", "ask", 7);
        byte[] written = Wire.Written(o => BackendWriter.WriteReport(o, report, PgWireLimits.Default));
        Assert.Equal(Wire.Message('E', Wire.Z("SERROR"), Wire.Z("VERROR"), Wire.Z("C42501"), Wire.Z("Mno"),
            Wire.Z("Dreason=policy-denied review=-"), Wire.Z("Hask"), Wire.Z("P7"), [0]), written);
        Assert.True(ServerReport.TryRead(written.AsMemory(5), out var read, out _));
        Assert.Equal(("ERROR", "42501", "no", "ask", false), (read!.Severity, read.SqlState, read.Message, read.Hint, read.IsFatal));
    }

    [Theory]
    [InlineData(ReportSeverity.Error, 'E')]
    [InlineData(ReportSeverity.Fatal, 'E')]
    [InlineData(ReportSeverity.Notice, 'N')]
    [InlineData(ReportSeverity.Warning, 'N')]
    [InlineData(ReportSeverity.Info, 'N')]
    public void Report_severity_decides_between_error_and_notice(ReportSeverity severity, char tag) =>
        Assert.Equal((byte)tag, Wire.Written(o => BackendWriter.WriteReport(o, new Report(severity, "00000", "x"), PgWireLimits.Default))[0]);

    [Fact]
    public void P34_Report_text_cannot_end_its_field_or_forge_another()
    {
        var report = new Report(ReportSeverity.Error, "42501", "a\0Hforged\0\0", "\uD800");
        byte[] written = Wire.Written(o => BackendWriter.WriteReport(o, report, PgWireLimits.Default));
        Assert.True(ServerReport.TryRead(written.AsMemory(5), out var read, out _));
        Assert.Equal("a\uFFFDHforged\uFFFD\uFFFD", read!.Message);
        Assert.Equal("\uFFFD", read.Detail);
        Assert.Null(read.Hint);
    }

    [Fact]
    public void I10_Report_field_above_its_limit_is_cut_with_a_mark_between_characters()
    {
        var limits = PgWireLimits.Default with { ReportFieldBytes = 64 };
        foreach (string text in new[] { new string('x', 65), new string('ä', 40), string.Concat(Enumerable.Repeat("😀", 30)) })
        {
            byte[] written = Wire.Written(o => BackendWriter.WriteReport(o, new Report(ReportSeverity.Error, "42501", text), limits));
            Assert.True(ServerReport.TryRead(written.AsMemory(5), out var read, out _));
            Assert.EndsWith("… (cut here by the gateway)", read!.Message, StringComparison.Ordinal);
            Assert.DoesNotContain('\uFFFD', read.Message);
            Assert.InRange(Encoding.UTF8.GetByteCount(read.Message), 40, 64);
        }
        byte[] whole = Wire.Written(o => BackendWriter.WriteReport(o, new Report(ReportSeverity.Error, "42501", new string('x', 64)), limits));
        Assert.True(ServerReport.TryRead(whole.AsMemory(5), out var fits, out _));
        Assert.Equal(new string('x', 64), fits!.Message);
    }

    [Theory]
    [InlineData("4250")]
    [InlineData("42501 ")]
    [InlineData("4250a")]
    [InlineData("425\01")]
    public void Report_sqlstate_of_another_shape_is_a_bug(string sqlState)
    {
        var output = new ArrayBufferWriter<byte>();
        Assert.Throws<ArgumentException>(() => BackendWriter.WriteReport(output, new Report(ReportSeverity.Error, sqlState, "x"), PgWireLimits.Default));
        Assert.Equal(0, output.WrittenCount);
    }

    [Fact]
    public void P14_Error_without_sqlstate_or_message_is_read()
    {
        Assert.True(ServerReport.TryRead(new byte[] { 0 }, out var report, out _));
        Assert.Null(report!.SqlState);
        Assert.Equal("", report.Message);
        Assert.Null(report.Severity);
        Assert.False(report.IsFatal);
        Assert.Equal("ERROR (no sqlstate): ", report.ToString());
        Assert.True(ServerReport.TryRead(Wire.Cat(Wire.Z("SFEHLER"), Wire.Z("VFATAL"), Wire.Z("C1"), [0]), out report, out _));
        Assert.Null(report!.SqlState);
        Assert.True(report.IsFatal);
    }

    [Fact]
    public void P14_Error_shapes_that_do_not_add_up_are_malformed()
    {
        Assert.Equal(WireFault.MissingTerminator, Fault([]));
        Assert.Equal(WireFault.MissingTerminator, Fault(Wire.Z("Mx")));
        Assert.Equal(WireFault.MissingTerminator, Fault("Mx"u8.ToArray()));
        Assert.Equal(WireFault.TrailingBytes, Fault(Wire.Cat(Wire.Z("Mx"), [0, 0])));
        Assert.Equal(WireFault.BadCount, Fault(Wire.Cat([.. Enumerable.Repeat(Wire.Z("M"), 65), [0]])));

        static WireFault Fault(byte[] body) => ServerReport.TryRead(body, out _, out var fault) ? WireFault.None : fault;
    }

    [Fact]
    public void Error_in_the_servers_own_encoding_is_read()
    {
        Assert.True(ServerReport.TryRead(Wire.Cat("Mz"u8.ToArray(), [0xFC, 0], [0]), out var report, out _));
        Assert.Equal("z\uFFFD", report!.Message);
    }

    [Theory]
    [InlineData("UPDATE 3", 3L)]
    [InlineData("INSERT 0 5", 5L)]
    [InlineData("SELECT 0", 0L)]
    [InlineData("COPY 9223372036854775807", long.MaxValue)]
    [InlineData("MERGE 2", 2L)]
    [InlineData("BEGIN", null)]
    [InlineData("CREATE TABLE", null)]
    [InlineData("", null)]
    [InlineData("SELECT ", null)]
    [InlineData("SELECT -1", null)]
    [InlineData("SELECT +1", null)]
    [InlineData("SELECT 1x", null)]
    [InlineData("SELECT 99999999999999999999", null)]
    public void Command_tag_counts_rows(string tag, long? rows)
    {
        Assert.True(CommandComplete.TryRead(Wire.Z(tag), out var complete, out _));
        Assert.Equal(rows, complete.Rows);
        Assert.Equal(tag, complete.Tag.ToString());
    }

    [Fact]
    public void Authentication_requests_are_read()
    {
        Assert.Equal(AuthenticationKind.Ok, Read(Wire.I32(0)).Kind);
        Assert.Equal([1, 2, 3, 4], Read(Wire.Cat(Wire.I32(5), [1, 2, 3, 4])).Data.ToArray());
        Assert.Equal(["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"],
            Read(Wire.Cat(Wire.I32(10), Wire.Z("SCRAM-SHA-256-PLUS"), Wire.Z("SCRAM-SHA-256"), [0])).Mechanisms);
        Assert.Equal("x"u8.ToArray(), Read(Wire.Cat(Wire.I32(11), "x"u8.ToArray())).Data.ToArray());

        static AuthenticationMessage Read(byte[] body)
        {
            Assert.True(AuthenticationMessage.TryRead(body, out var message, out _));
            return message;
        }
    }

    [Fact]
    public void P14_Authentication_shapes_that_do_not_add_up_are_malformed()
    {
        Assert.Equal(WireFault.Truncated, Fault([]));
        Assert.Equal(WireFault.TrailingBytes, Fault(Wire.Cat(Wire.I32(0), [0])));
        Assert.Equal(WireFault.Truncated, Fault(Wire.Cat(Wire.I32(5), [1, 2, 3])));
        Assert.Equal(WireFault.TrailingBytes, Fault(Wire.Cat(Wire.I32(5), [1, 2, 3, 4, 5])));
        Assert.Equal(WireFault.MissingTerminator, Fault(Wire.Cat(Wire.I32(10), Wire.Z("SCRAM-SHA-256"))));
        Assert.Equal(WireFault.UnknownKind, Fault(Wire.I32(1)));
        Assert.Equal(WireFault.UnknownKind, Fault(Wire.I32(-1)));

        static WireFault Fault(byte[] body) => AuthenticationMessage.TryRead(body, out _, out var fault) ? WireFault.None : fault;
    }

    [Fact]
    public void Session_messages_are_read()
    {
        Assert.True(ReadyForQuery.TryRead("E"u8.ToArray(), out var ready, out _));
        Assert.Equal(TransactionStatus.Failed, ready.Status);
        Assert.False(ReadyForQuery.TryRead("x"u8.ToArray(), out _, out var fault));
        Assert.Equal(WireFault.UnknownKind, fault);
        Assert.True(ParameterStatus.TryRead(Wire.Cat(Wire.Z("standard_conforming_strings"), Wire.Z("on")), out var setting, out _));
        Assert.True(setting.Name.Is("standard_conforming_strings"u8) && setting.Value.Is("on"u8));
        Assert.True(NotificationMessage.TryRead(Wire.Cat(Wire.I32(9), Wire.Z("c"), Wire.Z("")), out var notification, out _));
        Assert.Equal((9, "c", ""), (notification.ProcessId, notification.Channel.ToString(), notification.Payload.ToString()));
    }

    [Fact]
    public void Row_description_is_read()
    {
        byte[] written = Wire.Written(o => BackendWriter.WriteRowDescription(o, new TextColumn("a"), new TextColumn("id", PgTypes.Int8, 8)));
        Assert.True(RowDescription.TryRead(written.AsMemory(5), out var rows, out _));
        Assert.Equal(2, rows.Columns.Length);
        Assert.Equal(("id", PgTypes.Int8, (short)8, -1), (rows.Columns[1].Name.ToString(), rows.Columns[1].TypeOid, rows.Columns[1].TypeSize, rows.Columns[1].TypeModifier));
        Assert.False(RowDescription.TryRead(Wire.I16(-1), out _, out var fault));
        Assert.Equal(WireFault.BadCount, fault);
        Assert.False(RowDescription.TryRead(Wire.Cat(Wire.I16(1), new byte[17]), out _, out fault));
        Assert.Equal(WireFault.BadCount, fault);
    }

    [Fact]
    public void Data_row_is_walked_without_allocating()
    {
        byte[] body = Wire.Written(o => BackendWriter.WriteDataRow(o, "abc", null, ""))[5..];
        Walk(body);
        long before = GC.GetAllocatedBytesForCurrentThread();
        int bytes = Walk(body);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(3, bytes);

        static int Walk(byte[] body)
        {
            int bytes = 0;
            if (!DataRow.TryRead(body, out var row, out _) || row.Columns != 3)
                return -1;
            while (row.TryNext(out _, out var value))
                bytes += value.Length;
            return bytes;
        }
    }

    [Theory]
    [InlineData("", WireFault.Truncated)]
    [InlineData("0001", WireFault.Truncated)]
    [InlineData("ffff", WireFault.Truncated)]
    [InlineData("0001 00000002 61", WireFault.Truncated)]
    [InlineData("0001 7fffffff 61", WireFault.Truncated)]
    [InlineData("0001 fffffffe", WireFault.BadValueLength)]
    [InlineData("0001 80000000", WireFault.BadValueLength)]
    [InlineData("0000 00", WireFault.TrailingBytes)]
    public void P14_Data_row_lengths_that_do_not_add_up_are_malformed(string hex, WireFault expected)
    {
        Assert.False(DataRow.TryRead(Wire.Hex(hex), out _, out var fault));
        Assert.Equal(expected, fault);
    }

    [Fact]
    public void Copy_responses_are_read()
    {
        Assert.True(CopyResponse.TryRead(Wire.Cat([1], Wire.I16(2), Wire.I16(1), Wire.I16(1)), out var copy, out _));
        Assert.Equal(WireFormat.Binary, copy.Format);
        Assert.Equal(2, copy.Columns.Length);
        Assert.False(CopyResponse.TryRead(Wire.Cat([2], Wire.I16(0)), out _, out var fault));
        Assert.Equal(WireFault.UnknownFormat, fault);
    }
}
