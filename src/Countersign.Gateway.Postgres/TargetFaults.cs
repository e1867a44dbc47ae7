using System.Globalization;
using System.Net.Sockets;
using Countersign.Config;
using Npgsql;

namespace Countersign.Gateway.Postgres;

/// <summary>Why a target can not be had, worded for its operator. Nothing here names a secret, or repeats what a server says (I8, P56).</summary>
internal static class TargetFaults
{
    /// <summary>
    /// SQLSTATEs by which a server says that the configuration is wrong, and not that it is away: class 28 (who we are),
    /// an unknown database, and a database that the role may not connect to.
    /// </summary>
    public static bool IsRefusal(string? sqlState) => sqlState is "3D000" or "42501" || sqlState?.StartsWith("28", StringComparison.Ordinal) == true;

    /// <summary>The SQLSTATE of a server's refusal; null where there was none.</summary>
    public static string? StateOf(Exception e) => e switch { UpstreamException upstream => upstream.SqlState, PostgresException postgres => postgres.SqlState, _ => null };

    /// <summary>`127.0.0.1:5432`.</summary>
    public static string Address(TargetConfig target) => string.Create(CultureInfo.InvariantCulture, $"{(target.Host.Contains(':', StringComparison.Ordinal) ? $"[{target.Host}]" : target.Host)}:{target.Port}");

    /// <summary>For the operator: who refuses whom, the SQLSTATE, and what to look at.</summary>
    public static string Refuses(TargetConfig target, string? sqlState)
    {
        var why = sqlState switch
        {
            "28P01" => $"password authentication failed; is {target.PasswordFrom ?? "its password"} right?",
            "3D000" => $"there is no database `{target.Database}`; is `targets.{target.Name}.database` right?",
            "42501" => $"it may not connect to database `{target.Database}`; run `GRANT CONNECT ON DATABASE {target.Database} TO {target.User}` there",
            "28000" => "the server does not let it in; is there such a role, may it log in, and does pg_hba.conf allow it from here?",
            _ => "it is not let in",
        };
        return $"target `{target.Name}`: {Address(target)} refuses role `{target.User}`: {sqlState} {why}";
    }

    /// <summary>What stood in the way of a connection, in the system's words.</summary>
    public static string Reason(Exception e) => e switch
    {
        PostgresException postgres => $"it answers {postgres.SqlState}",
        _ when Inner<SocketException>(e) is { } socket => socket.Message,
        _ when Inner<System.Security.Authentication.AuthenticationException>(e) is { } tls => $"TLS: {tls.Message}",
        OperationCanceledException or TimeoutException => "it did not answer in time",
        _ => e.InnerException?.Message ?? e.Message,
    };

    private static T? Inner<T>(Exception? e) where T : Exception
    {
        for (; e is not null; e = e.InnerException)
        {
            if (e is T found) return found;
        }

        return null;
    }
}
