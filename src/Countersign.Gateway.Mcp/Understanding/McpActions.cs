using System.Text.Json;
using Countersign.Config;
using Countersign.Core;
using Countersign.Gateway.Mcp.Wire;

namespace Countersign.Gateway.Mcp.Understanding;

/// <summary>What a request is understood as, or why it is not.</summary>
internal sealed record Understood(GatewayAction? Action, string? ReasonCode = null, string? Message = null, string? Hint = null);

/// <summary>Turns requests of one agent to one server into actions.</summary>
internal sealed class McpActions(McpServerConfig server, ToolTrust trust)
{
    public const string Kind = "mcp";

    public TargetRef Target { get; } = new(server.Name, Kind, server.Environment);

    /// <summary>How a tool stands: trusted as it is, changed since, or never looked at.</summary>
    public ToolState StateOf(ToolDefinition definition) => trust.Find(server.Name, definition.Name) is not { } trusted ? ToolState.Unknown : trusted.Sha256 == definition.Sha256 ? ToolState.Trusted : ToolState.Changed;

    /// <summary>The effect of calling a tool with these arguments; with null, of calling it at all.</summary>
    public Effect EffectOf(ToolDefinition definition, Arguments? arguments)
    {
        var resource = new ResourceRef(McpWords.Tool, $"{server.Name}/{definition.Name}");
        var facts = new Dictionary<string, FactValue>(StringComparer.Ordinal);
        if (arguments is { Untyped: true }) facts.Add(McpWords.Untyped, true);
        if (StateOf(definition) != ToolState.Trusted) return new Effect(Verb.Administer, McpWords.UnknownTool, resource) { Facts = facts };
        if (arguments?.Typed is { } typed) facts.Add(McpWords.Arguments, typed);
        return new Effect(trust.Find(server.Name, definition.Name)!.Verb, McpWords.Call(server.Name, definition.Name), resource) { Facts = facts };
    }

    /// <summary>A call of a tool. <paramref name="definition"/> null: the server has no such tool.</summary>
    public Understood Call(ActorChain actors, ToolDefinition? definition, JsonElement? arguments, CallParameters parameters)
    {
        if (definition is null) return new Understood(null, ReasonCodes.UnknownTool, "there is no such tool here", "list the tools again, and call one that is there.");
        var known = trust.Of(server.Name, definition.Name);
        if (StateOf(definition) == ToolState.Changed)
        {
            return new Understood(null, ReasonCodes.ToolChanged, $"the definition of tool `{definition.Name}` has changed since an operator trusted it", "it is withheld until an operator has looked at the change (`countersign mcp tools`). Do without it, or ask your human.");
        }

        if (arguments is { } value && value.ValueKind != JsonValueKind.Object) return new Understood(null, ReasonCodes.Unparseable, "the arguments are no object", "send `arguments` as a JSON object.");
        var read = Arguments.Read(arguments, known?.Shape, known?.Secrets ?? []);
        if (read.Malformed) return new Understood(null, ReasonCodes.NotUtf8, "an argument holds a text that is no valid Unicode", "send it as UTF-8, without halves of surrogate pairs.");
        return new Understood(Action(actors, "tools/call", parameters, EffectOf(definition, read), $"{definition.Name} on {server.Name}\n\n{read.Table}", Claims(definition, known is null)) with
        {
            Settings = new Dictionary<string, string> { ["definition"] = definition.Sha256, ["trusted"] = known is null ? "no" : "yes" },
        });
    }

    public Understood Resource(ActorChain actors, string operation, string uri, CallParameters parameters)
    {
        // A name is in entries and in what policies read, and can not be masked there without being another name.
        if (Arguments.HoldsSecret(uri)) return new Understood(null, ReasonCodes.NotSupported, "the URI holds what has the form of a credential", "name the resource without it.");
        var effect = new Effect(Verb.Read, operation == "resources/read" ? McpWords.ReadResource : McpWords.SubscribeResource, ResourceOf(uri)) { Facts = new Dictionary<string, FactValue> { [McpWords.Uri] = uri } };
        return new Understood(Action(actors, operation, parameters, effect, $"{operation} on {server.Name}\n\nuri  {uri}", []));
    }

    public Understood Prompt(ActorChain actors, string name, JsonElement? arguments, CallParameters parameters)
    {
        var read = Arguments.Read(arguments, null, new HashSet<string>());
        return read.Malformed
            ? new Understood(null, ReasonCodes.NotUtf8, "an argument holds a text that is no valid Unicode", "send it as UTF-8.")
            : new Understood(Action(actors, "prompts/get", parameters, new Effect(Verb.Read, McpWords.GetPrompt, PromptOf(name)), $"prompt {name} of {server.Name}\n\n{read.Table}", []));
    }

    public Understood Completion(ActorChain actors, JsonElement? of, CallParameters parameters)
    {
        var resource = RpcMessage.Text(of, "type") switch
        {
            "ref/prompt" when RpcMessage.Text(of, "name") is { } name => PromptOf(name),
            "ref/resource" when RpcMessage.Text(of, "uri") is { } uri => ResourceOf(uri),
            _ => null,
        };
        return resource is null
            ? new Understood(null, ReasonCodes.Unparseable, "there is no such thing to complete", "name a prompt or a resource template in `ref`.")
            : new Understood(Action(actors, "completion/complete", parameters, new Effect(Verb.Read, McpWords.Complete, resource), $"completion for {resource.Id}", []));
    }

    public ResourceRef ResourceOf(string uri) => new(McpWords.Resource, $"{server.Name}/{uri}");

    public ResourceRef PromptOf(string name) => new(McpWords.Prompt, $"{server.Name}/{name}");

    private GatewayAction Action(ActorChain actors, string operation, CallParameters parameters, Effect effect, string shown, IReadOnlyList<string> notes) => new()
    {
        Id = ActionId.New(),
        Actors = actors,
        Target = Target,
        Effects = [effect],
        Payload = new ActionPayload(Kind, operation, parameters.Governed) { DisplayText = shown },
        Settings = new Dictionary<string, string>(),
        Intent = parameters.Intent,
        Notes = notes,
    };

    /// <summary>What the server says of its tool: told as what it says, and never a reason for anything (P45).</summary>
    private static List<string> Claims(ToolDefinition definition, bool unknown)
    {
        var notes = new List<string>();
        if (unknown) notes.Add("No operator has trusted this tool: what it does is not known, and its arguments have no types that anybody vouches for.");
        if (!definition.Element.TryGetProperty("annotations", out var annotations) || annotations.ValueKind != JsonValueKind.Object) return notes;
        var said = annotations.EnumerateObject().Where(static a => a.Value.ValueKind is JsonValueKind.True or JsonValueKind.False && a.Name.EndsWith("Hint", StringComparison.Ordinal) && a.Name.Length <= 64).Select(static a => $"{a.Name[..^4]}: {(a.Value.GetBoolean() ? "yes" : "no")}").ToArray();
        if (said.Length > 0) notes.Add($"The server says of its tool, and nobody has checked: {string.Join(", ", said)}.");
        return notes;
    }
}

/// <summary>How a tool stands with the operator.</summary>
public enum ToolState
{
    /// <summary>Never looked at: a call of it needs a review.</summary>
    Unknown,
    Trusted,

    /// <summary>Defined otherwise than when it was trusted: withheld.</summary>
    Changed,
}
