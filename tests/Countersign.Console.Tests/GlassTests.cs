using Countersign.EndToEnd.Tests.Fixtures;
using static Microsoft.Playwright.Assertions;

namespace Countersign.Console.Tests;

/// <summary>Breaking the glass, what follows it, and going away, in the pages.</summary>
[Collection("console")]
public sealed class GlassTests(Stage stage) : IAsyncLifetime
{
    public async ValueTask InitializeAsync() => await stage.DenyAllAsync();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Glass_is_broken_loudly_over_its_own_statement_and_somebody_else_says_what_he_found(bool script)
    {
        var row = script ? 71 : 72;
        await using var carl = await stage.SitAsync("carl", 360, 740, script: script);
        await using var psql = stage.Gateway.Psql("-c", $"UPDATE customers SET credit = {row} WHERE id = {row}");
        var review = await GatewayProcess.TheOpenReviewAsync(stage.Bob);
        await carl.Page.GotoAsync($"/reviews/{review}");
        await carl.Page.ClickAsync("text=Break the glass…");
        await Expect(carl.Page.Locator(".alarm")).ToContainTextAsync("goes around the people who would decide");
        await carl.Page.FillAsync("#why", $"INC-{row}: the shop is down");
        await carl.Page.ClickAsync("button.alarming");

        // Nothing has happened yet: this is the last look, over the statement's bytes.
        await Expect(carl.Page.Locator("h1")).ToContainTextAsync("without those who decide");
        await Expect(carl.Page.Locator(".sql")).ToContainTextAsync($"UPDATE customers SET credit = {row} WHERE id = {row}");
        await Expect(carl.Page.Locator(".pairs").First).ToContainTextAsync($"INC-{row}: the shop is down");
        Assert.Equal("pending", (await GatewayProcess.ReviewInStateAsync(stage.Bob, review, "pending")).GetProperty("state").GetString());
        await carl.Page.ClickAsync("text=Break the glass and run");
        Assert.Equal(0, await psql.EndsAsync());
        Assert.Contains("UPDATE 1", psql.Text, StringComparison.Ordinal);
        await Expect(carl.Page.Locator("#glass")).ToContainTextAsync("The glass was broken by carl");

        // Who broke it may read, and not judge.
        await carl.Page.GotoAsync("/aftermaths");
        await Expect(carl.Page.Locator($"[id={review}]")).ToContainTextAsync("You broke it, so somebody else says what he found.");
        await Expect(carl.Page.Locator($"[id={review}] form")).ToHaveCountAsync(0);
        await using var olga = await stage.SitAsync("olga");
        await olga.Page.GotoAsync("/aftermaths");
        await Expect(olga.Page.Locator($"[id={review}]")).ToContainTextAsync("done in your name");

        await using var bob = await stage.SitAsync("bob", script: script);
        await bob.Page.GotoAsync("/");
        await bob.Page.ClickAsync($".alarm a[href='/aftermaths#{review}']");
        await bob.Page.FillAsync($"[id='f-{review}']", "The row was a duplicate; the incident is closed.");
        await bob.Page.ClickAsync($"[id={review}] >> text=It was right");
        await Expect(bob.Page.Locator(".closed")).ToContainTextAsync("bob found: The row was a duplicate");
        await bob.Page.GotoAsync("/");
        await Expect(bob.Page.Locator($".alarm a[href='/aftermaths#{review}']")).ToHaveCountAsync(0);
        await bob.Page.GotoAsync($"/activity/{review}");
        await Expect(bob.Page.Locator(".story")).ToContainTextAsync("carl broke the glass in the console");
        await Expect(bob.Page.Locator(".story")).ToContainTextAsync("bob looked into the broken glass");
        foreach (var seat in new[] { carl, olga, bob }) Assert.Empty(seat.Complaints);
    }

    [Fact]
    public async Task I4_Glass_is_offered_to_whom_policy_names_and_opens_for_nobody_else()
    {
        await using var psql = stage.Gateway.Psql("-c", "DELETE FROM customers WHERE id = 73");
        var review = await GatewayProcess.TheOpenReviewAsync(stage.Bob);
        foreach (var user in new[] { "alice", "olga" })
        {
            await using var seat = await stage.SitAsync(user);
            await seat.Page.GotoAsync($"/reviews/{review}");
            await Expect(seat.Page.Locator("text=Break the glass…")).ToHaveCountAsync(0);
            Assert.Equal(403, (await seat.Page.GotoAsync($"/reviews/{review}/break-glass"))!.Status);
            await Expect(seat.Page.Locator("main form")).ToHaveCountAsync(0);
        }

        await using var carl = await stage.SitAsync("carl");
        await carl.Page.GotoAsync($"/reviews/{review}/break-glass");
        var token = await carl.Page.InputValueAsync("input[name=csrf]");
        var form = carl.Context.APIRequest.CreateFormData();
        form.Append("csrf", token);
        form.Append("comment", "  ");
        var answer = await carl.Context.APIRequest.PostAsync($"/reviews/{review}/break-glass", new() { Form = form });
        Assert.Equal(409, answer.Status);
        Assert.Contains("Say why it can not wait", await answer.TextAsync(), StringComparison.Ordinal);
        await stage.DenyAllAsync();
        await psql.EndsAsync();
    }

    [Fact]
    public async Task Delegate_is_named_and_ended_in_the_page_and_others_are_not_named_by_just_anybody()
    {
        await using var alice = await stage.SitAsync("alice");
        await alice.Page.GotoAsync("/me");
        await alice.Page.ClickAsync("text=Going away?");
        await alice.Page.FillAsync("input[name=delegate]", "nobody-of-this-name");
        await alice.Page.ClickAsync("text=Name the delegate");
        await Expect(alice.Page.Locator(".notice")).ToContainTextAsync("is not a user");
        alice.Forget(); // Chromium's word about the 422
        await alice.Page.FillAsync("input[name=delegate]", "eve");
        await alice.Page.ClickAsync("text=Name the delegate");
        await Expect(alice.Page.Locator(".away")).ToContainTextAsync("eve speaks for you");

        // She stands in alice's groups now: a review that asks for dba reaches her.
        await using (var psql = stage.Gateway.Psql("-c", "UPDATE customers SET credit = 74 WHERE id = 74"))
        {
            var review = await GatewayProcess.TheOpenReviewAsync(stage.Bob);
            await using var eve = await stage.SitAsync("eve");
            await eve.Page.GotoAsync("/away");
            await Expect(eve.Page.Locator(".away")).ToContainTextAsync("You speak for alice");
            await Expect(eve.Page.Locator(".away form")).ToHaveCountAsync(0);
            Assert.Equal(200, (await eve.Page.GotoAsync($"/reviews/{review}"))!.Status);

            // For whom she may not.
            await eve.Page.GotoAsync("/away");
            foreach (var (path, fields) in new (string, (string, string)[])[] { ("/away/end", [("user", "alice")]), ("/away", [("user", "bob"), ("delegate", "eve"), ("until", "2099-01-01T00:00")]) })
            {
                var form = eve.Context.APIRequest.CreateFormData();
                form.Append("csrf", await eve.Page.InputValueAsync("input[name=csrf] >> nth=0"));
                foreach (var (name, value) in fields) form.Append(name, value);
                Assert.Equal(422, (await eve.Context.APIRequest.PostAsync(path, new() { Form = form })).Status);
            }

            await stage.DenyAllAsync();
            await psql.EndsAsync();
        }

        await alice.Page.GotoAsync("/away");
        await alice.Page.ClickAsync("text=End it");
        await Expect(alice.Page.Locator("main")).ToContainTextAsync("you speak for nobody else");
        Assert.Empty(alice.Complaints);
    }
}
