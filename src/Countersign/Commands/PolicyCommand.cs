using System.CommandLine;

namespace Countersign.Commands;

internal static class PolicyCommand
{
    public static Command Create() => new ExampledCommand("policy", "Check, test and explain policies.");
}
