using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;

namespace Countersign.Config.Tests;

public sealed class SecretTests
{
    private const string Literal = "hunter2SeCrEt";
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    [Theory]
    [InlineData("password: hunter2SeCrEt")]
    [InlineData("password: \"hunter2SeCrEt\"")]
    [InlineData("password: [hunter2SeCrEt]")]
    [InlineData("password: { hunter2SeCrEt }")]
    [InlineData("password: { hunter2SeCrEt: x }")]
    [InlineData("password: { value: hunter2SeCrEt }")]
    [InlineData("password: { env: hunter2SeCrEt! }")]
    [InlineData("password: { env: [hunter2SeCrEt] }")]
    [InlineData("password: *hunter2SeCrEt")]
    [InlineData("password: &hunter2SeCrEt x")]
    [InlineData("password: !hunter2SeCrEt x")]
    [InlineData("password: \"hunter2SeCrEt\\q\"")]
    [InlineData("password: @hunter2SeCrEt")]
    [InlineData("password: %hunter2SeCrEt")]
    [InlineData("password: `hunter2SeCrEt`")]
    [InlineData("pasword: hunter2SeCrEt, password: { env: PW }")]
    [InlineData("password: { env: PW }, host: 'postgres://u:hunter2SeCrEt@db/shop'")]
    public void P56_Secret_written_into_the_file_is_refused_and_never_repeated(string keys)
    {
        var result = Yaml.Load(Yaml.Target(keys.Contains("host", StringComparison.Ordinal) ? keys : $"host: localhost, {keys}"));
        Assert.False(result.TryGet(out _));
        Assert.NotEmpty(result.Errors);
        Assert.All(result.Errors, static e => Assert.DoesNotContain(Literal, e.ToString(), StringComparison.OrdinalIgnoreCase));
    }

    [Fact]
    public void Literal_secret_is_told_what_to_write_instead() =>
        Assert.Equal(
            "a secret is never written in this file: write `{ env: NAME }` or `{ file: path }`",
            Yaml.Bad(Yaml.Target("host: localhost, password: x")).Message);

    [Theory]
    [InlineData("password: {}", "a secret is never written in this file")]
    [InlineData("password: { env: UNSET }", "the environment variable `UNSET` is not set")]
    [InlineData("password: { env: EMPTY }", "the environment variable `EMPTY` is empty")]
    [InlineData("password: { env: '' }", "not the name of an environment variable")]
    [InlineData("password: { file: missing }", "there is no such file")]
    [InlineData("password: { file: . }", "it is a folder")]
    [InlineData("password: { env: PW, file: x }", "keep one of them")]
    public void P35_Target_whose_password_resolves_to_nothing_refuses_to_start(string keys, string message)
    {
        using var folder = new TempFolder();
        var error = Yaml.Bad(Yaml.Target($"host: localhost, {keys}"), folder.Path);
        Assert.StartsWith("targets.shop.password", error.Path, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("s3cret", "s3cret")]
    [InlineData("s3cret\n", "s3cret")]
    [InlineData("s3cret\r\n", "s3cret")]
    [InlineData("  s3cret  \n", "  s3cret  ")]
    public void Secret_file_loses_one_line_break_and_nothing_else(string content, string expected)
    {
        using var folder = new TempFolder();
        folder.Write("pw", content);
        var config = Yaml.Good(Yaml.Target("host: localhost, password: { file: pw }"), folder.Path);
        Assert.Equal(expected, config.Targets["shop"].Password.Reveal());
    }

    [Theory]
    [InlineData("", "is empty")]
    [InlineData("\n", "is empty")]
    [InlineData("one\ntwo\n", "control character")]
    public void Secret_file_that_holds_something_else_is_refused(string content, string message)
    {
        using var folder = new TempFolder();
        folder.Write("pw", content);
        Assert.Contains(message, Yaml.Bad(Yaml.Target("host: localhost, password: { file: pw }"), folder.Path).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(UnixFileMode.OtherRead)]
    [InlineData(UnixFileMode.OtherWrite)]
    public void P35_Secret_file_that_everybody_can_read_or_write_refuses_to_start(UnixFileMode other)
    {
        using var folder = new TempFolder();
        folder.Write("pw", Literal, Private | other);
        var error = Yaml.Bad(Yaml.Target("host: localhost, password: { file: pw }"), folder.Path);
        Assert.Contains("chmod o-rw", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(Literal, error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Secret_file_of_the_group_is_accepted_since_that_is_how_orchestrators_mount_it()
    {
        using var folder = new TempFolder();
        folder.Write("pw", Literal, Private | UnixFileMode.GroupRead);
        Assert.Equal(Literal, Yaml.Good(Yaml.Target("host: localhost, password: { file: pw }"), folder.Path).Targets["shop"].Password.Reveal());
    }

    [Fact]
    public void P56_Secret_is_three_stars_in_records_texts_and_json()
    {
        var target = Yaml.Good(Yaml.Minimal).Targets["shop"];
        Assert.Equal("***", target.Password.ToString());
        Assert.Contains("Password = ***", target.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("horse", target.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("horse", JsonSerializer.Serialize(target), StringComparison.Ordinal);
        Assert.Equal(new Secret("a").GetHashCode(), new Secret("b").GetHashCode());
    }

    [Fact]
    public void Listener_certificate_is_read_and_checked_against_its_key()
    {
        using var folder = new TempFolder();
        Certificate(folder, "a", "1.3.6.1.5.5.7.3.1");
        Certificate(folder, "b", null);

        var good = Yaml.Good(Yaml.Minimal + Tls("a.crt", "a.key") + ", http: '0.0.0.0:1', postgres: '0.0.0.0:2' }", folder.Path);
        Assert.Equal(Path.Combine(folder.Path, "a.crt"), good.Listen.Tls!.CertificateFile);
        Yaml.Good(Yaml.Minimal + Tls("b.crt", "b.key") + " }", folder.Path);

        Assert.Contains("do not belong together", Yaml.Bad(Yaml.Minimal + Tls("a.crt", "b.key") + " }", folder.Path).Message, StringComparison.Ordinal);
        Assert.Contains("do not belong together", Yaml.Bad(Yaml.Minimal + Tls("a.key", "a.key") + " }", folder.Path).Message, StringComparison.Ordinal);
        Assert.Contains("no such file", Yaml.Bad(Yaml.Minimal + Tls("a.crt", "c.key") + " }", folder.Path).Message, StringComparison.Ordinal);
        Assert.Contains("remove one of them", Yaml.Bad(Yaml.Minimal + Tls("a.crt", "a.key") + ", insecure: true }", folder.Path).Message, StringComparison.Ordinal);
        Assert.Equal("listen.tls.key", Yaml.Bad(Yaml.Minimal + "listen: { tls: { certificate: { file: a.crt } } }", folder.Path).Path);
        Assert.Equal("write `{ file: path }`", Yaml.Bad(Yaml.Minimal + "listen: { tls: { certificate: a.crt, key: { file: a.key } } }", folder.Path).Message);

        File.SetUnixFileMode(Path.Combine(folder.Path, "a.key"), Private | UnixFileMode.OtherRead);
        Assert.Contains("chmod o-rw", Yaml.Bad(Yaml.Minimal + Tls("a.crt", "a.key") + " }", folder.Path).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void P35_Certificate_made_for_something_else_is_no_listener_certificate()
    {
        using var folder = new TempFolder();
        Certificate(folder, "client", "1.3.6.1.5.5.7.3.2");
        Assert.Contains("serverAuth", Yaml.Bad(Yaml.Minimal + Tls("client.crt", "client.key") + " }", folder.Path).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Target_authorities_must_be_certificates_and_must_be_used()
    {
        using var folder = new TempFolder();
        Certificate(folder, "ca", null);
        folder.Write("empty.crt", "nothing here");

        Assert.NotNull(Yaml.Good(Yaml.Target("host: db, password: { env: PW }, ca: { file: ca.crt }"), folder.Path).Targets["shop"].CaFile);
        Assert.Equal("the file holds no PEM certificate", Yaml.Bad(Yaml.Target("host: db, password: { env: PW }, ca: { file: empty.crt }"), folder.Path).Message);
        Assert.Equal("targets.shop.ca", Yaml.Bad(Yaml.Target("host: db, tls: require, password: { env: PW }, ca: { file: ca.crt }"), folder.Path).Path);
    }

    private static string Tls(string certificate, string key) => $"listen: {{ tls: {{ certificate: {{ file: {certificate} }}, key: {{ file: {key} }} }}";

    private static void Certificate(TempFolder folder, string name, string? purpose)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        if (purpose is not null) request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(purpose)], critical: false));
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddYears(100));
        folder.Write($"{name}.crt", certificate.ExportCertificatePem());
        folder.Write($"{name}.key", key.ExportPkcs8PrivateKeyPem());
    }
}
