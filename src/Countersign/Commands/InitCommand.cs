using System.CommandLine;
using System.Text.Json.Serialization;
using Countersign.Core;
using Countersign.Hosting;
using Countersign.Terminal;
using Spectre.Console;

namespace Countersign.Commands;

internal static class InitCommand
{
    private const string Start = "samples/start/";

    public static Command Create()
    {
        var folder = new Option<string>("--dir") { Description = "where to write", HelpName = "FOLDER", DefaultValueFactory = static _ => "." };
        var command = new ExampledCommand("init", "Write a commented configuration and policies to begin with, and the grants of a least-privilege role.",
            "countersign init",
            "countersign init --dir gateway") { folder };
        command.SetAction(parsed => Run(parsed.GetRequiredValue(folder), new Output(parsed.GetValue(CommandLine.Json))));
        return command;
    }

    private static int Run(string folder, Output output)
    {
        var files = Shipped.Under(Start).Select(path => (Path: Path.Combine(folder, path[Start.Length..]), Text: Shipped.Text(path))).ToArray();
        var there = files.Where(static f => File.Exists(f.Path)).Select(static f => f.Path).ToArray();
        if (there.Length > 0) throw new CommandFailure(Exit.Failed, $"`{VisibleText.Of(there[0], multiline: false)}` is there already, and nothing is overwritten; name another folder with --dir");
        try
        {
            foreach (var (path, text) in files)
            {
                Directory.CreateDirectory(Path.GetDirectoryName(path)!);
                File.WriteAllText(path, text);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandFailure(Exit.Failed, $"can not write: {e.Message}");
        }

        output.Value(new InitReport(files.Select(static f => f.Path).ToArray()), InitJson.Default.InitReport, console =>
        {
            foreach (var (path, _) in files) console.MarkupLine($"  [green]✓[/] {Shown.Line(path)}");
            console.WriteLine();
            console.MarkupLine("[grey]On the target, as its administrator, with a password of yours (this is grants.sql):[/]");
            console.WriteLine();
            console.Profile.Out.Writer.WriteLine(Shipped.Text($"{Start}grants.sql").TrimEnd());
            console.WriteLine();
            console.MarkupLine($"[grey]Then put your names into[/] {Shown.Line(Path.Combine(folder, "countersign.yaml"))}[grey], the password into SHOP_PASSWORD, and run:[/] countersign serve --config {Shown.Line(Path.Combine(folder, "countersign.yaml"))}");
        });
        return Exit.Done;
    }
}

internal sealed record InitReport(IReadOnlyList<string> Written);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(InitReport))]
internal sealed partial class InitJson : JsonSerializerContext;
