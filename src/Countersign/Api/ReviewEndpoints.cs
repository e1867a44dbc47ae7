using System.Net;
using System.Net.ServerSentEvents;
using System.Runtime.CompilerServices;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Reviews;
using Microsoft.AspNetCore.Mvc;

namespace Countersign.Api;

internal static class ReviewEndpoints
{
    /// <summary>Most closed reviews that a list gives: the newest. Older ones are in the journal.</summary>
    public const int MaxClosed = 200;

    /// <summary>Largest answer, bytes: a statement holds the whole payload, JSON text in JSON text.</summary>
    public const int MaxAnswerBytes = 20 << 20;

    public static void Map(IEndpointRouteBuilder api)
    {
        var reviews = api.MapGroup("/reviews").WithTags("reviews");
        reviews.MapGet("", List).Produces<ReviewList>().WithSummary("Reviews that I may see: `state=open` (default) or `closed`");
        reviews.MapGet("/stream", Stream).Produces<ReviewCard>(contentType: "text/event-stream").WithSummary("Each change of a review that I may see, as server-sent events");
        reviews.MapGet("/{id}", Get).Produces<ReviewCard>().WithSummary("The whole card");
        reviews.MapPost("/{id}/statements", Draft).Produces<StatementDraft>().WithSummary("The statement that my answer would commit to");
        reviews.MapPost("/{id}/edits", EditAsync).Produces<EditDone>().WithSummary("Make something else of what is held, for others to approve, where policy allows it");
        reviews.MapPost("/{id}/answers", AnswerAsync).Produces<AnswerDone>().WithMetadata(new RequestSizeLimitAttribute(MaxAnswerBytes)).WithSummary("Answer with a statement, unchanged");
    }

    private static IResult List(HttpContext http, ReviewDesk desk, string? state)
    {
        var me = SignedIn.Of(http);
        IEnumerable<Review>? found = state switch
        {
            null or "open" => desk.ListOpen(),
            "closed" => desk.ListClosed().Take(MaxClosed),
            _ => null,
        };
        return found is null
            ? Problems.Result(HttpStatusCode.BadRequest, ReasonCodes.NotSupported, "`state` is `open` or `closed`")
            : Results.Json(new ReviewList(found.Where(r => desk.MaySee(me.User, me.IsAdmin, r)).Select(r => ReviewSummary.Of(r, desk.WaiterCount(r.Id))).ToArray()), ApiJson.Default.ReviewList);
    }

    private static IResult Get(HttpContext http, ReviewDesk desk, string id) =>
        TryFind(http, desk, id, out var review, out var refused) ? Results.Json(Card(desk, SignedIn.Of(http), review), ApiJson.Default.ReviewCard) : refused;

    private static IResult Stream(HttpContext http, ReviewDesk desk, ReviewFeed feed, UserDirectory users, IHostApplicationLifetime lifetime)
    {
        // A stream outlives much: it ends with its session, and asks anew for each event who the reader is now (P33).
        var session = SignedIn.Of(http);
        var ends = CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted, lifetime.ApplicationStopping, session.Ends);
        http.Response.RegisterForDispose(ends);
        return TypedResults.ServerSentEvents(Changes(ends.Token));

        async IAsyncEnumerable<SseItem<ReviewCard>> Changes([EnumeratorCancellation] CancellationToken ct)
        {
            // Subscribed before the list is read: a change in between is told twice rather than not at all.
            await using var changes = feed.WatchAsync(ct).GetAsyncEnumerator(ct);
            var next = changes.MoveNextAsync();

            // Who has nothing to read yet is to know that he is connected.
            await http.Response.Body.FlushAsync(ct).ConfigureAwait(false);
            foreach (var review in desk.ListOpen())
            {
                if (Reader() is { } me && desk.MaySee(me.User, me.IsAdmin, review)) yield return new SseItem<ReviewCard>(Card(desk, me, review), "review");
            }

            while (await Live(next).ConfigureAwait(false))
            {
                var review = changes.Current;
                if (Reader() is { } me && desk.MaySee(me.User, me.IsAdmin, review)) yield return new SseItem<ReviewCard>(Card(desk, me, review), "review");
                next = changes.MoveNextAsync();
            }
        }

        SignedIn? Reader() => users.Find(session.User.Ref.Id) is { } user ? session with { User = user } : null;

        static async ValueTask<bool> Live(ValueTask<bool> next)
        {
            try
            {
                return await next.ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return false;
            }
        }
    }

    private static IResult Draft(HttpContext http, ReviewDesk desk, string id, StatementRequest body)
    {
        if (!TryFind(http, desk, id, out var review, out var refused)) return refused;
        var me = SignedIn.Of(http);
        if (AnswerKinds.Parse(body.Decision) is not { } decision) return Problems.Result(HttpStatusCode.BadRequest, ReasonCodes.NotSupported, "`decision` is `approve`, `deny` or `break-glass`");
        var (statement, why) = desk.Draft(review.Id, me.User, decision, me.Channel, string.IsNullOrEmpty(body.Comment) ? null : body.Comment, body.Grant?.ToWish());
        return statement is null ? Problems.Refused(why!) : Results.Json(new StatementDraft(statement, ApprovalStatement.Sha256(statement)), ApiJson.Default.StatementDraft);
    }

    private static async Task<IResult> AnswerAsync(HttpContext http, ReviewDesk desk, string id, AnswerRequest body)
    {
        if (!TryFind(http, desk, id, out var review, out var refused)) return refused;
        var me = SignedIn.Of(http);
        var assertion = body.Assertion?.Read();
        if (body.Assertion is not null && assertion is null) return Problems.Result(HttpStatusCode.BadRequest, ReasonCodes.NotUnderstood, "each part of `assertion` is base64url without padding", review.Id.Value);
        var result = await desk.AnswerAsync(review.Id, me.User, me.Channel, body.Statement, assertion).ConfigureAwait(false);
        return result.Accepted
            ? Results.Json(new AnswerDone(review.Id.Value, result.Review!.State.ToString().ToLowerInvariant(), result.ReasonCode, result.Message), ApiJson.Default.AnswerDone)
            : Problems.Refused(result);
    }

    private static async Task<IResult> EditAsync(HttpContext http, ReviewDesk desk, string id, EditAsk body)
    {
        if (!TryFind(http, desk, id, out var review, out var refused)) return refused;
        var me = SignedIn.Of(http);
        var values = new Dictionary<int, string?>();
        foreach (var value in body.Values ?? [])
        {
            if (!values.TryAdd(value.Position, value.Value)) return Problems.Result(HttpStatusCode.BadRequest, ReasonCodes.NotSupported, $"`values` names ${value.Position} twice");
        }

        var result = await desk.EditAsync(review.Id, me.User, me.Channel, new EditWish(body.Statement, values, string.IsNullOrEmpty(body.Comment) ? null : body.Comment)).ConfigureAwait(false);
        return result.Accepted
            ? Results.Json(new EditDone(result.Review!.Id.Value, result.ReasonCode, result.Message), ApiJson.Default.EditDone)
            : Problems.Refused(new AnswerResult(result.ReasonCode, result.Message, result.Review ?? review));
    }

    private static bool TryFind(HttpContext http, ReviewDesk desk, string id, out Review review, out IResult refused)
    {
        review = null!;
        refused = Problems.Result(HttpStatusCode.NotFound, ReasonCodes.ReviewUnknown, $"no review `{VisibleText.Of(id, multiline: false)}`");
        if (!ReviewId.TryParse(id, out var reviewId) || desk.Find(reviewId) is not { } found) return false;

        // The same answer as for none: an id tells a stranger nothing.
        var me = SignedIn.Of(http);
        if (!desk.MaySee(me.User, me.IsAdmin, found)) return false;
        review = found;
        return true;
    }

    private static ReviewCard Card(ReviewDesk desk, SignedIn me, Review review)
    {
        var eligible = desk.Eligible(review);
        var cannot = !review.IsOpen ? ReasonCodes.ReviewClosed
            : review.IsActor(me.User.Ref.Id) ? ReasonCodes.SelfApproval
            : review.Answers.Any(a => a.User == me.User.Ref.Id) ? ReasonCodes.AlreadyDecided
            : eligible.Any(u => u.Ref.Id == me.User.Ref.Id) ? null
            : ReasonCodes.NotEligible;
        return ReviewCard.Of(review, desk.WaiterCount(review.Id), desk.Asking(review), eligible.Select(static u => u.Ref.Name), cannot) with { MayEdit = desk.MayEdit(me.User, review, me.Channel) };
    }
}
