namespace Countersign.Gateway.Mcp;

/// <summary>Limits of the MCP gateway (docs/limits.md).</summary>
public sealed record McpLimits
{
    /// <summary>One message of a client, in bytes. From the config's `limits.message-bytes`.</summary>
    public int MessageBytes { get; init; } = 1 << 20;

    /// <summary>One message of a server, in bytes. 16 MiB: a file or a screenshot as base64; more is no tool result that a model can read.</summary>
    public int AnswerBytes { get; init; } = 16 << 20;

    /// <summary>Time from sending to a server until its answer. 10 minutes: slow tools report progress meanwhile; after it the outcome is unknown.</summary>
    public TimeSpan Answer { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Time to connect to a server, or to start one, until it has answered `initialize`. 30 s: a package runner may unpack first.</summary>
    public TimeSpan Connect { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Time between two signs of life while a call is held or runs. 10 s: middle boxes close what is silent for a minute.</summary>
    public TimeSpan Notice { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a session without a request lives. 30 minutes: a client that comes back later starts a new one by itself.</summary>
    public TimeSpan SessionIdle { get; init; } = TimeSpan.FromMinutes(30);

    /// <summary>Sessions in all, each with a conversation or a process of its own behind it. 1,000.</summary>
    public int Sessions { get; init; } = 1000;

    /// <summary>Sessions of one agent. 100.</summary>
    public int SessionsPerAgent { get; init; } = 100;

    /// <summary>Requests of one session at work at once. 64: a client with more has lost count.</summary>
    public int Requests { get; init; } = 64;

    /// <summary>Messages of a server that wait for a client which does not listen. 256; older ones are dropped, as a lost stream would.</summary>
    public int Waiting { get; init; } = 256;

    /// <summary>Tools of one server. 2,000: more than a model can be told of.</summary>
    public int Tools { get; init; } = 2000;

    /// <summary>One tool's definition, in bytes. 256 KiB.</summary>
    public int DefinitionBytes { get; init; } = 256 << 10;

    /// <summary>How long a list of tools serves without being read again. 30 s; a release always reads it again.</summary>
    public TimeSpan DefinitionAge { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Time for a stopped server process to leave by itself once its input has ended. 2 s, then it is killed with all that it started.</summary>
    public TimeSpan Farewell { get; init; } = TimeSpan.FromSeconds(2);
}
