using Countersign.Core;

namespace Countersign.Identity.Federation;

/// <summary>An agent that somebody else vouches for, and what must be so of a workload to be it: all of <see cref="Match"/>.</summary>
/// <param name="Match">Patterns by claim; for a certificate by `uri` and `dns`.</param>
public sealed record Workload(string Agent, IReadOnlyDictionary<string, SubjectPattern> Match, string Owner)
{
    public IReadOnlyList<string> Groups { get; init; } = [];

    /// <summary>The user for whom it acts, fixed.</summary>
    public string? For { get; init; }

    /// <summary>True where the token names the user (RFC 8693 `act`), and must.</summary>
    public bool Delegated { get; init; }
}

/// <summary>An issuer of workload tokens. Complete, or there is none (P35).</summary>
public sealed record TokenIssuer
{
    /// <summary>`iss`, compared byte for byte.</summary>
    public required string Issuer { get; init; }

    /// <summary>The one audience of its tokens.</summary>
    public required string Audience { get; init; }

    /// <summary>Where its keys are; null to find that by discovery.</summary>
    public Uri? JwksUrl { get; init; }

    /// <summary>File of its keys instead.</summary>
    public string? JwksFile { get; init; }

    /// <summary>`typ` of its tokens; `JWT` may be left out of a token, another may not.</summary>
    public string Type { get; init; } = "JWT";

    /// <summary>Each token opens one connection, by its `jti`.</summary>
    public bool Once { get; init; } = true;

    /// <summary>Longest time between issue and end of a token.</summary>
    public TimeSpan MaxLifetime { get; init; } = TimeSpan.FromHours(6);

    /// <summary>How long a connection may act after its token has ended.</summary>
    public TimeSpan Grace { get; init; }

    public required IReadOnlyList<Workload> Workloads { get; init; }

    /// <summary>The claim that tells people apart in delegated tokens.</summary>
    public string PeopleClaim { get; init; } = "sub";

    /// <summary>Names of users by this issuer's subjects.</summary>
    public IReadOnlyDictionary<string, string> People { get; init; } = new Dictionary<string, string>();
}

/// <summary>A runtime that says, signed, for whom its agents act.</summary>
/// <param name="Signer">Its keys, audience, bounds and people. It has no workloads: it lets nobody in.</param>
/// <param name="Agents">The agents that it runs.</param>
public sealed record TrustedRuntime(TokenIssuer Signer, IReadOnlyList<string> Agents)
{
    /// <summary>`typ` of a statement. A token of any other kind is none, whoever signed it (RFC 8725 §3.11).</summary>
    public const string StatementType = "on-behalf-of+jwt";
}

/// <summary>Who may bring a client certificate.</summary>
public sealed record CertificateAuthority
{
    /// <summary>PEM file of the authorities: these and no others.</summary>
    public required string CaFile { get; init; }

    /// <summary>Serial numbers that count no more: lower-case hex without leading zeros.</summary>
    public IReadOnlySet<string> Revoked { get; init; } = new HashSet<string>();

    public TimeSpan Grace { get; init; }
    public required IReadOnlyList<Workload> Workloads { get; init; }
}

/// <summary>Bounds of federation (docs/limits.md).</summary>
public sealed record FederationLimits
{
    /// <summary>Largest token, characters. 8 KiB less a little: what a password message holds before anybody is known.</summary>
    public int TokenChars { get; init; } = 8000;

    /// <summary>By how much an issuer's clock may be ahead. 30 s. None is given at the end of a token: a clock that is behind costs it seconds.</summary>
    public TimeSpan Skew { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long keys are believed. 1 hour: a key that its issuer withdrew signs no longer than that.</summary>
    public TimeSpan KeysLifetime { get; init; } = TimeSpan.FromHours(1);

    /// <summary>How long older keys serve while the issuer can not be reached. 12 hours: an issuer's bad night stops nobody.</summary>
    public TimeSpan KeysStale { get; init; } = TimeSpan.FromHours(12);

    /// <summary>Least time between two fetches from one issuer. 30 s: a forged key id must not make us knock at its door.</summary>
    public TimeSpan FetchInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Time for one fetch. 5 s: a client waits behind it.</summary>
    public TimeSpan FetchTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Largest answer, bytes. 256 KiB: some hundred keys with their certificates.</summary>
    public int AnswerBytes { get; init; } = 256 << 10;

    /// <summary>Most keys of one issuer. 100.</summary>
    public int Keys { get; init; } = 100;

    /// <summary>Deepest `act` within `act`. 8.</summary>
    public int Actors { get; init; } = 8;

    /// <summary>Refusals a minute that are written to the journal; those beyond are counted in the next. 60: strangers must not fill it.</summary>
    public int RefusalsPerMinute { get; init; } = 60;

    /// <summary>Time between two removals of used token ids. 1 minute.</summary>
    public TimeSpan SweepEvery { get; init; } = TimeSpan.FromMinutes(1);
}

/// <summary>How an agent of this name proves itself.</summary>
public enum SignInMethod
{
    /// <summary>A key of its own, or nobody of that name: which, is not said.</summary>
    Key,
    Token,
    Certificate,
}

/// <summary>A workload that was let in.</summary>
/// <param name="EndsAt">From then on it may begin nothing.</param>
public sealed record WorkloadSession(AgentEntry Agent, ActorChain Actors, DateTimeOffset EndsAt);

/// <summary>Exactly one of the two is there.</summary>
public sealed record WorkloadSignIn(WorkloadSession? Session, string? ReasonCode);

/// <summary>For whom an agent acts: the chain with that human in it, or why it may not act.</summary>
/// <param name="EndsAt">From then on it may begin nothing; null where the chain has no such end.</param>
public sealed record ActingFor(ActorChain? Actors, DateTimeOffset? EndsAt, string? ReasonCode);
