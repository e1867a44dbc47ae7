using System.Text.Json;
using Countersign.Core;
using Countersign.Gateway.Mcp.Wire;

namespace Countersign.Gateway.Mcp.Understanding;

/// <summary>
/// The parameters of a request, taken apart into what is decided on and forwarded, what is forwarded and means nothing (the inert list),
/// and what is said to the gateway and goes no further.
/// </summary>
internal sealed class CallParameters
{
    /// <summary>
    /// Members of `_meta` that are forwarded and not part of the digest: who asks for progress under which number, and which trace it belongs to.
    /// A client makes new ones for each try, and no tool acts on them.
    /// </summary>
    private static readonly HashSet<string> Inert = new(StringComparer.Ordinal) { "traceparent", "tracestate", "baggage" };

    /// <summary>Said to the gateway by clients of the revision without sessions, and to nobody behind it.</summary>
    private static readonly HashSet<string> PerRequest = new(StringComparer.Ordinal)
    {
        "io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientInfo", "io.modelcontextprotocol/clientCapabilities", "io.modelcontextprotocol/logLevel",
    };

    /// <summary>
    /// What the parameters of a request that is decided on may hold. Nothing else is forwarded: what is not on this list nobody has decided on
    /// or read, and many servers take `Name` for `name` (P25).
    /// </summary>
    private static readonly Dictionary<string, string[]> Known = new(StringComparer.Ordinal)
    {
        ["tools/call"] = ["name", "arguments", Meta],
        ["resources/read"] = ["uri", Meta],
        ["resources/subscribe"] = ["uri", Meta],
        ["resources/unsubscribe"] = ["uri", Meta],
        ["prompts/get"] = ["name", "arguments", Meta],
        ["completion/complete"] = ["ref", "argument", "context", Meta],
    };

    /// <summary>What a reference to a thing to complete may hold.</summary>
    private static readonly string[] KnownOfReference = ["type", "name", "title", "uri"];

    private const string ProgressToken = "progressToken";
    private const string Ours = "countersign/";
    private const string Meta = "_meta";
    private const int LongestClaim = 4000;

    private readonly List<(string Name, ReadOnlyMemory<byte> Value)> members = [];
    private readonly List<(string Name, ReadOnlyMemory<byte> Value)> meta = [];
    private readonly List<(string Name, ReadOnlyMemory<byte> Value)> inert = [];

    private CallParameters() { }

    /// <summary>The client's token for progress, as it was written; null when it asked for none.</summary>
    public byte[]? Progress { get; private set; }

    /// <summary>What the agent says about it.</summary>
    public Intent Intent { get; private set; } = Intent.None;

    /// <summary>What is decided on, and what the digest covers: everything that is forwarded but for the inert list.</summary>
    public byte[] Governed { get; private set; } = [];

    /// <summary>What the client was given to keep by an earlier answer; null when it shows nothing.</summary>
    public string? State { get; private set; }

    /// <summary>Whether a request holds a member that its method does not have.</summary>
    /// <param name="stateless">What belongs to a retry of a call is taken, and goes no further.</param>
    public static bool HoldsUnknown(string method, JsonElement? parameters, bool stateless)
    {
        if (parameters is not { ValueKind: JsonValueKind.Object } value || !Known.TryGetValue(method, out var known)) return false;
        return value.EnumerateObject().Any(m => !IsOne(m, known) && !(stateless && method == "tools/call" && IsOne(m, ["inputResponses", "requestState"])))
            || (method == "completion/complete" && value.TryGetProperty("ref", out var of) && of.ValueKind == JsonValueKind.Object && of.EnumerateObject().Any(static m => !IsOne(m, KnownOfReference)));

        static bool IsOne(JsonProperty member, string[] names) => names.Any(n => member.NameEquals(n));
    }

    /// <summary>Null when they are not of the form that the specification gives them.</summary>
    /// <param name="stateless">Takes what belongs to a retry (multi round-trip requests) off: it is said to the gateway.</param>
    public static CallParameters? Read(JsonElement? parameters, Intent fromHeaders, bool stateless = false)
    {
        var result = new CallParameters { Intent = fromHeaders };
        foreach (var member in parameters?.EnumerateObject() ?? default)
        {
            if (stateless && member.Name == "inputResponses") continue; // nothing was asked
            if (stateless && member.Name == "requestState")
            {
                if ((result.State = RpcMessage.Text(member.Value)) is null) return null;
                continue;
            }

            if (member.Name != Meta) result.members.Add((member.Name, RpcMessage.Raw(member.Value)));
            else if (member.Value.ValueKind != JsonValueKind.Object || !result.ReadMeta(member.Value)) return null;
        }

        result.Governed = RpcWriter.Object(result.meta.Count == 0 ? result.members : [.. result.members, (Meta, RpcWriter.Object(result.meta))]);
        return result;
    }

    /// <summary>Has progress told under another request's token: that of the one that resumes this call.</summary>
    public void ReportTo(byte[]? token) => Progress = token;

    /// <summary>What is sent to the server: the governed members byte for byte, with the inert ones and our own progress token.</summary>
    public byte[] ToForward(ReadOnlySpan<byte> progressToken)
    {
        List<(string, ReadOnlyMemory<byte>)> all = [.. meta, .. inert];
        if (progressToken.Length > 0) all.Add((ProgressToken, progressToken.ToArray()));
        return all.Count == 0 ? Governed : RpcWriter.Object([.. members, (Meta, RpcWriter.Object(all))]);
    }

    private bool ReadMeta(JsonElement value)
    {
        foreach (var member in value.EnumerateObject())
        {
            if (member.Name == ProgressToken)
            {
                if (member.Value.ValueKind is not (JsonValueKind.String or JsonValueKind.Number)) return false;
                Progress = RpcMessage.Raw(member.Value);
                if (Progress.Length > 256) return false;
            }
            else if (PerRequest.Contains(member.Name)) continue;
            else if (member.Name.StartsWith(Ours, StringComparison.Ordinal)) Claim(member.Name[Ours.Length..], RpcMessage.Text(member.Value));
            else (Inert.Contains(member.Name) ? inert : meta).Add((member.Name, RpcMessage.Raw(member.Value)));
        }

        return true;
    }

    private void Claim(string name, string? text)
    {
        if (text is null or { Length: > LongestClaim }) return;
        Intent = name switch
        {
            "reason" => Intent with { Reason = text },
            "ticket" => Intent with { Ticket = text },
            "task" => Intent with { Task = text },
            "model" => Intent with { Model = text },
            _ => Intent,
        };
    }
}
