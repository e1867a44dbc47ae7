namespace Countersign.Reviews;

/// <summary>Limits of reviews (docs/limits.md).</summary>
public sealed record ReviewLimits
{
    /// <summary>How long a review stays open with nobody waiting. 10 minutes: an agent's retry loop, not the next day.</summary>
    public TimeSpan Detached { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Open reviews of one agent. 20: more is a runaway, and reviewers tire (P37).</summary>
    public int PendingPerAgent { get; init; } = 20;

    /// <summary>Open grants of one agent; beyond it an approval is for once. 50: each is read again at each use.</summary>
    public int GrantsPerAgent { get; init; } = 50;

    /// <summary>
    /// True where an approval, and breaking the glass, needs a browser's session: a command line runs under the account of its human, and so does a
    /// code assistant, which can read its session. A no is taken from everywhere.
    /// </summary>
    public bool ApprovesOnlyInBrowser { get; init; }

    /// <summary>Longest comment of an answer, in characters.</summary>
    public int CommentLength { get; init; } = 4000;

    /// <summary>
    /// Longest approval statement, in bytes. 4 MiB: nobody reads more, and the journal's largest body must hold it as JSON
    /// text within JSON, or the review could be opened and never answered.
    /// </summary>
    public int StatementBytes { get; init; } = 4 << 20;
}
