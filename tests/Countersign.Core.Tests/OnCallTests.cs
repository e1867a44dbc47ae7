using CsCheck;

namespace Countersign.Core.Tests;

public sealed class OnCallTests
{
    private static readonly TimeZoneInfo Berlin = TimeZoneInfo.FindSystemTimeZoneById("Europe/Berlin");

    private static OnCallSchedule Schedule(int days = 7, string handover = "09:00") => new()
    {
        Name = "primary",
        Members = ["ada", "ben", "cem"],
        Start = new DateOnly(2026, 3, 23), // the Monday before the clocks go forward on the 29th
        PeriodDays = days,
        Handover = TimeOnly.Parse(handover, System.Globalization.CultureInfo.InvariantCulture),
        Zone = Berlin,
    };

    [Theory]
    [InlineData("2026-03-23T07:59:59Z", null)]  // nobody before the first turn
    [InlineData("2026-03-23T08:00:00Z", "ada")] // 09:00 in winter
    [InlineData("2026-03-30T06:59:59Z", "ada")]
    [InlineData("2026-03-30T07:00:00Z", "ben")] // 09:00 in summer: that week had 167 hours
    [InlineData("2026-04-06T07:00:00Z", "cem")]
    [InlineData("2026-04-13T07:00:00Z", "ada")]
    [InlineData("2026-10-26T07:59:59Z", "ada")] // the week that ends in winter again had 169 hours
    [InlineData("2026-10-26T08:00:00Z", "ben")]
    public void Turns_change_at_the_same_time_of_day_in_summer_and_winter(string at, string? user) => Assert.Equal(user, Schedule().At(Time(at)));

    [Theory]
    [InlineData("2026-03-29T00:59:59Z", "cem")] // 01:59:59, and then the clocks skip 02:30
    [InlineData("2026-03-29T01:00:00Z", "ada")] // 03:00
    [InlineData("2026-03-30T00:30:00Z", "ben")] // 02:30 again
    public void Handover_that_the_clocks_skip_is_when_they_skip_it(string at, string user) => Assert.Equal(user, Schedule(1, "02:30").At(Time(at)));

    [Fact]
    public void Handover_that_the_clocks_show_twice_happens_at_the_first()
    {
        var schedule = Schedule(1, "02:30"); // 2026-10-25: 00:30Z and 01:30Z
        Assert.NotEqual(schedule.At(Time("2026-10-25T00:29:59Z")), schedule.At(Time("2026-10-25T00:30:00Z")));
        Assert.Equal(schedule.At(Time("2026-10-25T00:30:00Z")), schedule.At(Time("2026-10-25T01:30:00Z")));
        Assert.Equal(schedule.At(Time("2026-10-25T00:30:00Z")), schedule.At(Time("2026-10-26T01:29:59Z")));
    }

    [Fact]
    public void Override_holds_from_its_first_moment_to_before_its_last()
    {
        var schedule = Schedule() with { Overrides = [new OnCallOverride(Time("2026-03-24T00:00:00Z"), Time("2026-03-25T00:00:00Z"), "zoe")] };
        Assert.Equal(["ada", "zoe", "zoe", "ada"], new[] { "2026-03-23T23:59:59Z", "2026-03-24T00:00:00Z", "2026-03-24T23:59:59Z", "2026-03-25T00:00:00Z" }.Select(t => schedule.At(Time(t))));
    }

    [Fact]
    public void Turns_follow_each_other_and_each_ends_when_it_says() =>
        Gen.Select(Gen.Int[1, 9], Gen.Int[0, 23], Gen.Int[0, 59], Gen.Int[0, 2 * 365 * 24 * 60]).Sample(static (days, hour, minute, minutes) =>
        {
            var schedule = Schedule(days) with { Handover = new TimeOnly(hour, minute) };
            var now = Time("2026-03-24T12:00:00Z").AddMinutes(minutes);
            var ends = schedule.HandoverAfter(now)!.Value;
            var next = schedule.Members[(schedule.Members.ToList().IndexOf(schedule.At(now)!) + 1) % schedule.Members.Count];
            return ends > now && ends - now <= TimeSpan.FromHours(days * 24 + 1)
                && schedule.At(ends.AddTicks(-1)) == schedule.At(now) && schedule.At(ends) == next;
        });

    private static DateTimeOffset Time(string text) => DateTimeOffset.Parse(text, System.Globalization.CultureInfo.InvariantCulture);
}
