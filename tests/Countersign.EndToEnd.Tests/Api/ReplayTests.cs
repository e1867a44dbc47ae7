using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Countersign.Core;
using Countersign.Gateway;
using Countersign.Journal;
using Countersign.Reviews;
using Countersign.Tests;

namespace Countersign.EndToEnd.Tests.Api;

public sealed class ReplayTests
{
    private const string Same = """
        @id("reads") permit (principal in Group::"agents", action in Action::"read", resource) unless { resource in DataClass::"pii" };
        @id("renamed") @review("support-leads") @expires("10m") permit (principal in Group::"agents", action in [Action::"sql:insert", Action::"sql:update"], resource in DataClass::"pii");
        """;

    private static async Task<Dictionary<string, (long Count, string Policies)>> ReplayAsync(HttpClient http, string text, object? more = null)
    {
        using var response = await http.PostAsJsonAsync("/api/v1/policy/replay", more ?? new { files = new Dictionary<string, string> { ["main.cedar"] = text } });
        Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync());
        var view = await response.JsonAsync();
        Assert.Equal(view.GetProperty("differing").GetInt64(), view.GetProperty("groups").EnumerateArray().Sum(static g => g.GetProperty("count").GetInt64()));
        var found = view.GetProperty("groups").EnumerateArray().ToDictionary(static g => $"{g.GetProperty("was").GetString()} > {g.GetProperty("now").GetString()}",
            static g => (g.GetProperty("count").GetInt64(), string.Join(',', g.GetProperty("policies").EnumerateArray().Select(static p => p.GetString()))), StringComparer.Ordinal);
        found[""] = (view.GetProperty("replayed").GetInt64(), "");
        return found;
    }

    [Fact]
    public async Task Changed_policies_are_replayed_over_what_was_recorded()
    {
        await using var host = await ApiHost.StartAsync();
        var (agent, _) = await host.AddAgentAsync();
        var spine = host.Get<Spine>();
        for (var n = 0; n < 3; n++) await Assert.IsType<Ruling.Forward>(await spine.SubmitAsync(host.ReadOrders(agent), static () => throw new InvalidOperationException())).Passage.CompleteAsync(OutcomeStatus.Done, 1, 0, null);
        var drop = host.ReadOrders(agent) with { Effects = [new Effect(Verb.Destroy, "sql:drop", host.ReadOrders(agent).Effects[0].Resource)] };
        Assert.IsType<Ruling.Refused>(await spine.SubmitAsync(drop, static () => throw new InvalidOperationException()));
        var held = await host.HoldAsync(host.UpdateCustomer(agent, intent: new Intent("fix", "OPS-7", null, null)));
        var before = host.Entries().Count;
        using var alice = await host.SignInAsync("alice");
        using var mira = await host.SignInAsync("mira");
        using (var refused = await mira.PostAsJsonAsync("/api/v1/policy/replay", new { files = new Dictionary<string, string> { ["a.cedar"] = Same } })) Assert.Equal(HttpStatusCode.Forbidden, refused.StatusCode);

        // What means the same decides the same, whatever it is called; but nothing permits the drop now, and nothing forbids it.
        var same = await ReplayAsync(alice, Same);
        Assert.Equal(5, same[""].Count);
        Assert.Equal([""], same.Keys);

        var stricter = await ReplayAsync(alice, """
            @id("reads") permit (principal in Group::"agents", action in Action::"read", resource) when { context.intent has ticket };
            @id("writes") @review("dba") permit (principal in Group::"agents", action in Action::"write", resource in Schema::"shop.public") when { context has where && context.where };
            @id("drops") permit (principal, action == Action::"sql:drop", resource in Environment::"prod");
            """);
        Assert.Equal((3, "agents-read-freely"), stricter["permit > no-matching-permit"]);
        Assert.Equal((1, "writes"), stricter["review > review"]); // others are asked
        Assert.Equal((1, "drops"), stricter[$"{ReasonCodes.PolicyDenied} > permit"]);

        var looser = await ReplayAsync(alice, Same + "@id(\"tickets\") permit (principal, action in Action::\"write\", resource) when { context.intent has ticket };" + "@id(\"no\") forbid (principal == Agent::\"support-bot\", action in Action::\"write\", resource) when { context.intent has ticket && context.intent.ticket == \"OPS-7\" };");
        Assert.Equal((1, "no"), looser[$"review > {ReasonCodes.PolicyDenied}"]);
        Assert.Equal(0, (await ReplayAsync(alice, "", new { files = new Dictionary<string, string> { ["a.cedar"] = Same }, from = TimeProvider.System.GetUtcNow() }))[""].Count);
        using (var broken = await alice.PostAsJsonAsync("/api/v1/policy/replay", new { files = new Dictionary<string, string> { ["a.cedar"] = "permit (principl, action, resource);" } })) Assert.Equal(ReasonCodes.PolicyError, await broken.ReasonAsync());
        using (var path = await alice.PostAsJsonAsync("/api/v1/policy/replay", new { files = new Dictionary<string, string> { ["a.txt"] = "" } })) Assert.Equal(HttpStatusCode.UnprocessableContent, path.StatusCode);

        // Nothing was recorded but the sign-ins, and the revision in force is the one that was.
        Assert.Equal(["login", "login"], host.Entries().Skip(before).Select(static e => e.GetProperty("type").GetString()));
        held.Waiter.Leave(LeaveReason.Cancelled);
        await held.Ruling;
    }

    [Fact]
    public async Task Replay_of_recorded_actions_takes_less_than_a_minute_for_a_hundred_thousand()
    {
        var count = Campaign.Of(2_000, 100_000);
        await using var host = await ApiHost.StartAsync(config: static yaml => yaml + "\nlimits: { requests-per-minute: 10000000 }\n");
        var (agent, _) = await host.AddAgentAsync();
        var spine = host.Get<Spine>();
        for (var n = 0; n < count; n++)
        {
            // A hundred tables, read with or without a limit: a working set as of a busy team.
            var read = host.ReadOrders(agent);
            var effect = read.Effects[0] with { Resource = read.Effects[0].Resource with { Id = $"shop.public.t{n % 100}" }, Facts = new Dictionary<string, FactValue> { ["statement"] = "SELECT", ["unbounded"] = n % 3 == 0, ["columns"] = FactValue.Of(["id", "state"]) } };
            await Assert.IsType<Ruling.Forward>(await spine.SubmitAsync(read with { Effects = [effect] }, static () => throw new InvalidOperationException())).Passage.CompleteAsync(OutcomeStatus.Done, 1, 0, null);
        }

        await host.Journal.WriteAsync(WriteSet.Of(new EntryDraft("test-done", CanonicalJson.Object(), null))); // the last that were written behind are there
        using var alice = await host.SignInAsync("alice");
        var started = Stopwatch.GetTimestamp();
        var found = await ReplayAsync(alice, "@id(\"bounded\") permit (principal in Group::\"agents\", action in Action::\"read\", resource) when { context has unbounded && !context.unbounded };");
        var took = Stopwatch.GetElapsedTime(started);
        Assert.Equal(count, found[""].Count);
        Assert.Equal((count + 2) / 3, found["permit > no-matching-permit"].Count);
        Campaign.Report("replay of recorded actions, seconds", took.TotalSeconds.ToString("F1", System.Globalization.CultureInfo.InvariantCulture));
        TestContext.Current.TestOutputHelper?.WriteLine($"{count} actions replayed in {took.TotalSeconds:F2} s");
        Assert.True(took < TimeSpan.FromMinutes(1), $"{count} actions took {took}");
    }
}
