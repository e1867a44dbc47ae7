using System.Buffers.Text;
using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Countersign.Core;
using Countersign.EndToEnd.Tests.Api;
using Countersign.Identity;
using Countersign.Identity.Passkeys;
using Countersign.Reviews;
using Countersign.Tests.Passkeys;

namespace Countersign.EndToEnd.Tests.SignIn;

/// <summary>Passkeys by the API, as a page uses it and as others would like to.</summary>
public sealed class PasskeyApiTests
{
    private static async Task<ApiHost> StartAsync(string folder)
    {
        ApiHost.WriteShop(folder);
        await File.WriteAllTextAsync(Path.Combine(folder, "policies", "passkey.cedar"), """
            @id("customer-changes-are-signed")
            @review("support-leads") @stepup("passkey")
            permit (principal in Group::"agents", action == Action::"sql:update", resource in DataClass::"pii");
            """);
        return await ApiHost.StartAsync(folder: folder);
    }

    private static Uri Named(ApiHost host) => new UriBuilder(host.Gateway.Http) { Host = "localhost" }.Uri;

    private static HttpClient Visit(ApiHost host) => new(new SocketsHttpHandler { CookieContainer = new CookieContainer(), AllowAutoRedirect = false }) { BaseAddress = Named(host) };

    private static async Task<HttpClient> SignInAsync(ApiHost host, string user)
    {
        var http = Visit(host);
        using (var begun = await http.PostAsJsonAsync("/api/v1/login/begin", new { user, web = true })) begun.EnsureSuccessStatusCode();
        var code = host.Links.Last(l => l.User == user).Link.Fragment.Split("code=")[1];
        using var done = await http.PostAsJsonAsync("/api/v1/login/complete", new { user, code, web = true });
        http.DefaultRequestHeaders.Add("Countersign-Csrf", (await done.JsonAsync()).GetProperty("csrf").GetString());
        return http;
    }

    private static async Task<TestAuthenticator> RegisterAsync(ApiHost host, HttpClient http)
    {
        var phone = TestAuthenticator.Es256();
        phone.Origin = Named(host).GetLeftPart(UriPartial.Authority);
        using var begun = await http.PostAsJsonAsync("/api/v1/me/passkeys/begin", new { });
        var wish = await begun.JsonAsync();
        Assert.Equal("localhost", wish.GetProperty("rpId").GetString());
        var (client, attestation) = phone.Create(Base64Url.DecodeFromChars(wish.GetProperty("challenge").GetString()));
        using var made = await http.PostAsJsonAsync("/api/v1/me/passkeys", new { name = "phone", clientData = Base64Url.EncodeToString(client), attestation = Base64Url.EncodeToString(attestation) });
        Assert.Equal("ES256", (await made.JsonAsync()).GetProperty("algorithm").GetString());
        return phone;
    }

    private static object Said(PasskeyAssertion a) => new
    {
        credentialId = Base64Url.EncodeToString(a.CredentialId), authenticatorData = Base64Url.EncodeToString(a.AuthenticatorData),
        clientData = Base64Url.EncodeToString(a.ClientData), signature = Base64Url.EncodeToString(a.Signature),
    };

    [Fact]
    public async Task P32_An_answer_by_the_api_is_proven_by_a_passkey_or_refused_with_what_to_do()
    {
        var folder = ApiHost.NewFolder();
        try
        {
            await using var host = await StartAsync(folder);
            var (agent, _) = await host.AddAgentAsync();
            var held = await host.HoldAsync(host.UpdateCustomer(agent));
            var answers = $"/api/v1/reviews/{held.Review.Id}/answers";
            using var cli = await host.SignInAsync("mira");
            using (var refused = await cli.AnswerAsync(held.Review.Id, "approve")) Assert.Equal((HttpStatusCode.Forbidden, ReasonCodes.StepUpRequired), (refused.StatusCode, await refused.ReasonAsync()));
            using (var list = await cli.GetAsync("/api/v1/me/passkeys")) Assert.Equal(Named(host).GetLeftPart(UriPartial.Authority), (await list.JsonAsync()).GetProperty("address").GetString());

            using var http = await SignInAsync(host, "mira");
            var phone = await RegisterAsync(host, http);
            using var draft = await http.PostAsJsonAsync($"/api/v1/reviews/{held.Review.Id}/statements", new { decision = "approve" });
            var statement = (await draft.JsonAsync()).GetProperty("statement").GetString()!;
            using (var bare = await http.PostAsJsonAsync(answers, new { statement })) Assert.Equal(ReasonCodes.StepUpRequired, await bare.ReasonAsync());
            using (var broken = await http.PostAsJsonAsync(answers, new { statement, assertion = new { credentialId = "AA", authenticatorData = "AA", clientData = "AA", signature = "=" } })) Assert.Equal((HttpStatusCode.BadRequest, ReasonCodes.NotUnderstood), (broken.StatusCode, await broken.ReasonAsync()));

            // Another server on this machine had it signed, and names itself in the request as well: it is not this one.
            phone.Origin = "http://localhost:9";
            using (var elsewhere = new HttpRequestMessage(HttpMethod.Post, answers) { Content = JsonContent.Create(new { statement, assertion = Said(phone.Sign(statement)) }) })
            {
                elsewhere.Headers.Host = "localhost:9";
                using var refused = await http.SendAsync(elsewhere);
                Assert.Equal((HttpStatusCode.Forbidden, ReasonCodes.StepUpFailed), (refused.StatusCode, await refused.ReasonAsync()));
            }

            // Nor does the command line's session answer with what the browser signed.
            phone.Origin = Named(host).GetLeftPart(UriPartial.Authority);
            using (var stolen = await cli.PostAsJsonAsync(answers, new { statement, assertion = Said(phone.Sign(statement)) })) Assert.Equal(ReasonCodes.StatementMismatch, await stolen.ReasonAsync());
            using (var good = await http.PostAsJsonAsync(answers, new { statement, assertion = Said(phone.Sign(statement)) })) Assert.Equal(ReasonCodes.Approved, (await good.JsonAsync()).GetProperty("reason").GetString());
            await Assert.IsType<Gateway.Ruling.Forward>(await held.Ruling).Passage.CompleteAsync(Core.OutcomeStatus.Done, 1, 0, null);
            Assert.NotNull(Assert.Single(host.Desk.Find(held.Review.Id)!.Answers).Passkey);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task User_of_the_config_signs_in_with_a_passkey_and_no_other_browser_does_with_it()
    {
        var folder = ApiHost.NewFolder();
        try
        {
            await using var host = await StartAsync(folder);
            using var http = await SignInAsync(host, "mira");
            var phone = await RegisterAsync(host, http);
            var userHandle = Base64Url.EncodeToString(Encoding.ASCII.GetBytes(host.Get<UserDirectory>().Find("mira")!.Ref.Id.Value));
            using var visitor = Visit(host);
            using var other = Visit(host);
            async Task<byte[]> AskAsync(HttpClient who)
            {
                using var begun = await who.PostAsJsonAsync("/api/v1/login/passkey/begin", new { });
                return Base64Url.DecodeFromChars((await begun.JsonAsync()).GetProperty("challenge").GetString());
            }

            var challenge = await AskAsync(visitor);
            await AskAsync(other);
            var body = new { assertion = Said(phone.Get(challenge)), userHandle };
            using (var theirs = await other.PostAsJsonAsync("/api/v1/login/passkey/complete", body)) Assert.Equal((HttpStatusCode.Unauthorized, ReasonCodes.PasskeyRefused), (theirs.StatusCode, await theirs.ReasonAsync()));
            using (var done = await visitor.PostAsJsonAsync("/api/v1/login/passkey/complete", body)) Assert.Equal("mira", (await done.JsonAsync()).GetProperty("user").GetString());
            using (var me = await visitor.GetAsync("/api/v1/me")) Assert.Equal("console", (await me.JsonAsync()).GetProperty("channel").GetString());
            using (var twice = await visitor.PostAsJsonAsync("/api/v1/login/passkey/complete", body)) Assert.Equal(HttpStatusCode.Unauthorized, twice.StatusCode);

            // At an address that is a number there is nothing to ask for.
            using var numbered = host.Anonymous();
            using var nowhere = await numbered.PostAsJsonAsync("/api/v1/login/passkey/begin", new { });
            Assert.Equal(HttpStatusCode.Conflict, nowhere.StatusCode);
            Assert.Contains(Named(host).GetLeftPart(UriPartial.Authority), (await nowhere.JsonAsync()).GetProperty("detail").GetString(), StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
