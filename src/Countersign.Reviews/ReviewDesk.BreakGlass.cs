using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;

namespace Countersign.Reviews;

public sealed partial class ReviewDesk
{
    private const string Aftermaths = "aftermaths";

    /// <summary>The group that is told of a broken glass and may close what follows it; null: none.</summary>
    public string? SecurityGroup { get; init; }

    /// <summary>Reviews after the fact, newest first.</summary>
    public IReadOnlyList<Aftermath> ListAftermaths() => reader.List(Aftermaths).Select(static d => Aftermath.FromBytes(d.Value)).OrderByDescending(static a => a.OpenedAt).ToArray();

    /// <summary>Whether this human is told of a broken glass whatever else he is.</summary>
    public bool IsSecurity(UserEntry user) => SecurityGroup is { } group && user.Groups.Contains(group);

    /// <summary>Whether this human could release this open review at once on some channel of this build.</summary>
    public bool MayBreakGlass(UserEntry user, Review review) =>
        review.IsOpen && !IsBarred(user.Ref.Id, review) && Channels.Any(c => policy.MayBreakGlass(Voices(review).Alone(user), review, c));

    /// <summary>Whether this human could break the glass of this review now, here, with a reason. Promises nothing.</summary>
    public bool CanBreakGlass(UserEntry user, Review review, string channel)
    {
        var now = time.GetUtcNow();
        return review.State == ReviewState.Pending && !review.HasRunOut(now, limits.Detached) && Refuse(review, user, AnswerKind.BreakGlass, channel, "why", null, now) is null;
    }

    /// <summary>Security, who sees everything, those whom it concerns, and who could have approved the action.</summary>
    public bool MaySee(UserEntry user, bool seesAll, Aftermath aftermath) =>
        IsSecurity(user) || seesAll || aftermath.Concerns(user.Ref.Id)
        || (store.Find(aftermath.Review) is { } review && Eligible(review).Any(u => u.Ref.Id == user.Ref.Id));

    /// <summary>Why this human may not close what follows a broken glass, or null.</summary>
    public AnswerResult? CannotClose(Aftermath aftermath, UserEntry user, string channel)
    {
        var review = store.Find(aftermath.Review);
        if (aftermath.ClosedAt is not null) return new AnswerResult(ReasonCodes.ReviewClosed, "it is closed already", review);
        if (user.Ref.Kind != PrincipalKind.User) return new AnswerResult(ReasonCodes.NotHuman, "only humans decide", review);
        if (users.Find(user.Ref.Id) is not { } known) return new AnswerResult(ReasonCodes.NotEligible, "you are no user here", review);
        if (aftermath.Concerns(known.Ref.Id)) return new AnswerResult(ReasonCodes.SelfApproval, "who broke the glass, or is behind the agent, does not judge it", review);
        return IsSecurity(known) || (review is not null && policy.MayApprove(Voices(review).Alone(known), review, channel))
            ? null
            : new AnswerResult(ReasonCodes.NotEligible, "those who could have approved it close it, and the security group", review);
    }

    /// <summary>Who broke the glass of this review and may still, or null: it is asked afresh at the release (I5), in the groups that he is in now (P33).</summary>
    private OpaqueId? GlassStands(Review review)
    {
        if (review.GlassBrokenBy is not { } by || IsBarred(by, review) || users.FindFresh(by) is not { } user) return null;
        var answer = review.Answers.LastOrDefault(a => a.User == by && a.Kind == AnswerKind.BreakGlass);
        return answer is not null && IsProven(answer, review.Requirements) && policy.MayBreakGlass(Voices(review).Alone(user), review, answer.Channel) ? by : null;
    }

    /// <summary>
    /// Closes a review after the fact: by a human who neither broke the glass nor is behind the agent, of the security group
    /// or such that he could have approved it, in his own right. Never throws.
    /// </summary>
    public async Task<AnswerResult> CloseAftermathAsync(ReviewId id, UserEntry user, string channel, bool justified, string finding)
    {
        try
        {
            while (true)
            {
                if (reader.Get(Aftermaths, id.Value) is not { } document) return new AnswerResult(ReasonCodes.ReviewUnknown, $"the glass of `{id}` was not broken", null);
                var aftermath = Aftermath.FromBytes(document.Value);
                var review = store.Find(id);
                if (CannotClose(aftermath, user, channel) is { } cannot) return cannot;
                if (string.IsNullOrWhiteSpace(finding)) return new AnswerResult(ReasonCodes.JustificationRequired, "say what you found", review);
                if (finding.Length > limits.CommentLength) return new AnswerResult(ReasonCodes.TooLarge, "the finding is too long", review);
                var closed = aftermath with { ClosedAt = time.GetUtcNow(), ClosedBy = user.Ref, Finding = finding, Justified = justified };
                var result = await journal.WriteAsync(new WriteSet([ReviewEntries.AftermathClosed(closed)],
                    [new StateChange.Put(Aftermaths, id.Value, document.Version, null, closed.ToBytes())])).ConfigureAwait(false);
                if (result.Status == WriteStatus.Committed)
                {
                    if (review is not null) feed.Publish(review);
                    return new AnswerResult(ReasonCodes.ReviewClosed, "closed", review);
                }

                if (result.Status == WriteStatus.Unavailable) return new AnswerResult(ReasonCodes.JournalUnavailable, "the journal can not be written, and it is still open", review);
            }
        }
        catch (JournalStoreException)
        {
            return new AnswerResult(ReasonCodes.JournalUnavailable, "the store can not be read; try again", null);
        }
    }
}
