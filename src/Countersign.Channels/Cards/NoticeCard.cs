using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Countersign.Core;
using Countersign.Reviews;

namespace Countersign.Channels.Cards;

/// <summary>How a card looks from afar.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<CardTone>))]
public enum CardTone
{
    /// <summary>Somebody has to decide.</summary>
    Waiting,
    Good,
    Bad,

    /// <summary>It is over, and nothing came of it.</summary>
    Over,
}

/// <summary>A part of the action that a reader must not miss.</summary>
public sealed record CardDanger(string Title, string Detail);

/// <summary>A bound value, `$1` first. <see cref="Text"/> null is SQL NULL.</summary>
public sealed record CardValue(int Position, string Type, string? Text);

/// <summary>One thing that the action touches, and what is done to it.</summary>
public sealed record CardResource(string Id, string Type, IReadOnlyList<string> Does, IReadOnlyList<string> Classes, IReadOnlyList<string> Facts);

/// <summary>Why it was stopped: the policy's own reason.</summary>
public sealed record CardPolicy(string Id, string? Reason, IReadOnlyList<string> Controls);

/// <summary>What the agent says of it. Claims, never facts. <see cref="Label"/> is empty for its reason.</summary>
public sealed record CardClaim(string Label, string Text);

public sealed record CardAnswer(string Name, string Decision, string Channel, DateTimeOffset At, string? Comment);

/// <summary>
/// A review as every channel tells it, built once, in the reviewer's order: what, to what, how much, who and for whom, why,
/// the agent's own words, how long. All text in it has been through <see cref="VisibleText"/>: each character shows itself.
/// It is still text from outside: a channel escapes all of it for its own markup (P34), and cuts none of it silently (I10).
/// </summary>
public sealed record NoticeCard
{
    public required string Review { get; init; }
    public required CardTone Tone { get; init; }

    /// <summary>`waiting for approval`, `denied by alice`, …</summary>
    public required string State { get; init; }

    public required bool IsOpen { get; init; }

    /// <summary>`robo wants to update shop.public.customers and 1 more on shop`.</summary>
    public required string Headline { get; init; }

    public required IReadOnlyList<CardDanger> Dangers { get; init; }

    /// <summary>The whole statement; null where the channel may not carry it.</summary>
    public required string? Statement { get; init; }

    public required IReadOnlyList<CardValue> Values { get; init; }

    /// <summary>Says what was left out and why; null: nothing was.</summary>
    public required string? Withheld { get; init; }

    public required IReadOnlyList<CardResource> Touches { get; init; }
    public required string Target { get; init; }
    public required string Environment { get; init; }
    public required string HowMuch { get; init; }
    public required string Agent { get; init; }
    public required string Owner { get; init; }
    public required string? For { get; init; }

    /// <summary>Humans behind earlier actors, and who edited it: none of them decides.</summary>
    public required IReadOnlyList<string> Behind { get; init; }

    /// <summary>Says who changed the statement, where somebody did; null: it is the agent's own.</summary>
    public required string? Edited { get; init; }
    public required IReadOnlyList<CardPolicy> Policies { get; init; }
    public required IReadOnlyList<CardClaim> Claims { get; init; }
    public required IReadOnlyList<string> Notes { get; init; }
    public required string Needs { get; init; }
    public required IReadOnlyList<CardAnswer> Answers { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public required DateTimeOffset ExpiresAt { get; init; }
    public required DateTimeOffset? ClosedAt { get; init; }
    public required string Digest { get; init; }

    /// <summary>The page that shows everything.</summary>
    public required Uri Link { get; init; }

    /// <summary>
    /// Why this card takes no answer, as a sentence; null where it may. A channel that can not show all of it must leave the
    /// approval out as well.
    /// </summary>
    public required string? NoButtons { get; init; }

    /// <summary>An approval needs a comment; the patterns it must hold a match of.</summary>
    public required bool MustJustify { get; init; }
    public required IReadOnlyList<string> JustifyPatterns { get; init; }

    /// <summary>Whether anybody waits for it now.</summary>
    public required bool IsDetached { get; init; }

    /// <summary>Hex SHA-256 of all that the card says.</summary>
    public string Sha256() => Convert.ToHexStringLower(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(this, CardJson.Default.NoticeCard)));
}

/// <summary>A line beneath the card, told once. The key names it within its review.</summary>
/// <param name="Loud">Whether people should be called: a reminder, an escalation.</param>
public sealed record StoryLine(string Key, string Text, bool Loud);

[JsonSerializable(typeof(NoticeCard))]
internal sealed partial class CardJson : JsonSerializerContext;
