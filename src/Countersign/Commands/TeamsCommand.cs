using System.CommandLine;
using System.Text.Json.Serialization;
using Countersign.Channels.Teams;
using Countersign.Config;
using Countersign.Core;
using Countersign.Hosting;
using Countersign.Terminal;
using Spectre.Console;

namespace Countersign.Commands;

internal static class TeamsCommand
{
    private const string DefaultPackage = "countersign-teams.zip";

    public static Command Create() => new ExampledCommand("teams", "The app for Microsoft Teams: its package, and what is missing.",
        "countersign teams package --config countersign.yaml",
        "countersign teams check --config countersign.yaml") { Package(), Check() };

    private static Command Package()
    {
        var (file, to) = (ConfigOption(), new Option<string>("--output") { Description = "the zip to write", HelpName = "FILE", DefaultValueFactory = static _ => DefaultPackage });
        var command = new ExampledCommand("package", "Write the app package that a Teams administrator uploads: manifest and icons.", "countersign teams package --output countersign-teams.zip") { file, to };
        command.SetAction((parsed, _) =>
        {
            var config = ServeCommand.Load(parsed.GetRequiredValue(file));
            var teams = Of(config);
            var console = config.Listen.Url ?? throw new CommandFailure(Exit.Usage, "`listen.url` is missing: the cards link to it");
            var path = parsed.GetRequiredValue(to);
            try
            {
                using var zip = File.Create(path);
                TeamsPackage.Write(teams.AppId, console, GatewayHost.Version, zip);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new CommandFailure(Exit.Failed, $"`{VisibleText.Of(path, multiline: false)}` can not be written: {e.Message}");
            }

            new Output(parsed.GetValue(CommandLine.Json)).Value(new TeamsPackaged(path, teams.AppId), TeamsCommandJson.Default.TeamsPackaged,
                terminal => terminal.MarkupLine($"{Shown.Line(path)}: upload it in the Teams admin center, or to a team under “Manage your apps”"));
            return Task.FromResult(Exit.Done);
        });
        return command;
    }

    private static Command Check()
    {
        var file = ConfigOption();
        var command = new ExampledCommand("check", "Ask Microsoft's services whether the bot can work, and say what is missing. Sends no message.", "countersign teams check", "countersign teams check --json") { file };
        command.SetAction(async (parsed, ct) =>
        {
            var config = ServeCommand.Load(parsed.GetRequiredValue(file));
            var bot = MessageParts.Bot(Of(config));
            var places = config.Routes.SelectMany(static r => r.To.Concat(r.QuietTo).Concat(r.EscalationTo)).Where(static d => d.Channel == MessageParts.Teams).Select(static d => d.Place).Distinct(StringComparer.Ordinal).ToArray();
            var findings = await TeamsCheck.RunAsync(bot, config.Listen.Url, Api.ChannelEndpoints.TeamsPath, places, TimeProvider.System, ct).ConfigureAwait(false);
            var good = findings.All(static f => f.Good != false);
            new Output(parsed.GetValue(CommandLine.Json)).Value(new TeamsChecked(good, findings.Select(static f => new TeamsCheckLine(f.Good, f.Words)).ToArray()), TeamsCommandJson.Default.TeamsChecked, terminal =>
            {
                foreach (var finding in findings) terminal.MarkupLine($"{(finding.Good switch { true => "[green]✓[/]", false => "[red]✗[/]", null => "[yellow]·[/]" })} {Shown.Line(finding.Words)}");
            });
            return good ? Exit.Done : Exit.Failed;
        });
        return command;
    }

    private static Option<string> ConfigOption() => new("--config") { Description = "the configuration file", HelpName = "FILE", DefaultValueFactory = static _ => "countersign.yaml" };

    private static TeamsConfig Of(CountersignConfig config) =>
        config.Channels.Teams ?? throw new CommandFailure(Exit.Usage, "the configuration has no `channels.teams`; docs/operate/teams.md says how to register a bot");
}

internal sealed record TeamsPackaged(string File, string AppId);

internal sealed record TeamsCheckLine(bool? Good, string Words);

internal sealed record TeamsChecked(bool Good, IReadOnlyList<TeamsCheckLine> Findings);

[JsonSerializable(typeof(TeamsPackaged))]
[JsonSerializable(typeof(TeamsChecked))]
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
internal sealed partial class TeamsCommandJson : JsonSerializerContext;
