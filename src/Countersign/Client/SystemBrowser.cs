using System.ComponentModel;
using System.Diagnostics;

namespace Countersign.Client;

/// <summary>The browser of whoever runs the command. That none opens is no failure: the address is printed too.</summary>
internal static class SystemBrowser
{
    public static void Open(Uri address)
    {
        try
        {
            // Never through a shell: the address is an argument and nothing that is read again.
            var start = OperatingSystem.IsWindows() ? new ProcessStartInfo(address.AbsoluteUri) { UseShellExecute = true }
                : new ProcessStartInfo(OperatingSystem.IsMacOS() ? "open" : "xdg-open") { ArgumentList = { address.AbsoluteUri }, RedirectStandardError = true, RedirectStandardOutput = true };
            using var process = Process.Start(start);
        }
        catch (Exception e) when (e is Win32Exception or InvalidOperationException)
        {
            // There is none here.
        }
    }
}
