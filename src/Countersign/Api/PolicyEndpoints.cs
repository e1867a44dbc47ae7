using Countersign.Hosting;

namespace Countersign.Api;

internal static class PolicyEndpoints
{
    public static void Map(IEndpointRouteBuilder api)
    {
        var policy = api.MapGroup("/policy").WithTags("policy");
        policy.MapGet("/revision", Revision).WithSummary("The revision in force, and what is wrong with the last edit");
    }

    private static IResult Revision(ServingPolicies policies)
    {
        var id = policies.Store.Current.Id;
        return Results.Json(new PolicyView(id.ToString(), id.ContentHash, id.GitCommit, policies.LastError), ApiJson.Default.PolicyView);
    }
}
