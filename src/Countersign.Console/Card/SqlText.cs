using System.Globalization;
using Countersign.Pages.Layout;
using Countersign.Reviews;
using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Components.Rendering;

namespace Countersign.Pages.Card;

/// <summary>A statement in colour, each bound value beside the parameter that it fills.</summary>
public sealed class SqlText : ComponentBase
{
    /// <summary>Values longer than this are only in the table, so that a statement stays one that can be read.</summary>
    private const int LongValue = 64;

    /// <summary>Statements longer than this are shown without colour: whole all the same.</summary>
    private const int LongStatement = 200_000;

    [Parameter, EditorRequired] public string Sql { get; set; } = "";
    [Parameter] public IReadOnlyList<ShownParameter> Values { get; set; } = [];

    /// <summary>It is no SQL: shown as it is.</summary>
    [Parameter] public bool Plain { get; set; }

    protected override void BuildRenderTree(RenderTreeBuilder builder)
    {
        if (Plain || Sql.Length > LongStatement)
        {
            Txt.Write(builder, Sql, multiline: true, ascii: false);
            return;
        }

        foreach (var token in SqlTokens.Of(Sql))
        {
            var name = token.Kind switch
            {
                SqlTokenKind.Keyword => "k",
                SqlTokenKind.Danger => "k x",
                SqlTokenKind.Text => "s",
                SqlTokenKind.Number => "n",
                SqlTokenKind.Comment => "c",
                SqlTokenKind.Parameter => "p",
                _ => null,
            };
            if (name is null)
            {
                Txt.Write(builder, token.Text, multiline: true, ascii: true);
                continue;
            }

            builder.OpenElement(10, "span");
            builder.AddAttribute(11, "class", name);
            Txt.Write(builder, token.Text, multiline: true, ascii: false);
            builder.CloseElement();
            if (token.Kind == SqlTokenKind.Parameter) Value(builder, token.Text);
        }
    }

    private void Value(RenderTreeBuilder builder, string parameter)
    {
        if (!int.TryParse(parameter.AsSpan(1), NumberStyles.None, CultureInfo.InvariantCulture, out var position) || position < 1 || position > Values.Count) return;
        var text = Literal(Values[position - 1]);
        builder.OpenElement(20, "span");
        builder.AddAttribute(21, "class", "v");
        if (text.Length > LongValue) builder.AddContent(22, "see below");
        else Txt.Write(builder, text, multiline: false, ascii: false);
        builder.CloseElement();
    }

    /// <summary>`NULL`, `42`, `'it''s'`.</summary>
    internal static string Literal(ShownParameter value) => value switch
    {
        { Text: null } => "NULL",
        { Type: "int2" or "int4" or "int8" or "smallint" or "integer" or "bigint" or "numeric" or "decimal" or "float4" or "float8" or "real" or "double precision" or "bool" or "boolean" } => value.Text,
        _ => $"'{value.Text.Replace("'", "''", StringComparison.Ordinal)}'",
    };
}
