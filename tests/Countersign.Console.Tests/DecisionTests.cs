using Countersign.EndToEnd.Tests.Fixtures;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Countersign.Console.Tests;

/// <summary>Deciding in a real browser while psql waits.</summary>
[Collection("console")]
public sealed class DecisionTests(Stage stage) : IAsyncLifetime
{
    public async ValueTask InitializeAsync() => await stage.DenyAllAsync();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private Task<long> CreditAsync(int customer) => stage.Server.AskAsync<long>($"SELECT credit FROM customers WHERE id = {customer}");

    [Fact]
    public async Task Inbox_shows_what_is_held_without_a_reload_and_approving_lets_psql_finish()
    {
        await using var seat = await stage.SitAsync("alice");
        var page = seat.Page;
        await page.GotoAsync("/");
        await Expect(page.Locator("h1")).ToHaveTextAsync("Nothing waits for you");

        await using var psql = stage.Gateway.Psql("-c", "UPDATE customers SET credit = 21 WHERE id = 1");
        await page.ClickAsync(".card");
        await Expect(page.Locator("h1")).ToContainTextAsync("update public.customers");
        await page.ClickAsync("text=Approve…");
        Assert.Equal(0L, await CreditAsync(1));
        await Expect(page.Locator(".sql")).ToContainTextAsync("UPDATE customers SET credit = 21 WHERE id = 1");
        await page.ClickAsync("text=Approve and run once");

        Assert.Equal(0, await psql.EndsAsync());
        Assert.Contains("UPDATE 1", psql.Text, StringComparison.Ordinal);
        Assert.Equal(21L, await CreditAsync(1));
        await Expect(page.Locator(".outcome")).ToContainTextAsync("Ran once: 1 row");
        Assert.Empty(seat.Complaints);
    }

    [Fact]
    public async Task Arrival_is_told_to_who_can_not_see_it()
    {
        await using var seat = await stage.SitAsync("alice");
        await seat.Page.GotoAsync("/");
        await using var psql = stage.Gateway.Psql("-c", "UPDATE customers SET credit = 22 WHERE id = 2");
        await Expect(seat.Page.Locator("#said")).ToHaveTextAsync("New: robo wants to update public.customers");
        await stage.DenyAllAsync();
        await psql.EndsAsync();
    }

    [Fact]
    public async Task Without_script_a_form_approves_and_another_denies_with_words_that_the_agent_reads()
    {
        await using var seat = await stage.SitAsync("alice", 360, 740, script: false);
        var page = seat.Page;
        await using (var psql = stage.Gateway.Psql("-c", "UPDATE customers SET credit = 23 WHERE id = 3"))
        {
            await page.GotoAsync($"/reviews/{await GatewayProcess.TheOpenReviewAsync(stage.Bob)}");
            await page.ClickAsync("text=Approve…");
            await page.ClickAsync("text=Approve and run once");
            Assert.Equal(0, await psql.EndsAsync());
        }

        Assert.Equal(23L, await CreditAsync(3));
        await using (var psql = stage.Gateway.Psql("-c", "UPDATE customers SET credit = 99 WHERE id = 3"))
        {
            await page.GotoAsync($"/reviews/{await GatewayProcess.TheOpenReviewAsync(stage.Bob)}");
            await page.ClickAsync("summary:has-text('comment')");
            await page.FillAsync("textarea", "not at this hour");
            await page.ClickAsync("button.no");
            await psql.EndsAsync();
            Assert.Contains("not at this hour", psql.Text, StringComparison.Ordinal);
        }

        await Expect(page.Locator(".outcome")).ToContainTextAsync("alice said no");
        Assert.Equal(23L, await CreditAsync(3));
    }

    [Fact]
    public async Task Decision_made_elsewhere_appears_within_a_second_and_keeps_what_the_reader_wrote_until_then()
    {
        await using var seat = await stage.SitAsync("alice");
        await using var psql = stage.Gateway.Psql("-c", "DELETE FROM customers WHERE id = 900");
        var review = await GatewayProcess.TheOpenReviewAsync(stage.Bob);
        await seat.Page.GotoAsync($"/reviews/{review}");
        await seat.Page.FillAsync("textarea", "half a sentence");
        Assert.Equal("approved", (await GatewayProcess.AnswerAsync(stage.Bob, review, comment: "he asked for it")).Reason);
        await Expect(seat.Page.Locator(".answers")).ToContainTextAsync("bob");
        Assert.Equal("half a sentence", await seat.Page.InputValueAsync("textarea"));
        Assert.Equal("review-denied", (await GatewayProcess.AnswerAsync(await CarlAsync(), review, "deny")).Reason);
        await Expect(seat.Page.Locator(".outcome")).ToContainTextAsync("carl said no");
        await Expect(seat.Page.Locator(".decide button")).ToHaveCountAsync(0);
        Assert.Empty(seat.Complaints);
        await psql.EndsAsync();

        Task<HttpClient> CarlAsync() => stage.Gateway.SignInAsync("carl");
    }

    /// <summary>
    /// From the time that the server itself gives the answer to the page that shows it, by one machine's clock. A machine that
    /// is busy elsewhere makes one round late, and a page that waits, polls or debounces makes all of them late.
    /// </summary>
    [Fact]
    public async Task Decision_made_elsewhere_is_on_the_page_within_a_second_of_being_made()
    {
        const int rounds = 4;
        var took = new List<double>();
        using var carl = await stage.Gateway.SignInAsync("carl");
        await using var seat = await stage.SitAsync("alice");
        for (var n = 0; n < rounds; n++)
        {
            await using var psql = stage.Gateway.Psql("-c", $"DELETE FROM customers WHERE id = {901 + n}");
            var review = await GatewayProcess.TheOpenReviewAsync(stage.Bob);
            await seat.Page.GotoAsync($"/reviews/{review}");
            await seat.Page.EvaluateAsync("""
                () => { window.seen = new Promise(done => new MutationObserver((_, self) => {
                  if (!document.querySelector('.answers')?.textContent.includes('bob')) return;
                  self.disconnect();
                  done(Date.now());
                }).observe(document.body, { childList: true, subtree: true })); }
                """);
            Assert.Equal("approved", (await GatewayProcess.AnswerAsync(stage.Bob, review, comment: "he asked for it")).Reason);
            var seen = await seat.Page.EvaluateAsync<double>("() => window.seen");
            var card = await GatewayProcess.ReviewInStateAsync(stage.Bob, review, "pending");
            took.Add(seen - card.GetProperty("answers")[0].GetProperty("at").GetDateTimeOffset().ToUnixTimeMilliseconds());
            await GatewayProcess.AnswerAsync(carl, review, "deny"); // bob has answered, and counts once
            await psql.EndsAsync();
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"milliseconds: {string.Join(", ", took)}");
        Assert.True(took.Min() < 1000, $"it took {string.Join(", ", took)} ms");
        Assert.Empty(seat.Complaints);
    }

    [Theory]
    [InlineData("olga", "nobody approves their own action")]
    [InlineData("uwe", "nobody approves their own action")]
    [InlineData("root", "you are not one of them")]
    public async Task I4_who_may_not_approve_sees_why_and_has_no_button_for_it(string user, string why)
    {
        await using var seat = await stage.SitAsync(user);
        await using var psql = stage.Gateway.Psql("-c", "UPDATE customers SET credit = 24 WHERE id = 4");
        await seat.Page.GotoAsync($"/reviews/{await GatewayProcess.TheOpenReviewAsync(stage.Bob)}");
        await Expect(seat.Page.Locator("#cannot")).ToContainTextAsync(why);
        await Expect(seat.Page.Locator("button.yes")).ToHaveCountAsync(0);
        await Expect(seat.Page.Locator("button.no")).ToHaveCountAsync(user == "root" ? 0 : 1);
        await stage.DenyAllAsync();
        await psql.EndsAsync();
    }

    [Fact]
    public async Task Stranger_learns_nothing_of_a_review_by_its_id()
    {
        await using var seat = await stage.SitAsync("eve");
        await using var psql = stage.Gateway.Psql("-c", "UPDATE customers SET credit = 25 WHERE id = 5");
        var review = await GatewayProcess.TheOpenReviewAsync(stage.Bob);
        var there = await seat.Page.GotoAsync($"/reviews/{review}");
        var seen = await seat.Page.InnerTextAsync("main");
        var none = await seat.Page.GotoAsync("/reviews/rv_0123456789abcdef");
        Assert.Equal((404, 404), (there!.Status, none!.Status));
        Assert.Equal(seen, await seat.Page.InnerTextAsync("main"));
        Assert.DoesNotContain("customers", await (await seat.Page.GotoAsync("/"))!.TextAsync(), StringComparison.Ordinal);
        await stage.DenyAllAsync();
        await psql.EndsAsync();
    }

    [Fact]
    public async Task Keyboard_alone_opens_looks_and_approves()
    {
        await using var seat = await stage.SitAsync("alice");
        var page = seat.Page;
        await using var psql = stage.Gateway.Psql("-c", "UPDATE customers SET credit = 26 WHERE id = 6");
        await GatewayProcess.TheOpenReviewAsync(stage.Bob);
        await page.GotoAsync("/");
        await page.Keyboard.PressAsync("?");
        await Expect(page.Locator("#help")).ToBeVisibleAsync();
        await page.Keyboard.PressAsync("Escape");
        await page.Keyboard.PressAsync("j");
        await page.Keyboard.PressAsync("Enter");
        await page.WaitForURLAsync("**/reviews/**");
        await page.Keyboard.PressAsync("a");
        await page.WaitForSelectorAsync("text=Approve and run once");
        Assert.Equal(0L, await CreditAsync(6));
        await page.Keyboard.PressAsync("Enter"); // nothing is focused: nothing happens
        await page.Keyboard.PressAsync("a");
        await page.Keyboard.PressAsync("Enter");
        Assert.Equal(0, await psql.EndsAsync());
        Assert.Equal(26L, await CreditAsync(6));
        Assert.Empty(seat.Complaints);
    }

    [Fact]
    public async Task I10_statement_that_was_changed_on_its_way_back_counts_for_nothing()
    {
        await using var seat = await stage.SitAsync("alice");
        await using var psql = stage.Gateway.Psql("-c", "UPDATE customers SET credit = 27 WHERE id = 7");
        await seat.Page.GotoAsync($"/reviews/{await GatewayProcess.TheOpenReviewAsync(stage.Bob)}");
        await seat.Page.ClickAsync("text=Approve…");
        await seat.Page.EvalOnSelectorAsync("input[name=statement]", "input => input.value = input.value.replace('credit = 27', 'credit = 28')");
        await seat.Page.ClickAsync("text=Approve and run once");
        await Expect(seat.Page.Locator(".notice")).ToContainTextAsync("the statement is not what this review says now");
        Assert.Equal(0L, await CreditAsync(7));
        await stage.DenyAllAsync();
        await psql.EndsAsync();
    }

    [Fact]
    public async Task Look_that_was_overtaken_says_so_and_its_click_counts_for_nothing()
    {
        await using var seat = await stage.SitAsync("alice");
        await using var psql = stage.Gateway.Psql("-c", "UPDATE customers SET credit = 29 WHERE id = 8");
        var review = await GatewayProcess.TheOpenReviewAsync(stage.Bob);
        await seat.Page.GotoAsync($"/reviews/{review}");
        await seat.Page.ClickAsync("text=Approve…");
        await seat.Page.WaitForTimeoutAsync(300);
        await GatewayProcess.AnswerAsync(stage.Bob, review, "deny");
        await Expect(seat.Page.Locator("#changed")).ToBeVisibleAsync();
        await seat.Page.ClickAsync("text=Approve and run once");
        await Expect(seat.Page.Locator(".notice")).ToContainTextAsync("denied already");
        Assert.Equal(0L, await CreditAsync(8));
        await psql.EndsAsync();
    }

    [Fact]
    public async Task P37_look_alikes_are_one_card()
    {
        await using var seat = await stage.SitAsync("alice");
        var held = Enumerable.Range(20, 3).Select(n => stage.Gateway.Psql("-c", $"UPDATE customers SET credit = {n} WHERE id = {n}")).ToArray();
        await GatewayProcess.OpenReviewsAsync(stage.Bob, 3);
        await seat.Page.GotoAsync("/");
        await Expect(seat.Page.Locator("h1")).ToHaveTextAsync("3 reviews wait for you");
        await Expect(seat.Page.Locator(".card-group")).ToHaveCountAsync(1);
        await Expect(seat.Page.Locator(".alike summary")).ToContainTextAsync("2 look-alikes");
        await stage.DenyAllAsync();
        foreach (var psql in held)
        {
            await psql.EndsAsync();
            await psql.DisposeAsync();
        }
    }
}
