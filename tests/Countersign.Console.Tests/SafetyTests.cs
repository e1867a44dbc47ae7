using System.Globalization;
using Countersign.EndToEnd.Tests.Fixtures;
using Countersign.Pages;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Countersign.Console.Tests;

/// <summary>What a page may not be talked into.</summary>
[Collection("console")]
public sealed class SafetyTests(Stage stage)
{
    private static readonly string[] Paths = ["/", "/activity", "/policies", "/agents", "/targets", "/me", "/login", "/login/link"];

    [Fact]
    public async Task P34_text_of_the_agent_is_shown_as_text_and_what_does_not_show_is_marked()
    {
        await stage.DenyAllAsync();
        const string Forged = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script></pre></article><h1>Approved by Countersign</h1> ``` *ok* \u001b[2J \u202etxt.exe\u2066 \u200b p\u0430ypal";
        var quoted = Forged.Replace("'", "''", StringComparison.Ordinal);
        await using var held = new Held(stage, $"UPDATE customers SET name = '{quoted}' /* {Forged.Replace("*", "", StringComparison.Ordinal)} */ WHERE id = 30");
        await held.AskAsync($"SET countersign.reason = '{quoted}'");
        var review = await GatewayProcess.TheOpenReviewAsync(stage.Bob);
        await using var seat = await stage.SitAsync("alice");
        var page = seat.Page;
        foreach (var path in (string[])["/", $"/reviews/{review}", $"/activity/{review}"])
        {
            await page.GotoAsync(path);
            Assert.DoesNotContain("owned", await page.TitleAsync(), StringComparison.Ordinal);
            Assert.Equal(0, await page.Locator("main img, main script").CountAsync());
            Assert.Equal(1, await page.Locator("h1").CountAsync());
            var text = await page.InnerTextAsync("main");
            Assert.Contains("<img src=x", text, StringComparison.Ordinal);
            Assert.DoesNotContain(text, static c => c is '\u202e' or '\u2066' or '\u200b' or '\u001b');
        }

        await page.GotoAsync($"/reviews/{review}");
        var marks = await page.Locator(".claim mark.odd").AllInnerTextsAsync();
        Assert.Equal(["⟦U+001B⟧", "⟦U+202E⟧", "⟦U+2066⟧", "⟦U+200B⟧", "\u0430"], marks);
        await Expect(page.Locator(".claim .label")).ToHaveTextAsync("The agent says this. Nobody has checked it.");
        await page.ClickAsync("text=Approve…");
        Assert.Equal(0, await page.Locator("main img, main script").CountAsync());
        Assert.Empty(seat.Complaints);
        await stage.DenyAllAsync();
        await Assert.ThrowsAsync<Npgsql.PostgresException>(() => held.Running);
    }

    [Fact]
    public async Task Each_page_has_the_strict_policy_no_inline_code_and_is_kept_by_nobody()
    {
        await using var seat = await stage.SitAsync("root");
        foreach (var path in Paths.Take(6))
        {
            var answer = await seat.Page.GotoAsync(path);
            Assert.Equal(200, answer!.Status);
            var headers = await answer.AllHeadersAsync();
            Assert.Equal(ConsolePages.ContentSecurityPolicy, headers["content-security-policy"]);
            Assert.Equal("no-store", headers["cache-control"]);
            Assert.Equal("nosniff", headers["x-content-type-options"]);
            Assert.Equal(0, await seat.Page.Locator("script:not([src]), style, [style], [onclick], [onerror]").CountAsync());
            Assert.Equal(1, await seat.Page.Locator("main").CountAsync());
            Assert.Equal(1, await seat.Page.Locator("h1").CountAsync());
        }

        Assert.Empty(seat.Complaints);
    }

    [Fact]
    public async Task Script_and_sheet_together_are_small_and_kept_for_good()
    {
        await using var seat = await stage.OpenAsync();
        var sizes = new List<int>();
        await seat.Page.GotoAsync("/login");
        foreach (var path in (string[])[Files.Script, Files.Sheet])
        {
            var answer = await seat.Context.APIRequest.GetAsync(path);
            Assert.Equal(200, answer.Status);
            Assert.Contains("immutable", answer.Headers["cache-control"], StringComparison.Ordinal);
            sizes.Add((await answer.BodyAsync()).Length);
        }

        Assert.True(sizes.Sum() < 100_000, string.Join(" + ", sizes));
        Assert.True(sizes[0] < 20_000, $"{sizes[0]} bytes of script");
    }

    [Fact]
    public async Task Nobody_is_led_to_sign_in_and_back_to_where_he_wanted_to_go()
    {
        await using var seat = await stage.OpenAsync();
        await stage.SignInAsync(seat, "carl", "/policies");
        Assert.EndsWith("/policies", seat.Page.Url, StringComparison.Ordinal);
        Assert.Empty(seat.Complaints);
    }

    [Theory]
    [InlineData("//evil.example/x")]
    [InlineData("/\\evil.example")]
    [InlineData("https://evil.example")]
    [InlineData("javascript:alert(1)")]
    public async Task Way_back_after_signing_in_leads_nowhere_else(string there)
    {
        await using var seat = await stage.OpenAsync();
        await seat.Page.GotoAsync($"/login?return={Uri.EscapeDataString(there)}&error=<b>forged</b>");
        Assert.Equal("/", await seat.Page.InputValueAsync("input[name=return]"));
        await Expect(seat.Page.Locator(".notice").First).ToHaveTextAsync("Signing in did not work. Begin again.");
    }

    [Fact]
    public async Task Form_without_the_token_of_its_page_changes_nothing()
    {
        await stage.DenyAllAsync();
        await using var psql = stage.Gateway.Psql("-c", "UPDATE customers SET credit = 31 WHERE id = 31");
        var review = await GatewayProcess.TheOpenReviewAsync(stage.Bob);
        await using var seat = await stage.SitAsync("alice");
        await seat.Page.GotoAsync($"/reviews/{review}");
        var own = await seat.Page.InputValueAsync("input[name=csrf] >> nth=0");
        Assert.Matches("^[0-9a-f]{64}$", own);
        foreach (var token in (string?[])[null, "", new string('0', 64)])
        {
            var form = seat.Context.APIRequest.CreateFormData();
            form.Append("decision", "deny");
            if (token is not null) form.Append("csrf", token);
            var answer = await seat.Context.APIRequest.PostAsync($"/reviews/{review}/decide", new APIRequestContextOptions { Form = form });
            Assert.Equal(403, answer.Status);
        }

        var card = await GatewayProcess.ReviewInStateAsync(stage.Bob, review, "pending");
        Assert.Empty(card.GetProperty("answers").EnumerateArray());
        await stage.DenyAllAsync();
        await psql.EndsAsync();
    }

    [Fact]
    public async Task Words_have_the_contrast_of_AA_in_both_themes()
    {
        await stage.DenyAllAsync();
        await using var psql = stage.Gateway.Psql("-c", "SET countersign.reason = 'because'", "-c", "DELETE FROM customers -- all of them");
        var review = await GatewayProcess.TheOpenReviewAsync(stage.Bob);
        foreach (var theme in (ColorScheme[])[ColorScheme.Light, ColorScheme.Dark])
        {
            await using var seat = await stage.SitAsync("alice", theme: theme);
            foreach (var path in (string[])["/", $"/reviews/{review}", "/activity", "/policies", "/targets"])
            {
                await seat.Page.GotoAsync(path);
                var poor = await seat.Page.EvaluateAsync<string[]>(Contrast);
                Assert.True(poor.Length == 0, $"{path} {theme}: {string.Join("; ", poor)}");
            }
        }

        await stage.DenyAllAsync();
        await psql.EndsAsync();
    }

    /// <summary>Every element that has text of its own: WCAG 2.2 §1.4.3 against the nearest opaque ground behind it.</summary>
    private const string Contrast = """
        () => {
          const parse = c => { const m = c.match(/[\d.]+/g).map(Number); return { r: m[0], g: m[1], b: m[2], a: m[3] ?? 1 }; };
          const lum = c => { const f = v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }; return .2126 * f(c.r) + .7152 * f(c.g) + .0722 * f(c.b); };
          const ground = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.a === 1) return c; } return { r: 255, g: 255, b: 255 }; };
          const poor = new Set();
          for (const e of document.querySelectorAll('body *')) {
            if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility() || e.closest('.unseen, .skip')) continue;
            const [a, b] = [lum(parse(getComputedStyle(e).color)), lum(ground(e))];
            const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
            if (ratio < 4.5) poor.add(`${e.tagName}.${e.className} "${e.textContent.trim().slice(0, 20)}" ${ratio.toFixed(2)}`);
          }
          return [...poor];
        }
        """;
}
