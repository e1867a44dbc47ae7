using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using Countersign.Api;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Reviews;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Countersign.EndToEnd.Tests.Api;

/// <summary>Who gets in, and how far.</summary>
public sealed class DoorTests
{
    [Fact]
    public async Task P30_An_agents_key_opens_no_endpoint_and_decides_nothing()
    {
        await using var host = await ApiHost.StartAsync();
        var (agent, key) = await host.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        using var mira = await host.SignInAsync("mira");
        var statement = (await (await mira.PostAsJsonAsync($"/api/v1/reviews/{held.Review.Id}/statements", new { decision = "approve" })).JsonAsync()).GetProperty("statement").GetString();
        using var http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false }) { BaseAddress = host.Gateway.Http };

        var walked = 0;
        var open = new List<string>();
        foreach (var endpoint in host.Get<IEnumerable<EndpointDataSource>>().SelectMany(static s => s.Endpoints).OfType<RouteEndpoint>().DistinctBy(static e => e.DisplayName))
        {
            var methods = endpoint.Metadata.GetMetadata<HttpMethodMetadata>()?.HttpMethods ?? ["GET"];
            var path = "/" + endpoint.RoutePattern.RawText!.TrimStart('/')
                .Replace("{id}", held.Review.Id.Value, StringComparison.Ordinal)
                .Replace("{name}", agent.Name, StringComparison.Ordinal)
                .Replace("{keyId}", agent.Keys[0].KeyId, StringComparison.Ordinal)
                .Replace("{documentName}", "v1", StringComparison.Ordinal);
            path = System.Text.RegularExpressions.Regex.Replace(path, @"\{\w+\}", "any"); // the door is in front of what an id names
            if (endpoint.Metadata.GetMetadata<AnswersAnybody>() is not null)
            {
                open.Add(path);
                continue;
            }

            foreach (var method in methods)
            {
                // Every way in which the key could be offered, with a body that would decide if it were heard.
                foreach (var offer in new Action<HttpRequestMessage>[]
                {
                    r => r.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key),
                    r => r.Headers.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{agent.Name}:{key}"))),
                    r => r.Headers.TryAddWithoutValidation("Authorization", [$"Bearer {key}", $"Bearer {key}"]),
                    r => r.Headers.Add("Cookie", $"session={key}; token={key}"),
                    r => r.RequestUri = new Uri($"{path}?access_token={key}&token={key}", UriKind.Relative),
                    r => r.Headers.Add("X-Api-Key", key),
                })
                {
                    using var request = new HttpRequestMessage(new HttpMethod(method), path) { Content = JsonContent.Create(new { statement }) };
                    request.Headers.Add("Countersign-Client", "cli");
                    offer(request);
                    using var response = await http.SendAsync(request);
                    walked++;

                    // A page leads whom it takes for a person without a session to the place where he may sign in.
                    if (response.StatusCode == HttpStatusCode.SeeOther && endpoint.Metadata.GetMetadata<ConsolePage>() is not null)
                    {
                        Assert.StartsWith("/login", response.Headers.Location!.OriginalString, StringComparison.Ordinal);
                        continue;
                    }

                    Assert.Equal(HttpStatusCode.Unauthorized, response.StatusCode);
                    Assert.Equal(request.Headers.Authorization is { } a && request.Headers.GetValues("Authorization").Count() == 1 ? ReasonCodes.NotHuman : ReasonCodes.LoginRequired, await response.ReasonAsync());
                }
            }
        }

        Assert.True(walked >= 6 * 15, $"only {walked} requests were made: the walk does not see the endpoints");
        // What an agent's key does open: its own protocol, which has no way to decide anything (Mcp/ tests walk it).
        Assert.Equal(["/.well-known/oauth-protected-resource/mcp/any", "/mcp/any/", "/mcp/any/", "/mcp/any/"], open.Where(static p => p.Contains("/mcp/", StringComparison.Ordinal)).Order(StringComparer.Ordinal));
        Assert.Contains("/manifest", open);
        open.RemoveAll(static p => p == "/manifest" || p.Contains("/mcp/", StringComparison.Ordinal));
        Assert.Equal(["/api/v1/login/begin", "/api/v1/login/cli", "/api/v1/login/complete", "/api/v1/login/passkey/begin", "/api/v1/login/passkey/complete", "/healthz", "/login", "/login/link", "/readyz"],
            open.Where(static p => !p.StartsWith("/assets/", StringComparison.Ordinal)).Order(StringComparer.Ordinal));
        Assert.Equal(3, open.Count(static p => p.StartsWith("/assets/", StringComparison.Ordinal)));
        var review = host.Desk.Find(held.Review.Id)!;
        Assert.Equal((ReviewState.Pending, 0), (review.State, review.Answers.Count));
        Assert.False(held.Ruling.IsCompleted);
        Assert.Null(host.Agents.Find(agent.Name)!.RevokedAt);
    }

    [Fact]
    public async Task P30_A_session_whose_human_left_the_config_is_worth_nothing()
    {
        var folder = ApiHost.NewFolder();
        try
        {
            string token;
            await using (var host = await ApiHost.StartAsync(folder: folder))
            {
                using var mira = await host.SignInAsync("mira");
                token = mira.DefaultRequestHeaders.Authorization!.Parameter!;
            }

            await using (var again = await ApiHost.StartAsync(folder: folder, config: static yaml => yaml.Replace("  mira: { groups: [support-leads] }\n", "", StringComparison.Ordinal)))
            {
                using var http = again.Anonymous();
                http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
                using var me = await http.GetAsync("/api/v1/me");
                Assert.Equal((HttpStatusCode.Unauthorized, ReasonCodes.LoginRequired), (me.StatusCode, await me.ReasonAsync()));
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task P45_A_host_name_that_is_not_ours_is_refused_before_anything_answers()
    {
        await using var host = await ApiHost.StartAsync();
        using var http = host.Anonymous();
        foreach (var (name, status) in new[] { ("evil.example", 421), ("evil.example:80", 421), ("10.0.0.1", 421), ("localhost", 200), ("127.0.0.1:1", 200), ("[::1]", 200) })
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "/healthz");
            request.Headers.Host = name;
            using var response = await http.SendAsync(request);
            Assert.Equal((name, status), (name, (int)response.StatusCode));
        }

        using var crossed = new HttpRequestMessage(HttpMethod.Post, "/api/v1/login/begin") { Content = JsonContent.Create(new { user = "alice" }) };
        crossed.Headers.Add("Sec-Fetch-Site", "cross-site");
        using var refused = await http.SendAsync(crossed);
        Assert.Equal(HttpStatusCode.Forbidden, refused.StatusCode);
        Assert.Empty(host.Codes);
    }

    [Fact]
    public async Task Only_admins_change_agents_and_read_the_journal()
    {
        await using var host = await ApiHost.StartAsync();
        using var mira = await host.SignInAsync("mira");
        using var alice = await host.SignInAsync("alice");
        foreach (var path in new[] { "/api/v1/agents", "/api/v1/journal/entries", "/api/v1/journal/verify" })
        {
            using var refused = await mira.GetAsync(path);
            Assert.Equal((HttpStatusCode.Forbidden, ReasonCodes.NotEligible), (refused.StatusCode, await refused.ReasonAsync()));
            using var done = await alice.GetAsync(path);
            Assert.Equal(HttpStatusCode.OK, done.StatusCode);
        }

        using var add = await mira.PostAsJsonAsync("/api/v1/agents", new { name = "bot", owner = "alice" });
        Assert.Equal(HttpStatusCode.Forbidden, add.StatusCode);
        Assert.Empty(host.Agents.List());
    }

    [Fact]
    public async Task An_agent_is_added_rotated_and_revoked_and_its_key_is_shown_once()
    {
        await using var host = await ApiHost.StartAsync();
        using var alice = await host.SignInAsync("alice");
        using var added = await alice.PostAsJsonAsync("/api/v1/agents", new { name = "bot", owner = "mira", groups = new[] { "agents" } });
        var json = await added.JsonAsync();
        var key = json.GetProperty("key").GetString()!;
        Assert.Equal(HttpStatusCode.Created, added.StatusCode);
        Assert.Equal($"postgres://bot:{key}@{host.Gateway.Postgres}/shop", json.GetProperty("connections")[0].GetString());
        Assert.NotNull(host.Agents.FindByBearer("bot", key));
        Assert.DoesNotContain(key, await alice.GetStringAsync("/api/v1/agents"), StringComparison.Ordinal);

        using var again = await alice.PostAsJsonAsync("/api/v1/agents", new { name = "bot", owner = "mira" });
        Assert.Equal(HttpStatusCode.Conflict, again.StatusCode);
        using var rotated = await alice.PostAsync("/api/v1/agents/bot/keys", null);
        var second = (await rotated.JsonAsync()).GetProperty("key").GetString()!;
        using var revoked = await alice.DeleteAsync($"/api/v1/agents/bot/keys/{json.GetProperty("keyId").GetString()}");
        Assert.Equal(HttpStatusCode.OK, revoked.StatusCode);
        Assert.Null(host.Agents.FindByBearer("bot", key));
        Assert.NotNull(host.Agents.FindByBearer("bot", second));
        using var gone = await alice.DeleteAsync("/api/v1/agents/bot");
        Assert.Null(host.Agents.FindByBearer("bot", second));
        using var unknown = await alice.DeleteAsync("/api/v1/agents/bot/keys/00000000");
        Assert.Equal(HttpStatusCode.NotFound, unknown.StatusCode);
    }

    [Fact]
    public async Task Large_bodies_are_refused_but_for_answers_which_hold_whole_payloads()
    {
        await using var host = await ApiHost.StartAsync();
        var (agent, _) = await host.AddAgentAsync();
        var held = await host.HoldAsync(host.UpdateCustomer(agent));
        using var mira = await host.SignInAsync("mira");
        var large = new string('x', 2 << 20);

        using var draft = await mira.PostAsJsonAsync($"/api/v1/reviews/{held.Review.Id}/statements", new { decision = "approve", comment = large });
        Assert.Equal((HttpStatusCode.RequestEntityTooLarge, ReasonCodes.TooLarge), (draft.StatusCode, await draft.ReasonAsync()));
        using var answer = await mira.PostAsJsonAsync($"/api/v1/reviews/{held.Review.Id}/answers", new { statement = large });
        Assert.Equal(ReasonCodes.StatementMismatch, await answer.ReasonAsync());
    }

    [Fact]
    public async Task Signing_in_tells_nobody_who_exists_and_a_code_works_once()
    {
        await using var host = await ApiHost.StartAsync();
        using var http = host.Anonymous();
        using var known = await http.PostAsJsonAsync("/api/v1/login/begin", new { user = "alice" });
        using var unknown = await http.PostAsJsonAsync("/api/v1/login/begin", new { user = "nobody" });
        Assert.Equal(await known.Content.ReadAsStringAsync(), await unknown.Content.ReadAsStringAsync());
        var (_, code) = Assert.Single(host.Codes);

        using var wrong = await http.PostAsJsonAsync("/api/v1/login/complete", new { user = "mira", code });
        Assert.Equal((HttpStatusCode.Unauthorized, ReasonCodes.CodeInvalid), (wrong.StatusCode, await wrong.ReasonAsync()));
        using var right = await http.PostAsJsonAsync("/api/v1/login/complete", new { user = "alice", code });
        Assert.Equal(HttpStatusCode.OK, right.StatusCode);
        using var twice = await http.PostAsJsonAsync("/api/v1/login/complete", new { user = "alice", code });
        Assert.Equal(HttpStatusCode.Unauthorized, twice.StatusCode);
    }

    [Fact]
    public async Task Too_many_attempts_to_sign_in_are_refused()
    {
        await using var host = await ApiHost.StartAsync();
        using var http = host.Anonymous();
        var last = HttpStatusCode.OK;
        for (var i = 0; i <= LoginEndpoints.AttemptsPerMinute; i++)
        {
            using var response = await http.PostAsJsonAsync("/api/v1/login/complete", new { user = $"user{i}", code = "AAAA-AAAA" });
            last = response.StatusCode;
        }

        Assert.Equal(HttpStatusCode.TooManyRequests, last);
    }

    [Fact]
    public async Task After_logout_the_session_is_worth_nothing()
    {
        await using var host = await ApiHost.StartAsync();
        using var alice = await host.SignInAsync("alice");
        using var before = await alice.GetAsync("/api/v1/me");
        Assert.True((await before.JsonAsync()).GetProperty("admin").GetBoolean());
        using var logout = await alice.PostAsync("/api/v1/logout", null);
        Assert.Equal(HttpStatusCode.NoContent, logout.StatusCode);
        using var after = await alice.GetAsync("/api/v1/me");
        Assert.Equal(HttpStatusCode.Unauthorized, after.StatusCode);
    }
}
