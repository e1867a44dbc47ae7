using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Countersign.Core;
using Countersign.Identity;

namespace Countersign.Reviews;

/// <summary>
/// The exact bytes that an answer commits to (docs/spec/approval-statement.md). The gateway makes it, the human's client
/// shows what it says and sends it back unchanged; it is then made again from the review as it is at that moment, and any
/// difference refuses the answer. So an answer can not be moved to another review, person, channel or payload, nor
/// outlive its <c>expires</c>, nor be used twice: the review keeps the hash of each statement that it took.
/// </summary>
public static class ApprovalStatement
{
    /// <summary>How long a statement can be answered. 5 minutes: one reading, not one shift.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromMinutes(5);

    /// <summary>128 bits: no two statements are alike, so that each can be spent once.</summary>
    private const int NonceBytes = 16;

    public static string Create(Review review, UserEntry approver, AnswerKind kind, string channel, string? comment, DateTimeOffset now, GrantWish? grant = null) =>
        Write(review, approver, kind, channel, comment, grant, now + Lifetime, Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(NonceBytes)));

    /// <summary>Bytes of the longest statement that anybody could make of this review, but for his comment.</summary>
    internal static int Size(Review review) => Encoding.UTF8.GetByteCount(
        Write(review, new UserEntry(review.Owner, new HashSet<string>()), AnswerKind.Approve, "", null, null, review.ExpiresAt, ""));

    private static string Write(Review review, UserEntry approver, AnswerKind kind, string channel, string? comment, GrantWish? grant, DateTimeOffset expires, string nonce) =>
        CanonicalJson.Object(
            ("v", "countersign/statement/1"),
            ("review", review.Id.Value),
            ("digest", review.Digest),
            ("decision", kind.Word()),
            ("approver", approver.Ref.Id.Value),
            ("channel", channel),
            ("comment", comment ?? (CanonicalJson?)null),
            ("grant", grant?.ToCanonical()),
            ("agent", review.Agent.Id.Value),
            ("owner", review.Owner.Id.Value),
            ("for", review.OnBehalfOf?.Id.Value),
            ("editors", review.Editors.Count == 0 ? null : CanonicalJson.Strings(review.Editors.Select(static e => e.Id.Value).Order(StringComparer.Ordinal))),
            ("edited", review.Edit is not { } edit ? null : CanonicalJson.Object(
                ("from", edit.From.Value), ("by", edit.By.Id.Value), ("statement", edit.Statement), ("parameters", Parameters(edit.Parameters)))),
            ("target", CanonicalJson.Object(("name", review.Target.Name), ("kind", review.Target.Kind), ("environment", review.Target.Environment))),
            ("operation", review.Operation),
            ("statement", review.Statement),
            ("parameters", Parameters(review.Parameters)),
            ("effects", CanonicalJson.Strings(review.Effects.Select(static e => e.Canonical))),
            ("notes", CanonicalJson.Strings(review.Notes)),
            ("revision", review.Revision.ContentHash),
            ("requirements", CanonicalJson.Array(review.Requirements.Select(static r => (CanonicalJson)r.ToCanonical()))),
            ("expires", CanonicalJson.Time(expires)),
            ("nonce", nonce)).ToString();

    private static CanonicalJson Parameters(IReadOnlyList<ShownParameter> parameters) => CanonicalJson.Array(parameters.Select(static p => (CanonicalJson)CanonicalJson.Object(
        ("type", p.Type), ("value", p.Text is null ? CanonicalJson.Nothing.Instance : p.Text))));

    /// <summary>
    /// Checks a statement that came back: same bytes as this review, person and channel give now, and not expired. What it
    /// claims is only read to write it again; never throws.
    /// </summary>
    public static bool TryVerify(string statement, Review review, UserEntry approver, string channel, DateTimeOffset now, out AnswerKind kind, out string? comment, out GrantWish? grant)
    {
        kind = default;
        comment = null;
        grant = null;
        if (statement is null || statement.Length > MaxLength) return false;
        try
        {
            using var document = JsonDocument.Parse(statement, new JsonDocumentOptions { MaxDepth = 8 });
            var root = document.RootElement;
            if (AnswerKinds.Parse(root.GetProperty("decision").GetString()) is not { } said) return false;
            kind = said;

            if (root.TryGetProperty("comment", out var remark)) comment = remark.GetString();
            if (root.TryGetProperty("grant", out var wish)) grant = GrantWish.Read(wish);
            if (root.GetProperty("nonce").GetString() is not { Length: 2 * NonceBytes } nonce || nonce.AsSpan().ContainsAnyExcept("0123456789abcdef")) return false;
            if (!DateTimeOffset.TryParseExact(root.GetProperty("expires").GetString(), "yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var expires)) return false;
            if (expires <= now || expires > now + Lifetime) return false;
            var expected = Write(review, approver, kind, channel, comment, grant, expires, nonce);
            return CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(expected), Encoding.UTF8.GetBytes(statement));
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or ArgumentException or FormatException or OverflowException)
        {
            // ArgumentException: half of a surrogate pair in the text. The last two: numbers of a grant that are none.
            return false;
        }
    }

    public static string Sha256(string statement) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(statement)));

    /// <summary>16 MiB, in characters: a statement holds the whole payload, and that is bounded by its protocol.</summary>
    public const int MaxLength = 16 << 20;
}
