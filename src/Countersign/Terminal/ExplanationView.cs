using Countersign.Api;
using Spectre.Console;

namespace Countersign.Terminal;

/// <summary>Why policy says what it says: ● decides, ○ does not, and which part of it does not hold.</summary>
internal static class ExplanationView
{
    public static void Write(IAnsiConsole console, ExplainView view)
    {
        console.MarkupLine($"[{Colour(view.Decision)}]{Shown.Line(view.Decision)}[/] [grey]{Shown.Line(view.Reason)}, revision {Shown.Line(view.Revision)}[/]");
        foreach (var r in view.Requirements) console.MarkupLine($"  needs {r.Quorum} of {Shown.Line(string.Join(" or ", r.Groups))} within {Shown.Span(TimeSpan.FromSeconds(r.ExpiresSeconds))}{(r.Justify ? ", with a comment" : "")}{(r.StepUp is null ? "" : ", with a passkey")}");
        foreach (var effect in view.Effects)
        {
            console.MarkupLine($"\n{Shown.Line(effect.Action)} on {Shown.Line(effect.Resource)}{(effect.DataClasses.Count > 0 ? $" [grey]in[/] {Shown.Line(string.Join(", ", effect.DataClasses))}" : "")}");
            foreach (var policy in effect.Policies) console.MarkupLine($"  [{Colour(effect.Decision)}]●[/] {Shown.Line(policy.Id)} [grey]{Shown.Line(policy.Source ?? "")}{(policy.Reason is { } reason ? $" {Shown.Line(reason)}" : "")}[/]");
            if (effect.Policies.Count == 0) console.MarkupLine("  [red]●[/] no policy permits it");
            foreach (var error in effect.Errors) console.MarkupLine($"  [red]error[/] {Shown.Line(error)}");
            foreach (var miss in effect.Others.Where(static o => !IsShipped(o))) console.MarkupLine($"  [grey]○ {Shown.Line(miss.Id)} {Shown.Line(miss.Source)} ({miss.Effect}): {Shown.Line(Unmet(miss.Unmet))}[/]");
        }
    }

    /// <summary>The set that we ship says who may approve; about an action of an agent it has nothing to say.</summary>
    private static bool IsShipped(ExplainedMiss miss) => miss.Source.StartsWith("countersign:", StringComparison.Ordinal);

    /// <summary>What of a policy does not hold, in words.</summary>
    public static string Unmet(IReadOnlyList<string> parts) => parts.Count == 0 ? "holds, but something stricter has the last word" : string.Join("; ", parts.Select(Words));

    private static string Words(string part)
    {
        var words = part.Split(' ');
        var failed = words[^1] == "(error)";
        var what = words switch
        {
            ["principal", ..] => "it is for others than this agent",
            ["action", ..] => "it is for other actions",
            ["resource", ..] => "it is for other resources",
            ["when", var n, ..] => failed ? $"its condition {n} (`when`)" : $"its condition {n} (`when`) is not met",
            ["unless", var n, ..] => failed ? $"its condition {n} (`unless`)" : $"its condition {n} (`unless`) rules it out",
            _ => part,
        };
        return failed ? $"{what} could not be evaluated" : what;
    }

    private static string Colour(string decision) => decision switch { "permit" => "green", "review" => "yellow", _ => "red" };
}
