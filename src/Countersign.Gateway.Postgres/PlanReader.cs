using System.Text.Json;
using Countersign.Reviews;

namespace Countersign.Gateway.Postgres;

/// <summary>
/// `EXPLAIN (FORMAT JSON)` to what a reviewer is shown: steps, relations, rows, costs. Conditions, outputs and remote statements are
/// left where they are: they hold bound values, and what views and row-security policies are made of, which not everybody who may see
/// the review may know.
/// </summary>
internal static class PlanReader
{
    /// <summary>Deepest plan that is read; a nested query per level.</summary>
    private const int Depth = 60;

    public static (IReadOnlyList<EstimatedRows> Rows, IReadOnlyList<PlanStep> Steps) Read(string json, string? reads, int most)
    {
        try
        {
            using var document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = (4 * Depth) + 8 });
            var root = document.RootElement[0].GetProperty("Plan");
            var rows = new List<EstimatedRows>();
            var steps = new List<PlanStep>();
            Walk(root, 0, rows, steps, most);
            if (reads is not null && Text(root, "Node Type") != "ModifyTable") rows.Insert(0, new EstimatedRows(reads, null, Number(root, "Plan Rows")));
            return (rows, steps);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or IndexOutOfRangeException or FormatException)
        {
            throw new BesideException("the target's plan could not be read");
        }
    }

    private static void Walk(JsonElement node, int depth, List<EstimatedRows> rows, List<PlanStep> steps, int most)
    {
        var type = Text(node, "Node Type") ?? "?";
        var children = node.TryGetProperty("Plans", out var plans) ? plans.EnumerateArray().ToArray() : [];
        var relation = Text(node, "Relation Name") is { } name ? Text(node, "Schema") is { } schema ? $"{schema}.{name}" : name : null;
        var operation = Text(node, "Operation") is { } o && type == "ModifyTable" ? o : null;

        // A write's own node says how many rows it answers, which without RETURNING is none; what it writes is what is below it.
        var count = operation is null ? Number(node, "Plan Rows") : children.Where(static c => Text(c, "Parent Relationship") is "Outer" or "Member").Sum(static c => Number(c, "Plan Rows"));
        if (operation is not null) rows.Add(new EstimatedRows(operation.ToLowerInvariant(), relation, count));
        if (steps.Count < most)
        {
            var does = string.Join(' ', new[]
            {
                Text(node, "Parent Relationship") is "InitPlan" or "SubPlan" ? Text(node, "Subplan Name") : null,
                operation ?? (Text(node, "Join Type") is { } join && join != "Inner" ? $"{type} ({join})" : type),
                Text(node, "Index Name") is { } index ? $"using {index}" : null,
                relation is null ? null : $"on {relation}",
            }.Where(static s => s is not null));
            steps.Add(new PlanStep(depth, does, count, node.TryGetProperty("Total Cost", out var cost) ? cost.GetDouble() : 0));
        }

        if (depth >= Depth) return;
        foreach (var child in children) Walk(child, depth + 1, rows, steps, most);
    }

    private static string? Text(JsonElement node, string name) => node.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static long Number(JsonElement node, string name) => node.TryGetProperty(name, out var value) && value.TryGetDouble(out var number) ? (long)Math.Clamp(number, 0, 1e15) : 0;
}
