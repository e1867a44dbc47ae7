using System.Collections.Concurrent;
using System.Security.Cryptography;
using Countersign.Config;
using Countersign.Core;
using Countersign.Gateway.Mcp.Understanding;
using Countersign.Gateway.Mcp.Upstream;
using Countersign.Identity;
using Countersign.Identity.Federation;
using Countersign.Journal;
using Countersign.Reviews;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Countersign.Gateway.Mcp;

/// <summary>What the MCP gateway is given by the composition root.</summary>
public sealed record McpSeams
{
    /// <summary>Whether some policy could permit each of these effects to this agent, whatever its conditions say: for what is shown.</summary>
    public required Func<ActorChain, TargetRef, IReadOnlyList<Effect>, ValueTask<IReadOnlyList<bool>>> CouldPermit { get; init; }

    /// <summary>The address that people and clients know this gateway by, as an origin.</summary>
    public required Func<HttpContext, Uri> Address { get; init; }

    /// <summary>A key of the store, for what clients are given to keep.</summary>
    public required byte[] StateKey { get; init; }
}

/// <summary>A tool as its server defines it now, and how it stands: for operators.</summary>
/// <param name="Now">The definition that the server gives; null where it gives none of that name.</param>
/// <param name="Trusted">What is trusted; null where nothing is.</param>
public sealed record SurveyedTool(string Name, ToolState State, SeenTool? Now, TrustedTool? Trusted);

/// <summary>
/// MCP servers behind policy, review and journal: `/mcp/&lt;server&gt;` over Streamable HTTP (docs/spec/mcp.md). Thread-safe.
/// </summary>
public sealed partial class McpGateway : IAsyncDisposable
{
    private readonly CountersignConfig config;
    private readonly Spine spine;
    private readonly ReviewDesk desk;
    private readonly AgentRegistry agents;
    private readonly ToolTrust trust;
    private readonly McpSeams seams;
    private readonly TimeProvider time;
    private readonly ILogger<McpGateway> logger;
    private readonly McpLimits limits;
    private readonly BearerDoor door;
    private readonly WorkloadDoor workloads;
    private readonly StoredCalls calls;
    private readonly RequestStates states;
    private readonly Dictionary<string, McpServer> servers;
    private readonly ConcurrentDictionary<string, McpSession> sessions = new(StringComparer.Ordinal);
    private readonly Dictionary<OpaqueId, int> opening = [];
    private readonly ITimer reaper;
    private volatile bool stopping;

    public McpGateway(
        CountersignConfig config, AgentRegistry agents, WorkloadDoor workloads, Spine spine, ReviewDesk desk, ToolTrust trust, IStateReader reader, JournalAppender journal,
        McpSeams seams, TimeProvider time, ILogger<McpGateway> logger, McpLimits? limits = null)
    {
        this.config = config;
        this.spine = spine;
        this.desk = desk;
        this.agents = agents;
        this.trust = trust;
        this.seams = seams;
        this.time = time;
        this.logger = logger;
        this.workloads = workloads;
        this.limits = limits ?? new McpLimits { MessageBytes = config.Limits.MessageBytes, Sessions = config.Limits.Connections, SessionsPerAgent = config.Limits.ConnectionsPerAgent };
        door = new BearerDoor(agents, workloads, config.Federation.InsecureLoopback, time);
        calls = new StoredCalls(reader, journal, desk, time);
        states = new RequestStates(reader, journal, seams.StateKey, time);
        servers = config.McpServers.ToDictionary(static s => s.Key, s => new McpServer(s.Value, trust, this.limits, time), StringComparer.Ordinal);
        reaper = time.CreateTimer(static state => _ = ((McpGateway)state!).ReapAsync(), this, TimeSpan.FromMinutes(1), TimeSpan.FromMinutes(1));
    }

    /// <summary>Names of the servers, in order.</summary>
    public IReadOnlyList<string> Servers => servers.Keys.Order(StringComparer.Ordinal).ToArray();

    // ---- for operators ----

    /// <summary>Asks a server for its tools, in a conversation of the gateway's own. Null: there is no such server.</summary>
    /// <exception cref="IOException">It can not be asked; the message says why.</exception>
    public async Task<IReadOnlyList<SurveyedTool>?> SurveyAsync(string name, CancellationToken ct)
    {
        if (!servers.TryGetValue(name, out var server)) return null;
        var tools = await AskAsync(server, ct).ConfigureAwait(false);
        return tools.Select(t => new SurveyedTool(t.Name, server.Actions.StateOf(t), new SeenTool(t.Sha256, t.Text, time.GetUtcNow()), trust.Find(name, t.Name)))
            .Concat(trust.List().Where(t => t.Server == name && tools.All(now => now.Name != t.Name)).Select(static t => new SurveyedTool(t.Name, ToolState.Trusted, null, t)))
            .OrderBy(static t => t.Name, StringComparer.Ordinal).ToArray();
    }

    /// <summary>
    /// Trusts a tool as its server defines it at this moment, if that is what the operator has seen: the hash says so. Null: no such
    /// server or tool, or it is defined otherwise.
    /// </summary>
    /// <exception cref="IOException">The server can not be asked.</exception>
    public async Task<TrustResult?> TrustAsync(string name, string tool, string sha256, Verb verb, IReadOnlyList<string> secrets, PrincipalRef author, CancellationToken ct)
    {
        if (!servers.TryGetValue(name, out var server)) return null;
        if ((await AskAsync(server, ct).ConfigureAwait(false)).FirstOrDefault(t => t.Name == tool) is not { } definition || definition.Sha256 != sha256) return null;
        var result = await trust.TrustAsync(name, definition, verb, secrets, author).ConfigureAwait(false);
        if (result.Status == TrustStatus.Done)
        {
            foreach (var session in sessions.Values.Where(s => s.Server == server)) await session.DeliverAsync(Wire.RpcWriter.Notification("notifications/tools/list_changed", default)).ConfigureAwait(false);
        }

        return result;
    }

    private async Task<IReadOnlyList<ToolDefinition>> AskAsync(McpServer server, CancellationToken ct)
    {
        try
        {
            await using var link = server.Open();
            await server.InitializeAsync(link, Revisions.Latest, "{}"u8.ToArray(), """{"name":"countersign","version":"1"}"""u8.ToArray(), ct).ConfigureAwait(false);
            return await server.ListToolsAsync(link, ct).ConfigureAwait(false);
        }
        catch (UpstreamException e)
        {
            throw new IOException(e.Message, e.InnerException);
        }
    }

    // ---- sessions ----

    /// <summary>Takes a place for a session that is being begun: a process is started only where there is one. False: there is none.</summary>
    private bool TryReserve(Caller caller)
    {
        var agent = caller.Actors.Agent.Id;
        lock (opening)
        {
            var mine = opening.GetValueOrDefault(agent);
            if (stopping || sessions.Count + opening.Values.Sum() >= limits.Sessions || sessions.Values.Count(s => s.Caller.Actors.Agent.Id == agent) + mine >= limits.SessionsPerAgent) return false;
            opening[agent] = mine + 1;
            return true;
        }
    }

    private void Release(Caller caller)
    {
        lock (opening)
        {
            if (--opening[caller.Actors.Agent.Id] == 0) opening.Remove(caller.Actors.Agent.Id);
        }
    }

    private McpSession? Add(Caller caller, McpServer server, Link link, string version, byte[] greeting)
    {
        if (stopping) return null;
        var session = new McpSession(RandomNumberGenerator.GetString("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 43), caller, server, link, version, greeting, limits, time);
        session.Attach();
        sessions[session.Id] = session;
        LogStarted(caller.Actors.Agent.Name, caller.Actors.Agent.Id.Value, server.Name);
        return session;
    }

    private async Task EndAsync(McpSession session)
    {
        if (sessions.TryRemove(session.Id, out _)) await session.DisposeAsync().ConfigureAwait(false);
    }

    private async Task ReapAsync()
    {
        foreach (var session in sessions.Values)
        {
            if (session.IsIdle || session.Caller.EndsAt < time.GetUtcNow() || !Acts(session.Caller)) await EndAsync(session).ConfigureAwait(false);
        }
    }

    /// <summary>Whether the agent is still who it was; what can not be asked now is asked again in a minute, and each request asks by itself.</summary>
    private bool Acts(Caller caller)
    {
        try
        {
            return agents.StillActs(caller.Actors);
        }
        catch (JournalStoreException)
        {
            return true;
        }
    }

    /// <summary>Lets every waiter leave, and ends every conversation.</summary>
    public async Task StopAsync()
    {
        stopping = true;
        foreach (var session in sessions.Values) session.LeaveAll(LeaveReason.ShuttingDown);
        await Task.WhenAll(sessions.Values.Select(EndAsync)).ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        await reaper.DisposeAsync().ConfigureAwait(false);
        await StopAsync().ConfigureAwait(false);
        foreach (var server in servers.Values) server.Dispose();
    }

    [LoggerMessage(EventId = 7001, Level = LogLevel.Information, Message = "MCP session of {Agent} ({AgentId}) on {Server} started")]
    private partial void LogStarted(string agent, string agentId, string server);

    [LoggerMessage(EventId = 7002, Level = LogLevel.Warning, Message = "somebody at {Remote} failed to authenticate at an MCP server: {Reason}")]
    private partial void LogUnauthenticated(System.Net.IPAddress? remote, string reason);

    [LoggerMessage(EventId = 7003, Level = LogLevel.Warning, Message = "MCP server {Server} failed: {Why}")]
    private partial void LogServerFailed(string server, string why);

    [LoggerMessage(EventId = 7004, Level = LogLevel.Error, Message = "an MCP request failed")]
    private partial void LogFailed(Exception e);
}
