using System.Text.Json.Serialization;

namespace Countersign.Identity;

internal sealed record UserDocument(string Id);

internal sealed record AgentDocument(
    string Id, string Name, string Owner, string? For, IReadOnlyList<string> Groups, byte[] Salt, int Iterations,
    IReadOnlyList<AgentKey> Keys, DateTimeOffset CreatedAt, DateTimeOffset? RevokedAt);

internal sealed record SessionDocument(string UserId, string UserName, DateTimeOffset CreatedAt, DateTimeOffset ExpiresAt);

[JsonSerializable(typeof(UserDocument))]
[JsonSerializable(typeof(AgentDocument))]
[JsonSerializable(typeof(SessionDocument))]
internal sealed partial class IdentityJson : JsonSerializerContext;
