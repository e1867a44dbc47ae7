using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Countersign.Sandbox;

/// <summary>Whose a file is, which .NET does not say.</summary>
static class UnixOwner
{
    const int CurrentFolder = -100, NoFollow = 0x100; // AT_FDCWD, AT_SYMLINK_NOFOLLOW
    const uint BasicStats = 0x7ff; // STATX_BASIC_STATS
    const int TypeMask = 0xF000, TypeFolder = 0x4000, TypeFile = 0x8000;

    /// <summary>Whether <paramref name="path"/> itself (not what a link points to) is a folder or plain file of the effective user.</summary>
    public static bool IsOurs(string path, bool folder)
    {
        // statx(2) rather than stat(2): its struct is laid out alike on every architecture.
        if (!OperatingSystem.IsLinux()) return !new FileInfo(path).Attributes.HasFlag(FileAttributes.ReparsePoint);
        var buffer = new byte[256];
        if (statx(CurrentFolder, path, NoFollow, BasicStats, buffer) != 0) return false;
        var owner = BinaryPrimitives.ReadUInt32LittleEndian(buffer.AsSpan(20));
        var mode = BinaryPrimitives.ReadUInt16LittleEndian(buffer.AsSpan(28));
        return owner == geteuid() && (mode & TypeMask) == (folder ? TypeFolder : TypeFile);
    }

    [DllImport("libc", CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
    static extern int statx(int folder, [MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags, uint mask, byte[] buffer);

    [DllImport("libc")]
    static extern uint geteuid();
}
