using System.Collections.Immutable;

namespace Countersign.PgWire;

/// <summary>One start-up parameter.</summary>
/// <param name="Name">Name as sent. PostgreSQL compares setting names without regard to ASCII case.</param>
/// <param name="Value">Value as sent.</param>
public readonly record struct StartupParameter(string Name, string Value);

/// <summary>
/// A request for a session (PostgreSQL documentation §54.7, StartupMessage). The codec lists what was sent; which names
/// may pass is the caller's to decide (P14: <c>options</c> and <c>search_path</c> are SQL by another road).
/// </summary>
public sealed class StartupMessage
{
    const string ProtocolOptionPrefix = "_pq_.";

    StartupMessage(ProtocolVersion version, ImmutableArray<StartupParameter> parameters)
    {
        Version = version;
        Parameters = parameters;
        DuplicateName = FirstDuplicate(parameters);
        ProtocolOptions = [.. parameters.Where(p => p.Name.StartsWith(ProtocolOptionPrefix, StringComparison.Ordinal)).Select(p => p.Name)];
    }

    /// <summary>The version asked for; the major is always 3.</summary>
    public ProtocolVersion Version { get; }

    /// <summary>All parameters in the order sent, duplicates and protocol options included.</summary>
    public ImmutableArray<StartupParameter> Parameters { get; }

    /// <summary>
    /// The first name that was sent twice, in whatever ASCII case, or null. Which of two values a server takes is not
    /// something to guess: refuse.
    /// </summary>
    public string? DuplicateName { get; }

    /// <summary>Names that begin with <c>_pq_.</c>: protocol options, none of which the gateway knows.</summary>
    public ImmutableArray<string> ProtocolOptions { get; }

    /// <summary>
    /// Whether the client must be told by <see cref="BackendWriter.WriteNegotiateProtocolVersion"/> that the gateway speaks
    /// 3.0 only, before the first authentication request.
    /// </summary>
    public bool NeedsNegotiation => Version.Minor > 0 || !ProtocolOptions.IsEmpty;

    /// <summary>Parameter <c>user</c>, or null.</summary>
    public string? User => this["user"];

    /// <summary>Parameter <c>database</c>, or null (a server then takes the user's name).</summary>
    public string? Database => this["database"];

    /// <summary>The value of the first parameter with exactly this name, or null.</summary>
    public string? this[string name]
    {
        get
        {
            foreach (var parameter in Parameters)
            {
                if (string.Equals(parameter.Name, name, StringComparison.Ordinal))
                    return parameter.Value;
            }
            return null;
        }
    }

    internal static bool TryParse(ProtocolVersion version, ReadOnlyMemory<byte> body, out StartupMessage? message, out WireFault fault)
    {
        message = null;
        var reader = new BodyReader(body);
        var parameters = ImmutableArray.CreateBuilder<StartupParameter>();
        while (true)
        {
            var name = reader.Text();
            if (reader.Failed || name.IsEmpty)
                break;
            var value = reader.Text();
            if (!reader.Failed)
                parameters.Add(new StartupParameter(name.ToString(), value.ToString()));
        }
        if (!reader.Finish(out fault))
            return false;
        message = new StartupMessage(version, parameters.ToImmutable());
        return true;
    }

    static string? FirstDuplicate(ImmutableArray<StartupParameter> parameters)
    {
        var seen = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        foreach (var parameter in parameters)
        {
            if (!seen.Add(parameter.Name))
                return parameter.Name;
        }
        return null;
    }
}
