using System.Globalization;
using System.Text;
using Countersign.Core;

namespace Countersign.Channels.Cards;

/// <summary>
/// Text that <see cref="VisibleText"/> has made safe, for a place that has one line or reads no line feeds: what is left of
/// control characters is written out. A second pass of VisibleText would write out its own marks.
/// </summary>
internal static class OneLine
{
    public static string Of(string visible)
    {
        if (!visible.Any(char.IsControl)) return visible;
        var result = new StringBuilder(visible.Length + 16);
        foreach (var c in visible)
        {
            if (char.IsControl(c)) result.Append(CultureInfo.InvariantCulture, $"⟦U+{(int)c:X4}⟧");
            else result.Append(c);
        }

        return result.ToString();
    }
}
