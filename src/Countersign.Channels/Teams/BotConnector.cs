using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Countersign.Channels.Teams;

/// <summary>A message that was sent: where, and which, so that it can be changed.</summary>
internal sealed record SentActivity(string ConversationId, string ActivityId);

/// <summary>What the connector says of a member of a conversation, now.</summary>
/// <param name="Role">`user`, `guest`, `anonymous`, …; null where it does not say.</param>
internal sealed record TeamsMember(string Id, string? ObjectId, string? TenantId, string? Role, string? PrincipalName);

/// <summary>Exactly one of the two is there.</summary>
internal sealed record ConnectorAnswer<T>(T? Value, ConnectorFault? Fault) where T : class;

/// <summary>
/// A thin client of the Bot Connector REST API, version 3. Our token goes to a <see cref="ServiceUrl"/> and nowhere else:
/// no redirect is followed. One request each, nothing is tried again but a token that ran out: the outbox does that.
/// Thread-safe.
/// </summary>
internal sealed class BotConnector(TeamsBot bot, BotToken token, TeamsLimits limits, TimeProvider time, HttpClient http)
{
    private static readonly MediaTypeHeaderValue Json = new("application/json", "utf-8");

    public static HttpClient Client(TeamsLimits limits) =>
        new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, ConnectTimeout = limits.RequestTimeout, PooledConnectionLifetime = TimeSpan.FromMinutes(5) })
        {
            Timeout = limits.RequestTimeout,
            MaxResponseContentBufferSize = limits.AnswerBytes,
        };

    /// <summary>A new thread in a channel of a team, with its first message.</summary>
    public async Task<ConnectorAnswer<SentActivity>> StartThreadAsync(ServiceUrl at, string channelId, JsonObject activity, CancellationToken ct)
    {
        var body = new JsonObject
        {
            ["isGroup"] = true,
            ["bot"] = Bot(),
            ["tenantId"] = bot.TenantId,
            ["activity"] = activity.DeepClone(),
            ["channelData"] = new JsonObject { ["channel"] = new JsonObject { ["id"] = channelId }, ["tenant"] = new JsonObject { ["id"] = bot.TenantId } },
        };
        var (root, fault) = await SendAsync(at, HttpMethod.Post, "v3/conversations", body, ct).ConfigureAwait(false);
        if (fault is not null) return new(null, fault);

        // Two forms are documented: the message's own id beside the thread's, or the thread's alone, which ends with it.
        var thread = Text(root, "id");
        var sent = Text(root, "activityId") ?? (thread?.Split(";messageid=") is [_, { Length: > 0 } message] ? message : null);
        return thread is null || sent is null ? new(null, ConnectorFault.Lost("the connector did not say which message it made")) : new(new SentActivity(thread, sent), null);
    }

    /// <summary>The chat with one person: made, or the one that is there.</summary>
    public async Task<ConnectorAnswer<string>> OpenChatAsync(ServiceUrl at, string userId, CancellationToken ct)
    {
        var body = new JsonObject
        {
            ["isGroup"] = false,
            ["bot"] = Bot(),
            ["tenantId"] = bot.TenantId,
            ["members"] = new JsonArray(new JsonObject { ["id"] = userId }),
            ["channelData"] = new JsonObject { ["tenant"] = new JsonObject { ["id"] = bot.TenantId } },
        };
        var (root, fault) = await SendAsync(at, HttpMethod.Post, "v3/conversations", body, ct).ConfigureAwait(false);
        return fault is not null ? new(null, fault) : Text(root, "id") is { } chat ? new(chat, null) : new(null, ConnectorFault.Odd("the connector did not say which chat it made"));
    }

    /// <summary>A message at the end of a conversation; a conversation id with `;messageid=` is a thread.</summary>
    public async Task<ConnectorAnswer<SentActivity>> SendAsync(ServiceUrl at, string conversationId, JsonObject activity, CancellationToken ct)
    {
        var (root, fault) = await SendAsync(at, HttpMethod.Post, $"v3/conversations/{Part(conversationId)}/activities", activity, ct).ConfigureAwait(false);
        return fault is not null ? new(null, fault) : Text(root, "id") is { } id ? new(new SentActivity(conversationId, id), null) : new(null, ConnectorFault.Lost("the connector did not say which message it made"));
    }

    /// <summary>Replaces a message in its place.</summary>
    public async Task<ConnectorFault?> UpdateAsync(ServiceUrl at, SentActivity sent, JsonObject activity, CancellationToken ct) =>
        (await SendAsync(at, HttpMethod.Put, $"v3/conversations/{Part(sent.ConversationId)}/activities/{Part(sent.ActivityId)}", activity, ct).ConfigureAwait(false)).Fault;

    /// <summary>Who somebody in a conversation is, now: asked at each click.</summary>
    public async Task<ConnectorAnswer<TeamsMember>> MemberAsync(ServiceUrl at, string conversationId, string userId, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        using var timer = time.CreateTimer(static c => ((CancellationTokenSource)c!).Cancel(), limit, limits.MemberTimeout, Timeout.InfiniteTimeSpan);
        try
        {
            var (root, fault) = await SendAsync(at, HttpMethod.Get, $"v3/conversations/{Part(conversationId)}/members/{Part(userId)}", null, limit.Token).ConfigureAwait(false);
            if (fault is not null) return new(null, fault);
            return Text(root, "id") is { } id
                ? new(new TeamsMember(id, Text(root, "objectId") ?? Text(root, "aadObjectId"), Text(root, "tenantId"), Text(root, "userRole"), Text(root, "userPrincipalName")), null)
                : new(null, ConnectorFault.Odd("the connector did not say who that is"));
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            return new(null, ConnectorFault.Unreachable("the connector did not say in time who that is"));
        }
    }

    /// <summary>Whether our credentials and the address are good, for `countersign teams check`: a team is asked for by its channel.</summary>
    public async Task<ConnectorFault?> ReachAsync(ServiceUrl at, string conversationId, CancellationToken ct) =>
        (await SendAsync(at, HttpMethod.Get, $"v3/conversations/{Part(conversationId)}/pagedmembers?pageSize=50", null, ct).ConfigureAwait(false)).Fault;

    private JsonObject Bot() => new() { ["id"] = $"28:{bot.AppId}" };

    /// <summary>An id is one segment of a path, whatever characters it brings: it can not lead elsewhere.</summary>
    private static string Part(string id) => id is "." or ".." ? throw new ArgumentException("an id of the connector", nameof(id)) : Uri.EscapeDataString(id);

    private async Task<(JsonElement Root, ConnectorFault? Fault)> SendAsync(ServiceUrl at, HttpMethod method, string path, JsonObject? body, CancellationToken ct)
    {
        for (var again = false; ; again = true)
        {
            var (bearer, fault) = await token.GetAsync(ct).ConfigureAwait(false);
            if (bearer is null) return (default, fault);
            try
            {
                using var request = new HttpRequestMessage(method, new Uri(at.Address, path));
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", bearer);
                if (body is not null) request.Content = new ByteArrayContent(Encoding.UTF8.GetBytes(body.ToJsonString())) { Headers = { ContentType = Json } };
                using var answer = await http.SendAsync(request, ct).ConfigureAwait(false);
                var text = await answer.Content.ReadAsStringAsync(ct).ConfigureAwait(false);
                if (answer.StatusCode == HttpStatusCode.Unauthorized && !again)
                {
                    token.Drop(bearer);
                    continue;
                }

                if (!answer.IsSuccessStatusCode) return (default, ConnectorFault.Of(answer, text, limits, time.GetUtcNow()));
                return (Read(text), null);
            }
            catch (Exception e) when (e is HttpRequestException or IOException || (e is OperationCanceledException && !ct.IsCancellationRequested))
            {
                // What was refused a connection was not sent; of all else nobody knows.
                return (default, e is HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError or HttpRequestError.SecureConnectionError }
                    ? ConnectorFault.Unreachable("the connector can not be reached")
                    : ConnectorFault.Lost("the connector did not answer"));
            }
        }
    }

    private static JsonElement Read(string text)
    {
        try
        {
            if (text.Length == 0) return default;
            using var document = JsonDocument.Parse(text, new JsonDocumentOptions { MaxDepth = 32 });
            return document.RootElement.Clone();
        }
        catch (JsonException)
        {
            return default;
        }
    }

    private static string? Text(JsonElement at, string name) =>
        at.ValueKind == JsonValueKind.Object && at.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String && value.GetString() is { Length: > 0 } text ? text : null;
}
