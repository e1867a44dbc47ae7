using Countersign.Policy;

namespace Countersign.Pages.Policies;

/// <summary>A policy set as somebody edits it in a page: files by relative path. Nothing of it is kept.</summary>
/// <param name="Files">All of it.</param>
/// <param name="Entry">Index of the recorded action that it is tried on; null: none.</param>
public sealed record PlayQuestion(IReadOnlyDictionary<string, string> Files, long? Entry);

/// <summary>What an edited set would do.</summary>
public sealed record PlayAnswer
{
    /// <summary>Why nothing could be asked now; null when it was.</summary>
    public string? Fault { get; init; }

    /// <summary>What is wrong with the set; empty when it would load.</summary>
    public IReadOnlyList<PolicyDiagnostic> Errors { get; init; } = [];

    public PlayedAction? Action { get; init; }
    public PlayedDecision? Was { get; init; }
    public PlayedDecision? Would { get; init; }

    /// <summary>Why the decision that would come is what it is.</summary>
    public ExplainAnswer? Why { get; init; }

    /// <summary>The folder's tests under the edited set; null where it did not load.</summary>
    public PolicyTestReport? Tests { get; init; }
}

/// <summary>A recorded action, as much of it as policy looks at. Text is raw: the page makes it safe.</summary>
public sealed record PlayedAction(
    long Index, string Id, DateTimeOffset At, string Agent, IReadOnlyList<string> Groups, string Owner, string? For, IReadOnlyList<string> Via, string Target, string Environment, string Statement,
    IReadOnlyList<string> Effects);

/// <param name="Decision">`permit`, `review` or `deny`.</param>
/// <param name="Reason">Its reason code.</param>
/// <param name="Policies">Those that determined it.</param>
/// <param name="Needs">What it asks of people, in words, each way the same.</param>
public sealed record PlayedDecision(string Decision, string Reason, IReadOnlyList<string> Policies, IReadOnlyList<string> Needs)
{
    public bool IsAs(PlayedDecision other) => Decision == other.Decision && (Decision != "deny" || Reason == other.Reason) && Needs.SequenceEqual(other.Needs, StringComparer.Ordinal);
}

public sealed record ReplayQuestion(IReadOnlyDictionary<string, string> Files, DateTimeOffset? From, DateTimeOffset? Until);

/// <summary>What an edited set would have decided otherwise.</summary>
public sealed record ReplayAnswer
{
    public string? Fault { get; init; }
    public IReadOnlyList<PolicyDiagnostic> Errors { get; init; } = [];

    /// <summary>Decisions that were taken again.</summary>
    public long Replayed { get; init; }
    public long Differing { get; init; }

    /// <summary>By reason, what could not be taken again.</summary>
    public IReadOnlyDictionary<string, long> Skipped { get; init; } = new Dictionary<string, long>();
    public IReadOnlyList<ReplayedGroup> Groups { get; init; } = [];
    public TimeSpan Took { get; init; }
}

/// <summary>Decisions that would differ alike, by the policies that make the difference.</summary>
public sealed record ReplayedGroup(string Was, string Now, IReadOnlyList<string> Policies, long Count, IReadOnlyList<ReplayedExample> Examples);

public sealed record ReplayedExample(long Index, string Action, DateTimeOffset At, string Agent, string Target, string Statement);

/// <summary>What the pages about policies take from the composition root.</summary>
public sealed record PolicySeams
{
    /// <summary>The folder's tests under the revision in force.</summary>
    public required Func<CancellationToken, Task<PolicyTestReport>> Tests { get; init; }

    public required Func<PlayQuestion, CancellationToken, Task<PlayAnswer>> Play { get; init; }
    public required Func<ReplayQuestion, CancellationToken, Task<ReplayAnswer>> Replay { get; init; }
}
