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
        if (name.StartsWith(SessionState.ReservedPrefix, StringComparison.Ordinal) || (statements.Count >= services.Limits.NamedObjects && !statements.ContainsKey(name)))
        {
            await FailBatchAsync(await RefuseAsync(ReasonCodes.TooLarge, $"prepared statement `{name}` can not be kept: the session has too many, or the name is reserved", "close some, or choose another name.", text).ConfigureAwait(false)).ConfigureAwait(false);
            return;
        }

        await FreshenAsync().ConfigureAwait(false);
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
        if (understood.Statements.Count == 1 && await DenyEarlyAsync(new Presented("execute", text, understood, null)).ConfigureAwait(false) is { } denied)
        {
            await FailBatchAsync(denied).ConfigureAwait(false);
            return;
        }

        statements.TryGetValue(name, out var before);
        statements[name] = statement;
        Forward(frame, new Owed(OwedKind.Parse)
        {
            OnFailed = () =>
            {
                // The server drops the unnamed statement before it tries the new one, and keeps a named one that is in its way.
                if (name.Length > 0 && before is not null) statements[name] = before;
                else statements.TryRemove(name, out _);
            },
        });
    }

    private async Task BindAsync(Frame frame, BindMessage bind)
    {
        var (portalName, statementName) = (bind.Portal.ToString(), bind.Statement.ToString());
        if (!statements.TryGetValue(statementName, out var statement))
        {
            await FailBatchAsync(await RefuseAsync(ReasonCodes.NotUnderstood, $"prepared statement `{statementName}` is not known to the gateway", "prepare it on this connection first.", "(bind)").ConfigureAwait(false)).ConfigureAwait(false);
            return;
        }

        if (portals.Count >= services.Limits.NamedObjects && !portals.ContainsKey(portalName))
        {
            await FailBatchAsync(await RefuseAsync(ReasonCodes.TooLarge, "the session has too many portals", "close some.", "(bind)").ConfigureAwait(false)).ConfigureAwait(false);
            return;
        }

        if (portals.TryGetValue(portalName, out var replaced)) await DropPassageAsync(replaced).ConfigureAwait(false);
        var portal = portals[portalName] = new Portal(portalName, statement, bind, frame);
        if (statement.IsOwn) await AnswerAsync(static o => BackendWriter.WriteBindComplete(o)).ConfigureAwait(false);
        else withheld.Add((frame, new Owed(OwedKind.Bind), portal));
    }

    private async Task DescribeAsync(Frame frame, DescribeMessage describe)
    {
        var name = describe.Name.ToString();
        var isStatement = describe.Kind == NamedKind.Statement;
        var own = isStatement ? statements.TryGetValue(name, out var s) && s.IsOwn : portals.TryGetValue(name, out var p) && p.Statement.IsOwn;
        if (own)
        {
            await AnswerAsync(o =>
            {
                if (isStatement) BackendWriter.WriteParameterDescription(o);
                BackendWriter.WriteNoData(o);
            }).ConfigureAwait(false);
            return;
        }

        var owed = new Owed(isStatement ? OwedKind.DescribeStatement : OwedKind.DescribePortal);
        if (withheld.Count > 0) withheld.Add((frame, owed, null));
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
            var understood = await UnderstandAsync(portal.Statement.Text, fresh: false).ConfigureAwait(false);
            intent = IntentOf(understood) ?? intent;
            await AnswerAsync(static o => BackendWriter.WriteCommandComplete(o, "SET")).ConfigureAwait(false);
            return;
        }

        if (!await SettleAsync(portal).ConfigureAwait(false)) return;

        // Without a passage it goes on with a portal that was executed before: the same execution's next rows. The server
        // refuses to run anything but a query twice, and a query to its end gives nothing more.
        var passage = portal.Passage;
        portal.Passage = null;
        var consequences = passage is null || portal.Understood is null ? [] : portal.Understood.Consequences.ToArray();
        var owed = new Owed(OwedKind.Execute) { Passage = passage, OnDone = () => Follow(consequences, carriedOut: true), OnFailed = () => Follow(consequences, carriedOut: false) };
        if (!relay.TryExpect(owed))
        {
            if (passage is not null) await passage.CompleteAsync(OutcomeStatus.Failed, null, 0, "skipped").ConfigureAwait(false);
            return;
        }

        if (passage is not null && portal.Understood is not null) Anticipate(portal.Understood);
        Target.Output.Write(frame.Whole.FirstSpan);
        batchOpen = batchExecuted = true;
    }

    private async Task CloseAsync(Frame frame, CloseMessage close)
    {
        if (!await SettleAsync(null).ConfigureAwait(false)) return;
        var name = close.Name.ToString();
        if (close.Kind == NamedKind.Portal)
        {
            if (portals.Remove(name, out var portal)) await DropPassageAsync(portal).ConfigureAwait(false);
            if (portal?.Statement.IsOwn == true)
            {
                await AnswerAsync(static o => BackendWriter.WriteCloseComplete(o)).ConfigureAwait(false);
                return;
            }

            Forward(frame, new Owed(OwedKind.Close));
            return;
        }

        statements.TryGetValue(name, out var statement);
        if (statement?.IsOwn == true)
        {
            statements.TryRemove(name, out _);
            await AnswerAsync(static o => BackendWriter.WriteCloseComplete(o)).ConfigureAwait(false);
            return;
        }

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
        relay.TryExpect(new Owed(OwedKind.Sync));
        FrontendWriter.WriteSync(Target.Output);
        batchOpen = batchExecuted = false;
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
                    (portal.Cleared, portal.Passage) = (true, forward.Passage);
                    break;
                case Ruling.Refused { Refusal: var refusal }:
                    await FailBatchAsync(refusal).ConfigureAwait(false);
                    return false;
                default:
                    await DropWithheldAsync().ConfigureAwait(false);
                    return false;
            }
        }

        foreach (var (frame, owed, _) in withheld)
        {
            if (!relay.TryExpect(owed))
            {
                await DropWithheldAsync().ConfigureAwait(false);
                return false;
            }

            Target.Output.Write(frame.Whole.FirstSpan);
        }

        withheld.Clear();
        batchOpen = true;
        return true;
    }

    private async Task<Ruling?> DecidePortalAsync(Portal portal)
    {
        await FreshenAsync().ConfigureAwait(false);
        if (relay.BatchFailed) return null;
        var text = portal.Statement.Text;
        var understood = await UnderstandAsync(text, fresh: false).ConfigureAwait(false);
        if (await RefuseUnlessUnderstoodAsync(understood, text).ConfigureAwait(false) is { } refused) return new Ruling.Refused(refused.Refusal);
        portal.Understood = understood;
        if (understood.Statements.Count == 0) return new Ruling.Forward(null!);
        return await DecideAsync(new Presented("execute", text, understood, portal)).ConfigureAwait(false);
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
