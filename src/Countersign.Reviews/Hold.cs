using Countersign.Core;

namespace Countersign.Reviews;

/// <summary>Why a waiter stops waiting before the review has ended.</summary>
public enum LeaveReason
{
    /// <summary>The client cancelled on purpose: the review is withdrawn when nobody else waits.</summary>
    Cancelled,

    /// <summary>The connection was lost: the review is detached.</summary>
    Lost,

    /// <summary>The protocol's hold limit: the agent is told `review-pending`, the review is detached.</summary>
    HoldLimit,

    /// <summary>The gateway stops.</summary>
    ShuttingDown,
}

/// <summary>What re-deriving an action at release gave.</summary>
public abstract record Rederived
{
    private Rederived() { }

    public sealed record As(GatewayAction Action) : Rederived;
    public sealed record Refused(string ReasonCode, string Message) : Rederived;
}

/// <summary>
/// One connection that holds for a review. The protocol makes it, watches its client, and calls <see cref="Leave"/>;
/// the first reason counts.
/// </summary>
/// <param name="action">The action as it was presented.</param>
/// <param name="deriveAfresh">See <see cref="DeriveAfresh"/>.</param>
/// <param name="told">See <see cref="Told"/>. One that throws has lost its client.</param>
public sealed class Waiter(GatewayAction action, Func<ValueTask<Rederived>> deriveAfresh, Action<Review> told)
{
    private readonly Lock gate = new();
    private TaskCompletionSource wake = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private LeaveReason? left;
    private Waiter? successor;
    private EditRequest? edit;
    private bool editsAreOver;

    public GatewayAction Action { get; } = action;

    /// <summary>Canonical form of the action, computed once: what is compared is what was presented.</summary>
    public byte[] Canonical { get; } = action.ToCanonical();

    /// <summary>Understands the very same message again, with the catalogue and settings of now (I5).</summary>
    public Func<ValueTask<Rederived>> DeriveAfresh { get; } = deriveAfresh;

    /// <summary>Tells the client about the review: when it opens or is joined, and when its requirements change.</summary>
    public Action<Review> Told { get; } = told;

    /// <summary>
    /// Makes of the held message what a human wants to be held in its place, under the same session: the waiter of that. Called by the
    /// desk only while it waits, never beside <see cref="DeriveAfresh"/>. Null: this protocol, or this message, can not be edited.
    /// </summary>
    public Func<EditWish, PrincipalRef, ValueTask<Edited>>? Edit { get; init; }

    public LeaveReason? Left
    {
        get
        {
            lock (gate) return left;
        }
    }

    /// <summary>Whoever leaves what was edited leaves what became of it.</summary>
    public void Leave(LeaveReason reason)
    {
        Waiter? next;
        lock (gate)
        {
            left ??= reason;
            wake.TrySetResult();
            next = successor;
        }

        next?.Leave(reason);
    }

    /// <summary>From now on whoever leaves this one leaves that one too; one that has left already has.</summary>
    internal void IsFollowedBy(Waiter next)
    {
        LeaveReason? gone;
        lock (gate) (successor, gone) = (next, left);
        if (gone is { } reason) next.Leave(reason);
    }

    /// <summary>False: another edit is under way, or the wait is over.</summary>
    internal bool TryAsk(EditRequest request)
    {
        lock (gate)
        {
            if (edit is not null || editsAreOver) return false;
            edit = request;
            wake.TrySetResult();
            return true;
        }
    }

    internal EditRequest? TakeEdit()
    {
        lock (gate)
        {
            var taken = edit;
            edit = null;
            return taken;
        }
    }

    /// <summary>Nobody waits here any more: who asked for an edit is told so.</summary>
    internal void EndEdits()
    {
        EditRequest? left;
        lock (gate) (left, edit, editsAreOver) = (edit, null, true);
        left?.End(new EditResult(ReasonCodes.ReviewClosed, "the review was over before it could be edited", null));
    }

    internal void Wake()
    {
        lock (gate) wake.TrySetResult();
    }

    /// <summary>Completes at the next wake since the last call; a wake in between is not lost.</summary>
    internal async Task NextAsync()
    {
        Task task;
        lock (gate) task = wake.Task;
        await task.ConfigureAwait(false);
        lock (gate)
        {
            if (left is null) wake = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }
}

/// <summary>How a hold ended.</summary>
public abstract record HoldEnd
{
    private HoldEnd() { }

    /// <summary>
    /// The clearance: consumed already, in the same transaction as its entry, for exactly <see cref="Action"/>. Forward it
    /// now, once, and record its outcome.
    /// </summary>
    public sealed record Released(Review Review, GatewayAction Action) : HoldEnd;

    public sealed record Refused(string ReasonCode, string Message, Review? Review) : HoldEnd;
}
