using System.Net;
using System.Net.Http.Headers;
using Countersign.Config;
using Countersign.Gateway.Mcp.Wire;

namespace Countersign.Gateway.Mcp.Upstream;

/// <summary>A server that speaks Streamable HTTP, one conversation for each session. Redirects are not followed with its credential (P46).</summary>
internal sealed class HttpUpstream(McpServerConfig server, HttpClient http, McpLimits limits, TimeProvider time, Action<byte[]> receive) : IUpstream
{
    private const string SessionHeader = "Mcp-Session-Id";
    private const string VersionHeader = "MCP-Protocol-Version";

    private readonly CancellationTokenSource ended = new();
    private string? session;
    private string? version;

    /// <summary>A client for one server. Nothing is kept between conversations but connections.</summary>
    public static HttpClient Client(McpServerConfig server, McpLimits limits)
    {
        var client = new HttpClient(new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            UseProxy = false,
            AutomaticDecompression = DecompressionMethods.None,
            ConnectTimeout = limits.Connect,
            PooledConnectionIdleTimeout = TimeSpan.FromMinutes(1),
            MaxConnectionsPerServer = 256,
        })
        {
            Timeout = Timeout.InfiniteTimeSpan, // each request has its own
        };
        foreach (var (name, value) in server.Headers) client.DefaultRequestHeaders.TryAddWithoutValidation(name, value.Reveal());
        client.DefaultRequestHeaders.UserAgent.Add(new ProductInfoHeaderValue("countersign", null));
        return client;
    }

    public async Task<Task> SendAsync(ReadOnlyMemory<byte> message, bool isRequest, CancellationToken ct)
    {
        var request = Request(HttpMethod.Post);
        request.Content = new ReadOnlyMemoryContent(message) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } };
        HttpResponseMessage response;
        try
        {
            response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, ct).ConfigureAwait(false);
        }
        catch (HttpRequestException e)
        {
            var unsent = e.HttpRequestError is HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError or HttpRequestError.SecureConnectionError;
            throw new UpstreamException("the server can not be reached", sent: !unsent, e);
        }
        finally
        {
            request.Dispose();
        }

        if (session is null && response.Headers.TryGetValues(SessionHeader, out var ids) && ids.First() is { Length: > 0 and <= 1024 } id) session = id;
        return isRequest ? AnswersAsync(response, ct) : Noted(response);
    }

    public void Agreed(string agreed) => version = agreed;

    public void Listen() => _ = Task.Run(ListenAsync);

    private static Task Noted(HttpResponseMessage response)
    {
        response.Dispose();
        return Task.CompletedTask;
    }

    private HttpRequestMessage Request(HttpMethod method)
    {
        var request = new HttpRequestMessage(method, server.Url);
        if (method == HttpMethod.Post) request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("application/json"));
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("text/event-stream"));
        if (version is not null) request.Headers.TryAddWithoutValidation(VersionHeader, version);
        if (session is not null) request.Headers.TryAddWithoutValidation(SessionHeader, session);
        return request;
    }

    private async Task AnswersAsync(HttpResponseMessage response, CancellationToken ct)
    {
        using var both = CancellationTokenSource.CreateLinkedTokenSource(ct, ended.Token);
        try
        {
            using (response)
            {
                var media = response.Content.Headers.ContentType?.MediaType;
                if (media == "text/event-stream" && response.StatusCode == HttpStatusCode.OK)
                {
                    await EventsAsync(response, both.Token).ConfigureAwait(false);
                    return;
                }

                // An error may have a JSON-RPC answer as its body, which says more than its status.
                var body = media == "application/json" ? await BodyAsync(response, both.Token).ConfigureAwait(false) : null;
                if (body is not null && RpcMessage.TryParse(body, out _) is { Kind: RpcKind.Response, Id.Length: > 0 }) receive(body);
                else throw new UpstreamException(Words(response.StatusCode), sent: response.StatusCode is not (HttpStatusCode.NotFound or HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden or HttpStatusCode.BadRequest or HttpStatusCode.TooManyRequests));
            }
        }
        catch (Exception e) when (e is HttpRequestException or IOException or InvalidDataException or HttpIOException)
        {
            throw new UpstreamException("the connection to the server was lost", sent: true, e);
        }
    }

    private async Task EventsAsync(HttpResponseMessage response, CancellationToken ct)
    {
        await using var stream = await response.Content.ReadAsStreamAsync(ct).ConfigureAwait(false);
        var reader = new SseReader(stream, limits.AnswerBytes);
        while (await reader.NextAsync(ct).ConfigureAwait(false) is { } data) receive(data);
    }

    private async Task<byte[]> BodyAsync(HttpResponseMessage response, CancellationToken ct)
    {
        if (response.Content.Headers.ContentLength > limits.AnswerBytes) throw new InvalidDataException("too long");
        await using var stream = await response.Content.ReadAsStreamAsync(ct).ConfigureAwait(false);
        using var body = new MemoryStream();
        var buffer = new byte[16 << 10];
        for (int read; (read = await stream.ReadAsync(buffer, ct).ConfigureAwait(false)) > 0;)
        {
            if (body.Length + read > limits.AnswerBytes) throw new InvalidDataException("too long");
            body.Write(buffer, 0, read);
        }

        return body.ToArray();
    }

    private static string Words(HttpStatusCode status) => status switch
    {
        HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden => "the server does not accept the gateway's credential",
        HttpStatusCode.NotFound => "the server has ended the conversation, or is not where the config says",
        HttpStatusCode.TooManyRequests => "the server has too much to do",
        _ => $"the server answered with status {(int)status}",
    };

    /// <summary>What the server says unasked. Many offer no such stream; one that ends is opened again, not too often.</summary>
    private async Task ListenAsync()
    {
        for (var pause = TimeSpan.FromSeconds(1); !ended.IsCancellationRequested; pause = pause < TimeSpan.FromSeconds(30) ? pause * 2 : pause)
        {
            try
            {
                using var request = Request(HttpMethod.Get);
                using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, ended.Token).ConfigureAwait(false);
                if (response.StatusCode != HttpStatusCode.OK || response.Content.Headers.ContentType?.MediaType != "text/event-stream") return;
                pause = TimeSpan.FromSeconds(1);
                await EventsAsync(response, ended.Token).ConfigureAwait(false);
            }
            catch (Exception e) when (e is HttpRequestException or IOException or InvalidDataException or HttpIOException)
            {
            }
            catch (OperationCanceledException)
            {
                return;
            }

            await Task.Delay(pause, time, ended.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (ended.IsCancellationRequested) return;
        await ended.CancelAsync().ConfigureAwait(false);
        if (session is null) return;
        try
        {
            using var limit = new CancellationTokenSource(limits.Farewell, time);
            using var request = Request(HttpMethod.Delete);
            using var response = await http.SendAsync(request, limit.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException)
        {
            // It will forget the conversation by itself.
        }
    }
}
