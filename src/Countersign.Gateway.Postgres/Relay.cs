using System.Buffers;
using Countersign.Core;
using Countersign.PgWire;

namespace Countersign.Gateway.Postgres;

/// <summary>What the target owes an answer to.</summary>
internal enum OwedKind
{
    Parse,
    Bind,
    Close,
    DescribeStatement,
    DescribePortal,
    Execute,
    Sync,
    Query,

    /// <summary>An answer of the gateway's own, due when all before it has been answered.</summary>
    Own,
}

/// <summary>One answer owed, in the order of the questions.</summary>
internal sealed class Owed(OwedKind kind)
{
    public OwedKind Kind { get; } = kind;

    /// <summary>The action that this message carries out.</summary>
    public Passage? Passage { get; init; }

    /// <summary>Of an Execute: the run of its portal that it begins or goes on with, <see cref="Passage"/> among it.</summary>
    public PortalRun? Run { get; init; }

    /// <summary>Of a Bind or Close: ends the portal of this name, and with it a run that was suspended.</summary>
    public string? Ends { get; init; }

    /// <summary>The gateway asked for itself: the client sees nothing of the answer.</summary>
    public bool Swallow { get; init; }

    /// <summary>Swallowed, but an error of it is the client's to see: it failed the client's batch.</summary>
    public bool ShowError { get; init; }

    /// <summary>Bytes that the client gets in place of the target's error (a refusal), or as the gateway's own answer.</summary>
    public byte[]? Bytes { get; init; }

    /// <summary>Rows of a swallowed answer.</summary>
    public Action<string?[]>? OnRow { get; init; }

    /// <summary>Parameter types of a swallowed description.</summary>
    public Action<uint[]>? OnTypes { get; init; }

    /// <summary>Called when it was carried out.</summary>
    public Action? OnDone { get; init; }

    /// <summary>Called when it failed or was skipped.</summary>
    public Action? OnFailed { get; init; }

    public long? Rows { get; set; }
    public long SeenRows { get; set; }
    public long AnswerBytes { get; set; }
    public string? ErrorCode { get; set; }
}

/// <summary>
/// One execution of a portal, which may take several Executes with a row limit each. It ends when the target says that it
/// is complete or failed, or with its portal; only then is its outcome known. Touched by the relay alone.
/// </summary>
internal sealed class PortalRun(string portal, Passage passage, bool onlyReads)
{
    public string Portal { get; } = portal;
    public Passage Passage { get; } = passage;

    /// <summary>Rows that came in Executes before this one.</summary>
    public long Rows { get; set; }
    public long Bytes { get; set; }

    /// <summary>Its portal ended before it was read to the end. What it wrote was written at its first Execute, and how much of that was never told.</summary>
    public ValueTask ClosedAsync() => Passage.CompleteAsync(OutcomeStatus.Done, onlyReads ? Rows : null, Bytes, null);
}

/// <summary>The two sides no longer agree on what is being answered: the session ends, nothing is guessed (I1).</summary>
internal sealed class DesyncException(string message) : Exception(message);

/// <summary>
/// Carries the target's answers to the client, knowing for each what it answers. It recovers from errors as the server
/// does (discard until Sync, P8), completes passages, and puts the gateway's own answers where they belong.
/// </summary>
internal sealed class Relay(Transport upstream, Transport client, SemaphoreSlim clientLock, PgWireLimits limits, Action<string, string> onParameter)
{
    private readonly Lock gate = new();
    private readonly Queue<Owed> owed = new();
    private readonly FrameReader frames = FrameReader.Backend(limits);
    private readonly List<TaskCompletionSource> drains = [];
    private readonly List<PortalRun> suspended = [];
    private bool batchFailed;
    private Exception? ended;
    private long sent;
    private long seen;
    private long lastIdle;
    private CancellationToken stop;
    private int passThrough;
    private bool passVisible;

    /// <summary>As of the last ReadyForQuery.</summary>
    public TransactionStatus Transaction { get; private set; } = TransactionStatus.Idle;

    /// <summary>True when the target reported an error since the last Sync: it ignores everything until the next.</summary>
    public bool BatchFailed
    {
        get
        {
            lock (gate) return batchFailed;
        }
    }

    /// <summary>How many ReadyForQuery the target was asked for so far.</summary>
    public long Sent
    {
        get
        {
            lock (gate) return sent;
        }
    }

    /// <summary>The number of the last ReadyForQuery that came outside a transaction: what was bound before it is gone.</summary>
    public long LastIdle
    {
        get
        {
            lock (gate) return lastIdle;
        }
    }

    /// <summary>A message of the target's is half told: nothing else can be said to the client.</summary>
    public bool InMiddleOfRow => passThrough > 0;

    /// <summary>Called after each ReadyForQuery.</summary>
    public Action? OnReady { get; set; }

    /// <summary>
    /// Announces a message that is about to be written to the target. False when the target ignores it because of an
    /// earlier error: then it must not be written, and has failed.
    /// </summary>
    public bool TryExpect(Owed next)
    {
        lock (gate)
        {
            if (ended is not null) throw new DesyncException("the target is gone");
            // Only Sync ends the discarding; a Query before it is discarded like anything else (§54.2.3).
            if (next.Kind == OwedKind.Sync) batchFailed = false;
            if (!batchFailed)
            {
                if (next.Kind is OwedKind.Sync or OwedKind.Query) sent++;
                owed.Enqueue(next);
                return true;
            }
        }

        next.OnFailed?.Invoke();
        return false;
    }

    /// <summary>Waits until nothing is owed. The caller has flushed, and has sent Flush or Sync where the target needs it.</summary>
    public Task DrainAsync()
    {
        lock (gate)
        {
            if (ended is not null) return Task.FromException(new DesyncException("the target is gone"));
            if (owed.Count == 0) return Task.CompletedTask;
            var drain = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            drains.Add(drain);
            return drain.Task;
        }
    }

    /// <summary>Queues an answer of the gateway's own behind what is owed, or writes it now.</summary>
    public async Task AnswerAsync(byte[] bytes)
    {
        lock (gate)
        {
            if (batchFailed) return;
            if (owed.Count > 0)
            {
                owed.Enqueue(new Owed(OwedKind.Own) { Bytes = bytes });
                return;
            }
        }

        await WriteClientAsync(bytes).ConfigureAwait(false);
    }

    public async Task WriteClientAsync(ReadOnlyMemory<byte> bytes)
    {
        await clientLock.WaitAsync(stop).ConfigureAwait(false);
        try
        {
            await client.Output.WriteAsync(bytes, stop).ConfigureAwait(false);
        }
        finally
        {
            clientLock.Release();
        }
    }

    /// <summary>Runs until the target closes. Outcomes that were still owed are unknown then, never failed (P23).</summary>
    public async Task RunAsync(CancellationToken ct)
    {
        Exception? cause = null;
        stop = ct;
        try
        {
            while (await PumpAsync(ct).ConfigureAwait(false))
            {
            }
        }
        catch (Exception e)
        {
            cause = e;
            throw;
        }
        finally
        {
            await EndAsync(cause ?? new DesyncException("the target closed the connection")).ConfigureAwait(false);
        }
    }

    private async ValueTask<bool> PumpAsync(CancellationToken ct)
    {
        var result = await upstream.Input.ReadAsync(ct).ConfigureAwait(false);
        var buffer = result.Buffer;
        await clientLock.WaitAsync(ct).ConfigureAwait(false);
        try
        {
            while (!buffer.IsEmpty)
            {
                if (passThrough > 0)
                {
                    Pass(ref buffer);
                    continue;
                }

                var status = frames.TryReadHeader(buffer, out var header, out var fault);
                if (status == FrameStatus.NeedMore) break;
                if (status != FrameStatus.Ok) throw new WireException(fault, status == FrameStatus.TooLarge);
                if (header.Tag == BackendTag.DataRow && StartRow(header)) continue;
                if (frames.TryReadFrame(ref buffer, out var frame, out fault) != FrameStatus.Ok) break;
                await HandleAsync(frame).ConfigureAwait(false);
            }

            upstream.Input.AdvanceTo(buffer.Start, result.Buffer.End);
            await client.Output.FlushAsync(ct).ConfigureAwait(false);
        }
        finally
        {
            clientLock.Release();
        }

        return !result.IsCompleted;
    }

    /// <summary>A row passes by its header alone, however long it is. False when the gateway wants to read it itself.</summary>
    private bool StartRow(FrameHeader header)
    {
        var head = Head("DataRow");
        if (head.Kind is not (OwedKind.Execute or OwedKind.Query)) throw new DesyncException("a row that answers nothing");
        if (head.OnRow is not null) return false;
        head.AnswerBytes += header.TotalLength;
        head.SeenRows++;
        passThrough = header.TotalLength;
        passVisible = !head.Swallow;
        return true;
    }

    private void Pass(ref ReadOnlySequence<byte> buffer)
    {
        var take = Math.Min(passThrough, buffer.Length);
        if (passVisible) Copy(buffer.Slice(0, take));
        buffer = buffer.Slice(take);
        passThrough -= (int)take;
    }

    private async ValueTask HandleAsync(Frame frame)
    {
        switch (frame.Tag)
        {
            case BackendTag.Notice:
            case BackendTag.Notification:
                Copy(frame.Whole);
                return;
            case BackendTag.ParameterStatus:
                if (!ParameterStatus.TryRead(frame.Body, out var status, out var fault)) throw new WireException(fault, false);
                onParameter(status.Name.ToString(), status.Value.ToString());
                Copy(frame.Whole);
                return;
            case BackendTag.Error:
                await ErrorAsync(frame).ConfigureAwait(false);
                return;
            case BackendTag.CopyIn or BackendTag.CopyOut or BackendTag.CopyBoth:
                throw new DesyncException("the target started a copy that nobody asked for");
            case BackendTag.ReadyForQuery:
                await ReadyAsync(frame).ConfigureAwait(false);
                return;
        }

        var head = Head(((char)frame.Tag).ToString());
        head.AnswerBytes += frame.Header.TotalLength;
        if (!Answers(head, frame)) throw new DesyncException($"the target answered `{(char)frame.Tag}` to {head.Kind}");
        if (head.OnRow is not null && frame.Tag == BackendTag.DataRow) head.OnRow(ReadRow(frame));
        if (head.OnTypes is not null && frame.Tag == BackendTag.ParameterDescription && ParameterDescription.TryRead(frame.Body, out var types, out _)) head.OnTypes(types.Types.ToArray());
        if (frame.Tag == BackendTag.CommandComplete && CommandComplete.TryRead(frame.Body, out var complete, out _) && complete.Rows is { } rows) head.Rows = (head.Rows ?? 0) + rows;

        var ends = Ends(head, frame.Tag);
        if (ends && frame.Tag == BackendTag.PortalSuspended && head.Run is { } run) Suspend(head, run);
        else if (ends) await CompleteAsync(head).ConfigureAwait(false);
        if (ends && head.Ends is { } portal) await EndSuspendedAsync(portal).ConfigureAwait(false);
        if (!head.Swallow) Copy(frame.Whole);
        if (ends) Pop();
    }

    private void Suspend(Owed head, PortalRun run)
    {
        run.Rows += head.SeenRows;
        run.Bytes += head.AnswerBytes;
        if (!suspended.Contains(run)) suspended.Add(run);
        head.OnDone?.Invoke();
    }

    /// <summary>Portals that are gone will not be read on; null: all of them.</summary>
    private async ValueTask EndSuspendedAsync(string? portal)
    {
        for (var i = suspended.Count - 1; i >= 0; i--)
        {
            var run = suspended[i];
            if (portal is not null && run.Portal != portal) continue;
            suspended.RemoveAt(i);
            await run.ClosedAsync().ConfigureAwait(false);
        }
    }

    private static bool Answers(Owed head, Frame frame) => head.Kind switch
    {
        OwedKind.Parse => frame.Tag == BackendTag.ParseComplete,
        OwedKind.Bind => frame.Tag == BackendTag.BindComplete,
        OwedKind.Close => frame.Tag == BackendTag.CloseComplete,
        OwedKind.DescribeStatement => frame.Tag is BackendTag.ParameterDescription or BackendTag.RowDescription or BackendTag.NoData,
        OwedKind.DescribePortal => frame.Tag is BackendTag.RowDescription or BackendTag.NoData,
        OwedKind.Execute => frame.Tag is BackendTag.DataRow or BackendTag.CommandComplete or BackendTag.EmptyQuery or BackendTag.PortalSuspended,
        OwedKind.Query => frame.Tag is BackendTag.RowDescription or BackendTag.DataRow or BackendTag.CommandComplete or BackendTag.EmptyQuery,
        _ => false,
    };

    private static bool Ends(Owed head, byte tag) => head.Kind switch
    {
        OwedKind.DescribeStatement => tag != BackendTag.ParameterDescription,
        OwedKind.Execute => tag != BackendTag.DataRow,
        OwedKind.Query => false,
        _ => true,
    };

    private async ValueTask ReadyAsync(Frame frame)
    {
        if (!ReadyForQuery.TryRead(frame.Body, out var ready, out var fault)) throw new WireException(fault, false);
        var head = Head("ReadyForQuery");
        if (head.Kind is not (OwedKind.Sync or OwedKind.Query)) throw new DesyncException($"the target was ready while it owed an answer to {head.Kind}");
        Transaction = ready.Status;
        lock (gate)
        {
            seen++;
            if (ready.Status == TransactionStatus.Idle) lastIdle = seen;
        }

        if (head.Kind == OwedKind.Query) await CompleteAsync(head).ConfigureAwait(false);
        else head.OnDone?.Invoke();

        // Portals end with their transaction; and a simple query takes the unnamed one away.
        if (ready.Status == TransactionStatus.Idle) await EndSuspendedAsync(null).ConfigureAwait(false);
        else if (head.Kind == OwedKind.Query) await EndSuspendedAsync("").ConfigureAwait(false);
        if (!head.Swallow) Copy(frame.Whole);
        OnReady?.Invoke();
        Pop();
    }

    private async ValueTask ErrorAsync(Frame frame)
    {
        var code = ServerReport.TryRead(frame.Body, out var report, out _) ? report!.SqlState ?? SqlStates.InternalError : SqlStates.InternalError;
        Owed? head;
        List<Owed> failed = [];
        lock (gate)
        {
            owed.TryPeek(out head);
            if (head is not null)
            {
                head.AnswerBytes += frame.Header.TotalLength;
                head.ErrorCode = code;
                if (head.Kind is not (OwedKind.Query or OwedKind.Sync))
                {
                    // The server now ignores everything up to Sync (documentation §54.2.3), and so do we.
                    while (owed.TryPeek(out var next) && next.Kind != OwedKind.Sync) failed.Add(owed.Dequeue());
                    batchFailed = owed.Count == 0;
                }
            }
        }

        foreach (var one in failed)
        {
            one.ErrorCode ??= "skipped";
            one.OnFailed?.Invoke();
            if (one.Run is { } run && suspended.Contains(run))
            {
                // Skipped, the run is as it was, until its portal ends.
                if (one != head) continue;
                suspended.Remove(run);
            }

            if (one.Passage is { } passage) await passage.CompleteAsync(OutcomeStatus.Failed, null, one.AnswerBytes + (one.Run?.Bytes ?? 0), one.ErrorCode).ConfigureAwait(false);
        }

        if (head is { Swallow: true, ShowError: false })
        {
            if (head.Bytes is { } instead) client.Output.Write(instead);
        }
        else
        {
            Copy(frame.Whole);
        }

        SignalDrains();
    }

    private async ValueTask CompleteAsync(Owed done)
    {
        if (done.ErrorCode is null) done.OnDone?.Invoke();
        else done.OnFailed?.Invoke();
        if (done.Run is { } run)
        {
            // The server counts the rows of its last Execute only.
            suspended.Remove(run);
            done.Rows += run.Rows;
            done.AnswerBytes += run.Bytes;
        }

        if (done.Passage is { } passage)
        {
            await passage.CompleteAsync(done.ErrorCode is null ? OutcomeStatus.Done : OutcomeStatus.Failed, done.Rows, done.AnswerBytes, done.ErrorCode).ConfigureAwait(false);
        }
    }

    private Owed Head(string answer)
    {
        lock (gate) return owed.TryPeek(out var head) ? head : throw new DesyncException($"the target sent {answer} unasked");
    }

    private void Pop()
    {
        lock (gate)
        {
            owed.Dequeue();
            while (owed.TryPeek(out var next) && next.Kind == OwedKind.Own)
            {
                client.Output.Write(next.Bytes);
                owed.Dequeue();
            }
        }

        SignalDrains();
    }

    private void SignalDrains()
    {
        TaskCompletionSource[] waiting;
        lock (gate)
        {
            if (owed.Count > 0 || drains.Count == 0) return;
            waiting = drains.ToArray();
            drains.Clear();
        }

        foreach (var drain in waiting) drain.TrySetResult();
    }

    private async Task EndAsync(Exception cause)
    {
        Owed[] lost;
        TaskCompletionSource[] waiting;
        lock (gate)
        {
            ended = cause;
            lost = owed.ToArray();
            owed.Clear();
            waiting = drains.ToArray();
            drains.Clear();
        }

        foreach (var drain in waiting) drain.TrySetException(new DesyncException("the target is gone"));
        foreach (var run in suspended) if (Array.TrueForAll(lost, o => o.Run != run)) await run.ClosedAsync().ConfigureAwait(false);
        foreach (var one in lost)
        {
            if (one.Passage is { } passage) await passage.CompleteAsync(OutcomeStatus.Unknown, null, one.AnswerBytes, one.ErrorCode).ConfigureAwait(false);
        }
    }

    private void Copy(in ReadOnlySequence<byte> bytes)
    {
        foreach (var segment in bytes) client.Output.Write(segment.Span);
    }

    private static string?[] ReadRow(Frame frame)
    {
        if (!DataRow.TryRead(frame.Body.Span, out var row, out var fault)) throw new WireException(fault, false);
        var values = new string?[row.Columns];
        for (var i = 0; i < values.Length; i++)
        {
            if (row.TryNext(out var isNull, out var value)) values[i] = isNull ? null : System.Text.Encoding.UTF8.GetString(value);
        }

        return values;
    }
}
