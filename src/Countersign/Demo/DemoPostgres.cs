using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Countersign.Hosting;
using Npgsql;

namespace Countersign.Demo;

/// <summary>
/// A real PostgreSQL of the demo's own, on a free port of this machine. PostgreSQL refuses to run as root; then its programs
/// and data go to a fresh folder that belongs to `nobody`, and it runs as that user.
/// </summary>
internal sealed class DemoPostgres : IAsyncDisposable
{
    private readonly string native;
    private readonly string data;
    private readonly Func<string, IEnumerable<string>, (string File, IEnumerable<string> Arguments)> asOwner;
    private bool started;
    private Process? guard;

    private DemoPostgres(string native, string data, string log, string password, Func<string, IEnumerable<string>, (string, IEnumerable<string>)> asOwner)
    {
        this.native = native;
        this.data = data;
        LogFile = log;
        Password = password;
        this.asOwner = asOwner;
    }

    public int Port { get; private set; }
    public string LogFile { get; }
    public string Version { get; private set; } = "";

    /// <summary>The superuser's, which nobody but the demo's own checks uses.</summary>
    private string Password { get; }

    /// <param name="package">PostgreSQL's programs.</param>
    /// <param name="folder">An empty folder that this user made; others may pass through it, not read it.</param>
    public static async Task<DemoPostgres> StartAsync(string package, string folder, CancellationToken ct)
    {
        var password = RandomNumberGenerator.GetHexString(32, lowercase: true);
        var own = Directory.CreateDirectory(Path.Combine(folder, "postgres")).FullName;
        var passwordFile = Path.Combine(own, "password");
        await File.WriteAllTextAsync(passwordFile, password, ct).ConfigureAwait(false);
        var native = package;
        Func<string, IEnumerable<string>, (string, IEnumerable<string>)> asOwner = static (file, arguments) => (file, arguments);
        if (Environment.IsPrivilegedProcess)
        {
            native = Path.Combine(own, "native");
            await Tool.RunAsync("cp", ["-a", package, native], own, ct).ConfigureAwait(false);
            var uid = (await Tool.RunAsync("id", ["-u", "nobody"], own, ct).ConfigureAwait(false)).Trim();
            var gid = (await Tool.RunAsync("id", ["-g", "nobody"], own, ct).ConfigureAwait(false)).Trim();
            await Tool.RunAsync("chown", ["-R", $"{uid}:{gid}", own], folder, ct).ConfigureAwait(false);
            if (Tool.Find("setpriv") is { } setpriv) asOwner = (file, arguments) => (setpriv, [$"--reuid={uid}", $"--regid={gid}", "--clear-groups", "--", file, .. arguments]);
            else if (Tool.Find("runuser") is { } runuser) asOwner = (file, arguments) => (runuser, ["-u", "nobody", "--", file, .. arguments]);
            else throw new DemoFailure("PostgreSQL refuses to run as root, and neither `setpriv` nor `runuser` was found to run it as another user: install util-linux, or run the demo as an ordinary user");
        }

        Folders.SetPrivate(own);
        var postgres = new DemoPostgres(native, Path.Combine(own, "data"), Path.Combine(own, "postgres.log"), password, asOwner);
        await postgres.ToolAsync("initdb", ["-D", postgres.data, "-U", "postgres", "--auth=scram-sha-256", $"--pwfile={passwordFile}", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"], own, ct).ConfigureAwait(false);
        File.Delete(passwordFile);
        try
        {
            await postgres.RunUpAsync(own, ct).ConfigureAwait(false);
            return postgres;
        }
        catch
        {
            await postgres.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    private async Task RunUpAsync(string own, CancellationToken ct)
    {
        const int tries = 3; // between finding a free port and taking it, somebody else may
        for (var left = tries; !started; left--)
        {
            Port = FreePort();
            var options = string.Create(CultureInfo.InvariantCulture,
                $"-c port={Port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c shared_buffers=16MB -c max_connections=40 -c log_statement=mod -c autovacuum=off");
            try
            {
                await ToolAsync("pg_ctl", ["-D", data, "-l", LogFile, "-w", "-t", "30", "-s", "-o", options, "start"], own, ct).ConfigureAwait(false);
                started = true;
            }
            catch (DemoFailure) when (left > 1)
            {
                // Tried again on another port.
            }
        }

        Guard(own);
        await using var connection = await OpenAsync("postgres", ct).ConfigureAwait(false);
        Version = connection.PostgreSqlVersion.ToString();
    }

    /// <summary>
    /// Stops the server and removes its files when this process dies in whatever way: a shell of the server's own user waits
    /// for the end of a pipe that only we hold.
    /// </summary>
    private void Guard(string own)
    {
        const string script = "trap '' INT TERM; read -r _; \"$1\" -D \"$2\" -m immediate -w -t 10 -s stop; rm -rf \"$3\"/*";
        var (file, arguments) = asOwner("/bin/sh", ["-c", script, "sh", Path.Combine(native, "bin", "pg_ctl"), data, own]);
        var start = new ProcessStartInfo(file) { WorkingDirectory = "/", RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        guard = Process.Start(start);
    }

    /// <summary>A superuser's connection past the gateway, for seeding and for checking what really happened.</summary>
    public async Task<NpgsqlConnection> OpenAsync(string database, CancellationToken ct)
    {
        var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder
        {
            Host = "127.0.0.1", Port = Port, Username = "postgres", Password = Password, Database = database, Pooling = false, SslMode = SslMode.Disable,
        }.ConnectionString);
        await connection.OpenAsync(ct).ConfigureAwait(false);
        return connection;
    }

    private Task<string> ToolAsync(string name, IEnumerable<string> arguments, string folder, CancellationToken ct)
    {
        var (file, all) = asOwner(Path.Combine(native, "bin", name), arguments);
        return Tool.RunAsync(file, all, folder, ct, environment =>
        {
            // Nothing of the person's own PostgreSQL set-up (PGDATA, PGPORT, PGOPTIONS, …) reaches this one.
            foreach (var key in environment.Keys.Where(static k => k.StartsWith("PG", StringComparison.Ordinal)).ToArray()) environment.Remove(key);
            environment["HOME"] = folder;
            environment["LC_ALL"] = "C";
            environment["TZ"] = "UTC";
        });
    }

    private static int FreePort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }

    public async ValueTask DisposeAsync()
    {
        if (!started) return;
        started = false;
        try
        {
            await ToolAsync("pg_ctl", ["-D", data, "-m", "immediate", "-w", "-t", "10", "-s", "stop"], Path.GetDirectoryName(data)!, CancellationToken.None).ConfigureAwait(false);
        }
        catch (DemoFailure)
        {
            // It has stopped by itself.
        }

        if (guard is null) return;
        guard.StandardInput.Close();
        await guard.WaitForExitAsync(CancellationToken.None).ConfigureAwait(false);
        guard.Dispose();
    }
}
