using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Identity.Passkeys;
using Countersign.Reviews;

namespace Countersign.Gateway.Tests;

/// <summary>What an answer commits to (docs/spec/approval-statement.md).</summary>
public sealed class StatementTests
{
    private static readonly DateTimeOffset Now = Given.Noon;
    private static readonly UserEntry Ada = new(new PrincipalRef(PrincipalKind.User, new OpaqueId("us_0000000000000ada"), "ada"), new HashSet<string> { "dba" });
    private static readonly UserEntry Ben = new(new PrincipalRef(PrincipalKind.User, new OpaqueId("us_0000000000000ben"), "ben"), new HashSet<string> { "dba" });

    /// <summary>The review of the page's worked example.</summary>
    private static Review Example(byte[]? salt = null)
    {
        var action = new GatewayAction
        {
            Id = new ActionId("ac_0000000000000001"),
            Actors = new ActorChain(new PrincipalRef(PrincipalKind.Agent, new OpaqueId("ag_0000000000000bot"), "bot"), new PrincipalRef(PrincipalKind.User, new OpaqueId("us_000000000000olga"), "olga"), null) { Groups = ["agents"] },
            Target = new TargetRef("shop", "postgres", "prod"),
            Effects = [new Effect(Verb.Write, "sql:update", Given.Table("customers", "pii")) { Facts = new Dictionary<string, FactValue> { ["where"] = true } }],
            Payload = new ActionPayload("postgres/3", "execute", Encoding.UTF8.GetBytes("update customers set email = $1 where id = $2"))
            {
                DisplayText = "update customers set email = $1 where id = $2",
                Parameters = [new ActionParameter("text", "text", null, null), new ActionParameter("bigint", "text", "42"u8.ToArray(), "42")],
            },
            Settings = new Dictionary<string, string> { ["database"] = "shop" },
        };
        salt ??= Convert.FromHexString("000102030405060708090a0b0c0d0e0f");
        return new Review
        {
            Id = new ReviewId("rv_0000000000000001"),
            State = ReviewState.Pending,
            Action = action.Id,
            JoinKey = new JoinKey("k"),
            Salt = salt,
            Digest = GatewayAction.ComputeDigest(salt, action.ToCanonical()).ToString(),
            Agent = action.Actors.Agent,
            Owner = action.Actors.Owner,
            Target = action.Target,
            Effects = action.Effects.Select(ShownEffect.Of).ToArray(),
            Operation = action.Payload.Operation,
            Statement = action.Payload.DisplayText,
            Parameters = action.Payload.Parameters.Select(ShownParameter.Of).ToArray(),
            Settings = action.Settings,
            Intent = Intent.None,
            Notes = ["held inside an open transaction, which holds no table locks yet"],
            Requirements = [Rules.Requirement(1, "dba")],
            Policies = [],
            Revision = Rules.First,
            CreatedAt = Now,
            ExpiresAt = Now + TimeSpan.FromMinutes(15),
        };
    }

    private static bool Verifies(string statement, Review? review = null, UserEntry? approver = null, string channel = "cli", DateTimeOffset? at = null) =>
        ApprovalStatement.TryVerify(statement, review ?? Example(), approver ?? Ada, channel, at ?? Now, out _, out _, out _);

    private static string Made(AnswerKind kind = AnswerKind.Approve, string? comment = null) => ApprovalStatement.Create(Example(), Ada, kind, "cli", comment, Now);

    [Fact]
    public void Worked_example_of_the_specification_is_what_is_written()
    {
        var page = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "approval-statement.md"));
        string Block(string name) => Regex.Match(page, $"```[a-z]+ {name}\n(.*?)\n```", RegexOptions.Singleline).Groups[1].Value;
        var review = Example(Convert.FromHexString(Block("salt")));
        Assert.Equal(Block("digest"), review.Digest);
        var statement = Block("statement");
        Assert.True(ApprovalStatement.TryVerify(statement, review, Ada, "cli", Now, out var kind, out var comment, out _));
        Assert.Equal((AnswerKind.Approve, "checked with the customer"), (kind, comment));
        Assert.Equal(Block("sha256"), ApprovalStatement.Sha256(statement));

        // The table of the page names each member, and no other.
        var members = JsonNode.Parse(statement)!.AsObject().Select(static m => m.Key).ToHashSet();
        var named = Regex.Matches(page[..page.IndexOf("## What is checked", StringComparison.Ordinal)], "^\\| `([a-z]+)` \\|", RegexOptions.Multiline).Select(static m => m.Groups[1].Value).ToHashSet();
        members.UnionWith(["grant", "editors", "edited"]); // of an answer that grants, and of an edited action, which this one is not
        Assert.True(members.SetEquals(named), string.Join(' ', members.Order()) + " against " + string.Join(' ', named.Order()));
    }

    [Fact]
    public void Worked_example_of_a_signed_approval_proves_itself_and_nothing_else()
    {
        var page = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "approval-statement.md"));
        string Block(string name) => Regex.Match(page, $"```[a-z]+ {name}\n(.*?)\n```", RegexOptions.Singleline).Groups[1].Value;
        var pem = Block("key");
        var key = PasskeyKey.Read(Convert.FromBase64String(pem[PemEncoding.Find(pem).Base64Data]))!;
        var exported = JsonElement.Parse(Block("proof"));
        var proof = ApprovalProof.Of(exported, key, "https://countersign.example");
        Assert.Null(proof.Flaw);
        Assert.Equal(5, proof.Proven.Count);

        // And it is what this build would write of that review.
        var review = Example() with { Requirements = [Rules.Requirement(1, "dba") with { StepUp = StepUp.Passkey }] };
        Assert.True(Verifies(exported.GetProperty("body").GetProperty("statement").GetString()!, review, channel: "console"));
        Assert.Contains("altered", ApprovalProof.Of(JsonElement.Parse(Block("proof").Replace("\"type\":\"bigint\"", "\"type\":\"text\"", StringComparison.Ordinal).Replace("where id = $2", "where id > $2", StringComparison.Ordinal).Replace("\"salt\":\"10", "\"x\":\"10", StringComparison.Ordinal)), key, null).Flaw, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(AnswerKind.Approve, null)]
    [InlineData(AnswerKind.Deny, "")]
    [InlineData(AnswerKind.Approve, "„gut“ \u202e \"quoted\" \\ \n 😀")]
    public void Statement_that_comes_back_says_what_was_answered(AnswerKind kind, string? comment)
    {
        var statement = Made(kind, comment);
        Assert.True(ApprovalStatement.TryVerify(statement, Example(), Ada, "cli", Now, out var said, out var remark, out _));
        Assert.Equal((kind, comment), (said, remark));
        Assert.NotEqual(statement, Made(kind, comment));
    }

    [Fact]
    public void I3_statement_fits_no_other_review_person_or_channel()
    {
        var statement = Made();
        Assert.True(Verifies(statement));
        Assert.False(Verifies(statement, approver: Ben));
        Assert.False(Verifies(statement, channel: "api"));
        foreach (var other in new[]
        {
            Example() with { Id = new ReviewId("rv_0000000000000002") },
            Example() with { Digest = Example(new byte[16]).Digest },
            Example() with { Agent = Example().Agent with { Id = new OpaqueId("ag_other") } },
            Example() with { Owner = Ben.Ref },
            Example() with { OnBehalfOf = Ben.Ref },
            Example() with { Target = Example().Target with { Name = "payroll" } },
            Example() with { Target = Example().Target with { Environment = "dev" } },
            Example() with { Operation = "query" },
            Example() with { Statement = "drop table customers" },
            Example() with { Parameters = [new ShownParameter("text", ""), new ShownParameter("bigint", "42")] },
            Example() with { Parameters = [new ShownParameter("text", null), new ShownParameter("int", "42")] },
            Example() with { Effects = [] },
            Example() with { Effects = [Example().Effects[0] with { Canonical = "{}" }] },
            Example() with { Notes = [] },
            Example() with { Revision = new Revision("other", null) },
            Example() with { Requirements = [Rules.Requirement(2, "dba")] },
            Example() with { Requirements = [Rules.Requirement(1, "dba") with { Justify = true }] },
            Example() with { Requirements = [Rules.Requirement(1, "dba"), Rules.Requirement(1, "sre")] },
        }) Assert.False(Verifies(statement, other));
    }

    [Fact]
    public void P26_statement_lives_five_minutes_and_no_client_can_make_it_live_longer()
    {
        var statement = Made();
        Assert.True(Verifies(statement, at: Now + ApprovalStatement.Lifetime - TimeSpan.FromMicroseconds(1)));
        Assert.False(Verifies(statement, at: Now + ApprovalStatement.Lifetime));
        Assert.False(Verifies(statement, at: Now - TimeSpan.FromMicroseconds(1)));
        var patient = ApprovalStatement.Create(Example(), Ada, AnswerKind.Approve, "cli", null, Now + TimeSpan.FromSeconds(1));
        Assert.False(Verifies(patient));
    }

    public static TheoryData<string, string> Tampered => new()
    {
        { "another decision", "\"decision\":\"approve\"=>\"decision\":\"deny \"" },
        { "a decision by number", "\"decision\":\"approve\"=>\"decision\":\"7\"" },
        { "a decision by its number", "\"decision\":\"approve\"=>\"decision\":\"0\"" },
        { "two decisions", "\"decision\":\"approve\"=>\"decision\":\"approve,deny\"" },
        { "another spelling", "\"decision\":\"approve\"=>\"decision\":\"Approve\"" },
        { "no decision", "\"decision\":\"approve\"=>\"decision\":null" },
        { "a decision that is no text", "\"decision\":\"approve\"=>\"decision\":1" },
        { "a member twice", "\"decision\":\"approve\"=>\"decision\":\"approve\",\"decision\":\"approve\"" },
        { "white space", "\"decision\":\"approve\"=>\"decision\": \"approve\"" },
        { "an escape", "\"decision\":\"approve\"=>\"decision\":\"\\u0061pprove\"" },
        { "a comment of null", "\"decision\":\"approve\"=>\"comment\":null,\"decision\":\"approve\"" },
        { "null for absent", "\"for\":null,=>" },
        { "another version", "countersign/statement/1=>countersign/statement/2" },
        { "half a character", "\"decision\":\"approve\"=>\"decision\":\"approve\ud800\"" },
        { "half a character escaped", "\"decision\":\"approve\"=>\"comment\":\"\\ud800\",\"decision\":\"approve\"" },
    };

    [Theory]
    [MemberData(nameof(Tampered))]
    public void P25_anything_but_the_same_bytes_is_refused_and_nothing_throws(string what, string change)
    {
        var parts = change.Split("=>");
        var statement = Made();
        Assert.Contains(parts[0], statement, StringComparison.Ordinal);
        Assert.False(Verifies(statement.Replace(parts[0], parts[1], StringComparison.Ordinal)), what);
    }

    [Fact]
    public void P25_expires_and_nonce_have_one_spelling()
    {
        var statement = Made();
        var nonce = Regex.Match(statement, "\"nonce\":\"([^\"]*)\"").Groups[1].Value;
        Assert.Equal(32, nonce.Length);
        foreach (var other in new[] { "", nonce[1..], nonce + "0", nonce.ToUpperInvariant()[..31] + "A", new string('z', 32), new string('\u00e9', 32) }) Assert.False(Verifies(statement.Replace(nonce, other, StringComparison.Ordinal)), other);
        Assert.False(Verifies(statement.Replace($"\"nonce\":\"{nonce}\"", "\"nonce\":null", StringComparison.Ordinal)));
        Assert.False(Verifies(statement.Replace($"\"nonce\":\"{nonce}\",", "", StringComparison.Ordinal)));
        Assert.True(Verifies(statement.Replace(nonce, new string('0', 32), StringComparison.Ordinal)), "the nonce is the client's to lose: what it signs is all the rest");
        var expires = Regex.Match(statement, "\"expires\":\"([^\"]*)\"").Groups[1].Value;
        foreach (var other in new[] { "\"2026-11-22T12:05:00Z\"", "\"2026-11-22T12:05:00.000000+00:00\"", "\"2026-11-22T12:05:00.0000000Z\"", "null", "1" }) Assert.False(Verifies(statement.Replace($"\"{expires}\"", other, StringComparison.Ordinal)), other);
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("\"x\"")]
    [InlineData("{}")]
    [InlineData("{\"decision\":{}}")]
    [InlineData("{\"decision\":\"approve\",\"nonce\":[],\"expires\":{}}")]
    [InlineData("{\"decision\":\"approve\",\"comment\":5,\"nonce\":\"\",\"expires\":\"\"}")]
    [InlineData("[[[[[[[[[[[[]]]]]]]]]]]]")]
    [InlineData("\ud800")]
    public void What_is_no_statement_is_refused_and_nothing_throws(string text) => Assert.False(Verifies(text));

    [Fact]
    public void Longest_text_that_is_looked_at_is_bounded() => Assert.False(Verifies(new string(' ', ApprovalStatement.MaxLength + 1)));

    [Fact]
    public async Task P21_statement_of_one_review_answers_no_other_and_changes_nothing()
    {
        await using var house = await House.OpenAsync();
        var small = await house.HoldOpenAsync(house.Action("update t set x = 1 where id = 1"));
        var large = await house.HoldOpenAsync(house.Action("update t set x = 1 where id = 2"));
        var (statement, _) = house.Desk.Draft((await small.Opened).Id, house.User("ada"), AnswerKind.Approve, "cli", null);
        var id = (await large.Opened).Id;
        var refused = await house.Desk.AnswerAsync(id, house.User("ada"), "cli", statement!);
        Assert.Equal((ReasonCodes.StatementMismatch, false), (refused.ReasonCode, refused.Accepted));
        Assert.Equal(ReasonCodes.StatementMismatch, (await house.Desk.AnswerAsync((await small.Opened).Id, house.User("ben"), "cli", statement!)).ReasonCode);
        Assert.Equal(ReasonCodes.StatementMismatch, (await house.Desk.AnswerAsync((await small.Opened).Id, house.User("ada"), "api", statement!)).ReasonCode);
        Assert.Equal((3, 0), (house.Count("answer-refused"), house.Count("answer")));
        house.Time.Advance(ApprovalStatement.Lifetime);
        Assert.Equal(ReasonCodes.StatementMismatch, (await house.Desk.AnswerAsync((await small.Opened).Id, house.User("ada"), "cli", statement!)).ReasonCode);
        Assert.Empty(house.Desk.Find(id)!.Answers);
        await small.LeaveAsync(LeaveReason.Cancelled);
        await large.LeaveAsync(LeaveReason.Cancelled);
    }

    [Fact]
    public async Task Journal_keeps_the_statement_and_commits_to_its_hash()
    {
        await using var house = await House.OpenAsync();
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        var (statement, _) = house.Desk.Draft(id, house.User("ada"), AnswerKind.Approve, "cli", "fine");
        await house.Desk.AnswerAsync(id, house.User("ada"), "cli", statement!);
        await held.ReleasedAsync();
        Assert.Equal(ApprovalStatement.Sha256(statement!), house.Entry("answer").GetProperty("statementSha256").GetString());
        Assert.Contains(new JsonObject { ["s"] = statement }.ToJsonString(new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping })[5..^1], house.Text.Bodies, StringComparison.Ordinal);
    }
}
