using Countersign.Config;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Countersign.Hosting;

// ---- THE POSTGRESQL SEAM ------------------------------------------------------------------------------------------
// Here, and nowhere else in the exe, the PostgreSQL gateway is put in. In the container are, as singletons:
// CountersignConfig, Spine, ReviewDesk, AgentRegistry, UserDirectory, ServingPolicies, JournalAppender, TimeProvider,
// SandboxHost, ModuleCache, Listeners (its Certificate is for TLS inside the protocol), IHostApplicationLifetime
// (ApplicationStopping: waiters leave with ShuttingDown) and ILoggerFactory.
// --------------------------------------------------------------------------------------------------------------------
internal static class PostgresListener
{
    /// <summary>Registers the gateway.</summary>
    public static void Add(IServiceCollection services, CountersignConfig config)
    {
    }

    /// <summary>Loads what takes long (the SQL parser) while the rest starts; runs beside it.</summary>
    public static void Warm(IServiceProvider services)
    {
    }

    /// <summary>Checks the targets before anything is accepted: each returned line keeps the gateway from starting (DESIGN §8).</summary>
    public static Task<IReadOnlyList<string>> CheckTargetsAsync(IServiceProvider services, CancellationToken ct) => Task.FromResult<IReadOnlyList<string>>([]);

    /// <summary>What accepts connections.</summary>
    public static void Use(ListenOptions listen) => listen.Run(static connection =>
    {
        connection.Abort(new ConnectionAbortedException("no PostgreSQL in this build"));
        return Task.CompletedTask;
    });
}
