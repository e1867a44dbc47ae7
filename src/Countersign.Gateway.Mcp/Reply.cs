using System.Buffers;
using Microsoft.AspNetCore.Http;

namespace Countersign.Gateway.Mcp;

/// <summary>
/// The answer to one POST: one JSON object, or from the moment that there is more to say a stream of events. A client that has left is
/// written to no more, and nothing here throws for it: what was begun for it goes on.
/// </summary>
internal sealed class Reply(HttpContext http, bool takesEvents)
{
    private readonly SemaphoreSlim writing = new(1, 1);
    private bool streams;
    private bool finished;

    /// <summary>Cancelled when the client has gone.</summary>
    public CancellationToken Gone => http.RequestAborted;

    /// <summary>Whether it can be told anything before the answer.</summary>
    public bool TakesEvents => takesEvents;

    /// <summary>A message before the answer. Dropped where the client takes none.</summary>
    public Task SendAsync(byte[] message) => takesEvents ? WriteAsync(message, last: false) : Task.CompletedTask;

    /// <summary>A comment, so that nobody between takes the silence for the end. Only where a stream is open already.</summary>
    public async Task KeepAliveAsync()
    {
        await writing.WaitAsync().ConfigureAwait(false);
        try
        {
            if (streams && !finished) await BodyAsync(": \n\n"u8.ToArray()).ConfigureAwait(false);
        }
        finally
        {
            writing.Release();
        }
    }

    /// <summary>The answer itself, once.</summary>
    public Task FinishAsync(byte[] message) => WriteAsync(message, last: true);

    private async Task WriteAsync(byte[] message, bool last)
    {
        await writing.WaitAsync().ConfigureAwait(false);
        try
        {
            if (finished || Gone.IsCancellationRequested) return;
            finished = last;
            if (last && !streams)
            {
                http.Response.ContentType = "application/json";
                http.Response.ContentLength = message.Length;
                await BodyAsync(message).ConfigureAwait(false);
                return;
            }

            if (!streams)
            {
                streams = true;
                Events.Begin(http.Response);
            }

            await BodyAsync(Events.Of(message)).ConfigureAwait(false);
        }
        finally
        {
            writing.Release();
        }
    }

    private async Task BodyAsync(byte[] bytes)
    {
        try
        {
            await http.Response.Body.WriteAsync(bytes, Gone).ConfigureAwait(false);
            await http.Response.Body.FlushAsync(Gone).ConfigureAwait(false);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or ObjectDisposedException or InvalidOperationException)
        {
            finished = true;
        }
    }
}

/// <summary>Server-sent events as MCP uses them. Without ids: a stream that is lost is not continued, what was asked is asked again.</summary>
internal static class Events
{
    public static void Begin(HttpResponse response)
    {
        response.ContentType = "text/event-stream";
        response.Headers.CacheControl = "no-cache, no-transform";
        response.Headers["X-Accel-Buffering"] = "no";
    }

    /// <summary>Our messages hold no line break, so that one line of data is all there is.</summary>
    public static byte[] Of(byte[] message)
    {
        var output = new ArrayBufferWriter<byte>(message.Length + 32);
        output.Write("event: message\ndata: "u8);
        output.Write(message);
        output.Write("\n\n"u8);
        return output.WrittenSpan.ToArray();
    }
}
