using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Npgsql;

namespace Countersign.Sql.Tests;

/// <summary>A real PostgreSQL (Debian's, the newest installed) on a free port of loopback; skipped, saying so, where there is none.</summary>
public sealed class PostgresFixture : IAsyncLifetime
{
    readonly string folder = Directory.CreateTempSubdirectory("countersign-sql-").FullName;
    Process? server;
    string? missing;
    int port;

    public NpgsqlDataSource Source
    {
        get
        {
            Assert.SkipWhen(missing is not null, missing ?? "");
            return field ??= NpgsqlDataSource.Create($"Host=127.0.0.1;Port={port};Database=postgres;Username=postgres;Pooling=false");
        }
    }

    public async Task ExecuteAsync(string sql)
    {
        await using var command = Source.CreateCommand(sql);
        await command.ExecuteNonQueryAsync();
    }

    public async ValueTask InitializeAsync()
    {
        var bin = Directory.Exists("/usr/lib/postgresql")
            ? Directory.GetDirectories("/usr/lib/postgresql").OrderByDescending(static d => int.Parse(Path.GetFileName(d), CultureInfo.InvariantCulture)).Select(static d => Path.Combine(d, "bin")).FirstOrDefault(static d => File.Exists(Path.Combine(d, "initdb")))
            : null;
        if (bin is null)
        {
            missing = "no PostgreSQL is installed: apt-get install postgresql";
            return;
        }

        var data = Path.Combine(folder, "data");
        if (Environment.UserName == "root") await EndAsync(Start("chown", "-R", "nobody:nogroup", folder));
        await EndAsync(Server(Path.Combine(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"));
        using (var probe = new TcpListener(IPAddress.Loopback, 0))
        {
            probe.Start();
            port = ((IPEndPoint)probe.LocalEndpoint).Port;
        }

        server = Server(Path.Combine(bin, "postgres"), "-D", data, "-p", port.ToString(CultureInfo.InvariantCulture), "-c", "listen_addresses=127.0.0.1", "-c", $"unix_socket_directories={folder}", "-c", "fsync=off");
        while (await server.StandardError.ReadLineAsync() is { } line)
        {
            if (line.Contains("ready to accept connections", StringComparison.Ordinal)) break;
        }

        _ = server.StandardError.ReadToEndAsync();
    }

    /// <summary>The server refuses to run as root.</summary>
    static Process Server(string file, params string[] arguments) => Environment.UserName == "root"
        ? Start("setpriv", ["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--", file, .. arguments])
        : Start(file, arguments);

    static Process Start(string file, params string[] arguments) =>
        Process.Start(new ProcessStartInfo(file, arguments) { RedirectStandardError = true, RedirectStandardOutput = true, WorkingDirectory = "/" })!;

    static async Task EndAsync(Process process)
    {
        var said = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, said);
    }

    public async ValueTask DisposeAsync()
    {
        if (server is not null)
        {
            server.Kill();
            await server.WaitForExitAsync();
            server.Dispose();
        }

        Directory.Delete(folder, recursive: true);
    }
}
