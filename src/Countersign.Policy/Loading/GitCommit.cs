namespace Countersign.Policy.Loading;

/// <summary>
/// The commit that a folder's work tree has checked out, read from the files of git itself (gitrepository-layout(5)): no git is needed, and
/// none is run on a repository that somebody else may have configured. The content hash is what binds; the commit is for people.
/// </summary>
static class GitCommit
{
    const int LongestFile = 1 << 20;

    /// <summary>The commit in hex, or null when there is none or it cannot be read.</summary>
    public static string? Of(string folder)
    {
        try
        {
            return Find(folder)?.Head;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException) { }
        return null;
    }

    /// <summary>The work tree that a folder is in, the folder of its repository that holds the objects, and the commit it has checked out.</summary>
    public static (string WorkTree, string Common, string? Head)? Find(string folder)
    {
        for (var at = new DirectoryInfo(Path.GetFullPath(folder)); at is not null; at = at.Parent)
        {
            var git = Path.Combine(at.FullName, ".git");
            if (Directory.Exists(git)) return (at.FullName, git, Head(git, git));
            if (!File.Exists(git)) continue;
            // A linked work tree or submodule: `gitdir: <path>`.
            var pointer = Line(git);
            if (pointer is null || !pointer.StartsWith("gitdir: ", StringComparison.Ordinal)) return null;
            var own = Path.GetFullPath(pointer["gitdir: ".Length..], at.FullName);
            var common = Line(Path.Combine(own, "commondir")) is { } c ? Path.GetFullPath(c, own) : own;
            return (at.FullName, common, Head(own, common));
        }
        return null;
    }

    static string? Head(string own, string common)
    {
        var head = Line(Path.Combine(own, "HEAD"));
        if (head is null) return null;
        if (!head.StartsWith("ref: ", StringComparison.Ordinal)) return Commit(head);
        var name = head["ref: ".Length..].Trim();
        if (!name.StartsWith("refs/", StringComparison.Ordinal) || name.Split('/').Contains("..")) return null;
        return Commit(Line(Path.Combine(own, name))) ?? Commit(Line(Path.Combine(common, name))) ?? Packed(Path.Combine(common, "packed-refs"), name);
    }

    static string? Packed(string path, string name)
    {
        if (!File.Exists(path)) return null;
        foreach (var line in File.ReadLines(path))
            if (line.Length > 41 && line.EndsWith(" " + name, StringComparison.Ordinal)) return Commit(line[..line.IndexOf(' ', StringComparison.Ordinal)]);
        return null;
    }

    static string? Line(string path) =>
        File.Exists(path) && new FileInfo(path).Length < LongestFile ? File.ReadLines(path).FirstOrDefault()?.Trim() : null;

    static string? Commit(string? text) => text is { Length: 40 or 64 } && text.All(char.IsAsciiHexDigitLower) ? text : null;
}
