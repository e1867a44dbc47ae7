namespace Countersign.Core;

/// <summary>Where somebody is told: a channel by its name in the configuration, and a place there in the channel's own words.</summary>
/// <param name="Channel">`slack`, `teams`, …</param>
/// <param name="Place">
/// What the channel calls it (`C024BE91L`), or one of two words that every channel with people understands:
/// `oncall/NAME`, who is on call there at that moment, and `eligible`, everybody who could answer.
/// </param>
public sealed record Destination(string Channel, string Place)
{
    public const string Eligible = "eligible";
    public const string OnCallPlace = "oncall/";

    /// <summary>`channel:place`, as it is written in the configuration.</summary>
    public static Destination? Parse(string text)
    {
        var colon = text.IndexOf(':', StringComparison.Ordinal);
        return colon > 0 && colon < text.Length - 1 && text.Length <= 300 && !text.Any(static c => char.IsControl(c) || char.IsWhiteSpace(c)) ? new Destination(text[..colon], text[(colon + 1)..]) : null;
    }

    public override string ToString() => $"{Channel}:{Place}";
}

/// <summary>Hours in which a route is quiet, on the clocks of a zone. From and until may lie on either side of midnight.</summary>
public sealed record QuietHours(TimeOnly From, TimeOnly Until, IReadOnlySet<DayOfWeek> Days, TimeZoneInfo Zone)
{
    /// <summary>Whether this moment is quiet. A night belongs to the day on which it begins.</summary>
    public bool At(DateTimeOffset now)
    {
        var local = TimeZoneInfo.ConvertTime(now, Zone).DateTime;
        var time = TimeOnly.FromDateTime(local);
        if (From == Until) return Days.Contains(local.DayOfWeek);
        if (From < Until) return time >= From && time < Until && Days.Contains(local.DayOfWeek);
        return time >= From ? Days.Contains(local.DayOfWeek) : time < Until && Days.Contains(local.AddDays(-1).DayOfWeek);
    }
}

/// <summary>What a route is asked about a review.</summary>
/// <param name="Asked">Groups that are asked from the start.</param>
/// <param name="AskedLater">Groups that an escalation whose time has come asks as well.</param>
public sealed record RoutedReview(
    string Target, string Environment, IReadOnlySet<string> Classes, IReadOnlySet<string> Verbs, IReadOnlySet<string> Asked, IReadOnlySet<string> AskedLater);

/// <summary>
/// Who is told of which reviews. Each list that is given must name something of the review; one that is not matches all.
/// Every route that matches counts, so that adding one silences nobody.
/// </summary>
public sealed record Route
{
    public required string Name { get; init; }
    public IReadOnlyList<string> Targets { get; init; } = [];
    public IReadOnlyList<string> Environments { get; init; } = [];
    public IReadOnlyList<string> Classes { get; init; } = [];
    public IReadOnlyList<string> Verbs { get; init; } = [];
    public IReadOnlyList<string> Groups { get; init; } = [];
    public required IReadOnlyList<Destination> To { get; init; }
    public QuietHours? Quiet { get; init; }

    /// <summary>Where instead while it is quiet; nowhere where this is empty, and to all of <see cref="To"/> when the quiet ends.</summary>
    public IReadOnlyList<Destination> QuietTo { get; init; } = [];

    /// <summary>Where as well once the review has escalated.</summary>
    public IReadOnlyList<Destination> EscalationTo { get; init; } = [];

    /// <summary>Where this route has the review told at this moment.</summary>
    public IEnumerable<Destination> At(RoutedReview review, DateTimeOffset now)
    {
        if (!Matches(Targets, review.Target) || !Matches(Environments, review.Environment) || !Matches(Classes, review.Classes) || !Matches(Verbs, review.Verbs)) return [];
        var asked = Matches(Groups, review.Asked);
        var later = review.AskedLater.Count > 0 && Matches(Groups, review.AskedLater);
        IEnumerable<Destination> told = asked || later ? Quiet?.At(now) == true ? QuietTo : To : [];
        return review.AskedLater.Count > 0 && (asked || later) ? told.Concat(EscalationTo) : told;
    }

    private static bool Matches(IReadOnlyList<string> wanted, string has) => wanted.Count == 0 || wanted.Contains(has, StringComparer.Ordinal);

    private static bool Matches(IReadOnlyList<string> wanted, IReadOnlySet<string> has) => wanted.Count == 0 || wanted.Any(has.Contains);
}
