using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Countersign.Core;
using Countersign.Identity.Passkeys;
using Countersign.Journal;

namespace Countersign.Reviews;

/// <summary>What an exported entry proves of an answer.</summary>
/// <param name="Proven">In words, each on its own.</param>
/// <param name="Flaw">Why it proves no more; null: it proves that this person's passkey signed these bytes.</param>
public sealed record ApprovalProof(IReadOnlyList<string> Proven, string? Flaw)
{
    public string? Review { get; init; }
    public string? Approver { get; init; }
    public string? Decision { get; init; }
    public string? Time { get; init; }
    public string? StatementSha256 { get; init; }
    public string? PublicKeySha256 { get; init; }
    public string? Origin { get; init; }

    public bool Holds => Flaw is null;

    /// <summary>
    /// Verifies an exported `answer` entry with nothing but itself and a public key (docs/spec/approval-statement.md): no
    /// server, no store, no clock. Never throws.
    /// </summary>
    /// <param name="exported">`{index, leafHash, entry, body, salt}`, as the journal's API and `journal export` give it.</param>
    /// <param name="key">The person's public key, from somewhere else; null takes the one that the entry carries.</param>
    /// <param name="origin">Where it must have been signed; null takes any page of the host that the passkey is for.</param>
    public static ApprovalProof Of(JsonElement exported, PasskeyKey? key, string? origin)
    {
        var proven = new List<string>();
        try
        {
            return Read(exported, key, origin, proven);
        }
        catch (Exception e) when (e is InvalidOperationException or KeyNotFoundException or FormatException or JsonException)
        {
            return new ApprovalProof(proven, "it is not an exported entry, or a member of it has another type than it should");
        }
    }

    private static ApprovalProof Read(JsonElement exported, PasskeyKey? key, string? origin, List<string> proven)
    {
        ApprovalProof Not(string flaw) => new(proven, flaw);
        if (!exported.TryGetProperty("entry", out var entry) || entry.ValueKind != JsonValueKind.Object) return Not("it has no `entry`; export it with `countersign journal export`");
        if (CanonicalJson.Of(entry) is not { } canonical || !EntryFormat.TryParse(canonical.ToUtf8(), out var content, out var error)) return Not("its `entry` is none of a known version");
        if (content.Type != "answer") return Not($"entry {content.Index} is of type `{content.Type}`, and only an `answer` proves one");
        if (exported.TryGetProperty("leafHash", out var leaf) && leaf.ValueKind != JsonValueKind.Null)
        {
            // RFC 6962 §2.1.
            if (leaf.GetString() != Convert.ToHexStringLower(SHA256.HashData([0, .. canonical.ToUtf8()]))) return Not($"entry {content.Index} is not what its leaf hash says: one of the two was altered");
            proven.Add($"entry {content.Index} is what its leaf hash {leaf.GetString()} says");
        }

        if (!exported.TryGetProperty("body", out var body) || body.ValueKind != JsonValueKind.Object) return Not("it has no `body`: it was erased, or not exported");
        if (exported.TryGetProperty("salt", out var salt) && salt.ValueKind != JsonValueKind.Null)
        {
            if (content.BodySha256 is not { } committed || Convert.FromHexString(salt.GetString()!) is not { Length: EntryFormat.SaltBytes } salted
                || CanonicalJson.Of(body) is not { } bodied || !CryptographicOperations.FixedTimeEquals(EntryFormat.CommitToBody(salted, bodied.ToUtf8()), committed)) return Not("the body is not the one that the entry commits to");
            proven.Add("its body is the one that the entry commits to");
        }

        var statement = body.GetProperty("statement").GetString()!;
        var sha256 = ApprovalStatement.Sha256(statement);
        if (Text(entry, "statementSha256") != sha256) return Not("the statement is not the one that the entry names: it was altered");
        using var said = JsonDocument.Parse(statement, new JsonDocumentOptions { AllowDuplicateProperties = false });
        foreach (var (member, field) in new[] { ("review", "review"), ("digest", "digest"), ("decision", "decision"), ("approver", "user"), ("channel", "channel"), ("revision", "revision") })
        {
            if (Text(said.RootElement, member) != Text(entry, field)) return Not($"`{member}` of the statement is not `{field}` of the entry");
        }

        proven.Add($"the statement is the one that the entry names, SHA-256 {sha256}");
        if (!body.TryGetProperty("assertion", out var kept)) return Not("no passkey signed this answer: it was given by a session alone");
        if (PasskeyAssertion.Read(kept) is not { } assertion) return Not("its assertion is malformed");
        var carried = PasskeyAssertion.Bytes(Text(kept, "publicKey"), PasskeyLimits.LongestAuthenticatorData) is { } spki ? PasskeyKey.Read(spki) : null;
        if (carried is null || carried.Sha256 != Text(entry, "publicKeySha256")) return Not("the public key in the body is not the one that the entry names");
        if (key is not null && key.Sha256 != carried.Sha256) return Not($"it was signed by another key than the one given: {carried.Sha256}, and not {key.Sha256}");
        var fault = PasskeyChecks.Check(assertion, key ?? carried, SHA256.HashData(Encoding.UTF8.GetBytes(statement)), Text(kept, "rpId"), origin is null ? null : o => o == origin, out var facts);
        if (fault != PasskeyFault.None) return Not($"the signature does not prove it: {fault.Words()}");

        proven.Add($"the {carried.AlgorithmName} key with SHA-256 {carried.Sha256}{(key is null ? ", which the entry carries," : ", which you gave,")} signed exactly this statement, on {facts!.Origin}, and its authenticator had verified its person");
        var at = Text(entry, "time");
        proven.Add($"so the holder of that key, whom the journal calls `{Text(entry, "user")}`, said `{Text(entry, "decision")}` to review `{Text(entry, "review")}`, action digest {Text(entry, "digest")}; the journal recorded it at {at}");
        return new ApprovalProof(proven, null)
        {
            Review = Text(entry, "review"),
            Approver = Text(entry, "user"),
            Decision = Text(entry, "decision"),
            Time = at,
            StatementSha256 = sha256,
            PublicKeySha256 = carried.Sha256,
            Origin = facts.Origin,
        };
    }

    private static string Text(JsonElement json, string name) => json.GetProperty(name).GetString() ?? throw new FormatException();
}
