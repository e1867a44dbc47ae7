using System.Collections.Concurrent;
using System.Security.Cryptography;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;

namespace Countersign.Reviews;

/// <summary>
/// What reviews ask of policy. The composition root binds it to the policy room; both are asked afresh each time (I5, P33).
/// </summary>
public sealed record PolicyQuestions(
    Func<GatewayAction, Decision> Decide,
    Func<UserEntry, Review, string, bool> MayApprove);

/// <summary>What became of a human's answer.</summary>
public sealed record AnswerResult(string ReasonCode, string Message, Review? Review)
{
    public bool Accepted => ReasonCode is ReasonCodes.Approved or ReasonCodes.ReviewDenied;
}

/// <summary>
/// The life of reviews on one node: opening and joining, waiting, answering, releasing, expiring. The store is the only
/// state (a crash takes nothing but the waiters); every change is a compare-and-set together with its journal entry.
/// Thread-safe.
/// </summary>
public sealed partial class ReviewDesk(
    IStateReader reader, JournalAppender journal, UserDirectory users, PolicyQuestions policy,
    TimeProvider time, ReviewLimits limits, byte[] joinSecret, ReviewFeed feed)
{
    /// <summary>Channels that this build can take an answer on; eligibility is asked for each.</summary>
    public static readonly IReadOnlyList<string> Channels = ["cli", "api"];

    private readonly ReviewStore store = new(reader);
    private readonly ConcurrentDictionary<ReviewId, WaiterSet> waiters = new();

    private sealed class WaiterSet
    {
        public readonly List<Waiter> Items = [];
    }

    public Review? Find(ReviewId id) => store.Find(id);

    public IReadOnlyList<Review> ListOpen() => store.ListOpen().Select(static r => r.Review).OrderBy(static r => r.CreatedAt).ToArray();

    public IReadOnlyList<Review> ListClosed() => store.ListInFlight().Select(static r => r.Review).Concat(store.ListClosed()).OrderByDescending(static r => r.ClosedAt).ToArray();

    public int WaiterCount(ReviewId id)
    {
        if (!waiters.TryGetValue(id, out var set)) return 0;
        lock (set) return set.Items.Count;
    }

    /// <summary>
    /// Opens or joins the review of this action and waits. <paramref name="decision"/> is the requestable denial that
    /// policy gave it just now. Completes when the action is released, refused, or the waiter leaves.
    /// </summary>
    public async Task<HoldEnd> HoldAsync(Waiter waiter, Decision decision)
    {
        var key = JoinKey.Compute(joinSecret, waiter.Canonical);
        ReviewId id;
        while (true)
        {
            if (store.FindOpen(key) is { } open)
            {
                id = open.Review.Id;
                Register(id, waiter);
                var joined = await JoinAsync(open.Review, open.Version, waiter).ConfigureAwait(false);
                if (joined is null)
                {
                    Unregister(id, waiter);
                    continue;
                }

                if (joined is { } refused && refused != Nothing)
                {
                    Unregister(id, waiter);
                    return refused;
                }

                break;
            }

            var (opened, end) = await OpenAsync(key, waiter, decision).ConfigureAwait(false);
            if (end is not null) return end;
            if (opened is null) continue;
            id = opened.Value;
            break;
        }

        return await WaitAsync(id, waiter).ConfigureAwait(false);
    }

    private static readonly HoldEnd Nothing = new HoldEnd.Refused("", "", null);

    private async Task<(ReviewId? Id, HoldEnd? End)> OpenAsync(JoinKey key, Waiter waiter, Decision decision)
    {
        var action = waiter.Action;
        var agent = action.Actors.Agent;
        if (store.ListOpen().Count(r => r.Review.Agent.Id == agent.Id) >= limits.PendingPerAgent)
        {
            return (null, new HoldEnd.Refused(ReasonCodes.TooManyPending, $"agent `{agent.Name}` has {limits.PendingPerAgent} open reviews; wait for them or cancel some", null));
        }

        var now = time.GetUtcNow();
        var salt = RandomNumberGenerator.GetBytes(GatewayAction.SaltBytes);
        var review = new Review
        {
            Id = ReviewId.New(),
            State = ReviewState.Pending,
            Action = action.Id,
            JoinKey = key,
            Salt = salt,
            Digest = GatewayAction.ComputeDigest(salt, waiter.Canonical).ToString(),
            Agent = agent,
            Owner = action.Actors.Owner,
            OnBehalfOf = action.Actors.OnBehalfOf,
            Target = action.Target,
            Effects = action.Effects.Select(ShownEffect.Of).ToArray(),
            Operation = action.Payload.Operation,
            Statement = action.Payload.DisplayText,
            Parameters = action.Payload.Parameters.Select(static p => new ShownParameter(p.Type, p.Raw is null ? null : p.Text ?? "")).ToArray(),
            Settings = action.Settings,
            Intent = action.Intent,
            Notes = action.Notes,
            Requirements = decision.Requirements,
            Policies = decision.DeterminingPolicies.ToArray(),
            Revision = decision.Revision,
            CreatedAt = now,
            ExpiresAt = now + Shortest(decision.Requirements),
        };

        if (!CanEverBeMet(review))
        {
            return (null, new HoldEnd.Refused(ReasonCodes.NoEligibleApprover, $"it needs {Describe(review.Requirements)}, and too few people may approve it", review));
        }

        Register(review.Id, waiter);
        var result = await journal.WriteAsync(new WriteSet([ReviewEntries.Opened(review)],
            [new StateChange.Put(ReviewStore.Open, review.Id.Value, 0, key.Value, review.ToBytes())])).ConfigureAwait(false);
        if (result.Status == WriteStatus.Committed)
        {
            feed.Publish(review);
            Tell(waiter, review);
            return (review.Id, null);
        }

        Unregister(review.Id, waiter);

        // Somebody else opened it in between: join that one.
        return result.Status == WriteStatus.Conflict ? (null, null) : (null, JournalDown(result));
    }

    /// <summary>Null: try again. <see cref="Nothing"/>: joined. Else the refusal.</summary>
    private async Task<HoldEnd?> JoinAsync(Review review, long version, Waiter waiter)
    {
        var joined = review with { DetachedAt = null };
        var result = await WriteAsync(joined, ReviewStore.Open, version, ReviewEntries.Simple("review-joined", review, action: waiter.Action.Id)).ConfigureAwait(false);
        if (result.Status == WriteStatus.Conflict) return null;
        if (result.Status == WriteStatus.Unavailable) return JournalDown(result);
        Tell(waiter, joined);
        return Nothing;
    }

    private async Task<HoldEnd> WaitAsync(ReviewId id, Waiter waiter)
    {
        try
        {
            while (true)
            {
                if (waiter.Left is { } reason) return await LeaveAsync(id, waiter, reason).ConfigureAwait(false);
                if (store.FindOpen(id) is not { } current) return Ended(id);

                if (current.Review.State == ReviewState.Approved)
                {
                    var end = await TryReleaseAsync(current.Review, current.Version, waiter).ConfigureAwait(false);
                    if (end is not null) return end;
                    if (store.FindOpen(id) is { } after && after.Review.State == ReviewState.Approved) continue;
                }

                await waiter.NextAsync().ConfigureAwait(false);
            }
        }
        finally
        {
            Unregister(id, waiter);
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
            ReviewState.Withdrawn => new HoldEnd.Refused(ReasonCodes.ReviewWithdrawn, "it was withdrawn", review),
            _ => new HoldEnd.Refused(ReasonCodes.Internal, "the review was lost", review),
        };
    }

    private static string DeniedText(Review review)
    {
        var no = review.Answers.LastOrDefault(static a => a.Kind == AnswerKind.Deny);
        if (no is null) return "policy denied it when it was to be released";
        return no.Comment is { Length: > 0 } comment ? $"`{no.Name}` denied it: {VisibleText.Of(comment, multiline: false)}" : $"`{no.Name}` denied it";
    }

    private async Task<HoldEnd> LeaveAsync(ReviewId id, Waiter waiter, LeaveReason reason)
    {
        Unregister(id, waiter);
        while (store.FindOpen(id) is { } current)
        {
            if (WaiterCount(id) > 0) break;
            WriteResult result;
            Review next;
            if (reason == LeaveReason.Cancelled)
            {
                next = Close(current.Review, ReviewState.Withdrawn, ReasonCodes.ReviewWithdrawn);
                result = await WriteAsync(next, ReviewStore.Open, current.Version, ReviewEntries.Simple("review-withdrawn", next, ReasonCodes.ReviewWithdrawn)).ConfigureAwait(false);
            }
            else
            {
                next = current.Review with { DetachedAt = time.GetUtcNow() };
                result = await WriteAsync(next, ReviewStore.Open, current.Version, ReviewEntries.Simple("review-detached", next, Text(reason))).ConfigureAwait(false);
            }

            if (result.Status != WriteStatus.Conflict) break;
        }

        var review = store.Find(id);
        return reason switch
        {
            LeaveReason.Cancelled => new HoldEnd.Refused(ReasonCodes.ReviewWithdrawn, "it was cancelled while it waited for approval", review),
            LeaveReason.HoldLimit => new HoldEnd.Refused(ReasonCodes.ReviewPending, "it still waits for approval; send the same statement again to go on waiting", review),
            LeaveReason.ShuttingDown => new HoldEnd.Refused(ReasonCodes.ShuttingDown, "the gateway is stopping; the review stays open, send the same statement again", review),
            _ => new HoldEnd.Refused(ReasonCodes.ReviewPending, "the connection was lost while it waited", review),
        };
    }

    private static string Text(LeaveReason reason) => reason switch
    {
        LeaveReason.Lost => "connection-lost",
        LeaveReason.HoldLimit => "hold-limit",
        LeaveReason.ShuttingDown => "shutting-down",
        _ => "cancelled",
    };

    private static TimeSpan Shortest(IReadOnlyList<Requirement> requirements) => requirements.Min(static r => r.Expires);

    /// <summary>
    /// Whether enough people could ever say yes, counting every escalation as come: who is no actor, and whom policy would
    /// let approve on some channel of this build.
    /// </summary>
    private bool CanEverBeMet(Review review) =>
        RequirementAlgebra.IsMet(review.Requirements, Eligible(review).Select(static u => KeyValuePair.Create(u.Ref.Id, u.Groups)).ToArray(), null);

    /// <summary>Everybody who may say yes to this review as things stand now.</summary>
    public IReadOnlyList<UserEntry> Eligible(Review review) =>
        users.All.Where(u => !review.IsActor(u.Ref.Id) && Channels.Any(c => policy.MayApprove(u, review, c)))
            .OrderBy(static u => u.Ref.Name, StringComparer.Ordinal).ToArray();

    /// <summary>`1 of dba or sre, and 2 of owners`.</summary>
    public static string Describe(IReadOnlyList<Requirement> requirements) =>
        string.Join(", and ", requirements.Select(static r => $"{r.Quorum} of {string.Join(" or ", r.Groups)}"));

    private Review Close(Review review, ReviewState state, string reason, string? by = null) =>
        review with { State = state, ClosedAt = time.GetUtcNow(), CloseReason = reason, ClosedBy = by, DetachedAt = null };

    private async Task<WriteResult> WriteAsync(Review next, string from, long version, params EntryDraft[] entries)
    {
        var result = await journal.WriteAsync(new WriteSet(entries, ReviewStore.Changes(next, from, version))).ConfigureAwait(false);
        if (result.Status != WriteStatus.Committed) return result;
        feed.Publish(next);
        WakeAll(next.Id);
        return result;
    }

    private static HoldEnd JournalDown(WriteResult result) =>
        new HoldEnd.Refused(ReasonCodes.JournalUnavailable, $"the journal can not be written, so nothing may run: {result.Detail}", null);

    private static void Tell(Waiter waiter, Review review) => waiter.Told(review);

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
