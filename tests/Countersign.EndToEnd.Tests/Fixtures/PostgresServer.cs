using System.Net;
using System.Net.Sockets;
using Npgsql;

namespace Countersign.EndToEnd.Tests.Fixtures;

/// <summary>
/// A real PostgreSQL (Debian's) on a free port of loopback, with SCRAM for everybody and a least-privilege role for the gateway.
/// Started as an unprivileged user where we are root, since the server refuses root.
/// </summary>
public sealed class PostgresServer : IAsyncLifetime
{
    public const string AdminPassword = "admin-of-the-test-server";
    public const string GatewayPassword = "the-credential-that-agents-never-see";

    private readonly string folder = Directory.CreateTempSubdirectory("countersign-pg-").FullName;
    private Child? server;

    /// <summary>The server's certificate is for the name `localhost`, and for no address.</summary>
    public Certificates Tls { get; private set; } = null!;

    public int Port { get; private set; }

    public string AdminConnection => $"Host=127.0.0.1;Port={Port};Database=shop;Username=postgres;Password={AdminPassword};Pooling=false;SSL Mode=Disable;Include Error Detail=true";

    private static string Bin => Directory.GetDirectories("/usr/lib/postgresql").OrderByDescending(static d => int.Parse(Path.GetFileName(d), System.Globalization.CultureInfo.InvariantCulture)).Select(static d => Path.Combine(d, "bin")).First(static d => File.Exists(Path.Combine(d, "initdb")));

    private static bool IsRoot => Environment.UserName == "root";

    private static Child Run(string file, params string[] arguments) => IsRoot
        ? Child.Start("setpriv", ["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--", file, .. arguments], [("HOME", "/tmp")])
        : Child.Start(file, arguments);

    public async ValueTask InitializeAsync()
    {
        var passwords = Path.Combine(folder, "pw");
        await File.WriteAllTextAsync(passwords, AdminPassword);
        Tls = Certificates.Make(Path.Combine(folder, "tls"), addresses: false);
        if (IsRoot) await Child.RunAsync("chown", "-R", "nobody:nogroup", folder);
        await using (var init = Run(Path.Combine(Bin, "initdb"), "-D", Path.Combine(folder, "data"), "-U", "postgres", "-A", "scram-sha-256", $"--pwfile={passwords}", "-E", "UTF8", "--locale=C", "--no-sync"))
        {
            Assert.True(await init.EndsAsync() == 0, init.Text);
        }

        for (var attempt = 0; ; attempt++)
        {
            using (var probe = new TcpListener(IPAddress.Loopback, 0))
            {
                probe.Start();
                Port = ((IPEndPoint)probe.LocalEndpoint).Port;
            }

            server = Run(Path.Combine(Bin, "postgres"), "-D", Path.Combine(folder, "data"), "-p", Port.ToString(System.Globalization.CultureInfo.InvariantCulture),
                "-c", "listen_addresses=127.0.0.1", "-c", $"unix_socket_directories={folder}", "-c", "fsync=off", "-c", "max_connections=200", "-c", "log_statement=all",
                "-c", "ssl=on", "-c", $"ssl_cert_file={Tls.CertificateFile}", "-c", $"ssl_key_file={Tls.KeyFile}");
            try
            {
                await server.SaysAsync("ready to accept connections");
                break;
            }
            catch when (attempt < 3)
            {
                await server.DisposeAsync();
            }
        }

        await using var admin = NpgsqlDataSource.Create(AdminConnection.Replace("Database=shop", "Database=postgres", StringComparison.Ordinal));
        await using (var create = admin.CreateCommand("CREATE DATABASE shop")) await create.ExecuteNonQueryAsync();
        await ExecuteAsync(Seed);
    }

    /// <summary>Runs SQL as the administrator, past the gateway.</summary>
    public async Task ExecuteAsync(string sql)
    {
        await using var source = NpgsqlDataSource.Create(AdminConnection);
        await using var command = source.CreateCommand(sql);
        await command.ExecuteNonQueryAsync();
    }

    /// <summary>Asks as the administrator, past the gateway.</summary>
    public async Task<T> AskAsync<T>(string sql)
    {
        await using var source = NpgsqlDataSource.Create(AdminConnection);
        await using var command = source.CreateCommand(sql);
        return (T)(await command.ExecuteScalarAsync())!;
    }

    /// <summary>Everything that the server was asked to run, by its own log: what really arrived.</summary>
    public string Log
    {
        get
        {
            // The log comes by a pipe, later than the answers: it is read up to a mark of our own.
            var mark = $"the log up to {Interlocked.Increment(ref marks)}.";
            using var admin = new NpgsqlConnection(AdminConnection);
            admin.Open();
            using var command = new NpgsqlCommand($"SELECT '{mark}'", admin);
            command.ExecuteNonQuery();
            return server!.SaysAsync(mark).GetAwaiter().GetResult();
        }
    }

    private int marks;

    public async ValueTask DisposeAsync()
    {
        if (server is not null)
        {
            server.Signal(Child.SigInt);
            await server.EndsAsync(30);
            await server.DisposeAsync();
        }

        Directory.Delete(folder, recursive: true);
    }

    private const string Seed = $"""
        CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL, email text, credit bigint NOT NULL DEFAULT 0);
        CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint REFERENCES customers, total numeric NOT NULL, status text NOT NULL DEFAULT 'open');
        CREATE TABLE notes (id bigserial PRIMARY KEY, body text);
        INSERT INTO customers SELECT n, 'customer ' || n, 'c' || n || '@example.test', 0 FROM generate_series(1, 200) n;
        INSERT INTO orders SELECT n, n, n * 10, 'open' FROM generate_series(1, 200) n;
        CREATE ROLE gateway LOGIN PASSWORD '{GatewayPassword}' NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO gateway;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO gateway;
        GRANT CREATE, TEMPORARY ON DATABASE shop TO gateway;
        """;
}
