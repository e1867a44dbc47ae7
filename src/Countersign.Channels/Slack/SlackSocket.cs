using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Countersign.Channels.Delivery;
using Microsoft.Extensions.Logging;

namespace Countersign.Channels.Slack;

/// <summary>
/// Socket Mode: the gateway opens a WebSocket to Slack, and what people do comes over it in envelopes, each of which is
/// acknowledged. Slack closes a socket now and then and says so before: the next one is open before the old one goes.
/// An envelope whose acknowledgement did not arrive comes again; what it asks for takes effect once all the same.
/// </summary>
internal sealed partial class SlackSocket(SlackApi api, SlackOptions options, Func<JsonElement, CancellationToken, Task<JsonObject?>> take, TimeProvider time, ILogger logger)
{
    /// <summary>Largest envelope. 1 MiB: it holds the message that was clicked on, with its blocks.</summary>
    public const int MaxEnvelope = 1 << 20;

    /// <summary>Envelopes worked on at once. 64: people click slower.</summary>
    private const int AtOnce = 64;

    private static readonly TimeSpan FirstWait = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LastWait = TimeSpan.FromSeconds(30);

    /// <summary>How long a socket may be silent, and how long it may leave a ping unanswered. 15 s each: a dead one is known in half a minute.</summary>
    private static readonly TimeSpan KeepAlive = TimeSpan.FromSeconds(15);

    private readonly SemaphoreSlim room = new(AtOnce, AtOnce);
    private int connected;

    /// <summary>Whether a socket is open now.</summary>
    public bool IsConnected => Volatile.Read(ref connected) > 0;

    /// <summary>Runs until it is stopped.</summary>
    public async Task RunAsync(CancellationToken ct)
    {
        var wait = FirstWait;
        while (!ct.IsCancellationRequested)
        {
            try
            {
                var (url, retryAfter, why) = await OpenAsync(ct).ConfigureAwait(false);
                if (url is not null)
                {
                    // Ends when Slack has announced that it will close it, and then goes on reading beside the next one.
                    if (await UntilReplacedAsync(url, ct).ConfigureAwait(false)) wait = FirstWait;
                    else LogClosed("the connection was lost");
                }
                else
                {
                    LogClosed(why!);
                    if (retryAfter > wait) wait = retryAfter.Value;
                }
            }
            catch (Exception e) when (e is WebSocketException or HttpRequestException or IOException or JsonException or InvalidOperationException or UriFormatException)
            {
                LogClosed(e.Message);
            }
            catch (OperationCanceledException) when (ct.IsCancellationRequested)
            {
                return;
            }
            catch (OperationCanceledException)
            {
                LogClosed("it did not answer in time");
            }

            try
            {
                if (!IsConnected) await Task.Delay(wait, time, ct).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;
            }

            wait = wait * 2 < LastWait ? wait * 2 : LastWait;
        }
    }

    private async Task<(Uri? Url, TimeSpan? RetryAfter, string? Why)> OpenAsync(CancellationToken ct)
    {
        using var late = CancellationTokenSource.CreateLinkedTokenSource(ct);
        late.CancelAfter(Outbox.CallLimit);
        var reply = await api.ReadAsync("apps.connections.open", options.AppToken!, late.Token).ConfigureAwait(false);
        if (!reply.Ok) return (null, reply.RetryAfter, SlackErrors.Explain(reply.Error));
        var url = reply.Text("url") is { } text && Uri.TryCreate(text, UriKind.Absolute, out var uri) ? uri : null;

        // In clear text only where the Web API is so as well, on this machine.
        return url is { Scheme: "wss" } || (url is { Scheme: "ws", IsLoopback: true } && options.Api is { Scheme: "http" })
            ? (url, null, null)
            : (null, null, "slack gave no address that may be connected to");
    }

    /// <summary>True once a replacement is due while the socket still works; false when it ended.</summary>
    private async Task<bool> UntilReplacedAsync(Uri url, CancellationToken ct)
    {
        var socket = new ClientWebSocket();
        socket.Options.KeepAliveInterval = KeepAlive;
        socket.Options.KeepAliveTimeout = KeepAlive;
        using var late = CancellationTokenSource.CreateLinkedTokenSource(ct);
        late.CancelAfter(Outbox.CallLimit);
        try
        {
            await socket.ConnectAsync(url, late.Token).ConfigureAwait(false);
        }
        catch
        {
            socket.Dispose();
            throw;
        }

        var replace = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var reading = ReadAsync(socket, replace, ct);
        return await Task.WhenAny(replace.Task, reading).ConfigureAwait(false) == replace.Task;
    }

    /// <summary>Reads envelopes until the socket ends; each is worked on beside the others. Never throws.</summary>
    private async Task ReadAsync(ClientWebSocket socket, TaskCompletionSource replace, CancellationToken ct)
    {
        using var sending = new SemaphoreSlim(1, 1);
        var work = new List<Task>();
        var greeted = false;
        try
        {
            var buffer = new byte[16 << 10];
            using var message = new MemoryStream();
            while (socket.State == WebSocketState.Open)
            {
                var part = await socket.ReceiveAsync(buffer.AsMemory(), ct).ConfigureAwait(false);
                if (part.MessageType == WebSocketMessageType.Close) break;
                if (message.Length + part.Count > MaxEnvelope) break;
                message.Write(buffer, 0, part.Count);
                if (!part.EndOfMessage) continue;
                using var document = JsonDocument.Parse(message.GetBuffer().AsMemory(0, (int)message.Length));
                var envelope = document.RootElement.Clone();
                message.SetLength(0);
                switch (envelope.TryGetProperty("type", out var type) ? type.GetString() : null)
                {
                    case "hello":
                        if (!greeted) Interlocked.Increment(ref connected);
                        greeted = true;
                        LogConnected();
                        break;
                    case "disconnect":
                        // `warning` and `refresh_requested`: soon. `link_disabled`: now, and somebody switched Socket Mode off.
                        replace.TrySetResult();
                        if (envelope.TryGetProperty("reason", out var reason) && reason.ValueEquals("link_disabled")) return;
                        break;
                    default:
                        await room.WaitAsync(ct).ConfigureAwait(false);
                        work.RemoveAll(static t => t.IsCompleted);
                        work.Add(HandleAsync(socket, sending, envelope, ct));
                        break;
                }
            }
        }
        catch (Exception e) when (e is WebSocketException or IOException or JsonException or InvalidOperationException or OperationCanceledException)
        {
            // It ended: the next one is opened by whoever waits for this.
        }
        finally
        {
            if (greeted) Interlocked.Decrement(ref connected);

            // What was begun is finished; whether its acknowledgement still arrives is for Slack to find out.
            await Task.WhenAll(work).ConfigureAwait(false);
            socket.Dispose();
        }
    }

    private async Task HandleAsync(ClientWebSocket socket, SemaphoreSlim sending, JsonElement envelope, CancellationToken ct)
    {
        try
        {
            if (!envelope.TryGetProperty("envelope_id", out var id) || id.GetString() is not { Length: > 0 and <= 200 } envelopeId) return;
            var answer = envelope.GetProperty("type").ValueEquals("interactive") && envelope.TryGetProperty("payload", out var payload) ? await take(payload, ct).ConfigureAwait(false) : null;
            var acknowledgement = new JsonObject { ["envelope_id"] = envelopeId };
            if (answer is not null && envelope.TryGetProperty("accepts_response_payload", out var accepts) && accepts.ValueKind == JsonValueKind.True) acknowledgement["payload"] = answer;
            await sending.WaitAsync(ct).ConfigureAwait(false);
            try
            {
                await socket.SendAsync(Encoding.UTF8.GetBytes(acknowledgement.ToJsonString()).AsMemory(), WebSocketMessageType.Text, endOfMessage: true, ct).ConfigureAwait(false);
            }
            finally
            {
                sending.Release();
            }
        }
        catch (Exception e) when (e is WebSocketException or IOException or InvalidOperationException or OperationCanceledException)
        {
            // Not acknowledged: it comes again, and then finds that it was done.
        }
        finally
        {
            room.Release();
        }
    }

    [LoggerMessage(EventId = 7020, Level = LogLevel.Information, Message = "slack is connected; clicks arrive")]
    private partial void LogConnected();

    [LoggerMessage(EventId = 7021, Level = LogLevel.Warning, Message = "no socket to slack: {Why}; it is tried again")]
    private partial void LogClosed(string why);
}
