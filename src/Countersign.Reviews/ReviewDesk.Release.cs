using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;

namespace Countersign.Reviews;

public sealed partial class ReviewDesk
{
    /// <summary>
    /// Derives and decides afresh in the presence of a waiter, and consumes the clearance (I3, I5, I7). Null: not released,
    /// and either the review has changed or the waiter has left; look again.
    /// </summary>
    private async Task<HoldEnd?> TryReleaseAsync(Review review, long version, Waiter waiter)
    {
        using var span = ReviewTelemetry.Source.StartActivity("release");
        if (review.HasRunOut(time.GetUtcNow(), limits.Detached)) return Down(await ExpireAsync(review, version).ConfigureAwait(false));

        // What runs is the waiter's own message, understood again; never what the store remembers of it (P20).
        var derived = await waiter.DeriveAfresh().ConfigureAwait(false);
        if (derived is Rederived.Refused refused) return new HoldEnd.Refused(refused.ReasonCode, refused.Message, review);

        // It is still the action that was presented, under the id that the journal knows.
        var fresh = ((Rederived.As)derived).Action with { Id = waiter.Action.Id };
        var digest = GatewayAction.ComputeDigest(review.Salt, fresh.ToCanonical());
        if (digest != ActionDigest.Parse(review.Digest))
        {
            return new HoldEnd.Refused(ReasonCodes.TargetChanged, "the session is no longer the one that was approved", review);
        }

        // Groups as they are now, not as they were when somebody approved (P33).
        await voices.FreshenAsync(review.Answers.Select(static a => a.User)).ConfigureAwait(false);
        if (!policy.StillActs(fresh.Actors)) return Down(await DenyAsync(review, version, ReasonCodes.Unauthenticated).ConfigureAwait(false));
        var decision = policy.Decide(fresh);
        if (decision.Verdict == Verdict.Deny)
        {
            var decided = review with { Revision = decision.Revision, Policies = decision.DeterminingPolicies.ToArray() };
            return Down(await DenyAsync(decided, version, decision.ReasonCode).ConfigureAwait(false));
        }

        // What was asked for before an edit stays asked for: an edit is no way to fewer eyes.
        if (review.Floor.Count > 0) decision = decision with { Requirements = RequirementAlgebra.Merge([.. review.Floor, .. decision.Requirements]) };
        if (Unticketed(fresh, decision.Requirements, review) is { } unticketed) return unticketed;

        // Taken after what may have lasted: deriving afresh asks the target.
        var now = time.GetUtcNow();
        var shown = review.Effects.Select(static e => e.Canonical).ToHashSet(StringComparer.Ordinal);
        var effects = fresh.Effects.Select(ShownEffect.Of).ToArray();
        if (effects.Any(e => !shown.Contains(e.Canonical)))
        {
            // Something nobody has seen: what was said before was said about something else.
            return Down(await ReopenAsync(review with { Effects = effects, Notes = fresh.Notes, Estimate = null }, decision, [], version, "approvals-voided", ReasonCodes.TargetChanged, now).ConfigureAwait(false));
        }

        var (counting, progress) = Tally(review, decision.Requirements, now);
        var broken = GlassStands(decision.Requirements.Count > 0 ? review with { Requirements = decision.Requirements } : review);
        if (!progress.IsMet && broken is null)
        {
            return Down(await ReopenAsync(review, decision, counting, version, "review-reopened", ReasonCodes.ReviewRequired, now).ConfigureAwait(false));
        }

        // The last look before the clearance: nothing runs for nobody (P24), or after the deadline (I6).
        if (waiter.Left is not null || review.HasRunOut(now, limits.Detached)) return null;

        var released = Close(review, ReviewState.Released, ReasonCodes.Approved) with
        {
            Revision = decision.Revision,
            Policies = decision.DeterminingPolicies.ToArray(),
            ReleasedAction = waiter.Action.Id,

            // Approved by those whom it asked for: then the hammer was not needed, and did not count.
            GlassBrokenBy = progress.IsMet ? null : broken,
        };
        var grant = !progress.IsMet ? null : GrantOf(released, fresh, counting, decision, now);
        var result = await WriteAsync(released, ReviewStore.Open, version,
            grant is null ? [ReviewEntries.Released(released, digest, counting)] : [ReviewEntries.Released(released, digest, counting), ReviewEntries.GrantOpened(grant)],
            grant is null ? [] : [new StateChange.Put(OpenGrants, grant.Id.Value, 0, null, grant.ToBytes())]).ConfigureAwait(false);
        if (result.Status != WriteStatus.Committed) return Down(result);

        // Gone while that was written. The clearance is spent, and nothing was sent nor will be: that is known, so it is said.
        if (waiter.Left is not (LeaveReason.Cancelled or LeaveReason.Lost)) return new HoldEnd.Released(released, fresh);
        await RecordOutcomeAsync(released.Id, waiter.Action.Id, new Outcome(OutcomeStatus.Failed, null, 0, TimeSpan.Zero, NotSent)).ConfigureAwait(false);
        return waiter.Left == LeaveReason.Cancelled
            ? new HoldEnd.Refused(ReasonCodes.ReviewWithdrawn, "it was cancelled before it was sent", released)
            : new HoldEnd.Refused(ReasonCodes.ReviewPending, "the connection was lost before it was sent", released);
    }

    /// <summary>Error of an outcome whose client had gone before anything was sent to the target.</summary>
    internal const string NotSent = "not-sent";

    /// <summary>The refusal when the journal did not take it, or null: look at the review again.</summary>
    private static HoldEnd? Down(WriteResult result) => result.Status == WriteStatus.Unavailable ? JournalDown(result) : null;

    private Task<WriteResult> DenyAsync(Review review, long version, string reason)
    {
        var denied = Close(review, ReviewState.Denied, reason);
        return WriteAsync(denied, ReviewStore.Open, version, ReviewEntries.Simple("review-denied", denied, reason));
    }

    /// <summary>
    /// The approvals that count towards these requirements now, and where they leave them: of people who are still here, behind
    /// no actor, whom policy lets approve, with the comment and the proof that are asked for, each for the stage in which it was given
    /// (I4, I5, P33). Of <paramref name="unproven"/> no proof is asked: what would be if he gave one.
    /// </summary>
    private (Answer[] Counting, Progress Progress) Tally(Review review, IReadOnlyList<Requirement> requirements, DateTimeOffset now, OpaqueId? unproven = null)
    {
        var asked = requirements.Count > 0 ? review with { Requirements = requirements } : review;
        var heard = Voices(review);
        var valid = new List<(Answer Answer, UserEntry User)>();
        foreach (var answer in review.Answers)
        {
            if (answer.Kind != AnswerKind.Approve || !asked.Requirements.All(r => r.IsJustifiedBy(answer.Comment))) continue;
            if (answer.User != unproven && !IsProven(answer, asked.Requirements)) continue;
            if (users.FindFresh(answer.User) is not { } user || IsBarred(user.Ref.Id, review)) continue;
            var speaking = heard.Of(user);
            if (policy.MayApprove(speaking, asked, answer.Channel)) valid.Add((answer, speaking));
        }

        var progress = RequirementAlgebra.Follow(requirements, valid.Select(static v => KeyValuePair.Create(v.User.Ref.Id, v.User.Groups)), now - review.CreatedAt);
        return (valid.Where(v => requirements.Count == 0 || progress.Counted.Contains(v.Answer.User)).Select(static v => v.Answer).ToArray(), progress);
    }

    /// <summary>
    /// Back to waiting, under what policy asks now. Approvals that do not count any more are taken off, so that who gave one
    /// may give another; their statements are spent.
    /// </summary>
    private async Task<WriteResult> ReopenAsync(Review review, Decision decision, IReadOnlyList<Answer> kept, long version, string entry, string reason, DateTimeOffset now)
    {
        // No requirement at all comes with effects that policy permits and nobody has seen: those who were asked are asked again.
        var requirements = decision.Requirements.Count > 0 ? decision.Requirements : review.Requirements;
        var expires = review.CreatedAt + Shortest(requirements);
        var voided = review.Answers.Except(kept).ToArray();
        var next = review with
        {
            State = ReviewState.Pending,
            GlassBrokenBy = null,
            Answers = kept,
            SpentStatements = [.. review.SpentStatements, .. voided.Select(static a => a.StatementSha256)],
            Requirements = requirements,
            Policies = decision.DeterminingPolicies.ToArray(),
            Revision = decision.Revision,
            ExpiresAt = expires < review.ExpiresAt ? expires : review.ExpiresAt,
            EscalationsTold = Due(requirements, now - review.CreatedAt),
        };
        if (!CanEverBeMet(next)) return await DenyAsync(next, version, ReasonCodes.NoEligibleApprover).ConfigureAwait(false);

        // The entry commits to the new effects and requirements as `review-opened` did to the first ones.
        var result = await WriteAsync(next, ReviewStore.Open, version, ReviewEntries.Opened(next, entry, reason, voided)).ConfigureAwait(false);
        if (result.Status == WriteStatus.Committed) TellAll(next);
        return result;
    }

    /// <summary>
    /// Records how a released action ended. Never throws; what can not be written now is written by a later sweep, and what
    /// a crash takes before that is found unknown at the next start.
    /// </summary>
    public async Task RecordOutcomeAsync(ReviewId id, ActionId action, Outcome outcome)
    {
        try
        {
            while (store.FindInFlight(id) is { } current)
            {
                var next = current.Review with { Outcome = outcome };
                var entry = ReviewEntries.OutcomeOf(action, id, next.Agent.Id, next.Target, outcome);
                var result = await WriteAsync(next, ReviewStore.InFlight, current.Version, entry).ConfigureAwait(false);
                if (result.Status == WriteStatus.Committed) break;
                if (result.Status == WriteStatus.Conflict) continue;
                unrecorded[id] = (action, outcome);
                return;
            }

            unrecorded.TryRemove(id, out _);
        }
        catch (JournalStoreException)
        {
            unrecorded[id] = (action, outcome);
        }
    }
}
