using System.Text;

namespace Countersign.Config.Tests;

public sealed class ErrorTests
{
    [Fact]
    public void Every_error_is_reported_at_once_in_file_order_with_its_place()
    {
        var result = Yaml.Load("""
            listen:
              htp: 127.0.0.1:1
              postgres: nowhere
            hold: { notice: soon }
            users:
              "a,b": { groups: [dba] }
            targets:
              shop:
                kind: oracle
                port: 70000
            """);

        Assert.Equal(
            [
                "2:3: listen.htp: unknown key `htp`; did you mean `http`?",
                "3:13: listen.postgres: `nowhere` is not an address and port, such as `127.0.0.1:8080` or `[::1]:8080`",
                "4:17: hold.notice: `soon` is not a duration; write a whole number and a unit: `90s`, `10m`, `1h`",
                "6:3: users[\"a,b\"]: `a,b` is no name for a user: use 1 to 63 letters, digits and `.` `_` `@` `-`, starting with a letter or a digit",
                "9:5: targets.shop.environment: missing: `environment`, such as `prod`; policies decide by it",
                "9:5: targets.shop.host: missing: `host`, a name or an address",
                "9:5: targets.shop.database: missing: `database`, the one database that agents reach",
                "9:5: targets.shop.user: missing: `user`, the gateway's own role on the target",
                "9:5: targets.shop.password: missing: `password`, as `{ env: NAME }` or `{ file: path }`",
                "9:11: targets.shop.kind: `oracle` is not a kind of target; use `postgres` or `mcp`",
                "10:11: targets.shop.port: `70000` is not a whole number from 1 to 65535",
            ],
            result.Errors.Select(static e => e.ToString()));
        Assert.False(result.TryGet(out _));
    }

    [Theory]
    [InlineData("polices: x", "unknown key `polices`; did you mean `policies`?")]
    [InlineData("telemtry: {}", "unknown key `telemtry`; did you mean `telemetry`?")]
    [InlineData("limits: { pending_per_agent: 1 }", "unknown key `pending_per_agent`; did you mean `pending-per-agent`?")]
    [InlineData("storage: postgres", "unknown key `storage`")]
    [InlineData("governance: { cooldown: 1h }", "unknown key `cooldown`")]
    public void Unknown_key_is_refused_and_a_near_one_is_offered(string line, string message) =>
        Assert.Equal(message, Yaml.Bad(Yaml.Minimal + line).Message);

    [Fact]
    public void Duplicate_key_is_refused_where_it_is_repeated()
    {
        var error = Yaml.Bad(Yaml.Minimal + "data: a\ndata: b\n");
        Assert.Equal("key `data` was already given on line 5; keep one of them", error.Message);
        Assert.Equal((6, 1), (error.Line, error.Column));
    }

    [Theory]
    [InlineData("data: &a x", "YAML anchors")]
    [InlineData("data: *a", "YAML aliases")]
    [InlineData("hold: { <<: { notice: 1s } }", "YAML merge keys")]
    [InlineData("data: !!str x", "YAML tags")]
    [InlineData("data: !x x", "YAML tags")]
    [InlineData("? [a, b]\n: c", "a key must be text")]
    [InlineData("---\ndata: x", "second YAML document")]
    [InlineData("data: [", "not valid YAML")]
    [InlineData("\tdata: x", "not valid YAML")]
    public void Yaml_that_means_more_than_it_shows_is_refused(string line, string message) =>
        Assert.Contains(message, Yaml.Bad(Yaml.Minimal + line).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("")]
    [InlineData("# nothing but a comment\n")]
    public void Empty_file_is_refused(string yaml) => Assert.Equal("the file is empty", Yaml.Bad(yaml).Message);

    [Theory]
    [InlineData("data:", "data", "has no value; give it one or remove the key")]
    [InlineData("hold:", "hold", "has no value; give it one, or write `{}`, or remove the key")]
    [InlineData("hold: 5m", "hold", "expected a map of keys and values")]
    [InlineData("groups: dba", "groups", "expected a list, such as `[a, b]`")]
    [InlineData("data: [a]", "data", "expected one value, not a list or a map")]
    public void Value_of_the_wrong_kind_is_refused(string line, string path, string message)
    {
        var error = Yaml.Bad(Yaml.Minimal + line);
        Assert.Equal((path, message), (error.Path, error.Message));
    }

    [Theory]
    [InlineData("hold: { notice: 10 }")]
    [InlineData("hold: { notice: -1s }")]
    [InlineData("hold: { notice: 1.5m }")]
    [InlineData("hold: { notice: 0s }")]
    [InlineData("hold: { notice: 6m }")]
    [InlineData("hold: { detached: 25h }")]
    [InlineData("hold: { transaction: 11m }")]
    [InlineData("hold: { transaction: 9999999h }")]
    [InlineData("hold: { transaction: 2m, connection: 1m }")]
    [InlineData("limits: { pending-per-agent: 0 }")]
    [InlineData("limits: { pending-per-agent: 1001 }")]
    [InlineData("limits: { pending-per-agent: 0x10 }")]
    [InlineData("limits: { pending-per-agent: 1e2 }")]
    [InlineData("limits: { pending-per-agent: ٣ }")]
    [InlineData("limits: { connections: 5, connections-per-agent: 6 }")]
    [InlineData("limits: { message-bytes: 99999999999999999999 }")]
    [InlineData("classification: { bounded-rows: 0 }")]
    public void Number_or_duration_out_of_its_bounds_is_refused(string line) =>
        Assert.NotEmpty(Yaml.Bad(Yaml.Minimal + line).Path);

    [Theory]
    [InlineData("listen: { http: 8080 }")]
    [InlineData("listen: { http: ':8080' }")]
    [InlineData("listen: { http: '127.0.0.1:' }")]
    [InlineData("listen: { http: '127.0.0.1:65536' }")]
    [InlineData("listen: { http: '127.0.0.1:-1' }")]
    [InlineData("listen: { http: '127.1:80' }")]
    [InlineData("listen: { http: '2130706433:80' }")]
    [InlineData("listen: { http: '::1:80' }")]
    [InlineData("listen: { http: 'example.org:80' }")]
    [InlineData("listen: { http: '127.0.0.1:6543' }")]
    public void Endpoint_that_could_be_misread_is_refused(string line) => Yaml.Bad(Yaml.Minimal + line);

    [Theory]
    [InlineData("listen: { http: '0.0.0.0:8080' }", "listen.http")]
    [InlineData("listen: { postgres: '[::]:6543' }", "listen.postgres")]
    [InlineData("listen: { postgres: '10.1.2.3:6543', insecure: false }", "listen.postgres")]
    public void Listener_beyond_loopback_without_tls_is_refused(string line, string path)
    {
        var error = Yaml.Bad(Yaml.Minimal + line);
        Assert.Equal(path, error.Path);
        Assert.Contains("listen.insecure", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Listener_beyond_loopback_without_tls_is_accepted_when_said_on_purpose() =>
        Assert.True(Yaml.Good(Yaml.Minimal + "listen: { postgres: '0.0.0.0:6543', insecure: true }").Listen.Insecure);

    [Theory]
    [InlineData("listen: { insecure: yes }")]
    [InlineData("listen: { insecure: 'true' }")]
    [InlineData("listen: { insecure: True }")]
    public void Flag_has_two_spellings_only(string line) => Assert.Equal("listen.insecure", Yaml.Bad(Yaml.Minimal + line).Path);

    [Fact]
    public void File_that_is_too_large_too_deep_or_too_many_is_refused()
    {
        Assert.Contains("larger than", Yaml.Bad(Yaml.Minimal + "#" + new string('x', ConfigLimits.FileBytes)).Message, StringComparison.Ordinal);
        Assert.Contains("levels deep", Yaml.Bad("data: " + new string('[', 200_000)).Message, StringComparison.Ordinal);
        Assert.Contains("values", Yaml.Bad("data: [" + string.Concat(Enumerable.Repeat("a,", 60_000)) + "a]").Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Errors_are_bounded_and_the_rest_is_counted()
    {
        var yaml = Yaml.Minimal + string.Concat(Enumerable.Range(0, 150).Select(static i => $"unknown{i}: x\n"));
        var errors = Yaml.Load(yaml).Errors;
        Assert.Equal(ConfigLimits.Errors + 1, errors.Count);
        Assert.Equal("and 50 more; correct these first", errors[^1].Message);
    }

    [Fact]
    public void Bytes_that_are_not_utf8_are_refused()
    {
        var result = ConfigFile.Parse([.. Encoding.UTF8.GetBytes(Yaml.Minimal), 0xC3, 0x28], "/x/countersign.yaml", static _ => "x");
        Assert.Equal("the file is not valid UTF-8", Assert.Single(result.Errors).Message);
    }

    [Fact]
    public void Byte_order_mark_is_no_part_of_the_first_key() =>
        Assert.True(ConfigFile.Parse([0xEF, 0xBB, 0xBF, .. Encoding.UTF8.GetBytes(Yaml.Minimal)], "/x/countersign.yaml", static _ => "x").TryGet(out _));

    [Fact]
    public void File_that_is_not_there_is_one_plain_error()
    {
        var result = ConfigFile.Load("/nowhere/countersign.yaml", static _ => null);
        Assert.Equal("can not read `/nowhere/countersign.yaml`: there is no such file", Assert.Single(result.Errors).ToString());
    }

    [Fact]
    public void Control_and_bidirectional_characters_of_the_input_are_made_visible()
    {
        var error = Yaml.Bad(Yaml.Minimal + "\"da\\u202Eta\\u001b[31m\": x");
        Assert.Contains(@"\u{202e}", error.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain('\u202e', error.ToString());
        Assert.DoesNotContain('\u001b', error.ToString());
    }
}
