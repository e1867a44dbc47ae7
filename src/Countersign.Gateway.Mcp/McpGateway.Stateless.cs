using System.Collections.Concurrent;
using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Countersign.Core;
using Countersign.Gateway.Mcp.Understanding;
using Countersign.Gateway.Mcp.Upstream;
using Countersign.Gateway.Mcp.Wire;
using Microsoft.AspNetCore.Http;

namespace Countersign.Gateway.Mcp;

/// <summary>Revision 2026-07-28: no sessions, everything that a request needs is in it. Behind it stands one conversation for each principal and server.</summary>
public sealed partial class McpGateway
{
    private const string MetaPrefix = "io.modelcontextprotocol/";

    /// <summary>Methods that this revision has and this gateway passes on.</summary>
    private static readonly HashSet<string> StatelessMethods = new(StringComparer.Ordinal)
    {
        "server/discover", "tools/list", "tools/call", "prompts/list", "prompts/get", "resources/list", "resources/templates/list", "resources/read", "completion/complete",
    };

    /// <summary>One begins a conversation at a time for an agent and a server, and keeps nobody else waiting. As many as there are of both.</summary>
    private readonly ConcurrentDictionary<(OpaqueId Agent, string Server), SemaphoreSlim> sharing = new();

    /// <summary>The revision that a request says that it is of, in its header or its body; null for one of a session.</summary>
    private static string? StatelessVersion(IHeaderDictionary headers, RpcMessage message) =>
        RpcMessage.Text(MetaOf(message), MetaPrefix + "protocolVersion") ?? (headers[VersionHeader] is [{ } said] && string.CompareOrdinal(said, Revisions.Stateless) >= 0 && !Revisions.OfClients.Contains(said, StringComparer.Ordinal) ? said : null);

    private static JsonElement? MetaOf(RpcMessage message) => message.Params is { } p && p.TryGetProperty("_meta", out var meta) && meta.ValueKind == JsonValueKind.Object ? meta : null;

    private async Task StatelessAsync(HttpContext http, Caller caller, McpServer to, RpcMessage message, byte[] body, string version)
    {
        if (version != Revisions.Stateless)
        {
            await FailAsync(http, HttpStatusCode.BadRequest, message.Id, RpcWriter.ErrorValue(RpcWriter.UnsupportedVersion, "Unsupported protocol version", w =>
            {
                w.WriteStartArray("supported");
                foreach (var known in (string[])[Revisions.Stateless, .. Revisions.OfClients]) w.WriteStringValue(known);
                w.WriteEndArray();
                w.WriteString("requested", version.Length <= 64 ? VisibleText.Of(version, multiline: false) : "");
            })).ConfigureAwait(false);
            return;
        }

        if (message.Kind != RpcKind.Request)
        {
            // This revision has no notification of a client over HTTP, and forbids responses.
            http.Response.StatusCode = message.Kind == RpcKind.Notification ? 202 : 400;
            return;
        }

        if (Unlike(http.Request.Headers, message) is { } unlike)
        {
            await RefuseAsync(http, caller, to, HttpStatusCode.BadRequest, RpcWriter.HeaderMismatch, ReasonCodes.HeaderMismatch, unlike, body, message.Id).ConfigureAwait(false);
            return;
        }

        if (MetaOf(message) is not { } meta || RpcMessage.Text(meta, MetaPrefix + "protocolVersion") is null || !meta.TryGetProperty(MetaPrefix + "clientCapabilities", out var capabilities) || capabilities.ValueKind != JsonValueKind.Object)
        {
            await FailAsync(http, HttpStatusCode.BadRequest, message.Id, RpcWriter.InvalidParams, $"`_meta` needs `{MetaPrefix}protocolVersion` and `{MetaPrefix}clientCapabilities`").ConfigureAwait(false);
            return;
        }

        if (!StatelessMethods.Contains(message.Method))
        {
            await FailAsync(http, HttpStatusCode.NotFound, message.Id, RpcWriter.MethodNotFound, "countersign: this is not passed on; what is not understood is not forwarded").ConfigureAwait(false);
            return;
        }

        McpSession session;
        try
        {
            if (await SharedAsync(caller, to, http.RequestAborted).ConfigureAwait(false) is not { } shared)
            {
                await FailAsync(http, HttpStatusCode.ServiceUnavailable, message.Id, RpcWriter.Refused, "countersign: too many sessions; try again later").ConfigureAwait(false);
                return;
            }

            session = shared;
        }
        catch (UpstreamException e)
        {
            LogServerFailed(to.Name, e.InnerException?.Message ?? e.Message);
            await FailAsync(http, HttpStatusCode.BadGateway, message.Id, RpcWriter.InternalError, $"countersign: {e.Message}; tell the operator if it lasts").ConfigureAwait(false);
            return;
        }

        if (message.Method == "tools/call" && await ParametersUnlikeAsync(http, session, message).ConfigureAwait(false) is { } parameter)
        {
            await RefuseAsync(http, caller, to, HttpStatusCode.BadRequest, RpcWriter.HeaderMismatch, ReasonCodes.HeaderMismatch, parameter, body, message.Id).ConfigureAwait(false);
            return;
        }

        // Ids are the client's own for each request; those of different clients of one principal may be equal.
        await ServeAsync(http, caller, session, message).ConfigureAwait(false);
    }

    /// <summary>What is required of headers here is more than that they do not contradict: they must be there.</summary>
    private static string? Unlike(IHeaderDictionary headers, RpcMessage message)
    {
        if (headers[VersionHeader] is not [{ } version] || version != RpcMessage.Text(MetaOf(message), MetaPrefix + "protocolVersion")) return $"the header `{VersionHeader}` is missing, or does not say what the body says";
        if (!headers.ContainsKey("Mcp-Method")) return "the header `Mcp-Method` is missing";
        if (message.Method is "tools/call" or "resources/read" or "prompts/get" && !headers.ContainsKey("Mcp-Name")) return "the header `Mcp-Name` is missing";
        return Mismatch(headers, message);
    }

    /// <summary>Arguments that the tool's schema has mirrored into headers (`x-mcp-header`) must be the same in both.</summary>
    private static async Task<string?> ParametersUnlikeAsync(HttpContext http, McpSession session, RpcMessage message)
    {
        if (RpcMessage.Text(message.Params, "name") is not { } name || OwnTools.IsOwn(name)) return null;
        var tool = (await session.ToolsAsync(fresh: false, http.RequestAborted).ConfigureAwait(false)).FirstOrDefault(t => t.Name == name);
        return tool is null ? null : Check(tool.Element.TryGetProperty("inputSchema", out var schema) ? schema : default, Member(message.Params, "arguments"), 0);

        string? Check(JsonElement at, JsonElement? value, int depth)
        {
            if (depth > 8 || at.ValueKind != JsonValueKind.Object || !at.TryGetProperty("properties", out var properties) || properties.ValueKind != JsonValueKind.Object) return null;
            foreach (var property in properties.EnumerateObject())
            {
                var given = value is { ValueKind: JsonValueKind.Object } o && o.TryGetProperty(property.Name, out var inner) && inner.ValueKind != JsonValueKind.Null ? inner : (JsonElement?)null;
                if (RpcMessage.Text(property.Value, "x-mcp-header") is { } header)
                {
                    var sent = http.Request.Headers[$"Mcp-Param-{header}"];
                    var same = given is null ? sent.Count == 0 : sent is [{ } text] && IsSame(Decoded(text), given.Value);
                    if (!same) return $"the header `Mcp-Param-{VisibleText.Of(header, multiline: false)}` does not say what the body says";
                }

                if (Check(property.Value, given, depth + 1) is { } below) return below;
            }

            return null;
        }

        static bool IsSame(string? header, JsonElement value) => value.ValueKind switch
        {
            JsonValueKind.String => header == RpcMessage.Text(value),
            JsonValueKind.True => header == "true",
            JsonValueKind.False => header == "false",
            JsonValueKind.Number => header is not null && decimal.TryParse(header, System.Globalization.NumberStyles.Float, System.Globalization.CultureInfo.InvariantCulture, out var a) && value.TryGetDecimal(out var b) && a == b,
            _ => false,
        };
    }

    /// <summary>
    /// The one conversation of this principal with this server. The server is told of no capability of a client, since what it would ask
    /// could not be asked of anybody.
    /// </summary>
    /// <exception cref="UpstreamException">It can not be begun.</exception>
    private async Task<McpSession?> SharedAsync(Caller caller, McpServer server, CancellationToken ct)
    {
        var gate = sharing.GetOrAdd((caller.Actors.Agent.Id, server.Name), static _ => new SemaphoreSlim(1, 1));
        await gate.WaitAsync(ct).ConfigureAwait(false);
        try
        {
            if (sessions.Values.FirstOrDefault(s => s is { IsShared: true, IsOver: false } && s.Server == server && s.Caller.IsSameAs(caller)) is { } known)
            {
                known.Touch();
                return known;
            }

            if (!TryReserve(caller)) return null;
            Link? link = null;
            try
            {
                link = server.Open();
                var welcome = await server.InitializeAsync(link, Revisions.Latest, "{}"u8.ToArray(), """{"name":"countersign","version":"1"}"""u8.ToArray(), ct).ConfigureAwait(false);
                if (Add(caller, server, link, Revisions.Stateless, RpcMessage.Raw(welcome)) is { } session)
                {
                    link = null;
                    return session;
                }

                return null;
            }
            finally
            {
                Release(caller);
                if (link is not null) await link.DisposeAsync().ConfigureAwait(false);
            }
        }
        finally
        {
            gate.Release();
        }
    }

    private static byte[] Discovered(McpSession session)
    {
        var welcome = JsonNode.Parse(Welcome(RpcMessage.Json(session.Greeting)!.Value, Revisions.Stateless))!.AsObject();
        var capabilities = (welcome["capabilities"] as JsonObject)!.DeepClone().AsObject();
        foreach (var gone in (string[])["logging", "tasks", "experimental"]) capabilities.Remove(gone);
        foreach (var (_, one) in capabilities)
        {
            if (one is not JsonObject section) continue;
            section.Remove("listChanged");
            section.Remove("subscribe");
        }

        var result = new JsonObject
        {
            ["supportedVersions"] = new JsonArray([.. ((string[])[Revisions.Stateless, .. Revisions.OfClients]).Select(static v => (JsonNode)v)]),
            ["capabilities"] = capabilities,
            ["instructions"] = welcome["instructions"]?.DeepClone(),
        };
        return Encoding.UTF8.GetBytes(result.ToJsonString(Relaxed));
    }

    /// <summary>A result as this revision wants it: with its type, for lists and reads with how long it may be kept, and with whose it is.</summary>
    private static byte[] Complete(McpSession session, string method, byte[] result)
    {
        if (RpcMessage.Json(result) is not { ValueKind: JsonValueKind.Object } value) return result;
        var typed = value.TryGetProperty("resultType", out _);
        var members = new List<(string, ReadOnlyMemory<byte>)>();
        if (!typed) members.Add(("resultType", "\"complete\""u8.ToArray()));
        var meta = new List<(string, ReadOnlyMemory<byte>)>();
        foreach (var member in value.EnumerateObject())
        {
            if (member.Name is "ttlMs" or "cacheScope") continue;
            if (member.Name == "_meta" && member.Value.ValueKind == JsonValueKind.Object) meta.AddRange(member.Value.EnumerateObject().Where(static m => m.Name != MetaPrefix + "serverInfo").Select(static m => (m.Name, (ReadOnlyMemory<byte>)RpcMessage.Raw(m.Value))));
            else members.Add((member.Name, RpcMessage.Raw(member.Value)));
        }

        if (method is "server/discover" or "tools/list" or "prompts/list" or "resources/list" or "resources/templates/list" or "resources/read")
        {
            // What one agent may see is no other's, and policy may change at any moment.
            members.Add(("ttlMs", "0"u8.ToArray()));
            members.Add(("cacheScope", "\"private\""u8.ToArray()));
        }

        if (RpcMessage.Json(session.Greeting) is { } greeting && greeting.TryGetProperty("serverInfo", out var info) && info.ValueKind == JsonValueKind.Object) meta.Add((MetaPrefix + "serverInfo", RpcMessage.Raw(info)));
        if (meta.Count > 0) members.Add(("_meta", RpcWriter.Object(meta)));
        return RpcWriter.Object(members);
    }
}
