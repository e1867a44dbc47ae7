using CsCheck;

namespace Countersign.PgWire.Tests;

public sealed class FuzzTests
{
    static readonly Gen<byte[]> Noise = Gen.Byte.Array[0, 120];

    /// <summary>Bytes that are likelier to mean something: tags, small and extreme lengths, terminators.</summary>
    static readonly Gen<byte[]> Shaped = Gen.Select(
        Gen.Char["QPBFdDECSHXcfpRKZNTtAGWvI123ns"],
        Gen.Frequency((6, Gen.Const(-5)), (1, Gen.Int[-2, 40]), (1, Gen.OneOf(int.MinValue, int.MaxValue, -1, 3, 4, 0x1000000, 0x40000003))),
        Gen.Frequency((2, Gen.OneOf<byte>(0, 0, 0, 1, 2, 4, 255, 65, 80, 83, 3)), (1, Gen.Byte)).Array[0, 60],
        static (tag, length, body) => Wire.Cat([(byte)tag], Wire.I32(length == -5 ? body.Length + 4 : length), body)).Array[1, 5].Select(m => Wire.Cat(m));

    static readonly Gen<byte[]> Packets = Gen.Select(
        Gen.OneOf(196608, 196610, 80877102, 80877103, 80877104, 131072, 0x0003270F),
        Gen.Int[-1, 1],
        Gen.Frequency((3, Gen.OneOf<byte>(0, 0, 65, 97, 95)), (1, Gen.Byte)).Array[0, 40],
        static (code, off, body) => Wire.Cat(Wire.I32(body.Length + 8 + off), Wire.I32(code), body));

    [Fact]
    public void P14_Frontend_random_bytes_never_throw_over_read_or_reserve() => Noise.Sample(b => Fuzz.Frontend(b), iter: Campaign.Of(20_000, 2_000_000));

    [Fact]
    public void P14_Frontend_shaped_bytes_never_throw_over_read_or_reserve() => Shaped.Sample(b => Fuzz.Frontend(b), iter: Campaign.Of(30_000, 3_000_000));

    [Fact]
    public void P14_Startup_shaped_packets_never_throw_over_read_or_reserve() => Packets.Sample(b => Fuzz.Frontend(b), iter: Campaign.Of(20_000, 2_000_000));

    [Fact]
    public void P14_Backend_random_bytes_never_throw_over_read_or_reserve() => Noise.Sample(b => Fuzz.Backend(b), iter: Campaign.Of(20_000, 2_000_000));

    [Fact]
    public void P14_Backend_shaped_bytes_never_throw_over_read_or_reserve() => Shaped.Sample(b => Fuzz.Backend(b), iter: Campaign.Of(30_000, 3_000_000));

    [Fact]
    public void P14_Frontend_mutated_session_never_throws() => Mutated(SessionSamples.Frontend).Sample(b => Fuzz.Frontend(b), iter: Campaign.Of(30_000, 3_000_000));

    [Fact]
    public void P14_Backend_mutated_session_never_throws() => Mutated(SessionSamples.Backend).Sample(b => Fuzz.Backend(b), iter: Campaign.Of(30_000, 3_000_000));

    [Fact]
    public void P14_Backend_mutated_start_up_never_throws() => Mutated(SessionSamples.BackendStartup).Sample(b => Fuzz.Backend(b), iter: Campaign.Of(30_000, 3_000_000));

    [Fact]
    public void Backend_unmutated_sessions_read_whole()
    {
        Assert.Equal(7, Frames(FrameReader.BackendStartup(PgWireLimits.Default), SessionSamples.BackendStartup));
        Assert.Equal(8, Frames(FrameReader.Backend(PgWireLimits.Default), SessionSamples.Backend));
        Fuzz.Backend(SessionSamples.BackendStartup);
        Fuzz.Backend(SessionSamples.Backend);
    }

    [Fact]
    public void Frontend_unmutated_session_reads_whole()
    {
        Assert.Equal(10, Frames(FrameReader.Frontend(PgWireLimits.Default), SessionSamples.Frontend));
        Fuzz.Frontend(SessionSamples.Frontend);
    }

    [Fact]
    public void Value_any_bytes_of_any_type_never_throw_and_stay_in_proportion()
    {
        var oids = Gen.OneOf<uint>(16, 17, 18, 19, 20, 21, 23, 25, 26, 114, 700, 701, 705, 650, 869, 1042, 1043, 1082, 1083, 1114,
            1184, 1186, 1266, 1700, 2950, 3802, 1000, 1007, 1009, 1016, 1231, 1185, 2951, 1187, 9999);
        Gen.Select(oids, Gen.Frequency((2, Gen.OneOf<byte>(0, 0, 1, 255, 39, 64, 127, 128)), (1, Gen.Byte)).Array[0, 40], (oid, body) => Wire.Cat(Wire.I16((int)oid), body))
            .Sample(b => Fuzz.Value(b), iter: Campaign.Of(50_000, 5_000_000));
    }

    [Fact]
    public void Scram_any_message_never_throws_and_never_succeeds()
    {
        var parts = Gen.OneOf("n,", "y,", "p=x,", ",", "a=b", "n=", "r=", "AAAAAAAAAAAAAAAAAAAAAAAA", "x", ",s=", "AAAA", ",i=", "5", "99999999999", "m=", "e=", "v=", "c=biws", ",p=", "é", "\0", "=");
        parts.Array[0, 12].Select(p => System.Text.Encoding.UTF8.GetBytes(string.Concat(p))).Sample(b => Fuzz.Sasl(b), iter: Campaign.Of(20_000, 2_000_000));
        Noise.Sample(b => Fuzz.Sasl(b), iter: Campaign.Of(5_000, 500_000));
    }

    static int Frames(FrameReader reader, byte[] stream)
    {
        var buffer = new System.Buffers.ReadOnlySequence<byte>(stream);
        int frames = 0;
        while (reader.TryReadFrame(ref buffer, out _, out _) == FrameStatus.Ok)
            frames++;
        return buffer.IsEmpty ? frames : -1;
    }

    static Gen<byte[]> Mutated(byte[] sample) =>
        Gen.Select(Gen.Select(Gen.Int[0, sample.Length - 1], Gen.Byte).Array[1, 4], Gen.Int[0, sample.Length], (changes, keep) =>
        {
            byte[] copy = [.. sample];
            foreach (var (at, value) in changes)
                copy[at] = value;
            return keep < sample.Length / 3 ? copy[..keep] : copy;
        });
}

/// <summary>One of each message, as sessions have them.</summary>
static class SessionSamples
{
    public static readonly byte[] Frontend = Wire.Written(o =>
    {
        FrontendWriter.WriteQuery(o, "select 1");
        FrontendWriter.WriteParse(o, "s1", "update t set a=$1 where b=$2", [20, 25]);
        FrontendWriter.WriteBind(o, "p1", "s1",
            [new(WireFormat.Binary, new byte[] { 0, 32, 0, 0, 0, 0, 0, 1 }), new(WireFormat.Text, "ä"u8.ToArray()), new(WireFormat.Text, null)], [WireFormat.Text]);
        FrontendWriter.WriteDescribe(o, NamedKind.Statement, "s1");
        FrontendWriter.WriteExecute(o, "p1", 7);
        FrontendWriter.WriteClose(o, NamedKind.Portal, "p1");
        FrontendWriter.WriteSync(o);
        FrontendWriter.WriteFlush(o);
        FrontendWriter.WriteCopyFail(o, "no");
        FrontendWriter.WriteTerminate(o);
    });

    public static readonly byte[] BackendStartup = Wire.Written(o =>
    {
        BackendWriter.WriteAuthenticationSasl(o, Scram.Mechanism);
        BackendWriter.WriteAuthenticationSaslContinue(o, "r=x"u8);
        BackendWriter.WriteAuthenticationOk(o);
        BackendWriter.WriteNegotiateProtocolVersion(o, ProtocolVersion.V30, "_pq_.x");
        BackendWriter.WriteParameterStatus(o, "client_encoding", "UTF8");
        BackendWriter.WriteBackendKeyData(o, 42, [1, 2, 3, 4]);
        BackendWriter.WriteReadyForQuery(o, TransactionStatus.Idle);
    });

    public static readonly byte[] Backend = Wire.Written(o =>
    {
        BackendWriter.WriteReport(o, new Report(ReportSeverity.Error, SqlStates.InsufficientPrivilege, "no", "d", "h"), PgWireLimits.Default);
        BackendWriter.WriteParameterDescription(o, 23, 25);
        BackendWriter.WriteRowDescription(o, new TextColumn("a"), new TextColumn("b", PgTypes.Int8, 8));
        BackendWriter.WriteDataRow(o, "x", null, "");
        BackendWriter.WriteCommandComplete(o, "SELECT 1");
        BackendWriter.WriteParseComplete(o);
        BackendWriter.WriteBindComplete(o);
        BackendWriter.WriteNoData(o);
    });
}
