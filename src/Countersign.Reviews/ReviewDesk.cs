using System.Collections.Concurrent;
using System.Security.Cryptography;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Identity.Passkeys;
using Countersign.Journal;

namespace Countersign.Reviews;

/// <summary>
/// What reviews ask of policy. The composition root binds it to the policy room; both are asked afresh each time (I5, P33).
/// </summary>
public sealed record PolicyQuestions(
    Func<GatewayAction, Decision> Decide,
    Func<UserEntry, Review, string, bool> MayApprove)
{
    /// <summary>
    /// Whether this agent may still act with this chain: not revoked, same owner, same user. Asked for each
    /// action, and again at release (I5, P22). May throw <see cref="JournalStoreException"/>: then nothing runs.
    /// </summary>
    public Func<ActorChain, bool> StillActs { get; init; } = static _ => true;

    /// <summary>
    /// Whether this human stands too close to the rule that asks, or to the agent as it was: he changed a policy that
    /// matched, or owned the agent, not long ago (I11).
    /// </summary>
    public Func<OpaqueId, Review, bool> IsCooling { get; init; } = static (_, _) => false;

    /// <summary>Whether policy lets this human release this review at once, whoever it waits for. Nobody, unless bound.</summary>
    public Func<UserEntry, Review, string, bool> MayBreakGlass { get; init; } = static (_, _, _) => false;
}

/// <summary>What became of a human's answer.</summary>
public sealed record AnswerResult(string ReasonCode, string Message, Review? Review)
{
    public bool Accepted => ReasonCode is ReasonCodes.Approved or ReasonCodes.ReviewDenied or ReasonCodes.GlassBroken;
}

/// <summary>One requirement of a review as it stands.</summary>
/// <param name="Requirement">The requirement.</param>
/// <param name="Open">Slots that nobody has filled.</param>
/// <param name="Now">Whether people are asked for it now; false: it is met, or its stage has not come, or the review is over.</param>
/// <param name="Can">Names of those who could fill a slot and have not answered; `bob (for alice)` where he speaks for somebody.</param>
public sealed record Asked(Requirement Requirement, int Open, bool Now, IReadOnlyList<string> Can);

/// <summary>
/// The life of reviews on one node: opening and joining, waiting, answering, releasing, expiring. The store is the only
/// state (a crash takes nothing but the waiters); every change is a compare-and-set together with its journal entry.
/// Thread-safe.
/// </summary>
public sealed partial class ReviewDesk(
    IStateReader reader, JournalAppender journal, UserDirectory users, PolicyQuestions policy,
    Voices voices, TimeProvider time, ReviewLimits limits, byte[] joinSecret, ReviewFeed feed)
{
    /// <summary>Channels on which this gateway takes answers; eligibility is asked for each.</summary>
    public IReadOnlyList<string> Channels { get; init; } = OwnChannels;

    /// <summary>Those that are always there.</summary>
    public static readonly IReadOnlyList<string> OwnChannels = ["cli", "api", BrowserChannel];

    /// <summary>The channel of a browser's session; no other session can claim it.</summary>
    public const string BrowserChannel = "console";

    /// <summary>What proves an answer where policy asks for a step-up; null: nothing does, and such a review is approved by nobody.</summary>
    public PasskeyRegistry? Passkeys { get; init; }

    private readonly ReviewStore store = new(reader);
    private readonly ConcurrentDictionary<ReviewId, WaiterSet> waiters = new();

    /// <summary>One agent opens one review at a time, so that its open ones can be counted. As many as there are agents.</summary>
    private readonly ConcurrentDictionary<OpaqueId, SemaphoreSlim> opening = new();

    /// <summary>Outcomes that the journal did not take yet; as many at most as there are reviews in flight.</summary>
    private readonly ConcurrentDictionary<ReviewId, (ActionId Action, Outcome Outcome)> unrecorded = new();

    private sealed class WaiterSet
    {
        public readonly List<Waiter> Items = [];
    }

    public Review? Find(ReviewId id) => store.Find(id);

    public IReadOnlyList<Review> ListOpen() => store.ListOpen().Select(static r => r.Review).OrderBy(static r => r.CreatedAt).ToArray();

    /// <summary>The newest reviews that are over, newest first, those whose action is still under way among them.</summary>
    public IReadOnlyList<Review> ListClosed(int max = 200) =>
        store.ListInFlight().Select(static r => r.Review).Concat(store.ListClosed(max)).OrderByDescending(static r => r.ClosedAt).Take(max).ToArray();

    public int WaiterCount(ReviewId id)
    {
        if (!waiters.TryGetValue(id, out var set)) return 0;
        lock (set) return set.Items.Count;
    }

    /// <summary>
    /// Opens or joins the review of this action and waits. <paramref name="decision"/> is the requestable denial that
    /// policy gave it just now. Completes when the action is released, refused, or the waiter leaves. A refusal without a
    /// review means that nothing was opened, and that nothing of it is in the journal yet.
    /// </summary>
    /// <exception cref="JournalStoreException">The store can not be read: nothing runs.</exception>
    public async Task<HoldEnd> HoldAsync(Waiter waiter, Decision decision)
    {
        if (Unticketed(waiter.Action, decision.Requirements, null) is { } unticketed) return unticketed;
        var key = JoinKey.Compute(joinSecret, waiter.Canonical);
        while (true)
        {
            // Nobody is asked for somebody who has gone already.
            if (waiter.Left is { } gone) return Gone(gone, null);
            if (await TryGrantAsync(waiter).ConfigureAwait(false) is { } granted) return granted;
            if (store.FindOpen(key) is not { } open)
            {
                var (opened, end) = await OpenAsync(key, waiter, decision).ConfigureAwait(false);
                if (end is not null) return end;
                if (opened is { } made) return await WaitAsync(made, waiter).ConfigureAwait(false);
                continue;
            }

            if (open.Review.HasRunOut(time.GetUtcNow(), limits.Detached))
            {
                // It is denied, though no sweep has said so yet: nobody joins it, and what comes now is a new request.
                var expired = await ExpireAsync(open.Review, open.Version).ConfigureAwait(false);
                if (expired.Status == WriteStatus.Unavailable) return JournalDown(expired);
                continue;
            }

            var joined = await JoinAsync(open.Review, open.Version, waiter).ConfigureAwait(false);
            if (joined.Status == WriteStatus.Committed) return await WaitAsync(open.Review.Id, waiter).ConfigureAwait(false);
            if (joined.Status == WriteStatus.Unavailable) return JournalDown(joined);
        }
    }

    /// <summary>The id of what was opened, or the refusal; neither when somebody else opened it in between: join that one.</summary>
    private async Task<(ReviewId? Id, HoldEnd? End)> OpenAsync(JoinKey key, Waiter waiter, Decision decision)
    {
        var gate = opening.GetOrAdd(waiter.Action.Actors.Agent.Id, static _ => new SemaphoreSlim(1, 1));
        await gate.WaitAsync().ConfigureAwait(false);
        try
        {
            return store.FindOpen(key) is null ? await OpenCountedAsync(key, waiter, decision).ConfigureAwait(false) : (null, null);
        }
        finally
        {
            gate.Release();
        }
    }

    private async Task<(ReviewId? Id, HoldEnd? End)> OpenCountedAsync(JoinKey key, Waiter waiter, Decision decision)
    {
        var action = waiter.Action;
        var agent = action.Actors.Agent;
        if (store.ListOpen().Count(r => r.Review.Agent.Id == agent.Id) >= limits.PendingPerAgent)
        {
            return (null, new HoldEnd.Refused(ReasonCodes.TooManyPending, $"agent `{agent.Name}` has {limits.PendingPerAgent} open reviews; wait for them or cancel some", null));
        }

        var now = time.GetUtcNow();
        var salt = RandomNumberGenerator.GetBytes(GatewayAction.SaltBytes);
        var review = Of(action, decision, key, salt, waiter.Canonical, now);

        if (!CanEverBeMet(review))
        {
            return (null, new HoldEnd.Refused(ReasonCodes.NoEligibleApprover, $"it needs {Describe(review.Requirements)}, and too few people may approve it", null));
        }

        if (ApprovalStatement.Size(review) > limits.StatementBytes)
        {
            return (null, new HoldEnd.Refused(ReasonCodes.TooLarge, $"what a human would have to read is over the limit of {limits.StatementBytes} bytes", null));
        }

        // Registered before it is written: whoever finds the review finds that it has a waiter.
        Register(review.Id, waiter);
        WriteResult? result = null;
        try
        {
            result = await journal.WriteAsync(new WriteSet([ReviewEntries.Opened(review)],
                [new StateChange.Put(ReviewStore.Open, review.Id.Value, 0, key.Value, review.ToBytes())])).ConfigureAwait(false);
        }
        finally
        {
            if (result?.Status != WriteStatus.Committed) Unregister(review.Id, waiter);
        }

        if (result.Status == WriteStatus.Conflict) return (null, null);
        if (result.Status == WriteStatus.Unavailable) return (null, JournalDown(result));
        feed.Publish(review);
        Tell(waiter, review);
        return (review.Id, null);
    }

    /// <summary>A review of this action as it is shown, pending from now.</summary>
    private static Review Of(GatewayAction action, Decision decision, JoinKey key, byte[] salt, byte[] canonical, DateTimeOffset now) => new()
    {
        Id = ReviewId.New(),
        State = ReviewState.Pending,
        Action = action.Id,
        JoinKey = key,
        Salt = salt,
        Digest = GatewayAction.ComputeDigest(salt, canonical).ToString(),
        Agent = action.Actors.Agent,
        Owner = action.Actors.Owner,
        OnBehalfOf = action.Actors.OnBehalfOf,
        Via = action.Actors.Via,
        Editors = action.Actors.Editors,
        AgentGroups = action.Actors.Groups,
        Target = action.Target,
        Effects = action.Effects.Select(ShownEffect.Of).ToArray(),
        Operation = action.Payload.Operation,
        Statement = action.Payload.DisplayText,
        Parameters = action.Payload.Parameters.Select(ShownParameter.Of).ToArray(),
        Settings = action.Settings,
        Intent = action.Intent,
        Notes = action.Notes,
        Requirements = decision.Requirements,
        Policies = decision.DeterminingPolicies.ToArray(),
        Revision = decision.Revision,
        CreatedAt = now,
        ExpiresAt = now + Shortest(decision.Requirements),
    };

    /// <summary>Registered when committed, and not otherwise.</summary>
    private async Task<WriteResult> JoinAsync(Review review, long version, Waiter waiter)
    {
        var joined = review with { DetachedAt = null };
        Register(review.Id, waiter);
        WriteResult? result = null;
        try
        {
            result = await WriteAsync(joined, ReviewStore.Open, version, ReviewEntries.Simple("review-joined", review, action: waiter.Action.Id)).ConfigureAwait(false);
        }
        finally
        {
            if (result?.Status != WriteStatus.Committed) Unregister(review.Id, waiter);
        }

        if (result.Status == WriteStatus.Committed) Tell(waiter, joined);
        return result;
    }

    /// <summary>Takes over the registration of the waiter, and ends it however the wait ends.</summary>
    private async Task<HoldEnd> WaitAsync(ReviewId id, Waiter waiter)
    {
        HoldEnd? end = null;
        try
        {
            while (end is null)
            {
                if (waiter.Left is { } reason) end = await LeaveAsync(id, waiter, reason).ConfigureAwait(false);
                else if (store.FindOpen(id) is not { } current) end = Ended(id);
                else if (current.Review.State == ReviewState.Approved) end = await TryReleaseAsync(current.Review, current.Version, waiter).ConfigureAwait(false);
                else if (waiter.TakeEdit() is { } request)
                {
                    if (await EditHeldAsync(id, waiter, request).ConfigureAwait(false) is not var (next, successor)) continue;
                    Unregister(id, waiter);
                    waiter.EndEdits();
                    (id, waiter) = (next, successor);
                }
                else await waiter.NextAsync().ConfigureAwait(false);
            }

            return end;
        }
        finally
        {
            Unregister(id, waiter);
            waiter.EndEdits();

            // Whatever ended this wait and not the review: with nobody left it is detached.
            if (end is not HoldEnd.Released) await DetachIfReadableAsync(id, end is HoldEnd.Refused refused ? refused.ReasonCode : ReasonCodes.Internal).ConfigureAwait(false);
        }
    }

    private HoldEnd Ended(ReviewId id)
    {
        var review = store.Find(id);
        return review?.State switch
        {
            ReviewState.Released => new HoldEnd.Refused(ReasonCodes.AlreadyReleased, "another connection that presented the same action has carried it out", review),
            ReviewState.Denied => new HoldEnd.Refused(review.CloseReason ?? ReasonCodes.ReviewDenied, DeniedText(review), review),
            ReviewState.Expired => new HoldEnd.Refused(ReasonCodes.ReviewExpired, "nobody approved it in time", review),
            ReviewState.Withdrawn when review.EditedInto is { } into => new HoldEnd.Refused(ReasonCodes.ReviewEdited, $"`{review.ClosedBy}` has made something else of it, for another connection: review {into}", review),
            ReviewState.Withdrawn => new HoldEnd.Refused(ReasonCodes.ReviewWithdrawn, "it was withdrawn", review),
            _ => new HoldEnd.Refused(ReasonCodes.Internal, "the review was lost", review),
        };
    }

    private static string DeniedText(Review review)
    {
        var no = review.Answers.LastOrDefault(static a => a.Kind == AnswerKind.Deny);
        if (no is not null)
        {
            return no.Comment is { Length: > 0 } comment ? $"`{no.Name}` denied it: {VisibleText.Of(comment, multiline: false)}" : $"`{no.Name}` denied it";
        }

        return review.CloseReason switch
        {
            ReasonCodes.NoEligibleApprover => $"it needs {Describe(review.Requirements)} now, and too few people may approve it",
            ReasonCodes.Unauthenticated => $"agent `{review.Agent.Name}` may no longer act as it did when it asked",
            _ => "policy denied it when it was to be released",
        };
    }

    private async Task<HoldEnd> LeaveAsync(ReviewId id, Waiter waiter, LeaveReason reason)
    {
        Unregister(id, waiter);
        if (reason == LeaveReason.Cancelled)
        {
            if (await WithdrawAsync(id).ConfigureAwait(false) is { Status: WriteStatus.Unavailable } down) return JournalDown(down);
        }
        else
        {
            await DetachAsync(id, Text(reason)).ConfigureAwait(false);
        }

        // What became of it in between is the better answer: it may even have run, for another waiter.
        var review = store.Find(id);
        return review is { IsOpen: false } && !(reason == LeaveReason.Cancelled && review.State == ReviewState.Withdrawn) ? Ended(id) : Gone(reason, review);
    }

    private static HoldEnd Gone(LeaveReason reason, Review? review) => reason switch
    {
        LeaveReason.Cancelled => new HoldEnd.Refused(ReasonCodes.ReviewWithdrawn, "it was cancelled while it waited for approval", review),
        LeaveReason.HoldLimit => new HoldEnd.Refused(ReasonCodes.ReviewPending, "it still waits for approval; send the same statement again to go on waiting", review),
        LeaveReason.ShuttingDown => new HoldEnd.Refused(ReasonCodes.ShuttingDown, "the gateway is stopping; the review stays open, send the same statement again", review),
        _ => new HoldEnd.Refused(ReasonCodes.ReviewPending, "the connection was lost while it waited", review),
    };

    /// <summary>Withdraws the review unless somebody else waits for it. Null: nothing to write.</summary>
    private async Task<WriteResult?> WithdrawAsync(ReviewId id)
    {
        while (store.FindOpen(id) is { } current && WaiterCount(id) == 0)
        {
            var next = Close(current.Review, ReviewState.Withdrawn, ReasonCodes.ReviewWithdrawn);
            var result = await WriteAsync(next, ReviewStore.Open, current.Version, ReviewEntries.Simple("review-withdrawn", next, ReasonCodes.ReviewWithdrawn)).ConfigureAwait(false);
            if (result.Status != WriteStatus.Conflict) return result;
        }

        return null;
    }

    /// <summary>
    /// Says that nobody waits any more, unless somebody does. A waiter registers before it writes that it joined: either
    /// it is seen here, or one of the two writes conflicts and looks again. What can not be written now, the sweep makes good.
    /// </summary>
    private async Task DetachAsync(ReviewId id, string why)
    {
        while (store.FindOpen(id) is { Review.DetachedAt: null } current && WaiterCount(id) == 0)
        {
            if ((await DetachAsync(current.Review, current.Version, why).ConfigureAwait(false)).Status != WriteStatus.Conflict) return;
        }
    }

    private Task<WriteResult> DetachAsync(Review review, long version, string why)
    {
        if (review.Edit is not null)
        {
            // No agent can present what a human made of its action: without its connection it would wait for nobody.
            var over = Close(review, ReviewState.Withdrawn, ReasonCodes.ReviewWithdrawn);
            return WriteAsync(over, ReviewStore.Open, version, ReviewEntries.Simple("review-withdrawn", over, why));
        }

        var next = review with { DetachedAt = time.GetUtcNow() };
        return WriteAsync(next, ReviewStore.Open, version, ReviewEntries.Simple("review-detached", next, why));
    }

    private async Task DetachIfReadableAsync(ReviewId id, string why)
    {
        try
        {
            await DetachAsync(id, why).ConfigureAwait(false);
        }
        catch (JournalStoreException)
        {
            // The sweep makes it good.
        }
    }

    private static string Text(LeaveReason reason) => reason switch
    {
        LeaveReason.Lost => "connection-lost",
        LeaveReason.HoldLimit => "hold-limit",
        LeaveReason.ShuttingDown => "shutting-down",
        _ => "cancelled",
    };

    private static TimeSpan Shortest(IReadOnlyList<Requirement> requirements) => requirements.Min(static r => r.Expires);

    /// <summary>The refusal of an action whose ticket is not what policy asks for: nobody is asked about it.</summary>
    private static HoldEnd.Refused? Unticketed(GatewayAction action, IReadOnlyList<Requirement> requirements, Review? review)
    {
        if (requirements.All(r => r.IsTicketedBy(action.Intent.Ticket))) return null;
        var patterns = requirements.SelectMany(static r => r.TicketPatterns).Distinct(StringComparer.Ordinal).Select(static p => $"/{p}/");
        return new HoldEnd.Refused(ReasonCodes.TicketRequired, $"policy asks for a ticket that matches {string.Join(" and ", patterns)}", review);
    }

    /// <summary>
    /// Whether enough people could ever say yes, counting every escalation that comes before the deadline: who is no actor,
    /// and whom policy would let approve on some channel of this build. Who is away and his delegate have one voice between them:
    /// either all who are away are, or none is.
    /// </summary>
    private bool CanEverBeMet(Review review)
    {
        var age = review.ExpiresAt - review.CreatedAt - TimeSpan.FromTicks(1);
        var heard = Voices(review);
        var people = users.All.Where(u => !IsBarred(u.Ref.Id, review)).ToArray();
        return Suffice(people.Where(u => !heard.IsAway(u.Ref.Id)).Select(heard.Of)) || Suffice(people.Select(heard.Alone));

        bool Suffice(IEnumerable<UserEntry> speaking) => RequirementAlgebra.IsMet(
            review.Requirements, speaking.Where(u => MayApprove(u, review)).Select(static u => KeyValuePair.Create(u.Ref.Id, u.Groups)).ToArray(), age);
    }

    private bool MayApprove(UserEntry speaking, Review review) => !IsBarred(speaking.Ref.Id, review) && Channels.Any(c => policy.MayApprove(speaking, review, c));

    /// <summary>Whether this human can not say yes, whatever policy says: he is behind the action (I4), or stands too close to it (I11).</summary>
    private bool IsBarred(OpaqueId user, Review review) => review.IsActor(user) || policy.IsCooling(user, review);

    /// <summary>The voices about this review now; who may not say yes himself lends nobody his.</summary>
    private Speaking Voices(Review review) => voices.For(review, id => IsBarred(id, review));

    /// <summary>Everybody who may say yes to this review as things stand now, in whatever stage.</summary>
    public IReadOnlyList<UserEntry> Eligible(Review review)
    {
        var heard = Voices(review);
        return users.All.Where(u => MayApprove(heard.Of(u), review)).OrderBy(static u => u.Ref.Name, StringComparer.Ordinal).ToArray();
    }

    /// <summary>What this review waits for, requirement by requirement, and who could give it.</summary>
    public IReadOnlyList<Asked> Asking(Review review)
    {
        var now = time.GetUtcNow();
        var heard = Voices(review);
        var progress = Tally(review, review.Requirements, now).Progress;
        var eligible = Eligible(review).Where(u => review.Answers.All(a => a.User != u.Ref.Id)).ToArray();
        return review.Requirements.Select((r, i) => new Asked(r, progress.Open[i], review.IsOpen && progress.Stage == r.Stage && progress.Open[i] > 0,
            eligible.Where(u => r.GroupsAt(now - review.CreatedAt).Any(heard.Of(u).Groups.Contains)).Select(u => Name(u, r)).ToArray())).ToArray();

        string Name(UserEntry user, Requirement r)
        {
            if (r.GroupsAt(now - review.CreatedAt).Any(heard.Alone(user).Groups.Contains)) return user.Ref.Name;
            return $"{user.Ref.Name} (for {string.Join(", ", heard.For(user).Select(static a => a.Name))})";
        }
    }

    /// <summary>`1 of dba or sre, and 2 of owners; then 1 of directors, each with a passkey`.</summary>
    public static string Describe(IReadOnlyList<Requirement> requirements) =>
        string.Join("; then ", requirements.GroupBy(static r => r.Stage).OrderBy(static s => s.Key).Select(static s =>
            string.Join(", and ", s.Select(static r => $"{r.Quorum} of {string.Join(" or ", r.Groups.Select(Describe))}"))))
        + (RequirementAlgebra.StepUpOf(requirements) == StepUp.None ? "" : requirements.Sum(static r => r.Quorum) > 1 ? ", each with a passkey" : ", with a passkey");

    private static string Describe(string group) =>
        group.StartsWith(Requirement.OnCallPrefix, StringComparison.Ordinal) ? $"who is on call for {group[Requirement.OnCallPrefix.Length..]}" : group;

    private Review Close(Review review, ReviewState state, string reason, string? by = null) =>
        review with { State = state, ClosedAt = time.GetUtcNow(), CloseReason = reason, ClosedBy = by, DetachedAt = null };

    private Task<WriteResult> WriteAsync(Review next, string from, long version, params EntryDraft[] entries) => WriteAsync(next, from, version, entries, []);

    private async Task<WriteResult> WriteAsync(Review next, string from, long version, EntryDraft[] entries, StateChange[] more)
    {
        var result = await journal.WriteAsync(new WriteSet(entries, [.. ReviewStore.Changes(next, from, version), .. more])).ConfigureAwait(false);
        if (result.Status != WriteStatus.Committed) return result;
        feed.Publish(next);
        WakeAll(next.Id);
        return result;
    }

    /// <summary>What the journal said in detail is for its log, not for an agent.</summary>
    private static HoldEnd JournalDown(WriteResult result) => result.ReasonCode switch
    {
        ReasonCodes.TooLarge => new HoldEnd.Refused(ReasonCodes.TooLarge, "it is too large to be recorded, and nothing may run unrecorded", null),
        ReasonCodes.Overloaded => new HoldEnd.Refused(ReasonCodes.Overloaded, "the journal does not keep up, and nothing may run unrecorded", null),
        ReasonCodes.ShuttingDown => new HoldEnd.Refused(ReasonCodes.ShuttingDown, "the gateway is stopping", null),
        _ => new HoldEnd.Refused(ReasonCodes.JournalUnavailable, "the journal can not be written, so nothing may run", null),
    };

    /// <summary>A client that can not be told is gone; what it throws must not stop anybody else.</summary>
    private static void Tell(Waiter waiter, Review review)
    {
        try
        {
            waiter.Told(review);
        }
        catch (Exception)
        {
            waiter.Leave(LeaveReason.Lost);
        }
    }

    private void TellAll(Review review)
    {
        foreach (var waiter in WaitersOf(review.Id)) Tell(waiter, review);
    }

    private void Register(ReviewId id, Waiter waiter)
    {
        while (true)
        {
            var set = waiters.GetOrAdd(id, static _ => new WaiterSet());
            lock (set)
            {
                if (!waiters.TryGetValue(id, out var current) || current != set) continue;
                set.Items.Add(waiter);
                return;
            }
        }
    }

    private void Unregister(ReviewId id, Waiter waiter)
    {
        if (!waiters.TryGetValue(id, out var set)) return;
        lock (set)
        {
            set.Items.Remove(waiter);
            if (set.Items.Count == 0) waiters.TryRemove(KeyValuePair.Create(id, set));
        }
    }

    private void WakeAll(ReviewId id)
    {
        foreach (var waiter in WaitersOf(id)) waiter.Wake();
    }

    private Waiter[] WaitersOf(ReviewId id)
    {
        if (!waiters.TryGetValue(id, out var set)) return [];
        lock (set) return set.Items.ToArray();
    }
}
