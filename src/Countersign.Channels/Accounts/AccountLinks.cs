using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;

namespace Countersign.Channels.Accounts;

/// <summary>An account of a chat service, by the ids that the service itself vouches for: never a name, never an address (P32).</summary>
/// <param name="Channel">Name of the channel.</param>
/// <param name="Team">The workspace or tenant that the account belongs to.</param>
/// <param name="Account">The account there.</param>
public sealed record ChatAccount(string Channel, string Team, string Account)
{
    internal string Key => $"{Channel}/{Team}/{Account}";

    public override string ToString() => $"{Channel} account {Account} of {Team}";
}

/// <summary>An account that a human has made his, by signing in to the console.</summary>
/// <param name="Shown">What the service called it when it was linked: for the eye, never for a decision.</param>
public sealed record LinkedAccount(string Id, string Channel, string Team, string Account, string Shown, OpaqueId User, DateTimeOffset LinkedAt);

/// <summary>What a page asks before it links.</summary>
/// <param name="Word">What the chat showed as well, so that a person sees that it is his own click that is asked about.</param>
public sealed record LinkOffer(ChatAccount Account, string Shown, string Word);

/// <summary>
/// Which chat account is which human: linked once, from a button in the chat, in a browser's session, by the human himself.
/// A code is for one account, for the first session that opens it, once, for <see cref="OfferLifetime"/>. Thread-safe.
/// </summary>
public sealed class AccountLinks(IStateReader reader, JournalAppender journal, UserDirectory users, TimeProvider time)
{
    /// <summary>How long a code works. 10 minutes: to sign in at a provider with a second factor, and no longer.</summary>
    public static readonly TimeSpan OfferLifetime = TimeSpan.FromMinutes(10);

    /// <summary>Codes under way. 1000: a team that begins on one morning; the oldest goes.</summary>
    private const int MaxOffers = 1000;

    private const string Collection = "channel-accounts";
    private const string WordAlphabet = "23456789ABCDEFGHJKMNPQRSTVWXYZ";

    private readonly Lock gate = new();
    private readonly Dictionary<string, Offered> offers = new(StringComparer.Ordinal);

    private sealed class Offered(LinkOffer offer, DateTimeOffset expires)
    {
        public LinkOffer Offer { get; } = offer;
        public DateTimeOffset Expires { get; } = expires;

        /// <summary>The session that opened it first; no other may.</summary>
        public string? Session { get; set; }
    }

    /// <summary>The human behind an account, as the directory knows him now; null: not linked, or he is no user any more.</summary>
    public UserEntry? Find(ChatAccount account) => reader.Get(Collection, account.Key) is { } document ? users.Find(Read(document).User) : null;

    public IReadOnlyList<LinkedAccount> Of(OpaqueId user) => reader.List(Collection).Select(Read).Where(a => a.User == user).OrderBy(static a => a.LinkedAt).ToArray();

    public IReadOnlyList<LinkedAccount> OfName(string name) => users.Find(name) is { } user ? Of(user.Ref.Id) : [];

    /// <summary>A code for the owner of this account, to be shown to him alone, and the word that both sides show.</summary>
    public (string Code, string Word) Begin(ChatAccount account, string shown)
    {
        var code = RandomNumberGenerator.GetHexString(64, lowercase: true);
        var word = RandomNumberGenerator.GetString(WordAlphabet, 4);
        var now = time.GetUtcNow();
        lock (gate)
        {
            // One at a time: what is begun anew makes the older ones void.
            foreach (var old in offers.Where(o => o.Value.Expires <= now || o.Value.Offer.Account == account).Select(static o => o.Key).ToArray()) offers.Remove(old);
            if (offers.Count >= MaxOffers) offers.Remove(offers.MinBy(static o => o.Value.Expires).Key);
            offers.Add(Hash(code), new Offered(new LinkOffer(account, VisibleText.Of(shown, multiline: false), word), now + OfferLifetime));
        }

        return (code, word);
    }

    /// <summary>What a code asks, and from now on for this session only. Null: unknown, too old, or another session's.</summary>
    public LinkOffer? Open(string? code, HumanSession session)
    {
        lock (gate)
        {
            if (code is null || session.Kind != SessionKind.Web || !offers.TryGetValue(Hash(code), out var offered) || offered.Expires <= time.GetUtcNow()) return null;
            offered.Session ??= session.Id;
            return offered.Session == session.Id ? offered.Offer : null;
        }
    }

    /// <summary>
    /// Links, once: the human of this session has agreed in his browser. Null when it is done, else a reason code.
    /// An account that was somebody's before becomes his, and that is in the journal; one human has one account of a team.
    /// </summary>
    public async Task<string?> ConfirmAsync(string? code, HumanSession session)
    {
        LinkOffer offer;
        lock (gate)
        {
            if (code is null || !offers.TryGetValue(Hash(code), out var offered) || offered.Session != session.Id || offered.Expires <= time.GetUtcNow()) return ReasonCodes.CodeInvalid;
            offers.Remove(Hash(code));
            offer = offered.Offer;
        }

        var user = session.User.Ref;
        var account = offer.Account;
        while (true)
        {
            var before = reader.Get(Collection, account.Key);
            var other = reader.FindByTag(Collection, Tag(account, user.Id)) is { } mine && mine.Key != account.Key ? mine : null;
            var link = new AccountDocument(IdText.New("ca_"), account.Channel, account.Team, account.Account, offer.Shown, user.Id.Value, time.GetUtcNow());
            List<EntryDraft> entries = [];
            List<StateChange> changes = [];
            if (other is not null)
            {
                entries.Add(Entry("account-unlinked", Read(other), "replaced"));
                changes.Add(new StateChange.Delete(Collection, other.Key, other.Version));
            }

            if (before is not null && Read(before).User != user.Id) entries.Add(Entry("account-unlinked", Read(before), "taken-over"));
            entries.Add(Entry("account-linked", ToLinked(link), null));
            changes.Add(new StateChange.Put(Collection, account.Key, before?.Version ?? 0, Tag(account, user.Id), JsonSerializer.SerializeToUtf8Bytes(link, AccountJson.Default.AccountDocument)));
            var result = await journal.WriteAsync(new WriteSet(entries, changes)).ConfigureAwait(false);
            if (result.Status == WriteStatus.Committed) return null;
            if (result.Status == WriteStatus.Unavailable) return ReasonCodes.JournalUnavailable;
        }
    }

    /// <summary>Takes a link away that is this human's own. False: the store can not be written, and it is still there.</summary>
    public async Task<bool> RemoveAsync(OpaqueId user, string id)
    {
        while (reader.List(Collection).FirstOrDefault(d => Read(d) is var a && a.Id == id && a.User == user) is { } document)
        {
            var result = await journal.WriteAsync(new WriteSet([Entry("account-unlinked", Read(document), "removed")], [new StateChange.Delete(Collection, document.Key, document.Version)])).ConfigureAwait(false);
            if (result.Status == WriteStatus.Committed) return true;
            if (result.Status == WriteStatus.Unavailable) return false;
        }

        return true;
    }

    private static EntryDraft Entry(string type, LinkedAccount account, string? cause) => new(type,
        CanonicalJson.Object(("user", account.User.Value), ("channel", account.Channel), ("link", account.Id), ("cause", cause is null ? null : (CanonicalJson)cause)),
        CanonicalJson.Object(("team", account.Team), ("account", account.Account), ("shown", account.Shown)));

    private static string Tag(ChatAccount account, OpaqueId user) => $"{account.Channel}/{account.Team}/{user}";

    private static LinkedAccount Read(StateDocument document) => ToLinked(JsonSerializer.Deserialize(document.Value, AccountJson.Default.AccountDocument)!);

    private static LinkedAccount ToLinked(AccountDocument a) => new(a.Id, a.Channel, a.Team, a.Account, a.Shown, new OpaqueId(a.User), a.LinkedAt);

    private static string Hash(string code) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(code)));
}

internal sealed record AccountDocument(string Id, string Channel, string Team, string Account, string Shown, string User, DateTimeOffset LinkedAt);

[JsonSerializable(typeof(AccountDocument))]
internal sealed partial class AccountJson : JsonSerializerContext;
