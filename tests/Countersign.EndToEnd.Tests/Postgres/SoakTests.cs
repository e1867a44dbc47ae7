using System.Globalization;
using System.Text.Json;
using Countersign.EndToEnd.Tests.Fixtures;
using CsCheck;
using Npgsql;

namespace Countersign.EndToEnd.Tests.Postgres;

/// <summary>
/// Many connections at once that do everything that clients do, well or badly, while people answer. At the end the target's rows are
/// held against the journal, and the gateway against what it was at the start.
/// </summary>
public sealed class SoakTests
{
    private const int Workers = 6;

    private sealed class Tally
    {
        public int Reads, Writes, Denied, Approved, Rejected, Withdrawn, Lost, Suspended, Garbage, Unparsed, RolledBack;

        public override string ToString() => string.Create(CultureInfo.InvariantCulture,
            $"{Reads:N0} reads, {Writes:N0} writes, {Denied:N0} denied, {Approved:N0} approved and run, {Rejected:N0} rejected, {Withdrawn:N0} withdrawn, {Lost:N0} clients lost while held, {Suspended:N0} portals left suspended, {Garbage:N0} sessions of garbage, {Unparsed:N0} not parsed, {RolledBack:N0} rolled back");
    }

    [Fact]
    public async Task I3_I7_whatever_clients_do_what_ran_is_what_was_approved_and_the_gateway_stays_as_it_was()
    {
        await using var server = new PostgresServer();
        await server.InitializeAsync();
        await server.ExecuteAsync("ALTER DATABASE shop SET log_statement = 'none'");
        await using var gateway = await GatewayProcess.StartAsync(server, hold: "hold: { notice: 1s, detached: 2s }\nlimits: { pending-per-agent: 1000, denials: 100000, requests-per-minute: 10000000 }");
        using var alice = await gateway.SignInAsync("alice");
        using var root = await gateway.SignInAsync("root");
        var tally = new Tally();

        // Once through everything, so that what is loaded late counts as the start.
        await RunAsync(gateway, alice, tally, seconds: 2);
        var before = Resources(gateway.Process.Id);
        var seconds = Campaign.Of(5, 240);
        await RunAsync(gateway, alice, tally, seconds);

        Assert.False(gateway.Process.HasEnded, gateway.Said);
        await SettleAsync(gateway.Process.Id, before.Files);
        var after = Resources(gateway.Process.Id);

        var verdict = await root.GetFromJsonOrFailAsync("/api/v1/journal/verify");
        Assert.True(verdict.GetProperty("sound").GetBoolean(), verdict.GetRawText());

        // Each worker counts up a customer of its own, by held statements only.
        var journal = await GatewayProcess.JournalAsync(root);
        var outcomes = journal.Where(static e => GatewayProcess.TypeOf(e) == "outcome" && e.GetProperty("entry").TryGetProperty("review", out _)).ToArray();
        var done = outcomes.Count(static e => e.GetProperty("entry").GetProperty("status").GetString() == "done");
        Assert.DoesNotContain(outcomes, static e => e.GetProperty("entry").GetProperty("status").GetString() == "unknown");
        var ran = await server.AskAsync<decimal>("SELECT sum(credit) FROM customers");
        Assert.Equal(done, ran);
        Assert.Equal(tally.Approved, ran);
        Assert.Equal(done, journal.Count(static e => GatewayProcess.TypeOf(e) == "released"));
        Assert.True(tally is { Reads: > 0, Approved: > 0, Rejected: > 0 }, tally.ToString());

        Assert.InRange(after.Files, 0, before.Files + 12);
        Assert.InRange(after.Megabytes, 0, before.Megabytes + 300);
        Campaign.Report("soak", string.Create(CultureInfo.InvariantCulture,
            $"{seconds} s, {Workers} connections: {tally}; {journal.Count:N0} entries verified; resident {before.Megabytes} → {after.Megabytes} MB, open files {before.Files} → {after.Files}"));
    }

    private static async Task RunAsync(GatewayProcess gateway, HttpClient alice, Tally tally, int seconds)
    {
        using var working = new CancellationTokenSource(TimeSpan.FromSeconds(seconds));
        using var answering = new CancellationTokenSource();
        var approver = AnswerAsync(alice, answering.Token);
        var workers = Task.WhenAll(Enumerable.Range(1, Workers).Select(worker => Task.Run(() => WorkAsync(gateway, worker, tally, working.Token), CancellationToken.None)));
        await await Task.WhenAny(workers, approver); // without the person, what is held would wait for long
        await answering.CancelAsync();
        await approver;
    }

    /// <summary>The statement says what the person is to do; nothing in the gateway looks at that.</summary>
    private static async Task AnswerAsync(HttpClient alice, CancellationToken ct)
    {
        while (!ct.IsCancellationRequested)
        {
            foreach (var review in await GatewayProcess.OpenReviewsAsync(alice, 0))
            {
                var card = review.GetRawText();
                var decision = card.Contains("please-approve", StringComparison.Ordinal) ? "approve" : card.Contains("please-deny", StringComparison.Ordinal) ? "deny" : null;
                if (decision is not null) await GatewayProcess.AnswerAsync(alice, review.GetProperty("id").GetString()!, decision);
            }

            await Task.WhenAny(Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, ct));
        }
    }

    private static async Task WorkAsync(GatewayProcess gateway, int worker, Tally tally, CancellationToken ct)
    {
        var dice = new PCG((uint)worker); // seeded: which worker does what in which order is the same each time
        NpgsqlConnection? connection = null;
        try
        {
            for (var n = 0; !ct.IsCancellationRequested; n++)
            {
                connection ??= await gateway.ConnectAsync("Max Auto Prepare=4;Auto Prepare Min Usages=2;");
                switch (dice.Next(12))
                {
                    case 0 or 1 or 2 or 3:
                        await using (var read = new NpgsqlCommand("SELECT total FROM orders WHERE id = $1", connection) { Parameters = { new() { Value = 1L + (int)dice.Next(199) } } })
                        {
                            Assert.NotNull(await read.ExecuteScalarAsync(CancellationToken.None));
                        }

                        Interlocked.Increment(ref tally.Reads);
                        break;
                    case 4:
                        await using (var write = new NpgsqlCommand("INSERT INTO notes (body) VALUES ($1)", connection) { Parameters = { new() { Value = $"note {n} of {worker}" } } })
                        {
                            Assert.Equal(1, await write.ExecuteNonQueryAsync(CancellationToken.None));
                        }

                        Interlocked.Increment(ref tally.Writes);
                        break;
                    case 5:
                        await RefusedAsync(connection, "DROP TABLE orders", "policy-denied");
                        Interlocked.Increment(ref tally.Denied);
                        break;
                    case 6:
                        Assert.Equal(1, await Held(connection, worker, "please-approve", n).ExecuteNonQueryAsync(CancellationToken.None));
                        Interlocked.Increment(ref tally.Approved);
                        break;
                    case 7:
                        var denied = await Assert.ThrowsAsync<PostgresException>(() => Held(connection, worker, "please-deny", n).ExecuteNonQueryAsync(CancellationToken.None));
                        Assert.Equal("42501", denied.SqlState);
                        Interlocked.Increment(ref tally.Rejected);
                        break;
                    case 8:
                        using (var cancel = new CancellationTokenSource(TimeSpan.FromMilliseconds(20 + (int)dice.Next(180))))
                        {
                            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Held(connection, worker, "never mind", n).ExecuteNonQueryAsync(cancel.Token));
                        }

                        Interlocked.Increment(ref tally.Withdrawn);
                        break;
                    case 9:
                        await SuspendAsync(gateway, dice);
                        Interlocked.Increment(ref tally.Suspended);
                        break;
                    case 10 when dice.Next(4) == 0:
                        await LoseAsync(gateway, worker, n);
                        Interlocked.Increment(ref tally.Lost);
                        break;
                    case 10:
                        await GarbageAsync(gateway, dice);
                        Interlocked.Increment(ref tally.Garbage);
                        break;
                    default:
                        await using (var transaction = await connection.BeginTransactionAsync(CancellationToken.None))
                        {
                            await using (var write = new NpgsqlCommand("UPDATE orders SET status = 'x' WHERE id = 1", connection, transaction)) await write.ExecuteNonQueryAsync(CancellationToken.None);
                            await RefusedAsync(connection, "SELEC 1", "unparseable");
                            await transaction.RollbackAsync(CancellationToken.None);
                        }

                        Interlocked.Increment(ref tally.RolledBack);
                        Interlocked.Increment(ref tally.Unparsed);
                        if (dice.Next(3) == 0)
                        {
                            await connection.DisposeAsync();
                            connection = null;
                        }

                        break;
                }
            }
        }
        finally
        {
            if (connection is not null) await connection.DisposeAsync();
        }
    }

    private static NpgsqlCommand Held(NpgsqlConnection connection, int worker, string wish, int n) => new($"UPDATE customers SET credit = credit + 1, email = '{wish}', name = $2 WHERE id = $1", connection)
    {
        Parameters = { new() { Value = (long)worker }, new() { Value = n.ToString(CultureInfo.InvariantCulture) } }, CommandTimeout = 60,
    };

    private static async Task RefusedAsync(NpgsqlConnection connection, string sql, string reason)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        var refused = await Assert.ThrowsAsync<PostgresException>(() => command.ExecuteNonQueryAsync(CancellationToken.None));
        Assert.Contains(reason, refused.Detail, StringComparison.Ordinal);
    }

    private static async Task SuspendAsync(GatewayProcess gateway, PCG dice)
    {
        await using var client = await WireClient.ConnectAsync(gateway);
        await client.Query("BEGIN").AskAsync();
        var some = await client.Parse("", "SELECT id FROM orders ORDER BY id").Bind("p", "").Execute("p", 1 + (int)dice.Next(19)).Sync().AskAsync();
        Assert.Contains('s', some.Tags);
        if (dice.Next(2) == 0) await client.Execute("p", 5).Sync().AskAsync();
    }

    /// <summary>A client whose connection dies while its statement is held: nobody answers, nothing runs.</summary>
    private static async Task LoseAsync(GatewayProcess gateway, int worker, int n)
    {
        await using var client = await WireClient.ConnectAsync(gateway);
        await client.Query($"UPDATE customers SET credit = credit + 1, name = 'lost {n}' WHERE id = {worker}").FlushAsync();
        var said = await client.UntilAsync(static m => m.Tag is 'N' or 'E');
        Assert.True(said.Notices.Length > 0, string.Join(' ', said.Errors));
        client.Socket.Close(0);
    }

    private static async Task GarbageAsync(GatewayProcess gateway, PCG dice)
    {
        await using var client = await WireClient.ConnectAsync(gateway);
        var bytes = Enumerable.Range(0, 1 + (int)dice.Next(199)).Select(_ => (byte)dice.Next(256)).ToArray();
        try
        {
            await client.Stream.WriteAsync(bytes);
            client.Socket.Shutdown(System.Net.Sockets.SocketShutdown.Send);
            await client.UntilAsync(static _ => false, seconds: 20);
        }
        catch (Exception e) when (e is IOException or System.Net.Sockets.SocketException)
        {
            // The gateway had left already.
        }
    }

    private static (int Files, int Megabytes) Resources(int process)
    {
        var resident = File.ReadLines($"/proc/{process}/status").First(static l => l.StartsWith("VmRSS:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1];
        return (Directory.GetFiles($"/proc/{process}/fd").Length, int.Parse(resident, CultureInfo.InvariantCulture) / 1024);
    }

    /// <summary>Connections that end take a moment to be gone.</summary>
    private static async Task SettleAsync(int process, int files)
    {
        for (var n = 0; n < 100 && Resources(process).Files > files; n++) await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System);
    }
}
