using Countersign.EndToEnd.Tests.Fixtures;
using Countersign.Pages.Card;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Countersign.Console.Tests;

/// <summary>Changing what an agent asked, in a real browser while it waits, and how much it would touch.</summary>
[Collection("console")]
public sealed class EditTests(Stage stage) : IAsyncLifetime
{
    private static readonly string Folder = Directory.CreateDirectory(Path.Combine(AppContext.BaseDirectory, "screens")).FullName;

    public async ValueTask InitializeAsync() => await stage.DenyAllAsync();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private static async Task ShootAsync(IPage page, string name)
    {
        foreach (var theme in (ColorScheme[])[ColorScheme.Light, ColorScheme.Dark])
        {
            await page.EmulateMediaAsync(new PageEmulateMediaOptions { ColorScheme = theme });
            foreach (var (width, height) in ((int, int)[])[(360, 740), (1280, 860)])
            {
                await page.SetViewportSizeAsync(width, height);
                await page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(Folder, $"{name}-{width}-{theme}.png".ToLowerInvariant()), FullPage = true });
                Assert.True(await page.EvaluateAsync<bool>("document.documentElement.scrollWidth <= innerWidth"), $"{name} scrolls sideways at {width}");
            }
        }
    }

    [Fact]
    public async Task I4_who_edits_puts_it_up_and_somebody_else_approves_over_the_diff()
    {
        await stage.Server.ExecuteAsync("ANALYZE customers");
        await using var alice = await stage.SitAsync("alice");
        await using var bob = await stage.SitAsync("bob");
        await using var held = await new Held(stage, "UPDATE customers SET credit = $1, name = $2 WHERE id > $3", 400L, "Ada", 80L).AskAsync();
        var page = alice.Page;
        await page.GotoAsync($"/reviews/{await GatewayProcess.TheOpenReviewAsync(stage.Bob)}");
        await Expect(page.Locator("#estimate")).ToContainTextAsync("rows to update in public.customers");
        await page.ClickAsync("#plan summary");
        await Expect(page.Locator(".steps")).ToContainTextAsync("on public.customers");
        await ShootAsync(page, "estimate");

        await page.ClickAsync(".edit-link a");
        await page.FillAsync("textarea[name=statement]", "UPDATE customers SET credit = $1, name = $2 WHERE id = $3 RETURNING id");
        await page.FillAsync("textarea[name=comment]", "one customer, not all behind him");
        await page.ClickAsync("text=Put it up for approval");
        await Expect(page.Locator(".notice:not([hidden])")).ToContainTextAsync("the client expects none");
        await Expect(page.Locator("textarea[name=comment]")).ToHaveValueAsync("one customer, not all behind him");
        await page.FillAsync("textarea[name=statement]", "UPDATE customers SET credit = $1, name = $2 WHERE id = $3");
        await page.FillAsync("input[name=value-1]", "40");
        await page.CheckAsync("input[name=null-2]");
        await page.UncheckAsync("input[name=null-2]");
        await ShootAsync(page, "edit");
        await page.ClickAsync("text=Put it up for approval");
        await Expect(page.Locator("#cannot")).ToContainTextAsync("You have changed it");
        await Expect(page.Locator(".diff del")).ToContainTextAsync(">");
        var edited = page.Url[page.Url.IndexOf("/reviews/", StringComparison.Ordinal)..];

        await bob.Page.GotoAsync(edited);
        await Expect(bob.Page.Locator(".edited .values")).ToContainTextAsync("400");
        await Expect(bob.Page.Locator(".edited")).ToContainTextAsync("alice changed what robo had asked in review rv_");
        await ShootAsync(bob.Page, "edited");
        await bob.Page.ClickAsync("button[data-key=a]");
        await Expect(bob.Page.Locator(".edited")).ToContainTextAsync("alice");
        await ShootAsync(bob.Page, "edited-confirm");
        await bob.Page.ClickAsync("text=Approve and run once");
        Assert.Equal(1, await held.Running);
        Assert.Equal((40L, 0L), (await stage.Server.AskAsync<long>("SELECT credit FROM customers WHERE id = 80"), await stage.Server.AskAsync<long>("SELECT credit FROM customers WHERE id = 81")));
        await Expect(bob.Page.Locator(".outcome")).ToContainTextAsync("Ran once: 1 row");
        Assert.All(alice.Complaints, static c => Assert.Contains("409", c, StringComparison.Ordinal)); // the refused edit
        Assert.Empty(bob.Complaints);
    }

    [Theory]
    [InlineData("UPDATE t SET a = 1 WHERE id > 2", "UPDATE t SET a = 1 WHERE id = 2", "= UPDATE t SET a = 1 WHERE id|- >|+ =|= 2")]
    [InlineData("", "x", "+ x")]
    [InlineData("a b", "a b", "= a b")]
    [InlineData("'one two'", "'one'", "- 'one two'|+ 'one'")]
    public void Diff_is_both_texts_to_the_letter(string old, string now, string runs)
    {
        var diff = StatementDiff.Of(old, now);
        Assert.Equal(old, string.Concat(diff.Where(static r => r.Kind != DiffKind.Added).Select(static r => r.Text)));
        Assert.Equal(now, string.Concat(diff.Where(static r => r.Kind != DiffKind.Gone).Select(static r => r.Text)));
        Assert.Equal(runs, string.Join('|', diff.Select(static r => $"{r.Kind switch { DiffKind.Same => "=", DiffKind.Gone => "-", _ => "+" }} {r.Text.Trim()}")));
    }
}
