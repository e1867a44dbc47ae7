using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Nodes;
using Countersign.EndToEnd.Tests.Fixtures;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Countersign.Console.Tests;

/// <summary>Passkeys in a real browser, with the virtual authenticator that it has for that.</summary>
[Collection("console")]
public sealed class PasskeyTests(Stage stage) : IAsyncLifetime
{
    private static readonly string Folder = Directory.CreateDirectory(Path.Combine(AppContext.BaseDirectory, "screens")).FullName;

    public async ValueTask InitializeAsync() => await stage.DenyAllAsync();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    /// <summary>Browsers take passkeys at a name, not at a number.</summary>
    private Uri Named => new UriBuilder(stage.Gateway.Http) { Host = "localhost" }.Uri;

    private async Task<Seat> SitAsync(int width = 1280, ColorScheme theme = ColorScheme.Light)
    {
        var seat = await stage.OpenAsync(width, 900, theme, at: Named);
        var browser = await seat.Context.NewCDPSessionAsync(seat.Page);
        await browser.SendAsync("WebAuthn.enable");
        await browser.SendAsync("WebAuthn.addVirtualAuthenticator", new Dictionary<string, object>
        {
            ["options"] = new Dictionary<string, object>
            {
                ["protocol"] = "ctap2", ["transport"] = "internal", ["hasResidentKey"] = true, ["hasUserVerification"] = true, ["isUserVerified"] = true, ["automaticPresenceSimulation"] = true,
            },
        });
        return seat;
    }

    private static async Task ShootAsync(Seat seat, string name)
    {
        foreach (var (width, theme) in new[] { (360, ColorScheme.Light), (360, ColorScheme.Dark), (1280, ColorScheme.Light), (1280, ColorScheme.Dark) })
        {
            await seat.Page.SetViewportSizeAsync(width, width == 360 ? 740 : 900);
            await seat.Page.EmulateMediaAsync(new PageEmulateMediaOptions { ColorScheme = theme });
            Assert.True(await seat.Page.EvaluateAsync<bool>("document.documentElement.scrollWidth <= innerWidth"), $"{name} scrolls sideways at {width}");
            await seat.Page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(Folder, $"{name}-{width}-{theme}.png".ToLowerInvariant()) });
        }

        await seat.Page.EmulateMediaAsync(new PageEmulateMediaOptions { ColorScheme = ColorScheme.Light });
        await seat.Page.SetViewportSizeAsync(1280, 900);
    }

    [Fact]
    public async Task Passkey_is_registered_signs_an_approval_that_verifies_offline_and_signs_its_person_in()
    {
        await using var seat = await SitAsync();
        var page = seat.Page;
        await stage.SignInAsync(seat, "alice");
        await using var psql = stage.Gateway.Psql("-c", "DELETE FROM notes WHERE id = 4711");
        await psql.SaysAsync("held for review");
        var review = (await GatewayProcess.TheOpenReviewAsync(stage.Bob))!;

        // Without one she is told what to do, and what bob says elsewhere counts for nothing.
        await page.GotoAsync($"/reviews/{review}");
        await Expect(page.Locator("#no-passkey")).ToContainTextAsync("you have none");
        await Expect(page.Locator("#people + p")).ToContainTextAsync("with a passkey");
        await ShootAsync(seat, "passkey-none");
        Assert.Equal("step-up-required", (await GatewayProcess.AnswerAsync(stage.Bob, review)).Reason);
        await page.ClickAsync("text=Approve…");
        await Expect(page.Locator("#no-passkey")).ToContainTextAsync("Register one");
        Assert.Equal(0, await page.Locator("button.yes").CountAsync());

        await page.ClickAsync("#no-passkey a");
        await ShootAsync(seat, "passkey-me");
        await page.FillAsync("[data-passkey-new] input[name=name]", "laptop");
        await page.ClickAsync("text=Add a passkey");
        await Expect(page.Locator("[data-passkey-of] h3")).ToHaveTextAsync("laptop");
        await Expect(page.Locator("[data-passkey-of]")).ToContainTextAsync("never used");
        await ShootAsync(seat, "passkey-registered");

        // A second one in the same device is told from here, before anything is asked of the server.
        await page.FillAsync("[data-passkey-new] input[name=name]", "again");
        await page.Keyboard.PressAsync("Enter");
        await Expect(page.Locator("[data-passkey-said]")).ToContainTextAsync("has a passkey of yours already");

        // By keyboard: to the last look, and over it.
        await page.GotoAsync($"/reviews/{review}");
        await Expect(page.Locator("#signs")).ToContainTextAsync("with your passkey");
        await page.Keyboard.PressAsync("a");
        await Expect(page.Locator("h1")).ToContainTextAsync("run this once");
        await ShootAsync(seat, "passkey-confirm");
        await page.Keyboard.PressAsync("a");
        await page.Keyboard.PressAsync("Enter");
        await Expect(page.Locator(".outcome")).ToContainTextAsync("Ran once");
        Assert.Equal(0, await psql.EndsAsync());
        Assert.Contains("DELETE", psql.Text, StringComparison.Ordinal);
        await Expect(page.Locator(".answers")).ToContainTextAsync("signed with a passkey");
        await ShootAsync(seat, "passkey-after");

        // The entry alone, with the key, says so; whoever alters anything of it is told.
        var journal = (await stage.Root.GetFromJsonAsync<JsonElement>("/api/v1/journal/entries?max=500")).GetProperty("entries").EnumerateArray().ToArray();
        JsonElement Entry(string type) => journal.Last(l => l.GetProperty("entry").GetProperty("type").GetString() == type);
        var answer = Entry("answer");
        Assert.Equal(review, answer.GetProperty("entry").GetProperty("review").GetString());
        var folder = Directory.CreateTempSubdirectory("countersign-proof-").FullName;
        try
        {
            var (file, key) = (Path.Combine(folder, "answer.json"), Path.Combine(folder, "key.json"));
            await File.WriteAllTextAsync(key, Entry("passkey-added").GetRawText());
            await File.WriteAllTextAsync(file, answer.GetRawText());
            Assert.Equal((0, "signed exactly this statement"), await ProveAsync(file, key, "signed exactly this statement"));
            Assert.Equal((1, "another origin"), await ProveAsync(file, key, "another origin", "--origin", "https://console.example"));
            var altered = JsonNode.Parse(answer.GetRawText())!;
            altered["body"]!["statement"] = altered["body"]!["statement"]!.GetValue<string>().Replace("4711", "4712", StringComparison.Ordinal);
            await File.WriteAllTextAsync(file, altered.ToJsonString());
            Assert.Equal((1, "not the one that the entry commits to"), await ProveAsync(file, key, "not the one that the entry commits to"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        // Signed out, she comes back with it and nothing else.
        await page.GotoAsync("/me");
        await Expect(page.Locator("[data-passkey-of]")).ToContainTextAsync("last used");
        await page.ClickAsync("text=Sign out");
        await page.GotoAsync("/login?return=/me");
        await ShootAsync(seat, "passkey-login");
        await page.ClickAsync("text=Sign in with a passkey");
        await page.WaitForURLAsync("**/me");
        await Expect(page.Locator("h1")).ToHaveTextAsync("alice");
        await Expect(page.Locator("main")).ToContainTextAsync("by passkey");

        // Removed, it signs nobody in, and the session that it began is over.
        await page.ClickAsync("[data-passkey-of] button");
        await page.WaitForURLAsync("**/login**");
        await page.ClickAsync("text=Sign in with a passkey");
        await Expect(page.Locator("[data-passkey-said]")).ToContainTextAsync("does not sign anybody in");
        Assert.All(seat.Complaints, static c => Assert.Contains("401", c, StringComparison.Ordinal)); // the browser's own word on that last refusal
    }

    private static async Task<(int Exit, string Said)> ProveAsync(string file, string key, string part, params string[] more)
    {
        await using var proof = Child.Start("dotnet", [Path.Combine(AppContext.BaseDirectory, "countersign.dll"), "journal", "verify", "--approval", file, "--key", key, .. more]);
        var exit = await proof.EndsAsync();

        // What is asked for, wherever the lines were folded.
        var said = string.Join(' ', proof.Text.Split((char[])[' ', '\n', '\r'], StringSplitOptions.RemoveEmptyEntries));
        return (exit, said.Contains(part, StringComparison.Ordinal) ? part : said);
    }

    [Fact]
    public async Task At_an_address_that_is_a_number_the_page_says_where_passkeys_work()
    {
        await using var seat = await stage.SitAsync("alice");
        await seat.Page.GotoAsync("/me");
        await Expect(seat.Page.Locator($"a[href='{new Uri(Named, "/me")}']")).ToBeVisibleAsync();
        Assert.Equal(0, await seat.Page.Locator("[data-passkey-new]").CountAsync());
        await using var nobody = await stage.OpenAsync();
        await nobody.Page.GotoAsync("/login");
        Assert.Equal(0, await nobody.Page.Locator("[data-passkey-login]").CountAsync());
    }

    [Fact]
    public async Task P30_No_session_of_a_program_registers_or_removes_a_passkey()
    {
        using var begun = await stage.Bob.PostAsJsonAsync("/api/v1/me/passkeys/begin", new { });
        Assert.Equal((HttpStatusCode.Forbidden, "presence-required"), (begun.StatusCode, (await begun.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("reason").GetString()));
        using var made = await stage.Bob.PostAsJsonAsync("/api/v1/me/passkeys", new { name = "mine", clientData = "AAAA", attestation = "AAAA" });
        Assert.Equal(HttpStatusCode.Forbidden, made.StatusCode);
        using var removed = await stage.Bob.DeleteAsync("/api/v1/me/passkeys/pk_0000000000000000");
        Assert.Equal(HttpStatusCode.Forbidden, removed.StatusCode);
    }
}
