using System.Net;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Reviews;

namespace Countersign.Api;

/// <summary>Who speaks for whom while he is away. People say so for themselves; who administers, for anybody.</summary>
internal static class AwayEndpoints
{
    public static void Map(IEndpointRouteBuilder api)
    {
        var away = api.MapGroup("/away").WithTags("away");
        away.MapGet("", List).Produces<AwayList>().WithSummary("Delegates that are named now: those that I gave or hold, and all for who administers");
        away.MapPut("/{user}", SetAsync).Produces<AwayView>().WithSummary("Name a delegate for a time, in place of an earlier one");
        away.MapDelete("/{user}", EndAsync).Produces<AwayView>().WithSummary("End it");
    }

    private static IResult List(HttpContext http, Delegations delegations)
    {
        var me = SignedIn.Of(http);
        var all = me.MayAdminister(Policy.AdministerActions.Delegates);
        return Results.Json(new AwayList(delegations.List().Where(d => all || d.Away.Id == me.User.Ref.Id || d.To.Id == me.User.Ref.Id)
            .OrderBy(static d => d.Away.Name, StringComparer.Ordinal).Select(AwayView.Of).ToArray()), ApiJson.Default.AwayList);
    }

    private static async Task<IResult> SetAsync(HttpContext http, Delegations delegations, UserDirectory users, TimeProvider time, string user, AwaySet body) =>
        TryAllow(http, users, user, out var away, out var refused)
            ? Result(await delegations.SetAsync(away, body.Delegate, body.From ?? time.GetUtcNow(), body.Until, SignedIn.Of(http).User.Ref, SignedIn.Of(http).Channel).ConfigureAwait(false))
            : refused;

    private static async Task<IResult> EndAsync(HttpContext http, Delegations delegations, UserDirectory users, string user) =>
        TryAllow(http, users, user, out var away, out var refused)
            ? Result(await delegations.EndAsync(away, SignedIn.Of(http).User.Ref).ConfigureAwait(false))
            : refused;

    private static bool TryAllow(HttpContext http, UserDirectory users, string user, out UserEntry away, out IResult refused)
    {
        var me = SignedIn.Of(http);
        away = null!;
        refused = Problems.Result(HttpStatusCode.Forbidden, ReasonCodes.NotEligible, "people name their own delegates; only who administers does so for others");
        if (user != me.User.Ref.Name && !me.MayAdminister(Policy.AdministerActions.Delegates)) return false;
        refused = Problems.Result(HttpStatusCode.NotFound, ReasonCodes.UnknownTarget, $"no user `{VisibleText.Of(user, multiline: false)}`");
        if (users.Find(user) is not { } found) return false;
        away = found;
        return true;
    }

    private static IResult Result(DelegationChange change) => change switch
    {
        { ReasonCode: null, Delegation: { } delegation } => Results.Json(AwayView.Of(delegation), ApiJson.Default.AwayView),
        { ReasonCode: null } => Problems.Result(HttpStatusCode.NotFound, ReasonCodes.UnknownTarget, change.Detail!),
        { ReasonCode: ReasonCodes.NotSupported } => Problems.Result(HttpStatusCode.UnprocessableContent, ReasonCodes.NotSupported, change.Detail!),
        { ReasonCode: ReasonCodes.PresenceRequired } => Problems.Result(HttpStatusCode.Forbidden, ReasonCodes.PresenceRequired, change.Detail!),
        { ReasonCode: ReasonCodes.Overloaded } => Problems.Result(HttpStatusCode.Conflict, ReasonCodes.Overloaded, change.Detail!),
        _ => Problems.Result(HttpStatusCode.ServiceUnavailable, change.ReasonCode!, change.Detail!),
    };
}
