using System.Net;
using System.Text.Json;
using Countersign.Core;
using Countersign.Gateway;
using Countersign.Identity;
using Countersign.Reviews;
using Microsoft.Extensions.Time.Testing;

namespace Countersign.EndToEnd.Tests.Api;

/// <summary>Quorum, escalation and calls, as a client of the API sees them, each with the entries that prove it.</summary>
public sealed class WhoMayApproveTests : IAsyncDisposable
{
    private readonly string folder = ApiHost.NewFolder();
    private readonly FakeTimeProvider time = new(new DateTimeOffset(2026, 11, 23, 12, 0, 0, TimeSpan.Zero));
    private ApiHost? host;

    public async ValueTask DisposeAsync()
    {
        if (host is not null) await host.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }

    private async Task<ApiHost> StartAsync(string annotations, string config = "")
    {
        Directory.CreateDirectory(Path.Combine(folder, "policies"));
        await File.WriteAllTextAsync(Path.Combine(folder, "policies", "main.cedar"), $"@id(\"writes\") {annotations}\npermit (principal in Group::\"agents\", action in Action::\"write\", resource);\n");
        return host = await ApiHost.StartAsync(time, folder, yaml => yaml.Replace("  tom: { groups: [support-leads, dba] }",
            "  tom: { groups: [dba] }\n  dora: { groups: [dba] }\n  sec: { groups: [security] }\n  ivan: { groups: [] }", StringComparison.Ordinal) + config);
    }

    private string Id(string user) => host!.Get<UserDirectory>().Find(user)!.Ref.Id.Value;

    private string[] Types(ReviewId review) => host!.Entries().Where(e => e.TryGetProperty("review", out var id) && id.GetString() == review.Value).Select(static e => e.GetProperty("type").GetString()!).ToArray();

    private JsonElement Last(string type) => host!.Entries().Last(e => e.GetProperty("type").GetString() == type);

    [Fact]
    public async Task Quorum_takes_two_people_and_the_release_names_both()
    {
        await StartAsync("@review(\"dba\") @quorum(\"2\")");
        var (agent, _) = await host!.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        using var dora = await host.SignInAsync("dora");
        using var tom = await host.SignInAsync("tom");
        using (var first = await dora.AnswerAsync(held.Review.Id, "approve")) Assert.Equal(HttpStatusCode.OK, first.StatusCode);
        using (var twice = await dora.AnswerAsync(held.Review.Id, "approve")) Assert.Equal(ReasonCodes.AlreadyDecided, await twice.ReasonAsync());
        Assert.False(held.Ruling.IsCompleted);
        using (var second = await tom.AnswerAsync(held.Review.Id, "approve")) Assert.Equal(HttpStatusCode.OK, second.StatusCode);
        Assert.IsType<Ruling.Forward>(await held.Ruling);
        Assert.Equal(["review-opened", "answer", "answer", "review-approved", "released"], Types(held.Review.Id).Where(static t => t != "answer-refused"));
        Assert.Equal(new[] { Id("dora"), Id("tom") }.Order(StringComparer.Ordinal), Last("released").GetProperty("approvers").EnumerateArray().Select(static a => a.GetString()!).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Escalation_asks_others_when_its_time_has_come_and_not_before()
    {
        await StartAsync("@review(\"dba\") @escalate(\"security@10m\") @expires(\"30m\")");
        var (agent, _) = await host!.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        using var sec = await host.SignInAsync("sec");
        using (var early = await sec.AnswerAsync(held.Review.Id, "approve")) Assert.False(early.IsSuccessStatusCode);
        Assert.False(held.Ruling.IsCompleted);

        time.Advance(TimeSpan.FromMinutes(10));
        await host.Desk.SweepAsync();
        using (var now = await sec.AnswerAsync(held.Review.Id, "approve")) Assert.Equal(HttpStatusCode.OK, now.StatusCode);
        Assert.IsType<Ruling.Forward>(await held.Ruling);
        Assert.Equal(["review-opened", "review-escalated", "answer", "review-approved", "released"], Types(held.Review.Id).Where(static t => t != "answer-refused"));
        Assert.Equal([Id("sec")], Last("released").GetProperty("approvers").EnumerateArray().Select(static a => a.GetString()));
    }

    [Fact]
    public async Task Whoever_is_on_call_approves_and_after_the_handover_the_next()
    {
        await StartAsync("@review(\"oncall:primary\") @expires(\"48h\")", "\noncall: { primary: { members: [dora, ivan], start: 2026-11-23, handover: \"09:00\", period: 1d, zone: UTC } }\n");
        var (agent, _) = await host!.AddAgentAsync();
        var first = await host.HoldAsync(host.UpdateCustomer(agent));
        using (var ivan = await host.SignInAsync("ivan"))
        using (var dora = await host.SignInAsync("dora"))
        {
            using (var notYet = await ivan.AnswerAsync(first.Review.Id, "approve")) Assert.False(notYet.IsSuccessStatusCode);
            using (var onCall = await dora.AnswerAsync(first.Review.Id, "approve")) Assert.Equal(HttpStatusCode.OK, onCall.StatusCode);
            Assert.IsType<Ruling.Forward>(await first.Ruling);
        }

        time.Advance(TimeSpan.FromHours(21)); // 09:00 of the next day
        var second = await host.HoldAsync(host.UpdateCustomer(agent, id: 43));
        using (var ivan = await host.SignInAsync("ivan"))
        using (var dora = await host.SignInAsync("dora"))
        {
            using (var over = await dora.AnswerAsync(second.Review.Id, "approve")) Assert.False(over.IsSuccessStatusCode);
            using (var onCall = await ivan.AnswerAsync(second.Review.Id, "approve")) Assert.Equal(HttpStatusCode.OK, onCall.StatusCode);
            Assert.IsType<Ruling.Forward>(await second.Ruling);
        }

        Assert.Equal([Id("dora"), Id("ivan")], host.Entries().Where(static e => e.GetProperty("type").GetString() == "released").Select(static e => e.GetProperty("approvers")[0].GetString()!));
    }
}
