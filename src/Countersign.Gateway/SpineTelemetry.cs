using System.Diagnostics;
using System.Diagnostics.Metrics;
using Countersign.Core;

namespace Countersign.Gateway;

/// <summary>Traces and metrics of the life of an action. No payload, value, intent or name of a person is ever a tag (P56).</summary>
public static class SpineTelemetry
{
    public const string Name = "Countersign.Gateway";

    public static readonly ActivitySource Source = new(Name);
    private static readonly Meter Meter = new(Name);
    private static readonly Counter<long> Actions = Meter.CreateCounter<long>("countersign.actions", "{action}", "actions decided, by verdict and reason");
    private static readonly Counter<long> Outcomes = Meter.CreateCounter<long>("countersign.outcomes", "{action}", "forwarded actions, by how they ended");
    private static readonly Histogram<double> DecideTime = Meter.CreateHistogram<double>("countersign.decide.duration", "s", "time to decide one action");
    private static readonly Histogram<double> RecordTime = Meter.CreateHistogram<double>("countersign.record.duration", "s", "time until an action's entry was durable or queued");
    private static readonly Histogram<double> HoldTime = Meter.CreateHistogram<double>("countersign.hold.duration", "s", "time that an action was held for review");
    private static readonly Histogram<double> ForwardTime = Meter.CreateHistogram<double>("countersign.forward.duration", "s", "time from release to the target's last answer");
    private static readonly UpDownCounter<long> Held = Meter.CreateUpDownCounter<long>("countersign.held", "{connection}", "connections held now");

    /// <summary>
    /// The whole of one message on its way, the parent of its steps: a protocol starts it before it understands and ends it when
    /// the message was forwarded or refused. Null when nobody listens.
    /// </summary>
    public static Activity? StartAction() => Source.StartActivity("action", ActivityKind.Server);

    /// <summary>Recording how it ended, beside the span that has just ended.</summary>
    internal static Activity? StartOutcome(Activity? forward) => Source.StartActivity("outcome", ActivityKind.Internal, forward?.Context ?? default);

    /// <summary>
    /// The span from release to the target's last answer. It outlives the call that starts it, so it must not become the
    /// parent of whatever its session does next.
    /// </summary>
    internal static Activity? StartForward()
    {
        var parent = Activity.Current;
        var span = Source.StartActivity("forward", ActivityKind.Client);
        if (span is not null) Activity.Current = parent;
        return span;
    }

    internal static void Decided(GatewayAction action, Decision decision, TimeSpan elapsed)
    {
        DecideTime.Record(elapsed.TotalSeconds);
        Actions.Add(1, new("verdict", decision.Verdict.ToString().ToLowerInvariant()), new("reason", decision.ReasonCode), new("target", action.Target.Name));
    }

    internal static void Recorded(TimeSpan elapsed, bool behind) => RecordTime.Record(elapsed.TotalSeconds, new KeyValuePair<string, object?>("behind", behind));

    internal static void HoldStarted() => Held.Add(1);

    internal static void HoldEnded(TimeSpan elapsed, string reason)
    {
        Held.Add(-1);
        HoldTime.Record(elapsed.TotalSeconds, new KeyValuePair<string, object?>("reason", reason));
    }

    internal static void Forwarded(GatewayAction action, Outcome outcome)
    {
        ForwardTime.Record(outcome.Duration.TotalSeconds);
        Outcomes.Add(1, new("status", outcome.Status.ToString().ToLowerInvariant()), new("target", action.Target.Name));
    }
}
