using System.Net;
using Countersign.Config;
using Countersign.Core;
using Countersign.Hosting;
using Countersign.Identity;

namespace Countersign.Api;

internal static class PolicyEndpoints
{
    public static void Map(IEndpointRouteBuilder api)
    {
        var policy = api.MapGroup("/policy").WithTags("policy");
        policy.MapGet("/revision", Revision).Produces<PolicyView>().WithSummary("The revision in force, and what is wrong with the last edit");
        policy.MapPost("/explain", ExplainAsync).Produces<ExplainView>().WithSummary("What policy would say about an action, and why; nothing is recorded and nothing runs");
    }

    private static IResult Revision(ServingPolicies policies)
    {
        var id = policies.Store.Current.Id;
        return Results.Json(new PolicyView(id.ToString(), id.ContentHash, id.GitCommit, policies.LastError), ApiJson.Default.PolicyView);
    }

    private static async Task<IResult> ExplainAsync(ExplainRequest body, ServingPolicies policies, AgentRegistry agents, CountersignConfig config, CancellationToken ct)
    {
        if (agents.Find(body.Agent) is not { } agent || agents.ChainOf(agent) is not { } actors)
        {
            return Problems.Result(HttpStatusCode.NotFound, ReasonCodes.UnknownTarget, $"no agent `{VisibleText.Of(body.Agent, multiline: false)}` that may act");
        }

        if (WhatIf.Action(body, actors, config, out var error) is not { } action) return Problems.Result(HttpStatusCode.UnprocessableContent, ReasonCodes.NotUnderstood, error);
        var explanation = await policies.Store.ExplainAsync(action, policies.ContextOf(actors), ct).ConfigureAwait(false);
        return Results.Json(WhatIf.View(explanation), ApiJson.Default.ExplainView);
    }
}
