namespace Countersign.Core;

/// <summary>How a forwarded action ended.</summary>
public enum OutcomeStatus
{
    /// <summary>The target carried it out.</summary>
    Done,

    /// <summary>The target refused or failed it.</summary>
    Failed,

    /// <summary>Sent, and the answer was lost. Shown as such and never retried: unknown is not failure (P23).</summary>
    Unknown,
}

/// <summary>The outcome of one action: rows are those the target reported, bytes those of its answer.</summary>
public sealed record Outcome(OutcomeStatus Status, long? Rows, long Bytes, TimeSpan Duration, string? ErrorCode);
