namespace Countersign.Config;

/// <summary>An MCP server that agents reach through the gateway, and what only the gateway holds for it (I8).</summary>
public sealed record McpServerConfig
{
    public required string Name { get; init; }

    /// <summary>What policy calls `Environment`.</summary>
    public required string Environment { get; init; }

    /// <summary>The endpoint of a server that speaks Streamable HTTP; null for a program that is started.</summary>
    public Uri? Url { get; init; }

    /// <summary>Headers of each request to <see cref="Url"/>, the credential among them.</summary>
    public IReadOnlyDictionary<string, Secret> Headers { get; init; } = new Dictionary<string, Secret>();

    /// <summary>The program of a server that speaks over its standard input and output: a full path, or a name to be found on `PATH`.</summary>
    public string? Command { get; init; }

    public IReadOnlyList<string> Arguments { get; init; } = [];

    /// <summary>Names of the gateway's own environment variables that the program gets too. It gets no others.</summary>
    public IReadOnlyList<string> PassedEnvironment { get; init; } = [];

    /// <summary>Variables that the program gets and the gateway does not have.</summary>
    public IReadOnlyDictionary<string, Secret> SecretEnvironment { get; init; } = new Dictionary<string, Secret>();

    /// <summary>Full path of the folder that the program starts in.</summary>
    public string? Folder { get; init; }

    /// <summary>How long a call is held in an open request.</summary>
    public required TimeSpan Hold { get; init; }
}
