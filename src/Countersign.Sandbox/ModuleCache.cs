using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Wasmtime;

namespace Countersign.Sandbox;

/// <summary>What happened to a module in the cache.</summary>
public enum ModuleCacheEvent
{
    /// <summary>It was found, verified and loaded.</summary>
    Hit,

    /// <summary>It is being compiled, which takes seconds: told before it begins.</summary>
    Compiling,

    /// <summary>What was found is torn, altered, or from another version. It is compiled again.</summary>
    Rejected,

    /// <summary>It could not be kept (the folder is not ours, not private, read-only or full): the next start compiles again.</summary>
    NotKept,
}

/// <summary>
/// Compiled modules on disk, so that a start does not compile. Native code is loaded from it, so nothing is loaded that this user did
/// not write: the folder must be ours and private (0700), and each artefact carries an HMAC under a key kept in it (0600).
/// </summary>
/// <remarks>
/// File format: <c>countersign-module-1\n</c>, 32 bytes HMAC-SHA-256, the artefact. The HMAC covers the identity (Wasmtime's version,
/// architecture, settings, SHA-256 of the WebAssembly) with its length before it, and the artefact. The bytes that were verified are the
/// bytes that are loaded: the file is read once.
/// </remarks>
/// <param name="directory">The folder; created if missing. Null: compile each time.</param>
/// <param name="report">Told what happens to which module, with a reason for the operator; may be null.</param>
public sealed class ModuleCache(string? directory, Action<ModuleCacheEvent, string, string>? report = null)
{
    /// <summary>Largest artefact that is read. 256 MiB: the largest guest compiles to about 20 MiB; a planted file must not exhaust memory.</summary>
    public const long LargestArtefactBytes = 256L << 20;

    const int KeyBytes = 32;
    static readonly byte[] Magic = "countersign-module-1\n"u8.ToArray();
    const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    const UnixFileMode PrivateFolder = Private | UnixFileMode.UserExecute;

    /// <summary>The module <paramref name="name"/> of <paramref name="wasm"/>, from the cache or compiled and then kept.</summary>
    /// <exception cref="WasmtimeException">The WebAssembly is not valid.</exception>
    public GuestModule Load(SandboxHost host, string name, ReadOnlySpan<byte> wasm)
    {
        ArgumentNullException.ThrowIfNull(host);
        var identity = Encoding.UTF8.GetBytes($"wasmtime={typeof(Module).Assembly.GetName().Version} arch={RuntimeInformation.ProcessArchitecture} settings={host.SettingsKey} wasm={Convert.ToHexStringLower(SHA256.HashData(wasm))}");
        var key = Key(name);
        var path = key is null ? null : Path.Combine(directory!, $"{name}-{Convert.ToHexStringLower(SHA256.HashData(identity))[..16]}.cwasm");

        if (path is not null && Read(path, name, identity, key!) is { } artefact)
        {
            try
            {
                var cached = Module.Deserialize(host.Engine, name, artefact.Span);
                report?.Invoke(ModuleCacheEvent.Hit, name, path);
                return new GuestModule(host, name, cached);
            }
            catch (WasmtimeException e)
            {
                // Ours, but for another processor or build of Wasmtime than it says.
                report?.Invoke(ModuleCacheEvent.Rejected, name, e.Message);
            }
        }

        report?.Invoke(ModuleCacheEvent.Compiling, name, path ?? "no cache");
        var module = Module.FromBytes(host.Engine, name, wasm);
        if (path is not null) Write(path, name, identity, key!, module.Serialize());
        return new GuestModule(host, name, module);
    }

    ReadOnlyMemory<byte>? Read(string path, string name, byte[] identity, byte[] key)
    {
        byte[] file;
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            if (stream.Length is var length && (length > LargestArtefactBytes || length < Magic.Length + HMACSHA256.HashSizeInBytes))
            {
                report?.Invoke(ModuleCacheEvent.Rejected, name, $"{length} bytes");
                return null;
            }
            file = new byte[stream.Length];
            stream.ReadExactly(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (e is not FileNotFoundException) report?.Invoke(ModuleCacheEvent.Rejected, name, e.Message);
            return null;
        }
        var mac = file.AsSpan(Magic.Length, HMACSHA256.HashSizeInBytes);
        var artefact = file.AsMemory(Magic.Length + HMACSHA256.HashSizeInBytes);
        if (file.AsSpan().StartsWith(Magic) && CryptographicOperations.FixedTimeEquals(mac, Mac(key, identity, artefact.Span))) return artefact;
        report?.Invoke(ModuleCacheEvent.Rejected, name, "the artefact does not verify");
        return null;
    }

    void Write(string path, string name, byte[] identity, byte[] key, byte[] artefact)
    {
        var temporary = $"{path}.{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8))}.tmp";
        try
        {
            using (var stream = CreatePrivate(temporary))
            {
                stream.Write(Magic);
                stream.Write(Mac(key, identity, artefact));
                stream.Write(artefact);
            }
            File.Move(temporary, path, overwrite: true); // whole or not at all; two processes that race write the same
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            report?.Invoke(ModuleCacheEvent.NotKept, name, e.Message);
            try { File.Delete(temporary); } catch (Exception d) when (d is IOException or UnauthorizedAccessException) { }
        }
    }

    static byte[] Mac(byte[] key, byte[] identity, ReadOnlySpan<byte> artefact)
    {
        using var hmac = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, key);
        hmac.AppendData(BitConverter.GetBytes((long)identity.Length));
        hmac.AppendData(identity);
        hmac.AppendData(artefact);
        return hmac.GetHashAndReset();
    }

    static FileStream CreatePrivate(string path)
    {
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.None };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = Private;
        return new FileStream(path, options);
    }

    /// <summary>The key of the folder, made on first use; null when the folder or the key cannot be trusted.</summary>
    byte[]? Key(string name)
    {
        if (directory is null) return null;
        try
        {
            if (OperatingSystem.IsWindows()) Directory.CreateDirectory(directory);
            else Directory.CreateDirectory(directory, PrivateFolder);
            if (!IsPrivate(directory, folder: true, out var why))
            {
                report?.Invoke(ModuleCacheEvent.NotKept, name, why);
                return null;
            }
            var path = Path.Combine(directory, "cache.key");
            for (var attempt = 0; attempt < 3; attempt++)
            {
                if (File.Exists(path))
                {
                    if (!IsPrivate(path, folder: false, out why))
                    {
                        report?.Invoke(ModuleCacheEvent.NotKept, name, why);
                        return null;
                    }
                    var key = File.ReadAllBytes(path);
                    if (key.Length == KeyBytes) return key;
                    File.Delete(path); // torn: what it signed is compiled again
                }
                // Written aside and linked into place, so that nobody reads half a key; whoever loses the race reads the winner's.
                var temporary = $"{path}.{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8))}.tmp";
                using (var stream = CreatePrivate(temporary)) stream.Write(RandomNumberGenerator.GetBytes(KeyBytes));
                try { File.Move(temporary, path, overwrite: false); }
                catch (IOException) when (File.Exists(path)) { File.Delete(temporary); }
            }
            report?.Invoke(ModuleCacheEvent.NotKept, name, "the key of the cache cannot be read");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            report?.Invoke(ModuleCacheEvent.NotKept, name, e.Message);
        }
        return null;
    }

    static bool IsPrivate(string path, bool folder, out string why)
    {
        why = "";
        if (OperatingSystem.IsWindows()) return true;
        if (!UnixOwner.IsOurs(path, folder))
        {
            why = $"`{path}` is not a {(folder ? "folder" : "file")} of this user";
            return false;
        }
        const UnixFileMode others = (UnixFileMode)0b111_111; // group and others
        if ((File.GetUnixFileMode(path) & others) == 0) return true;
        why = $"`{path}` is open to others; run chmod {(folder ? "700" : "600")} on it";
        return false;
    }
}
