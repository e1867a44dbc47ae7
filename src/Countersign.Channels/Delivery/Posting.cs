using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Countersign.Core;
using Countersign.Journal;

namespace Countersign.Channels.Delivery;

/// <summary>
/// One message about one review at one place: what it should come to say follows from the review, and what it says already
/// is remembered here. So nothing is queued that could be lost, doubled or out of order; what differs is made equal.
/// </summary>
public sealed record Posting
{
    internal const string Open = "postings";
    internal const string Finished = "postings-finished";

    /// <summary>128 random bits in hex; its unique tag in the store.</summary>
    public required string Id { get; init; }
    public required string Review { get; init; }
    public required string Channel { get; init; }
    public required string Place { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>The channel's own name of the message; null: not posted, as far as is known.</summary>
    public string? Message { get; init; }

    /// <summary>Since when an attempt may have posted it without anybody knowing.</summary>
    public DateTimeOffset? BegunAt { get; init; }

    /// <summary>Of what is answered by a click on it; raised whenever that changes.</summary>
    public int Version { get; init; } = 1;

    /// <summary>Hash of what an answer to this version commits to.</summary>
    public string? Content { get; init; }

    /// <summary>Hash of the card that it shows.</summary>
    public string? Shown { get; init; }

    /// <summary>Keys of the lines told beneath it.</summary>
    public IReadOnlyList<string> Told { get; init => field = value ?? []; } = [];

    /// <summary>The line that an attempt may have told without anybody knowing.</summary>
    public string? Telling { get; init; }

    public int Attempts { get; init; }
    public DateTimeOffset? NextAt { get; init; }
    public string? Error { get; init; }
    public DateTimeOffset? PostedAt { get; init; }
    public DateTimeOffset? UpdatedAt { get; init; }
    public DateTimeOffset? FinishedAt { get; init; }

    /// <summary>What the buttons of the shown version carry.</summary>
    [JsonIgnore]
    public string Reference => ReferenceOf(Version);

    internal string ReferenceOf(int version) => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Id}.{version}");

    /// <summary>Starts with the review, so that all of one review are read together; the same place twice is the same key.</summary>
    internal string Key => KeyOf(Review, new Destination(Channel, Place));

    internal static string KeyOf(string review, Destination to) =>
        $"{review}/{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(to.ToString())))[..24]}";

    internal static Posting New(ReviewId review, Destination to, DateTimeOffset now) => new()
    {
        Id = RandomNumberGenerator.GetHexString(32, lowercase: true),
        Review = review.Value,
        Channel = to.Channel,
        Place = to.Place,
        CreatedAt = now,
    };

    internal byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(this, PostingJson.Default.Posting);

    internal static Posting Read(StateDocument document) => JsonSerializer.Deserialize(document.Value, PostingJson.Default.Posting)!;
}

[JsonSerializable(typeof(Posting))]
[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
internal sealed partial class PostingJson : JsonSerializerContext;

/// <summary>What is known of messages, read from the store. Thread-safe.</summary>
public sealed class Postings(IStateReader reader)
{
    /// <summary>Most places that are told of one review. 64: more is a mistake in the routes.</summary>
    public const int MaxPerReview = 64;

    /// <summary>Every message about a review, in the order in which they were begun.</summary>
    public IReadOnlyList<Posting> Of(ReviewId review) =>
        In(Posting.Open, review).Concat(In(Posting.Finished, review)).Select(Posting.Read).OrderBy(static p => p.CreatedAt).ToArray();

    /// <summary>The message that a button of it names, and the version; null where there is none.</summary>
    public (Posting Posting, int Version)? Find(string? reference)
    {
        if (reference is null || reference.Length > 48 || reference.IndexOf('.', StringComparison.Ordinal) is not 32) return null;
        var id = reference[..32];
        if (id.AsSpan().ContainsAnyExcept("0123456789abcdef") || !int.TryParse(reference.AsSpan(33), System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var version)) return null;
        return (reader.FindByTag(Posting.Open, id) ?? reader.FindByTag(Posting.Finished, id)) is { } document ? (Posting.Read(document), version) : null;
    }

    internal IReadOnlyList<StateDocument> In(string collection, ReviewId review) =>
        reader.List(collection, $"{review}/", MaxPerReview).TakeWhile(d => d.Key.StartsWith($"{review}/", StringComparison.Ordinal)).ToArray();
}
