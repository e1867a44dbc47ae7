using System.Net;
using System.Net.Http.Json;
using System.Text.Json;

namespace Countersign.EndToEnd.Tests.Api;

/// <summary>What a browser keeps: cookies, and the page token that its pages hold.</summary>
internal sealed class Browser : IDisposable
{
    private readonly CookieContainer jar = new();
    private readonly ApiHost host;

    public Browser(ApiHost host)
    {
        this.host = host;
        Http = new HttpClient(new SocketsHttpHandler { CookieContainer = jar, AllowAutoRedirect = false }) { BaseAddress = host.Gateway.Http };
    }

    public HttpClient Http { get; }
    public string Csrf { get; private set; } = "";
    public List<string> SetCookies { get; } = [];

    /// <summary>The session cookie as it is sent.</summary>
    public string Cookie => jar.GetCookies(host.Gateway.Http).Single(static c => c.Name.EndsWith("-session", StringComparison.Ordinal)).ToString();

    public static async Task<Browser> SignInAsync(ApiHost host, string user)
    {
        var browser = new Browser(host);
        await browser.SignInAsync(user);
        return browser;
    }

    public void Plant(string what, string value) => jar.Add(host.Gateway.Http, new Cookie($"countersign-{host.Gateway.Http.Port}-{what}", value));

    /// <summary>Asks for a link; user and code are in what follows its `#`.</summary>
    public async Task<(string User, string Code)> AskAsync(string user)
    {
        using var begun = await Http.PostAsJsonAsync("/api/v1/login/begin", new { user, web = true });
        begun.EnsureSuccessStatusCode();
        var link = host.Links.Last(l => l.User == user).Link;
        var parts = link.Fragment.TrimStart('#').Split('&').Select(static p => p.Split('=', 2)).ToDictionary(static p => p[0], static p => Uri.UnescapeDataString(p[1]));
        return (parts["user"], parts["code"]);
    }

    public async Task<HttpResponseMessage> CompleteAsync(string user, string code)
    {
        var completed = await Http.PostAsJsonAsync("/api/v1/login/complete", new { user, code, web = true });
        if (completed.Headers.TryGetValues("Set-Cookie", out var cookies)) SetCookies.AddRange(cookies);
        return completed;
    }

    public async Task SignInAsync(string user)
    {
        var (name, code) = await AskAsync(user);
        using var completed = await CompleteAsync(name, code);
        var text = await completed.Content.ReadAsStringAsync();
        Assert.True(completed.IsSuccessStatusCode, text);
        Assert.DoesNotContain("csw_", text, StringComparison.Ordinal);
        Csrf = JsonDocument.Parse(text).RootElement.GetProperty("csrf").GetString()!;
    }

    public void Dispose() => Http.Dispose();
}
