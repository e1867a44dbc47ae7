using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Countersign.Core;
using Countersign.Identity.Federation;
using Countersign.Tests.Workloads;

namespace Countersign.Gateway.Tests;

/// <summary>A trusted runtime signs for whom its agent acts; each thing wrong with such a statement.</summary>
public sealed class OnBehalfOfTests
{
    private const string Agent = "code-bot";

    private sealed class Setting : IAsyncDisposable
    {
        public required House House { get; init; }
        public required TestIssuer Runtime { get; init; }
        public required WorkloadDoor Door { get; init; }

        public static async Task<Setting> OpenAsync(string? fixedFor = null)
        {
            var house = await House.OpenAsync();
            Assert.Equal(Identity.AgentChangeStatus.Done, (await house.Agents.AddAsync(Agent, "olga", fixedFor, ["agents"], house.User("olga").Ref)).Status);
            Assert.Equal(Identity.AgentChangeStatus.Done, (await house.Agents.AddAsync("other-bot", "olga", null, ["agents"], house.User("olga").Ref)).Status);
            var runtime = new TestIssuer();
            var signer = new TokenIssuer
            {
                Issuer = runtime.Issuer, Audience = TestIssuer.Audience, MaxLifetime = TimeSpan.FromMinutes(5), Grace = TimeSpan.FromMinutes(30), Workloads = [],
                People = new Dictionary<string, string> { ["u-ada"] = "ada", ["u-uwe"] = "uwe" },
            };
            return new Setting { House = house, Runtime = runtime, Door = new WorkloadDoor([], null, house.Agents, house.Users, house.Store, house.Journal, house.Time, null, [new TrustedRuntime(signer, [Agent, "other-bot"])]) };
        }

        public DateTimeOffset Now => House.Time.GetUtcNow();

        public ActorChain Chain => House.Agents.ChainOf(House.Agents.Find(Agent)!)!;

        public JsonObject Claims(string user = "u-ada", string agent = Agent) => new()
        {
            ["iss"] = Runtime.Issuer, ["aud"] = TestIssuer.Audience, ["sub"] = user, ["client_id"] = agent, ["jti"] = TestIssuer.NewId(),
            ["iat"] = Now.ToUnixTimeSeconds(), ["exp"] = Now.AddMinutes(2).ToUnixTimeSeconds(),
        };

        public string Sign(JsonObject claims, string? typ = TrustedRuntime.StatementType, string? kid = "key-1") => Runtime.Sign(claims, typ: typ, kid: kid);

        public Task<ActingFor> PresentAsync(string? statement) => Door.ActForAsync(Chain, statement, TestContext.Current.CancellationToken);

        public async Task RefusedAsync(string? statement, string reason)
        {
            var before = House.Count("agent-refused");
            var answer = await PresentAsync(statement);
            Assert.Equal((null, reason), (answer.Actors, answer.ReasonCode));
            Assert.Equal(before + 1, House.Count("agent-refused"));
            Assert.Equal((reason, "on-behalf-of"), (House.Entry("agent-refused").GetProperty("reason").GetString(), House.Entry("agent-refused").GetProperty("method").GetString()));
        }

        public async ValueTask DisposeAsync()
        {
            Door.Dispose();
            await Runtime.DisposeAsync();
            await House.DisposeAsync();
        }
    }

    private static JsonObject With(JsonObject claims, string name, JsonNode? value)
    {
        claims[name] = value;
        return claims;
    }

    private static JsonObject Without(JsonObject claims, string name)
    {
        claims.Remove(name);
        return claims;
    }

    [Fact]
    public async Task I4_Human_of_the_statement_is_in_the_chain_and_does_not_approve()
    {
        await using var at = await Setting.OpenAsync();
        var acting = await at.PresentAsync(at.Sign(at.Claims()));
        Assert.Null(acting.ReasonCode);
        Assert.Equal("ada", acting.Actors!.OnBehalfOf!.Name);
        Assert.Equal(at.Now.AddMinutes(32), acting.EndsAt);
        var entry = at.House.Entry("agent-acts-for");
        Assert.Equal((at.House.User("ada").Ref.Id.Value, acting.Actors.Agent.Id.Value), (entry.GetProperty("for").GetString(), entry.GetProperty("agent").GetString()));
        Assert.True(at.House.Agents.StillActs(acting.Actors));
        Assert.False(at.House.Agents.StillActs(at.Chain)); // nobody in it

        var held = await at.House.HoldOpenAsync(Given.Action(acting.Actors));
        Assert.Equal(ReasonCodes.SelfApproval, (await at.House.AnswerAsync((await held.Opened).Id, "ada")).ReasonCode);
        await at.House.ApproveAsync(held, "ben");
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task P20_Review_asked_for_one_human_is_never_joined_for_another()
    {
        await using var at = await Setting.OpenAsync();
        var forAda = (await at.PresentAsync(at.Sign(at.Claims("u-ada")))).Actors!;
        var forUwe = (await at.PresentAsync(at.Sign(at.Claims("u-uwe")))).Actors!;
        var first = await at.House.HoldOpenAsync(Given.Action(forAda));
        var second = await at.House.HoldOpenAsync(Given.Action(forUwe));
        var again = await at.House.HoldOpenAsync(Given.Action((await at.PresentAsync(at.Sign(at.Claims("u-ada")))).Actors!));
        Assert.NotEqual((await first.Opened).Id, (await second.Opened).Id);
        Assert.Equal((await first.Opened).Id, (await again.Opened).Id);
        foreach (var held in new[] { first, second, again }) await held.LeaveAsync(Reviews.LeaveReason.Cancelled);
    }

    [Fact]
    public async Task P30_Agent_of_a_runtime_that_leaves_the_statement_out_is_refused()
    {
        await using var at = await Setting.OpenAsync();
        await at.RefusedAsync(null, ReasonCodes.OnBehalfOfRequired);
        await at.RefusedAsync("", ReasonCodes.TokenMalformed);
    }

    [Fact]
    public async Task Agent_without_a_runtime_acts_for_nobody_and_brings_no_statement()
    {
        await using var at = await Setting.OpenAsync();
        var bot = await at.Door.ActForAsync(at.House.Bot, null, TestContext.Current.CancellationToken);
        Assert.Same(at.House.Bot, bot.Actors);
        Assert.Equal(ReasonCodes.TokenIssuer, (await at.Door.ActForAsync(at.House.Bot, at.Sign(at.Claims(agent: "bot")), TestContext.Current.CancellationToken)).ReasonCode);
    }

    [Theory]
    [InlineData("u-uwe", true)]
    [InlineData("u-ada", false)]
    public async Task P30_Human_whom_the_operator_fixed_is_not_talked_out_of_the_chain(string user, bool same)
    {
        await using var at = await Setting.OpenAsync(fixedFor: "uwe");
        if (same) Assert.Equal("uwe", (await at.PresentAsync(at.Sign(at.Claims(user)))).Actors!.OnBehalfOf!.Name);
        else await at.RefusedAsync(at.Sign(at.Claims(user)), ReasonCodes.TokenActor);
    }

    [Fact]
    public async Task P35_Statement_that_is_wrong_in_anything_is_refused()
    {
        await using var at = await Setting.OpenAsync();
        await using var stranger = new TestIssuer();
        await at.RefusedAsync(at.Sign(at.Claims("u-nobody")), ReasonCodes.TokenActor);
        await at.RefusedAsync(at.Sign(With(at.Claims(), "act", new JsonObject { ["sub"] = "x" })), ReasonCodes.TokenActor);
        await at.RefusedAsync(at.Sign(at.Claims(agent: "other-bot")), ReasonCodes.TokenSubject);
        await at.RefusedAsync(at.Sign(Without(at.Claims(), "client_id")), ReasonCodes.TokenSubject);
        await at.RefusedAsync(at.Sign(With(at.Claims(), "client_id", new JsonArray(Agent))), ReasonCodes.TokenSubject);
        await at.RefusedAsync(at.Sign(With(at.Claims(), "aud", "https://elsewhere.example.com")), ReasonCodes.TokenAudience);
        await at.RefusedAsync(at.Sign(With(at.Claims(), "aud", new JsonArray(TestIssuer.Audience, "x"))), ReasonCodes.TokenAudience);
        await at.RefusedAsync(at.Sign(With(at.Claims(), "exp", at.Now.ToUnixTimeSeconds())), ReasonCodes.TokenExpired);
        await at.RefusedAsync(at.Sign(With(at.Claims(), "exp", at.Now.AddMinutes(6).ToUnixTimeSeconds())), ReasonCodes.TokenLifetime);
        await at.RefusedAsync(at.Sign(Without(at.Claims(), "exp")), ReasonCodes.TokenLifetime);
        await at.RefusedAsync(at.Sign(With(at.Claims(), "iat", at.Now.AddMinutes(1).ToUnixTimeSeconds())), ReasonCodes.TokenNotYetValid);
        await at.RefusedAsync(at.Sign(Without(at.Claims(), "jti")), ReasonCodes.TokenMalformed);

        // A token of another kind is no statement, though the runtime signed it.
        foreach (var typ in new[] { null, "JWT", "at+jwt", "logout+jwt" }) await at.RefusedAsync(at.Sign(at.Claims(), typ), ReasonCodes.TokenType);
        await at.RefusedAsync(at.Sign(With(at.Claims(), "nonce", "n")), ReasonCodes.TokenType);

        // Unsigned, signed with the public key as a secret, and by somebody else.
        var header = TestIssuer.Header("none", null, TrustedRuntime.StatementType);
        await at.RefusedAsync($"{TestIssuer.Part(header.ToJsonString())}.{TestIssuer.Part(at.Claims().ToJsonString())}.", ReasonCodes.TokenAlgorithm);
        var mac = TestIssuer.Header("HS256", "key-1", TrustedRuntime.StatementType);
        var text = $"{TestIssuer.Part(mac.ToJsonString())}.{TestIssuer.Part(at.Claims().ToJsonString())}";
        await at.RefusedAsync($"{text}.{System.Buffers.Text.Base64Url.EncodeToString(HMACSHA256.HashData(at.Runtime.Rsa.ExportSubjectPublicKeyInfo(), System.Text.Encoding.ASCII.GetBytes(text)))}", ReasonCodes.TokenAlgorithm);
        await at.RefusedAsync(stranger.Sign(at.Claims(), typ: TrustedRuntime.StatementType), ReasonCodes.TokenSignature);
        await at.RefusedAsync(stranger.Sign(With(at.Claims(), "iss", stranger.Issuer), typ: TrustedRuntime.StatementType), ReasonCodes.TokenIssuer);
        Assert.Equal(0, stranger.Fetches);
        Assert.Equal(0, at.House.Count("agent-acts-for"));
    }

    [Fact]
    public async Task I7_Statement_counts_once_however_many_bring_it_at_once()
    {
        await using var at = await Setting.OpenAsync();
        var statement = at.Sign(at.Claims());
        var all = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => at.PresentAsync(statement))));
        Assert.Single(all, static a => a.Actors is not null);
        Assert.All(all.Where(static a => a.Actors is null), static a => Assert.Equal(ReasonCodes.TokenReplayed, a.ReasonCode));
        await at.RefusedAsync(statement, ReasonCodes.TokenReplayed);
    }

    [Fact]
    public async Task Nothing_acts_for_a_human_whom_the_journal_could_not_write_down()
    {
        await using var at = await Setting.OpenAsync();
        at.House.Store.FailAllWrites();
        var answer = await at.PresentAsync(at.Sign(at.Claims()));
        Assert.Null(answer.Actors);
        Assert.Equal(ReasonCodes.JournalUnavailable, answer.ReasonCode);
    }
}
