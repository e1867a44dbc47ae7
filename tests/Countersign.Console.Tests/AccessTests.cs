using Countersign.EndToEnd.Tests.Api;
using Countersign.EndToEnd.Tests.Fixtures;
using Microsoft.Playwright;

namespace Countersign.Console.Tests;

/// <summary>Every page before axe-core, whose rules are those of WCAG 2.2 A and AA, in both themes and both widths.</summary>
[Collection("console")]
public sealed class AccessTests(Stage stage)
{
    private static readonly string Axe = System.IO.File.ReadAllText(Path.Combine(ApiHost.Repository, "tests", "peers", "node_modules", "axe-core", "axe.min.js"));

    [Fact]
    public async Task Pages_break_no_rule_of_axe_in_both_themes_and_widths()
    {
        await stage.DenyAllAsync();
        await using var psql = stage.Gateway.Psql("-c", "SET countersign.reason = 'because'", "-c", "DELETE FROM customers WHERE id = 91 -- one of them");
        var review = await GatewayProcess.TheOpenReviewAsync(stage.Bob);
        var found = new List<string>();
        foreach (var theme in (ColorScheme[])[ColorScheme.Light, ColorScheme.Dark])
        {
            foreach (var width in (int[])[360, 1280])
            {
                await using var carl = await stage.SitAsync("carl", width, 860, theme);
                foreach (var path in (string[])["/", $"/reviews/{review}", $"/reviews/{review}/break-glass", "/activity", $"/activity/{review}", "/grants", "/policies", "/agents", "/targets", "/me", "/away", "/aftermaths"])
                {
                    await carl.Page.GotoAsync(path);
                    await LookAsync(carl.Page, path);
                }

                await carl.Page.GotoAsync($"/reviews/{review}");
                await carl.Page.FillAsync("textarea", "a reason");
                await carl.Page.ClickAsync("button[data-key=a]");
                await carl.Page.WaitForSelectorAsync("[data-step=confirm]");
                await LookAsync(carl.Page, "confirm");
                await using var root = await stage.SitAsync("root", width, 860, theme);
                foreach (var path in (string[])["/agents", "/policies", "/policies/playground", "/policies/replay", "/away"])
                {
                    await root.Page.GotoAsync(path);
                    await LookAsync(root.Page, path);
                }

                await root.Page.FillAsync("input[name=delegate]", "no such user");
                await root.Page.GotoAsync("/policies/playground");
                await root.Page.FillAsync("textarea[name='file:main.cedar']", "permit (nobody);");
                await root.Page.ClickAsync("text=See the decision");
                await root.Page.WaitForSelectorAsync(".errors");
                await LookAsync(root.Page, "playground with errors");
                await using var nobody = await stage.OpenAsync(width, 860, theme);
                await nobody.Page.GotoAsync("/login");
                await LookAsync(nobody.Page, "/login");

                async Task LookAsync(IPage page, string what)
                {
                    await page.EvaluateAsync(Axe);
                    foreach (var violation in await page.EvaluateAsync<string[]>(Run)) found.Add($"{what} {width} {theme}: {violation}");
                }
            }
        }

        Assert.True(found.Count == 0, string.Join("\n", found));
        await stage.DenyAllAsync();
        await psql.EndsAsync();
    }

    private const string Run = """
        async () => (await axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })).violations
          .map(v => `${v.id} (${v.impact}): ${v.nodes.slice(0, 3).map(n => `${n.target} ${n.failureSummary.replaceAll('\n', ' ')}`).join(' | ')}`)
        """;
}
