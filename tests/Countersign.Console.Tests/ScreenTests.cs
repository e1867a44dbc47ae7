using Countersign.EndToEnd.Tests.Fixtures;
using Microsoft.Playwright;

namespace Countersign.Console.Tests;

/// <summary>Every page in both themes and both widths, as pictures under the test's output folder for people to look at.</summary>
[Collection("console")]
public sealed class ScreenTests(Stage stage)
{
    private static readonly string Folder = Directory.CreateDirectory(Path.Combine(AppContext.BaseDirectory, "screens")).FullName;

    private static readonly (int Width, int Height)[] Sizes = [(360, 740), (1280, 860)];

    [Fact]
    public async Task Pages_fit_both_widths_in_both_themes_without_a_word_on_the_console()
    {
        await stage.DenyAllAsync();
        await using var psql = stage.Gateway.Psql(
            "-c", "SET countersign.reason = 'refund for order 42, the customer was charged twice'", "-c", "SET countersign.ticket = 'SUP-1182'",
            "-c", "UPDATE customers\nSET    credit = credit + 4200,   -- cents\n       name = 'Ada Lovelace'\nWHERE  id = 42");
        await psql.SaysAsync("held for review");
        var review = await GatewayProcess.TheOpenReviewAsync(stage.Bob);
        await using var delete = stage.Gateway.Psql("-c", "DELETE FROM customers");
        await delete.SaysAsync("held for review");
        await using var held = new Held(stage, "UPDATE customers SET email = $1, credit = $2 WHERE id = $3", "ada@example.test", 100L, 97L);
        await held.AskAsync();
        var open = await GatewayProcess.OpenReviewsAsync(stage.Bob, 3);
        var deletion = open.First(static r => r.GetProperty("statement").GetString()!.StartsWith("DELETE", StringComparison.Ordinal)).GetProperty("id").GetString();
        var bound = open.First(static r => r.GetProperty("statement").GetString()!.Contains("$1", StringComparison.Ordinal)).GetProperty("id").GetString();

        (string Name, string Path)[] pages =
        [
            ("inbox", "/"), ("review", $"/reviews/{review}"), ("review-danger", $"/reviews/{deletion}"), ("review-values", $"/reviews/{bound}"),
            ("activity", "/activity"), ("story", $"/activity/{review}"), ("policies", "/policies?agent=robo&target=shop&action=sql:update&resource=public.customers"), ("targets", "/targets"), ("me", "/me"), ("grants", "/grants"), ("away", "/away"),
        ];
        foreach (var theme in (ColorScheme[])[ColorScheme.Light, ColorScheme.Dark])
        {
            foreach (var (width, height) in Sizes)
            {
                await using var seat = await stage.SitAsync("alice", width, height, theme);
                foreach (var (name, path) in pages)
                {
                    await seat.Page.GotoAsync(path);
                    await Shoot(seat, $"{name}-{width}-{theme}");
                    Assert.True(await seat.Page.EvaluateAsync<bool>("document.documentElement.scrollWidth <= innerWidth"), $"{path} scrolls sideways at {width}");
                }

                await seat.Page.GotoAsync($"/reviews/{review}");
                await seat.Page.ClickAsync("button[data-key=a]");
                await Shoot(seat, $"confirm-{width}-{theme}");
                Assert.Empty(seat.Complaints);

                // What only an admin has, and what nobody needs a session for.
                await using var root = await stage.SitAsync("root", width, height, theme);
                await root.Page.GotoAsync("/agents");
                await Shoot(root, $"agents-{width}-{theme}");
                await root.Page.GotoAsync($"/reviews/{review}");
                await Shoot(root, $"review-other-{width}-{theme}");
                await root.Page.GotoAsync("/policies");
                await Shoot(root, $"policies-admin-{width}-{theme}");
                await root.Page.GotoAsync("/activity");
                await root.Page.ClickAsync(".rows a:has-text('4200') >> nth=0");
                await root.Page.ClickAsync("text=try other policies on it");
                var text = await root.Page.InputValueAsync("textarea[name='file:main.cedar']");
                await root.Page.FillAsync("textarea[name='file:main.cedar']", text.Replace("@review(\"dba\") @expires(\"15m\") @grant(\"30m\")", "@review(\"dba\") @quorum(\"2\") @expires(\"5m\")", StringComparison.Ordinal));
                await root.Page.ClickAsync("text=See the decision");
                await root.Page.WaitForSelectorAsync(".verdict.other");
                await Shoot(root, $"playground-{width}-{theme}");
                Assert.True(await root.Page.EvaluateAsync<bool>("document.documentElement.scrollWidth <= innerWidth"), $"the playground scrolls sideways at {width}");
                await root.Page.ClickAsync("text=Replay over history");
                await root.Page.WaitForSelectorAsync("#differ");
                await Shoot(root, $"replay-{width}-{theme}");
                await root.Page.FillAsync("textarea[name='file:main.cedar']", text.Replace("DataClass::\"pii\"", "DataClas::\"pii\"", StringComparison.Ordinal));
                await root.Page.ClickAsync("text=Try on one action");
                await root.Page.WaitForSelectorAsync(".errors");
                await Shoot(root, $"playground-errors-{width}-{theme}");
                await using var carl = await stage.SitAsync("carl", width, height, theme);
                await carl.Page.GotoAsync($"/reviews/{deletion}/break-glass");
                await carl.Page.FillAsync("#why", "INC-204: checkout is down, the queue holds 3,000 orders");
                await Shoot(carl, $"break-{width}-{theme}");
                await carl.Page.ClickAsync("button.alarming");
                await carl.Page.WaitForSelectorAsync("[data-step=confirm]");
                await Shoot(carl, $"break-confirm-{width}-{theme}");
                await using var nobody = await stage.OpenAsync(width, height, theme);
                await nobody.Page.GotoAsync("/login");
                await Shoot(nobody, $"login-{width}-{theme}");
            }
        }

        Assert.Equal("approved", (await GatewayProcess.AnswerAsync(stage.Bob, review)).Reason);
        await psql.EndsAsync();
        using var hammer = await stage.Gateway.SignInAsync("carl");
        Assert.Equal("glass-broken", (await GatewayProcess.AnswerAsync(hammer, bound!, "break-glass", "INC-204: checkout is down, the queue holds 3,000 orders")).Reason);
        Assert.Equal(1, await held.Running);
        foreach (var theme in (ColorScheme[])[ColorScheme.Light, ColorScheme.Dark])
        {
            foreach (var (width, height) in Sizes)
            {
                await using var bob = await stage.SitAsync("bob", width, height, theme);
                foreach (var (name, path) in ((string Name, string Path)[])[("glass-inbox", "/"), ("glass-review", $"/reviews/{bound}"), ("aftermaths", "/aftermaths")])
                {
                    await bob.Page.GotoAsync(path);
                    await Shoot(bob, $"{name}-{width}-{theme}");
                }
            }
        }

        await stage.DenyAllAsync();
        await delete.EndsAsync();
        await using var after = await stage.SitAsync("alice", 360, 740);
        foreach (var (name, path) in ((string Name, string Path)[])[("after", $"/reviews/{review}"), ("after-story", $"/activity/{review}"), ("after-inbox", "/")])
        {
            await after.Page.GotoAsync(path);
            await Shoot(after, $"{name}-360-light");
        }

        static async Task Shoot(Seat seat, string name)
        {
            var options = new PageScreenshotOptions { Path = Path.Combine(Folder, $"{name}.png".ToLowerInvariant()), FullPage = name.Contains("1280", StringComparison.Ordinal) };
            try
            {
                await seat.Page.ScreenshotAsync(options);
            }
            catch (PlaywrightException e) when (e.Message.Contains("Unable to capture", StringComparison.Ordinal))
            {
                await seat.Page.ScreenshotAsync(options); // a headless browser on a busy machine now and then has no frame to give
            }
        }
    }
}
