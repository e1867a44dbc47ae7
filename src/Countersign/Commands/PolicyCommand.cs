using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Countersign.Api;
using Countersign.Client;
using Countersign.Config;
using Countersign.Core;
using Countersign.Hosting;
using Countersign.Policy;
using Countersign.Policy.Cedar;
using Countersign.Sandbox;
using Countersign.Terminal;
using Spectre.Console;

namespace Countersign.Commands;

internal static class PolicyCommand
{
    public static Command Create() => new ExampledCommand("policy", "Check, test and explain policies: on a folder, without a server. Replay them over what a server has recorded.",
        "countersign policy check policies",
        "countersign policy test policies",
        "countersign policy explain --group agents --target shop --action sql:update --resource public.customers",
        "countersign policy replay policies --from 2026-11-01T00:00:00Z") { Check(), Test(), Explain(), Replay(), Schema() };

    /// <summary>A hundred thousand actions take seconds; a journal of years may take minutes.</summary>
    private static readonly TimeSpan ReplayPatience = TimeSpan.FromMinutes(30);

    private static Command Replay()
    {
        var folder = Folder();
        var server = Connection.ServerOption();
        var from = new Option<string?>("--from") { Description = "decisions from this time on", HelpName = "TIME" };
        var until = new Option<string?>("--until") { Description = "decisions before this time", HelpName = "TIME" };
        var max = new Option<int>("--max") { Description = "actions to list of each group; counts are always exact", HelpName = "N", DefaultValueFactory = static _ => 5 };
        var command = new ExampledCommand("replay", "What would a folder's policies have decided otherwise, of what the server has recorded? Nothing changes.",
            "countersign policy replay policies", "countersign policy replay policies --from 2026-11-01T00:00:00Z --json") { folder, server, from, until, max };
        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), async client =>
        {
            var path = Existing(parsed.GetRequiredValue(folder));
            var files = new SortedDictionary<string, string>(StringComparer.Ordinal);
            foreach (var file in Directory.EnumerateFiles(path, "*.cedar", SearchOption.AllDirectories))
            {
                var name = Path.GetRelativePath(path, file).Replace('\\', '/');
                if (!name.Split('/').Any(static p => p.StartsWith('.'))) files.Add(name, await File.ReadAllTextAsync(file, ct).ConfigureAwait(false));
            }

            client.Patience = ReplayPatience;
            var view = await client.PostAsync("/api/v1/policy/replay", new ReplayRequest(files, Time(parsed.GetValue(from)), Time(parsed.GetValue(until)), parsed.GetValue(max)), ApiJson.Default.ReplayRequest, ApiJson.Default.ReplayView, ct).ConfigureAwait(false);
            new Output(parsed.GetValue(CommandLine.Json)).Value(view, ApiJson.Default.ReplayView, console => Replayed(console, view));
            return Exit.Done;
        }));
        return command;
    }

    private static DateTimeOffset? Time(string? text) => text is null ? null
        : DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time) ? time
        : throw new CommandFailure(Exit.Usage, $"`{VisibleText.Of(text, multiline: false)}` is not a time; write `2026-11-01T00:00:00Z`");

    private static void Replayed(IAnsiConsole console, ReplayView view)
    {
        console.MarkupLine(string.Create(CultureInfo.InvariantCulture, $"{view.Replayed} recorded decisions taken again; [bold]{view.Differing}[/] would differ{string.Concat(view.Skipped.Select(static s => $", {s.Value} not taken ({Shown.Line(s.Key)})"))}"));
        foreach (var group in view.Groups)
        {
            console.MarkupLine(string.Create(CultureInfo.InvariantCulture, $"\n{group.Count} × {Shown.Line(group.Was)} → [bold]{Shown.Line(group.Now)}[/]  [grey]{Shown.Line(group.Policies.Count == 0 ? "no policy" : string.Join(", ", group.Policies))}[/]"));
            foreach (var a in group.Actions) console.MarkupLine(string.Create(CultureInfo.InvariantCulture, $"  [grey]{a.Index,6}  {a.Time.ToLocalTime():yyyy-MM-dd HH:mm}[/]  {Shown.Line(a.Agent)}  {Shown.Line(CardView.OneLine(a.Statement, 90))}"));
        }
    }


    private static Command Schema()
    {
        var server = Connection.ServerOption();
        var command = new ExampledCommand("schema", "Print the schema that policies see: each trusted tool of an MCP server is an action in it.", "countersign policy schema", "countersign policy schema > countersign.cedarschema") { server };
        command.SetAction((parsed, ct) => Connection.AsHumanAsync(parsed.GetValue(server), async client =>
        {
            var view = await client.GetAsync("/api/v1/policy/schema", ApiJson.Default.SchemaView, ct).ConfigureAwait(false);
            new Output(parsed.GetValue(CommandLine.Json)).Value(view, ApiJson.Default.SchemaView, console => console.Profile.Out.Writer.Write(view.Text));
            return Exit.Done;
        }));
        return command;
    }

    /// <summary>The schema of a file that `policy schema` printed; null for the shipped one.</summary>
    private static PolicySchema? SchemaOf(CedarRuntime cedar, string? file)
    {
        if (file is null) return null;
        if (!File.Exists(file)) throw new CommandFailure(Exit.Usage, $"there is no file `{VisibleText.Of(file, multiline: false)}`");
        return cedar.Parse(File.ReadAllText(file), out var errors) ?? throw new CommandFailure(Exit.Failed, $"`{VisibleText.Of(file, multiline: false)}` is no schema: {string.Join("; ", errors)}");
    }

    private static Command Check()
    {
        var folder = Folder();
        var schema = new Option<string?>("--schema") { Description = "the schema of a gateway with trusted tools, as `policy schema` printed it", HelpName = "FILE" };
        var command = new ExampledCommand("check", "Validate a folder as `serve` would: every error at once.", "countersign policy check", "countersign policy check policies --schema countersign.cedarschema --json") { folder, schema };
        command.SetAction((parsed, _) =>
        {
            var output = new Output(parsed.GetValue(CommandLine.Json));
            var path = Existing(parsed.GetRequiredValue(folder));
            return WithCedar(output, cedar =>
            {
                var diagnostics = PolicyStore.Check(cedar, path, schema: SchemaOf(cedar, parsed.GetValue(schema)));
                output.Value(new PolicyCheckReport(diagnostics.Count == 0, diagnostics.Select(Fault).ToArray()), PolicyJson.Default.PolicyCheckReport, console =>
                {
                    foreach (var diagnostic in diagnostics) Diagnostic(console, diagnostic);
                    console.MarkupLine(diagnostics.Count == 0 ? "[green]✓[/] the policies load" : $"[red]✗[/] {diagnostics.Count} {(diagnostics.Count == 1 ? "error" : "errors")}: the set would not load");
                });
                return Task.FromResult(diagnostics.Count == 0 ? Exit.Done : Exit.Failed);
            });
        });
        return command;
    }

    private static Command Test()
    {
        var folder = Folder();
        var command = new ExampledCommand("test", "Run the *.test.yaml files of a folder against its policies.", "countersign policy test", "countersign policy test policies --json") { folder };
        command.SetAction((parsed, ct) =>
        {
            var output = new Output(parsed.GetValue(CommandLine.Json));
            var path = Existing(parsed.GetRequiredValue(folder));
            return WithCedar(output, async cedar =>
            {
                var report = await PolicyTestRunner.RunAsync(cedar, path, ct).ConfigureAwait(false);
                output.Value(new PolicyTestView(report.Passed, report.Revision.ToString(), report.Diagnostics.Select(Fault).ToArray(),
                    report.Results.Select(static r => new PolicyTestLine(r.File, r.Line, r.Name, r.Passed, r.Failures)).ToArray()), PolicyJson.Default.PolicyTestView, console => Report(console, report));
                return report.Passed ? Exit.Done : Exit.Failed;
            });
        });
        return command;
    }

    private static void Report(IAnsiConsole console, PolicyTestReport report)
    {
        foreach (var diagnostic in report.Diagnostics) Diagnostic(console, diagnostic);
        foreach (var result in report.Results)
        {
            console.MarkupLine(result.Passed ? $"[green]✓[/] {Shown.Line(result.Name)}" : $"[red]✗[/] {Shown.Line(result.Name)} [grey]{Shown.Line(result.File)}:{result.Line}[/]");
            foreach (var failure in result.Failures) console.MarkupLine($"    {Shown.Line(failure)}");
        }

        var failed = report.Results.Count(static r => !r.Passed);
        console.MarkupLine(report.Passed ? $"[grey]{report.Results.Count} passed at revision {Shown.Line(report.Revision.ToString())}[/]"
            : report.Results.Count == 0 ? "[red]nothing was tested[/]"
            : $"[red]{failed} of {report.Results.Count} failed[/]");
    }

    private static Command Explain()
    {
        var config = new Option<string>("--config") { Description = "the configuration: targets, classification, policy folder", HelpName = "FILE", DefaultValueFactory = static _ => "countersign.yaml" };
        var groups = new Option<string[]>("--group") { Description = "a group of the agent; may be repeated", HelpName = "GROUP", DefaultValueFactory = static _ => [] };
        var owner = new Option<string?>("--owner") { Description = "the agent's owner; default: the first user of the config", HelpName = "USER" };
        var target = new Option<string>("--target") { Description = "the target", HelpName = "NAME", Required = true };
        var action = new Option<string>("--action") { Description = "the action, as `sql:update`", HelpName = "ACTION", Required = true };
        var resource = new Option<string>("--resource") { Description = "the resource, as `public.customers`", HelpName = "NAME", Required = true };
        var type = new Option<string?>("--type") { Description = "its type; default: Table", HelpName = "TYPE" };
        var classes = new Option<string[]>("--class") { Description = "its data classes, instead of those of the classification", HelpName = "CLASS", DefaultValueFactory = static _ => [] };
        var facts = new Option<string[]>("--fact") { Description = "a fact, as `where=true`; may be repeated", HelpName = "NAME=VALUE", DefaultValueFactory = static _ => [] };
        var command = new ExampledCommand("explain", "What policy would say about an action, and why.",
            "countersign policy explain --group agents --target shop --action sql:update --resource public.customers --fact where=true",
            "countersign policy explain --config prod/countersign.yaml --group agents --target shop --action sql:drop --resource public.orders --json")
        { config, groups, owner, target, action, resource, type, classes, facts };
        command.SetAction((parsed, ct) =>
        {
            var output = new Output(parsed.GetValue(CommandLine.Json));
            var loaded = ServeCommand.Load(parsed.GetRequiredValue(config), static _ => "not-needed-here");
            var who = parsed.GetValue(owner) ?? loaded.Users[0].Name;
            if (loaded.Users.All(u => u.Name != who)) throw new CommandFailure(Exit.Usage, $"`{VisibleText.Of(who, multiline: false)}` is not a user of the config");
            var actors = new ActorChain(new PrincipalRef(PrincipalKind.Agent, new OpaqueId("ag_what_if"), "what-if"), new PrincipalRef(PrincipalKind.User, new OpaqueId($"us_{who}"), who), null)
            {
                Groups = parsed.GetValue(groups) ?? [],
            };
            var named = parsed.GetValue(classes);
            var question = new ExplainRequest("what-if", parsed.GetRequiredValue(target), parsed.GetRequiredValue(action), parsed.GetRequiredValue(resource), parsed.GetValue(type),
                named is { Length: > 0 } ? named : null, (parsed.GetValue(facts) ?? []).Select(Fact).ToDictionary(static f => f.Key, static f => f.Value, StringComparer.Ordinal), null, null);
            if (WhatIf.Action(question, actors, loaded, out var error) is not { } what) throw new CommandFailure(Exit.Usage, error);
            return WithCedar(output, async cedar =>
            {
                using var store = ServingPolicies.Open(cedar, loaded.PolicyFolder);
                var context = new DecisionContext
                {
                    Now = TimeProvider.System.GetUtcNow(),
                    Frameworks = loaded.Classification.Classes.ToDictionary(static c => c.Key, static c => c.Value.Frameworks, StringComparer.Ordinal),
                    HumanGroups = loaded.Users.Where(u => u.Name == who).ToDictionary(static u => new OpaqueId($"us_{u.Name}"), static u => u.Groups),
                };
                var view = WhatIf.View(await store.ExplainAsync(what, context, ct).ConfigureAwait(false));
                output.Value(view, ApiJson.Default.ExplainView, console => ExplanationView.Write(console, view));
                return Exit.Done;
            });
        });
        return command;
    }

    private static KeyValuePair<string, JsonElement> Fact(string text)
    {
        var equals = text.IndexOf('=', StringComparison.Ordinal);
        if (equals <= 0) throw new CommandFailure(Exit.Usage, $"`{VisibleText.Of(text, multiline: false)}` is not a fact: write NAME=VALUE");
        var value = text[(equals + 1)..];
        var json = value is "true" or "false" || long.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out _) ? value
            : value.Contains(',', StringComparison.Ordinal) ? JsonSerializer.Serialize(value.Split(','), PolicyJson.Default.StringArray)
            : JsonSerializer.Serialize(value, PolicyJson.Default.String);
        return KeyValuePair.Create(text[..equals], JsonElement.Parse(json));
    }

    private static Argument<string> Folder() => new("folder") { Description = "the policy folder", HelpName = "FOLDER", DefaultValueFactory = static _ => "policies" };

    private static string Existing(string folder) =>
        Directory.Exists(folder) ? folder : throw new CommandFailure(Exit.Usage, $"there is no folder `{VisibleText.Of(folder, multiline: false)}`");

    private static async Task<int> WithCedar(Output output, Func<CedarRuntime, Task<int>> work)
    {
        using var sandbox = new SandboxHost();
        var cache = new ModuleCache(Folders.MakePrivate(Path.Combine(Folders.Cache, "modules")), (what, _, _) =>
        {
            if (what == ModuleCacheEvent.Compiling && !output.Json) Console.Error.WriteLine("compiling the policy engine (once)…");
        });
        try
        {
            using var cedar = new CedarRuntime(sandbox, cache);
            return await work(cedar).ConfigureAwait(false);
        }
        catch (CedarUnavailableException e)
        {
            throw new CommandFailure(Exit.Failed, e.Message, ReasonCodes.PolicyUnavailable);
        }
    }

    private static PolicyFault Fault(PolicyDiagnostic d) => new(d.Code, d.Message, d.Help, d.File, d.Line, d.Column);

    private static void Diagnostic(IAnsiConsole console, PolicyDiagnostic d)
    {
        console.MarkupLine($"{Shown.Line(d.File ?? "")}{(d.Line > 0 ? $":{d.Line}:{d.Column}" : "")}{(d.File is null ? "" : ": ")}[red]{Shown.Line(d.Code)}[/]: {Shown.Line(d.Message)}");
        if (d.Help is { } help) console.MarkupLine($"    [grey]{Shown.Line(help)}[/]");
    }
}

internal sealed record PolicyFault(string Code, string Message, string? Help, string? File, int Line, int Column);

internal sealed record PolicyCheckReport(bool Passed, IReadOnlyList<PolicyFault> Errors);

internal sealed record PolicyTestView(bool Passed, string Revision, IReadOnlyList<PolicyFault> Errors, IReadOnlyList<PolicyTestLine> Tests);

internal sealed record PolicyTestLine(string File, int Line, string Name, bool Passed, IReadOnlyList<string> Failures);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(PolicyCheckReport))]
[JsonSerializable(typeof(PolicyTestView))]
[JsonSerializable(typeof(string[]))]
[JsonSerializable(typeof(string))]
internal sealed partial class PolicyJson : JsonSerializerContext;
