using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;

namespace Countersign.EndToEnd.Tests.Fixtures;

/// <summary>A child process whose output is read as it comes. Killed with its children when disposed.</summary>
public sealed class Child : IAsyncDisposable
{
    private readonly Process process;
    private readonly StringBuilder output = new();
    private readonly StringBuilder errors = new();
    private readonly List<(Func<string, bool> Until, TaskCompletionSource<string> Done)> waits = [];
    private readonly Lock gate = new();

    private Child(Process process) => this.process = process;

    public static Child Start(string file, IEnumerable<string> arguments, IEnumerable<(string Name, string? Value)>? environment = null, string? workingDirectory = null)
    {
        var info = new ProcessStartInfo(file)
        {
            RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true, UseShellExecute = false,
            WorkingDirectory = workingDirectory ?? Path.GetTempPath(),
        };
        foreach (var argument in arguments) info.ArgumentList.Add(argument);
        foreach (var (name, value) in environment ?? [])
        {
            if (value is null) info.Environment.Remove(name);
            else info.Environment[name] = value;
        }

        var child = new Child(new Process { StartInfo = info });
        child.process.OutputDataReceived += (_, e) => child.Received(child.output, e.Data);
        child.process.ErrorDataReceived += (_, e) => child.Received(child.errors, e.Data);
        child.process.Start();
        child.process.BeginOutputReadLine();
        child.process.BeginErrorReadLine();
        return child;
    }

    public int Id => process.Id;

    /// <summary>Output and errors so far, in the order in which lines came within each.</summary>
    public string Text
    {
        get
        {
            lock (gate) return output.ToString() + errors;
        }
    }

    public string Output
    {
        get
        {
            lock (gate) return output.ToString();
        }
    }

    private void Received(StringBuilder into, string? line)
    {
        if (line is null) return;
        lock (gate)
        {
            into.AppendLine(line);
            if (waits.Count == 0) return; // a talkative child is not copied for nobody
            var text = output.ToString() + errors;
            waits.RemoveAll(w => w.Until(text) && w.Done.TrySetResult(text));
        }
    }

    /// <summary>Waits until everything said so far holds <paramref name="part"/>; fails with the text when it does not come.</summary>
    public async Task<string> SaysAsync(string part, int seconds = 60)
    {
        var done = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (gate)
        {
            var text = output.ToString() + errors;
            if (text.Contains(part, StringComparison.Ordinal)) return text;
            waits.Add((t => t.Contains(part, StringComparison.Ordinal), done));
        }

        var winner = await Task.WhenAny(done.Task, process.WaitForExitAsync(), Task.Delay(TimeSpan.FromSeconds(seconds), TimeProvider.System));
        if (winner == done.Task) return await done.Task;
        await Task.WhenAny(done.Task, Task.Delay(TimeSpan.FromMilliseconds(500), TimeProvider.System));
        Assert.Fail($"`{process.StartInfo.FileName}` did not say `{part}`{(process.HasExited ? $" before it ended with {process.ExitCode}" : "")}; it said:\n{Text}");
        return "";
    }

    public async Task<int> EndsAsync(int seconds = 60)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(seconds));
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            Assert.Fail($"`{process.StartInfo.FileName}` did not end; it said:\n{Text}");
        }

        return process.ExitCode;
    }

    public bool HasEnded => process.HasExited;

    public Task TypeAsync(string line) => process.StandardInput.WriteLineAsync(line);

    public void Signal(int signal)
    {
        if (!process.HasExited) _ = Kill(process.Id, signal);
    }

    public const int SigInt = 2;
    public const int SigKill = 9;
    public const int SigTerm = 15;

    public static async Task<string> RunAsync(string file, params string[] arguments)
    {
        await using var child = Start(file, arguments);
        var code = await child.EndsAsync(120);
        Assert.True(code == 0, $"{file} {string.Join(' ', arguments)} ended with {code}: {child.Text}");
        return child.Output;
    }

    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited)
        {
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync();
        }

        process.Dispose();
    }

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int Kill(int pid, int signal);
}
