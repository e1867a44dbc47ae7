using System.Net;

namespace Countersign.Config;

/// <summary>
/// The validated configuration: immutable, complete, secrets resolved. Keys, defaults and limits are described in
/// docs/spec/config.md; a reload makes a new one.
/// </summary>
public sealed record CountersignConfig
{
    /// <summary>Full path of the file.</summary>
    public required string File { get; init; }

    public required ListenConfig Listen { get; init; }

    /// <summary>Full path of the data folder.</summary>
    public required string DataFolder { get; init; }

    /// <summary>Full path of the policy folder.</summary>
    public required string PolicyFolder { get; init; }

    public required HoldConfig Hold { get; init; }
    public required LimitsConfig Limits { get; init; }

    public required IdentityConfig Identity { get; init; }
    public required ReviewConfig Review { get; init; }

    /// <summary>Humans in name order; at least one, unless a provider knows who they are.</summary>
    public required IReadOnlyList<UserConfig> Users { get; init; }

    /// <summary>Declared groups, sorted; null where the file declares none and any group may be named.</summary>
    public IReadOnlyList<string>? Groups { get; init; }

    /// <summary>Who is on call when, in name order.</summary>
    public required IReadOnlyList<Countersign.Core.OnCallSchedule> OnCall { get; init; }

    /// <summary>Ways to tell people of reviews; none where the file names none.</summary>
    public ChannelsConfig Channels { get; init; } = new();

    /// <summary>Who is told of what, in name order.</summary>
    public IReadOnlyList<Countersign.Core.Route> Routes { get; init; } = [];

    public required GovernanceConfig Governance { get; init; }

    /// <summary>Workloads that sign in without a key; empty where the file names none.</summary>
    public FederationConfig Federation { get; init; } = new();

    /// <summary>Targets by name.</summary>
    public required IReadOnlyDictionary<string, TargetConfig> Targets { get; init; }

    /// <summary>MCP servers by name; no name is that of a database too.</summary>
    public IReadOnlyDictionary<string, McpServerConfig> McpServers { get; init; } = new Dictionary<string, McpServerConfig>();

    public required Classification Classification { get; init; }
    public required TelemetryConfig Telemetry { get; init; }

    /// <summary>What the file says, by path, as it stands there. It holds no secret, because the file can not.</summary>
    public IReadOnlyDictionary<string, string> Settings { get; init; } = new Dictionary<string, string>();

    /// <summary>What may be right and is likely not meant, for the operator.</summary>
    public IReadOnlyList<ConfigError> Warnings { get; init; } = [];
}

/// <summary>Where the gateway listens. Port 0 means any free one.</summary>
public sealed record ListenConfig(IPEndPoint Http, IPEndPoint Postgres)
{
    public TlsConfig? Tls { get; init; }

    /// <summary>The address that people are given, an origin; null for the listener's own.</summary>
    public Uri? Url { get; init; }

    /// <summary>True where the operator said on purpose that a listener beyond loopback may do without TLS.</summary>
    public bool Insecure { get; init; }
}

/// <summary>Full paths of a PEM certificate (with its chain) and its PEM key; both were read and belong together.</summary>
public sealed record TlsConfig(string CertificateFile, string KeyFile);

/// <summary>How long things wait (DESIGN §3).</summary>
public sealed record HoldConfig(TimeSpan Detached, TimeSpan Transaction, TimeSpan Connection, TimeSpan Notice);

/// <summary>Numeric limits; each is described in docs/limits.md.</summary>
public sealed record LimitsConfig
{
    /// <summary>Open reviews of one agent.</summary>
    public int PendingPerAgent { get; init; } = ConfigLimits.PendingPerAgent.Default;

    /// <summary>Client connections, all agents together.</summary>
    public int Connections { get; init; } = ConfigLimits.Connections.Default;

    /// <summary>Client connections of one agent.</summary>
    public int ConnectionsPerAgent { get; init; } = ConfigLimits.ConnectionsPerAgent.Default;

    /// <summary>One protocol message, bytes.</summary>
    public int MessageBytes { get; init; } = ConfigLimits.MessageBytes.Default;

    /// <summary>What one connection may pipeline behind a held message, bytes.</summary>
    public int HeldBytes { get; init; } = ConfigLimits.HeldBytes.Default;

    /// <summary>Actions of one agent in a minute.</summary>
    public int RequestsPerMinute { get; init; } = ConfigLimits.RequestsPerMinute.Default;

    /// <summary>Denials of one agent within <see cref="DenialsWindow"/> that suspend it.</summary>
    public int Denials { get; init; } = ConfigLimits.Denials.Default;

    public TimeSpan DenialsWindow { get; init; } = ConfigLimits.DenialsWindow.Default;
}

/// <summary>How Countersign itself is governed.</summary>
public sealed record GovernanceConfig
{
    /// <summary>The group that is told of a broken glass and may close what follows it; null: none.</summary>
    public string? Security { get; init; }

    /// <summary>For how long the author of a policy change, or a former owner, can not approve what it is about.</summary>
    public TimeSpan Cooling { get; init; } = ConfigLimits.Cooling.Default;

    /// <summary>Names of users by the e-mail addresses that they commit policies with, in lower case.</summary>
    public IReadOnlyDictionary<string, string> Authors { get; init; } = new Dictionary<string, string>();
}

/// <summary>How reviews are answered.</summary>
/// <param name="ConfirmsCli">True where an approval needs a browser's session.</param>
public sealed record ReviewConfig(bool ConfirmsCli);

/// <summary>How people sign in.</summary>
public sealed record IdentityConfig
{
    /// <summary>How long a browser's session lives without a request.</summary>
    public required TimeSpan SessionIdle { get; init; }

    /// <summary>How long any session lives.</summary>
    public required TimeSpan SessionLifetime { get; init; }

    /// <summary>The identity provider; null for one-time codes alone.</summary>
    public OidcConfig? Oidc { get; init; }

    /// <summary>Provisioning by SCIM; null for none.</summary>
    public ScimConfig? Scim { get; init; }
}

/// <summary>Provisioning by SCIM, complete.</summary>
public sealed record ScimConfig
{
    public required Secret Token { get; init; }

    /// <summary>True where `userName` tells who somebody is here; false where `externalId`, the provider's subject, does.</summary>
    public required bool MatchesUserName { get; init; }

    /// <summary>The provider's groups by their names here; null takes them as they are.</summary>
    public IReadOnlyDictionary<string, string>? Groups { get; init; }

    /// <summary>False where groups come from the OpenID Connect claim nevertheless.</summary>
    public required bool OwnsGroups { get; init; }
}

/// <summary>An OpenID Connect provider, complete.</summary>
public sealed record OidcConfig
{
    public required string Issuer { get; init; }
    public required string ClientId { get; init; }

    /// <summary>Null for a public client.</summary>
    public Secret? ClientSecret { get; init; }

    public required IReadOnlyList<string> Scopes { get; init; }
    public required string GroupsClaim { get; init; }
    public required string NameClaim { get; init; }
    public required string SubjectClaim { get; init; }

    /// <summary>The provider's groups by their names here; null takes them as they are.</summary>
    public IReadOnlyDictionary<string, string>? Groups { get; init; }

    public required TimeSpan GroupsMaxAge { get; init; }
}

/// <summary>A human: name and groups (sorted, distinct).</summary>
public sealed record UserConfig(string Name, IReadOnlyList<string> Groups)
{
    /// <summary>By whom the provider knows him, who then vouches for him; null where one-time codes do.</summary>
    public string? Subject { get; init; }
}

public enum TargetKind
{
    Postgres,
}

/// <summary>How the gateway speaks to a target.</summary>
public enum TargetTls
{
    /// <summary>Plain text. The default on loopback only.</summary>
    Disable,

    /// <summary>Encrypted, the server's certificate unchecked.</summary>
    Require,

    /// <summary>Encrypted, certificate and host name checked. The default beyond loopback.</summary>
    VerifyFull,
}

/// <summary>One protected system and the credential that only the gateway holds (I8).</summary>
public sealed record TargetConfig
{
    public required string Name { get; init; }
    public required TargetKind Kind { get; init; }

    /// <summary>`prod`, `staging`, …: what policy calls `Environment`.</summary>
    public required string Environment { get; init; }

    public required string Host { get; init; }
    public required int Port { get; init; }
    public required string Database { get; init; }
    public required string User { get; init; }
    public required Secret Password { get; init; }

    /// <summary>What the password was read from, for errors: the name of the variable, or the path of the file.</summary>
    public string? PasswordFrom { get; init; }

    public required TargetTls Tls { get; init; }

    /// <summary>Full path of a PEM file of the authorities to trust instead of the system's; null for the system's.</summary>
    public string? CaFile { get; init; }

    /// <summary>Strong properties of the target's role that are accepted on purpose (DESIGN §8).</summary>
    public required IReadOnlySet<StrongRole> AllowStrongRole { get; init; }
}

/// <summary>What makes a target's role too strong to be fenced by a parse (DESIGN §8).</summary>
public enum StrongRole
{
    Superuser,
    Replication,
    BypassRls,
    CreateRole,

    /// <summary>`pg_read_server_files`.</summary>
    ReadServerFiles,

    /// <summary>`pg_write_server_files`.</summary>
    WriteServerFiles,

    /// <summary>`pg_execute_server_program`.</summary>
    ExecuteServerProgram,
}

/// <summary>Where traces and metrics go; null for nowhere.</summary>
public sealed record TelemetryConfig(Uri? Otlp);
