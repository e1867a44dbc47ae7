using Countersign.Core;

namespace Countersign.Config;

/// <summary>Who may act without a key: workloads that an issuer of tokens or a certificate authority vouches for.</summary>
public sealed record FederationConfig
{
    /// <summary>Issuers of workload tokens, in name order; no two of one `iss`.</summary>
    public IReadOnlyList<IssuerConfig> Issuers { get; init; } = [];

    /// <summary>Runtimes that say for whom their agents act, in name order.</summary>
    public IReadOnlyList<RuntimeConfig> Runtimes { get; init; } = [];

    /// <summary>Client certificates; null where none is asked for.</summary>
    public CertificatesConfig? Certificates { get; init; }

    /// <summary>True where the operator said on purpose that a token may come without TLS over loopback.</summary>
    public bool InsecureLoopback { get; init; }
}

/// <summary>One issuer of workload tokens, complete (P35).</summary>
public sealed record IssuerConfig
{
    public required string Name { get; init; }

    /// <summary>`iss`, compared byte for byte.</summary>
    public required string Issuer { get; init; }

    /// <summary>`aud`: the one audience of its tokens.</summary>
    public required string Audience { get; init; }

    /// <summary>Address of its keys; null to find it by discovery.</summary>
    public Uri? JwksUrl { get; init; }

    /// <summary>Full path of a file with its keys, read when the gateway starts and when a key is unknown.</summary>
    public string? JwksFile { get; init; }

    /// <summary>The `typ` of its tokens: `JWT` (which a token may leave out) or another that must be there.</summary>
    public required string Type { get; init; }

    /// <summary>True where each token opens one connection, by its `jti`.</summary>
    public required bool Once { get; init; }

    public required TimeSpan MaxLifetime { get; init; }
    public required TimeSpan Grace { get; init; }

    /// <summary>At least one, in name order.</summary>
    public required IReadOnlyList<WorkloadConfig> Agents { get; init; }

    /// <summary>The claim that tells people apart in delegated tokens.</summary>
    public required string PeopleClaim { get; init; }

    /// <summary>Users here by the issuer's subjects.</summary>
    public required IReadOnlyDictionary<string, string> People { get; init; }
}

/// <summary>An agent and the claims that make a workload it: all of them.</summary>
public sealed record WorkloadConfig(string Name, IReadOnlyDictionary<string, SubjectPattern> Match, string Owner)
{
    /// <summary>Sorted, distinct.</summary>
    public IReadOnlyList<string> Groups { get; init; } = [];

    /// <summary>The user for whom it acts, fixed; null for none.</summary>
    public string? For { get; init; }

    /// <summary>True where the token itself names the user for whom it acts (RFC 8693 `act`), and must.</summary>
    public bool Delegated { get; init; }
}

/// <summary>One runtime whose signed statements say for whom its agents act, complete (P35).</summary>
public sealed record RuntimeConfig
{
    public required string Name { get; init; }

    /// <summary>`iss`, compared byte for byte.</summary>
    public required string Issuer { get; init; }

    /// <summary>`aud`: the one audience of its statements.</summary>
    public required string Audience { get; init; }

    /// <summary>Address of its keys; null to find it by discovery.</summary>
    public Uri? JwksUrl { get; init; }

    /// <summary>Full path of a file with its keys.</summary>
    public string? JwksFile { get; init; }

    public required TimeSpan MaxLifetime { get; init; }

    /// <summary>How long a connection may act after the statement that it began with has ended.</summary>
    public required TimeSpan Grace { get; init; }

    /// <summary>Agents that it runs, sorted, at least one: each of them brings a statement, always.</summary>
    public required IReadOnlyList<string> Agents { get; init; }

    /// <summary>The claim that tells people apart.</summary>
    public required string PeopleClaim { get; init; }

    /// <summary>Users here by the runtime's subjects.</summary>
    public required IReadOnlyDictionary<string, string> People { get; init; }
}

/// <summary>Client certificates of agents.</summary>
public sealed record CertificatesConfig
{
    /// <summary>Full path of the PEM file of the authorities that issue them: these and no others.</summary>
    public required string CaFile { get; init; }

    /// <summary>Serial numbers in lower-case hex without leading zeros.</summary>
    public required IReadOnlySet<string> Revoked { get; init; }

    public required TimeSpan Grace { get; init; }

    /// <summary>At least one. <see cref="WorkloadConfig.Match"/> has `uri`, `dns` or both.</summary>
    public required IReadOnlyList<WorkloadConfig> Agents { get; init; }
}
