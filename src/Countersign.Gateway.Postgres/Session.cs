using System.Buffers;
using System.Collections.Concurrent;
using System.Text;
using Countersign.Config;
using Countersign.Core;
using Countersign.PgWire;
using Countersign.Sql;

namespace Countersign.Gateway.Postgres;

/// <summary>What a session needs of the gateway.</summary>
internal sealed record SessionServices(
    Spine Spine, SqlDialect Dialect, SqlClassify Classify, CatalogSource Catalog,
    PostgresLimits Limits, PgWireLimits Wire, TimeProvider Time, CancellationToken Stopping);

/// <summary>
/// One client and its own connection to the target. The client loop understands, decides and forwards; the relay answers.
/// The client loop is the only one that writes to the target, and everything that waits for a human waits in it, so that
/// what is behind a held message stays behind it (P9).
/// </summary>
internal sealed partial class Session(
    Transport client, Upstream upstream, ActorChain actors, TargetConfig target, Intent startIntent, SessionServices services)
{
    private readonly Transport client = client;
    private readonly SessionServices services = services;
    private readonly SemaphoreSlim clientLock = new(1, 1);
    private readonly FrameReader clientFrames = FrameReader.Frontend(services.Wire);
    private readonly ConcurrentDictionary<string, PreparedStatement> statements = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Portal> portals = new(StringComparer.Ordinal);
    private readonly HashSet<string> touchedSettings = new(StringComparer.OrdinalIgnoreCase);
    private readonly HashSet<string> temporaryNames = new(StringComparer.Ordinal);
    private readonly List<(Frame Frame, Owed Owed, Portal? Portal)> withheld = [];
    private readonly TargetRef targetRef = new(target.Name, "postgres", target.Environment);
    private Relay relay = null!;
    private SessionState state = null!;
    private Intent intent = startIntent;
    private bool stateIsStale = true;
    private bool skipping;
    private bool uncommittedDdl;

    /// <summary>Messages were forwarded since the last Sync.</summary>
    private bool batchOpen;

    /// <summary>Executes were forwarded since the last Sync: their implicit transaction is open.</summary>
    private bool batchExecuted;

    private Transport Target => upstream.Transport;

    /// <summary>Serves until either side is gone. The caller owns both transports.</summary>
    public async Task RunAsync(CancellationToken ct)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(ct);
        relay = new Relay(Target, client, clientLock, services.Wire, OnParameter);
        foreach (var (name, value) in upstream.Parameters) OnParameter(name, value);
        var relaying = relay.RunAsync(ended.Token);
        var serving = ServeAsync(ended.Token);
        try
        {
            await Task.WhenAny(relaying, serving).ConfigureAwait(false);
        }
        finally
        {
            waiter?.Leave(services.Stopping.IsCancellationRequested ? Reviews.LeaveReason.ShuttingDown : Reviews.LeaveReason.Lost);
            if (!serving.IsCompleted) client.Input.CancelPendingRead();
            await ended.CancelAsync().ConfigureAwait(false);
            await Task.WhenAll(Settled(relaying), Settled(serving)).ConfigureAwait(false);
        }

        await serving.ConfigureAwait(false);
        await relaying.ConfigureAwait(false);

        static async Task Settled(Task task) => await task.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>
    /// Settings that the server itself reports. Those on which our reading of text rests may only ever have the one value
    /// that we read by (P2, P17); a session in which they change ends at once.
    /// </summary>
    private void OnParameter(string name, string value)
    {
        if (name == "standard_conforming_strings" && value != "on") throw new UnsafeSessionException("`standard_conforming_strings` is not `on`");
        if (name == "client_encoding" && !value.Equals("UTF8", StringComparison.OrdinalIgnoreCase)) throw new UnsafeSessionException("`client_encoding` is not `UTF8`");
        upstream.Parameters[name] = value;
    }

    private async Task ServeAsync(CancellationToken ct)
    {
        while (await client.ReadFrameAsync(clientFrames, ct).ConfigureAwait(false) is { } frame)
        {
            if (frame.Tag == FrontendTag.Terminate) return;
            if (overflowed) throw new WireException(WireFault.TooLong, tooLarge: true);

            // After an error everything is discarded up to Sync (documentation §54.2.3, P8).
            if ((skipping || relay.BatchFailed) && frame.Tag != FrontendTag.Sync) continue;
            WireFault fault;
            switch (frame.Tag)
            {
                case FrontendTag.Query when QueryMessage.TryRead(frame.Body, out var query, out fault):
                    await QueryAsync(query.Sql.ToString()).ConfigureAwait(false);
                    break;
                case FrontendTag.Parse when ParseMessage.TryRead(frame.Body, out var parse, out fault):
                    await ParseAsync(frame, parse).ConfigureAwait(false);
                    break;
                case FrontendTag.Bind when BindMessage.TryRead(frame.Body, out var bind, out fault):
                    await BindAsync(frame, bind).ConfigureAwait(false);
                    break;
                case FrontendTag.Describe when DescribeMessage.TryRead(frame.Body, out var describe, out fault):
                    await DescribeAsync(frame, describe).ConfigureAwait(false);
                    break;
                case FrontendTag.Execute when ExecuteMessage.TryRead(frame.Body, out var execute, out fault):
                    await ExecuteAsync(frame, execute).ConfigureAwait(false);
                    break;
                case FrontendTag.Close when CloseMessage.TryRead(frame.Body, out var close, out fault):
                    await CloseAsync(frame, close).ConfigureAwait(false);
                    break;
                case FrontendTag.Flush:
                    if (await SettleAsync(null).ConfigureAwait(false)) await FlushTargetAsync().ConfigureAwait(false);
                    break;
                case FrontendTag.Sync:
                    await SyncAsync().ConfigureAwait(false);
                    break;
                case FrontendTag.FunctionCall:
                    await RefuseQueryAsync(await RefuseAsync(ReasonCodes.NotSupported, "the function call message is not supported", "call the function in a SELECT.", "(function call)").ConfigureAwait(false)).ConfigureAwait(false);
                    break;
                case FrontendTag.CopyData or FrontendTag.CopyDone or FrontendTag.CopyFail:
                    // The protocol lets a server ignore these outside a copy, and no copy is ever started here.
                    break;
                default:
                    // A message whose inside does not hold together: what it would do can not be told (I1).
                    throw new WireException(WireFaultOf(frame), tooLarge: false);
            }
        }
    }

    private static WireFault WireFaultOf(Frame frame)
    {
        WireFault fault = default;
        _ = frame.Tag switch
        {
            FrontendTag.Query => QueryMessage.TryRead(frame.Body, out _, out fault),
            FrontendTag.Parse => ParseMessage.TryRead(frame.Body, out _, out fault),
            FrontendTag.Bind => BindMessage.TryRead(frame.Body, out _, out fault),
            FrontendTag.Describe => DescribeMessage.TryRead(frame.Body, out _, out fault),
            FrontendTag.Execute => ExecuteMessage.TryRead(frame.Body, out _, out fault),
            FrontendTag.Close => CloseMessage.TryRead(frame.Body, out _, out fault),
            _ => false,
        };
        return fault;
    }

    // ---- simple query ----

    private async Task QueryAsync(string text)
    {
        if (!await SettleAsync(null).ConfigureAwait(false)) return;
        await FreshenAsync().ConfigureAwait(false);
        var understood = await UnderstandAsync(text, fresh: false).ConfigureAwait(false);
        if (understood.IsUnderstood && IntentOf(understood) is { } said && relay.Transaction != TransactionStatus.Failed)
        {
            intent = said;
            await AnswerSimpleAsync("SET").ConfigureAwait(false);
            return;
        }

        if (await RefuseUnlessUnderstoodAsync(understood, text).ConfigureAwait(false) is { } refused)
        {
            await RefuseQueryAsync(refused.Refusal, refused.Position).ConfigureAwait(false);
            return;
        }

        if (understood.Statements.Count == 0)
        {
            // Nothing but white space and comments: the server answers EmptyQueryResponse and does nothing.
            await ForwardQueryAsync(text, understood, null).ConfigureAwait(false);
            return;
        }

        var ruling = await DecideAsync(new Presented("query", text, understood, null)).ConfigureAwait(false);
        switch (ruling)
        {
            case Ruling.Forward forward:
                await ForwardQueryAsync(text, understood, forward.Passage).ConfigureAwait(false);
                break;
            case Ruling.Refused { Refusal: var refusal }:
                await RefuseQueryAsync(refusal).ConfigureAwait(false);
                break;
        }
    }

    private async Task ForwardQueryAsync(string text, SqlUnderstanding understood, Passage? passage)
    {
        var consequences = understood.Consequences.ToArray();
        relay.TryExpect(new Owed(OwedKind.Query) { Passage = passage, OnDone = () => Follow(consequences, carriedOut: true), OnFailed = () => Follow(consequences, carriedOut: false) });
        Anticipate(understood);
        FrontendWriter.WriteQuery(Target.Output, text);
        batchOpen = batchExecuted = false;
        await FlushTargetAsync().ConfigureAwait(false);
    }

    /// <summary>
    /// Refuses a simple query as the server would fail it: outside a transaction an error and ready; inside one the
    /// transaction fails too, which is the server's to do.
    /// </summary>
    private async Task RefuseQueryAsync(Refusal refusal, int? position = null)
    {
        var error = Refusals.Write(refusal, services.Wire, position: position);
        await DrainAsync().ConfigureAwait(false);
        if (relay.Transaction == TransactionStatus.Idle && !batchOpen)
        {
            var output = new ArrayBufferWriter<byte>(error.Length + 8);
            output.Write(error);
            BackendWriter.WriteReadyForQuery(output, TransactionStatus.Idle);
            await relay.AnswerAsync(output.WrittenSpan.ToArray()).ConfigureAwait(false);
            return;
        }

        // `Swallow` hides only the error; the ReadyForQuery that follows must reach the client, so it is asked for as a batch.
        await FailBatchAsync(error).ConfigureAwait(false);
        await SyncAsync().ConfigureAwait(false);
    }

    private async Task AnswerSimpleAsync(string tag)
    {
        await DrainAsync().ConfigureAwait(false);
        var output = new ArrayBufferWriter<byte>(64);
        BackendWriter.WriteCommandComplete(output, tag);
        BackendWriter.WriteReadyForQuery(output, relay.Transaction);
        await relay.AnswerAsync(output.WrittenSpan.ToArray()).ConfigureAwait(false);
    }

    // ---- what follows from a statement ----

    /// <summary>
    /// Before a statement is forwarded: what it may change in the session is asked for again before the next one is
    /// understood. Too often is only slow; too seldom would be wrong.
    /// </summary>
    private void Anticipate(SqlUnderstanding understood)
    {
        foreach (var consequence in understood.Consequences)
        {
            switch (consequence)
            {
                case SqlConsequence.ChangesSetting { Name: var name }:
                    touchedSettings.Add(name);
                    stateIsStale = true;
                    break;
                case SqlConsequence.ResetsSetting { Name: var name }:
                    touchedSettings.Add(name);
                    stateIsStale = true;
                    break;
                case SqlConsequence.CreatesTemporary { Name: var name }:
                    temporaryNames.Add(name);
                    stateIsStale = true;
                    break;
                case SqlConsequence.ChangesCatalog:
                    uncommittedDdl = true;
                    stateIsStale = true;
                    break;
                case SqlConsequence.ResetsAllSettings or SqlConsequence.ChangesRole or SqlConsequence.DiscardsAll or SqlConsequence.DiscardsTemporary
                    or SqlConsequence.EndsTransaction or SqlConsequence.RollsBackToSavepoint:
                    stateIsStale = true;
                    break;
            }
        }

        // A function or block that is not known may have changed any setting.
        if (understood.Effects.Any(static e => e.Action is SqlActions.Opaque or SqlActions.Call)) stateIsStale = true;
    }

    /// <summary>
    /// After a statement was carried out, or failed: on the relay's side. What a failed one may have done in part (several
    /// statements in one text) only ever makes us look again; names are remembered and forgotten when the server did.
    /// </summary>
    private void Follow(SqlConsequence[] consequences, bool carriedOut)
    {
        foreach (var consequence in consequences)
        {
            switch (consequence)
            {
                case SqlConsequence.ChangesCatalog or SqlConsequence.EndsTransaction:
                    services.Catalog.Invalidate();
                    break;
                case SqlConsequence.PreparesStatement prepares when carriedOut:
                    statements[prepares.Name] = new PreparedStatement(prepares.Name, prepares.Text, []);
                    break;
                case SqlConsequence.Deallocates { Name: { } name } when carriedOut:
                    statements.TryRemove(name, out _);
                    break;
                case SqlConsequence.Deallocates or SqlConsequence.DiscardsAll when carriedOut:
                    // The unnamed statement survives DEALLOCATE ALL in some versions; knowing too much of it is harmless, since
                    // whatever is executed is decided by the text that was parsed last.
                    foreach (var name in statements.Keys.Where(static n => n.Length > 0)) statements.TryRemove(name, out _);
                    break;
            }
        }
    }

    /// <summary>`SET countersign.reason = '…'` alone: the gateway's own, never forwarded.</summary>
    private Intent? IntentOf(SqlUnderstanding understood)
    {
        if (understood.Statements is not [{ Consequences: [SqlConsequence.ChangesSetting { Name: var name, Value: { } value }] }]) return null;
        return IntentSettings.Apply(intent, name, value);
    }
}

/// <summary>The session can no longer be read safely.</summary>
internal sealed class UnsafeSessionException(string message) : Exception(message);

/// <summary>Intent as PostgreSQL clients say it: settings under `countersign.`.</summary>
internal static class IntentSettings
{
    public const string Prefix = "countersign.";

    /// <summary>Longest claim, in characters; more is cut with a mark, since it decides nothing.</summary>
    public const int MaxLength = 1000;

    public static Intent? Apply(Intent intent, string name, string value)
    {
        if (value.Length > MaxLength) value = string.Concat(value.AsSpan(0, MaxLength), " ⟦cut⟧");
        return name.ToLowerInvariant() switch
        {
            Prefix + "reason" => intent with { Reason = value },
            Prefix + "ticket" => intent with { Ticket = value },
            Prefix + "task" => intent with { Task = value },
            Prefix + "model" => intent with { Model = value },
            _ => null,
        };
    }
}
