using System.Globalization;
using System.Text;

namespace Countersign.PgWire;

/// <summary>
/// Dates and times, in PostgreSQL's ISO style. .NET's own types end at the years 1 and 9999 and know no infinity, so the
/// calendar is reckoned here.
/// </summary>
static class DateTimeText
{
    const long MicrosPerSecond = 1_000_000;
    const long MicrosPerDay = 86_400 * MicrosPerSecond;

    /// <summary>4714-11-24 BC, day 0 of the Julian count, in days from 2000-01-01 (<c>DATETIME_MIN_JULIAN</c>).</summary>
    const int FirstDay = -2451545;

    /// <summary>One past the last day of a date (<c>DATE_END_JULIAN</c>).</summary>
    const int EndDay = 2147483494 - 2451545;

    /// <summary>One past the last instant of a timestamp, year 294276 (<c>END_TIMESTAMP</c>).</summary>
    const long EndTimestamp = 9223371331200000000;

    /// <summary>Days from 2000-01-01.</summary>
    public static string? TryDate(int days) => days switch
    {
        int.MaxValue => "infinity",
        int.MinValue => "-infinity",
        < FirstDay or >= EndDay => null,
        _ => Date(days, out string era) + era,
    };

    /// <summary>Microseconds from midnight; 24:00:00 is a time.</summary>
    public static string? TryTime(long micros) => micros is < 0 or > MicrosPerDay ? null : Time(micros);

    /// <summary>As <see cref="TryTime"/>, with the zone in seconds west of Greenwich.</summary>
    public static string? TryTimeWithZone(long micros, int secondsWest)
    {
        const int limit = 16 * 3600;
        if (secondsWest is <= -limit or >= limit || TryTime(micros) is not { } time)
            return null;
        int seconds = Math.Abs(secondsWest);
        var zone = new StringBuilder(time).Append(secondsWest > 0 ? '-' : '+').Append(Two(seconds / 3600));
        if (seconds % 3600 != 0)
            zone.Append(':').Append(Two(seconds / 60 % 60));
        if (seconds % 60 != 0)
            zone.Append(':').Append(Two(seconds % 60));
        return zone.ToString();
    }

    /// <summary>Microseconds from 2000-01-01 00:00:00.</summary>
    public static string? TryTimestamp(long micros, string zone)
    {
        if (micros == long.MaxValue)
            return "infinity";
        if (micros == long.MinValue)
            return "-infinity";
        if (micros < FirstDay * MicrosPerDay || micros >= EndTimestamp)
            return null;
        long days = Math.DivRem(micros, MicrosPerDay, out long rest);
        if (rest < 0)
        {
            rest += MicrosPerDay;
            days--;
        }
        return Date(days, out string era) + " " + Time(rest) + zone + era;
    }

    /// <summary>Months, days and microseconds, which are three numbers: none can be turned into another.</summary>
    public static string? TryInterval(long micros, int days, int months)
    {
        // All at their limit is infinity to PostgreSQL 17 and a long time to its elders: not for us to say.
        if (micros is long.MaxValue or long.MinValue)
            return null;
        var parts = new List<string>(4);
        bool afterNegative = false;
        Add(months / 12, "year", "years");
        Add(months % 12, "mon", "mons");
        Add(days, "day", "days");
        if (micros != 0 || parts.Count == 0)
            parts.Add((micros < 0 ? "-" : afterNegative ? "+" : "") + Time(Math.Abs(micros)));
        return string.Join(' ', parts);

        void Add(int count, string one, string many)
        {
            if (count == 0)
                return;
            // A part that follows a negative one carries its plus, as the server prints it.
            string plus = afterNegative && count > 0 ? "+" : "";
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"{plus}{count} {(count == 1 ? one : many)}"));
            afterNegative = count < 0;
        }
    }

    /// <summary>The proleptic Gregorian calendar, reckoned in eras of 400 years that begin on the first of March.</summary>
    static string Date(long daysFrom2000, out string era)
    {
        const int daysPerEra = 146097;
        const int from0000March = 730425;
        long day = daysFrom2000 + from0000March;
        long eras = day >= 0 ? day / daysPerEra : (day - daysPerEra + 1) / daysPerEra;
        long ofEra = day - (eras * daysPerEra);
        long yearOfEra = (ofEra - (ofEra / 1460) + (ofEra / 36524) - (ofEra / 146096)) / 365;
        long ofYear = ofEra - ((365 * yearOfEra) + (yearOfEra / 4) - (yearOfEra / 100));
        long monthFromMarch = ((5 * ofYear) + 2) / 153;
        long dayOfMonth = ofYear - (((153 * monthFromMarch) + 2) / 5) + 1;
        long month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
        long year = yearOfEra + (eras * 400) + (month <= 2 ? 1 : 0);
        era = year <= 0 ? " BC" : "";
        return string.Create(CultureInfo.InvariantCulture, $"{(year <= 0 ? 1 - year : year):D4}-{month:D2}-{dayOfMonth:D2}");
    }

    static string Time(long micros)
    {
        long seconds = micros / MicrosPerSecond;
        long fraction = micros % MicrosPerSecond;
        string whole = string.Create(CultureInfo.InvariantCulture, $"{seconds / 3600:D2}:{seconds / 60 % 60:D2}:{seconds % 60:D2}");
        return fraction == 0 ? whole : whole + "." + fraction.ToString("D6", CultureInfo.InvariantCulture).TrimEnd('0');
    }

    static string Two(int value) => value.ToString("D2", CultureInfo.InvariantCulture);
}
