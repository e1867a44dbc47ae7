using System.Collections.Concurrent;
using System.Net.Http.Headers;
using System.Net.ServerSentEvents;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Countersign.Client;

/// <summary>
/// MCP over standard input and output in front of a gateway's `/mcp/&lt;server&gt;`, for clients that speak nothing else. Messages pass as they
/// are; it decides nothing and keeps nothing but the session id.
/// </summary>
internal sealed class McpBridge : IDisposable
{
    private const string SessionHeader = "Mcp-Session-Id";

    private readonly Uri url;
    private readonly HttpClient http;
    private readonly Stream output;
    private readonly SemaphoreSlim writing = new(1, 1);
    private readonly ConcurrentDictionary<Task, byte> running = new();
    private string? session;
    private string? version;

    public McpBridge(Uri url, string key, Stream output)
    {
        this.url = url;
        this.output = output;
        http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, UseProxy = !url.IsLoopback, ConnectTimeout = TimeSpan.FromSeconds(10) }) { Timeout = Timeout.InfiniteTimeSpan };
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
    }

    /// <summary>Runs until the input ends. What is under way then is waited for no longer.</summary>
    public async Task RunAsync(Stream input, CancellationToken ct)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(ct);
        using var lines = new StreamReader(input, new UTF8Encoding(false));
        Task? listening = null;
        while (await lines.ReadLineAsync(ct).ConfigureAwait(false) is { } line)
        {
            if (line.Length == 0) continue;
            var (id, method) = Read(line);
            var sending = SendAsync(line, id, method, ending.Token);

            // The first one must be answered before any other, and notifications keep their order; the rest run side by side.
            if (method == "initialize" || id is null) await sending.ConfigureAwait(false);
            else if (running.TryAdd(sending, 0)) _ = sending.ContinueWith(t => running.TryRemove(t, out _), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
            if (method == "notifications/initialized") listening ??= ListenAsync(ending.Token);
        }

        await ending.CancelAsync().ConfigureAwait(false);
        await Task.WhenAll([.. running.Keys, listening ?? Task.CompletedTask]).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await GoAsync().ConfigureAwait(false);
    }

    private async Task SendAsync(string line, JsonNode? id, string? method, CancellationToken ct)
    {
        try
        {
            using var request = Request(HttpMethod.Post);
            request.Content = new StringContent(line, new UTF8Encoding(false), "application/json");
            using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, ct).ConfigureAwait(false);
            if (method == "initialize" && response.Headers.TryGetValues(SessionHeader, out var ids)) session = ids.First();
            if (response.Content.Headers.ContentType?.MediaType == "text/event-stream")
            {
                await EventsAsync(response, ct).ConfigureAwait(false);
                return;
            }

            var text = await response.Content.ReadAsStringAsync(ct).ConfigureAwait(false);
            if (id is null) return;
            var answer = Parse(text);
            if (method == "initialize") version = answer?["result"]?["protocolVersion"]?.GetValue<string>();
            if (answer is JsonObject said && (said.ContainsKey("result") || said.ContainsKey("error")))
            {
                said["id"] = id.DeepClone(); // of what was refused before it was read, the gateway does not know the id
                await WriteAsync(said.ToJsonString()).ConfigureAwait(false);
            }
            else await FailAsync(id, $"the gateway answered with status {(int)response.StatusCode}").ConfigureAwait(false);
        }
        catch (HttpRequestException e)
        {
            if (id is not null) await FailAsync(id, $"the gateway can not be reached: {e.InnerException?.Message ?? e.Message}").ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            if (id is not null && !ct.IsCancellationRequested) await FailAsync(id, "the connection to the gateway was lost").ConfigureAwait(false);
        }
    }

    private HttpRequestMessage Request(HttpMethod method)
    {
        var request = new HttpRequestMessage(method, url);
        if (method == HttpMethod.Post) request.Headers.Accept.ParseAdd("application/json");
        request.Headers.Accept.ParseAdd("text/event-stream");
        if (session is not null) request.Headers.Add(SessionHeader, session);
        if (version is not null) request.Headers.Add("MCP-Protocol-Version", version);
        return request;
    }

    private async Task EventsAsync(HttpResponseMessage response, CancellationToken ct)
    {
        await using var stream = await response.Content.ReadAsStreamAsync(ct).ConfigureAwait(false);
        await foreach (var item in SseParser.Create(stream).EnumerateAsync(ct).ConfigureAwait(false))
        {
            if (item.Data.Length > 0) await WriteAsync(item.Data).ConfigureAwait(false);
        }
    }

    private async Task ListenAsync(CancellationToken ct)
    {
        try
        {
            using var request = Request(HttpMethod.Get);
            using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, ct).ConfigureAwait(false);
            if (response.IsSuccessStatusCode) await EventsAsync(response, ct).ConfigureAwait(false);
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException)
        {
            // What the server says unasked is lost then; answers are not.
        }
    }

    private async Task GoAsync()
    {
        if (session is null) return;
        try
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(2), TimeProvider.System);
            using var request = Request(HttpMethod.Delete);
            using var response = await http.SendAsync(request, limit.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException)
        {
        }
    }

    private Task FailAsync(JsonNode id, string message) =>
        WriteAsync(new JsonObject { ["jsonrpc"] = "2.0", ["id"] = id.DeepClone(), ["error"] = new JsonObject { ["code"] = -32603, ["message"] = $"countersign: {message}" } }.ToJsonString());

    private async Task WriteAsync(string message)
    {
        var line = Encoding.UTF8.GetBytes(message.ReplaceLineEndings(" ") + "\n");
        await writing.WaitAsync().ConfigureAwait(false);
        try
        {
            await output.WriteAsync(line).ConfigureAwait(false);
            await output.FlushAsync().ConfigureAwait(false);
        }
        finally
        {
            writing.Release();
        }
    }

    private static (JsonNode? Id, string? Method) Read(string line) =>
        Parse(line) is JsonObject message ? (message["method"] is null ? null : message["id"], (message["method"] as JsonValue)?.TryGetValue<string>(out var method) == true ? method : null) : (null, null);

    private static JsonNode? Parse(string text)
    {
        try
        {
            return JsonNode.Parse(text);
        }
        catch (Exception e) when (e is JsonException or ArgumentException)
        {
            return null;
        }
    }

    public void Dispose() => http.Dispose();
}
