using System.Globalization;
using Countersign.Core;
using Countersign.EndToEnd.Tests.Api;
using Countersign.Identity;
using Countersign.Journal;
using Countersign.Pages;
using Countersign.Pages.Activity;
using Countersign.Reviews;
using Microsoft.Extensions.Time.Testing;

namespace Countersign.Console.Tests;

/// <summary>The search over a long journal, in a gateway of its own.</summary>
public sealed class SearchTests
{
    private const int Many = Activities.MaxEntries + 4_000;

    [Fact]
    public async Task Search_looks_at_a_bounded_part_says_how_far_and_goes_on_from_there()
    {
        var time = new FakeTimeProvider(new DateTimeOffset(2026, 11, 1, 0, 0, 0, TimeSpan.Zero));
        await using var host = await ApiHost.StartAsync(time);
        var (agent, _) = await host.AddAgentAsync();
        var users = host.Get<UserDirectory>();
        await WriteAsync(host, agent.Id, "first", 1);
        var middle = time.GetUtcNow().AddHours(1);
        for (var n = 0; n < Many; n += 500)
        {
            time.Advance(TimeSpan.FromMinutes(10));
            await WriteAsync(host, new OpaqueId("ag_0000000000000000"), "noise", 500);
        }

        var activities = new Activities(host.Get<IStateReader>(), host.Desk, host.Agents, users);
        var root = Reader(users.Find("alice")!, admin: true);
        var page = activities.Search(new ActivityQuery { Agent = agent.Name }, root);
        Assert.Empty(page.Rows);
        Assert.Equal(Activities.MaxEntries, page.Looked);
        Assert.NotNull(page.Next);
        var rest = activities.Search(new ActivityQuery { Agent = agent.Name, Before = page.Next }, root);
        Assert.Equal("first", Assert.Single(rest.Rows).Reason);
        Assert.Null(rest.Next);

        // A moment is looked up, not walked to.
        var early = activities.Search(new ActivityQuery { Agent = agent.Name, Until = middle }, root);
        Assert.Single(early.Rows);
        Assert.InRange(early.Looked, 1, 5_000);

        // Fifty to a page, each once, none between two pages lost.
        var all = new List<long>();
        for (long? before = null; ;)
        {
            var some = activities.Search(new ActivityQuery { Decision = "deny", Until = middle.AddMinutes(1), Before = before }, root);
            Assert.True(some.Rows.Count <= Activities.PageRows);
            all.AddRange(some.Rows.Select(static r => r.Index));
            if ((before = some.Next) is null) break;
        }

        Assert.Equal(all.Distinct().OrderDescending(), all);
        Assert.True(all.Count >= 3_000, all.Count.ToString(CultureInfo.InvariantCulture));
        Assert.Empty(activities.Search(new ActivityQuery(), Reader(users.Find("mira")!, admin: false)).Rows);
    }

    private static async Task WriteAsync(ApiHost host, OpaqueId agent, string reason, int count)
    {
        var drafts = Enumerable.Range(0, count).Select(n => new EntryDraft("action",
            CanonicalJson.Object(("action", ActionId.New().Value), ("agent", agent.Value), ("target", "shop"), ("verdict", "deny"), ("reason", reason),
                ("verbs", CanonicalJson.Strings(["write"])), ("classes", CanonicalJson.Strings([]))), null)).ToArray();
        Assert.Equal(WriteStatus.Committed, (await host.Journal.WriteAsync(new WriteSet(drafts, []))).Status);
    }

    private static Reader Reader(UserEntry user, bool admin) =>
        new(user, admin, new HumanSession("x", user, SessionKind.Web, "test", default, default, default, null), "console", null, CancellationToken.None);
}
