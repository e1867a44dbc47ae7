using System.Globalization;
using System.Text;

namespace Countersign.Config.Yaml;

/// <summary>User input as an error shows it: one line, no control or format character left invisible, bounded, with a mark where cut.</summary>
internal static class Shown
{
    private const int MaxCharacters = 80;

    public static string Text(string value)
    {
        var shown = new StringBuilder();
        foreach (var rune in value.EnumerateRunes())
        {
            if (shown.Length >= MaxCharacters) return shown.Append('…').ToString();
            var hidden = Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator
                or UnicodeCategory.ParagraphSeparator or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned;
            if (hidden || rune.Value == '`') shown.Append(CultureInfo.InvariantCulture, $"\\u{{{rune.Value:x}}}");
            else shown.Append(rune.ToString());
        }

        return shown.ToString();
    }
}

/// <summary>Paths as people write them: `targets.shop.port`, `users.alice.groups[1]`, `resources["shop.public.t"]`.</summary>
internal static class YamlPath
{
    public static string Key(string path, string key)
    {
        var plain = key.Length > 0 && key.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '@');
        if (!plain) return $"{path}[\"{Shown.Text(key)}\"]";
        return path.Length == 0 ? key : $"{path}.{key}";
    }

    public static string Index(string path, int index) => string.Create(CultureInfo.InvariantCulture, $"{path}[{index}]");
}
