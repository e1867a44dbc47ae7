using System.Text.Json;
using System.Text.Json.Serialization;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;

namespace Countersign.Reviews;

/// <summary>
/// While <see cref="Away"/> is away, <see cref="To"/> speaks for him: in his groups, as one human, and never about what is
/// done in the name of either. <see cref="Until"/> is no longer part of it.
/// </summary>
public sealed record Delegation(PrincipalRef Away, PrincipalRef To, DateTimeOffset From, DateTimeOffset Until, OpaqueId Author)
{
    public bool IsActive(DateTimeOffset now) => From <= now && now < Until;
}

/// <summary>What came of a change to a delegation; <see cref="ReasonCode"/> is null when it is done.</summary>
public sealed record DelegationChange(string? ReasonCode, string? Detail, Delegation? Delegation);

/// <summary>
/// Who speaks for whom. One delegate for a person at a time, so that what one person may say is said once. A delegate's
/// delegate is nobody's: only one's own groups are lent. Every change is journalled with its author.
/// </summary>
public sealed class Delegations(IStateReader reader, JournalAppender journal, UserDirectory users, TimeProvider time)
{
    private const string Collection = "delegations";

    /// <summary>Whether a delegate is named in a browser's session only, as approvals are given then. Taken back it is from everywhere.</summary>
    public bool NamedOnlyInBrowser { get; init; }

    /// <summary>Longest absence. 90 days: who is away for longer should not be in the group.</summary>
    public static readonly TimeSpan Longest = TimeSpan.FromDays(90);

    public IReadOnlyList<Delegation> List() => reader.List(Collection).Select(Read).Where(d => d.Until > time.GetUtcNow()).ToArray();

    public Delegation? Find(OpaqueId away) => reader.Get(Collection, away.Value) is { } document ? Read(document) : null;

    /// <summary>Names a delegate, in place of an earlier one. <paramref name="channel"/> is that of the session in which the author says so.</summary>
    public async Task<DelegationChange> SetAsync(UserEntry away, string to, DateTimeOffset from, DateTimeOffset until, PrincipalRef author, string channel)
    {
        // It gives a voice away, which a command line that may not use that voice may not do either.
        if (NamedOnlyInBrowser && channel != ReviewDesk.BrowserChannel) return new DelegationChange(ReasonCodes.PresenceRequired, "a delegate is named in the browser; sign in there", null);
        var now = time.GetUtcNow();
        if (users.Find(to) is not { } other) return Refused($"`{VisibleText.Of(to, multiline: false)}` is not a user");
        if (other.Ref.Id == away.Ref.Id) return Refused("nobody is his own delegate");
        if (until <= now || until <= from) return Refused("`until` must lie ahead, and after `from`");
        if (until - from > Longest) return Refused($"nobody is away for more than {Longest.TotalDays} days; take him out of the group instead");
        var delegation = new Delegation(away.Ref, other.Ref, from, until, author.Id);
        var put = new StateChange.Put(Collection, away.Ref.Id.Value, reader.Get(Collection, away.Ref.Id.Value)?.Version ?? 0, null, JsonSerializer.SerializeToUtf8Bytes(delegation, DelegationJson.Default.Delegation));
        return Result(await journal.WriteAsync(new WriteSet([Entry("delegate-set", delegation, author)], [put])).ConfigureAwait(false), delegation);
    }

    public async Task<DelegationChange> EndAsync(UserEntry away, PrincipalRef author)
    {
        if (reader.Get(Collection, away.Ref.Id.Value) is not { } document) return new DelegationChange(null, "there is none", null);
        var delegation = Read(document);
        return Result(await journal.WriteAsync(new WriteSet([Entry("delegate-ended", delegation, author)], [new StateChange.Delete(Collection, document.Key, document.Version)])).ConfigureAwait(false), delegation);
    }

    private static DelegationChange Refused(string detail) => new(ReasonCodes.NotSupported, detail, null);

    private static DelegationChange Result(WriteResult result, Delegation delegation) => result.Status switch
    {
        WriteStatus.Committed => new DelegationChange(null, null, delegation),
        WriteStatus.Conflict => new DelegationChange(ReasonCodes.Overloaded, "somebody else changed it at the same time; look again", null),
        _ => new DelegationChange(result.ReasonCode ?? ReasonCodes.JournalUnavailable, "the journal can not be written, and nothing was changed", null),
    };

    private static EntryDraft Entry(string type, Delegation d, PrincipalRef author) => new(type,
        CanonicalJson.Object(("user", d.Away.Id.Value), ("delegate", d.To.Id.Value), ("author", author.Id.Value), ("from", CanonicalJson.Time(d.From)), ("until", CanonicalJson.Time(d.Until))),
        CanonicalJson.Object(("user", d.Away.Name), ("delegate", d.To.Name), ("author", author.Name)));

    private static Delegation Read(StateDocument document) => JsonSerializer.Deserialize(document.Value, DelegationJson.Default.Delegation)!;
}

[JsonSerializable(typeof(Delegation))]
internal sealed partial class DelegationJson : JsonSerializerContext;
