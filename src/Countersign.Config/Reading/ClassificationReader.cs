using Countersign.Config.Yaml;

namespace Countersign.Config.Reading;

internal static class ClassificationReader
{
    private const int MaxFrameworkLength = 64;
    private const string None = "none";

    public static Classification Read(Cursor at, IReadOnlyCollection<string> targets)
    {
        var classes = Classes(at["classes"]);
        var rules = new List<ClassificationRule>();
        var seen = new Dictionary<(string?, string?, string?), string>();
        foreach (var (text, key, value) in at["resources"].Entries())
        {
            var listed = new List<string>();
            foreach (var item in value.Items())
            {
                if (item.Text is { } name && Known(item, name, classes)) listed.Add(name);
            }

            if (ResourcePattern.Parse(text, out var problem) is not { } pattern) key.Fail(problem);
            else if (pattern.Target is { } target && !targets.Contains(target, StringComparer.Ordinal)) key.Fail($"there is no target `{Shown.Text(target)}`{DidYouMean.Hint(target, targets)}");
            else if (!seen.TryAdd(pattern, text)) key.Fail($"says the same as `{Shown.Text(seen[pattern])}`; keep one of them");
            else rules.Add(new ClassificationRule(pattern.Target, pattern.Schema, pattern.Name, listed));
        }

        var unlisted = at["default"].Text;
        if (unlisted == None || (unlisted is not null && !Known(at["default"], unlisted, classes))) unlisted = null;
        return new Classification(classes, rules, unlisted, at["bounded-rows"].Number(ConfigLimits.BoundedRows)) { Order = Order(at["order"], classes) };
    }

    private static Dictionary<string, DataClass> Classes(Cursor at)
    {
        var names = new NameReader("data class");
        var classes = new Dictionary<string, DataClass>(StringComparer.Ordinal) { [Classification.Secrets] = new(Classification.Secrets, []) };
        foreach (var (name, key, value) in at.Entries())
        {
            var frameworks = new List<string>();
            foreach (var item in value["frameworks"].Items())
            {
                if (item.Text is not { } framework) continue;
                if (framework.Length is > 0 and <= MaxFrameworkLength && framework.All(static c => char.IsAsciiLetterOrDigit(c) || c is ' ' or '.' or '_' or ':' or '-')) frameworks.Add(framework);
                else item.Fail($"`{Shown.Text(framework)}` is no name for a framework: use 1 to {MaxFrameworkLength} letters, digits, spaces and `.` `_` `:` `-`");
            }

            if (name.Equals(None, StringComparison.OrdinalIgnoreCase)) key.Fail("`none` is the word for no class; choose another name");
            else if (name != Classification.Secrets && name.Equals(Classification.Secrets, StringComparison.OrdinalIgnoreCase)) key.Fail($"differs from the built-in `{Classification.Secrets}` only by case");
            else if (names.TryTake(key, name)) classes[name] = new DataClass(name, frameworks.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray());
        }

        return classes;
    }

    /// <summary>Classes from the lowest to the highest.</summary>
    private static List<string> Order(Cursor at, Dictionary<string, DataClass> classes)
    {
        var order = new List<string>();
        foreach (var item in at.Items())
        {
            if (item.Text is not { } name || !Known(item, name, classes)) continue;
            if (name == Classification.Secrets) item.Fail($"`{Classification.Secrets}` is above every other class whatever this says; remove it here");
            else if (order.Contains(name, StringComparer.Ordinal)) item.Fail($"class `{name}` is listed twice");
            else order.Add(name);
        }

        return order;
    }

    private static bool Known(Cursor at, string name, Dictionary<string, DataClass> classes)
    {
        if (classes.ContainsKey(name)) return true;
        at.Fail($"there is no class `{Shown.Text(name)}` in `classification.classes`{DidYouMean.Hint(name, classes.Keys)}");
        return false;
    }
}
