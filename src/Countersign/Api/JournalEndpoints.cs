using System.Net;
using System.Net.ServerSentEvents;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Countersign.Core;
using Countersign.Journal;

namespace Countersign.Api;

internal static class JournalEndpoints
{
    /// <summary>Most entries of one page; each may bring a body of its own.</summary>
    public const int MaxPage = 500;

    /// <summary>Bodies of one page, bytes; a page ends early rather than grow beyond.</summary>
    public const long MaxPageBytes = 32 << 20;

    public static void Map(IEndpointRouteBuilder api)
    {
        var journal = api.MapGroup("/journal").AddEndpointFilter(new Administers(Policy.AdministerActions.Journal)).WithTags("journal");
        journal.MapGet("/entries", Entries).Produces<JournalPage>().WithSummary("A page of entries with their bodies: from index `from`, or the last `max`");
        journal.MapGet("/tail", Tail).Produces<JournalLine>(contentType: "text/event-stream").WithSummary("Entries as they become durable, from index `from`, as server-sent events");
        journal.MapGet("/verify", VerifyAsync).Produces<JournalVerdict>().WithSummary("Recompute every leaf hash and every commitment to a body");
    }

    private static IResult Entries(JournalAppender journal, IJournalStore store, long? from, int? max)
    {
        if (from is < 0 || max is <= 0 or > MaxPage) return Problems.Result(HttpStatusCode.BadRequest, ReasonCodes.NotSupported, $"`from` is an index from 0, `max` is 1 to {MaxPage}");
        var size = max ?? 50;
        var count = journal.EntryCount;
        var lines = new List<JournalLine>();
        var bytes = 0L;
        foreach (var entry in store.ReadEntries(from ?? Math.Max(0, count - size), size))
        {
            var line = Line(store, entry, out var length);
            bytes += length;
            if (lines.Count > 0 && bytes > MaxPageBytes) break;
            lines.Add(line);
        }

        return Results.Json(new JournalPage(lines, count, lines.Count == 0 ? count : lines[^1].Index + 1), ApiJson.Default.JournalPage);
    }

    private static IResult Tail(HttpContext http, JournalAppender journal, IJournalStore store, IHostApplicationLifetime lifetime, long? from)
    {
        var ends = CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted, lifetime.ApplicationStopping);
        http.Response.RegisterForDispose(ends);
        return TypedResults.ServerSentEvents(Lines(ends.Token));

        async IAsyncEnumerable<SseItem<JournalLine>> Lines([EnumeratorCancellation] CancellationToken ct)
        {
            var next = from is >= 0 ? from.Value : journal.EntryCount;
            while (await AppendedAsync(next, ct).ConfigureAwait(false))
            {
                foreach (var entry in store.ReadEntries(next, 64))
                {
                    yield return new SseItem<JournalLine>(Line(store, entry, out _), "entry") { EventId = entry.Index.ToString() };
                    next = entry.Index.Value + 1;
                }
            }
        }

        async ValueTask<bool> AppendedAsync(long next, CancellationToken ct)
        {
            try
            {
                return await journal.WaitForAppendAsync(new LeafIndex(next), ct).ConfigureAwait(false) > next;
            }
            catch (OperationCanceledException)
            {
                return false;
            }
        }
    }

    private static async Task<IResult> VerifyAsync(HttpContext http, IJournalStore store, VerifyingNow verifying)
    {
        if (!await verifying.One.WaitAsync(TimeSpan.Zero, http.RequestAborted).ConfigureAwait(false))
        {
            return Problems.Result(HttpStatusCode.TooManyRequests, ReasonCodes.Overloaded, "the journal is being verified already; wait for that one");
        }

        try
        {
            var report = await Task.Run(() => JournalVerification.Fsck(store, ct: http.RequestAborted), http.RequestAborted).ConfigureAwait(false);
            return Results.Json(new JournalVerdict(report.IsSound, report.Entries, report.Bodies, report.Erased,
                report.Defects.Select(static d => new JournalFlaw(d.Index?.Value, d.Code, VisibleText.Of(d.Detail, multiline: false))).ToArray()), ApiJson.Default.JournalVerdict);
        }
        finally
        {
            verifying.One.Release();
        }
    }

    /// <summary>
    /// Entry and body as they are: canonical JSON, in which every client finds the bytes again that were hashed. The
    /// terminal that shows them makes them visible.
    /// </summary>
    private static JournalLine Line(IJournalStore store, JournalEntry entry, out long bytes)
    {
        var body = store.GetBody(entry.Index);
        bytes = entry.Bytes.Length + (body?.Bytes?.Length ?? 0);
        return new JournalLine(entry.Index.Value, Convert.ToHexStringLower(entry.LeafHash), Parse(entry.Bytes),
            body?.Bytes is { } content ? Parse(content) : null,
            body is null ? null : body.IsErased ? "erased" : null, body?.Salt is { } salt ? Convert.ToHexStringLower(salt) : null);
    }

    private static JsonElement? Parse(byte[] json)
    {
        try
        {
            return JsonElement.Parse(json);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}

/// <summary>One verification at a time: each reads the whole journal.</summary>
internal sealed class VerifyingNow : IDisposable
{
    public SemaphoreSlim One { get; } = new(1, 1);

    public void Dispose() => One.Dispose();
}
