using System.CommandLine;

namespace Countersign.Commands;

internal static class DemoCommand
{
    public static Command Create() => new ExampledCommand("demo", "See it work.");
}
