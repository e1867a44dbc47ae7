namespace Countersign.Config.Tests;

public sealed class McpConfigTests
{
    private static string With(string keys) => Yaml.Minimal.Replace("targets:\n", $"targets:\n  files: {{ kind: mcp, environment: prod, {keys} }}\n", StringComparison.Ordinal);

    [Fact]
    public void Server_at_an_address_arrives_with_its_credential_as_a_header()
    {
        var config = Yaml.Good(With("url: https://mcp.example.com/mcp, token: { env: PW }, hold: 5s"), "/etc/countersign");
        var server = Assert.Single(config.McpServers).Value;
        Assert.Equal("https://mcp.example.com/mcp", server.Url!.ToString());
        Assert.Equal("Bearer correct horse", server.Headers["authorization"].Reveal());
        Assert.Equal(TimeSpan.FromSeconds(5), server.Hold);
        Assert.DoesNotContain("correct horse", config.ToString(), StringComparison.Ordinal);
        Assert.Equal("shop", Assert.Single(config.Targets).Key);
    }

    [Fact]
    public void Server_that_is_started_gets_nothing_that_is_not_named()
    {
        var config = Yaml.Good(With("command: node, args: [a.js, '--x=1'], pass-env: [PATH], secret-env: { KEY: { env: PW } }, folder: /"), "/etc/countersign");
        var server = Assert.Single(config.McpServers).Value;
        Assert.Equal(["a.js", "--x=1"], server.Arguments);
        Assert.Equal(["PATH"], server.PassedEnvironment);
        Assert.Equal("correct horse", server.SecretEnvironment["KEY"].Reveal());
        Assert.Equal(("/", TimeSpan.FromSeconds(50)), (server.Folder, server.Hold));
    }

    [Theory]
    [InlineData("hold: 5s", "missing: `url`")]
    [InlineData("url: https://x.example/, command: node", "keep one of them")]
    [InlineData("url: http://mcp.example.com/", "plain http is for loopback only")]
    [InlineData("url: 'https://me:secret@mcp.example.com/'", "not an address")]
    [InlineData("url: https://x.example/, args: [a]", "is for a server that is started")]
    [InlineData("command: node, token: { env: PW }", "is for a server at a `url`")]
    [InlineData("url: https://x.example/, headers: { Host: { env: PW } }", "is set by the gateway itself")]
    [InlineData("url: https://x.example/, token: { env: PW }, headers: { authorization: { env: PW } }", "keep one of them")]
    [InlineData("command: node, pass-env: [LD_PRELOAD]", "dynamic loader")]
    [InlineData("command: node, secret-env: { LD_AUDIT: { env: PW } }", "dynamic loader")]
    [InlineData("command: node, folder: nowhere-at-all", "not a folder")]
    [InlineData("command: node, host: x", "is for a target of kind `postgres`")]
    [InlineData("command: node, hold: 11m", "use 1s to 10m")]
    public void Half_or_mixed_server_is_an_error(string keys, string message)
    {
        var errors = Yaml.Load(With(keys)).Errors;
        Assert.Contains(errors, e => e.ToString().Contains(message, StringComparison.Ordinal));
        Assert.DoesNotContain(errors, static e => e.ToString().Contains("secret@", StringComparison.Ordinal));
    }
}
