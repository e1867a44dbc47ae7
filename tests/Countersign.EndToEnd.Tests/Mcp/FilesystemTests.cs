using System.Text.Json;
using Countersign.Core;
using Countersign.EndToEnd.Tests.Api;
using Countersign.EndToEnd.Tests.Fixtures;
using Countersign.Reviews;

namespace Countersign.EndToEnd.Tests.Mcp;

/// <summary>The reference filesystem server behind the gateway, called by the TypeScript SDK: reads run, writes are held and run once.</summary>
public sealed class FilesystemTests
{
    [Fact]
    public async Task Typescript_sdk_reads_at_once_and_writes_once_a_human_has_approved()
    {
        await using var host = await McpHost.StartAsync();
        await host.TrustAsync(("read_text_file", "read"), ("write_file", "write"), ("move_file", "destroy"));
        await using var client = new TypescriptClient(host.Url, host.Key);
        await client.SaysAsync("connected");

        var tools = (await client.AskAsync("tools/list", "{}")).GetProperty("tools").EnumerateArray().ToDictionary(static t => t.GetProperty("name").GetString()!);
        Assert.Contains("read_text_file", tools.Keys);
        Assert.Contains("write_file", tools.Keys);
        Assert.Contains("countersign_resume", tools.Keys);
        Assert.DoesNotContain("move_file", tools.Keys); // no policy could permit it
        Assert.Contains("withheld", tools["edit_file"].GetProperty("description").GetString(), StringComparison.Ordinal); // nobody has looked at it

        var read = await client.CallAsync("read_text_file", new { path = Path.Combine(host.Files, "hello.txt") });
        Assert.Contains("hello from a file", read.Text, StringComparison.Ordinal);

        // What the server itself refuses is the server's answer, and recorded as failed.
        Assert.True((await client.CallAsync("read_text_file", new { path = "/etc/passwd" })).IsError);

        var path = Path.Combine(host.Files, "new.txt");
        var writing = client.CallAsync("write_file", new { path, content = "first line\nsecond line" }, progress: true);
        var review = await host.TheReviewAsync();
        Assert.Equal(("mcp", "tools/call"), (review.Target.Kind, review.Operation));
        Assert.Contains("write_file on files", review.Statement, StringComparison.Ordinal);
        Assert.Contains($"path     {path}", review.Statement, StringComparison.Ordinal);
        Assert.Contains("content  │ first line\n         │ second line", review.Statement, StringComparison.Ordinal);
        await client.SaysAsync($"held for review {review.Id}");
        Assert.False(File.Exists(path));
        Assert.False(writing.IsCompleted);

        await host.ApproveAsync(review.Id);
        var wrote = await writing;
        Assert.False(wrote.IsError, wrote.Text);
        Assert.Equal("first line\nsecond line", await File.ReadAllTextAsync(path));
        Assert.Single(host.Entries("released"));
        Assert.Equal("done", host.Entries("outcome").Last().GetProperty("status").GetString());
        Assert.Equal(ReviewState.Released, host.Host.Desk.Find(review.Id)!.State);
    }

    [Fact]
    public async Task Unknown_tool_is_held_for_whoever_administers()
    {
        await using var host = await McpHost.StartAsync(McpHost.Policies.Replace("forbid (principal, action in Action::\"destroy\", resource);", "forbid (principal, action in Action::\"destroy\", resource);\n@id(\"strangers\") @review(\"dba\") permit (principal, action == Mcp::Action::\"unknown-tool\", resource);", StringComparison.Ordinal));
        using var client = host.Raw();
        await client.InitializeAsync();
        var calling = client.CallAsync("list_directory", JsonSerializer.Serialize(new { path = host.Files }));
        var review = await host.TheReviewAsync();
        Assert.Contains("No operator has trusted this tool", string.Join('\n', review.Notes), StringComparison.Ordinal);
        await host.ApproveAsync(review.Id);
        Assert.Contains("hello.txt", (await calling).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Held_call_ends_with_what_to_do_and_resumes_by_its_review_or_by_being_repeated()
    {
        await using var host = await McpHost.StartAsync();
        await host.TrustAsync(("write_file", "write"));
        using var client = host.Raw();
        await client.InitializeAsync();
        var path = Path.Combine(host.Files, "later.txt");
        var arguments = JsonSerializer.Serialize(new { path, content = "x" });

        // A client that gives up its request leaves, and the review stays.
        using (var leaving = new CancellationTokenSource())
        {
            var gone = client.Http.SendAsync(client.Post($$"""{"jsonrpc":"2.0","id":77,"method":"tools/call","params":{"name":"write_file","arguments":{{arguments}} } }"""), HttpCompletionOption.ResponseContentRead, leaving.Token);
            await host.TheReviewAsync();
            await leaving.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => gone);
        }

        var review = await host.TheReviewAsync();
        await UntilAsync(() => host.Host.Desk.Find(review.Id)!.DetachedAt is not null);
        await host.ApproveAsync(review.Id);
        Assert.Equal(ReviewState.Approved, host.Host.Desk.Find(review.Id)!.State);
        Assert.False(File.Exists(path)); // nothing runs for nobody (P24)

        Assert.Contains(review.Id.Value, (await client.CallAsync("countersign_status", "{}")).Text, StringComparison.Ordinal);
        var resumed = await client.CallAsync("countersign_resume", JsonSerializer.Serialize(new { review = review.Id.Value }));
        Assert.False(resumed.IsError, resumed.Text);
        Assert.Equal("x", await File.ReadAllTextAsync(path));

        // Once is once: neither the review nor its id runs anything again.
        File.Delete(path);
        var again = await client.CallAsync("countersign_resume", JsonSerializer.Serialize(new { review = review.Id.Value }));
        Assert.True(again.IsError);
        Assert.Contains("nothing is run for it again", again.Text, StringComparison.Ordinal);
        Assert.False(File.Exists(path));
        Assert.Single(host.Entries("released"));
    }

    [Fact]
    public async Task P20_Resume_of_another_principals_review_opens_nothing_and_is_written_down()
    {
        await using var host = await McpHost.StartAsync();
        await host.TrustAsync(("write_file", "write"));
        using var mine = host.Raw();
        await mine.InitializeAsync();
        var path = Path.Combine(host.Files, "mine.txt");
        _ = mine.CallAsync("write_file", JsonSerializer.Serialize(new { path, content = "x" }));
        var review = await host.TheReviewAsync();

        var (_, key) = await host.Host.AddAgentAsync("other");
        using var theirs = host.Raw(key);
        await theirs.InitializeAsync();
        var resumed = await theirs.CallAsync("countersign_resume", JsonSerializer.Serialize(new { review = review.Id.Value }));
        Assert.True(resumed.IsError);
        Assert.Contains("no such review", resumed.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("mine.txt", (await theirs.CallAsync("countersign_status", JsonSerializer.Serialize(new { review = review.Id.Value }))).Text, StringComparison.Ordinal);
        Assert.Contains(host.Entries("refused"), static e => e.GetProperty("reason").GetString() == ReasonCodes.ReviewUnknown);
    }

    [Fact]
    public async Task P45_Session_of_another_principal_is_none_and_is_written_down()
    {
        await using var host = await McpHost.StartAsync();
        using var mine = host.Raw();
        await mine.InitializeAsync();
        var (_, key) = await host.Host.AddAgentAsync("other");
        using var theirs = host.Raw(key);
        using var response = await theirs.SendAsync("""{"jsonrpc":"2.0","id":1,"method":"tools/list"}""", mine.Session);
        Assert.Equal(404, (int)response.StatusCode);
        Assert.Contains(host.Entries("refused"), static e => e.GetProperty("reason").GetString() == ReasonCodes.SessionForeign);

        using var deleted = new HttpRequestMessage(HttpMethod.Delete, host.Url);
        deleted.Headers.Add("Mcp-Session-Id", mine.Session);
        using var refused = await theirs.Http.SendAsync(deleted);
        Assert.Equal(404, (int)refused.StatusCode);
        var (answer, _) = await mine.AskAsync("ping", "{}");
        Assert.True(answer.TryGetProperty("result", out _));
    }

    [Fact]
    public async Task Cancel_of_a_held_call_withdraws_its_review()
    {
        await using var host = await McpHost.StartAsync();
        await host.TrustAsync(("write_file", "write"));
        using var client = host.Raw();
        await client.InitializeAsync();
        var calling = client.AskAsync("tools/call", JsonSerializer.Serialize(new { name = "write_file", arguments = new { path = Path.Combine(host.Files, "no.txt"), content = "x" } }));
        var review = await host.TheReviewAsync();
        using (await client.SendAsync("""{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}""")) { }
        var (answer, _) = await calling;
        Assert.Contains(ReasonCodes.ReviewWithdrawn, answer.ToString(), StringComparison.Ordinal);
        Assert.Equal(ReviewState.Withdrawn, host.Host.Desk.Find(review.Id)!.State);
    }

    internal static async Task UntilAsync(Func<bool> holds)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (!holds()) await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, limit.Token);
    }
}

/// <summary>The TypeScript SDK's client, as a process.</summary>
internal sealed class TypescriptClient(string url, IReadOnlyList<string> rest, IEnumerable<(string, string?)>? environment = null) : IAsyncDisposable
{
    private readonly Child child = Child.Start("node", [Path.Combine(ApiHost.Repository, "tests", "peers", "mcp-client.mjs"), url, .. rest], environment);
    private int last;

    public TypescriptClient(Uri url, string key) : this(url.ToString(), [key])
    {
    }

    public Task<string> SaysAsync(string part) => child.SaysAsync(part);

    public async Task<JsonElement> AskAsync(string method, string parameters, bool progress = false)
    {
        var id = ++last;
        await child.TypeAsync($$"""{"id":{{id}},"method":"{{method}}","params":{{parameters}},"progress":{{(progress ? "true" : "false")}}}""");
        while (true)
        {
            var text = child.Output;
            foreach (var line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
            {
                var said = JsonElement.Parse(line);
                if (!said.TryGetProperty("id", out var of) || of.GetInt32() != id) continue;
                if (said.TryGetProperty("result", out var result)) return result;
                if (said.TryGetProperty("error", out var error)) throw new InvalidOperationException(error.GetString());
            }

            if (child.HasEnded) Assert.Fail($"the client ended: {child.Text}");
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System);
        }
    }

    public async Task<(string Text, bool IsError)> CallAsync(string tool, object arguments, bool progress = false)
    {
        var result = await AskAsync("tools/call", JsonSerializer.Serialize(new { name = tool, arguments }), progress);
        return (result.GetProperty("content")[0].GetProperty("text").GetString()!, result.TryGetProperty("isError", out var e) && e.GetBoolean());
    }

    public ValueTask DisposeAsync() => child.DisposeAsync();
}
