using System.Buffers;
using Countersign.Core;
using Countersign.PgWire;
using Countersign.Sql;

namespace Countersign.Gateway.Postgres;

internal sealed partial class Session
{
    private async Task ParseAsync(Frame frame, ParseMessage parse)
    {
        if (!await SettleAsync(null).ConfigureAwait(false)) return;
        var (name, text) = (parse.Name.ToString(), parse.Sql.ToString());
        if (await NameIsTooLongAsync(name).ConfigureAwait(false)) return;
        if (name.StartsWith(SessionState.ReservedPrefix, StringComparison.Ordinal) || TooManyStatements(name, text))
        {
            await FailBatchAsync(await RefuseAsync(ReasonCodes.TooLarge, $"prepared statement `{name}` can not be kept: the session has too many, or too much text in them, or the name is reserved", "close some, or choose another name.", text).ConfigureAwait(false)).ConfigureAwait(false);
            return;
        }

        await FreshenAsync().ConfigureAwait(false);

        // What becomes of a name that exists is certain only when nothing is in flight.
        if (name.Length > 0 && statements.ContainsKey(name)) await DrainAsync().ConfigureAwait(false);
        if (relay.BatchFailed) return;
        var understood = await UnderstandAsync(text, fresh: false).ConfigureAwait(false);
        var statement = new PreparedStatement(name, text, parse.ParameterTypes.ToArray());
        if (understood.IsUnderstood && IntentOf(understood) is not null)
        {
            statements[name] = statement with { IsOwn = true };
            await AnswerAsync(static o => BackendWriter.WriteParseComplete(o)).ConfigureAwait(false);
            return;
        }

        if (await RefuseUnlessUnderstoodAsync(understood, text).ConfigureAwait(false) is { } refused)
        {
            await FailBatchAsync(refused.Refusal, refused.Position).ConfigureAwait(false);
            return;
        }

        if (understood.Statements.Count > 1)
        {
            await FailBatchAsync(await RefuseAsync(ReasonCodes.Unparseable, "a prepared statement holds one statement", "send each statement by itself.", understood.Display).ConfigureAwait(false)).ConfigureAwait(false);
            return;
        }

        // What can only be denied is denied now; a permit here permits nothing, the decision is at Execute (P7).
        using var span = SpineTelemetry.StartAction();
        if (understood.Statements.Count == 1 && await DenyEarlyAsync(new Presented("execute", text, understood, null)).ConfigureAwait(false) is { } denied)
        {
            await FailBatchAsync(denied).ConfigureAwait(false);
            return;
        }

        if (name.Length > 0) names++;
        if (name.Length > 0 && statements.ContainsKey(name))
        {
            // The server keeps a named statement that is in the way, and says so; only if it does not, the new one counts.
            Forward(frame, new Owed(OwedKind.Parse) { OnDone = () => statements[name] = statement });
            return;
        }

        // The server drops the unnamed statement before it tries the new one. A failure that is told late must not take away
        // what a later Parse has put there.
        statements[name] = statement;
        Forward(frame, new Owed(OwedKind.Parse) { OnFailed = () => statements.TryRemove(KeyValuePair.Create(name, statement)) });
    }

    private bool TooManyStatements(string name, string text) =>
        (statements.Count >= services.Limits.NamedObjects && !statements.ContainsKey(name))
        || IsOver(statements.Where(s => s.Key != name), static s => s.Value.Text.Length * sizeof(char), text.Length * sizeof(char));

    private bool IsOver<T>(IEnumerable<T> kept, Func<T, int> size, int more)
    {
        long sum = more;
        foreach (var one in kept) sum += size(one);
        return sum > services.Limits.NamedBytes;
    }

    /// <summary>
    /// The server tells names apart by their first 63 bytes only (NAMEDATALEN): two that differ behind them would be one there
    /// and two here.
    /// </summary>
    private async Task<bool> NameIsTooLongAsync(string name)
    {
        if (System.Text.Encoding.UTF8.GetByteCount(name) <= 63) return false;
        await FailBatchAsync(await RefuseAsync(ReasonCodes.TooLarge, "a name of a statement or portal is longer than the 63 bytes that the server tells apart", "choose a shorter name.", name).ConfigureAwait(false)).ConfigureAwait(false);
        return true;
    }

    /// <summary>Portals end with their transaction; what they were released for and did not do has its outcome then.</summary>
    private async ValueTask ReapPortalsAsync()
    {
        if (portals.Count == 0 && bound.IsEmpty) return;
        var idle = relay.LastIdle;
        foreach (var (name, born) in bound)
        {
            if (born < idle) bound.TryRemove(name, out _);
        }

        foreach (var (name, portal) in portals)
        {
            if (!portal.Cleared || portal.Born >= idle) continue;
            await DropPassageAsync(portal).ConfigureAwait(false);
            portals.Remove(name);
        }
    }

    private async Task BindAsync(Frame frame, BindMessage bind)
    {
        var (portalName, statementName) = (bind.Portal.ToString(), bind.Statement.ToString());
        if (await NameIsTooLongAsync(portalName).ConfigureAwait(false) || await NameIsTooLongAsync(statementName).ConfigureAwait(false)) return;
        await FreshenAsync().ConfigureAwait(false);
        if (relay.BatchFailed) return;
        if (!statements.TryGetValue(statementName, out var statement))
        {
            await FailBatchAsync(await RefuseAsync(ReasonCodes.NotUnderstood, $"prepared statement `{statementName}` is not known to the gateway", "prepare it on this connection first.", "(bind)").ConfigureAwait(false)).ConfigureAwait(false);
            return;
        }

        if ((Math.Max(portals.Count, bound.Count) >= services.Limits.NamedObjects && !portals.ContainsKey(portalName)) || IsOver(portals.Values.Where(p => p.Name != portalName), static p => p.Frame.Header.TotalLength, frame.Header.TotalLength))
        {
            await FailBatchAsync(await RefuseAsync(ReasonCodes.TooLarge, "the session has too many portals, or too much bound to them", "close some, or end the transaction.", "(bind)").ConfigureAwait(false)).ConfigureAwait(false);
            return;
        }

        // One that is withheld under this name, and answers of our own, come after what was sent before them.
        if ((statement.IsOwn || withheld.Any(w => w.Portal?.Name == portalName)) && !await SettleAsync(null).ConfigureAwait(false)) return;
        if (portals.TryGetValue(portalName, out var replaced)) await DropPassageAsync(replaced).ConfigureAwait(false);
        var portal = portals[portalName] = new Portal(portalName, statement, bind, frame);
        if (statement.IsOwn) await AnswerAsync(static o => BackendWriter.WriteBindComplete(o)).ConfigureAwait(false);
        else await WithholdAsync(frame, new Owed(OwedKind.Bind) { Ends = portalName }, portal).ConfigureAwait(false);
    }

    /// <summary>What waits for its Execute is bounded like what waits behind one (P9).</summary>
    private async Task WithholdAsync(Frame frame, Owed owed, Portal? portal)
    {
        withheld.Add((frame, owed, portal));
        withheldBytes += frame.Header.TotalLength;
        if (withheld.Count == 1 || withheldBytes <= services.Limits.HeldBytes) return;
        await FailBatchAsync(await RefuseAsync(ReasonCodes.TooLarge, "too much is bound and not executed", "execute what is bound, or send Sync, before binding more.", "(bind)").ConfigureAwait(false)).ConfigureAwait(false);
    }

    private long withheldBytes;

    private async Task DescribeAsync(Frame frame, DescribeMessage describe)
    {
        var name = describe.Name.ToString();
        if (await NameIsTooLongAsync(name).ConfigureAwait(false)) return;
        var isStatement = describe.Kind == NamedKind.Statement;
        var own = isStatement ? statements.TryGetValue(name, out var s) && s.IsOwn : portals.TryGetValue(name, out var p) && p.Statement.IsOwn;
        if (own)
        {
            if (!await SettleAsync(null).ConfigureAwait(false)) return;
            await AnswerAsync(o =>
            {
                if (isStatement) BackendWriter.WriteParameterDescription(o);
                BackendWriter.WriteNoData(o);
            }).ConfigureAwait(false);
            return;
        }

        var owed = new Owed(isStatement ? OwedKind.DescribeStatement : OwedKind.DescribePortal);
        if (withheld.Count > 0) await WithholdAsync(frame, owed, null).ConfigureAwait(false);
        else Forward(frame, owed);
    }

    private async Task ExecuteAsync(Frame frame, ExecuteMessage execute)
    {
        if (!portals.TryGetValue(execute.Portal.ToString(), out var portal))
        {
            await FailBatchAsync(await RefuseAsync(ReasonCodes.NotUnderstood, $"portal `{execute.Portal}` is not known to the gateway", "bind it first; a cursor of SQL is read by FETCH.", "(execute)").ConfigureAwait(false)).ConfigureAwait(false);
            return;
        }

        if (portal.Statement.IsOwn)
        {
            if (!await SettleAsync(null).ConfigureAwait(false)) return;
            var understood = await UnderstandAsync(portal.Statement.Text, fresh: false).ConfigureAwait(false);
            intent = IntentOf(understood) ?? intent;
            await AnswerAsync(static o => BackendWriter.WriteCommandComplete(o, "SET")).ConfigureAwait(false);
            return;
        }

        if (!await SettleAsync(portal).ConfigureAwait(false)) return;

        var passage = portal.Passage;
        portal.Passage = null;
        if (passage is not null && IsVoid(portal))
        {
            await passage.CompleteAsync(OutcomeStatus.Failed, null, 0, "not-executed").ConfigureAwait(false);
            await FailBatchAsync(await RefuseAsync(ReasonCodes.TargetChanged, $"the session has changed since portal `{portal.Name}` was decided", "bind it again: it is decided as the session is now.", "(execute)").ConfigureAwait(false)).ConfigureAwait(false);
            return;
        }

        if (passage is null && portal.Understood is { Statements.Count: > 0 })
        {
            // Without a passage it may only go on with what was executed before: the same execution's next rows. The server
            // refuses to run anything but a query twice, and a query at its end gives nothing more. One that was skipped, or
            // whose first Execute failed, was never run, and its outcome has been recorded.
            await DrainAsync().ConfigureAwait(false);
            if (relay.BatchFailed) return;
            if (!portal.Carried)
            {
                await FailBatchAsync(await RefuseAsync(ReasonCodes.NotUnderstood, $"portal `{portal.Name}` was not executed, and can not be any more", "bind it again.", "(execute)").ConfigureAwait(false)).ConfigureAwait(false);
                return;
            }
        }

        if (passage is not null) portal.Run = new PortalRun(portal.Name, passage, portal.Understood!.Effects.All(static e => e.Verb == Verb.Read));
        var consequences = passage is null || portal.Understood is null ? [] : portal.Understood.Consequences.ToArray();
        var owed = new Owed(OwedKind.Execute) { Passage = portal.Run?.Passage, Run = portal.Run, OnDone = () => Carried(portal, consequences), OnFailed = () => Follow(consequences, carriedOut: false) };
        if (!relay.TryExpect(owed))
        {
            if (passage is not null) await passage.CompleteAsync(OutcomeStatus.Failed, null, 0, "skipped").ConfigureAwait(false);
            return;
        }

        // Of the next rows too: each row may call what the statement calls.
        if (portal.Understood is not null) Anticipate(portal.Understood);
        Target.Output.Write(frame.Whole.FirstSpan);
        batchOpen = batchExecuted = true;
    }

    private void Carried(Portal portal, SqlConsequence[] consequences)
    {
        portal.Carried = true;
        Follow(consequences, carriedOut: true);
    }

    private bool IsVoid(Portal portal) =>
        portal.DecidedUnder.Meaning != meaning
        || portal.Understood!.Consequences.Any(FetchesPortal)
        || (portal.DecidedUnder.Names != names && portal.Understood!.Consequences.Any(static c => c is SqlConsequence.ExecutesPrepared));

    /// <summary>Whether a FETCH or MOVE would carry out what was bound for an Execute: it has its own decision, and that is not this one's (P7, P11).</summary>
    private bool FetchesPortal(SqlConsequence consequence) =>
        consequence is SqlConsequence.FetchesCursor { Name: var name } && (bound.ContainsKey(name) || portals.ContainsKey(name));

    private async Task CloseAsync(Frame frame, CloseMessage close)
    {
        if (!await SettleAsync(null).ConfigureAwait(false)) return;
        var name = close.Name.ToString();
        if (await NameIsTooLongAsync(name).ConfigureAwait(false)) return;
        if (inDoubt) await FreshenAsync().ConfigureAwait(false);
        if (close.Kind == NamedKind.Portal)
        {
            if (portals.Remove(name, out var portal)) await DropPassageAsync(portal).ConfigureAwait(false);
            if (portal?.Statement.IsOwn == true)
            {
                await AnswerAsync(static o => BackendWriter.WriteCloseComplete(o)).ConfigureAwait(false);
                return;
            }

            Forward(frame, new Owed(OwedKind.Close) { Ends = name, OnDone = () => bound.TryRemove(name, out _) });
            return;
        }

        statements.TryGetValue(name, out var statement);
        if (statement?.IsOwn == true)
        {
            statements.TryRemove(name, out _);
            await AnswerAsync(static o => BackendWriter.WriteCloseComplete(o)).ConfigureAwait(false);
            return;
        }

        names++;
        Forward(frame, new Owed(OwedKind.Close)
        {
            OnDone = () =>
            {
                if (statement is not null) statements.TryRemove(KeyValuePair.Create(name, statement));
            },
        });
    }

    private async Task SyncAsync()
    {
        if (!skipping && !relay.BatchFailed) await SettleAsync(null).ConfigureAwait(false);
        await DropWithheldAsync().ConfigureAwait(false);
        skipping = false;
        CloseEdit();
        relay.TryExpect(new Owed(OwedKind.Sync));
        FrontendWriter.WriteSync(Target.Output);
        EndBatch();
        await FlushTargetAsync().ConfigureAwait(false);
    }

    /// <summary>
    /// Decides what is withheld, in order, and forwards it. False when it was refused or the target had failed: then the
    /// batch is over up to Sync. Nothing of what is withheld reaches the target before all of it is decided, so that no
    /// portal keeps locks or a snapshot while a human thinks.
    /// </summary>
    private async Task<bool> SettleAsync(Portal? executing)
    {
        if (withheld.Count == 0) return true;
        foreach (var (_, _, portal) in withheld)
        {
            if (portal is null || portal.Cleared) continue;
            switch (await DecidePortalAsync(portal).ConfigureAwait(false))
            {
                case Ruling.Forward forward:
                    (portal.Cleared, portal.Passage, portal.DecidedUnder, portal.Born) = (true, forward.Passage, (meaning, names), long.MaxValue);
                    break;
                case Ruling.Refused { Refusal: var refusal }:
                    await FailBatchAsync(refusal).ConfigureAwait(false);
                    return false;
                default:
                    await DropWithheldAsync().ConfigureAwait(false);
                    return false;
            }
        }

        foreach (var (frame, owed, portal) in withheld)
        {
            if (portal is not null) portal.Born = relay.Sent;
            if (portal is { Name.Length: > 0 }) bound[portal.Name] = portal.Born;
            if (portal?.Edited is { } edited ? !edited(owed) : !relay.TryExpect(owed))
            {
                await DropWithheldAsync().ConfigureAwait(false);
                return false;
            }

            if (portal?.Edited is null) Target.Output.Write(frame.Whole.FirstSpan);
        }

        withheld.Clear();
        withheldBytes = 0;
        batchOpen = true;
        return true;
    }

    private async Task<Ruling?> DecidePortalAsync(Portal portal)
    {
        using var span = SpineTelemetry.StartAction();
        await FreshenAsync().ConfigureAwait(false);
        if (relay.BatchFailed) return null;
        var text = portal.Statement.Text;
        var understood = AsExecuted(await UnderstandAsync(text, fresh: false).ConfigureAwait(false), portal);
        if (await RefuseUnlessUnderstoodAsync(understood, text).ConfigureAwait(false) is { } refused) return new Ruling.Refused(refused.Refusal);
        portal.Understood = understood;
        if (understood.Statements.Count == 0) return new Ruling.Forward(null!);
        var presented = new Presented("execute", text, understood, portal);
        var ruling = await DecideAsync(presented).ConfigureAwait(false);
        portal.Edited = presented.Edited is { } edited ? o => ForwardEdited(portal, edited, o) : null;
        return ruling;
    }

    /// <summary>What was withheld is forgotten; what had been released for it was not sent, and its outcome says so.</summary>
    private async Task DropWithheldAsync()
    {
        foreach (var (_, _, portal) in withheld)
        {
            if (portal is null) continue;
            await DropPassageAsync(portal).ConfigureAwait(false);
            if (portals.TryGetValue(portal.Name, out var current) && current == portal) portals.Remove(portal.Name);
        }

        withheld.Clear();
        withheldBytes = 0;
    }

    private static async ValueTask DropPassageAsync(Portal portal)
    {
        var passage = portal.Passage;
        portal.Passage = null;
        if (passage is not null) await passage.CompleteAsync(OutcomeStatus.Failed, null, 0, "not-executed").ConfigureAwait(false);
    }

    /// <summary>
    /// Fails the batch as the server would: the target is made to fail too (by a text that no grammar knows), so that its
    /// transaction, implicit or open, ends as after any other error; the client sees the refusal in that error's place, and
    /// what follows is discarded up to Sync (P8).
    /// </summary>
    private async Task FailBatchAsync(byte[] error)
    {
        await DropWithheldAsync().ConfigureAwait(false);
        skipping = true;
        if (!relay.TryExpect(new Owed(OwedKind.Parse) { Swallow = true, Bytes = error })) return;
        FrontendWriter.WriteParse(Target.Output, SessionState.ReservedPrefix + "refused", "refused by countersign");
        FrontendWriter.WriteFlush(Target.Output);
        batchOpen = true;
        await FlushTargetAsync().ConfigureAwait(false);
    }

    private Task FailBatchAsync(Refusal refusal, int? position = null) => FailBatchAsync(Refusals.Write(refusal, services.Wire, position: position));

    /// <summary>Forwards a message that carries nothing out. The bytes are those that were parsed.</summary>
    private void Forward(Frame frame, Owed owed)
    {
        if (!relay.TryExpect(owed)) return;
        Target.Output.Write(frame.Whole.FirstSpan);
        batchOpen = true;
    }

    private Task AnswerAsync(Action<IBufferWriter<byte>> write)
    {
        var output = new ArrayBufferWriter<byte>(32);
        write(output);
        return relay.AnswerAsync(output.WrittenSpan.ToArray());
    }
}
