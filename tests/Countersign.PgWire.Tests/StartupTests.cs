using System.Buffers;

namespace Countersign.PgWire.Tests;

public sealed class StartupTests
{
    static FrameStatus Read(byte[] bytes, out StartupPacket? packet, out WireFault fault)
    {
        var buffer = new ReadOnlySequence<byte>(bytes);
        return StartupPacket.TryRead(ref buffer, PgWireLimits.Default, out packet, out fault);
    }

    static byte[] Startup(int version, params string[] strings) =>
        Wire.Packet(Wire.I32(version), Wire.Cat([.. strings.Select(Wire.Z)]), [0]);

    static WireFault Fault(byte[] bytes)
    {
        Assert.Equal(FrameStatus.Malformed, Read(bytes, out var packet, out var fault));
        Assert.Null(packet);
        return fault;
    }

    [Fact]
    public void Startup_as_psql_sends_it_is_read()
    {
        byte[] golden = Wire.Hex("00000024 00030000 7573657200 626f7400 646174616261736500 73686f7000 6100 6200 00");
        Assert.Equal(FrameStatus.Ok, Read(golden, out var packet, out _));
        Assert.Equal(StartupKind.Startup, packet!.Kind);
        var startup = packet.Startup!;
        Assert.Equal(("bot", "shop", "b"), (startup.User, startup.Database, startup["a"]));
        Assert.Equal(ProtocolVersion.V30, startup.Version);
        Assert.False(startup.NeedsNegotiation);
        Assert.Null(startup.DuplicateName);
        Assert.Null(startup["missing"]);
        Assert.Equal(golden, Wire.Written(o => FrontendWriter.WriteStartup(o, startup.Version, startup.Parameters.AsSpan())));
    }

    [Theory]
    [InlineData("00000008 04d2162f", StartupKind.SslRequest)]
    [InlineData("00000008 04d21630", StartupKind.GssEncRequest)]
    [InlineData("00000010 04d2162e 0000002a 01020304", StartupKind.CancelRequest)]
    public void Request_golden_bytes_are_read_and_written(string hex, StartupKind kind)
    {
        byte[] golden = Wire.Hex(hex);
        Assert.Equal(FrameStatus.Ok, Read(golden, out var packet, out _));
        Assert.Equal(kind, packet!.Kind);
        Assert.Equal(golden, Wire.Written(o =>
        {
            if (kind == StartupKind.SslRequest)
                FrontendWriter.WriteSslRequest(o);
            else if (kind == StartupKind.GssEncRequest)
                FrontendWriter.WriteGssEncRequest(o);
            else
                FrontendWriter.WriteCancelRequest(o, packet.Cancel!.ProcessId, packet.Cancel.Key.Span);
        }));
    }

    [Fact]
    public void P10_Bytes_sent_behind_an_ssl_request_stay_in_the_buffer()
    {
        var buffer = new ReadOnlySequence<byte>(Wire.Cat(Wire.Hex("00000008 04d2162f"), Wire.Message('Q', Wire.Z("drop table t"))));
        Assert.Equal(FrameStatus.Ok, StartupPacket.TryRead(ref buffer, PgWireLimits.Default, out var packet, out _));
        Assert.Equal(StartupKind.SslRequest, packet!.Kind);
        Assert.False(buffer.IsEmpty);
    }

    [Theory]
    [InlineData(0x00030002)]
    [InlineData(0x0003270F)]
    public void Startup_of_a_newer_minor_version_is_answered_with_3_0(int version)
    {
        Assert.Equal(FrameStatus.Ok, Read(Startup(version, "user", "bot", "_pq_.test", "1"), out var packet, out _));
        Assert.True(packet!.Startup!.NeedsNegotiation);
        Assert.Equal(["_pq_.test"], packet.Startup.ProtocolOptions);
        byte[] answer = Wire.Written(o => BackendWriter.WriteNegotiateProtocolVersion(o, ProtocolVersion.V30, packet.Startup.ProtocolOptions.AsSpan()));
        Assert.Equal(Wire.Message('v', Wire.I32(0x00030000), Wire.I32(1), Wire.Z("_pq_.test")), answer);
        Assert.True(NegotiateProtocolVersion.TryRead(answer.AsMemory(5), out var read, out _));
        Assert.Equal("3.0", read.Newest.ToString());
        Assert.Equal(["_pq_.test"], read.UnknownOptions);
    }

    [Fact]
    public void Startup_with_a_protocol_option_alone_needs_negotiation()
    {
        Assert.Equal(FrameStatus.Ok, Read(Startup(0x00030000, "user", "bot", "_pq_.x", ""), out var packet, out _));
        Assert.True(packet!.Startup!.NeedsNegotiation);
    }

    [Theory]
    [InlineData("user")]
    [InlineData("USER")]
    public void P14_Startup_duplicate_parameter_is_named_whatever_its_case(string second)
    {
        Assert.Equal(FrameStatus.Ok, Read(Startup(0x00030000, "user", "bot", second, "root"), out var packet, out _));
        Assert.Equal(second, packet!.Startup!.DuplicateName);
        Assert.Equal(2, packet.Startup.Parameters.Length);
    }

    [Theory]
    [InlineData(0x00020000)]
    [InlineData(0x00040000)]
    [InlineData(0)]
    [InlineData(-1)]
    public void Startup_of_another_major_version_is_malformed(int version) =>
        Assert.Equal(WireFault.UnsupportedProtocol, Fault(Startup(version, "user", "bot")));

    [Fact]
    public void P14_Startup_length_is_checked_before_anything_else()
    {
        foreach (int length in new[] { int.MinValue, -1, 0, 4, 7 })
            Assert.Equal(WireFault.BadLength, Fault(Wire.Cat(Wire.I32(length), new byte[8])));
        foreach (int length in new[] { 10_001, int.MaxValue })
        {
            Assert.Equal(FrameStatus.TooLarge, Read(Wire.I32(length), out _, out var fault));
            Assert.Equal(WireFault.TooLong, fault);
        }
        Assert.Equal(FrameStatus.NeedMore, Read(Wire.I32(10_000), out _, out _));
        Assert.Equal(FrameStatus.NeedMore, Read([0, 0, 0], out _, out _));
    }

    [Fact]
    public void P14_Startup_shapes_that_do_not_add_up_are_malformed()
    {
        byte[] version = Wire.I32(0x00030000);
        Assert.Equal(WireFault.MissingTerminator, Fault(Wire.Packet(version)));
        Assert.Equal(WireFault.MissingTerminator, Fault(Wire.Packet(version, "user"u8.ToArray())));
        Assert.Equal(WireFault.MissingTerminator, Fault(Wire.Packet(version, Wire.Z("user"), "bot"u8.ToArray())));
        Assert.Equal(WireFault.MissingTerminator, Fault(Wire.Packet(version, Wire.Z("user"), Wire.Z("bot"))));
        Assert.Equal(WireFault.TrailingBytes, Fault(Wire.Packet(version, Wire.Z("user"), Wire.Z("bot"), [0], [0])));
        Assert.Equal(WireFault.TrailingBytes, Fault(Wire.Packet(Wire.I32(80877103), [0])));
        Assert.Equal(WireFault.InvalidUtf8, Fault(Wire.Packet(version, Wire.Z("user"), [0xFF, 0], [0])));
    }

    [Theory]
    [InlineData(3, false)]
    [InlineData(4, true)]
    [InlineData(32, true)]
    [InlineData(256, true)]
    [InlineData(257, false)]
    public void P14_Cancel_key_has_4_to_256_bytes(int bytes, bool valid)
    {
        byte[] packet = Wire.Packet(Wire.I32(80877102), Wire.I32(7), new byte[bytes]);
        var status = Read(packet, out var read, out var fault);
        Assert.Equal(valid ? FrameStatus.Ok : FrameStatus.Malformed, status);
        Assert.Equal(valid ? WireFault.None : WireFault.BadCancelKey, fault);
        Assert.Equal(valid ? bytes : null, read?.Cancel!.Key.Length);
        byte[] body = Wire.Cat(Wire.I32(7), new byte[bytes]);
        Assert.Equal(valid, BackendKeyData.TryRead(body, out _, out _));
        if (!valid)
            Assert.Throws<ArgumentException>(() => BackendWriter.WriteBackendKeyData(new ArrayBufferWriter<byte>(), 7, new byte[bytes]));
    }

    [Fact]
    public void P56_Cancel_key_is_not_printed()
    {
        Read(Wire.Packet(Wire.I32(80877102), Wire.I32(7), [222, 173, 190, 239]), out var packet, out _);
        Assert.Equal("CancelRequest { ProcessId = 7, Key = (withheld, 4 bytes) }", packet!.Cancel!.ToString());
    }
}
