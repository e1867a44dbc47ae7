using Countersign.Core;

namespace Countersign.Sql.Tests;

/// <summary>Effects as the corpus writes them: <c>verb action Type::id [classes] facts</c>; facts that are false or empty are left out.</summary>
static class Rendering
{
    public static string Render(Effect effect)
    {
        var words = new List<string> { effect.Verb.ToString().ToLowerInvariant(), effect.Action["sql:".Length..], $"{effect.Resource.Type}::{effect.Resource.Id}" };
        if (effect.Resource.DataClasses.Any(static c => c != "internal")) words.Add($"[{string.Join(',', effect.Resource.DataClasses)}]");
        foreach (var (name, value) in effect.Facts.OrderBy(static f => f.Key, StringComparer.Ordinal))
        {
            var text = value switch
            {
                FactValue.Flag { Value: true } => name,
                FactValue.Number n when name != SqlFacts.Statements => $"{name}={n.Value}",
                FactValue.Text t when name != SqlFacts.Statement => $"{name}={t.Value}",
                FactValue.Set { Values.Count: > 0 } s => $"{name}={string.Join(',', s.Values)}",
                _ => null,
            };
            if (text is not null) words.Add(text);
        }

        return string.Join(' ', words);
    }

    /// <summary>The lines that the corpus expects of a text, sorted.</summary>
    public static string[] Lines(SqlUnderstanding understanding) =>
    [
        .. understanding.Refusal is { } refusal ? [$"! {refusal.Reason}"] : Array.Empty<string>(),
        .. understanding.Effects.Select(static e => "> " + Render(e)).Order(StringComparer.Ordinal),
        .. understanding.Consequences.Select(static c => "~ " + Consequence(c)),
    ];

    static string Consequence(SqlConsequence consequence)
    {
        var text = consequence.ToString();
        return text.EndsWith(" { }", StringComparison.Ordinal) ? text[..^4] : text;
    }
}
