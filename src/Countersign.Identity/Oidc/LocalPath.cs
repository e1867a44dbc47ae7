using Countersign.Core;

namespace Countersign.Identity.Oidc;

/// <summary>Where a person is led after signing in: a path of this server and of no other (open redirect).</summary>
public static class LocalPath
{
    /// <summary>Longest path, characters.</summary>
    public const int MaxLength = 1024;

    /// <summary>
    /// The path when it can only be one of ours, else `/`. It begins with one slash and holds nothing that a browser would
    /// drop or read as a slash on its way to another host: `//evil`, `/\evil`, `/&lt;tab&gt;/evil` (WHATWG URL §4.4).
    /// </summary>
    public static string Or(string? path)
    {
        const string home = "/";
        if (string.IsNullOrEmpty(path) || path.Length > MaxLength || path[0] != '/') return home;
        if (path.Length > 1 && path[1] == '/') return home;
        foreach (var c in path)
        {
            if (c is '\\' or < '!' or > '~') return home;
        }

        // Neither round and round, nor into something that is no page. Paths are routed whatever their case; what is escaped or
        // has dots could become another on its way.
        var end = path.AsSpan(1).IndexOfAny('?', '#');
        var segments = (end < 0 ? path[1..] : path.Substring(1, end)).Split('/');
        if (segments[0].Contains('%', StringComparison.Ordinal) || Array.Exists(segments, static s => s.Replace("%2e", ".", StringComparison.OrdinalIgnoreCase) is "." or "..")) return home;
        return segments[0].ToLowerInvariant() is "login" or "api" or "scim" ? home : path;
    }
}
