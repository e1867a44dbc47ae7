using System.Text;

namespace Countersign.PgWire.Tests;

/// <summary>RFC 7628 §3.1, the client's first message.</summary>
public sealed class OAuthBearerTests
{
    private static (bool Ok, string? Token) Read(string message)
    {
        var ok = OAuthBearer.TryRead(Encoding.UTF8.GetBytes(message.Replace('^', '\u0001')), "bot", out var token);
        return (ok, token);
    }

    [Theory]
    [InlineData("n,,^auth=Bearer abc.def-ghi_jkl^^", "abc.def-ghi_jkl")]
    [InlineData("y,,^auth=bearer  abc^^", "abc")]
    [InlineData("n,a=bot,^host=server.example.com^port=143^auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==^^", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==")]
    [InlineData("n,,^auth=^^", null)]
    public void Message_of_the_standard_is_read(string message, string? token) => Assert.Equal((true, token), Read(message));

    [Theory]
    [InlineData("")]
    [InlineData("n,,")]
    [InlineData("n,,^^")]
    [InlineData("n,,^auth=Bearer abc^")]
    [InlineData("n,,auth=Bearer abc^^")]
    [InlineData("p=tls-unique,,^auth=Bearer abc^^")]
    [InlineData("n,a=root,^auth=Bearer abc^^")]
    [InlineData("n,^auth=Bearer abc^^")]
    [InlineData("n,,^auth=Bearer abc^auth=Bearer def^^")]
    [InlineData("n,,^auth=Basic abc^^")]
    [InlineData("n,,^auth=Bearer ^^")]
    [InlineData("n,,^auth=Bearer a b^^")]
    [InlineData("n,,^auth=Bearer a=b^^")]
    [InlineData("n,,^Auth=Bearer abc^^")]
    [InlineData("n,,^a1=x^auth=Bearer abc^^")]
    [InlineData("n,,^=x^auth=Bearer abc^^")]
    [InlineData("n,,^auth=Bearer abc\u0000^^")]
    [InlineData("n,,^auth=Bearer \u00e9^^")]
    [InlineData("n,,^auth=Bearer abc^^^")]
    [InlineData("n,,^auth=Bearer abc^^x")]
    public void P8_anything_else_is_refused(string message) => Assert.Equal((false, null), Read(message));

    [Fact]
    public void Refusal_is_json_that_says_where_tokens_come_from()
    {
        using var json = System.Text.Json.JsonDocument.Parse(OAuthBearer.Refusal("https://id.example.com/\"x/.well-known/openid-configuration"));
        Assert.Equal("invalid_token", json.RootElement.GetProperty("status").GetString());
        Assert.Equal("https://id.example.com/\"x/.well-known/openid-configuration", json.RootElement.GetProperty("openid-configuration").GetString());
        Assert.Equal("{\"status\":\"invalid_token\"}", Encoding.UTF8.GetString(OAuthBearer.Refusal(null)));
        Assert.True(OAuthBearer.IsAcknowledged("\u0001"u8));
        Assert.False(OAuthBearer.IsAcknowledged("\u0001\u0001"u8));
    }
}
