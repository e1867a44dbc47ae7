using System.Runtime.CompilerServices;
using System.Net.ServerSentEvents;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Identity.Passkeys;
using Countersign.Pages.Activity;
using Countersign.Pages.Card;
using Countersign.Pages.Inbox;
using Countersign.Pages.Layout;
using Countersign.Reviews;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Countersign.Pages;

/// <summary>The pages for people. Each is rendered here and is whole without script; the script only keeps it fresh.</summary>
public static partial class ConsolePages
{
    /// <summary>
    /// Nothing but our own sheet, script, icon and forms; no frames, no inline, no foreign origin (CSP level 3).
    /// </summary>
    public const string ContentSecurityPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

    /// <summary>Largest form, bytes: the statement travels in it, each character written out at worst as nine.</summary>
    public const int MaxFormBytes = 40 << 20;

    public static IServiceCollection AddConsole(this IServiceCollection services, ConsoleSeams seams)
    {
        services.AddRazorComponents();
        services.AddSingleton(seams).AddScoped<Activities>();
        return services;
    }

    public static void Map(IEndpointRouteBuilder app)
    {
        Files.Map(app);
        var pages = app.MapGroup("").AddEndpointFilter(static async (context, next) =>
        {
            var headers = context.HttpContext.Response.Headers;
            headers.ContentSecurityPolicy = ContentSecurityPolicy;
            headers["Referrer-Policy"] = "same-origin";
            headers["Cross-Origin-Opener-Policy"] = "same-origin";
            headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=()";
            return await next(context).ConfigureAwait(false);
        }).WithMetadata(ConsolePage.Instance).ExcludeFromDescription();
        pages.MapGet("/", Inbox);
        pages.MapGet("/live", Live);
        MapPeople(pages);
        MapHouse(pages);
        MapEdits(pages);
        MapGlass(pages);
        MapAway(pages);
        MapPlay(pages);
        pages.MapGet("/reviews/{id}", ReviewOf);
        pages.MapPost("/reviews/{id}/decide", DecideAsync);
        pages.MapPost("/reviews/{id}/answer", AnswerAsync).WithMetadata(new RequestSizeLimitAttribute(MaxFormBytes)).WithFormOptions(bufferBodyLengthLimit: MaxFormBytes, valueLengthLimit: ApprovalStatement.MaxLength);
    }

    private static RazorComponentResult<InboxPage> Inbox(HttpContext http, ReviewDesk desk, TimeProvider time)
    {
        var reader = Reader.Of(http);
        return Page<InboxPage>((nameof(InboxPage.Reader), reader), (nameof(InboxPage.View), InboxView.Of(reader, desk, time.GetUtcNow())),
            (nameof(InboxPage.Glass), desk.ListAftermaths().Where(a => a.ClosedAt is null && desk.MaySee(reader.User, reader.IsAdmin, a)).ToArray()));
    }

    private static IResult ReviewOf(HttpContext http, ConsoleSeams seams, ReviewDesk desk, PasskeyRegistry passkeys, Activities activities, TimeProvider time, string id)
    {
        var reader = Reader.Of(http);
        return Find(reader, desk, id) is { } review ? Card(http, reader, review, desk, passkeys, activities, seams, time) : NoReview(reader);
    }

    private static IResult Card(HttpContext http, Reader reader, Review review, ReviewDesk desk, PasskeyRegistry passkeys, Activities activities, ConsoleSeams seams, TimeProvider time, string? notice = null, string? comment = null)
    {
        var signing = review.IsOpen && RequirementAlgebra.StepUpOf(review.Requirements) != StepUp.None ? Signing.Of(reader, seams.PasskeysFor(http), passkeys) : null;
        var view = ReviewView.Of(review, reader, desk, activities, seams, time.GetUtcNow(), signing) with { Notice = notice, Comment = comment };
        return Page<ReviewPage>(notice is null ? 200 : 409, (nameof(ReviewPage.Reader), reader), (nameof(ReviewPage.View), view));
    }

    /// <summary>
    /// The first click. No is taken at once. Yes is asked for again, over the exact bytes that it would commit to: nobody
    /// approves by a slip of the thumb, and what is shown then is read out of those bytes.
    /// </summary>
    private static async Task<IResult> DecideAsync(HttpContext http, ConsoleSeams seams, ReviewDesk desk, PasskeyRegistry passkeys, Activities activities, TimeProvider time, string id)
    {
        var reader = Reader.Of(http);
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        if (Find(reader, desk, id) is not { } review) return NoReview(reader);
        AnswerKind? kind = form["decision"].ToString() switch { "approve" => AnswerKind.Approve, "deny" => AnswerKind.Deny, _ => null };
        if (kind is not { } decision) return Card(http, reader, review, desk, passkeys, activities, seams, time, "choose to approve or to deny");
        var comment = Said(form["comment"].ToString());
        if (!GrantForm.TryRead(form, review.Parameters.Count, out var grant)) return Card(http, reader, review, desk, passkeys, activities, seams, time, "a grant takes numbers", comment);
        var (statement, refused) = desk.Draft(review.Id, reader.User, decision, reader.Channel, comment, decision == AnswerKind.Approve ? grant : null);
        if (statement is null) return Card(http, reader, desk.Find(review.Id) ?? review, desk, passkeys, activities, seams, time, refused!.Message, comment);
        if (decision == AnswerKind.Deny) return After(await desk.AnswerAsync(review.Id, reader.User, reader.Channel, statement).ConfigureAwait(false));
        return Confirm(http, reader, review, desk, passkeys, seams, time, statement, comment);

        IResult After(AnswerResult result) => result.Accepted
            ? new SeeOther($"/reviews/{review.Id}")
            : Card(http, reader, desk.Find(review.Id) ?? review, desk, passkeys, activities, seams, time, result.Message, comment);
    }

    /// <summary>What somebody wrote; null where that is nothing.</summary>
    private static string? Said(string text) => text.ReplaceLineEndings("\n").Trim() is { Length: > 0 } said ? said : null;

    /// <summary>The last look before an answer that gives power: everything on it is read out of the statement.</summary>
    private static RazorComponentResult<ConfirmPage> Confirm(
        HttpContext http, Reader reader, Review review, ReviewDesk desk, PasskeyRegistry passkeys, ConsoleSeams seams, TimeProvider time, string statement, string? comment)
    {
        var says = StatementSays.Of(statement);
        return Page<ConfirmPage>(
            (nameof(ConfirmPage.Reader), reader), (nameof(ConfirmPage.Statement), statement), (nameof(ConfirmPage.Says), says),
            (nameof(ConfirmPage.Signing), says.StepUp ? Signing.Of(reader, seams.PasskeysFor(http), passkeys) : null),
            (nameof(ConfirmPage.Agent), review.Agent.Name), (nameof(ConfirmPage.Editor), review.Edit?.By.Name ?? ""), (nameof(ConfirmPage.Now), time.GetUtcNow()),
            (nameof(ConfirmPage.Last), desk.WouldBeEnough(review, reader.User, reader.Channel, comment)), (nameof(ConfirmPage.Waits), desk.WaiterCount(review.Id) > 0));
    }

    /// <summary>The second click: the statement comes back unchanged, or counts for nothing.</summary>
    private static async Task<IResult> AnswerAsync(HttpContext http, ConsoleSeams seams, ReviewDesk desk, PasskeyRegistry passkeys, Activities activities, TimeProvider time, string id)
    {
        var reader = Reader.Of(http);
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        if (Find(reader, desk, id) is not { } review) return NoReview(reader);
        var result = await desk.AnswerAsync(review.Id, reader.User, reader.Channel, form["statement"].ToString(), PasskeyAssertion.Read(form["assertion"])).ConfigureAwait(false);
        return result.Accepted ? new SeeOther($"/reviews/{review.Id}") : Card(http, reader, desk.Find(review.Id) ?? review, desk, passkeys, activities, seams, time, result.Message);
    }

    /// <summary>
    /// Says that a review has changed, and no more: the page asks for itself again, so that there is one place that knows
    /// what it looks like.
    /// </summary>
    private static IResult Live(HttpContext http, ReviewDesk desk, ReviewFeed feed, UserDirectory users, IHostApplicationLifetime lifetime)
    {
        var reader = Reader.Of(http);
        var ends = CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted, lifetime.ApplicationStopping, reader.Ends);
        http.Response.RegisterForDispose(ends);
        return TypedResults.ServerSentEvents(Changes(ends.Token));

        async IAsyncEnumerable<SseItem<string>> Changes([EnumeratorCancellation] CancellationToken ct)
        {
            await using var changes = feed.WatchAsync(ct).GetAsyncEnumerator(ct);
            var next = changes.MoveNextAsync();

            // Subscribed: whatever came between the page and this is told by the page that is asked for now.
            yield return new SseItem<string>("", "hello");
            while (await Going(next).ConfigureAwait(false))
            {
                var review = changes.Current;
                if (Now() is { } now && desk.MaySee(now.User, now.IsAdmin, review)) yield return new SseItem<string>(review.Id.Value, "review");
                next = changes.MoveNextAsync();
            }
        }

        // A stream outlives much: who the reader is now is asked for each event (P33).
        SignedIn? Now() => users.Find(reader.User.Ref.Id) is { } user ? http.Features.Get<SignedIn>()! with { User = user } : null;

        static async ValueTask<bool> Going(ValueTask<bool> next)
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

    /// <summary>A review that the reader may see; one that he may not is none, so that an id tells a stranger nothing.</summary>
    private static Review? Find(Reader reader, ReviewDesk desk, string id) =>
        ReviewId.TryParse(id, out var parsed) && desk.Find(parsed) is { } review && desk.MaySee(reader.User, reader.IsAdmin, review) ? review : null;

    private static RazorComponentResult<Message> NoReview(Reader reader) =>
        Page<Message>(404, (nameof(Message.Reader), reader), (nameof(Message.Title), "No such review"), (nameof(Message.Text), "There is none of this name, or you are in none of the groups that it asks, and it is not done in your name."));

    private static RazorComponentResult<T> Page<T>(params (string Name, object? Value)[] parameters) where T : Microsoft.AspNetCore.Components.IComponent => Page<T>(200, parameters);

    private static RazorComponentResult<T> Page<T>(int status, params (string Name, object? Value)[] parameters) where T : Microsoft.AspNetCore.Components.IComponent =>
        new(parameters.ToDictionary(static p => p.Name, static p => p.Value, StringComparer.Ordinal)) { StatusCode = status, PreventStreamingRendering = true };
}
