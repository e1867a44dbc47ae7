using System.Text;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;
using Countersign.Reviews;
using CsCheck;

namespace Countersign.Gateway.Tests;

/// <summary>Grants on a real journal: what one yes is good for, and all that it is not good for.</summary>
public sealed class GrantTests
{
    private const string Sql = "update customers set name = $1 where id = $2";
    private static readonly GrantTerms Terms = new(TimeSpan.FromMinutes(30), 5);
    private static readonly FreeParameter Id = new(2, 1, 100, null, null);
    private static readonly GrantWish Wish = new(TimeSpan.FromMinutes(20), 3, [Id]);

    private static ActionParameter Text(string value, string type = "text") => new(type, "text", Encoding.UTF8.GetBytes(value), value);

    private static GatewayAction Act(House house, string name = "x", long id = 1, string sql = Sql) => Act(house, Text(name), Given.Bigint(id), sql);

    private static GatewayAction Act(House house, ActionParameter name, ActionParameter id, string sql = Sql)
    {
        var action = house.Action(sql);
        return action with { Payload = action.Payload with { Parameters = [name, id] } };
    }

    private static async Task<House> OpenAsync(int quorum = 1)
    {
        var house = await House.OpenAsync();
        house.Rules.Ask(Rules.Requirement(quorum, "dba") with { Grant = Terms });
        return house;
    }

    private static async Task<Grant> GivenAsync(House house, GatewayAction? action = null, GrantWish? wish = null, params string[] by)
    {
        var held = await house.HoldOpenAsync(action ?? Act(house));
        foreach (var name in by.Length == 0 ? ["ada"] : by) await house.ApproveAsync(held, name, grant: wish ?? Wish);
        var end = await held.ReleasedAsync();
        await house.Desk.RecordOutcomeAsync(end.Review.Id, end.Action.Id, new Outcome(OutcomeStatus.Done, 1, 1, TimeSpan.Zero, null));
        return Assert.Single(house.Desk.ListGrants());
    }

    private static async Task AskedAsync(House house, GatewayAction action)
    {
        var held = await house.HoldOpenAsync(action);
        await held.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task I3_Each_use_is_its_own_action_digest_decision_and_clearance()
    {
        await using var house = await OpenAsync();
        var grant = await GivenAsync(house);
        Assert.Equal((1, 3), (grant.Uses, grant.MaxUses));
        var action = Act(house, id: 7);
        var end = await house.Hold(action).ReleasedAsync();
        Assert.Equal((action.Id, grant.Id, ReasonCodes.Granted), (end.Action.Id, end.Review.Grant, end.Review.CloseReason));

        var used = house.Entry("grant-used");
        Assert.Equal((grant.Id.Value, action.Id.Value, 2), (used.GetProperty("grant").GetString(), used.GetProperty("released").GetString(), used.GetProperty("use").GetInt32()));
        Assert.Equal([house.User("ada").Ref.Id.Value], used.GetProperty("approvers").EnumerateArray().Select(static a => a.GetString()));
        Assert.NotEqual(house.Entry("released").GetProperty("digest").GetString(), used.GetProperty("digest").GetString());
        Assert.Equal(GatewayAction.ComputeDigest(end.Review.Salt, action.ToCanonical()).ToString(), used.GetProperty("digest").GetString());
        await house.Desk.RecordOutcomeAsync(end.Review.Id, end.Action.Id, new Outcome(OutcomeStatus.Done, 1, 1, TimeSpan.Zero, null));
        Assert.Equal(OutcomeStatus.Done, house.Desk.Find(end.Review.Id)!.Outcome!.Status);

        // The third use is the last.
        await house.Hold(Act(house, id: 100)).ReleasedAsync();
        Assert.Equal("grant-expired", house.Types[^1]);
        Assert.Empty(house.Desk.ListGrants());
        await AskedAsync(house, Act(house, id: 8));
    }

    [Fact]
    public async Task P21_Grant_covers_nothing_but_its_shape()
    {
        await using var house = await OpenAsync();
        await GivenAsync(house);
        foreach (var other in new Func<House, GatewayAction>[]
        {
            static h => Act(h, id: 0),
            static h => Act(h, id: 101),
            static h => Act(h, name: "y"), // the value that is not free
            static h => Act(h, name: "X"),
            static h => Act(h, Text("x"), new ActionParameter("bigint", "text", null, null)), // NULL
            static h => Act(h, Text("x"), new ActionParameter("bigint", "text", " 7"u8.ToArray(), " 7")),
            static h => Act(h, Text("x"), new ActionParameter("bigint", "text", "7e0"u8.ToArray(), "7e0")),
            static h => Act(h, Text("x"), new ActionParameter("bigint", "text", "999"u8.ToArray(), "7")), // a text that is not the bytes
            static h => Act(h, Text("x"), new ActionParameter("numeric", "text", "7"u8.ToArray(), "7")), // another type
            static h => Act(h, Text("x"), new ActionParameter("bigint", "binary", [0, 0, 0, 0, 0, 0, 0, 7], "7")), // another format
            static h => Act(h, Text("x", "unknown"), Given.Bigint(7)),
            static h => Act(h, id: 7, sql: Sql + " "),
            static h => Act(h, id: 7, sql: Sql.Replace("customers", "Customers", StringComparison.Ordinal)),
            static h => Act(h, id: 7) with { Target = new TargetRef("shop2", "postgres", "prod") },
            static h => Act(h, id: 7) with { Target = new TargetRef("shop", "postgres", "dev") },
            static h => Act(h, id: 7) with { Settings = new Dictionary<string, string> { ["database"] = "shop", ["role"] = "boss", ["search_path"] = "[\"public\"]" } },
            static h => Act(h, id: 7) with { Settings = new Dictionary<string, string> { ["database"] = "shop", ["role"] = "app" } },
            static h => h.Action(Sql), // no values at all
        })
        {
            await AskedAsync(house, other(house));
        }

        // None of which was a reason to take it back.
        await house.Hold(Act(house, id: 7)).ReleasedAsync();
    }

    [Fact]
    public async Task Grant_is_of_one_agent_and_its_chain()
    {
        await using var house = await OpenAsync();
        await GivenAsync(house);
        var added = await house.Agents.AddAsync("twin", "olga", "uwe", ["agents"], house.User("olga").Ref);
        await AskedAsync(house, Act(house, id: 7) with { Actors = house.Agents.ChainOf(added.Agent!)! });
        await AskedAsync(house, Act(house, id: 7) with { Actors = house.Bot with { OnBehalfOf = null } });
        await AskedAsync(house, Act(house, id: 7) with { Actors = house.Bot with { Owner = house.User("ada").Ref } });
        await house.Hold(Act(house, id: 7)).ReleasedAsync();
    }

    [Fact]
    public async Task By_default_no_value_is_free()
    {
        await using var house = await OpenAsync();
        await GivenAsync(house, wish: Wish with { Free = [] });
        await AskedAsync(house, Act(house, id: 2));
        await house.Hold(Act(house)).ReleasedAsync();
    }

    [Fact]
    public async Task I5_Effect_that_was_not_shown_ends_the_grant()
    {
        await using var house = await OpenAsync();
        await GivenAsync(house);
        await AskedAsync(house, Act(house, id: 7) with { Effects = [Given.Update(), Given.Read("payments")] });
        Assert.Equal(ReasonCodes.TargetChanged, house.Entry("grant-void").GetProperty("reason").GetString());
        await AskedAsync(house, Act(house, id: 7));
    }

    [Fact]
    public async Task I5_Deny_ends_the_grant_for_ever()
    {
        await using var house = await OpenAsync();
        await GivenAsync(house);
        var decide = house.Rules.Decide;
        house.Rules.Decide = Rules.Deny();
        var action = Act(house, id: 7);
        Assert.IsType<Ruling.Refused>(await house.Spine.SubmitAsync(action, () => throw new InvalidOperationException()));
        Assert.Equal(ReasonCodes.PolicyDenied, house.Entry("grant-void").GetProperty("reason").GetString());
        house.Rules.Decide = decide;
        await AskedAsync(house, Act(house, id: 7));
    }

    [Fact]
    public async Task P33_Approver_who_may_no_more_takes_the_grant_with_him()
    {
        await using var house = await OpenAsync();
        await GivenAsync(house);
        var may = house.Rules.MayApprove;
        house.Rules.MayApprove = (user, review, channel) => user.Ref.Name != "ada" && may(user, review, channel);
        await AskedAsync(house, Act(house, id: 7));
        house.Rules.MayApprove = may;
        await AskedAsync(house, Act(house, id: 7)); // and does not bring it back
        Assert.Equal(ReasonCodes.GrantVoid, house.Entry("grant-void").GetProperty("reason").GetString());
    }

    [Fact]
    public async Task Requirement_that_was_added_and_a_policy_that_grants_less_end_it()
    {
        await using var house = await OpenAsync();
        await GivenAsync(house);
        house.Rules.Ask(Rules.Requirement(1, "dba") with { Grant = Terms }, Rules.Requirement(1, "sre") with { Grant = Terms });
        await AskedAsync(house, Act(house, id: 7));
        Assert.Empty(house.Desk.ListGrants());

        house.Rules.Ask(Rules.Requirement(1, "dba") with { Grant = Terms });
        await GivenAsync(house);
        house.Rules.Ask(Rules.Requirement(1, "dba"));
        await AskedAsync(house, Act(house, id: 7));
        Assert.Empty(house.Desk.ListGrants());
    }

    [Fact]
    public async Task Grant_ends_with_its_time_counted_from_the_answer()
    {
        await using var house = await OpenAsync();
        var held = await house.HoldOpenAsync(Act(house));
        await held.LeaveAsync(LeaveReason.Lost);
        await house.ApproveAsync(held, "ada", grant: Wish);
        house.Time.Advance(TimeSpan.FromMinutes(5));
        await house.Hold(Act(house)).ReleasedAsync();
        Assert.Equal(Given.Noon.AddMinutes(20), Assert.Single(house.Desk.ListGrants()).ExpiresAt);
        house.Time.Advance(TimeSpan.FromMinutes(15) - TimeSpan.FromTicks(1));
        await house.Hold(Act(house, id: 2)).ReleasedAsync();
        house.Time.Advance(TimeSpan.FromTicks(1));
        await AskedAsync(house, Act(house, id: 3));
        Assert.Equal(1, house.Count("grant-expired"));
    }

    [Fact]
    public async Task P54_Clock_that_goes_back_behind_the_opening_lengthens_no_grant()
    {
        await using var house = await OpenAsync();
        house.Time.Advance(TimeSpan.FromHours(1));
        await GivenAsync(house);
        house.Time.AdjustTime(Given.Noon);
        await AskedAsync(house, Act(house, id: 7));
        Assert.Empty(house.Desk.ListGrants());
    }

    [Fact]
    public async Task Sweep_ends_what_nobody_uses()
    {
        await using var house = await OpenAsync();
        await GivenAsync(house);
        house.Time.Advance(TimeSpan.FromMinutes(20));
        await house.Desk.SweepAsync();
        Assert.Equal(("grant-expired", 0), (house.Types[^1], house.Desk.ListGrants().Count));
        Assert.Equal(ReasonCodes.GrantExpired, Assert.Single(house.Desk.ListClosedGrants()).CloseReason);
    }

    [Fact]
    public async Task Revoking_is_for_who_gave_it_who_is_behind_it_and_who_administers()
    {
        await using var house = await OpenAsync();
        var grant = await GivenAsync(house);
        Assert.Equal(ReasonCodes.NotEligible, (await house.Desk.RevokeGrantAsync(grant.Id, house.User("ben").Ref, administers: false)).ReasonCode);
        foreach (var (name, administers) in new[] { ("ada", false), ("olga", false), ("uwe", false), ("nil", true) })
        {
            grant = house.Desk.ListGrants().SingleOrDefault() ?? await GivenAsync(house);
            Assert.Equal(ReasonCodes.GrantRevoked, (await house.Desk.RevokeGrantAsync(grant.Id, house.User(name).Ref, administers)).ReasonCode);
            Assert.Equal(house.User(name).Ref.Id.Value, house.Entry("grant-revoked").GetProperty("user").GetString());
            Assert.Equal(ReasonCodes.ReviewClosed, (await house.Desk.RevokeGrantAsync(grant.Id, house.User(name).Ref, administers)).ReasonCode);
        }

        await AskedAsync(house, Act(house, id: 7));
    }

    [Fact]
    public async Task Quorum_grants_what_all_of_it_grant()
    {
        await using var house = await OpenAsync(2);
        var held = await house.HoldOpenAsync(Act(house));
        await house.ApproveAsync(held, "ada", grant: Wish);
        await house.ApproveAsync(held, "ben", grant: new GrantWish(TimeSpan.FromMinutes(5), 2, [Id]));
        await held.ReleasedAsync();
        var grant = Assert.Single(house.Desk.ListGrants());
        Assert.Equal((2, Given.Noon.AddMinutes(5)), (grant.MaxUses, grant.ExpiresAt));
        await house.Desk.RevokeGrantAsync(grant.Id, house.User("ada").Ref, false);

        // One who grants nothing, or something else: this once.
        foreach (var other in new[] { null, Wish with { Free = [] }, Wish with { Free = [Id with { Max = 99 }] } })
        {
            held = await house.HoldOpenAsync(Act(house, id: 50));
            await house.ApproveAsync(held, "ada", grant: Wish);
            await house.ApproveAsync(held, "ben", grant: other);
            await held.ReleasedAsync();
            Assert.Empty(house.Desk.ListGrants());
        }
    }

    [Fact]
    public async Task Wish_beyond_what_policy_allows_or_can_be_held_to_is_refused()
    {
        await using var house = await OpenAsync();
        var held = await house.HoldOpenAsync(Act(house));
        var id = (await held.Opened).Id;
        foreach (var wish in new[]
        {
            Wish with { For = TimeSpan.FromMinutes(31) }, Wish with { For = TimeSpan.Zero }, Wish with { For = TimeSpan.FromMinutes(-1) },
            Wish with { Uses = 6 }, Wish with { Uses = 0 },
            Wish with { Free = [Id with { Position = 3 }] }, Wish with { Free = [Id with { Position = 0 }] }, Wish with { Free = [Id, Id] },
            Wish with { Free = [new FreeParameter(2, null, null, null, null)] }, Wish with { Free = [new FreeParameter(2, 5, null, null, null)] },
            Wish with { Free = [new FreeParameter(2, 5, 4, null, null)] }, Wish with { Free = [new FreeParameter(2, null, null, null, 10)] },
            Wish with { Free = [new FreeParameter(1, 1, 2, null, null)] }, Wish with { Free = [new FreeParameter(1, null, null, [], null)] },
            Wish with { Free = [new FreeParameter(1, null, null, ["a", "a"], null)] }, Wish with { Free = [new FreeParameter(1, null, null, null, 0)] },
            Wish with { Free = [new FreeParameter(2, 1, 2, ["1"], null)] },
        })
        {
            Assert.Equal(ReasonCodes.GrantNotAllowed, (await house.AnswerAsync(id, "ada", grant: wish)).ReasonCode);
        }

        Assert.Equal(ReasonCodes.GrantNotAllowed, (await house.AnswerAsync(id, "ada", AnswerKind.Deny, grant: Wish)).ReasonCode);
        house.Rules.Ask(Rules.Requirement(1, "dba"));
        var plain = await house.HoldOpenAsync(Act(house, id: 9));
        Assert.Equal(ReasonCodes.GrantNotAllowed, (await house.AnswerAsync((await plain.Opened).Id, "ada", grant: Wish)).ReasonCode);
        await held.LeaveAsync(LeaveReason.Cancelled);
        await plain.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task Statement_carries_the_grant_and_counts_with_no_other()
    {
        await using var house = await OpenAsync();
        var held = await house.HoldOpenAsync(Act(house));
        var id = (await held.Opened).Id;
        var (statement, _) = house.Desk.Draft(id, house.User("ada"), AnswerKind.Approve, "cli", null, Wish);
        Assert.Contains("\"grant\":{\"forSeconds\":1200,\"free\":[{\"max\":\"100\",\"min\":\"1\",\"parameter\":2}],\"uses\":3}", statement, StringComparison.Ordinal);
        foreach (var (from, to) in new[] { ("\"uses\":3", "\"uses\":30"), ("\"uses\":3", "\"uses\":3.0"), ("\"1200\"", "\"x\""), ("\"min\":\"1\"", "\"min\":\"abc\""), ("\"min\":\"1\"", "\"min\":\"1 \""), ("\"forSeconds\":1200", "\"forSeconds\":99999999999999") })
        {
            var forged = statement!.Replace(from, to, StringComparison.Ordinal);
            if (forged != statement) Assert.False((await house.Desk.AnswerAsync(id, house.User("ada"), "cli", forged)).Accepted);
        }

        Assert.True((await house.Desk.AnswerAsync(id, house.User("ada"), "cli", statement!)).Accepted);
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task I7_Last_use_raced_by_many_is_used_once()
    {
        await using var house = await OpenAsync();
        await GivenAsync(house, wish: Wish with { Uses = 2 });
        var ends = await Task.WhenAll(Enumerable.Range(1, 8).Select(n => Task.Run(async () =>
        {
            var held = house.Hold(Act(house, id: n));
            var first = await Task.WhenAny(held.End, held.Opened).WaitAsync(Given.Patience);
            if (first == held.End) return (await held.End) is HoldEnd.Released;
            await held.LeaveAsync(LeaveReason.Cancelled);
            return false;
        })));
        Assert.Equal((1, 1), (ends.Count(static r => r), house.Count("grant-used")));
    }

    [Fact]
    public async Task I2_Use_that_can_not_be_written_runs_nothing()
    {
        await using var house = await OpenAsync();
        await GivenAsync(house);
        house.Store.FailWritesOf("grant-used");
        await house.Hold(Act(house, id: 7)).RefusedAsync(ReasonCodes.JournalUnavailable);
        house.Store.Heal();
        Assert.Equal(1, Assert.Single(house.Desk.ListGrants()).Uses);
    }

    [Fact]
    public async Task P50_Crash_after_a_use_leaves_it_used_and_unknown()
    {
        await using var house = await OpenAsync();
        await GivenAsync(house);
        var used = await house.Hold(Act(house, id: 7)).ReleasedAsync();
        await using var next = await house.CrashAsync();
        Assert.Equal(2, Assert.Single(next.Desk.ListGrants()).Uses);
        Assert.Equal(OutcomeStatus.Unknown, next.Desk.Find(used.Review.Id)!.Outcome!.Status);
        await next.Hold(Act(next, id: 8)).ReleasedAsync();
    }

    [Fact]
    public async Task Grant_holds_no_value_that_was_not_shown()
    {
        await using var house = await OpenAsync();
        var grant = await GivenAsync(house);
        Assert.DoesNotContain("name = $1", house.Text.Entries, StringComparison.Ordinal);
        Assert.Matches("^[A-Za-z0-9_-]{43}$", grant.Shape);
    }

    [Fact]
    public void Bounds_hold_exactly_what_is_certain() =>
        Gen.Select(Gen.Long[-1000, 1000], Gen.Long[-1000, 1000], Gen.Long[-1500, 1500]).Sample(static (a, b, n) =>
        {
            var bound = new FreeParameter(1, Math.Min(a, b), Math.Max(a, b), null, null);
            return bound.Holds(Given.Bigint(n)) == (n >= Math.Min(a, b) && n <= Math.Max(a, b));
        });

    [Theory]
    [InlineData("text", "text", "abc", true)]
    [InlineData("text", "text", "äöü", true)]
    [InlineData("text", "text", "abcd", false)]
    [InlineData("text", "text", "👍👍👍", true)]
    [InlineData("text", "binary", "abc", true)]
    [InlineData("json", "text", "abc", false)]
    public void Longest_text_counts_characters(string type, string format, string value, bool holds) =>
        Assert.Equal(holds, new FreeParameter(1, null, null, null, 3).Holds(new ActionParameter(type, format, Encoding.UTF8.GetBytes(value), value)));
}
