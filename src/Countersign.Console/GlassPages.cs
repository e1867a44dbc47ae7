using Countersign.Core;
using Countersign.Identity.Passkeys;
using Countersign.Pages.Activity;
using Countersign.Pages.Card;
using Countersign.Pages.Glass;
using Countersign.Pages.Layout;
using Countersign.Reviews;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;

namespace Countersign.Pages;

public static partial class ConsolePages
{
    /// <summary>Broken glass that was looked into, on its page: the newest.</summary>
    private const int MaxClosedAftermaths = 50;

    private static void MapGlass(IEndpointRouteBuilder pages)
    {
        pages.MapGet("/reviews/{id}/break-glass", GlassOf);
        pages.MapPost("/reviews/{id}/break-glass", BreakAsync);
        pages.MapGet("/aftermaths", static (HttpContext http, ReviewDesk desk, TimeProvider time) => Aftermaths(Reader.Of(http), desk, time));
        pages.MapPost("/aftermaths/{id}/close", CloseAsync);
    }

    private static IResult GlassOf(HttpContext http, ConsoleSeams seams, ReviewDesk desk, Activities activities, TimeProvider time, string id)
    {
        var reader = Reader.Of(http);
        return Find(reader, desk, id) is { } review ? Glass(reader, review, desk, activities, seams, time) : NoReview(reader);
    }

    private static RazorComponentResult<BreakPage> Glass(Reader reader, Review review, ReviewDesk desk, Activities activities, ConsoleSeams seams, TimeProvider time, string? notice = null, string? comment = null)
    {
        var view = ReviewView.Of(review, reader, desk, activities, seams, time.GetUtcNow()) with { Notice = notice, Comment = comment };
        var may = desk.CanBreakGlass(reader.User, review, reader.Channel);
        return Page<BreakPage>(notice is not null ? 409 : may ? 200 : 403,
            (nameof(BreakPage.Reader), reader), (nameof(BreakPage.View), view), (nameof(BreakPage.May), may), (nameof(BreakPage.Security), desk.SecurityGroup));
    }

    /// <summary>
    /// The first click makes the statement, and the page that follows shows what is read out of it: like an approval, and its
    /// answer goes the same way.
    /// </summary>
    private static async Task<IResult> BreakAsync(HttpContext http, ConsoleSeams seams, ReviewDesk desk, PasskeyRegistry passkeys, Activities activities, TimeProvider time, string id)
    {
        var reader = Reader.Of(http);
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        if (Find(reader, desk, id) is not { } review) return NoReview(reader);
        var comment = Said(form["comment"].ToString());
        var (statement, refused) = desk.Draft(review.Id, reader.User, AnswerKind.BreakGlass, reader.Channel, comment);
        return statement is null
            ? Glass(reader, desk.Find(review.Id) ?? review, desk, activities, seams, time, refused!.ReasonCode == ReasonCodes.JustificationRequired ? "say why it can not wait" : refused.Message, comment)
            : Confirm(http, reader, review, desk, passkeys, seams, time, statement, comment);
    }

    private static RazorComponentResult<AftermathsPage> Aftermaths(Reader reader, ReviewDesk desk, TimeProvider time, string? notice = null, ReviewId? about = null, string? finding = null)
    {
        var all = desk.ListAftermaths().Where(a => desk.MaySee(reader.User, reader.IsAdmin, a)).Select(a => AftermathView.Of(a, desk, reader) with { Comment = a.Review == about ? finding : null }).ToArray();
        return Page<AftermathsPage>(notice is null ? 200 : 409,
            (nameof(AftermathsPage.Reader), reader), (nameof(AftermathsPage.Now), time.GetUtcNow()), (nameof(AftermathsPage.Notice), notice),
            (nameof(AftermathsPage.Open), all.Where(static a => a.Aftermath.ClosedAt is null).ToArray()),
            (nameof(AftermathsPage.Closed), all.Where(static a => a.Aftermath.ClosedAt is not null).Take(MaxClosedAftermaths).ToArray()));
    }

    private static async Task<IResult> CloseAsync(HttpContext http, ReviewDesk desk, TimeProvider time, string id)
    {
        var reader = Reader.Of(http);
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        if (!ReviewId.TryParse(id, out var review) || desk.ListAftermaths().FirstOrDefault(a => a.Review == review) is not { } found || !desk.MaySee(reader.User, reader.IsAdmin, found))
            return Page<Message>(404, (nameof(Message.Reader), reader), (nameof(Message.Title), "No such broken glass"), (nameof(Message.Text), "There is none of this name that you may look into."));
        var finding = Said(form["finding"].ToString());
        if (form["justified"].ToString() is not ("yes" or "no")) return Aftermaths(reader, desk, time, "say whether it was right", review, finding);
        var result = await desk.CloseAftermathAsync(review, reader.User, reader.Channel, form["justified"] == "yes", finding ?? "").ConfigureAwait(false);
        return result is { ReasonCode: ReasonCodes.ReviewClosed, Message: "closed" } ? new SeeOther($"/aftermaths#{review}") : Aftermaths(reader, desk, time, result.Message, review, finding);
    }
}
