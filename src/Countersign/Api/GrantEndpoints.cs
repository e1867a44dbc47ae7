using System.Net;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Reviews;

namespace Countersign.Api;

internal static class GrantEndpoints
{
    public static void Map(IEndpointRouteBuilder api)
    {
        var grants = api.MapGroup("/grants").WithTags("grants");
        grants.MapGet("", List).Produces<GrantList>().WithSummary("Grants that I may see: `state=open` (default) or `closed`");
        grants.MapDelete("/{id}", RevokeAsync).Produces<GrantView>().WithSummary("Revoke a grant: the next use is asked about again");
    }

    private static IResult List(HttpContext http, ReviewDesk desk, string? state)
    {
        var me = SignedIn.Of(http);
        var all = me.MayAdminister(Policy.AdministerActions.Grants);
        IReadOnlyList<Grant>? found = state switch { null or "open" => desk.ListGrants(), "closed" => desk.ListClosedGrants(), _ => null };
        return found is null
            ? Problems.Result(HttpStatusCode.BadRequest, ReasonCodes.NotSupported, "`state` is `open` or `closed`")
            : Results.Json(new GrantList(found.Where(g => MaySee(me, all, g)).Select(GrantView.Of).ToArray()), ApiJson.Default.GrantList);
    }

    private static async Task<IResult> RevokeAsync(HttpContext http, ReviewDesk desk, string id)
    {
        var me = SignedIn.Of(http);
        var administers = me.MayAdminister(Policy.AdministerActions.Grants);
        if (!GrantId.TryParse(id, out var grantId) || desk.FindGrant(grantId) is not { } grant || !MaySee(me, administers, grant))
            return Problems.Result(HttpStatusCode.NotFound, ReasonCodes.ReviewUnknown, $"no grant `{VisibleText.Of(id, multiline: false)}`");
        var result = await desk.RevokeGrantAsync(grantId, me.User.Ref, administers).ConfigureAwait(false);
        return result.ReasonCode == ReasonCodes.GrantRevoked
            ? Results.Json(GrantView.Of(result.Grant!), ApiJson.Default.GrantView)
            : Problems.Refused(new AnswerResult(result.ReasonCode, result.Message, null));
    }

    /// <summary>Who administers, who gave it, and those in whose name it is used.</summary>
    private static bool MaySee(SignedIn me, bool administers, Grant grant) =>
        administers || grant.IsActor(me.User.Ref.Id) || grant.Approvals.Any(a => a.User == me.User.Ref.Id);
}
