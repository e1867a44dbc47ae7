using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Countersign.Config;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;
using Countersign.Policy;
using Countersign.Policy.Loading;
using Countersign.Reviews;

namespace Countersign.Hosting;

/// <summary>One change of the policies that decide, as it came into force.</summary>
/// <param name="At">When.</param>
/// <param name="Revision">The revision that it led to.</param>
/// <param name="Authors">E-mail addresses of those who committed it, in lower case.</param>
/// <param name="Added">Ids of the policies that it brought.</param>
/// <param name="Loosened">Whether it took away or altered any: then what matches now may match because of that.</param>
internal sealed record PolicyChange(DateTimeOffset At, string Revision, IReadOnlyList<string> Authors, IReadOnlyList<string> Added, bool Loosened);

/// <summary>The policies of the revision that was last in force, by hash, and the changes that led to it.</summary>
internal sealed record PolicyChanges(string? Commit, IReadOnlyDictionary<string, string> Policies, IReadOnlyList<PolicyChange> Changes);

/// <summary>
/// Who changed the policies not long ago, and who owned an agent: they do not approve what that is about (I11). Kept in the
/// store, so that a restart forgets nothing; a change while the gateway was down is found at its start.
/// </summary>
internal sealed class PolicyAuthors(GovernanceConfig governance, string folder, IStateReader reader, UserDirectory users, AgentRegistry agents, TimeProvider time)
{
    private const string Collection = "governance";
    private const string Key = "policies";

    private volatile PolicyChanges? known;

    private PolicyChanges Known => known ??= reader.Get(Collection, Key) is { } document
        ? JsonSerializer.Deserialize(document.Value, PolicyAuthorsJson.Default.PolicyChanges)!
        : new PolicyChanges(null, new Dictionary<string, string>(), []);

    /// <summary>Whether this human can not approve this review yet.</summary>
    public bool IsCooling(OpaqueId user, Review review)
    {
        if (governance.Cooling == TimeSpan.Zero) return false;
        var from = time.GetUtcNow() - governance.Cooling;
        if (agents.Find(review.Agent.Name)?.FormerOwners.Any(f => f.Id == user.Value && f.Until > from) == true) return true;
        if (users.Find(user) is not { } human) return false;
        return Known.Changes.Any(c => c.At > from && (c.Loosened || review.Policies.Any(p => c.Added.Contains(p.Id, StringComparer.Ordinal))) && c.Authors.Any(mail => IsOf(mail, human.Ref.Name)));
    }

    /// <summary>Rather one too many than one too few: this only ever keeps somebody from approving.</summary>
    private bool IsOf(string mail, string user)
    {
        if (governance.Authors.TryGetValue(mail, out var named) && named == user) return true;
        var at = mail.IndexOf('@', StringComparison.Ordinal);
        return mail.Equals(user, StringComparison.OrdinalIgnoreCase) || (at > 0 && mail.AsSpan(0, at).Equals(user, StringComparison.OrdinalIgnoreCase));
    }

    /// <summary>What a revision changes against the last one that was in force, and the write that remembers it; call <see cref="Remember"/> when it is written.</summary>
    public (PolicyChange Change, PolicyChanges Next, StateChange Write) Of(PolicyRevision revision)
    {
        var before = Known;
        var now = time.GetUtcNow();
        var policies = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var policy in revision.Policies) policies[policy.Id] = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(policy.Text)));
        var change = new PolicyChange(now, revision.Id.ContentHash, GitHistory.Authors(folder, before.Commit, now - governance.Cooling),
            policies.Keys.Where(id => !before.Policies.ContainsKey(id)).ToArray(),
            before.Policies.Any(old => !policies.TryGetValue(old.Key, out var text) || text != old.Value));
        var next = new PolicyChanges(revision.Id.GitCommit, policies, [.. before.Changes.Where(c => c.At > now - TimeSpan.FromDays(365)), change]);
        return (change, next, new StateChange.Put(Collection, Key, reader.Get(Collection, Key)?.Version ?? 0, null, JsonSerializer.SerializeToUtf8Bytes(next, PolicyAuthorsJson.Default.PolicyChanges)));
    }

    public void Remember(PolicyChanges next) => known = next;

    /// <summary>The users among the authors, by their opaque ids.</summary>
    public IEnumerable<OpaqueId> Users(PolicyChange change) => Users(change.Authors);

    public IEnumerable<OpaqueId> Users(IReadOnlyList<string> mails) => users.All.Where(u => mails.Any(mail => IsOf(mail, u.Ref.Name))).Select(static u => u.Ref.Id);
}

[JsonSerializable(typeof(PolicyChanges))]
internal sealed partial class PolicyAuthorsJson : JsonSerializerContext;
