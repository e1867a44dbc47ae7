namespace Countersign.Journal;

public enum JournalState
{
    /// <summary>The last commit or probe was good.</summary>
    Available,

    /// <summary>The journal cannot write: actions stop (I2). It tries again by itself.</summary>
    Unavailable,

    /// <summary>Stopping or stopped.</summary>
    Stopped,
}

/// <param name="Detail">For operators: what failed and what to do. Null when available.</param>
/// <param name="Since">When this state began.</param>
public sealed record JournalHealth(JournalState State, StoreFault? Fault, string? Detail, DateTimeOffset Since);
