using System.Net;
using System.Net.Http.Json;
using Countersign.Core;
using Countersign.Gateway;
using Countersign.Hosting;
using Countersign.Journal;
using Microsoft.Extensions.Time.Testing;

namespace Countersign.EndToEnd.Tests.Api;

public sealed class HostTests
{
    [Fact]
    public async Task P50_What_was_forwarded_and_never_ended_is_journalled_as_unknown_at_the_next_start_and_only_then()
    {
        var folder = ApiHost.NewFolder();
        try
        {
            ActionId lost, done;
            await using (var host = await ApiHost.StartAsync(folder: folder))
            {
                var (agent, _) = await host.AddAgentAsync();
                var first = host.ReadOrders(agent);
                var second = host.ReadOrders(agent) with { Id = ActionId.New() };
                (lost, done) = (first.Id, second.Id);
                Assert.IsType<Ruling.Forward>(await host.Get<Spine>().SubmitAsync(first, static () => throw new InvalidOperationException()));
                var forward = Assert.IsType<Ruling.Forward>(await host.Get<Spine>().SubmitAsync(second, static () => throw new InvalidOperationException()));
                await forward.Passage.CompleteAsync(OutcomeStatus.Done, 3, 0, null);
            }

            for (var start = 0; start < 2; start++)
            {
                await using var again = await ApiHost.StartAsync(folder: folder);
                Assert.Equal(start == 0 ? 1 : 0, await again.Get<HostWork>().Settled);
                var outcomes = again.Entries().Where(static e => e.GetProperty("type").GetString() == "outcome").ToDictionary(static e => e.GetProperty("action").GetString()!, static e => e.GetProperty("status").GetString());
                Assert.Equal(2, outcomes.Count);
                Assert.Equal(("unknown", "done"), (outcomes[lost.Value], outcomes[done.Value]));
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task A_bad_edit_of_a_policy_leaves_the_old_revision_serving_and_a_good_one_is_journalled()
    {
        var time = new FakeTimeProvider(new DateTimeOffset(2026, 11, 22, 12, 0, 0, TimeSpan.Zero));
        await using var host = await ApiHost.StartAsync(time);
        using var alice = await host.SignInAsync("alice");
        var first = await RevisionAsync();
        var file = Path.Combine(host.Folder, "policies", "never.cedar");
        var text = await File.ReadAllTextAsync(file);

        await File.WriteAllTextAsync(file, text + "permit (principal, action, resource) when { resource.nonsense };");
        await UntilAsync("policy-refused");
        var refused = await RevisionAsync();
        Assert.Equal(first.ContentHash, refused.ContentHash);
        Assert.Contains("never.cedar", refused.LastError, StringComparison.Ordinal);
        Assert.Contains(host.Notices, static n => n.Contains("goes on serving", StringComparison.Ordinal));

        await File.WriteAllTextAsync(file, text + "// and nothing else");
        await UntilAsync("policy-revision", count: 2);
        var second = await RevisionAsync();
        Assert.NotEqual(first.ContentHash, second.ContentHash);
        Assert.Null(second.LastError);
        Assert.Equal(second.ContentHash, host.Entries().Last(static e => e.GetProperty("type").GetString() == "policy-revision").GetProperty("revision").GetString());

        async Task<(string? ContentHash, string? LastError)> RevisionAsync()
        {
            var json = await (await alice.GetAsync("/api/v1/policy/revision")).JsonAsync();
            return (json.GetProperty("contentHash").GetString(), json.TryGetProperty("lastError", out var e) ? e.GetString() : null);
        }

        // The clock is driven forward until the journal shows what is waited for; the watch looks twice before it acts.
        async Task UntilAsync(string type, int count = 1)
        {
            var next = 0L;
            for (var found = 0; found < count;)
            {
                foreach (var entry in host.Get<IStateReader>().ReadEntries(next, 1000))
                {
                    next = entry.Index.Value + 1;
                    Assert.True(entry.TryParse(out var content));
                    if (content.Type == type) found++;
                }

                if (found >= count) return;
                var appended = host.Journal.WaitForAppendAsync(new LeafIndex(next), TestContext.Current.CancellationToken).AsTask();
                while (!appended.IsCompleted)
                {
                    time.Advance(TimeSpan.FromSeconds(2));
                    await Task.WhenAny(appended, Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System));
                }
            }
        }
    }

    [Fact]
    public async Task A_bad_policy_set_at_start_says_every_error()
    {
        var folder = ApiHost.NewFolder();
        try
        {
            Directory.CreateDirectory(Path.Combine(folder, "policies"));
            await File.WriteAllTextAsync(Path.Combine(folder, "policies", "a.cedar"), "@nonsense(\"x\") permit (principal, action, resource);");
            await File.WriteAllTextAsync(Path.Combine(folder, "policies", "b.cedar"), "permit (");
            var failure = await Assert.ThrowsAsync<StartFailure>(() => ApiHost.StartAsync(folder: folder));
            Assert.Equal(1, failure.ExitCode);
            Assert.Contains(failure.Errors, static e => e.Contains("a.cedar", StringComparison.Ordinal));
            Assert.Contains(failure.Errors, static e => e.Contains("b.cedar", StringComparison.Ordinal));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task A_second_gateway_on_the_same_data_folder_does_not_start()
    {
        await using var host = await ApiHost.StartAsync();
        var failure = await Assert.ThrowsAsync<StartFailure>(() => ApiHost.StartAsync(folder: host.Folder));
        Assert.Contains("in use by another", Assert.Single(failure.Errors), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Readiness_is_told_to_anybody_and_why_to_nobody()
    {
        await using var host = await ApiHost.StartAsync();
        using var http = host.Anonymous();
        using var ready = await http.GetAsync("/readyz");
        Assert.Equal(HttpStatusCode.OK, ready.StatusCode);
        Assert.Equal("""{"status":"ready","checks":{"journal":"ok","policy":"ok"}}""", await ready.Content.ReadAsStringAsync());
        Assert.StartsWith("ready http=http://127.0.0.1:", host.Gateway.ReadyLine, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Policy_explains_what_it_would_say_and_records_nothing()
    {
        await using var host = await ApiHost.StartAsync();
        await host.AddAgentAsync();
        using var mira = await host.SignInAsync("mira");
        var before = host.Journal.EntryCount;
        using var answer = await mira.PostAsJsonAsync("/api/v1/policy/explain", new { agent = "support-bot", target = "shop", action = "sql:update", resource = "public.customers", facts = new { where = true } });
        var json = await answer.JsonAsync();
        Assert.Equal("review", json.GetProperty("decision").GetString());
        Assert.Equal("customer-changes-need-a-lead", json.GetProperty("effects")[0].GetProperty("policies")[0].GetProperty("id").GetString());
        Assert.Equal(before, host.Journal.EntryCount);

        using var nonsense = await mira.PostAsJsonAsync("/api/v1/policy/explain", new { agent = "support-bot", target = "shop", action = "sql:frobnicate", resource = "public.customers" });
        Assert.Equal(HttpStatusCode.UnprocessableEntity, nonsense.StatusCode);
    }

    [Fact]
    public async Task The_journal_is_read_tailed_and_verified_by_admins()
    {
        await using var host = await ApiHost.StartAsync();
        using var alice = await host.SignInAsync("alice");
        var page = await (await alice.GetAsync("/api/v1/journal/entries?from=1&max=2")).JsonAsync();
        Assert.Equal([1L, 2L], page.GetProperty("entries").EnumerateArray().Select(static e => e.GetProperty("index").GetInt64()));
        using var bad = await alice.GetAsync("/api/v1/journal/entries?from=-1");
        Assert.Equal(HttpStatusCode.BadRequest, bad.StatusCode);
        var verdict = await (await alice.GetAsync("/api/v1/journal/verify")).JsonAsync();
        Assert.True(verdict.GetProperty("sound").GetBoolean());

        var count = host.Journal.EntryCount;
        using var tail = new StreamReader(await alice.GetStreamAsync($"/api/v1/journal/tail?from={count - 1}"));
        Assert.Equal(count - 1, await NextAsync());
        await host.AddAgentAsync();
        Assert.Equal(count, await NextAsync());

        async Task<long> NextAsync()
        {
            while (await tail.ReadLineAsync(TestContext.Current.CancellationToken) is { } line)
            {
                if (line.StartsWith("data: ", StringComparison.Ordinal)) return System.Text.Json.JsonElement.Parse(line["data: ".Length..]).GetProperty("index").GetInt64();
            }

            return -1;
        }
    }
}
