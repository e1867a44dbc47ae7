using Countersign.Config;
using Countersign.Sql;
using Npgsql;

namespace Countersign.Gateway.Postgres;

/// <summary>
/// A target's catalogue, read over a connection of the gateway's own, and the second fence: what the target's role may do
/// (DESIGN §8). Thread-safe.
/// </summary>
internal sealed class CatalogSource(TargetConfig target, PostgresLimits limits, TimeProvider time) : IAsyncDisposable
{
    private readonly SemaphoreSlim loading = new(1, 1);
    private readonly NpgsqlDataSource source = Connect(target);
    private readonly SemaphoreSlim beside = new(limits.BesideConnections, limits.BesideConnections);
    private volatile Snapshot? current;
    private int epoch;

    private sealed record Snapshot(SqlCatalog Catalog, long At, int Epoch);

    public TargetConfig Target => target;

    private static NpgsqlDataSource Connect(TargetConfig target)
    {
        var settings = new NpgsqlConnectionStringBuilder
        {
            Host = target.Host,
            Port = target.Port,
            Database = target.Database,
            Username = target.User,
            Password = target.Password.Reveal(),
            ApplicationName = "countersign-catalogue",
            SslMode = target.Tls switch { TargetTls.Disable => SslMode.Disable, TargetTls.Require => SslMode.Require, _ => SslMode.VerifyFull },
            RootCertificate = target.CaFile,
            Timeout = (int)QueryTimeout.TotalSeconds,
            CommandTimeout = (int)QueryTimeout.TotalSeconds,
            MaxPoolSize = 2,
            PersistSecurityInfo = false,
            // Nothing on the role's own path may answer in the catalogue's place (P5).
            SearchPath = "pg_catalog",
        };
        return NpgsqlDataSource.Create(settings);
    }

    private static readonly TimeSpan QueryTimeout = TimeSpan.FromSeconds(10);

    /// <summary>The catalogue, at most <see cref="PostgresLimits.CatalogAge"/> old and never older than the last DDL through the gateway; read anew when <paramref name="fresh"/>.</summary>
    public async ValueTask<SqlCatalog> GetAsync(bool fresh)
    {
        if (!fresh && Usable(current)) return current!.Catalog;
        await loading.WaitAsync().ConfigureAwait(false);
        try
        {
            if (!fresh && Usable(current)) return current!.Catalog;
            var from = Volatile.Read(ref epoch);
            var connection = await source.OpenConnectionAsync().ConfigureAwait(false);
            await using (connection.ConfigureAwait(false))
            {
                var catalog = await SqlCatalogReader.ReadAsync(connection).ConfigureAwait(false);
                current = new Snapshot(catalog, time.GetTimestamp(), from);
                return catalog;
            }
        }
        finally
        {
            loading.Release();
        }
    }

    private bool Usable(Snapshot? snapshot) =>
        snapshot is not null && snapshot.Epoch == Volatile.Read(ref epoch) && time.GetElapsedTime(snapshot.At) < limits.CatalogAge;

    /// <summary>Changes with every DDL that goes through the gateway, of whichever session.</summary>
    public int Epoch => Volatile.Read(ref epoch);

    /// <summary>DDL went through: what was read before no longer serves.</summary>
    public void Invalidate() => Interlocked.Increment(ref epoch);

    /// <summary>A place among the connections that ask beside the sessions; dispose to give it back.</summary>
    public async ValueTask<IDisposable> BesideAsync(CancellationToken ct)
    {
        await beside.WaitAsync(ct).ConfigureAwait(false);
        return new Place(beside);
    }

    private sealed class Place(SemaphoreSlim of) : IDisposable
    {
        public void Dispose() => of.Release();
    }

    /// <summary>Locks that this backend holds on relations, for the card (P13). Empty when they can not be read.</summary>
    public async Task<IReadOnlyList<string>> LocksOfAsync(int processId)
    {
        try
        {
            var connection = await source.OpenConnectionAsync().ConfigureAwait(false);
            await using (connection.ConfigureAwait(false))
            {
                var command = new NpgsqlCommand("""
                    SELECT l.mode, n.nspname, c.relname FROM pg_catalog.pg_locks l
                    JOIN pg_catalog.pg_class c ON c.oid = l.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                    WHERE l.pid = $1 AND l.granted AND l.locktype = 'relation' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
                      AND c.relkind IN ('r', 'p', 'm') AND l.mode <> 'AccessShareLock'
                    ORDER BY 2, 3, 1 LIMIT 20
                    """, connection);
                await using (command.ConfigureAwait(false))
                {
                    command.Parameters.Add(new NpgsqlParameter { Value = processId });
                    var locks = new List<string>();
                    var rows = await command.ExecuteReaderAsync().ConfigureAwait(false);
                    await using (rows.ConfigureAwait(false))
                    {
                        while (await rows.ReadAsync().ConfigureAwait(false)) locks.Add($"{rows.GetString(0)} on {rows.GetString(1)}.{rows.GetString(2)}");
                    }

                    return locks;
                }
            }
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException)
        {
            return ["(its locks could not be read)"];
        }
    }

    /// <summary>
    /// What makes the target's role too strong to be fenced by a parse, less what the config accepts on purpose. Empty is
    /// right. Throws <see cref="NpgsqlException"/> when the target can not be asked.
    /// </summary>
    public async Task<IReadOnlyList<StrongRole>> TooStrongAsync(CancellationToken ct)
    {
        var connection = await source.OpenConnectionAsync(ct).ConfigureAwait(false);
        await using (connection.ConfigureAwait(false))
        {
            var command = new NpgsqlCommand("""
                SELECT bool_or(r.rolsuper), bool_or(r.rolreplication), bool_or(r.rolbypassrls), bool_or(r.rolcreaterole),
                       bool_or(r.rolname = 'pg_read_server_files'), bool_or(r.rolname = 'pg_write_server_files'), bool_or(r.rolname = 'pg_execute_server_program')
                FROM pg_catalog.pg_roles r WHERE pg_catalog.pg_has_role(current_user, r.oid, 'MEMBER')
                """, connection);
            await using (command.ConfigureAwait(false))
            {
                var row = await command.ExecuteReaderAsync(ct).ConfigureAwait(false);
                await using (row.ConfigureAwait(false))
                {
                    await row.ReadAsync(ct).ConfigureAwait(false);
                    StrongRole[] order = [StrongRole.Superuser, StrongRole.Replication, StrongRole.BypassRls, StrongRole.CreateRole, StrongRole.ReadServerFiles, StrongRole.WriteServerFiles, StrongRole.ExecuteServerProgram];
                    var found = order.Where((_, i) => row.GetBoolean(i)).ToList();

                    // A superuser is a member of every role; naming him says it all.
                    if (found.Contains(StrongRole.Superuser)) found = [StrongRole.Superuser];
                    return found.Where(f => !target.AllowStrongRole.Contains(f)).ToArray();
                }
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await source.DisposeAsync().ConfigureAwait(false);
        loading.Dispose();
        beside.Dispose();
    }
}
