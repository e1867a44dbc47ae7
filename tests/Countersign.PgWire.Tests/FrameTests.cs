using System.Buffers;

namespace Countersign.PgWire.Tests;

public sealed class FrameTests
{
    static readonly FrameReader Reader = FrameReader.Frontend(PgWireLimits.Default);

    [Fact]
    public void Frame_in_one_segment_is_read_without_copy()
    {
        byte[] bytes = Wire.Cat(Wire.Message('Q', Wire.Z("select 1")), Wire.Message('S'));
        var buffer = new ReadOnlySequence<byte>(bytes);
        Assert.Equal(FrameStatus.Ok, Reader.TryReadFrame(ref buffer, out var frame, out _));
        Assert.Equal(FrontendTag.Query, frame.Tag);
        Assert.True(System.Runtime.InteropServices.MemoryMarshal.TryGetArray(frame.Body, out var segment));
        Assert.Same(bytes, segment.Array);
        Assert.Equal(FrameStatus.Ok, Reader.TryReadFrame(ref buffer, out frame, out _));
        Assert.Equal(new FrameHeader(FrontendTag.Sync, 0), frame.Header);
        Assert.True(buffer.IsEmpty);
        Assert.Equal(FrameStatus.NeedMore, Reader.TryReadFrame(ref buffer, out _, out _));
    }

    [Fact]
    public void Frame_detached_outlives_its_buffer()
    {
        byte[] bytes = Wire.Message('Q', Wire.Z("select 1"));
        var buffer = Wire.Segments(bytes, 2);
        Assert.Equal(FrameStatus.Ok, Reader.TryReadFrame(ref buffer, out var frame, out _));
        var kept = frame.Detach();
        byte[] copy = [.. bytes];
        bytes.AsSpan().Clear();
        Assert.Equal(copy, kept.Whole.ToArray());
        Assert.True(QueryMessage.TryRead(kept.Body, out var query, out _));
        Assert.Equal("select 1", query.Sql.ToString());
    }

    [Fact]
    public void Frame_needs_more_at_every_shorter_prefix_and_consumes_nothing()
    {
        byte[] bytes = Wire.Message('P', Wire.Z("s"), Wire.Z("select $1"), Wire.I16(1), Wire.I32(20));
        for (int length = 0; length < bytes.Length; length++)
        {
            var buffer = new ReadOnlySequence<byte>(bytes, 0, length);
            Assert.Equal(FrameStatus.NeedMore, Reader.TryReadFrame(ref buffer, out _, out var fault));
            Assert.Equal(WireFault.None, fault);
            Assert.Equal(length, buffer.Length);
        }
    }

    [Theory]
    [InlineData(int.MinValue)]
    [InlineData(-1)]
    [InlineData(0)]
    [InlineData(3)]
    public void P14_Frame_length_negative_or_below_itself_is_malformed(int length)
    {
        byte[] bytes = Wire.Cat("Q"u8.ToArray(), Wire.I32(length), new byte[10]);
        Assert.Equal(FrameStatus.Malformed, Reader.TryReadHeader(bytes, out _, out var fault));
        Assert.Equal(WireFault.BadLength, fault);
    }

    [Theory]
    [InlineData('Q', 16 * 1024 * 1024)]
    [InlineData('S', 10_000)]
    [InlineData('X', 10_000)]
    public void P14_Frame_above_its_limit_is_too_large_before_any_body(char tag, int limit)
    {
        Assert.Equal(FrameStatus.Ok, Reader.TryReadHeader(Wire.Cat([(byte)tag], Wire.I32(limit + 4)), out var header, out _));
        Assert.Equal(limit, header.BodyLength);
        foreach (int length in new[] { limit + 5, int.MaxValue })
        {
            Assert.Equal(FrameStatus.TooLarge, Reader.TryReadHeader(Wire.Cat([(byte)tag], Wire.I32(length)), out _, out var fault));
            Assert.Equal(WireFault.TooLong, fault);
        }
    }

    [Fact]
    public void P14_Frame_with_a_long_claim_reserves_nothing()
    {
        byte[] bytes = Wire.Cat("Q"u8.ToArray(), Wire.I32(16 * 1024 * 1024), new byte[100]);
        var buffer = new ReadOnlySequence<byte>(bytes);
        Reader.TryReadFrame(ref buffer, out _, out _);
        long before = GC.GetAllocatedBytesForCurrentThread();
        var status = Reader.TryReadFrame(ref buffer, out _, out _);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(FrameStatus.NeedMore, status);
    }

    [Fact]
    public void P14_Limit_of_the_largest_row_does_not_wrap()
    {
        var reader = FrameReader.Backend(PgWireLimits.Default);
        Assert.Equal(FrameStatus.Ok, reader.TryReadHeader(Wire.Cat("D"u8.ToArray(), Wire.I32(PgWireLimits.AbsoluteFrameBytes + 4)), out var header, out _));
        Assert.Equal(PgWireLimits.AbsoluteFrameBytes + 5, header.TotalLength);
        Assert.Equal(FrameStatus.TooLarge, reader.TryReadHeader(Wire.Cat("D"u8.ToArray(), Wire.I32(int.MaxValue)), out _, out _));
    }

    [Fact]
    public void P10_Frame_with_an_unknown_tag_is_malformed_by_its_first_byte()
    {
        Assert.Equal(FrameStatus.Malformed, Reader.TryReadHeader("\x16\x03\x01"u8, out _, out var fault));
        Assert.Equal(WireFault.UnknownTag, fault);
        Assert.Equal(FrameStatus.Malformed, Reader.TryReadHeader("GET / HTTP/1.1"u8, out _, out _));
    }

    [Theory]
    [InlineData('Q')]
    [InlineData('P')]
    [InlineData('S')]
    [InlineData('F')]
    public void P10_Frame_of_a_session_is_malformed_while_authenticating(char tag)
    {
        var reader = FrameReader.FrontendAuthentication(PgWireLimits.Default);
        Assert.Equal(FrameStatus.Malformed, reader.TryReadHeader([(byte)tag], out _, out _));
        Assert.Equal(FrameStatus.Ok, reader.TryReadHeader(Wire.Message('p', Wire.Z("x")), out _, out _));
    }

    [Fact]
    public void P10_Password_after_authentication_is_malformed() =>
        Assert.Equal(FrameStatus.Malformed, Reader.TryReadHeader("p"u8, out _, out _));

    [Fact]
    public void P10_Rows_before_the_first_ready_for_query_are_malformed()
    {
        var reader = FrameReader.BackendStartup(PgWireLimits.Default);
        foreach (char tag in "DTCGHWdV")
            Assert.Equal(FrameStatus.Malformed, reader.TryReadHeader([(byte)tag], out _, out _));
        Assert.Equal(FrameStatus.TooLarge, reader.TryReadHeader(Wire.Cat("R"u8.ToArray(), Wire.I32(30_005)), out _, out _));
    }

    [Fact]
    public void P35_Second_authentication_by_a_server_is_malformed()
    {
        var reader = FrameReader.Backend(PgWireLimits.Default);
        foreach (char tag in "RKv")
            Assert.Equal(FrameStatus.Malformed, reader.TryReadHeader([(byte)tag], out _, out _));
    }

    [Fact]
    public void P14_Password_above_its_limit_is_too_large()
    {
        var reader = FrameReader.FrontendAuthentication(PgWireLimits.Default);
        Assert.Equal(FrameStatus.TooLarge, reader.TryReadHeader(Wire.Cat("p"u8.ToArray(), Wire.I32(8 * 1024 + 5)), out _, out _));
    }

    [Fact]
    public void Limits_outside_what_can_be_honoured_are_refused_at_start()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => FrameReader.Frontend(PgWireLimits.Default with { FrontendBytes = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => FrameReader.Frontend(PgWireLimits.Default with { BackendRowBytes = int.MaxValue }));
        Assert.Throws<ArgumentOutOfRangeException>(() => FrameReader.Frontend(PgWireLimits.Default with { ScramMaxIterations = 1 }));
        PgWireLimits.Default.Validate();
    }

    [Fact]
    public void Faults_all_have_words()
    {
        var words = Enum.GetValues<WireFault>().Select(f => f.Describe()).ToList();
        Assert.Equal(words.Count, words.Distinct().Count());
        Assert.All(words, w => Assert.False(w.EndsWith('.') || char.IsUpper(w[0])));
    }
}
