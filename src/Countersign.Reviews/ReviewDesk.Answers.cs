using System.Security.Cryptography;
using System.Text;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Identity.Passkeys;
using Countersign.Journal;

namespace Countersign.Reviews;

public sealed partial class ReviewDesk
{
    /// <summary>
    /// The statement that this human would answer with, or why he can not: the same checks as the answer itself, so that a
    /// person learns at once, and nothing is promised.
    /// </summary>
    public (string? Statement, AnswerResult? Refused) Draft(ReviewId id, UserEntry user, AnswerKind kind, string channel, string? comment, GrantWish? grant = null)
    {
        if (store.FindOpen(id) is not { } current) return (null, ClosedOrUnknown(id));
        var now = time.GetUtcNow();
        if (current.Review.HasRunOut(now, limits.Detached)) return (null, RunOut(current.Review));
        if (Refuse(current.Review, user, kind, channel, comment, grant, now) is { } reason) return (null, Refusal(reason, current.Review, user));
        return (ApprovalStatement.Create(current.Review, user, kind, channel, comment, now, grant), null);
    }

    /// <summary>
    /// Takes an answer over a statement. <paramref name="user"/> is a human whose session was just verified; nothing else
    /// may call this. <paramref name="assertion"/> is his passkey's signature over the statement, where he gave one. Refused
    /// answers are journalled too. Never throws: what can not be read or written does not count.
    /// </summary>
    public async Task<AnswerResult> AnswerAsync(ReviewId id, UserEntry user, string channel, string statement, PasskeyAssertion? assertion = null)
    {
        using var span = ReviewTelemetry.Source.StartActivity("answer");
        try
        {
            await voices.FreshenAsync([user.Ref.Id]).ConfigureAwait(false);
            return await TakeAnswerAsync(id, user, channel, statement, assertion).ConfigureAwait(false);
        }
        catch (JournalStoreException)
        {
            return new AnswerResult(ReasonCodes.JournalUnavailable, "the store can not be read, and the answer does not count; try again", null);
        }
    }

    private async Task<AnswerResult> TakeAnswerAsync(ReviewId id, UserEntry user, string channel, string statement, PasskeyAssertion? assertion)
    {
        while (true)
        {
            if (store.FindOpen(id) is not { } current) return ClosedOrUnknown(id);
            var (review, version) = current;
            var now = time.GetUtcNow();
            if (review.HasRunOut(now, limits.Detached))
            {
                // Over, whether or not that can be written now (I6).
                await ExpireAsync(review, version).ConfigureAwait(false);
                return RunOut(review);
            }

            var reason = ApprovalStatement.TryVerify(statement, review, user, channel, now, out var kind, out var comment, out var grant)
                && !review.SpentStatements.Contains(ApprovalStatement.Sha256(statement))
                ? Refuse(review, user, kind, channel, comment, grant, now)
                : ReasonCodes.StatementMismatch;
            var proof = reason is null ? Prove(review, user, kind, statement, assertion) : null;
            if (proof is { Fault: not PasskeyFault.None }) reason = assertion is null ? ReasonCodes.StepUpRequired : ReasonCodes.StepUpFailed;
            if (reason is not null)
            {
                var told = await journal.WriteAsync(new WriteSet([ReviewEntries.AnswerRefused(review, user.Ref.Id, channel, reason, proof), .. proof?.Entries ?? []], proof?.Use ?? [])).ConfigureAwait(false);
                if (told.Status == WriteStatus.Conflict) continue; // the passkey has changed
                return Refusal(reason, review, user, proof);
            }

            var answer = new Answer(user.Ref.Id, user.Ref.Name, kind, channel, now, comment, ApprovalStatement.Sha256(statement)) { Grant = grant, Passkey = proof?.Passkey?.Id };
            var next = review with { Answers = [.. review.Answers, answer] };
            List<EntryDraft> entries = [ReviewEntries.Answered(review, answer, statement, assertion, proof?.Passkey)];
            if (kind == AnswerKind.Deny)
            {
                next = Close(next, ReviewState.Denied, ReasonCodes.ReviewDenied, user.Ref.Name);
                entries.Add(ReviewEntries.Simple("review-denied", next, ReasonCodes.ReviewDenied, user.Ref.Id));
            }
            else if (kind == AnswerKind.BreakGlass)
            {
                next = next with { State = ReviewState.Approved, GlassBrokenBy = answer.User };
                entries.Add(ReviewEntries.Simple("glass-broken", next, ReasonCodes.GlassBroken, answer.User));
            }
            else if (next.State == ReviewState.Pending)
            {
                var stage = Tally(next, next.Requirements, now).Progress.Stage;
                if (stage is null)
                {
                    next = next with { State = ReviewState.Approved };
                    entries.Add(ReviewEntries.Simple("review-approved", next, ReasonCodes.Approved));
                }
                else if (stage > Tally(review, review.Requirements, now).Progress.Stage)
                {
                    entries.Add(ReviewEntries.StageOpened(next, stage.Value));
                }
            }

            StateChange[] more = [.. proof?.Use ?? []];
            if (kind == AnswerKind.BreakGlass)
            {
                var aftermath = Aftermath.Of(next, user.Ref, comment!, now);
                entries.Add(ReviewEntries.AftermathOpened(aftermath));
                more = [.. more, new StateChange.Put(Aftermaths, review.Id.Value, reader.Get(Aftermaths, review.Id.Value)?.Version ?? 0, null, aftermath.ToBytes())];
            }

            var result = await WriteAsync(next, ReviewStore.Open, version, [.. entries], more).ConfigureAwait(false);
            switch (result.Status)
            {
                case WriteStatus.Committed:
                    return kind == AnswerKind.BreakGlass
                        ? new AnswerResult(ReasonCodes.GlassBroken, WaiterCount(next.Id) > 0 ? "the glass is broken: it is decided afresh and runs now; somebody else will look at it" : "the glass is broken: it runs when the agent presents the same action again; somebody else will look at it", next)
                        : kind == AnswerKind.Deny
                        ? new AnswerResult(ReasonCodes.ReviewDenied, "denied; it will not run", next)
                        : new AnswerResult(ReasonCodes.Approved, Told(next), next);
                case WriteStatus.Unavailable:
                    return new AnswerResult(ReasonCodes.JournalUnavailable, "the answer could not be recorded; look at the review again before you repeat it", review);
            }
        }
    }

    /// <summary>
    /// Whether this human's passkey signed this very statement. Null: he gave none, and none is asked for. What he gives
    /// without being asked must be sound too: an entry that carries a proof carries a good one.
    /// </summary>
    private PasskeyProof? Prove(Review review, UserEntry user, AnswerKind kind, string statement, PasskeyAssertion? assertion)
    {
        if (assertion is null) return kind == AnswerKind.Deny || RequirementAlgebra.StepUpOf(review.Requirements) == StepUp.None ? null : new PasskeyProof(PasskeyFault.Unknown, null, [], []);
        return Passkeys?.Check(user.Ref.Id, SHA256.HashData(Encoding.UTF8.GetBytes(statement)), assertion) ?? new PasskeyProof(PasskeyFault.Unknown, null, [], []);
    }

    /// <summary>
    /// Whether an answer is proven as these requirements ask: by a passkey that is still its human's. Who removes one that
    /// was lost takes with it what was approved by it.
    /// </summary>
    private bool IsProven(Answer answer, IReadOnlyList<Requirement> requirements) =>
        RequirementAlgebra.StepUpOf(requirements) == StepUp.None || (answer.Passkey is { } passkey && Passkeys?.Has(answer.User, passkey) == true);

    /// <summary>Why this human may not give this answer now, or null. The order is from what never changes to what may.</summary>
    private string? Refuse(Review review, UserEntry user, AnswerKind kind, string channel, string? comment, GrantWish? grant, DateTimeOffset now)
    {
        // Whatever the caller believes: only humans decide, on a channel of this build, in the groups they are in now (P30, P33).
        if (user.Ref.Kind != PrincipalKind.User) return ReasonCodes.NotHuman;
        if (users.Find(user.Ref.Id) is null || !Channels.Contains(channel)) return ReasonCodes.NotEligible;
        if (users.FindFresh(user.Ref.Id) is not { } known) return ReasonCodes.GroupsStale;
        if (review.Answers.Any(a => a.User == known.Ref.Id && (kind != AnswerKind.BreakGlass || a.Kind != AnswerKind.Approve))) return ReasonCodes.AlreadyDecided;
        if (comment is { } said && said.Length > limits.CommentLength) return ReasonCodes.TooLarge;

        // A human of the actor chain may always say no to what is done in his name; never yes (I4).
        if (kind != AnswerKind.Approve && grant is not null) return ReasonCodes.GrantNotAllowed;
        if (review.IsActor(known.Ref.Id)) return kind == AnswerKind.Deny ? null : ReasonCodes.SelfApproval;
        if (kind != AnswerKind.Deny && policy.IsCooling(known.Ref.Id, review)) return ReasonCodes.CoolingOff;
        if (kind == AnswerKind.BreakGlass)
        {
            // In his own right: nobody lends somebody else the hammer.
            if (!policy.MayBreakGlass(Voices(review).Alone(known), review, channel)) return ReasonCodes.NotEligible;
            if (NeedsBrowser(channel)) return ReasonCodes.PresenceRequired;
            return string.IsNullOrWhiteSpace(comment) ? ReasonCodes.JustificationRequired : null;
        }

        var age = now - review.CreatedAt;
        var speaking = Voices(review).Of(known);
        if (!review.Requirements.Any(r => r.GroupsAt(age).Any(speaking.Groups.Contains))) return ReasonCodes.NotEligible;
        if (!policy.MayApprove(speaking, review, channel)) return ReasonCodes.NotEligible;
        if (kind == AnswerKind.Approve && NeedsBrowser(channel)) return ReasonCodes.PresenceRequired;
        if (kind == AnswerKind.Deny) return null; // a no is heard in every stage
        if (Tally(review, review.Requirements, now).Progress.Stage is { } stage && !review.Requirements.Any(r => r.Stage == stage && r.GroupsAt(age).Any(speaking.Groups.Contains))) return ReasonCodes.NotYetAsked;
        if (!review.Requirements.All(r => r.IsJustifiedBy(comment))) return ReasonCodes.JustificationRequired;
        return grant is null || (review.Edit is null && RequirementAlgebra.GrantOf(review.Requirements) is { } terms && grant.IsWithin(terms, review.Parameters)) ? null : ReasonCodes.GrantNotAllowed;
    }

    /// <summary>
    /// Whether what gives power needs a browser's session, and this is none: a session of the command line lies where its
    /// human's programs can read it. A chat account is not of that machine, and was linked in a browser.
    /// </summary>
    private bool NeedsBrowser(string channel) => limits.ApprovesOnlyInBrowser && channel is ("cli" or "api");

    private static AnswerResult Refusal(string reason, Review review, UserEntry user, PasskeyProof? proof = null) => new(reason, reason switch
    {
        ReasonCodes.SelfApproval => $"`{user.Ref.Name}` {(review.Editors.Any(e => e.Id == user.Ref.Id) ? "has edited this action of" : user.Ref.Id == review.Owner.Id ? "is the owner of" : review.Via.Any(h => h.Id == user.Ref.Id) && user.Ref.Id != review.OnBehalfOf?.Id ? "is behind an earlier actor of what came to" : "is the user behind")} agent `{review.Agent.Name}`, and nobody approves their own action",
        ReasonCodes.AlreadyDecided => $"`{user.Ref.Name}` has answered already; one human counts once",
        ReasonCodes.NotEligible => $"`{user.Ref.Name}` may not approve this; it needs {Describe(review.Requirements)}",
        ReasonCodes.StatementMismatch => "the statement is not what this review says now, or is too old; look at it again",
        ReasonCodes.CoolingOff => $"`{user.Ref.Name}` changed a policy that asks for this, or owned agent `{review.Agent.Name}`, not long ago; somebody else has to approve it",
        ReasonCodes.NotYetAsked => $"`{user.Ref.Name}` is asked in a later stage; it needs {Describe(review.Requirements)}",
        ReasonCodes.JustificationRequired => Justification(review),
        ReasonCodes.GrantNotAllowed => RequirementAlgebra.GrantOf(review.Requirements) is { } terms
            ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $"policy allows a grant for at most {terms.For.TotalMinutes:0.#} min and {terms.Uses} uses, and each free value needs one bound that fits its type: a range for numbers, a list, or a longest text")
            : "policy allows no grant here, only this once",
        ReasonCodes.TooLarge => "the comment is too long",
        ReasonCodes.NotHuman => "only humans decide",
        ReasonCodes.PresenceRequired => "it is confirmed in the browser; open the review there",
        ReasonCodes.StepUpRequired => "policy asks for a passkey: open the review in the browser and approve with yours; if you have none, register one there under your name (`/me`)",
        ReasonCodes.StepUpFailed => $"what your passkey gave does not prove this answer: {(proof?.Fault ?? PasskeyFault.Unknown).Words()}; open the review again and approve with a passkey of your own",
        ReasonCodes.GroupsStale => "your groups could not be read again from the identity provider; sign in again",
        _ => "the answer was refused",
    }, review);

    private static string Justification(Review review)
    {
        var patterns = review.Requirements.SelectMany(static r => r.JustifyPatterns).Distinct(StringComparer.Ordinal).Select(static p => $"/{p}/").ToArray();
        return patterns.Length == 0 ? "policy asks for a justification; add a comment" : $"policy asks for a comment that holds a match of {string.Join(" and ", patterns)}";
    }

    private AnswerResult ClosedOrUnknown(ReviewId id) => store.Find(id) is { } closed
        ? new AnswerResult(ReasonCodes.ReviewClosed, $"the review is {closed.State.ToString().ToLowerInvariant()} already", closed)
        : new AnswerResult(ReasonCodes.ReviewUnknown, $"no review `{id}`", null);

    private static AnswerResult RunOut(Review review) =>
        new(ReasonCodes.ReviewClosed, "the review has expired: nobody decided in time, which is a no", review);

    private string Told(Review review)
    {
        if (review.State == ReviewState.Approved)
        {
            return WaiterCount(review.Id) > 0 ? "approved; it is decided afresh and runs now" : "approved; it runs when the agent presents the same action again";
        }

        var open = Tally(review, review.Requirements, time.GetUtcNow()).Progress.Open.Sum();
        return $"approved by you; {open} more needed";
    }

    // ---- time ----

    private Task<WriteResult> ExpireAsync(Review review, long version)
    {
        var expired = Close(review, ReviewState.Expired, ReasonCodes.ReviewExpired);
        return WriteAsync(expired, ReviewStore.Open, version, ReviewEntries.Simple("review-expired", expired, ReasonCodes.ReviewExpired));
    }

    /// <summary>
    /// Ends what is over, tells escalations that have come, and makes good what could not be written in its time; called
    /// each second by the host. All of it is decided from the stored times, so that a restart loses no deadline (P26).
    /// Undecided at the deadline is denied (I6).
    /// </summary>
    public async Task SweepAsync()
    {
        foreach (var (id, left) in unrecorded) await RecordOutcomeAsync(id, left.Action, left.Outcome).ConfigureAwait(false);

        var now = time.GetUtcNow();
        var open = new HashSet<ReviewId>();
        foreach (var (review, version) in store.ListOpen().ToArray())
        {
            open.Add(review.Id);
            if (review.HasRunOut(now, limits.Detached))
            {
                await ExpireAsync(review, version).ConfigureAwait(false);
                continue;
            }

            // An answer may have been written by somebody who never learnt that it was, and so woke nobody.
            if (review.State == ReviewState.Approved) WakeAll(review.Id);
            if (review.DetachedAt is null && WaiterCount(review.Id) == 0)
            {
                await DetachAsync(review, version, "no-waiter").ConfigureAwait(false);
                continue;
            }

            var due = Due(review.Requirements, now - review.CreatedAt);
            if (due <= review.EscalationsTold) continue;
            var next = review with { EscalationsTold = due };
            var result = await WriteAsync(next, ReviewStore.Open, version, ReviewEntries.Simple("review-escalated", next)).ConfigureAwait(false);
            if (result.Status == WriteStatus.Committed) TellAll(next);
        }

        await SweepGrantsAsync(now).ConfigureAwait(false);
        foreach (var id in waiters.Keys)
        {
            if (!open.Contains(id)) WakeAll(id);
        }
    }

    private static int Due(IReadOnlyList<Requirement> requirements, TimeSpan age) => requirements.Sum(r => r.Escalations.Count(e => e.After <= age));

    /// <summary>
    /// After a start: open reviews have no waiters any more and are shown detached; what was released and has no outcome
    /// is unknown, said so, and never retried (P50, P23).
    /// </summary>
    public async Task RecoverAsync()
    {
        foreach (var (review, version) in store.ListOpen().ToArray())
        {
            if (review.DetachedAt is null) await DetachAsync(review, version, "restart").ConfigureAwait(false);
        }

        foreach (var (review, version) in store.ListInFlight().ToArray())
        {
            var unknown = new Outcome(OutcomeStatus.Unknown, null, 0, TimeSpan.Zero, null);
            await WriteAsync(review with { Outcome = unknown }, ReviewStore.InFlight, version, ReviewEntries.Outcome(review, unknown)).ConfigureAwait(false);
        }
    }
}
