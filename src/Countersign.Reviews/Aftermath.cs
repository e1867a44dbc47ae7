using System.Text.Json;
using System.Text.Json.Serialization;
using Countersign.Core;

namespace Countersign.Reviews;

/// <summary>The review after the fact of a broken glass: open until somebody else has said what he found.</summary>
public sealed record Aftermath
{
    public required ReviewId Review { get; init; }
    public required PrincipalRef BrokenBy { get; init; }
    public required PrincipalRef Agent { get; init; }
    public required PrincipalRef Owner { get; init; }
    public PrincipalRef? OnBehalfOf { get; init; }
    public IReadOnlyList<PrincipalRef> Editors { get; init => field = value ?? []; } = [];
    public IReadOnlyList<PrincipalRef> Via { get; init => field = value ?? []; } = []; // null: stored by a build that had none

    /// <summary>Why, in the words of who broke it.</summary>
    public required string Comment { get; init; }

    public required DateTimeOffset OpenedAt { get; init; }
    public DateTimeOffset? ClosedAt { get; init; }
    public PrincipalRef? ClosedBy { get; init; }

    /// <summary>What was found; null while it is open.</summary>
    public string? Finding { get; init; }

    /// <summary>Whether it was right to break it, as was found.</summary>
    public bool? Justified { get; init; }

    /// <summary>Whether this human is too close to it: who broke it, the humans behind the agent, and who edited the action.</summary>
    public bool Concerns(OpaqueId user) => user == BrokenBy.Id || user == Owner.Id || (OnBehalfOf is not null && user == OnBehalfOf.Id) || Via.Any(h => h.Id == user) || Editors.Any(h => h.Id == user);

    internal static Aftermath Of(Review review, PrincipalRef by, string comment, DateTimeOffset now) => new()
    {
        Review = review.Id,
        BrokenBy = by,
        Agent = review.Agent,
        Owner = review.Owner,
        OnBehalfOf = review.OnBehalfOf,
        Via = review.Via,
        Editors = review.Editors,
        Comment = comment,
        OpenedAt = now,
    };

    internal byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(this, AftermathJson.Default.Aftermath);

    internal static Aftermath FromBytes(byte[] bytes) => JsonSerializer.Deserialize(bytes, AftermathJson.Default.Aftermath)!;
}

[JsonSerializable(typeof(Aftermath))]
[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
internal sealed partial class AftermathJson : JsonSerializerContext;
