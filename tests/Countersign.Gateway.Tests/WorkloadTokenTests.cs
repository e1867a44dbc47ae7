using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Identity.Federation;
using Countersign.Tests.Workloads;

namespace Countersign.Gateway.Tests;

/// <summary>Tokens of an issuer over real HTTP, each thing wrong with them, and what the journal says of it.</summary>
public sealed class WorkloadTokenTests
{
    private const string Agent = "shop-deploy";

    private static SubjectPattern Pattern(string text)
    {
        Assert.True(SubjectPattern.TryParse(text, out var pattern, out var why), why);
        return pattern;
    }

    private static Workload Deploy(string subject = "repo:acme/shop:ref:refs/heads/main") =>
        new(Agent, new Dictionary<string, SubjectPattern> { ["sub"] = Pattern(subject) }, "olga") { Groups = ["agents"] };

    private sealed class Setting : IAsyncDisposable
    {
        public required House House { get; init; }
        public required TestIssuer Issuer { get; init; }
        public required WorkloadDoor Door { get; init; }

        public static async Task<Setting> OpenAsync(Workload? workload = null, Func<TokenIssuer, TokenIssuer>? change = null, FederationLimits? limits = null)
        {
            var house = await House.OpenAsync();
            var issuer = new TestIssuer();
            var config = new TokenIssuer { Issuer = issuer.Issuer, Audience = TestIssuer.Audience, Workloads = [workload ?? Deploy()] };
            config = change?.Invoke(config) ?? config;
            Assert.Empty(await house.Agents.DeclareAsync(WorkloadDoor.Declared([config], null)));
            return new Setting { House = house, Issuer = issuer, Door = new WorkloadDoor([config], null, house.Agents, house.Users, house.Store, house.Journal, house.Time, limits) };
        }

        public DateTimeOffset Now => House.Time.GetUtcNow();

        public JsonObject Claims(string repository = "acme/shop", string reference = "refs/heads/main") => Issuer.GitHub(Now, repository, reference);

        public Task<WorkloadSignIn> PresentAsync(string token) => Door.ByTokenAsync(Agent, token, TestContext.Current.CancellationToken);

        /// <summary>Refused for this reason, which the journal has with the agent's id.</summary>
        public async Task RefusedAsync(string token, string reason)
        {
            var before = House.Count("agent-refused");
            var answer = await PresentAsync(token);
            Assert.Equal((null, reason), (answer.Session, answer.ReasonCode));
            Assert.Equal(before + 1, House.Count("agent-refused"));
            var entry = House.Entry("agent-refused");
            Assert.Equal(reason, entry.GetProperty("reason").GetString());
            Assert.Equal(House.Agents.Find(Agent)!.Id.Value, entry.GetProperty("agent").GetString());
        }

        public async Task<WorkloadSession> LetInAsync(string token)
        {
            var answer = await PresentAsync(token);
            Assert.Null(answer.ReasonCode);
            return answer.Session!;
        }

        public async ValueTask DisposeAsync()
        {
            Door.Dispose();
            await Issuer.DisposeAsync();
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
    public async Task Token_of_the_issuer_lets_the_agent_in_and_the_journal_says_who_it_was()
    {
        await using var at = await Setting.OpenAsync();
        var claims = at.Claims();
        var session = await at.LetInAsync(at.Issuer.Sign(claims));
        Assert.Equal((Agent, "olga"), (session.Actors.Agent.Name, session.Actors.Owner.Name));
        Assert.Equal(["agents"], session.Actors.Groups);
        Assert.Equal(at.Now.AddMinutes(5), session.EndsAt);
        Assert.Equal((at.Issuer.Issuer, 0), (session.Agent.VouchedBy, session.Agent.Keys.Count));

        // The entry has ids alone; issuer and subject are in the body, which can be erased.
        var (entries, bodies) = at.House.Text;
        Assert.Equal(session.Agent.Id.Value, at.House.Entry("agent-signed-in").GetProperty("agent").GetString());
        Assert.DoesNotContain("repo:acme/shop", entries, StringComparison.Ordinal);
        Assert.DoesNotContain(at.Issuer.Issuer, entries, StringComparison.Ordinal);
        Assert.Contains($"\"issuer\":\"{at.Issuer.Issuer}\"", bodies, StringComparison.Ordinal);
        Assert.Contains("\"subject\":\"repo:acme/shop:ref:refs/heads/main\"", bodies, StringComparison.Ordinal);
        Assert.Contains(claims["jti"]!.GetValue<string>(), bodies, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("https://other.example.com")]
    [InlineData("Countersign.example.com")]
    [InlineData("countersign.example.com/")]
    [InlineData("countersign.example.com,https://other.example.com")]
    public async Task P35_token_for_another_audience_is_refused(string audience)
    {
        await using var at = await Setting.OpenAsync();
        await at.RefusedAsync(at.Issuer.Sign(With(at.Claims(), "aud", audience)), ReasonCodes.TokenAudience);
        await at.RefusedAsync(at.Issuer.Sign(With(at.Claims(), "aud", new JsonArray(audience))), ReasonCodes.TokenAudience);

        // Who else got it could bring it here.
        await at.RefusedAsync(at.Issuer.Sign(With(at.Claims(), "aud", new JsonArray(TestIssuer.Audience, audience))), ReasonCodes.TokenAudience);
        await at.RefusedAsync(at.Issuer.Sign(Without(at.Claims(), "aud")), ReasonCodes.TokenAudience);
        await at.LetInAsync(at.Issuer.Sign(With(at.Claims(), "aud", new JsonArray(TestIssuer.Audience))));
    }

    [Fact]
    public async Task P35_token_of_an_unknown_issuer_is_refused()
    {
        await using var at = await Setting.OpenAsync();
        await using var other = new TestIssuer();
        await at.RefusedAsync(other.Sign(other.GitHub(at.Now)), ReasonCodes.TokenIssuer);

        // It says that it is of ours; the key says otherwise.
        await at.RefusedAsync(other.Sign(at.Claims()), ReasonCodes.TokenSignature);
        foreach (var twin in new[] { at.Issuer.Issuer + "/", at.Issuer.Issuer.ToUpperInvariant(), at.Issuer.Issuer + "\u0000", " " + at.Issuer.Issuer })
        {
            await at.RefusedAsync(at.Issuer.Sign(With(at.Claims(), "iss", twin)), ReasonCodes.TokenIssuer);
        }

        await at.RefusedAsync(at.Issuer.Sign(With(at.Claims(), "iss", new JsonArray(at.Issuer.Issuer))), ReasonCodes.TokenIssuer);
        Assert.Equal(0, other.Fetches);
    }

    [Fact]
    public async Task P35_token_out_of_its_time_is_refused()
    {
        await using var at = await Setting.OpenAsync();
        var token = at.Issuer.Sign(at.Claims());
        at.House.Time.Advance(TimeSpan.FromMinutes(5));
        await at.RefusedAsync(token, ReasonCodes.TokenExpired);

        await at.RefusedAsync(at.Issuer.Sign(With(at.Claims(), "nbf", at.Now.AddMinutes(1).ToUnixTimeSeconds())), ReasonCodes.TokenNotYetValid);
        await at.RefusedAsync(at.Issuer.Sign(With(at.Claims(), "iat", at.Now.AddMinutes(1).ToUnixTimeSeconds())), ReasonCodes.TokenNotYetValid);
        await at.RefusedAsync(at.Issuer.Sign(With(at.Claims(), "exp", at.Now.AddHours(7).ToUnixTimeSeconds())), ReasonCodes.TokenLifetime);
        await at.RefusedAsync(at.Issuer.Sign(With(Without(at.Claims(), "iat"), "exp", at.Now.AddHours(7).ToUnixTimeSeconds())), ReasonCodes.TokenLifetime);
        await at.LetInAsync(at.Issuer.Sign(With(at.Claims(), "nbf", at.Now.AddSeconds(29).ToUnixTimeSeconds())));
    }

    [Fact]
    public async Task P35_token_without_an_end_is_refused()
    {
        await using var at = await Setting.OpenAsync();
        await at.RefusedAsync(at.Issuer.Sign(Without(at.Claims(), "exp")), ReasonCodes.TokenLifetime);
        await at.RefusedAsync(at.Issuer.Sign(With(at.Claims(), "exp", "tomorrow")), ReasonCodes.TokenMalformed);
        await at.RefusedAsync(at.Issuer.Sign(With(at.Claims(), "exp", -1)), ReasonCodes.TokenMalformed);
        await at.RefusedAsync(at.Issuer.Sign(With(at.Claims(), "exp", 1e300)), ReasonCodes.TokenMalformed);
    }

    [Fact]
    public async Task P35_token_opens_one_connection_and_a_restart_remembers_it()
    {
        await using var at = await Setting.OpenAsync();
        var token = at.Issuer.Sign(at.Claims());
        await at.LetInAsync(token);
        await at.RefusedAsync(token, ReasonCodes.TokenReplayed);

        // Another signature over the same claims is the same token.
        var claims = at.Claims();
        await at.LetInAsync(at.Issuer.Sign(claims, "PS256"));
        await at.RefusedAsync(at.Issuer.Sign(claims, "PS256"), ReasonCodes.TokenReplayed);

        using var restarted = new WorkloadDoor([new TokenIssuer { Issuer = at.Issuer.Issuer, Audience = TestIssuer.Audience, Workloads = [Deploy()] }], null, at.House.Agents, at.House.Users, at.House.Store, at.House.Journal, at.House.Time);
        Assert.Equal(ReasonCodes.TokenReplayed, (await restarted.ByTokenAsync(Agent, token, TestContext.Current.CancellationToken)).ReasonCode);

        // A token without an id can not be told from its copy.
        await at.RefusedAsync(at.Issuer.Sign(Without(at.Claims(), "jti")), ReasonCodes.TokenMalformed);

        Assert.Equal(2, at.House.Store.List("used-tokens").Count);
        at.House.Time.Advance(TimeSpan.FromMinutes(7));
        await at.Door.SweepAsync();
        Assert.Empty(at.House.Store.List("used-tokens"));
        await at.RefusedAsync(token, ReasonCodes.TokenExpired);
    }

    [Fact]
    public async Task P35_of_many_that_bring_one_token_at_once_one_is_let_in()
    {
        await using var at = await Setting.OpenAsync();
        var token = at.Issuer.Sign(at.Claims());
        var answers = await Task.WhenAll(Enumerable.Range(0, 16).Select(_ => Task.Run(() => at.PresentAsync(token))));
        Assert.Single(answers, static a => a.Session is not null);
        Assert.All(answers.Where(static a => a.Session is null), static a => Assert.Equal(ReasonCodes.TokenReplayed, a.ReasonCode));
    }

    [Fact]
    public async Task Token_may_come_again_where_the_config_says_so()
    {
        await using var at = await Setting.OpenAsync(change: static i => i with { Once = false, Grace = TimeSpan.FromHours(1) });
        var token = at.Issuer.Sign(Without(at.Claims(), "jti"));
        await at.LetInAsync(token);
        Assert.Equal(at.Now.AddMinutes(65), (await at.LetInAsync(token)).EndsAt);
    }

    [Fact]
    public async Task P35_algorithms_that_anybody_could_sign_with_are_refused()
    {
        await using var at = await Setting.OpenAsync();
        foreach (var none in new[] { "none", "None", "NONE", "nOnE", "", "HS384", "HS512", "dir", "RSA-OAEP", "rs256" })
        {
            var unsigned = $"{TestIssuer.Part(TestIssuer.Header(none, "key-1", "JWT").ToJsonString())}.{TestIssuer.Part(at.Claims().ToJsonString())}.";
            await at.RefusedAsync(unsigned, ReasonCodes.TokenAlgorithm);
        }

        // The published key as the secret of a MAC, in each form that a library might take it in.
        foreach (var secret in new[] { at.Issuer.Rsa.ExportSubjectPublicKeyInfo(), at.Issuer.Rsa.ExportRSAPublicKey(), Encoding.ASCII.GetBytes(at.Issuer.Rsa.ExportSubjectPublicKeyInfoPem()), Encoding.UTF8.GetBytes(at.Issuer.Jwks) })
        {
            await at.RefusedAsync(TestIssuer.Mac(at.Claims(), secret), ReasonCodes.TokenAlgorithm);
        }
    }

    [Fact]
    public async Task P35_key_that_the_token_brings_or_names_is_not_looked_at()
    {
        await using var at = await Setting.OpenAsync();
        using var own = RSA.Create(2048);
        await using var theirs = new TestIssuer();
        var p = own.ExportParameters(false);
        var jwk = new JsonObject { ["kty"] = "RSA", ["kid"] = "mine", ["n"] = System.Buffers.Text.Base64Url.EncodeToString(p.Modulus), ["e"] = "AQAB" };
        await at.RefusedAsync(at.Issuer.Sign(at.Claims(), kid: "mine", key: own, more: new JsonObject { ["jwk"] = jwk }), ReasonCodes.TokenSignature);
        await at.RefusedAsync(at.Issuer.Sign(at.Claims(), key: own, more: new JsonObject { ["jwk"] = jwk.DeepClone() }), ReasonCodes.TokenSignature);
        await at.RefusedAsync(at.Issuer.Sign(at.Claims(), kid: "mine", key: theirs.Rsa, more: new JsonObject { ["jku"] = theirs.Issuer + "/keys", ["x5u"] = theirs.Issuer + "/keys" }), ReasonCodes.TokenSignature);
        Assert.Equal(0, theirs.Fetches);
        foreach (var kid in new[] { "../../../../etc/passwd", "key-1' OR '1'='1", "key-1\u0000", "KEY-1", "/dev/null", "http://127.0.0.1/keys", "" })
        {
            await at.RefusedAsync(at.Issuer.Sign(at.Claims(), kid: kid, key: own), ReasonCodes.TokenSignature);
        }

        await at.RefusedAsync(at.Issuer.Sign(at.Claims(), more: new JsonObject { ["crit"] = new JsonArray("exp") }), ReasonCodes.TokenMalformed);
        await at.RefusedAsync(at.Issuer.Sign(at.Claims(), kid: null, more: new JsonObject { ["kid"] = 1 }), ReasonCodes.TokenMalformed);

        // A key id may be left out, where one of the keys fits.
        await at.LetInAsync(at.Issuer.Sign(at.Claims(), kid: null));
    }

    [Fact]
    public async Task Forged_key_ids_do_not_make_us_knock_at_the_issuers_door()
    {
        await using var at = await Setting.OpenAsync();
        using var own = RSA.Create(2048);
        for (var n = 0; n < 20; n++) await at.RefusedAsync(at.Issuer.Sign(at.Claims(), kid: $"forged-{n}", key: own), ReasonCodes.TokenSignature);
        Assert.Equal(1, at.Issuer.Fetches);

        // A rotation is seen with the first token after the interval.
        using var next = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        at.Issuer.Publish(("key-2", next));
        at.House.Time.Advance(TimeSpan.FromSeconds(31));
        await at.LetInAsync(at.Issuer.Sign(at.Claims(), "ES256", "key-2", key: next));
        Assert.Equal(2, at.Issuer.Fetches);

        // The key that was taken back signs nothing any more.
        await at.RefusedAsync(at.Issuer.Sign(at.Claims()), ReasonCodes.TokenSignature);
        Assert.Equal(2, at.Issuer.Fetches);
    }

    [Fact]
    public async Task Keys_serve_while_the_issuer_is_away_and_not_for_ever()
    {
        await using var at = await Setting.OpenAsync();
        at.Issuer.IsDown = true;
        await at.RefusedAsync(at.Issuer.Sign(at.Claims()), ReasonCodes.IssuerUnavailable);
        at.Issuer.IsDown = false;
        at.House.Time.Advance(TimeSpan.FromMinutes(1));
        await at.LetInAsync(at.Issuer.Sign(at.Claims()));
        at.Issuer.IsDown = true;
        at.House.Time.Advance(TimeSpan.FromHours(12));
        await at.LetInAsync(at.Issuer.Sign(at.Claims()));
        at.House.Time.Advance(TimeSpan.FromHours(1));
        await at.RefusedAsync(at.Issuer.Sign(at.Claims()), ReasonCodes.IssuerUnavailable);
    }

    [Fact]
    public async Task P35_description_of_another_issuer_is_not_believed()
    {
        await using var at = await Setting.OpenAsync();
        at.Issuer.ClaimsToBe = "https://other.example.com";
        await at.RefusedAsync(at.Issuer.Sign(at.Claims()), ReasonCodes.IssuerUnavailable);
    }

    [Fact]
    public async Task Keys_come_from_a_file_where_the_config_says_so()
    {
        var file = Path.GetTempFileName();
        await using var at = await Setting.OpenAsync(change: i => i with { JwksFile = file });
        try
        {
            await File.WriteAllTextAsync(file, at.Issuer.Jwks, TestContext.Current.CancellationToken);
            at.Issuer.IsDown = true;
            await at.LetInAsync(at.Issuer.Sign(at.Claims()));
            Assert.Equal(0, at.Issuer.Fetches);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Theory]
    [InlineData("at+jwt")]
    [InlineData("logout+jwt")]
    [InlineData("secevent+jwt")]
    [InlineData("dpop+jwt")]
    [InlineData("application/at+jwt")]
    [InlineData("")]
    public async Task P35_token_of_another_kind_is_refused(string typ)
    {
        await using var at = await Setting.OpenAsync();
        await at.RefusedAsync(at.Issuer.Sign(at.Claims(), typ: typ), ReasonCodes.TokenType);
    }

    [Theory]
    [InlineData("nonce")]
    [InlineData("at_hash")]
    [InlineData("events")]
    public async Task P35_id_and_logout_tokens_are_refused_by_what_they_hold(string claim)
    {
        await using var at = await Setting.OpenAsync();
        await at.RefusedAsync(at.Issuer.Sign(With(at.Claims(), claim, claim == "events" ? new JsonObject() : "x")), ReasonCodes.TokenType);
    }

    [Fact]
    public async Task P35_where_access_tokens_are_asked_for_nothing_else_will_do()
    {
        await using var at = await Setting.OpenAsync(change: static i => i with { Type = "at+jwt" });
        await at.RefusedAsync(at.Issuer.Sign(at.Claims()), ReasonCodes.TokenType);
        await at.RefusedAsync(at.Issuer.Sign(at.Claims(), typ: null), ReasonCodes.TokenType);
        await at.LetInAsync(at.Issuer.Sign(at.Claims(), typ: "at+jwt"));
        await at.LetInAsync(at.Issuer.Sign(at.Claims(), typ: "application/AT+JWT"));
    }

    [Theory]
    [InlineData("acme/Shop", "refs/heads/main")]
    [InlineData("ACME/shop", "refs/heads/main")]
    [InlineData("acme/shop-evil", "refs/heads/main")]
    [InlineData("evil/acme/shop", "refs/heads/main")]
    [InlineData("acme/shop", "refs/heads/main2")]
    [InlineData("acme/shop", "refs/heads/MAIN")]
    [InlineData("acme/shop", "refs/tags/main")]
    [InlineData("acme/shop", "refs/heads/main\n")]
    [InlineData("acme/shop", "refs/heads/main ")]
    [InlineData("acme/shop", "refs/heads/ma\u0131n")]
    public async Task P36_subject_that_is_not_exactly_the_rules_is_refused(string repository, string reference)
    {
        await using var at = await Setting.OpenAsync();
        await at.RefusedAsync(at.Issuer.Sign(at.Claims(repository, reference)), ReasonCodes.TokenSubject);
    }

    [Fact]
    public async Task P36_open_segment_takes_one_segment_and_no_more()
    {
        await using var at = await Setting.OpenAsync(Deploy("repo:acme/*:ref:refs/heads/main"));
        await at.LetInAsync(at.Issuer.Sign(at.Claims("acme/anything")));
        foreach (var repository in new[] { "acme/", "acme/a/b", "evil/acme", "acme/x:ref:refs/heads/main:ref", "acme/x y", "acme/\u202e" })
        {
            await at.RefusedAsync(at.Issuer.Sign(at.Claims(repository)), ReasonCodes.TokenSubject);
        }
    }

    [Fact]
    public async Task Every_claim_of_the_rule_must_fit_and_be_text()
    {
        var workload = Deploy() with { Match = new Dictionary<string, SubjectPattern> { ["sub"] = Pattern("repo:acme/shop:ref:refs/heads/main"), ["repository_id"] = Pattern("74") } };
        await using var at = await Setting.OpenAsync(workload);
        await at.LetInAsync(at.Issuer.Sign(at.Claims()));
        await at.RefusedAsync(at.Issuer.Sign(With(at.Claims(), "repository_id", "75")), ReasonCodes.TokenSubject);
        await at.RefusedAsync(at.Issuer.Sign(With(at.Claims(), "repository_id", 74)), ReasonCodes.TokenSubject);
        await at.RefusedAsync(at.Issuer.Sign(With(at.Claims(), "repository_id", new JsonArray("74"))), ReasonCodes.TokenSubject);
        await at.RefusedAsync(at.Issuer.Sign(Without(at.Claims(), "repository_id")), ReasonCodes.TokenSubject);
    }

    [Fact]
    public async Task What_is_no_token_is_refused_and_not_kept()
    {
        await using var at = await Setting.OpenAsync();
        var good = at.Issuer.Sign(at.Claims());
        var twice = TestIssuer.SignRaw(TestIssuer.Header("RS256", "key-1", "JWT"), at.Claims().ToJsonString()[..^1] + ",\"sub\":\"repo:acme/other:ref:refs/heads/main\"}", at.Issuer.Rsa);
        foreach (var text in new[] { "", ".", "..", "...", "a.b.c", "hunter2", good + ".", good + " ", " " + good, good.Replace('.', ':'), good + "." + good, new string('a', 8001), twice, $"{TestIssuer.Part("[]")}.{TestIssuer.Part("{}")}.x", "csk_0123abcd_" + new string('k', 43) })
        {
            await at.RefusedAsync(text, ReasonCodes.TokenMalformed);
        }

        Assert.DoesNotContain("csk_0123abcd", at.House.Text.Entries + at.House.Text.Bodies, StringComparison.Ordinal);
        await at.RefusedAsync(good[..^8] + "AAAAAAAA", ReasonCodes.TokenSignature);
        await at.RefusedAsync(good[..(good.LastIndexOf('.') + 1)], ReasonCodes.TokenSignature);
    }

    [Fact]
    public async Task Revoked_agent_is_not_let_in_and_stays_revoked_after_a_restart()
    {
        await using var at = await Setting.OpenAsync();
        var declared = WorkloadDoor.Declared([new TokenIssuer { Issuer = at.Issuer.Issuer, Audience = TestIssuer.Audience, Workloads = [Deploy()] }], null);
        var id = at.House.Agents.Find(Agent)!.Id;
        Assert.Equal(AgentChangeStatus.NoKeys, (await at.House.Agents.AddKeyAsync(Agent, at.House.User("olga").Ref)).Status);
        var chain = (await at.LetInAsync(at.Issuer.Sign(at.Claims()))).Actors;
        Assert.True(at.House.Agents.StillActs(chain));
        Assert.Equal(AgentChangeStatus.Done, (await at.House.Agents.RevokeAsync(Agent, null, at.House.User("olga").Ref)).Status);
        Assert.False(at.House.Agents.StillActs(chain));
        await at.RefusedAsync(at.Issuer.Sign(at.Claims()), ReasonCodes.Unauthenticated);
        Assert.Empty(await at.House.Agents.DeclareAsync(declared));
        Assert.Equal((id, true), (at.House.Agents.Find(Agent)!.Id, at.House.Agents.Find(Agent)!.RevokedAt is not null));
        await at.RefusedAsync(at.Issuer.Sign(at.Claims()), ReasonCodes.Unauthenticated);
    }

    [Fact]
    public async Task P30_name_of_an_agent_with_keys_does_not_pass_to_a_workload_nor_back()
    {
        await using var at = await Setting.OpenAsync();
        var declared = new DeclaredAgent("bot", "https://issuer.example.com", "olga", null, [], false);
        Assert.Contains("keys of its own", Assert.Single(await at.House.Agents.DeclareAsync([declared])), StringComparison.Ordinal);
        Assert.Contains("vouches for it", Assert.Single(await at.House.Agents.DeclareAsync([declared with { Name = Agent }])), StringComparison.Ordinal);
        Assert.Contains("name of a user", Assert.Single(await at.House.Agents.DeclareAsync([declared with { Name = "olga" }])), StringComparison.Ordinal);
        Assert.Equal(AgentChangeStatus.NameTaken, (await at.House.Agents.AddAsync(Agent, "olga", null, [], at.House.User("olga").Ref)).Status);
        Assert.Empty(at.House.Agents.ScramFor(Agent).Keys);
    }

    // ---- the actor chain ----

    private static readonly Dictionary<string, string> People = new() { ["u-uwe"] = "uwe", ["u-ada"] = "ada" };

    private static Task<Setting> DelegatedAsync() => Setting.OpenAsync(
        new Workload(Agent, new Dictionary<string, SubjectPattern> { ["sub"] = Pattern("svc:shop-agent") }, "olga") { Groups = ["agents"], Delegated = true },
        static i => i with { People = People });

    private static JsonObject Exchanged(Setting at, string user, JsonNode? act) => new()
    {
        ["iss"] = at.Issuer.Issuer, ["aud"] = TestIssuer.Audience, ["sub"] = user, ["jti"] = TestIssuer.NewId(), ["act"] = act,
        ["iat"] = at.Now.ToUnixTimeSeconds(), ["exp"] = at.Now.AddMinutes(5).ToUnixTimeSeconds(),
    };

    [Fact]
    public async Task I4_user_of_an_exchanged_token_and_everyone_behind_its_actors_are_in_the_chain()
    {
        await using var at = await DelegatedAsync();
        var one = await at.LetInAsync(at.Issuer.Sign(Exchanged(at, "u-uwe", new JsonObject { ["sub"] = "svc:shop-agent" })));
        Assert.Equal(("uwe", "olga"), (one.Actors.OnBehalfOf!.Name, one.Actors.Owner.Name));
        Assert.True(at.House.Agents.StillActs(one.Actors));

        var two = await at.LetInAsync(at.Issuer.Sign(Exchanged(at, "u-uwe", new JsonObject { ["sub"] = "svc:shop-agent", ["act"] = new JsonObject { ["sub"] = "u-ada" } })));
        Assert.Equal(["olga", "uwe", "ada"], two.Actors.Humans.Select(static h => h.Name));
        Assert.NotEqual(Given.Action(one.Actors, "select 1").ToCanonical(), Given.Action(two.Actors, "select 1").ToCanonical());

        // What he asked for through others he does not approve.
        var held = await at.House.HoldOpenAsync(Given.Action(two.Actors, "update customers set name = 'x' where id = 1"));
        var review = await held.Opened;
        Assert.True(review.IsActor(at.House.User("ada").Ref.Id));
        Assert.Equal(ReasonCodes.SelfApproval, (await at.House.AnswerAsync(review.Id, "ada")).ReasonCode);
        Assert.Equal(ReasonCodes.SelfApproval, (await at.House.AnswerAsync(review.Id, "uwe")).ReasonCode);
        await held.LeaveAsync(Countersign.Reviews.LeaveReason.Cancelled);
    }

    [Fact]
    public async Task P30_delegation_of_or_through_somebody_unknown_is_refused()
    {
        await using var at = await DelegatedAsync();
        JsonObject Act(JsonNode? earlier) => new() { ["sub"] = "svc:shop-agent", ["act"] = earlier };
        await at.RefusedAsync(at.Issuer.Sign(Exchanged(at, "u-nobody", new JsonObject { ["sub"] = "svc:shop-agent" })), ReasonCodes.TokenActor);
        await at.RefusedAsync(at.Issuer.Sign(Exchanged(at, "uwe", new JsonObject { ["sub"] = "svc:shop-agent" })), ReasonCodes.TokenActor);
        await at.RefusedAsync(at.Issuer.Sign(Exchanged(at, "u-uwe", Act(new JsonObject { ["sub"] = "u-nobody" }))), ReasonCodes.TokenActor);
        await at.RefusedAsync(at.Issuer.Sign(Exchanged(at, "u-uwe", Act(new JsonObject { ["sub"] = "u-ada", ["iss"] = "https://other.example.com" }))), ReasonCodes.TokenActor);
        await at.RefusedAsync(at.Issuer.Sign(Exchanged(at, "u-uwe", Act("u-ada"))), ReasonCodes.TokenActor);
        await at.RefusedAsync(at.Issuer.Sign(Exchanged(at, "u-uwe", "svc:shop-agent")), ReasonCodes.TokenActor);
        await at.RefusedAsync(at.Issuer.Sign(Without(Exchanged(at, "svc:shop-agent", null), "act")), ReasonCodes.TokenActor);
        await at.RefusedAsync(at.Issuer.Sign(Exchanged(at, "u-uwe", new JsonObject { ["sub"] = "svc:shop-agent", ["iss"] = "https://other.example.com" })), ReasonCodes.TokenSubject);
        await at.RefusedAsync(at.Issuer.Sign(Exchanged(at, "svc:shop-agent", new JsonObject { ["sub"] = "u-uwe" })), ReasonCodes.TokenSubject);

        var deep = new JsonObject { ["sub"] = "u-ada" };
        for (var n = 0; n < 8; n++) deep = new JsonObject { ["sub"] = "u-ada", ["act"] = deep };
        await at.RefusedAsync(at.Issuer.Sign(Exchanged(at, "u-uwe", Act(deep))), ReasonCodes.TokenActor);
    }

    [Fact]
    public async Task P30_act_in_the_token_of_an_agent_that_acts_for_itself_is_refused()
    {
        await using var at = await Setting.OpenAsync();
        await at.RefusedAsync(at.Issuer.Sign(With(at.Claims(), "act", new JsonObject { ["sub"] = "anybody" })), ReasonCodes.TokenActor);
    }

    // ---- the journal ----

    [Fact]
    public async Task Strangers_can_not_fill_the_journal_and_what_was_left_out_is_counted()
    {
        await using var at = await Setting.OpenAsync(limits: new FederationLimits { RefusalsPerMinute = 3 });
        for (var n = 0; n < 10; n++) Assert.Equal(ReasonCodes.TokenMalformed, (await at.PresentAsync("x")).ReasonCode);
        Assert.Equal(3, at.House.Count("agent-refused"));
        at.House.Time.Advance(TimeSpan.FromMinutes(1));
        await at.RefusedAsync("x", ReasonCodes.TokenMalformed);
        Assert.Equal(7, at.House.Entry("agent-refused").GetProperty("unwritten").GetInt64());
    }
}
