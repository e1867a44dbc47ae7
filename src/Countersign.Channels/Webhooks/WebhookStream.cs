using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Countersign.Channels.Cards;
using Countersign.Core;
using Countersign.Journal;
using Countersign.Reviews;
using Microsoft.Extensions.Logging;

namespace Countersign.Channels.Webhooks;

/// <summary>Every webhook of the configuration. Owns their connections.</summary>
public sealed class Webhooks : IDisposable
{
    private readonly HttpClient http;
    private readonly IReadOnlyList<WebhookStream> streams;

    public Webhooks(IReadOnlyList<WebhookEndpoint> endpoints, ReviewDesk desk, CardMaker cards, Func<Uri> console, JournalAppender journal, TimeProvider time, ILoggerFactory loggers, WebhookLimits? limits = null)
    {
        var bounds = limits ?? new WebhookLimits();
        var events = new WebhookEvents(journal.Reader, desk, cards, console, bounds);
        http = WebhookStream.Client(bounds);
        streams = endpoints.Select(e => new WebhookStream(e, events, journal, http, bounds, time, loggers.CreateLogger<WebhookStream>())).ToArray();
    }

    /// <summary>Runs until it is stopped.</summary>
    public Task RunAsync(CancellationToken ct) => Task.WhenAll(streams.Select(s => s.RunAsync(ct)));

    public void Dispose() => http.Dispose();
}

/// <summary>
/// Tells one receiver of the journal's entries, in their order, each at least once. The journal itself is what waits to be
/// sent: only the place up to which the receiver has been told is kept, so that no event can be lost between the two. A
/// receiver that is down delays its own events and nothing else. No redirect is followed.
/// </summary>
internal sealed partial class WebhookStream(WebhookEndpoint endpoint, WebhookEvents events, JournalAppender journal, HttpClient http, WebhookLimits limits, TimeProvider time, ILogger<WebhookStream> logger)
{
    private const string Collection = "webhooks";
    private static readonly MediaTypeHeaderValue CloudEvent = new("application/cloudevents+json", "utf-8");

    private readonly IStateReader reader = journal.Reader;

    public static HttpClient Client(WebhookLimits limits) =>
        new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, ConnectTimeout = limits.Timeout, PooledConnectionLifetime = TimeSpan.FromMinutes(5) })
        {
            Timeout = limits.Timeout,
            MaxResponseContentBufferSize = 64 << 10,
        };

    /// <summary>Runs until it is stopped, or the receiver says that it wants no more (410).</summary>
    public async Task RunAsync(CancellationToken ct)
    {
        while (!ct.IsCancellationRequested)
        {
            try
            {
                if (!await FollowAsync(ct).ConfigureAwait(false)) return;
            }
            catch (OperationCanceledException) when (ct.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) when (e is JournalStoreException or JsonException)
            {
                LogStumbled(endpoint.Name, e);
                await Task.Delay(limits.Retries[0], time, ct).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    /// <summary>False: it wants no more.</summary>
    private async Task<bool> FollowAsync(CancellationToken ct)
    {
        var progress = await BeginAsync().ConfigureAwait(false);
        var kept = progress.Next;
        while (true)
        {
            await journal.WaitForAppendAsync(new LeafIndex(progress.Next), ct).ConfigureAwait(false);
            var page = reader.ReadEntries(progress.Next, limits.Page);
            foreach (var entry in page)
            {
                var told = false;
                if (entry.TryParse(out var content) && WebhookEvents.TypeOf(content) is { } type && endpoint.Wants(type))
                {
                    if (!await DeliverAsync(events.Of(entry, content, type, endpoint), entry.Index, progress, ct).ConfigureAwait(false)) return false;
                    told = true;
                }

                progress = new Progress(entry.Index.Value + 1, null, 0);
                if (!told && progress.Next - kept < limits.Unkept) continue;
                await KeepAsync(progress).ConfigureAwait(false);
                kept = progress.Next;
            }
        }
    }

    private async Task<bool> DeliverAsync(WebhookEvent e, LeafIndex index, Progress progress, CancellationToken ct)
    {
        var since = progress.Next == index.Value ? progress.Since : null;
        var tries = progress.Next == index.Value ? progress.Tries : 0;
        while (true)
        {
            var (done, gone, why, after) = await SendAsync(e, ct).ConfigureAwait(false);
            if (done) return true;
            var now = time.GetUtcNow();
            since ??= now;
            tries++;
            if (tries <= 3 || tries % 20 == 0) LogNotTold(endpoint.Name, e.Id, tries, why);
            if (gone)
            {
                LogGone(endpoint.Name);
                await SayAsync("webhook-ended", e, why).ConfigureAwait(false);
                return false;
            }

            if (now - since >= limits.GiveUp)
            {
                LogGivenUp(endpoint.Name, e.Id);
                await SayAsync("webhook-given-up", e, why).ConfigureAwait(false);
                return true;
            }

            await KeepAsync(new Progress(index.Value, since, tries)).ConfigureAwait(false);
            await Task.Delay(after ?? Spread(limits.Retries[Math.Min(tries - 1, limits.Retries.Count - 1)]), time, ct).ConfigureAwait(false);
        }
    }

    private async Task<(bool Done, bool Gone, string Why, TimeSpan? After)> SendAsync(WebhookEvent e, CancellationToken ct)
    {
        var body = Encoding.UTF8.GetBytes(e.Body.ToJsonString());
        var at = time.GetUtcNow();
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, endpoint.Url);
            request.Content = new ByteArrayContent(body) { Headers = { ContentType = CloudEvent } };
            request.Headers.Add(WebhookSignature.IdHeader, e.Id);
            request.Headers.Add(WebhookSignature.TimestampHeader, WebhookSignature.Stamp(at));
            request.Headers.Add(WebhookSignature.SignatureHeader, WebhookSignature.Of(e.Id, at, body, endpoint.Secrets));
            request.Headers.UserAgent.Add(new ProductInfoHeaderValue("Countersign", null));
            using var answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, ct).ConfigureAwait(false);
            if (answer.IsSuccessStatusCode) return (true, false, "", null);
            var after = answer.Headers.RetryAfter is { } header ? header.Delta ?? (header.Date - at) : null;
            return (false, answer.StatusCode == HttpStatusCode.Gone, $"it answered {(int)answer.StatusCode}", after is { Ticks: > 0 } wait ? wait < limits.LongestRetryAfter ? wait : limits.LongestRetryAfter : null);
        }
        catch (Exception ex) when (ex is HttpRequestException or IOException || (ex is OperationCanceledException && !ct.IsCancellationRequested))
        {
            return (false, false, ex is OperationCanceledException ? "it did not answer in time" : "it can not be reached", null);
        }
    }

    /// <summary>Up to a fifth earlier or later: many receivers of one outage do not come back as one.</summary>
    private static TimeSpan Spread(TimeSpan wait) => wait * (0.8 + RandomNumberGenerator.GetInt32(401) / 1000.0);

    /// <summary>A receiver that is new begins with what happens from now on; a receiver at another address is a new one.</summary>
    private async Task<Progress> BeginAsync()
    {
        if (Document() is { } there && JsonSerializer.Deserialize(there.Value, WebhookJson.Default.Progress) is { } known && known.Url == Place()) return known;
        var fresh = new Progress(reader.EntryCount, null, 0);
        await KeepAsync(fresh).ConfigureAwait(false);
        return fresh;
    }

    private StateDocument? Document() => reader.Get(Collection, endpoint.Name);

    /// <summary>Of the address, without what a query may hold as a secret.</summary>
    private string Place() => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(endpoint.Url.AbsoluteUri)));

    private async Task KeepAsync(Progress progress)
    {
        var bytes = JsonSerializer.SerializeToUtf8Bytes(progress with { Url = Place() }, WebhookJson.Default.Progress);

        // Not kept, it is sent again one day: at least once is what is promised.
        await journal.WriteAsync(new WriteSet([], [new StateChange.Put(Collection, endpoint.Name, Document()?.Version ?? 0, null, bytes)])).ConfigureAwait(false);
    }

    private async Task SayAsync(string type, WebhookEvent e, string why) => await journal.WriteAsync(WriteSet.Of(new EntryDraft(type,
        CanonicalJson.Object(("webhook", endpoint.Name), ("event", e.Id), ("cause", why)), null))).ConfigureAwait(false);

    [LoggerMessage(EventId = 7301, Level = LogLevel.Warning, Message = "webhook {Name} was not told of {Event} (attempt {Attempt}): {Why}")]
    private partial void LogNotTold(string name, string @event, int attempt, string why);

    [LoggerMessage(EventId = 7302, Level = LogLevel.Error, Message = "webhook {Name} is given up for {Event}, and goes on with the next")]
    private partial void LogGivenUp(string name, string @event);

    [LoggerMessage(EventId = 7303, Level = LogLevel.Warning, Message = "webhook {Name} answered 410 and is told nothing more until the next start")]
    private partial void LogGone(string name);

    [LoggerMessage(EventId = 7304, Level = LogLevel.Error, Message = "webhook {Name} stumbled, and goes on")]
    private partial void LogStumbled(string name, Exception exception);
}

/// <summary>Up to where a receiver has been told.</summary>
/// <param name="Next">Index of the next entry.</param>
/// <param name="Since">Since when that one has been tried; null: not yet.</param>
internal sealed record Progress(long Next, DateTimeOffset? Since, int Tries)
{
    /// <summary>SHA-256 of the address.</summary>
    public string? Url { get; init; }
}

[JsonSerializable(typeof(Progress))]
[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
internal sealed partial class WebhookJson : JsonSerializerContext;
