using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Countersign.Core;
using Countersign.Journal;

namespace Countersign.Gateway.Mcp.Understanding;

/// <summary>A tool that an operator has looked at: in which verb group it is, and exactly which definition he saw.</summary>
/// <param name="Server">Name of the target.</param>
/// <param name="Name">Of the tool.</param>
/// <param name="Verb">Its group, as he chose it. What the server says of itself has no part in it (P45).</param>
/// <param name="Sha256">Of the definition.</param>
/// <param name="Definition">The definition itself, for the next one to be compared with.</param>
/// <param name="Secrets">Arguments that hold secrets, as dotted paths.</param>
public sealed record TrustedTool(string Server, string Name, Verb Verb, string Sha256, string Definition, IReadOnlyList<string> Secrets, string By, DateTimeOffset At)
{
    /// <summary>`server/tool`.</summary>
    public string Id => $"{Server}/{Name}";
}

public enum TrustStatus
{
    Done,

    /// <summary>Policies that are in force do not fit the schema that would come of it; the detail has Cedar's words.</summary>
    PoliciesDoNotFit,
    Unavailable,
}

/// <summary>What came of trusting a tool.</summary>
public sealed record TrustResult(TrustStatus Status, string Detail = "");

/// <summary>
/// Which tools are trusted, pinned by the hash of their definitions. Each change is journalled with its author in the transaction that
/// makes it (I11), and brings a schema of policies with it. Thread-safe.
/// </summary>
public sealed class ToolTrust
{
    private const string Collection = "mcp-tools";
    private const string Seen = "mcp-tools-changed";

    private readonly IStateReader reader;
    private readonly JournalAppender journal;
    private readonly TimeProvider time;
    private readonly Func<string, IReadOnlyList<string>> useSchema;
    private readonly ConcurrentDictionary<string, (TrustedTool Tool, ArgumentShape Shape, HashSet<string> Secrets)> tools = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim changing = new(1, 1);

    /// <param name="useSchema">Takes the schema of all trusted tools into force, or says why the policies do not fit it.</param>
    public ToolTrust(IStateReader reader, JournalAppender journal, TimeProvider time, Func<string, IReadOnlyList<string>> useSchema)
    {
        this.reader = reader;
        this.journal = journal;
        this.time = time;
        this.useSchema = useSchema;
        foreach (var tool in Load(reader)) Keep(tool);
    }

    /// <summary>What operators have trusted so far; for the schema that policies are loaded with, before anything else is there.</summary>
    public static IReadOnlyList<TrustedTool> Load(IStateReader reader) => reader.List(Collection).Select(static d => JsonSerializer.Deserialize(d.Value, TrustJson.Default.TrustedTool)!).ToArray();

    public IReadOnlyList<TrustedTool> List() => tools.Values.Select(static t => t.Tool).OrderBy(static t => t.Id, StringComparer.Ordinal).ToArray();

    public TrustedTool? Find(string server, string name) => tools.TryGetValue($"{server}/{name}", out var known) ? known.Tool : null;

    internal (TrustedTool Tool, ArgumentShape Shape, HashSet<string> Secrets)? Of(string server, string name) => tools.TryGetValue($"{server}/{name}", out var known) ? known : null;

    /// <summary>The actions of trusted tools in Cedar's schema language, for the namespace `Mcp`.</summary>
    public static string SchemaOf(IEnumerable<TrustedTool> trusted)
    {
        var text = new StringBuilder();
        foreach (var tool in trusted.OrderBy(static t => t.Id, StringComparer.Ordinal))
        {
            var shape = ToolDefinition.Parse(tool.Definition) is { } definition ? ArgumentShape.OfTool(definition.Element) : new ArgumentShape(ShapeKind.Record);
            text.Append(CultureInfo.InvariantCulture, $$"""
                  action "{{tool.Id}}" in ["call-tool", Action::"{{tool.Verb.ToString().ToLowerInvariant()}}"] appliesTo {
                    principal: [Agent],
                    resource: [Tool],
                    context: {
                      target: TargetInfo, intent: IntentClaims, time: Moment, untyped?: Bool,
                      arguments?: {{shape.ToCedar()}},
                    },
                  };

                """);
        }

        return text.ToString();
    }

    /// <summary>Trusts this definition of a tool from now on, in place of an earlier one.</summary>
    internal async Task<TrustResult> TrustAsync(string server, ToolDefinition definition, Verb verb, IReadOnlyList<string> secrets, PrincipalRef author)
    {
        await changing.WaitAsync().ConfigureAwait(false);
        try
        {
            var tool = new TrustedTool(server, definition.Name, verb, definition.Sha256, definition.Text, secrets.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray(), author.Name, time.GetUtcNow());
            var before = Find(server, definition.Name);
            if (useSchema(SchemaOf(List().Where(t => t.Id != tool.Id).Append(tool))) is { Count: > 0 } errors) return new TrustResult(TrustStatus.PoliciesDoNotFit, string.Join("; ", errors));
            var changed = reader.Get(Seen, tool.Id);
            var result = await journal.WriteAsync(new WriteSet(
                [new EntryDraft("tool-trusted",
                    CanonicalJson.Object(("target", server), ("verb", verb.ToString().ToLowerInvariant()), ("sha256", tool.Sha256), ("before", before is null ? null : (CanonicalJson)before.Sha256), ("author", author.Id.Value)),
                    CanonicalJson.Object(("tool", definition.Name), ("author", author.Name), ("definition", tool.Definition), ("secrets", CanonicalJson.Strings(tool.Secrets))))],
                [new StateChange.Put(Collection, tool.Id, reader.Get(Collection, tool.Id)?.Version ?? 0, null, JsonSerializer.SerializeToUtf8Bytes(tool, TrustJson.Default.TrustedTool)),
                    .. changed is null ? [] : (StateChange[])[new StateChange.Delete(Seen, tool.Id, changed.Version)]])).ConfigureAwait(false);
            if (result.Status == WriteStatus.Committed)
            {
                Keep(tool);
                return new TrustResult(TrustStatus.Done);
            }

            useSchema(SchemaOf(List()));
            return new TrustResult(TrustStatus.Unavailable, "the journal can not be written, and nothing was changed");
        }
        finally
        {
            changing.Release();
        }
    }

    /// <summary>Journals that a trusted tool is defined otherwise now, once for each definition. It is withheld until somebody looks, whether or not this could be written.</summary>
    internal async Task ChangedAsync(TrustedTool trusted, ToolDefinition now)
    {
        if (Changed(trusted.Server, trusted.Name)?.Sha256 == now.Sha256) return;
        var known = reader.Get(Seen, trusted.Id);
        await journal.WriteAsync(new WriteSet(
            [new EntryDraft("tool-changed",
                CanonicalJson.Object(("target", trusted.Server), ("sha256", now.Sha256), ("trusted", trusted.Sha256), ("reason", ReasonCodes.ToolChanged)),
                CanonicalJson.Object(("tool", trusted.Name), ("definition", now.Text)))],
            [new StateChange.Put(Seen, trusted.Id, known?.Version ?? 0, null, JsonSerializer.SerializeToUtf8Bytes(new SeenTool(now.Sha256, now.Text, time.GetUtcNow()), TrustJson.Default.SeenTool))])).ConfigureAwait(false);
    }

    /// <summary>The definition that waits for somebody to look at it; null when none does.</summary>
    public SeenTool? Changed(string server, string name) => reader.Get(Seen, $"{server}/{name}") is { } document ? JsonSerializer.Deserialize(document.Value, TrustJson.Default.SeenTool) : null;

    private void Keep(TrustedTool tool) => tools[tool.Id] = (tool, ToolDefinition.Parse(tool.Definition) is { } definition ? ArgumentShape.OfTool(definition.Element) : new ArgumentShape(ShapeKind.Record), tool.Secrets.ToHashSet(StringComparer.Ordinal));
}

/// <summary>A definition that a server gave and nobody has looked at.</summary>
public sealed record SeenTool(string Sha256, string Definition, DateTimeOffset At);

[JsonSerializable(typeof(TrustedTool))]
[JsonSerializable(typeof(SeenTool))]
[JsonSourceGenerationOptions(UseStringEnumConverter = true)]
internal sealed partial class TrustJson : JsonSerializerContext;
