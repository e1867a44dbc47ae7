namespace Countersign.Config.Tests;

/// <summary>`identity.issuers` and `identity.mtls`: whole, or the gateway does not start.</summary>
public sealed class FederationTests
{
    private const string Agent = "agents: { deploy: { match: { sub: \"repo:acme/shop:ref:refs/heads/main\" }, owner: alice } }";
    private const string GitHub = "issuer: https://token.actions.githubusercontent.com";

    private static string Issuer(string keys) => Yaml.Minimal + "identity:\n  insecure-loopback: true\n  issuers:\n    github: { " + keys + " }\n";

    [Fact]
    public void Issuer_is_read_with_safe_defaults()
    {
        var issuer = Assert.Single(Yaml.Good(Issuer($"{GitHub}, audience: gw, {Agent}")).Federation.Issuers);
        Assert.Equal(("github", "https://token.actions.githubusercontent.com", "gw", "JWT", true), (issuer.Name, issuer.Issuer, issuer.Audience, issuer.Type, issuer.Once));
        Assert.Equal((TimeSpan.FromHours(6), TimeSpan.Zero, "sub"), (issuer.MaxLifetime, issuer.Grace, issuer.PeopleClaim));
        var agent = Assert.Single(issuer.Agents);
        Assert.Equal(("deploy", "alice", false), (agent.Name, agent.Owner, agent.Delegated));
        Assert.Equal("repo:acme/shop:ref:refs/heads/main", agent.Match["sub"].Text);
    }

    [Theory]
    [InlineData($"audience: gw, {Agent}", "identity.issuers.github.issuer", "missing: `issuer`")]
    [InlineData($"{GitHub}, {Agent}", "identity.issuers.github.audience", "missing: `audience`")]
    [InlineData($"{GitHub}, audience: gw", "identity.issuers.github", "missing: `agents`")]
    [InlineData($"{GitHub}, audience: \"https://token.actions.githubusercontent.com\", {Agent}", "identity.issuers.github.audience", "is the issuer itself")]
    [InlineData($"{GitHub}, audience: gw, replay: maybe, {Agent}", "identity.issuers.github.replay", "neither `once` nor `reuse`")]
    [InlineData($"{GitHub}, audience: gw, type: logout+jwt, {Agent}", "identity.issuers.github.type", "is not one of")]
    [InlineData($"{GitHub}, audience: gw, max-lifetime: 25h, {Agent}", "identity.issuers.github.max-lifetime", "out of bounds")]
    [InlineData($"issuer: \"http://issuer.example.com\", audience: gw, {Agent}", "identity.issuers.github.issuer", "no https address")]
    [InlineData($"issuer: \"spiffe.example\", audience: gw, {Agent}", "identity.issuers.github.issuer", "give `jwks")]
    [InlineData($"{GitHub}, audience: gw, jwks: {{ url: \"http://keys.example.com\" }}, {Agent}", "identity.issuers.github.jwks.url", "must be an https address")]
    [InlineData($"{GitHub}, audience: gw, jwks: {{ file: /nowhere/keys.json }}, {Agent}", "identity.issuers.github.jwks.file", "can not read")]
    [InlineData($"{GitHub}, audience: gw, agents: {{ deploy: {{ match: {{ repository: acme/shop }}, owner: alice }} }}", "identity.issuers.github.agents.deploy.match", "missing: `sub`")]
    [InlineData($"{GitHub}, audience: gw, agents: {{ deploy: {{ match: {{ sub: \"repo:acme/shop:*\", aud: x }}, owner: alice }} }}", "identity.issuers.github.agents.deploy.match.aud", "is checked of every token")]
    [InlineData($"{GitHub}, audience: gw, agents: {{ deploy: {{ match: {{ sub: \"repo:acme/shop:*\" }} }} }}", "identity.issuers.github.agents.deploy.owner", "missing: `owner`")]
    [InlineData($"{GitHub}, audience: gw, agents: {{ deploy: {{ match: {{ sub: \"repo:acme/shop:*\" }}, owner: mallory }} }}", "identity.issuers.github.agents.deploy.owner", "is not in `users`")]
    [InlineData($"{GitHub}, audience: gw, agents: {{ alice: {{ match: {{ sub: \"repo:acme/shop:*\" }}, owner: alice }} }}", "identity.issuers.github.agents.alice", "the name of a user")]
    [InlineData($"{GitHub}, audience: gw, agents: {{ Deploy: {{ match: {{ sub: \"repo:acme/shop:*\" }}, owner: alice }} }}", "identity.issuers.github.agents.Deploy", "has capitals")]
    [InlineData($"{GitHub}, audience: gw, agents: {{ deploy: {{ match: {{ sub: \"repo:acme/shop:*\" }}, owner: alice, for: alice, delegated: true }} }}", "identity.issuers.github.agents.deploy.for", "keep one of them")]
    [InlineData($"{GitHub}, audience: gw, people: {{ claim: email }}, {Agent}", "identity.issuers.github.people.claim", "given to somebody else")]
    public void P35_incomplete_or_unsafe_issuer_does_not_start(string keys, string path, string message)
    {
        var error = Yaml.Bad(Issuer(keys));
        Assert.Equal(path, error.Path);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("**", "begins with a segment that is fixed")]
    [InlineData("*:x", "begins with a segment that is fixed")]
    [InlineData("repo:**:x", "at the end only")]
    [InlineData("repo:acme/shop*:x", "a whole segment")]
    [InlineData("repo:acme/***", "a whole segment")]
    [InlineData("repo:*", "does not fix whose workload")]
    [InlineData("repo:**", "does not fix whose workload")]
    [InlineData("repo:*/shop:ref:refs/heads/main", "does not fix whose workload")]
    [InlineData("repo:acme:*", "does not fix whose workload")]
    public void P36_pattern_that_says_more_than_it_seems_to_is_refused(string subject, string message)
    {
        var error = Yaml.Bad(Issuer($"{GitHub}, audience: gw, agents: {{ deploy: {{ match: {{ sub: \"{subject}\" }}, owner: alice }} }}"));
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Open_owner_is_fine_where_another_claim_fixes_it()
    {
        Yaml.Good(Issuer($"{GitHub}, audience: gw, agents: {{ deploy: {{ match: {{ sub: \"repo:*/*:ref:refs/heads/main\", repository_owner_id: \"65\" }}, owner: alice }} }}"));
        Yaml.Good(Issuer($"issuer: https://kubernetes.example.com, audience: gw, agents: {{ deploy: {{ match: {{ sub: \"system:serviceaccount:prod:*\" }}, owner: alice }} }}"));
    }

    [Fact]
    public void Token_needs_tls_unless_loopback_is_said_on_purpose()
    {
        var text = Issuer($"{GitHub}, audience: gw, {Agent}");
        Assert.Contains("passes over TLS only", Yaml.Bad(text.Replace("  insecure-loopback: true\n", "", StringComparison.Ordinal)).Message, StringComparison.Ordinal);
        var error = Yaml.Bad(text + "listen: { postgres: \"0.0.0.0:6543\", insecure: true }\n");
        Assert.Equal("identity.insecure-loopback", error.Path);
    }

    [Fact]
    public void P35_audience_of_the_people_is_not_that_of_workloads()
    {
        var oidc = "  oidc: { issuer: https://id.example.com, client-id: gw, public-client: true, subject-claim: oid }\n";
        string With(string audience) => Issuer($"issuer: https://id.example.com, audience: {audience}, {Agent.Replace("alice", "zoe", StringComparison.Ordinal)}") + oidc;
        Assert.Contains("is `identity.oidc.client-id`", Yaml.Bad(With("gw")).Message, StringComparison.Ordinal);

        // Owners may be people whom only the provider knows.
        var issuer = Assert.Single(Yaml.Good(With("gw-agents")).Federation.Issuers);
        Assert.Equal(("oid", "zoe"), (issuer.PeopleClaim, issuer.Agents[0].Owner));
    }

    [Fact]
    public void P36_one_agent_and_one_iss_stand_in_one_place()
    {
        var two = Yaml.Minimal + $"identity:\n  insecure-loopback: true\n  issuers:\n    one: {{ {GitHub}, audience: gw, {Agent} }}\n    two: {{ ";
        Assert.Contains("is that of `one` too", Yaml.Bad(two + $"{GitHub}, audience: gw, {Agent.Replace("deploy", "other", StringComparison.Ordinal)} }}\n").Message, StringComparison.Ordinal);
        Assert.Contains("listed twice", Yaml.Bad(two + $"issuer: https://id.example.com, audience: gw, {Agent} }}\n").Message, StringComparison.Ordinal);
    }

    [Fact]
    public void P35_client_certificates_need_tls_authorities_and_names()
    {
        Assert.Contains("need TLS", Yaml.Load(Yaml.Minimal + "identity: { mtls: { agents: { batch: { match: { dns: batch.example.com }, owner: alice } } } }\n").Errors.Select(static e => e.Message).Aggregate(string.Concat), StringComparison.Ordinal);
        var errors = Yaml.Load(Yaml.Minimal + "identity: { mtls: { revoked: [zz], agents: { batch: { match: { dns: \"*.example.com\" }, owner: alice }, other: { match: {}, owner: alice } } } }\n").Errors.Select(static e => e.Message).ToArray();
        Assert.Contains(errors, static e => e.StartsWith("missing: `ca:", StringComparison.Ordinal));
        Assert.Contains(errors, static e => e.Contains("is no serial number", StringComparison.Ordinal));
        Assert.Contains(errors, static e => e.Contains("matched exactly", StringComparison.Ordinal) || e.Contains("a segment that is fixed", StringComparison.Ordinal) || e.Contains("a whole segment", StringComparison.Ordinal));
        Assert.Contains(errors, static e => e.Contains("`uri` or `dns`", StringComparison.Ordinal));
    }

    private const string Runtime = "issuer: https://runtime.example.com, audience: gw";

    private static string Runtimes(string keys) => Yaml.Minimal + "identity:\n  runtimes:\n    platform: { " + keys + " }\n";

    [Fact]
    public void Runtime_is_read_with_safe_defaults_and_needs_no_tls_of_its_own()
    {
        var runtime = Assert.Single(Yaml.Good(Runtimes($"{Runtime}, agents: [bot-b, bot-a], people: {{ users: {{ u-1: alice }} }}")).Federation.Runtimes);
        Assert.Equal(("platform", "https://runtime.example.com", "gw", "sub"), (runtime.Name, runtime.Issuer, runtime.Audience, runtime.PeopleClaim));
        Assert.Equal((TimeSpan.FromMinutes(5), TimeSpan.Zero), (runtime.MaxLifetime, runtime.Grace));
        Assert.Equal(["bot-a", "bot-b"], runtime.Agents);
        Assert.Equal("alice", runtime.People["u-1"]);
    }

    [Theory]
    [InlineData("audience: gw, agents: [bot]", "identity.runtimes.platform.issuer", "missing: `issuer`")]
    [InlineData("issuer: https://runtime.example.com, agents: [bot]", "identity.runtimes.platform.audience", "missing: `audience`")]
    [InlineData($"{Runtime}", "identity.runtimes.platform", "missing: `agents`")]
    [InlineData("issuer: https://runtime.example.com, audience: https://runtime.example.com, agents: [bot]", "identity.runtimes.platform.audience", "is the runtime itself")]
    [InlineData("issuer: http://runtime.example.com, audience: gw, agents: [bot]", "identity.runtimes.platform.issuer", "no https address")]
    [InlineData($"{Runtime}, agents: [alice]", "identity.runtimes.platform.agents[0]", "the name of a user")]
    [InlineData($"{Runtime}, agents: [Bot]", "identity.runtimes.platform.agents[0]", "is no agent")]
    [InlineData($"{Runtime}, agents: [bot, bot]", "identity.runtimes.platform.agents[1]", "listed twice")]
    [InlineData($"{Runtime}, agents: [bot], max-lifetime: 2h", "identity.runtimes.platform.max-lifetime", "out of bounds")]
    [InlineData($"{Runtime}, agents: [bot], people: {{ claim: email }}", "identity.runtimes.platform.people.claim", "given to somebody else")]
    [InlineData($"{Runtime}, agents: [bot], people: {{ users: {{ u-1: mallory }} }}", "identity.runtimes.platform.people.users.u-1", "is not in `users`")]
    public void P35_incomplete_or_unsafe_runtime_does_not_start(string keys, string path, string message)
    {
        var error = Yaml.Bad(Runtimes(keys));
        Assert.Equal(path, error.Path);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void P30_agent_whose_human_is_said_already_has_no_runtime()
    {
        var text = Issuer($"{GitHub}, audience: gw, agents: {{ deploy: {{ match: {{ sub: \"repo:acme/shop:x\" }}, owner: alice, for: alice }} }}") + "  runtimes: { platform: { " + Runtime + ", agents: [deploy] } }\n";
        Assert.Contains("is said already, by its `for`", Yaml.Bad(text).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Settings_are_what_the_file_says_key_by_key()
    {
        var settings = Yaml.Good(Yaml.Minimal).Settings;
        Assert.Equal(("[dba]", "shop", "PW"), (settings["users.alice.groups"], settings["targets.shop.database"], settings["targets.shop.password.env"]));
        Assert.DoesNotContain("correct horse", string.Join(' ', settings.Values), StringComparison.Ordinal);
    }
}
