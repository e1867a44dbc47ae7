using System.Buffers.Text;
using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Countersign.Tests.Teams;

/// <summary>Somebody whom the played service knows.</summary>
internal sealed record Teammate(string Id, string ObjectId, string Tenant)
{
    /// <summary>`user`, `guest` or `anonymous`.</summary>
    public string Role { get; set; } = "user";

    public string? PrincipalName { get; set; }

    /// <summary>False for whoever was removed since.</summary>
    public bool IsMember { get; set; } = true;
}

/// <summary>A message as the played service keeps it, with each version of it.</summary>
internal sealed class TeamsMessage(string conversation, string id, JsonElement first)
{
    public string Conversation { get; } = conversation;
    public string Id { get; } = id;
    public List<JsonElement> Versions { get; } = [first];
    public JsonElement Now => Versions[^1];
    public JsonElement Card => Now.GetProperty("attachments")[0].GetProperty("content");
}

/// <summary>
/// The Bot Connector, its sign-in service and its OpenID metadata, over real HTTP on loopback: strict as their documentation
/// says, and worse tempered. It knows what it gave out and takes nothing else.
/// </summary>
internal sealed class PlayedTeams : IAsyncDisposable
{
    public const string AppId = "5a1c7f0e-9d3b-4a52-8c1e-6f2b7d9e4a10";
    public const string AppSecret = "Qx8~played-app-secret-of-the-bot";
    public const string Tenant = "c1f3a9d2-5b7e-4c8a-9f60-2d4e6a8b0c13";
    public const string Channel = "19:ops0000000000000000000000000000@thread.tacv2";
    public const string Scope = "https://api.botframework.com/.default";
    public const string Issuer = "https://api.botframework.com";

    private readonly TimeProvider time;
    private readonly WebApplication app;
    private readonly ConcurrentDictionary<string, DateTimeOffset> tokens = new();
    private readonly Lock gate = new();
    private readonly Queue<(HttpStatusCode Status, string? After)> faults = new();
    private readonly Dictionary<string, TeamsMessage> messages = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> chats = new(StringComparer.Ordinal);
    private readonly List<string> complaints = [];
    private JsonArray keys = [];
    private int made;

    private PlayedTeams(TimeProvider time)
    {
        this.time = time;
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        app = builder.Build();
        app.MapPost($"/{Tenant}/oauth2/v2.0/token", (Delegate)TokenAsync);
        app.MapGet("/v1/.well-known/openidconfiguration", () => IsDown ? Results.StatusCode(503) : Json(Metadata()));
        app.MapGet("/v1/.well-known/keys", () =>
        {
            Interlocked.Increment(ref keyFetches);
            lock (gate) return IsDown ? Results.StatusCode(503) : Json(new JsonObject { ["keys"] = keys.DeepClone() });
        });
        app.MapPost("/emea/v3/conversations", http => GuardedAsync(http, CreateAsync));
        app.MapPost("/emea/v3/conversations/{id}/activities", http => GuardedAsync(http, PostAsync));
        app.MapPut("/emea/v3/conversations/{id}/activities/{activity}", http => GuardedAsync(http, PutAsync));
        app.MapGet("/emea/v3/conversations/{id}/members/{user}", http => GuardedAsync(http, MemberAsync));
        app.MapGet("/emea/v3/conversations/{id}/pagedmembers", http => GuardedAsync(http, MembersAsync));
        Publish(("connector-1", SigningKey, ["msteams", "webchat"]));
    }

    public static async Task<PlayedTeams> StartAsync(TimeProvider time)
    {
        var me = new PlayedTeams(time);
        await me.app.StartAsync();
        return me;
    }

    public string Address => app.Urls.First();
    public string ServiceUrl => $"{Address}/emea/";
    public string TokenEndpoint => $"{Address}/{Tenant}/oauth2/v2.0/token";
    public string OpenIdMetadata => $"{Address}/v1/.well-known/openidconfiguration";

    public RSA SigningKey { get; } = RSA.Create(2048);
    public List<Teammate> People { get; } = [];
    public TimeSpan TokenLife { get; set; } = TimeSpan.FromHours(1);
    public bool IsDown { get; set; }

    /// <summary>The bot was not added to the channel.</summary>
    public bool IsUninstalled { get; set; }

    /// <summary>A message is made, and its answer lost: what a broken connection does.</summary>
    public bool LosesAnswers { get; set; }
    public string[] Algorithms { get; set; } = ["RS256"];

    private int keyFetches;
    private int tokenRequests;
    private int requests;
    public int KeyFetches => Volatile.Read(ref keyFetches);
    public int TokenRequests => Volatile.Read(ref tokenRequests);
    public int Requests => Volatile.Read(ref requests);

    /// <summary>What was refused because it was not as documented: a test that ends with any has found a defect.</summary>
    public IReadOnlyList<string> Complaints
    {
        get
        {
            lock (gate) return [.. complaints];
        }
    }

    public IReadOnlyList<TeamsMessage> Messages
    {
        get
        {
            lock (gate) return [.. messages.Values];
        }
    }

    public void Fail(HttpStatusCode status, string? retryAfter = null, int times = 1)
    {
        lock (gate)
        {
            for (var i = 0; i < times; i++) faults.Enqueue((status, retryAfter));
        }
    }

    /// <summary>No token that was given out counts any more.</summary>
    public void ForgetTokens() => tokens.Clear();

    public void Publish(params (string Kid, RSA Key, string[]? Endorsements)[] published)
    {
        lock (gate) keys = new JsonArray(published.Select(static p => (JsonNode)Jwk(p.Kid, p.Key, p.Endorsements)).ToArray());
    }

    private static JsonObject Jwk(string kid, RSA key, string[]? endorsements)
    {
        var p = key.ExportParameters(false);
        var jwk = new JsonObject { ["kty"] = "RSA", ["use"] = "sig", ["kid"] = kid, ["x5t"] = kid, ["n"] = Base64Url.EncodeToString(p.Modulus), ["e"] = Base64Url.EncodeToString(p.Exponent) };
        if (endorsements is not null) jwk["endorsements"] = new JsonArray(endorsements.Select(static e => (JsonNode)e).ToArray());
        return jwk;
    }

    private JsonObject Metadata() => new()
    {
        ["issuer"] = Issuer,
        ["authorization_endpoint"] = "https://invalid.botframework.com",
        ["jwks_uri"] = $"{Address}/v1/.well-known/keys",
        ["id_token_signing_alg_values_supported"] = new JsonArray(Algorithms.Select(static a => (JsonNode)a).ToArray()),
        ["token_endpoint_auth_methods_supported"] = new JsonArray("private_key_jwt"),
    };

    // ---- what the bot asks of the service ----

    private async Task<IResult> TokenAsync(HttpContext http)
    {
        Interlocked.Increment(ref tokenRequests);
        if (IsDown) return Results.StatusCode(503);
        if (http.Request.ContentType?.StartsWith("application/x-www-form-urlencoded", StringComparison.Ordinal) != true) return Bad("invalid_request");
        var form = await http.Request.ReadFormAsync();
        if (form["grant_type"] != "client_credentials") return Bad("unsupported_grant_type");
        if (form["client_id"] != AppId) return Bad("unauthorized_client");
        if (form["client_secret"] != AppSecret) return Bad("invalid_client", 401);
        if (form["scope"] != Scope) return Bad("invalid_scope");
        var token = $"eyJ.{Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(24))}.x";
        tokens[token] = time.GetUtcNow() + TokenLife;
        return Json(new JsonObject { ["token_type"] = "Bearer", ["expires_in"] = (long)TokenLife.TotalSeconds, ["ext_expires_in"] = (long)TokenLife.TotalSeconds, ["access_token"] = token });

        static IResult Bad(string error, int status = 400) => Json(new JsonObject { ["error"] = error, ["error_description"] = "AADSTS: what it says beside" }, status);
    }

    private async Task GuardedAsync(HttpContext http, Func<HttpContext, Task<IResult>> answer)
    {
        Interlocked.Increment(ref requests);
        var result = Guard(http) ?? await answer(http);
        if (LosesAnswers && http.Request.Method != "GET")
        {
            http.Abort();
            return;
        }

        await result.ExecuteAsync(http);
    }

    private IResult? Guard(HttpContext http)
    {
        lock (gate)
        {
            if (IsDown) return Results.StatusCode(503);
            if (faults.TryDequeue(out var fault))
            {
                if (fault.After is not null) http.Response.Headers.RetryAfter = fault.After;
                return Json(new JsonObject { ["error"] = new JsonObject { ["code"] = fault.Status == HttpStatusCode.TooManyRequests ? "TooManyRequests" : fault.Status.ToString(), ["message"] = "API calls quota exceeded!" } }, (int)fault.Status);
            }
        }

        if (http.Request.Headers.Authorization is not [{ } header] || !header.StartsWith("Bearer ", StringComparison.Ordinal) || !tokens.TryGetValue(header["Bearer ".Length..], out var end) || time.GetUtcNow() >= end)
        {
            return Error(401, "Unauthorized", "Authorization has been denied for this request.");
        }

        return null;
    }

    private async Task<IResult> CreateAsync(HttpContext http)
    {
        if (await BodyAsync(http) is not { } body) return Complain("the body is no JSON in UTF-8");
        if (Text(body, "tenantId") != Tenant && Text(Inner(Inner(body, "channelData"), "tenant"), "id") != Tenant) return Complain("no tenant");
        if (Inner(body, "bot") is { ValueKind: JsonValueKind.Object } bot && Text(bot, "id") != $"28:{AppId}") return Complain("another bot");
        if (body.TryGetProperty("isGroup", out var group) && group.GetBoolean())
        {
            if (Text(Inner(Inner(body, "channelData"), "channel"), "id") is not { } channel) return Complain("a group without a channel: group chats are not made by bots");
            if (channel != Channel) return Error(404, "NotFound", "no such channel");
            if (IsUninstalled) return Error(403, "BotNotInConversationRoster", "The bot is not part of the conversation roster.");
            if (!body.TryGetProperty("activity", out var activity)) return Complain("a thread without a message");
            if (Faults(activity) is { } faults_) return faults_;
            lock (gate)
            {
                var id = Next();
                var thread = $"{Channel};messageid={id}";
                messages.Add(id, new TeamsMessage(thread, id, activity.Clone()));
                return Json(new JsonObject { ["id"] = thread, ["activityId"] = id }, 201);
            }
        }

        if (!body.TryGetProperty("members", out var members) || members.GetArrayLength() != 1) return Complain("not one member");
        var user = Text(members[0], "id");
        if (People.FirstOrDefault(p => p.Id == user) is not { } person) return Error(400, "BadSyntax", "Bad format of conversation member");
        return Json(new JsonObject { ["id"] = Chat(person) }, 201);
    }

    private async Task<IResult> PostAsync(HttpContext http)
    {
        if (await BodyAsync(http) is not { } activity) return Complain("the body is no JSON in UTF-8");
        var conversation = Route(http, "id");
        if (!Knows(conversation)) return Error(404, "ConversationNotFound", "Conversation not found.");
        if (IsUninstalled) return Error(403, "BotNotInConversationRoster", "The bot is not part of the conversation roster.");
        if (Faults(activity) is { } faults_) return faults_;
        lock (gate)
        {
            var id = Next();
            messages.Add(id, new TeamsMessage(conversation, id, activity.Clone()));
            return Json(new JsonObject { ["id"] = id }, 201);
        }
    }

    private async Task<IResult> PutAsync(HttpContext http)
    {
        if (await BodyAsync(http) is not { } activity) return Complain("the body is no JSON in UTF-8");
        if (Faults(activity) is { } faults_) return faults_;
        lock (gate)
        {
            if (!messages.TryGetValue(Route(http, "activity"), out var message) || message.Conversation != Route(http, "id")) return Error(404, "ActivityNotFoundInConversation", "not there");
            message.Versions.Add(activity.Clone());
            return Json(new JsonObject { ["id"] = message.Id });
        }
    }

    private Task<IResult> MemberAsync(HttpContext http) => Task.FromResult(Member(Route(http, "id"), Route(http, "user")));

    private Task<IResult> MembersAsync(HttpContext http) => Task.FromResult(Members(Route(http, "id")));

    private IResult Member(string conversation, string user)
    {
        if (!Knows(conversation)) return Error(404, "ConversationNotFound", "Conversation not found.");
        var person = People.FirstOrDefault(p => (p.Id == user || p.ObjectId == user) && p.IsMember);
        return person is null ? Error(404, "MemberNotFoundInConversation", "The member is not in the conversation.") : Json(Roster(person));
    }

    private IResult Members(string conversation)
    {
        if (!Knows(conversation)) return Error(404, "ConversationNotFound", "Conversation not found.");
        if (IsUninstalled) return Error(403, "BotNotInConversationRoster", "The bot is not part of the conversation roster.");
        return Json(new JsonObject { ["members"] = new JsonArray(People.Where(static p => p.IsMember).Select(static p => (JsonNode)Roster(p)).ToArray()) });
    }

    private static JsonObject Roster(Teammate person)
    {
        var member = new JsonObject { ["id"] = person.Id, ["name"] = "Somebody", ["tenantId"] = person.Tenant, ["userRole"] = person.Role };
        if (person.Role != "anonymous") member["objectId"] = person.ObjectId;
        if (person.PrincipalName is not null) member["userPrincipalName"] = person.PrincipalName;
        return member;
    }

    private bool Knows(string conversation)
    {
        lock (gate) return conversation == Channel || conversation.StartsWith($"{Channel};messageid=", StringComparison.Ordinal) || chats.ContainsValue(conversation);
    }

    private string Next() => (1764277000000 + ++made).ToString(CultureInfo.InvariantCulture);

    /// <summary>What Teams would not take of a message.</summary>
    private IResult? Faults(JsonElement activity)
    {
        if (AdaptiveSchema.Bytes(activity) > AdaptiveSchema.MessageBytes) return Complain("the message is too large", 413, "MessageSizeTooBig");
        if (Text(activity, "type") != "message") return Complain("no message");
        if (!activity.TryGetProperty("attachments", out var attachments)) return Text(activity, "text") is { Length: > 0 } ? null : Complain("neither a text nor a card");
        foreach (var attachment in attachments.EnumerateArray())
        {
            if (Text(attachment, "contentType") != "application/vnd.microsoft.card.adaptive") return Complain("no Adaptive Card");
            if (AdaptiveSchema.Faults(attachment.GetProperty("content")) is { Count: > 0 } wrong) return Complain(string.Join("; ", wrong));
        }

        return null;
    }

    private static async Task<JsonElement?> BodyAsync(HttpContext http)
    {
        if (!string.Equals(http.Request.ContentType, "application/json; charset=utf-8", StringComparison.OrdinalIgnoreCase)) return null;
        try
        {
            using var document = await JsonDocument.ParseAsync(http.Request.Body);
            return document.RootElement.ValueKind == JsonValueKind.Object ? document.RootElement.Clone() : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private IResult Complain(string about, int status = 400, string code = "BadArgument")
    {
        lock (gate) complaints.Add(about);
        return Error(status, code, about);
    }

    private static string Route(HttpContext http, string name) => Uri.UnescapeDataString((string)http.Request.RouteValues[name]!);

    private static IResult Error(int status, string code, string message) => Json(new JsonObject { ["error"] = new JsonObject { ["code"] = code, ["message"] = message } }, status);

    private static IResult Json(JsonObject body, int status = 200) => Results.Text(body.ToJsonString(), "application/json", Encoding.UTF8, status);

    private static JsonElement Inner(JsonElement at, string name) => at.ValueKind == JsonValueKind.Object && at.TryGetProperty(name, out var inner) ? inner : default;

    private static string? Text(JsonElement at, string name) => at.ValueKind == JsonValueKind.Object && at.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    // ---- what the service tells the bot ----

    /// <summary>The claims of a token for the bot.</summary>
    public JsonObject Claims() => new()
    {
        ["serviceurl"] = ServiceUrl,
        ["nbf"] = time.GetUtcNow().AddMinutes(-1).ToUnixTimeSeconds(),
        ["exp"] = time.GetUtcNow().AddHours(1).ToUnixTimeSeconds(),
        ["iss"] = Issuer,
        ["aud"] = AppId,
    };

    public string Sign(JsonObject claims, string kid = "connector-1", RSA? key = null, string alg = "RS256", string? typ = "JWT")
    {
        var header = new JsonObject { ["alg"] = alg, ["kid"] = kid, ["x5t"] = kid };
        if (typ is not null) header["typ"] = typ;
        var text = $"{Part(header.ToJsonString())}.{Part(claims.ToJsonString())}";
        return $"{text}.{Base64Url.EncodeToString((key ?? SigningKey).SignData(Encoding.ASCII.GetBytes(text), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1))}";
    }

    public static string Part(string json) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(json));

    /// <summary>A click on a button, or a refresh, as Teams sends it.</summary>
    public JsonObject Invoke(Teammate by, TeamsMessage on, string verb, JsonNode? data, string trigger = "manual") => new()
    {
        ["name"] = "adaptiveCard/action",
        ["type"] = "invoke",
        ["timestamp"] = time.GetUtcNow().ToString("o", CultureInfo.InvariantCulture),
        ["id"] = $"f:{Guid.CreateVersion7()}",
        ["channelId"] = "msteams",
        ["serviceUrl"] = ServiceUrl,
        ["from"] = new JsonObject { ["id"] = by.Id, ["name"] = "Alice Approver", ["aadObjectId"] = by.ObjectId },
        ["conversation"] = new JsonObject { ["isGroup"] = true, ["conversationType"] = on.Conversation.StartsWith("a:", StringComparison.Ordinal) ? "personal" : "channel", ["tenantId"] = by.Tenant, ["id"] = on.Conversation },
        ["recipient"] = new JsonObject { ["id"] = $"28:{AppId}", ["name"] = "Countersign" },
        ["channelData"] = new JsonObject { ["tenant"] = new JsonObject { ["id"] = by.Tenant }, ["source"] = new JsonObject { ["name"] = "message" } },
        ["replyToId"] = on.Id,
        ["value"] = new JsonObject { ["action"] = new JsonObject { ["type"] = "Action.Execute", ["title"] = "a button", ["verb"] = verb, ["data"] = data?.DeepClone() ?? new JsonObject() }, ["trigger"] = trigger },
        ["locale"] = "en-US",
    };

    /// <summary>Something that somebody writes to the bot, in a chat of their own.</summary>
    public JsonObject Say(Teammate by, string text) => new()
    {
        ["type"] = "message",
        ["timestamp"] = time.GetUtcNow().ToString("o", CultureInfo.InvariantCulture),
        ["id"] = $"{Guid.CreateVersion7()}",
        ["channelId"] = "msteams",
        ["serviceUrl"] = ServiceUrl,
        ["from"] = new JsonObject { ["id"] = by.Id, ["name"] = "Alice Approver", ["aadObjectId"] = by.ObjectId },
        ["conversation"] = new JsonObject { ["conversationType"] = "personal", ["tenantId"] = by.Tenant, ["id"] = Chat(by) },
        ["recipient"] = new JsonObject { ["id"] = $"28:{AppId}", ["name"] = "Countersign" },
        ["channelData"] = new JsonObject { ["tenant"] = new JsonObject { ["id"] = by.Tenant } },
        ["text"] = text,
    };

    /// <summary>The chat of one person with the bot.</summary>
    private string Chat(Teammate person)
    {
        lock (gate)
        {
            if (!chats.TryGetValue(person.Id, out var chat)) chats[person.Id] = chat = $"a:{Base64Url.EncodeToString(SHA256.HashData(Encoding.UTF8.GetBytes(person.Id)))}";
            return chat;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await app.DisposeAsync();
        SigningKey.Dispose();
    }
}
