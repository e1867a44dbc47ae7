using System.Text.Json;
using Countersign.Core;

namespace Countersign.Api;

/// <summary>The facts of an effect in one line for people, read from the canonical form that the statement commits to.</summary>
internal static class EffectFacts
{
    public static string Describe(string canonical)
    {
        try
        {
            using var document = JsonDocument.Parse(canonical);
            if (!document.RootElement.TryGetProperty("facts", out var facts) || facts.ValueKind != JsonValueKind.Object) return "";
            return string.Join(" · ", facts.EnumerateObject().Select(static f => Fact(f)).OfType<string>());
        }
        catch (JsonException)
        {
            return VisibleText.Of(canonical, multiline: false);
        }
    }

    private static string? Fact(JsonProperty fact) => (fact.Name, fact.Value.ValueKind) switch
    {
        // Said elsewhere on the card, or nothing that a reader would miss.
        ("statement" or "arguments", _) => null,
        ("object", JsonValueKind.String) when fact.Value.ValueEquals("table") => null,
        ("statements", JsonValueKind.Number) when fact.Value.TryGetInt64(out var count) && count == 1 => null,
        (_, JsonValueKind.Array) when fact.Value.GetArrayLength() == 0 => null,
        ("where", JsonValueKind.False) => "no WHERE: every row",
        ("where", JsonValueKind.True) => "with WHERE",
        ("untyped", JsonValueKind.True) => "some arguments have no type that policy can read",
        (_, JsonValueKind.False) => null,
        (var name, JsonValueKind.True) => Line(name.Replace('_', ' ')),
        (var name, JsonValueKind.Array) => $"{Line(name)}: {string.Join(", ", fact.Value.EnumerateArray().Select(static v => Line(v.ToString())))}",
        (var name, _) => $"{Line(name)}: {Line(fact.Value.ToString())}",
    };

    private static string Line(string text) => VisibleText.Of(text, multiline: false);
}
