using System.Globalization;
using System.Text.Json.Nodes;
using Countersign.Channels.Cards;
using Countersign.Channels.Delivery;
using Countersign.Core;

namespace Countersign.Channels.Slack;

/// <summary>
/// A card in Block Kit. Whatever comes from outside stands in rich text or plain text, which Slack shows as it is: no
/// mention, link, emoji or fence can be made in it (P34). Only the line for notifications is `mrkdwn`, and is escaped.
/// </summary>
internal static class SlackCard
{
    public const string Approve = "approve";
    public const string Deny = "deny";
    public const string Open = "open";
    public const string Link = "link";

    /// <summary>`header`: at most 150 characters.</summary>
    private const int HeaderLength = 150;

    /// <summary>Longest statement that is shown whole. 3,000: what Slack takes in one section, and what a person reads in a chat.</summary>
    public const int StatementLength = 3000;

    /// <summary>What is shown of a longer one.</summary>
    private const int HeadLength = 1500;

    /// <summary>Other texts of a card together. 4,000: with the statement below what Slack takes as one message's blocks.</summary>
    private const int OtherLength = 4000;

    private const int MaxListed = 20;
    private const int MaxNotes = 5;

    /// <summary>Longest name, fact and note that is not cut.</summary>
    private const int PartLength = 300;
    private const int NoteLength = 500;

    /// <summary>Escapes what has a meaning in `mrkdwn`: with these three gone there is no mention and no link.</summary>
    public static string Escape(string text) => text.Replace("&", "&amp;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal).Replace(">", "&gt;", StringComparison.Ordinal);

    /// <summary>The line that a notification shows; one line, cut.</summary>
    public static string Fallback(NoticeCard card) => Escape(Cut($"{card.Headline}: {card.State}", 300));

    /// <summary>Whether the card shows all that an approval commits to.</summary>
    public static bool IsWhole(NoticeCard card) =>
        card.Statement is { Length: <= StatementLength } && Others(card) <= OtherLength
        && card.Touches.Count <= MaxListed && card.Values.Count <= MaxListed && card.Dangers.Count <= MaxListed && card.Notes.Count <= MaxNotes
        && card.Touches.All(static t => t.Id.Length <= PartLength && string.Join(" · ", t.Facts).Length <= PartLength)
        && card.Dangers.All(static d => d.Detail.Length <= PartLength) && card.Notes.All(static n => n.Length <= NoteLength) && card.Needs.Length <= NoteLength;

    private static int Others(NoticeCard card) =>
        card.Values.Sum(static v => (v.Text?.Length ?? 4) + v.Type.Length) + card.Notes.Sum(static n => n.Length)
        + card.Touches.Sum(static t => t.Id.Length + t.Classes.Sum(static c => c.Length) + t.Facts.Sum(static f => f.Length)) + card.Dangers.Sum(static d => d.Detail.Length);

    public static JsonArray Blocks(Notice notice)
    {
        var card = notice.Card;
        var whole = IsWhole(card);
        var blocks = new JsonArray();
        blocks.Add(card.Headline.Length <= HeaderLength ? new JsonObject { ["type"] = "header", ["text"] = Plain(card.Headline) } : Rich(Section(Bold(Cut(card.Headline, 1000)))));
        blocks.Add(Rich(Section([.. State(card)])));
        if (card.Edited is { } edited) blocks.Add(Rich(Section(Bold($"✎ {edited}"))));
        if (card.Dangers.Count > 0) blocks.Add(Rich(List(card.Dangers.Take(MaxListed).SelectMany(static d => Item(Bold($"⚠ {d.Title}"), Text($" {Cut(d.Detail, PartLength)}"))))));
        blocks.Add(Rich([.. What(card)]));
        blocks.Add(Rich(Section(Bold("To what")), List(card.Touches.Take(MaxListed).SelectMany(static t => Item([
            Code(Cut(t.Id, PartLength)), Text($" {t.Type} · {string.Join(", ", t.Does)}{(t.Facts.Count > 0 ? $" · {Cut(string.Join(" · ", t.Facts), PartLength)}" : "")}"),
            .. t.Classes.Count > 0 ? new[] { Text("  "), Bold(string.Join(" ", t.Classes)) } : []])))));
        if (card.Touches.Count > MaxListed) blocks.Add(Rich(Section(Bold(string.Create(CultureInfo.InvariantCulture, $"and {card.Touches.Count - MaxListed} more, which are in the console")))));
        blocks.Add(Rich(Section(
            Bold("How much  "), Text($"{card.HowMuch}\n"),
            Bold("Who asks  "), Text($"agent {card.Agent}, owned by {card.Owner}{(card.For is { } user ? $", for {user}" : "")}{(card.Behind.Count > 0 ? $", and behind it {Cut(string.Join(", ", card.Behind), PartLength)}" : "")}, on {card.Target} ({card.Environment})\n"),
            Bold("Why  "), Text(Cut(string.Join("; ", card.Policies.Select(static p => $"{p.Reason ?? "the policy gives no reason"} ({p.Id}{(p.Controls.Count > 0 ? $", {string.Join(", ", p.Controls)}" : "")})")), 1000)),
            Text("\n"), Bold("Needs  "), Text($"{Cut(card.Needs, NoteLength)}{(card.MustJustify ? ", each with a reason" : "")}"))));
        if (card.Claims.Count > 0)
        {
            blocks.Add(Rich(
                Section(Italic("In the agent’s own words, which nobody has checked")),
                new JsonObject { ["type"] = "rich_text_quote", ["elements"] = new JsonArray([.. card.Claims.SelectMany(static (c, i) => Claim(c, i > 0))]) }));
        }

        foreach (var note in card.Notes.Take(MaxNotes)) blocks.Add(Rich(Section(Italic(Cut(note, NoteLength)))));
        if (card.Answers.Count > 0) blocks.Add(Rich(List(card.Answers.Take(MaxListed).SelectMany(static a => Item(Bold(a.Name), Text($" {(a.Decision == "approve" ? "approved" : a.Decision == "deny" ? "denied" : "broke the glass")}{(a.Comment is { } c ? $": “{CutSaying(c, 300)}”" : "")}"))))));
        var approve = whole && card.NoButtons is null;
        if (card.IsOpen && !approve) blocks.Add(Rich(Section(Bold(Cut(whole || card.Withheld is not null ? $"Not to be approved here: {card.NoButtons}." : "This message does not show all of it, so it is not to be approved here: read it whole in the console.", 500)))));
        blocks.Add(new JsonObject
        {
            ["type"] = "context",
            ["elements"] = new JsonArray(Plain($"{card.Review} · digest {card.Digest}")),
        });
        blocks.Add(new JsonObject { ["type"] = "actions", ["block_id"] = "decide", ["elements"] = new JsonArray([.. Buttons(notice, approve)]) });
        return blocks;
    }

    private static IEnumerable<JsonNode> Buttons(Notice notice, bool approve)
    {
        var card = notice.Card;

        // Above the ceiling there is a link and nothing else; a no to what does not fit is still a no.
        if (approve) yield return Button(Approve, card.MustJustify ? "Approve…" : "Approve", notice.Reference, "primary");
        if (card.IsOpen && card.Withheld is null && (approve || card.NoButtons is not "decide in the console")) yield return Button(Deny, "Deny…", notice.Reference, "danger");
        yield return new JsonObject { ["type"] = "button", ["action_id"] = Open, ["text"] = Plain("Open in the console"), ["url"] = card.Link.AbsoluteUri };
    }

    /// <summary>The label is ours and bold; nothing that the agent writes can be.</summary>
    private static IEnumerable<JsonNode> Claim(CardClaim claim, bool further)
    {
        if (further) yield return Text("\n");
        if (claim.Label.Length > 0) yield return Bold($"{claim.Label}  ");
        yield return Text(CutSaying(claim.Text, 600));
    }

    private static IEnumerable<JsonNode> State(NoticeCard card)
    {
        yield return Bold(card.Tone switch { CardTone.Waiting => "⏳ ", CardTone.Good => "✅ ", CardTone.Bad => "⛔ ", _ => "⚪ " } + card.State);
        if (!card.IsOpen) yield break;
        yield return Text(" · undecided ");
        yield return Date(card.ExpiresAt);
        yield return Text(" it is a no");
    }

    private static IEnumerable<JsonObject> What(NoticeCard card)
    {
        yield return Section(Bold(card.IsOpen ? "What will run" : "What was asked"));
        if (card.Withheld is { } withheld)
        {
            yield return Section(Text($"{CardMaker.Mark} {withheld}"));
            yield break;
        }

        var statement = card.Statement ?? "";
        if (statement.Length <= StatementLength)
        {
            yield return Block(statement.Length == 0 ? " " : statement);
        }
        else
        {
            var head = Head(statement, HeadLength);
            yield return Block(head);
            yield return Section(Bold(string.Create(CultureInfo.InvariantCulture, $"⚠ This is only the head: {head.Length:N0} of {statement.Length:N0} characters. The rest is not shown here.")));
        }

        if (card.Values.Count == 0) yield break;
        if (IsWhole(card) || (card.Values.Count <= MaxListed && card.Values.Sum(static v => v.Text?.Length ?? 0) <= OtherLength / 2))
        {
            yield return List(card.Values.SelectMany(static v => Item(Code(string.Create(CultureInfo.InvariantCulture, $"${v.Position}")), Text($" {v.Type} "), Code(v.Text is null ? "NULL" : v.Text.Length == 0 ? "''" : v.Text))));
        }
        else
        {
            yield return Section(Bold(string.Create(CultureInfo.InvariantCulture, $"⚠ Its {card.Values.Count} bound values do not fit and are not shown here.")));
        }
    }

    /// <summary>A line of the story.</summary>
    public static JsonObject Line(string text, bool loud) => Rich(Section(loud ? Bold(Cut(text, 2000)) : Text(Cut(text, 2000))));

    /// <summary>The blocks of a private answer.</summary>
    public static JsonArray Said(string message, Uri? page, (string Text, Uri Url)? link)
    {
        var blocks = new JsonArray(Rich(Section(Text(Cut(message, 2000)))));
        var buttons = new JsonArray();
        if (link is { } to) buttons.Add(new JsonObject { ["type"] = "button", ["action_id"] = Link, ["style"] = "primary", ["text"] = Plain(to.Text), ["url"] = to.Url.AbsoluteUri });
        if (page is not null) buttons.Add(new JsonObject { ["type"] = "button", ["action_id"] = Open, ["text"] = Plain("Open in the console"), ["url"] = page.AbsoluteUri });
        if (buttons.Count > 0) blocks.Add(new JsonObject { ["type"] = "actions", ["elements"] = buttons });
        return blocks;
    }

    /// <summary>A form that asks for a reason before it answers.</summary>
    public static JsonObject Form(string action, string metadata, string headline, bool optional, IReadOnlyList<string> patterns)
    {
        var input = new JsonObject
        {
            ["type"] = "input",
            ["block_id"] = "reason",
            ["optional"] = optional,
            ["label"] = Plain(action == Approve ? "Why may this run? It goes on the record." : "Why not? The agent and the journal will see it."),
            ["element"] = new JsonObject { ["type"] = "plain_text_input", ["action_id"] = "text", ["multiline"] = true, ["max_length"] = 3000 },
        };
        if (patterns.Count > 0) input["hint"] = Plain(Cut($"It must hold a match of {string.Join(" and ", patterns.Select(static p => $"/{p}/"))}", 2000));
        return new JsonObject
        {
            ["type"] = "modal",
            ["callback_id"] = action,
            ["private_metadata"] = metadata,
            ["title"] = Plain(action == Approve ? "Approve" : "Deny"),
            ["submit"] = Plain(action == Approve ? "Approve" : "Deny"),
            ["close"] = Plain("Back"),
            ["blocks"] = new JsonArray(Rich(Section(Text(Cut(headline, 1000)))), input),
        };
    }

    /// <summary>What a form says once it was sent.</summary>
    public static JsonObject FormSays(string title, string message) => new()
    {
        ["type"] = "modal",
        ["title"] = Plain(title),
        ["close"] = Plain("Close"),
        ["blocks"] = new JsonArray(Rich(Section(Text(Cut(message, 2000))))),
    };

    public static JsonObject Rich(params ReadOnlySpan<JsonObject> elements) => new() { ["type"] = "rich_text", ["elements"] = new JsonArray([.. elements]) };

    private static JsonObject Section(params ReadOnlySpan<JsonNode> elements) => new() { ["type"] = "rich_text_section", ["elements"] = new JsonArray([.. elements]) };

    private static JsonObject Block(string text) => new() { ["type"] = "rich_text_preformatted", ["elements"] = new JsonArray(Text(text)) };

    private static JsonObject List(IEnumerable<JsonNode> items) => new() { ["type"] = "rich_text_list", ["style"] = "bullet", ["elements"] = new JsonArray([.. items]) };

    private static IEnumerable<JsonNode> Item(params JsonNode[] elements) => [Section(elements)];

    private static JsonObject Text(string text) => new() { ["type"] = "text", ["text"] = text.Length == 0 ? " " : text };

    private static JsonObject Styled(string text, string style) => new() { ["type"] = "text", ["text"] = text.Length == 0 ? " " : text, ["style"] = new JsonObject { [style] = true } };

    private static JsonObject Bold(string text) => Styled(text, "bold");

    private static JsonObject Italic(string text) => Styled(text, "italic");

    private static JsonObject Code(string text) => Styled(text, "code");

    private static JsonObject Date(DateTimeOffset at) => new()
    {
        ["type"] = "date",
        ["timestamp"] = at.ToUnixTimeSeconds(),
        ["format"] = "at {time}",
        ["fallback"] = at.UtcDateTime.ToString("'at' HH:mm 'UTC'", CultureInfo.InvariantCulture),
    };

    private static JsonObject Plain(string text) => new() { ["type"] = "plain_text", ["text"] = text, ["emoji"] = false };

    private static JsonObject Button(string action, string text, string value, string style) => new() { ["type"] = "button", ["action_id"] = action, ["text"] = Plain(text), ["value"] = value, ["style"] = style };

    /// <summary>Cut where it stands for more that is in the console, with a sign that it is.</summary>
    private static string Cut(string text, int length) => text.Length <= length ? text : $"{Head(text, length - 1)}…";

    private static string CutSaying(string text, int length) => text.Length <= length ? text : $"{Head(text, length)}… (cut here; whole in the console)";

    /// <summary>Never half of a surrogate pair, nor half of a mark that stands for a character.</summary>
    private static string Head(string text, int length)
    {
        if (text.Length <= length) return text;
        if (char.IsHighSurrogate(text[length - 1])) length--;
        var open = text.LastIndexOf('⟦', length - 1, Math.Min(length, 12));
        if (open > 0 && text.IndexOf('⟧', open) is var close && (close < 0 || close >= length)) length = open;
        return text[..length];
    }
}
