using System.Globalization;
using System.Text;
using Countersign.Api;

namespace Countersign.Terminal;

/// <summary>
/// A statement with its bound values where they go. Only where that is certain: a text without quotes, comments and dollar
/// quotes has no place in which `$1` could be anything but a parameter. For all others the list of values has to do; a
/// reader is better off with a list than with a wrong sentence (I10).
/// </summary>
internal static class ValuesInPlace
{
    private static readonly string[] Numbers = ["int2", "int4", "int8", "smallint", "integer", "bigint", "numeric", "decimal", "float4", "float8", "real", "double precision", "bool", "boolean"];

    /// <summary>Spectre markup, or null where the values cannot be put in with certainty.</summary>
    public static string? Markup(string statement, IReadOnlyList<CardParameter> parameters, Func<string, string> plain, Func<string, string> value)
    {
        if (parameters.Count == 0 || statement.AsSpan().IndexOfAny("'\"\\⟦⟧") >= 0 || statement.Contains("--", StringComparison.Ordinal) || statement.Contains("/*", StringComparison.Ordinal)) return null;
        var result = new StringBuilder();
        var from = 0;
        for (var i = 0; i < statement.Length; i++)
        {
            if (statement[i] != '$') continue;
            var end = i + 1;
            while (end < statement.Length && char.IsAsciiDigit(statement[end])) end++;
            if (i > 0 && (char.IsLetterOrDigit(statement[i - 1]) || statement[i - 1] is '_' or '$' || statement[i - 1] > 0x7f)) return null;
            if (!int.TryParse(statement.AsSpan(i + 1, end - i - 1), NumberStyles.None, CultureInfo.InvariantCulture, out var position)
                || position < 1 || position > parameters.Count
                || (end < statement.Length && (char.IsLetter(statement[end]) || statement[end] is '_' or '$'))) return null;
            result.Append(plain(statement[from..i])).Append(value(Literal(parameters[position - 1])));
            from = end;
            i = end - 1;
        }

        return result.Append(plain(statement[from..])).ToString();
    }

    /// <summary>`NULL`, `42`, `'it''s'`.</summary>
    public static string Literal(CardParameter parameter) => parameter.Value switch
    {
        null => "NULL",
        var text when Numbers.Contains(parameter.Type, StringComparer.Ordinal) => text,
        var text => $"'{text.Replace("'", "''", StringComparison.Ordinal)}'",
    };
}
