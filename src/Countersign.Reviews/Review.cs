using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Countersign.Core;

namespace Countersign.Reviews;

/// <summary>Where a review stands. The last four are final.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<ReviewState>))]
public enum ReviewState
{
    /// <summary>Waits for humans.</summary>
    Pending,

    /// <summary>Enough humans said yes; waits to be decided afresh in the presence of a waiter (I5, P24).</summary>
    Approved,

    /// <summary>Its one clearance was consumed.</summary>
    Released,
    Denied,
    Expired,
    Withdrawn,
}

[JsonConverter(typeof(JsonStringEnumConverter<AnswerKind>))]
public enum AnswerKind
{
    Approve,
    Deny,

    /// <summary>Release it now, without those whom it waits for: Cedar lets him, loudly.</summary>
    BreakGlass,
}

/// <summary>Answers as statements and entries spell them.</summary>
public static class AnswerKinds
{
    public static string Word(this AnswerKind kind) => kind switch
    {
        AnswerKind.Approve => "approve",
        AnswerKind.Deny => "deny",
        AnswerKind.BreakGlass => "break-glass",
        _ => throw new ArgumentOutOfRangeException(nameof(kind)),
    };

    public static AnswerKind? Parse(string? word) => word switch
    {
        "approve" => AnswerKind.Approve,
        "deny" => AnswerKind.Deny,
        "break-glass" => AnswerKind.BreakGlass,
        _ => null,
    };
}

/// <summary>One human's answer, over the statement whose hash it carries.</summary>
public sealed record Answer(OpaqueId User, string Name, AnswerKind Kind, string Channel, DateTimeOffset At, string? Comment, string StatementSha256)
{
    /// <summary>What he grants beside this one action; null: nothing.</summary>
    public GrantWish? Grant { get; init; }

    /// <summary>Id of the passkey that signed the statement; null: none did.</summary>
    public string? Passkey { get; init; }
}

/// <summary>An effect as it was shown to the approver; <see cref="Canonical"/> is what the statement commits to.</summary>
public sealed record ShownEffect(string Verb, string Action, string ResourceType, string ResourceId, IReadOnlyList<string> DataClasses, string Canonical)
{
    /// <summary>What the resource is in, `Type::id`: for a replay of the decision; follows from the name, so nobody commits to it.</summary>
    public IReadOnlyList<string> Parents { get; init; } = [];

    public static ShownEffect Of(Effect effect) => new(
        effect.Verb.ToString().ToLowerInvariant(), effect.Action, effect.Resource.Type, effect.Resource.Id,
        effect.Resource.DataClasses, effect.ToCanonical().ToString())
    {
        Parents = effect.Resource.Parents.Select(static p => $"{p.Type}::{p.Id}").ToArray(),
    };
}

/// <summary>A bound value as it was shown. <see cref="Text"/> null is SQL NULL.</summary>
public sealed record ShownParameter(string Type, string? Text)
{
    /// <summary>A value that has no text is shown as its bytes: an empty text would be another value (I10).</summary>
    public static ShownParameter Of(ActionParameter parameter) => new(parameter.Type,
        parameter.Raw is null ? null : parameter.Text ?? $"hex:{Convert.ToHexStringLower(parameter.Raw)}");
}

/// <summary>How an action came to be by an edit: from which review, what it said there, who changed it, when and why.</summary>
public sealed record ReviewEdit(ReviewId From, string Statement, IReadOnlyList<ShownParameter> Parameters, PrincipalRef By, DateTimeOffset At, string? Comment);

/// <summary>
/// The wait for humans on one action. Immutable; each change is a compare-and-set of the next value. What is shown comes
/// from the action that opened it; what runs is always a waiter's own action whose digest is equal (I3, P20).
/// </summary>
public sealed record Review
{
    public required ReviewId Id { get; init; }
    public required ReviewState State { get; init; }

    /// <summary>The action that opened it. Joining actions have ids of their own.</summary>
    public required ActionId Action { get; init; }
    public required JoinKey JoinKey { get; init; }

    /// <summary>128 bits, of this review alone: the same action has another digest in another review.</summary>
    public required byte[] Salt { get; init; }

    /// <summary>Hex of the action digest.</summary>
    public required string Digest { get; init; }

    public required PrincipalRef Agent { get; init; }
    public required PrincipalRef Owner { get; init; }
    public PrincipalRef? OnBehalfOf { get; init; }

    /// <summary>Humans behind earlier actors of a delegation.</summary>
    public IReadOnlyList<PrincipalRef> Via { get; init => field = value ?? []; } = []; // null: stored by a build that had none
    /// <summary>Humans who changed what the agent had asked; like all of the actor chain they never say yes.</summary>
    public IReadOnlyList<PrincipalRef> Editors { get; init => field = value ?? []; } = [];

    /// <summary>What it was before somebody changed it; null for what an agent asked itself.</summary>
    public ReviewEdit? Edit { get; init; }

    /// <summary>Of an edited action: what was asked for before the edit, and stays asked for whatever policy asks of the new one.</summary>
    public IReadOnlyList<Requirement> Floor { get; init => field = value ?? []; } = [];

    /// <summary>The review of what somebody made of this one; its state is withdrawn then.</summary>
    public ReviewId? EditedInto { get; init; }

    /// <summary>Groups of the agent when it asked.</summary>
    public IReadOnlyList<string> AgentGroups { get; init; } = [];

    public required TargetRef Target { get; init; }
    public required IReadOnlyList<ShownEffect> Effects { get; init; }
    public required string Operation { get; init; }
    public required string Statement { get; init; }
    public required IReadOnlyList<ShownParameter> Parameters { get; init; }
    public required IReadOnlyDictionary<string, string> Settings { get; init; }
    public required Intent Intent { get; init; }
    public required IReadOnlyList<string> Notes { get; init; }

    public required IReadOnlyList<Requirement> Requirements { get; init; }
    public required IReadOnlyList<MatchedPolicy> Policies { get; init; }
    public required Revision Revision { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }
    public required DateTimeOffset ExpiresAt { get; init; }

    /// <summary>Since when nobody waits; null while somebody does.</summary>
    public DateTimeOffset? DetachedAt { get; init; }

    /// <summary>Escalations whose time has come and that were told.</summary>
    public int EscalationsTold { get; init; }

    public IReadOnlyList<Answer> Answers { get; init; } = [];

    /// <summary>
    /// SHA-256 of the statements whose answers no longer count, because what they answered has changed: none counts again.
    /// </summary>
    public IReadOnlyList<string> SpentStatements { get; init; } = [];

    public DateTimeOffset? ClosedAt { get; init; }

    /// <summary>Reason code of the close.</summary>
    public string? CloseReason { get; init; }

    /// <summary>Who closed it, where a human did.</summary>
    public string? ClosedBy { get; init; }

    /// <summary>The action that the clearance was consumed by: that of one waiter. Null unless released.</summary>
    public ActionId? ReleasedAction { get; init; }

    /// <summary>Who broke its glass: it is released without those whom it waited for. Null: nobody.</summary>
    public OpaqueId? GlassBrokenBy { get; init; }

    /// <summary>The grant that this is a use of; null where people were asked.</summary>
    public GrantId? Grant { get; init; }

    /// <summary>What the target's planner expects; null until it has been asked, or where it is not.</summary>
    public Estimate? Estimate { get; init; }

    /// <summary>How the released action ended; null until known.</summary>
    public Outcome? Outcome { get; init; }

    [JsonIgnore]
    public bool IsOpen => State is ReviewState.Pending or ReviewState.Approved;

    /// <summary>Past its deadline, or longer without a waiter than <paramref name="detached"/>: denied, whether or not that is written yet (I6).</summary>
    public bool HasRunOut(DateTimeOffset now, TimeSpan detached) => ExpiresAt <= now || (DetachedAt is { } since && now - since >= detached);

    /// <summary>Humans of the actor chain: they may say no, never yes (I4).</summary>
    public bool IsActor(OpaqueId user) => user == Owner.Id || (OnBehalfOf is not null && user == OnBehalfOf.Id) || Via.Any(h => h.Id == user) || Editors.Any(h => h.Id == user);

    /// <summary>SHA-256 over the shown effects, in their order.</summary>
    public string EffectsHash() =>
        Convert.ToHexStringLower(SHA256.HashData(CanonicalJson.Strings(Effects.Select(static e => e.Canonical)).ToUtf8()));

    internal byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(this, ReviewJson.Default.Review);

    internal static Review FromBytes(byte[] bytes) => JsonSerializer.Deserialize(bytes, ReviewJson.Default.Review)!;
}

[JsonSerializable(typeof(Review))]
[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
internal sealed partial class ReviewJson : JsonSerializerContext;
