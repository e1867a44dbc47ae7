using System.Collections.Concurrent;
using System.ComponentModel;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using ModelContextProtocol;
using ModelContextProtocol.Client;
using ModelContextProtocol.Protocol;
using ModelContextProtocol.Server;

namespace Countersign.EndToEnd.Tests.Mcp;

/// <summary>The C# SDK on both sides: its server at an address, behind a credential that only the gateway has, and its client.</summary>
public sealed class CsharpSdkTests
{
    [Fact]
    public async Task Csharp_sdk_client_and_server_read_hold_and_run_once_and_no_credential_crosses()
    {
        await using var upstream = await SdkServer.StartAsync();
        await using var host = await McpHost.StartAsync(target: $"url: '{upstream.Url}', token: {{ env: SHOP_PASSWORD }}");
        await host.TrustAsync(("lookup", "read"), ("refund", "write"));
        await using var client = await McpClient.CreateAsync(new HttpClientTransport(new HttpClientTransportOptions
        {
            Endpoint = host.Url,
            TransportMode = HttpTransportMode.StreamableHttp,
            AdditionalHeaders = new Dictionary<string, string> { ["Authorization"] = $"Bearer {host.Key}" },
        }), cancellationToken: TestContext.Current.CancellationToken);

        var tools = await client.ListToolsAsync(cancellationToken: TestContext.Current.CancellationToken);
        Assert.Contains(tools, static t => t.Name == "refund" && t.Description == "Pays a customer back.");
        Assert.Equal("order 7: paid", Text(await client.CallToolAsync("lookup", new Dictionary<string, object?> { ["order"] = 7 }, cancellationToken: TestContext.Current.CancellationToken)));

        var progress = new ConcurrentQueue<string>();
        var refunding = client.CallToolAsync("refund", new Dictionary<string, object?> { ["order"] = 7, ["cents"] = 1250 }, new Told(progress), cancellationToken: TestContext.Current.CancellationToken).AsTask();
        var review = await host.TheReviewAsync();
        Assert.Contains("cents  1250", review.Statement, StringComparison.Ordinal);
        Assert.Equal(0, upstream.Refunds);
        await host.ApproveAsync(review.Id);
        Assert.Equal("refunded 1250", Text(await refunding));
        Assert.Equal(1, upstream.Refunds);
        Assert.Contains(progress, p => p.Contains(review.Id.Value, StringComparison.Ordinal));

        // Ours never went up, theirs never came down (P45).
        Assert.All(upstream.Authorizations, static a => Assert.Equal($"Bearer {Api.ApiHost.TargetPassword}", a));
        Assert.DoesNotContain(upstream.Headers, h => h.Contains(host.Key, StringComparison.Ordinal));
    }

    [Fact]
    public async Task P23_Call_whose_answer_is_lost_is_unknown_and_not_sent_again()
    {
        await using var upstream = await SdkServer.StartAsync();
        await using var host = await McpHost.StartAsync(McpHost.Policies.Replace("@review(\"dba\") @expires(\"15m\")", "", StringComparison.Ordinal), target: $"url: '{upstream.Url}', token: {{ env: SHOP_PASSWORD }}");
        await host.TrustAsync(("refund", "write"));
        using var client = host.Raw();
        await client.InitializeAsync();
        upstream.DropNext = true;
        var lost = await client.CallAsync("refund", """{"order":7,"cents":1}""");
        Assert.True(lost.IsError);
        Assert.Contains("not known", lost.Text, StringComparison.Ordinal);
        Assert.Equal(1, upstream.Calls);
        await FilesystemTests.UntilAsync(() => host.Entries("outcome").Count > 0);
        Assert.Equal("unknown", host.Entries("outcome")[^1].GetProperty("status").GetString());
    }

    private static string Text(CallToolResult result) => string.Concat(result.Content.OfType<TextContentBlock>().Select(static b => b.Text));

    private sealed class Told(ConcurrentQueue<string> said) : IProgress<ProgressNotificationValue>
    {
        public void Report(ProgressNotificationValue value) => said.Enqueue(value.Message ?? "");
    }
}

/// <summary>A server of the C# SDK that lets in the gateway's credential alone, and remembers what it was sent.</summary>
internal sealed class SdkServer : IAsyncDisposable
{
    private readonly WebApplication app;
    private int calls;

    private SdkServer(WebApplication app) => this.app = app;

    public ConcurrentQueue<string> Authorizations { get; } = new();
    public ConcurrentQueue<string> Headers { get; } = new();

    /// <summary>The next call of a tool is carried out, and its connection cut.</summary>
    public bool DropNext { get; set; }

    public int Calls => calls;
    public int Refunds => app.Services.GetRequiredService<Shop>().Refunds;
    public Uri Url => new(app.Urls.Single() + "/mcp");

    public static async Task<SdkServer> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        builder.Services.AddSingleton<Shop>();
        builder.Services.AddMcpServer().WithHttpTransport().WithTools<ShopTools>();
        var app = builder.Build();
        var server = new SdkServer(app);
        app.Use(server.Gate);
        app.MapMcp("/mcp");
        await app.StartAsync();
        return server;
    }

    private async Task Gate(HttpContext http, RequestDelegate next)
    {
        Authorizations.Enqueue(http.Request.Headers.Authorization.ToString());
        Headers.Enqueue(string.Join('\n', http.Request.Headers.Select(static h => $"{h.Key}: {h.Value}")));
        if (http.Request.Headers.Authorization != $"Bearer {Api.ApiHost.TargetPassword}")
        {
            http.Response.StatusCode = 401;
            return;
        }

        http.Request.EnableBuffering();
        using var reader = new StreamReader(http.Request.Body, leaveOpen: true);
        var body = await reader.ReadToEndAsync();
        http.Request.Body.Position = 0;
        if (body.Contains("\"tools/call\"", StringComparison.Ordinal))
        {
            Interlocked.Increment(ref calls);
            if (DropNext)
            {
                DropNext = false;
                http.Abort();
                return;
            }
        }

        await next(http);
    }

    public async ValueTask DisposeAsync() => await app.DisposeAsync();

    public sealed class Shop
    {
        private int refunds;

        public int Refunds => refunds;

        public void Refund() => Interlocked.Increment(ref refunds);
    }

    [McpServerToolType]
    public sealed class ShopTools
    {
        [McpServerTool(Name = "lookup"), Description("Looks an order up.")]
        public static string Lookup(long order) => $"order {order}: paid";

        [McpServerTool(Name = "refund"), Description("Pays a customer back.")]
        public static string Refund(Shop shop, long order, long cents)
        {
            shop.Refund();
            return $"refunded {cents}";
        }
    }
}
