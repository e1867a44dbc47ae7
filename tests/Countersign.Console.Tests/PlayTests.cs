using Countersign.EndToEnd.Tests.Fixtures;
using static Microsoft.Playwright.Assertions;

namespace Countersign.Console.Tests;

/// <summary>Policies tried in the pages: nothing of it is kept.</summary>
[Collection("console")]
public sealed class PlayTests(Stage stage) : IAsyncLifetime
{
    private const string File = "textarea[name='file:main.cedar']";

    public async ValueTask InitializeAsync() => await stage.DenyAllAsync();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Edited_policy_shows_the_decision_that_would_come_beside_the_one_that_was_and_records_nothing(bool script)
    {
        var row = script ? 93 : 94;
        await using (var psql = stage.Gateway.Psql("-c", $"UPDATE customers SET credit = {row} WHERE id = {row}"))
        {
            await GatewayProcess.AnswerAsync(stage.Bob, await GatewayProcess.TheOpenReviewAsync(stage.Bob));
            Assert.Equal(0, await psql.EndsAsync());
        }

        await using var seat = await stage.SitAsync("root", script: script);
        var page = seat.Page;
        await page.GotoAsync("/activity");
        await page.ClickAsync($".rows a:has-text('credit = {row}')");
        await page.ClickAsync("text=try other policies on it");
        await Expect(page.Locator("#was >> xpath=..")).ToContainTextAsync("Needs 1 of dba, may be edited, within 15 min");
        await Expect(page.Locator(".beside-says")).ToContainTextAsync("stays the same");
        var before = (await GatewayProcess.JournalAsync(stage.Root)).Count;

        var text = await page.InputValueAsync(File);
        await page.FillAsync(File, text.Replace("@review(\"dba\") @expires(\"15m\") @grant(\"30m\")", "@review(\"dba\") @quorum(\"2\") @expires(\"5m\")", StringComparison.Ordinal));
        await page.ClickAsync("text=See the decision");
        await Expect(page.Locator("#would >> xpath=..")).ToContainTextAsync("Needs 2 of dba, may be edited, within 5 min");
        await Expect(page.Locator("#would >> xpath=..")).ToContainTextAsync("customers-need-a-dba");
        await Expect(page.Locator("#was >> xpath=..")).ToContainTextAsync("Needs 1 of dba, may be edited, within 15 min");
        await Expect(page.Locator(".beside-says")).ToContainTextAsync("would differ");

        await page.FillAsync(File, await page.InputValueAsync(File) + "\nforbid (principal, action == Action::\"sql:update\", resource) when { context has where };");
        await page.ClickAsync("text=See the decision");
        await Expect(page.Locator("#would >> xpath=..")).ToContainTextAsync("Refused");
        await Expect(page.Locator("#would >> xpath=..")).ToContainTextAsync("policy-denied");

        // The same edit over all that was recorded.
        await page.ClickAsync("text=Replay over history");
        await Expect(page.Locator("#differ")).ToContainTextAsync("would differ");
        await Expect(page.Locator(".replayed .panel").First).ToContainTextAsync("refused: policy-denied");

        // Nothing of it is on the record, and nothing of it serves.
        Assert.Equal(before, (await GatewayProcess.JournalAsync(stage.Root)).Count);
        await page.GotoAsync("/policies/playground");
        Assert.Equal(text, await page.InputValueAsync(File));
        Assert.Empty(seat.Complaints);
    }

    [Fact]
    public async Task Error_of_the_edited_text_is_shown_at_its_line_and_column_and_the_text_stays()
    {
        await using var seat = await stage.SitAsync("root", 360, 740);
        var page = seat.Page;
        await page.GotoAsync("/policies/playground");
        var wrong = "permit (principal, action, resource)\nwhen { context.target.enviroment == \"prod\" };\n";
        await page.FillAsync(File, wrong);
        await page.ClickAsync("text=See the decision");
        await Expect(page.Locator(".errors")).ToContainTextAsync("main.cedar:2:8");
        await Expect(page.Locator(".errors pre >> nth=0")).ToContainTextAsync("enviroment");
        Assert.Equal(wrong, await page.InputValueAsync(File));
        await page.ClickAsync("text=Replay over history");
        await Expect(page.Locator(".errors")).ToContainTextAsync("main.cedar:2:");
        Assert.Equal(wrong, await page.InputValueAsync(File));

        // A text that begins with an empty line keeps it, or every line would be off by one.
        await page.FillAsync(File, "\n\npermit (principal, action, resource) when { nonsense };\n");
        await page.ClickAsync("text=Replay over history");
        await Expect(page.Locator(".errors")).ToContainTextAsync("main.cedar:3:");
    }

    [Fact]
    public async Task I11_Who_does_not_administer_policies_tries_none()
    {
        await using var seat = await stage.SitAsync("alice");
        foreach (var path in new[] { "/policies/playground", "/policies/replay", "/policies/playground?entry=1" }) Assert.Equal(403, (await seat.Page.GotoAsync(path))!.Status);
        await seat.Page.GotoAsync("/policies");
        await Expect(seat.Page.Locator("text=Playground")).ToHaveCountAsync(0);
        await seat.Page.GotoAsync("/away");
        var form = seat.Context.APIRequest.CreateFormData();
        form.Append("csrf", await seat.Page.InputValueAsync("input[name=csrf] >> nth=0"));
        form.Append("file:main.cedar", "permit (principal, action, resource);");
        foreach (var path in new[] { "/policies/playground", "/policies/replay" }) Assert.Equal(403, (await seat.Context.APIRequest.PostAsync(path, new() { Form = form })).Status);
    }

    [Fact]
    public async Task Tests_of_the_folder_are_run_under_the_revision_in_force_and_shown()
    {
        var path = Path.Combine(stage.Gateway.Folder, "policies", "main.test.yaml");
        await using var seat = await stage.SitAsync("alice");
        await System.IO.File.WriteAllTextAsync(path, TestFile("review"));
        try
        {
            await seat.Page.GotoAsync("/policies");
            await Expect(seat.Page.Locator("#tests")).ToContainTextAsync("all 1 pass");
            await System.IO.File.WriteAllTextAsync(path, TestFile("permit") + "# longer\n");
            await seat.Page.GotoAsync("/policies");
            await Expect(seat.Page.Locator("#tests")).ToContainTextAsync("1 of 1 fail");
            await Expect(seat.Page.Locator("#tests")).ToContainTextAsync("the decision is review (review-required), expected permit");
        }
        finally
        {
            await System.IO.File.WriteAllTextAsync(path, TestFile("review"));
        }

        static string TestFile(string decision) => $$"""
            users: { olga: { groups: [dba] } }
            agents: { robo: { owner: olga, groups: [agents] } }
            targets: { shop: { environment: prod } }
            classes: { pii: [GDPR] }
            resources: { customers: { type: Table, id: shop.public.customers, classes: [pii] } }
            tests:
              - name: customers are changed with a DBA's consent
                agent: robo
                target: shop
                action: sql:update
                resource: customers
                expect: { decision: {{decision}} }

            """;
    }
}
