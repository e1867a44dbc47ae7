using System.Formats.Asn1;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Identity.Federation;
using Countersign.Identity.Oidc;
using Countersign.Identity.Scim;
using Countersign.Journal;
using Countersign.Tests.Workloads;

namespace Countersign.Gateway.Tests;

/// <summary>What an intruder tried on identity: each was a way in, or is kept from becoming one.</summary>
public sealed class IntruderTests
{
    private const string Provider = "https://id.example.com";

    private static SubjectPattern Pattern(string text)
    {
        Assert.True(SubjectPattern.TryParse(text, out var pattern, out var why), why);
        return pattern;
    }

    private static async Task<(TestIssuer Issuer, WorkloadDoor Door)> DoorAsync(House house, string? jwksFile = null)
    {
        var issuer = new TestIssuer();
        var config = new TokenIssuer
        {
            Issuer = issuer.Issuer, Audience = TestIssuer.Audience, JwksFile = jwksFile,
            Workloads = [new Workload("shop-deploy", new Dictionary<string, SubjectPattern> { ["sub"] = Pattern("repo:acme/shop:ref:refs/heads/main") }, "olga") { Groups = ["agents"] }],
        };
        Assert.Empty(await house.Agents.DeclareAsync(WorkloadDoor.Declared([config], null)));
        return (issuer, new WorkloadDoor([config], null, house.Agents, house.Users, house.Store, house.Journal, house.Time));
    }

    [Theory]
    [InlineData("""{"alg":"RS256","kid":"key-1","typ":"JWT","\ud800":1}""", null)]
    [InlineData("""{"alg":"RS256","kid":"\ud800","typ":"JWT"}""", null)]
    [InlineData("""{"alg":"\ud800","kid":"key-1","typ":"JWT"}""", null)]
    [InlineData("""{"alg":"RS256","kid":"key-1","typ":"\ud800"}""", null)]
    [InlineData(null, "\"\\ud800\":1")]
    [InlineData(null, "\"sub\":\"\\ud800\"")]
    [InlineData(null, "\"aud\":\"\\ud800\"")]
    [InlineData(null, "\"aud\":[\"\\ud800\"]")]
    [InlineData(null, "\"jti\":\"\\ud800\"")]
    public async Task P25_Half_a_surrogate_in_a_token_is_refused_and_journalled_and_breaks_nothing(string? header, string? member)
    {
        await using var house = await House.OpenAsync();
        var (issuer, door) = await DoorAsync(house);
        await using var _ = issuer;
        using var __ = door;
        var claims = issuer.GitHub(house.Time.GetUtcNow());
        if (member is not null) claims.Remove(member.Split('"')[1]);
        var text = claims.ToJsonString();
        if (member is not null) text = $"{{{member},{text[1..]}";
        var signed = $"{TestIssuer.Part(header ?? TestIssuer.Header("RS256", "key-1", "JWT").ToJsonString())}.{TestIssuer.Part(text)}";
        var token = $"{signed}.{System.Buffers.Text.Base64Url.EncodeToString(issuer.Rsa.SignData(Encoding.ASCII.GetBytes(signed), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1))}";
        var answer = await door.ByTokenAsync("shop-deploy", token, TestContext.Current.CancellationToken);
        Assert.Null(answer.Session);
        Assert.StartsWith("token-", answer.ReasonCode, StringComparison.Ordinal);
        Assert.Equal(1, house.Count("agent-refused"));
    }

    [Fact]
    public async Task Key_that_can_not_be_read_spoils_no_other_of_its_set()
    {
        await using var house = await House.OpenAsync();
        var file = Path.GetTempFileName();
        try
        {
            var (issuer, door) = await DoorAsync(house, file);
            await using var _ = issuer;
            using var __ = door;
            var good = JsonDocument.Parse(issuer.Jwks).RootElement.GetProperty("keys")[0].GetRawText();
            await File.WriteAllTextAsync(file, $$"""{"keys":[{"kty":"RSA","kid":"bad-1","n":"***","e":"AQAB"},{"kty":"RSA","kid":"bad-2"},{"kty":"EC","kid":"bad-3","crv":"P-256","x":"!","y":"!"},{{good}}]}""", TestContext.Current.CancellationToken);
            Assert.NotNull((await door.ByTokenAsync("shop-deploy", issuer.Sign(issuer.GitHub(house.Time.GetUtcNow())), TestContext.Current.CancellationToken)).Session);
            foreach (var kid in new[] { "bad-1", "bad-2", "bad-3", "../key-1", "key-1 ", "KEY-1" })
                Assert.Equal(ReasonCodes.TokenSignature, (await door.ByTokenAsync("shop-deploy", issuer.Sign(issuer.GitHub(house.Time.GetUtcNow()), kid: kid), TestContext.Current.CancellationToken)).ReasonCode);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Theory]
    [InlineData("spiffe://acme/ns/prod/sa/batch", null, true)]
    [InlineData("spiffe://acme/ns/prod/sa/batch\0", null, false)]
    [InlineData("spiffe://acme/ns/prod/sa/\0", null, false)]
    [InlineData("spiffe://acme/ns/prod/sa/batch,spiffe://acme/ns/prod/sa/admin", null, false)]
    [InlineData("spiffe://acme/ns/prod/sa/batch,admin", null, true)] // one name with a comma in it, and two to nobody
    [InlineData("spiffe://acme/ns/prod\0/sa/batch", null, false)]
    [InlineData("SPIFFE://acme/ns/prod/sa/batch", null, false)]
    [InlineData("spiffe://acme/ns/prod/sa/batch/more", null, false)]
    [InlineData(null, "batch.acme.example", true)]
    [InlineData(null, "BATCH.acme.example", true)]
    [InlineData(null, "batch.acme.example\0.evil.example", false)]
    [InlineData(null, "batch.acme.example,evil.example", false)]
    [InlineData(null, "*.acme.example", false)]
    [InlineData(null, "batch.acme.example.", false)]
    public async Task P36_Name_in_a_certificate_is_read_whole(string? uri, string? dns, bool comesIn)
    {
        await using var house = await House.OpenAsync();
        var now = house.Time.GetUtcNow();
        using var authority = new TestAuthority(now);
        var folder = Directory.CreateTempSubdirectory("countersign-intruder-").FullName;
        try
        {
            var match = uri is not null ? ("uri", Pattern("spiffe://acme/ns/prod/sa/*")) : ("dns", Pattern("batch.acme.example"));
            var config = new CertificateAuthority { CaFile = authority.WriteRoot(folder), Workloads = [new Workload("batch", new Dictionary<string, SubjectPattern> { [match.Item1] = match.Item2 }, "olga")] };
            Assert.Empty(await house.Agents.DeclareAsync(WorkloadDoor.Declared([], config)));
            using var door = new WorkloadDoor([], config, house.Agents, house.Users, house.Store, house.Journal, house.Time);
            var names = new AsnWriter(AsnEncodingRules.DER);
            using (names.PushSequence()) names.WriteCharacterString(UniversalTagNumber.IA5String, uri ?? dns!, new Asn1Tag(TagClass.ContextSpecific, uri is not null ? 6 : 2));
            using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            var request = new CertificateRequest("CN=batch", key, HashAlgorithmName.SHA256);
            request.CertificateExtensions.Add(new X509Extension("2.5.29.17", names.Encode(), critical: false));
            request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(TestAuthority.ClientAuth)], false));
            using var certificate = request.Create(authority.Root, now.AddDays(-1), now.AddDays(1), [1, 2, 3, 4]);
            var answer = await door.ByCertificateAsync("batch", certificate, []);
            Assert.Equal(comesIn ? null : ReasonCodes.CertificateSubject, answer.ReasonCode);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [InlineData("/reviews/rv_1?x=1", true)]
    [InlineData("/me", true)]
    [InlineData("//evil.example", false)]
    [InlineData("/\\evil.example", false)]
    [InlineData("/\t/evil.example", false)]
    [InlineData("https://evil.example", false)]
    [InlineData("/login/oidc", false)]
    [InlineData("/Login/oidc", false)]
    [InlineData("/LOGIN?return=/x", false)]
    [InlineData("/%6cogin/oidc", false)]
    [InlineData("/x/../login/oidc", false)]
    [InlineData("/./login/oidc", false)]
    [InlineData("/x/%2E%2e/login/oidc", false)]
    [InlineData("/API/v1/reviews", false)]
    [InlineData("/scim/v2/Users", false)]
    public void Page_after_signing_in_is_a_page_of_ours(string path, bool kept) => Assert.Equal(kept ? path : "/", LocalPath.Or(path));

    private static async Task<UserDirectory> DirectoryAsync(House house, ScimMatch match) => await UserDirectory.LoadAsync(
        new Dictionary<string, IReadOnlySet<string>> { ["carol"] = new HashSet<string> { "dba" } }, house.Store, house.Journal,
        new DirectoryOptions { Time = house.Time, Scim = new ScimOptions { Match = match, Issuer = Provider } });

    private static JsonElement Json(string text) => JsonElement.Parse(text);

    [Theory]
    [InlineData(ScimMatch.UserName)]
    [InlineData(ScimMatch.ExternalId)]
    public async Task P33_New_person_of_a_leavers_name_does_not_bring_the_leaver_back(ScimMatch match)
    {
        await using var house = await House.OpenAsync();
        using var users = await DirectoryAsync(house, match);
        var scim = new ScimService(users, house.Sessions, house.Time);
        var first = await scim.CreateUserAsync(Json("""{"userName":"alice","externalId":"s-1"}"""));
        var alice = (await users.RecogniseAsync(new Subject(Provider, "s-1"), "alice", new HashSet<string>())).User!;
        await scim.DeleteUserAsync(first.Id);
        Assert.Null(users.Find(alice.Ref.Id));

        await scim.CreateUserAsync(Json("""{"userName":"alice","externalId":"s-2"}"""));
        Assert.Null(users.Find(alice.Ref.Id));
        Assert.Null(users.Find("alice"));
        Assert.Equal(ReasonCodes.UserDisabled, (await users.RecogniseAsync(new Subject(Provider, "s-1"), "alice", new HashSet<string>())).ReasonCode);

        // The same person again is the same person.
        await scim.CreateUserAsync(Json("""{"userName":"alice.again","externalId":"s-1"}"""));
        if (match == ScimMatch.ExternalId) Assert.Equal(alice.Ref.Id, users.Find("alice")!.Ref.Id);
    }

    [Theory]
    [InlineData("ALICE")]
    [InlineData("\u0430lice")] // Cyrillic
    [InlineData("alice ")]
    [InlineData("alice,carol")]
    [InlineData("CAROL")]
    [InlineData("carol")]
    [InlineData("\uff41lice")] // full width
    [InlineData("ali\u0000ce")]
    public async Task P36_Twin_of_a_name_is_nobody(string twin)
    {
        await using var house = await House.OpenAsync();
        using var users = await DirectoryAsync(house, ScimMatch.ExternalId);
        Assert.NotNull((await users.RecogniseAsync(new Subject(Provider, "s-1"), "alice", new HashSet<string>())).User);
        var other = await users.RecogniseAsync(new Subject(Provider, "s-2"), twin, new HashSet<string>());
        Assert.Equal((null, ReasonCodes.NotRecognised), (other.User, other.ReasonCode));
    }

    [Fact]
    public async Task P33_Where_SCIM_owns_groups_who_is_away_lends_them_without_his_tokens()
    {
        await using var house = await House.OpenAsync();
        using var users = await DirectoryAsync(house, ScimMatch.ExternalId);
        var scim = new ScimService(users, house.Sessions, house.Time);
        var record = await scim.CreateUserAsync(Json("""{"userName":"dora","externalId":"s-9"}"""));
        var group = await scim.CreateGroupAsync(Json($$"""{"displayName":"dba","members":[{"value":"{{record.Id}}"}]}"""));
        house.Time.Advance(TimeSpan.FromDays(2));
        Assert.Contains("dba", users.FindFresh(users.Find("dora")!.Ref.Id)!.Groups);
        await scim.PatchGroupAsync(group.Id, Json($$"""{"Operations":[{"op":"remove","path":"members[value eq \"{{record.Id}}\"]"}]}"""));
        Assert.DoesNotContain("dba", users.FindFresh(users.Find("dora")!.Ref.Id)!.Groups);

        // A group that was renamed is another group, and a member that nobody is gives nobody anything.
        await scim.ReplaceGroupAsync(group.Id, Json($$"""{"displayName":"DBA","members":[{"value":"{{record.Id}}"},{"value":"su_nobody"},{"value":"dora"}]}"""));
        Assert.DoesNotContain("dba", users.FindFresh(users.Find("dora")!.Ref.Id)!.Groups);
        Assert.DoesNotContain("DBA", users.Find("carol")!.Groups);
    }

    [Theory]
    [InlineData("""{"userName":"\ud800"}""")]
    [InlineData("""{"userName":"x","active":"\ud800"}""")]
    [InlineData("""{"userName":"x","USERNAME":"y"}""")]
    [InlineData("""{"userName":"x","active":1}""")]
    [InlineData("""{"userName":["x"]}""")]
    public async Task P25_Provisioned_user_that_says_two_things_or_none_is_refused(string body)
    {
        await using var house = await House.OpenAsync();
        using var users = await DirectoryAsync(house, ScimMatch.ExternalId);
        var scim = new ScimService(users, house.Sessions, house.Time);
        Assert.Equal(400, (await Assert.ThrowsAsync<ScimException>(() => scim.CreateUserAsync(Json(body)))).Status);
        Assert.Empty(users.Find("x") is null ? [] : new[] { "x" });
    }

    [Theory]
    [InlineData("userName eq \"\\ud800\"")]
    [InlineData("userName eq \"a\" or userName eq \"b\"")]
    [InlineData("not (userName eq \"a\")")]
    [InlineData("userName pr")]
    [InlineData("userName eq \"a\" and")]
    [InlineData("userName eq \"a\"b\"")]
    [InlineData("password eq \"a\"")]
    public async Task Filter_that_is_not_understood_is_refused_and_never_everything(string filter)
    {
        await using var house = await House.OpenAsync();
        using var users = await DirectoryAsync(house, ScimMatch.ExternalId);
        var scim = new ScimService(users, house.Sessions, house.Time);
        await scim.CreateUserAsync(Json("""{"userName":"a"}"""));
        Assert.Equal("invalidFilter", Assert.Throws<ScimException>(() => scim.Users(filter, 1, 100)).ScimType);
    }
}
