using Countersign.Core;
using Countersign.Identity;

namespace Countersign.Reviews;

/// <summary>What a human wants in place of what was asked.</summary>
/// <param name="Statement">The whole statement.</param>
/// <param name="Values">Bound values that differ, as text, by position from 1; null is SQL NULL.</param>
/// <param name="Comment">Why; the agent and the journal see it.</param>
public sealed record EditWish(string Statement, IReadOnlyDictionary<int, string?> Values, string? Comment);

/// <summary>What the protocol makes of a wish.</summary>
public abstract record Edited
{
    private Edited() { }

    /// <summary>The connection, waiting for the new action, with its editor in the actor chain.</summary>
    public sealed record As(Waiter Successor) : Edited;

    public sealed record Refused(string ReasonCode, string Message) : Edited;
}

/// <summary>What became of an edit; the review is the new one where it was accepted.</summary>
public sealed record EditResult(string ReasonCode, string Message, Review? Review)
{
    public bool Accepted => ReasonCode == ReasonCodes.ReviewEdited;
}

/// <summary>An edit on its way to the connection that holds: carried out there, since that alone knows its session.</summary>
internal sealed class EditRequest(UserEntry user, string channel, EditWish wish)
{
    private readonly TaskCompletionSource<EditResult> result = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int claimed;

    public UserEntry User { get; } = user;
    public string Channel { get; } = channel;
    public EditWish Wish { get; } = wish;
    public Task<EditResult> Result => result.Task;

    /// <summary>Once: by who carries it out, just before he does, or by who has waited long enough for it. So no edit happens that its editor was told had not.</summary>
    public bool TryClaim() => Interlocked.Exchange(ref claimed, 1) == 0;

    public void End(EditResult end) => result.TrySetResult(end);
}
