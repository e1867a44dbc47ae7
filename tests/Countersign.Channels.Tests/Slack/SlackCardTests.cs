using System.Diagnostics;
using System.Text.Json;
using System.Text.RegularExpressions;
using Countersign.Channels.Cards;
using Countersign.Channels.Delivery;
using Countersign.Channels.Slack;
using Countersign.Core;
using Countersign.Gateway.Tests;
using Countersign.Reviews;
using Countersign.Tests.Slack;

namespace Countersign.Channels.Tests.Slack;

public sealed class SlackCardTests
{
    private static readonly ChannelReach Reach = new(new HashSet<string>(["pii"]), TakesAnswers: true);

    private static JsonElement Blocks(Review review, ChannelReach? reach = null) =>
        JsonSerializer.SerializeToElement(SlackCard.Blocks(new Notice(new string('0', 32), $"{new string('0', 32)}.1", new CardMaker(SlackHouse.Console).Of(review, reach ?? Reach))));

    private static string[] Actions(JsonElement blocks) => BlockKit.Buttons(blocks).Select(static b => b.GetProperty("action_id").GetString()!).ToArray();

    public static TheoryData<string> Kinds => new("plain", "hostile", "long", "large-values", "many", "secret", "denied", "names");

    private static Review Kind(string kind) => Cards.Review(r => kind switch
    {
        "hostile" => r with
        {
            Statement = "update customers set name = '```<!channel>' -- <@U0BOSS001> \u202Edesrever\u0000\u0007 ⟦U+0041⟧\n&lt;b&gt; :tada:",
            Intent = new Intent("```\n*APPROVED by alice* <https://evil.example|Approve> <!here> @channel #general\n> Countersign: this is safe \u2066", "<@U1>", "`x`", "<script>alert(1)</script>"),
            Parameters = [new ShownParameter("text", "<!everyone>")],
            Notes = ["<!channel> note"],
        },
        "long" => r with { Statement = $"update customers set name = '{new string('x', 200_000)}' where id = 1; drop table customers" },
        "large-values" => r with { Parameters = Enumerable.Range(0, 40).Select(static n => new ShownParameter("text", new string('v', 3_000))).ToArray() },
        "many" => r with { Effects = Enumerable.Range(0, 300).Select(static n => ShownEffect.Of(Given.Update($"{new string('t', 60)}{n}"))).ToArray() },
        "secret" => r with { Effects = [ShownEffect.Of(new Effect(Verb.Write, "sql:update", Given.Table("cards", "payment")))] },
        "denied" => r with { State = ReviewState.Denied, ClosedAt = Given.Noon, ClosedBy = "ada", CloseReason = ReasonCodes.ReviewDenied, Answers = [new Answer(OpaqueId.NewUser(), "ada", AnswerKind.Deny, "slack", Given.Noon, new string('n', 4000), new string('a', 64))] },
        "names" => r with { Effects = [ShownEffect.Of(Given.Update(new string('n', 5_000)))] },
        _ => r,
    });

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Card_is_one_that_slack_takes_whatever_the_agent_says(string kind)
    {
        var blocks = Blocks(Kind(kind));
        BlockKit.Message(blocks);
        Assert.DoesNotContain("mrkdwn", blocks.GetRawText(), StringComparison.Ordinal);
        Assert.All(BlockKit.TextOf(blocks), static t => Assert.DoesNotContain(t, static c => char.IsControl(c) && c is not ('\n' or '\t')));
    }

    [Theory]
    [InlineData("plain", true)]
    [InlineData("hostile", true)]
    [InlineData("long", false)]
    [InlineData("large-values", false)]
    [InlineData("many", false)]
    [InlineData("secret", false)]
    [InlineData("denied", false)]
    [InlineData("names", false)]
    public void I10_card_that_does_not_show_all_of_it_has_no_approve_button(string kind, bool approve) => Assert.Equal(approve, Actions(Blocks(Kind(kind))).Contains("approve"));

    [Fact]
    public void P34_dangerous_tail_is_not_cut_off_silently()
    {
        var text = string.Join('\n', BlockKit.TextOf(Blocks(Kind("long"))));
        Assert.Contains("only the head: 1,500 of 200,065 characters", text, StringComparison.Ordinal);
        Assert.Contains(new string('d', 64), text, StringComparison.Ordinal);
        Assert.Equal(["deny", "open"], Actions(Blocks(Kind("long"))));
    }

    [Fact]
    public void P34_notification_line_holds_no_mention_and_no_link() =>
        Assert.Equal("robo wants to update public.&lt;!channel&gt; on shop: waiting for approval", SlackCard.Fallback(new CardMaker(SlackHouse.Console).Of(Cards.Review(static r => r with { Effects = [ShownEffect.Of(Given.Update("<!channel>"))] }), Reach)));

    [Fact]
    public void Card_says_in_the_reviewers_order_what_to_what_how_much_who_why_and_the_agents_own_words()
    {
        var text = string.Join('\n', BlockKit.TextOf(Blocks(Kind("plain"))));
        int At(string what) => text.IndexOf(what, StringComparison.Ordinal) is >= 0 and var at ? at : throw new InvalidOperationException($"no `{what}`");
        int[] order = [At("robo wants to update"), At("waiting for approval"), At("where id = 1"), At("To what"), At("How much"), At("Who asks"), At("Why"), At("nobody has checked"), At("refund for order 42"), At("digest"), At("Approve"), At("Deny")];
        Assert.Equal(order.Order(), order);
    }

    /// <summary>Drawn by Chromium from a page that looks as Slack does: no character of the agent's became an element. With COUNTERSIGN_SCREENSHOTS the pictures are kept there.</summary>
    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task P34_nothing_of_the_agents_becomes_markup_in_the_page(string kind)
    {
        var folder = Directory.CreateTempSubdirectory("countersign-slack-card-").FullName;
        try
        {
            var dom = "";
            foreach (var dark in (bool[])[false, true])
            {
                var file = Path.Combine(folder, dark ? "dark.html" : "light.html");
                await File.WriteAllTextAsync(file, BlockKitPage.Of(Blocks(Kind(kind)), dark));
                if (!dark) dom = await ChromiumAsync(folder, "--dump-dom", file);
                if (Environment.GetEnvironmentVariable("COUNTERSIGN_SCREENSHOTS") is { Length: > 0 } keep) await ChromiumAsync(folder, $"--screenshot={Path.Combine(keep, $"slack-{kind}-{(dark ? "dark" : "light")}.png")}", "--window-size=840,1000", file);
            }

            Assert.Empty(Regex.Matches(dom, "<(script|a|img|iframe|svg)[ >]"));
            Assert.Equal(Actions(Blocks(Kind(kind))).Length, Regex.Count(dom, "<button"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<string> ChromiumAsync(string folder, params string[] arguments)
    {
        using var chromium = Process.Start(new ProcessStartInfo("chromium", ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", $"--user-data-dir={Path.Combine(folder, "profile")}", .. arguments[..^1], new Uri(arguments[^1]).AbsoluteUri])
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
        })!;
        var said = chromium.StandardOutput.ReadToEndAsync();
        var errors = chromium.StandardError.ReadToEndAsync();
        await chromium.WaitForExitAsync();
        await errors;
        Assert.Equal(0, chromium.ExitCode);
        return await said;
    }
}
