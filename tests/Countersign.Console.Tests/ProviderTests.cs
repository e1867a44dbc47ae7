using System.Globalization;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
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

    /// <summary>
    /// The whole of a company's night: the provider knows the people, SCIM says who is still there, psql waits, and each person
    /// sees his own page of the same review.
    /// </summary>
    [Fact]
    public async Task I4_P33_Provider_and_SCIM_say_who_approves_what_psql_waits_for()
    {
        var port = OidcPeer.FreePort();
        await using var peer = await OidcPeer.StartAsync(port);
        await peer.SetAsync("cleo", """{"groups":["leads"]}""");
        await peer.SetAsync("ben", """{"groups":["guests"]}""");
        var folder = Directory.CreateTempSubdirectory("countersign-provider-");
        var (secret, token) = (await SecretAsync("secret", OidcPeer.Secret), await SecretAsync("token", ScimToken));
        await using var gateway = await GatewayProcess.StartAsync(stage.Server, new GatewayProcess.Setup(HttpPort: port, Extra: $$"""
            identity:
              oidc:
                issuer: {{peer.Issuer.GetLeftPart(UriPartial.Authority)}}
                client-id: countersign
                client-secret: { file: {{secret}} }
                scopes: [openid, profile, groups]
                groups: { leads: dba }
              scim: { token: { file: {{token}} }, groups: { leads: dba } }
            """));
        using var scim = new HttpClient { BaseAddress = gateway.Http };
        scim.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", ScimToken);
        var ids = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var name in new[] { "ann", "ben", "cleo", "mira" }) ids[name] = await CreateAsync("/scim/v2/Users", $$"""{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"{{name}}","externalId":"{{name}}","active":true}""");
        await CreateAsync("/scim/v2/Groups", $$"""{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"leads","members":[{"value":"{{ids["ann"]}}"},{"value":"{{ids["cleo"]}}"},{"value":"{{ids["mira"]}}"}]}""");

        var seats = new Dictionary<string, Seat>(StringComparer.Ordinal);
        try
        {
            foreach (var name in ids.Keys)
            {
                seats[name] = await stage.OpenAsync(at: gateway.Http);
                await SignInAsync(seats[name].Page, name);
                seats[name].Forget();
            }

            // An agent of mira's, who is a lead too.
            using var root = await gateway.SignInAsync("root");
            using var added = await root.PostAsJsonAsync("/api/v1/agents", new { name = "shop-bot", owner = "mira", groups = new[] { "agents" } });
            var key = (await added.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("key").GetString();
            Child Psql(int row) => Child.Start("psql", ["-X", "-c", $"UPDATE customers SET credit = {row} WHERE id = {row}", string.Create(CultureInfo.InvariantCulture, $"postgres://shop-bot:{key}@127.0.0.1:{gateway.Port}/shop")]);

            var (ann, ben, cleo, mira) = (seats["ann"].Page, seats["ben"].Page, seats["cleo"].Page, seats["mira"].Page);
            await Expect(ann.Locator("h1")).ToHaveTextAsync("Nothing waits for you");
            await using var psql = Psql(62);

            // Without a reload, on both leads' pages.
            await Expect(ann.Locator("section[data-live=mine] .card")).ToContainTextAsync("customers");
            await Expect(cleo.Locator("section[data-live=mine] .card")).ToContainTextAsync("customers");
            await ann.ClickAsync(".card");
            await ann.WaitForURLAsync("**/reviews/**");
            var review = ann.Url;

            // Who is in no group that it asks, and whose agent it is.
            Assert.Equal(404, (await ben.GotoAsync(review))!.Status);
            await Expect(ben.Locator("main")).ToContainTextAsync("you are in none of the groups that it asks");
            await mira.GotoAsync(review);
            await Expect(mira.Locator("#cannot")).ToContainTextAsync("You own shop-bot, and nobody approves their own action");
            await Expect(mira.Locator("button.yes")).ToHaveCountAsync(0);

            // Who is gone between the page and the click, even with the last page before him.
            await cleo.GotoAsync(review);
            await cleo.ClickAsync("text=Approve…");
            await Expect(cleo.Locator("[data-step=confirm]")).ToBeVisibleAsync();
            using (var gone = await scim.PatchAsync($"/scim/v2/Users/{ids["cleo"]}", Scim("""{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"active","value":false}]}"""))) Assert.True(gone.IsSuccessStatusCode);
            await cleo.ClickAsync("[data-step=confirm]");
            await cleo.WaitForURLAsync("**/login**");
            var card = await root.GetFromJsonAsync<JsonElement>($"/api/v1{new Uri(review).AbsolutePath}");
            Assert.Equal("pending", card.GetProperty("state").GetString());
            Assert.Empty(card.GetProperty("answers").EnumerateArray());
            Assert.Equal(0L, await stage.Server.AskAsync<long>("SELECT credit FROM customers WHERE id = 62"));

            // And who may.
            await ann.ClickAsync("text=Approve…");
            await ann.ClickAsync("text=Approve and run once");
            Assert.Equal(0, await psql.EndsAsync());
            Assert.Contains("UPDATE 1", psql.Text, StringComparison.Ordinal);
            Assert.Equal(62L, await stage.Server.AskAsync<long>("SELECT credit FROM customers WHERE id = 62"));
            await Expect(ann.Locator(".outcome")).ToContainTextAsync("Ran once: 1 row");
            await Expect(mira.Locator(".outcome")).ToContainTextAsync("Ran once: 1 row");
            Assert.Empty(seats["ann"].Complaints);
        }
        finally
        {
            foreach (var seat in seats.Values) await seat.DisposeAsync();
            folder.Delete(recursive: true);
        }

        async Task<string> SecretAsync(string name, string text)
        {
            var path = Path.Combine(folder.FullName, name);
            await File.WriteAllTextAsync(path, text);
            if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            return path;
        }

        static StringContent Scim(string json) => new(json, Encoding.UTF8, "application/scim+json");

        async Task<string> CreateAsync(string path, string json)
        {
            using var answer = await scim.PostAsync(path, Scim(json));
            var text = await answer.Content.ReadAsStringAsync();
            Assert.True(answer.IsSuccessStatusCode, text);
            return JsonDocument.Parse(text).RootElement.GetProperty("id").GetString()!;
        }
    }

    private const string ScimToken = "scim-token-of-the-console-test-0123456789abcdef";

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
