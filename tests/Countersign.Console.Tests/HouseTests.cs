using System.Text.Json;
using Countersign.EndToEnd.Tests.Fixtures;
using Microsoft.Playwright;
using Npgsql;
using static Microsoft.Playwright.Assertions;

namespace Countersign.Console.Tests;

/// <summary>The pages about what was, and what is in force.</summary>
[Collection("console")]
public sealed class HouseTests(Stage stage) : IAsyncLifetime
{
    public async ValueTask InitializeAsync() => await stage.DenyAllAsync();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [Fact]
    public async Task Activity_is_found_by_what_it_was_and_tells_its_whole_story()
    {
        await using var seat = await stage.SitAsync("root");
        var page = seat.Page;
        await using var psql = stage.Gateway.Psql("-c", "UPDATE customers SET credit = 41 WHERE id = 41", "-c", "TRUNCATE orders", "-c", "SELECT 'free of charge'");
        var review = await GatewayProcess.TheOpenReviewAsync(stage.Bob);
        await GatewayProcess.AnswerAsync(stage.Bob, review, comment: "fine by me");
        await psql.EndsAsync();
        await GatewayProcess.ReviewInStateAsync(stage.Bob, review, "released");

        await page.GotoAsync("/activity?decision=review&class=pii&agent=robo&target=shop&user=bob");
        await Expect(page.Locator(".rows li").First).ToContainTextAsync("UPDATE customers SET credit = 41");
        await Expect(page.Locator(".rows li").First).ToContainTextAsync("Ran");
        await page.GotoAsync("/activity?decision=deny");
        await Expect(page.Locator(".rows li").First).ToContainTextAsync("TRUNCATE orders");
        await Expect(page.Locator(".rows li").First).ToContainTextAsync("Refused");
        await page.GotoAsync("/activity?decision=permit");
        await Expect(page.Locator(".rows li", new() { HasTextString = "free of charge" }).First).ToBeVisibleAsync(); // reads are written a little behind: others may come after it
        foreach (var none in (string[])["target=elsewhere", "agent=nobody", "user=nobody", "class=payment", "until=2020-01-01T00:00", "from=2099-01-01T00:00"])
        {
            await page.GotoAsync($"/activity?{none}");
            await Expect(page.Locator(".calm")).ToContainTextAsync("Nothing found");
        }

        await page.GotoAsync("/activity?decision=review");
        await page.ClickAsync(".rows a");
        var story = page.Locator(".story");
        foreach (var step in (string[])["robo asked; policy holds it for a human", "bob approved over the API", "fine by me", "Decided afresh, and released once", "The target carried it out"]) await Expect(story).ToContainTextAsync(step);
        Assert.Empty(seat.Complaints);
    }

    [Fact]
    public async Task Activity_of_somebody_else_is_nobody_elses_business()
    {
        await using (var psql = stage.Gateway.Psql("-c", "TRUNCATE orders -- a secret of olga"))
        {
            await psql.EndsAsync();
        }

        using var journal = JsonDocument.Parse(await stage.Root.GetStringAsync("/api/v1/journal/entries?max=5"));
        var action = journal.RootElement.GetProperty("entries").EnumerateArray().Select(static e => e.GetProperty("entry")).Last(static e => e.GetProperty("type").GetString() == "action").GetProperty("action").GetString();
        await using var eve = await stage.SitAsync("eve");
        await eve.Page.GotoAsync("/activity");
        await Expect(eve.Page.Locator(".calm")).ToContainTextAsync("Nothing found");
        Assert.Equal(404, (await eve.Page.GotoAsync($"/activity/{action}"))!.Status);
        await using var olga = await stage.SitAsync("olga");
        await olga.Page.GotoAsync("/activity");
        await Expect(olga.Page.Locator(".rows")).ToContainTextAsync("a secret of olga");
        Assert.Equal(200, (await olga.Page.GotoAsync($"/activity/{action}"))!.Status);
    }

    [Fact]
    public async Task Agents_key_is_shown_once_and_ends_when_it_is_revoked()
    {
        await using var seat = await stage.SitAsync("root");
        var page = seat.Page;
        await page.GotoAsync("/agents");
        await page.FillAsync("input[name=name]", "page-bot");
        await page.SelectOptionAsync("select[name=owner]", "olga");
        await page.ClickAsync("text=Add agent");
        var key = await page.InnerTextAsync(".key code >> nth=0");
        Assert.StartsWith("csk_", key, StringComparison.Ordinal);
        await using (var psql = Psql(key))
        {
            await psql.EndsAsync();
            Assert.Contains("here", psql.Text, StringComparison.Ordinal);
        }

        await page.GotoAsync("/agents");
        Assert.DoesNotContain(key, await page.ContentAsync(), StringComparison.Ordinal);
        var panel = page.Locator("section.panel", new PageLocatorOptions { HasText = "page-bot" }).First;
        await panel.Locator("text=Revoke agent…").ClickAsync();
        await panel.Locator("text=Revoke page-bot for good").ClickAsync();
        await Expect(page.Locator("section.panel", new PageLocatorOptions { HasText = "page-bot" }).First).ToContainTextAsync("revoked");
        await using (var psql = Psql(key))
        {
            Assert.NotEqual(0, await psql.EndsAsync());
        }

        Assert.Empty(seat.Complaints);
        await using var alice = await stage.SitAsync("alice");
        await alice.Page.GotoAsync("/agents");
        Assert.Equal(0, await alice.Page.Locator("main form").CountAsync());

        Child Psql(string secret) => Child.Start("psql", ["-X", "-c", "SELECT 'here'", $"postgres://page-bot:{secret}@127.0.0.1:{stage.Gateway.Port.ToString(System.Globalization.CultureInfo.InvariantCulture)}/shop"]);
    }

    [Fact]
    public async Task Policies_are_explained_from_the_page_and_cited_from_the_review()
    {
        await using var seat = await stage.SitAsync("alice");
        var page = seat.Page;
        await page.GotoAsync("/policies");
        await page.SelectOptionAsync("select[name=agent]", "robo");
        await page.SelectOptionAsync("select[name=action]", "sql:delete");
        await page.FillAsync("input[name=resource]", "public.customers");
        await page.ClickAsync("button:text-is('Explain')");
        await Expect(page.Locator("#explain")).ToContainTextAsync("Held for a human");
        await Expect(page.Locator("#explain")).ToContainTextAsync("deleting-customers-needs-two");
        await Expect(page.Locator("#p-deleting-customers-needs-two")).ToContainTextAsync("asks 2 of dba");
        await page.FillAsync("input[name=resource]", "\"no such; name");
        await page.ClickAsync("button:text-is('Explain')");
        await Expect(page.Locator("#explain .notice")).ToContainTextAsync("is no plain name");
        Assert.Empty(seat.Complaints);
    }

    [Fact]
    public async Task Grant_is_read_back_before_it_is_given_and_the_next_use_asks_nobody_until_it_is_revoked()
    {
        await using var seat = await stage.SitAsync("alice");
        var page = seat.Page;
        await using var first = await Ask(50).AskAsync();
        await page.GotoAsync($"/reviews/{await GatewayProcess.TheOpenReviewAsync(stage.Bob)}");
        await page.ClickAsync("text=Allow the like for a while…");
        await page.CheckAsync("input[name=grant]");
        await page.FillAsync("input[name=grant-uses]", "3");
        await page.CheckAsync("input[name=free-1]");
        await page.FillAsync("input[name=min-1]", "1");
        await page.FillAsync("input[name=max-1]", "100");
        await page.ClickAsync("text=Approve…");
        await Expect(page.Locator(".pairs")).ToContainTextAsync("for 30 min, 3 times in all, with $1 from 1 to 100");
        await page.ClickAsync("text=Approve and grant");
        Assert.Equal(1, await first.Running);
        await using (var second = await Ask(99).AskAsync()) Assert.Equal(1, await second.Running);

        await page.GotoAsync("/grants");
        await Expect(page.Locator(".panel")).ToContainTextAsync("2 of 3 uses");
        await page.ClickAsync("text=Revoke");
        await Expect(page.Locator(".calm")).ToContainTextAsync("No grants are open");
        await using var asked = await Ask(98).AskAsync();
        await GatewayProcess.TheOpenReviewAsync(stage.Bob);
        await stage.DenyAllAsync();
        await Assert.ThrowsAsync<PostgresException>(() => asked.Running);
        Assert.Empty(seat.Complaints);

        Held Ask(long credit) => new(stage, "UPDATE customers SET credit = $1 WHERE id = $2", credit, 51L);
    }

    [Fact]
    public async Task Session_that_is_ended_from_another_one_is_over_at_once()
    {
        await using var first = await stage.OpenAsync();
        await stage.SignInAsync(first, "uwe");
        await using var second = await stage.OpenAsync();
        await stage.SignInAsync(second, "uwe");
        await second.Page.GotoAsync("/me");
        await second.Page.ClickAsync("button:text-is('End')");
        await first.Page.WaitForURLAsync("**/login**"); // by itself: its stream ended with the session
        await second.Page.ClickAsync("text=Sign out");
        await Expect(second.Page.Locator("h1")).ToHaveTextAsync("Sign in");
    }
}
