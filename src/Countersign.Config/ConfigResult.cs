using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Countersign.Config;

/// <summary>
/// One thing that is wrong with the configuration. <see cref="Path"/> is the YAML path (`targets.shop.port`, empty for
/// the document itself); line and column count from 1, and are 0 where there is no place in the file.
/// </summary>
public sealed record ConfigError(string Path, int Line, int Column, string Message)
{
    /// <summary>`line:column: path: message`, as editors and people read it.</summary>
    public override string ToString()
    {
        var place = Line == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"{Line}:{Column}: ");
        return Path.Length == 0 ? $"{place}{Message}" : $"{place}{Path}: {Message}";
    }
}

/// <summary>A model, or everything that is wrong: never both, never a part.</summary>
public sealed class ConfigResult
{
    private readonly CountersignConfig? config;

    internal ConfigResult(CountersignConfig? config, IReadOnlyList<ConfigError> errors)
    {
        this.config = errors.Count == 0 ? config : null;
        Errors = errors;
    }

    /// <summary>In the order of the file.</summary>
    public IReadOnlyList<ConfigError> Errors { get; }

    public bool TryGet([NotNullWhen(true)] out CountersignConfig? model)
    {
        model = config;
        return model is not null;
    }
}
