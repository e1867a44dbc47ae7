using System.Text.Json;
using Countersign.Core;
using Countersign.EndToEnd.Tests.Api;
using Countersign.Reviews;
using ModelContextProtocol.Client;
using ModelContextProtocol.Protocol;

namespace Countersign.EndToEnd.Tests.Mcp;

/// <summary>What becomes of a call that waits longer than an open request may, in each revision, and over a restart.</summary>
public sealed class HoldTests
{
    [Fact]
    public async Task Call_that_waits_too_long_ends_with_what_to_do_and_the_same_call_joins_its_review()
    {
        await using var host = await McpHost.StartAsync(hold: "1s");
        await host.TrustAsync(("write_file", "write"));
        using var client = host.Raw();
        await client.InitializeAsync();
        var path = Path.Combine(host.Files, "joined.txt");
        var call = JsonSerializer.Serialize(new { name = "write_file", arguments = new { path, content = "x" }, _meta = new { progressToken = "p1" } });
        var (first, before) = await client.AskAsync("tools/call", call);
        var result = first.GetProperty("result");
        Assert.True(result.GetProperty("isError").GetBoolean());
        Assert.Equal(ReasonCodes.ReviewPending, result.GetProperty("_meta").GetProperty("countersign/reason").GetString());
        var review = result.GetProperty("_meta").GetProperty("countersign/review").GetString()!;
        Assert.Contains($"countersign_resume` with {{\"review\": \"{review}\"}}", result.GetProperty("content")[0].GetProperty("text").GetString(), StringComparison.Ordinal);
        Assert.Contains(before, m => m.GetProperty("method").GetString() == "notifications/progress" && m.GetProperty("params").GetProperty("progressToken").GetString() == "p1");

        await host.ApproveAsync(host.Host.Desk.ListOpen().Single().Id);
        var (second, _) = await client.AskAsync("tools/call", call.Replace("p1", "p2", StringComparison.Ordinal)); // another token, as each try has: the same call
        Assert.False(second.GetProperty("result").TryGetProperty("isError", out var e) && e.GetBoolean(), second.ToString());
        Assert.Equal("x", await File.ReadAllTextAsync(path));
        Assert.Single(host.Entries("review-opened"));
        Assert.Single(host.Entries("released"));

        // Other arguments are another action: no approval covers them (P21).
        var (third, _) = await client.AskAsync("tools/call", call.Replace("\"x\"", "\"y\"", StringComparison.Ordinal));
        Assert.Equal(ReasonCodes.ReviewPending, third.GetProperty("result").GetProperty("_meta").GetProperty("countersign/reason").GetString());
        Assert.Equal("x", await File.ReadAllTextAsync(path));
    }

    [Fact]
    public async Task Held_call_is_resumed_after_the_gateway_was_started_again()
    {
        var folder = ApiHost.NewFolder();
        try
        {
            string review;
            await using (var host = await McpHost.StartAsync(folder: folder, hold: "1s"))
            {
                await host.TrustAsync(("write_file", "write"));
                using var client = host.Raw();
                await client.InitializeAsync();
                await client.CallAsync("write_file", JsonSerializer.Serialize(new { path = Path.Combine(host.Files, "kept.txt"), content = "kept" }));
                review = host.Host.Desk.ListOpen().Single().Id.Value;
            }

            await using var again = await McpHost.StartAsync(folder: folder, hold: "30s");
            using var back = again.Raw();
            await back.InitializeAsync();
            var resuming = back.CallAsync("countersign_resume", JsonSerializer.Serialize(new { review }));
            await again.ApproveAsync(again.Host.Desk.ListOpen().Single().Id);
            var resumed = await resuming;
            Assert.False(resumed.IsError, resumed.Text);
            Assert.Equal("kept", await File.ReadAllTextAsync(Path.Combine(again.Files, "kept.txt")));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task Csharp_sdk_in_2026_07_28_comes_back_by_itself_until_a_human_has_approved()
    {
        await using var host = await McpHost.StartAsync(hold: "1s");
        await host.TrustAsync(("write_file", "write"), ("read_text_file", "read"));
        await using var client = await McpClient.CreateAsync(
            new HttpClientTransport(new HttpClientTransportOptions { Endpoint = host.Url, TransportMode = HttpTransportMode.StreamableHttp, AdditionalHeaders = new Dictionary<string, string> { ["Authorization"] = $"Bearer {host.Key}" } }),
            new McpClientOptions { ProtocolVersion = "2026-07-28" }, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal("2026-07-28", client.NegotiatedProtocolVersion);
        Assert.Contains(await client.ListToolsAsync(cancellationToken: TestContext.Current.CancellationToken), static t => t.Name == "read_text_file");
        var read = await client.CallToolAsync("read_text_file", new Dictionary<string, object?> { ["path"] = Path.Combine(host.Files, "hello.txt") }, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Contains("hello from a file", read.Content.OfType<TextContentBlock>().Single().Text, StringComparison.Ordinal);

        var path = Path.Combine(host.Files, "patient.txt");
        var writing = client.CallToolAsync("write_file", new Dictionary<string, object?> { ["path"] = path, ["content"] = "x" }, cancellationToken: TestContext.Current.CancellationToken).AsTask();
        var review = await host.TheReviewAsync();
        await FilesystemTests.UntilAsync(() => host.Entries("review-joined").Count >= 2); // it has come back more than once
        await host.ApproveAsync(review.Id);
        var wrote = await writing;
        Assert.False(wrote.IsError ?? false);
        Assert.Equal("x", await File.ReadAllTextAsync(path));
        Assert.Single(host.Entries("review-opened"));
        Assert.Single(host.Entries("released"));
    }

    [Fact]
    public async Task Request_state_is_for_one_principal_one_call_and_once()
    {
        await using var host = await McpHost.StartAsync(hold: "1s");
        await host.TrustAsync(("write_file", "write"));
        var (_, key) = await host.Host.AddAgentAsync("other");
        using var mine = host.Raw();
        using var theirs = host.Raw(key);
        var path = Path.Combine(host.Files, "state.txt");
        var state = (await CallAsync(mine, path, null)).GetProperty("result").GetProperty("requestState").GetString()!;
        foreach (var (who, where, shown) in (IEnumerable<(RawClient, string, string)>)[(theirs, path, state), (mine, path + ".other", state), (mine, path, "x" + state), (mine, path, state[..^2] + "AA"), (mine, path, "nonsense")])
        {
            var before = host.Entries("refused").Count;
            var refused = await CallAsync(who, where, shown);
            Assert.Equal(-32602, refused.GetProperty("error").GetProperty("code").GetInt32());
            Assert.Equal(ReasonCodes.RequestStateInvalid, host.Entries("refused").Skip(before).Single().GetProperty("reason").GetString());
        }

        Assert.Equal("input_required", (await CallAsync(mine, path, state)).GetProperty("result").GetProperty("resultType").GetString());
        Assert.Equal(-32602, (await CallAsync(mine, path, state)).GetProperty("error").GetProperty("code").GetInt32()); // used
        Assert.Single(host.Entries("review-opened"));
    }

    [Fact]
    public async Task Stateless_request_says_in_headers_what_it_says_in_its_body_or_is_refused()
    {
        await using var host = await McpHost.StartAsync();
        using var client = host.Raw();
        const string Meta = "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\"io.modelcontextprotocol/clientCapabilities\":{}}";
        (string, string) version = ("MCP-Protocol-Version", "2026-07-28");
        foreach (var (body, headers, status, code) in (IEnumerable<(string, (string, string)[], int, int)>)
        [
            ($"{{{Meta}}}", [version], 400, -32020), // no Mcp-Method
            ($"{{{Meta}}}", [version, ("Mcp-Method", "tools/call")], 400, -32020),
            ($"{{{Meta}}}", [("MCP-Protocol-Version", "2025-11-25"), ("Mcp-Method", "tools/list")], 400, -32020),
            ("{\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}}", [version, ("Mcp-Method", "tools/list")], 400, -32602),
            ($"{{{Meta.Replace("2026-07-28", "2099-01-01", StringComparison.Ordinal)}}}", [("MCP-Protocol-Version", "2099-01-01"), ("Mcp-Method", "tools/list")], 400, -32022),
        ])
        {
            using var response = await client.SendAsync($$"""{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{body}} }""", null, headers);
            Assert.Equal(status, (int)response.StatusCode);
            Assert.Equal(code, (await response.JsonAsync()).GetProperty("error").GetProperty("code").GetInt32());
        }

        using (var gone = await client.SendAsync($$"""{"jsonrpc":"2.0","id":1,"method":"ping","params":{ {{Meta}} } }""", null, version, ("Mcp-Method", "ping"))) Assert.Equal(404, (int)gone.StatusCode);
        using var discovered = await client.SendAsync($$"""{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{ {{Meta}} } }""", null, version, ("Mcp-Method", "server/discover"));
        var result = (await discovered.JsonAsync()).GetProperty("result");
        Assert.Equal(("complete", "private"), (result.GetProperty("resultType").GetString(), result.GetProperty("cacheScope").GetString()));
        Assert.Equal("2026-07-28", result.GetProperty("supportedVersions")[0].GetString());
        Assert.False(discovered.Headers.Contains("Mcp-Session-Id"));
    }

    [Fact]
    public async Task P30_Nothing_that_is_reached_over_mcp_or_with_an_agents_key_approves()
    {
        await using var host = await McpHost.StartAsync(hold: "1s");
        await host.TrustAsync(("write_file", "write"));
        using var client = host.Raw();
        await client.InitializeAsync();
        await client.CallAsync("write_file", JsonSerializer.Serialize(new { path = Path.Combine(host.Files, "no.txt"), content = "x" }));
        var review = host.Host.Desk.ListOpen().Single();

        // Every tool of the gateway's own, with whatever could be taken for a decision.
        var (listed, _) = await client.AskAsync("tools/list", "{}");
        var own = listed.GetProperty("result").GetProperty("tools").EnumerateArray().Select(static t => t.GetProperty("name").GetString()!).Where(static n => n.StartsWith("countersign_", StringComparison.Ordinal)).ToArray();
        Assert.Equal(["countersign_explain", "countersign_manifest", "countersign_resume", "countersign_status"], own.Order(StringComparer.Ordinal));
        foreach (var tool in own) await client.CallAsync(tool, JsonSerializer.Serialize(new { review = review.Id.Value, decision = "approve", approve = true, tool = "write_file", comment = "yes" }));
        foreach (var method in (string[])["reviews/approve", "countersign/approve", "elicitation/create", "sampling/createMessage", "tasks/update"]) await client.AskAsync(method, JsonSerializer.Serialize(new { review = review.Id.Value, decision = "approve" }));
        using (var markdown = new HttpRequestMessage(HttpMethod.Get, new Uri(host.Host.Gateway.Http, "/manifest")))
        {
            using var response = await client.Http.SendAsync(markdown);
            var text = await response.Content.ReadAsStringAsync();
            Assert.Contains("`write_file` (write): is held until it has 1 of dba", text, StringComparison.Ordinal);
            Assert.Contains(review.Id.Value, text, StringComparison.Ordinal);
        }

        using (var json = new HttpRequestMessage(HttpMethod.Get, new Uri(host.Host.Gateway.Http, "/manifest")))
        {
            json.Headers.Accept.ParseAdd("application/json");
            using var response = await client.Http.SendAsync(json);
            Assert.Equal(["shop", "files"], (await response.JsonAsync()).GetProperty("targets").EnumerateArray().Select(static t => t.GetProperty("name").GetString()));
        }

        var now = host.Host.Desk.Find(review.Id)!;
        Assert.Equal((ReviewState.Pending, 0), (now.State, now.Answers.Count));
        Assert.Empty(host.Entries("answer"));
        Assert.False(File.Exists(Path.Combine(host.Files, "no.txt")));
    }

    [Fact]
    public async Task Stdio_bridge_lets_the_typescript_sdk_read_and_hold_and_run_once()
    {
        await using var host = await McpHost.StartAsync();
        await host.TrustAsync(("read_text_file", "read"), ("write_file", "write"));
        await using var client = new TypescriptClient("stdio", ["dotnet", Path.Combine(AppContext.BaseDirectory, "countersign.dll"), "mcp", "files", "--server", host.Host.Gateway.Http.ToString()], [("COUNTERSIGN_AGENT_KEY", host.Key)]);
        await client.SaysAsync("connected");
        Assert.Contains("hello from a file", (await client.CallAsync("read_text_file", new { path = Path.Combine(host.Files, "hello.txt") })).Text, StringComparison.Ordinal);
        var path = Path.Combine(host.Files, "bridged.txt");
        var writing = client.CallAsync("write_file", new { path, content = "x" }, progress: true);
        var review = await host.TheReviewAsync();
        await client.SaysAsync($"held for review {review.Id}");
        await host.ApproveAsync(review.Id);
        Assert.False((await writing).IsError);
        Assert.Equal("x", await File.ReadAllTextAsync(path));
    }

    private static async Task<JsonElement> CallAsync(RawClient client, string path, string? state)
    {
        var parameters = new Dictionary<string, object?>
        {
            ["name"] = "write_file",
            ["arguments"] = new { path, content = "x" },
            ["_meta"] = new Dictionary<string, object> { ["io.modelcontextprotocol/protocolVersion"] = "2026-07-28", ["io.modelcontextprotocol/clientCapabilities"] = new { } },
        };
        if (state is not null) parameters["requestState"] = state;
        var (answer, _) = await client.AskAsync("tools/call", JsonSerializer.Serialize(parameters), ("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/call"), ("Mcp-Name", "write_file"));
        return answer;
    }
}
