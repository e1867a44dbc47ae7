using Countersign.Core;

namespace Countersign.Identity;

/// <summary>A provider's groups by our names.</summary>
/// <param name="Map">Theirs to ours; null takes them as they are.</param>
/// <param name="Known">Names that a group may have here; null for any.</param>
public sealed record GroupNames(IReadOnlyDictionary<string, string>? Map, IReadOnlyList<string>? Known)
{
    /// <summary>Our name, or null for a group that is nothing here. One value is one group: a separator in it makes no two (P36).</summary>
    public string? Of(string theirs)
    {
        var ours = Map is null ? theirs : Map.GetValueOrDefault(theirs);
        return ours is not null && Names.IsWellFormed(ours) && (Known is null || Known.Contains(ours, StringComparer.Ordinal)) ? ours : null;
    }
}
