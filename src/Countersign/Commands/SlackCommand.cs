using System.CommandLine;
using System.Text.Json.Nodes;
using Countersign.Channels.Slack;
using Countersign.Hosting;
using Countersign.Terminal;
using Spectre.Console;

namespace Countersign.Commands;

/// <summary>Setting Slack up. These read the configuration itself: they are for before `serve` runs.</summary>
internal static class SlackCommand
{
    public static Command Create() => new("slack", "Connect Slack: make the app, and see what is missing.") { Check(), Manifest() };

    private static ExampledCommand Check()
    {
        var config = Config();
        var command = new ExampledCommand("check", "Say in words what is missing: tokens, scopes, Socket Mode, conversations that the app is not in.", "countersign slack check --config countersign.yaml") { config };
        command.SetAction((parsed, ct) => CheckAsync(new Output(parsed.GetValue(CommandLine.Json)), parsed.GetRequiredValue(config), ct));
        return command;
    }

    private static ExampledCommand Manifest()
    {
        var url = new Option<string?>("--http") { Description = "have clicks sent to this address of the gateway, instead of by socket", HelpName = "URL" };
        var command = new ExampledCommand("manifest", "Print the manifest to make the app from, at api.slack.com.",
            "countersign slack manifest", "countersign slack manifest --http https://countersign.example.com") { url };
        command.SetAction((parsed, _) =>
        {
            Uri? address = null;
            if (parsed.GetValue(url) is { } text && (!Uri.TryCreate(text, UriKind.Absolute, out address) || address.Scheme != Uri.UriSchemeHttps)) throw new CommandFailure(Exit.Usage, "`--http` takes an https address");
            Console.Out.WriteLine(SlackCheck.Manifest(address is null ? null : new Uri(address, "/channels/slack")));
            return Task.FromResult(Exit.Done);
        });
        return command;
    }

    private static Option<string> Config() => new("--config") { Description = "the configuration file", HelpName = "FILE", DefaultValueFactory = static _ => "countersign.yaml" };

    private static async Task<int> CheckAsync(Output output, string path, CancellationToken ct)
    {
        var config = ServeCommand.Load(path);
        if (config.Channels.Slack is not { } slack) throw new CommandFailure(Exit.Usage, "there is no `channels.slack` in the configuration");
        var places = config.Routes.SelectMany(static r => r.To.Concat(r.QuietTo).Concat(r.EscalationTo)).Where(static d => d.Channel == SlackOptions.Name).Select(static d => d.Place);
        var found = await SlackCheck.RunAsync(ChannelParts.Options(slack), places, ct).ConfigureAwait(false);
        if (output.Json)
        {
            Console.Out.WriteLine(new JsonArray([.. found.Select(static f => (JsonNode)new JsonObject { ["what"] = f.What, ["ok"] = f.Mend is null, ["mend"] = f.Mend })]).ToJsonString());
        }
        else
        {
            foreach (var finding in found) output.Console.MarkupLine(finding.Mend is null ? $"[green]✓[/] {Shown.Line(finding.What)}" : $"[red]✗[/] {Shown.Line(finding.What)}: {Shown.Line(finding.Mend)}");
            if (config.Routes.All(static r => r.To.All(static d => d.Channel != SlackOptions.Name))) output.Console.MarkupLine("[yellow]![/] no route in `routing` leads to slack, so nothing is told there");
        }

        return found.All(static f => f.Mend is null) ? Exit.Done : Exit.Failed;
    }
}
