using System.Globalization;
using System.Security.Cryptography;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;

namespace Countersign.Reviews;

/// <summary>What came of revoking a grant.</summary>
public sealed record GrantResult(string ReasonCode, string Message, Grant? Grant);

public sealed partial class ReviewDesk
{
    private const string OpenGrants = "grants";
    private const string ClosedGrants = "grants-closed";

    public IReadOnlyList<Grant> ListGrants() => reader.List(OpenGrants).Select(static d => Grant.FromBytes(d.Value)).OrderBy(static g => g.OpenedAt).ToArray();

    /// <summary>The newest grants that are over, newest first.</summary>
    public IReadOnlyList<Grant> ListClosedGrants(int max = 200) => reader.List(ClosedGrants, null, max).Select(static d => Grant.FromBytes(d.Value)).ToArray();

    public Grant? FindGrant(GrantId id) =>
        (reader.Get(OpenGrants, id.Value) ?? reader.FindByTag(ClosedGrants, id.Value)) is { } document ? Grant.FromBytes(document.Value) : null;

    /// <summary>
    /// Uses a grant for this action, where one stands: decided afresh, its approvals counted afresh, the use recorded as a
    /// released review of its own and taken off the grant in one transaction. Null: no grant covers it; ask people.
    /// </summary>
    private async Task<HoldEnd?> TryGrantAsync(Waiter waiter)
    {
        while (true)
        {
            if (Covering(waiter.Action) is not { } found) return null;
            var (grant, version) = found;

            // Understood afresh, as at the release of a review (I5): what the catalogue said a while ago is not enough.
            var derived = await waiter.DeriveAfresh().ConfigureAwait(false);
            if (derived is not Rederived.As { Action: var derivedNow }) return derived is Rederived.Refused r ? new HoldEnd.Refused(r.ReasonCode, r.Message, null) : null;
            var fresh = derivedNow with { Id = waiter.Action.Id };
            if (!fresh.ToCanonical().AsSpan().SequenceEqual(waiter.Canonical)) return null;
            if (!policy.StillActs(fresh.Actors)) return null;

            // Groups as they are now (P33); without this a grant of somebody who signs in elsewhere would end with its first few minutes.
            await voices.FreshenAsync(grant.Approvals.Select(static a => a.User)).ConfigureAwait(false);
            var decision = policy.Decide(fresh);
            var now = time.GetUtcNow();
            if (Unusable(grant, fresh, decision, now, out var use) is { } why)
            {
                // A grant that failed once is never good again, even if everything becomes as it was.
                var closed = await CloseGrantAsync(grant, version, why, null).ConfigureAwait(false);
                if (closed.Status == WriteStatus.Unavailable) return JournalDown(closed);
                continue;
            }

            if (waiter.Left is { } gone) return Gone(gone, null);
            var used = grant with { Uses = grant.Uses + 1 };
            var last = used.Uses >= used.MaxUses;
            if (last) used = Closed(used, ReasonCodes.GrantExpired, null);
            var result = await journal.WriteAsync(new WriteSet(
                last ? [ReviewEntries.GrantUsed(use!, used), ReviewEntries.GrantEnded(used, null)] : [ReviewEntries.GrantUsed(use!, used)],
                [.. GrantChanges(used, version), new StateChange.Put(ReviewStore.InFlight, use!.Id.Value, 0, null, use.ToBytes())])).ConfigureAwait(false);
            if (result.Status == WriteStatus.Conflict) continue;
            if (result.Status == WriteStatus.Unavailable) return JournalDown(result);
            feed.Publish(use);
            if (waiter.Left is not (LeaveReason.Cancelled or LeaveReason.Lost)) return new HoldEnd.Released(use, fresh);
            await RecordOutcomeAsync(use.Id, waiter.Action.Id, new Outcome(OutcomeStatus.Failed, null, 0, TimeSpan.Zero, NotSent)).ConfigureAwait(false);
            return Gone(waiter.Left.Value, use);
        }
    }

    /// <summary>The first open grant whose shape this action has, its free values within their bounds. Says nothing of who may still.</summary>
    private (Grant Grant, long Version)? Covering(GatewayAction action)
    {
        foreach (var document in reader.List(OpenGrants))
        {
            var grant = Grant.FromBytes(document.Value);
            if (grant.Agent.Id != action.Actors.Agent.Id) continue;
            var parameters = action.Payload.Parameters;
            if (grant.Free.Any(f => f.Position > parameters.Count || !f.Holds(parameters[f.Position - 1]))) continue;
            if (CryptographicOperations.FixedTimeEquals(System.Text.Encoding.ASCII.GetBytes(grant.Shape), System.Text.Encoding.ASCII.GetBytes(Grant.ShapeOf(joinSecret, action, grant.Free)))) return (grant, document.Version);
        }

        return null;
    }

    /// <summary>Why this grant is over, or null and the use that it makes possible.</summary>
    private string? Unusable(Grant grant, GatewayAction action, Decision decision, DateTimeOffset now, out Review? use)
    {
        use = null;

        // A clock that went back behind its opening says nothing about how long it has been (P54).
        if (now >= grant.ExpiresAt || now < grant.OpenedAt || grant.Uses >= grant.MaxUses) return ReasonCodes.GrantExpired;
        if (decision.Verdict == Verdict.Deny) return decision.ReasonCode;

        // What policy allows now, not what it allowed: no review needed at all is for the next look, since nothing is released without one.
        if (RequirementAlgebra.GrantOf(decision.Requirements) is not { } terms
            || now >= grant.Approvals.Min(static a => a.At) + terms.For || grant.Uses >= terms.Uses
            || !decision.Requirements.All(r => r.IsTicketedBy(action.Intent.Ticket))) return ReasonCodes.GrantVoid;
        var shown = grant.Effects.Select(static e => e.Canonical).ToHashSet(StringComparer.Ordinal);
        if (action.Effects.Any(e => !shown.Contains(e.ToCanonical().ToString()))) return ReasonCodes.TargetChanged;

        var salt = RandomNumberGenerator.GetBytes(GatewayAction.SaltBytes);
        var canonical = action.ToCanonical();
        var review = Of(action, decision, JoinKey.Compute(joinSecret, canonical), salt, canonical, now) with
        {
            State = ReviewState.Released,
            Answers = grant.Approvals,
            Grant = grant.Id,
            ExpiresAt = grant.ExpiresAt,
            ClosedAt = now,
            CloseReason = ReasonCodes.Granted,
            ReleasedAction = action.Id,
        };
        var (counting, progress) = Tally(review, decision.Requirements, now + grant.Age);
        if (!progress.IsMet) return ReasonCodes.GrantVoid;
        use = review with { Answers = counting };
        return null;
    }

    /// <summary>The grant that these approvals give, where every one of them gives the same; null: this once.</summary>
    private Grant? GrantOf(Review released, GatewayAction action, IReadOnlyList<Answer> counting, Decision decision, DateTimeOffset now)
    {
        if (released.Edit is not null || counting.Count == 0 || counting.Any(static a => a.Grant is null) || RequirementAlgebra.GrantOf(decision.Requirements) is not { } terms) return null;
        var wishes = counting.Select(static a => a.Grant!).ToArray();
        var free = CanonicalJson.Array(wishes[0].Free.Select(static f => f.ToCanonical())).ToString();
        if (wishes.Any(w => !w.IsWithin(terms, released.Parameters) || CanonicalJson.Array(w.Free.Select(static f => f.ToCanonical())).ToString() != free)) return null;
        var expires = counting.Min(static a => a.At + a.Grant!.For);
        var uses = wishes.Min(static w => w.Uses);
        if (uses < 2 || expires <= now || ListGrants().Count(g => g.Agent.Id == released.Agent.Id) >= limits.GrantsPerAgent) return null;
        if (wishes[0].Free.Any(f => !f.Holds(action.Payload.Parameters[f.Position - 1]))) return null; // what was seen is not what was granted
        return new Grant
        {
            Id = GrantId.New(),
            Review = released.Id,
            Shape = Grant.ShapeOf(joinSecret, action, wishes[0].Free),
            Agent = released.Agent,
            Owner = released.Owner,
            OnBehalfOf = released.OnBehalfOf,
            Via = released.Via,
            Target = released.Target,
            Operation = released.Operation,
            Statement = released.Statement,
            Parameters = released.Parameters,
            Effects = released.Effects,
            Free = wishes[0].Free,
            Approvals = counting,
            Age = now - released.CreatedAt,
            OpenedAt = now,
            ExpiresAt = expires,
            MaxUses = uses,
            Uses = 1,
        };
    }

    /// <summary>
    /// Revokes a grant. <paramref name="administers"/>: policy lets this human administer grants; others may take back what
    /// they gave, or what is done in their name.
    /// </summary>
    public async Task<GrantResult> RevokeGrantAsync(GrantId id, PrincipalRef user, bool administers)
    {
        while (true)
        {
            if (reader.Get(OpenGrants, id.Value) is not { } document)
            {
                return FindGrant(id) is { } over
                    ? new GrantResult(ReasonCodes.ReviewClosed, $"the grant is over already: {over.CloseReason}", over)
                    : new GrantResult(ReasonCodes.ReviewUnknown, $"no grant `{id}`", null);
            }

            var grant = Grant.FromBytes(document.Value);
            if (!administers && !grant.IsActor(user.Id) && grant.Approvals.All(a => a.User != user.Id))
            {
                return new GrantResult(ReasonCodes.NotEligible, "who gave it, who is behind the agent, and who administers may revoke it", grant);
            }

            var result = await CloseGrantAsync(grant, document.Version, ReasonCodes.GrantRevoked, user).ConfigureAwait(false);
            if (result.Status == WriteStatus.Committed) return new GrantResult(ReasonCodes.GrantRevoked, "revoked; the next use is asked about again", FindGrant(id));
            if (result.Status == WriteStatus.Unavailable) return new GrantResult(ReasonCodes.JournalUnavailable, "the journal can not be written, and the grant still stands", grant);
        }
    }

    /// <summary>Policy denies this action now: whatever was granted of it is over (I5). Never throws.</summary>
    public async Task DeniedAsync(GatewayAction action, string reason)
    {
        if (reason is not (ReasonCodes.PolicyDenied or ReasonCodes.NoMatchingPermit)) return;
        try
        {
            while (Covering(action) is { } found)
            {
                if ((await CloseGrantAsync(found.Grant, found.Version, reason, null).ConfigureAwait(false)).Status == WriteStatus.Unavailable) return;
            }
        }
        catch (JournalStoreException)
        {
            // It stands, and permits nothing while policy denies: each use asks again.
        }
    }

    private async Task SweepGrantsAsync(DateTimeOffset now)
    {
        foreach (var document in reader.List(OpenGrants))
        {
            var grant = Grant.FromBytes(document.Value);
            if (grant.ExpiresAt <= now) await CloseGrantAsync(grant, document.Version, ReasonCodes.GrantExpired, null).ConfigureAwait(false);
        }
    }

    private ValueTask<WriteResult> CloseGrantAsync(Grant grant, long version, string reason, PrincipalRef? by)
    {
        var closed = Closed(grant, reason, by);
        return journal.WriteAsync(new WriteSet([ReviewEntries.GrantEnded(closed, by)], GrantChanges(closed, version)));
    }

    private Grant Closed(Grant grant, string reason, PrincipalRef? by) => grant with { ClosedAt = time.GetUtcNow(), CloseReason = reason, ClosedBy = by?.Name };

    private static IReadOnlyList<StateChange> GrantChanges(Grant next, long version) => next.IsOpen
        ? [new StateChange.Put(OpenGrants, next.Id.Value, version, null, next.ToBytes())]
        : [new StateChange.Delete(OpenGrants, next.Id.Value, version),
            new StateChange.Put(ClosedGrants, string.Create(CultureInfo.InvariantCulture, $"{long.MaxValue - next.ClosedAt!.Value.UtcTicks:D19}-{next.Id}"), 0, next.Id.Value, next.ToBytes())];
}
