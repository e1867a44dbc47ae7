using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Components.Rendering;

namespace Countersign.Pages.Layout;

/// <summary>Text from outside, as a human may safely read it. Written by hand, so that no white space comes in between.</summary>
public sealed class Txt : ComponentBase
{
    [Parameter, EditorRequired] public string? Value { get; set; }

    /// <summary>Whether line feeds and tabs stay.</summary>
    [Parameter] public bool Multiline { get; set; }

    /// <summary>Whether every letter beyond ASCII is to be marked.</summary>
    [Parameter] public bool Ascii { get; set; }

    protected override void BuildRenderTree(RenderTreeBuilder builder) => Write(builder, Value ?? "", Multiline, Ascii);

    internal static void Write(RenderTreeBuilder builder, string text, bool multiline, bool ascii)
    {
        foreach (var part in OddText.Parts(text, multiline, ascii))
        {
            if (part.Odd is null)
            {
                builder.AddContent(0, part.Text);
                continue;
            }

            builder.OpenElement(1, "mark");
            builder.AddAttribute(2, "class", "odd");
            builder.AddAttribute(3, "title", part.Odd);
            builder.AddContent(4, part.Text);
            builder.CloseElement();
        }
    }
}
