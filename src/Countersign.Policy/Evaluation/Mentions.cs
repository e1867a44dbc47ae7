using System.Text.Json;

namespace Countersign.Policy.Evaluation;

/// <summary>
/// What policies read of a request, from their syntax trees: the most that an evaluation can depend on. Anything not recognised counts as
/// reading everything.
/// </summary>
sealed class Mentions
{
    readonly HashSet<string> context = new(StringComparer.Ordinal);

    /// <summary>Paths below <c>context</c>, dotted; a path stands for all below it.</summary>
    public IReadOnlyCollection<string> Context => context;

    /// <summary>Whether something reads the context as a whole.</summary>
    public bool WholeContext { get; private set; }

    /// <summary>Whether something reads the humans in the actor chain.</summary>
    public bool Humans { get; private set; }

    /// <summary>Whether something reads the time.</summary>
    public bool Time => WholeContext || context.Any(p => p == "time" || p.StartsWith("time.", StringComparison.Ordinal));

    /// <summary>Adds what one policy (Cedar's JSON form) reads.</summary>
    public void Add(JsonElement policy)
    {
        foreach (var condition in policy.GetProperty("conditions").EnumerateArray()) Walk(condition.GetProperty("body"));
    }

    void Walk(JsonElement expression)
    {
        if (expression.ValueKind == JsonValueKind.Array)
        {
            foreach (var item in expression.EnumerateArray()) Walk(item);
            return;
        }
        if (expression.ValueKind != JsonValueKind.Object) return;
        if (Path(expression) is { } path)
        {
            Read(path);
            return;
        }
        foreach (var (op, value) in expression.EnumerateObject().Select(p => (p.Name, p.Value)))
        {
            switch (op)
            {
                case "Value" or "Slot": break; // literals
                case "Record":
                    foreach (var member in value.EnumerateObject()) Walk(member.Value);
                    break;
                case "." or "has" when value.ValueKind == JsonValueKind.Object && value.TryGetProperty("left", out var left):
                    Walk(left); // not a path from a variable: what it is read from is
                    break;
                default:
                    if (value.ValueKind == JsonValueKind.Object)
                        foreach (var operand in value.EnumerateObject()) Walk(operand.Value);
                    else Walk(value);
                    break;
            }
        }
    }

    /// <summary>The path of an expression that is a variable, an attribute of one, or a test for one; else null.</summary>
    static List<string>? Path(JsonElement expression)
    {
        if (expression.ValueKind != JsonValueKind.Object) return null;
        if (expression.TryGetProperty("Var", out var variable) && variable.ValueKind == JsonValueKind.String) return [variable.GetString()!];
        if (!expression.TryGetProperty(".", out var access) && !expression.TryGetProperty("has", out access)) return null;
        if (access.ValueKind != JsonValueKind.Object || !access.TryGetProperty("left", out var left) || !access.TryGetProperty("attr", out var attribute)) return null;
        if (Path(left) is not { } path) return null;
        if (attribute.ValueKind == JsonValueKind.String) path.Add(attribute.GetString()!);
        else if (attribute.ValueKind == JsonValueKind.Array) path.AddRange(attribute.EnumerateArray().Select(a => a.GetString()!));
        else return null;
        return path;
    }

    void Read(List<string> path)
    {
        switch (path[0])
        {
            case "context" when path.Count == 1: WholeContext = true; break;
            // Two levels are all that a context has; a name with a dot in it is no attribute of the schema, which was validated.
            case "context": context.Add(string.Join('.', path.Skip(1).Take(2))); break;
            case "principal" when path.Count > 1: Humans = true; break;
            default: break; // principal, action and resource themselves are always a part of the key
        }
    }
}
