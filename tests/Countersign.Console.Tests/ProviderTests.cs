using Countersign.EndToEnd.Tests.Fixtures;
using Countersign.EndToEnd.Tests.SignIn;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Countersign.Console.Tests;

/// <summary>The whole way of a company's people: their identity provider, a browser, a held statement.</summary>
[Collection("console")]
public sealed class ProviderTests(Stage stage)
{
    [Fact]
    public async Task Person_of_the_provider_sees_psql_held_without_a_reload_and_approves_and_one_without_the_group_does_not()
    {
        var port = OidcPeer.FreePort();
        await using var peer = await OidcPeer.StartAsync(port);
        await peer.SetAsync("ben", """{"groups":["guests"]}""");
        var folder = Directory.CreateTempSubdirectory("countersign-provider-");
        var secret = Path.Combine(folder.FullName, "secret");
        await File.WriteAllTextAsync(secret, OidcPeer.Secret);
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(secret, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await using var gateway = await GatewayProcess.StartAsync(stage.Server, new GatewayProcess.Setup(HttpPort: port, Extra: $$"""
            identity:
              oidc:
                issuer: {{peer.Issuer.GetLeftPart(UriPartial.Authority)}}
                client-id: countersign
                client-secret: { file: {{secret}} }
                scopes: [openid, profile, groups]
                groups: { leads: dba }
            """));

        await using var ann = await stage.OpenAsync(at: gateway.Http);
        await SignInAsync(ann.Page, "ann");
        ann.Forget();
        await Expect(ann.Page.Locator("h1")).ToHaveTextAsync("Nothing waits for you");
        await using var psql = gateway.Psql("-c", "UPDATE customers SET credit = 61 WHERE id = 61");
        await ann.Page.ClickAsync(".card");
        await ann.Page.WaitForURLAsync("**/reviews/**");
        var review = ann.Page.Url;

        await using var ben = await stage.OpenAsync(at: gateway.Http);
        await SignInAsync(ben.Page, "ben");
        Assert.Equal(404, (await ben.Page.GotoAsync(review))!.Status);
        await Expect(ben.Page.Locator("main")).ToContainTextAsync("you are in none of the groups that it asks");

        await ann.Page.ClickAsync("text=Approve…");
        await ann.Page.ClickAsync("text=Approve and run once");
        Assert.Equal(0, await psql.EndsAsync());
        Assert.Contains("UPDATE 1", psql.Text, StringComparison.Ordinal);
        Assert.Equal(61L, await stage.Server.AskAsync<long>("SELECT credit FROM customers WHERE id = 61"));
        await Expect(ann.Page.Locator(".outcome")).ToContainTextAsync("Ran once: 1 row");
        await Expect(ann.Page.Locator(".answers")).ToContainTextAsync("ann");
        Assert.Empty(ann.Complaints);
        folder.Delete(recursive: true);
    }

    /// <summary>Through the provider's own pages.</summary>
    private static async Task SignInAsync(IPage page, string login)
    {
        await page.GotoAsync("/");
        await page.ClickAsync("text=Sign in with your organisation");
        await page.FillAsync("input[name=login]", login);
        await page.FillAsync("input[name=password]", "x");
        await page.ClickAsync("button[type=submit]");
        await page.WaitForSelectorAsync("text=Continue");
        await page.ClickAsync("button[type=submit]");
        await page.WaitForSelectorAsync(".me");
    }
}
