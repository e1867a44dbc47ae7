using System.Globalization;

namespace Countersign.Reviews;

/// <summary>How many rows one part of a statement is thought to touch. <paramref name="Does"/> is a verb: read, insert, update, delete, merge.</summary>
public sealed record EstimatedRows(string Does, string? Relation, long Rows);

/// <summary>One step of the plan, without any expression: those hold values, and what views and policies say. <paramref name="Depth"/> from 0.</summary>
public sealed record PlanStep(int Depth, string Does, long Rows, double Cost);

/// <summary>
/// What the target's planner expects, asked once the review was open. A fact shown, from statistics that may be old: it is no
/// effect, policy does not see it, and no approval commits to it. The journal has when it was there to be seen.
/// </summary>
/// <param name="Rows">Empty where there is none.</param>
/// <param name="Plan">As the target would go about it.</param>
/// <param name="Why">Why there is none; null where there is one.</param>
/// <param name="At">When it came.</param>
public sealed record Estimate(IReadOnlyList<EstimatedRows> Rows, IReadOnlyList<PlanStep> Plan, string? Why, DateTimeOffset At)
{
    /// <summary>`about 12 rows to update in public.customers`; or why there is no estimate.</summary>
    public string Says => Why is { } why
        ? $"no estimate: {why}"
        : string.Join(", ", Rows.Select(static r => $"about {r.Rows.ToString("N0", CultureInfo.InvariantCulture)} {(r.Rows == 1 ? "row" : "rows")} to {r.Does}{(r.Relation is null ? "" : $" {(r.Does == "insert" ? "into" : "in")} {r.Relation}")}"));
}
