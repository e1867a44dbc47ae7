using Xunit.MicrosoftTestingPlatform;

namespace Countersign.Journal.Tests;

/// <summary>The entry point that xunit would generate, with one more door: see <see cref="ChildProgram"/>.</summary>
internal static class Program
{
    public static async Task<int> Main(string[] args) =>
        Environment.GetEnvironmentVariable(ChildProgram.Mode) is { } mode
            ? await ChildProgram.RunAsync(mode)
            : args.Any(static a => a is "-automated" or "@@")
                ? await Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(args)
                : await TestPlatformTestFramework.RunAsync(args, SelfRegisteredExtensions.AddSelfRegisteredExtensions);
}
