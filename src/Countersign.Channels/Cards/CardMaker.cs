using System.Globalization;
using Countersign.Core;
using Countersign.Reviews;

namespace Countersign.Channels.Cards;

/// <summary>What a channel may carry and take.</summary>
/// <param name="Carries">Data classes that it may show. Where an action touches another, values are marks and nobody answers there.</param>
/// <param name="TakesAnswers">Whether people answer there.</param>
public sealed record ChannelReach(IReadOnlySet<string> Carries, bool TakesAnswers);

/// <summary>Makes the card of a review, and the lines of its story.</summary>
public sealed class CardMaker(Func<Uri> console)
{
    /// <summary>Stands where something was withheld. The brackets are escaped in all text from outside, so nothing can imitate it.</summary>
    public const string Mark = "⟦withheld⟧";

    public Uri LinkOf(ReviewId review) => new(console(), $"/reviews/{review}");

    public NoticeCard Of(Review r, ChannelReach reach)
    {
        var classes = r.Effects.SelectMany(static e => e.DataClasses).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray();
        var above = classes.Where(c => !reach.Carries.Contains(c)).ToArray();
        var withheld = above.Length == 0 ? null : $"It touches data of class {string.Join(", ", above.Select(Line))}, which is above what this channel may carry: statement, values and words are left out here.";
        var touched = Effects.Touched(r.Effects, new Dictionary<string, IReadOnlyList<string>>());
        var strictest = Effects.Strictest(r.Effects);
        var does = strictest is null ? Line(r.Operation) : Effects.Doing(strictest.Action);
        var most = Line(strictest is null ? r.Target.Name : Trimmed(strictest.ResourceId, r.Target.Name));
        var others = touched.Count > 1 ? string.Create(CultureInfo.InvariantCulture, $" and {touched.Count - 1} more") : "";
        return new NoticeCard
        {
            Review = r.Id.Value,
            Tone = ToneOf(r),
            State = StateOf(r),
            IsOpen = r.IsOpen,
            Headline = $"{Line(r.Agent.Name)} {(r.IsOpen ? "wants" : "asked")} to {does} {most}{others} on {Line(r.Target.Name)}",
            Dangers = Effects.Dangers(r.Effects).Select(d => new CardDanger(d.Title, Line(d.Detail))).ToArray(),
            Statement = withheld is null ? VisibleText.Of(r.Statement) : null,
            Values = r.Parameters.Select((p, i) => new CardValue(i + 1, Line(p.Type), withheld is not null ? Mark : p.Text is null ? null : VisibleText.Of(p.Text))).ToArray(),
            Withheld = withheld,
            Touches = touched.Select(static t => new CardResource(Line(t.Id), t.Type, t.Verbs.Select(Effects.Doing).ToArray(), t.Classes.Select(Line).ToArray(), t.Facts.Select(Line).ToArray())).ToArray(),
            Target = Line(r.Target.Name),
            Environment = Line(r.Target.Environment),
            HowMuch = HowMuch(r),
            Agent = Line(r.Agent.Name),
            Owner = Line(r.Owner.Name),
            For = r.OnBehalfOf is { } user ? Line(user.Name) : null,
            Behind = r.Via.Concat(r.Editors).Select(static h => Line(h.Name)).Distinct(StringComparer.Ordinal).ToArray(),
            Edited = r.Edit is { } edit ? $"{Line(edit.By.Name)} has changed what the agent asked for" : null,
            Policies = r.Policies.Select(static p => new CardPolicy(Line(p.Id), p.Reason is null ? null : Line(p.Reason), p.Controls.Select(Line).ToArray())).ToArray(),
            Claims = withheld is null ? ClaimsOf(r.Intent) : [],
            Notes = withheld is null ? r.Notes.Select(Line).ToArray() : [],
            Needs = Line(ReviewDesk.Describe(r.Requirements)),
            Answers = r.Answers.Select(a => new CardAnswer(Line(a.Name), a.Kind.Word(), Line(a.Channel), a.At, a.Comment is null ? null : withheld is null ? VisibleText.Of(a.Comment) : Mark)).ToArray(),
            CreatedAt = r.CreatedAt,
            ExpiresAt = r.ExpiresAt,
            ClosedAt = r.ClosedAt,
            Digest = r.Digest,
            Link = LinkOf(r.Id),
            NoButtons = NoButtons(r, reach, withheld is not null),
            MustJustify = r.Requirements.Any(static q => q.Justify),
            JustifyPatterns = r.Requirements.SelectMany(static q => q.JustifyPatterns).Distinct(StringComparer.Ordinal).Select(Line).ToArray(),
            IsDetached = r.DetachedAt is not null,
        };
    }

    /// <summary>Why a review takes no answer on such a channel, or null: asked again at the answer itself.</summary>
    public static string? NoButtons(Review r, ChannelReach reach)
        => NoButtons(r, reach, r.Effects.SelectMany(static e => e.DataClasses).Any(c => !reach.Carries.Contains(c)));

    private static string? NoButtons(Review r, ChannelReach reach, bool above) =>
        !r.IsOpen ? "it is decided"
        : above ? "it touches data that this channel may not show; decide in the console"
        : !reach.TakesAnswers ? "decide in the console"
        : r.Edit is not null ? "a person has changed the statement; compare both and approve it in the console"
        : RequirementAlgebra.StepUpOf(r.Requirements) != StepUp.None ? "policy asks for a passkey; approve in the console"
        : r.State == ReviewState.Approved ? "enough people have approved"
        : null;

    /// <summary>All that is to be told beneath the card by now, in order. A line is told once, by its key.</summary>
    /// <param name="r">The review.</param>
    /// <param name="reach">Comments are left out where the action is above it.</param>
    /// <param name="now">For the reminder at half time.</param>
    public static IReadOnlyList<StoryLine> Story(Review r, ChannelReach reach, DateTimeOffset now)
    {
        var above = r.Effects.SelectMany(static e => e.DataClasses).Any(c => !reach.Carries.Contains(c));
        var lines = new List<StoryLine>();
        foreach (var a in r.Answers)
        {
            var said = a.Comment is not { Length: > 0 } comment ? "" : above ? $", saying {Mark}" : $", saying “{Shortened(Line(comment))}”";
            var what = a.Kind switch { AnswerKind.Approve => "approved it", AnswerKind.Deny => "denied it", _ => "broke the glass: it runs without those whom it waited for" };
            lines.Add(new StoryLine($"answer-{a.StatementSha256[..16]}", $"{Line(a.Name)} {what} {Where(a.Channel)}{said}", a.Kind == AnswerKind.BreakGlass));
        }

        if (r.EscalationsTold > 0)
        {
            var groups = r.Requirements.SelectMany(q => q.Escalations.Where(e => e.After <= now - r.CreatedAt)).SelectMany(static e => e.Groups).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).Select(Line);
            lines.Add(new StoryLine(string.Create(CultureInfo.InvariantCulture, $"escalation-{r.EscalationsTold}"), $"It has waited long enough: {string.Join(" or ", groups)} may decide as well", Loud: true));
        }

        if (r.State == ReviewState.Pending && now >= HalfTime(r))
        {
            lines.Add(new StoryLine("reminder", $"Half of the time is over, and it still needs {Line(ReviewDesk.Describe(r.Requirements))}. Undecided at {r.ExpiresAt.UtcDateTime.ToString("HH:mm", CultureInfo.InvariantCulture)} UTC, it is a no", Loud: true));
        }

        if (!r.IsOpen) lines.Add(new StoryLine("closed", r.State == ReviewState.Released ? "Decided afresh, and released" : Capital(StateOf(r)), Loud: false));
        if (r.Outcome is { } outcome) lines.Add(new StoryLine("outcome", Capital(OutcomeOf(outcome)), Loud: false));
        return lines;
    }

    /// <summary>What bounds the rows, and what the target's planner expects of them: never a count, and no approval commits to it.</summary>
    private static string HowMuch(Review r)
    {
        var much = Effects.HowMuch(r.Effects) is { Length: > 0 } bound ? bound : "nothing in it bounds the rows";
        return r.Estimate is { Why: null } estimate ? $"{much}; {Line(estimate.Says)} by the planner's estimate" : much;
    }

    public static DateTimeOffset HalfTime(Review r) => r.CreatedAt + (r.ExpiresAt - r.CreatedAt) / 2;

    /// <summary>Whether nothing more will ever be said of it.</summary>
    public static bool IsFinal(Review r) => !r.IsOpen && (r.State != ReviewState.Released || r.Outcome is not null);

    public static string StateOf(Review r) => r.State switch
    {
        ReviewState.Pending when r.DetachedAt is not null => "waiting for approval; the agent has left, and an approval runs when it asks again",
        ReviewState.Pending => "waiting for approval",
        ReviewState.Approved when r.DetachedAt is not null => "approved; it runs when the agent asks again",
        ReviewState.Approved => "approved",
        ReviewState.Released when r.GlassBrokenBy is not null => "released by breaking the glass",
        ReviewState.Released => r.Outcome is { } outcome ? OutcomeOf(outcome) : "approved and released",
        ReviewState.Denied => r.ClosedBy is { } by ? $"denied by {Line(by)}" : "denied",
        ReviewState.Expired => "expired: nobody decided in time, which is a no",
        _ when r.EditedInto is { } into => $"edited{(r.ClosedBy is { } editor ? $" by {Line(editor)}" : "")}: it goes on as review {into}",
        _ => "withdrawn by the agent",
    };

    private static CardTone ToneOf(Review r) => r.State switch
    {
        ReviewState.Pending => CardTone.Waiting,
        ReviewState.Approved => CardTone.Good,
        ReviewState.Released => r.Outcome?.Status is OutcomeStatus.Failed or OutcomeStatus.Unknown || r.GlassBrokenBy is not null ? CardTone.Bad : CardTone.Good,
        ReviewState.Denied => CardTone.Bad,
        _ => CardTone.Over,
    };

    private static string OutcomeOf(Outcome outcome) => outcome.Status switch
    {
        OutcomeStatus.Done => outcome.Rows is { } rows ? string.Create(CultureInfo.InvariantCulture, $"ran once: done, {rows} {(rows == 1 ? "row" : "rows")}") : "ran once: done",
        OutcomeStatus.Failed => $"ran once and failed{(outcome.ErrorCode is { } code ? $" with {Line(code)}" : "")}",
        _ => "ran, and its answer was lost: the outcome is unknown, and it is never sent again",
    };

    private static string Capital(string text) => $"{char.ToUpperInvariant(text[0])}{text[1..]}";

    private static string Where(string channel) => channel switch
    {
        "console" => "in the console",
        "cli" => "on the command line",
        "api" => "through the API",
        "slack" => "in Slack",
        "teams" => "in Teams",
        _ => $"by {Line(channel)}",
    };

    private static CardClaim[] ClaimsOf(Intent intent) => new (string Label, string? Text)[] { ("", intent.Reason), ("ticket", intent.Ticket), ("task", intent.Task), ("model", intent.Model) }
        .Where(static c => !string.IsNullOrEmpty(c.Text)).Select(static c => new CardClaim(c.Label, VisibleText.Of(c.Text!))).ToArray();

    /// <summary>Of a human's comment in a line: the card's page has it whole, and this says that it is cut.</summary>
    private static string Shortened(string text) => text.Length <= 500 ? text : $"{text[..(char.IsHighSurrogate(text[499]) ? 499 : 500)]}… (cut here; whole in the console)";

    private static string Trimmed(string id, string target) => id.StartsWith(target + ".", StringComparison.Ordinal) ? id[(target.Length + 1)..] : id;

    private static string Line(string text) => VisibleText.Of(text, multiline: false);
}
