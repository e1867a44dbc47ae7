using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Countersign.Policy.Loading;
using Countersign.Sandbox;

namespace Countersign.Policy.Cedar;

/// <summary>Limits of the Cedar guests.</summary>
public sealed record CedarLimits
{
    /// <summary>One decision's guest: see <see cref="GuestLimits"/> for defaults and reasons.</summary>
    public GuestLimits Guest { get; init; } = new() { StartTime = TimeSpan.FromSeconds(30) };

    /// <summary>Guests per revision: see <see cref="GuestPoolLimits"/>.</summary>
    public GuestPoolLimits Pool { get; init; } = new();

    /// <summary>
    /// Longest time to parse or validate a whole policy set. Default 60 seconds: a thousand policies take about two, and
    /// a load may share a busy machine; nobody waits for it but the author.
    /// </summary>
    public TimeSpan LoadTime { get; init; } = TimeSpan.FromSeconds(60);
}

/// <summary>Cedar's engine, compiled, and a guest for the work that is no decision (parsing, validating). One per process; thread-safe.</summary>
public sealed class CedarRuntime : IDisposable
{
    static readonly JsonSerializerOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    readonly GuestPool<CedarGuest> tools;

    /// <summary>Loads the engine from the cache, or compiles it (seconds, told through the cache's report).</summary>
    public CedarRuntime(SandboxHost host, ModuleCache cache, CedarLimits? limits = null)
    {
        ArgumentNullException.ThrowIfNull(cache);
        Limits = limits ?? new CedarLimits();
        Module = cache.Load(host, "cedar", Shipped.Guest());
        tools = new GuestPool<CedarGuest>(() => new CedarGuest(Module, Limits.Guest), new GuestPoolLimits { Size = 1, Wait = Limits.LoadTime });
        using var version = Ask("getCedarVersion", g => g.Version());
        Version = version.RootElement.GetString()!;
        Schema = new PolicySchema(Shipped.Schema, RequestSchema.Read(this, Shipped.Schema, out var errors) ?? throw new InvalidOperationException("the shipped schema does not parse: " + string.Join("; ", errors.Select(e => e.Message))));
        ShippedPolicies = Load(("countersign:administer.cedar", Shipped.Administer), ("countersign:approve.cedar", Shipped.Approve), ("countersign:mcp.cedar", Shipped.Mcp));
        Untyped = Load(("countersign:untyped.cedar", Shipped.Untyped)).Single();
    }

    IReadOnlyList<LoadedPolicy> Load(params (string, string)[] files)
    {
        var (shipped, faults) = PolicyLoader.Load(this, PolicySnapshot.Of(files), Schema);
        if (faults.Count > 0) throw new InvalidOperationException("the shipped policies do not load: " + string.Join("; ", faults));
        return shipped;
    }

    /// <summary>A whole schema from its text: one that <see cref="Extend"/> made elsewhere. Null, with what Cedar says, when it is none.</summary>
    public PolicySchema? Parse(string text, out IReadOnlyList<string> errors)
    {
        var requests = RequestSchema.Read(this, text, out var faults);
        errors = [.. faults.Select(f => f.Message)];
        return requests is null ? null : new PolicySchema(text, requests);
    }

    /// <summary>The shipped schema with further text in its namespace <c>Mcp</c>; null, with what Cedar says, when that is no schema.</summary>
    public PolicySchema? Extend(string mcp, out IReadOnlyList<string> errors)
    {
        errors = [];
        if (mcp.Length == 0) return Schema;

        // The namespace of what MCP servers offer is the last one of the file, and its brace the last character.
        var shipped = Shipped.Schema.TrimEnd();
        var text = string.Concat(shipped.AsSpan(0, shipped.Length - 1), "\n", mcp, "}\n");
        var requests = RequestSchema.Read(this, text, out var faults);
        if (requests is not null) return new PolicySchema(text, requests);
        errors = [.. faults.Select(f => f.Message)];
        return null;
    }

    /// <summary>Version of Cedar's engine, as it says itself.</summary>
    public string Version { get; }

    internal CedarLimits Limits { get; }
    internal GuestModule Module { get; }

    /// <summary>The shipped schema.</summary>
    public PolicySchema Schema { get; }

    /// <summary>What holds unless a folder brings its own: who approves, who administers, and who looks at calls of tools that nobody has trusted.</summary>
    internal IReadOnlyList<LoadedPolicy> ShippedPolicies { get; }

    /// <summary>What a permit without review becomes that does not mind arguments which no policy can read. Part of no set: it only ever makes stricter.</summary>
    internal LoadedPolicy Untyped { get; }

    internal JsonDocument Invoke<T>(string export, T argument)
    {
        var json = JsonSerializer.SerializeToUtf8Bytes(argument, Json);
        return Ask(export, g => g.Invoke(export, json));
    }

    internal JsonDocument InvokeRaw(string export, ReadOnlyMemory<byte> json) => Ask(export, g => g.Invoke(export, json));

    internal JsonDocument InvokeText(string export, string text) => Ask(export, g => g.InvokeText(export, text));

    JsonDocument Ask(string export, Func<CedarGuest, byte[]> call)
    {
        var result = tools.Call(call, Limits.LoadTime);
        if (!result.IsOk) throw new CedarUnavailableException($"the policy guest gave no answer to `{export}` ({result.Outcome}): {result.Detail}");
        return JsonDocument.Parse(result.Value!, new JsonDocumentOptions { MaxDepth = 512 });
    }

    internal static string Text(JsonElement element) => Encoding.UTF8.GetString(JsonSerializer.SerializeToUtf8Bytes(element, Json));

    /// <summary>Frees the engine. Stores must be gone.</summary>
    public void Dispose()
    {
        tools.Dispose();
        Module.Dispose();
    }
}

/// <summary>The guest that parses and validates trapped, timed out, or ran out of memory: loading fails, and the old revision serves.</summary>
public sealed class CedarUnavailableException(string message) : Exception(message);

/// <summary>What is embedded in this assembly.</summary>
static class Shipped
{
    /// <summary>The text of <c>countersign.cedarschema</c>.</summary>
    public static string Schema { get; } = SchemaText();

    /// <summary>The text of the approve policy that holds unless a folder brings its own.</summary>
    public static string Approve { get; } = Encoding.UTF8.GetString(Bytes("approve.cedar"));

    /// <summary>The text of the policy of calls of tools that nobody has trusted, likewise.</summary>
    public static string Mcp { get; } = Encoding.UTF8.GetString(Bytes("mcp.cedar"));

    /// <summary>The text of what is asked for arguments that no policy can read.</summary>
    public static string Untyped { get; } = Encoding.UTF8.GetString(Bytes("untyped.cedar"));

    /// <summary>The text of the policy of who administers, likewise.</summary>
    public static string Administer { get; } = Encoding.UTF8.GetString(Bytes("administer.cedar"));

    static string SchemaText() => Encoding.UTF8.GetString(Bytes("countersign.cedarschema"));

    public static byte[] Guest() => Bytes("cedar.wasm");

    static byte[] Bytes(string name)
    {
        using var stream = typeof(Shipped).Assembly.GetManifestResourceStream(name) ?? throw new InvalidOperationException($"`{name}` is not in the assembly");
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}
