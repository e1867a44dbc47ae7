using System.Buffers;
using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Countersign.Config;
using Countersign.Gateway.Mcp.Wire;

namespace Countersign.Gateway.Mcp.Upstream;

/// <summary>
/// A server that is a process of this gateway, one for each session. It inherits nothing: no variable that the config does not name, no
/// open file, no terminal. It leads a process group of its own, and goes with it when its session ends.
/// </summary>
internal sealed class StdioUpstream : IUpstream
{
    private const int SigKill = 9;

    private readonly Process process;
    private readonly McpLimits limits;
    private readonly TimeProvider time;
    private readonly bool ownGroup;
    private readonly SemaphoreSlim writing = new(1, 1);
    private readonly TaskCompletionSource closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int disposed;

    private StdioUpstream(Process process, bool ownGroup, McpLimits limits, TimeProvider time, Action<byte[]> receive)
    {
        this.process = process;
        this.ownGroup = ownGroup;
        this.limits = limits;
        this.time = time;
        _ = Task.Run(() => ReadAsync(receive));
        _ = Task.Run(DrainErrorsAsync);
    }

    /// <summary>Id of the process, for tests.</summary>
    internal int ProcessId => process.Id;

    /// <exception cref="UpstreamException">It can not be started.</exception>
    public static StdioUpstream Start(McpServerConfig server, McpLimits limits, TimeProvider time, Action<byte[]> receive)
    {
        // Debian's util-linux, which every Debian has: a session of its own, and no way to gain privileges by what it starts.
        var wrapper = (string[])[.. Tool("setsid") is { } setsid ? (string[])[setsid] : [], .. Tool("setpriv") is { } setpriv ? (string[])[setpriv, "--no-new-privs", "--"] : []];
        var line = (string[])[.. wrapper, server.Command!, .. server.Arguments];
        var start = new ProcessStartInfo(line[0])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
            WorkingDirectory = server.Folder ?? Path.GetTempPath(),
        };
        foreach (var argument in line.Skip(1)) start.ArgumentList.Add(argument);
        start.Environment.Clear();
        foreach (var name in server.PassedEnvironment)
        {
            if (Environment.GetEnvironmentVariable(name) is { } value) start.Environment[name] = value;
        }

        foreach (var (name, secret) in server.SecretEnvironment) start.Environment[name] = secret.Reveal();

        // A program that is named without a path is looked for by us, not by what the environment of the program says.
        if (start.Environment.TryGetValue("PATH", out var path) is false || string.IsNullOrEmpty(path)) start.Environment["PATH"] = "/usr/local/bin:/usr/bin:/bin";
        try
        {
            var process = Process.Start(start) ?? throw new UpstreamException("the server can not be started", sent: false);
            return new StdioUpstream(process, wrapper.Length > 0 && wrapper[0].EndsWith("setsid", StringComparison.Ordinal), limits, time, receive);
        }
        catch (Exception e) when (e is Win32Exception or InvalidOperationException)
        {
            throw new UpstreamException("the server can not be started", sent: false, e);
        }
    }

    public async Task<Task> SendAsync(ReadOnlyMemory<byte> message, bool isRequest, CancellationToken ct)
    {
        var line = new ArrayBufferWriter<byte>(message.Length + 1);
        RpcWriter.Value(line, message.Span);
        line.Write("\n"u8);
        await writing.WaitAsync(ct).ConfigureAwait(false);
        try
        {
            if (closed.Task.IsCompleted) throw new UpstreamException("the server's process has ended", sent: false);
            var stream = process.StandardInput.BaseStream;

            // Not cancelled half-way: half a line would spoil every one after it.
            await stream.WriteAsync(line.WrittenMemory, CancellationToken.None).ConfigureAwait(false);
            await stream.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException)
        {
            throw new UpstreamException("the server's process has ended", sent: true, e);
        }
        finally
        {
            writing.Release();
        }

        return closed.Task;
    }

    public void Agreed(string version)
    {
    }

    public void Listen()
    {
    }

    private async Task ReadAsync(Action<byte[]> receive)
    {
        try
        {
            var stream = process.StandardOutput.BaseStream;
            var buffer = new byte[8192];
            var end = 0;
            while (true)
            {
                var read = await stream.ReadAsync(buffer.AsMemory(end)).ConfigureAwait(false);
                if (read == 0) break;
                var scanned = end;
                end += read;
                var start = 0;
                for (var at = buffer.AsSpan(scanned, end - scanned).IndexOf((byte)'\n'); at >= 0;)
                {
                    var stop = scanned + at;
                    var line = buffer.AsSpan(start, stop - start).TrimEnd((byte)'\r');
                    if (line.Length > 0) receive(line.ToArray());
                    start = scanned = stop + 1;
                    at = buffer.AsSpan(scanned, end - scanned).IndexOf((byte)'\n');
                }

                if (start > 0)
                {
                    buffer.AsSpan(start, end - start).CopyTo(buffer);
                    end -= start;
                }

                if (end > limits.AnswerBytes) break; // nothing that it says after this can be told apart
                if (end == buffer.Length) System.Array.Resize(ref buffer, buffer.Length * 2);
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException)
        {
            // As if it had ended.
        }

        closed.TrySetException(new UpstreamException("the server's process has ended", sent: true));
        _ = closed.Task.Exception; // looked at by whoever waits for an answer, if anybody does
    }

    /// <summary>Read, so that it does not stop at a full pipe, and dropped: what it says there may hold secrets (P56).</summary>
    private async Task DrainErrorsAsync()
    {
        try
        {
            var buffer = new byte[4096];
            while (await process.StandardError.BaseStream.ReadAsync(buffer).ConfigureAwait(false) > 0)
            {
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException)
        {
        }
    }

    /// <summary>As the specification asks: its input ends, and if it does not leave then, it is killed with all that it started.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref disposed, 1) != 0) return;
        try
        {
            process.StandardInput.Close();
        }
        catch (Exception e) when (e is IOException or InvalidOperationException)
        {
        }

        try
        {
            using var limit = new CancellationTokenSource(limits.Farewell, time);
            await process.WaitForExitAsync(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
        }

        // Its children as well, whether or not it has left them behind.
        if (ownGroup) _ = Kill(-process.Id, SigKill);
        try
        {
            if (!process.HasExited) process.Kill(entireProcessTree: true);
        }
        catch (Exception e) when (e is InvalidOperationException or Win32Exception or NotSupportedException)
        {
        }

        process.Dispose();
        closed.TrySetException(new UpstreamException("the server's process has ended", sent: true));
        _ = closed.Task.Exception;
    }

    private static string? Tool(string name) => ((string[])[$"/usr/bin/{name}", $"/bin/{name}"]).FirstOrDefault(File.Exists);

    [DllImport("libc", EntryPoint = "kill")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Kill(int process, int signal);
}
