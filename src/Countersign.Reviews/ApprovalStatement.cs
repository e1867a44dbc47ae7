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
/// outlive its <c>expires</c>, nor be used twice (the nonce is the statement's own identity in the review).
/// </summary>
public static class ApprovalStatement
{
    /// <summary>How long a statement can be answered. 5 minutes: one reading, not one shift.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromMinutes(5);

    public static string Create(Review review, UserEntry approver, AnswerKind kind, string channel, string? comment, DateTimeOffset now) =>
        Write(review, approver, kind, channel, comment, now + Lifetime, Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16)));

    private static string Write(Review review, UserEntry approver, AnswerKind kind, string channel, string? comment, DateTimeOffset expires, string nonce) =>
        CanonicalJson.Object(
            ("v", "countersign/statement/1"),
            ("review", review.Id.Value),
            ("digest", review.Digest),
            ("decision", kind.ToString().ToLowerInvariant()),
            ("approver", approver.Ref.Id.Value),
            ("channel", channel),
            ("comment", comment ?? (CanonicalJson?)null),
            ("agent", review.Agent.Id.Value),
            ("owner", review.Owner.Id.Value),
            ("for", review.OnBehalfOf?.Id.Value),
            ("target", CanonicalJson.Object(("name", review.Target.Name), ("kind", review.Target.Kind), ("environment", review.Target.Environment))),
            ("operation", review.Operation),
            ("statement", review.Statement),
            ("parameters", CanonicalJson.Array(review.Parameters.Select(static p => (CanonicalJson)CanonicalJson.Object(
                ("type", p.Type), ("value", p.Text is null ? CanonicalJson.Nothing.Instance : p.Text))))),
            ("effects", CanonicalJson.Strings(review.Effects.Select(static e => e.Canonical))),
            ("notes", CanonicalJson.Strings(review.Notes)),
            ("revision", review.Revision.ContentHash),
            ("requirements", CanonicalJson.Array(review.Requirements.Select(static r => (CanonicalJson)r.ToCanonical()))),
            ("expires", CanonicalJson.Time(expires)),
            ("nonce", nonce)).ToString();

    /// <summary>
    /// Checks a statement that came back: same bytes as this review, person and channel give now, and not expired.
    /// </summary>
    public static bool TryVerify(string statement, Review review, UserEntry approver, string channel, DateTimeOffset now, out AnswerKind kind, out string? comment)
    {
        kind = default;
        comment = null;
        if (statement.Length > MaxLength) return false;
        try
        {
            using var document = JsonDocument.Parse(statement, new JsonDocumentOptions { MaxDepth = 8 });
            var root = document.RootElement;
            if (!Enum.TryParse(root.GetProperty("decision").GetString(), ignoreCase: true, out kind)) return false;
            if (root.TryGetProperty("comment", out var said)) comment = said.GetString();
            var nonce = root.GetProperty("nonce").GetString()!;
            if (!DateTimeOffset.TryParseExact(root.GetProperty("expires").GetString(), "yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var expires)) return false;
            if (expires <= now || expires > now + Lifetime || nonce.Length != 32) return false;
            var expected = Write(review, approver, kind, channel, comment, expires, nonce);
            return CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(expected), Encoding.UTF8.GetBytes(statement));
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return false;
        }
    }

    public static string Sha256(string statement) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(statement)));

    /// <summary>16 MiB, in characters: a statement holds the whole payload, and that is bounded by its protocol.</summary>
    public const int MaxLength = 16 << 20;
}
