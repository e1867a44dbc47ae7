using System.Globalization;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using CsCheck;
using Countersign.Api;
using Countersign.Core;
using Countersign.EndToEnd.Tests.Api;
using Countersign.Terminal;
using Spectre.Console;

namespace Countersign.EndToEnd.Tests.Cli;

/// <summary>What a reviewer's terminal shows, when somebody tries to make it show something else.</summary>
public sealed partial class CardTests
{
    private const string Hostile = "x'); [/][link=https://evil.example]ok[/] \x1b[2K\x1b[1A\x1b]0;owned\a \u202Egnp.exe\u2069 [red]approved by mira[/]\r\u0085\u200B\U000E0041\uFEFF ⟦U+0041⟧";

    [GeneratedRegex("\x1b\\[[0-9;]*m")]
    private static partial Regex Colour { get; }

    [Fact]
    public async Task P34_Nothing_in_a_payload_claim_or_comment_reaches_the_terminal_as_markup_or_control()
    {
        await using var host = await ApiHost.StartAsync();
        var (agent, _) = await host.AddAgentAsync();
        var action = host.UpdateCustomer(agent, email: Hostile, statement: $"UPDATE customers SET email = $1 /* {Hostile} */ WHERE id = $2", intent: new Intent(Hostile, Hostile, Hostile, Hostile));
        var held = await host.HoldAsync(action with { Notes = [Hostile] });
        using var mira = await host.SignInAsync("mira");
        using var answer = await mira.AnswerAsync(held.Review.Id, "deny", $"no: {Hostile}");
        answer.EnsureSuccessStatusCode();
        var text = await mira.GetStringAsync($"/api/v1/reviews/{held.Review.Id}");
        var card = JsonSerializer.Deserialize(text, ApiJson.Default.ReviewCard)!;

        foreach (var shown in Strings(JsonElement.Parse(text))) AssertVisible(shown);
        var terminal = Render(card);
        AssertVisible(Colour.Replace(terminal, ""));
        var plain = Flat(Colour.Replace(terminal, ""));
        Assert.Contains(Flat("[red]approved by mira[/]"), plain, StringComparison.Ordinal);
        Assert.Contains("⟦U+202E⟧gnp.exe", plain, StringComparison.Ordinal);
        Assert.Contains("⟦U+001B⟧[2K", plain, StringComparison.Ordinal);
        Assert.Contains("⟦U+27E6⟧U+0041⟦U+27E7⟧", plain, StringComparison.Ordinal); // an imitated mark is not one
        Assert.DoesNotContain(CardView.Summary(card, DateTimeOffset.UnixEpoch), "[link=", StringComparison.Ordinal);
    }

    [Fact]
    public void P34_A_server_that_marks_nothing_is_not_trusted_either() => Check.Sample(Gen.String[Gen.Char, 0, 60], text =>
    {
        var card = Card(text);
        AssertVisible(Colour.Replace(Render(card), ""));
        return true;
    }, iter: 25, threads: 1);

    [Fact]
    public void A_payload_of_a_mebibyte_is_shown_whole_in_seconds()
    {
        var text = string.Join('\n', Enumerable.Range(0, 20_000).Select(static i => $"INSERT INTO t VALUES ({i}, 'some text of a row that is not short');"));
        var began = TimeProvider.System.GetTimestamp();
        var shown = Render(Card("x") with { Statement = text, Parameters = [] });
        Assert.Contains("(19999,", shown, StringComparison.Ordinal);
        Assert.True(TimeProvider.System.GetElapsedTime(began) < TimeSpan.FromSeconds(5), $"{TimeProvider.System.GetElapsedTime(began)}");
    }

    [Fact]
    public void P34_A_long_payload_is_shown_to_its_last_character()
    {
        var tail = "DELETE FROM customers WHERE true";
        var card = Card("SELECT 1;" + new string(' ', 4000) + tail);
        Assert.Contains(Flat(tail), Flat(Colour.Replace(Render(card), "")), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("UPDATE t SET a = $1 WHERE b = $2", "UPDATE t SET a = 'it''s' WHERE b = 42")]
    [InlineData("SELECT $2, $1, $2", "SELECT 42, 'it''s', 42")]
    [InlineData("SELECT '$1', $2", null)] // a quote: $1 may be text
    [InlineData("SELECT \"$1\"", null)]
    [InlineData("SELECT $1 -- $2", null)]
    [InlineData("SELECT /* $1 */ $2", null)]
    [InlineData("SELECT a$1", null)] // part of a name
    [InlineData("SELECT $$ $1 $$", null)]
    [InlineData("SELECT $x$ $1 $x$", null)]
    [InlineData("SELECT $3", null)] // not bound
    public void Values_are_put_in_place_only_where_that_is_certain(string statement, string? expected) =>
        Assert.Equal(expected, ValuesInPlace.Markup(statement, [new CardParameter(1, "text", "it's"), new CardParameter(2, "int8", "42")], static s => s, static v => v));

    private static ReviewCard Card(string text) => new(
        "rv_0000000000000000", "pending", new string('0', 64), text, text, text, text, "postgres", text, text, text,
        [new CardParameter(1, text, text)], new Dictionary<string, string>(),
        [new CardEffect("write", text, text, text, [text], text)], [new CardPolicy(text, text, text, [text])],
        [new CardRequirement([text], 1, true, [text], [new CardEscalation([text], DateTimeOffset.UnixEpoch)], 1, text, 1, [text], [text], text)], text, [text],
        new CardClaims(text, text, text, text), [text], text, 1, [new CardAnswer(text, "deny", text, DateTimeOffset.UnixEpoch, text, text)],
        DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch, null, DateTimeOffset.UnixEpoch, text, text, null, null, null, text);

    private static string Render(ReviewCard card)
    {
        var output = new StringWriter(CultureInfo.InvariantCulture);
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.Yes, ColorSystem = ColorSystemSupport.Standard, Interactive = InteractionSupport.No, Out = new AnsiConsoleOutput(output) });
        console.Profile.Width = 100;
        CardView.Write(console, card, DateTimeOffset.UnixEpoch);
        return output.ToString();
    }

    /// <summary>Without frame and line breaks, which a panel puts anywhere.</summary>
    private static string Flat(string text) => new([.. text.Where(static c => c is not ('\n' or ' ' or '│'))]);

    private static void AssertVisible(string text)
    {
        foreach (var rune in text.EnumerateRunes())
        {
            if (rune.Value is '\n' or '⟦' or '⟧') continue;
            Assert.True(VisibleText.Of(rune.ToString()) == rune.ToString(), $"U+{rune.Value:X4} is shown as it is in `{VisibleText.Of(text)}`");
        }
    }

    private static IEnumerable<string> Strings(JsonElement json) => json.ValueKind switch
    {
        JsonValueKind.String => [json.GetString()!],
        JsonValueKind.Array => json.EnumerateArray().SelectMany(Strings),
        JsonValueKind.Object => json.EnumerateObject().SelectMany(static p => Strings(p.Value).Prepend(p.Name)),
        _ => [],
    };
}
