using Countersign.Core;
using Countersign.Journal;

namespace Countersign.Reviews;

public sealed partial class ReviewDesk
{
    /// <summary>
    /// Derives and decides afresh in the presence of a waiter, and consumes the clearance (I3, I5, I7). Null: not released,
    /// look at the review again.
    /// </summary>
    private async Task<HoldEnd?> TryReleaseAsync(Review review, long version, Waiter waiter)
    {
        var now = time.GetUtcNow();
        if (review.ExpiresAt <= now)
        {
            await ExpireAsync(review, version).ConfigureAwait(false);
            return null;
        }

        // What runs is the waiter's own message, understood again; never what the store remembers of it (P20).
        if (await waiter.DeriveAfresh().ConfigureAwait(false) is not Rederived.As { Action: var fresh } derived)
        {
            return new HoldEnd.Refused(ReasonCodes.TargetChanged, "it can no longer be understood as it was when it was held", review);
        }

        var digest = GatewayAction.ComputeDigest(review.Salt, fresh.ToCanonical());
        if (digest != ActionDigest.Parse(review.Digest))
        {
            return new HoldEnd.Refused(ReasonCodes.TargetChanged, "the session is no longer the one that was approved", review);
        }

        var decision = policy.Decide(fresh);
        if (decision.Verdict == Verdict.Deny)
        {
            var denied = Close(review, ReviewState.Denied, decision.ReasonCode) with { Revision = decision.Revision, Policies = decision.DeterminingPolicies.ToArray() };
            await WriteAsync(denied, ReviewStore.Open, version, ReviewEntries.Simple("review-denied", denied, decision.ReasonCode)).ConfigureAwait(false);
            return null;
        }

        var effects = fresh.Effects.Select(ShownEffect.Of).ToArray();
        var shown = review.Effects.Select(static e => e.Canonical).ToHashSet(StringComparer.Ordinal);
        if (effects.Any(e => !shown.Contains(e.Canonical)))
        {
            // Something nobody has seen: what was said before was said about something else.
            await ReopenAsync(review with { Effects = effects, Answers = [] }, decision, version, "approvals-voided", ReasonCodes.TargetChanged, waiter).ConfigureAwait(false);
            return null;
        }

        if (!IsMet(review, decision.Requirements, now))
        {
            await ReopenAsync(review, decision, version, "review-reopened", ReasonCodes.ReviewRequired, waiter).ConfigureAwait(false);
            return null;
        }

        // The last look before the clearance: nothing runs for nobody (P24).
        if (waiter.Left is not null) return null;

        var released = Close(review, ReviewState.Released, ReasonCodes.Approved) with { Revision = decision.Revision };
        var result = await WriteAsync(released, ReviewStore.Open, version, ReviewEntries.Released(released, waiter.Action.Id, digest)).ConfigureAwait(false);
        return result.Status switch
        {
            WriteStatus.Committed => new HoldEnd.Released(released, fresh),
            WriteStatus.Conflict => null,
            _ => JournalDown(result),
        };
    }

    /// <summary>Whether the approvals of people who are eligible now meet these requirements; none are met by nobody.</summary>
    private bool IsMet(Review review, IReadOnlyList<Requirement> requirements, DateTimeOffset now)
    {
        var justify = requirements.Any(static r => r.Justify);
        var people = review.Answers
            .Where(a => a.Kind == AnswerKind.Approve && !(justify && string.IsNullOrWhiteSpace(a.Comment)))
            .Select(a => (Answer: a, User: users.Find(a.User)))
            .Where(p => p.User is not null && !review.IsActor(p.User.Ref.Id) && policy.MayApprove(p.User, review, p.Answer.Channel))
            .Select(static p => KeyValuePair.Create(p.User!.Ref.Id, p.User.Groups))
            .ToArray();
        return RequirementAlgebra.IsMet(requirements, people, now - review.CreatedAt);
    }

    private async Task ReopenAsync(Review review, Decision decision, long version, string entry, string reason, Waiter waiter)
    {
        var requirements = decision.Requirements.Count > 0 ? decision.Requirements : review.Requirements;
        var expires = review.CreatedAt + Shortest(requirements);
        var next = review with
        {
            State = ReviewState.Pending,
            Requirements = requirements,
            Policies = decision.DeterminingPolicies.ToArray(),
            Revision = decision.Revision,
            ExpiresAt = expires < review.ExpiresAt ? expires : review.ExpiresAt,
        };
        if (!CanEverBeMet(next))
        {
            var denied = Close(next, ReviewState.Denied, ReasonCodes.NoEligibleApprover);
            await WriteAsync(denied, ReviewStore.Open, version, ReviewEntries.Simple("review-denied", denied, ReasonCodes.NoEligibleApprover)).ConfigureAwait(false);
            return;
        }

        // The entry commits to the new effects and requirements as `review-opened` did to the first ones.
        var result = await WriteAsync(next, ReviewStore.Open, version, ReviewEntries.Opened(next, entry, reason)).ConfigureAwait(false);
        if (result.Status == WriteStatus.Committed) Tell(waiter, next);
    }

    /// <summary>Records how a released action ended. Never throws; what can not be written is found unknown at the next start.</summary>
    public async Task RecordOutcomeAsync(ReviewId id, ActionId action, Outcome outcome)
    {
        while (store.FindInFlight(id) is { } current)
        {
            var next = current.Review with { Outcome = outcome };
            var entry = ReviewEntries.OutcomeOf(action, id, next.Agent.Id, next.Target, outcome);
            var result = await WriteAsync(next, ReviewStore.InFlight, current.Version, entry).ConfigureAwait(false);
            if (result.Status != WriteStatus.Conflict) return;
        }
    }
}
