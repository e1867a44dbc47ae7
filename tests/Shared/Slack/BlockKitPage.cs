using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;

namespace Countersign.Tests.Slack;

/// <summary>Blocks as a page that looks as Slack shows them, in light and dark: to be looked at, and to be searched for what became markup.</summary>
internal static class BlockKitPage
{
    public static string Of(JsonElement blocks, bool dark)
    {
        var page = new StringBuilder();
        page.Append(CultureInfo.InvariantCulture, $$"""
            <!doctype html><html lang="en"><head><meta charset="utf-8"><title>Card</title><style>
            :root{color-scheme:{{(dark ? "dark" : "light")}}}
            body{margin:0;padding:20px;font:15px/1.466 Lato,"Helvetica Neue",Arial,sans-serif;background:{{(dark ? "#1a1d21" : "#fff")}};color:{{(dark ? "#d1d2d3" : "#1d1c1d")}}}
            .m{display:grid;grid-template-columns:36px 1fr;gap:8px;max-width:760px}.i{width:36px;height:36px;border-radius:4px;background:#1f2a37}
            .n{font-weight:900}.n span{font:700 10px/1 sans-serif;background:#8883;padding:2px 3px;border-radius:2px}
            h3{font-size:18px;margin:8px 0}.b{margin:6px 0;overflow-wrap:anywhere}
            pre{font:12px/1.5 Monaco,Menlo,Consolas,"Courier New",monospace;border:1px solid #8885;background:#8881;border-radius:4px;padding:8px;margin:4px 0;white-space:pre-wrap;overflow-wrap:anywhere}
            code{font:12px/1.5 Monaco,Menlo,Consolas,monospace;border:1px solid #8885;background:#8881;border-radius:3px;padding:2px 3px;color:{{(dark ? "#e8912d" : "#c01343")}}}
            blockquote{margin:4px 0;padding-left:12px;border-left:4px solid {{(dark ? "#35373b" : "#ddd")}};white-space:pre-wrap}.t{white-space:pre-wrap}
            ul{margin:4px 0;padding-left:24px}.c{font-size:13px;opacity:.75}.a{display:flex;gap:8px;flex-wrap:wrap}
            button{font:700 13px sans-serif;height:32px;padding:0 12px;border-radius:4px;border:1px solid #8887;background:transparent;color:inherit}
            button.primary{background:#007a5a;color:#fff;border-color:#007a5a}button.danger{background:#e01e5a;color:#fff;border-color:#e01e5a}
            </style></head><body><div class="m"><div class="i"></div><div><div class="n">Countersign <span>APP</span></div>
            """);
        foreach (var block in blocks.EnumerateArray()) Block(page, block);
        return page.Append("</div></div></body></html>").ToString();
    }

    private static void Block(StringBuilder page, JsonElement block)
    {
        switch (block.GetProperty("type").GetString())
        {
            case "header":
                page.Append(CultureInfo.InvariantCulture, $"<h3>{E(block.GetProperty("text"))}</h3>");
                break;
            case "context":
                page.Append("<div class=\"b c\">");
                foreach (var element in block.GetProperty("elements").EnumerateArray()) page.Append(E(element));
                page.Append("</div>");
                break;
            case "actions":
                page.Append("<div class=\"b a\">");
                foreach (var button in block.GetProperty("elements").EnumerateArray())
                {
                    page.Append(CultureInfo.InvariantCulture, $"<button class=\"{(button.TryGetProperty("style", out var style) ? style.GetString() : "")}\">{E(button.GetProperty("text"))}</button>");
                }

                page.Append("</div>");
                break;
            case "rich_text":
                page.Append("<div class=\"b\">");
                foreach (var element in block.GetProperty("elements").EnumerateArray()) Rich(page, element);
                page.Append("</div>");
                break;
            default:
                throw new InvalidOperationException("a block that this page does not draw");
        }
    }

    private static void Rich(StringBuilder page, JsonElement element)
    {
        var (open, close) = element.GetProperty("type").GetString() switch
        {
            "rich_text_section" => ("<div class=\"t\">", "</div>"),
            "rich_text_quote" => ("<blockquote>", "</blockquote>"),
            "rich_text_preformatted" => ("<pre>", "</pre>"),
            "rich_text_list" => ("<ul>", "</ul>"),
            _ => throw new InvalidOperationException("rich text that this page does not draw"),
        };
        page.Append(open);
        foreach (var inner in element.GetProperty("elements").EnumerateArray())
        {
            switch (inner.GetProperty("type").GetString())
            {
                case "rich_text_section":
                    page.Append("<li>");
                    Rich(page, inner);
                    page.Append("</li>");
                    break;
                case "date":
                    page.Append(WebUtility.HtmlEncode(inner.GetProperty("fallback").GetString()));
                    break;
                default:
                    var (o, c) = ("", "");
                    if (inner.TryGetProperty("style", out var style))
                    {
                        foreach (var (name, tag) in ((string, string)[])[("bold", "b"), ("italic", "i"), ("code", "code")])
                        {
                            if (style.TryGetProperty(name, out _)) (o, c) = ($"{o}<{tag}>", $"</{tag}>{c}");
                        }
                    }

                    page.Append(o).Append(E(inner)).Append(c);
                    break;
            }
        }

        page.Append(close);
    }

    private static string E(JsonElement text) => WebUtility.HtmlEncode(text.GetProperty("text").GetString())!;
}
