using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.ServerSentEvents;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Countersign.Api;
using Countersign.Commands;
using Countersign.Core;

namespace Countersign.Client;

/// <summary>A refusal of the server, as it words it.</summary>
internal sealed class ApiRefused(Problem problem) : Exception(problem.Detail)
{
    public Problem Problem { get; } = problem;
}

/// <summary>The API as the commands speak it: as the channel `cli`, with the session of one human or none.</summary>
internal sealed class ApiClient : IDisposable
{
    private readonly HttpClient http;

    private readonly string? whence;

    /// <param name="server">Where it is.</param>
    /// <param name="token">The session of a human; null for nobody.</param>
    /// <param name="whence">Where the address comes from, for an error; null where the user named it.</param>
    public ApiClient(Uri server, string? token, string? whence = null)
    {
        this.whence = whence;
        Server = server;
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false, // a session goes to the server that it is for, and nowhere else (P46)
            UseCookies = false,
            UseProxy = !server.IsLoopback,
            ConnectTimeout = TimeSpan.FromSeconds(10),
        };
        http = new HttpClient(handler) { BaseAddress = server, Timeout = TimeSpan.FromSeconds(100) };
        http.DefaultRequestHeaders.Add("Countersign-Client", "cli");
        if (token is not null) http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
    }

    public Uri Server { get; }

    /// <summary>How long an answer may take: 100 seconds, but for what reads a whole journal.</summary>
    public TimeSpan Patience
    {
        set => http.Timeout = value;
    }

    public Task<T> GetAsync<T>(string path, JsonTypeInfo<T> type, CancellationToken ct) => SendAsync(HttpMethod.Get, path, null, type, ct);

    public Task<T> PostAsync<TBody, T>(string path, TBody body, JsonTypeInfo<TBody> bodyType, JsonTypeInfo<T> type, CancellationToken ct) =>
        SendAsync(HttpMethod.Post, path, JsonContent.Create(body, bodyType), type, ct);

    public Task<T> PutAsync<TBody, T>(string path, TBody body, JsonTypeInfo<TBody> bodyType, JsonTypeInfo<T> type, CancellationToken ct) =>
        SendAsync(HttpMethod.Put, path, JsonContent.Create(body, bodyType), type, ct);

    public Task<T> PostAsync<T>(string path, JsonTypeInfo<T> type, CancellationToken ct) => SendAsync(HttpMethod.Post, path, null, type, ct);

    public Task<T> DeleteAsync<T>(string path, JsonTypeInfo<T> type, CancellationToken ct) => SendAsync(HttpMethod.Delete, path, null, type, ct);

    public async Task PostAsync(string path, CancellationToken ct)
    {
        using var response = await AnswerAsync(HttpMethod.Post, path, null, HttpCompletionOption.ResponseContentRead, ct).ConfigureAwait(false);
    }

    /// <summary>Server-sent events until the server ends the stream or the caller stops.</summary>
    public async IAsyncEnumerable<T> StreamAsync<T>(string path, JsonTypeInfo<T> type, [EnumeratorCancellation] CancellationToken ct)
    {
        using var response = await AnswerAsync(HttpMethod.Get, path, null, HttpCompletionOption.ResponseHeadersRead, ct).ConfigureAwait(false);
        await using var stream = await response.Content.ReadAsStreamAsync(ct).ConfigureAwait(false);
        var parser = SseParser.Create(stream, (_, data) => JsonSerializer.Deserialize(data, type));
        await foreach (var item in parser.EnumerateAsync(ct).ConfigureAwait(false))
        {
            if (item.Data is { } data) yield return data;
        }
    }

    private async Task<T> SendAsync<T>(HttpMethod method, string path, HttpContent? content, JsonTypeInfo<T> type, CancellationToken ct)
    {
        using var response = await AnswerAsync(method, path, content, HttpCompletionOption.ResponseContentRead, ct).ConfigureAwait(false);
        try
        {
            return await response.Content.ReadFromJsonAsync(type, ct).ConfigureAwait(false) ?? throw new JsonException("empty");
        }
        catch (JsonException)
        {
            throw new CommandFailure(Exit.Failed, $"`{Server}` does not answer as a countersign server of this version does");
        }
    }

    private async Task<HttpResponseMessage> AnswerAsync(HttpMethod method, string path, HttpContent? content, HttpCompletionOption completion, CancellationToken ct)
    {
        HttpResponseMessage response;
        try
        {
            using var request = new HttpRequestMessage(method, path) { Content = content };
            response = await http.SendAsync(request, completion, ct).ConfigureAwait(false);
        }
        catch (HttpRequestException e)
        {
            throw new CommandFailure(Exit.Failed, $"can not reach `{Server}`: {e.InnerException?.Message ?? e.Message}; is `countersign serve` running there?{(whence is null ? "" : $" {whence}")}");
        }
        catch (TaskCanceledException) when (!ct.IsCancellationRequested)
        {
            throw new CommandFailure(Exit.Failed, $"`{Server}` did not answer in time");
        }

        if (response.IsSuccessStatusCode) return response;
        using (response)
        {
            Problem? problem = null;
            try
            {
                problem = await response.Content.ReadFromJsonAsync(ApiJson.Default.Problem, ct).ConfigureAwait(false);
            }
            catch (JsonException)
            {
                // Not from us: said below.
            }

            throw new ApiRefused(problem ?? new Problem("", (int)response.StatusCode, $"`{Server}` answered {(int)response.StatusCode}", ReasonCodes.Internal));
        }
    }

    public void Dispose() => http.Dispose();
}
