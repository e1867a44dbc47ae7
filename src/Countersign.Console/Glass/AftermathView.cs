using Countersign.Core;
using Countersign.Pages.Layout;
using Countersign.Reviews;

namespace Countersign.Pages.Glass;

/// <summary>A broken glass, as its page tells it.</summary>
/// <param name="Aftermath">What was done and found.</param>
/// <param name="Review">The review that was gone around; null where it is no longer kept.</param>
/// <param name="Cannot">Why the reader may not close it, in a sentence; null when he may.</param>
/// <param name="Comment">What he had written, so that a refusal does not cost his words.</param>
public sealed record AftermathView(Aftermath Aftermath, Review? Review, string? Cannot, string? Comment = null)
{
    public static AftermathView Of(Aftermath aftermath, ReviewDesk desk, Reader reader) =>
        new(aftermath, desk.Find(aftermath.Review), aftermath.ClosedAt is not null ? "" : desk.CannotClose(aftermath, reader.User, reader.Channel) is { } why ? Say(why, aftermath, reader) : null);

    private static string Say(AnswerResult why, Aftermath aftermath, Reader reader) => why.ReasonCode switch
    {
        ReasonCodes.SelfApproval when aftermath.BrokenBy.Id == reader.User.Ref.Id => "You broke it, so somebody else says what he found.",
        ReasonCodes.SelfApproval => "It was done in your name, so somebody else says what he found.",
        _ => $"{Words.Capital(why.Message)}.",
    };
}
