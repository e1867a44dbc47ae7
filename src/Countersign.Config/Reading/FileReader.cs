using System.Diagnostics.CodeAnalysis;

namespace Countersign.Config.Reading;

/// <summary>Reads small files: never more than asked for, and with the permissions of what was opened.</summary>
internal static class FileReader
{
    public static bool TryRead(string path, int maxBytes, [NotNullWhen(true)] out byte[]? bytes, out UnixFileMode mode, out string why)
    {
        bytes = null;
        mode = UnixFileMode.None;
        try
        {
            if (!new FileInfo(path).Exists)
            {
                why = Directory.Exists(path) ? "it is a folder" : "there is no such file";
                return false;
            }

            using var handle = File.OpenHandle(path);
            if (!OperatingSystem.IsWindows()) mode = File.GetUnixFileMode(handle);
            var buffer = new byte[maxBytes + 1];
            var length = 0;
            for (int read; length < buffer.Length && (read = RandomAccess.Read(handle, buffer.AsSpan(length), length)) > 0;) length += read;
            if (length > maxBytes)
            {
                why = $"it is larger than {maxBytes} bytes";
                return false;
            }

            bytes = buffer.AsSpan(0, length).ToArray();
            why = "";
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            why = e is UnauthorizedAccessException ? "permission denied" : "it can not be opened";
            return false;
        }
    }
}
