using System.Text.Json;
using Countersign.Config;
using Countersign.Gateway.Mcp.Understanding;
using Countersign.Gateway.Mcp.Upstream;
using Countersign.Gateway.Mcp.Wire;

namespace Countersign.Gateway.Mcp;

/// <summary>One server of the config: how to reach it, and what its requests mean.</summary>
internal sealed class McpServer(McpServerConfig config, ToolTrust trust, McpLimits limits, TimeProvider time) : IDisposable
{
    private readonly HttpClient? http = config.Url is null ? null : HttpUpstream.Client(config, limits);

    public string Name => config.Name;
    public TimeSpan Hold => config.Hold;
    public McpActions Actions { get; } = new(config, trust);

    /// <summary>A conversation that has not begun.</summary>
    /// <exception cref="UpstreamException">Its process can not be started.</exception>
    public Link Open()
    {
        var link = new Link(time);
        link.Use(receive => http is null ? StdioUpstream.Start(config, limits, time, receive) : new HttpUpstream(config, http, limits, time, receive));
        return link;
    }

    /// <summary>Begins a conversation: `initialize` as the client would send it, in the newest revision that both sides of us can have.</summary>
    /// <exception cref="UpstreamException">The server does not answer, or not in a revision that is known here.</exception>
    public async Task<JsonElement> InitializeAsync(Link link, string version, ReadOnlyMemory<byte> capabilities, ReadOnlyMemory<byte> clientInfo, CancellationToken ct)
    {
        var parameters = RpcWriter.Object([("protocolVersion", JsonSerializer.SerializeToUtf8Bytes(version, RpcJson.Default.String)), ("capabilities", capabilities), ("clientInfo", clientInfo)]);
        var answer = await link.RequestAsync(link.NextId(), "initialize", parameters, null, limits.Connect, ct).ConfigureAwait(false);
        if (answer.IsError || RpcMessage.Json(answer.Value) is not { ValueKind: JsonValueKind.Object } result) throw new UpstreamException("the server refuses to begin a conversation", sent: true);
        var agreed = RpcMessage.Text(result, "protocolVersion");
        if (agreed is null || !Revisions.OfServers.Contains(agreed, StringComparer.Ordinal)) throw new UpstreamException("the server speaks no revision of the protocol that this gateway knows", sent: true);
        link.Agreed(agreed);
        await link.TellAsync("notifications/initialized", default).ConfigureAwait(false);
        link.Listen();
        return result;
    }

    /// <summary>All pages of the server's tools, in its order; what has no usable name or comes twice is left out.</summary>
    /// <exception cref="UpstreamException">It can not be asked.</exception>
    public async Task<IReadOnlyList<ToolDefinition>> ListToolsAsync(Link link, CancellationToken ct)
    {
        var tools = new List<ToolDefinition>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var twice = new HashSet<string>(StringComparer.Ordinal);
        for (byte[]? cursor = null; ;)
        {
            var answer = await link.RequestAsync(link.NextId(), "tools/list", cursor is null ? RpcWriter.Object(static _ => { }) : RpcWriter.Object([("cursor", cursor)]), null, limits.Connect, ct).ConfigureAwait(false);

            // A server without tools does not know the method; one with them answers it.
            if (answer.IsError) return tools;
            if (RpcMessage.Json(answer.Value) is not { ValueKind: JsonValueKind.Object } page || !page.TryGetProperty("tools", out var items) || items.ValueKind != JsonValueKind.Array) throw new UpstreamException("the server's list of tools can not be read", sent: true);
            foreach (var item in items.EnumerateArray())
            {
                if (item.ValueKind != JsonValueKind.Object || ToolDefinition.Read(item, limits.DefinitionBytes) is not { } tool) continue;
                if (!seen.Add(tool.Name)) twice.Add(tool.Name);
                tools.Add(tool);
                if (tools.Count > limits.Tools) throw new UpstreamException("the server has too many tools", sent: true);
            }

            if (!page.TryGetProperty("nextCursor", out var next) || next.ValueKind != JsonValueKind.String) break;
            cursor = RpcMessage.Raw(next);
        }

        // Two tools of one name: nobody knows which one is called.
        return twice.Count == 0 ? tools : tools.Where(t => !twice.Contains(t.Name)).ToArray();
    }

    public void Dispose() => http?.Dispose();
}

/// <summary>Revisions of the protocol.</summary>
internal static class Revisions
{
    /// <summary>The revision without sessions, spoken towards clients.</summary>
    public const string Stateless = "2026-07-28";

    /// <summary>Those with sessions, offered to clients, newest first.</summary>
    public static readonly string[] OfClients = ["2025-11-25", "2025-06-18"];

    /// <summary>Taken from servers. The two older ones differ in what this gateway does not pass on.</summary>
    public static readonly string[] OfServers = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

    public static string Latest => OfClients[0];
}
