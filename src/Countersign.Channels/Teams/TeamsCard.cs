using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Countersign.Channels.Cards;
using Countersign.Channels.Delivery;
using static Countersign.Channels.Teams.CardParts;

namespace Countersign.Channels.Teams;

/// <summary>Who looks at a card. Everybody in a channel sees the first; the others are made for one person, when he asks.</summary>
internal abstract record TeamsView
{
    private TeamsView() { }

    /// <summary>For all: no buttons that decide. Those named here are given a view of their own without asking.</summary>
    public sealed record Everybody(IReadOnlyList<string> Refresh) : TeamsView;

    /// <summary>For somebody who may decide.</summary>
    public sealed record Decider(bool MayApprove, bool MayDeny, string? Note) : TeamsView;

    /// <summary>For somebody who is told why he may not, or what to do first.</summary>
    public sealed record Told(string Note, (string Title, Uri Address)? Link) : TeamsView;
}

/// <summary>
/// A review as an Adaptive Card 1.5, in the reviewer's order. What does not fit is cut with a notice, and then nobody
/// approves here: the console shows all of it (I10).
/// </summary>
internal static class TeamsCard
{
    /// <summary>Largest card, bytes. 22 KiB: a message may have 28 KB, and there is an envelope around it.</summary>
    public const int MaxBytes = 22 << 10;

    /// <summary>People whose own view comes by itself. 60: what Teams refreshes of one card.</summary>
    public const int MaxRefresh = 60;

    /// <summary>Most values and resources that are laid out whole. 200: more would not fit anyway.</summary>
    private const int MaxItems = 200;

    /// <summary>Longest reason that is taken, characters; the review's own limit is asked again.</summary>
    public const int MaxReason = 2000;

    public const string View = "view";
    public const string Approve = "approve";
    public const string Deny = "deny";
    public const string ReasonInput = "reason";
    public const string WhyInput = "why";
    public const string Reference = "reference";

    /// <summary>How much of a card is shown: all of it, or heads that are shorter each time.</summary>
    /// <param name="Statement">Characters of the statement.</param>
    /// <param name="Lines">Its lines.</param>
    /// <param name="Items">Of each list.</param>
    /// <param name="Text">Characters of any other text.</param>
    private sealed record Heads(int Statement, int Lines, int Items, int Text)
    {
        public static readonly Heads Whole = new(int.MaxValue, int.MaxValue, int.MaxValue, int.MaxValue);

        /// <summary>The last fits whatever it is filled with: a character is written with at most six bytes.</summary>
        public static IEnumerable<Heads> Shorter => [new(1500, 30, 12, 300), new(600, 12, 5, 120), new(200, 6, 2, 60)];

        /// <summary>What was cut, for the notice.</summary>
        public List<string> Cut { get; } = [];
    }

    /// <summary>Whether all that the card says fits: only then it may take an approval.</summary>
    public static bool ShowsAll(NoticeCard card) => WholeOf(card) is not null;

    /// <summary>The body with everything, where it fits. What can not fit is not laid out: a statement may have megabytes.</summary>
    private static JsonArray? WholeOf(NoticeCard card)
    {
        var characters = (card.Statement?.Length ?? 0) + card.Values.Sum(static v => v.Text?.Length ?? 0) + card.Notes.Sum(static n => n.Length) + card.Claims.Sum(static c => c.Text.Length);
        if (characters > MaxBytes || card.Values.Count + card.Touches.Count > MaxItems) return null;
        var body = Body(card, Heads.Whole);
        return Bytes(body) <= MaxBytes ? body : null;
    }

    public static JsonObject Render(Notice notice, TeamsView view)
    {
        var card = notice.Card;
        var whole = WholeOf(card);
        var fits = whole is not null;
        var body = whole ?? Heads.Shorter.Select(h => Body(card, h)).First(static b => Bytes(b) <= MaxBytes);
        var actions = new JsonArray();
        switch (view)
        {
            case TeamsView.Everybody when card is { IsOpen: true, NoButtons: null }:
                actions.Add(Execute("Decide here", View, Data(notice)));
                break;
            case TeamsView.Decider decider:
                if (decider.Note is not null) body.Insert(0, Note(decider.Note));
                if (decider.MayApprove && fits && card.NoButtons is null)
                {
                    if (card.MustJustify) body.Add(Reason(WhyInput, "Why it is right (needed to approve)", card.JustifyPatterns));
                    actions.Add(Execute("Approve", Approve, Data(notice), "positive"));
                }

                if (decider.MayDeny && card.IsOpen) actions.Add(DenyWithReason(notice));
                break;
            case TeamsView.Told told:
                body.Insert(0, Note(told.Note));
                if (told.Link is var (title, address)) actions.Add(Open(title, address));
                break;
        }

        actions.Add(Open("Open in Countersign", card.Link));
        var result = new JsonObject
        {
            ["$schema"] = "http://adaptivecards.io/schemas/adaptive-card.json",
            ["type"] = "AdaptiveCard",
            ["version"] = "1.5",
            ["body"] = body,
            ["actions"] = actions,
            ["msteams"] = new JsonObject { ["width"] = "Full" },
        };

        // A view of somebody's own is refreshed for him as well, so that it does not stand there when all is decided.
        if (card.IsOpen && card.NoButtons is null && view is TeamsView.Everybody { Refresh: var people } && people.Count > 0)
        {
            result["refresh"] = new JsonObject
            {
                ["action"] = Execute("Refresh", View, Data(notice)),
                ["userIds"] = new JsonArray(people.Take(MaxRefresh).Select(static p => (JsonNode)p).ToArray()),
            };
        }

        return result;
    }

    /// <summary>The message around a card. The summary stands in the notice of a phone: our own words and a state, nothing of an agent's.</summary>
    public static JsonObject Message(JsonObject card, string summary) => new()
    {
        ["type"] = "message",
        ["summary"] = summary,
        ["attachments"] = new JsonArray(new JsonObject { ["contentType"] = "application/vnd.microsoft.card.adaptive", ["content"] = card }),
    };

    /// <summary>A card of one line, beneath another.</summary>
    public static JsonObject LineOf(string text) => new()
    {
        ["$schema"] = "http://adaptivecards.io/schemas/adaptive-card.json",
        ["type"] = "AdaptiveCard",
        ["version"] = "1.5",
        ["body"] = new JsonArray(Rich(null, Run(text))),
    };

    /// <summary>A card that says something to one person, outside of any review.</summary>
    public static JsonObject Saying(string text, (string Title, Uri Address)? link)
    {
        var card = LineOf(text);
        if (link is var (title, address)) card["actions"] = new JsonArray(Open(title, address));
        return card;
    }

    private static JsonObject Data(Notice notice) => new() { [Reference] = notice.Reference };

    private static JsonObject DenyWithReason(Notice notice) => new()
    {
        ["type"] = "Action.ShowCard",
        ["title"] = "Deny…",
        ["card"] = new JsonObject
        {
            ["type"] = "AdaptiveCard",
            ["body"] = new JsonArray(Reason(ReasonInput, "What should be done instead?", [])),
            ["actions"] = new JsonArray(Execute("Deny", Deny, Data(notice), "destructive")),
        },
    };

    private static JsonObject Reason(string id, string label, IReadOnlyList<string> patterns) => new()
    {
        ["type"] = "Input.Text",
        ["id"] = id,
        ["label"] = label,
        ["isMultiline"] = true,
        ["maxLength"] = MaxReason,
        ["placeholder"] = patterns.Count > 0 ? "policy asks for more: see the card" : "the agent reads this",
    };

    private static JsonObject Note(string text) => new() { ["type"] = "Container", ["style"] = "warning", ["bleed"] = true, ["items"] = new JsonArray(Rich(null, Run(text, bold: true))) };

    private static JsonArray Body(NoticeCard card, Heads heads)
    {
        var body = new JsonArray(
            Rich(null, Run(Head(card.Headline, heads, "headline"), bold: true, size: "Large")),
            Rich("None", Run(Head(card.State, heads, "state"), bold: true, color: card.Tone switch { CardTone.Waiting => "Warning", CardTone.Good => "Good", CardTone.Bad => "Attention", _ => null })));
        foreach (var danger in Some(card.Dangers, heads, "warnings"))
        {
            body.Add(new JsonObject { ["type"] = "Container", ["style"] = "attention", ["bleed"] = true, ["items"] = new JsonArray(Rich(null, Run(danger.Title, bold: true), Run($": {Head(danger.Detail, heads, "warnings")}"))) });
        }

        if (card.Edited is not null) body.Add(Note(Head(card.Edited, heads, "who edited it")));
        if (card.Withheld is not null) body.Add(Note(Head(card.Withheld, heads, "notice")));
        if (card.Statement is { } statement)
        {
            body.Add(Words("Will run", subtle: true, spacing: "Medium"));
            body.Add(Verbatim(HeadOf(statement, heads)));
        }

        if (card.Values.Count > 0)
        {
            body.Add(Words("With these values", subtle: true, spacing: "Small"));
            foreach (var value in Some(card.Values, heads, "values"))
            {
                body.Add(Rich("None", Run(string.Create(CultureInfo.InvariantCulture, $"${value.Position} "), subtle: true, mono: true), Run(value.Text is null ? "NULL" : Head(value.Text, heads, "values"), mono: true), Run($"  {Head(value.Type, heads, "values")}", subtle: true)));
            }
        }

        foreach (var (touched, i) in Some(card.Touches, heads, Touched).Select(static (t, i) => (t, i)))
        {
            body.Add(Rich(i == 0 ? "Medium" : "None",
            [
                Run(i == 0 ? "Touches  " : "and  ", subtle: true), Run(Head(touched.Id, heads, Touched), bold: true), Run($"  {Head(string.Join(", ", touched.Does), heads, Touched)}"),
                .. touched.Classes.Count > 0 ? [Run($"  {Head(string.Join(", ", touched.Classes), heads, Touched)}", bold: true, color: "Warning")] : (JsonObject[])[],
                .. touched.Facts.Count > 0 ? [Run($"  {Head(string.Join("; ", touched.Facts), heads, Touched)}", subtle: true)] : (JsonObject[])[],
            ]));
        }

        Fact(body, "How much", Head(card.HowMuch, heads, "how much"));
        Fact(body, "On", Head($"{card.Target} ({card.Environment})", heads, "target"));
        Fact(body, "Asked by", Head($"{card.Agent}, owned by {card.Owner}{(card.For is { } user ? $", for {user}" : "")}", heads, "who asks"));
        if (card.Behind.Count > 0) Fact(body, "Behind it", Head($"{string.Join(", ", card.Behind)}: none of them decides", heads, "who asks"));
        foreach (var policy in Some(card.Policies, heads, "policies"))
        {
            Fact(body, "Stopped by", Head($"{policy.Id}{(policy.Controls.Count > 0 ? $" ({string.Join(", ", policy.Controls)})" : "")}{(policy.Reason is { } reason ? $": {reason}" : "")}", heads, "policies"));
        }

        Fact(body, "Needs", Head(card.Needs, heads, "needs"));
        foreach (var pattern in Some(card.JustifyPatterns, heads, "needs")) Fact(body, "To approve, the comment must hold a match of", Head(pattern, heads, "needs"));
        foreach (var note in Some(card.Notes, heads, "notes")) Fact(body, "Note", Head(note, heads, "notes"));
        if (card.Claims.Count > 0)
        {
            var items = new JsonArray(Words("The agent’s own words, unchecked", subtle: true));
            foreach (var claim in Some(card.Claims, heads, "the agent’s words"))
            {
                foreach (var (line, i) in Some(Head(claim.Text, heads, "the agent’s words").Split('\n'), heads, "the agent’s words").Select(static (l, i) => (l, i)))
                {
                    // Behind a mark on each line, so that no line of it can pass for one of ours (P34).
                    items.Add(Rich("None", Run(claim.Label.Length == 0 || i > 0 ? "› " : $"› {claim.Label}: ", subtle: true), Run(line.Length == 0 ? " " : line, italic: true)));
                }
            }

            body.Add(new JsonObject { ["type"] = "Container", ["spacing"] = "Medium", ["items"] = items });
        }

        foreach (var answer in Some(card.Answers, heads, "answers"))
        {
            Fact(body, answer.Decision switch { "approve" => "Approved by", "deny" => "Denied by", _ => "Glass broken by" }, Head($"{answer.Name} at {Clock(answer.At)}{(answer.Comment is { Length: > 0 } said ? $": “{said.ReplaceLineEndings(" ")}”" : "")}", heads, "answers"));
        }

        if (card.IsOpen) Fact(body, "Until", $"{Clock(card.ExpiresAt)}; undecided then, it is a no");
        if (heads.Cut.Count > 0) body.Add(Note($"This is not all of it: {string.Join(", ", heads.Cut.Distinct(StringComparer.Ordinal))} had to be cut to fit. Nobody can approve it here; the console shows the whole."));
        else if (card is { IsOpen: true, NoButtons: { } why }) Fact(body, "No answer here", why);
        body.Add(Rich("Medium", Run("digest  ", subtle: true, size: "Small"), Run(card.Digest, subtle: true, mono: true, size: "Small")));
        return body;
    }

    private const string Touched = "what it touches";

    private static void Fact(JsonArray body, string label, string text)
    {
        if (text.Length > 0) body.Add(Rich("Small", Run($"{label}  ", subtle: true), Run(text)));
    }

    private static string Clock(DateTimeOffset at) => at.UtcDateTime.ToString("HH:mm 'UTC'", CultureInfo.InvariantCulture);

    private static IEnumerable<T> Some<T>(IReadOnlyList<T> all, Heads heads, string what)
    {
        if (all.Count <= heads.Items) return all;
        heads.Cut.Add(what);
        return all.Take(heads.Items);
    }

    private static string Head(string text, Heads heads, string what)
    {
        if (text.Length <= heads.Text) return text;
        heads.Cut.Add(what);
        return $"{Upto(text, heads.Text)}…";
    }

    private static string HeadOf(string statement, Heads heads)
    {
        if (heads == Heads.Whole) return statement;
        var lines = statement.Split('\n', heads.Lines + 1);
        var head = Upto(string.Join('\n', lines.Take(heads.Lines)), heads.Statement);
        if (head.Length == statement.Length) return statement;
        heads.Cut.Add(string.Create(CultureInfo.InvariantCulture, $"the statement (its first {head.Length:N0} of {statement.Length:N0} characters are shown)"));
        return head;
    }

    private static string Upto(string text, int length) => text.Length <= length ? text : text[..(char.IsHighSurrogate(text[length - 1]) ? length - 1 : length)];

    private static int Bytes(JsonArray body) => Encoding.UTF8.GetByteCount(body.ToJsonString());
}
