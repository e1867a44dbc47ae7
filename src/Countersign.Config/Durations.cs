using System.Globalization;

namespace Countersign.Config;

/// <summary>Durations as the configuration writes them: a whole number and one of `s`, `m`, `h`.</summary>
public static class Durations
{
    /// <summary>At most six digits, so that nothing overflows; no sign, no fraction, no white space.</summary>
    public static bool TryParse(string? text, out TimeSpan value)
    {
        value = default;
        if (text is null || text.Length is < 2 or > 7) return false;
        var digits = text.AsSpan(0, text.Length - 1);
        if (digits.ContainsAnyExceptInRange('0', '9')) return false;
        var number = long.Parse(digits, NumberStyles.None, CultureInfo.InvariantCulture);
        TimeSpan? parsed = text[^1] switch
        {
            's' => TimeSpan.FromSeconds(number),
            'm' => TimeSpan.FromMinutes(number),
            'h' => TimeSpan.FromHours(number),
            _ => null,
        };
        value = parsed ?? default;
        return parsed is not null;
    }

    /// <summary>The largest unit that says it exactly.</summary>
    public static string Format(TimeSpan value)
    {
        var seconds = (long)value.TotalSeconds;
        if (seconds > 0 && seconds % 3600 == 0) return string.Create(CultureInfo.InvariantCulture, $"{seconds / 3600}h");
        if (seconds > 0 && seconds % 60 == 0) return string.Create(CultureInfo.InvariantCulture, $"{seconds / 60}m");
        return string.Create(CultureInfo.InvariantCulture, $"{seconds}s");
    }
}
