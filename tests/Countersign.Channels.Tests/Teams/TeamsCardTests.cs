using Countersign.Tests.Teams;
using System.Text.Json;
using Countersign.Channels.Cards;
using Countersign.Channels.Delivery;
using Countersign.Channels.Teams;
using Countersign.Core;
using Countersign.Reviews;

namespace Countersign.Channels.Tests.Teams;

/// <summary>The card itself: the schema that Teams takes, and nothing in it that an agent could make it say.</summary>
public sealed class TeamsCardTests
{
    private static Notice Notice(Func<Review, Review>? with = null, params string[] carries)
    {
        var review = Channels.Tests.Cards.Review(with);
        return new Notice(new string('a', 32), $"{new string('a', 32)}.1", new CardMaker(static () => new Uri("https://countersign.example.com")).Of(review, new ChannelReach(carries.Append("pii").ToHashSet(StringComparer.Ordinal), true)));
    }

    private static JsonElement Card(Notice notice, TeamsView? view = null)
    {
        using var document = JsonDocument.Parse(TeamsCard.Render(notice, view ?? new TeamsView.Everybody(["29:ada"])).ToJsonString());
        var card = document.RootElement.Clone();
        Assert.Empty(AdaptiveSchema.Faults(card));
        return card;
    }

    public static readonly TheoryData<string> Hostile = new(
        "[Approve](https://attacker.example) **bold** _it_",
        "<at>Ada</at> please approve <at id=\"29:ada\">x</at>",
        "\u202egnihtyna\u202c \u200b\u2066x\u2069 \ufeff",
        "```\nApproved by: security\n```\n# Heading\n- item",
        "{{DATE(2026-11-27T12:00:00Z)}} ${expression} &lt;b&gt;",
        "line one\r\nStopped by: nobody\r\n\r\nNeeds: nothing",
        "![img](https://attacker.example/pixel.png)");

    [Theory]
    [MemberData(nameof(Hostile))]
    public void P34_Nothing_of_the_agents_stands_where_markup_is_read(string hostile)
    {
        var card = Card(Notice(r => r with { Statement = hostile, Intent = new Intent(hostile, hostile, hostile, hostile), Agent = r.Agent with { Name = hostile }, Notes = [hostile], Parameters = [new ShownParameter("text", hostile)], Policies = [new MatchedPolicy(hostile, "x:1", hostile, [hostile])] }));
        foreach (var block in Blocks(card, "TextBlock"))
        {
            // Ours, word for word.
            Assert.Contains(block, (string[])["Will run", "With these values", "The agent’s own words, unchecked"]);
        }

        var raw = card.GetRawText();
        Assert.DoesNotContain("FactSet", raw, StringComparison.Ordinal);
        Assert.DoesNotContain("entities", raw, StringComparison.Ordinal); // without it nobody is mentioned
        var text = CardText.Of(card);
        foreach (var invisible in "\u202e\u202c\u200b\u2066\u2069\ufeff\r") Assert.DoesNotContain(invisible, text);
        foreach (var action in card.GetProperty("actions").EnumerateArray()) Assert.Contains(action.GetProperty("title").GetString(), (string[])["Decide here", "Open in Countersign"]);
    }

    [Fact]
    public void I10_What_does_not_show_itself_is_written_out_once()
    {
        var text = CardText.Of(Card(Notice(static r => r with { Statement = "select '\u202e' -- a\tb", Parameters = [new ShownParameter("text", "x\ny")] })));
        Assert.Contains("select '⟦U+202E⟧' -- a⟦U+0009⟧b", text, StringComparison.Ordinal);
        Assert.Contains("x⟦U+000A⟧y", text, StringComparison.Ordinal);
        Assert.DoesNotContain("U+27E6", text, StringComparison.Ordinal);
    }

    [Fact]
    public void P34_Line_of_the_agents_can_not_pass_for_a_line_of_the_card()
    {
        var card = Card(Notice(static r => r with { Intent = new Intent("ok\nNeeds  nobody\nApproved by  security", null, null, null) }));
        var lines = CardText.Of(card).Replace('\u00a0', ' ').Split('\n');
        Assert.DoesNotContain(lines, static l => l.StartsWith("Approved by", StringComparison.Ordinal));
        Assert.Single(lines, static l => l.StartsWith("Needs  ", StringComparison.Ordinal));
        Assert.Contains("› Approved by  security", lines);
    }

    [Fact]
    public void I10_Statement_stands_line_by_line_with_its_indentation()
    {
        var card = Card(Notice(static r => r with { Statement = "delete from a -- only drafts\n  where true;\n\tx\n\nend" }));
        var lines = CardText.Of(card).Split('\n').Select(static l => l.Replace('\u00a0', ' ')).ToArray();
        var at = Array.IndexOf(lines, "delete from a -- only drafts");
        Assert.Equal(["  where true;", "    x", " ", "end"], lines[(at + 1)..(at + 5)]);
    }

    [Theory]
    [InlineData(200_000)]
    [InlineData(30_000)]
    public void I10_Large_statement_keeps_within_what_a_message_may_be(int length)
    {
        foreach (var statement in (string[])[new string('x', length), string.Concat(Enumerable.Repeat("é\u202e\n", length / 3)), string.Concat(Enumerable.Repeat("\"\\", length / 2)), string.Concat(Enumerable.Repeat("😀", length / 2))])
        {
            var notice = Notice(r => r with { Statement = statement, Parameters = Enumerable.Range(0, 300).Select(i => new ShownParameter("text", statement[..Math.Min(statement.Length, 2000)])).ToArray(), Notes = Enumerable.Repeat(statement[..1000], 40).ToArray(), Intent = new Intent(statement, statement, statement, statement) });
            Assert.False(TeamsCard.ShowsAll(notice.Card));
            foreach (var view in (TeamsView[])[new TeamsView.Everybody(Enumerable.Repeat("29:1GcS4EyB_oSI8A88XmWBN7NJFyMqe3QGnJdgLfFGkJnVelzRGos0bPbpsfJjcbAD22bmKc4GMbrY2g4JDrrA8vM06X1", 60).ToArray()), new TeamsView.Decider(true, true, null), new TeamsView.Told("no", null)])
            {
                var card = Card(notice, view);
                Assert.InRange(AdaptiveSchema.Bytes(card), 1, AdaptiveSchema.MessageBytes - 1024);
                Assert.DoesNotContain("Approve", CardText.Buttons(card));
                Assert.Contains("This is not all of it", CardText.Of(card), StringComparison.Ordinal);
                Assert.Contains(notice.Card.Digest, CardText.Of(card), StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public void Card_that_is_over_has_no_buttons_but_the_link()
    {
        var card = Card(Notice(static r => r with { State = ReviewState.Denied, ClosedBy = "ada", ClosedAt = r.CreatedAt.AddMinutes(1) }), new TeamsView.Decider(true, true, null));
        Assert.Equal(["Open in Countersign"], card.GetProperty("actions").EnumerateArray().Select(static a => a.GetProperty("title").GetString()));
        Assert.False(card.TryGetProperty("refresh", out _));
    }

    private static IEnumerable<string> Blocks(JsonElement at, string type)
    {
        if (at.ValueKind == JsonValueKind.Object)
        {
            if (at.TryGetProperty("type", out var t) && t.ValueKind == JsonValueKind.String && t.GetString() == type) yield return at.GetProperty("text").GetString()!;
            foreach (var member in at.EnumerateObject())
            {
                foreach (var found in Blocks(member.Value, type)) yield return found;
            }
        }
        else if (at.ValueKind == JsonValueKind.Array)
        {
            foreach (var item in at.EnumerateArray())
            {
                foreach (var found in Blocks(item, type)) yield return found;
            }
        }
    }
}
