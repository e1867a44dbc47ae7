using System.Text.Json.Serialization;

namespace Countersign.Identity;

internal sealed record UserDocument(string Id);

internal sealed record AgentDocument(
    string Id, string Name, string Owner, string? For, IReadOnlyList<string> Groups, byte[] Salt, int Iterations,
    IReadOnlyList<AgentKey> Keys, DateTimeOffset CreatedAt, DateTimeOffset? RevokedAt);

internal sealed record SessionDocument(string UserId, string UserName, DateTimeOffset CreatedAt, DateTimeOffset ExpiresAt)
{
    /// <summary>Empty in what a build wrote that had no browsers; such a session is over.</summary>
    public string Id { get; init; } = "";

    public SessionKind Kind { get; init; }
    public string Method { get; init; } = "terminal-code";
    public DateTimeOffset LastSeenAt { get; init; }
    public string? Client { get; init; }
}

[JsonSerializable(typeof(UserDocument))]
[JsonSerializable(typeof(AgentDocument))]
[JsonSerializable(typeof(SessionDocument))]
internal sealed partial class IdentityJson : JsonSerializerContext;
