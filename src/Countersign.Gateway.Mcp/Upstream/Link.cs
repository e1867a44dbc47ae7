using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Countersign.Gateway.Mcp.Wire;

namespace Countersign.Gateway.Mcp.Upstream;

/// <summary>What a server has answered: a result or an error, as the bytes that came.</summary>
internal sealed record ServerAnswer(byte[] Value, bool IsError)
{
    /// <summary>For a tool: whether its result says that it failed.</summary>
    public bool SaysFailed { get; init; }
}

/// <summary>
/// One conversation with a server. Ids and progress tokens towards it are the gateway's own, so that nothing of one client's is ever
/// matched with another's. Thread-safe.
/// </summary>
internal sealed class Link(TimeProvider time) : IAsyncDisposable
{
    private sealed class Pending(Action<JsonElement>? progress)
    {
        public readonly TaskCompletionSource<ServerAnswer> Answered = new(TaskCreationOptions.RunContinuationsAsynchronously);
        public readonly Action<JsonElement>? Progress = progress;
    }

    private readonly ConcurrentDictionary<long, Pending> pending = new();
    private IUpstream upstream = null!;
    private long last;

    /// <summary>Told of what the server says or asks unasked; progress and answers do not come here.</summary>
    public Action<RpcMessage>? Unasked { get; set; }

    /// <summary>Told when it says that its tools have changed, before anybody else.</summary>
    public Action? ToolsChanged { get; set; }

    /// <summary>Whether the conversation can not go on.</summary>
    public bool IsOver { get; private set; }

    /// <summary>Connects. Messages may come as soon as this is called.</summary>
    public void Use(Func<Action<byte[]>, IUpstream> connect) => upstream = connect(Receive);

    public void Agreed(string version) => upstream.Agreed(version);

    public void Listen() => upstream.Listen();

    /// <summary>The id under which the next request goes, to be its progress token as well.</summary>
    public long NextId() => Interlocked.Increment(ref last);

    /// <summary>Sends a request and waits for its answer.</summary>
    /// <exception cref="UpstreamException">It could not be sent, or no answer came.</exception>
    public async Task<ServerAnswer> RequestAsync(long id, string method, ReadOnlyMemory<byte> parameters, Action<JsonElement>? progress, TimeSpan within, CancellationToken ct)
    {
        var mine = new Pending(progress);
        pending[id] = mine;
        using var limit = new CancellationTokenSource(within, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, ct);
        try
        {
            var spent = await upstream.SendAsync(RpcWriter.Request(Id(id), method, parameters.Span), isRequest: true, both.Token).ConfigureAwait(false);
            var first = await Task.WhenAny(mine.Answered.Task, spent).WaitAsync(both.Token).ConfigureAwait(false);
            if (!mine.Answered.Task.IsCompleted)
            {
                await first.ConfigureAwait(false);
                throw new UpstreamException("the server gave no answer", sent: true);
            }

            return await mine.Answered.Task.ConfigureAwait(false);
        }
        catch (OperationCanceledException e)
        {
            await TellAsync("notifications/cancelled", RpcWriter.Object(w => w.WriteNumber("requestId", id))).ConfigureAwait(false);
            throw new UpstreamException(ct.IsCancellationRequested ? "it was cancelled after it had been sent" : "the server did not answer in time", sent: true, e);
        }
        finally
        {
            pending.TryRemove(id, out _);
        }
    }

    /// <summary>Sends a notification; that it can not be sent shows at the next request.</summary>
    public async Task TellAsync(string method, ReadOnlyMemory<byte> parameters)
    {
        try
        {
            await (await upstream.SendAsync(RpcWriter.Notification(method, parameters.Span), isRequest: false, CancellationToken.None).ConfigureAwait(false)
                is { IsCompleted: true } done ? done : Task.CompletedTask).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        catch (UpstreamException)
        {
        }
    }

    /// <summary>Answers what the server asked.</summary>
    public async Task AnswerAsync(byte[] response)
    {
        try
        {
            await upstream.SendAsync(response, isRequest: false, CancellationToken.None).ConfigureAwait(false);
        }
        catch (UpstreamException)
        {
        }
    }

    private void Receive(byte[] message)
    {
        // What a server says twice, or not as a message, is nothing that it said.
        if (RpcMessage.TryParse(message, out _) is not { } read) return;
        switch (read.Kind)
        {
            case RpcKind.Response:
                if (Number(read.Id) is { } id && pending.TryGetValue(id, out var waiting))
                {
                    waiting.Answered.TrySetResult(read.Error is { } error
                        ? new ServerAnswer(RpcMessage.Raw(error), IsError: true)
                        : new ServerAnswer(RpcMessage.Raw(read.Result!.Value), IsError: false) { SaysFailed = read.Result!.Value.TryGetProperty("isError", out var failed) && failed.ValueKind == JsonValueKind.True });
                }

                break;
            case RpcKind.Request when read.Method == "ping":
                _ = AnswerAsync(RpcWriter.Result(read.Id, "{}"u8));
                break;
            case RpcKind.Notification when read.Method == "notifications/progress":
                if (read.Params is { } parameters && parameters.TryGetProperty("progressToken", out var token) && token.ValueKind == JsonValueKind.Number && token.TryGetInt64(out var of) && pending.TryGetValue(of, out var running)) running.Progress?.Invoke(parameters);
                break;
            default:
                if (read.Method == "notifications/tools/list_changed") ToolsChanged?.Invoke();
                Unasked?.Invoke(read);
                break;
        }
    }

    public static byte[] Id(long id) => Encoding.ASCII.GetBytes(id.ToString(CultureInfo.InvariantCulture));

    private static long? Number(byte[] id) => long.TryParse(Encoding.ASCII.GetString(id), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;

    public ValueTask DisposeAsync()
    {
        IsOver = true;
        return upstream is null ? ValueTask.CompletedTask : upstream.DisposeAsync();
    }
}
