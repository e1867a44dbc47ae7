using System.Diagnostics;

namespace Countersign.Demo;

/// <summary>Runs a program of the machine to its end.</summary>
internal static class Tool
{
    /// <summary>Standard output; a <see cref="DemoFailure"/> with the program's own words when it fails.</summary>
    public static async Task<string> RunAsync(string file, IEnumerable<string> arguments, string folder, CancellationToken ct, Action<IDictionary<string, string?>>? environment = null)
    {
        var start = new ProcessStartInfo(file) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        environment?.Invoke(start.Environment);
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new DemoFailure($"can not run `{file}`: {e.Message}");
        }

        using (process)
        {
            process.StandardInput.Close();
            var output = process.StandardOutput.ReadToEndAsync(ct);
            var error = process.StandardError.ReadToEndAsync(ct);
            try
            {
                await process.WaitForExitAsync(ct).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                process.Kill(entireProcessTree: true);
                throw;
            }

            var said = await error.ConfigureAwait(false);
            if (process.ExitCode == 0) return await output.ConfigureAwait(false);
            throw new DemoFailure($"`{Path.GetFileName(file)}` failed ({process.ExitCode}): {(said + await output.ConfigureAwait(false)).Trim()}");
        }
    }

    /// <summary>The program on the path, or null.</summary>
    public static string? Find(string name) => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Concat(["/usr/bin", "/bin", "/usr/sbin", "/sbin"])
        .Where(static folder => folder.Length > 0)
        .Select(folder => Path.Combine(folder, name))
        .FirstOrDefault(File.Exists);
}

/// <summary>Why the demo cannot go on, in words for the person.</summary>
internal sealed class DemoFailure(string message) : Exception(message);
