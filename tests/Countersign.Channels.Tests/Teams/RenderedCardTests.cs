using System.Diagnostics;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Countersign.Channels.Cards;
using Countersign.Channels.Delivery;
using Countersign.Channels.Teams;
using Countersign.Core;
using Countersign.Reviews;

namespace Countersign.Channels.Tests.Teams;

/// <summary>
/// Cards as the published renderer lays them out in a real browser, with Markdown switched on as Teams has it. Where
/// COUNTERSIGN_SCREENS names a folder, pictures are left there to be looked at.
/// </summary>
public sealed partial class RenderedCardTests
{
    private static readonly string Root = FindRoot();

    /// <summary>Chromium's own sandbox needs what root in a container may not have.</summary>
    private static readonly string[] NoSandbox = ["--no-sandbox"];

    private static readonly Dictionary<string, (Func<Review, Review> With, TeamsView View)> Scenes = new(StringComparer.Ordinal)
    {
        ["everybody"] = (static r => r, new TeamsView.Everybody([])),
        ["decider"] = (static r => r with { Statement = "UPDATE customers\n   SET email = $1,\n       updated_at = now()\n WHERE id = $2", Parameters = [new ShownParameter("text", "ada@example.org"), new ShownParameter("bigint", "42")] }, new TeamsView.Decider(true, true, null)),
        ["hostile"] = (static r => r with
        {
            Statement = "delete from customers -- [Approve](https://attacker.example)\n<at>Ada</at> **approved** by _security_\n<script>alert(1)</script> <img src=x onerror=alert(1)>\n\u202etxet desrever",
            Intent = new Intent("[click here](https://attacker.example) <at>Ada</at>\n```\nNeeds  nobody\n```\n# APPROVED\n- ok &lt;b&gt;", "https://attacker.example/T-1", "\u200b\u2066hidden\u2069", null),
            Notes = ["**note** [x](https://attacker.example)"],
        }, new TeamsView.Decider(true, true, null)),
        ["cut"] = (static r => r with { Statement = string.Join('\n', Enumerable.Range(1, 4000).Select(static i => $"insert into customers values ({i}, 'name {i}');")) }, new TeamsView.Decider(true, true, null)),
        ["link"] = (static r => r, new TeamsView.Told("This account is nobody's here yet, so your click did not count. Link it once, in your browser; then click again. The page shows the word K7QM, or it is not yours.", ("Link my account", new Uri("https://countersign.example.com/me/accounts/link?code=x")))),
        ["done"] = (static r => r with { State = ReviewState.Released, ClosedAt = r.CreatedAt.AddMinutes(2), Outcome = new Outcome(OutcomeStatus.Done, 1, 0, TimeSpan.Zero, null), Answers = [new Answer(OpaqueId.NewUser(), "ada", AnswerKind.Approve, "teams", r.CreatedAt.AddMinutes(2), "looks right", "s")] }, new TeamsView.Everybody([])),
    };

    public static TheoryData<string> Names => new(Scenes.Keys);

    [Theory]
    [MemberData(nameof(Names))]
    public async Task P34_Card_is_laid_out_with_no_markup_and_no_link_but_ours(string scene)
    {
        var (with, view) = Scenes[scene];
        var maker = new CardMaker(static () => new Uri("https://countersign.example.com"));
        var card = maker.Of(Channels.Tests.Cards.Review(with), new ChannelReach(new HashSet<string>(["pii"]), true));
        var json = TeamsCard.Render(new Notice(new string('a', 32), $"{new string('a', 32)}.1", card), view).ToJsonString();
        var folder = Directory.CreateTempSubdirectory("countersign-card-").FullName;
        try
        {
            var page = Path.Combine(folder, "card.html");
            await File.WriteAllTextAsync(page, await PageAsync(json, dark: false), TestContext.Current.CancellationToken);
            var dom = await ChromiumAsync(folder, "--dump-dom", $"file://{page}");
            var body = dom[dom.IndexOf("<div id=\"card\"", StringComparison.Ordinal)..dom.IndexOf("<!--end-->", StringComparison.Ordinal)];
            Assert.Contains("ac-adaptiveCard", body, StringComparison.Ordinal);
            Assert.DoesNotMatch(Markup(), body);
            Assert.Contains(card.Digest, body, StringComparison.Ordinal);
            if (Environment.GetEnvironmentVariable("COUNTERSIGN_SCREENS") is not { Length: > 0 } screens) return;
            foreach (var dark in (bool[])[false, true])
            {
                await File.WriteAllTextAsync(page, await PageAsync(json, dark), TestContext.Current.CancellationToken);
                await ChromiumAsync(folder, $"--screenshot={Path.Combine(screens, $"teams-{scene}-{(dark ? "dark" : "light")}.png")}", "--window-size=640,900", $"file://{page}");
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>What Markdown, HTML or a mention would have become.</summary>
    [GeneratedRegex("<a |<em>|<strong>|<code|<h[1-6]|<ul|<ol|<script|<img|<at", RegexOptions.IgnoreCase)]
    private static partial Regex Markup();

    private static async Task<string> PageAsync(string card, bool dark)
    {
        var peers = Path.Combine(Root, "tests", "peers", "node_modules");
        var renderer = await File.ReadAllTextAsync(Path.Combine(peers, "adaptivecards", "dist", "adaptivecards.min.js"));
        var markdown = await File.ReadAllTextAsync(Path.Combine(peers, "markdown-it", "dist", "markdown-it.min.js"));
        var (text, back, quiet, emphasis) = dark ? ("#ffffff", "#1f1f1f", "#adadad", "#2d2d2d") : ("#242424", "#ffffff", "#616161", "#f3f2f1");
        (string Name, string Color)[] palette = [("default", text), ("accent", "#6264a7"), ("good", dark ? "#92c353" : "#237b4b"), ("warning", dark ? "#ffaa44" : "#8a5a00"), ("attention", dark ? "#f9526b" : "#c4314b")];
        string Colors() => string.Join(',', palette.Select(c => $"\"{c.Name}\":{{\"default\":\"{c.Color}\",\"subtle\":\"{(c.Name == "default" ? quiet : c.Color)}\"}}"));
        string Style(string background) => $"{{\"backgroundColor\":\"{background}\",\"foregroundColors\":{{{Colors()}}}}}";
        return $$"""
            <!doctype html><html><head><meta charset="utf-8"><style>body{margin:0;padding:16px;background:{{(dark ? "#141414" : "#f5f5f5")}};font:14px 'Segoe UI',system-ui,sans-serif}#card{max-width:600px;border-radius:8px;overflow:hidden;box-shadow:0 1px 4px #0004}
            .ac-pushButton{font:600 14px system-ui;padding:6px 16px;border-radius:4px;border:1px solid #8888;background:{{back}};color:{{text}}}.ac-pushButton.style-positive{background:#5b5fc7;color:#fff}.ac-pushButton.style-destructive{background:#c4314b;color:#fff}</style></head>
            <body><div id="card"></div><!--end--><script>{{renderer}}</script><script>{{markdown}}</script><script>
            const it = window.markdownit({ html: false, linkify: true });
            AdaptiveCards.AdaptiveCard.onProcessMarkdown = (t, r) => { r.outputHtml = it.render(t); r.didProcess = true; };
            const card = new AdaptiveCards.AdaptiveCard();
            card.hostConfig = new AdaptiveCards.HostConfig({ fontFamily: "Segoe UI, system-ui, sans-serif", spacing: { small: 4, default: 8, medium: 16, large: 20, extraLarge: 24, padding: 16 },
              containerStyles: { default: {{Style(back)}}, emphasis: {{Style(emphasis)}}, warning: {{Style(dark ? "#463100" : "#fff4ce")}}, attention: {{Style(dark ? "#4a1420" : "#fcebec")}}, good: {{Style(back)}}, accent: {{Style(back)}} },
              actions: { maxActions: 6, spacing: "default", buttonSpacing: 8, actionsOrientation: "horizontal", actionAlignment: "left", showCard: { actionMode: "inline", inlineTopMargin: 8 } } });
            card.parse({{JsonSerializer.Serialize(JsonDocument.Parse(card).RootElement)}});
            document.getElementById("card").appendChild(card.render());
            </script></body></html>
            """;
    }

    private static async Task<string> ChromiumAsync(string folder, params string[] arguments)
    {
        var start = new ProcessStartInfo("/usr/bin/chromium", ["--headless", "--disable-gpu", "--no-first-run", "--hide-scrollbars", $"--user-data-dir={Path.Combine(folder, "profile")}", .. Environment.UserName == "root" ? NoSandbox : [], .. arguments])
        {
            RedirectStandardOutput = true, RedirectStandardError = true, StandardOutputEncoding = Encoding.UTF8,
        };
        using var chromium = Process.Start(start)!;
        var errors = chromium.StandardError.ReadToEndAsync();
        var output = await chromium.StandardOutput.ReadToEndAsync();
        await chromium.WaitForExitAsync();
        await errors;
        return output;
    }

    private static string FindRoot()
    {
        for (var at = new DirectoryInfo(AppContext.BaseDirectory); at is not null; at = at.Parent)
        {
            if (File.Exists(Path.Combine(at.FullName, "Countersign.slnx"))) return at.FullName;
        }

        throw new InvalidOperationException("the tests run outside of the repository");
    }
}
