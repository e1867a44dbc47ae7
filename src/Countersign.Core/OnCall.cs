namespace Countersign.Core;

/// <summary>Somebody else in a rotation for a while: <paramref name="Until"/> is no longer part of it.</summary>
public sealed record OnCallOverride(DateTimeOffset From, DateTimeOffset Until, string User);

/// <summary>
/// Who is on call when: <see cref="Members"/> take turns of <see cref="PeriodDays"/> days each, and hand over at
/// <see cref="Handover"/> on the clocks of <see cref="Zone"/>. Time comes in as data.
/// </summary>
public sealed record OnCallSchedule
{
    public required string Name { get; init; }

    /// <summary>Names of users in the order of their turns; not empty.</summary>
    public required IReadOnlyList<string> Members { get; init; }

    /// <summary>The day on which the first member's first turn begins. Before it nobody is on call.</summary>
    public required DateOnly Start { get; init; }

    /// <summary>Days of one turn, at least 1.</summary>
    public required int PeriodDays { get; init; }

    public required TimeOnly Handover { get; init; }

    public required TimeZoneInfo Zone { get; init; }

    /// <summary>Do not overlap.</summary>
    public IReadOnlyList<OnCallOverride> Overrides { get; init; } = [];

    /// <summary>The group that its person is in: `oncall:primary`.</summary>
    public string Group => Requirement.OnCallPrefix + Name;

    /// <summary>The user on call at this moment, or null.</summary>
    public string? At(DateTimeOffset now)
    {
        if (Overrides.FirstOrDefault(o => o.From <= now && now < o.Until) is { } instead) return instead.User;

        // Days are counted on the calendar, and the moment of each handover is looked up: a day of 23 or 25 hours is a day.
        var day = DateOnly.FromDateTime(TimeZoneInfo.ConvertTime(now, Zone).DateTime);
        if (now < HandoverOn(day)) day = day.AddDays(-1);
        var days = day.DayNumber - Start.DayNumber;
        return days < 0 ? null : Members[days / PeriodDays % Members.Count];
    }

    /// <summary>When the turn that runs at this moment ends, overrides aside; null before the first.</summary>
    public DateTimeOffset? HandoverAfter(DateTimeOffset now)
    {
        var day = DateOnly.FromDateTime(TimeZoneInfo.ConvertTime(now, Zone).DateTime);
        if (now < HandoverOn(day)) day = day.AddDays(-1);
        var days = day.DayNumber - Start.DayNumber;
        return days < 0 ? null : HandoverOn(Start.AddDays((days / PeriodDays + 1) * PeriodDays));
    }

    /// <summary>
    /// The moment of the handover on a day. A time that the clocks skip is the moment at which they skip it; one that they
    /// show twice is the first of the two.
    /// </summary>
    private DateTimeOffset HandoverOn(DateOnly day)
    {
        var local = day.ToDateTime(Handover);
        while (Zone.IsInvalidTime(local)) local = local.AddMinutes(1);
        var offset = Zone.IsAmbiguousTime(local) ? Zone.GetAmbiguousTimeOffsets(local).Max() : Zone.GetUtcOffset(local);
        return new DateTimeOffset(local, offset);
    }
}
