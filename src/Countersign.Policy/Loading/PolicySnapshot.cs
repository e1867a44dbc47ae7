using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Countersign.Core;
using Countersign.Policy.Cedar;

namespace Countersign.Policy.Loading;

/// <summary>Limits of a policy folder. Beyond them it does not load.</summary>
public sealed record PolicyFolderLimits
{
    /// <summary>Most files. Default 1,000: a team's policies are tens of files; more is a folder that was pointed at by mistake.</summary>
    public int Files { get; init; } = 1_000;

    /// <summary>Most bytes of all files together. Default 4 MiB: some ten thousand policies, which the guest's memory holds parsed.</summary>
    public long Bytes { get; init; } = 4L << 20;

    /// <summary>Deepest folder. Default 16.</summary>
    public int Depth { get; init; } = 16;
}

/// <summary>The bytes of a policy set as they were read at one moment: what is hashed is what is loaded.</summary>
sealed class PolicySnapshot
{
    PolicySnapshot(IReadOnlyList<(string Path, byte[] Bytes)> files, IReadOnlyList<PolicyDiagnostic> faults, string? gitCommit)
    {
        Files = files;
        Faults = faults;
        GitCommit = gitCommit;
    }

    /// <summary>Files by relative path with <c>/</c>, in ordinal order.</summary>
    public IReadOnlyList<(string Path, byte[] Bytes)> Files { get; }

    /// <summary>What could not be read.</summary>
    public IReadOnlyList<PolicyDiagnostic> Faults { get; }

    public string? GitCommit { get; }

    /// <summary>Reads every <c>*.cedar</c> under a folder. Names that begin with a dot are skipped, and links to folders are not followed.</summary>
    public static PolicySnapshot Read(string folder, PolicyFolderLimits limits)
    {
        var files = new List<(string, byte[])>();
        var faults = new List<PolicyDiagnostic>();
        var left = limits.Bytes;
        if (!Directory.Exists(folder)) faults.Add(new PolicyDiagnostic(PolicyFaults.Unreadable, $"the policy folder `{folder}` does not exist", "create it, or correct the path in the config"));
        else Walk(folder, "", 0);
        files.Sort((a, b) => string.CompareOrdinal(a.Item1, b.Item1));
        return new PolicySnapshot(files, faults, Loading.GitCommit.Of(folder));

        void Walk(string path, string prefix, int depth)
        {
            if (depth > limits.Depth)
            {
                faults.Add(new PolicyDiagnostic(PolicyFaults.Unreadable, $"folders are nested more than {limits.Depth} deep", null, prefix.TrimEnd('/')));
                return;
            }
            try
            {
                foreach (var entry in new DirectoryInfo(path).EnumerateFileSystemInfos().OrderBy(e => e.Name, StringComparer.Ordinal))
                {
                    if (entry.Name.StartsWith('.')) continue; // .git, and the data folders of Kubernetes' ConfigMap mounts
                    if (entry is DirectoryInfo sub)
                    {
                        if (sub.LinkTarget is null) Walk(sub.FullName, $"{prefix}{sub.Name}/", depth + 1);
                    }
                    else if (entry.Name.EndsWith(".cedar", StringComparison.Ordinal)) Take(entry.FullName, prefix + entry.Name);
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                faults.Add(new PolicyDiagnostic(PolicyFaults.Unreadable, $"the folder cannot be read: {e.Message}", null, prefix.Length == 0 ? "." : prefix.TrimEnd('/')));
            }
        }

        void Take(string path, string name)
        {
            if (files.Count >= limits.Files)
            {
                if (files.Count == limits.Files && !faults.Any(f => f.File is null)) faults.Add(new PolicyDiagnostic(PolicyFaults.Unreadable, $"there are more than {limits.Files} files"));
                return;
            }
            try
            {
                using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
                var bytes = new byte[Math.Min(stream.Length, left + 1)];
                var read = stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
                left -= read;
                if (left < 0) faults.Add(new PolicyDiagnostic(PolicyFaults.Unreadable, $"the policies are larger than {limits.Bytes} bytes together", null, name));
                else files.Add((name, bytes[..read]));
                left = Math.Max(left, 0);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                faults.Add(new PolicyDiagnostic(PolicyFaults.Unreadable, $"the file cannot be read: {e.Message}", null, name));
            }
        }
    }

    /// <summary>A set from memory: for tests, and for `policy test` of a text.</summary>
    public static PolicySnapshot Of(IEnumerable<(string Path, string Text)> files) =>
        new([.. files.Select(f => (f.Path, Encoding.UTF8.GetBytes(f.Text))).OrderBy(f => f.Path, StringComparer.Ordinal)], [], null);

    /// <summary>
    /// Hash over all that decides beside the request: the files, the schema, the shipped policies, the engine's version. SHA-256 over
    /// the tag, then name and bytes of each, every one with its length before it, files in ordinal order of their names.
    /// </summary>
    public string ContentHash(string cedarVersion, PolicySchema schema)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData("countersign/policy/1\0"u8);
        Add(Encoding.UTF8.GetBytes(cedarVersion));
        Add(Encoding.UTF8.GetBytes(schema.Text));
        Add(Encoding.UTF8.GetBytes(Shipped.Approve));
        Add(Encoding.UTF8.GetBytes(Shipped.Administer));
        Add(Encoding.UTF8.GetBytes(Shipped.Mcp));
        Add(Encoding.UTF8.GetBytes(Shipped.Untyped));
        foreach (var (path, bytes) in Files)
        {
            Add(Encoding.UTF8.GetBytes(path));
            Add(bytes);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());

        void Add(byte[] bytes)
        {
            Span<byte> length = stackalloc byte[8];
            BinaryPrimitives.WriteInt64BigEndian(length, bytes.Length);
            hash.AppendData(length);
            hash.AppendData(bytes);
        }
    }
}
