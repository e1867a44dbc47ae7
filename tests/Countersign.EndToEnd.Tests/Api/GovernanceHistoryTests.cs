using System.Diagnostics;
using System.Text.Json;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;
using Countersign.Reviews;

namespace Countersign.EndToEnd.Tests.Api;

/// <summary>I11 over restarts: what was changed on the disk between them.</summary>
public sealed class GovernanceHistoryTests : IDisposable
{
    private const string People = "  tom: { groups: [support-leads, dba] }";

    private readonly string folder = ApiHost.NewFolder();

    public void Dispose() => Directory.Delete(folder, recursive: true);

    private void Git(params string[] arguments)
    {
        var start = new ProcessStartInfo("git", ["-C", folder, .. arguments]) { RedirectStandardError = true };
        start.Environment["GIT_CONFIG_GLOBAL"] = start.Environment["GIT_CONFIG_SYSTEM"] = "/dev/null";
        using var git = Process.Start(start)!;
        git.WaitForExit();
        Assert.True(git.ExitCode == 0, git.StandardError.ReadToEnd());
    }

    /// <summary>Writes the file as the next start will find it, and commits it.</summary>
    private void Commit(string mail, Func<string, string> config)
    {
        ApiHost.WriteShop(folder, config);
        Git("add", "countersign.yaml", "policies");
        Git("-c", "user.name=x", "-c", $"user.email={mail}", "commit", "-q", "-m", "config");
    }

    private static (JsonElement Entry, JsonElement Body)[] Changes(ApiHost host) => host.Get<IStateReader>().ReadEntries(0, 10_000)
        .Where(static e => JsonElement.Parse(e.Bytes).GetProperty("type").GetString() == "config-changed")
        .Select(e => (JsonElement.Parse(e.Bytes), JsonElement.Parse(host.Get<IStateReader>().GetBody(e.Index)!.Bytes!))).ToArray();

    [Fact]
    public async Task I11_Change_of_the_config_is_journalled_with_its_author_and_what_changed()
    {
        Git("init", "-q");
        string Before(string yaml) => yaml.Replace(People, People + "\n  dora: { groups: [dba] }", StringComparison.Ordinal);
        string After(string yaml) => yaml.Replace(People, People + "\n  dora: { groups: [dba, support-leads] }\n  evan: { groups: [dba] }", StringComparison.Ordinal);
        Commit("alice@example.org", Before);
        await using (var host = await ApiHost.StartAsync(folder: folder, config: Before))
        {
            var (entry, body) = Assert.Single(Changes(host));
            Assert.True(entry.GetProperty("first").GetBoolean());
            Assert.Contains(body.GetProperty("changes").EnumerateArray(), static c => c.GetProperty("key").GetString() == "users.dora.groups" && c.GetProperty("after").GetString() == "[dba]");
        }

        await using (var same = await ApiHost.StartAsync(folder: folder, config: Before)) Assert.Single(Changes(same));

        Commit("Dora@example.org", After);
        await using (var host = await ApiHost.StartAsync(folder: folder, config: After))
        {
            var (entry, body) = Changes(host)[^1];
            Assert.Equal((false, 1, 1, 0), (entry.GetProperty("first").GetBoolean(), entry.GetProperty("added").GetInt32(), entry.GetProperty("changed").GetInt32(), entry.GetProperty("removed").GetInt32()));
            Assert.Equal([host.Get<UserDirectory>().Find("dora")!.Ref.Id.Value], entry.GetProperty("authors").EnumerateArray().Select(static a => a.GetString()));
            Assert.Equal(40, entry.GetProperty("commit").GetString()!.Length);
            var change = body.GetProperty("changes").EnumerateArray().Single(static c => c.GetProperty("key").GetString() == "users.dora.groups");
            Assert.Equal(("[dba]", "[dba, support-leads]"), (change.GetProperty("before").GetString(), change.GetProperty("after").GetString()));

            // The entry itself has ids and counts alone; the names can be erased with the body.
            Assert.DoesNotContain("dora", entry.GetRawText(), StringComparison.OrdinalIgnoreCase);
            Assert.DoesNotContain(ApiHost.TargetPassword, body.GetRawText(), StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("owner: dora", "owner: tom", true)]
    [InlineData("owner: alice, for: dora", "owner: alice", true)]
    [InlineData("owner: alice", "owner: tom", false)]
    public async Task I11_Who_owned_a_federated_agent_or_was_acted_for_cools_when_the_file_says_otherwise(string before, string after, bool cools)
    {
        Func<string, string> With(string keys) => yaml => yaml.Replace(People, People + "\n  dora: { groups: [support-leads] }", StringComparison.Ordinal)
            + $"\nidentity:\n  insecure-loopback: true\n  issuers:\n    ci: {{ issuer: https://ci.example.com, audience: gw, agents: {{ deploy: {{ match: {{ sub: \"job:deploy\" }}, groups: [agents], {keys} }} }} }}\n";
        await using (await ApiHost.StartAsync(folder: folder, config: With(before))) { }
        await using var host = await ApiHost.StartAsync(folder: folder, config: With(after));
        var held = await host.HoldAsync(host.UpdateCustomer(host.Agents.Find("deploy")!));
        Assert.Equal(cools ? ReasonCodes.CoolingOff : null, host.Desk.Draft(held.Review.Id, host.Get<UserDirectory>().Find("dora")!, AnswerKind.Approve, "cli", null).Refused?.ReasonCode);
        Assert.Null(host.Desk.Draft(held.Review.Id, host.Get<UserDirectory>().Find("mira")!, AnswerKind.Approve, "cli", null).Refused);
        held.Waiter.Leave(LeaveReason.Cancelled);
        await held.Ruling;
    }

    [Fact]
    public async Task I11_Owner_who_was_taken_out_of_the_config_and_put_back_cools_all_the_same()
    {
        Func<string, string> With(string people, string owner) => yaml => yaml.Replace(People, People + people, StringComparison.Ordinal)
            + $"\nidentity:\n  insecure-loopback: true\n  issuers:\n    ci: {{ issuer: https://ci.example.com, audience: gw, agents: {{ deploy: {{ match: {{ sub: \"job:deploy\" }}, groups: [agents], owner: {owner} }} }} }}\n";
        const string dora = "\n  dora: { groups: [support-leads] }";
        await using (await ApiHost.StartAsync(folder: folder, config: With(dora, "dora"))) { }
        await using (await ApiHost.StartAsync(folder: folder, config: With("", "tom"))) { }
        await using var host = await ApiHost.StartAsync(folder: folder, config: With(dora, "tom"));
        var held = await host.HoldAsync(host.UpdateCustomer(host.Agents.Find("deploy")!));
        Assert.Equal(ReasonCodes.CoolingOff, host.Desk.Draft(held.Review.Id, host.Get<UserDirectory>().Find("dora")!, AnswerKind.Approve, "cli", null).Refused?.ReasonCode);
        held.Waiter.Leave(LeaveReason.Cancelled);
        await held.Ruling;
    }
}
