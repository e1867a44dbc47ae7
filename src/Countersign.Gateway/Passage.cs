using Countersign.Core;
using Countersign.Journal;
using Countersign.Reviews;

namespace Countersign.Gateway;

/// <summary>
/// The right to forward one action, once. The protocol forwards exactly <see cref="Action"/>'s payload and then calls
/// <see cref="CompleteAsync"/> once; a passage that is dropped instead is found unknown at the next start.
/// </summary>
public sealed class Passage
{
    private readonly JournalAppender journal;
    private readonly ReviewDesk desk;
    private readonly TimeProvider time;
    private readonly long started;
    private readonly System.Diagnostics.Activity? span;
    private int completed;

    internal Passage(GatewayAction action, ReviewId? review, JournalAppender journal, ReviewDesk desk, TimeProvider time)
    {
        Action = action;
        Review = review;
        this.journal = journal;
        this.desk = desk;
        this.time = time;
        started = time.GetTimestamp();
        span = SpineTelemetry.StartForward();
    }

    public GatewayAction Action { get; }

    /// <summary>The review that released it, where one did.</summary>
    public ReviewId? Review { get; }

    /// <summary>
    /// Records how it ended. For a reviewed action this waits until the outcome is durable, so that who sees the result
    /// can also see it journalled; for others it may be written just behind.
    /// </summary>
    public async ValueTask CompleteAsync(OutcomeStatus status, long? rows, long bytes, string? errorCode)
    {
        if (Interlocked.Exchange(ref completed, 1) != 0) return;
        var outcome = new Outcome(status, rows, bytes, time.GetElapsedTime(started), errorCode);
        SpineTelemetry.Forwarded(Action, outcome);
        span?.SetTag("countersign.status", outcome.Status.ToString().ToLowerInvariant());
        span?.Dispose();
        using var recording = SpineTelemetry.StartOutcome(span);
        if (Review is { } review)
        {
            await desk.RecordOutcomeAsync(review, Action.Id, outcome).ConfigureAwait(false);
            return;
        }

        // An outcome is no permission to act: losing the last 100 ms of them in a crash shows as `unknown`, never as `done`.
        await journal.WriteBehindAsync(ReviewEntries.OutcomeOf(Action.Id, null, Action.Actors.Agent.Id, Action.Target, outcome)).ConfigureAwait(false);
    }
}
