using System.Text;
using System.Text.Json.Nodes;
using Countersign.Core;
using Countersign.Gateway.Mcp.Understanding;
using Countersign.Reviews;
using Microsoft.AspNetCore.Http;

namespace Countersign.Gateway.Mcp;

public sealed partial class McpGateway
{
    /// <summary>
    /// What an agent may do here, over all targets: Markdown, or JSON where that is asked for. Of MCP servers their trusted tools, as policy
    /// sees them before any argument; servers are not asked. Of databases that they are there: what a statement may do, only the statement says.
    /// </summary>
    private async Task ManifestAsync(HttpContext http)
    {
        if (await IdentifyAsync(http, "/manifest").ConfigureAwait(false) is not { } caller) return;
        var targets = new JsonArray();
        var text = new StringBuilder($"# What `{caller.Actors.Agent.Name}` may do\n\n`{caller.Actors.Owner.Name}` answers for this agent. What is not here is denied; what is held waits for a human, who decides elsewhere.\n");
        foreach (var target in config.Targets.Values.OrderBy(static t => t.Name, StringComparer.Ordinal))
        {
            text.Append($"\n## {target.Name} (postgres, {target.Environment})\n\nSQL. Each statement is decided by what it does and to what; a refusal says why, and what to do.\n");
            targets.Add(new JsonObject { ["name"] = target.Name, ["kind"] = "postgres", ["environment"] = target.Environment });
        }

        foreach (var (name, server) in servers.OrderBy(static s => s.Key, StringComparer.Ordinal))
        {
            var trusted = trust.List().Where(t => t.Server == name).Select(t => (Tool: t, Definition: ToolDefinition.Parse(t.Definition))).Where(static t => t.Definition is not null).ToArray();
            var effects = trusted.Select(t => server.Actions.EffectOf(t.Definition!, null)).ToArray();
            var could = await seams.CouldPermit(caller.Actors, server.Actions.Target, effects).ConfigureAwait(false);
            text.Append($"\n## {name} (mcp, {server.Actions.Target.Environment}) at `{Address(http, $"/mcp/{name}")}`\n\n");
            var tools = new JsonArray();
            for (var i = 0; i < trusted.Length; i++)
            {
                if (!could[i]) continue;
                var decision = spine.Preview(Blank(server.Actions, caller, effects[i]));
                var words = decision.Verdict switch { Verdict.Permit => "runs at once", Verdict.Review => $"is held until it has {ReviewDesk.Describe(decision.Requirements)}", _ => "depends on its arguments" };
                text.Append($"- `{trusted[i].Tool.Name}` ({trusted[i].Tool.Verb.ToString().ToLowerInvariant()}): {words}\n");
                tools.Add(new JsonObject { ["name"] = trusted[i].Tool.Name, ["verb"] = trusted[i].Tool.Verb.ToString().ToLowerInvariant(), ["decision"] = decision.Verdict switch { Verdict.Permit => "permit", Verdict.Review => "review", _ => "depends" }, ["needs"] = decision.Verdict == Verdict.Review ? ReviewDesk.Describe(decision.Requirements) : null });
            }

            if (tools.Count == 0) text.Append("No tool that anybody has trusted.\n");
            targets.Add(new JsonObject { ["name"] = name, ["kind"] = "mcp", ["environment"] = server.Actions.Target.Environment, ["url"] = Address(http, $"/mcp/{name}"), ["tools"] = tools });
        }

        text.Append("\n## What waits\n\n").Append(OwnTools.StatusOf(desk, caller, null)).Append('\n');
        var json = http.Request.Headers.Accept.Any(static a => a is not null && a.Contains("application/json", StringComparison.OrdinalIgnoreCase));
        http.Response.ContentType = json ? "application/json" : "text/markdown; charset=utf-8";
        await http.Response.WriteAsync(json
            ? new JsonObject { ["agent"] = caller.Actors.Agent.Name, ["owner"] = caller.Actors.Owner.Name, ["targets"] = targets }.ToJsonString(Relaxed)
            : text.ToString(), http.RequestAborted).ConfigureAwait(false);
    }
}
