using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Runtime.InteropServices;
using Countersign.Client;
using Countersign.Hosting;
using Countersign.Terminal;

namespace Countersign.Commands;

/// <summary>All commands, how their errors are said, and what their exit codes mean.</summary>
internal static class CommandLine
{
    /// <summary>Every command writes for people, or with this for programs.</summary>
    public static readonly Option<bool> Json = new("--json") { Description = "write JSON for programs, not text for people", Recursive = true };

    public static async Task<int> RunAsync(string[] args)
    {
        var root = Root();
        var parsed = root.Parse(args);
        var asksForNothing = parsed.CommandResult.Command is { Action: null, Subcommands.Count: > 0 } && parsed.UnmatchedTokens.Count == 0;
        if (asksForNothing && parsed.Action is (null or ParseErrorAction))
        {
            // Nothing was asked for: what could be.
            await root.Parse([.. args, "--help"]).InvokeAsync().ConfigureAwait(false);
            return args.Length == 0 ? Exit.Done : Exit.Usage;
        }

        if (parsed.Errors.Count > 0 && parsed.Action is ParseErrorAction or null)
        {
            foreach (var error in Told(parsed.Errors)) await Console.Error.WriteLineAsync($"countersign: {Lower(error)}").ConfigureAwait(false);
            await Console.Error.WriteLineAsync($"try `{Path(parsed.CommandResult.Command)} --help`").ConfigureAwait(false);
            return Exit.Usage;
        }

        using var ends = new CancellationTokenSource();
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, signal => Stop(signal, ends));
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal => Stop(signal, ends));
        var output = new Output(parsed.GetValue(Json));
        try
        {
            return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null }, ends.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (ends.IsCancellationRequested)
        {
            return Exit.Done;
        }
        catch (CommandFailure e)
        {
            output.Failure(e.Reason, e.Message, e.Review);
            return e.ExitCode;
        }
        catch (StartFailure e)
        {
            foreach (var error in e.Errors) output.Failure(null, error);
            return e.ExitCode;
        }
        catch (Exception e)
        {
            // A bug of ours, or a machine in trouble. Its name and words help a report; its stack helps nobody here.
            output.Failure("internal", $"unexpected: {e.Message}");
            return Exit.Failed;
        }
    }

    /// <summary>
    /// How long a command that was asked to stop is left to do so in order, whatever signals follow; null for none. `serve`
    /// lets its connections leave and closes the journal in that time.
    /// </summary>
    public static TimeSpan? Orderly { get; set; }

    private static long asked;

    /// <summary>The first signal asks to stop; a further one is the system's, and ends the process at once, but not within <see cref="Orderly"/>.</summary>
    private static void Stop(PosixSignalContext signal, CancellationTokenSource ends)
    {
        var now = TimeProvider.System.GetTimestamp();
        if (Interlocked.CompareExchange(ref asked, now, 0) is not 0 and var first)
        {
            signal.Cancel = Orderly is { } time && TimeProvider.System.GetElapsedTime(first, now) < time;
            return;
        }

        signal.Cancel = true;
        ends.Cancel();
    }

    /// <summary>That a command is missing is no news to who mistyped one.</summary>
    private static IEnumerable<string> Told(IReadOnlyList<System.CommandLine.Parsing.ParseError> errors)
    {
        const string missing = "Required command was not provided.";
        return errors.Count == 1 ? [errors[0].Message] : errors.Select(static e => e.Message).Where(static m => m != missing);
    }

    private static RootCommand Root()
    {
        var root = new RootCommand("An identity-aware gateway between AI agents and databases: the agent signs, a human countersigns.")
        {
            ServeCommand.Create(),
            DemoCommand.Create(),
            InitCommand.Create(),
            LoginCommand.Create(),
            LogoutCommand.Create(),
            ReviewCommand.Create(),
            AgentCommand.Create(), McpCommand.Create(),
            AwayCommand.Create(),
            GrantCommand.Create(),
            JournalCommand.Create(),
            PolicyCommand.Create(),
            SlackCommand.Create(),
            TeamsCommand.Create(),
        };
        root.Add(Json);
        foreach (var option in root.Options)
        {
            if (option is HelpOption help) help.Action = new HelpWithExamples((HelpAction)help.Action!);
        }

        root.Validators.Clear();
        return root;
    }

    /// <summary>`countersign review approve`.</summary>
    private static string Path(Command command)
    {
        var names = new List<string>();
        for (Symbol? at = command; at is Command; at = at.Parents.FirstOrDefault()) names.Insert(0, at is RootCommand ? "countersign" : at.Name);
        return string.Join(' ', names);
    }

    private static string Lower(string message) => message.Length > 1 && char.IsAsciiLetterUpper(message[0]) && !char.IsAsciiLetterUpper(message[1])
        ? char.ToLowerInvariant(message[0]) + message[1..].TrimEnd('.')
        : message.TrimEnd('.');

    private sealed class HelpWithExamples(HelpAction inner) : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            var result = inner.Invoke(parseResult);
            if (parseResult.CommandResult.Command is not ExampledCommand { Examples: { Length: > 0 } examples }) return result;
            var output = parseResult.InvocationConfiguration.Output;
            output.WriteLine("Examples:");
            foreach (var example in examples) output.WriteLine($"  {example}");
            output.WriteLine();
            output.WriteLine("Exit codes: 0 done, 1 failed, 2 usage, 3 denied, 4 expired");
            output.WriteLine();
            return result;
        }
    }
}

/// <summary>A command whose help ends with examples.</summary>
internal sealed class ExampledCommand(string name, string description, params string[] examples) : Command(name, description)
{
    public string[] Examples { get; } = examples;
}

/// <summary>Ends a command with an exit code and a line for the person.</summary>
internal sealed class CommandFailure(int exitCode, string message, string? reason = null, string? review = null) : Exception(message)
{
    public int ExitCode { get; } = exitCode;
    public string? Reason { get; } = reason;
    public string? Review { get; } = review;
}
