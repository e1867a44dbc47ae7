using Countersign.Pages.Layout;
using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Components.Rendering;

namespace Countersign.Pages.Card;

/// <summary>Two statements as one text: what is gone is struck through, what is new is underlined, word by word.</summary>
public sealed class StatementDiff : ComponentBase
{
    /// <summary>Words compared with words, at most; longer ones are shown as old and new, whole.</summary>
    private const long MostCells = 4_000_000;

    [Parameter, EditorRequired] public string Old { get; set; } = "";
    [Parameter, EditorRequired] public string New { get; set; } = "";

    protected override void BuildRenderTree(RenderTreeBuilder builder)
    {
        foreach (var (kind, text) in Of(Old, New))
        {
            if (kind == DiffKind.Same)
            {
                Txt.Write(builder, text, multiline: true, ascii: true);
                continue;
            }

            builder.OpenElement(10, kind == DiffKind.Gone ? "del" : "ins");
            Txt.Write(builder, text, multiline: true, ascii: true);
            builder.CloseElement();
        }
    }

    /// <summary>Runs of text. The same and the gone make up the old one, the same and the added the new one, character for character.</summary>
    public static IReadOnlyList<(DiffKind Kind, string Text)> Of(string old, string now)
    {
        var a = SqlTokens.Of(old).Select(static t => t.Text).ToArray();
        var b = SqlTokens.Of(now).Select(static t => t.Text).ToArray();
        var runs = new List<(DiffKind Kind, string Text)>();
        if ((long)a.Length * b.Length > MostCells)
        {
            Add(DiffKind.Gone, old);
            Add(DiffKind.Added, now);
            return runs;
        }

        // Longest common subsequence, from the ends.
        var longest = new int[a.Length + 1, b.Length + 1];
        for (var i = a.Length - 1; i >= 0; i--)
        {
            for (var j = b.Length - 1; j >= 0; j--) longest[i, j] = a[i] == b[j] ? longest[i + 1, j + 1] + 1 : Math.Max(longest[i + 1, j], longest[i, j + 1]);
        }

        for (int i = 0, j = 0; i < a.Length || j < b.Length;)
        {
            if (i < a.Length && j < b.Length && a[i] == b[j])
            {
                Add(DiffKind.Same, a[i]);
                (i, j) = (i + 1, j + 1);
            }
            else if (i < a.Length && (j == b.Length || longest[i + 1, j] >= longest[i, j + 1])) Add(DiffKind.Gone, a[i++]);
            else Add(DiffKind.Added, b[j++]);
        }

        return runs;

        void Add(DiffKind kind, string text)
        {
            if (runs.Count > 0 && runs[^1].Kind == kind) runs[^1] = (kind, runs[^1].Text + text);
            else if (text.Length > 0) runs.Add((kind, text));
        }
    }
}

public enum DiffKind
{
    Same,
    Gone,
    Added,
}
