using System.Net;
using Countersign.Core;
using Countersign.Gateway.Mcp;
using Countersign.Gateway.Mcp.Understanding;
using Countersign.Hosting;
using Countersign.Identity;
using Countersign.Policy;

namespace Countersign.Api;

/// <summary>Tools of MCP servers for operators: what there is, what has changed, and what is trusted.</summary>
internal static class ToolEndpoints
{
    public static void Map(IEndpointRouteBuilder api)
    {
        var tools = api.MapGroup("/mcp").AddEndpointFilter(new Administers(AdministerActions.Tools)).WithTags("mcp");
        tools.MapGet("", static (McpGateway gateway) => Results.Json(new ServerList(gateway.Servers), ApiJson.Default.ServerList)).Produces<ServerList>().WithSummary("MCP servers of the config");
        tools.MapGet("/{server}/tools", ListAsync).Produces<ToolList>().WithSummary("A server's tools as it defines them now, how each stands, and what changed");
        tools.MapPost("/{server}/trust", TrustAsync).Produces<ToolView>().WithSummary("Trust a tool as it is defined now, in a verb group");
        api.MapGet("/policy/schema", static (ServingPolicies policies) => Results.Json(new SchemaView(policies.Store.Current.Id.ToString(), policies.Store.Current.Schema.Text), ApiJson.Default.SchemaView)).Produces<SchemaView>()
            .AddEndpointFilter(new Administers(AdministerActions.Policies)).WithTags("policies").WithSummary("The schema that policies are validated against, trusted tools included");
    }

    private static async Task<IResult> ListAsync(McpGateway gateway, string server, HttpContext http)
    {
        try
        {
            return await gateway.SurveyAsync(server, http.RequestAborted).ConfigureAwait(false) is { } tools
                ? Results.Json(new ToolList(server, tools.Select(View).ToArray()), ApiJson.Default.ToolList)
                : NoServer(server);
        }
        catch (IOException e)
        {
            return Problems.Result(HttpStatusCode.BadGateway, ReasonCodes.TargetUnavailable, e.Message);
        }
    }

    private static async Task<IResult> TrustAsync(McpGateway gateway, string server, ToolTrustRequest body, HttpContext http)
    {
        if (!gateway.Servers.Contains(server, StringComparer.Ordinal)) return NoServer(server);
        var word = body.Verb ?? "";
        if (!Enum.TryParse<Verb>(word, ignoreCase: true, out var verb) || !Enum.IsDefined(verb) || word.Any(char.IsDigit))
        {
            return Problems.Result(HttpStatusCode.UnprocessableContent, ReasonCodes.NotSupported, $"`{VisibleText.Of(word, multiline: false)}` is not one of read, export, write, destroy, administer");
        }

        if (body.Secrets is { Count: > 100 } || body.Secrets?.Any(static s => s is null or { Length: 0 or > 512 } || s.Any(char.IsControl)) == true) return Problems.Result(HttpStatusCode.UnprocessableContent, ReasonCodes.NotSupported, "`secrets` are dotted paths of arguments, at most 100");
        try
        {
            var result = await gateway.TrustAsync(server, body.Tool, body.Sha256, verb, body.Secrets ?? [], SignedIn.Of(http).User.Ref, http.RequestAborted).ConfigureAwait(false);
            if (result is null) return Problems.Result(HttpStatusCode.Conflict, ReasonCodes.ToolChanged, "the server has no such tool of that definition now; look at it again");
            if (result.Status == TrustStatus.PoliciesDoNotFit) return Problems.Result(HttpStatusCode.Conflict, ReasonCodes.PolicyError, $"the policies in force do not fit what this tool would be: {result.Detail}");
            if (result.Status == TrustStatus.Unavailable) return Problems.Result(HttpStatusCode.ServiceUnavailable, ReasonCodes.JournalUnavailable, result.Detail);
            var tools = await gateway.SurveyAsync(server, http.RequestAborted).ConfigureAwait(false);
            return Results.Json(View(tools!.First(t => t.Name == body.Tool)), ApiJson.Default.ToolView);
        }
        catch (IOException e)
        {
            return Problems.Result(HttpStatusCode.BadGateway, ReasonCodes.TargetUnavailable, e.Message);
        }
    }

    private static IResult NoServer(string server) => Problems.Result(HttpStatusCode.NotFound, ReasonCodes.UnknownTarget, $"no MCP server `{VisibleText.Of(server, multiline: false)}` in the config");

    private static ToolView View(SurveyedTool tool)
    {
        var state = tool.Now is null ? "gone" : tool.State.ToString().ToLowerInvariant();
        var diff = tool is { State: ToolState.Changed, Now: { } now, Trusted: { } trusted } ? LineDiff.Of(VisibleText.Of(trusted.Definition), VisibleText.Of(now.Definition)) : null;
        return new ToolView(tool.Name, state, tool.Trusted?.Verb.ToString().ToLowerInvariant(), tool.Now?.Sha256, tool.Now is { } shown ? VisibleText.Of(shown.Definition) : null, diff, tool.Trusted?.By, tool.Trusted?.At, tool.Trusted?.Secrets ?? []);
    }
}

/// <summary>What differs between two texts, line by line: `-` was, `+` is, a space stays.</summary>
internal static class LineDiff
{
    /// <summary>Lines of one side; beyond it both are shown whole, since the table would be their product.</summary>
    private const int Longest = 2000;

    public static string Of(string before, string after)
    {
        var (a, b) = (before.Split('\n'), after.Split('\n'));
        if (a.Length > Longest || b.Length > Longest) return string.Join('\n', a.Select(static l => $"-{l}").Concat(b.Select(static l => $"+{l}")));
        var common = new int[a.Length + 1, b.Length + 1];
        for (var i = a.Length - 1; i >= 0; i--)
        {
            for (var j = b.Length - 1; j >= 0; j--) common[i, j] = a[i] == b[j] ? common[i + 1, j + 1] + 1 : Math.Max(common[i + 1, j], common[i, j + 1]);
        }

        var lines = new List<string>();
        for (int i = 0, j = 0; i < a.Length || j < b.Length;)
        {
            if (i < a.Length && j < b.Length && a[i] == b[j])
            {
                lines.Add($" {a[i]}");
                (i, j) = (i + 1, j + 1);
            }
            else if (i < a.Length && (j == b.Length || common[i + 1, j] >= common[i, j + 1])) lines.Add($"-{a[i++]}");
            else lines.Add($"+{b[j++]}");
        }

        return string.Join('\n', lines);
    }
}
