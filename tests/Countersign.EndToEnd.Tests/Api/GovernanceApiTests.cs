using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Countersign.Core;
using Countersign.Gateway;
using Countersign.Identity;
using Countersign.Reviews;

namespace Countersign.EndToEnd.Tests.Api;

/// <summary>Who may approve, grants, broken glass, brakes and Countersign's own government: over the API, under Cedar, on a real journal.</summary>
public sealed class GovernanceApiTests : IAsyncDisposable
{
    private const string Reads = "permit (principal in Group::\"agents\", action in Action::\"read\", resource);\n";

    private readonly string folder = ApiHost.NewFolder();
    private ApiHost? host;

    public async ValueTask DisposeAsync()
    {
        if (host is not null) await host.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }

    private async Task<ApiHost> StartAsync(string annotations, string more = "", string config = "")
    {
        Directory.CreateDirectory(Path.Combine(folder, "policies"));
        await File.WriteAllTextAsync(Path.Combine(folder, "policies", "main.cedar"), $"{Reads}@id(\"writes\") {annotations}\npermit (principal in Group::\"agents\", action in Action::\"write\", resource);\n{more}");
        return host = await ApiHost.StartAsync(folder: folder, config: yaml => yaml.Replace("  tom: { groups: [support-leads, dba] }",
            "  tom: { groups: [support-leads, dba] }\n  dora: { groups: [dba] }\n  sec: { groups: [security] }\n  ivan: { groups: [incident] }", StringComparison.Ordinal) + $"\ngovernance:\n  security: security\n{config}\n");
    }

    private static async Task<JsonElement> CardAsync(HttpClient http, ReviewId id) => await (await http.GetAsync($"/api/v1/reviews/{id}")).JsonAsync();

    private static string[] Words(JsonElement card) => card.GetProperty("requirements").EnumerateArray().Select(static r => r.GetProperty("words").GetString()!).ToArray();

    [Fact]
    public async Task Stages_and_several_at_once_are_asked_in_words_and_in_order()
    {
        var host = await StartAsync("@review(\"dba & support-leads > security\")");
        var (agent, _) = await host.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        using var dora = await host.SignInAsync("dora");
        using var mira = await host.SignInAsync("mira");
        using var sec = await host.SignInAsync("sec");
        var card = await CardAsync(sec, held.Review.Id);
        Assert.Equal("1 of dba, and 1 of support-leads; then 1 of security", card.GetProperty("needs").GetString());
        Assert.Equal([
            "stage 1: 1 of dba: 1 more needed (dora, tom)",
            "stage 1: 1 of support-leads: 1 more needed (mira, tom)",
            "stage 2: 1 of security: asked when the stages before it are met (sec)",
        ], Words(card));

        using (var early = await sec.AnswerAsync(held.Review.Id, "approve")) Assert.Equal(ReasonCodes.NotYetAsked, await early.ReasonAsync());
        using (await dora.AnswerAsync(held.Review.Id, "approve")) { }
        using (await mira.AnswerAsync(held.Review.Id, "approve")) { }
        Assert.Equal("stage 2: 1 of security: 1 more needed (sec)", Words(await CardAsync(sec, held.Review.Id))[2]);
        using (await sec.AnswerAsync(held.Review.Id, "approve")) { }
        Assert.IsType<Ruling.Forward>(await held.Ruling);
        var types = host.Entries().Select(static e => e.GetProperty("type").GetString()).ToArray();
        Assert.Equal(["answer", "answer", "stage-opened", "answer", "review-approved", "released"], types.Where(static t => t is "answer" or "stage-opened" or "review-approved" or "released"));
    }

    [Fact]
    public async Task Grant_is_given_used_listed_and_revoked()
    {
        var host = await StartAsync("@review(\"dba\") @grant(\"30m, 5\")");
        var (agent, _) = await host.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        using var dora = await host.SignInAsync("dora");
        Assert.Equal(5, (await CardAsync(dora, held.Review.Id)).GetProperty("mayGrant").GetProperty("uses").GetInt32());
        var path = $"/api/v1/reviews/{held.Review.Id}";
        var grant = new { forSeconds = 600, uses = 3, free = new[] { new { parameter = 1, maxLength = 40 } } };
        using (var tooLong = await dora.PostAsJsonAsync($"{path}/statements", new { decision = "approve", grant = grant with { forSeconds = 1801 } })) Assert.Equal(ReasonCodes.GrantNotAllowed, await tooLong.ReasonAsync());
        var draft = await (await dora.PostAsJsonAsync($"{path}/statements", new { decision = "approve", grant })).JsonAsync();
        using (var answered = await dora.PostAsJsonAsync($"{path}/answers", new { statement = draft.GetProperty("statement").GetString() })) Assert.Equal(HttpStatusCode.OK, answered.StatusCode);
        await Assert.IsType<Ruling.Forward>(await held.Ruling).Passage.CompleteAsync(OutcomeStatus.Done, 1, 0, null);

        var spine = host.Get<Spine>();
        ValueTask<Ruling> Again(string email, long id) => Submit(host.UpdateCustomer(agent, email, id));
        ValueTask<Ruling> Submit(GatewayAction action) => spine.SubmitAsync(action, () => new Waiter(action, () => new(new Rederived.As(action)), static _ => { }));
        var used = Assert.IsType<Ruling.Forward>(await Again("eve@example.org", 42));
        await used.Passage.CompleteAsync(OutcomeStatus.Done, 1, 0, null);
        var other = await host.HoldAsync(host.UpdateCustomer(agent, "eve@example.org", 43)); // the value that is not free
        other.Waiter.Leave(LeaveReason.Cancelled);
        await other.Ruling;

        var listed = Assert.Single((await (await dora.GetAsync("/api/v1/grants")).JsonAsync()).GetProperty("grants").EnumerateArray());
        Assert.Equal((2, 3, "$1 any text of at most 40 characters"), (listed.GetProperty("uses").GetInt32(), listed.GetProperty("maxUses").GetInt32(), listed.GetProperty("free")[0].GetString()));
        var id = listed.GetProperty("id").GetString();
        using var mira = await host.SignInAsync("mira");
        Assert.Empty((await (await mira.GetAsync("/api/v1/grants")).JsonAsync()).GetProperty("grants").EnumerateArray());
        using (var strange = await mira.DeleteAsync($"/api/v1/grants/{id}")) Assert.Equal(HttpStatusCode.NotFound, strange.StatusCode);
        using (var revoked = await dora.DeleteAsync($"/api/v1/grants/{id}")) Assert.Equal(HttpStatusCode.OK, revoked.StatusCode);
        var asked = await host.HoldAsync(host.UpdateCustomer(agent, "eve@example.org"));
        asked.Waiter.Leave(LeaveReason.Cancelled);
        await asked.Ruling;
        var types = host.Entries().Select(static e => e.GetProperty("type").GetString()).Where(static t => t!.StartsWith("grant-", StringComparison.Ordinal));
        Assert.Equal(["grant-opened", "grant-used", "grant-revoked"], types);
        Assert.Equal("dora", used.Passage.Review is { } review ? host.Desk.Find(review)!.Answers[0].Name : null);
    }

    [Fact]
    public async Task Broken_glass_is_seen_by_security_and_closed_by_somebody_else()
    {
        var host = await StartAsync("@review(\"dba\") @quorum(\"2\")", "permit (principal in Group::\"incident\", action == Action::\"break-glass\", resource is Review) when { context.channel == \"cli\" };");
        var (agent, _) = await host.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        using var ivan = await host.SignInAsync("ivan");
        using var sec = await host.SignInAsync("sec");
        using var alice = await host.SignInAsync("alice"); // the owner
        using (var unseen = await sec.GetAsync($"/api/v1/reviews/{held.Review.Id}")) Assert.Equal(HttpStatusCode.NotFound, unseen.StatusCode);
        using (var own = await alice.AnswerAsync(held.Review.Id, "break-glass", "mine")) Assert.Equal(ReasonCodes.SelfApproval, await own.ReasonAsync());
        using (var mute = await ivan.AnswerAsync(held.Review.Id, "break-glass")) Assert.Equal(ReasonCodes.JustificationRequired, await mute.ReasonAsync());
        using var elsewhere = await host.SignInAsync("ivan", channel: null);
        using (var channel = await elsewhere.AnswerAsync(held.Review.Id, "break-glass", "no")) Assert.Equal(ReasonCodes.NotEligible, await channel.ReasonAsync());
        using (var broken = await ivan.AnswerAsync(held.Review.Id, "break-glass", "INC-7: checkout is down")) Assert.Equal(HttpStatusCode.OK, broken.StatusCode);
        Assert.IsType<Ruling.Forward>(await held.Ruling);

        Assert.True((await CardAsync(sec, held.Review.Id)).GetProperty("glassBroken").GetBoolean());
        var open = Assert.Single((await (await sec.GetAsync("/api/v1/aftermaths")).JsonAsync()).GetProperty("aftermaths").EnumerateArray());
        Assert.Equal("ivan", open.GetProperty("brokenBy").GetString());
        foreach (var close in new[] { ivan, alice })
            using (var refused = await close.PostAsJsonAsync($"/api/v1/aftermaths/{held.Review.Id}/close", new { justified = true, finding = "fine" })) Assert.Equal(ReasonCodes.SelfApproval, await refused.ReasonAsync());
        using (var closed = await sec.PostAsJsonAsync($"/api/v1/aftermaths/{held.Review.Id}/close", new { justified = true, finding = "INC-7 needed it" })) Assert.Equal("sec", (await closed.JsonAsync()).GetProperty("closedBy").GetString());
        using (var twice = await sec.PostAsJsonAsync($"/api/v1/aftermaths/{held.Review.Id}/close", new { justified = false, finding = "x" })) Assert.Equal(ReasonCodes.ReviewClosed, await twice.ReasonAsync());
    }

    [Fact]
    public async Task I11_Cedar_decides_who_administers_and_no_group_by_its_name()
    {
        var host = await StartAsync("@review(\"dba\")", "permit (principal in Group::\"security\", action == Action::\"countersign:agents\", resource is Gateway);");
        await host.AddAgentAsync();
        using var alice = await host.SignInAsync("alice"); // of `admins`
        using var sec = await host.SignInAsync("sec");
        using (var refused = await alice.GetAsync("/api/v1/agents")) Assert.Equal((HttpStatusCode.Forbidden, ReasonCodes.NotEligible), (refused.StatusCode, await refused.ReasonAsync()));
        using (var journal = await alice.GetAsync("/api/v1/journal/entries")) Assert.Equal(HttpStatusCode.Forbidden, journal.StatusCode);
        using (var journal = await sec.GetAsync("/api/v1/journal/entries")) Assert.Equal(HttpStatusCode.Forbidden, journal.StatusCode);
        using (var suspended = await sec.PostAsync("/api/v1/agents/support-bot/suspend", null)) Assert.Equal(HttpStatusCode.OK, suspended.StatusCode);
        var agent = host.Agents.Find("support-bot")!;
        var refusal = Assert.IsType<Ruling.Refused>(await host.Get<Spine>().SubmitAsync(host.ReadOrders(agent), static () => throw new InvalidOperationException()));
        Assert.Equal(ReasonCodes.AgentSuspended, refusal.Refusal.ReasonCode);
        using (var resumed = await sec.PostAsync("/api/v1/agents/support-bot/resume", null)) Assert.Equal(HttpStatusCode.OK, resumed.StatusCode);
        Assert.IsType<Ruling.Forward>(await host.Get<Spine>().SubmitAsync(host.ReadOrders(agent), static () => throw new InvalidOperationException()));
        var secId = host.Get<UserDirectory>().Find("sec")!.Ref.Id.Value;
        Assert.Equal([secId, secId], host.Entries().Where(static e => e.GetProperty("type").GetString() is "agent-suspended" or "agent-resumed").Select(static e => e.GetProperty("author").GetString()));
    }

    [Fact]
    public async Task I11_Former_owner_can_not_approve()
    {
        var host = await StartAsync("@review(\"dba\")");
        await host.AddAgentAsync(owner: "dora");
        using var alice = await host.SignInAsync("alice");
        using (var owned = await alice.PutAsJsonAsync("/api/v1/agents/support-bot/owner", new { owner = "mira" })) Assert.Equal(HttpStatusCode.OK, owned.StatusCode);
        var held = await host.HoldAsync(host.UpdateCustomer(host.Agents.Find("support-bot")!));
        using var dora = await host.SignInAsync("dora");
        using var tom = await host.SignInAsync("tom");
        Assert.DoesNotContain("dora", (await CardAsync(tom, held.Review.Id)).GetProperty("approvers").EnumerateArray().Select(static a => a.GetString()));
        Assert.Equal(ReasonCodes.CoolingOff, host.Desk.Draft(held.Review.Id, host.Get<UserDirectory>().Find("dora")!, AnswerKind.Approve, "cli", null).Refused!.ReasonCode);
        using (await tom.AnswerAsync(held.Review.Id, "approve")) { }
        Assert.IsType<Ruling.Forward>(await held.Ruling);
    }

    [Theory]
    [InlineData("", true)]
    [InlineData("  cooling: 0s", false)]
    public async Task I11_Author_of_the_policies_can_not_approve_under_them(string cooling, bool refused)
    {
        Directory.CreateDirectory(Path.Combine(folder, "policies"));
        // Committed before the start: what serve finds at its first start is new to it.
        await File.WriteAllTextAsync(Path.Combine(folder, "policies", "main.cedar"), $"{Reads}@id(\"writes\") @review(\"dba\")\npermit (principal in Group::\"agents\", action in Action::\"write\", resource);\n");
        Git("init", "-q");
        Git("add", "policies");
        Git("-c", "user.name=x", "-c", "user.email=Dora@example.org", "commit", "-q", "-m", "rules");
        var host = await StartAsync("@review(\"dba\")", config: cooling);
        var (agent, _) = await host.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        var draft = host.Desk.Draft(held.Review.Id, host.Get<UserDirectory>().Find("dora")!, AnswerKind.Approve, "cli", null);
        Assert.Equal(refused ? ReasonCodes.CoolingOff : null, draft.Refused?.ReasonCode);
        Assert.Null(host.Desk.Draft(held.Review.Id, host.Get<UserDirectory>().Find("tom")!, AnswerKind.Approve, "cli", null).Refused);
        var recorded = host.Entries().Last(static e => e.GetProperty("type").GetString() == "policy-revision");
        if (refused) Assert.Equal([host.Get<UserDirectory>().Find("dora")!.Ref.Id.Value], recorded.GetProperty("authors").EnumerateArray().Select(static a => a.GetString()));
        Assert.Contains("writes", recorded.GetProperty("added").EnumerateArray().Select(static a => a.GetString()));
        held.Waiter.Leave(LeaveReason.Cancelled);
        await held.Ruling;

        void Git(params string[] arguments)
        {
            var start = new ProcessStartInfo("git", ["-C", folder, .. arguments]) { RedirectStandardError = true };
            start.Environment["GIT_CONFIG_GLOBAL"] = start.Environment["GIT_CONFIG_SYSTEM"] = "/dev/null";
            using var git = Process.Start(start)!;
            git.WaitForExit();
            Assert.True(git.ExitCode == 0, git.StandardError.ReadToEnd());
        }
    }

    [Fact]
    public async Task Delegate_is_named_by_who_is_away_and_speaks_for_him()
    {
        var host = await StartAsync("@review(\"dba\")");
        var (agent, _) = await host.AddAgentAsync();
        using var dora = await host.SignInAsync("dora");
        using var ivan = await host.SignInAsync("ivan");
        var until = TimeProvider.System.GetUtcNow().AddHours(1);
        using (var other = await ivan.PutAsJsonAsync("/api/v1/away/dora", new { @delegate = "ivan", until })) Assert.Equal(HttpStatusCode.Forbidden, other.StatusCode);
        using (var self = await dora.PutAsJsonAsync("/api/v1/away/dora", new { @delegate = "dora", until })) Assert.Equal(HttpStatusCode.UnprocessableContent, self.StatusCode);
        using (var set = await dora.PutAsJsonAsync("/api/v1/away/dora", new { @delegate = "ivan", until })) Assert.Equal(HttpStatusCode.OK, set.StatusCode);
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        Assert.Contains("ivan (for dora)", (await CardAsync(ivan, held.Review.Id)).GetProperty("requirements")[0].GetProperty("can").EnumerateArray().Select(static c => c.GetString()));
        using (var approved = await ivan.AnswerAsync(held.Review.Id, "approve")) Assert.Equal(HttpStatusCode.OK, approved.StatusCode);
        Assert.IsType<Ruling.Forward>(await held.Ruling);
        using (var ended = await dora.DeleteAsync("/api/v1/away/dora")) Assert.Equal(HttpStatusCode.OK, ended.StatusCode);
        Assert.Equal(["delegate-set", "delegate-ended"], host.Entries().Select(static e => e.GetProperty("type").GetString()).Where(static t => t!.StartsWith("delegate-", StringComparison.Ordinal)));
    }
}
