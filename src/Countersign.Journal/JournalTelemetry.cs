using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Countersign.Journal;

/// <summary>Names for OpenTelemetry: activity source and meter `Countersign.Journal`.</summary>
public static class JournalTelemetry
{
    public const string Name = "Countersign.Journal";

    internal static readonly ActivitySource Source = new(Name);
    private static readonly Meter Meter = new(Name);

    internal static readonly Histogram<double> CommitDuration =
        Meter.CreateHistogram<double>("countersign.journal.commit.duration", "s", "from the start of a batch until it is durable");

    internal static readonly Histogram<int> BatchSize =
        Meter.CreateHistogram<int>("countersign.journal.batch.size", "{set}", "sets that shared one commit");

    internal static readonly UpDownCounter<int> Queued =
        Meter.CreateUpDownCounter<int>("countersign.journal.queue.length", "{set}", "sets waiting for the writer");

    internal static readonly Counter<long> Entries =
        Meter.CreateCounter<long>("countersign.journal.entries", "{entry}", "entries made durable");

    internal static readonly Counter<long> Failures =
        Meter.CreateCounter<long>("countersign.journal.failures", "{batch}", "batches that could not be made durable");

    internal static readonly Counter<long> Conflicts =
        Meter.CreateCounter<long>("countersign.journal.conflicts", "{set}", "sets that lost a compare-and-set");

    internal static readonly Counter<long> Refused =
        Meter.CreateCounter<long>("countersign.journal.refused", "{set}", "sets refused because the queue was full");

    internal static readonly Counter<long> BehindWaits =
        Meter.CreateCounter<long>("countersign.journal.behind.waits", "{read}", "reads that waited for earlier ones to be durable");
}
