using Countersign.Hosting;
using Countersign.Identity;
using Countersign.Journal;

namespace Countersign.Api;

internal static class HealthEndpoints
{
    public static void Map(IEndpointRouteBuilder app)
    {
        app.MapGet("/healthz", static () => Results.Json(new HealthView("ok", new Dictionary<string, string>()), ApiJson.Default.HealthView))
            .Produces<HealthView>().WithMetadata(AnswersAnybody.Instance).WithTags("health").WithSummary("The process answers");
        app.MapGet("/readyz", Ready)
            .Produces<HealthView>().WithMetadata(AnswersAnybody.Instance).WithTags("health").WithSummary("Actions can be decided and recorded");
    }

    /// <summary>Says which part is not ready, and not why: details are for the log.</summary>
    private static IResult Ready(JournalAppender journal, ServingPolicies policies)
    {
        var checks = new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["journal"] = journal.Health.State == JournalState.Available ? "ok" : "unavailable",
            ["policy"] = policies.IsLoaded ? "ok" : "unavailable",
        };
        var ready = checks.Values.All(static c => c == "ok");
        return Results.Json(new HealthView(ready ? "ready" : "not-ready", checks), ApiJson.Default.HealthView, statusCode: ready ? 200 : 503);
    }
}
