using System.CommandLine;
using Countersign.Api;
using Countersign.Client;
using Countersign.Terminal;
using Spectre.Console;

namespace Countersign.Commands;

/// <summary>Tools of MCP servers: looking at them, and trusting them.</summary>
internal static class McpCommand
{
    public static Command Create()
    {
        var server = Connection.ServerOption();
        server.Recursive = true;
        var target = new Argument<string?>("SERVER") { Description = "a target of kind `mcp`: speaks MCP over standard input and output in front of it, with the agent's key in COUNTERSIGN_AGENT_KEY", Arity = ArgumentArity.ZeroOrOne };
        var command = new ExampledCommand("mcp", "MCP servers: a bridge for clients that only speak over standard input and output; and their tools, what has changed, what is trusted (for members of group `admins`).",
            "COUNTERSIGN_AGENT_KEY=csk_… countersign mcp files --server http://127.0.0.1:8080",
            "countersign mcp tools files",
            "countersign mcp tools files write_file",
            "countersign mcp trust files read_text_file --verb read",
            "countersign mcp trust files write_file --verb write --secret token") { target, server, Tools(server), Trust(server) };
        command.SetAction((parsed, ct) => BridgeAsync(parsed.GetValue(target), parsed.GetValue(server), ct));
        return command;
    }

    /// <summary>Standard output is the protocol's alone: what is wrong before it starts goes to standard error and the exit code.</summary>
    private static async Task<int> BridgeAsync(string? target, string? server, CancellationToken ct)
    {
        if (target is null) throw new CommandFailure(Exit.Usage, "name a target of kind `mcp`, or `tools` or `trust`; try `countersign mcp --help`");
        if (!Core.Names.IsWellFormed(target)) throw new CommandFailure(Exit.Usage, $"`{Core.VisibleText.Of(target, multiline: false)}` is not the name of a target");

        // Not as an option: what is on a command line everybody on the machine can read (I8).
        if (Environment.GetEnvironmentVariable("COUNTERSIGN_AGENT_KEY") is not { Length: > 0 } key || key.Any(static c => c is <= ' ' or > '~')) throw new CommandFailure(Exit.Usage, "COUNTERSIGN_AGENT_KEY is not set; put the agent's key into it (`countersign agent add` shows one)");
        var (uri, _) = Connection.Server(server, SessionsFile.Default());
        if (uri.Scheme != Uri.UriSchemeHttps && !uri.IsLoopback) throw new CommandFailure(Exit.Usage, $"`{Connection.Key(uri)}` is plain http beyond this machine, and the key would pass in clear; use https");
        using var bridge = new McpBridge(new Uri(uri, $"/mcp/{target}"), key, Console.OpenStandardOutput());
        await bridge.RunAsync(Console.OpenStandardInput(), ct).ConfigureAwait(false);
        return Exit.Done;
    }

    private static Command Tools(Option<string?> server)
    {
        var target = new Argument<string?>("SERVER") { Description = "a target of kind `mcp`; leave it out for a list of them", Arity = ArgumentArity.ZeroOrOne };
        var tool = new Argument<string?>("TOOL") { Description = "one tool: its definition, and what changed in it", Arity = ArgumentArity.ZeroOrOne };
        var command = new ExampledCommand("tools", "List a server's tools as it defines them now, and how each stands.", "countersign mcp tools files", "countersign mcp tools files write_file") { target, tool };
        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), async client =>
        {
            var output = new Output(parsed.GetValue(CommandLine.Json));
            if (parsed.GetValue(target) is not { } name)
            {
                var servers = await client.GetAsync("/api/v1/mcp", ApiJson.Default.ServerList, ct).ConfigureAwait(false);
                output.Value(servers, ApiJson.Default.ServerList, console => console.MarkupLine(servers.Servers.Count == 0 ? "no target of kind `mcp` in the config" : Shown.Line(string.Join(", ", servers.Servers))));
                return Exit.Done;
            }

            var list = await client.GetAsync($"/api/v1/mcp/{Uri.EscapeDataString(name)}/tools", ApiJson.Default.ToolList, ct).ConfigureAwait(false);
            if (parsed.GetValue(tool) is { } wanted)
            {
                var one = list.Tools.FirstOrDefault(t => t.Name == wanted) ?? throw new CommandFailure(Exit.Failed, $"`{name}` has no tool `{Core.VisibleText.Of(wanted, multiline: false)}`");
                output.Value(one, ApiJson.Default.ToolView, console => One(console, name, one));
                return Exit.Done;
            }

            output.Value(list, ApiJson.Default.ToolList, console => Table(console, list));
            return Exit.Done;
        }));
        return command;
    }

    private static Command Trust(Option<string?> server)
    {
        var target = new Argument<string>("SERVER") { Description = "a target of kind `mcp`" };
        var tool = new Argument<string>("TOOL") { Description = "the tool" };
        var verb = new Option<string>("--verb") { Description = "its group: read, export, write, destroy or administer. By what it does, not by what it says of itself", HelpName = "VERB", Required = true };
        var secrets = new Option<string[]>("--secret") { Description = "an argument that holds a secret, as a dotted path: no human and no policy sees it; may be repeated", HelpName = "PATH", DefaultValueFactory = static _ => [] };
        var hash = new Option<string?>("--sha256") { Description = "the definition that you looked at, from `tools`; without it, the one that the server gives now", HelpName = "HASH" };
        var command = new ExampledCommand("trust", "Trust a tool as it is defined now. It becomes an action of its own in policies; a later change of its definition withholds it.",
            "countersign mcp trust files read_text_file --verb read") { target, tool, verb, secrets, hash };
        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), async client =>
        {
            var (name, wanted) = (parsed.GetRequiredValue(target), parsed.GetRequiredValue(tool));
            var path = $"/api/v1/mcp/{Uri.EscapeDataString(name)}";
            var sha256 = parsed.GetValue(hash);
            if (sha256 is null)
            {
                var list = await client.GetAsync($"{path}/tools", ApiJson.Default.ToolList, ct).ConfigureAwait(false);
                sha256 = list.Tools.FirstOrDefault(t => t.Name == wanted)?.Sha256 ?? throw new CommandFailure(Exit.Failed, $"`{name}` has no tool `{Core.VisibleText.Of(wanted, multiline: false)}` now");
            }

            var view = await client.PostAsync($"{path}/trust", new ToolTrustRequest(wanted, sha256, parsed.GetRequiredValue(verb), parsed.GetValue(secrets)), ApiJson.Default.ToolTrustRequest, ApiJson.Default.ToolView, ct).ConfigureAwait(false);
            new Output(parsed.GetValue(CommandLine.Json)).Value(view, ApiJson.Default.ToolView, console => console.MarkupLine($"[green]✓[/] {Shown.Line(view.Name)} is `{Shown.Line(view.Verb ?? "")}` now; in policies: [bold]Mcp::Action::\"{Shown.Line(name)}/{Shown.Line(view.Name)}\"[/]"));
            return Exit.Done;
        }));
        return command;
    }

    private static void Table(IAnsiConsole console, ToolList list)
    {
        var rows = new Table { Border = TableBorder.None, ShowHeaders = false }.AddColumn("").AddColumn("").AddColumn("");
        foreach (var tool in list.Tools) rows.AddRow(new Markup(Shown.Line(tool.Name)), new Markup(State(tool.State)), new Markup(tool.Verb is { } verb ? Shown.Line(verb) : "[grey]—[/]"));
        console.Write(rows);
        if (list.Tools.Any(static t => t.State == "changed")) console.MarkupLine($"[grey]what changed:[/] countersign mcp tools {Shown.Line(list.Server)} TOOL");
    }

    private static void One(IAnsiConsole console, string server, ToolView tool)
    {
        console.MarkupLine($"[bold]{Shown.Line(tool.Name)}[/] on {Shown.Line(server)}: {State(tool.State)}{(tool.Verb is { } verb ? $", {Shown.Line(verb)}, trusted by {Shown.Line(tool.By ?? "")}" : "")}");
        if (tool.Sha256 is { } hash) console.MarkupLine($"[grey]sha256 {Shown.Line(hash)}[/]");

        // Behind a rule on each line: what a server writes about itself can not pass for words of ours (P34).
        foreach (var line in Shown.Safe(tool.Diff ?? tool.Definition ?? "", multiline: true).Split('\n')) console.Profile.Out.Writer.WriteLine($"│ {line}");
    }

    private static string State(string state) => state switch
    {
        "trusted" => "[green]trusted[/]",
        "unknown" => "[yellow]nobody has looked[/]",
        "changed" => "[red]changed, withheld[/]",
        var other => $"[grey]{Shown.Line(other)}[/]",
    };
}
