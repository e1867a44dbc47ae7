using System.CommandLine;

namespace Countersign.Commands;

internal static class InitCommand
{
    public static Command Create() => new ExampledCommand("init", "Write a configuration to begin with.");
}
