using System.Text.Json;
using Countersign.Core;
using Countersign.Gateway.Mcp.Understanding;
using Countersign.Gateway.Mcp.Upstream;
using Countersign.Gateway.Mcp.Wire;
using Countersign.Reviews;
using Microsoft.AspNetCore.Http;

namespace Countersign.Gateway.Mcp;

public sealed partial class McpGateway
{
    private static readonly string[] LogLevels = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

    /// <summary>What is not on this list is not forwarded (I1).</summary>
    private async Task<ServerAnswer> AnswerAsync(McpSession session, ClientRequest request, RpcMessage message, Caller caller, HttpContext http)
    {
        var to = session.Server;
        if (CallParameters.HoldsUnknown(message.Method, message.Params, request.IsStateless))
        {
            var refused = await spine.RefuseAsync(caller.Actors, to.Actions.Target, ReasonCodes.NotSupported, "the parameters hold a member that this method does not have", "nothing was sent to the server. Send what the specification has for it, in its spelling; tasks are not spoken here.", message.Method).ConfigureAwait(false);
            return new ServerAnswer(RpcWriter.ErrorValue(RpcWriter.InvalidParams, $"countersign: {refused.Message}. {refused.Hint}"), IsError: true);
        }

        switch (message.Method)
        {
            case "server/discover" when request.IsStateless: return new ServerAnswer(Discovered(session), IsError: false);
            case "ping": return new ServerAnswer("{}"u8.ToArray(), IsError: false);
            case "tools/list": return new ServerAnswer(await ToolsAsync(session, caller, http.RequestAborted).ConfigureAwait(false), IsError: false);
            case "tools/call": return await CallAsync(session, request, message, caller, http).ConfigureAwait(false);
            case "prompts/list": return await ListAsync(session, message, caller, "prompts", "name", static (a, name) => new Effect(Verb.Read, McpWords.GetPrompt, a.PromptOf(name)), http).ConfigureAwait(false);
            case "resources/list": return await ListAsync(session, message, caller, "resources", "uri", static (a, uri) => new Effect(Verb.Read, McpWords.ReadResource, a.ResourceOf(uri)), http).ConfigureAwait(false);
            case "resources/templates/list": return await ListAsync(session, message, caller, "resourceTemplates", "uriTemplate", static (a, uri) => new Effect(Verb.Read, McpWords.ReadResource, a.ResourceOf(uri)), http).ConfigureAwait(false);
            case "logging/setLevel" when LogLevels.Contains(RpcMessage.Text(message.Params, "level"), StringComparer.Ordinal):
                return await session.Link.RequestAsync(session.Link.NextId(), message.Method, RpcMessage.Raw(message.Params!.Value), null, limits.Connect, http.RequestAborted).ConfigureAwait(false);
        }

        if (CallParameters.Read(message.Params, Claims(http)) is not { } parameters) return Invalid("the parameters are not of the form that the protocol gives them");
        var actors = caller.Actors;
        Func<Understood>? understand = message.Method switch
        {
            "resources/read" or "resources/subscribe" or "resources/unsubscribe" when RpcMessage.Text(message.Params, "uri") is { } uri => () => to.Actions.Resource(actors, message.Method, uri, parameters),
            "prompts/get" when RpcMessage.Text(message.Params, "name") is { } name => () => to.Actions.Prompt(actors, name, Member(message.Params, "arguments"), parameters),
            "completion/complete" => () => to.Actions.Completion(actors, Member(message.Params, "ref"), parameters),
            _ => null,
        };
        if (understand is null) return Unknown();
        var answer = await SubmitAsync(session, request, caller, parameters, message.Method, () => ValueTask.FromResult(understand()), http, stored: null).ConfigureAwait(false);
        return answer.Refusal is { } refusal ? new ServerAnswer(Refusals.AsError(refusal), IsError: true) : answer.Answer!;

        static ServerAnswer Unknown() => new(RpcWriter.ErrorValue(RpcWriter.MethodNotFound, "countersign: this is not passed on; what is not understood is not forwarded"), IsError: true);
        static ServerAnswer Invalid(string words) => new(RpcWriter.ErrorValue(RpcWriter.InvalidParams, $"countersign: {words}"), IsError: true);
    }

    private static JsonElement? Member(JsonElement? of, string name) => of is { } value && value.TryGetProperty(name, out var member) ? member : null;

    /// <summary>What the agent says in headers of ours, for clients that can not set `_meta`.</summary>
    private static Intent Claims(HttpContext http)
    {
        return new Intent(Said("Countersign-Reason"), Said("Countersign-Ticket"), Said("Countersign-Task"), Said("Countersign-Model"));

        string? Said(string name) => http.Request.Headers[name] is [{ Length: > 0 and <= 4000 } text] ? text : null;
    }

    private async Task NotifiedAsync(McpSession session, RpcMessage message)
    {
        switch (message.Method)
        {
            case "notifications/cancelled": session.Cancel(message.Params); break;
            case "notifications/roots/list_changed": await session.Link.TellAsync(message.Method, message.Params is { } p ? RpcMessage.Raw(p) : default).ConfigureAwait(false); break;

            // `initialized` was said by the gateway itself; anything else means nothing here and goes no further.
        }
    }

    // ---- lists ----

    /// <summary>
    /// The tools that policy could permit to this agent. A trusted one is shown as its server defines it; one that nobody has looked at by
    /// its name alone, since what it says of itself would be read by a model before any human has (P45); a changed one not at all.
    /// </summary>
    private async Task<byte[]> ToolsAsync(McpSession session, Caller caller, CancellationToken ct)
    {
        var actions = session.Server.Actions;
        var shown = new List<ReadOnlyMemory<byte>>();
        var tools = new List<ToolDefinition>();
        foreach (var tool in await session.ToolsAsync(fresh: false, ct).ConfigureAwait(false))
        {
            if (actions.StateOf(tool) != ToolState.Changed) tools.Add(tool);
            else if (trust.Find(session.Server.Name, tool.Name) is { } trusted) await trust.ChangedAsync(trusted, tool).ConfigureAwait(false);
        }

        var could = await seams.CouldPermit(caller.Actors, actions.Target, tools.Select(t => actions.EffectOf(t, null)).ToArray()).ConfigureAwait(false);
        for (var i = 0; i < tools.Count; i++)
        {
            if (could[i]) shown.Add(actions.StateOf(tools[i]) == ToolState.Trusted ? RpcMessage.Raw(tools[i].Element) : Unlooked(tools[i]));
        }

        shown.AddRange(OwnTools.Definitions.Select(static d => (ReadOnlyMemory<byte>)d));
        return RpcWriter.Object([("tools", ArrayOf(shown))]);
    }

    private static byte[] Unlooked(ToolDefinition tool) => RpcWriter.Object(w =>
    {
        w.WriteString("name", tool.Name);
        w.WriteString("description", "No operator of this gateway has looked at this tool yet, so its description is withheld. A call of it is held until a human has approved it.");
        w.WriteStartObject("inputSchema");
        w.WriteString("type", "object");
        w.WriteEndObject();
    });

    /// <summary>A list of the server's, one page, without what policy could not permit.</summary>
    private async Task<ServerAnswer> ListAsync(McpSession session, RpcMessage message, Caller caller, string member, string id, Func<McpActions, string, Effect> effect, HttpContext http)
    {
        var link = session.Link;
        var answer = await link.RequestAsync(link.NextId(), message.Method, message.Params is { } p ? RpcMessage.Raw(p) : RpcWriter.Object(static _ => { }), null, limits.Connect, http.RequestAborted).ConfigureAwait(false);
        if (answer.IsError || RpcMessage.Json(answer.Value) is not { ValueKind: JsonValueKind.Object } page || !page.TryGetProperty(member, out var items) || items.ValueKind != JsonValueKind.Array) return answer;
        var named = items.EnumerateArray().Select(i => (Item: i, Name: RpcMessage.Text(i, id))).Where(static i => i.Name is not null).ToArray();
        var could = await seams.CouldPermit(caller.Actors, session.Server.Actions.Target, named.Select(i => effect(session.Server.Actions, i.Name!)).ToArray()).ConfigureAwait(false);
        var kept = ArrayOf(named.Where((_, i) => could[i]).Select(static i => (ReadOnlyMemory<byte>)RpcMessage.Raw(i.Item)));
        return answer with { Value = RpcWriter.Object(page.EnumerateObject().Select(m => (m.Name, m.Name == member ? kept : (ReadOnlyMemory<byte>)RpcMessage.Raw(m.Value)))) };
    }

    private static byte[] ArrayOf(IEnumerable<ReadOnlyMemory<byte>> items)
    {
        using var array = new MemoryStream();
        array.WriteByte((byte)'[');
        var first = true;
        foreach (var item in items)
        {
            if (!first) array.WriteByte((byte)',');
            first = false;
            array.Write(item.Span);
        }

        array.WriteByte((byte)']');
        return array.ToArray();
    }
}
