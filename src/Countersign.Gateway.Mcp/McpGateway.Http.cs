using System.Net;
using System.Net.Mime;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Countersign.Core;
using Countersign.Gateway.Mcp.Understanding;
using Countersign.Gateway.Mcp.Upstream;
using Countersign.Gateway.Mcp.Wire;
using Countersign.Identity;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.Routing;

namespace Countersign.Gateway.Mcp;

public sealed partial class McpGateway
{
    private const string SessionHeader = "Mcp-Session-Id";
    private const string VersionHeader = "MCP-Protocol-Version";
    private static readonly System.Text.Json.JsonSerializerOptions Relaxed = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private const string MetadataPath = "/.well-known/oauth-protected-resource";

    /// <summary>
    /// Maps the endpoints. They answer who brings no session of a human, and see to their own credentials: an agent's key opens these and
    /// nothing else here, a human's session opens none of them.
    /// </summary>
    public void Map(IEndpointRouteBuilder app)
    {
        // Twice as much as a message may have is still read, so that who sends a little too much is told so before his connection ends.
        var mcp = app.MapGroup("/mcp/{server}").WithMetadata(AnswersAnybody.Instance, AgentsOnly.Instance, new RequestSizeLimitAttribute(2L * limits.MessageBytes)).ExcludeFromDescription();
        mcp.MapPost("", PostAsync);
        mcp.MapGet("", ListenAsync);
        mcp.MapDelete("", DeleteAsync);
        app.MapGet("/manifest", ManifestAsync).WithMetadata(AnswersAnybody.Instance, AgentsOnly.Instance).ExcludeFromDescription();
        app.MapGet(MetadataPath + "/mcp/{server}", Metadata).WithMetadata(AnswersAnybody.Instance).ExcludeFromDescription();
    }

    /// <summary>RFC 9728 §3. The same for every name, so that nobody learns which servers there are.</summary>
    private IResult Metadata(HttpContext http, string server)
    {
        if (!Names.IsWellFormed(server)) return Results.NotFound();
        var metadata = new JsonObject { ["resource"] = Address(http, $"/mcp/{server}"), ["bearer_methods_supported"] = new JsonArray("header"), ["resource_name"] = "Countersign" };
        if (workloads.Issuers.Where(static i => i.StartsWith("https://", StringComparison.Ordinal) || i.StartsWith("http://", StringComparison.Ordinal)).Select(static i => (JsonNode)i).ToArray() is { Length: > 0 } issuers) metadata["authorization_servers"] = new JsonArray(issuers);
        return Results.Text(metadata.ToJsonString(), MediaTypeNames.Application.Json);
    }

    private string Address(HttpContext http, string path) => new Uri(seams.Address(http), path).ToString();

    private async Task PostAsync(HttpContext http, string server)
    {
        if (await EnterAsync(http, server).ConfigureAwait(false) is not var (caller, to)) return;
        if (!IsJson(http.Request.ContentType))
        {
            await FailAsync(http, HttpStatusCode.UnsupportedMediaType, [], RpcWriter.InvalidRequest, "send `Content-Type: application/json`").ConfigureAwait(false);
            return;
        }

        if (await BodyAsync(http).ConfigureAwait(false) is not { } body)
        {
            await RefuseAsync(http, caller, to, HttpStatusCode.RequestEntityTooLarge, RpcWriter.InvalidRequest, ReasonCodes.TooLarge, $"a message may have {limits.MessageBytes} bytes", []).ConfigureAwait(false);
            return;
        }

        if (RpcMessage.TryParse(body, out var fault) is not { } message)
        {
            var (code, reason, words) = fault switch
            {
                RpcFault.Batch => (RpcWriter.InvalidRequest, ReasonCodes.NotSupported, "several messages in one request are not supported; send one at a time"),
                RpcFault.Unparseable => (RpcWriter.ParseError, ReasonCodes.Unparseable, "not one JSON value in UTF-8 in which no object names a member twice"),
                _ => (RpcWriter.InvalidRequest, ReasonCodes.Unparseable, "not a JSON-RPC 2.0 message"),
            };
            await RefuseAsync(http, caller, to, HttpStatusCode.BadRequest, code, reason, words, body).ConfigureAwait(false);
            return;
        }

        if (Mismatch(http.Request.Headers, message) is { } mismatch)
        {
            await RefuseAsync(http, caller, to, HttpStatusCode.BadRequest, RpcWriter.HeaderMismatch, ReasonCodes.HeaderMismatch, mismatch, body, message.Id).ConfigureAwait(false);
            return;
        }

        if (StatelessVersion(http.Request.Headers, message) is { } version)
        {
            await StatelessAsync(http, caller, to, message, body, version).ConfigureAwait(false);
            return;
        }

        if (await IsOtherRevisionAsync(http).ConfigureAwait(false)) return;
        if (message is { Kind: RpcKind.Request, Method: "initialize" })
        {
            await InitializeAsync(http, caller, to, message).ConfigureAwait(false);
            return;
        }

        if (await SessionAsync(http, caller, to, message.Id).ConfigureAwait(false) is not { } session) return;
        session.Touch();
        switch (message.Kind)
        {
            case RpcKind.Response:
                http.Response.StatusCode = await session.AnsweredAsync(message).ConfigureAwait(false) ? 202 : 400;
                return;
            case RpcKind.Notification:
                await NotifiedAsync(session, message).ConfigureAwait(false);
                http.Response.StatusCode = 202;
                return;
        }

        await ServeAsync(http, caller, session, message).ConfigureAwait(false);
    }

    private async Task ServeAsync(HttpContext http, Caller caller, McpSession session, RpcMessage message)
    {
        var reply = new Reply(http, TakesEvents(http.Request));
        if (session.Begin(message.Id, reply) is not { } request)
        {
            await FailAsync(http, HttpStatusCode.BadRequest, message.Id, RpcWriter.InvalidRequest, "this id is in use, or too many requests are at work").ConfigureAwait(false);
            return;
        }

        // Without sessions there is no other way to cancel: who closes the stream wants no more of it. What is held is left, and stays open.
        await using var closed = request.IsStateless ? http.RequestAborted.Register(static state => ((ClientRequest)state!).Cancelled.Cancel(), request) : default;
        try
        {
            var answer = await AnswerAsync(session, request, message, caller, http).ConfigureAwait(false);
            await reply.FinishAsync(answer.IsError ? RpcWriter.Error(message.Id, answer.Value) : RpcWriter.Result(message.Id, request.IsStateless ? Complete(session, message.Method, answer.Value) : answer.Value)).ConfigureAwait(false);
        }
        catch (UpstreamException e)
        {
            LogServerFailed(session.Server.Name, e.Message);
            await reply.FinishAsync(RpcWriter.Error(message.Id, RpcWriter.InternalError, $"countersign: {e.Message}")).ConfigureAwait(false);
        }
        catch (Exception e) when (Spine.IsStoreFailure(e))
        {
            await reply.FinishAsync(RpcWriter.Error(message.Id, Refusals.AsError(Refusal.StoreUnreadable))).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            LogFailed(e);
            await reply.FinishAsync(RpcWriter.Error(message.Id, RpcWriter.InternalError, "countersign: an internal error; nothing more is known")).ConfigureAwait(false);
        }
        finally
        {
            session.End(request);
        }
    }

    private async Task ListenAsync(HttpContext http, string server)
    {
        if (await EnterAsync(http, server).ConfigureAwait(false) is not var (caller, to)) return;
        if (!TakesEvents(http.Request))
        {
            http.Response.StatusCode = 406;
            return;
        }

        if (await IsOtherRevisionAsync(http).ConfigureAwait(false) || await SessionAsync(http, caller, to, []).ConfigureAwait(false) is not { } session) return;
        Events.Begin(http.Response);
        await http.Response.StartAsync(http.RequestAborted).ConfigureAwait(false);
        await session.ListenAsync(message => WriteAsync(Events.Of(message)), () => WriteAsync(": \n\n"u8.ToArray()), http.RequestAborted).ConfigureAwait(false);

        async Task WriteAsync(byte[] bytes)
        {
            await http.Response.Body.WriteAsync(bytes, http.RequestAborted).ConfigureAwait(false);
            await http.Response.Body.FlushAsync(http.RequestAborted).ConfigureAwait(false);
        }
    }

    private async Task DeleteAsync(HttpContext http, string server)
    {
        if (await EnterAsync(http, server).ConfigureAwait(false) is not var (caller, to) || await SessionAsync(http, caller, to, []).ConfigureAwait(false) is not { } session) return;
        await EndAsync(session).ConfigureAwait(false);
        http.Response.StatusCode = 204;
    }

    private async Task InitializeAsync(HttpContext http, Caller caller, McpServer to, RpcMessage message)
    {
        var asked = RpcMessage.Text(message.Params, "protocolVersion");
        if (message.Params is not { } parameters || asked is null || !parameters.TryGetProperty("clientInfo", out var clientInfo) || clientInfo.ValueKind != System.Text.Json.JsonValueKind.Object)
        {
            await FailAsync(http, HttpStatusCode.BadRequest, message.Id, RpcWriter.InvalidParams, "`initialize` needs `protocolVersion`, `capabilities` and `clientInfo`").ConfigureAwait(false);
            return;
        }

        var version = Revisions.OfClients.Contains(asked, StringComparer.Ordinal) ? asked : Revisions.Latest;
        var capabilities = parameters.TryGetProperty("capabilities", out var given) && given.ValueKind == System.Text.Json.JsonValueKind.Object ? JsonNode.Parse(RpcMessage.Raw(given))!.AsObject() : new JsonObject();
        capabilities.Remove("tasks"); // spoken by neither side of this gateway yet
        if (!TryReserve(caller))
        {
            await FailAsync(http, HttpStatusCode.ServiceUnavailable, message.Id, RpcWriter.Refused, "countersign: too many sessions; end some, or try again later").ConfigureAwait(false);
            return;
        }

        Link? link = null;
        try
        {
            link = to.Open();
            var result = await to.InitializeAsync(link, version, Encoding.UTF8.GetBytes(capabilities.ToJsonString()), RpcMessage.Raw(clientInfo), http.RequestAborted).ConfigureAwait(false);
            if (Add(caller, to, link, version, RpcMessage.Raw(result)) is not { } session)
            {
                await FailAsync(http, HttpStatusCode.ServiceUnavailable, message.Id, RpcWriter.Refused, "countersign: too many sessions; end some, or try again later").ConfigureAwait(false);
                return;
            }

            link = null;
            http.Response.Headers[SessionHeader] = session.Id;
            await new Reply(http, takesEvents: false).FinishAsync(RpcWriter.Result(message.Id, Welcome(result, version))).ConfigureAwait(false);
            if (http.RequestAborted.IsCancellationRequested) await EndAsync(session).ConfigureAwait(false);
        }
        catch (UpstreamException e)
        {
            LogServerFailed(to.Name, e.InnerException?.Message ?? e.Message);
            await FailAsync(http, HttpStatusCode.BadGateway, message.Id, RpcWriter.InternalError, $"countersign: {e.Message}; tell the operator if it lasts").ConfigureAwait(false);
        }
        finally
        {
            Release(caller);
            if (link is not null) await link.DisposeAsync().ConfigureAwait(false);
        }
    }

    /// <summary>What the server says of itself, with what this gateway adds and does not pass on.</summary>
    private static byte[] Welcome(System.Text.Json.JsonElement result, string version)
    {
        var welcome = JsonNode.Parse(RpcMessage.Raw(result))!.AsObject();
        welcome["protocolVersion"] = version;
        if (welcome["capabilities"] is not JsonObject capabilities) welcome["capabilities"] = capabilities = new JsonObject();
        capabilities["tools"] = new JsonObject { ["listChanged"] = true };
        capabilities.Remove("tasks");
        const string Ours = "Calls pass a gateway that decides by policy and may hold one until a human has approved it. Such a call waits, and is then answered with what to do; read it, tell your human, and do not look for a way around. `countersign_manifest` says what you may do, `countersign_status` what waits.";
        welcome["instructions"] = RpcMessage.Text(result, "instructions") is { Length: > 0 } theirs ? $"{Ours}\n\nThe server says of itself:\n{VisibleText.Of(theirs)}" : Ours;
        return Encoding.UTF8.GetBytes(welcome.ToJsonString(Relaxed));
    }

    // ---- the door ----

    /// <summary>Who comes, and where to; null: he was answered.</summary>
    private async Task<(Caller Caller, McpServer Server)?> EnterAsync(HttpContext http, string name)
    {
        if (await IdentifyAsync(http, $"/mcp/{Uri.EscapeDataString(name)}").ConfigureAwait(false) is not { } caller) return null;
        if (servers.TryGetValue(name, out var server)) return (caller, server);
        await FailAsync(http, HttpStatusCode.NotFound, [], RpcWriter.Refused, $"countersign: there is no MCP server of this name here (reason={ReasonCodes.UnknownTarget})").ConfigureAwait(false);
        return null;
    }

    /// <summary>Who comes; null: he was answered.</summary>
    private async Task<Caller?> IdentifyAsync(HttpContext http, string resource)
    {
        http.Response.Headers.CacheControl = "no-store";
        Caller? caller;
        string? reason;
        try
        {
            (caller, reason) = await door.IdentifyAsync(http).ConfigureAwait(false);
        }
        catch (Exception e) when (Spine.IsStoreFailure(e))
        {
            await FailAsync(http, HttpStatusCode.ServiceUnavailable, [], RpcWriter.InternalError, "countersign: the store can not be read, and who may act is not known").ConfigureAwait(false);
            return null;
        }

        if (caller is null)
        {
            LogUnauthenticated(http.Connection.RemoteIpAddress, reason!);
            var error = http.Request.Headers.Authorization.Count == 0 ? "" : $", error=\"invalid_token\", error_description=\"{reason}\"";
            http.Response.Headers.WWWAuthenticate = $"Bearer resource_metadata=\"{Address(http, MetadataPath + resource)}\"{error}";
            await FailAsync(http, HttpStatusCode.Unauthorized, [], RpcWriter.Refused, $"countersign: an agent's key or token is needed, as `Authorization: Bearer` (reason={reason})").ConfigureAwait(false);
            return null;
        }

        return caller;
    }

    /// <summary>Whether a request of a session is of a revision that is not spoken here; then it was answered.</summary>
    private static async Task<bool> IsOtherRevisionAsync(HttpContext http)
    {
        if (http.Request.Headers[VersionHeader] is [] || (http.Request.Headers[VersionHeader] is [{ } said] && Revisions.OfClients.Contains(said, StringComparer.Ordinal))) return false;
        await FailAsync(http, HttpStatusCode.BadRequest, [], RpcWriter.InvalidRequest, $"this revision of the protocol is not spoken here; use one of {string.Join(", ", (string[])[Revisions.Stateless, .. Revisions.OfClients])}").ConfigureAwait(false);
        return true;
    }

    /// <summary>The session that a request names, if it is this caller's and of this server; null: he was answered.</summary>
    private async Task<McpSession?> SessionAsync(HttpContext http, Caller caller, McpServer server, byte[] id)
    {
        if (http.Request.Headers[SessionHeader] is not [{ Length: > 0 } named])
        {
            await FailAsync(http, HttpStatusCode.BadRequest, id, RpcWriter.InvalidRequest, $"send the `{SessionHeader}` that `initialize` was answered with").ConfigureAwait(false);
            return null;
        }

        if (sessions.TryGetValue(named, out var session) && session is { IsOver: false, IsShared: false } && session.Server == server)
        {
            if (session.Caller.IsSameAs(caller)) return session;

            // Another's session: told nothing, and written down (P45).
            await spine.RefuseAsync(caller.Actors, server.Actions.Target, ReasonCodes.SessionForeign, "the session is another principal's", "start one of your own.", "(a session id)").ConfigureAwait(false);
        }

        await FailAsync(http, HttpStatusCode.NotFound, id, RpcWriter.InvalidRequest, "there is no such session; begin anew with `initialize`").ConfigureAwait(false);
        return null;
    }

    /// <summary>Headers that repeat what the body says must say the same (P45): whoever routes by the one must not be fooled by the other.</summary>
    private static string? Mismatch(IHeaderDictionary headers, RpcMessage message)
    {
        if (headers.TryGetValue("Mcp-Method", out var method) && (method is not [{ } said] || said != message.Method)) return "the header `Mcp-Method` does not say what the body says";
        if (!headers.TryGetValue("Mcp-Name", out var name)) return null;
        var inBody = message.Method == "resources/read" ? RpcMessage.Text(message.Params, "uri") : RpcMessage.Text(message.Params, "name");
        return name is [{ } given] && Decoded(given) == inBody ? null : "the header `Mcp-Name` does not say what the body says";
    }

    /// <summary>MCP 2026-07-28, value encoding: what is no plain ASCII comes as base64 between marks.</summary>
    private static string? Decoded(string value)
    {
        if (!value.StartsWith("=?base64?", StringComparison.Ordinal) || !value.EndsWith("?=", StringComparison.Ordinal) || value.Length < 11) return value;
        try
        {
            return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(Convert.FromBase64String(value[9..^2]));
        }
        catch (Exception e) when (e is FormatException or ArgumentException)
        {
            return null;
        }
    }

    private static bool IsJson(string? contentType) => contentType is not null && System.Net.Http.Headers.MediaTypeHeaderValue.TryParse(contentType, out var type)
        && string.Equals(type.MediaType, "application/json", StringComparison.OrdinalIgnoreCase) && (type.CharSet is null || string.Equals(type.CharSet.Trim('"'), "utf-8", StringComparison.OrdinalIgnoreCase));

    private static bool TakesEvents(HttpRequest request) => request.Headers.Accept.Any(static a => a is not null && (a.Contains("text/event-stream", StringComparison.OrdinalIgnoreCase) || a.Contains("*/*", StringComparison.Ordinal)));

    /// <summary>The whole body, or null where it is longer than a message may be.</summary>
    private async Task<byte[]?> BodyAsync(HttpContext http)
    {
        if (http.Request.ContentLength > limits.MessageBytes) return null;
        using var body = new MemoryStream();
        var buffer = new byte[16 << 10];
        try
        {
            for (int read; (read = await http.Request.Body.ReadAsync(buffer, http.RequestAborted).ConfigureAwait(false)) > 0;)
            {
                if (body.Length + read > limits.MessageBytes) return null;
                body.Write(buffer, 0, read);
            }
        }
        catch (BadHttpRequestException)
        {
            return null;
        }

        return body.ToArray();
    }

    /// <summary>Refuses what never became an action, and writes it down: its length and hash, since nobody knows what is in it.</summary>
    private async Task RefuseAsync(HttpContext http, Caller caller, McpServer server, HttpStatusCode status, int code, string reason, string words, byte[] body, byte[]? id = null)
    {
        await spine.RefuseAsync(caller.Actors, server.Actions.Target, reason, words, "nothing was sent to the server.", $"({body.Length} bytes, sha256 {Convert.ToHexStringLower(SHA256.HashData(body))})").ConfigureAwait(false);
        await FailAsync(http, status, id ?? [], code, $"countersign: {words} (reason={reason})").ConfigureAwait(false);
    }

    private static Task FailAsync(HttpContext http, HttpStatusCode status, byte[] id, int code, string message) => FailAsync(http, status, id, RpcWriter.ErrorValue(code, message));

    private static Task FailAsync(HttpContext http, HttpStatusCode status, byte[] id, byte[] error)
    {
        http.Response.StatusCode = (int)status;
        return new Reply(http, takesEvents: false).FinishAsync(RpcWriter.Error(id, error));
    }
}

/// <summary>Marks endpoints that an agent's credential opens, so that a test can tell them from all others.</summary>
public sealed class AgentsOnly
{
    public static readonly AgentsOnly Instance = new();

    private AgentsOnly() { }
}
