using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Countersign.Core;
using Countersign.EndToEnd.Tests.Api;
using Countersign.Identity;
using Countersign.Reviews;

namespace Countersign.EndToEnd.Tests.Mcp;

/// <summary>The gateway in front of the reference filesystem server, as a process that it starts, over a fresh folder.</summary>
internal sealed class McpHost : IAsyncDisposable
{
    public const string Policies = """
        @id("agents-read")
        permit (principal in Group::"agents", action in Action::"read", resource in Target::"files");

        @id("writes-need-a-dba")
        @review("dba") @expires("15m")
        @reason("Files are written with a DBA's consent.")
        permit (principal in Group::"agents", action in Action::"write", resource in Target::"files");

        @id("nobody-destroys")
        forbid (principal, action in Action::"destroy", resource);
        """;

    private McpHost(ApiHost host, string folder, string files, string key, AgentEntry agent)
    {
        Host = host;
        Folder = folder;
        Files = files;
        Key = key;
        Agent = agent;
    }

    public ApiHost Host { get; }
    public string Folder { get; }

    /// <summary>What the server may touch.</summary>
    public string Files { get; }

    public string Key { get; }
    public AgentEntry Agent { get; }
    public Uri Url => new(Host.Gateway.Http, "/mcp/files");

    /// <param name="target">The keys of target `files`; null for the filesystem server.</param>
    public static async Task<McpHost> StartAsync(string? policies = null, string? target = null, TimeProvider? time = null, string? folder = null, string more = "", string hold = "50s")
    {
        var fresh = folder is null;
        folder ??= ApiHost.NewFolder();
        var files = Path.Combine(folder, "files");
        Directory.CreateDirectory(files);
        Directory.CreateDirectory(Path.Combine(folder, "policies"));
        await File.WriteAllTextAsync(Path.Combine(folder, "policies", "mcp.cedar"), policies ?? Policies);
        if (fresh) await File.WriteAllTextAsync(Path.Combine(files, "hello.txt"), "hello from a file\n");
        target ??= $"command: node, args: ['{Peer("@modelcontextprotocol/server-filesystem/dist/index.js")}', '{files}'], pass-env: [PATH], folder: '{files}', hold: {hold}";
        var host = await ApiHost.StartAsync(time, folder, yaml => yaml.Replace("targets:\n", $"targets:\n  files: {{ kind: mcp, environment: staging, {target} }}\n{more}", StringComparison.Ordinal));
        var agent = host.Agents.Find("robo");
        var key = "";
        if (agent is null) (agent, key) = await host.AddAgentAsync("robo");
        else
        {
            var added = await host.Agents.AddKeyAsync("robo", host.Get<UserDirectory>().Find("alice")!.Ref);
            key = added.Key!.Secret;
        }

        return new McpHost(host, folder, files, key, agent) { OwnsFolder = fresh };
    }

    public bool OwnsFolder { get; init; }

    public static string Peer(string path) => Path.Combine(ApiHost.Repository, "tests", "peers", "node_modules", path);

    /// <summary>Trusts tools as an operator does, over the API.</summary>
    public async Task TrustAsync(params (string Tool, string Verb)[] tools)
    {
        using var alice = await Host.SignInAsync("alice");
        var list = await alice.GetFromJsonAsync<JsonElement>("/api/v1/mcp/files/tools");
        foreach (var (tool, verb) in tools)
        {
            var sha256 = list.GetProperty("tools").EnumerateArray().Single(t => t.GetProperty("name").GetString() == tool).GetProperty("sha256").GetString();
            using var trusted = await alice.PostAsJsonAsync("/api/v1/mcp/files/trust", new { tool, sha256, verb });
            Assert.True(trusted.IsSuccessStatusCode, await trusted.Content.ReadAsStringAsync());
        }
    }

    /// <summary>A client that speaks the protocol by hand, to say what no SDK would.</summary>
    public RawClient Raw(string? key = null) => new(Url, key ?? Key);

    public async Task<Review> TheReviewAsync()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (Host.Desk.ListOpen().Count == 0) await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, limit.Token);
        return Host.Desk.ListOpen()[0];
    }

    public async Task ApproveAsync(ReviewId review, string user = "tom")
    {
        using var approver = await Host.SignInAsync(user);
        using var answer = await approver.AnswerAsync(review, "approve");
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync());
    }

    public IReadOnlyList<JsonElement> Entries(string type) => Host.Entries().Where(e => e.GetProperty("type").GetString() == type).ToArray();

    public async ValueTask DisposeAsync()
    {
        await Host.DisposeAsync();
        if (OwnsFolder) Directory.Delete(Folder, recursive: true);
    }
}

/// <summary>One MCP client, message by message.</summary>
internal sealed class RawClient : IDisposable
{
    private readonly Uri url;
    private int last;

    public RawClient(Uri url, string? key)
    {
        this.url = url;
        Http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false });
        if (key is not null) Http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
    }

    public HttpClient Http { get; }
    public string? Session { get; private set; }

    public HttpRequestMessage Post(string body, string? session = null, params (string Name, string Value)[] headers)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, url) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.Accept.ParseAdd("application/json");
        request.Headers.Accept.ParseAdd("text/event-stream");
        if ((session ?? Session) is { } id) request.Headers.Add("Mcp-Session-Id", id);
        foreach (var (name, value) in headers) request.Headers.TryAddWithoutValidation(name, value);
        return request;
    }

    public async Task<HttpResponseMessage> SendAsync(string body, string? session = null, params (string Name, string Value)[] headers)
    {
        using var request = Post(body, session, headers);
        return await Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
    }

    public async Task<JsonElement> InitializeAsync(string version = "2025-11-25")
    {
        using var response = await SendAsync($$$$"""{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"{{{{version}}}}","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}""");
        Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync());
        Session = response.Headers.GetValues("Mcp-Session-Id").Single();
        using var told = await SendAsync("""{"jsonrpc":"2.0","method":"notifications/initialized"}""");
        Assert.Equal(202, (int)told.StatusCode);
        return (await response.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("result");
    }

    /// <summary>The answer, and what was said before it.</summary>
    public async Task<(JsonElement Answer, IReadOnlyList<JsonElement> Before)> AskAsync(string method, string parameters, params (string Name, string Value)[] headers)
    {
        using var response = await SendAsync($$"""{"jsonrpc":"2.0","id":{{++last}},"method":"{{method}}","params":{{parameters}}}""", null, headers);
        var text = await response.Content.ReadAsStringAsync();
        if (response.Content.Headers.ContentType?.MediaType == "application/json") return (JsonElement.Parse(text), []);
        var messages = text.Split('\n').Where(static l => l.StartsWith("data: ", StringComparison.Ordinal)).Select(static l => JsonElement.Parse(l[6..])).ToArray();
        return (messages[^1], messages[..^1]);
    }

    public async Task<(string Text, bool IsError)> CallAsync(string tool, string arguments, string meta = "")
    {
        var (answer, _) = await AskAsync("tools/call", $$"""{"name":"{{tool}}","arguments":{{arguments}}{{meta}}}""");
        Assert.True(answer.TryGetProperty("result", out var result), answer.ToString());
        return (result.GetProperty("content")[0].GetProperty("text").GetString()!, result.TryGetProperty("isError", out var e) && e.GetBoolean());
    }

    public void Dispose() => Http.Dispose();
}
