using Countersign.Config;
using Countersign.Gateway;
using Countersign.Gateway.Postgres;
using Countersign.Identity;
using Countersign.Identity.Federation;
using Countersign.Sandbox;
using Countersign.Sql;
using Countersign.Sql.Parsing;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Countersign.Hosting;

/// <summary>Puts the PostgreSQL gateway into the host: its parser, its fence, its port.</summary>
internal static class PostgresListener
{
    /// <summary>Loads the SQL parser, which takes longest of all; runs beside the rest of the start.</summary>
    public static Task<GuestModule> LoadAsync(ModuleCache cache, SandboxHost sandbox) => Task.Run(() => PgParserGuest.Load(cache, sandbox));

    /// <summary>Registers the gateway.</summary>
    public static void Add(IServiceCollection services, CountersignConfig config, GuestModule parser)
    {
        services.AddSingleton(_ => PgParserGuest.CreatePool(parser));
        services.AddSingleton(s => new SqlDialect(new SqlParser(s.GetRequiredService<GuestPool<PgParserGuest>>(), new SqlLimits { BoundedRows = config.Classification.BoundedRows })));
        services.AddSingleton(static s => new PostgresGateway(
            s.GetRequiredService<CountersignConfig>(), s.GetRequiredService<AgentRegistry>(), s.GetRequiredService<WorkloadDoor>(), s.GetRequiredService<Spine>(), s.GetRequiredService<SqlDialect>(),
            s.GetRequiredService<TimeProvider>(), s.GetRequiredService<ILogger<PostgresGateway>>()));
    }

    /// <summary>Checks the targets before anything is accepted: each returned line keeps the gateway from starting (DESIGN §8).</summary>
    public static async Task<IReadOnlyList<string>> CheckTargetsAsync(IServiceProvider services, CancellationToken ct)
    {
        var gateway = services.GetRequiredService<PostgresGateway>();
        services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping.Register(() => _ = gateway.StopAsync());
        return await gateway.CheckTargetsAsync(ct).ConfigureAwait(false);
    }

    /// <summary>What accepts connections.</summary>
    public static void Use(ListenOptions listen) => listen.UseConnectionHandler<PostgresGateway>();
}
