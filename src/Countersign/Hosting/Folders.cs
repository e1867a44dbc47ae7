namespace Countersign.Hosting;

/// <summary>Where this user keeps what can be made again.</summary>
internal static class Folders
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <summary>`$XDG_CACHE_HOME/countersign`, private to this user.</summary>
    public static string Cache
    {
        get
        {
            var cache = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
            if (string.IsNullOrEmpty(cache)) cache = Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile, Environment.SpecialFolderOption.DoNotVerify), ".cache");
            return MakePrivate(Path.Combine(cache, "countersign"));
        }
    }

    /// <summary>Others may pass through a folder to what is theirs in it, and see nothing.</summary>
    public static void LetThrough(string folder) => SetMode(folder, Private | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);

    public static void SetPrivate(string folder) => SetMode(folder, Private);

    private static void SetMode(string folder, UnixFileMode mode)
    {
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(folder, mode);
    }

    public static string MakePrivate(string folder)
    {
        if (OperatingSystem.IsWindows()) Directory.CreateDirectory(folder);
        else Directory.CreateDirectory(folder, Private);
        return folder;
    }
}
