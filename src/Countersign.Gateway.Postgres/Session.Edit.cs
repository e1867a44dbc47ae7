using System.Buffers;
using System.Globalization;
using System.Text;
using Countersign.Core;
using Countersign.PgWire;
using Countersign.Reviews;
using Countersign.Sql;
using Npgsql;

namespace Countersign.Gateway.Postgres;

internal sealed partial class Session
{
    /// <summary>Name of the prepared statement that an edited one is bound from; a client's own can not begin so.</summary>
    private const string EditName = SessionState.ReservedPrefix + "edit";

    /// <summary>Built-in types have oids below this (FirstNormalObjectId): reading a value of one runs no user's code.</summary>
    private const uint FirstUserOid = 16384;

    /// <summary>The target may have <see cref="EditName"/>.</summary>
    private volatile bool editIsOpen;

    private readonly Dictionary<Waiter, Presented> edits = [];

    /// <summary>A waiter for what is presented, that a human may edit.</summary>
    private Waiter WaiterOf(GatewayAction action, Presented presented, Action<Review> told)
    {
        return new Waiter(action, () => RederiveAsync(action, presented), told) { Edit = EditAsync };

        async ValueTask<Edited> EditAsync(EditWish wish, PrincipalRef by)
        {
            try
            {
                using var limit = CancellationTokenSource.CreateLinkedTokenSource(sessionEnded);
                limit.CancelAfter(services.Limits.Beside);
                return await ReviseAsync(action, presented, wish, by, told, limit.Token).ConfigureAwait(false);
            }
            catch (ShapeException e)
            {
                return new Edited.Refused(ReasonCodes.EditChangesShape, e.Message);
            }
            catch (BesideException e)
            {
                return new Edited.Refused(ReasonCodes.EditNotPossible, $"what it answers can not be compared beside the session: {e.Message}");
            }
            catch (Exception e) when (e is DesyncException or IOException or OperationCanceledException or WireException or NpgsqlException or TimeoutException)
            {
                return new Edited.Refused(ReasonCodes.EditNotPossible, "the target did not answer in time");
            }
        }
    }

    /// <summary>
    /// What a human wrote in place of the held statement, understood as the held one was: same parser, catalogue, path, role and settings,
    /// on the flow of the session, which is idle at the target meanwhile. It must be one plain statement of the same kind, with the
    /// parameters that the client has bound and the columns that it expects.
    /// </summary>
    private async Task<Edited> ReviseAsync(GatewayAction held, Presented presented, EditWish wish, PrincipalRef by, Action<Review> told, CancellationToken ct)
    {
        var portal = presented.Portal;
        if (!IsExplainable(presented.Understood) || presented.Understood.Consequences.Any() || portal is { Statement.FromSql: true })
            return No("only one SELECT, INSERT, UPDATE, DELETE or MERGE, sent by itself, can be edited");
        if (presented.Understood.Display != presented.Text) return No("it holds a secret that is shown to nobody, and so can not be edited");
        if (uncommittedDdl) return No("the open transaction has changed definitions that nobody else sees yet");
        if (Encoding.UTF8.GetByteCount(wish.Statement) > services.Wire.FrontendBytes) return new Edited.Refused(ReasonCodes.TooLarge, "the statement is too long");
        if (wish.Statement.Contains('\0')) return new Edited.Refused(ReasonCodes.Unparseable, "the statement holds a NUL");

        stateIsStale = true;
        await FreshenAsync().ConfigureAwait(false);
        if (stateIsStale) return No("the session's state could not be read");
        var understood = await UnderstandAsync(wish.Statement, fresh: true).ConfigureAwait(false);
        if (understood.Refusal is { } refusal) return new Edited.Refused(refusal.Reason, refusal.Message);
        var kind = presented.Understood.Statements[0].Kind;
        if (!IsExplainable(understood) || understood.Statements[0].Kind != kind) return new Edited.Refused(ReasonCodes.EditChangesShape, $"it has to stay one {kind.ToString().ToUpperInvariant()} statement");
        if (understood.Consequences.Any()) return No("an edit may not change the session");
        if (understood.Display != wish.Statement) return No("an edit may not hold a secret: nobody could see what is approved");

        var bound = presented.Values ?? portal?.Bind.Parameters.ToArray() ?? [];
        var values = bound.ToArray();
        foreach (var (position, text) in wish.Values)
        {
            if (position < 1 || position > values.Length) return new Edited.Refused(ReasonCodes.EditChangesShape, $"it has no parameter ${position}");
            if (text?.Contains('\0') == true) return No($"the value of ${position} holds a NUL");
            values[position - 1] = new BoundParameter(WireFormat.Text, text is null ? (ReadOnlyMemory<byte>?)null : Encoding.UTF8.GetBytes(text)); // null is not the empty value (P25)
        }

        if (wish.Statement == presented.Text && wish.Values.Count == 0) return No("nothing is changed");
        await CompareAsync(presented.Text, wish.Statement, TypesOf(portal), wish.Values, ct).ConfigureAwait(false);
        var next = presented with
        {
            Text = wish.Statement,
            Understood = understood,
            Values = portal is null ? null : values,
            Actors = held.Actors with { Editors = [.. held.Actors.Editors.Where(e => e.Id != by.Id), by] },
            Before = presented,
        };
        var action = Build(next, held.Notes) with { Intent = held.Intent };
        var successor = WaiterOf(action, next, told);
        edits[successor] = next;
        return new Edited.As(successor);

        static Edited.Refused No(string why) => new(ReasonCodes.EditNotPossible, why);
    }

    /// <summary>Throws where the two differ in what a client relies on. Both are parsed beside the session and never planned or run.</summary>
    private async Task CompareAsync(string before, string after, uint[] types, IReadOnlyDictionary<int, string?> values, CancellationToken ct)
    {
        using var place = await services.Catalog.BesideAsync(ct).ConfigureAwait(false);
        var beside = await Beside.OpenAsync(target, state, services.Limits, services.Wire, ct).ConfigureAwait(false);
        await using (beside.ConfigureAwait(false))
        {
            var old = await beside.DescribeAsync(before, types, ct).ConfigureAwait(false);
            var now = await beside.DescribeAsync(after, old.Types, ct).ConfigureAwait(false);
            if (!old.Types.SequenceEqual(now.Types)) throw new ShapeException("it has other parameters, or parameters of other types");
            if ((old.Columns is null) != (now.Columns is null)) throw new ShapeException(old.Columns is null ? "it answers rows, and the client expects none" : "it answers no rows, and the client expects some");
            if (old.Columns is { } columns && !columns.SequenceEqual(now.Columns!)) throw new ShapeException($"it answers other columns; they have to stay {string.Join(", ", columns.Select(static c => VisibleText.Of(c.Name, multiline: false)))}, with their types");
            foreach (var (position, text) in values)
            {
                var type = old.Types[position - 1];
                if (type >= FirstUserOid) throw new BesideException($"${position} is of a type that is not built in");
                if (text is not null) await beside.ReadAsync(position, type, text, ct).ConfigureAwait(false);
            }
        }
    }

    /// <summary>What was released, where a human had edited it: what to forward, once the client has been told. Null: what the client sent.</summary>
    private async Task<Presented?> EditedAsync(Ruling ruling)
    {
        if (ruling is not Ruling.Forward { Passage.Action: { } released } || edits.FirstOrDefault(e => e.Key.Action.Id == released.Id) is not { Key: not null, Value: var edited }) return null;

        // What is forwarded is what was approved, byte for byte, whatever went before (I3, P20).
        if (!released.Payload.Bytes.Span.SequenceEqual(Encoding.UTF8.GetBytes(edited.Text))) throw new DesyncException("what was approved is not what would be sent");
        await relay.WriteClientAsync(Notice("", $"what runs now is what {Editors(released.Actors.Editors.Select(static e => e.Name))} made of it: {Cut(edited.Understood.Display)}", ReasonCodes.ReviewEdited, $"review={((Ruling.Forward)ruling).Passage.Review}")).ConfigureAwait(false);
        return edited;
    }

    /// <summary>Tells the client that a human wants something else in place of what it sent.</summary>
    private byte[] EditNotice(Review review)
    {
        var edit = review.Edit!;
        var changed = review.Parameters.Select((p, i) => (p, i)).Where(x => x.i >= edit.Parameters.Count || edit.Parameters[x.i] != x.p)
            .Select(static x => $"${x.i + 1} = {(x.p.Text is { } text ? $"'{VisibleText.Of(text, multiline: false)}'" : "NULL")}").ToArray();
        return Notice($"nothing of what you sent runs{(edit.Comment is { Length: > 0 } comment ? $"; `{edit.By.Name}` says: {Cut(comment)}" : "")}. The answer has the same columns; a cancel withdraws it.",
            $"{Editors([edit.By.Name])} has changed what you asked, and it waits for review {review.Id}: {Cut(review.Statement)}{(changed.Length > 0 ? $" with {Cut(string.Join(", ", changed))}" : "")}", ReasonCodes.ReviewEdited, $"review={review.Id} was={edit.From}");
    }

    private byte[] Notice(string hint, string message, string reason, string detail)
    {
        var output = new ArrayBufferWriter<byte>(512);
        BackendWriter.WriteReport(output, new Report(ReportSeverity.Notice, SqlStates.SuccessfulCompletion, $"countersign: {message}", $"reason={reason} {detail}", hint.Length == 0 ? null : hint), services.Wire);
        return output.WrittenSpan.ToArray();
    }

    private static string Editors(IEnumerable<string> names) => string.Join(" and ", names.Select(static n => $"`{n}`"));

    /// <summary>For a notice: an agent reads the whole of it on the card, or does without.</summary>
    private static string Cut(string text)
    {
        var line = VisibleText.Of(text, multiline: false);
        return line.Length <= 1000 ? line : string.Concat(line.AsSpan(0, 1000), " ⟦cut⟧");
    }

    /// <summary>
    /// In place of the client's Bind: a statement of our own with the edited text, bound to the client's own portal with the client's own
    /// result formats, so that what it sends on about that portal finds it. Its prepared statement stays what it was. False: the target had failed.
    /// </summary>
    private bool ForwardEdited(Portal portal, Presented edited, Owed owed)
    {
        if (!relay.TryExpect(new Owed(OwedKind.Close) { Swallow = true, ShowError = true })) return false;
        FrontendWriter.WriteClose(Target.Output, NamedKind.Statement, EditName);
        if (!relay.TryExpect(new Owed(OwedKind.Parse) { Swallow = true, ShowError = true })) return false;
        FrontendWriter.WriteParse(Target.Output, EditName, edited.Text, TypesOf(portal));
        editIsOpen = true;
        if (!relay.TryExpect(owed)) return false;
        FrontendWriter.WriteBind(Target.Output, portal.Name, EditName, edited.Values, portal.Bind.ResultFormats);
        return true;
    }

    /// <summary>Before a Sync: what was prepared for an edit goes; a portal that was made from it keeps its plan.</summary>
    private void CloseEdit()
    {
        if (!editIsOpen || relay.BatchFailed || !relay.TryExpect(new Owed(OwedKind.Close) { Swallow = true, ShowError = true, OnDone = () => editIsOpen = false })) return;
        FrontendWriter.WriteClose(Target.Output, NamedKind.Statement, EditName);
    }
}

/// <summary>The edit would answer something else than the client expects.</summary>
internal sealed class ShapeException(string why) : Exception(why);
