using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Countersign.Core;
using Countersign.EndToEnd.Tests.Api;
using Countersign.Identity;
using Countersign.Reviews;

namespace Countersign.EndToEnd.Tests.SignIn;

/// <summary>Provisioning as Okta and Entra do it, and what it takes from people at once.</summary>
public sealed class ScimTests
{
    private const string Token = OidcPeer.Secret;

    private static Task<ApiHost> StartAsync(string more = "match: user-name") => ApiHost.StartAsync(
        config: yaml => yaml.Replace("users: ", $$"""
            identity:
              scim: { token: { env: SHOP_PASSWORD }, {{more}} }
            users: 
            """, StringComparison.Ordinal), secret: Token);

    private static HttpClient Client(ApiHost host, string token = Token)
    {
        var http = host.Anonymous();
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        return http;
    }

    private static async Task<(HttpStatusCode Status, JsonElement Body)> SendAsync(HttpClient http, string method, string path, string? body = null)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), $"/scim/v2{path}");
        if (body is not null) request.Content = new StringContent(body, Encoding.UTF8, "application/scim+json");
        using var response = await http.SendAsync(request);
        var text = await response.Content.ReadAsStringAsync();
        if (text.Length > 0) Assert.Equal("application/scim+json", response.Content.Headers.ContentType!.MediaType);
        return (response.StatusCode, text.Length == 0 ? default : JsonDocument.Parse(text).RootElement.Clone());
    }

    private static async Task<string> CreateAsync(HttpClient http, string path, string body)
    {
        var (status, created) = await SendAsync(http, "POST", path, body);
        Assert.True(status == HttpStatusCode.Created, created.ToString());
        return created.GetProperty("id").GetString()!;
    }

    private static string User(string name, string? external = null, string active = "true") => $$"""
        {"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],"userName":"{{name}}",
         "externalId":{{(external is null ? "null" : $"\"{external}\"")}},"name":{"givenName":"G","familyName":"F"},"emails":[{"primary":true,"value":"{{name}}@example.test","type":"work"}],
         "displayName":"{{name}}","locale":"en-US","groups":[],"password":"1mz050nq","active":{{active}},"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"x"} }
        """;

    private static string Patch(string operations) => $$"""{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{{operations}}]}""";

    [Fact]
    public async Task P33_Whom_SCIM_disables_between_page_and_click_decides_nothing_and_his_agents_do_not_act()
    {
        var port = OidcPeer.FreePort();
        await using var peer = await OidcPeer.StartAsync(port);
        await using var host = await ApiHost.StartAsync(config: yaml => peer.Config(yaml, port, "  scim: { token: { env: SHOP_PASSWORD }, groups: { leads: support-leads } }"), secret: Token);
        using var scim = Client(host);

        // Provisioned before he ever came: known, and asked.
        var ann = await CreateAsync(scim, "/Users", User("ann", "ann"));
        var ben = await CreateAsync(scim, "/Users", User("ben", "ben"));
        var leads = await CreateAsync(scim, "/Groups", $$"""{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"leads","members":[{"value":"{{ann}}","display":"ann"},{"value":"{{ben}}"}]}""");
        var id = host.Get<UserDirectory>().Find("ann")!.Ref.Id;
        Assert.Equal(["support-leads"], host.Get<UserDirectory>().FindFresh(id)!.Groups);
        using var surfer = new Surfer(host);
        await surfer.SignInAsync("ann");
        Assert.Equal(id, host.Get<UserDirectory>().Find("ann")!.Ref.Id);

        var (agent, _) = await host.AddAgentAsync();
        var (bens, _) = await host.AddAgentAsync("bens-bot", owner: "ben");
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        using var draft = await surfer.Http.PostAsync($"/api/v1/reviews/{held.Review.Id}/statements", System.Net.Http.Json.JsonContent.Create(new { decision = "approve" }));
        var statement = (await draft.JsonAsync()).GetProperty("statement").GetString();
        Assert.Contains("ann", host.Desk.Eligible(host.Desk.Find(held.Review.Id)!).Select(static u => u.Ref.Name));

        Assert.Equal(HttpStatusCode.OK, (await SendAsync(scim, "PATCH", $"/Users/{ann}", Patch("""{"op":"Replace","path":"active","value":"False"}"""))).Status);
        using (var click = await surfer.Http.PostAsync($"/api/v1/reviews/{held.Review.Id}/answers", System.Net.Http.Json.JsonContent.Create(new { statement }))) Assert.Equal(HttpStatusCode.Unauthorized, click.StatusCode);
        Assert.Empty(host.Desk.Find(held.Review.Id)!.Answers);
        Assert.DoesNotContain("ann", host.Desk.Eligible(host.Desk.Find(held.Review.Id)!).Select(static u => u.Ref.Name));
        using (var back = await surfer.ReturnAsync(await surfer.GoAsync("ann"))) Assert.Equal($"/login?error={ReasonCodes.UserDisabled}", back.Headers.Location?.ToString());

        // An approval that was given counts no more once its giver is gone.
        using var second = new Surfer(host);
        await second.SignInAsync("ben");
        var later = await host.HoldAsync(host.UpdateCustomer(agent, "later@example.org"));
        later.Waiter.Leave(LeaveReason.Lost);
        await later.Ruling;
        using (var done = await second.Http.AnswerAsync(later.Review.Id, "approve")) Assert.Equal(HttpStatusCode.OK, done.StatusCode);
        Assert.NotNull(host.Agents.ChainOf(host.Agents.Find("bens-bot")!));
        Assert.Equal(HttpStatusCode.NoContent, (await SendAsync(scim, "DELETE", $"/Users/{ben}")).Status);
        Assert.Null(host.Agents.ChainOf(host.Agents.Find("bens-bot")!));
        var again = await host.HoldAsync(host.UpdateCustomer(agent, "later@example.org"));
        while (host.Desk.Find(again.Review.Id)!.State == ReviewState.Approved) await Task.Yield();
        if (again.Ruling.IsCompleted) Assert.IsNotType<Countersign.Gateway.Ruling.Forward>(await again.Ruling);
        using (var back = await second.ReturnAsync(await second.GoAsync("ben"))) Assert.Equal($"/login?error={ReasonCodes.UserDisabled}", back.Headers.Location?.ToString());
        Assert.Equal(HttpStatusCode.NotFound, (await SendAsync(scim, "GET", $"/Users/{ben}")).Status);
        Assert.Equal(HttpStatusCode.NoContent, (await SendAsync(scim, "DELETE", $"/Groups/{leads}")).Status);
    }

    [Fact]
    public async Task Only_the_providers_token_opens_it_and_it_opens_nothing_else()
    {
        await using var host = await StartAsync();
        var (_, key) = await host.AddAgentAsync();
        using var alice = await host.SignInAsync("alice");
        foreach (var path in new[] { "/Users", "/Groups", "/ServiceProviderConfig", "/Schemas", "/ResourceTypes" })
        {
            foreach (var token in new[] { "", "x", key, alice.DefaultRequestHeaders.Authorization!.Parameter!, Token + "x", Token[..^1] })
            {
                using var http = Client(host, token);
                var (status, error) = await SendAsync(http, "GET", path);
                Assert.Equal((HttpStatusCode.Unauthorized, "401"), (status, error.GetProperty("status").GetString()));
            }

            using var right = Client(host);
            Assert.Equal(HttpStatusCode.OK, (await SendAsync(right, "GET", path)).Status);
        }

        using var provider = Client(host);
        using var me = await provider.GetAsync("/api/v1/me");
        Assert.Equal(HttpStatusCode.Unauthorized, me.StatusCode);
        Assert.DoesNotContain(host.Log, static l => l.Contains(Token, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Okta_finds_creates_deactivates_and_pushes_groups()
    {
        await using var host = await StartAsync();
        using var okta = Client(host);
        var (_, none) = await SendAsync(okta, "GET", "/Users?filter=userName%20eq%20%22mira%22&startIndex=1&count=100");
        Assert.Equal(0, none.GetProperty("totalResults").GetInt32());
        var mira = await CreateAsync(okta, "/Users", User("mira", "00ujl29u0le5T6Aj10h7"));
        Assert.Equal(HttpStatusCode.Conflict, (await SendAsync(okta, "POST", "/Users", User("MIRA"))).Status);
        var (_, found) = await SendAsync(okta, "GET", "/Users?filter=userName eq \"Mira\"&startIndex=1&count=100");
        Assert.Equal(mira, found.GetProperty("Resources")[0].GetProperty("id").GetString());

        // Groups of the provider come on top of the config's.
        var group = await CreateAsync(okta, "/Groups", """{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"dba","members":[]}""");
        var (patched, _) = await SendAsync(okta, "PATCH", $"/Groups/{group}", Patch($$"""{"op":"add","path":"members","value":[{"value":"{{mira}}","display":"mira@example.test"}]},{"op":"replace","value":{"id":"{{group}}","displayName":"dba"} }"""));
        Assert.Equal(HttpStatusCode.OK, patched);
        var user = host.Get<UserDirectory>().Find("mira")!;
        Assert.Equal(["dba", "support-leads"], user.Groups.Order(StringComparer.Ordinal));
        await SendAsync(okta, "PATCH", $"/Groups/{group}", Patch($$"""{"op":"remove","path":"members[value eq \"{{mira}}\"]"}"""));
        Assert.Equal(["support-leads"], host.Get<UserDirectory>().Find("mira")!.Groups);

        // Deactivated; a put that leaves `active` out does not bring her back; one that says it does.
        using var session = await host.SignInAsync("mira");
        Assert.Equal(HttpStatusCode.OK, (await SendAsync(okta, "PATCH", $"/Users/{mira}", Patch("""{"op":"replace","value":{"active":false}}"""))).Status);
        Assert.Null(host.Get<UserDirectory>().Find("mira"));
        Assert.Empty(host.Get<HumanSessions>().Of(user.Ref.Id));
        using (var me = await session.GetAsync("/api/v1/me")) Assert.Equal(HttpStatusCode.Unauthorized, me.StatusCode);
        await SendAsync(okta, "PUT", $"/Users/{mira}", """{"userName":"mira"}""");
        Assert.Null(host.Get<UserDirectory>().Find("mira"));
        await SendAsync(okta, "PUT", $"/Users/{mira}", User("mira", "00ujl29u0le5T6Aj10h7"));
        Assert.Equal(user.Ref.Id, host.Get<UserDirectory>().Find("mira")!.Ref.Id);

        // Deleted and provisioned anew.
        await SendAsync(okta, "DELETE", $"/Users/{mira}");
        Assert.Null(host.Get<UserDirectory>().Find("mira"));
        await CreateAsync(okta, "/Users", User("mira"));
        Assert.NotNull(host.Get<UserDirectory>().Find("mira"));
    }

    [Fact]
    public async Task Entra_tests_creates_patches_in_its_spelling_and_reads_groups_without_members()
    {
        await using var host = await StartAsync();
        using var entra = Client(host);

        // "Test connection" asks for somebody who can not be.
        var (status, list) = await SendAsync(entra, "GET", "/Users?filter=externalId+eq+%22b1f0a2f8-2f0c-4c5e-9f0e-1a1a1a1a1a1a%22");
        Assert.Equal((HttpStatusCode.OK, 0), (status, list.GetProperty("totalResults").GetInt32()));
        var tom = await CreateAsync(entra, "/Users", User("tom", "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef"));
        var (ok, after) = await SendAsync(entra, "PATCH", $"/Users/{tom}", Patch("""
            {"op":"Replace","path":"emails[type eq \"work\"].value","value":"tom@example.test"},{"op":"Add","path":"name.familyName","value":"N"},
            {"op":"Replace","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department","value":"d"},{"op":"Replace","path":"displayName","value":"Tom N"}
            """));
        Assert.Equal((HttpStatusCode.OK, "Tom N", true), (ok, after.GetProperty("displayName").GetString(), after.GetProperty("active").GetBoolean()));
        var group = await CreateAsync(entra, "/Groups", """{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group","http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],"externalId":"8aa1a0c0","displayName":"sre","meta":{"resourceType":"Group"}}""");
        await SendAsync(entra, "PATCH", $"/Groups/{group}", Patch($$"""{"op":"Add","path":"members","value":[{"$ref":null,"value":"{{tom}}"}]}"""));
        var (_, without) = await SendAsync(entra, "GET", $"/Groups/{group}?excludedAttributes=members");
        Assert.False(without.TryGetProperty("members", out _));
        var (_, member) = await SendAsync(entra, "GET", $"/Groups?excludedAttributes=members&filter=id eq \"{group}\" and members eq \"{tom}\"");
        Assert.Equal(1, member.GetProperty("totalResults").GetInt32());
        Assert.Contains("sre", host.Get<UserDirectory>().Find("tom")!.Groups);
        await SendAsync(entra, "PATCH", $"/Groups/{group}", Patch($$"""{"op":"Remove","path":"members","value":[{"$ref":null,"value":"{{tom}}"}]}"""));
        Assert.DoesNotContain("sre", host.Get<UserDirectory>().Find("tom")!.Groups);
        await SendAsync(entra, "PATCH", $"/Users/{tom}", Patch("""{"op":"Replace","path":"urn:ietf:params:scim:schemas:core:2.0:User:Active","value":"False"}"""));
        Assert.Null(host.Get<UserDirectory>().Find("tom"));
        await SendAsync(entra, "PATCH", $"/Users/{tom}", Patch("""{"op":"Replace","path":"active","value":"True"}"""));
        Assert.NotNull(host.Get<UserDirectory>().Find("tom"));
        Assert.Contains(host.Entries(), static e => e.GetProperty("type").GetString() == "scim-user" && e.GetProperty("change").GetString() == "disabled");
    }

    [Theory]
    [InlineData("POST", "/Users", """{"userName":""}""", 400)]
    [InlineData("POST", "/Users", """{"displayName":"x"}""", 400)]
    [InlineData("POST", "/Users", """{"userName":"x","active":"maybe"}""", 400)]
    [InlineData("POST", "/Users", """{"userName":"x","active":true,"Active":false}""", 400)]
    [InlineData("POST", "/Users", """{"userName":"x","userName":"y"}""", 400)]
    [InlineData("POST", "/Users", "[]", 400)]
    [InlineData("POST", "/Users", "{", 400)]
    [InlineData("POST", "/Groups", """{"displayName":"g","members":[{"display":"x"}]}""", 400)]
    [InlineData("POST", "/Groups", """{"displayName":"g","members":"x"}""", 400)]
    [InlineData("GET", "/Users?filter=userName co \"a\"", null, 400)]
    [InlineData("GET", "/Users?filter=userName eq \"a\" or userName eq \"b\"", null, 400)]
    [InlineData("GET", "/Users?filter=password eq \"a\"", null, 400)]
    [InlineData("GET", "/Users?filter=userName eq \"a", null, 400)]
    [InlineData("GET", "/Users?filter=", null, 400)]
    [InlineData("GET", "/Users?startIndex=x", null, 400)]
    [InlineData("GET", "/Users/su_0000000000000000", null, 404)]
    [InlineData("PATCH", "/Users/{id}", """{"Operations":[{"op":"drop","path":"active"}]}""", 400)]
    [InlineData("PATCH", "/Users/{id}", """{"Operations":[{"op":"replace","path":"active"}]}""", 400)]
    [InlineData("PATCH", "/Users/{id}", """{"Operations":[]}""", 400)]
    [InlineData("PATCH", "/Users/{id}", """{"Operations":[{"op":"remove","path":"userName"}]}""", 400)]
    [InlineData("PATCH", "/Users/{id}", """{"Operations":[{"op":"replace","path":"id","value":"su_x"}]}""", 400)]
    public async Task What_is_not_understood_is_refused_in_SCIMs_own_words_and_changes_nothing(string method, string path, string? body, int status)
    {
        await using var host = await StartAsync();
        using var scim = Client(host);
        var id = await CreateAsync(scim, "/Users", User("mira"));
        var entries = host.Entries().Count;
        var (got, error) = await SendAsync(scim, method, path.Replace("{id}", id, StringComparison.Ordinal), body);
        Assert.Equal((status, $"{status}", "urn:ietf:params:scim:api:messages:2.0:Error"), ((int)got, error.GetProperty("status").GetString(), error.GetProperty("schemas")[0].GetString()));
        Assert.Equal(entries, host.Entries().Count);
    }

    [Fact]
    public async Task Disabled_stays_disabled_through_a_restart()
    {
        var folder = ApiHost.NewFolder();
        try
        {
            static string Config(string yaml) => yaml.Replace("users: ", "identity:\n  scim: { token: { env: SHOP_PASSWORD }, match: user-name }\nusers: ", StringComparison.Ordinal);
            await using (var host = await ApiHost.StartAsync(folder: folder, config: Config, secret: Token))
            {
                using var scim = Client(host);
                var id = await CreateAsync(scim, "/Users", User("mira"));
                await SendAsync(scim, "DELETE", $"/Users/{id}");
            }

            await using var again = await ApiHost.StartAsync(folder: folder, config: Config, secret: Token);
            Assert.Null(again.Get<UserDirectory>().Find("mira"));
            Assert.NotNull(again.Get<UserDirectory>().Find("tom"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
