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
    PostgresLimits Limits, PgWireLimits Wire, TimeProvider Time, Func<bool?> MayAct, CancellationToken Stopping)
{
    /// <summary>From then on nothing new begins: the credential that opened the connection has ended. Null: it does not end.</summary>
    public DateTimeOffset? EndsAt { get; init; }
}

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

    /// <summary>Names of portals that the target may have, whatever became of what is known of them here, each with when it was bound.</summary>
    private readonly ConcurrentDictionary<string, long> bound = new(StringComparer.Ordinal);
    private readonly HashSet<string> touchedSettings = new(StringComparer.OrdinalIgnoreCase);
    private readonly List<(Frame Frame, Owed Owed, Portal? Portal)> withheld = [];
    private readonly TargetRef targetRef = new(target.Name, "postgres", target.Environment);
    private Relay relay = null!;
    private SessionState state = null!;
    private Intent intent = startIntent;
    private bool stateIsStale = true;
    private bool skipping;
    private bool uncommittedDdl;
    private volatile bool ddlWasDone;
    private CancellationToken sessionEnded;

    /// <summary>Messages were forwarded since the last Sync.</summary>
    private bool batchOpen;

    /// <summary>Executes were forwarded since the last Sync: their implicit transaction is open.</summary>
    private bool batchExecuted;

    /// <summary>Something in the batch may have changed the session's state.</summary>
    private bool touchedInBatch;

    /// <summary>Something in the batch ends a transaction, or goes back in it.</summary>
    private bool endsInBatch;

    /// <summary>What was forwarded changes what names stand for, or whether a transaction is open: known when it is answered.</summary>
    private bool inDoubt;

    /// <summary>Something opaque was carried out: the server is asked what its prepared statements are.</summary>
    private bool namesUnknown;

    /// <summary>Goes up whenever something is forwarded that may change what a statement means here; <see cref="names"/> for what a prepared name stands for.</summary>
    private long meaning;
    private long names;

    /// <summary>When, and after how many changes of the catalogue, the state was asked for.</summary>
    private long stateAt;
    private int stateEpoch;

    private Transport Target => upstream.Transport;

    /// <summary>Once the session has ended: nothing is half told to the client.</summary>
    public bool MayBeTold => relay is { InMiddleOfRow: false };

    /// <summary>Once the session has ended: the review that it held for when the gateway stopped.</summary>
    public ReviewId? HeldReview { get; private set; }

    /// <summary>Serves until either side is gone. The caller owns both transports.</summary>
    public async Task RunAsync(CancellationToken ct)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(ct);
        sessionEnded = ended.Token;
        relay = new Relay(Target, client, clientLock, services.Wire, OnParameter) { OnReady = OnReady };
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

            // What was released and never sent has an outcome too: it did not run.
            foreach (var portal in portals.Values) await DropPassageAsync(portal).ConfigureAwait(false);
        }

        // Whichever side noticed it, the client is told why its session is no longer safe.
        if ((relaying.Exception?.InnerException ?? serving.Exception?.InnerException) is UnsafeSessionException unsafely) throw new UnsafeSessionException(unsafely.Message, unsafely.Reason, unsafely.Hint);
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

    /// <summary>DDL shows to others, and so to the catalogue's own connection, only once it is committed.</summary>
    private void OnReady()
    {
        if (!ddlWasDone || relay.Transaction != TransactionStatus.Idle) return;
        ddlWasDone = false;
        services.Catalog.Invalidate();
    }

    private async Task ServeAsync(CancellationToken ct)
    {
        while (await client.ReadFrameAsync(clientFrames, ct).ConfigureAwait(false) is { } frame)
        {
            if (frame.Tag == FrontendTag.Terminate) return;
            WorkBegins();
            if (overflowed) throw new WireException(WireFault.TooLong, tooLarge: true);

            // After an error everything is discarded up to Sync (documentation §54.2.3, P8).
            if ((skipping || relay.BatchFailed) && frame.Tag != FrontendTag.Sync) continue;

            // What was begun in time may be finished: Sync ends a batch, and what was held before goes on at its approval.
            if (services.EndsAt <= services.Time.GetUtcNow() && frame.Tag is not (FrontendTag.Sync or FrontendTag.Flush))
                throw new UnsafeSessionException("the token or certificate that opened it has ended", ReasonCodes.TokenExpired, "connect again with a new one.");
            var mayAct = services.MayAct();
            if (mayAct is false) throw new UnsafeSessionException("the agent or its key was revoked", ReasonCodes.Unauthenticated, "ask the operator.");
            if (mayAct is null && frame.Tag is not FrontendTag.Sync)
            {
                if (frame.Tag is FrontendTag.Query or FrontendTag.FunctionCall) await RefuseQueryAsync(Refusal.StoreUnreadable).ConfigureAwait(false);
                else await FailBatchAsync(Refusal.StoreUnreadable).ConfigureAwait(false);
                continue;
            }

            await ReapPortalsAsync().ConfigureAwait(false);
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
                    if (!await SettleAsync(null).ConfigureAwait(false)) break;
                    FrontendWriter.WriteFlush(Target.Output);
                    await FlushTargetAsync().ConfigureAwait(false);
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

            if (frame.Tag is FrontendTag.Query or FrontendTag.Sync or FrontendTag.FunctionCall) WorkEnds();

            // A client that never sends Sync or Flush must not make us keep what it sends.
            if (Target.Output.UnflushedBytes > 64 << 10) await FlushTargetAsync().ConfigureAwait(false);
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
        using var span = SpineTelemetry.StartAction();
        if (!await SettleAsync(null).ConfigureAwait(false)) return;
        await FreshenAsync().ConfigureAwait(false);
        if (relay.BatchFailed) return;
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

        var presented = new Presented("query", text, understood, null);
        var ruling = await DecideAsync(presented).ConfigureAwait(false);
        var runs = presented.Edited ?? presented;
        switch (ruling)
        {
            case Ruling.Forward forward:
                await ForwardQueryAsync(runs.Text, runs.Understood, forward.Passage).ConfigureAwait(false);
                break;
            case Ruling.Refused { Refusal: var refusal }:
                await RefuseQueryAsync(refusal).ConfigureAwait(false);
                break;
        }
    }

    private async Task ForwardQueryAsync(string text, SqlUnderstanding understood, Passage? passage)
    {
        var consequences = understood.Consequences.ToArray();
        if (!relay.TryExpect(new Owed(OwedKind.Query) { Passage = passage, OnDone = () => Follow(consequences, carriedOut: true), OnFailed = () => Follow(consequences, carriedOut: false) }))
        {
            // The batch that it came in has failed: the target would discard it too.
            if (passage is not null) await passage.CompleteAsync(OutcomeStatus.Failed, null, 0, "skipped").ConfigureAwait(false);
            return;
        }

        Anticipate(understood);
        FrontendWriter.WriteQuery(Target.Output, text);
        statements.TryRemove("", out _);
        EndBatch();
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
        if (relay.BatchFailed) return;
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
                case SqlConsequence.ChangesSetting or SqlConsequence.ResetsSetting:
                    if (NewSetting(consequence) is { } setting) touchedSettings.Add(setting);
                    Moved();
                    break;
                case SqlConsequence.CreatesTemporary:
                    Moved();
                    break;
                case SqlConsequence.ChangesCatalog:
                    uncommittedDdl = true;
                    Moved();
                    break;
                case SqlConsequence.EndsTransaction or SqlConsequence.RollsBackToSavepoint:
                    endsInBatch = true;
                    Moved();
                    break;
                case SqlConsequence.ResetsAllSettings or SqlConsequence.ChangesRole or SqlConsequence.DiscardsTemporary:
                    Moved();
                    break;
                case SqlConsequence.DiscardsAll:
                    inDoubt = true;
                    Moved();
                    break;
                case SqlConsequence.FetchesCursor:
                    // What the cursor's query calls is called now, not when it was declared: a setting, a name, anything.
                    namesUnknown = true;
                    Moved();
                    break;
                case SqlConsequence.PreparesStatement or SqlConsequence.Deallocates:
                    // Until the target has answered, a name may stand for either statement.
                    inDoubt = true;
                    names++;
                    break;
                case SqlConsequence.BeginsTransaction or SqlConsequence.ChangesTransaction or SqlConsequence.SetsSavepoint or SqlConsequence.ReleasesSavepoint:
                    inDoubt = true;
                    break;
                case SqlConsequence.DeclaresCursor { Name: var name }:
                    Void(name);
                    break;
                case SqlConsequence.ClosesCursor { Name: var name }:
                    Void(name);
                    break;
            }
        }

        // A function or block that is not known may have changed any setting, and what any name stands for.
        if (understood.Effects.Any(static e => e.Action is SqlActions.Opaque or SqlActions.Call))
        {
            namesUnknown = true;
            Moved();
        }
    }

    /// <summary>The setting that a consequence names, where the session's state does not hold it yet.</summary>
    private string? NewSetting(SqlConsequence consequence)
    {
        var name = consequence switch
        {
            SqlConsequence.ChangesSetting s => s.Name,
            SqlConsequence.ResetsSetting s => s.Name,
            _ => null,
        };
        return name is null || SessionState.Inert.Contains(name) || SessionState.Meaningful.Contains(name, StringComparer.OrdinalIgnoreCase) || touchedSettings.Contains(name) ? null : name;
    }

    /// <summary>The session may no longer mean what it meant.</summary>
    private void Moved()
    {
        stateIsStale = touchedInBatch = true;
        meaning++;
    }

    /// <summary>A cursor of SQL is a portal of the same name: what the gateway knew of that name is no longer so.</summary>
    private void Void(string? name)
    {
        foreach (var portal in portals.Values)
        {
            if (name is not null && portal.Name != name) continue;
            portal.Carried = false;
            portal.DecidedUnder = (-1, -1);
        }
    }

    /// <summary>
    /// At Sync or Query. What the batch changed was perhaps undone with its implicit transaction: by an error, or because it
    /// was LOCAL to it.
    /// </summary>
    private void EndBatch()
    {
        if (touchedInBatch) Moved();
        touchedInBatch = endsInBatch = batchOpen = batchExecuted = false;
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
                case SqlConsequence.ChangesCatalog:
                    ddlWasDone = true;
                    services.Catalog.Invalidate();
                    break;
                case SqlConsequence.EndsTransaction:
                    services.Catalog.Invalidate();
                    break;
                case SqlConsequence.PreparesStatement prepares when carriedOut:
                    statements[prepares.Name] = new PreparedStatement(prepares.Name, prepares.Text, []) { FromSql = true };
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
internal sealed class UnsafeSessionException(string message, string reason = ReasonCodes.UnsafeSetting, string hint = "the gateway reads text only under the standard setting.") : Exception(message)
{
    public string Reason { get; } = reason;
    public string Hint { get; } = hint;
}

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
