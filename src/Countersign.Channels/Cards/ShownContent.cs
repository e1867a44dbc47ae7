using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Reviews;

namespace Countersign.Channels.Cards;

/// <summary>
/// What an answer to a card commits to, whoever gives it and when: everything of an approval statement but person, channel,
/// decision, comment, time and nonce. A card that was posted remembers its hash; a click on it counts for a statement
/// with the same hash and for no other (I10).
/// </summary>
public static class ShownContent
{
    private static readonly string[] OfThePerson = ["decision", "approver", "channel", "comment", "grant", "expires", "nonce"];

    public static string Sha256Of(Review review) =>
        Sha256Of(ApprovalStatement.Create(review, new UserEntry(review.Owner, new HashSet<string>()), AnswerKind.Deny, "", null, review.CreatedAt));

    public static string Sha256Of(string statement)
    {
        using var document = JsonDocument.Parse(statement);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var member in document.RootElement.EnumerateObject().Where(static m => !OfThePerson.Contains(m.Name, StringComparer.Ordinal)))
        {
            // Canonical JSON: equal values are equal bytes.
            hash.AppendData(Encoding.UTF8.GetBytes($"{member.Name}\0{member.Value.GetRawText()}\0"));
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
