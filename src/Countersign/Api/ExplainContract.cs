using System.Text.Json;

namespace Countersign.Api;

/// <summary>
/// What would policy say if this agent did this? `resource` is `schema.table` (or what `resourceType` names); classes come
/// from the classification unless `dataClasses` says others; facts are those of docs/spec/policy.md.
/// </summary>
internal sealed record ExplainRequest(
    string Agent, string Target, string Action, string Resource, string? ResourceType,
    IReadOnlyList<string>? DataClasses, IReadOnlyDictionary<string, JsonElement>? Facts, string? Reason, string? Ticket);

internal sealed record ExplainView(string Decision, string Reason, string Revision, IReadOnlyList<ExplainedEffect> Effects, IReadOnlyList<ExplainedRequirement> Requirements);

internal sealed record ExplainedEffect(
    string Action, string Resource, IReadOnlyList<string> DataClasses, string Decision, string Reason,
    IReadOnlyList<CardPolicy> Policies, IReadOnlyList<string> Errors, IReadOnlyList<ExplainedMiss> Others);

/// <summary>A policy that did not decide, and which of its parts do not hold; none: something stricter had the last word.</summary>
internal sealed record ExplainedMiss(string Id, string Source, string Effect, IReadOnlyList<string> Unmet);

internal sealed record ExplainedRequirement(IReadOnlyList<string> Groups, int Quorum, long ExpiresSeconds, bool Justify, IReadOnlyList<string> Policies, string? StepUp = null);
