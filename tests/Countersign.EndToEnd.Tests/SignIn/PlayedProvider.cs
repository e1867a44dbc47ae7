using System.Security.Cryptography;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Countersign.EndToEnd.Tests.SignIn;

/// <summary>
/// A provider that lies as it is told. The real one (<see cref="OidcPeer"/>) does not, so what it would never send comes
/// from here: each test changes one thing of an ID token that is right.
/// </summary>
internal sealed class PlayedProvider : IAsyncDisposable
{
    private readonly WebApplication app;
    private readonly RSA key = RSA.Create(2048);

    private PlayedProvider(WebApplication app) => this.app = app;

    public string Issuer { get; private set; } = "";
    public RsaSecurityKey Key => new(key) { KeyId = "k1" };

    /// <summary>What the description says of itself, and what its token endpoint gives.</summary>
    public Dictionary<string, object> Metadata { get; } = [];
    public Func<string> IdToken { get; set; } = () => "";
    public object UserInfo { get; set; } = new { };
    public int KeyFetches { get; private set; }

    public static async Task<PlayedProvider> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var played = new PlayedProvider(builder.Build());
        played.app.MapGet("/.well-known/openid-configuration", () => played.Metadata);
        played.app.MapGet("/jwks", () =>
        {
            played.KeyFetches++;
            var parameters = played.key.ExportParameters(false);
            return new { keys = new object[] { new { kty = "RSA", kid = "k1", use = "sig", n = Base64UrlEncoder.Encode(parameters.Modulus), e = Base64UrlEncoder.Encode(parameters.Exponent) }, new { kty = "oct", kid = "shared", k = "AAAA" } } };
        });
        played.app.MapPost("/token", () => new { token_type = "Bearer", access_token = "access", id_token = played.IdToken() });
        played.app.MapGet("/userinfo", () => Results.Json(played.UserInfo));
        await played.app.StartAsync();
        played.Issuer = played.app.Urls.First();
        foreach (var (name, value) in new Dictionary<string, object>
        {
            ["issuer"] = played.Issuer, ["authorization_endpoint"] = $"{played.Issuer}/auth", ["token_endpoint"] = $"{played.Issuer}/token", ["jwks_uri"] = $"{played.Issuer}/jwks",
            ["userinfo_endpoint"] = $"{played.Issuer}/userinfo",
        }) played.Metadata[name] = value;
        return played;
    }

    public string Sign(IDictionary<string, object> claims, string algorithm = "RS256", SecurityKey? with = null, string? type = "JWT") =>
        new JsonWebTokenHandler { SetDefaultTimesOnTokenCreation = false }.CreateToken(new SecurityTokenDescriptor
        {
            Claims = claims,
            TokenType = type,
            SigningCredentials = new SigningCredentials(with ?? Key, algorithm),
        });

    public async ValueTask DisposeAsync()
    {
        await app.DisposeAsync();
        key.Dispose();
    }
}
