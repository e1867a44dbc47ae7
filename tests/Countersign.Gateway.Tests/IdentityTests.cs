using System.Security.Cryptography;
using System.Text;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;

namespace Countersign.Gateway.Tests;

/// <summary>Humans who sign in, agents with keys, and that neither is the other.</summary>
public sealed class IdentityTests
{
    private static readonly LoginLimits Limits = new();

    private static string Begin(House house, string user)
    {
        string? code = null;
        Assert.True(house.Sessions.Begin(user, (u, c) => code = u.Ref.Name == user ? c : null));
        return code!;
    }

    private static async Task<string> LoginAsync(House house, string user) => (await house.Sessions.CompleteAsync(user, Begin(house, user))).Token!;

    [Fact]
    public async Task P30_session_belongs_to_the_human_who_was_shown_the_code()
    {
        await using var house = await House.OpenAsync();
        var code = Begin(house, "ada");
        var login = await house.Sessions.CompleteAsync("ada", $" {code.ToLowerInvariant()}\n");
        Assert.Equal((house.User("ada"), Given.Noon + Limits.SessionLifetime, null), (login.User, login.ExpiresAt, login.ReasonCode));
        Assert.Equal(house.User("ada"), house.Sessions.Find(login.Token)?.User);

        // The token is in no file, nor in the text of the result.
        Assert.DoesNotContain(login.Token!, login.ToString(), StringComparison.Ordinal);
        Assert.All(house.Store.List("sessions"), d => Assert.DoesNotContain(login.Token!, d.Key + Encoding.UTF8.GetString(d.Value), StringComparison.Ordinal));
        Assert.DoesNotContain(login.Token!, house.Text.Entries + house.Text.Bodies, StringComparison.Ordinal);
        Assert.DoesNotContain(code, house.Text.Entries + house.Text.Bodies, StringComparison.Ordinal);
    }

    [Fact]
    public async Task P30_code_works_once_for_its_user_and_five_minutes()
    {
        await using var house = await House.OpenAsync();
        var code = Begin(house, "ada");
        Assert.Equal(ReasonCodes.CodeInvalid, (await house.Sessions.CompleteAsync("ben", code)).ReasonCode);
        Begin(house, "ben");
        Assert.Equal(ReasonCodes.CodeInvalid, (await house.Sessions.CompleteAsync("ben", code)).ReasonCode);
        Assert.Equal(ReasonCodes.CodeInvalid, (await house.Sessions.CompleteAsync("ADA", code)).ReasonCode);
        Assert.NotNull((await house.Sessions.CompleteAsync("ada", code)).Token);
        Assert.Equal(ReasonCodes.CodeInvalid, (await house.Sessions.CompleteAsync("ada", code)).ReasonCode);

        var late = Begin(house, "ada");
        house.Time.Advance(Limits.CodeLifetime);
        Assert.Equal(ReasonCodes.CodeInvalid, (await house.Sessions.CompleteAsync("ada", late)).ReasonCode);
    }

    [Fact]
    public async Task P30_wrong_codes_void_all_codes_of_the_user_and_of_nobody_else()
    {
        await using var house = await House.OpenAsync();
        var (one, two, bens) = (Begin(house, "ada"), Begin(house, "ada"), Begin(house, "ben"));
        for (var n = 1; n < Limits.MaxAttempts; n++) Assert.Equal(ReasonCodes.CodeInvalid, (await house.Sessions.CompleteAsync("ada", "2222-2222")).ReasonCode);
        Assert.Equal(ReasonCodes.TooManyAttempts, (await house.Sessions.CompleteAsync("ada", "2222-2222")).ReasonCode);
        Assert.Equal(ReasonCodes.CodeInvalid, (await house.Sessions.CompleteAsync("ada", one)).ReasonCode);
        Assert.Equal(ReasonCodes.CodeInvalid, (await house.Sessions.CompleteAsync("ada", two)).ReasonCode);
        Assert.NotNull((await house.Sessions.CompleteAsync("ben", bens)).Token);
        Assert.NotNull((await house.Sessions.CompleteAsync("ada", Begin(house, "ada"))).Token);
    }

    [Fact]
    public async Task P30_asking_for_new_codes_gives_no_new_attempts()
    {
        await using var house = await House.OpenAsync();
        for (var n = 1; n < Limits.MaxAttempts; n++)
        {
            Begin(house, "ada");
            Assert.Equal(ReasonCodes.CodeInvalid, (await house.Sessions.CompleteAsync("ada", "2222-2222")).ReasonCode);
        }

        Begin(house, "ada");
        Assert.Equal(ReasonCodes.TooManyAttempts, (await house.Sessions.CompleteAsync("ada", "2222-2222")).ReasonCode);
    }

    [Fact]
    public async Task P30_unknown_user_can_not_be_told_from_a_known_one()
    {
        await using var house = await House.OpenAsync();
        async Task<IReadOnlyList<string?>> SeenAsync(string user)
        {
            var shown = false;
            var seen = new List<string?>();
            async Task TryAsync(int times)
            {
                for (var n = 0; n < times; n++) seen.Add((await house.Sessions.CompleteAsync(user, "2222-2222")).ReasonCode);
            }

            await TryAsync(2);
            seen.Add(house.Sessions.Begin(user, (_, _) => shown = true).ToString());
            await TryAsync(Limits.MaxAttempts + 2);
            seen.Add(house.Sessions.Begin(user, (_, _) => shown = true).ToString());
            await TryAsync(1);
            house.Time.Advance(Limits.CodeLifetime);
            await TryAsync(Limits.MaxAttempts + 1);
            Assert.Equal(user == "ada", shown);
            return seen;
        }

        Assert.Equal(await SeenAsync("ada"), await SeenAsync("nobody-at-all"));
    }

    [Fact]
    public async Task Codes_are_bounded_per_user_and_per_minute()
    {
        await using var house = await House.OpenAsync();
        var codes = Enumerable.Range(0, Limits.MaxOpenCodes + 1).Select(_ => Begin(house, "ada")).ToArray();
        Assert.Equal(ReasonCodes.CodeInvalid, (await house.Sessions.CompleteAsync("ada", codes[0])).ReasonCode);
        Assert.NotNull((await house.Sessions.CompleteAsync("ada", codes[1])).Token);
        for (var n = codes.Length; n < Limits.MaxCodesPerMinute; n++) Assert.True(house.Sessions.Begin($"nobody{n}", static (_, _) => Assert.Fail("shown")));
        Assert.False(house.Sessions.Begin("ada", static (_, _) => Assert.Fail("shown")));
        Assert.False(house.Sessions.Begin("nobody", static (_, _) => Assert.Fail("shown")));
        house.Time.Advance(TimeSpan.FromMinutes(1));
        Begin(house, "ada");
    }

    [Fact]
    public async Task P30_P35_no_session_comes_from_an_agents_key_or_anything_else()
    {
        await using var house = await House.OpenAsync();
        var key = (await house.Agents.AddKeyAsync("bot", house.User("olga").Ref)).Key!;
        var token = await LoginAsync(house, "ada");
        foreach (var other in new[] { null, "", key.Secret, key.KeyId, "css_", token[4..], token.ToUpperInvariant(), token + " ", token[..^1], "csk_" + token[4..], Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(token))) }) Assert.Null(house.Sessions.Find(other));

        // Nor the other way round.
        Assert.Null(house.Agents.FindByBearer("bot", token));
        Assert.Null(house.Agents.FindByBearer("ada", token));
        Assert.Equal(ReasonCodes.CodeInvalid, (await house.Sessions.CompleteAsync("bot", key.Secret)).ReasonCode);
    }

    [Fact]
    public async Task P30_session_ends_by_time_by_sign_out_and_with_its_user()
    {
        await using var house = await House.OpenAsync();
        var (timed, ended) = (await LoginAsync(house, "ada"), await LoginAsync(house, "ada"));
        Assert.True(await house.Sessions.EndAsync(house.Sessions.Find(ended)!, SessionEnd.SignedOut));
        Assert.Null(house.Sessions.Find(ended));
        Assert.NotNull(house.Sessions.Find(timed));

        var people = Given.People;
        people.Remove("ada");
        await using (var without = await house.CrashAsync(people)) Assert.Null(without.Sessions.Find(timed));
        people["ada"] = ["sre"];
        await using (var moved = await house.CrashAsync(people))
        {
            Assert.Equal(["sre"], moved.Sessions.Find(timed)!.User.Groups);
            Assert.Equal(house.User("ada").Ref.Id, moved.Sessions.Find(timed)!.User.Ref.Id);
        }

        house.Time.Advance(Limits.SessionLifetime - TimeSpan.FromTicks(1));
        Assert.NotNull(house.Sessions.Find(timed));
        house.Time.Advance(TimeSpan.FromTicks(1));
        Assert.Null(house.Sessions.Find(timed));
    }

    [Theory]
    [InlineData("")]
    [InlineData("Bot")]
    [InlineData("bot,ada")]
    [InlineData("bot ada")]
    [InlineData("bot\nada")]
    [InlineData("bot\0")]
    [InlineData("bot:ada")]
    [InlineData("bot\"")]
    [InlineData("bot`")]
    [InlineData("bot/../ada")]
    [InlineData("böt")]
    [InlineData("1bot")]
    [InlineData("\u0430bot")]
    [InlineData("a234567890123456789012345678901234567890123456789012345678901234")]
    public async Task P36_agent_name_with_a_separator_or_another_case_is_refused(string name)
    {
        await using var house = await House.OpenAsync();
        var added = await house.Agents.AddAsync(name, "olga", null, [], house.User("olga").Ref);
        Assert.Equal((AgentChangeStatus.BadName, null), (added.Status, added.Key));
        Assert.Equal(AgentChangeStatus.BadName, (await house.Agents.AddAsync("fine", "olga", null, [name], house.User("olga").Ref)).Status);
        Assert.Single(house.Agents.List());
    }

    [Fact]
    public async Task P36_users_who_differ_only_by_case_are_a_start_up_error()
    {
        await using var house = await House.OpenAsync();
        var declared = new Dictionary<string, IReadOnlySet<string>> { ["ada"] = new HashSet<string>(), ["Ada"] = new HashSet<string>() };
        var thrown = await Assert.ThrowsAsync<InvalidOperationException>(() => UserDirectory.LoadAsync(declared, house.Store, house.Journal));
        Assert.Contains("differ only by case", thrown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Agent_needs_an_owner_and_a_user_who_are_people_here()
    {
        await using var house = await House.OpenAsync();
        var author = house.User("olga").Ref;
        Assert.Equal(AgentChangeStatus.UnknownOwner, (await house.Agents.AddAsync("a", "nobody", null, [], author)).Status);
        Assert.Equal(AgentChangeStatus.UnknownOwner, (await house.Agents.AddAsync("a", "bot", null, [], author)).Status);
        Assert.Equal(AgentChangeStatus.UnknownUser, (await house.Agents.AddAsync("a", "olga", "nobody", [], author)).Status);
        Assert.Equal(AgentChangeStatus.NameTaken, (await house.Agents.AddAsync("ada", "olga", null, [], author)).Status);
        Assert.Equal(AgentChangeStatus.NameTaken, (await house.Agents.AddAsync("bot", "olga", null, [], author)).Status);
        var people = Given.People;
        people.Remove("uwe");
        await using var without = await House.OpenAsync(people: new Dictionary<string, string[]>(people) { ["uwe"] = [] });
        Assert.NotNull(without.Agents.ChainOf(without.Agents.Find("bot")!));
    }

    [Fact]
    public async Task Keys_verify_and_are_never_stored_or_printed()
    {
        await using var house = await House.OpenAsync();
        var added = await house.Agents.AddAsync("rob", "olga", null, ["b", "a", "b"], house.User("olga").Ref);
        var key = added.Key!;
        Assert.Equal(["a", "b"], added.Agent!.Groups);
        Assert.Equal("rob", house.Agents.FindByBearer("rob", key.Secret)!.Name);
        Assert.Null(house.Agents.FindByBearer("rob", key.Secret + "x"));
        Assert.Null(house.Agents.FindByBearer("bot", key.Secret));
        Assert.Null(house.Agents.FindByBearer("nobody", key.Secret));
        foreach (var text in new[] { key.ToString(), added.ToString(), house.Text.Entries, house.Text.Bodies, string.Join('\n', house.Store.List("agents").Select(static d => Encoding.UTF8.GetString(d.Value))) }) Assert.DoesNotContain(key.Secret, text, StringComparison.Ordinal);

        // RFC 5802 §3, from the key as its holder has it.
        var material = house.Agents.ScramFor("rob");
        var salted = Rfc2898DeriveBytes.Pbkdf2(key.Secret, material.Salt, material.Iterations, HashAlgorithmName.SHA256, 32);
        var stored = Assert.Single(material.Keys);
        Assert.Equal(SHA256.HashData(HMACSHA256.HashData(salted, "Client Key"u8)), stored.StoredKey);
        Assert.Equal(HMACSHA256.HashData(salted, "Server Key"u8), stored.ServerKey);
    }

    [Fact]
    public async Task Unknown_agent_has_a_salt_that_stays_and_no_keys()
    {
        await using var house = await House.OpenAsync();
        var (one, again, other) = (house.Agents.ScramFor("ghost"), house.Agents.ScramFor("ghost"), house.Agents.ScramFor("ghost2"));
        Assert.Equal(one.Salt, again.Salt);
        Assert.NotEqual(one.Salt, other.Salt);
        Assert.Equal((house.Agents.ScramFor("bot").Salt.Length, house.Agents.ScramFor("bot").Iterations), (one.Salt.Length, one.Iterations));
        Assert.Empty(one.Keys);
        await using var next = await house.CrashAsync();
        Assert.Equal(one.Salt, next.Agents.ScramFor("ghost").Salt);
    }

    [Fact]
    public async Task Rotation_has_no_gap_and_revocation_no_return()
    {
        await using var house = await House.OpenAsync();
        var author = house.User("olga").Ref;
        var first = (await house.Agents.AddAsync("rob", "olga", null, [], author)).Key!;
        var second = (await house.Agents.AddKeyAsync("rob", author)).Key!;
        Assert.Equal(2, house.Agents.ScramFor("rob").Keys.Count);
        Assert.NotNull(house.Agents.FindByBearer("rob", first.Secret));
        Assert.Equal(AgentChangeStatus.Done, (await house.Agents.RevokeAsync("rob", first.KeyId, author)).Status);
        Assert.Null(house.Agents.FindByBearer("rob", first.Secret));
        Assert.NotNull(house.Agents.FindByBearer("rob", second.Secret));
        Assert.Equal([second.KeyId], house.Agents.ScramFor("rob").Keys.Select(static k => k.KeyId));

        // A key that is not there is not "revoked", and nothing says that it was.
        var missing = await house.Agents.RevokeAsync("rob", "00000000", author);
        Assert.Equal(AgentChangeStatus.UnknownKey, missing.Status);
        Assert.Equal(1, house.Count("agent-key-revoked"));
        Assert.Equal(AgentChangeStatus.UnknownAgent, (await house.Agents.RevokeAsync("nobody", null, author)).Status);

        var rob = house.Agents.ChainOf(house.Agents.Find("rob")!)!;
        Assert.True(house.Agents.StillActs(rob));
        Assert.False(house.Agents.StillActs(rob with { Owner = house.User("ada").Ref }));
        Assert.False(house.Agents.StillActs(rob with { OnBehalfOf = house.User("ada").Ref }));
        Assert.False(house.Agents.StillActs(rob with { Agent = rob.Agent with { Id = OpaqueId.NewAgent() } }));
        Assert.Equal(AgentChangeStatus.Done, (await house.Agents.RevokeAsync("rob", null, author)).Status);
        var revoked = house.Agents.Find("rob")!.RevokedAt;
        house.Time.Advance(TimeSpan.FromDays(1));
        Assert.Equal(AgentChangeStatus.Done, (await house.Agents.RevokeAsync("rob", null, author)).Status);
        Assert.Equal((revoked, 1), (house.Agents.Find("rob")!.RevokedAt, house.Count("agent-revoked")));
        Assert.Null(house.Agents.FindByBearer("rob", second.Secret));
        Assert.Empty(house.Agents.ScramFor("rob").Keys);
        Assert.Null(house.Agents.ChainOf(house.Agents.Find("rob")!));
        Assert.False(house.Agents.StillActs(rob));

        // Neither a new key nor a new agent of the name brings it back.
        var more = await house.Agents.AddKeyAsync("rob", author);
        Assert.Equal((AgentChangeStatus.UnknownAgent, null), (more.Status, more.Key));
        Assert.Equal(AgentChangeStatus.NameTaken, (await house.Agents.AddAsync("rob", "olga", null, [], author)).Status);
    }

    [Fact]
    public async Task I11_every_change_names_its_author_by_id()
    {
        await using var house = await House.OpenAsync();
        await house.Agents.AddKeyAsync("bot", house.User("ada").Ref);
        Assert.Equal(house.User("ada").Ref.Id.Value, house.Entry("agent-key-added").GetProperty("author").GetString());
        Assert.DoesNotContain("\"olga\"", house.Text.Entries, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Changes_at_once_are_all_kept()
    {
        await using var house = await House.OpenAsync();
        var keys = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => Task.Run(() => house.Agents.AddKeyAsync("bot", house.User("olga").Ref)))).WaitAsync(Given.Patience);
        Assert.Equal(11, house.Agents.ScramFor("bot").Keys.Count);
        foreach (var key in keys) Assert.NotNull(house.Agents.FindByBearer("bot", key.Key!.Secret));
    }

    [Fact]
    public async Task Agent_without_its_owner_may_not_act()
    {
        await using var house = await House.OpenAsync();
        foreach (var gone in new[] { "olga", "uwe" })
        {
            var people = Given.People;
            people.Remove(gone);
            await using var appender = await House.OpenAsync(people: new Dictionary<string, string[]>(Given.People));
            var users = await UserDirectory.LoadAsync(people.ToDictionary(static p => p.Key, static p => (IReadOnlySet<string>)p.Value.ToHashSet()), appender.Store, appender.Journal);
            var agents = new AgentRegistry(appender.Store, appender.Journal, users, appender.Time, new byte[32]);
            Assert.Null(agents.ChainOf(agents.Find("bot")!));
            Assert.False(agents.StillActs(appender.Bot));
        }
    }

    [Fact]
    public async Task Directory_that_can_not_be_written_does_not_start()
    {
        await using var house = await House.OpenAsync();
        house.Store.FailWritesOf("user-known");
        var declared = new Dictionary<string, IReadOnlySet<string>> { ["fresh"] = new HashSet<string>() };
        await Assert.ThrowsAsync<InvalidOperationException>(() => UserDirectory.LoadAsync(declared, house.Store, house.Journal));
        house.Store.Heal();
        Assert.NotNull((await UserDirectory.LoadAsync(declared, house.Store, house.Journal)).Find("fresh"));
        Assert.Equal(WriteStatus.Committed, (await house.Journal.WriteAsync(WriteSet.Of())).Status);
    }
}
