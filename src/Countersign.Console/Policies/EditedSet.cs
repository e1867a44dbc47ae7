using Microsoft.AspNetCore.Http;

namespace Countersign.Pages.Policies;

/// <summary>The policy set in a form: the files of the revision in force, as they were changed there, and perhaps one more.</summary>
/// <param name="Files">As they stand in the form, by path.</param>
/// <param name="Serving">As they serve.</param>
/// <param name="NewPath">The path of the file that is added; null: none.</param>
public sealed record EditedSet(IReadOnlyDictionary<string, string> Files, IReadOnlyDictionary<string, string> Serving, string? NewPath = null)
{
    /// <summary>What a field of a file's text is named with, before its path.</summary>
    public const string Field = "file:";

    public bool IsChanged => Files.Count != Serving.Count || Files.Any(f => IsChangedIn(f.Key));

    public bool IsChangedIn(string path) => !Serving.TryGetValue(path, out var text) || text.ReplaceLineEndings("\n") != Files[path];

    /// <summary>Those that were changed, first.</summary>
    public IEnumerable<KeyValuePair<string, string>> Ordered => Files.OrderByDescending(f => IsChangedIn(f.Key)).ThenBy(static f => f.Key, StringComparer.Ordinal);

    public static EditedSet Of(IReadOnlyDictionary<string, string> serving) =>
        new(serving.ToDictionary(static f => f.Key, static f => f.Value.ReplaceLineEndings("\n"), StringComparer.Ordinal), serving);

    /// <summary>
    /// A browser sends line ends as CR LF, whatever they were. A file that the form does not name stays as it serves, so that a
    /// form that lost one does not take policies away unseen.
    /// </summary>
    public static EditedSet Of(IFormCollection form, IReadOnlyDictionary<string, string> serving)
    {
        var files = Of(serving).Files.ToDictionary(static f => f.Key, static f => f.Value, StringComparer.Ordinal);
        foreach (var (name, value) in form)
        {
            if (name.StartsWith(Field, StringComparison.Ordinal) && name.Length > Field.Length) files[name[Field.Length..]] = value.ToString().ReplaceLineEndings("\n");
        }

        var added = form["new-text"].ToString().ReplaceLineEndings("\n");
        if (added.Trim().Length == 0) return new EditedSet(files, serving);
        var path = form["new-path"].ToString().Trim() is { Length: > 0 } said ? said : "new.cedar";
        while (files.ContainsKey(path)) path = $"new-{path}";
        files[path] = added;
        return new EditedSet(files, serving, path);
    }
}
