using System.Net;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Reviews;

namespace Countersign.Api;

/// <summary>Reviews after the fact of a broken glass.</summary>
internal static class AftermathEndpoints
{
    public static void Map(IEndpointRouteBuilder api)
    {
        var aftermaths = api.MapGroup("/aftermaths").WithTags("reviews");
        aftermaths.MapGet("", List).Produces<AftermathList>().WithSummary("Broken glass that I may see, newest first");
        aftermaths.MapPost("/{id}/close", CloseAsync).Produces<AftermathView>().WithSummary("Say what you found: for somebody else than who broke it");
    }

    private static IResult List(HttpContext http, ReviewDesk desk)
    {
        var me = SignedIn.Of(http);
        return Results.Json(new AftermathList(desk.ListAftermaths().Where(a => desk.MaySee(me.User, me.IsAdmin, a)).Select(AftermathView.Of).ToArray()), ApiJson.Default.AftermathList);
    }

    private static async Task<IResult> CloseAsync(HttpContext http, ReviewDesk desk, string id, AftermathClose body)
    {
        var me = SignedIn.Of(http);
        if (!ReviewId.TryParse(id, out var review) || desk.ListAftermaths().FirstOrDefault(a => a.Review == review) is not { } found || !desk.MaySee(me.User, me.IsAdmin, found))
            return Problems.Result(HttpStatusCode.NotFound, ReasonCodes.ReviewUnknown, $"no broken glass at `{VisibleText.Of(id, multiline: false)}`");
        if (found.ClosedAt is not null) return Problems.Result(HttpStatusCode.Conflict, ReasonCodes.ReviewClosed, "it is closed already");
        var result = await desk.CloseAftermathAsync(review, me.User, me.Channel, body.Justified, body.Finding).ConfigureAwait(false);
        var now = desk.ListAftermaths().First(a => a.Review == review);
        return result.ReasonCode == ReasonCodes.ReviewClosed && now.ClosedBy?.Id == me.User.Ref.Id
            ? Results.Json(AftermathView.Of(now), ApiJson.Default.AftermathView)
            : Problems.Refused(result);
    }
}
