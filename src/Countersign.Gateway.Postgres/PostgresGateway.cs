using System.Buffers;
using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Net;
using System.IO.Pipelines;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Countersign.Config;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Identity.Federation;
using Countersign.PgWire;
using Countersign.Sql;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Countersign.Gateway.Postgres;

/// <summary>
/// The PostgreSQL listener: start-up, TLS, who the agent is, which target it wants, and then a session. It is a Kestrel
/// connection handler; `serve` gives it its port.
/// </summary>
public sealed partial class PostgresGateway : ConnectionHandler, IAsyncDisposable
{
    /// <summary>Start-up parameters that pass to the target. What is not here or answered by the gateway is refused (P14).</summary>
    private static readonly IReadOnlySet<string> Forwarded = new HashSet<string>(StringComparer.OrdinalIgnoreCase)
    {
        "application_name", "DateStyle", "TimeZone", "IntervalStyle", "extra_float_digits", "bytea_output",
        "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
    };

    private readonly CountersignConfig config;
    private readonly AgentRegistry agents;
    private readonly WorkloadDoor workloads;
    private readonly Spine spine;
    private readonly SqlDialect dialect;
    private readonly SqlClassify classify;
    private readonly TimeProvider time;
    private readonly ILogger<PostgresGateway> logger;
    private readonly PostgresLimits limits;
    private readonly PgWireLimits wire;
    private readonly X509Certificate2? certificate;
    private readonly CancelKeys cancelKeys = new();
    private readonly ConcurrentDictionary<string, int> perAgent = new(StringComparer.Ordinal);
    private readonly Dictionary<string, CatalogSource> catalogs;
    private readonly ConcurrentDictionary<string, bool> fenced = new(StringComparer.Ordinal);
    private readonly CancellationTokenSource stopping = new();
    private int connections;

    public PostgresGateway(CountersignConfig config, AgentRegistry agents, WorkloadDoor workloads, Spine spine, SqlDialect dialect, TimeProvider time, ILogger<PostgresGateway> logger)
    {
        this.config = config;
        this.agents = agents;
        this.workloads = workloads;
        this.spine = spine;
        this.dialect = dialect;
        var classification = config.Classification;
        classify = (target, schema, name) =>
        {
            var classes = classification.ClassesOf(target, schema, name);
            return new SqlClassification(classes, classes.Any(c => c != classification.Default));
        };
        this.time = time;
        this.logger = logger;
        limits = new PostgresLimits
        {
            HoldConnection = config.Hold.Connection,
            HoldTransaction = config.Hold.Transaction,
            Notice = config.Hold.Notice,
            HeldBytes = config.Limits.HeldBytes,
            Connections = config.Limits.Connections,
            ConnectionsPerAgent = config.Limits.ConnectionsPerAgent,
        };
        wire = new PgWireLimits { FrontendBytes = config.Limits.MessageBytes };
        certificate = config.Listen.Tls is { } tls ? LoadCertificate(tls) : null;
        catalogs = config.Targets.Values.Where(static t => t.Kind == TargetKind.Postgres)
            .ToDictionary(static t => t.Name, t => new CatalogSource(t, limits, time), StringComparer.Ordinal);
    }

    private static X509Certificate2 LoadCertificate(TlsConfig tls)
    {
        using var pem = X509Certificate2.CreateFromPemFile(tls.CertificateFile, tls.KeyFile);
        return X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pkcs12), null);
    }

    /// <summary>
    /// The second fence (DESIGN §8): for each target what makes its role too strong, and which refuses the gateway's
    /// credentials or database, as text for the operator. A target that can not be reached is no error now; nobody gets a
    /// session there before it was checked.
    /// </summary>
    public async Task<IReadOnlyList<string>> CheckTargetsAsync(CancellationToken ct)
    {
        var errors = new List<string>();
        foreach (var catalog in catalogs.Values)
        {
            try
            {
                var strong = await catalog.TooStrongAsync(ct).ConfigureAwait(false);
                if (strong.Count == 0) fenced[catalog.Target.Name] = true;
                else errors.Add(TooStrongText(catalog.Target, strong));
            }
            catch (PostgresException e) when (TargetFaults.IsRefusal(e.SqlState))
            {
                errors.Add(TargetFaults.Refuses(catalog.Target, e.SqlState));
            }
            catch (Exception e) when (e is NpgsqlException or TimeoutException or IOException)
            {
                TargetUnreachable(catalog.Target.Name, TargetFaults.Address(catalog.Target), TargetFaults.Reason(e));
            }
        }

        return errors;
    }

    private static string TooStrongText(TargetConfig target, IReadOnlyList<StrongRole> strong)
    {
        var names = string.Join(", ", strong.Select(static s => s.ToString().ToLowerInvariant()));
        return $"target `{target.Name}`: role `{target.User}` is too strong ({names}); a parse is not the only fence. Give the gateway a lesser role (`countersign init` prints its grants), or name what you accept under `targets.{target.Name}.allow-strong-role`";
    }

    /// <summary>Lets holds go (their reviews stay open, detached) and ends the sessions.</summary>
    public Task StopAsync() => stopping.CancelAsync();

    public override async Task OnConnectedAsync(ConnectionContext connection)
    {
        if (Interlocked.Increment(ref connections) > limits.Connections)
        {
            Interlocked.Decrement(ref connections);
            connection.Abort();
            return;
        }

        using var ended = CancellationTokenSource.CreateLinkedTokenSource(connection.ConnectionClosed, stopping.Token);
        try
        {
            var peer = new Peer { Remote = connection.RemoteEndPoint, IsLoopback = connection.RemoteEndPoint is IPEndPoint from && IPAddress.IsLoopback(from.Address) };
            await ServeAsync(new Transport(connection.Transport.Input, connection.Transport.Output, isTls: false) { Peer = peer }, connection, ended).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or WireException or DesyncException or ConnectionAbortedException or ConnectionResetException or InvalidDataException or System.Security.Authentication.AuthenticationException)
        {
            ConnectionEnded(e.GetType().Name);
        }
        finally
        {
            Interlocked.Decrement(ref connections);
        }
    }

    private async Task ServeAsync(Transport client, ConnectionContext connection, CancellationTokenSource ended)
    {
        using var startup = CancellationTokenSource.CreateLinkedTokenSource(ended.Token);
        startup.CancelAfter(limits.Startup);
        SslStream? tls = null;
        try
        {
            var message = default(StartupMessage);
            var asked = 0;
            while (message is null)
            {
                var packet = await ReadStartupAsync(client, startup.Token).ConfigureAwait(false);
                switch (packet?.Kind)
                {
                    case StartupKind.CancelRequest:
                        await cancelKeys.CancelAsync(packet.Cancel!.ProcessId, packet.Cancel.Key).ConfigureAwait(false);
                        return;
                    case StartupKind.SslRequest when tls is null && ++asked <= 2:
                        BackendWriter.WriteSslAnswer(client.Output, certificate is not null);
                        await client.FlushAsync(startup.Token).ConfigureAwait(false);
                        if (certificate is null) break;
                        tls = new SslStream(new DuplexStream(connection.Transport), leaveInnerStreamOpen: true);
                        var peer = client.Peer;
                        await tls.AuthenticateAsServerAsync(TlsOptions(peer), startup.Token).ConfigureAwait(false);
                        client = Transport.Over(tls, isTls: true, peer);
                        break;
                    case StartupKind.GssEncRequest when tls is null && ++asked <= 2:
                        BackendWriter.WriteGssEncRefusal(client.Output);
                        await client.FlushAsync(startup.Token).ConfigureAwait(false);
                        break;
                    case StartupKind.Startup:
                        message = packet.Startup;
                        break;
                    default:
                        return;
                }
            }

            try
            {
                await StartSessionAsync(client, message, startup, ended.Token).ConfigureAwait(false);
            }
            catch (Exception e) when (Spine.IsStoreFailure(e))
            {
                await FailAsync(client, Refusal.StoreUnreadable, ended.Token).ConfigureAwait(false);
            }
        }
        finally
        {
            if (tls is not null) await tls.DisposeAsync().ConfigureAwait(false);
        }
    }

    private async Task<StartupPacket?> ReadStartupAsync(Transport client, CancellationToken ct)
    {
        while (true)
        {
            var result = await client.Input.ReadAsync(ct).ConfigureAwait(false);
            var buffer = result.Buffer;
            var status = StartupPacket.TryRead(ref buffer, wire, out var packet, out var fault);
            if (status == FrameStatus.Ok)
            {
                // Clear text behind a request for TLS must never be taken for what comes after the handshake (P10).
                client.Input.AdvanceTo(buffer.Start);
                if (packet!.Kind is StartupKind.SslRequest or StartupKind.GssEncRequest && !buffer.IsEmpty) throw new WireException(WireFault.TrailingBytes, tooLarge: false);
                return packet;
            }

            client.Input.AdvanceTo(result.Buffer.Start, result.Buffer.End);
            if (status != FrameStatus.NeedMore) throw new WireException(fault, status == FrameStatus.TooLarge);
            if (result.IsCompleted) return null;
        }
    }

    private async Task StartSessionAsync(Transport client, StartupMessage message, CancellationTokenSource startup, CancellationToken ended)
    {
        var ct = startup.Token;
        if (certificate is not null && !client.IsTls)
        {
            await FailAsync(client, new Refusal(ReasonCodes.TlsRequired, "this listener speaks TLS only", "connect with TLS: sslmode=verify-full, or its like in your driver."), ct).ConfigureAwait(false);
            return;
        }

        if (message.NeedsNegotiation) BackendWriter.WriteNegotiateProtocolVersion(client.Output, ProtocolVersion.V30, message.ProtocolOptions.AsSpan());
        if (!StartupParameters.TryRead(message, Forwarded, out var parameters, out var intent, out var why))
        {
            await FailAsync(client, new Refusal(ReasonCodes.UnsafeSetting, why, "connect without it."), ct).ConfigureAwait(false);
            return;
        }

        if (message.User is not { Length: > 0 } name)
        {
            await FailAsync(client, new Refusal(ReasonCodes.Unauthenticated, "no agent was named", "connect as postgres://<agent>:<key>@host/<target>."), ct).ConfigureAwait(false);
            return;
        }

        var statement = StartupParameters.TakeStatement(ref parameters);
        var (signedIn, refusal) = await AuthenticateAsync(client, name, StartupParameters.TakeMethod(ref parameters), ct).ConfigureAwait(false);
        if (signedIn is { } proven) (signedIn, refusal) = await ActForAsync(proven, statement, ct).ConfigureAwait(false);
        if (signedIn is not var (agent, keyId, actors, endsAt))
        {
            AuthenticationFailed(ClaimedName.Of(name), client.Peer.Remote?.ToString() ?? "(unknown)", refusal!.ReasonCode);
            await FailAsync(client, refusal, ct).ConfigureAwait(false);
            return;
        }

        if (message.Database is not { } wanted || !catalogs.TryGetValue(wanted, out var catalog))
        {
            await FailAsync(client, new Refusal(ReasonCodes.UnknownTarget, $"no target `{VisibleText.Of(message.Database ?? name, multiline: false)}`", catalogs.Count == 0 ? "the gateway has none; tell the operator." : $"name one as the database; the targets are: {string.Join(", ", catalogs.Keys.Order(StringComparer.Ordinal))}."), ct).ConfigureAwait(false);
            return;
        }

        if (perAgent.AddOrUpdate(agent.Name, 1, static (_, n) => n + 1) > limits.ConnectionsPerAgent)
        {
            perAgent.AddOrUpdate(agent.Name, 0, static (_, n) => n - 1);
            await FailAsync(client, new Refusal(ReasonCodes.Overloaded, $"agent `{agent.Name}` has {limits.ConnectionsPerAgent} connections already", "close some first."), ct).ConfigureAwait(false);
            return;
        }

        try
        {
            await RunSessionAsync(client, catalog, actors, MayAct, endsAt, parameters, intent, startup, ended).ConfigureAwait(false);
        }
        finally
        {
            perAgent.AddOrUpdate(agent.Name, 0, static (_, n) => n - 1);
        }

        // A session outlives neither its agent nor the key that opened it. Null while that can not be read.
        bool? MayAct()
        {
            try
            {
                return agents.Find(name) is { RevokedAt: null } now && now.Id == agent.Id
                    && (keyId is null || now.Keys.Any(k => k.KeyId == keyId && k.RevokedAt is null)) && agents.StillActs(actors);
            }
            catch (Exception e) when (Spine.IsStoreFailure(e))
            {
                return null;
            }
        }
    }

    private async Task RunSessionAsync(Transport client, CatalogSource catalog, ActorChain actors, Func<bool?> mayAct, DateTimeOffset? endsAt, IReadOnlyList<StartupParameter> parameters, Intent intent, CancellationTokenSource startup, CancellationToken ended)
    {
        Upstream upstream;
        try
        {
            using var connecting = CancellationTokenSource.CreateLinkedTokenSource(ended);
            connecting.CancelAfter(limits.Connect);
            if (!fenced.ContainsKey(catalog.Target.Name))
            {
                if (await catalog.TooStrongAsync(connecting.Token).ConfigureAwait(false) is { Count: > 0 } strong)
                {
                    TargetTooStrong(TooStrongText(catalog.Target, strong));
                    await FailAsync(client, new Refusal(ReasonCodes.TargetTooStrong, $"target `{catalog.Target.Name}` is refused: the gateway's own role there is too strong", "tell the operator."), ended).ConfigureAwait(false);
                    return;
                }

                fenced[catalog.Target.Name] = true;
            }

            upstream = await Upstream.ConnectAsync(catalog.Target, parameters, wire, connecting.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is UpstreamException or NpgsqlException or IOException or WireException or TimeoutException || (e is OperationCanceledException && !ended.IsCancellationRequested))
        {
            if (TargetFaults.StateOf(e) is { } state && TargetFaults.IsRefusal(state))
            {
                // The operator is told what is wrong, an agent only that it is not its own fault (I8).
                TargetRefuses(TargetFaults.Refuses(catalog.Target, state));
                await FailAsync(client, new Refusal(ReasonCodes.TargetUnavailable, $"target `{catalog.Target.Name}` refuses the gateway", "tell the operator: its credentials or database are not accepted."), ended).ConfigureAwait(false);
                return;
            }

            TargetFailed(catalog.Target.Name, e is UpstreamException ? e.Message : $"{TargetFaults.Address(catalog.Target)} can not be reached: {TargetFaults.Reason(e)}");
            await FailAsync(client, new Refusal(ReasonCodes.TargetUnavailable, e is UpstreamException ? e.Message : $"target `{catalog.Target.Name}` can not be reached", "retry later; tell the operator if it lasts."), ended).ConfigureAwait(false);
            return;
        }

        await using (upstream.ConfigureAwait(false))
        {
            if (ServerVersion.Major(upstream.Parameters) > SqlParser.GrammarMajor)
            {
                await FailAsync(client, new Refusal(ReasonCodes.NotSupported, $"target `{catalog.Target.Name}` is newer than the SQL grammar of this gateway ({SqlParser.GrammarMajor})", "tell the operator."), ended).ConfigureAwait(false);
                return;
            }

            var session = new Session(client, upstream, actors, catalog.Target, intent,
                new SessionServices(spine, dialect, classify, catalog, limits, wire, time, mayAct, stopping.Token) { EndsAt = endsAt });
            var (processId, key) = cancelKeys.Add(session.CancelAsync);
            try
            {
                BackendWriter.WriteAuthenticationOk(client.Output);
                foreach (var (parameter, value) in upstream.Parameters)
                {
                    // The login role at the target is the gateway's own matter (I8).
                    BackendWriter.WriteParameterStatus(client.Output, parameter, parameter is "session_authorization" ? actors.Agent.Name : value);
                }

                BackendWriter.WriteBackendKeyData(client.Output, processId, key);
                BackendWriter.WriteReadyForQuery(client.Output, TransactionStatus.Idle);
                await client.FlushAsync(startup.Token).ConfigureAwait(false);
                startup.CancelAfter(Timeout.InfiniteTimeSpan);
                SessionStarted(actors.Agent.Name, actors.Agent.Id.Value, catalog.Target.Name);
                await session.RunAsync(ended).ConfigureAwait(false);
            }
            catch (UnsafeSessionException e)
            {
                await FailAsync(client, new Refusal(e.Reason, $"the session ends, because {e.Message}", e.Hint), ended).ConfigureAwait(false);
            }
            catch (Exception) when (stopping.IsCancellationRequested && session.MayBeTold)
            {
                // As a server's own shutdown: whoever is connected is told, and what was held stays open.
                using var telling = new CancellationTokenSource(limits.Farewell, time);
                await FailAsync(client, new Refusal(ReasonCodes.ShuttingDown, session.HeldReview is { } held
                        ? $"the gateway is stopping; what was held did not run, and review {held} stays open"
                        : "the gateway is stopping", "reconnect; what was held and is sent again joins its review.", session.HeldReview), telling.Token).ConfigureAwait(false);
            }
            catch (WireException e) when (!ended.IsCancellationRequested)
            {
                await FailAsync(client, new Refusal(e.TooLarge ? ReasonCodes.TooLarge : ReasonCodes.NotUnderstood, $"protocol error: {e.Message}", "the connection ends; what came before it stands."), ended).ConfigureAwait(false);
            }
            finally
            {
                cancelKeys.Remove(processId);
            }
        }
    }

    private async Task FailAsync(Transport client, Refusal refusal, CancellationToken ct)
    {
        client.Output.Write(Refusals.Write(refusal, wire, ReportSeverity.Fatal));
        await client.FlushAsync(ct).ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var catalog in catalogs.Values) await catalog.DisposeAsync().ConfigureAwait(false);
        certificate?.Dispose();
        stopping.Dispose();
    }

    [LoggerMessage(EventId = 6001, Level = LogLevel.Information, Message = "session of {Agent} ({AgentId}) on {Target} started")]
    private partial void SessionStarted(string agent, string agentId, string target);

    [LoggerMessage(EventId = 6002, Level = LogLevel.Warning, Message = "somebody at {Remote} failed to authenticate as agent `{Claimed}`: {Reason}")]
    private partial void AuthenticationFailed(string claimed, string remote, string reason);

    [LoggerMessage(EventId = 6003, Level = LogLevel.Warning, Message = "target {Target} failed: {Why}")]
    private partial void TargetFailed(string target, string why);

    [LoggerMessage(EventId = 6004, Level = LogLevel.Warning, Message = "target `{Target}`: {Address} can not be reached; it is checked at its first session: {Why}")]
    private partial void TargetUnreachable(string target, string address, string why);

    [LoggerMessage(EventId = 6005, Level = LogLevel.Error, Message = "{Why}")]
    private partial void TargetTooStrong(string why);

    [LoggerMessage(EventId = 6007, Level = LogLevel.Error, Message = "{Why}")]
    private partial void TargetRefuses(string why);

    [LoggerMessage(EventId = 6006, Level = LogLevel.Debug, Message = "a connection ended: {Why}")]
    private partial void ConnectionEnded(string why);
}
