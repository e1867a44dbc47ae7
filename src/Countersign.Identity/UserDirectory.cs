using System.Text.Json;
using Countersign.Core;
using Countersign.Journal;

namespace Countersign.Identity;

/// <summary>A human as the config declares him now.</summary>
public sealed record UserEntry(PrincipalRef Ref, IReadOnlySet<string> Groups);

/// <summary>
/// The humans of the config, each with the opaque id that the journal knows him by. Ids are given once and kept in the
/// store, so that a user who leaves the config and comes back is the same person. Groups are always those of the
/// config that serves now: nothing here remembers older ones (P33).
/// </summary>
public sealed class UserDirectory
{
    private const string Collection = "users";

    private readonly Dictionary<string, UserEntry> byName;
    private readonly Dictionary<OpaqueId, UserEntry> byId;

    private UserDirectory(IEnumerable<UserEntry> users)
    {
        byName = users.ToDictionary(static u => u.Ref.Name, StringComparer.Ordinal);
        byId = byName.Values.ToDictionary(static u => u.Ref.Id);
    }

    public IReadOnlyCollection<UserEntry> All => byName.Values;

    public UserEntry? Find(string name) => byName.GetValueOrDefault(name);

    public UserEntry? Find(OpaqueId id) => byId.GetValueOrDefault(id);

    /// <summary>
    /// Loads the directory, giving ids to users that are new. Throws when the store can not write, or two names differ only
    /// by case (P36): start-up errors.
    /// </summary>
    public static async Task<UserDirectory> LoadAsync(
        IReadOnlyDictionary<string, IReadOnlySet<string>> declared, IStateReader reader, JournalAppender journal)
    {
        if (declared.Keys.GroupBy(static n => n, StringComparer.OrdinalIgnoreCase).FirstOrDefault(static g => g.Skip(1).Any()) is { } twins)
        {
            throw new InvalidOperationException($"users {string.Join(", ", twins.Select(static n => $"`{n}`"))} differ only by case; rename one of them");
        }

        var users = new List<UserEntry>(declared.Count);
        foreach (var (name, groups) in declared.OrderBy(static d => d.Key, StringComparer.Ordinal))
        {
            users.Add(new UserEntry(new PrincipalRef(PrincipalKind.User, await IdOfAsync(name, reader, journal).ConfigureAwait(false), name), groups));
        }

        return new UserDirectory(users);
    }

    private static async Task<OpaqueId> IdOfAsync(string name, IStateReader reader, JournalAppender journal)
    {
        if (reader.Get(Collection, name) is { } known) return new OpaqueId(JsonSerializer.Deserialize(known.Value, IdentityJson.Default.UserDocument)!.Id);
        var id = OpaqueId.NewUser();
        var result = await journal.WriteAsync(new WriteSet(
            [new EntryDraft("user-known", CanonicalJson.Object(("user", id.Value)), CanonicalJson.Object(("name", name)))],
            [new StateChange.Put(Collection, name, 0, null, JsonSerializer.SerializeToUtf8Bytes(new UserDocument(id.Value), IdentityJson.Default.UserDocument))])).ConfigureAwait(false);
        if (result.Status != WriteStatus.Committed) throw new InvalidOperationException($"the store can not record user `{name}`: {result.Detail}");
        return id;
    }
}
