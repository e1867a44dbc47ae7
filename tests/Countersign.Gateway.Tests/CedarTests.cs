using System.Security.Cryptography;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Policy;
using Countersign.Policy.Cedar;
using Countersign.Reviews;
using Countersign.Sandbox;

[assembly: AssemblyFixture(typeof(Countersign.Gateway.Tests.Engine))]

namespace Countersign.Gateway.Tests;

/// <summary>Cedar's engine, compiled once for all tests and kept between runs in the temporary folder.</summary>
public sealed class Engine : IDisposable
{
    private readonly SandboxHost host = new();
    private readonly Lazy<CedarRuntime> cedar;

    public Engine() => cedar = new(() => new CedarRuntime(host, new ModuleCache(Path.Combine(Path.GetTempPath(), $"countersign-test-guests-{Environment.UserName}"))));

    public CedarRuntime Cedar => cedar.Value;

    public void Dispose()
    {
        if (cedar.IsValueCreated) cedar.Value.Dispose();
        host.Dispose();
    }
}

/// <summary>The same desk over real policies, bound as `serve` binds them.</summary>
public sealed class CedarTests(Engine engine)
{
    private const string Base = """
        @id("agents-read-freely")
        permit (principal in Group::"agents", action in Action::"read", resource) unless { resource in DataClass::"pii" };

        @id("customer-writes-need-a-dba")
        @review("dba") @expires("15m") @escalate("sre@5m")
        permit (principal in Group::"agents", action in Action::"write", resource in DataClass::"pii");

        @id("nobody-drops-production")
        forbid (principal, action in Action::"destroy", resource in Environment::"prod");

        """;

    /// <summary>A policy folder that a test can edit.</summary>
    private sealed class Folder : IDisposable
    {
        private readonly string path = Path.Combine(Path.GetTempPath(), "countersign-policies-" + RandomNumberGenerator.GetHexString(12, lowercase: true));
        private readonly PolicyStore store;

        public Folder(CedarRuntime cedar, string text)
        {
            Directory.CreateDirectory(path);
            File.WriteAllText(Path.Combine(path, "main.cedar"), text);
            Assert.True(PolicyStore.TryOpen(cedar, path, out var opened, out var diagnostics), string.Join('\n', diagnostics));
            store = opened;
        }

        public House? House { get; set; }

        public PolicyQuestions Questions => new(Decide, MayApprove);

        public void Edit(string text)
        {
            File.WriteAllText(Path.Combine(path, "main.cedar"), text);
            Assert.Empty(store.Reload().Diagnostics);
        }

        private Decision Decide(GatewayAction action) => store.DecideAsync(action, new DecisionContext
        {
            Now = House!.Time.GetUtcNow(),
            HumanGroups = action.Actors.Humans.ToDictionary(static h => h.Id, h => (IReadOnlyList<string>)House.Users.Find(h.Id)!.Groups.Order(StringComparer.Ordinal).ToArray()),
        }).AsTask().GetAwaiter().GetResult();

        private bool MayApprove(UserEntry user, Review review, string channel) => store.CanApproveAsync(new ApproveRequest(
            user.Ref, user.Groups.Order(StringComparer.Ordinal).ToArray(),
            new ReviewFacts
            {
                Id = review.Id.Value,
                Actors = new ActorChain(review.Agent, review.Owner, review.OnBehalfOf) { Groups = ["agents"] },
                Target = review.Target,
                Groups = review.Requirements.SelectMany(static r => r.GroupsAt(TimeSpan.MaxValue)).Distinct(StringComparer.Ordinal).ToArray(),
                Verbs = review.Effects.Select(static e => Enum.Parse<Verb>(e.Verb, ignoreCase: true)).Distinct().ToArray(),
                DataClasses = review.Effects.SelectMany(static e => e.DataClasses).Distinct(StringComparer.Ordinal).ToArray(),
            },
            channel, House!.Time.GetUtcNow())).AsTask().GetAwaiter().GetResult().Permitted;

        public void Dispose()
        {
            store.Dispose();
            Directory.Delete(path, recursive: true);
        }
    }

    private async Task<(Folder Folder, House House)> OpenAsync(string text)
    {
        var folder = new Folder(engine.Cedar, text);
        var rules = new Rules();
        rules.Decide = folder.Questions.Decide;
        rules.MayApprove = folder.Questions.MayApprove;
        var house = await House.OpenAsync(rules, policy: folder.Questions);
        folder.House = house;
        return (folder, house);
    }

    [Fact]
    public async Task Action_is_held_approved_by_a_member_and_released_by_the_policies_that_asked()
    {
        var (folder, house) = await OpenAsync(Base);
        using var _ = folder;
        await using var __ = house;
        var held = await house.HoldOpenAsync();
        var review = await held.Opened;
        Assert.Equal(["customer-writes-need-a-dba"], review.Policies.Select(static p => p.Id));
        Assert.Equal(["ada", "ben", "cem", "sam", "sue", "zoe"], house.Desk.Eligible(review).Select(static u => u.Ref.Name));
        Assert.Equal(ReasonCodes.SelfApproval, (await house.AnswerAsync(review.Id, "olga")).ReasonCode);
        Assert.Equal(ReasonCodes.NotEligible, (await house.AnswerAsync(review.Id, "nil")).ReasonCode);
        Assert.Equal(ReasonCodes.NotEligible, (await house.AnswerAsync(review.Id, "sue")).ReasonCode);
        house.Time.Advance(TimeSpan.FromMinutes(5));
        await house.ApproveAsync(held, "sue");
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task I5_P22_policies_edited_while_it_waits_have_the_last_word()
    {
        var (folder, house) = await OpenAsync(Base);
        using var _ = folder;
        await using var __ = house;
        var held = await house.HoldOpenAsync();
        var first = await held.Opened;
        folder.Edit(Base + """
            @id("and-an-sre") @review("sre") @quorum("2")
            permit (principal, action in Action::"write", resource in DataClass::"pii");
            """);
        await house.ApproveAsync(held, "ada");
        await house.UntilAsync(first.Id, static r => r.Requirements.Count == 2);
        await house.ApproveAsync(held, "sue");
        var needsBoth = house.Desk.Find(first.Id)!;
        Assert.Equal(["and-an-sre", "customer-writes-need-a-dba"], needsBoth.Policies.Select(static p => p.Id));
        Assert.NotEqual(first.Revision, needsBoth.Revision);
        folder.Edit(Base + """
            @id("frozen") forbid (principal, action in Action::"write", resource in DataClass::"pii");
            """);
        await house.AnswerAsync(first.Id, "zoe");
        var refused = await held.RefusedAsync(ReasonCodes.PolicyDenied);
        Assert.Equal(["frozen"], refused.Review!.Policies.Select(static p => p.Id));
        Assert.Equal(0, house.Count("released"));
    }

    [Fact]
    public async Task P33_own_policy_on_who_may_approve_holds_at_the_click_and_at_release()
    {
        var (folder, house) = await OpenAsync(Base);
        using var _ = folder;
        await using var __ = house;
        const string NotBen = """
            @id("ben-is-on-leave") forbid (principal == User::"ben", action == Action::"approve", resource is Review);
            """;
        var held = await house.HoldOpenAsync();
        await held.LeaveAsync(LeaveReason.Lost);
        await house.ApproveAsync(held, "ben");
        folder.Edit(Base + NotBen);
        var again = await house.HoldOpenAsync();
        await house.UntilAsync((await held.Opened).Id, static r => r.State == ReviewState.Pending);
        await house.ApproveAsync(again, "ada");
        await again.ReleasedAsync();
        Assert.Equal([house.User("ada").Ref.Id.Value], house.Entry("released").GetProperty("approvers").EnumerateArray().Select(static a => a.GetString()));
        var other = await house.HoldOpenAsync(house.Action("another"));
        Assert.Equal(ReasonCodes.NotEligible, (await house.AnswerAsync((await other.Opened).Id, "ben")).ReasonCode);
        Assert.DoesNotContain("ben", house.Desk.Eligible(await other.Opened).Select(static u => u.Ref.Name));
        await other.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task I6_nothing_matches_is_denied_and_strictest_effect_decides()
    {
        var (folder, house) = await OpenAsync(Base);
        using var _ = folder;
        await using var __ = house;
        async Task<string> ReasonAsync(params Effect[] effects)
        {
            var action = house.Action("x", effects);
            return Assert.IsType<Ruling.Refused>(await house.Spine.SubmitAsync(action, static () => throw new InvalidOperationException("held"))).Refusal.ReasonCode;
        }

        Assert.Equal(ReasonCodes.NoMatchingPermit, await ReasonAsync(Given.Read("customers", "pii")));
        var drop = new Effect(Verb.Destroy, "sql:drop", Given.Table("orders") with { Parents = [("Schema", "shop.public"), ("Database", "shop"), ("Target", "shop"), ("Environment", "prod")] });
        Assert.Equal(ReasonCodes.PolicyDenied, await ReasonAsync(Given.Read(), Given.Update(), drop));
        Assert.IsType<Ruling.Forward>(await house.Spine.SubmitAsync(house.Action("x", Given.Read()), static () => throw new InvalidOperationException("held")));
    }
}
