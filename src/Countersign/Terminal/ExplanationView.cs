using Countersign.Api;
using Spectre.Console;

namespace Countersign.Terminal;

/// <summary>Why policy says what it says: ● decides, ○ does not, and which part of it does not hold.</summary>
internal static class ExplanationView
{
    public static void Write(IAnsiConsole console, ExplainView view)
    {
        console.MarkupLine($"[{Colour(view.Decision)}]{Shown.Line(view.Decision)}[/] [grey]{Shown.Line(view.Reason)}, revision {Shown.Line(view.Revision)}[/]");
        foreach (var r in view.Requirements) console.MarkupLine($"  needs {r.Quorum} of {Shown.Line(string.Join(" or ", r.Groups))} within {Shown.Span(TimeSpan.FromSeconds(r.ExpiresSeconds))}{(r.Justify ? ", with a comment" : "")}");
        foreach (var effect in view.Effects)
        {
            console.MarkupLine($"\n{Shown.Line(effect.Action)} on {Shown.Line(effect.Resource)}{(effect.DataClasses.Count > 0 ? $" [grey]in[/] {Shown.Line(string.Join(", ", effect.DataClasses))}" : "")}");
            foreach (var policy in effect.Policies) console.MarkupLine($"  [{Colour(effect.Decision)}]●[/] {Shown.Line(policy.Id)} [grey]{Shown.Line(policy.Source ?? "")}{(policy.Reason is { } reason ? $" {Shown.Line(reason)}" : "")}[/]");
            if (effect.Policies.Count == 0) console.MarkupLine("  [red]●[/] no policy permits it");
            foreach (var error in effect.Errors) console.MarkupLine($"  [red]error[/] {Shown.Line(error)}");
            foreach (var miss in effect.Others) console.MarkupLine($"  [grey]○ {Shown.Line(miss.Id)} {Shown.Line(miss.Source)} ({miss.Effect}): {(miss.Unmet.Count == 0 ? "holds, but something stricter has the last word" : $"does not hold: {Shown.Line(string.Join(", ", miss.Unmet))}")}[/]");
        }
    }

    private static string Colour(string decision) => decision switch { "permit" => "green", "review" => "yellow", _ => "red" };
}
