using System.Collections.Concurrent;
using System.Globalization;
using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Countersign.Tests.Slack;

/// <summary>
/// Slack as its public documentation describes it, over real HTTP and WebSocket: it refuses what Slack refuses (tokens,
/// scopes, blocks, limits), signs as Slack signs, and can be told to fail, to limit, to redeliver and to hang up.
/// </summary>
internal sealed class SlackStandIn : IAsyncDisposable
{
    public const string BotToken = "xoxb-1-test";
    public const string AppToken = "xapp-1-test";
    public const string SigningSecret = "8f742231b10e8888abcd99yyyzzz85a5";
    public const string Team = "T0TEAM001";
    public const string BotUser = "U0BOT0001";
    public const string Room = "C0ROOM001";

    private readonly WebApplication app;
    private readonly ConcurrentDictionary<string, SocketOf> sockets = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, TaskCompletionSource<JsonElement?>> acknowledgements = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, byte> triggers = new(StringComparer.Ordinal);
    private readonly Channel<string> events = System.Threading.Channels.Channel.CreateUnbounded<string>();
    private long clock = 1_700_000_000_000_000;
    private bool stopping;

    private sealed record SocketOf(WebSocket Socket, SemaphoreSlim Sending, CancellationTokenSource Ends);

    public sealed record Message(string Channel, string Ts, string? ThreadTs)
    {
        public JsonElement Body { get; set; }
        public int Edits { get; set; }
        public JsonElement Blocks => Body.GetProperty("blocks");
        public string Text => string.Join('\n', BlockKit.TextOf(Blocks));
        public IReadOnlyList<string> Actions => BlockKit.Buttons(Blocks).Select(static b => b.GetProperty("action_id").GetString()!).ToArray();
        public string? Value(string action) => BlockKit.Buttons(Blocks).Where(b => b.GetProperty("action_id").GetString() == action).Select(static b => b.GetProperty("value").GetString()).FirstOrDefault();
    }

    public ConcurrentDictionary<string, Message> Messages { get; } = new(StringComparer.Ordinal);
    public ConcurrentQueue<(string Channel, string User, string Text, JsonElement Body)> Ephemerals { get; } = new();
    public ConcurrentQueue<JsonElement> Views { get; } = new();
    public ConcurrentQueue<string> Calls { get; } = new();

    /// <summary>What was refused, and why: a test that expects none asserts that this is empty.</summary>
    public ConcurrentQueue<string> Refusals { get; } = new();

    /// <summary>People by id, as `users.info` tells them.</summary>
    public ConcurrentDictionary<string, JsonObject> Users { get; } = new(StringComparer.Ordinal);

    public HashSet<string> Scopes { get; } = ["chat:write", "users:read", "channels:read", "groups:read", "channels:history", "groups:history", "im:write", "im:history"];
    public HashSet<string> MemberOf { get; } = [Room];

    /// <summary>Asked before each call; gives an HTTP status or an error word to fail it with, or null.</summary>
    public Func<string, object?> Fail { get; set; } = static _ => null;

    /// <summary>Done, and then the connection is cut before the answer is out.</summary>
    public Func<string, bool> LoseAnswer { get; set; } = static _ => false;

    /// <summary>Answers that wait for this.</summary>
    public Func<string, Task> Delay { get; set; } = static _ => Task.CompletedTask;

    public Uri Api { get; private set; } = null!;
    public int Sockets => sockets.Count;

    private SlackStandIn(WebApplication app) => this.app = app;

    public static async Task<SlackStandIn> StartAsync(int port = 0)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(k => k.Listen(System.Net.IPAddress.Loopback, port));
        var slack = new SlackStandIn(builder.Build());
        slack.app.UseWebSockets();
        slack.app.MapPost("/api/{method}", slack.CallAsync);
        slack.app.Map("/link/{ticket}", slack.SocketAsync);
        await slack.app.StartAsync();
        slack.Api = new Uri(slack.app.Urls.Single() + "/api/");
        slack.Person("U0ALICE01", "alice");
        slack.Person("U0BOB0001", "bob");
        return slack;
    }

    public void Person(string id, string name, Action<JsonObject>? with = null)
    {
        var user = new JsonObject
        {
            ["id"] = id, ["team_id"] = Team, ["name"] = name, ["real_name"] = name, ["deleted"] = false, ["is_bot"] = false,
            ["is_restricted"] = false, ["is_ultra_restricted"] = false, ["is_stranger"] = false,
        };
        with?.Invoke(user);
        Users[id] = user;
    }

    public IReadOnlyList<Message> Cards => Messages.Values.Where(static m => m.ThreadTs is null).OrderBy(static m => m.Ts, StringComparer.Ordinal).ToArray();

    public IReadOnlyList<Message> Thread(Message card) => Messages.Values.Where(m => m.ThreadTs == card.Ts).OrderBy(static m => m.Ts, StringComparer.Ordinal).ToArray();

    // ---- what people do ----

    /// <summary>A click as Slack tells it.</summary>
    public JsonObject Click(Message card, string user, string action, string? value = null, string? team = null)
    {
        var trigger = RandomNumberGenerator.GetHexString(16, lowercase: true);
        triggers[trigger] = 0;
        return new JsonObject
        {
            ["type"] = "block_actions",
            ["user"] = new JsonObject { ["id"] = user, ["username"] = "whatever", ["name"] = "alice", ["team_id"] = team ?? Users[user]["team_id"]!.GetValue<string>() },
            ["api_app_id"] = "A0APP0001",
            ["team"] = new JsonObject { ["id"] = Team, ["domain"] = "acme" },
            ["container"] = new JsonObject { ["type"] = "message", ["message_ts"] = card.Ts, ["channel_id"] = card.Channel, ["is_ephemeral"] = false },
            ["trigger_id"] = trigger,
            ["actions"] = new JsonArray(new JsonObject { ["type"] = "button", ["action_id"] = action, ["block_id"] = "decide", ["value"] = value ?? card.Value(action) ?? "gone", ["action_ts"] = "1" }),
            ["response_url"] = "https://hooks.slack.com/actions/none",
        };
    }

    /// <summary>The form that is open, sent.</summary>
    public JsonObject Submit(JsonElement view, string user, string? reason) => new()
    {
        ["type"] = "view_submission",
        ["user"] = new JsonObject { ["id"] = user, ["username"] = "whatever", ["name"] = "alice", ["team_id"] = Users[user]["team_id"]!.GetValue<string>() },
        ["api_app_id"] = "A0APP0001",
        ["team"] = new JsonObject { ["id"] = Team, ["domain"] = "acme" },
        ["view"] = new JsonObject
        {
            ["id"] = "V1", ["type"] = "modal", ["callback_id"] = view.GetProperty("callback_id").GetString(), ["private_metadata"] = view.GetProperty("private_metadata").GetString(),
            ["state"] = new JsonObject { ["values"] = new JsonObject { ["reason"] = new JsonObject { ["text"] = new JsonObject { ["type"] = "plain_text_input", ["value"] = reason } } } },
        },
    };

    /// <summary>Sends an envelope over a socket and waits for its acknowledgement, which Slack wants within 3 seconds. Null: it had no payload.</summary>
    public async Task<JsonElement?> DeliverAsync(JsonObject payload, string? envelopeId = null, int retry = 0, bool wait = true)
    {
        envelopeId ??= Guid(16);
        var acknowledged = acknowledgements.GetOrAdd(envelopeId, static _ => new TaskCompletionSource<JsonElement?>(TaskCreationOptions.RunContinuationsAsynchronously));
        await SendAsync(new JsonObject { ["envelope_id"] = envelopeId, ["type"] = "interactive", ["accepts_response_payload"] = true, ["retry_attempt"] = retry, ["payload"] = payload.DeepClone() });
        return wait ? await acknowledged.Task.WaitAsync(TimeSpan.FromSeconds(60)) : null;
    }

    public async Task SendAsync(JsonObject message)
    {
        await UntilAsync(() => !sockets.IsEmpty);
        var socket = sockets.Values.First();
        await socket.Sending.WaitAsync();
        try
        {
            await socket.Socket.SendAsync(Encoding.UTF8.GetBytes(message.ToJsonString()), WebSocketMessageType.Text, endOfMessage: true, CancellationToken.None);
        }
        finally
        {
            socket.Sending.Release();
        }
    }

    /// <summary>Announces that the sockets will be closed, as Slack does some seconds before.</summary>
    public Task WarnAsync(string reason = "warning") => SendAsync(new JsonObject { ["type"] = "disconnect", ["reason"] = reason, ["debug_info"] = new JsonObject() });

    /// <summary>Hangs up without a word.</summary>
    public void Cut()
    {
        foreach (var (_, socket) in sockets) socket.Ends.Cancel();
    }

    /// <summary>A request by HTTP, signed as Slack signs.</summary>
    public static HttpRequestMessage Request(Uri url, JsonObject payload, DateTimeOffset at, string secret = SigningSecret)
    {
        var body = $"payload={Uri.EscapeDataString(payload.ToJsonString())}";
        var timestamp = at.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);
        var request = new HttpRequestMessage(HttpMethod.Post, url) { Content = new StringContent(body, Encoding.UTF8, "application/x-www-form-urlencoded") };
        request.Headers.Add("X-Slack-Request-Timestamp", timestamp);
        request.Headers.Add("X-Slack-Signature", $"v0={Convert.ToHexStringLower(HMACSHA256.HashData(Encoding.UTF8.GetBytes(secret), Encoding.UTF8.GetBytes($"v0:{timestamp}:{body}")))}");
        return request;
    }

    public static async Task UntilAsync(Func<bool> holds, int seconds = 60)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(seconds));
        while (!holds()) await Task.Delay(TimeSpan.FromMilliseconds(2), TimeProvider.System, limit.Token);
    }

    // ---- the Web API ----

    private async Task CallAsync(HttpContext http, string method)
    {
        Calls.Enqueue(method);
        await Delay(method);
        switch (Fail(method))
        {
            case int status:
                http.Response.StatusCode = status;
                if (status == 429) http.Response.Headers.RetryAfter = "2";
                return;
            case string error:
                await AnswerAsync(http, Error(error));
                return;
        }

        using var reader = new StreamReader(http.Request.Body, Encoding.UTF8);
        var body = await reader.ReadToEndAsync();
        JsonObject answer;
        try
        {
            answer = Answer(http, method, body);
        }
        catch (BlockKit.Refused refused)
        {
            Refusals.Enqueue($"{method}: {refused.Message}");
            answer = Error(refused.Error);
        }
        catch (Exception e) when (e is KeyNotFoundException or InvalidOperationException or JsonException)
        {
            Refusals.Enqueue($"{method}: {e.Message}");
            answer = Error("invalid_arguments");
        }

        if (LoseAnswer(method)) http.Abort();
        else await AnswerAsync(http, answer);
    }

    private JsonObject Answer(HttpContext http, string method, string body)
    {
        var token = http.Request.Headers.Authorization.ToString();
        if (!token.StartsWith("Bearer ", StringComparison.Ordinal)) return Error("not_authed");
        token = token["Bearer ".Length..];
        if (method == "apps.connections.open")
        {
            if (token != AppToken) return Error(token.StartsWith("xapp-", StringComparison.Ordinal) ? "invalid_auth" : "not_allowed_token_type");
            return Ok(("url", $"ws://127.0.0.1:{Api.Port}/link/{Guid(16)}"));
        }

        if (token != BotToken) return Error(token.StartsWith("xapp-", StringComparison.Ordinal) ? "not_allowed_token_type" : "invalid_auth");
        http.Response.Headers["x-oauth-scopes"] = string.Join(',', Scopes);
        if (Needs(method) is { } scopes && !scopes.Any(Scopes.Contains)) return new JsonObject { ["ok"] = false, ["error"] = "missing_scope", ["needed"] = scopes[0], ["provided"] = string.Join(',', Scopes) };

        var json = http.Request.ContentType?.StartsWith("application/json", StringComparison.Ordinal) == true;
        var form = http.Request.ContentType?.StartsWith("application/x-www-form-urlencoded", StringComparison.Ordinal) == true;
        if (!json && !form) return Error("invalid_post_type");

        // Methods that only read take no JSON.
        var reads = method is "users.info" or "conversations.history" or "conversations.replies" or "conversations.info" or "auth.test";
        var arguments = json && !reads ? JsonDocument.Parse(body).RootElement : json ? JsonDocument.Parse("{}").RootElement
            : JsonSerializer.SerializeToElement(body.Split('&', StringSplitOptions.RemoveEmptyEntries).Select(static p => p.Split('=', 2)).ToDictionary(static p => Uri.UnescapeDataString(p[0]), static p => Uri.UnescapeDataString(p[1].Replace('+', ' '))));
        string? Arg(string name) => arguments.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

        switch (method)
        {
            case "auth.test":
                return Ok(("url", "https://acme.slack.com/"), ("team", "Acme"), ("user", "countersign"), ("team_id", Team), ("user_id", BotUser), ("bot_id", "B1"));
            case "users.info":
                return Arg("user") is { } id && Users.TryGetValue(id, out var user) ? Ok(("user", user.DeepClone())) : Error("user_not_found");
            case "chat.postMessage":
            {
                var channel = Arg("channel") ?? throw new KeyNotFoundException("channel");
                if (channel[0] is 'U') channel = $"D0{channel[2..]}";
                else if (!MemberOf.Contains(channel)) return Error(channel.StartsWith("C0", StringComparison.Ordinal) ? "not_in_channel" : "channel_not_found");
                CheckMessage(arguments);
                var thread = Arg("thread_ts");
                if (thread is not null && !Messages.ContainsKey($"{channel}/{thread}")) return Error("thread_not_found");
                var ts = Now();
                Messages[$"{channel}/{ts}"] = new Message(channel, ts, thread) { Body = arguments.Clone() };
                events.Writer.TryWrite(ts);
                return Ok(("channel", channel), ("ts", ts), ("message", new JsonObject { ["ts"] = ts }));
            }

            case "chat.update":
            {
                if (!Messages.TryGetValue($"{Arg("channel")}/{Arg("ts")}", out var message)) return Error("message_not_found");
                CheckMessage(arguments);
                message.Body = arguments.Clone();
                message.Edits++;
                return Ok(("channel", message.Channel), ("ts", message.Ts), ("text", "…"));
            }

            case "chat.postEphemeral":
                if (!Users.ContainsKey(Arg("user") ?? "")) return Error("user_not_in_channel");
                CheckMessage(arguments);
                Ephemerals.Enqueue((Arg("channel")!, Arg("user")!, string.Join('\n', BlockKit.TextOf(arguments.GetProperty("blocks"))), arguments.Clone()));
                return Ok(("message_ts", Now()));
            case "views.open":
                if (!triggers.TryRemove(Arg("trigger_id") ?? "", out _)) return Error("exchanged_trigger_id");
                BlockKit.View(arguments.GetProperty("view"));
                Views.Enqueue(arguments.GetProperty("view").Clone());
                return Ok(("view", new JsonObject { ["id"] = "V1" }));
            case "conversations.open":
                return Ok(("channel", new JsonObject { ["id"] = $"D0{Arg("users")![2..]}" }));
            case "conversations.info":
                return Arg("channel") is { } asked && asked.StartsWith("C0", StringComparison.Ordinal) ? Ok(("channel", new JsonObject { ["id"] = asked, ["is_member"] = MemberOf.Contains(asked), ["is_archived"] = false, ["is_ext_shared"] = false })) : Error("channel_not_found");
            case "conversations.history":
            case "conversations.replies":
            {
                var thread = method == "conversations.replies" ? Arg("ts") : null;
                if (Arg("include_all_metadata") != "true") throw new InvalidOperationException("without include_all_metadata no metadata come");
                var found = Messages.Values.Where(m => m.Channel == Arg("channel") && (thread is null ? m.ThreadTs is null : m.ThreadTs == thread || m.Ts == thread)).OrderByDescending(static m => m.Ts, StringComparer.Ordinal)
                    .Select(static m => (JsonNode)new JsonObject { ["type"] = "message", ["ts"] = m.Ts, ["metadata"] = JsonNode.Parse(m.Body.GetProperty("metadata").GetRawText()) });
                return Ok(("messages", new JsonArray([.. found])), ("has_more", false));
            }

            default:
                return Error("unknown_method");
        }
    }

    private static string[]? Needs(string method) => method switch
    {
        "chat.postMessage" or "chat.update" or "chat.postEphemeral" => ["chat:write"],
        "users.info" => ["users:read"],
        "conversations.history" or "conversations.replies" => ["channels:history", "groups:history", "im:history"],
        "conversations.info" => ["channels:read", "groups:read"],
        "conversations.open" => ["im:write"],
        _ => null,
    };

    private static void CheckMessage(JsonElement message)
    {
        if (!message.TryGetProperty("text", out var text) || text.GetString() is not { Length: > 0 and <= 40_000 } said) throw new KeyNotFoundException("no_text");
        if (said.Contains('<', StringComparison.Ordinal)) throw new InvalidOperationException("our fallback texts hold no mention and no link");
        BlockKit.Message(message.GetProperty("blocks"));
        if (!message.TryGetProperty("metadata", out var metadata)) return;
        if (metadata.GetProperty("event_type").GetString() is not { Length: > 0 } || metadata.GetProperty("event_payload").ValueKind != JsonValueKind.Object) throw new KeyNotFoundException("metadata");
    }

    private static Task AnswerAsync(HttpContext http, JsonObject answer)
    {
        http.Response.ContentType = "application/json; charset=utf-8";
        return http.Response.WriteAsync(answer.ToJsonString());
    }

    private static JsonObject Error(string error) => new() { ["ok"] = false, ["error"] = error };

    private static JsonObject Ok(params (string Name, JsonNode? Value)[] members)
    {
        var answer = new JsonObject { ["ok"] = true };
        foreach (var (name, value) in members) answer[name] = value;
        return answer;
    }

    private string Now()
    {
        var at = Interlocked.Increment(ref clock);
        return string.Create(CultureInfo.InvariantCulture, $"{at / 1_000_000}.{at % 1_000_000:D6}");
    }

    private static string Guid(int length) => RandomNumberGenerator.GetHexString(length, lowercase: true);

    // ---- Socket Mode ----

    private async Task SocketAsync(HttpContext http, string ticket)
    {
        if (!http.WebSockets.IsWebSocketRequest || stopping)
        {
            http.Response.StatusCode = 400;
            return;
        }

        using var socket = await http.WebSockets.AcceptWebSocketAsync();
        using var ends = new CancellationTokenSource();
        var of = new SocketOf(socket, new SemaphoreSlim(1, 1), ends);
        await socket.SendAsync("""{"type":"hello","num_connections":1,"connection_info":{"app_id":"A0APP0001"},"debug_info":{}}"""u8.ToArray(), WebSocketMessageType.Text, endOfMessage: true, CancellationToken.None);
        sockets[ticket] = of;
        var buffer = new byte[1 << 20];
        try
        {
            while (true)
            {
                var length = 0;
                ValueWebSocketReceiveResult part;
                do
                {
                    part = await socket.ReceiveAsync(buffer.AsMemory(length), ends.Token);
                    length += part.Count;
                }
                while (!part.EndOfMessage);
                if (part.MessageType == WebSocketMessageType.Close) break;
                using var document = JsonDocument.Parse(buffer.AsMemory(0, length));
                var root = document.RootElement;
                foreach (var property in root.EnumerateObject())
                {
                    if (property.Name is not ("envelope_id" or "payload")) Refusals.Enqueue($"acknowledgement with `{property.Name}`");
                }

                JsonElement? payload = root.TryGetProperty("payload", out var given) ? given.Clone() : null;
                if (payload is { } response && response.TryGetProperty("view", out var view)) BlockKit.View(view);
                if (acknowledgements.TryGetValue(root.GetProperty("envelope_id").GetString()!, out var waiting)) waiting.TrySetResult(payload);
                else Refusals.Enqueue("acknowledgement of no envelope");
            }
        }
        catch (Exception e) when (e is OperationCanceledException or WebSocketException or IOException)
        {
            socket.Abort();
        }
        catch (BlockKit.Refused refused)
        {
            Refusals.Enqueue($"view: {refused.Message}");
        }
        finally
        {
            sockets.TryRemove(ticket, out _);
        }
    }

    public async ValueTask DisposeAsync()
    {
        stopping = true;
        Cut();
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(2));
        await app.StopAsync(limit.Token).ContinueWith(static _ => { }, TaskScheduler.Default);
        await app.DisposeAsync();
    }
}
