using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Countersign.Channels.Delivery;

namespace Countersign.Channels.Slack;

/// <summary>What Slack said to one call. <see cref="Error"/> null: `ok: true`.</summary>
/// <param name="Status">Done, or why not.</param>
/// <param name="Error">Slack's own word for it, or what went wrong on the way.</param>
/// <param name="Body">The answer; undefined where there was none.</param>
/// <param name="RetryAfter">What `Retry-After` says.</param>
/// <param name="Scopes">What the token may do, where Slack said so.</param>
internal sealed record SlackReply(DeliveryStatus Status, string? Error, JsonElement Body, TimeSpan? RetryAfter = null, IReadOnlyList<string>? Scopes = null)
{
    public bool Ok => Status == DeliveryStatus.Done;

    public string? Text(string name) => Body.ValueKind == JsonValueKind.Object && Body.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    public DeliveryResult ToResult(string? message = null) => new(Status, Ok ? message : null, Ok ? null : SlackErrors.Explain(Error), RetryAfter);
}

/// <summary>
/// Slack's Web API: https only, a bearer token, JSON for what writes and forms for what reads. Tokens go nowhere else and
/// into no message. Thread-safe.
/// </summary>
internal sealed class SlackApi(HttpClient http, Uri api)
{
    /// <summary>Largest answer. 4 MiB: a page of 200 messages with their blocks.</summary>
    public const int MaxAnswer = 4 << 20;

    /// <summary>A client that follows no redirect: a token is for one host.</summary>
    public static HttpClient Client() => new(new SocketsHttpHandler
    {
        AllowAutoRedirect = false,
        UseCookies = false,
        ConnectTimeout = TimeSpan.FromSeconds(5),
        PooledConnectionLifetime = TimeSpan.FromMinutes(5),
        AutomaticDecompression = DecompressionMethods.All,
    })
    {
        MaxResponseContentBufferSize = MaxAnswer,
        Timeout = Timeout.InfiniteTimeSpan, // each call has its own
    };

    /// <summary>A call that changes something.</summary>
    public Task<SlackReply> WriteAsync(string method, string token, JsonObject body, CancellationToken ct) =>
        SendAsync(method, token, new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json"), writes: true, ct);

    /// <summary>A call that only reads; Slack takes its arguments as a form.</summary>
    public Task<SlackReply> ReadAsync(string method, string token, CancellationToken ct, params (string Name, string Value)[] arguments) =>
        SendAsync(method, token, new FormUrlEncodedContent(arguments.Select(static a => KeyValuePair.Create(a.Name, a.Value))), writes: false, ct);

    private async Task<SlackReply> SendAsync(string method, string token, HttpContent content, bool writes, CancellationToken ct)
    {
        // What reads can always be done again; of what writes it must be known whether it happened.
        var unknown = writes ? DeliveryStatus.Unknown : DeliveryStatus.NotNow;
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(api, method)) { Content = content };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        try
        {
            using var response = await http.SendAsync(request, ct).ConfigureAwait(false);
            if (response.StatusCode == HttpStatusCode.TooManyRequests)
            {
                var wait = response.Headers.RetryAfter?.Delta ?? TimeSpan.FromSeconds(30);
                return new SlackReply(DeliveryStatus.NotNow, "ratelimited", default, wait);
            }

            if (response.StatusCode != HttpStatusCode.OK) return new SlackReply(unknown, string.Create(CultureInfo.InvariantCulture, $"http-{(int)response.StatusCode}"), default);
            var bytes = await response.Content.ReadAsByteArrayAsync(ct).ConfigureAwait(false);
            using var document = JsonDocument.Parse(bytes);
            var body = document.RootElement.Clone();
            var scopes = response.Headers.TryGetValues("x-oauth-scopes", out var said) ? string.Join(',', said).Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) : null;
            if (body.ValueKind == JsonValueKind.Object && body.TryGetProperty("ok", out var ok) && ok.ValueKind == JsonValueKind.True) return new SlackReply(DeliveryStatus.Done, null, body, null, scopes);
            var error = body.ValueKind == JsonValueKind.Object && body.TryGetProperty("error", out var word) && word.ValueKind == JsonValueKind.String ? word.GetString()! : "not-understood";
            return new SlackReply(SlackErrors.StatusOf(error, unknown), error, body, null, scopes);
        }
        catch (HttpRequestException e)
        {
            var before = e.HttpRequestError is HttpRequestError.NameResolutionError or HttpRequestError.ConnectionError or HttpRequestError.SecureConnectionError or HttpRequestError.ProxyTunnelError;
            return new SlackReply(before ? DeliveryStatus.NotNow : unknown, "unreachable", default);
        }
        catch (Exception e) when (e is JsonException or IOException)
        {
            return new SlackReply(unknown, "not-understood", default);
        }
    }
}

/// <summary>Slack's words for what failed, and what they mean for us and for an operator.</summary>
internal static class SlackErrors
{
    public static DeliveryStatus StatusOf(string error, DeliveryStatus unknown) => error switch
    {
        "ratelimited" or "rate_limited" or "message_limit_exceeded" => DeliveryStatus.NotNow,
        "message_not_found" or "thread_not_found" => DeliveryStatus.Gone,

        // Slack says of these that some of the call may have been done.
        "internal_error" or "fatal_error" or "request_timeout" or "service_unavailable" or "not-understood" => unknown,
        _ => DeliveryStatus.Refused,
    };

    public static string Explain(string? error) => error switch
    {
        null => "",
        "unreachable" => "slack can not be reached",
        "ratelimited" or "rate_limited" => "slack asks for fewer calls",
        "not_in_channel" => "the app is not in that conversation (`not_in_channel`); invite it there",
        "channel_not_found" => "there is no such conversation, or the app is not in it (`channel_not_found`)",
        "is_archived" => "the conversation is archived",
        "missing_scope" => "the bot token lacks a scope (`missing_scope`); `countersign slack check` says which",
        "invalid_auth" or "not_authed" or "account_inactive" or "token_revoked" or "token_expired" => $"slack does not take the token (`{error}`); install the app again and give the new one",
        "not_allowed_token_type" => "the token is of another kind (`not_allowed_token_type`)",
        _ => $"slack answered `{Safe(error)}`",
    };

    /// <summary>A word of somebody else's server on its way to a log.</summary>
    private static string Safe(string error) => error.Length <= 80 && error.All(static c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.') ? error : "something unreadable";
}
