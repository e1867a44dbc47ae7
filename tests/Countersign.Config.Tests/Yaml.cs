using System.Text;

namespace Countersign.Config.Tests;

/// <summary>Short configurations for tests.</summary>
static class Yaml
{
    public const string Minimal = """
        users:
          alice: { groups: [dba] }
        targets:
          shop: { kind: postgres, environment: prod, host: 127.0.0.1, database: shop, user: countersign, password: { env: PW } }

        """;

    public static readonly IReadOnlyDictionary<string, string> Environment = new Dictionary<string, string> { ["PW"] = "correct horse", ["EMPTY"] = "", ["LONG"] = new string('x', 32), ["HOOK"] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" };

    public static ConfigResult Load(string yaml, string folder = "/nowhere") =>
        ConfigFile.Parse(Encoding.UTF8.GetBytes(yaml), Path.Combine(folder, "countersign.yaml"), static name => Environment.GetValueOrDefault(name));

    public static CountersignConfig Good(string yaml, string folder = "/nowhere")
    {
        var result = Load(yaml, folder);
        Assert.True(result.TryGet(out var config), string.Join('\n', result.Errors));
        return config;
    }

    /// <summary>The only error.</summary>
    public static ConfigError Bad(string yaml, string folder = "/nowhere")
    {
        var result = Load(yaml, folder);
        Assert.False(result.TryGet(out _));
        Assert.True(result.Errors.Count == 1, string.Join('\n', result.Errors));
        return result.Errors[0];
    }

    /// <summary>The minimal configuration with a target of these keys instead.</summary>
    public static string Target(string keys) => $$"""
        users: { alice: {} }
        targets:
          shop: { kind: postgres, environment: prod, database: shop, user: countersign, {{keys}} }
        """;
}

/// <summary>A folder that goes away with the test.</summary>
sealed class TempFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("countersign-config-").FullName;

    public string Write(string name, string content, UnixFileMode mode = UnixFileMode.UserRead | UnixFileMode.UserWrite)
    {
        var path = System.IO.Path.Combine(Path, name);
        File.WriteAllText(path, content);
        File.SetUnixFileMode(path, mode);
        return path;
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
