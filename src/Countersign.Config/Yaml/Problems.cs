namespace Countersign.Config.Yaml;

/// <summary>Collects everything that is wrong, up to a bound.</summary>
internal sealed class Problems
{
    private readonly List<ConfigError> errors = [];
    private int more;

    public bool Any => errors.Count > 0;

    public void Add(string path, Position at, string message)
    {
        if (errors.Count < ConfigLimits.Errors) errors.Add(new ConfigError(path, at.Line, at.Column, message));
        else more++;
    }

    /// <summary>In the order of the file.</summary>
    public IReadOnlyList<ConfigError> InOrder()
    {
        var ordered = errors.OrderBy(static e => e.Line).ThenBy(static e => e.Column).Distinct().ToList();
        if (more > 0) ordered.Add(new ConfigError("", 0, 0, $"and {more} more; correct these first"));
        return ordered;
    }
}
