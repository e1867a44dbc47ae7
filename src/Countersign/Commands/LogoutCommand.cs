using System.CommandLine;
using Countersign.Client;

namespace Countersign.Commands;

internal static class LogoutCommand
{
    public static Command Create()
    {
        var server = Connection.ServerOption();
        var command = new ExampledCommand("logout", "End the session here and at the server.", "countersign logout") { server };
        command.SetAction((parsed, ct) => RunAsync(parsed.GetValue(server), ct));
        return command;
    }

    private static async Task<int> RunAsync(string? given, CancellationToken ct)
    {
        var file = SessionsFile.Default();
        var (server, _) = Connection.Server(given, file);
        try
        {
            return await Connection.AsHumanAsync(given, async client =>
            {
                await client.PostAsync("/api/v1/logout", ct).ConfigureAwait(false);
                return Exit.Done;
            }).ConfigureAwait(false);
        }
        finally
        {
            // Whatever the server says, this machine forgets it.
            file.Remove(Connection.Key(server));
        }
    }
}
