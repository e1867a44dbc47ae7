namespace Countersign.Config.Tests;

public sealed class OnCallTests
{
    private const string Schedule = "members: [alice, bob], start: 2026-11-23, handover: \"09:00\", zone: Europe/Berlin";

    private static string With(string keys) => Yaml.Minimal.Replace("targets:", "  bob: {}\n  carol: {}\ntargets:", StringComparison.Ordinal) + $"oncall: {{ primary: {{ {keys} }} }}\n";

    [Fact]
    public void Schedule_is_read_whole()
    {
        var schedule = Assert.Single(Yaml.Good(With(Schedule + ", period: 1d, overrides: [{ from: \"2026-11-24T09:00:00+01:00\", until: \"2026-11-25T08:00Z\", user: carol }]")).OnCall);
        Assert.Equal("oncall:primary", schedule.Group);
        Assert.Equal(["alice", "carol", "carol", "alice"], new[] { "2026-11-24T07:59:59Z", "2026-11-24T08:00:00Z", "2026-11-25T07:59:59Z", "2026-11-25T08:00:00Z" }.Select(t => schedule.At(DateTimeOffset.Parse(t, System.Globalization.CultureInfo.InvariantCulture))));
        Assert.Equal(7, Yaml.Good(With(Schedule)).OnCall[0].PeriodDays);
    }

    [Theory]
    [InlineData("start: 2026-11-23, handover: \"09:00\", zone: UTC", "missing: the people")]
    [InlineData("members: [alice, alice], start: 2026-11-23, handover: \"09:00\", zone: UTC", "listed twice")]
    [InlineData("members: [alice], start: 23.11.2026, handover: \"09:00\", zone: UTC", "is not the day")]
    [InlineData("members: [alice], start: 2026-11-23, handover: \"9\", zone: UTC", "is not the time of day")]
    [InlineData("members: [alice], start: 2026-11-23, handover: \"09:00\", zone: Mars/Olympus", "not an IANA time zone")]
    [InlineData("members: [alice], start: 2026-11-23, handover: \"09:00\", zone: W. Europe Standard Time", "not an IANA time zone")]
    [InlineData("members: [alice], start: 2026-11-23, handover: \"09:00\"", "missing: the IANA time zone")]
    [InlineData(Schedule + ", period: 2w", "is not a turn")]
    [InlineData(Schedule + ", overrides: [{ from: \"2026-11-24T09:00:00\", until: \"2026-11-25T09:00:00Z\", user: bob }]", "not a time with its offset")]
    [InlineData(Schedule + ", overrides: [{ from: \"2026-11-26T09:00:00Z\", until: \"2026-11-25T09:00:00Z\", user: bob }]", "after `from`")]
    [InlineData(Schedule + ", overrides: [{ from: \"2026-11-24T09:00:00Z\", until: \"2026-11-25T09:00:00Z\", user: bob }, { from: \"2026-11-25T08:00:00Z\", until: \"2026-11-26T09:00:00Z\", user: alice }]", "overlap")]
    public void Schedule_that_is_wrong_is_refused(string keys, string message) =>
        Assert.Contains(message, Yaml.Bad(With(keys)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("members: [alice, bbo], start: 2026-11-23, handover: \"09:00\", zone: UTC", "oncall.primary.members[1]")]
    [InlineData("members: [alice, Bob], start: 2026-11-23, handover: \"09:00\", zone: UTC", "oncall.primary.members[1]")]
    [InlineData(Schedule + ", overrides: [{ from: \"2026-11-24T09:00:00Z\", until: \"2026-11-25T09:00:00Z\", user: carl }]", "oncall.primary.overrides[0].user")]
    public void P36_name_that_is_nobodys_is_not_on_call(string keys, string path)
    {
        var error = Yaml.Bad(With(keys));
        Assert.Equal(path, error.Path);
        Assert.Contains("is not in `users`", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Name_that_only_a_provider_can_know_is_a_warning_and_a_twin_of_a_user_an_error()
    {
        const string provider = "identity: { oidc: { issuer: https://id.example.com, client-id: gw, public-client: true } }\n";
        var config = Yaml.Good(With("members: [alice, zoe], start: 2026-11-23, handover: \"09:00\", zone: UTC") + provider);
        var warning = Assert.Single(config.Warnings);
        Assert.Equal("oncall.primary.members[1]", warning.Path);
        Assert.Contains("it is nobody", warning.Message, StringComparison.Ordinal);
        Assert.Contains("is not in `users`", Yaml.Bad(With("members: [Alice], start: 2026-11-23, handover: \"09:00\", zone: UTC") + provider).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void I11_author_who_is_nobody_is_refused() =>
        Assert.Equal("governance.authors", Yaml.Bad(Yaml.Minimal + "governance: { authors: { alice@example.org: alcie } }\n").Path[..18]);
}
