using System.Text.Json;
using System.Text.Json.Serialization;
using Countersign.Commands;

namespace Countersign.Client;

/// <summary>A session of a human at one server.</summary>
internal sealed record SavedSession(string Server, string User, string Token, DateTimeOffset Expires)
{
    public override string ToString() => $"session of {User} at {Server}";
}

internal sealed record SavedSessions(string? Current, IReadOnlyList<SavedSession> Sessions);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(SavedSessions))]
internal sealed partial class SessionsJson : JsonSerializerContext;

/// <summary>
/// `$XDG_CONFIG_HOME/countersign/sessions.json`, readable by its owner alone (mode 0600). A session token in it is worth the
/// approvals of its human, so a file that others can read is refused. `COUNTERSIGN_SESSION` names another file: one session
/// is kept per server, and with a file each two people can share a machine.
/// </summary>
internal sealed class SessionsFile(string path)
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const UnixFileMode PrivateFolder = Private | UnixFileMode.UserExecute;
    private const UnixFileMode Others = (UnixFileMode)0b111_111;

    public string FilePath { get; } = path;

    public static SessionsFile Default()
    {
        if (Environment.GetEnvironmentVariable("COUNTERSIGN_SESSION") is { Length: > 0 } named) return new SessionsFile(Path.GetFullPath(named));
        var config = Environment.GetEnvironmentVariable("XDG_CONFIG_HOME");
        if (string.IsNullOrEmpty(config)) config = Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile, Environment.SpecialFolderOption.DoNotVerify), ".config");
        return new SessionsFile(Path.Combine(config, "countersign", "sessions.json"));
    }

    public SavedSessions Read()
    {
        if (!File.Exists(FilePath)) return new SavedSessions(null, []);
        try
        {
            if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(FilePath) & Others) != 0)
            {
                throw new CommandFailure(Exit.Failed, $"others can read `{FilePath}`, which holds your sessions: run `chmod 600` on it, and `countersign logout` if somebody may have");
            }

            return JsonSerializer.Deserialize(File.ReadAllBytes(FilePath), SessionsJson.Default.SavedSessions) ?? new SavedSessions(null, []);
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new CommandFailure(Exit.Failed, $"can not read `{FilePath}`: {e.Message}; remove it and sign in again");
        }
    }

    public void Save(SavedSession session)
    {
        var all = Read();
        Write(new SavedSessions(session.Server, [.. all.Sessions.Where(s => s.Server != session.Server), session]));
    }

    public void Remove(string server)
    {
        var all = Read();
        Write(new SavedSessions(all.Current == server ? null : all.Current, all.Sessions.Where(s => s.Server != server).ToArray()));
    }

    /// <summary>Forgets a server that is gone for good, and goes back to the one that was current before it.</summary>
    public void Forget(string server, string? before)
    {
        if (!File.Exists(FilePath)) return;
        var all = Read();
        if (all.Current != server && all.Sessions.All(s => s.Server != server)) return;
        Write(new SavedSessions(all.Current == server ? before : all.Current, all.Sessions.Where(s => s.Server != server).ToArray()));
    }

    private void Write(SavedSessions sessions)
    {
        try
        {
            var folder = Path.GetDirectoryName(FilePath)!;
            if (OperatingSystem.IsWindows()) Directory.CreateDirectory(folder);
            else Directory.CreateDirectory(folder, PrivateFolder);
            var temporary = $"{FilePath}.{Environment.ProcessId}.tmp";
            var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, Share = FileShare.None };
            if (!OperatingSystem.IsWindows()) options.UnixCreateMode = Private;
            using (var stream = new FileStream(temporary, options)) JsonSerializer.Serialize(stream, sessions, SessionsJson.Default.SavedSessions);
            File.Move(temporary, FilePath, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandFailure(Exit.Failed, $"can not write `{FilePath}`: {e.Message}");
        }
    }
}
