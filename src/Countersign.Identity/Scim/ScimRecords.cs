using System.Text.Json.Serialization;

namespace Countersign.Identity.Scim;

/// <summary>By what a provisioned user is told to be somebody here.</summary>
public enum ScimMatch
{
    /// <summary>`externalId` is the subject of the OpenID Connect provider.</summary>
    ExternalId,

    /// <summary>`userName` is the name here. Only where nobody can choose it himself.</summary>
    UserName,
}

/// <summary>What provisioning goes by.</summary>
public sealed record ScimOptions
{
    public ScimMatch Match { get; init; }

    /// <summary>True where groups come from here rather than from a claim.</summary>
    public bool OwnsGroups { get; init; } = true;

    public GroupNames Groups { get; init; } = new(null, null);

    /// <summary>Issuer of the subjects that `externalId` names; null without a provider.</summary>
    public string? Issuer { get; init; }
}

/// <summary>A user as he was provisioned. What was deleted stays, inactive: whoever was thrown out must not come back by being forgotten.</summary>
public sealed record ScimUser(string Id, string UserName, string? ExternalId, string? DisplayName, bool Active, bool Deleted, DateTimeOffset CreatedAt, DateTimeOffset ModifiedAt);

/// <summary>A group as it was provisioned; members are ids of users.</summary>
public sealed record ScimGroup(string Id, string DisplayName, string? ExternalId, IReadOnlyList<string> Members, DateTimeOffset CreatedAt, DateTimeOffset ModifiedAt);

/// <summary>RFC 7644 §3.12.</summary>
public sealed class ScimException(int status, string? scimType, string detail) : Exception(detail)
{
    public int Status { get; } = status;
    public string? ScimType { get; } = scimType;
}

[JsonSerializable(typeof(ScimUser))]
[JsonSerializable(typeof(ScimGroup))]
internal sealed partial class ScimJson : JsonSerializerContext;
