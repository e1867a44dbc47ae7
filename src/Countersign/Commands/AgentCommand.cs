using System.CommandLine;
using Countersign.Api;
using Countersign.Client;
using Countersign.Terminal;
using Spectre.Console;

namespace Countersign.Commands;

internal static class AgentCommand
{
    public static Command Create()
    {
        var server = Connection.ServerOption();
        server.Recursive = true;
        return new ExampledCommand("agent", "Agents and their keys (for members of group `admins`).",
            "countersign agent add support-bot --owner alice --group agents",
            "countersign agent add report-bot --owner alice --for bob --group agents --group reporting",
            "countersign agent rotate support-bot",
            "countersign agent revoke support-bot --key 4k2m9x7c") { server, Add(server), List(server), Rotate(server), Revoke(server), Brake(server, "suspend"), Brake(server, "resume"), Own(server) };
    }

    private static Command Add(Option<string?> server)
    {
        var name = Name();
        var owner = new Option<string>("--owner") { Description = "the human who answers for it, and can not approve what it does", HelpName = "USER", Required = true };
        var onBehalf = new Option<string?>("--for") { Description = "the human for whom it acts, fixed for its life", HelpName = "USER" };
        var groups = new Option<string[]>("--group") { Description = "a group that policies know it by; may be repeated", HelpName = "GROUP", DefaultValueFactory = static _ => [] };
        var command = new ExampledCommand("add", "Add an agent. Its key is shown once.", "countersign agent add support-bot --owner alice --group agents") { name, owner, onBehalf, groups };
        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), async client =>
        {
            var added = await client.PostAsync("/api/v1/agents", new AgentAdd(parsed.GetRequiredValue(name), parsed.GetRequiredValue(owner), parsed.GetValue(onBehalf), parsed.GetValue(groups)),
                ApiJson.Default.AgentAdd, ApiJson.Default.AgentChanged, ct).ConfigureAwait(false);
            new Output(parsed.GetValue(CommandLine.Json)).Value(added, ApiJson.Default.AgentChanged, console => Key(console, added));
            return Exit.Done;
        }));
        return command;
    }

    private static Command List(Option<string?> server)
    {
        var command = new ExampledCommand("list", "List agents.", "countersign agent list");
        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), async client =>
        {
            var list = await client.GetAsync("/api/v1/agents", ApiJson.Default.AgentList, ct).ConfigureAwait(false);
            new Output(parsed.GetValue(CommandLine.Json)).Value(list, ApiJson.Default.AgentList, console => Table(console, list));
            return Exit.Done;
        }));
        return command;
    }

    private static Command Brake(Option<string?> server, string what)
    {
        var name = Name();
        var command = new ExampledCommand(what, what == "suspend" ? "Nothing of an agent runs until a human lifts it." : "Lift a suspension: by a human, or by the brake on who is denied too often.", $"countersign agent {what} support-bot") { name };
        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), async client =>
        {
            var agent = await client.PostAsync($"/api/v1/agents/{Uri.EscapeDataString(parsed.GetRequiredValue(name))}/{what}", ApiJson.Default.AgentView, ct).ConfigureAwait(false);
            new Output(parsed.GetValue(CommandLine.Json)).Value(agent, ApiJson.Default.AgentView, console => console.MarkupLine(agent.SuspendedAt is null ? $"{Shown.Line(agent.Name)} may act again" : $"{Shown.Line(agent.Name)} is suspended"));
            return Exit.Done;
        }));
        return command;
    }

    private static Command Own(Option<string?> server)
    {
        var name = Name();
        var owner = new Option<string>("--owner") { Description = "the human who answers for it from now on", HelpName = "USER", Required = true };
        var command = new ExampledCommand("own", "Give an agent another owner. The former one can not approve what it does for a while.", "countersign agent own support-bot --owner bob") { name, owner };
        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), async client =>
        {
            var changed = await client.PutAsync($"/api/v1/agents/{Uri.EscapeDataString(parsed.GetRequiredValue(name))}/owner", new AgentOwner(parsed.GetRequiredValue(owner)), ApiJson.Default.AgentOwner, ApiJson.Default.AgentChanged, ct).ConfigureAwait(false);
            new Output(parsed.GetValue(CommandLine.Json)).Value(changed, ApiJson.Default.AgentChanged, console => console.MarkupLine($"{Shown.Line(changed.Agent.Owner)} answers for {Shown.Line(changed.Agent.Name)} now; its open connections act no more"));
            return Exit.Done;
        }));
        return command;
    }

    private static Command Rotate(Option<string?> server)
    {
        var name = Name();
        var command = new ExampledCommand("rotate", "Issue a further key. Older ones stay valid until revoked, so that nothing stops.", "countersign agent rotate support-bot") { name };
        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), async client =>
        {
            var changed = await client.PostAsync($"/api/v1/agents/{Uri.EscapeDataString(parsed.GetRequiredValue(name))}/keys", ApiJson.Default.AgentChanged, ct).ConfigureAwait(false);
            new Output(parsed.GetValue(CommandLine.Json)).Value(changed, ApiJson.Default.AgentChanged, console =>
            {
                Key(console, changed);
                var older = changed.Agent.Keys.Where(k => k.RevokedAt is null && k.Id != changed.KeyId).ToArray();
                if (older.Length > 0) console.MarkupLine($"[grey]still valid:[/] {Shown.Line(string.Join(", ", older.Select(static k => k.Id)))}[grey]; revoke with[/] countersign agent revoke {Shown.Line(changed.Agent.Name)} --key ID");
            });
            return Exit.Done;
        }));
        return command;
    }

    private static Command Revoke(Option<string?> server)
    {
        var name = Name();
        var key = new Option<string?>("--key") { Description = "this key only; without it the agent with all its keys", HelpName = "ID" };
        var command = new ExampledCommand("revoke", "Revoke a key, or the agent.", "countersign agent revoke support-bot", "countersign agent revoke support-bot --key 4k2m9x7c") { name, key };
        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), async client =>
        {
            var path = $"/api/v1/agents/{Uri.EscapeDataString(parsed.GetRequiredValue(name))}";
            if (parsed.GetValue(key) is { } id) path += $"/keys/{Uri.EscapeDataString(id)}";
            var changed = await client.DeleteAsync(path, ApiJson.Default.AgentChanged, ct).ConfigureAwait(false);
            new Output(parsed.GetValue(CommandLine.Json)).Value(changed, ApiJson.Default.AgentChanged, console => console.MarkupLine($"revoked {Shown.Line(path.Contains("/keys/", StringComparison.Ordinal) ? "the key" : changed.Agent.Name)}"));
            return Exit.Done;
        }));
        return command;
    }

    private static void Key(IAnsiConsole console, AgentChanged changed)
    {
        console.MarkupLine($"agent [bold]{Shown.Line(changed.Agent.Name)}[/][grey], owned by[/] {Shown.Line(changed.Agent.Owner)}{(changed.Agent.For is { } user ? $"[grey], for[/] {Shown.Line(user)}" : "")}");
        if (changed.Key is null) return;

        // Long lines stay whole: they are copied.
        console.MarkupLine("[grey]key, shown this once:[/]");
        console.Profile.Out.Writer.WriteLine($"  {Shown.Safe(changed.Key, multiline: false)}");
        foreach (var connection in changed.Connections ?? []) console.Profile.Out.Writer.WriteLine($"  {Shown.Safe(connection, multiline: false)}");
    }

    private static void Table(IAnsiConsole console, AgentList list)
    {
        if (list.Agents.Count == 0)
        {
            console.MarkupLine("[grey]no agents yet: countersign agent add NAME --owner USER[/]");
            return;
        }

        var table = new Table().Border(TableBorder.None).AddColumns("[grey]agent[/]", "[grey]owner[/]", "[grey]for[/]", "[grey]groups[/]", "[grey]keys, or issuer[/]", "[grey]state[/]");
        foreach (var a in list.Agents)
        {
            table.AddRow(Shown.Line(a.Name), Shown.Line(a.Owner), Shown.Line(a.For ?? ""), Shown.Line(string.Join(' ', a.Groups)),
                a.VouchedBy is { } issuer ? Shown.Line(issuer) : string.Join(' ', a.Keys.Select(static k => k.RevokedAt is null ? Shown.Line(k.Id) : $"[grey strikethrough]{Shown.Line(k.Id)}[/]")), a.RevokedAt is null ? "" : "[red]revoked[/]");
        }

        console.Write(table);
    }

    private static Argument<string> Name() => new("name") { Description = "name of the agent", HelpName = "NAME" };
}
