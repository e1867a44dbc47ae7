using System.Security.Cryptography;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;

namespace Countersign.Reviews;

public sealed partial class ReviewDesk
{
    /// <summary>How long an editor waits for the connection that holds. 10 s: it asks the target twice, within three seconds each.</summary>
    public static readonly TimeSpan EditPatience = TimeSpan.FromSeconds(10);

    /// <summary>Times that an edit is tried against a review that others change meanwhile. 5: each needs somebody's click.</summary>
    private const int EditAttempts = 5;

    /// <summary>Whether this human may edit it now, as far as is known without trying.</summary>
    public bool MayEdit(UserEntry user, Review review, string channel) =>
        review.IsOpen && WaitersOf(review.Id) is [{ Edit: not null }] && RefuseEdit(review, user, channel, null, time.GetUtcNow()) is null;

    /// <summary>
    /// Makes another action of a held one: the review closes, another opens for what the editor wrote, with him in its actor chain, and
    /// the connection waits for that. Refused edits are journalled too. Never throws.
    /// </summary>
    public async Task<EditResult> EditAsync(ReviewId id, UserEntry user, string channel, EditWish wish)
    {
        using var span = ReviewTelemetry.Source.StartActivity("edit");
        try
        {
            await voices.FreshenAsync([user.Ref.Id]).ConfigureAwait(false);
            if (store.FindOpen(id) is not { } current) return Of(ClosedOrUnknown(id));
            if (current.Review.HasRunOut(time.GetUtcNow(), limits.Detached)) return Of(RunOut(current.Review));
            if (RefuseEdit(current.Review, user, channel, wish.Comment, time.GetUtcNow()) is { } refused) return await NotEditedAsync(current.Review, user, channel, wish, refused).ConfigureAwait(false);
            if (WaitersOf(id) is not [{ Edit: not null } waiter]) return await NotEditedAsync(current.Review, user, channel, wish, NotPossible(WaiterCount(id) switch
            {
                0 => "the agent has left, and an edited statement could be given to nobody",
                1 => "this kind of action can not be edited",
                _ => "several connections wait for it, and each has a session of its own",
            })).ConfigureAwait(false);

            var request = new EditRequest(user, channel, wish);
            if (!waiter.TryAsk(request)) return await NotEditedAsync(current.Review, user, channel, wish, NotPossible("somebody else is editing it")).ConfigureAwait(false);
            try
            {
                return await request.Result.WaitAsync(EditPatience, time).ConfigureAwait(false);
            }
            catch (TimeoutException) when (request.TryClaim())
            {
                return await NotEditedAsync(current.Review, user, channel, wish, NotPossible("the connection that holds did not answer in time; look at the review again")).ConfigureAwait(false);
            }
            catch (TimeoutException)
            {
                return await request.Result.ConfigureAwait(false);
            }
        }
        catch (JournalStoreException)
        {
            return new EditResult(ReasonCodes.JournalUnavailable, "the store can not be read, and nothing was edited; try again", null);
        }

        static EditResult Of(AnswerResult answer) => new(answer.ReasonCode, answer.Message, answer.Review);
    }

    private static EditResult NotPossible(string why) => new(ReasonCodes.EditNotPossible, why, null);

    private async Task<EditResult> NotEditedAsync(Review review, UserEntry user, string channel, EditWish wish, EditResult refused)
    {
        await journal.WriteAsync(new WriteSet([ReviewEntries.EditRefused(review, user.Ref.Id, channel, refused.ReasonCode, wish.Statement.Length > limits.StatementBytes / 8 ? "(too long to keep)" : wish.Statement)], [])).ConfigureAwait(false);
        return refused;
    }

    /// <summary>Who could approve it may edit it instead, where every policy that asks allows it; then he approves nothing of it.</summary>
    private EditResult? RefuseEdit(Review review, UserEntry user, string channel, string? comment, DateTimeOffset now)
    {
        if (!RequirementAlgebra.EditOf(review.Requirements)) return new EditResult(ReasonCodes.EditNotAllowed, "not every policy that asks for this review allows an edit", review);
        if (review.State != ReviewState.Pending) return NotPossible("it is approved already");
        return Refuse(review, user, AnswerKind.Approve, channel, comment, null, now) is { } reason and not ReasonCodes.JustificationRequired
            ? new EditResult(reason, Refusal(reason, review, user).Message, review)
            : null;
    }

    /// <summary>
    /// On the flow of the connection that holds, so that it goes neither beside a release nor beside a withdrawal of its own; against
    /// others' answers by compare-and-set. Answers the review and waiter to go on with; null: as before.
    /// </summary>
    private async Task<(ReviewId Id, Waiter Waiter)?> EditHeldAsync(ReviewId id, Waiter waiter, EditRequest request)
    {
        var result = new EditResult(ReasonCodes.Internal, "the edit failed; look at the review again", null);
        try
        {
            (result, var next) = await TryEditAsync(id, waiter, request).ConfigureAwait(false);
            if (next is not null || store.FindOpen(id) is not { } current) return next is null ? null : (result.Review!.Id, next);
            result = await NotEditedAsync(current.Review, request.User, request.Channel, request.Wish, result).ConfigureAwait(false);
            return null;
        }
        catch (JournalStoreException)
        {
            result = new EditResult(ReasonCodes.JournalUnavailable, "the store can not be read, and nothing was edited; try again", null);
            return null;
        }
        finally
        {
            request.End(result);
        }
    }

    private async Task<(EditResult Result, Waiter? Next)> TryEditAsync(ReviewId id, Waiter waiter, EditRequest request)
    {
        var (user, wish) = (request.User.Ref, request.Wish);
        Waiter? successor = null;
        for (var attempt = 0; attempt < EditAttempts; attempt++)
        {
            var now = time.GetUtcNow();
            if (store.FindOpen(id) is not { } current) return (new EditResult(ReasonCodes.ReviewClosed, "the review was over before it could be edited", null), null);
            var (review, version) = current;
            if (review.HasRunOut(now, limits.Detached)) return (new EditResult(ReasonCodes.ReviewClosed, RunOut(review).Message, review), null);
            if (RefuseEdit(review, request.User, request.Channel, wish.Comment, now) is { } refused) return (refused, null);
            if (successor is null)
            {
                var edited = await waiter.Edit!(wish, user).ConfigureAwait(false);
                if (edited is Edited.Refused no) return (new EditResult(no.ReasonCode, no.Message, review), null);
                successor = ((Edited.As)edited).Successor;
                continue; // that took a while: the review is looked at again
            }

            var action = successor.Action;
            if (!policy.StillActs(action.Actors)) return (new EditResult(ReasonCodes.Unauthenticated, $"agent `{review.Agent.Name}` may no longer act as it did when it asked", review), null);
            var decision = policy.Decide(action);
            if (decision.Verdict == Verdict.Deny) return (new EditResult(decision.ReasonCode, $"policy denies what you made of it{Named(decision)}", review), null);

            // What policy asks of the new action, and what it asked of the old one: an edit is no way to fewer eyes.
            var requirements = RequirementAlgebra.Merge([.. review.Requirements, .. decision.Requirements]);
            if (Unticketed(action, requirements, review) is { } unticketed) return (new EditResult(unticketed.ReasonCode, unticketed.Message, review), null);
            decision = decision with { Requirements = requirements };
            var key = JoinKey.Compute(joinSecret, successor.Canonical);
            var next = Of(action, decision, key, RandomNumberGenerator.GetBytes(GatewayAction.SaltBytes), successor.Canonical, now) with
            {
                Edit = new ReviewEdit(review.Id, review.Statement, review.Parameters, user, now, wish.Comment),
                Floor = review.Requirements,
                Policies = decision.DeterminingPolicies.Any() ? [.. decision.DeterminingPolicies] : review.Policies,
            };
            if (!CanEverBeMet(next)) return (new EditResult(ReasonCodes.NoEligibleApprover, $"what you made of it would need {Describe(requirements)} besides you, and too few people could give it", review), null);
            if (ApprovalStatement.Size(next) > limits.StatementBytes) return (new EditResult(ReasonCodes.TooLarge, $"what a human would have to read is over the limit of {limits.StatementBytes} bytes", review), null);

            if (waiter.Left is not null) return (NotPossible("the agent has left"), null);

            // The first time only: who has waited long enough was told that nothing is edited.
            if (attempt == 1 && !request.TryClaim()) return (NotPossible("the editor has gone"), null);
            var over = Close(review, ReviewState.Withdrawn, ReasonCodes.ReviewEdited, user.Name) with { EditedInto = next.Id };
            Register(next.Id, successor);
            waiter.IsFollowedBy(successor);
            WriteResult? written = null;
            try
            {
                written = await journal.WriteAsync(new WriteSet([ReviewEntries.Edited(over, next), ReviewEntries.Opened(next)],
                    [.. ReviewStore.Changes(over, ReviewStore.Open, version), new StateChange.Put(ReviewStore.Open, next.Id.Value, 0, key.Value, next.ToBytes())])).ConfigureAwait(false);
            }
            finally
            {
                if (written?.Status != WriteStatus.Committed) Unregister(next.Id, successor);
            }

            if (written.Status == WriteStatus.Conflict) continue;
            if (written.Status == WriteStatus.Unavailable) return (new EditResult(ReasonCodes.JournalUnavailable, "the edit could not be recorded; look at the review again before you repeat it", review), null);
            feed.Publish(over);
            feed.Publish(next);
            Tell(successor, next);
            return (new EditResult(ReasonCodes.ReviewEdited, $"edited; it waits for {Describe(requirements)} who is not you, in review {next.Id}", next), successor);
        }

        return (NotPossible("others answered it meanwhile; look at the review again"), null);

        static string Named(Decision decision) => decision.DeterminingPolicies.ToArray() is { Length: > 0 } policies ? $" ({string.Join(", ", policies.Select(static p => $"`{p.Id}`"))})" : "";
    }
}
