using System.Text.Json;
using Countersign.Core;

namespace Countersign.Policy;

/// <summary>One policy of a loaded set.</summary>
public sealed record LoadedPolicy
{
    /// <summary>From `@id`, else `file.cedar:N`, the N-th policy of its file from 1.</summary>
    public required string Id { get; init; }

    /// <summary>Where it stands: `file.cedar:line`.</summary>
    public required string Source { get; init; }

    /// <summary>Its exact text.</summary>
    public required string Text { get; init; }

    /// <summary>Whether it forbids; else it permits.</summary>
    public required bool IsForbid { get; init; }

    /// <summary>Its `@reason`.</summary>
    public required string? Reason { get; init; }

    /// <summary>Its `@control` list.</summary>
    public required IReadOnlyList<string> Controls { get; init; }

    /// <summary>What `@review` and its companions ask for, one for each of its terms; empty without `@review`.</summary>
    public required IReadOnlyList<Requirement> Requirements { get; init; }

    /// <summary>Whether its scope names `Action::"approve"` itself: only such a permit lets anyone approve.</summary>
    public required bool NamesApprove { get; init; }

    /// <summary>Whether its scope names `Action::"break-glass"` itself: only such a permit lets anyone do that.</summary>
    public required bool NamesBreakGlass { get; init; }

    /// <summary>Whether its scope names `Gateway`: only such a permit lets anyone administer.</summary>
    public required bool NamesGateway { get; init; }

    /// <summary>Whether its scope names `Mcp::Action::"unknown-tool"` itself: then the shipped policy about that does not hold.</summary>
    internal bool NamesUnknownTool { get; init; }

    /// <summary>Whether it says something about arguments that have no type.</summary>
    internal bool ReadsUntyped { get; init; }

    /// <summary>Whether it is about what people decide, and not about what agents do.</summary>
    internal bool IsAboutPeople => NamesApprove || NamesBreakGlass || NamesGateway;

    /// <summary>Cedar's JSON form.</summary>
    internal JsonElement Json { get; init; }

    /// <summary>As decisions cite it.</summary>
    internal MatchedPolicy Citation => citation ??= new MatchedPolicy(Id, Source, Reason, Controls);

    MatchedPolicy? citation;
}
