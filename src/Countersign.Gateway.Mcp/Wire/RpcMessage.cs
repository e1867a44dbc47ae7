using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Unicode;

namespace Countersign.Gateway.Mcp.Wire;

internal enum RpcKind
{
    Request,
    Notification,

    /// <summary>With a result or an error.</summary>
    Response,
}

/// <summary>Why bytes are no message.</summary>
internal enum RpcFault
{
    None,

    /// <summary>Not JSON, not UTF-8, too deep, or an object that names a member twice (P25).</summary>
    Unparseable,

    /// <summary>Several messages in one body: none of these revisions has that, and who decides on one runs the others (P45).</summary>
    Batch,

    /// <summary>JSON, and no JSON-RPC 2.0 message.</summary>
    Invalid,
}

/// <summary>
/// One JSON-RPC message, parsed once. Ids, parameters and results are kept as the bytes that came: what is forwarded is what was
/// parsed (I1), and numbers keep their spelling.
/// </summary>
internal sealed class RpcMessage
{
    /// <summary>Nesting. JSON Schemas of tools are the deepest that is met, far below it.</summary>
    private const int Depth = 64;

    private const int LongestId = 256;
    private const int LongestMethod = 128;

    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false, MaxDepth = Depth };

    private RpcMessage(RpcKind kind, byte[] id, string method, JsonElement body)
    {
        Kind = kind;
        Id = id;
        Method = method;
        Body = body;
    }

    public RpcKind Kind { get; }

    /// <summary>The id as it was written: a string or a whole number. Empty for a notification, and for an error that has `null`.</summary>
    public byte[] Id { get; }

    public string Method { get; }

    private JsonElement Body { get; }

    public JsonElement? Params => Body.TryGetProperty("params", out var value) ? value : null;

    public JsonElement? Result => Body.TryGetProperty("result", out var value) ? value : null;

    public JsonElement? Error => Body.TryGetProperty("error", out var value) ? value : null;

    /// <summary>The exact bytes of a value.</summary>
    public static byte[] Raw(JsonElement value) => JsonMarshal.GetRawUtf8Value(value).ToArray();

    /// <summary>Parses strictly whatever is to be decided on. Null: it is not one JSON value, or says something twice.</summary>
    public static JsonElement? Json(ReadOnlyMemory<byte> utf8)
    {
        if (!Utf8.IsValid(utf8.Span)) return null;
        try
        {
            // Never disposed: its memory is its own, and lives as long as its elements.
            return JsonDocument.Parse(utf8, Strict).RootElement;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    public static RpcMessage? TryParse(ReadOnlyMemory<byte> utf8, out RpcFault fault)
    {
        fault = RpcFault.Unparseable;
        if (Json(utf8) is not { } body) return null;
        if (body.ValueKind == JsonValueKind.Array)
        {
            fault = RpcFault.Batch;
            return null;
        }

        fault = RpcFault.Invalid;
        if (body.ValueKind != JsonValueKind.Object || !body.TryGetProperty("jsonrpc", out var version) || version.ValueKind != JsonValueKind.String || !version.ValueEquals("2.0")) return null;
        byte[] id = [];
        var hasId = body.TryGetProperty("id", out var idValue);
        if (hasId && !TryId(idValue, out id)) return null;
        if (body.TryGetProperty("method", out var method))
        {
            if (method.ValueKind != JsonValueKind.String || body.TryGetProperty("result", out _) || body.TryGetProperty("error", out _)) return null;
            if (body.TryGetProperty("params", out var parameters) && parameters.ValueKind != JsonValueKind.Object) return null;
            if (hasId && id.Length == 0) return null;
            var name = Text(method);
            if (name is null or { Length: 0 or > LongestMethod }) return null;
            fault = RpcFault.None;
            return new RpcMessage(hasId ? RpcKind.Request : RpcKind.Notification, id, name, body);
        }

        var isError = body.TryGetProperty("error", out var error);
        if (!hasId && !isError || isError == body.TryGetProperty("result", out var result)) return null;
        if ((isError ? error : result).ValueKind != JsonValueKind.Object) return null;
        fault = RpcFault.None;
        return new RpcMessage(RpcKind.Response, id, "", body);
    }

    /// <summary>A text; null for any other value, and for half of a surrogate pair, which has no UTF-8.</summary>
    public static string? Text(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.String) return null;
        try
        {
            return value.GetString();
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    public static string? Text(JsonElement? of, string member) => of is { ValueKind: JsonValueKind.Object } value && value.TryGetProperty(member, out var text) ? Text(text) : null;

    /// <summary>True too for `null`, which only an error may have; the id is empty then.</summary>
    private static bool TryId(JsonElement value, out byte[] id)
    {
        id = [];
        switch (value.ValueKind)
        {
            case JsonValueKind.Null: return true;
            case JsonValueKind.Number when value.TryGetInt64(out _):
            case JsonValueKind.String when Text(value) is not null:
                id = Raw(value);
                return id.Length <= LongestId;
            default: return false;
        }
    }
}
