using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Web;
using Countersign.Core;
using Countersign.EndToEnd.Tests.Api;
using Countersign.Identity;
using Microsoft.IdentityModel.Tokens;

namespace Countersign.EndToEnd.Tests.SignIn;

/// <summary>Tokens that are almost right.</summary>
public sealed class ForgedTokenTests
{
    private static long Now => TimeProvider.System.GetUtcNow().ToUnixTimeSeconds();

    private static async Task<(PlayedProvider, ApiHost)> StartAsync()
    {
        var provider = await PlayedProvider.StartAsync();
        var host = await ApiHost.StartAsync(config: yaml => yaml.Replace("users: ", $$"""
            identity:
              oidc: { issuer: "{{provider.Issuer}}", client-id: countersign, public-client: true }
            users: 
            """, StringComparison.Ordinal));
        return (provider, host);
    }

    private static Dictionary<string, object> Claims(PlayedProvider provider, string nonce) => new()
    {
        ["iss"] = provider.Issuer, ["aud"] = "countersign", ["sub"] = "u1", ["iat"] = Now, ["exp"] = Now + 300, ["nonce"] = nonce, ["preferred_username"] = "ann", ["groups"] = new[] { "leads" },
    };

    /// <summary>Signs in with a token made from the right claims; gives where the browser is led.</summary>
    private static async Task<string> SignInAsync(PlayedProvider provider, ApiHost host, Func<Dictionary<string, object>, string> make, Surfer? surfer = null)
    {
        using var own = new Surfer(host);
        var browser = surfer ?? own;
        using var begun = await browser.Http.GetAsync("/login/oidc");
        if (begun.Headers.Location is { IsAbsoluteUri: false } failed) return failed.ToString();
        var query = HttpUtility.ParseQueryString(begun.Headers.Location!.Query);
        Assert.Equal(("code", "S256"), (query["response_type"], query["code_challenge_method"]));
        provider.IdToken = () => make(Claims(provider, query["nonce"]!));
        using var done = await browser.ReturnAsync(new Uri(host.Gateway.Http, $"/login/oidc/callback?code=x&state={query["state"]}"));
        return done.Headers.Location!.ToString();
    }

    private const string Refused = $"/login?error={ReasonCodes.SignInFailed}";

    [Fact]
    public async Task P35_Only_the_token_that_is_right_in_everything_signs_in()
    {
        var (provider, host) = await StartAsync();
        await using var _ = provider;
        await using var __ = host;
        Assert.Equal("/", await SignInAsync(provider, host, c => provider.Sign(c)));

        using var other = RSA.Create(2048);
        using var curve = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var secret = new SymmetricSecurityKey(Encoding.UTF8.GetBytes("countersign-countersign-countersign-"));
        var modulus = new SymmetricSecurityKey(provider.Key.Rsa.ExportSubjectPublicKeyInfo()) { KeyId = "k1" };
        string With(Dictionary<string, object> claims, string name, object? value)
        {
            if (value is null) claims.Remove(name);
            else claims[name] = value;
            return provider.Sign(claims);
        }

        string Unsigned(Dictionary<string, object> claims, string alg)
        {
            var parts = provider.Sign(claims).Split('.');
            return $"{Base64UrlEncoder.Encode($$"""{"alg":"{{alg}}","typ":"JWT"}""")}.{parts[1]}.";
        }

        var attacks = new Dictionary<string, Func<Dictionary<string, object>, string>>
        {
            ["wrong nonce"] = c => With(c, "nonce", "another"),
            ["no nonce"] = c => With(c, "nonce", null),
            ["another audience"] = c => With(c, "aud", "grafana"),
            ["one audience more"] = c => With(c, "aud", new[] { "countersign", "grafana" }),
            ["no audience"] = c => With(c, "aud", null),
            ["another party"] = c => With(c, "azp", "grafana"),
            ["another issuer"] = c => With(c, "iss", "https://evil.example"),
            ["issuer with a slash"] = c => With(c, "iss", provider.Issuer + "/"),
            ["no issuer"] = c => With(c, "iss", null),
            ["expired"] = c => With(c, "exp", Now - 61),
            ["for ever"] = c => With(c, "exp", null),
            ["not yet"] = c => With(c, "nbf", Now + 120),
            ["issued in the future"] = c => With(c, "iat", Now + 120),
            ["not issued"] = c => With(c, "iat", null),
            ["nobody"] = c => With(c, "sub", null),
            ["nobody at all"] = c => With(c, "sub", ""),
            ["a number"] = c => With(c, "sub", 1),
            ["too long"] = c => With(c, "sub", new string('x', 256)),
            ["another access token"] = c => With(c, "at_hash", Base64UrlEncoder.Encode(SHA256.HashData("other"u8)[..16])),
            ["a log-out token"] = c => With(c, "events", new Dictionary<string, object> { ["http://schemas.openid.net/event/backchannel-logout"] = new Dictionary<string, object>() }),
            ["an access token"] = c => provider.Sign(c, type: "at+jwt"),
            ["a log-out type"] = c => provider.Sign(c, type: "logout+jwt"),
            ["another key"] = c => provider.Sign(c, with: new RsaSecurityKey(other) { KeyId = "k1" }),
            ["an unknown key"] = c => provider.Sign(c, with: new RsaSecurityKey(other) { KeyId = "k2" }),
            ["another kind of key"] = c => provider.Sign(c, "ES256", new ECDsaSecurityKey(curve) { KeyId = "k1" }),
            ["the client's name as a secret"] = c => provider.Sign(c, "HS256", secret),
            ["the public key as a secret"] = c => provider.Sign(c, "HS256", modulus),
            ["none"] = c => Unsigned(c, "none"),
            ["None"] = c => Unsigned(c, "None"),
            ["no signature"] = c => Unsigned(c, "RS256"),
            ["claims changed"] = c =>
            {
                var parts = provider.Sign(c).Split('.');
                return $"{parts[0]}.{Base64UrlEncoder.Encode(Base64UrlEncoder.Decode(parts[1]).Replace("\"u1\"", "\"u2\"", StringComparison.Ordinal))}.{parts[2]}";
            },
            ["no token"] = static _ => "",
            ["no JWT"] = static _ => "a.b.c",
        };
        foreach (var (name, attack) in attacks)
        {
            Assert.Equal((name, Refused), (name, await SignInAsync(provider, host, attack)));
        }

        Assert.Single(host.Get<UserDirectory>().All, static u => u.Subject is not null);
        Assert.True(provider.KeyFetches <= 2, "a forged key id makes the gateway ask for keys each time");
        Assert.Equal("/", await SignInAsync(provider, host, c => provider.Sign(c)));
    }

    [Theory]
    [InlineData("issuer", "https://evil.example")]
    [InlineData("token_endpoint", "http://evil.example/token")]
    [InlineData("jwks_uri", "http://evil.example/jwks")]
    [InlineData("authorization_endpoint", "javascript:alert(1)")]
    [InlineData("userinfo_endpoint", "http://evil.example/userinfo")]
    [InlineData("code_challenge_methods_supported", "plain")]
    public async Task P35_Description_that_is_not_this_providers_is_not_used(string name, string value)
    {
        var (provider, host) = await StartAsync();
        await using var _ = provider;
        await using var __ = host;
        provider.Metadata[name] = name.EndsWith("supported", StringComparison.Ordinal) ? new[] { value } : value;
        Assert.Equal($"/login?error={ReasonCodes.ProviderUnavailable}", await SignInAsync(provider, host, c => provider.Sign(c)));
    }

    [Fact]
    public async Task Userinfo_about_somebody_else_is_not_used()
    {
        var (provider, host) = await StartAsync();
        await using var _ = provider;
        await using var __ = host;
        provider.UserInfo = new { sub = "u2", preferred_username = "root", groups = new[] { "admins" } };
        Assert.Equal(Refused, await SignInAsync(provider, host, c =>
        {
            c.Remove("groups");
            return provider.Sign(c);
        }));
    }

    [Fact]
    public async Task P36_A_subject_keeps_its_id_and_a_name_its_person()
    {
        var (provider, host) = await StartAsync();
        await using var _ = provider;
        await using var __ = host;
        string As(Dictionary<string, object> claims, string sub, string name)
        {
            (claims["sub"], claims["preferred_username"]) = (sub, name);
            return provider.Sign(claims);
        }

        Assert.Equal("/", await SignInAsync(provider, host, c => As(c, "u1", "ann")));
        var ann = host.Get<UserDirectory>().Find("ann")!;

        // She is renamed; the one who is called so now is not she, and may not be called so.
        Assert.Equal("/", await SignInAsync(provider, host, c => As(c, "u1", "anna")));
        Assert.Equal((ann.Ref.Id, "anna"), (host.Get<UserDirectory>().Find("anna")!.Ref.Id, host.Get<UserDirectory>().Find("ann")!.Ref.Name));
        Assert.Equal($"/login?error={ReasonCodes.NotRecognised}", await SignInAsync(provider, host, c => As(c, "u2", "ann")));
        Assert.Equal($"/login?error={ReasonCodes.NotRecognised}", await SignInAsync(provider, host, c => As(c, "U1", "ANNA")));
        Assert.Equal("/", await SignInAsync(provider, host, c => As(c, "U1", "other")));
        Assert.NotEqual(ann.Ref.Id, host.Get<UserDirectory>().Find("other")!.Ref.Id);
    }

    [Fact]
    public async Task Log_out_token_ends_what_it_names_once_and_nothing_else_is_one()
    {
        var (provider, host) = await StartAsync();
        await using var _ = provider;
        await using var __ = host;
        using var one = new Surfer(host);
        using var two = new Surfer(host);
        foreach (var (surfer, sid) in new[] { (one, "s1"), (two, "s2") })
        {
            Assert.Equal("/", await SignInAsync(provider, host, c =>
            {
                c["sid"] = sid;
                return provider.Sign(c);
            }, surfer));
        }

        Dictionary<string, object> Logout(string jti) => new()
        {
            ["iss"] = provider.Issuer, ["aud"] = "countersign", ["iat"] = Now, ["exp"] = Now + 120, ["jti"] = jti, ["sub"] = "u1", ["sid"] = "s1",
            ["events"] = new Dictionary<string, object> { ["http://schemas.openid.net/event/backchannel-logout"] = new Dictionary<string, object>() },
        };
        async Task<HttpStatusCode> PostAsync(Action<Dictionary<string, object>>? change = null, string jti = "j", string type = "logout+jwt")
        {
            var claims = Logout(jti);
            change?.Invoke(claims);
            using var http = host.Anonymous();
            using var response = await http.PostAsync("/login/oidc/logout", new FormUrlEncodedContent([new("logout_token", provider.Sign(claims, type: type))]));
            return response.StatusCode;
        }

        foreach (var attack in new Action<Dictionary<string, object>>[]
        {
            static c => c.Remove("events"), static c => c["events"] = "http://schemas.openid.net/event/backchannel-logout", static c => c["nonce"] = "n", static c => c.Remove("jti"), static c => c["aud"] = "grafana",
            static c => c["iss"] = "https://evil.example", static c => c["exp"] = Now - 61, static c => c.Remove("exp"), static c => c.Remove("iat"), static c => { c.Remove("sub"); c.Remove("sid"); },
        })
        {
            Assert.Equal(HttpStatusCode.BadRequest, await PostAsync(attack));
        }

        Assert.Equal(HttpStatusCode.BadRequest, await PostAsync(type: "at+jwt"));
        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.OK), (await one.StatusAsync(), await two.StatusAsync()));
        Assert.Equal(HttpStatusCode.OK, await PostAsync());
        Assert.Equal((HttpStatusCode.Unauthorized, HttpStatusCode.OK), (await one.StatusAsync(), await two.StatusAsync()));
        Assert.Equal(HttpStatusCode.BadRequest, await PostAsync());

        // Without a session it is all of the person's.
        Assert.Equal(HttpStatusCode.OK, await PostAsync(static c => c.Remove("sid"), "j2"));
        Assert.Equal(HttpStatusCode.Unauthorized, await two.StatusAsync());
    }
}
