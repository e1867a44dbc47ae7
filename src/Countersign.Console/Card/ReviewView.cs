using Countersign.Pages.Activity;
using Countersign.Pages.Layout;
using Countersign.Core;
using Countersign.Reviews;


namespace Countersign.Pages.Card;

/// <summary>Everything that the page of a review says, put together once. Text in it is raw: the page makes it safe.</summary>
public sealed record ReviewView
{
    public required Review Review { get; init; }
    public required Voice Voice { get; init; }
    public required int Waiters { get; init; }
    public required DateTimeOffset Now { get; init; }
    public required IReadOnlyList<Touched> Touched { get; init; }
    public required IReadOnlyList<Danger> Dangers { get; init; }
    public required AgentRecord Record { get; init; }
    public required IReadOnlyList<Asked> Asking { get; init; }

    /// <summary>Where else it was told.</summary>
    public IReadOnlyList<DeliveryView> Deliveries { get; init; } = [];

    /// <summary>Said after an answer that did not count.</summary>
    public string? Notice { get; init; }

    /// <summary>What the reader had written, so that a refused answer does not cost his words.</summary>
    public string? Comment { get; init; }

    /// <summary>He may make something else of it, for others to approve.</summary>
    public required bool MayEdit { get; init; }

    /// <summary>Whether the reader could break its glass, here and now.</summary>
    public bool CanBreakGlass { get; init; }

    public bool CanApprove => Voice.CannotApprove is null;

    /// <summary>Nobody waits: what is approved now runs when the agent comes back.</summary>
    public bool IsDetached => Waiters == 0;

    /// <summary>How this reader could sign an approval; null where none has to be signed.</summary>
    public Signing? Signing { get; init; }

    public bool MustJustify => Review.Requirements.Any(static r => r.Justify);

    /// <summary>What a comment must hold a match of.</summary>
    public IReadOnlyList<string> CommentPatterns => Review.Requirements.SelectMany(static r => r.JustifyPatterns).Distinct(StringComparer.Ordinal).ToArray();

    /// <summary>What may be granted beside this one action; null: nothing.</summary>
    public GrantTerms? MayGrant => Review is { IsOpen: true, Edit: null } ? RequirementAlgebra.GrantOf(Review.Requirements) : null;

    public IEnumerable<string> Approvals => Review.Answers.Where(static a => a.Kind == AnswerKind.Approve).Select(static a => a.Name);

    public Ending Ending => Activities.EndingOf(Review);

    /// <summary>`update shop.public.customers`, `delete from 2 tables`: what a reader sees first.</summary>
    public string Does
    {
        get
        {
            var first = Effects.Strictest(Review.Effects);
            return first is null ? Review.Operation : Effects.Doing(first.Action);
        }
    }

    /// <summary>The resource of the strictest effect, without its target's name.</summary>
    public string Most
    {
        get
        {
            var first = Effects.Strictest(Review.Effects);
            return first is null ? Review.Target.Name : Trimmed(first.ResourceId);
        }
    }

    /// <summary>How many resources there are besides.</summary>
    public int Others => Math.Max(0, Touched.Count - 1);

    public string WaitsText => Review.State switch
    {
        _ when !Review.IsOpen => "",
        _ when Waiters > 1 => $"{Waiters} connections hold for this",
        _ when Waiters == 1 => "its connection is held until you decide",
        _ => "the agent has left; an approval runs when it asks again",
    };

    public static ReviewView Of(Review review, Reader reader, ReviewDesk desk, Activities activities, ConsoleSeams seams, DateTimeOffset now, Signing? signing = null) => new()
    {
        Review = review,
        Voice = desk.VoiceOf(reader.User, review, reader.Channel),
        MayEdit = desk.MayEdit(reader.User, review, reader.Channel),
        CanBreakGlass = desk.CanBreakGlass(reader.User, review, reader.Channel),
        Waiters = desk.WaiterCount(review.Id),
        Now = now,
        Touched = Effects.Touched(review.Effects, seams.Frameworks),
        Dangers = Effects.Dangers(review.Effects),
        Asking = desk.Asking(review),
        Record = activities.RecordOf(review.Agent.Id),
        Deliveries = seams.Deliveries(review.Id),
        Signing = signing,
    };

    private string Trimmed(string id) => id.StartsWith(Review.Target.Name + ".", StringComparison.Ordinal) ? id[(Review.Target.Name.Length + 1)..] : id;

    public string Needs => ReviewDesk.Describe(Review.Requirements);

    public IEnumerable<(DateTimeOffset At, string Groups)> Escalations => Review.Requirements
        .SelectMany(r => r.Escalations.Select(e => (Review.CreatedAt + e.After, Words.List(e.Groups, "or")))).OrderBy(static e => e.Item1);
}
