using System.Globalization;
using Countersign.Config.Yaml;
using Countersign.Core;

namespace Countersign.Config.Reading;

internal static class RoutingReader
{
    private static readonly string[] Verbs = ["read", "export", "write", "destroy", "administer"];

    private static readonly Dictionary<string, DayOfWeek> Days = new(StringComparer.Ordinal)
    {
        ["mon"] = DayOfWeek.Monday, ["tue"] = DayOfWeek.Tuesday, ["wed"] = DayOfWeek.Wednesday, ["thu"] = DayOfWeek.Thursday,
        ["fri"] = DayOfWeek.Friday, ["sat"] = DayOfWeek.Saturday, ["sun"] = DayOfWeek.Sunday,
    };

    /// <summary>What routes may name.</summary>
    internal sealed record Known(IReadOnlyCollection<string> Targets, IReadOnlyCollection<string> Environments, Classification Classification, IReadOnlyList<OnCallSchedule> OnCall);

    public static IReadOnlyList<Route> Routes(Cursor at, ChannelsConfig channels, Known known)
    {
        var quiet = Quiet(at["quiet"]);
        var names = new NameReader("route");
        var routes = new List<Route>();
        foreach (var (name, key, route) in at["routes"].Entries())
        {
            var named = names.TryTake(key, name);
            if (!route["to"].IsList) route["to"].Fail("missing: `to`, where it is told, such as `[\"slack:C024BE91L\"]`");
            QuietHours? hours = null;
            if (route["quiet"].Text is { } wanted && !quiet.TryGetValue(wanted, out hours)) route["quiet"].Fail($"there are no quiet hours `{Shown.Text(wanted)}` in `routing.quiet`{DidYouMean.Hint(wanted, quiet.Keys)}");
            if (route["quiet-to"].Exists && !route["quiet"].Exists) route["quiet-to"].Fail("has no effect without `quiet`; name the quiet hours, or remove it");
            var read = new Route
            {
                Name = name,
                Targets = Named(route["targets"], "target", known.Targets),
                Environments = Named(route["environments"], "environment of a target", known.Environments),
                Classes = Named(route["classes"], "data class", known.Classification.Classes.Keys.ToArray()),
                Verbs = Named(route["verbs"], "verb", Verbs),
                Groups = route["groups"].Items().Select(static i => i.Text).OfType<string>().ToArray(),
                To = Places(route["to"], channels, known.OnCall),
                Quiet = hours,
                QuietTo = Places(route["quiet-to"], channels, known.OnCall),
                EscalationTo = Places(route["escalation-to"], channels, known.OnCall),
            };
            if (named) routes.Add(read);
        }

        return routes.OrderBy(static r => r.Name, StringComparer.Ordinal).ToArray();
    }

    private static string[] Named(Cursor at, string what, IReadOnlyCollection<string> known)
    {
        var names = new List<string>();
        foreach (var item in at.Items())
        {
            if (item.Text is not { } name) continue;
            if (known.Contains(name, StringComparer.Ordinal)) names.Add(name);
            else item.Fail($"there is no {what} `{Shown.Text(name)}`{DidYouMean.Hint(name, known)}; this route would never match");
        }

        return names.ToArray();
    }

    private static List<Destination> Places(Cursor at, ChannelsConfig channels, IReadOnlyList<OnCallSchedule> schedules)
    {
        var places = new List<Destination>();
        foreach (var item in at.Items())
        {
            if (item.Text is not { } text) continue;
            if (Destination.Parse(text) is not { } to) item.Fail($"`{Shown.Text(text)}` is no place; write `channel:place`, such as `slack:C024BE91L`");
            else if (!channels.Names.Contains(to.Channel, StringComparer.Ordinal)) item.Fail($"there is no channel `{Shown.Text(to.Channel)}` in `channels`{DidYouMean.Hint(to.Channel, channels.Names)}");
            else if (to.Place.StartsWith(Destination.OnCallPlace, StringComparison.Ordinal) && schedules.All(s => s.Name != to.Place[Destination.OnCallPlace.Length..])) item.Fail($"there is no schedule `{Shown.Text(to.Place[Destination.OnCallPlace.Length..])}` in `oncall`");
            else if (to.Channel == "slack" && !IsSlackPlace(to.Place)) item.Fail($"`{Shown.Text(to.Place)}` is no place in Slack: write the id of a conversation (`C024BE91L`) or of a person (`U024BE7LH`), `oncall/NAME` or `eligible`; a name can be given to another channel");
            else if (to.Channel == "teams" && !TeamsReader.IsPlace(to.Place)) item.Fail($"`{Shown.Text(to.Place)}` is no place in Teams: write the id of a channel (`19:…@thread.tacv2`), `oncall/NAME` or `eligible`; a name can be given to another channel");
            else if (to.Channel == "mail" && !MailReader.IsAddress(to.Place)) item.Fail($"`{Shown.Text(to.Place)}` is no place for mail: write one address, such as `dba@example.com`");
            else places.Add(to);
        }

        return places;
    }

    private static bool IsSlackPlace(string place) =>
        place == Destination.Eligible || place.StartsWith(Destination.OnCallPlace, StringComparison.Ordinal)
        || (place.Length is >= 9 and <= 20 && place[0] is 'C' or 'G' or 'U' or 'W' or 'D' && place.All(static c => char.IsAsciiLetterUpper(c) || char.IsAsciiDigit(c)));

    private static Dictionary<string, QuietHours> Quiet(Cursor at)
    {
        var names = new NameReader("quiet hours");
        var quiet = new Dictionary<string, QuietHours>(StringComparer.Ordinal);
        foreach (var (name, key, hours) in at.Entries())
        {
            var named = names.TryTake(key, name);
            var zone = OnCallReader.Zone(hours["zone"]);
            var from = Time(hours["from"], "when it begins, such as `\"22:00\"`");
            var until = Time(hours["until"], "when it ends, such as `\"07:00\"`; the same time as `from` is the whole day");
            var days = new HashSet<DayOfWeek>();
            foreach (var item in hours["days"].Items())
            {
                if (item.Text is not { } text) continue;
                if (Days.TryGetValue(text, out var day)) days.Add(day);
                else item.Fail($"`{Shown.Text(text)}` is not one of {string.Join(", ", Days.Keys.Select(static d => $"`{d}`"))}");
            }

            if (named && zone is not null && from is { } begin && until is { } end) quiet[name] = new QuietHours(begin, end, days.Count > 0 ? days : Days.Values.ToHashSet(), zone);
        }

        return quiet;
    }

    private static TimeOnly? Time(Cursor at, string what)
    {
        if (at.Required(what) is not { } text) return null;
        if (TimeOnly.TryParseExact(text, "HH:mm", CultureInfo.InvariantCulture, DateTimeStyles.None, out var time)) return time;
        at.Fail($"`{Shown.Text(text)}` is not a time of day, such as `\"22:00\"`");
        return null;
    }
}
