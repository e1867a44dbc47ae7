using Countersign.Api;
using Countersign.Config;
using Countersign.Gateway;
using Countersign.Gateway.Mcp;
using Countersign.Gateway.Mcp.Understanding;
using Countersign.Identity;
using Countersign.Identity.Federation;
using Countersign.Journal;
using Countersign.Policy;
using Countersign.Reviews;

namespace Countersign.Hosting;

/// <summary>Puts the MCP gateway into the host: on the listener of the API, behind credentials of its own.</summary>
internal static class McpListener
{
    public static void Add(IServiceCollection services, byte[] stateKey) => services.AddSingleton(s =>
    {
        var policies = s.GetRequiredService<ServingPolicies>();
        var origins = s.GetRequiredService<Origins>();
        return new McpGateway(
            s.GetRequiredService<CountersignConfig>(), s.GetRequiredService<AgentRegistry>(), s.GetRequiredService<WorkloadDoor>(), s.GetRequiredService<Spine>(), s.GetRequiredService<ReviewDesk>(),
            s.GetRequiredService<ToolTrust>(), s.GetRequiredService<IStateReader>(), s.GetRequiredService<JournalAppender>(),
            new McpSeams
            {
                CouldPermit = async (actors, target, effects) =>
                {
                    var context = policies.ContextOf(actors);
                    return await policies.Store.CouldPermitAsync(effects.Select(e => new PolicyRequest(actors, target, Core.Intent.None, e, context)).ToArray()).ConfigureAwait(false);
                },
                Address = origins.LinkBase,
                StateKey = stateKey,
            },
            s.GetRequiredService<TimeProvider>(), s.GetRequiredService<ILogger<McpGateway>>());
    });

    public static void Map(WebApplication app)
    {
        var gateway = app.Services.GetRequiredService<McpGateway>();
        gateway.Map(app);
        app.Lifetime.ApplicationStopping.Register(() => _ = gateway.StopAsync());
    }
}
