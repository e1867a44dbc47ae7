using System.Net;
using Countersign.Core;
using Countersign.Hosting;
using Countersign.Identity;

namespace Countersign.Api;

/// <summary>
/// Closes endpoints to whom policy does not let administer this (I11): Cedar decides, each time, with the groups of now.
/// </summary>
internal sealed class Administers(string action) : IEndpointFilter
{
    public ValueTask<object?> InvokeAsync(EndpointFilterInvocationContext context, EndpointFilterDelegate next) =>
        Refuse(context.HttpContext, action) is { } refused ? ValueTask.FromResult<object?>(refused) : next(context);

    private static IResult? Refuse(HttpContext http, string action)
    {
        var me = SignedIn.Of(http);
        var answer = http.RequestServices.GetRequiredService<ServingPolicies>().MayAdminister(me.User, action, me.Channel);
        if (answer.Permitted) return null;
        var forbidding = answer.Policies.Count == 0 ? "" : $" ({string.Join(", ", answer.Policies.Select(static p => $"`{p.Id}`"))})";
        return Problems.Result(HttpStatusCode.Forbidden, answer.ReasonCode, $"policy does not let `{me.User.Ref.Name}` do this: it asks for `Action::\"{action}\"`{forbidding}");
    }
}
