using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Countersign.Gateway.Mcp.Wire;

/// <summary>Writes messages around values that are passed on as the bytes that came. None holds a line break: each fits a line and an event.</summary>
internal static class RpcWriter
{
    // JSON-RPC 2.0 §5.1, and MCP 2026-07-28 for the last two.
    public const int ParseError = -32700, InvalidRequest = -32600, MethodNotFound = -32601, InvalidParams = -32602, InternalError = -32603, HeaderMismatch = -32020, UnsupportedVersion = -32022;

    /// <summary>Ours, outside of what JSON-RPC and MCP keep for themselves.</summary>
    public const int Refused = -31001;

    private static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static byte[] Request(ReadOnlySpan<byte> id, string method, ReadOnlySpan<byte> parameters)
    {
        var output = Begin(method);
        output.Write(",\"id\":"u8);
        Value(output, id);
        return End(output, parameters);
    }

    public static byte[] Notification(string method, ReadOnlySpan<byte> parameters) => End(Begin(method), parameters);

    public static byte[] Result(ReadOnlySpan<byte> id, ReadOnlySpan<byte> result) => Response(id, "result"u8, result);

    public static byte[] Error(ReadOnlySpan<byte> id, ReadOnlySpan<byte> error) => Response(id, "error"u8, error);

    public static byte[] Error(ReadOnlySpan<byte> id, int code, string message, Action<Utf8JsonWriter>? data = null) => Error(id, ErrorValue(code, message, data));

    public static byte[] ErrorValue(int code, string message, Action<Utf8JsonWriter>? data = null) => Object(w =>
    {
        w.WriteNumber("code", code);
        w.WriteString("message", message);
        if (data is null) return;
        w.WriteStartObject("data");
        data(w);
        w.WriteEndObject();
    });

    /// <summary>An object of our own making.</summary>
    public static byte[] Object(Action<Utf8JsonWriter> members)
    {
        var output = new ArrayBufferWriter<byte>(256);
        using (var w = new Utf8JsonWriter(output, Options))
        {
            w.WriteStartObject();
            members(w);
            w.WriteEndObject();
        }

        return output.WrittenSpan.ToArray();
    }

    /// <summary>An object of members as they came.</summary>
    public static byte[] Object(IEnumerable<(string Name, ReadOnlyMemory<byte> Value)> members)
    {
        var output = new ArrayBufferWriter<byte>(512);
        output.Write("{"u8);
        var first = true;
        foreach (var (name, value) in members)
        {
            if (!first) output.Write(","u8);
            first = false;
            output.Write(JsonSerializer.SerializeToUtf8Bytes(name, RpcJson.Default.String));
            output.Write(":"u8);
            Value(output, value.Span);
        }

        output.Write("}"u8);
        return output.WrittenSpan.ToArray();
    }

    /// <summary>Line breaks stand between JSON's tokens only, where a space means the same.</summary>
    public static void Value(IBufferWriter<byte> output, ReadOnlySpan<byte> json)
    {
        var start = output.GetSpan(json.Length);
        json.CopyTo(start);
        var written = start[..json.Length];
        for (var at = written.IndexOfAny((byte)'\n', (byte)'\r'); at >= 0;)
        {
            written[at] = (byte)' ';
            var next = written[(at + 1)..].IndexOfAny((byte)'\n', (byte)'\r');
            at = next < 0 ? -1 : at + 1 + next;
        }

        output.Advance(json.Length);
    }

    private static ArrayBufferWriter<byte> Begin(string method)
    {
        var output = new ArrayBufferWriter<byte>(512);
        output.Write("{\"jsonrpc\":\"2.0\",\"method\":"u8);
        output.Write(JsonSerializer.SerializeToUtf8Bytes(method, RpcJson.Default.String));
        return output;
    }

    private static byte[] End(ArrayBufferWriter<byte> output, ReadOnlySpan<byte> parameters)
    {
        if (parameters.Length > 0)
        {
            output.Write(",\"params\":"u8);
            Value(output, parameters);
        }

        output.Write("}"u8);
        return output.WrittenSpan.ToArray();
    }

    private static byte[] Response(ReadOnlySpan<byte> id, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        var output = new ArrayBufferWriter<byte>(value.Length + 64);
        output.Write("{\"jsonrpc\":\"2.0\",\"id\":"u8);
        Value(output, id.Length == 0 ? "null"u8 : id);
        output.Write(",\""u8);
        output.Write(name);
        output.Write("\":"u8);
        Value(output, value);
        output.Write("}"u8);
        return output.WrittenSpan.ToArray();
    }
}

[System.Text.Json.Serialization.JsonSerializable(typeof(string))]
internal sealed partial class RpcJson : System.Text.Json.Serialization.JsonSerializerContext;
