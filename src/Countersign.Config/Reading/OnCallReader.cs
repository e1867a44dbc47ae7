using System.Globalization;
using Countersign.Config.Yaml;
using Countersign.Core;

namespace Countersign.Config.Reading;

internal static class OnCallReader
{
    public static IReadOnlyList<OnCallSchedule> Schedules(Cursor at, KnownPeople people)
    {
        var names = new NameReader("schedule");
        var schedules = new List<OnCallSchedule>();
        foreach (var (name, key, schedule) in at.Entries())
        {
            var named = names.TryTake(key, name);
            if (Schedule(name, schedule, people) is { } read && named) schedules.Add(read);
        }

        return schedules.OrderBy(static s => s.Name, StringComparer.Ordinal).ToArray();
    }

    private static OnCallSchedule? Schedule(string name, Cursor at, KnownPeople people)
    {
        var taken = new NameReader("user");
        var members = at["members"].Items().Select(item => item.Text is { } user && taken.TryTake(item, user) && people.Check(item, user) ? user : null).OfType<string>().ToArray();
        if (!at["members"].Items().Any()) at["members"].Fail("missing: the people who take turns, in their order, such as `[alice, bob]`");

        var zone = Zone(at["zone"]);
        var start = Parsed(at["start"], "the day on which the first turn begins, such as `2026-11-23`",
            static (text, out value) => DateOnly.TryParseExact(text, "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out value), default(DateOnly));
        var handover = Parsed(at["handover"], "the time of day at which turns change, such as `\"09:00\"`",
            static (text, out value) => TimeOnly.TryParseExact(text, "HH:mm", CultureInfo.InvariantCulture, DateTimeStyles.None, out value), default(TimeOnly));
        var overrides = at["overrides"].Items().Select(o => Override(o, people)).OfType<OnCallOverride>().OrderBy(static o => o.From).ToArray();
        for (var i = 1; i < overrides.Length; i++)
        {
            if (overrides[i].From < overrides[i - 1].Until) at["overrides"].Fail($"two overrides overlap at {overrides[i].From:yyyy-MM-dd'T'HH:mm:ssK}; one person is on call at a time");
        }

        return members.Length == 0 || zone is null ? null : new OnCallSchedule
        {
            Name = name,
            Members = members,
            Start = start,
            PeriodDays = Days(at["period"]),
            Handover = handover,
            Zone = zone,
            Overrides = overrides,
        };
    }

    internal static TimeZoneInfo? Zone(Cursor at)
    {
        if (at.Required("the IANA time zone in which this is meant, such as `Europe/Berlin`") is not { } id) return null;

        // Windows' own names are taken by the framework too, and mean other rules; "UTC" is both.
        if ((id == "UTC" || id.Contains('/', StringComparison.Ordinal)) && TimeZoneInfo.TryFindSystemTimeZoneById(id, out var zone)) return zone;
        at.Fail($"`{Shown.Text(id)}` is not an IANA time zone that this machine knows, such as `Europe/Berlin` or `UTC`; is `tzdata` installed?");
        return null;
    }

    /// <summary>`1d` to `28d`; a week by default.</summary>
    private static int Days(Cursor at)
    {
        if (at.Text is not { } text) return 7;
        if (text.Length is 2 or 3 && text[^1] == 'd' && int.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out var days) && days is >= 1 and <= 28) return days;
        at.Fail($"`{Shown.Text(text)}` is not a turn: write `1d` to `28d`");
        return 7;
    }

    private static OnCallOverride? Override(Cursor at, KnownPeople people)
    {
        var from = Instant(at["from"]);
        var until = Instant(at["until"]);
        if (at["user"].Required("who is on call instead") is not { } user || !people.Check(at["user"], user)) return null;
        if (from is not { } begin || until is not { } end) return null;
        if (end > begin) return new OnCallOverride(begin, end, user);
        at.Fail("`until` must lie after `from`");
        return null;
    }

    /// <summary>With its offset: a local time is ambiguous once a year.</summary>
    private static DateTimeOffset? Instant(Cursor at)
    {
        if (at.Required("a time with its offset, such as `2026-12-24T09:00:00+01:00`") is not { } text) return null;
        if (DateTimeOffset.TryParseExact(text, ["yyyy-MM-dd'T'HH:mm:ssK", "yyyy-MM-dd'T'HH:mmK"], CultureInfo.InvariantCulture, DateTimeStyles.None, out var instant)
            && (text[^1] == 'Z' || text[^6] is '+' or '-')) return instant;
        at.Fail($"`{Shown.Text(text)}` is not a time with its offset; write `2026-12-24T09:00:00+01:00`");
        return null;
    }

    private delegate bool TryParse<T>(string text, out T value);

    private static T Parsed<T>(Cursor at, string what, TryParse<T> parse, T fallback)
    {
        if (at.Required(what) is not { } text) return fallback;
        if (parse(text, out var value)) return value;
        at.Fail($"`{Shown.Text(text)}` is not {what}");
        return fallback;
    }
}
