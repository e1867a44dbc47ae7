using System.Globalization;
using System.Net;
using System.Text.Json;
using Countersign.Channels.Webhooks;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Countersign.Channels.Tests.Webhooks;

/// <summary>An event as a receiver took it.</summary>
internal sealed record TakenEvent(string Id, string Type, JsonElement Body)
{
    public JsonElement Data => Body.GetProperty("data");
}

/// <summary>
/// A receiver of webhooks on loopback that does all that the documentation asks of one: it looks at signature, time and id
/// before anything else, and at CloudEvents' required members. It has bad days when it is told to.
/// </summary>
internal sealed class PlayedReceiver : IAsyncDisposable
{
    private readonly TimeProvider time;
    private readonly WebApplication app;
    private readonly Lock gate = new();
    private readonly List<TakenEvent> events = [];
    private readonly HashSet<string> seen = new(StringComparer.Ordinal);
    private readonly List<string> complaints = [];
    private readonly Queue<(HttpStatusCode Status, string? After)> faults = new();

    private PlayedReceiver(TimeProvider time, params string[] secrets)
    {
        this.time = time;
        Secrets = secrets.Select(static s => WebhookSecret.TryParse(s, out var secret) ? secret! : throw new FormatException()).ToList();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        app = builder.Build();
        app.MapPost("/hook", (Delegate)TakeAsync);
        app.MapPost("/elsewhere", () =>
        {
            Complain("a redirect was followed");
            return Results.Ok();
        });
    }

    public static async Task<PlayedReceiver> StartAsync(TimeProvider time, params string[] secrets)
    {
        var me = new PlayedReceiver(time, secrets);
        await me.app.StartAsync();
        return me;
    }

    public Uri Url => new($"{app.Urls.First()}/hook");
    public List<WebhookSecret> Secrets { get; }
    public int Attempts { get; private set; }
    public int Repeats { get; private set; }

    /// <summary>It takes the event, and its answer is lost.</summary>
    public bool LosesAnswers { get; set; }

    public IReadOnlyList<TakenEvent> Events
    {
        get
        {
            lock (gate) return [.. events];
        }
    }

    public IReadOnlyList<string> Complaints
    {
        get
        {
            lock (gate) return [.. complaints];
        }
    }

    public void Fail(HttpStatusCode status, string? after = null, int times = 1)
    {
        lock (gate)
        {
            for (var i = 0; i < times; i++) faults.Enqueue((status, after));
        }
    }

    private async Task<IResult> TakeAsync(HttpContext http)
    {
        using var buffer = new MemoryStream();
        await http.Request.Body.CopyToAsync(buffer);
        lock (gate)
        {
            Attempts++;
            if (faults.TryDequeue(out var fault))
            {
                if (fault.After is not null) http.Response.Headers.RetryAfter = fault.After;
                if (fault.Status is HttpStatusCode.Redirect or HttpStatusCode.TemporaryRedirect) http.Response.Headers.Location = "/elsewhere";
                return Results.StatusCode((int)fault.Status);
            }

            string? id = http.Request.Headers["webhook-id"], stamp = http.Request.Headers["webhook-timestamp"], signature = http.Request.Headers["webhook-signature"];
            var body = buffer.ToArray();
            if (!Secrets.Any(s => WebhookSignature.Verify(id, stamp, signature, body, s, time.GetUtcNow()))) return Complain("the signature is not good");
            if (http.Request.ContentType != "application/cloudevents+json; charset=utf-8") return Complain($"content type {http.Request.ContentType}");
            if (!seen.Add(id!))
            {
                Repeats++;
                return Results.NoContent();
            }

            using var document = JsonDocument.Parse(body);
            var root = document.RootElement.Clone();
            foreach (var required in (string[])["id", "source", "specversion", "type"])
            {
                if (!root.TryGetProperty(required, out var value) || value.GetString() is not { Length: > 0 }) return Complain($"`{required}` is missing");
            }

            if (root.GetProperty("specversion").GetString() != "1.0" || root.GetProperty("id").GetString() != id) return Complain("no CloudEvent 1.0 of this id");
            if (!DateTimeOffset.TryParse(root.GetProperty("time").GetString(), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out _)) return Complain("`time` is none");
            if (body.Length > 64 << 10) return Complain("an event of more than 64 KiB need not be taken by anybody (CloudEvents §5)");
            events.Add(new TakenEvent(id!, root.GetProperty("type").GetString()!, root));
        }

        if (LosesAnswers)
        {
            http.Abort();
            return Results.Empty;
        }

        return Results.NoContent();
    }

    private IResult Complain(string about)
    {
        lock (gate) complaints.Add(about);
        return Results.BadRequest();
    }

    public async ValueTask DisposeAsync() => await app.DisposeAsync();
}
