using System.Globalization;
using System.Text;

namespace Countersign.Policy.Loading;

/// <summary>
/// Who wrote what a policy folder says, as git tells it: claims of whoever committed, unless the repository refuses what is
/// not signed. Good enough to keep the honest from approving their own rule, and journalled so that the rest is found.
/// </summary>
public static class GitHistory
{
    /// <summary>Commits that are looked at: more at once is a history that was rewritten.</summary>
    const int Most = 2_000;

    sealed record Commit(string Tree, IReadOnlyList<string> Parents, IReadOnlyList<string> Mails, DateTimeOffset At);

    /// <summary>
    /// E-mail addresses, in lower case, of authors and committers of the commits that changed the folder, or the file: those since a
    /// commit that was known, else those not older than <paramref name="notBefore"/>. Empty where there is no work tree.
    /// </summary>
    public static IReadOnlyList<string> Authors(string folder, string? since, DateTimeOffset notBefore)
    {
        try
        {
            if (GitCommit.Find(folder) is not { Head: { } head } found) return [];
            var objects = new GitObjects(found.Common);
            var path = Path.GetRelativePath(found.WorkTree, Path.GetFullPath(folder)).Replace('\\', '/').Split('/', StringSplitOptions.RemoveEmptyEntries).Where(static p => p != ".").ToArray();
            var old = since is null ? [] : Reach(objects, since, [], static _ => true).Keys.ToHashSet(StringComparer.Ordinal);
            var mails = new SortedSet<string>(StringComparer.Ordinal);
            var fresh = Reach(objects, head, old, c => since is not null || c.At >= notBefore);
            foreach (var commit in fresh.Values)
            {
                var mine = Subtree(objects, commit.Tree, path);
                if (commit.Parents.Any(p => Parse(objects, p) is { } parent && Subtree(objects, parent.Tree, path) == mine)) continue;
                if (commit.Parents.Count == 0 && mine is null) continue;
                mails.UnionWith(commit.Mails);
            }
            return [.. mails];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return [];
        }
    }

    /// <summary>The commit that the work tree of a file or folder has checked out, in hex; null where there is none.</summary>
    public static string? Head(string path) => GitCommit.Of(path);

    static Dictionary<string, Commit> Reach(GitObjects objects, string from, HashSet<string> without, Func<Commit, bool> on)
    {
        var reached = new Dictionary<string, Commit>(StringComparer.Ordinal);
        var open = new Queue<string>([from]);
        while (reached.Count < Most && open.TryDequeue(out var id))
        {
            if (without.Contains(id) || reached.ContainsKey(id) || Parse(objects, id) is not { } commit || !on(commit)) continue;
            reached.Add(id, commit);
            foreach (var parent in commit.Parents) open.Enqueue(parent);
        }
        return reached;
    }

    static Commit? Parse(GitObjects objects, string id)
    {
        if (objects.Read(id) is not { Type: "commit", Bytes: var bytes }) return null;
        string? tree = null;
        var parents = new List<string>();
        var mails = new List<string>();
        var at = DateTimeOffset.MinValue;
        foreach (var line in Encoding.UTF8.GetString(bytes).Split('\n'))
        {
            if (line.Length == 0) break; // the message
            if (line.StartsWith("tree ", StringComparison.Ordinal)) tree = line[5..];
            else if (line.StartsWith("parent ", StringComparison.Ordinal)) parents.Add(line[7..]);
            else if (line.StartsWith("author ", StringComparison.Ordinal) || line.StartsWith("committer ", StringComparison.Ordinal))
            {
                int open = line.LastIndexOf('<'), close = line.LastIndexOf('>');
                if (open < 0 || close < open) continue;
                mails.Add(line[(open + 1)..close].ToLowerInvariant());
                if (line[0] == 'c' && long.TryParse(line[(close + 1)..].Trim().Split(' ')[0], NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) && seconds < 253402300799) at = DateTimeOffset.FromUnixTimeSeconds(seconds);
            }
        }
        return tree is null ? null : new Commit(tree, parents, mails, at);
    }

    /// <summary>Id of what stands at a path of a tree, or null.</summary>
    static string? Subtree(GitObjects objects, string tree, IReadOnlyList<string> path)
    {
        var at = tree;
        foreach (var name in path)
        {
            if (objects.Read(at) is not { Type: "tree", Bytes: var bytes }) return null;
            // Entries: mode, space, name, NUL, raw id.
            string? next = null;
            var hash = at.Length / 2;
            for (var i = 0; i < bytes.Length && next is null;)
            {
                int space = Array.IndexOf(bytes, (byte)' ', i), end = space < 0 ? -1 : Array.IndexOf(bytes, (byte)0, space);
                if (end < 0 || end + hash >= bytes.Length + 1) return null;
                if (Encoding.UTF8.GetString(bytes, space + 1, end - space - 1) == name) next = Convert.ToHexStringLower(bytes.AsSpan(end + 1, hash));
                i = end + 1 + hash;
            }
            if (next is null) return null;
            at = next;
        }
        return at;
    }
}
