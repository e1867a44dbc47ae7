using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Identity.Passkeys;
using Countersign.Journal;
using Countersign.Reviews;
using Countersign.Tests.Passkeys;

namespace Countersign.Gateway.Tests;

/// <summary>Approvals that policy wants proven by a passkey.</summary>
public sealed class StepUpTests
{
    private static readonly Requirement Passkey = Rules.Requirement(1, "dba") with { StepUp = StepUp.Passkey };

    private static async Task<House> OpenAsync(params Requirement[] requirements)
    {
        var house = await House.OpenAsync();
        house.Rules.Ask(requirements);
        house.Rules.MayBreakGlass = static (user, _, _) => user.Ref.Name == "sue";
        return house;
    }

    [Theory]
    [InlineData("cli")]
    [InlineData("api")]
    [InlineData("console")]
    public async Task P32_A_yes_without_a_signature_counts_on_no_channel(string channel)
    {
        await using var house = await OpenAsync(Passkey, Rules.Requirement(1, "sre"));
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;

        // Also of him who fills the slot of a policy that does not ask for it: it is the review that is proven.
        foreach (var name in new[] { "ada", "sam" }) Assert.Equal(ReasonCodes.StepUpRequired, (await house.AnswerAsync(id, name, channel: channel)).ReasonCode);
        Assert.Equal(ReasonCodes.StepUpRequired, (await house.AnswerAsync(id, "sue", AnswerKind.BreakGlass, "the shop is down", channel)).ReasonCode);
        Assert.Equal(3, house.Count("answer-refused"));
        Assert.Equal(ReasonCodes.StepUpRequired, house.Entry("answer-refused").GetProperty("reason").GetString());
        Assert.Empty(house.Desk.Find(id)!.Answers);

        // Nor with anything that merely looks like one.
        var (statement, _) = house.Desk.Draft(id, house.User("ada"), AnswerKind.Approve, channel, null);
        var made = new PasskeyAssertion([1], new byte[37], "{}"u8.ToArray(), [2]);
        Assert.Equal(ReasonCodes.StepUpFailed, (await house.Desk.AnswerAsync(id, house.User("ada"), channel, statement!, made)).ReasonCode);

        // A no needs no proof.
        Assert.Equal(ReasonCodes.ReviewDenied, (await house.AnswerAsync(id, "ben", AnswerKind.Deny, channel: channel)).ReasonCode);
        await held.RefusedAsync(ReasonCodes.ReviewDenied);
    }

    [Fact]
    public async Task Statement_says_that_a_passkey_is_asked_for_and_nothing_where_it_is_not()
    {
        await using var house = await OpenAsync(Passkey);
        var held = await house.HoldOpenAsync();
        var (statement, _) = house.Desk.Draft((await held.Opened).Id, house.User("ada"), AnswerKind.Approve, "console", null);
        Assert.Contains("\"quorum\":1,\"stepUp\":\"passkey\"}", statement, StringComparison.Ordinal);
        house.Rules.Ask(Rules.Requirement(1, "dba"));
        var other = await house.HoldOpenAsync(house.Action("update customers set name = 'y' where id = 2"));
        var (plain, _) = house.Desk.Draft((await other.Opened).Id, house.User("ada"), AnswerKind.Approve, "console", null);
        Assert.DoesNotContain("stepUp", plain, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Approval_that_a_passkey_signed_is_released_and_its_entry_keeps_the_proof()
    {
        await using var house = await OpenAsync(Passkey);
        var phone = TestAuthenticator.Es256();
        var passkey = await house.RegisterAsync("ada", phone);
        var added = house.Entry("passkey-added");
        Assert.Equal((house.User("ada").Ref.Id.Value, passkey.Id, passkey.Key.Sha256), (added.GetProperty("user").GetString(), added.GetProperty("passkey").GetString(), added.GetProperty("publicKeySha256").GetString()));
        Assert.DoesNotContain("phone", added.GetRawText(), StringComparison.Ordinal);

        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        var (statement, _) = house.Desk.Draft(id, house.User("ada"), AnswerKind.Approve, "console", "looked at it");
        Assert.True(house.Desk.WouldBeEnough(house.Desk.Find(id)!, house.User("ada"), "console", null));
        Assert.Equal(ReasonCodes.Approved, (await house.Desk.AnswerAsync(id, house.User("ada"), "console", statement!, phone.Sign(statement!))).ReasonCode);
        await held.ReleasedAsync();
        Assert.Equal(house.Time.GetUtcNow(), Assert.Single(house.Passkeys.Of(house.User("ada").Ref.Id)).LastUsedAt);

        var line = Exported(house, "answer");
        var key = PasskeyKey.Read(phone.Spki)!;
        var proof = ApprovalProof.Of(line, key, "http://localhost:8080");
        Assert.Null(proof.Flaw);
        Assert.Equal((id.Value, house.User("ada").Ref.Id.Value, "approve", ApprovalStatement.Sha256(statement!), key.Sha256, "http://localhost:8080"),
            (proof.Review, proof.Approver, proof.Decision, proof.StatementSha256, proof.PublicKeySha256, proof.Origin));
        Assert.Null(ApprovalProof.Of(line, null, null).Flaw);

        // Whatever is altered is told, in words.
        Assert.Contains("another key", Flaw(line, null, PasskeyKey.Read(TestAuthenticator.Es256().Spki)), StringComparison.Ordinal);
        Assert.Contains("another origin", ApprovalProof.Of(line, key, "https://console.example").Flaw, StringComparison.Ordinal);
        foreach (var (change, words) in new (Action<JsonNode>, string)[]
        {
            (static l => l["body"]!["statement"] = l["body"]!["statement"]!.GetValue<string>().Replace("id = 1", "id = 2", StringComparison.Ordinal), "not the one that the entry commits to"),
            (static l => { l["salt"] = null; l["body"]!["statement"] = l["body"]!["statement"]!.GetValue<string>().Replace("id = 1", "id = 2", StringComparison.Ordinal); }, "it was altered"),
            (static l => l["entry"]!["decision"] = "deny", "leaf hash"),
            (static l => { l["leafHash"] = null; l["entry"]!["decision"] = "deny"; }, "`decision` of the statement"),
            (static l => { l["leafHash"] = null; l["entry"]!["user"] = "us_0000000000000000"; }, "`approver` of the statement"),
            (static l => { l["leafHash"] = null; l["entry"]!["type"] = "released"; }, "only an `answer`"),
            (static l => l["body"] = null, "no `body`"),
            (static l => { l["salt"] = null; l["body"]!.AsObject().Remove("assertion"); }, "a session alone"),
            (static l => { l["salt"] = null; l["body"]!["assertion"]!["signature"] = "AAAA"; }, "not by this key"),
            (static l => { l["salt"] = null; l["body"]!["assertion"]!["rpId"] = "evil.example"; }, "another origin"),
            (static l => l["entry"] = 3, "no `entry`"),
            (static l => { l["leafHash"] = null; l["entry"]!["v"] = 2; }, "known version"),
        }) Assert.Contains(words, Flaw(line, change, key), StringComparison.Ordinal);

        // A statement, digest and all, that was put in the place of the true one: hashes that somebody recomputed do not help him.
        var forged = JsonNode.Parse(line.GetRawText())!;
        var other = forged["body"]!["statement"]!.GetValue<string>().Replace("id = 1", "id = 2", StringComparison.Ordinal);
        (forged["body"]!["statement"], forged["entry"]!["statementSha256"], forged["salt"], forged["leafHash"]) = (other, ApprovalStatement.Sha256(other), null, null);
        Assert.Contains("signs something else", ApprovalProof.Of(JsonElement.Parse(forged.ToJsonString()), key, null).Flaw, StringComparison.Ordinal);
    }

    private static string Flaw(JsonElement line, Action<JsonNode>? change, PasskeyKey? key)
    {
        var node = JsonNode.Parse(line.GetRawText())!;
        change?.Invoke(node);
        return ApprovalProof.Of(JsonElement.Parse(node.ToJsonString()), key, null).Flaw ?? "nothing";
    }

    /// <summary>The last entry of a type, as the API exports it.</summary>
    private static JsonElement Exported(House house, string type)
    {
        var entry = house.Store.ReadEntries(0, int.MaxValue).Last(e => e.TryParse(out var c) && c.Type == type);
        var body = house.Store.GetBody(entry.Index)!;
        return JsonElement.Parse($"{{\"index\":{entry.Index},\"leafHash\":\"{Convert.ToHexStringLower(entry.LeafHash)}\",\"salt\":\"{Convert.ToHexStringLower(body.Salt!)}\",\"entry\":{Encoding.UTF8.GetString(entry.Bytes)},\"body\":{Encoding.UTF8.GetString(body.Bytes!)}}}");
    }

    [Fact]
    public async Task P35_only_a_signature_over_this_very_statement_by_this_person_here_and_now_counts()
    {
        await using var house = await OpenAsync(Rules.Requirement(2, "dba") with { StepUp = StepUp.Passkey });
        var (phone, hers, never) = (TestAuthenticator.Es256(), TestAuthenticator.Es256(), TestAuthenticator.Es256());
        var passkey = await house.RegisterAsync("ada", phone);
        await house.RegisterAsync("ben", hers);
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        var (statement, _) = house.Desk.Draft(id, house.User("ada"), AnswerKind.Approve, "console", null);
        var (another, _) = house.Desk.Draft(id, house.User("ada"), AnswerKind.Approve, "console", null);
        async Task RefusedAsync(PasskeyAssertion assertion, PasskeyFault fault)
        {
            var result = await house.Desk.AnswerAsync(id, house.User("ada"), "console", statement!, assertion);
            Assert.Equal(ReasonCodes.StepUpFailed, result.ReasonCode);
            Assert.Contains(fault.Words(), result.Message, StringComparison.Ordinal);
            Assert.Equal(fault.Code(), house.Entry("answer-refused").GetProperty("proof").GetString());
        }

        var sha256 = SHA256.HashData(Encoding.UTF8.GetBytes(statement!));
        await RefusedAsync(phone.Get(sha256, "webauthn.create"), PasskeyFault.Type); // a registration
        await RefusedAsync(phone.Get(sha256, data: phone.AuthenticatorData(attested: true)), PasskeyFault.Malformed);
        await RefusedAsync(phone.Sign(another!), PasskeyFault.Challenge); // of another statement
        await RefusedAsync(phone.Get(RandomNumberGenerator.GetBytes(32)), PasskeyFault.Challenge); // of a sign-in
        phone.RpId = "evil.example";
        await RefusedAsync(phone.Sign(statement!), PasskeyFault.RelyingParty);
        (phone.RpId, phone.Origin) = ("localhost", "http://localhost:9999");
        await RefusedAsync(phone.Sign(statement!), PasskeyFault.Origin);
        (phone.Origin, phone.Flags) = ("http://localhost:8080", TestAuthenticator.Present);
        await RefusedAsync(phone.Sign(statement!), PasskeyFault.NotVerified);
        phone.Flags = TestAuthenticator.Present | TestAuthenticator.Verified;
        await RefusedAsync(hers.Sign(statement!), PasskeyFault.OtherPerson); // somebody else's
        await RefusedAsync(never.Sign(statement!), PasskeyFault.Unknown);
        await RefusedAsync(hers.Sign(statement!) with { CredentialId = passkey.CredentialId }, PasskeyFault.Signature); // under her name
        Assert.Empty(house.Desk.Find(id)!.Answers);

        // Once it counts. A second time it does not, nor for another statement, nor with somebody else's session.
        var good = phone.Sign(statement!);
        Assert.Equal(ReasonCodes.Approved, (await house.Desk.AnswerAsync(id, house.User("ada"), "console", statement!, good)).ReasonCode);
        Assert.Equal(ReasonCodes.AlreadyDecided, (await house.Desk.AnswerAsync(id, house.User("ada"), "console", statement!, good)).ReasonCode);
        Assert.Equal(ReasonCodes.StatementMismatch, (await house.Desk.AnswerAsync(id, house.User("ben"), "console", statement!, good)).ReasonCode);
        var (bens, _) = house.Desk.Draft(id, house.User("ben"), AnswerKind.Approve, "console", null);
        Assert.Equal(ReasonCodes.StepUpFailed, (await house.Desk.AnswerAsync(id, house.User("ben"), "console", bens!, good)).ReasonCode);
        Assert.Equal(ReasonCodes.Approved, (await house.Desk.AnswerAsync(id, house.User("ben"), "console", bens!, hers.Sign(bens!))).ReasonCode);
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task P35_what_signs_in_approves_nothing_and_what_approves_signs_nobody_in()
    {
        await using var house = await OpenAsync(Passkey);
        var phone = TestAuthenticator.Es256();
        await house.RegisterAsync("ada", phone);
        var handle = Encoding.ASCII.GetBytes(house.User("ada").Ref.Id.Value);
        var held = await house.HoldOpenAsync();
        var (statement, _) = house.Desk.Draft((await held.Opened).Id, house.User("ada"), AnswerKind.Approve, "console", null);
        house.Passkeys.BeginSignIn("browser-1", "localhost");
        Assert.Equal(ReasonCodes.PasskeyRefused, (await house.Passkeys.SignInAsync("browser-1", phone.Sign(statement!), handle, null, null)).ReasonCode);

        // A challenge is for one browser, once, and for a while; the passkey names its person.
        var challenge = house.Passkeys.BeginSignIn("browser-1", "localhost");
        Assert.Equal(ReasonCodes.CodeInvalid, (await house.Passkeys.SignInAsync("browser-2", phone.Get(challenge), handle, null, null)).ReasonCode);
        var signed = await house.Passkeys.SignInAsync("browser-1", phone.Get(challenge), handle, "Firefox", null);
        Assert.Equal("ada", signed.User!.Ref.Name);
        Assert.Equal("passkey", house.Entry("login").GetProperty("method").GetString());
        Assert.Equal(ReasonCodes.CodeInvalid, (await house.Passkeys.SignInAsync("browser-1", phone.Get(challenge), handle, null, null)).ReasonCode);
        foreach (var other in new[] { null, Encoding.ASCII.GetBytes(house.User("ben").Ref.Id.Value) })
            Assert.Equal(ReasonCodes.PasskeyRefused, (await house.Passkeys.SignInAsync("browser-1", phone.Get(house.Passkeys.BeginSignIn("browser-1", "localhost")), other, null, null)).ReasonCode);
        var late = house.Passkeys.BeginSignIn("browser-1", "localhost");
        house.Time.Advance(TimeSpan.FromMinutes(5));
        Assert.Equal(ReasonCodes.CodeInvalid, (await house.Passkeys.SignInAsync("browser-1", phone.Get(late), handle, null, null)).ReasonCode);
    }

    [Fact]
    public async Task P33_whom_a_provider_vouches_for_signs_approvals_with_a_passkey_and_not_in()
    {
        await using var house = await OpenAsync(Passkey);
        Assert.NotNull((await house.Users.RecogniseAsync(new Subject("https://idp.example", "42"), "petra", new HashSet<string> { "dba" })).User);
        var now = house.Time.GetUtcNow();
        var session = new HumanSession("se_0000000000000000", house.User("petra"), SessionKind.Web, "oidc", now, now, now.AddHours(1), null);
        var phone = TestAuthenticator.EdDsa();
        var (wish, _) = house.Passkeys.Begin(session, "localhost");
        var (client, attestation) = phone.Create(wish!.Challenge);
        Assert.Null((await house.Passkeys.RegisterAsync(session, "phone", client, attestation)).ReasonCode);
        var handle = Encoding.ASCII.GetBytes(house.User("petra").Ref.Id.Value);
        Assert.Equal(ReasonCodes.NotRecognised, (await house.Passkeys.SignInAsync("browser-1", phone.Get(house.Passkeys.BeginSignIn("browser-1", "localhost")), handle, null, null)).ReasonCode);
        var held = await house.HoldOpenAsync();
        Assert.Equal(ReasonCodes.Approved, (await house.AnswerAsync((await held.Opened).Id, "petra", channel: "console", sign: phone.Sign)).ReasonCode);
        await held.ReleasedAsync();
    }

    [Fact]
    public async Task P30_a_passkey_is_registered_in_a_young_session_of_a_browser_once_and_for_what_was_asked()
    {
        await using var house = await OpenAsync(Passkey);
        var phone = TestAuthenticator.Es256();
        var code = "";
        house.Sessions.Begin("ada", (_, c) => code = c);
        var cli = house.Sessions.Find((await house.Sessions.CompleteAsync("ada", code)).Token)!;
        Assert.Equal(ReasonCodes.PresenceRequired, house.Passkeys.Begin(cli, "localhost").Refused!.ReasonCode);

        var session = await house.SignInAsync("ada");
        var (wish, _) = house.Passkeys.Begin(session, "localhost");
        var (client, attestation) = phone.Create(wish!.Challenge);
        Assert.Equal(ReasonCodes.PresenceRequired, (await house.Passkeys.RegisterAsync(cli, "phone", client, attestation)).ReasonCode);

        // Another's session has not asked for it, and a challenge that was answered wrongly is spent.
        Assert.Equal(ReasonCodes.PasskeyRefused, (await house.Passkeys.RegisterAsync(await house.SignInAsync("ben"), "phone", client, attestation)).ReasonCode);
        var wrong = phone.Create(RandomNumberGenerator.GetBytes(32));
        Assert.Equal(ReasonCodes.PasskeyRefused, (await house.Passkeys.RegisterAsync(session, "phone", wrong.ClientData, wrong.Attestation)).ReasonCode);
        Assert.Equal(ReasonCodes.PasskeyRefused, (await house.Passkeys.RegisterAsync(session, "phone", client, attestation)).ReasonCode);
        foreach (var name in new[] { "", " ", "a\u202eb", new string('x', 61) }) Assert.Equal(ReasonCodes.NotUnderstood, (await house.Passkeys.RegisterAsync(session, name, client, attestation)).ReasonCode);

        // An old session registers none, though it began while it was young.
        (wish, _) = house.Passkeys.Begin(session, "localhost");
        (client, attestation) = phone.Create(wish!.Challenge);
        house.Time.Advance(new PasskeyLimits().FreshFor);
        Assert.Equal(ReasonCodes.LoginRequired, (await house.Passkeys.RegisterAsync(session, "phone", client, attestation)).ReasonCode);
        Assert.Equal(ReasonCodes.LoginRequired, house.Passkeys.Begin(session, "localhost").Refused!.ReasonCode);
        Assert.Empty(house.Passkeys.Of(house.User("ada").Ref.Id));

        // Nobody takes over an id that somebody has.
        await house.RegisterAsync("ada", phone);
        session = await house.SignInAsync("ben");
        (wish, _) = house.Passkeys.Begin(session, "localhost");
        (client, attestation) = phone.Create(wish!.Challenge);
        Assert.Equal(ReasonCodes.PasskeyRefused, (await house.Passkeys.RegisterAsync(session, "mine", client, attestation)).ReasonCode);
        Assert.Equal(1, house.Count("passkey-added"));

        // Nor has anybody more than so many.
        for (var n = 1; n < new PasskeyLimits().PerPerson; n++) await house.RegisterAsync("ada", TestAuthenticator.Es256(), $"key {n}");
        Assert.Equal(ReasonCodes.NotSupported, house.Passkeys.Begin(await house.SignInAsync("ada"), "localhost").Refused!.ReasonCode);
    }

    [Fact]
    public async Task Counter_that_goes_back_locks_the_passkey_and_is_told()
    {
        await using var house = await OpenAsync(Rules.Requirement(2, "dba") with { StepUp = StepUp.Passkey });
        var key = TestAuthenticator.Es256();
        key.Counter = 7;
        var passkey = await house.RegisterAsync("ada", key);
        var first = await house.HoldOpenAsync();
        key.Counter = 8;
        Assert.Equal(ReasonCodes.Approved, (await house.AnswerAsync((await first.Opened).Id, "ada", channel: "console", sign: key.Sign)).ReasonCode);
        var second = await house.HoldOpenAsync(house.Action("update customers set name = 'y' where id = 2"));
        var id = (await second.Opened).Id;
        var refused = await house.AnswerAsync(id, "ada", channel: "console", sign: key.Sign); // 8 again
        Assert.Equal(ReasonCodes.StepUpFailed, refused.ReasonCode);
        Assert.Contains("its counter went back", refused.Message, StringComparison.Ordinal);
        var locked = house.Entry("passkey-locked");
        Assert.Equal((passkey.Id, 8, 8), (locked.GetProperty("passkey").GetString(), locked.GetProperty("counter").GetInt32(), locked.GetProperty("counterBefore").GetInt32()));
        Assert.NotNull(Assert.Single(house.Passkeys.Of(house.User("ada").Ref.Id)).LockedAt);

        // Of two that share a key nobody can tell which is hers; also what it signed before and is not released yet waits for another.
        key.Counter = 100;
        Assert.Equal(ReasonCodes.StepUpFailed, (await house.AnswerAsync(id, "ada", channel: "console", sign: key.Sign)).ReasonCode);
        Assert.Equal("locked", house.Entry("answer-refused").GetProperty("proof").GetString());
        Assert.Equal(1, house.Count("passkey-locked"));
        Assert.Equal(2, house.Desk.Asking(house.Desk.Find((await first.Opened).Id)!)[0].Open);
    }

    [Fact]
    public async Task I5_an_approval_counts_only_while_its_passkey_is_its_persons()
    {
        await using var house = await OpenAsync(Passkey);
        var phone = TestAuthenticator.Rs256(2048);
        var passkey = await house.RegisterAsync("ada", phone);
        var session = await house.SignInAsync("ada");
        var signed = await house.Passkeys.SignInAsync("browser-1", phone.Get(house.Passkeys.BeginSignIn("browser-1", "localhost")), Encoding.ASCII.GetBytes(house.User("ada").Ref.Id.Value), null, null);
        var action = house.Action();
        var held = await house.HoldOpenAsync(action);
        var id = (await held.Opened).Id;
        await held.LeaveAsync(LeaveReason.Lost);
        Assert.Equal(ReasonCodes.Approved, (await house.AnswerAsync(id, "ada", channel: "console", sign: phone.Sign)).ReasonCode);
        Assert.Equal(ReasonCodes.UnknownTarget, (await house.Passkeys.RemoveAsync(await house.SignInAsync("ben"), passkey.Id)).ReasonCode);
        Assert.Null((await house.Passkeys.RemoveAsync(session, passkey.Id)).ReasonCode);
        Assert.Equal(passkey.Id, house.Entry("passkey-removed").GetProperty("passkey").GetString());
        Assert.Null(house.Sessions.Find(signed.Token, SessionKind.Web)); // what it began
        Assert.NotNull(house.Sessions.Of(house.User("ada").Ref.Id).Single(s => s.Id == session.Id));

        // The agent comes back: the lost phone's yes is taken off, and asked for again.
        var again = await house.HoldOpenAsync(action with { Id = ActionId.New() });
        await house.UntilAsync(id, static r => r.State == ReviewState.Pending);
        Assert.Empty(house.Desk.Find(id)!.Answers);
        var other = TestAuthenticator.Es256();
        await house.RegisterAsync("ada", other, "new phone");
        Assert.Equal(ReasonCodes.Approved, (await house.AnswerAsync(id, "ada", channel: "console", sign: other.Sign)).ReasonCode);
        await again.ReleasedAsync();
    }

    [Fact]
    public async Task I5_policy_that_asks_for_a_passkey_meanwhile_takes_back_what_no_passkey_signed()
    {
        await using var house = await OpenAsync(Rules.Requirement(1, "dba"));
        var action = house.Action();
        var held = await house.HoldOpenAsync(action);
        var id = (await held.Opened).Id;
        await held.LeaveAsync(LeaveReason.Lost);
        Assert.Equal(ReasonCodes.Approved, (await house.AnswerAsync(id, "ada")).ReasonCode);
        house.Rules.Ask(Passkey);
        var again = await house.HoldOpenAsync(action with { Id = ActionId.New() });
        await house.UntilAsync(id, static r => r.State == ReviewState.Pending);
        var phone = TestAuthenticator.Es256();
        await house.RegisterAsync("ben", phone);
        Assert.Equal(ReasonCodes.Approved, (await house.AnswerAsync(id, "ben", channel: "console", sign: phone.Sign)).ReasonCode);
        await again.ReleasedAsync();
    }
}
