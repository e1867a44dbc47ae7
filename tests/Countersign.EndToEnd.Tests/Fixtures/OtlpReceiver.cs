using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;

namespace Countersign.EndToEnd.Tests.Fixtures;

/// <summary>A collector that only keeps what it gets: OTLP over gRPC without TLS (one message of five bytes of head and protobuf a request).</summary>
public sealed class OtlpReceiver : IAsyncDisposable
{
    private readonly WebApplication app;
    private readonly ConcurrentQueue<(string Path, byte[] Message)> received = new();

    private OtlpReceiver(WebApplication app) => this.app = app;

    public Uri Endpoint => new(app.Urls.Single());

    public static async Task<OtlpReceiver> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(static k => k.Listen(IPAddress.Loopback, 0, static l => l.Protocols = HttpProtocols.Http2));
        var receiver = new OtlpReceiver(builder.Build());
        receiver.app.Run(receiver.ReceiveAsync);
        await receiver.app.StartAsync();
        return receiver;
    }

    private async Task ReceiveAsync(HttpContext http)
    {
        using var body = new MemoryStream();
        await http.Request.Body.CopyToAsync(body, http.RequestAborted);
        var bytes = body.ToArray();
        Assert.Equal(0, bytes[0]);
        received.Enqueue((http.Request.Path.Value!, bytes.AsSpan(5, BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(1))).ToArray()));
        http.Response.ContentType = "application/grpc";
        await http.Response.Body.WriteAsync(new byte[5], http.RequestAborted);
        http.Response.AppendTrailer("grpc-status", "0");
    }

    /// <summary>One span: opentelemetry/proto/trace/v1/trace.proto.</summary>
    public sealed record Span(string Trace, string Id, string Parent, string Name);

    public IReadOnlyList<Span> Spans => Messages("TraceService").SelectMany(static m => In(m, 1, 2, 2))
        .Select(static s => new Span(Hex(s, 1), Hex(s, 2), Hex(s, 4), Text(s, 5))).ToArray();

    public IReadOnlySet<string> Metrics => Messages("MetricsService").SelectMany(static m => In(m, 1, 2, 2)).Select(static m => Text(m, 1)).ToHashSet();

    /// <summary>Everything that came, as bytes that text can be looked for in.</summary>
    public string Everything => string.Concat(received.Select(static r => Encoding.UTF8.GetString(r.Message)));

    private IEnumerable<byte[]> Messages(string service) => received.Where(r => r.Path.Contains(service, StringComparison.Ordinal)).Select(static r => r.Message);

    private static string Hex(byte[] message, int field) => Convert.ToHexStringLower(Fields(message).FirstOrDefault(f => f.Number == field).Value ?? []);

    private static string Text(byte[] message, int field) => Encoding.UTF8.GetString(Fields(message).Single(f => f.Number == field).Value);

    /// <summary>The messages at the end of a path of field numbers.</summary>
    private static IEnumerable<byte[]> In(byte[] message, params int[] path) =>
        path.Aggregate((IEnumerable<byte[]>)[message], static (found, number) => found.SelectMany(m => Fields(m).Where(f => f.Number == number).Select(static f => f.Value)));

    /// <summary>The length-delimited fields of a protobuf message; others are passed over.</summary>
    private static List<(int Number, byte[] Value)> Fields(byte[] message)
    {
        var fields = new List<(int, byte[])>();
        for (var at = 0; at < message.Length;)
        {
            var key = Varint(message, ref at);
            switch (key & 7)
            {
                case 0: Varint(message, ref at); break;
                case 1: at += 8; break;
                case 5: at += 4; break;
                case 2:
                    var length = (int)Varint(message, ref at);
                    fields.Add(((int)(key >> 3), message[at..(at + length)]));
                    at += length;
                    break;
                default: throw new InvalidDataException($"wire type {key & 7}");
            }
        }

        return fields;
    }

    private static ulong Varint(byte[] message, ref int at)
    {
        ulong value = 0;
        for (var shift = 0; ; shift += 7)
        {
            var next = message[at++];
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80) return value;
        }
    }

    public async ValueTask DisposeAsync() => await app.DisposeAsync();
}
