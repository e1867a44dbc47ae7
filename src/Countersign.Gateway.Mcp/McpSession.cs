using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using Countersign.Core;
using Countersign.Gateway.Mcp.Understanding;
using Countersign.Gateway.Mcp.Upstream;
using Countersign.Gateway.Mcp.Wire;
using Countersign.Reviews;

namespace Countersign.Gateway.Mcp;

/// <summary>One request of a client that is at work.</summary>
internal sealed class ClientRequest(string key, Reply reply, bool stateless)
{
    private Waiter? waiter;

    /// <summary>What it is called while it is at work.</summary>
    public string Key { get; } = key;
    public Reply Reply { get; } = reply;

    /// <summary>Of the revision without sessions.</summary>
    public bool IsStateless { get; } = stateless;

    /// <summary>Cancelled by the client on purpose.</summary>
    public CancellationTokenSource Cancelled { get; } = new();

    public void HoldsFor(Waiter? held)
    {
        waiter = held;
        Interlocked.MemoryBarrier(); // either the cancel sees this waiter, or we see the cancel
        if (Cancelled.IsCancellationRequested) held?.Leave(LeaveReason.Cancelled);
    }

    /// <summary>The client's cancel: what is held is withdrawn, what runs is cancelled at the server.</summary>
    public void Cancel()
    {
        Cancelled.Cancel();
        waiter?.Leave(LeaveReason.Cancelled);
    }

    public void Leave(LeaveReason reason) => waiter?.Leave(reason);
}

/// <summary>
/// What one client has with one server: a conversation of its own behind it, and an id that is worth nothing to another principal.
/// Thread-safe.
/// </summary>
internal sealed class McpSession(string id, Caller caller, McpServer server, Link link, string version, byte[] greeting, McpLimits limits, TimeProvider time) : IAsyncDisposable
{
    private readonly ConcurrentDictionary<string, ClientRequest> running = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, byte[]> asked = new(StringComparer.Ordinal);
    private readonly Channel<byte[]> unasked = Channel.CreateBounded<byte[]>(new BoundedChannelOptions(limits.Waiting) { FullMode = BoundedChannelFullMode.DropOldest });
    private readonly SemaphoreSlim listing = new(1, 1);
    private IReadOnlyList<ToolDefinition> tools = [];
    private long toolsAt;
    private volatile bool toolsStale = true;
    private long used = time.GetTimestamp();
    private CancellationTokenSource? listener;
    private long lastAsked;
    private int disposed;

    public string Id { get; } = id;
    public Caller Caller { get; } = caller;
    public McpServer Server { get; } = server;
    public Link Link { get; } = link;

    /// <summary>The revision that the client speaks.</summary>
    public string Version { get; } = version;

    /// <summary>What the server answered to `initialize`.</summary>
    public byte[] Greeting { get; } = greeting;

    /// <summary>The one conversation behind all stateless requests of a principal: nobody listens to it.</summary>
    public bool IsShared => Version == Revisions.Stateless;

    public bool IsOver => disposed != 0;

    /// <summary>Idle, and nothing of it is at work or listens.</summary>
    public bool IsIdle => running.IsEmpty && listener is null && time.GetElapsedTime(Interlocked.Read(ref used)) > limits.SessionIdle;

    public void Touch() => Interlocked.Exchange(ref used, time.GetTimestamp());

    // ---- requests of the client ----

    /// <summary>Null: the id is in use, or too many are at work.</summary>
    public ClientRequest? Begin(byte[] requestId, Reply reply)
    {
        if (running.Count >= limits.Requests) return null;

        // Stateless clients of one principal may well use the same ids.
        var request = new ClientRequest(IsShared ? $"r{Interlocked.Increment(ref lastAsked)}" : Key(requestId), reply, IsShared);
        return running.TryAdd(request.Key, request) ? request : null;
    }

    public void End(ClientRequest request)
    {
        running.TryRemove(request.Key, out _);
        Touch();
    }

    public void Cancel(JsonElement? parameters)
    {
        if (parameters is { } value && value.TryGetProperty("requestId", out var of) && of.ValueKind is JsonValueKind.String or JsonValueKind.Number && running.TryGetValue(Key(RpcMessage.Raw(of)), out var request)) request.Cancel();
    }

    // ---- what the server says and asks ----

    /// <summary>Wires up the link: from here on what the server says goes to this client.</summary>
    public void Attach()
    {
        Link.ToolsChanged = () => toolsStale = true;
        Link.Unasked = message => _ = UnaskedAsync(message);
    }

    private async Task UnaskedAsync(RpcMessage message)
    {
        if (IsShared)
        {
            // It was told that there is no client who could be asked; what it says unasked is nobody's.
            if (message.Kind == RpcKind.Request) await Link.AnswerAsync(RpcWriter.Error(message.Id, RpcWriter.MethodNotFound, "not available here")).ConfigureAwait(false);
            return;
        }

        if (message.Kind == RpcKind.Request)
        {
            // Only what a client may be asked; its answer finds its way back by an id of ours.
            if (message.Method is not ("sampling/createMessage" or "elicitation/create" or "roots/list") || asked.Count >= limits.Requests)
            {
                await Link.AnswerAsync(RpcWriter.Error(message.Id, RpcWriter.MethodNotFound, "not available here")).ConfigureAwait(false);
                return;
            }

            var key = $"cs-{Interlocked.Increment(ref lastAsked)}";
            asked[key] = message.Id;
            await DeliverAsync(RpcWriter.Request(Encoding.ASCII.GetBytes($"\"{key}\""), message.Method, message.Params is { } p ? RpcMessage.Raw(p) : default)).ConfigureAwait(false);
            return;
        }

        if (message.Method is "notifications/message" or "notifications/tools/list_changed" or "notifications/resources/list_changed" or "notifications/resources/updated" or "notifications/prompts/list_changed" or "notifications/elicitation/complete")
        {
            await DeliverAsync(RpcWriter.Notification(message.Method, message.Params is { } p ? RpcMessage.Raw(p) : default)).ConfigureAwait(false);
        }
        else if (message.Method == "notifications/cancelled" && message.Params is { } cancelled && cancelled.TryGetProperty("requestId", out var of))
        {
            var raw = RpcMessage.Raw(of);
            if (asked.FirstOrDefault(a => a.Value.AsSpan().SequenceEqual(raw)).Key is { } key) await DeliverAsync(RpcWriter.Notification(message.Method, RpcWriter.Object(w => w.WriteString("requestId", key)))).ConfigureAwait(false);
        }
    }

    /// <summary>To the client's stream, else beside an answer that is under way; else it waits for a stream.</summary>
    public async Task DeliverAsync(byte[] message)
    {
        if (listener is null && running.Values.FirstOrDefault(static r => r.Reply.TakesEvents) is { } request) await request.Reply.SendAsync(message).ConfigureAwait(false);
        else unasked.Writer.TryWrite(message);
    }

    /// <summary>The client's answer to something that the server asked. False: nobody asked that.</summary>
    public async Task<bool> AnsweredAsync(RpcMessage answer)
    {
        var key = Encoding.UTF8.GetString(answer.Id).Trim('"');
        if (!asked.TryRemove(key, out var serverId)) return false;
        await Link.AnswerAsync(answer.Error is { } error ? RpcWriter.Error(serverId, RpcMessage.Raw(error)) : RpcWriter.Result(serverId, RpcMessage.Raw(answer.Result!.Value))).ConfigureAwait(false);
        return true;
    }

    /// <summary>Hands out what the server says unasked, until the client leaves or listens anew.</summary>
    public async Task ListenAsync(Func<byte[], Task> write, Func<Task> alive, CancellationToken gone)
    {
        using var mine = CancellationTokenSource.CreateLinkedTokenSource(gone);
        if (Interlocked.Exchange(ref listener, mine) is { } older) await CancelQuietlyAsync(older).ConfigureAwait(false);
        try
        {
            while (!mine.IsCancellationRequested && !IsOver)
            {
                using var pause = CancellationTokenSource.CreateLinkedTokenSource(mine.Token);
                using var silence = new CancellationTokenSource(limits.Notice, time);
                using var either = CancellationTokenSource.CreateLinkedTokenSource(pause.Token, silence.Token);
                try
                {
                    await write(await unasked.Reader.ReadAsync(either.Token).ConfigureAwait(false)).ConfigureAwait(false);
                }
                catch (OperationCanceledException) when (!mine.IsCancellationRequested)
                {
                    await alive().ConfigureAwait(false);
                }

                Touch();
            }
        }
        catch (Exception e) when (e is OperationCanceledException or ChannelClosedException or IOException)
        {
        }
        finally
        {
            Interlocked.CompareExchange(ref listener, null, mine);
        }
    }

    private static async Task CancelQuietlyAsync(CancellationTokenSource source)
    {
        try
        {
            await source.CancelAsync().ConfigureAwait(false);
        }
        catch (ObjectDisposedException)
        {
        }
    }

    // ---- tools ----

    /// <summary>The tools that the server has now, of usable names, each name once. Not older than the limit says; <paramref name="fresh"/> asks in any case.</summary>
    /// <exception cref="UpstreamException">It can not be asked.</exception>
    public async Task<IReadOnlyList<ToolDefinition>> ToolsAsync(bool fresh, CancellationToken ct)
    {
        await listing.WaitAsync(ct).ConfigureAwait(false);
        try
        {
            if (!fresh && !toolsStale && time.GetElapsedTime(toolsAt) < limits.DefinitionAge) return tools;
            toolsStale = false;
            tools = await Server.ListToolsAsync(Link, ct).ConfigureAwait(false);
            toolsAt = time.GetTimestamp();
            return tools;
        }
        catch (UpstreamException)
        {
            toolsStale = true;
            throw;
        }
        finally
        {
            listing.Release();
        }
    }

    /// <summary>Has everything that waits here leave.</summary>
    public void LeaveAll(LeaveReason reason)
    {
        foreach (var request in running.Values) request.Leave(reason);
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref disposed, 1) != 0) return;
        LeaveAll(LeaveReason.Lost);
        if (listener is { } listening) await CancelQuietlyAsync(listening).ConfigureAwait(false);
        unasked.Writer.TryComplete();
        await Link.DisposeAsync().ConfigureAwait(false);
    }

    private static string Key(byte[] requestId) => Encoding.UTF8.GetString(requestId);
}

/// <summary>Who sends a request, and by which credential.</summary>
/// <param name="Credential">SHA-256 of what it showed, in hex.</param>
/// <param name="EndsAt">Until when it may begin anything; null where only a revocation ends it.</param>
internal sealed record Caller(ActorChain Actors, string Credential, DateTimeOffset? EndsAt)
{
    /// <summary>Whether two requests come from the same principal: the same agent, answering to and acting for the same people.</summary>
    public bool IsSameAs(Caller other) =>
        Actors.Agent.Id == other.Actors.Agent.Id && Actors.Owner.Id == other.Actors.Owner.Id && Actors.OnBehalfOf?.Id == other.Actors.OnBehalfOf?.Id
        && Actors.Via.Select(static v => v.Id).SequenceEqual(other.Actors.Via.Select(static v => v.Id));

    /// <summary>Whether a review is of something that this agent asked for the same people; what it asked for others is no business of these.</summary>
    public bool Asked(Review review) =>
        review.Agent.Id == Actors.Agent.Id && review.OnBehalfOf?.Id == Actors.OnBehalfOf?.Id && review.Via.Select(static v => v.Id).SequenceEqual(Actors.Via.Select(static v => v.Id));
}
