using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.RegularExpressions;
using Countersign.EndToEnd.Tests.Api;
using Countersign.EndToEnd.Tests.Fixtures;

namespace Countersign.EndToEnd.Tests.SignIn;

/// <summary>npm oidc-provider, a certified provider, as a process of its own, and a gateway whose people sign in there.</summary>
internal sealed partial class OidcPeer : IAsyncDisposable
{
    public const string Secret = "the-secret-of-the-client-of-the-test";

    private readonly string client;
    private readonly bool refresh;
    private Child child = null!;
    private bool ended;

    private OidcPeer(string client, bool refresh) => (this.client, this.refresh) = (client, refresh);

    public Uri Issuer { get; private set; } = null!;

    /// <summary>Alice and Ben are support leads at the provider, Eve is nobody in particular.</summary>
    private const string People = """{"ann":{"groups":["leads"]},"ben":{"groups":["leads"]},"eve":{"groups":["guests"]},"mira":{"groups":["leads"]}}""";

    public static async Task<OidcPeer> StartAsync(int gatewayPort, bool refresh = false)
    {
        var gateway = $"http://127.0.0.1:{gatewayPort}";
        var peer = new OidcPeer(JsonSerializer.Serialize(new
        {
            client_id = "countersign",
            client_secret = Secret,
            redirect_uris = new[] { $"{gateway}/login/oidc/callback" },
            post_logout_redirect_uris = new[] { $"{gateway}/login" },
            backchannel_logout_uri = $"{gateway}/login/oidc/logout",
            backchannel_logout_session_required = true,
            grant_types = refresh ? ["authorization_code", "refresh_token"] : new[] { "authorization_code" },
        }), refresh);
        await peer.RunAsync(0, "first");
        return peer;
    }

    private async Task RunAsync(int port, string keyId)
    {
        child = Child.Start("node", [Path.Combine(ApiHost.Repository, "tests", "peers", "oidc-provider.mjs")],
            [("CLIENT", client), ("PEOPLE", People), ("REFRESH", refresh ? "1" : "0"), ("PORT", port.ToString(CultureInfo.InvariantCulture)), ("KID", keyId)]);
        Issuer = new Uri(Ready().Match(await child.SaysAsync("ready http")).Groups[1].Value);
    }

    /// <summary>The same provider with a new key, and without memory of anybody.</summary>
    public async Task RotateKeysAsync()
    {
        await child.DisposeAsync();
        await RunAsync(Issuer.Port, "second");
    }

    public static int FreePort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }

    public string Config(string yaml, int gatewayPort, string more = "") => yaml
        .Replace("http: 127.0.0.1:0", $"http: 127.0.0.1:{gatewayPort}", StringComparison.Ordinal)
        .Replace("users: ", $$"""
            identity:
              oidc:
                issuer: {{Issuer.GetLeftPart(UriPartial.Authority)}}
                client-id: countersign
                client-secret: { env: SHOP_PASSWORD }
                scopes: [openid, profile, groups]
                groups: { leads: support-leads }
            {{more}}
            users: 
            """, StringComparison.Ordinal);

    public async Task SetAsync(string login, string claims)
    {
        using var http = new HttpClient { BaseAddress = Issuer };
        (await http.GetAsync($"/test/person?login={login}&claims={Uri.EscapeDataString(claims)}")).EnsureSuccessStatusCode();
    }

    public async Task RemoveAsync(string login)
    {
        using var http = new HttpClient { BaseAddress = Issuer };
        (await http.GetAsync($"/test/person?login={login}&gone=1")).EnsureSuccessStatusCode();
    }

    public string Said => child.Text;

    public async ValueTask DisposeAsync()
    {
        if (ended) return;
        ended = true;
        await child.DisposeAsync();
    }

    [GeneratedRegex(@"ready (http://\S+)")]
    private static partial Regex Ready();
}

/// <summary>A browser at two servers: it keeps cookies and follows redirects step by step, so that a test sees each.</summary>
internal sealed partial class Surfer : IDisposable
{
    private readonly CookieContainer jar = new();
    private readonly System.Collections.Concurrent.ConcurrentQueue<string> log;

    public Surfer(ApiHost host)
    {
        Gateway = host.Gateway.Http;
        log = host.Log;
        Http = new HttpClient(new SocketsHttpHandler { CookieContainer = jar, AllowAutoRedirect = false, ConnectCallback = ConnectAsync }) { BaseAddress = Gateway };
    }

    /// <summary>Each from an address of its own, as people are: attempts are counted by address.</summary>
    private static async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken ct)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        socket.Bind(new IPEndPoint(new IPAddress([127, 0, 1, (byte)(Interlocked.Increment(ref surfers) % 250 + 1)]), 0));
        await socket.ConnectAsync(IPAddress.Loopback, context.DnsEndPoint.Port, ct);
        return new NetworkStream(socket, ownsSocket: true);
    }

    private static int surfers;

    public Uri Gateway { get; }
    public HttpClient Http { get; }
    public string Csrf { get; private set; } = "";

    /// <summary>What comes of going to the provider as this person, up to the return to the gateway, which is not made.</summary>
    public async Task<Uri> GoAsync(string login, string returnTo = "/")
    {
        using var begun = await Http.GetAsync($"/login/oidc?return={Uri.EscapeDataString(returnTo)}");
        Assert.Equal(HttpStatusCode.SeeOther, begun.StatusCode);
        return await AtProviderAsync(begun.Headers.Location!, login);
    }

    /// <summary>Walks the provider's own pages until it sends the browser away.</summary>
    public async Task<Uri> AtProviderAsync(Uri at, string login)
    {
        var provider = at;
        for (var step = 0; step < 12; step++)
        {
            using var page = await Http.GetAsync(at);
            if (page.Headers.Location is { } next)
            {
                at = new Uri(provider, next);
                if (at.Authority != provider.Authority) return at;
                continue;
            }

            var html = await page.Content.ReadAsStringAsync();
            Assert.True(page.IsSuccessStatusCode, html);
            var action = FormAction().Match(html).Groups[1].Value;
            var isLogin = html.Contains("name=\"login\"", StringComparison.Ordinal);
            using var submitted = await Http.PostAsync(new Uri(provider, WebUtility.HtmlDecode(action)), new FormUrlEncodedContent(isLogin
                ? [new("prompt", "login"), new("login", login), new("password", "x")]
                : new KeyValuePair<string, string>[] { new("prompt", "consent") }));
            Assert.NotNull(submitted.Headers.Location);
            at = new Uri(provider, submitted.Headers.Location);
        }

        throw new InvalidOperationException("the provider goes round and round");
    }

    /// <summary>Makes the return as a browser does that was sent by another site.</summary>
    public async Task<HttpResponseMessage> ReturnAsync(Uri back)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, back);
        request.Headers.Add("Sec-Fetch-Site", "cross-site");
        request.Headers.Add("Sec-Fetch-Mode", "navigate");
        request.Headers.Add("Sec-Fetch-Dest", "document");
        return await Http.SendAsync(request);
    }

    public async Task SignInAsync(string login)
    {
        using var done = await ReturnAsync(await GoAsync(login));
        Assert.True(done.StatusCode == HttpStatusCode.SeeOther && done.Headers.Location?.ToString() == "/", $"{done.StatusCode} {done.Headers.Location} {string.Join('\n', log.Where(static l => l.Contains("sign-in refused", StringComparison.Ordinal)))}");
        Csrf = (await MeAsync()).GetProperty("csrf").GetString()!;
        Http.DefaultRequestHeaders.Remove("Countersign-Csrf");
        Http.DefaultRequestHeaders.Add("Countersign-Csrf", Csrf);
    }

    public async Task<JsonElement> MeAsync()
    {
        using var me = await Http.GetAsync("/api/v1/me");
        var text = await me.Content.ReadAsStringAsync();
        Assert.True(me.IsSuccessStatusCode, text);
        return JsonDocument.Parse(text).RootElement.Clone();
    }

    public async Task<HttpStatusCode> StatusAsync()
    {
        using var me = await Http.GetAsync("/api/v1/me");
        return me.StatusCode;
    }

    public string? SessionCookie => jar.GetAllCookies().FirstOrDefault(static c => c.Name.EndsWith("-session", StringComparison.Ordinal))?.Value;

    public void Dispose() => Http.Dispose();

    [GeneratedRegex("<form[^>]*action=\"([^\"]+)\"")]
    private static partial Regex FormAction();
}
