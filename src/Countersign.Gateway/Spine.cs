using Countersign.Core;
using Countersign.Journal;
using Countersign.Reviews;

namespace Countersign.Gateway;

/// <summary>
/// The way that every action of every protocol travels: decide → record → (hold → release) → forward → outcome. A protocol
/// identifies and understands, calls <see cref="SubmitAsync"/>, and does what the ruling says. Thread-safe.
/// </summary>
public sealed class Spine(PolicyQuestions policy, ReviewDesk desk, AgentBrake brake, JournalAppender journal, TimeProvider time)
{
    /// <summary>
    /// Decides an action and, where policy asks for it, holds until humans have. Completes with the right to forward, or
    /// with a refusal; never throws for what policy, people or the journal may say.
    /// </summary>
    /// <param name="action">The action as understood.</param>
    /// <param name="makeWaiter">Called only when it must be held.</param>
    public async ValueTask<Ruling> SubmitAsync(GatewayAction action, Func<Waiter> makeWaiter)
    {
        if (await BrakeAsync(action).ConfigureAwait(false) is { } braked) return new Ruling.Refused(braked);
        bool acts;
        try
        {
            acts = policy.StillActs(action.Actors);
        }
        catch (JournalStoreException)
        {
            return new Ruling.Refused(Refusal.OfJournal(null));
        }

        // A connection may outlive its agent's revocation, owner or user: what was true when it was made is asked for each action (P22).
        if (!acts)
        {
            return new Ruling.Refused(await RefuseAsync(action.Actors, action.Target, ReasonCodes.Unauthenticated, $"agent `{action.Actors.Agent.Name}` may no longer act as it did when it connected",
                "nothing ran. Connect again; if that is refused, ask the operator.", action.Payload.DisplayText).ConfigureAwait(false));
        }

        var start = time.GetTimestamp();
        Decision decision;
        using (SpineTelemetry.Source.StartActivity("decide"))
        {
            decision = policy.Decide(action);
        }

        SpineTelemetry.Decided(action, decision, time.GetElapsedTime(start));
        return decision.Verdict switch
        {
            Verdict.Permit => await PermitAsync(action, decision).ConfigureAwait(false),
            Verdict.Review => await HoldAsync(makeWaiter(), decision).ConfigureAwait(false),
            _ => await DenyAsync(action, decision).ConfigureAwait(false),
        };
    }

    /// <summary>
    /// What policy would say now, without recording or holding: for a protocol that can refuse early what can only be
    /// denied. A permit here permits nothing.
    /// </summary>
    public Decision Preview(GatewayAction action) => policy.Decide(action);

    /// <summary>What the target's planner expects of a held action, for its card; see <see cref="ReviewDesk.EstimatedAsync"/>.</summary>
    public Task EstimatedAsync(ReviewId review, Estimate estimate) => desk.EstimatedAsync(review, estimate);

    /// <summary>
    /// Whether an exception says that the store can not be read now: for what a protocol asks of it by itself (who an agent is). Then
    /// nothing may run, and <see cref="Refusal.StoreUnreadable"/> says so.
    /// </summary>
    public static bool IsStoreFailure(Exception e) => e is JournalStoreException;

    /// <summary>
    /// Records the refusal of something that never became an action: not understood, not supported, unsafe. The text that
    /// was refused goes to the body, never into the entry.
    /// </summary>
    public async ValueTask<Refusal> RefuseAsync(ActorChain actors, TargetRef target, string reasonCode, string message, string hint, string text)
    {
        var result = await RecordRefusedAsync(new EntryDraft("refused",
            CanonicalJson.Object(("agent", actors.Agent.Id.Value), ("target", target.Name), ("reason", reasonCode)),
            CanonicalJson.Object(("agent", actors.Agent.Name), ("message", message), ("text", text)))).ConfigureAwait(false);
        return result.Status == WriteStatus.Committed
            ? new Refusal(reasonCode, message, hint)
            : Refusal.OfJournal(result.ReasonCode);
    }

    /// <summary>The refusal of an agent that asks too much, or is suspended; null: it may go on.</summary>
    private async ValueTask<Refusal?> BrakeAsync(GatewayAction action)
    {
        var agent = action.Actors.Agent;
        var refusal = !brake.TryTake(agent.Id)
            ? new Refusal(ReasonCodes.TooManyRequests, $"agent `{agent.Name}` has asked for more than it may in a minute", "nothing ran. Wait some seconds, and ask for less at a time.")
            : brake.Find(agent.Id) is { } suspension
                ? new Refusal(ReasonCodes.AgentSuspended, suspension.By is { } by ? $"agent `{agent.Name}` is suspended by `{by}`" : $"agent `{agent.Name}` is suspended: it was denied {suspension.Denials} times in a short while", "nothing runs until a human lifts it (`countersign agent resume`). Stop, and tell your operator.")
                : null;
        if (refusal is null) return null;
        if (brake.ToldLately(agent.Id, refusal.ReasonCode) is not { } unsaid) return refusal;
        var result = await RecordRefusedAsync(new EntryDraft("refused",
            CanonicalJson.Object(("agent", agent.Id.Value), ("target", action.Target.Name), ("reason", refusal.ReasonCode), ("unsaid", unsaid == 0 ? null : (CanonicalJson)unsaid)),
            CanonicalJson.Object(("agent", agent.Name), ("message", refusal.Message), ("text", action.Payload.DisplayText)))).ConfigureAwait(false);
        return result.Status == WriteStatus.Committed ? refusal : Refusal.OfJournal(result.ReasonCode);
    }

    private async ValueTask<Ruling> PermitAsync(GatewayAction action, Decision decision)
    {
        var start = time.GetTimestamp();
        var behind = MayTrail(action);
        using var span = SpineTelemetry.Source.StartActivity("record");
        var entry = ActionEntry.Of(action, decision);
        if (behind)
        {
            if (await journal.WriteBehindAsync(entry).ConfigureAwait(false) != WriteStatus.Committed) return new Ruling.Refused(Refusal.OfJournal(null));
        }
        else
        {
            var result = await journal.WriteAsync(new WriteSet([entry], [])).ConfigureAwait(false);
            if (result.Status != WriteStatus.Committed) return new Ruling.Refused(Refusal.OfJournal(result.ReasonCode));
        }

        SpineTelemetry.Recorded(time.GetElapsedTime(start), behind);
        span?.Dispose(); // what is forwarded now is the next step, and no part of this one
        return new Ruling.Forward(new Passage(action, null, journal, desk, time));
    }

    /// <summary>I2's one exception: reads of unclassified data that policy permits without review.</summary>
    private static bool MayTrail(GatewayAction action)
    {
        foreach (var effect in action.Effects)
        {
            if (effect.Verb != Verb.Read || effect.Resource.DataClasses.Count > 0) return false;
        }

        // Without effects nothing was understood, so nothing is known to be a read.
        return action.Effects.Count > 0;
    }

    private async ValueTask<Ruling> DenyAsync(GatewayAction action, Decision decision)
    {
        var result = await RecordRefusedAsync(ActionEntry.Of(action, decision)).ConfigureAwait(false);
        await desk.DeniedAsync(action, decision.ReasonCode).ConfigureAwait(false);
        if (decision.ReasonCode is ReasonCodes.PolicyDenied or ReasonCodes.NoMatchingPermit) await brake.DeniedAsync(action.Actors.Agent).ConfigureAwait(false);
        return new Ruling.Refused(result.Status == WriteStatus.Committed ? Refusal.OfDecision(decision) : Refusal.OfJournal(result.ReasonCode));
    }

    /// <summary>Nothing runs of what is refused, so an entry whose body is too large is better than none.</summary>
    private async ValueTask<WriteResult> RecordRefusedAsync(EntryDraft entry)
    {
        var result = await journal.WriteAsync(WriteSet.Of(entry)).ConfigureAwait(false);
        return result.ReasonCode == ReasonCodes.TooLarge ? await journal.WriteAsync(WriteSet.Of(entry with { Body = null })).ConfigureAwait(false) : result;
    }

    private async ValueTask<Ruling> HoldAsync(Waiter waiter, Decision decision)
    {
        var start = time.GetTimestamp();
        using var span = SpineTelemetry.Source.StartActivity("hold");
        SpineTelemetry.HoldStarted();
        HoldEnd? end = null;
        try
        {
            end = await desk.HoldAsync(waiter, decision).ConfigureAwait(false);
        }
        catch (JournalStoreException)
        {
            // The state of the review can not be read: nothing runs, and whatever was approved stays approved for a retry.
            end = new HoldEnd.Refused(ReasonCodes.JournalUnavailable, "the store can not be read, so nothing may run", null);
        }
        finally
        {
            span?.Dispose();
            SpineTelemetry.HoldEnded(time.GetElapsedTime(start), end switch { HoldEnd.Released => ReasonCodes.Approved, HoldEnd.Refused r => r.ReasonCode, _ => ReasonCodes.Internal });
        }

        if (end is HoldEnd.Refused { ReasonCode: ReasonCodes.ReviewDenied }) await brake.DeniedAsync(waiter.Action.Actors.Agent).ConfigureAwait(false);
        switch (end)
        {
            case HoldEnd.Released released:
                return new Ruling.Forward(new Passage(released.Action, released.Review.Id, journal, desk, time));
            case HoldEnd.Refused { Review: null, ReasonCode: not (ReasonCodes.JournalUnavailable or ReasonCodes.Overloaded or ReasonCodes.ShuttingDown) } refused:
                // No review came of it, so nothing else has recorded it.
                var recorded = await RecordRefusedAsync(ActionEntry.Of(waiter.Action, decision, refused.ReasonCode)).ConfigureAwait(false);
                return new Ruling.Refused(recorded.Status == WriteStatus.Committed ? Refusal.OfHold(refused) : Refusal.OfJournal(recorded.ReasonCode));
            default:
                return new Ruling.Refused(Refusal.OfHold((HoldEnd.Refused)end));
        }
    }
}
