using System.Text.Json;

namespace Countersign.Identity.Scim;

/// <summary>
/// The part of RFC 7644 §3.4.2.2 that identity providers send: `attribute eq value`, joined by `and`. Anything else is
/// refused and never taken for everything.
/// </summary>
internal static class ScimFilter
{
    private const int MaxLength = 1024;
    private const int MaxTerms = 8;

    public sealed record Term(string Attribute, JsonElement Value);

    /// <exception cref="ScimException">`invalidFilter`.</exception>
    public static IReadOnlyList<Term> Parse(string text)
    {
        if (text.Length > MaxLength) throw Invalid();
        var terms = new List<Term>();
        var rest = text.AsSpan().Trim();
        while (true)
        {
            var attribute = Word(ref rest).ToString();
            if (attribute.Length == 0 || !attribute.All(static c => char.IsAsciiLetterOrDigit(c) || c is '.' or ':' or '_' or '-' or '$')) throw Invalid();
            if (!Word(ref rest).Equals("eq", StringComparison.OrdinalIgnoreCase)) throw Invalid();
            terms.Add(new Term(attribute.ToLowerInvariant(), Value(ref rest)));
            if (rest.IsEmpty) return terms;
            if (terms.Count == MaxTerms || !Word(ref rest).Equals("and", StringComparison.OrdinalIgnoreCase)) throw Invalid();
        }
    }

    private static ReadOnlySpan<char> Word(ref ReadOnlySpan<char> rest)
    {
        var end = rest.IndexOf(' ');
        var word = end < 0 ? rest : rest[..end];
        rest = end < 0 ? default : rest[end..].TrimStart(' ');
        return word;
    }

    /// <summary>A JSON value: text, true, false, null or a number.</summary>
    private static JsonElement Value(ref ReadOnlySpan<char> rest)
    {
        var end = 0;
        if (rest.StartsWith("\""))
        {
            for (end = 1; end < rest.Length && rest[end] != '"'; end++)
            {
                if (rest[end] == '\\') end++;
            }

            end++;
        }
        else
        {
            end = rest.IndexOf(' ') is var space and >= 0 ? space : rest.Length;
        }

        if (end > rest.Length || end == 0 || (end < rest.Length && rest[end] != ' ')) throw Invalid();
        try
        {
            using var json = JsonDocument.Parse(rest[..end].ToString());
            var value = json.RootElement.Clone();
            if (value.ValueKind is JsonValueKind.Object or JsonValueKind.Array || (value.ValueKind == JsonValueKind.String && JsonText.Of(value) is null)) throw Invalid();
            rest = rest[end..].TrimStart(' ');
            return value;
        }
        catch (JsonException)
        {
            throw Invalid();
        }
    }

    public static ScimException Invalid() => new(400, "invalidFilter", "the filter is not `attribute eq value`, joined by `and`, over attributes that are kept here");
}
