using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;

namespace Countersign.Reviews;

/// <summary>What one human may say to one review, now.</summary>
/// <param name="Eligible">Everybody who may say yes to it, in whatever stage.</param>
/// <param name="CannotApprove">Why this human may not, as a reason code with a sentence; null when he may.</param>
/// <param name="CanDeny">Whether he may say no.</param>
public sealed record Voice(IReadOnlyList<UserEntry> Eligible, AnswerResult? CannotApprove, bool CanDeny);

public sealed partial class ReviewDesk
{
    /// <summary>Who sees everything, who may approve it or break its glass, who answered it, those in whose name it is done; of a broken one, security.</summary>
    public bool MaySee(UserEntry user, bool seesAll, Review review) =>
        seesAll
        || review.IsActor(user.Ref.Id)
        || review.Answers.Any(a => a.User == user.Ref.Id)
        || Eligible(review).Any(u => u.Ref.Id == user.Ref.Id)
        || (review.GlassBrokenBy is not null && IsSecurity(user))
        || MayBreakGlass(user, review);

    /// <summary>What a human may say on a channel; promises nothing, since the answer itself is checked again.</summary>
    public Voice VoiceOf(UserEntry user, Review review, string channel)
    {
        var eligible = Eligible(review);
        if (!review.IsOpen) return new Voice(eligible, new AnswerResult(ReasonCodes.ReviewClosed, $"the review is {review.State.ToString().ToLowerInvariant()} already", review), false);
        var now = time.GetUtcNow();
        if (review.HasRunOut(now, limits.Detached)) return new Voice(eligible, RunOut(review), false);
        var approve = Refuse(review, user, AnswerKind.Approve, channel, null, null, now);
        var deny = Refuse(review, user, AnswerKind.Deny, channel, null, null, now);
        return new Voice(eligible, approve is null or ReasonCodes.JustificationRequired ? null : Refusal(approve, review, user), deny is null);
    }

    /// <summary>
    /// What the target's planner expects of a review has come. The first counts; one that is over needs none. Never throws: without
    /// an estimate a review is as good as before.
    /// </summary>
    public async Task EstimatedAsync(ReviewId id, Estimate estimate)
    {
        try
        {
            while (store.FindOpen(id) is { Review.Estimate: null } current)
            {
                var next = current.Review with { Estimate = estimate };
                if ((await WriteAsync(next, ReviewStore.Open, current.Version, ReviewEntries.Estimated(next, estimate)).ConfigureAwait(false)).Status != WriteStatus.Conflict) return;
            }
        }
        catch (JournalStoreException)
        {
            // The card says that there is no estimate.
        }
    }

    /// <summary>Whether a yes of this human would be the last that is needed, as things stand now.</summary>
    public bool WouldBeEnough(Review review, UserEntry user, string channel, string? comment)
    {
        var now = time.GetUtcNow();
        var with = review with { Answers = [.. review.Answers, new Answer(user.Ref.Id, user.Ref.Name, AnswerKind.Approve, channel, now, comment, "")] };
        return Tally(with, with.Requirements, now, user.Ref.Id).Progress.IsMet;
    }
}
