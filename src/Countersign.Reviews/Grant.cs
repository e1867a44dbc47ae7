using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Countersign.Core;

namespace Countersign.Reviews;

/// <summary>Id of one grant. It is no secret: it grants nothing to who knows it.</summary>
public readonly record struct GrantId(string Value)
{
    private const string Prefix = "gr_";

    public static GrantId New() => new(IdText.New(Prefix));

    public static bool TryParse(string? text, out GrantId id)
    {
        id = default;
        if (!IdText.IsWellFormed(Prefix, text)) return false;
        id = new GrantId(text!);
        return true;
    }

    public override string ToString() => Value;
}

/// <summary>
/// A bound value that may differ from use to use, within exactly one kind of bound: a range of numbers, a list, or a
/// longest text. NULL is within none.
/// </summary>
/// <param name="Position">From 1, as `$1`.</param>
/// <param name="Min">Least number; with <paramref name="Max"/>.</param>
/// <param name="Max">Greatest number, included.</param>
/// <param name="OneOf">The values that it may have.</param>
/// <param name="MaxLength">Most characters of a text.</param>
public sealed record FreeParameter(int Position, decimal? Min, decimal? Max, IReadOnlyList<string>? OneOf, int? MaxLength)
{
    /// <summary>Values of a list: what a person reads before he says yes.</summary>
    public const int MostValues = 50;

    /// <summary>Characters of one value of a list.</summary>
    public const int LongestValue = 200;

    private static readonly string[] Numbers = ["smallint", "integer", "bigint", "numeric"];
    private static readonly string[] Texts = ["text", "character varying"];

    /// <summary>Whether these are bounds that a value of this type can be held to.</summary>
    public bool IsSoundFor(string type) => (Min, Max, OneOf, MaxLength) switch
    {
        ({ } min, { } max, null, null) => min <= max && Numbers.Contains(type, StringComparer.Ordinal),
        (null, null, { Count: > 0 and <= MostValues } list, null) => list.All(static v => v.Length <= LongestValue) && list.Distinct(StringComparer.Ordinal).Count() == list.Count,
        (null, null, null, > 0 and <= LongestValue * MostValues) => Texts.Contains(type, StringComparer.Ordinal),
        _ => false,
    };

    /// <summary>
    /// Whether a value is within the bounds. Only what is certain is: its bytes must be the text that is looked at, or the
    /// binary form of a plain number.
    /// </summary>
    public bool Holds(ActionParameter value)
    {
        if (value is not { Raw: { } raw, Text: { } text } || !IsSoundFor(value.Type)) return false;
        var plain = raw.AsSpan().SequenceEqual(Encoding.UTF8.GetBytes(text)) && (value.Format == "text" || Texts.Contains(value.Type, StringComparer.Ordinal));
        var number = TryNumber(text, out var n) && Numbers.Contains(value.Type, StringComparer.Ordinal);
        if (Min is { } min) return number && (plain || value.Format == "binary") && min <= n && n <= Max;
        if (OneOf is { } list) return (plain || (number && value.Format == "binary")) && list.Contains(text, StringComparer.Ordinal);
        return plain && text.EnumerateRunes().Count() <= MaxLength;
    }

    /// <summary>Digits, a sign, a point: nothing that two readers could read differently.</summary>
    private static bool TryNumber(string text, out decimal number)
    {
        number = 0;
        return text.Length <= 28 && text.AsSpan().TrimStart('-').Length >= text.Length - 1
            && decimal.TryParse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out number)
            && char.IsAsciiDigit(text[^1]) && (char.IsAsciiDigit(text[0]) || (text[0] == '-' && text.Length > 1 && char.IsAsciiDigit(text[1])));
    }

    public CanonicalJson ToCanonical() => CanonicalJson.Object(
        ("parameter", Position),
        ("min", Min is { } min ? (CanonicalJson)min.ToString(CultureInfo.InvariantCulture) : null),
        ("max", Max is { } max ? (CanonicalJson)max.ToString(CultureInfo.InvariantCulture) : null),
        ("oneOf", OneOf is null ? null : CanonicalJson.Strings(OneOf)),
        ("maxLength", MaxLength is { } length ? (CanonicalJson)length : null));

    internal static FreeParameter Read(JsonElement json) => new(
        json.GetProperty("parameter").GetInt32(),
        json.TryGetProperty("min", out var min) ? decimal.Parse(min.GetString()!, NumberStyles.Number, CultureInfo.InvariantCulture) : null,
        json.TryGetProperty("max", out var max) ? decimal.Parse(max.GetString()!, NumberStyles.Number, CultureInfo.InvariantCulture) : null,
        json.TryGetProperty("oneOf", out var list) ? list.EnumerateArray().Select(static v => v.GetString()!).ToArray() : null,
        json.TryGetProperty("maxLength", out var length) ? length.GetInt32() : null);

    /// <summary>`$2 from 1 to 100`.</summary>
    public override string ToString() => OneOf is { } list
        ? $"${Position} one of {string.Join(", ", list)}"
        : MaxLength is { } length
            ? string.Create(CultureInfo.InvariantCulture, $"${Position} any text of at most {length} characters")
            : string.Create(CultureInfo.InvariantCulture, $"${Position} from {Min} to {Max}");
}

/// <summary>What an approver grants beside this one action: the like of it, so many times in all, for so long from his answer.</summary>
public sealed record GrantWish(TimeSpan For, int Uses, IReadOnlyList<FreeParameter> Free)
{
    public CanonicalJson ToCanonical() => CanonicalJson.Object(
        ("forSeconds", (long)For.TotalSeconds),
        ("uses", Uses),
        ("free", CanonicalJson.Array(Free.Select(static f => f.ToCanonical()))));

    /// <summary>From its canonical form.</summary>
    public static GrantWish Read(JsonElement json) => new(
        TimeSpan.FromSeconds(json.GetProperty("forSeconds").GetInt32()), json.GetProperty("uses").GetInt32(),
        json.GetProperty("free").EnumerateArray().Select(FreeParameter.Read).ToArray());

    /// <summary>Whether it is within what policy allows, and its bounds can be held to.</summary>
    public bool IsWithin(GrantTerms terms, IReadOnlyList<ShownParameter> parameters) =>
        For > TimeSpan.Zero && For <= terms.For && Uses >= 1 && Uses <= terms.Uses
        && Free.Select(static f => f.Position).Distinct().Count() == Free.Count
        && Free.All(f => f.Position >= 1 && f.Position <= parameters.Count && f.IsSoundFor(parameters[f.Position - 1].Type));

    /// <summary>`for 30 min, 20 times in all, with $2 from 1 to 100`.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"for {For.TotalMinutes:0.#} min, {Uses} times in all{(Free.Count == 0 ? "" : ", with " + string.Join(" and ", Free))}");
}

/// <summary>
/// The standing permission of people for one shape of action: this agent with its chain, this target, this text, these
/// settings; bound values as they were but for the free ones. It permits nothing by itself: each use is decided afresh.
/// </summary>
public sealed record Grant
{
    public required GrantId Id { get; init; }

    /// <summary>The review that it was given in.</summary>
    public required ReviewId Review { get; init; }

    /// <summary>Keyed hash of the shape: what a later action is compared with. Holds no value.</summary>
    public required string Shape { get; init; }

    public required PrincipalRef Agent { get; init; }
    public required PrincipalRef Owner { get; init; }
    public PrincipalRef? OnBehalfOf { get; init; }
    public IReadOnlyList<PrincipalRef> Via { get; init => field = value ?? []; } = []; // null: stored by a build that had none
    public required TargetRef Target { get; init; }
    public required string Operation { get; init; }
    public required string Statement { get; init; }
    public required IReadOnlyList<ShownParameter> Parameters { get; init; }
    public required IReadOnlyList<ShownEffect> Effects { get; init; }
    public required IReadOnlyList<FreeParameter> Free { get; init; }

    /// <summary>The approvals that it stands on, in their order. Each use asks again whether they still count.</summary>
    public required IReadOnlyList<Answer> Approvals { get; init; }

    /// <summary>Age of the review when it was given: escalations that had come then have come.</summary>
    public required TimeSpan Age { get; init; }

    public required DateTimeOffset OpenedAt { get; init; }
    public required DateTimeOffset ExpiresAt { get; init; }
    public required int MaxUses { get; init; }

    /// <summary>Times that it was used, the one that it was given for included.</summary>
    public required int Uses { get; init; }

    public DateTimeOffset? ClosedAt { get; init; }
    public string? CloseReason { get; init; }
    public string? ClosedBy { get; init; }

    [JsonIgnore]
    public bool IsOpen => ClosedAt is null;

    public bool IsActor(OpaqueId user) => user == Owner.Id || (OnBehalfOf is not null && user == OnBehalfOf.Id) || Via.Any(h => h.Id == user);

    /// <summary>
    /// Keyed hash over everything that the digest of an action covers, the free values left out, and which and how they are
    /// free.
    /// </summary>
    internal static string ShapeOf(byte[] secret, GatewayAction action, IReadOnlyList<FreeParameter> free)
    {
        var positions = free.Select(static f => f.Position - 1).ToHashSet();
        var parameters = action.Payload.Parameters.Select((p, i) => positions.Contains(i) ? p with { Raw = null, Text = null } : p).ToArray();
        var masked = action with { Payload = action.Payload with { Parameters = parameters } };
        return JoinKey.Compute(secret, CanonicalJson.Object(
            ("v", "countersign/shape/1"),
            ("action", CanonicalJson.Bytes(masked.ToCanonical())),
            ("free", CanonicalJson.Array(free.OrderBy(static f => f.Position).Select(static f => f.ToCanonical())))).ToUtf8()).Value;
    }

    internal byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(this, GrantJson.Default.Grant);

    internal static Grant FromBytes(byte[] bytes) => JsonSerializer.Deserialize(bytes, GrantJson.Default.Grant)!;
}

[JsonSerializable(typeof(Grant))]
[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
internal sealed partial class GrantJson : JsonSerializerContext;
