using System.Diagnostics;

namespace Countersign.Journal.Tests;

/// <summary>The parent's side of <see cref="ChildProgram"/>.</summary>
internal sealed class Child : IDisposable
{
    private readonly Process process;

    public Child(string mode, string folder, params (string Name, string Value)[] environment)
    {
        // A shell that ignores SIGXFSZ and becomes the child: then a file size limit is an error, as on any server.
        var start = new ProcessStartInfo("/bin/sh") { RedirectStandardInput = true, RedirectStandardOutput = true };
        foreach (var argument in (string[])["-c", "trap '' XFSZ; exec dotnet exec \"$0\"", typeof(Child).Assembly.Location]) start.ArgumentList.Add(argument);
        start.Environment[ChildProgram.Mode] = mode;
        start.Environment[ChildProgram.Folder] = folder;
        foreach (var (name, value) in environment) start.Environment[name] = value;
        process = Process.Start(start)!;
    }

    public int Id => process.Id;

    public async Task<string> AskAsync(string command)
    {
        await process.StandardInput.WriteLineAsync(command);
        await process.StandardInput.FlushAsync();
        return await ReadLineAsync() ?? "Ended";
    }

    public async Task<string?> ReadLineAsync() => await process.StandardOutput.ReadLineAsync().WaitAsync(Given.Patience);

    /// <summary>SIGKILL, then all that it had said.</summary>
    public async Task<IReadOnlyList<string>> KillAsync()
    {
        process.Kill();
        var said = new List<string>();
        while (await ReadLineAsync() is { } line) said.Add(line);
        await process.WaitForExitAsync().WaitAsync(Given.Patience);
        return said;
    }

    public async Task StopAsync()
    {
        await process.StandardInput.WriteLineAsync("stop");
        await process.StandardInput.FlushAsync();
        await process.WaitForExitAsync().WaitAsync(Given.Patience);
    }

    public void Dispose()
    {
        if (!process.HasExited) process.Kill();
        process.Dispose();
    }

    /// <summary>Runs a tool to its end; the exit code.</summary>
    public static int Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardError = true, RedirectStandardOutput = true };
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        try
        {
            using var tool = Process.Start(start)!;
            tool.OutputDataReceived += static (_, _) => { };
            tool.ErrorDataReceived += static (_, _) => { };
            tool.BeginOutputReadLine();
            tool.BeginErrorReadLine();
            tool.WaitForExit();
            return tool.ExitCode;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return 127;
        }
    }
}
