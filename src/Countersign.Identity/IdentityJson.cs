using System.Text.Json.Serialization;

namespace Countersign.Identity;

/// <summary>Whose a name is. Once given it is never given to another.</summary>
internal sealed record UserDocument(string Id)
{
    /// <summary>Key of the person whom a provider knows; null for a user of the config.</summary>
    public string? Subject { get; init; }
}

/// <summary>Somebody for whom a provider vouched, as it said last.</summary>
internal sealed record PersonDocument(string Id, string Issuer, string Subject, string Name, IReadOnlyList<string> Groups, DateTimeOffset GroupsReadAt);

internal sealed record AgentDocument(
    string Id, string Name, string Owner, string? For, IReadOnlyList<string> Groups, byte[] Salt, int Iterations,
    IReadOnlyList<AgentKey> Keys, DateTimeOffset CreatedAt, DateTimeOffset? RevokedAt)
{
    public IReadOnlyList<FormerOwner>? FormerOwners { get; init; }
    public string? VouchedBy { get; init; }
    public bool Delegated { get; init; }
}

/// <summary>A token that was used: its id opens nothing again.</summary>
internal sealed record UsedToken(DateTimeOffset ExpiresAt);

internal sealed record SessionDocument(string UserId, string UserName, DateTimeOffset CreatedAt, DateTimeOffset ExpiresAt)
{
    /// <summary>Empty in what a build wrote that had no browsers; such a session is over.</summary>
    public string Id { get; init; } = "";

    public SessionKind Kind { get; init; }
    public string Method { get; init; } = "terminal-code";
    public DateTimeOffset LastSeenAt { get; init; }
    public string? Client { get; init; }
    public string? Issuer { get; init; }
    public string? Subject { get; init; }
    public string? ProviderSubject { get; init; }
    public string? ProviderSession { get; init; }
    public string? Passkey { get; init; }
}

[JsonSerializable(typeof(UserDocument))]
[JsonSerializable(typeof(PersonDocument))]
[JsonSerializable(typeof(AgentDocument))]
[JsonSerializable(typeof(SessionDocument))]
[JsonSerializable(typeof(UsedToken))]
internal sealed partial class IdentityJson : JsonSerializerContext;
