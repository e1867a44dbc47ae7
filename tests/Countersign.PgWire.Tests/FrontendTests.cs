using System.Buffers;
using CsCheck;

namespace Countersign.PgWire.Tests;

public sealed class FrontendTests
{
    static readonly Gen<string> Words = Gen.OneOf(Gen.String[Gen.Char.AlphaNumeric, 0, 20], Gen.String[Gen.OneOf('ä', '語', '\u202E', ' ', '\'', '\\'), 0, 8]);

    static byte[] Body(byte[] message) => message[5..];

    [Fact]
    public void Messages_golden_bytes()
    {
        Assert.Equal(Wire.Hex("51 0000000d 73656c656374203100"), Wire.Written(o => FrontendWriter.WriteQuery(o, "select 1")));
        Assert.Equal(Wire.Hex("50 0000000f 7300 243100 0001 00000014"), Wire.Written(o => FrontendWriter.WriteParse(o, "s", "$1", [20])));
        Assert.Equal(Wire.Hex("42 00000024 7000 7300 0002 0001 0000 0002 00000008 0020000000000001 ffffffff 0001 0000"),
            Wire.Written(o => FrontendWriter.WriteBind(o, "p", "s",
                [new(WireFormat.Binary, Wire.Hex("0020000000000001")), new(WireFormat.Text, null)], [WireFormat.Text])));
        Assert.Equal(Wire.Hex("44 00000007 53 7300"), Wire.Written(o => FrontendWriter.WriteDescribe(o, NamedKind.Statement, "s")));
        Assert.Equal(Wire.Hex("43 00000006 50 00"), Wire.Written(o => FrontendWriter.WriteClose(o, NamedKind.Portal, "")));
        Assert.Equal(Wire.Hex("45 00000009 00 00000005"), Wire.Written(o => FrontendWriter.WriteExecute(o, "", 5)));
        Assert.Equal(Wire.Hex("53 00000004"), Wire.Written(FrontendWriter.WriteSync));
        Assert.Equal(Wire.Hex("48 00000004"), Wire.Written(FrontendWriter.WriteFlush));
        Assert.Equal(Wire.Hex("58 00000004"), Wire.Written(FrontendWriter.WriteTerminate));
        Assert.Equal(Wire.Hex("66 00000007 6e6f 00"), Wire.Written(o => FrontendWriter.WriteCopyFail(o, "no")));
        Assert.Equal(Wire.Hex("70 00000006 78 00"), Wire.Written(o => FrontendWriter.WritePassword(o, "x")));
        Assert.Equal(Wire.Hex("70 0000000b 4d 00 00000001 61"), Wire.Written(o => FrontendWriter.WriteSaslInitialResponse(o, "M", "a"u8)));
        Assert.Equal(Wire.Hex("70 00000005 61"), Wire.Written(o => FrontendWriter.WriteSaslResponse(o, "a"u8)));
    }

    [Fact]
    public void Parse_round_trips() =>
        Gen.Select(Words, Words, Gen.UInt.Array[0, 8]).Sample((name, sql, types) =>
        {
            byte[] written = Wire.Written(o => FrontendWriter.WriteParse(o, name, sql, types));
            return ParseMessage.TryRead(Body(written), out var read, out _)
                && read.Name.ToString() == name && read.Sql.ToString() == sql && read.ParameterTypes.SequenceEqual(types);
        });

    [Fact]
    public void Bind_round_trips()
    {
        var value = Gen.Frequency((1, Gen.Const((byte[]?)null)), (4, Gen.Byte[1, 127].Array[0, 12].Select(b => (byte[]?)b)));
        var parameter = Gen.Select(Gen.Enum<WireFormat>(), value, (f, v) => new BoundParameter(f, v is null ? null : (ReadOnlyMemory<byte>?)v));
        Gen.Select(Words, Words, parameter.Array[0, 6], Gen.Enum<WireFormat>().Array[0, 3]).Sample((portal, statement, parameters, results) =>
        {
            byte[] written = Wire.Written(o => FrontendWriter.WriteBind(o, portal, statement, parameters, results));
            Assert.True(BindMessage.TryRead(Body(written), out var read, out _));
            Assert.Equal((portal, statement), (read.Portal.ToString(), read.Statement.ToString()));
            Assert.Equal(results, read.ResultFormats.ToArray());
            Assert.Equal(parameters.Select(p => (p.Format, p.Value?.ToArray())), read.ParameterMemory.ToArray().Select(p => (p.Format, p.Value?.ToArray())));
        });
    }

    [Theory]
    [InlineData(new int[0], new[] { WireFormat.Text, WireFormat.Text })]
    [InlineData(new[] { 1 }, new[] { WireFormat.Binary, WireFormat.Binary })]
    [InlineData(new[] { 0 }, new[] { WireFormat.Text, WireFormat.Text })]
    [InlineData(new[] { 1, 0 }, new[] { WireFormat.Binary, WireFormat.Text })]
    public void Bind_formats_resolve_by_no_one_or_n_codes(int[] codes, WireFormat[] expected)
    {
        Assert.True(BindMessage.TryRead(BindBody(codes, ["a"u8.ToArray(), "b"u8.ToArray()]), out var bind, out _));
        Assert.Equal(expected, bind.ParameterMemory.ToArray().Select(p => p.Format));
    }

    [Fact]
    public void P25_Bind_null_is_not_the_empty_value()
    {
        Assert.True(BindMessage.TryRead(BindBody([], [null, []]), out var bind, out _));
        Assert.Null(bind.Parameters[0].Value);
        Assert.Equal(0, bind.Parameters[1].Value!.Value.Length);
    }

    [Theory]
    [InlineData(new[] { 1, 0, 1 })]
    [InlineData(new[] { 1, 0 })]
    public void P14_Bind_format_count_that_fits_no_rule_is_malformed(int[] codes)
    {
        Assert.False(BindMessage.TryRead(BindBody(codes, ["a"u8.ToArray()]), out var bind, out var fault));
        Assert.Equal(WireFault.BadCount, fault);
        Assert.True(bind.Parameters.IsEmpty);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(-1)]
    [InlineData(256)]
    public void P14_Bind_unknown_format_is_malformed(int code)
    {
        Assert.False(BindMessage.TryRead(BindBody([code], ["a"u8.ToArray()]), out _, out var fault));
        Assert.Equal(WireFault.UnknownFormat, fault);
    }

    [Fact]
    public void P14_Bind_shapes_that_do_not_add_up_are_malformed()
    {
        byte[] names = [0, 0];
        Assert.Equal(WireFault.MissingTerminator, Bind([]));
        Assert.Equal(WireFault.MissingTerminator, Bind([0, 65]));
        Assert.Equal(WireFault.Truncated, Bind(names));
        Assert.Equal(WireFault.BadCount, Bind(Wire.Cat(names, Wire.I16(-1))));
        Assert.Equal(WireFault.BadCount, Bind(Wire.Cat(names, Wire.I16(0), Wire.I16(-1))));
        Assert.Equal(WireFault.BadCount, Bind(Wire.Cat(names, Wire.I16(0), Wire.I16(3), new byte[8])));
        Assert.Equal(WireFault.BadValueLength, Bind(Wire.Cat(names, Wire.I16(0), Wire.I16(1), Wire.I32(-2), Wire.I16(0))));
        Assert.Equal(WireFault.BadValueLength, Bind(Wire.Cat(names, Wire.I16(0), Wire.I16(1), Wire.I32(int.MinValue), Wire.I16(0))));
        Assert.Equal(WireFault.Truncated, Bind(Wire.Cat(names, Wire.I16(0), Wire.I16(1), Wire.I32(int.MaxValue), Wire.I16(0))));
        Assert.Equal(WireFault.Truncated, Bind(Wire.Cat(names, Wire.I16(0), Wire.I16(1), Wire.I32(3), Wire.I16(0))));
        Assert.Equal(WireFault.BadCount, Bind(Wire.Cat(names, Wire.I16(0), Wire.I16(0), Wire.I16(1))));
        Assert.Equal(WireFault.TrailingBytes, Bind(Wire.Cat(names, Wire.I16(0), Wire.I16(0), Wire.I16(0), [0])));

        static WireFault Bind(byte[] body) => BindMessage.TryRead(body, out _, out var fault) ? WireFault.None : fault;
    }

    [Fact]
    public void Bind_of_more_values_than_a_signed_count_is_read_as_the_server_reads_it()
    {
        byte[]?[] values = [.. Enumerable.Repeat((byte[]?)null, 65_535)];
        Assert.True(BindMessage.TryRead(BindBody([], values), out var bind, out _));
        Assert.Equal(65_535, bind.Parameters.Length);
    }

    [Fact]
    public void P17_Text_that_is_not_utf8_or_holds_a_nul_is_malformed()
    {
        byte[] sjis = [0x95, 0x5C, 0x27];
        Assert.False(QueryMessage.TryRead(Wire.Cat(sjis, [0]), out _, out var fault));
        Assert.Equal(WireFault.InvalidUtf8, fault);
        Assert.False(QueryMessage.TryRead(new byte[] { 0xC0, 0xA7, 0 }, out _, out fault));
        Assert.Equal(WireFault.InvalidUtf8, fault);
        Assert.False(ParseMessage.TryRead(Wire.Cat([0], sjis, [0], Wire.I16(0)), out _, out fault));
        Assert.Equal(WireFault.InvalidUtf8, fault);
        Assert.False(BindMessage.TryRead(BindBody([0], [sjis]), out _, out fault));
        Assert.Equal(WireFault.InvalidUtf8, fault);
        Assert.False(BindMessage.TryRead(BindBody([0], ["a\0b"u8.ToArray()]), out _, out fault));
        Assert.Equal(WireFault.EmbeddedNul, fault);
        Assert.True(BindMessage.TryRead(BindBody([1], [sjis]), out _, out _));
    }

    [Fact]
    public void P1_Query_goes_to_its_only_terminator()
    {
        Assert.True(QueryMessage.TryRead(Wire.Z("select 1; drop table t"), out var query, out _));
        Assert.Equal("select 1; drop table t", query.Sql.ToString());
        Assert.False(QueryMessage.TryRead(Wire.Cat(Wire.Z("select 1"), Wire.Z("drop table t")), out query, out var fault));
        Assert.Equal(WireFault.TrailingBytes, fault);
        Assert.True(query.Sql.IsEmpty);
        Assert.False(QueryMessage.TryRead("select 1"u8.ToArray(), out _, out fault));
        Assert.Equal(WireFault.MissingTerminator, fault);
        Assert.False(QueryMessage.TryRead(default, out _, out fault));
        Assert.Equal(WireFault.MissingTerminator, fault);
    }

    [Fact]
    public void P14_Parse_type_count_that_does_not_fit_is_malformed()
    {
        foreach (int count in new[] { -1, 2, 0x7FFF })
        {
            Assert.False(ParseMessage.TryRead(Wire.Cat([0, 0], Wire.I16(count), Wire.I32(20)), out _, out var fault));
            Assert.Equal(WireFault.BadCount, fault);
        }
        Assert.False(ParseMessage.TryRead(Wire.Cat([0, 0], Wire.I16(0), Wire.I32(20)), out _, out var trailing));
        Assert.Equal(WireFault.TrailingBytes, trailing);
    }

    [Fact]
    public void Describe_close_and_execute_are_strict()
    {
        Assert.True(DescribeMessage.TryRead(Wire.Cat("S"u8.ToArray(), Wire.Z("x")), out var describe, out _));
        Assert.Equal((NamedKind.Statement, "x"), (describe.Kind, describe.Name.ToString()));
        Assert.False(DescribeMessage.TryRead(Wire.Cat("s"u8.ToArray(), Wire.Z("x")), out _, out var fault));
        Assert.Equal(WireFault.UnknownKind, fault);
        Assert.False(CloseMessage.TryRead(Wire.Cat("Q"u8.ToArray(), Wire.Z("x")), out _, out fault));
        Assert.Equal(WireFault.UnknownKind, fault);
        Assert.False(CloseMessage.TryRead("P"u8.ToArray(), out _, out fault));
        Assert.Equal(WireFault.MissingTerminator, fault);
        Assert.True(ExecuteMessage.TryRead(Wire.Cat(Wire.Z("p"), Wire.I32(9)), out var execute, out _));
        Assert.Equal(("p", 9), (execute.Portal.ToString(), execute.MaxRows));
        Assert.False(ExecuteMessage.TryRead(Wire.Cat(Wire.Z("p"), Wire.I32(-1)), out _, out fault));
        Assert.Equal(WireFault.BadCount, fault);
        Assert.False(EmptyMessage.TryRead(new byte[1], out fault));
        Assert.Equal(WireFault.TrailingBytes, fault);
    }

    [Fact]
    public void P10_Function_call_is_read_for_what_it_is()
    {
        byte[] body = Wire.Cat(Wire.I32(1598), Wire.I16(1), Wire.I16(1), Wire.I16(2), Wire.I32(2), [1, 2], Wire.I32(-1), Wire.I16(1));
        Assert.True(FunctionCallMessage.TryRead(body, out var call, out _));
        Assert.Equal(1598u, call.Function);
        Assert.Equal(WireFormat.Binary, call.ResultFormat);
        Assert.Equal([1, 2], call.Arguments[0].Value!.Value.ToArray());
        Assert.Null(call.Arguments[1].Value);
        Assert.False(FunctionCallMessage.TryRead(body.AsMemory(0, body.Length - 1), out _, out _));
        Assert.False(FunctionCallMessage.TryRead(Wire.Cat(body, [0]), out _, out _));
    }

    [Fact]
    public void P10_Copy_messages_are_read()
    {
        Assert.Equal([1, 0, 2], CopyDataMessage.Read(new byte[] { 1, 0, 2 }).Data.ToArray());
        Assert.True(CopyFailMessage.TryRead(Wire.Z("gone"), out var fail, out _));
        Assert.Equal("gone", fail.Reason.ToString());
    }

    [Fact]
    public void Sasl_initial_response_is_strict()
    {
        Assert.True(SaslInitialResponse.TryRead(Wire.Cat(Wire.Z("M"), Wire.I32(2), "ab"u8.ToArray()), out var sasl, out _));
        Assert.True(sasl.Mechanism.Is("M"u8));
        Assert.Equal("ab"u8.ToArray(), sasl.Data!.Value.ToArray());
        Assert.True(SaslInitialResponse.TryRead(Wire.Cat(Wire.Z("M"), Wire.I32(-1)), out sasl, out _));
        Assert.Null(sasl.Data);
        Assert.False(SaslInitialResponse.TryRead(Wire.Cat(Wire.Z("M"), Wire.I32(1), "ab"u8.ToArray()), out _, out var fault));
        Assert.Equal(WireFault.TrailingBytes, fault);
        Assert.False(SaslInitialResponse.TryRead(Wire.Cat(Wire.Z("M"), Wire.I32(-2)), out _, out fault));
        Assert.Equal(WireFault.BadValueLength, fault);
    }

    [Fact]
    public void P56_Passwords_and_values_do_not_print_themselves()
    {
        PasswordMessage.TryRead(Wire.Z("hunter2"), out var password, out _);
        Assert.DoesNotContain("hunter2", $"{password}");
        Assert.Equal("Text, 7 bytes", new BoundParameter(WireFormat.Text, "hunter2"u8.ToArray()).ToString());
    }

    [Fact]
    public void Writers_refuse_a_nul_or_lone_surrogate_and_write_nothing()
    {
        foreach (string bad in new[] { "select 1\0; drop", "\uD800" })
        {
            var output = new ArrayBufferWriter<byte>();
            Assert.ThrowsAny<ArgumentException>(() => FrontendWriter.WriteQuery(output, bad));
            Assert.ThrowsAny<ArgumentException>(() => FrontendWriter.WriteParse(output, bad, "x"));
            Assert.ThrowsAny<ArgumentException>(() => FrontendWriter.WriteStartup(output, ProtocolVersion.V30, [new("user", bad)]));
            Assert.ThrowsAny<ArgumentException>(() => BackendWriter.WriteCommandComplete(output, bad));
            Assert.Equal(0, output.WrittenCount);
        }
    }

    static byte[] BindBody(int[] codes, byte[]?[] values) => Wire.Cat(
        [0, 0],
        Wire.I16(codes.Length), Wire.Cat([.. codes.Select(Wire.I16)]),
        Wire.I16(values.Length), Wire.Cat([.. values.Select(v => v is null ? Wire.I32(-1) : Wire.Cat(Wire.I32(v.Length), v))]),
        Wire.I16(0));
}
