using System.Buffers.Binary;
using System.Buffers;
using Countersign.EndToEnd.Tests.Fixtures;
using Countersign.PgWire;

namespace Countersign.EndToEnd.Tests.Postgres;

/// <summary>The protocol as no driver speaks it, and as some do.</summary>
[Collection("postgres")]
public sealed class WireTests(WireFixture fixture) : IClassFixture<WireFixture>, IAsyncLifetime
{
    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync() => await fixture.DenyAllAsync();

    private static string Update(int id) => $"UPDATE customers SET credit = {id} WHERE id = {id}";

    private static Task<Answer> NoticeAsync(WireClient client) => client.UntilAsync(static m => m.Tag == 'N' && WireClient.ErrorOf(m.Body).Contains("held", StringComparison.Ordinal));

    [Theory]
    [InlineData("SELECT 1; DROP TABLE orders")]
    [InlineData("SELECT 1; SELECT 2; DROP TABLE orders; SELECT 3")]
    [InlineData("BEGIN; DROP TABLE orders; COMMIT")]
    [InlineData("SET search_path = evil; DELETE FROM customers")]
    public async Task P1_a_text_of_several_statements_is_refused_for_its_worst_and_nothing_of_it_arrives(string sql)
    {
        await using var client = await fixture.ConnectAsync();
        var answer = await client.Query(sql).AskAsync();
        Assert.Equal("EZ", answer.Tags);
        Assert.Equal("I", answer.TransactionStatus);
        Assert.Equal(0, fixture.Gateway.Arrived(sql));
        Assert.Equal(["2"], (await client.Query("SELECT 2").AskAsync()).Values);
    }

    [Theory]
    [InlineData("WITH gone AS (DELETE FROM customers WHERE id = 121 RETURNING id) SELECT * FROM gone")]
    [InlineData("EXPLAIN ANALYZE DELETE FROM customers WHERE id = 121")]
    [InlineData("SELECT id INTO evil_copy FROM orders")]
    [InlineData("COPY (DELETE FROM customers WHERE id = 121 RETURNING id) TO STDOUT")]
    [InlineData("DO $$ BEGIN DELETE FROM customers WHERE id = 121; END $$")]
    public async Task P3_a_statement_that_does_more_than_its_verb_does_not_run_unseen(string sql)
    {
        await using var client = await fixture.ConnectAsync();
        await client.Query(sql).FlushAsync();
        var first = await client.UntilAsync(static m => m.Tag is 'N' or 'E' or 'D' or 'C');
        Assert.True(first.Tags is "" or "E", first.Tags);
        Assert.Equal(0, fixture.Gateway.Arrived(sql));
        Assert.Equal(1L, await fixture.Server.AskAsync<long>("SELECT count(*) FROM public.customers WHERE id = 121"));
    }

    [Fact]
    public async Task P8_nothing_behind_a_refused_parse_runs_and_there_is_one_ready()
    {
        await using var client = await fixture.ConnectAsync();
        await client.Parse("", "INSERT INTO notes (body) VALUES ('p8 older')").Sync().AskAsync();
        var answer = await client.Parse("", "DROP TABLE orders").Bind("", "").Describe(NamedKind.Portal, "").Execute().Query("INSERT INTO notes (body) VALUES ('p8 query')").Sync().AskAsync();
        Assert.Equal("EZ", answer.Tags);
        Assert.Contains("reason=policy-denied", answer.Errors[0], StringComparison.Ordinal);
        Assert.Equal("12DCZ", (await client.Run("SELECT 3").Sync().AskAsync()).Tags);
        Assert.Equal(0L, await fixture.Server.AskAsync<long>("SELECT count(*) FROM notes WHERE body LIKE 'p8%'"));
    }

    [Fact]
    public async Task P8_two_batches_in_flight_keep_their_answers_apart_when_the_first_fails()
    {
        await using var client = await fixture.ConnectAsync();
        var answer = await client.Run("SELECT 1/0").Run("SELECT 4").Query("SELECT 5").Sync().Run("SELECT 6").Sync().Sync().AskAsync(3);
        Assert.Equal("1EZ12DCZZ", answer.Tags);
        Assert.Equal(["6"], answer.Values);
    }

    [Fact]
    public async Task P8_a_refusal_in_a_transaction_fails_it_and_rollback_mends_it()
    {
        await using var client = await fixture.ConnectAsync();
        await client.Query("BEGIN").Query("INSERT INTO notes (body) VALUES ('p8 undone')").AskAsync(2);
        var refused = await client.Query("DROP TABLE orders").AskAsync();
        Assert.Equal(("EZ", "E"), (refused.Tags, refused.TransactionStatus));
        Assert.StartsWith("25P02", Assert.Single((await client.Query("SELECT 1").AskAsync()).Errors), StringComparison.Ordinal);
        Assert.Equal("I", (await client.Query("ROLLBACK").AskAsync()).TransactionStatus);
        Assert.Equal(0L, await fixture.Server.AskAsync<long>("SELECT count(*) FROM notes WHERE body = 'p8 undone'"));
    }

    [Fact]
    public async Task P9_what_is_behind_a_held_statement_waits_and_keeps_its_order()
    {
        await using var client = await fixture.ConnectAsync();
        await client.Query(Update(122)).Query("INSERT INTO notes (body) VALUES ('p9')").FlushAsync();
        await NoticeAsync(client);
        Assert.Equal(0, fixture.Gateway.Arrived("VALUES ('p9')"));
        await fixture.ApproveAsync();
        Assert.Equal("CZCZ", (await client.AskAsync(2)).Tags);
        Assert.Equal(122, await fixture.CreditAsync(122));
    }

    [Fact]
    public async Task P9_more_than_the_bound_behind_a_held_statement_ends_the_session_and_nothing_runs()
    {
        await using var client = await fixture.ConnectAsync();
        await client.Query(Update(123)).FlushAsync();
        await NoticeAsync(client);
        var filler = "SELECT '" + new string('x', 60_000) + "'";
        for (var n = 0; n < 25; n++) client.Query(filler);
        await client.FlushAsync();
        var answer = await client.UntilAsync(static _ => false);
        Assert.Contains(answer.Errors, static e => e.StartsWith("54000", StringComparison.Ordinal));
        Assert.Equal(0, await fixture.CreditAsync(123));
        Assert.Equal(0, fixture.Gateway.Arrived("SELECT 'xxxx"));
    }

    [Fact]
    public async Task P9_binds_without_an_execute_are_bounded()
    {
        await using var client = await fixture.ConnectAsync();
        client.Parse("v", "SELECT $1::text", 25);
        for (var n = 0; n < 30; n++) client.Bind($"p{n}", "v", new BoundParameter(WireFormat.Text, new byte[60_000].Select(static _ => (byte)'x').ToArray()));
        var answer = await client.Sync().AskAsync();
        Assert.Equal("1EZ", answer.Tags);
        Assert.StartsWith("54000", answer.Errors[0], StringComparison.Ordinal);
    }

    [Fact]
    public async Task P10_messages_that_are_no_statements_are_refused_and_the_session_goes_on()
    {
        await using var client = await fixture.ConnectAsync();
        client.Write(static o =>
        {
            byte[] call = [(byte)'F', 0, 0, 0, 14, 0, 0, 4, 0xD2, 0, 0, 0, 0, 0, 0];
            o.Write(call);
        });
        Assert.Equal("EZ", (await client.AskAsync()).Tags);
        Assert.Contains("reason=not-supported", Assert.Single((await client.Query("COPY orders TO STDOUT").AskAsync()).Errors), StringComparison.Ordinal);
        Assert.Contains("reason=not-supported", Assert.Single((await client.Query("COPY notes FROM STDIN").AskAsync()).Errors), StringComparison.Ordinal);
        client.Write(static o => o.Write("d\0\0\0\u0005Ac\0\0\0\u0004"u8));
        Assert.Equal(["7"], (await client.Query("SELECT 7").AskAsync()).Values);
    }

    [Fact]
    public async Task P10_replication_and_clear_text_behind_a_request_for_tls_are_refused()
    {
        await using (var client = await WireClient.DialAsync(fixture.Gateway.Port))
        {
            Assert.Contains("replication is not supported", await client.StartAsync(GatewayProcess.Agent, fixture.Gateway.AgentKey, "shop", new StartupParameter("replication", "database")), StringComparison.Ordinal);
        }

        await using (var client = await WireClient.DialAsync(fixture.Gateway.Port))
        {
            await client.Write(FrontendWriter.WriteSslRequest).Write(static o => FrontendWriter.WriteStartup(o, ProtocolVersion.V30, [new("user", "robo")])).FlushAsync();
            Assert.True((await client.UntilAsync(static _ => false)).Closed);
        }

        await using (var client = await WireClient.DialAsync(fixture.Gateway.Port))
        {
            for (var n = 0; n < 2; n++)
            {
                await client.Write(FrontendWriter.WriteSslRequest).FlushAsync();
                Assert.Equal('N', client.Stream.ReadByte());
            }

            await client.Write(FrontendWriter.WriteSslRequest).FlushAsync();
            Assert.Equal(-1, client.Stream.ReadByte());
        }
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(3)]
    [InlineData(int.MaxValue)]
    [InlineData(int.MinValue)]
    public async Task P14_a_length_that_can_not_be_ends_the_session(int length)
    {
        await using var client = await fixture.ConnectAsync();
        client.Write(o =>
        {
            var bytes = new byte[32];
            bytes[0] = (byte)'Q';
            BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(1), length);
            o.Write(bytes);
        });
        await client.FlushAsync();
        var answer = await client.UntilAsync(static _ => false);
        Assert.True(answer.Closed);
        Assert.Single(answer.Errors);
    }

    [Theory]
    [InlineData("search_path", "evil")]
    [InlineData("options", "-c search_path=evil")]
    [InlineData("options", "-csearch_path=evil")]
    [InlineData("options", "--standard_conforming_strings=off")]
    [InlineData("standard_conforming_strings", "off")]
    [InlineData("client_encoding", "SJIS")]
    [InlineData("session_preload_libraries", "evil")]
    public async Task P14_a_start_up_parameter_that_is_not_known_is_refused(string name, string value)
    {
        await using var client = await WireClient.DialAsync(fixture.Gateway.Port);
        Assert.Contains("reason=unsafe-setting", await client.StartAsync(GatewayProcess.Agent, fixture.Gateway.AgentKey, "shop", new StartupParameter(name, value)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task P12_a_cancel_reaches_what_runs_and_a_lost_client_detaches_its_review()
    {
        await using (var client = await fixture.ConnectAsync())
        {
            await client.Query("SELECT count(*) FROM generate_series(1, 2000000000)").FlushAsync();
            await using (var cancel = await WireClient.DialAsync(fixture.Gateway.Port))
            {
                // The first cancel may come before the statement has reached the target; the client asks until it is heard.
                for (var heard = false; !heard;)
                {
                    await using var again = await WireClient.DialAsync(fixture.Gateway.Port);
                    await again.Write(o => FrontendWriter.WriteCancelRequest(o, client.ProcessId, client.CancelKey)).FlushAsync();
                    await again.UntilAsync(static _ => false);
                    heard = client.Socket.Poll(200_000, System.Net.Sockets.SelectMode.SelectRead);
                }
            }

            var given = await client.UntilAsync('Z');
            Assert.False(given.Closed, fixture.Gateway.Said);
            Assert.StartsWith("57014", Assert.Single(given.Errors), StringComparison.Ordinal);
        }

        var lost = await fixture.ConnectAsync();
        await lost.Query(Update(124)).FlushAsync();
        await NoticeAsync(lost);
        lost.Socket.LingerState = new System.Net.Sockets.LingerOption(true, 0);
        await lost.DisposeAsync();
        var review = await GatewayProcess.TheOpenReviewAsync(fixture.Alice);
        Assert.Equal("approved", (await GatewayProcess.AnswerAsync(fixture.Alice, review)).Reason);
        Assert.Equal(0, await fixture.CreditAsync(124));

        // The same statement joins it, and runs once.
        await using var back = await fixture.ConnectAsync();
        Assert.Equal("CZ", (await back.Query(Update(124)).AskAsync()).Tags);
        Assert.Equal(1, fixture.Gateway.Arrived(Update(124)));
    }

    [Fact]
    public async Task P12_a_cancel_that_comes_before_the_statement_is_held_is_not_lost()
    {
        await using var client = await fixture.ConnectAsync();
        await client.Parse("", Update(129)).Flush().FlushAsync();
        await client.UntilAsync('1');
        await using (var cancel = await WireClient.DialAsync(fixture.Gateway.Port))
        {
            await cancel.Write(o => FrontendWriter.WriteCancelRequest(o, client.ProcessId, client.CancelKey)).FlushAsync();
            await cancel.UntilAsync(static _ => false);
        }

        var given = await client.Bind("", "").Execute().Sync().AskAsync();
        Assert.StartsWith("57014", Assert.Single(given.Errors), StringComparison.Ordinal);
        Assert.Empty(await GatewayProcess.OpenReviewsAsync(fixture.Alice, 0));

        // It was for that batch: the next one is held as ever.
        await client.Run(Update(129)).Sync().FlushAsync();
        await NoticeAsync(client);
        await fixture.DenyAllAsync();
        Assert.StartsWith("42501", Assert.Single((await client.UntilAsync('Z')).Errors), StringComparison.Ordinal);
        Assert.Equal(0, fixture.Gateway.Arrived(Update(129)));
    }

    [Fact]
    public async Task P13_at_the_hold_limit_of_a_transaction_the_review_stays_and_a_retry_joins_it()
    {
        await using var client = await fixture.ConnectAsync();
        await client.Query("BEGIN").AskAsync();
        var first = await client.Query(Update(125)).AskAsync();
        Assert.Contains("reason=review-pending", Assert.Single(first.Errors), StringComparison.Ordinal);
        Assert.True(first.Notices.Length >= 3, "told again each second");
        var review = await GatewayProcess.TheOpenReviewAsync(fixture.Alice);
        await client.Query("ROLLBACK").Query("BEGIN").AskAsync(2);
        await client.Query(Update(125)).FlushAsync();
        Assert.Contains(review, (await NoticeAsync(client)).Notices[^1], StringComparison.Ordinal);
        Assert.Equal(review, await fixture.ApproveAsync());
        Assert.Equal("CZ", (await client.UntilAsync('Z')).Tags);
        await client.Query("COMMIT").AskAsync();
        Assert.Equal(125, await fixture.CreditAsync(125));
    }

    [Fact]
    public async Task P23_of_two_connections_with_one_statement_one_runs_it_and_the_other_is_told()
    {
        await using var one = await fixture.ConnectAsync();
        await using var two = await fixture.ConnectAsync();
        await one.Query(Update(126)).FlushAsync();
        await two.Query(Update(126)).FlushAsync();
        await NoticeAsync(one);
        await NoticeAsync(two);
        await fixture.ApproveAsync();
        Answer[] answers = [await one.UntilAsync('Z'), await two.UntilAsync('Z')];
        Assert.Single(answers, static a => a.Tags == "CZ");
        Assert.Contains("reason=already-released", Assert.Single(answers.SelectMany(static a => a.Errors)), StringComparison.Ordinal);
        Assert.Equal(1, fixture.Gateway.Arrived(Update(126)));

        // Approved once is not approved for ever.
        await one.Query(Update(126)).FlushAsync();
        await NoticeAsync(one);
        Assert.Equal(1, fixture.Gateway.Arrived(Update(126)));
    }

    [Fact]
    public async Task A_driver_that_waits_for_the_description_before_it_executes_is_served()
    {
        await using var client = await fixture.ConnectAsync();
        await client.Parse("", "SELECT id FROM orders WHERE id < 4 ORDER BY id").Bind("", "").Describe(NamedKind.Portal, "").Flush().FlushAsync();
        Assert.Equal("12T", (await client.UntilAsync('T')).Tags);
        await client.Execute("", 2).Flush().FlushAsync();
        Assert.Equal(["1", "2"], (await client.UntilAsync('s')).Values);
        var rest = await client.Execute("", 2).Sync().AskAsync();
        Assert.Equal(("DCZ", "3"), (rest.Tags, rest.Values[0]));
    }

    [Fact]
    public async Task I1_what_can_not_be_parsed_is_refused_with_its_position_and_never_arrives()
    {
        await using var client = await fixture.ConnectAsync();
        Assert.StartsWith("42601", Assert.Single((await client.Query("SELEC i1_marker").AskAsync()).Errors), StringComparison.Ordinal);
        Assert.StartsWith("42601", Assert.Single((await client.Run("SELECT i1_marker FROM WHERE").Sync().AskAsync()).Errors), StringComparison.Ordinal);
        Assert.DoesNotContain("i1_marker", fixture.Server.Log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Intent_travels_by_both_protocols_and_start_up_options_and_never_reaches_the_target()
    {
        await using var client = await WireClient.ConnectAsync(fixture.Gateway, new StartupParameter("options", @"-c countersign.ticket=OPS-1 -c countersign.task=clean\ up"));
        Assert.Equal("CZ", (await client.Query("SET countersign.reason = 'because of intent_marker'").AskAsync()).Tags);
        Assert.Equal("12nCZ", (await client.Parse("", "SET countersign.model = 'm1'").Bind("", "").Describe(NamedKind.Portal, "").Execute().Sync().AskAsync()).Tags);
        await client.Query(Update(127)).FlushAsync();
        await NoticeAsync(client);
        var card = (await GatewayProcess.ReviewInStateAsync(fixture.Alice, await GatewayProcess.TheOpenReviewAsync(fixture.Alice), "pending")).GetRawText();
        foreach (var said in new[] { "intent_marker", "OPS-1", "clean up", "m1" }) Assert.Contains(said, card, StringComparison.Ordinal);
        Assert.DoesNotContain("intent_marker", fixture.Server.Log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task I8_the_credential_of_the_target_appears_nowhere()
    {
        await using var client = await fixture.ConnectAsync();
        var seen = new List<string>();
        foreach (var sql in new[] { "SELECT current_setting('countersign.reason', true)", "SHOW ALL", "SELECT 1/0", "DROP TABLE orders", Update(128) })
        {
            await client.Query(sql).FlushAsync();
            var answer = await client.UntilAsync(static m => m.Tag == 'Z' || (m.Tag == 'N' && WireClient.ErrorOf(m.Body).Contains("held", StringComparison.Ordinal)));
            seen.AddRange(answer.Messages.Select(static m => System.Text.Encoding.UTF8.GetString(m.Body)));
        }

        var review = await GatewayProcess.TheOpenReviewAsync(fixture.Alice);
        seen.Add((await GatewayProcess.ReviewInStateAsync(fixture.Alice, review, "pending")).GetRawText());
        seen.AddRange((await GatewayProcess.JournalAsync(fixture.Root)).Select(static e => e.GetRawText()));
        seen.Add(fixture.Gateway.Said);
        foreach (var file in Directory.EnumerateFiles(Path.Combine(fixture.Gateway.Folder, "data"), "*", SearchOption.AllDirectories).Where(static f => !f.EndsWith(".lock", StringComparison.Ordinal)))
        {
            await using var open = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            using var reader = new StreamReader(open, System.Text.Encoding.Latin1);
            seen.Add(await reader.ReadToEndAsync());
        }

        Assert.True(seen.Count > 20);
        Assert.All(seen, static text => Assert.DoesNotContain(PostgresServer.GatewayPassword, text, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Wrong_keys_agents_and_targets_are_told_apart_only_where_they_may()
    {
        foreach (var (user, key, database, code) in new[] { ("robo", "wrong", "shop", "28P01"), ("nobody", fixture.Gateway.AgentKey, "shop", "28P01"), ("robo", fixture.Gateway.AgentKey, "nothere", "3D000") })
        {
            await using var client = await WireClient.DialAsync(fixture.Gateway.Port);
            Assert.StartsWith(code, await client.StartAsync(user, key, database), StringComparison.Ordinal);
        }
    }
}
